package ingest

import (
	"context"
	"iter"
	"sync"

	"docent/internal/catalog"
)

// Subscribe yields every change of the jobs of a collection, of all collections when the name is
// empty, from the call of Subscribe on until ctx ends. A reader that is slower than the changes misses
// states in between but never the last one of a job; it never holds up the work.
func (p *Pipeline) Subscribe(ctx context.Context, collection string) iter.Seq[catalog.Job] {
	w := p.watchers.add(collection)
	context.AfterFunc(ctx, func() { p.watchers.remove(w) })
	return func(yield func(catalog.Job) bool) {
		for {
			j, ok := w.next()
			if ok {
				if !yield(j) {
					return
				}
				continue
			}
			select {
			case <-w.wake:
			case <-ctx.Done():
				return
			}
		}
	}
}

// watchers are the subscriptions of a pipeline.
type watchers struct {
	mu  sync.Mutex
	all map[*watcher]bool
}

// A watcher holds the latest state of each job that its reader has not seen yet.
type watcher struct {
	collection string
	wake       chan struct{}

	mu      sync.Mutex
	order   []string
	pending map[string]catalog.Job
}

func (ws *watchers) add(collection string) *watcher {
	w := &watcher{collection: collection, wake: make(chan struct{}, 1), pending: make(map[string]catalog.Job)}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.all == nil {
		ws.all = make(map[*watcher]bool)
	}
	ws.all[w] = true
	return w
}

func (ws *watchers) remove(w *watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.all, w)
}

func (ws *watchers) publish(j catalog.Job) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.all {
		if w.collection != "" && w.collection != j.Collection {
			continue
		}
		w.mu.Lock()
		if _, ok := w.pending[j.ID]; !ok {
			w.order = append(w.order, j.ID)
		}
		w.pending[j.ID] = j
		w.mu.Unlock()
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

func (w *watcher) next() (catalog.Job, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.order) == 0 {
		return catalog.Job{}, false
	}
	id := w.order[0]
	w.order = w.order[1:]
	j := w.pending[id]
	delete(w.pending, id)
	return j, true
}
