package retriever

import (
	"context"
	"errors"
	"iter"
	"sync"

	"golang.org/x/sync/errgroup"

	"docent/internal/catalog"
	"docent/internal/keyword"
	"docent/internal/weaviate"
)

// A nextClass is filled for the encoder that a collection is about to get, while the present one is searched.
type nextClass struct {
	name    string
	encoder string
	dim     int
	written map[int64]string // documents of the chunks that were written
	lacking []int64          // those that some replica may lack
}

// prepare fills a class with the vectors that a collection's chunks are about to get, so that replace has nothing
// left to fill and no search waits. Only documents may go meanwhile, or come from processes with the present
// encoder: replace writes what is new.
func (e *weaviateEngine) prepare(ctx context.Context, collection, encoder string, dim int) error {
	e.mu.Lock()
	n := e.next[collection]
	e.mu.Unlock()
	if n == nil || n.encoder != encoder || n.dim != dim {
		name, err := e.makeClass(ctx)
		if err == nil {
			err = e.db.NextSearchClass(ctx, collection, e.settings.format, encoder, dim, name)
		}
		if err != nil {
			return err
		}
		n = &nextClass{name: name, encoder: encoder, dim: dim, written: make(map[int64]string)}
	}
	var mu sync.Mutex // of n.written: chunks are read while earlier ones are written
	missing := func(yield func(catalog.Chunk, error) bool) {
		for k, err := range e.db.ChunksAfter(ctx, collection, 0) {
			mu.Lock()
			known := n.written[k.ID] == k.DocumentID
			mu.Unlock()
			if err == nil && known {
				continue
			}
			if !yield(k, err) {
				return
			}
		}
	}
	_, lacking, err := e.fillFrom(ctx, n.name, missing, func(chunks []catalog.Chunk) ([]catalog.Chunk, error) {
		chunks, err := e.withVectors(ctx, chunks, encoder, dim)
		mu.Lock()
		defer mu.Unlock()
		for _, k := range chunks {
			n.written[k.ID] = k.DocumentID
		}
		return chunks, err
	})
	if err != nil {
		return err
	}
	n.lacking = append(n.lacking, lacking...)
	e.mu.Lock()
	e.next[collection] = n
	e.mu.Unlock()
	return nil
}

// withVectors gives chunks the vectors of another encoder, and leaves out those that have none yet.
func (e *weaviateEngine) withVectors(ctx context.Context, chunks []catalog.Chunk, encoder string, dim int) ([]catalog.Chunk, error) {
	hashes := make([]catalog.Hash, len(chunks))
	for i, k := range chunks {
		chunks[i].Vector = nil
		hashes[i] = catalog.HashText(k.IndexText())
	}
	if encoder == "" {
		return chunks, nil
	}
	vectors, err := e.db.VectorsByHash(ctx, encoder, hashes)
	if err != nil {
		return nil, err
	}
	have := chunks[:0]
	for i, k := range chunks {
		if k.Vector = vectors[hashes[i]]; len(k.Vector) == dim {
			have = append(have, k)
		}
	}
	return have, nil
}

// swapNext writes what the class that was prepared lacks, and gives it to the collection with the change. It reports
// false when there is none.
func (e *weaviateEngine) swapNext(ctx context.Context, collection string, change *catalog.Change) (swapped bool, err error) {
	e.mu.Lock()
	n := e.next[collection]
	delete(e.next, collection)
	e.mu.Unlock()
	if n == nil {
		return false, nil
	}
	rest, err := change.ChunksBeside(ctx, collection, n.written)
	if err != nil {
		return false, err
	}
	objects := make([]weaviate.Object, len(rest))
	for i, k := range rest {
		objects[i] = objectOf(k)
	}
	lacking, err := e.put(ctx, n.name, objects)
	if err == nil {
		err = change.SwapSearchClass(ctx, collection, e.settings.format, n.name)
	}
	if errors.Is(err, ErrNotFound) {
		return false, nil // the collection goes, or another process prepares a class as well
	}
	if err == nil {
		err = change.PendSearch(ctx, n.name, false, append(n.lacking, lacking...))
	}
	return err == nil, err
}

// makeClass makes a class that nobody has yet. It is made before anybody sees it: Weaviate makes a class of its own
// invention of what is written to one that is not there.
func (e *weaviateEngine) makeClass(ctx context.Context) (name string, err error) {
	if name, err = e.db.NameSearchClass(ctx); err != nil {
		return "", err
	}
	return name, e.client.CreateClass(ctx, weaviate.Class{Name: name, Replicas: e.settings.replicas, Shards: e.settings.shards,
		K1: keyword.K1, B: keyword.B, Quantise: e.settings.quantise})
}

// fillFrom writes chunks to a class, several groups at a time, each as ready returns it. It returns how many they
// were, and which some replica may lack.
func (e *weaviateEngine) fillFrom(ctx context.Context, class string, chunks iter.Seq2[catalog.Chunk, error], ready func([]catalog.Chunk) ([]catalog.Chunk, error)) (total int, lacking []int64, err error) {
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(filling)
	write := func(batch []catalog.Chunk) {
		g.Go(func() error {
			batch, err := ready(batch)
			if err != nil {
				return err
			}
			objects := make([]weaviate.Object, len(batch))
			for i, k := range batch {
				objects[i] = objectOf(k)
			}
			some, err := e.put(ctx, class, objects)
			mu.Lock()
			lacking = append(lacking, some...)
			mu.Unlock()
			return err
		})
	}
	var batch []catalog.Chunk
	for k, err := range chunks {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			if cause := g.Wait(); cause != nil {
				err = cause // of which the other came
			}
			return 0, nil, err
		}
		total++
		if batch = append(batch, k); len(batch) == putGroup {
			write(batch)
			batch = nil
		}
	}
	if len(batch) > 0 {
		write(batch)
	}
	err = g.Wait()
	return total, lacking, err
}
