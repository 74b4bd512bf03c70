package retriever

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/tmc/langchaingo/schema"
	"github.com/tmc/langchaingo/vectorstores"

	"docent/internal/catalog"
	"docent/internal/tensor"
)

// A DensePart is a vector store of langchaingo that searches by meaning in the place of the embedded store's
// own vectors. The record, and the search by words, stay in the data directory.
//
// The store gets each passage as a document, with its text, a vector of the collection's encoder (by
// vectorstores.WithEmbedder; a store that passes over that option has to have the same encoder), and the
// metadata "chunk_id" and "document_id", which it has to give back. It names candidates; their scores are
// cosines of the record's vectors. What a document had before stays in it, since langchaingo's stores do not
// remove, and is passed over. Filters are not known to it: it is asked for more, up to all it has, until enough
// pass; where a filter lets through few passages, those are compared one by one and it is not asked.
type DensePart struct {
	// Name says which store it is. Under another name every passage is added anew.
	Name string
	// Open returns the store for the vectors of a collection, which are of its Encoder and Dim: another one
	// for each name and encoder. It is called at first use.
	Open func(ctx context.Context, c Collection) (vectorstores.VectorStore, error)
}

// denseEngine is the embedded engine with the vectors elsewhere. A passage is added to the vector store before
// the change that brings it is committed, so that a search misses none.
type denseEngine struct {
	*embedded
	part DensePart

	mu     sync.Mutex
	stores map[string]*vectorsElsewhere // by collection
}

// vectorsElsewhere is the vector store of a collection.
type vectorsElsewhere struct {
	mu      sync.Mutex // of one who adds, who does not wait for the record meanwhile
	encoder string     // that store is of; empty before it is open
	store   vectorstores.VectorStore
	last    int64 // the record's chunks up to it have been added
	ready   bool  // all have been
}

func newDenseEngine(e *embedded, part DensePart) *denseEngine {
	e.wordsOnly = true
	return &denseEngine{embedded: e, part: part, stores: make(map[string]*vectorsElsewhere)}
}

func (d *denseEngine) elsewhere(collection string) *vectorsElsewhere {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stores[collection]
	if s == nil {
		s = new(vectorsElsewhere)
		d.stores[collection] = s
	}
	return s
}

func (d *denseEngine) forget(collection string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.stores, collection)
}

// setting is where the record keeps up to which chunk the store has all.
func (d *denseEngine) setting(collection, encoder string) string {
	return fmt.Sprintf("dense %q %q %q", d.part.Name, collection, encoder)
}

func (d *denseEngine) apply(ctx context.Context, collection string, e edit) error {
	s := d.elsewhere(collection)
	s.mu.Lock()
	encoder, last := s.encoder, int64(0)
	err := func() error {
		defer s.mu.Unlock()
		if !s.ready || e.vectors == nil || len(e.Added) == 0 {
			return d.embedded.apply(ctx, collection, e)
		}
		chunks := make([]catalog.Chunk, len(e.Added))
		for i, id := range e.Added {
			chunks[i] = catalog.Chunk{Chunk: e.chunks[i], ID: id, DocumentID: e.Document.ID, Vector: e.vectors[i]}
		}
		if err := s.add(ctx, chunks); err != nil {
			return err
		}
		if err := d.embedded.apply(ctx, collection, e); err != nil {
			return err
		}
		if e.Heir == "" {
			s.last = e.Added[len(e.Added)-1]
			last = s.last
		}
		return nil
	}()
	if e.Heir != "" {
		d.forget(collection) // its chunks are added at the next search
	}
	if err == nil && last > 0 {
		d.note(ctx, collection, encoder, last)
	}
	return err
}

// note records what the store has. Without it passages are added twice after a start, which does no harm.
func (d *denseEngine) note(ctx context.Context, collection, encoder string, last int64) {
	if err := d.db.SetSetting(ctx, d.setting(collection, encoder), strconv.FormatInt(last, 10)); err != nil {
		d.log.WarnContext(ctx, "passages will be added to the vector store again", "collection", collection, "error", err)
	}
}

func (d *denseEngine) replace(ctx context.Context, collection string, change *catalog.Change) error {
	defer d.forget(collection)
	return d.embedded.replace(ctx, collection, change)
}

func (d *denseEngine) discard(ctx context.Context, collection string) error {
	defer d.forget(collection)
	return d.embedded.discard(ctx, collection)
}

func (d *denseEngine) view(ctx context.Context, collection string, f Filter) (view, error) {
	for {
		encoder, dim, err := d.encoder(ctx, collection)
		if err != nil {
			return nil, err
		}
		var store vectorstores.VectorStore
		var missing error
		if dim > 0 {
			if store, err = d.filled(ctx, collection, encoder); err != nil {
				missing = fmt.Errorf("collection %q: vector store %q: %w", collection, d.part.Name, err)
			}
		}
		v, err := d.embedded.view(ctx, collection, f)
		if err != nil {
			return nil, err
		}
		if v.encoder() == encoder {
			return denseView{v.(indexView), d.db, store, missing}, nil
		}
		v.close()
	}
}

// filled returns the vector store of a collection with all its passages.
func (d *denseEngine) filled(ctx context.Context, collection, encoder string) (vectorstores.VectorStore, error) {
	s := d.elsewhere(collection)
	s.mu.Lock()
	had := s.last
	err := d.fill(ctx, s, collection, encoder)
	store, last := s.store, s.last
	s.mu.Unlock()
	if last != had {
		d.note(context.WithoutCancel(ctx), collection, encoder, last)
	}
	return store, err
}

