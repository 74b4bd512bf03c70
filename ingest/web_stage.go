package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"docent/internal/catalog"
)

// WebItem is the item of a page of the web, to be fetched when its turn comes. It returns ErrAddress for an
// address that is never fetched.
func WebItem(address string) (Item, error) {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil {
		return Item{}, fmt.Errorf("fetch %s: %w: it is not a URL", redacted(address), ErrAddress)
	}
	if err := checkURL(u); err != nil {
		return Item{}, fmt.Errorf("fetch %s: %w", redacted(address), err)
	}
	u.Fragment, u.RawFragment = "", ""
	return Item{Path: u.String()}, nil
}

// toFetch reports whether the item is a page of the web whose bytes are still to be had.
func (it Item) toFetch() bool {
	return it.SHA256 == "" && it.File == "" && it.Err == nil && IsURL(it.Path)
}

// fetchItem gets an item's bytes from the web into the store, or finds that those of the stored document
// are still good. The caller calls remember once the document is stored.
func (p *Pipeline) fetchItem(ctx context.Context, collection string, it Item, report func(Progress)) (_ Item, remember func(), err error) {
	if p.cfg.Fetcher == nil {
		return it, nil, fmt.Errorf("%w: this pipeline fetches nothing", ErrAddress)
	}
	report(Progress{Stage: StageFetching})
	address := it.Path
	kept, _ := p.knownPage(ctx, collection, address, time.Now())
	got, err := p.cfg.Fetcher.fetch(ctx, address, kept.Validators, nil)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return it, nil, err // the address is named by whoever shows it
	}
	if got.Unchanged {
		f, err := p.store.Catalog().Fetch(ctx, collection, address)
		if err != nil {
			return it, nil, err
		}
		it.SHA256 = f.SHA256
	} else {
		defer os.Remove(got.File)
		it.Name = got.Name
		if it.SHA256, it.Bytes, err = p.keep(ctx, got.File); err != nil {
			return it, nil, err
		}
	}
	return it, func() {
		err := p.store.Catalog().PutFetch(context.WithoutCancel(ctx), collection, catalog.Fetch{
			URL: address, Path: it.Path, SHA256: it.SHA256, ETag: got.ETag, LastModified: got.LastModified, At: time.Now(),
		})
		if err != nil { // the next fetch is a full one
			p.cfg.Logger.WarnContext(ctx, "what the server said of a page is not in the record", "url", redacted(address), "error", err)
		}
	}, nil
}

// EnqueueSite adds a job that goes through a web site and queues what it finds; see [Pipeline.Site].
func (p *Pipeline) EnqueueSite(ctx context.Context, collection, address string, opts SiteOptions) (catalog.Job, error) {
	if _, err := p.store.Collection(ctx, collection); err != nil {
		return catalog.Job{}, err
	}
	first, err := WebItem(address)
	if err != nil {
		return catalog.Job{}, err
	}
	if err := opts.Check(); err != nil {
		return catalog.Job{}, fmt.Errorf("%w: %w", ErrInvalidSetting, err)
	}
	raw, err := json.Marshal(opts)
	if err != nil {
		return catalog.Job{}, err
	}
	jobs := []catalog.Job{{Collection: collection, Kind: catalog.SiteJob, Path: first.Path, Options: string(raw), State: catalog.Queued}}
	if err := p.addJobs(ctx, jobs); err != nil {
		return catalog.Job{}, err
	}
	return jobs[0], nil
}

// ingestSite goes through a site and queues its pages. Begun again, it goes on where it was.
func (p *Pipeline) ingestSite(ctx context.Context, job catalog.Job, report func(Progress)) (Result, error) {
	var opts SiteOptions
	if err := json.Unmarshal([]byte(job.Options), &opts); err != nil {
		return Result{}, fmt.Errorf("read the settings of the crawl: %w", err)
	}
	report(Progress{Stage: StageFetching})
	res := Result{Status: Crawled}
	met := 0
	for page, err := range p.Site(ctx, job.Collection, job.Path, opts, job.CreatedAt) {
		if err != nil {
			return res, err
		}
		met++
		report(Progress{Stage: StageFetching, Done: met, Total: min(met+page.Left, max(opts.withDefaults().Pages, met))})
		switch {
		case errors.Is(page.Err, ErrGone) && page.Depth == 0 && met == 1:
			return res, page.Err
		case errors.Is(page.Err, ErrGone):
			if _, _, err := p.Forget(ctx, job.Collection, page); err != nil {
				return res, err
			}
		case page.Err != nil && met == 1:
			return res, page.Err
		case page.Err != nil:
			page.Item.Err = page.Err
		case page.Skipped != "":
			p.cfg.Logger.DebugContext(ctx, "page passed over", "url", page.Address, "reason", page.Skipped)
			continue
		case page.Unchanged:
			if p.holds(ctx, job.Collection, page.Item, page.SHA256) {
				res.Chunks++
				continue
			}
		}
		if !errors.Is(page.Err, ErrGone) {
			if _, err := p.Enqueue(ctx, job.Collection, []Item{page.Item}); err != nil {
				return res, err
			}
			res.Chunks++
		}
	}
	return res, nil
}
