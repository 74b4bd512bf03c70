package ingest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"docent/ingest/clean"
	"docent/retriever"
)

// Repair mends what Verify finds wrong with a collection, as far as that can be done, and returns what it did
// and what Verify finds then. What is searched is made anew of the record. A document whose passages or
// vectors are damaged is cut and embedded again from the text that the record has of it, or else made again
// of its original file. An original that is damaged or gone is looked for where it came from: at its path, or
// on the web.
func (p *Pipeline) Repair(ctx context.Context, collection string) (done []retriever.Repair, left retriever.Verification, err error) {
	v, err := p.store.Verify(ctx, collection)
	if err != nil || len(v.Problems) == 0 {
		return nil, v, err
	}
	add := func(did, format string, args ...any) {
		done = append(done, retriever.Repair{What: fmt.Sprintf(format, args...), Done: did})
	}
	gone := make(map[string]bool)
	for _, d := range v.Originals {
		from, err := p.original(ctx, collection, d)
		if err != nil {
			if ctx.Err() != nil {
				return done, v, err
			}
			gone[d.SHA256] = true
			continue // the second verification tells it
		}
		add("it was read again from "+from, "the original of %q was damaged or gone", d.Path)
	}
	for _, d := range v.Damaged {
		how, err := p.remake(ctx, d, !gone[d.SHA256] && d.SHA256 != "")
		if ctx.Err() != nil {
			return done, v, ctx.Err()
		}
		if err != nil {
			add("it could not be made again: "+plainError(err), "document %q is damaged", d.Path)
			continue
		}
		add(how, "document %q was damaged", d.Path)
	}
	if v.Index {
		if err := p.store.DiscardIndex(ctx, collection); err != nil {
			return done, v, err
		}
		add("it was made anew of the record", "the index of the collection was not what the record has")
	}
	left, err = p.store.Verify(ctx, collection)
	return done, left, err
}

var errNoOriginal = errors.New("it is not where it came from")

// original puts the original file of a document back into the store, and says from where.
func (p *Pipeline) original(ctx context.Context, collection string, d retriever.Document) (string, error) {
	if IsURL(d.Path) {
		// Whether it has changed is asked with what the server said of the page that is lost.
		if err := p.store.Catalog().DeleteFetch(ctx, collection, d.Path); err != nil {
			return "", err
		}
		_, err := p.Ingest(ctx, collection, Item{Path: d.Path, Again: true}, nil)
		return d.Path, err
	}
	if !filepath.IsAbs(d.Path) {
		return "", errNoOriginal
	}
	sum, _, err := sumFile(ctx, d.Path)
	if err != nil {
		return "", err
	}
	if sum != d.SHA256 {
		return "", errNoOriginal // it is another by now, which is for the next ingestion
	}
	_, _, err = p.keep(ctx, d.Path)
	return d.Path, err
}

// remake makes a document again, of its text where that is whole, and else of its original file.
func (p *Pipeline) remake(ctx context.Context, d retriever.DamagedDocument, original bool) (how string, err error) {
	if !d.Text && d.DuplicateOf == "" {
		err := p.recut(ctx, d.Document)
		if err == nil {
			return "its passages and vectors were made again of its text", nil
		}
		if !original {
			return "", err
		}
	}
	if !original {
		return "", errors.New("its original is damaged or gone")
	}
	if _, err := p.Ingest(ctx, d.Collection, Item{Path: d.Path, SHA256: d.SHA256, Bytes: d.Bytes, Again: true}, nil); err != nil {
		return "", err
	}
	return "it was made again of its original file", nil
}

// recut cuts and embeds the text that the record has of a document.
func (p *Pipeline) recut(ctx context.Context, d retriever.Document) error {
	w, err := p.newWork(ctx, d.Collection, Item{Path: d.Path}, func(Progress) {})
	if err != nil {
		return err
	}
	unlock, err := p.paths.lock(ctx, d.Collection+"\x00"+d.Path)
	if err != nil {
		return err
	}
	defer unlock()
	content, err := p.store.Content(ctx, d.ID)
	if err != nil {
		return err
	}
	var notes retriever.Notes
	if sig, ok := clean.Sign(content.Text); ok && w.settings.NearDuplicates != "off" {
		if notes, err = notesOf(sig); err != nil {
			return err
		}
	}
	chunks, err := w.cut(ctx, content)
	if err != nil {
		return err
	}
	if len(chunks) == 0 {
		return ErrNoText
	}
	vectors, err := p.store.Vectors(ctx, d.Collection, chunks, nil)
	if err != nil {
		return err
	}
	_, err = p.store.Put(ctx, d.Collection, d, content, chunks, vectors, notes)
	return err
}
