package retriever

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"docent/internal/bitset"
	"docent/internal/catalog"
	"docent/internal/keyword"
)

// embedded is the engine inside the process: for each collection an index in memory, filled from the record
// at first use and changed with it under one lock. It asks to be the only one that changes the record.
type embedded struct {
	dir string // of saved indexes
	db  *catalog.DB
	log *slog.Logger

	wordsOnly bool // vectors are searched elsewhere

	mu      sync.Mutex
	closed  bool
	indexes map[string]*index // by collection; filled at first use

	ctx        context.Context // of background; ends with close
	cancel     context.CancelFunc
	background sync.WaitGroup
}

func newEmbedded(ctx context.Context, dir string, db *catalog.DB, log *slog.Logger) *embedded {
	e := &embedded{dir: dir, db: db, log: log, indexes: make(map[string]*index)}
	e.ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	e.removeUnfinished()
	return e
}

// closeGrace is how long close waits for indexes that are being merged.
const closeGrace = 30 * time.Second

func (e *embedded) close() error {
	e.mu.Lock()
	e.closed = true
	indexes := e.indexes
	e.indexes = nil
	e.mu.Unlock()
	// A command that searched a large collection saves its index before it ends; the next one starts fast.
	give := time.AfterFunc(closeGrace, e.cancel)
	e.background.Wait()
	give.Stop()
	e.cancel()
	for _, x := range indexes {
		x.mu.Lock()
		x.gone = true
		x.unload()
		x.mu.Unlock()
	}
	return nil
}

func (e *embedded) encoder(ctx context.Context, collection string) (string, int, error) {
	x, err := e.indexOf(collection)
	if err != nil {
		return "", 0, err
	}
	x.mu.RLock()
	known, fingerprint, dim := x.identified && !x.gone, x.encoder, x.dim
	x.mu.RUnlock()
	if known {
		return fingerprint, dim, nil
	}
	if x, err = e.locked(collection); err != nil {
		return "", 0, err
	}
	defer x.mu.Unlock()
	err = e.identify(ctx, x)
	return x.encoder, x.dim, err
}

// size returns how many chunks a collection has.
func (e *embedded) size(ctx context.Context, collection string) (int, error) {
	x, err := e.reading(ctx, collection)
	if err != nil {
		return 0, err
	}
	defer x.mu.RUnlock()
	return x.count, nil
}

// apply commits with the index locked, so that no search runs between.
func (e *embedded) apply(_ context.Context, collection string, change edit) error {
	x, err := e.locked(collection)
	if err != nil {
		return err
	}
	defer x.mu.Unlock()
	if err := change.Commit(); err != nil {
		// The record decides what became of it; the next search reads it afresh.
		x.unload()
		return err
	}
	if change.Heir != "" {
		x.unload() // chunks have come that the edit does not know of
	}
	if !x.loaded {
		return nil // the record is read, with this change, at first use
	}
	if err := x.apply(change); err != nil {
		// The change is durable. Searching a half-filled index would be wrong, reading it afresh is not.
		e.log.Error("index is read afresh", "collection", collection, "error", err)
		x.unload()
		return nil
	}
	e.mergeParts(x)
	return nil
}

func (e *embedded) replace(ctx context.Context, collection string, change *catalog.Change) error {
	x, err := e.locked(collection)
	if err != nil {
		return err
	}
	defer x.mu.Unlock()
	err = change.Commit()
	x.unload() // whatever became of it: the record knows, and the next search reads it
	e.dropSaved(collection)
	return err
}

func (e *embedded) discard(_ context.Context, collection string) error {
	x, err := e.locked(collection)
	if err != nil {
		return err
	}
	defer x.mu.Unlock()
	x.unload()
	e.dropSaved(collection)
	return nil
}

