package retriever

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"docent/internal/bitset"
	"docent/internal/catalog"
	"docent/internal/dense"
	"docent/internal/keyword"
)

// An index is what is searched of one collection. Fields are guarded by mu; a search holds it for reading
// until it has fetched its passages from the record, so that both are of one moment.
//
// Chunks are numbered through all parts, in the order of their ids; the numbers change when parts are
// merged. A chunk that is removed stays in its part until then, and is not live.
type index struct {
	name string

	mu         sync.RWMutex
	identified bool // encoder and dim are known
	encoder    string
	dim        int // of the collection's vectors
	held       int // of the vectors in parts: dim, or 0 without them
	loaded     bool
	gone       bool // out of use: there is no such collection, or there was none

	parts   []*part
	live    bitset.Set // the chunks, by number, that are in the collection
	count   int        // of live
	scanner dense.Scanner
	filters filters

	epoch   int       // counts unloadings
	merging bool      // parts but the last are being merged; unload leaves them open
	merged  time.Time // when they were last
}

// indexOf returns the index of a collection, loaded or not.
func (e *embedded) indexOf(name string) (*index, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, ErrClosed
	}
	x := e.indexes[name]
	if x == nil {
		x = &index{name: name}
		e.indexes[name] = x
	}
	return x, nil
}

