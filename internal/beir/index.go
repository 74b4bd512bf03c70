package beir

import (
	"context"
	"crypto/sha256"
	"fmt"

	"docent/chunker"
	"docent/retriever"
)

// indexBatch is how many documents are embedded together.
const indexBatch = 64

// Index stores each document of the corpus, under its id as path, in an existing collection: cut by
// split and embedded like any other document. Documents that are there already, with the same text,
// are passed over. progress, unless nil, is told how many documents are done.
func (d *Dataset) Index(ctx context.Context, store *retriever.Store, collection string, split chunker.Splitter, progress func(done, total int)) error {
	present, err := store.Documents(ctx, collection)
	if err != nil {
		return err
	}
	had := make(map[string]string, len(present))
	for _, p := range present {
		had[p.Path] = p.ID
	}
	for start := 0; start < len(d.Documents); start += indexBatch {
		batch := d.Documents[start:min(start+indexBatch, len(d.Documents))]
		contents := make([]chunker.Document, len(batch))
		ends := make([]int, len(batch))
		skip := make([]bool, len(batch))
		var chunks []chunker.Chunk
		for i, doc := range batch {
			contents[i] = content(doc)
			if id, ok := had[doc.ID]; ok {
				old, err := store.Content(ctx, id)
				if err != nil {
					return err
				}
				skip[i] = old.Text == contents[i].Text && old.Title == contents[i].Title
			}
			if !skip[i] {
				cut, err := split.Split(ctx, contents[i])
				if err != nil {
					return fmt.Errorf("%s: document %s: %w", d.Name, doc.ID, err)
				}
				chunks = append(chunks, cut...)
			}
			ends[i] = len(chunks)
		}
		vectors, err := store.Vectors(ctx, collection, chunks, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", d.Name, err)
		}
		from := 0
		for i, doc := range batch {
			to := ends[i]
			if !skip[i] {
				var v [][]float32
				if vectors != nil {
					v = vectors[from:to]
				}
				meta := retriever.Document{Path: doc.ID, Title: doc.Title, Format: "text", Bytes: int64(len(doc.Text))}
				if _, err := store.Put(ctx, collection, meta, contents[i], chunks[from:to], v); err != nil {
					return fmt.Errorf("%s: %w", d.Name, err)
				}
			}
			from = to
		}
		if progress != nil {
			progress(start+len(batch), len(d.Documents))
		}
	}
	return nil
}

// Fingerprint names the chunks that split cuts the corpus into: equal ones are of equal text, cut alike.
func (d *Dataset) Fingerprint(ctx context.Context, split chunker.Splitter) (string, error) {
	h := sha256.New()
	for _, doc := range d.Documents {
		fmt.Fprintf(h, "%q %q\n", doc.ID, doc.Title)
		cut, err := split.Split(ctx, content(doc))
		if err != nil {
			return "", fmt.Errorf("%s: document %s: %w", d.Name, doc.ID, err)
		}
		for _, c := range cut {
			fmt.Fprintf(h, "%q\n", c.IndexText())
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), nil
}

// content is the document of a corpus entry: one paragraph under its title.
func content(doc Document) chunker.Document {
	c := chunker.Document{Title: doc.Title, Text: doc.Text}
	if len(doc.Text) > 0 {
		c.Blocks = []chunker.Block{{Kind: chunker.Paragraph, End: len(doc.Text)}}
	}
	return c
}
