package retriever

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"

	"github.com/philippgille/chromem-go"
	"golang.org/x/sync/errgroup"

	"docent/internal/catalog"
	"docent/internal/keyword"
)

// An index is what is searched of one collection, in memory. Fields are guarded by mu; a search holds it
// for reading until it has fetched its passages from the record, so that both are of one moment.
type index struct {
	name string

	mu         sync.RWMutex
	identified bool // encoder and dim are known
	encoder    string
	dim        int
	loaded     bool
	gone       bool // out of use: there is no such collection, or there was none

	words    *keyword.Index
	vectors  *chromem.Collection // nil when keyword-only
	document map[int64]string    // chunk id to document id
}

// indexOf returns the index of a collection, loaded or not.
func (s *Store) indexOf(name string) (*index, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	x := s.indexes[name]
	if x == nil {
		x = &index{name: name}
		s.indexes[name] = x
	}
	return x, nil
}

// locked returns the index of a collection with mu held for writing.
//
// An index leaves the map only marked as gone, and whoever gets hold of one that is gone looks again:
// so there is never a second index of a collection that a change could miss.
func (s *Store) locked(name string) (*index, error) {
	for {
		x, err := s.indexOf(name)
		if err != nil {
			return nil, err
		}
		x.mu.Lock()
		if !x.gone {
			return x, nil
		}
		x.mu.Unlock()
	}
}

// forget takes the index out of use. The caller holds x.mu for writing.
func (s *Store) forget(x *index) {
	x.gone = true
	x.unload()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.indexes[x.name] == x {
		delete(s.indexes, x.name)
	}
}

// identify learns the collection's encoder. It returns ErrNotFound, and takes x out of use, when there
// is no such collection. The caller holds mu for writing.
func (s *Store) identify(ctx context.Context, x *index) error {
	if x.identified {
		return nil
	}
	c, err := s.db.Collection(ctx, x.name)
	if errors.Is(err, ErrNotFound) {
		s.forget(x)
	}
	if err != nil {
		return err
	}
	x.identified, x.encoder, x.dim = true, c.Encoder, c.Dim
	return nil
}