// locked returns the index of a collection with mu held for writing.
//
// An index leaves the map only marked as gone, and whoever gets hold of one that is gone looks again:
// so there is never a second index of a collection that a change could miss.
func (e *embedded) locked(name string) (*index, error) {
	for {
		x, err := e.indexOf(name)
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
func (e *embedded) forget(x *index) {
	x.gone = true
	x.unload()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.indexes[x.name] == x {
		delete(e.indexes, x.name)
	}
}

// identify learns the collection's encoder. It returns ErrNotFound, and takes x out of use, when there
// is no such collection. The caller holds mu for writing.
func (e *embedded) identify(ctx context.Context, x *index) error {
	if x.identified {
		return nil
	}
	c, err := e.db.Collection(ctx, x.name)
	if errors.Is(err, ErrNotFound) {
		e.forget(x)
	}
	if err != nil {
		return err
	}
	x.identified, x.encoder, x.dim, x.held = true, c.Encoder, c.Dim, c.Dim
	if e.wordsOnly {
		x.held = 0
	}
	return nil
}

// reading returns the index of a collection, filled, with mu held for reading. The caller calls
// mu.RUnlock.
func (e *embedded) reading(ctx context.Context, name string) (*index, error) {
	for {
		x, err := e.indexOf(name)
		if err != nil {
			return nil, err
		}
		x.mu.RLock()
		if x.loaded && !x.gone {
			return x, nil
		}
		x.mu.RUnlock()
		if x, err = e.locked(name); err != nil {
			return nil, err
		}
		if err = e.identify(ctx, x); err == nil {
			err = e.load(ctx, x)
		}
		x.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
}

// load fills the index, whose encoder is known: from the file that an earlier merge left, where there is
// one, and from the record. The caller holds mu for writing.
func (e *embedded) load(ctx context.Context, x *index) error {
	if x.loaded {
		return nil
	}
	last, err := e.openSaved(ctx, x)
	if err == nil {
		err = x.appendPart()
	}
	if err == nil {
		err = x.read(ctx, e.db, last)
	}
	if err != nil {
		x.unload()
		return fmt.Errorf("load collection %q: %w", x.name, err)
	}
	x.loaded = true
	e.mergeParts(x)
	return nil
}

// read adds the chunks of the record whose ids are above last. Reading the record and adding to the index
// go in order; the analysis of the text between them is most of the work and runs on all processors.
func (x *index) read(ctx context.Context, db *catalog.DB, last int64) error {
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
		for chunk, err := range db.ChunksAfter(ctx, x.name, last) {
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
		for b := range ordered {
			select {
			case <-b.ready:
			case <-ctx.Done():
				return ctx.Err()
			}
			for _, it := range b.items {
				if x.held > 0 {
					if err := checkVector(it.chunk.Vector, x.held); err != nil {
						return fmt.Errorf("document %s, chunk %d: %w: %w", it.chunk.DocumentID, it.chunk.ID, ErrCorrupt, err)
					}
				}
				if err := x.add(it.chunk.ID, it.chunk.DocumentID, it.terms, it.chunk.Vector); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return g.Wait()
}

// unload empties the index; the next search fills it again. The caller holds mu for writing.
func (x *index) unload() {
	if !x.merging {
		for _, p := range x.parts {
			p.close()
		}
	}
	x.epoch++
	x.loaded, x.identified, x.merging, x.merged = false, false, false, time.Time{}
	x.parts, x.live, x.count = nil, nil, 0
	x.filters.clear()
}

// appendPart begins a part that is to be filled.
func (x *index) appendPart() error {
	p, err := newPart(x.held)
	if err == nil {
		x.parts = append(x.parts, p)
	}
	return err
}

// add puts a chunk in, whose id is above all others.
func (x *index) add(id int64, document string, words keyword.Terms, vector []float32) error {
	number := uint32(x.total())
	if err := x.parts[len(x.parts)-1].add(id, document, words, vector); err != nil {
		return err
	}
	x.live.Add(number)
	x.count++
	return nil
}

// apply takes over a change of the record.
func (x *index) apply(change edit) error {
	x.remove(change.Removed)
	if len(change.Added) == 0 {
		x.filters.drop(change.Document.ID)
		return nil
	}
	first := x.total()
	for i, id := range change.Added {
		var vector []float32
		if change.vectors != nil {
			vector = change.vectors[i]
		}
		if err := x.add(id, change.Document.ID, change.words[i], vector); err != nil {
			return err
		}
	}
	x.filters.put(Document(change.Document), first, x.total())
	return nil
}

func (x *index) remove(ids []int64) {
	for _, id := range ids {
		if number, ok := x.number(id); ok && x.live.Has(number) {
			x.live.Remove(number)
			x.filters.hide(number)
			x.count--
		}
	}
}

// total is how many chunks have a number.
func (x *index) total() int {
	n := 0
	for _, p := range x.parts {
		n += p.len()
	}
	return n
}

// number returns the number of a chunk.
func (x *index) number(id int64) (uint32, bool) {
	first := 0
	for _, p := range x.parts {
		if n := p.len(); n > 0 && id <= p.ids[n-1] {
			i, ok := slices.BinarySearch(p.ids, id)
			return uint32(first + i), ok
		}
		first += p.len()
	}
	return 0, false
}

// at returns the chunk of a number, and its document.
func (x *index) at(number uint32) (id int64, document string) {
	i := int(number)
	for _, p := range x.parts {
		if i < p.len() {
			return p.ids[i], p.documents[p.document[i]]
		}
		i -= p.len()
	}
	panic("retriever: no chunk has that number")
}

func (x *index) words() keyword.Index {
	words := make(keyword.Index, len(x.parts))
	for i, p := range x.parts {
		words[i] = p.words
	}
	return words
}

// vectors is nil when the collection is keyword-only.
func (x *index) vectors() dense.Index {
	if x.held == 0 {
		return nil
	}
	vectors := make(dense.Index, len(x.parts))
	for i, p := range x.parts {
		vectors[i] = p.vectors
	}
	return vectors
}

// chunksOf returns the chunks that are live and of the documents that keep has.
func (x *index) chunksOf(keep func(document string) bool) bitset.Set {
	set := make(bitset.Set, len(x.live))
	first := uint32(0)
	for _, p := range x.parts {
		kept := make([]bool, len(p.documents))
		for i, d := range p.documents {
			kept[i] = keep(d)
		}
		for i, d := range p.document {
			if n := first + uint32(i); kept[d] && x.live.Has(n) {
				set.Add(n)
			}
		}
		first += uint32(p.len())
	}
	return set
}
