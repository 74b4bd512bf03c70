package retriever

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/google/uuid"
	"github.com/tmc/langchaingo/schema"
	"github.com/tmc/langchaingo/vectorstores"

	"docent/chunker"
)

// Retriever returns the collection as langchaingo's retriever, searched with the options. A document
// it returns is a passage; its Metadata has the document's own, and over them "collection",
// "document_id", "path", "title", "page" and "last_page" (0 without pages), "headings" ([]string),
// "start" and "end" (byte offsets in the document's text) and "chunk_id" (int64).
func (s *Store) Retriever(collection string, opts ...SearchOption) schema.Retriever {
	return passageRetriever{s, collection, opts}
}

type passageRetriever struct {
	store      *Store
	collection string
	opts       []SearchOption
}

func (r passageRetriever) GetRelevantDocuments(ctx context.Context, query string) ([]schema.Document, error) {
	hits, err := r.store.Search(ctx, r.collection, query, r.opts...)
	return passages(hits), err
}

func passages(hits []Hit) []schema.Document {
	docs := make([]schema.Document, len(hits))
	for i, h := range hits {
		m := make(map[string]any, len(h.Document.Metadata)+11)
		for k, v := range h.Document.Metadata {
			m[k] = v
		}
		maps.Copy(m, map[string]any{
			"collection": h.Document.Collection, "document_id": h.Document.ID, "path": h.Document.Path, "title": h.Document.Title,
			"page": h.Chunk.FirstPage, "last_page": h.Chunk.LastPage, "headings": h.Chunk.Headings, "labels": h.Chunk.Labels,
			"start": h.Chunk.Start, "end": h.Chunk.End, "chunk_id": h.ChunkID,
		})
		docs[i] = schema.Document{PageContent: h.Chunk.Text, Metadata: m, Score: float32(h.Score)}
	}
	return docs
}

// VectorStore returns the collection as langchaingo's vector store.
//
// AddDocuments stores each document as one of a single chunk and returns their ids; its path is the
// "path" of its Metadata, or one made up. SimilaritySearch is a dense search, or a keyword search in a
// collection without vectors; the score, to which WithScoreThreshold applies, is that mode's.
// WithNameSpace names another collection, WithFilters takes a map[string]string or map[string]any of
// metadata that must be equal, a Filter, or the text of one, WithDeduplicater leaves documents out of AddDocuments, and WithEmbedder is refused with
// ErrEncoderMismatch unless it is the store's encoder.
func (s *Store) VectorStore(collection string) vectorstores.VectorStore {
	return vectorStore{s, collection}
}

type vectorStore struct {
	store      *Store
	collection string
}

func (v vectorStore) options(options []vectorstores.Option) (string, vectorstores.Options, error) {
	var o vectorstores.Options
	for _, set := range options {
		set(&o)
	}
	if o.Embedder != nil {
		if e, ok := o.Embedder.(Encoder); !ok || e.Fingerprint() != v.store.fingerprint() {
			return "", o, fmt.Errorf("vector store: %w: an embedder other than the store's was given", ErrEncoderMismatch)
		}
	}
	if o.NameSpace != "" {
		return o.NameSpace, o, nil
	}
	return v.collection, o, nil
}

func (v vectorStore) AddDocuments(ctx context.Context, docs []schema.Document, options ...vectorstores.Option) ([]string, error) {
	collection, o, err := v.options(options)
	if err != nil {
		return nil, err
	}
	var kept []schema.Document
	var chunks []chunker.Chunk
	for _, d := range docs {
		if o.Deduplicater != nil && o.Deduplicater(ctx, d) {
			continue
		}
		kept = append(kept, d)
		chunks = append(chunks, chunker.Chunk{Text: d.PageContent, End: len(d.PageContent)})
	}
	vectors, err := v.store.Vectors(ctx, collection, chunks, nil)
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(kept))
	for i, d := range kept {
		doc := Document{Bytes: int64(len(d.PageContent)), Format: "text", Metadata: make(map[string]string, len(d.Metadata))}
		for key, value := range d.Metadata {
			text := fmt.Sprint(value)
			switch key {
			case "path":
				doc.Path = text
			case "title":
				doc.Title = text
			default:
				doc.Metadata[key] = text
			}
		}
		if doc.Path == "" {
			doc.Path = uuid.NewString()
		}
		var vector [][]float32
		if vectors != nil {
			vector = vectors[i : i+1]
		}
		stored, err := v.store.Put(ctx, collection, doc, chunker.Document{Title: doc.Title, Text: d.PageContent}, chunks[i:i+1], vector)
		if err != nil {
			return ids, err
		}
		ids = append(ids, stored.ID)
	}
	return ids, nil
}

func (v vectorStore) SimilaritySearch(ctx context.Context, query string, numDocuments int, options ...vectorstores.Option) ([]schema.Document, error) {
	collection, o, err := v.options(options)
	if err != nil {
		return nil, err
	}
	if numDocuments <= 0 {
		return []schema.Document{}, nil
	}
	opts := []SearchOption{TopK(numDocuments), MinScore(float64(o.ScoreThreshold))}
	switch filters := o.Filters.(type) {
	case nil:
	case Filter:
		opts = append(opts, Where(filters))
	case string:
		f, err := ParseFilter(filters)
		if err != nil {
			return nil, fmt.Errorf("vector store: %w", err)
		}
		opts = append(opts, Where(f))
	case map[string]string:
		for k, want := range filters {
			opts = append(opts, WithMetadata(k, want))
		}
	case map[string]any:
		for k, want := range filters {
			opts = append(opts, WithMetadata(k, fmt.Sprint(want)))
		}
	default:
		return nil, fmt.Errorf("vector store: filters of type %T, want a map of metadata, a Filter, or its text", filters)
	}
	hits, err := v.store.Search(ctx, collection, query, append(opts, WithMode(Dense))...)
	if errors.Is(err, ErrNoVectors) {
		hits, err = v.store.Search(ctx, collection, query, append(opts, WithMode(Keyword))...)
	}
	if err != nil {
		return nil, err
	}
	return passages(hits), nil
}
