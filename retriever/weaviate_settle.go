package retriever

import (
	"context"
	"time"

	"docent/internal/catalog"
	"docent/internal/weaviate"
)

const (
	// viewTime is how long a search of before may still look for objects that are to be removed.
	viewTime = 10 * time.Second
	// makeTime is how long it may take to make a class, which is one to be dropped until its collection has it.
	makeTime = 5 * time.Minute
	// settleEvery is how often what is pending is tried, lookEvery how often it is looked for whether another
	// process has left something.
	settleEvery = 2 * time.Second
	lookEvery   = 30 * time.Second
	// sweepEvery is how often objects are looked for that no change of the record came of, since a process was
	// killed between. One that is younger than sweepAge may be of a change that is still to be committed.
	sweepEvery = 10 * time.Minute
	sweepAge   = 10 * time.Minute
	// sweepSpan is how many ids of chunks are looked at at a time.
	sweepSpan = 5000
	// settleAtOnce is how many entries of the outbox are done at a time.
	settleAtOnce = 256
)

// settleAlways does what is pending until close.
func (e *weaviateEngine) settleAlways() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var swept time.Time
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-e.wake:
		case <-timer.C:
		}
		left, err := e.settle(e.ctx, viewTime, makeTime)
		if err == nil && time.Since(swept) > sweepEvery {
			swept = time.Now()
			err = e.sweepAll(e.ctx, sweepAge)
		}
		if err != nil && e.ctx.Err() == nil {
			e.log.Warn("Weaviate is behind the record", "error", err)
			left = true
		}
		if left {
			timer.Reset(settleEvery)
		} else {
			timer.Reset(lookEvery)
		}
	}
}

// settle does what is pending in the cluster: removes objects that are known to be pending for the time viewed,
// writes those again that some replica may lack, drops classes that were given up, or not taken for the time made. It says whether something is left.
// Nothing can be done everywhere while a node is away.
func (e *weaviateEngine) settle(ctx context.Context, viewed, made time.Duration) (left bool, err error) {
	e.settling.Lock()
	defer e.settling.Unlock()
	pending, err := e.db.PendingSearches(ctx, settleAtOnce)
	if err != nil {
		return true, err
	}
	drop, err := e.db.SearchClassesToDrop(ctx)
	if err != nil {
		return true, err
	}
	if len(pending)+len(drop) == 0 {
		clear(e.seen)
		return false, nil
	}
	if n, err := e.client.Nodes(ctx); err != nil || n < e.settings.nodes {
		return true, err
	}
	var done []int64
	for _, p := range pending {
		if p.Remove && e.seenFor(p.ID) < viewed {
			left = true
			continue
		}
		full, err := e.settleOne(ctx, p)
		if err != nil {
			return true, err
		}
		if !full {
			left = true
			continue
		}
		delete(e.seen, p.ID)
		done = append(done, p.ID)
	}
	if len(done) > 0 {
		if err := e.db.SearchDone(ctx, done); err != nil {
			return true, err
		}
	}
	for _, name := range drop {
		if e.seenFor(name) < made {
			left = true
			continue
		}
		delete(e.seen, name)
		if err := e.client.DropClass(ctx, name); err != nil {
			return true, err
		}
		if err := e.db.ForgetSearchClass(ctx, name); err != nil {
			return true, err
		}
	}
	return left || len(pending) == settleAtOnce, nil
}

// seenFor returns how long something is known to be pending. The caller holds settling.
func (e *weaviateEngine) seenFor(pending any) time.Duration {
	first, ok := e.seen[pending]
	if !ok {
		first = time.Now()
		e.seen[pending] = first
	}
	return time.Since(first)
}

// settleOne reports whether it is done on every replica.
func (e *weaviateEngine) settleOne(ctx context.Context, p catalog.PendingSearch) (full bool, err error) {
	if p.Remove {
		return e.client.Remove(ctx, p.Class, p.First, p.Last, e.settings.nodes)
	}
	var objects []weaviate.Object
	for k, err := range e.db.ChunksAfter(ctx, p.Collection, p.First-1) {
		if err != nil {
			return false, err
		}
		if k.ID > p.Last {
			break
		}
		objects = append(objects, objectOf(k))
	}
	lacking, err := e.put(ctx, p.Class, objects)
	return err == nil && len(lacking) == 0, err
}

// sweepAll removes objects of an age that the record does not know from every class.
func (e *weaviateEngine) sweepAll(ctx context.Context, age time.Duration) error {
	classes, err := e.db.SearchClasses(ctx)
	if err != nil {
		return err
	}
	for _, c := range classes {
		if err := e.sweep(ctx, c, age); err != nil {
			return err
		}
	}
	return nil
}

func (e *weaviateEngine) sweep(ctx context.Context, c catalog.SearchClass, age time.Duration) error {
	last, err := e.db.LastChunk(ctx)
	if err != nil {
		return err
	}
	settled := true // all objects so far are known, or are gone
	for from := c.Swept + 1; ; {
		to := min(from+sweepSpan-1, last)
		if from > last {
			to = maxChunk // of changes that did not come to be
		}
		found, err := e.client.Search(ctx, weaviate.Query{Class: c.Name, Where: &weaviate.Where{From: from, To: to}, Limit: weaviate.MaxHits}, e.client.Addresses())
		if err != nil {
			return err
		}
		ids := make([]int64, len(found))
		for i, h := range found {
			ids[i] = h.Chunk
		}
		known, err := e.db.DocumentsOfChunks(ctx, ids) // after the search: what it found may be committed by now
		if err != nil {
			return err
		}
		for _, h := range found {
			if known[h.Chunk] != "" {
				continue
			}
			if time.Since(h.Updated) < age {
				settled = false
				continue
			}
			if _, err := e.client.Remove(ctx, c.Name, h.Chunk, h.Chunk, e.settings.nodes); err != nil {
				return err
			}
		}
		if to == maxChunk {
			return nil
		}
		if settled {
			if err := e.db.SearchClassSwept(ctx, c.Name, to); err != nil {
				return err
			}
		}
		from = to + 1
	}
}

// maxChunk is above every id of a chunk.
const maxChunk = 1 << 60
