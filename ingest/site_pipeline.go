package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"os"
	"slices"
	"time"

	"docent/internal/catalog"
	"docent/retriever"
)

// Site crawls a site for a collection, see [Fetcher.Crawl], and yields each page with the Item to ingest.
// Pages fetched before are asked for with what the server said of them, and those fetched after since are
// not asked for again: a crawl that was cut off goes on where it was. What the caller is given counts as
// taken in once it asks for the next.
//
// After the last page come those of earlier crawls that this one did not meet and that the server says are
// gone; their Err is ErrGone, and Forget removes them.
func (p *Pipeline) Site(ctx context.Context, collection, address string, opts SiteOptions, since time.Time) iter.Seq2[SitePage, error] {
	return func(yield func(SitePage, error) bool) {
		if p.cfg.Fetcher == nil {
			yield(SitePage{}, fmt.Errorf("crawl %s: %w: this pipeline fetches nothing", redacted(address), ErrAddress))
			return
		}
		db := p.store.Catalog()
		met := map[string]bool{}
		hosts := map[string]bool{}
		known := func(address string) (KnownPage, bool) { return p.knownPage(ctx, collection, address, since) }
		for page, err := range p.cfg.Fetcher.Crawl(ctx, address, opts, known) {
			if err != nil {
				yield(page, err)
				return
			}
			met[page.Address] = true
			if u, err := url.Parse(page.Path); err == nil {
				hosts[u.Host] = true
			}
			if page.Unchanged {
				f, err := db.Fetch(ctx, collection, page.Address)
				if err != nil {
					yield(page, err)
					return
				}
				page.SHA256, page.Item.SHA256, page.Path = f.SHA256, f.SHA256, f.Path
			}
			if errors.Is(page.Err, ErrGone) {
				page.Path = p.pathOf(ctx, collection, page.Address)
			}
			if !yield(page, nil) {
				return
			}
			if page.Err == nil && page.Skipped == "" {
				// Only now: a page must not count as known whose bytes are not kept.
				err = db.PutFetch(ctx, collection, catalog.Fetch{URL: page.Address, Path: page.Path, SHA256: page.SHA256, ETag: page.ETag, LastModified: page.LastModified, At: time.Now()})
			}
			if err != nil {
				yield(SitePage{}, err)
				return
			}
		}
		p.unmet(ctx, collection, address, opts, hosts, met, since, yield)
	}
}

// knownPage is what the collection holds of a page.
func (p *Pipeline) knownPage(ctx context.Context, collection, address string, since time.Time) (KnownPage, bool) {
	f, err := p.store.Catalog().Fetch(ctx, collection, address)
	if err != nil {
		return KnownPage{}, false
	}
	fresh := f.At.After(since)
	doc, err := p.store.DocumentByPath(ctx, collection, f.Path)
	if !fresh && (err != nil || doc.SHA256 != f.SHA256) {
		return KnownPage{}, false // it was removed, or replaced, or never taken in
	}
	open := func() (io.ReadCloser, error) { return p.store.OpenFile(ctx, f.SHA256) }
	file, err := open()
	if err != nil {
		return KnownPage{}, false
	}
	file.Close()
	return KnownPage{Validators: Validators{ETag: f.ETag, LastModified: f.LastModified}, Open: open, Fresh: fresh}, true
}

func (p *Pipeline) pathOf(ctx context.Context, collection, address string) string {
	if f, err := p.store.Catalog().Fetch(ctx, collection, address); err == nil {
		return f.Path
	}
	return address
}

// unmet asks for the pages of the hosts that were fetched in earlier crawls and not met in this one.
func (p *Pipeline) unmet(ctx context.Context, collection, address string, opts SiteOptions, hosts, met map[string]bool, since time.Time, yield func(SitePage, error) bool) {
	c, err := p.cfg.Fetcher.newCrawl(address, opts) // for its manners
	if err != nil {
		yield(SitePage{}, err)
		return
	}
	all, err := p.store.Catalog().Fetches(ctx, collection)
	if err != nil {
		yield(SitePage{}, err)
		return
	}
	for _, f := range all {
		u, err := url.Parse(f.URL)
		if err != nil || met[f.URL] || !hosts[u.Host] || f.At.After(since) {
			continue
		}
		rules, err := c.rules(ctx, u)
		if err == nil && !rules.allows(u) {
			continue
		}
		var got Fetched
		if err == nil {
			got, err = c.fetch(ctx, u, rules, Validators{ETag: f.ETag, LastModified: f.LastModified})
		}
		if ctx.Err() != nil {
			yield(SitePage{}, ctx.Err())
			return
		}
		if got.File != "" {
			os.Remove(got.File) // it is there; to crawl further is what takes it in again
		}
		if errors.Is(err, ErrGone) && !yield(SitePage{Fetched: Fetched{Item: Item{Path: f.Path}, URL: f.URL}, Address: f.URL, Err: err}, nil) {
			return
		}
	}
}

// Forget removes the document of a page that is gone, and what is known of the page. It returns the
// document, and false when there was none.
func (p *Pipeline) Forget(ctx context.Context, collection string, page SitePage) (retriever.Document, bool, error) {
	if err := p.store.Catalog().DeleteFetch(ctx, collection, page.Address); err != nil {
		return retriever.Document{}, false, err
	}
	others, err := p.store.Catalog().Fetches(ctx, collection)
	if err != nil || slices.ContainsFunc(others, func(f catalog.Fetch) bool { return f.Path == page.Path }) {
		return retriever.Document{}, false, err // another address leads to the same page still
	}
	doc, err := p.store.DocumentByPath(ctx, collection, page.Path)
	if errors.Is(err, retriever.ErrNotFound) || err == nil && !IsURL(doc.Path) {
		return doc, false, nil
	}
	if err == nil {
		err = p.store.DeleteDocument(ctx, doc.ID)
	}
	return doc, err == nil, err
}