// fill adds what the store lacks. The caller has s.mu.
func (d *denseEngine) fill(ctx context.Context, s *vectorsElsewhere, collection, encoder string) error {
	if s.encoder != encoder {
		c, err := d.db.Collection(ctx, collection)
		if err != nil {
			return err
		}
		if s.store, err = d.part.Open(ctx, Collection(c)); err != nil {
			return err
		}
		noted, err := d.db.Setting(ctx, d.setting(collection, encoder))
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		s.last, _ = strconv.ParseInt(noted, 10, 64)
		s.encoder, s.ready = encoder, false
	}
	if s.ready {
		return nil
	}
	var batch []catalog.Chunk
	add := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := s.add(ctx, batch); err != nil {
			return err
		}
		s.last = batch[len(batch)-1].ID
		batch = batch[:0]
		return nil
	}
	for k, err := range d.db.ChunksAfter(ctx, collection, s.last) {
		if err != nil {
			return err
		}
		if batch = append(batch, k); len(batch) == addBatch {
			if err := add(); err != nil {
				return err
			}
		}
	}
	if err := add(); err != nil {
		return err
	}
	s.ready = true
	return nil
}

// addBatch is how many passages a vector store gets at a time.
const addBatch = 256

// The keys of a passage's metadata in a vector store.
const (
	chunkKey    = "chunk_id" // in decimal, as text: not every store keeps large numbers
	documentKey = "document_id"
)

func (s *vectorsElsewhere) add(ctx context.Context, chunks []catalog.Chunk) error {
	for part := range slices.Chunk(chunks, addBatch) {
		docs := make([]schema.Document, len(part))
		given := givenVectors{texts: make(map[string][]float32, len(part))}
		for i, k := range part {
			text := k.IndexText()
			given.texts[text] = k.Vector
			docs[i] = schema.Document{PageContent: text, Metadata: map[string]any{chunkKey: strconv.FormatInt(k.ID, 10), documentKey: k.DocumentID}}
		}
		if _, err := s.store.AddDocuments(ctx, docs, vectorstores.WithEmbedder(given)); err != nil {
			return fmt.Errorf("add passages: %w", err)
		}
	}
	return nil
}

// givenVectors is an embedder that knows the vectors there are.
type givenVectors struct {
	texts map[string][]float32
	query []float32
}

func (g givenVectors) EmbedQuery(context.Context, string) ([]float32, error) { return g.query, nil }

func (g givenVectors) EmbedDocuments(_ context.Context, texts []string) ([][]float32, error) {
	vectors := make([][]float32, len(texts))
	for i, t := range texts {
		v, ok := g.texts[t]
		if !ok {
			return nil, fmt.Errorf("the vector store embeds a text that it was not given: %.60q", t)
		}
		vectors[i] = v
	}
	return vectors, nil
}

// A denseView is a view of the embedded engine whose vectors are elsewhere.
type denseView struct {
	indexView
	db      *catalog.DB
	store   vectorstores.VectorStore
	missing error // why store lacks passages: words can be searched all the same
}

// fewAllowed is how many passages that a filter lets through are compared one by one.
const fewAllowed = 2000

func (v denseView) nearest(ctx context.Context, q question, n int) ([]candidate, error) {
	ids, err := v.candidates(ctx, q, n)
	if err != nil {
		return nil, err
	}
	cosines, err := v.similarities(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	found := make([]candidate, len(ids))
	for i, id := range ids {
		number, _ := v.x.number(id)
		found[i].chunk, found[i].document = v.x.at(number)
		found[i].dense = cosines[i]
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.dense, a.dense), cmp.Compare(a.chunk, b.chunk))
	})
	found = found[:min(n, len(found))]
	for i := range found {
		found[i].denseRank = i + 1
	}
	return found, nil
}

// candidates returns the chunks among which the n nearest are.
func (v denseView) candidates(ctx context.Context, q question, n int) ([]int64, error) {
	if few, ok := v.few(); ok {
		return few, nil
	}
	if v.missing != nil {
		return nil, v.missing
	}
	given := vectorstores.WithEmbedder(givenVectors{query: q.vector})
	for ask := n + n/4 + 10; ; ask *= 4 {
		docs, err := v.store.SimilaritySearch(ctx, q.text, ask, given)
		if err != nil {
			return nil, err
		}
		var ids []int64
		seen := make(map[int64]bool, len(docs))
		for _, d := range docs {
			id, err := strconv.ParseInt(fmt.Sprint(d.Metadata[chunkKey]), 10, 64)
			if err != nil {
				return nil, fmt.Errorf("the vector store gives a document without the %s it was added with: %w", chunkKey, err)
			}
			if number, ok := v.x.number(id); ok && v.allow.Has(number) && !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
		if len(ids) >= n || len(docs) < ask {
			return ids, nil
		}
	}
}

// few returns the chunks that a filter lets through, where they are few.
func (v denseView) few() (chunks []int64, ok bool) {
	if !v.filtered || v.allow.Len() > fewAllowed {
		return nil, false
	}
	for _, number := range v.allow.AppendTo(nil) {
		id, _ := v.x.at(number)
		chunks = append(chunks, id)
	}
	return chunks, true
}

func (v denseView) similarities(ctx context.Context, q question, chunks []int64) ([]float64, error) {
	vectors, err := v.db.VectorsByID(ctx, chunks)
	if err != nil {
		return nil, err
	}
	all := make([]float64, len(chunks))
	for i, id := range chunks {
		if len(vectors[id]) == len(q.vector) {
			all[i] = float64(tensor.Dot(vectors[id], q.vector))
		}
	}
	return all, nil
}