// reading returns the index of a collection, filled, with mu held for reading. The caller calls
// mu.RUnlock.
func (s *Store) reading(ctx context.Context, name string) (*index, error) {
	for {
		x, err := s.indexOf(name)
		if err != nil {
			return nil, err
		}
		x.mu.RLock()
		if x.loaded && !x.gone {
			return x, nil
		}
		x.mu.RUnlock()
		if x, err = s.locked(name); err != nil {
			return nil, err
		}
		if err = s.identify(ctx, x); err == nil {
			err = x.load(ctx, s.db)
		}
		x.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
}

// load fills the index, whose encoder is known, from the record. The caller holds mu for writing.
func (x *index) load(ctx context.Context, db *catalog.DB) error {
	if x.loaded {
		return nil
	}
	x.words = keyword.New()
	x.document = make(map[int64]string)
	x.vectors = nil
	if x.dim > 0 {
		var err error
		// Every document comes with its vector, so the function to make one is never called.
		if x.vectors, err = chromem.NewDB().CreateCollection("vectors", nil, func(context.Context, string) ([]float32, error) {
			return nil, fmt.Errorf("%w: none is given", ErrInvalidVector)
		}); err != nil {
			return err
		}
	}
	// Reading the record and adding to the index go in order; the analysis of the text between them is
	// most of the work and runs on all processors.
	type item struct {
		chunk catalog.Chunk
		terms keyword.Terms
	}
	type batch struct {
		items []item
		ready chan struct{}
	}
	workers := runtime.GOMAXPROCS(0)
	todo := make(chan *batch)
	ordered := make(chan *batch, 2*workers)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(todo)
		defer close(ordered)
		b := &batch{ready: make(chan struct{})}
		flush := func() error {
			for _, c := range []chan *batch{ordered, todo} {
				select {
				case c <- b:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			b = &batch{ready: make(chan struct{})}
			return nil
		}
		for chunk, err := range db.AllChunks(ctx, x.name) {
			if err != nil {
				return err
			}
			if b.items = append(b.items, item{chunk: chunk}); len(b.items) == 256 {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		return flush()
	})
	for range workers {
		g.Go(func() error {
			for b := range todo {
				for i := range b.items {
					b.items[i].terms = keyword.Analyze(b.items[i].chunk.Context, b.items[i].chunk.Text)
					b.items[i].chunk.Text = ""
				}
				close(b.ready)
			}
			return nil
		})
	}
	g.Go(func() error {
		var last string // chunks of a document follow each other and share its id
		for b := range ordered {
			select {
			case <-b.ready:
			case <-ctx.Done():
				return ctx.Err()
			}
			for _, it := range b.items {
				if it.chunk.DocumentID == last {
					it.chunk.DocumentID = last
				}
				last = it.chunk.DocumentID
				if x.dim > 0 {
					if err := checkVector(it.chunk.Vector, x.dim); err != nil {
						return fmt.Errorf("document %s, chunk %d: %w: %w", it.chunk.DocumentID, it.chunk.ID, ErrCorrupt, err)
					}
				}
				if err := x.add(it.chunk.ID, last, it.terms, it.chunk.Vector); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		x.unload()
		return fmt.Errorf("load collection %q: %w", x.name, err)
	}
	x.loaded = true
	return nil
}

// unload empties the index; the next search fills it again. The caller holds mu for writing.
func (x *index) unload() {
	x.loaded, x.identified = false, false
	x.words, x.vectors, x.document = nil, nil, nil
}

// add puts a chunk in. Its vector has passed checkVector, since chromem-go takes any: one of another
// length would make every later query fail.
func (x *index) add(id int64, document string, words keyword.Terms, vector []float32) error {
	if x.vectors != nil {
		err := x.vectors.AddDocument(context.Background(), chromem.Document{ID: strconv.FormatInt(id, 36), Embedding: vector})
		if err != nil {
			return err
		}
	}
	x.words.Add(id, words)
	x.document[id] = document
	return nil
}

func (x *index) remove(ids []int64) {
	if len(ids) == 0 {
		return
	}
	for _, id := range ids {
		x.words.Remove(id)
		delete(x.document, id)
	}
	if x.vectors != nil {
		keys := make([]string, len(ids))
		for i, id := range ids {
			keys[i] = strconv.FormatInt(id, 36)
		}
		// With ids and no filters it cannot fail.
		_ = x.vectors.Delete(context.Background(), nil, nil, keys...)
	}
}

// A candidate is a chunk that a search considers.
type candidate struct {
	id                int64
	score             float64
	dense, keyword    float64
	denseRank, kwRank int // from 1; 0 when that search did not find it
}

// nearest returns the n chunks nearest to the unit vector, best first, of those that keep allows; nil
// allows all.
func (x *index) nearest(ctx context.Context, vector []float32, n int, keep func(int64) bool) ([]candidate, error) {
	if x.vectors == nil {
		return nil, nil
	}
	all := x.vectors.Count()
	// Filtered by asking for more until enough pass: chromem's own filter takes a missing key for an
	// empty value, and knows equality only.
	for ask := n; ; ask *= 4 {
		ask = min(ask, all)
		if ask == 0 {
			return nil, nil
		}
		results, err := x.vectors.QueryEmbedding(ctx, vector, ask, nil, nil)
		if err == nil {
			err = ctx.Err() // a cancelled query returns what it has seen so far, without an error
		}
		if err != nil {
			return nil, err
		}
		found := make([]candidate, 0, n)
		for _, r := range results {
			id, err := strconv.ParseInt(r.ID, 36, 64)
			if err != nil {
				return nil, err
			}
			if keep == nil || keep(id) {
				found = append(found, candidate{id: id, dense: float64(r.Similarity)})
			}
		}
		if len(found) < n && ask < all {
			continue
		}
		// Equal similarities come in the order of chromem's map; the id makes the order certain.
		sortCandidates(found, func(c candidate) float64 { return c.dense })
		found = found[:min(n, len(found))]
		for i := range found {
			found[i].denseRank = i + 1
		}
		return found, nil
	}
}

// similarity returns the cosine of the chunk's vector and the unit vector.
func (x *index) similarity(ctx context.Context, id int64, vector []float32) (float64, error) {
	d, err := x.vectors.GetByID(ctx, strconv.FormatInt(id, 36))
	if err != nil {
		return 0, err
	}
	var sum float32
	for i, v := range d.Embedding {
		sum += v * vector[i]
	}
	return float64(sum), nil
}