func (e *embedded) view(ctx context.Context, collection string, f Filter) (view, error) {
	x, err := e.reading(ctx, collection)
	if err != nil {
		return nil, err
	}
	allow, err := e.allowed(ctx, x, f)
	if err != nil {
		x.mu.RUnlock()
		return nil, err
	}
	return indexView{x, allow, f.Op != "", e.db.Reader}, nil
}

// An indexView holds an index for reading. Within it chunks go by their numbers, and what the filter lets
// through is a set of bits that is tested before scoring, so that a filter makes a search faster.
type indexView struct {
	x        *index
	allow    bitset.Set
	filtered bool           // allow is not all that is live
	reader   catalog.Reader // nothing changes while the index is held
}

func (v indexView) close()                 { v.x.mu.RUnlock() }
func (v indexView) encoder() string        { return v.x.encoder }
func (v indexView) record() catalog.Reader { return v.reader }

func (v indexView) nearest(ctx context.Context, q question, n int) ([]candidate, error) {
	hits, err := v.x.scanner.Nearest(ctx, v.x.vectors(), q.vector, n, v.allow)
	found := make([]candidate, len(hits))
	for i, h := range hits {
		found[i] = candidate{dense: h.Similarity, denseRank: i + 1}
		found[i].chunk, found[i].document = v.x.at(h.Number)
	}
	return found, err
}

func (v indexView) byWords(_ context.Context, q question, n int, also []int64) ([]candidate, []float64, error) {
	numbers, err := v.numbers(also)
	if err != nil {
		return nil, nil, err
	}
	hits, scores := v.x.words().Search(keyword.ParseQuery(q.text), n, keyword.Options{Live: v.x.live, Allow: v.allow, Also: numbers})
	found := make([]candidate, len(hits))
	for i, h := range hits {
		found[i] = candidate{keyword: h.Score, kwRank: i + 1}
		found[i].chunk, found[i].document = v.x.at(h.Number)
	}
	return found, scores, nil
}

func (v indexView) similarities(ctx context.Context, q question, chunks []int64) ([]float64, error) {
	numbers, err := v.numbers(chunks)
	if err != nil {
		return nil, err
	}
	vectors := v.x.vectors()
	all := make([]float64, len(numbers))
	for i, number := range numbers {
		if all[i], err = vectors.Similarity(ctx, number, q.vector); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (v indexView) numbers(chunks []int64) ([]uint32, error) {
	numbers := make([]uint32, len(chunks))
	for i, id := range chunks {
		var ok bool
		if numbers[i], ok = v.x.number(id); !ok {
			return nil, fmt.Errorf("chunk %d is not in the index", id)
		}
	}
	return numbers, nil
}

func (v indexView) count(context.Context) (int, error) { return v.x.count, nil }

func (v indexView) disagrees(ctx context.Context, chunks []catalog.Chunk) ([]string, error) {
	what := make([]string, len(chunks))
	for i, k := range chunks {
		what[i] = v.x.disagrees(ctx, k)
	}
	return what, ctx.Err()
}

// sameVector is how far the similarity of a vector to itself may be from 1.
const sameVector = 2e-3

// disagrees says how the index differs from a chunk of the record; "" when it does not.
func (x *index) disagrees(ctx context.Context, k catalog.Chunk) string {
	number, ok := x.number(k.ID)
	if !ok || !x.live.Has(number) {
		return "it is not in the index"
	}
	if _, document := x.at(number); document != k.DocumentID {
		return "the index has it in another document"
	}
	at := number
	for _, p := range x.parts {
		if int(at) < p.len() {
			if !p.words.Holds(at, keyword.Analyze(k.Context, k.Text)) {
				return "the keyword index has other words for it"
			}
			break
		}
		at -= uint32(p.len())
	}
	if x.held > 0 && len(k.Vector) == x.held {
		if sim, err := x.vectors().Similarity(ctx, number, k.Vector); err != nil || math.Abs(sim-1) > sameVector {
			return fmt.Sprintf("the vector index has another vector for it (similarity %.4g, %v)", sim, err)
		}
	}
	return ""
}
