package retriever

import (
	"context"
	"slices"
	"time"

	"docent/internal/catalog"
	"docent/internal/weaviate"
)

const (
	// lateTime is how long objects that are to be removed stay: searches of before may still look for them,
	// and a node goes on for 20 s with a write that it was asked for when another had died, also with one that
	// was given up. What is removed before that comes back.
	lateTime = 30 * time.Second
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
	// spanOfSweep is how many ids of chunks are looked at at a time.
	spanOfSweep = 5000
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
		left, err := e.settle(e.ctx, lateTime, makeTime)
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

// settle does what is pending in the cluster: writes objects again that some replica may lack, removes those that
// are known to be pending for the time late, drops classes that were given up, or not taken for the time made. It
// says whether something is left. Nothing can be done everywhere while a node is away.
func (e *weaviateEngine) settle(ctx context.Context, late, made time.Duration) (left bool, err error) {
	e.settling.Lock()
	defer e.settling.Unlock()
	pending, err := e.db.PendingSearches(ctx, settleAtOnce)
	if err != nil {
		return true, err
	}
	drop, err := e.db.SearchClassesToDrop(ctx, e.settings.format)
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
		if p.Remove && e.seenFor(p.ID) < late {
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
	if err != nil {
		return false, err
	}
	return len(lacking) == 0, e.removeGone(ctx, p.Class, objects)
}

// removeGone has those of objects that were written removed again whose chunks went meanwhile: whoever took them
// out of the record may have done so, and removed them here, before they were written.
func (e *weaviateEngine) removeGone(ctx context.Context, class string, objects []weaviate.Object) error {
	ids := make([]int64, len(objects))
	for i, o := range objects {
		ids[i] = o.Chunk
	}
	known, err := e.db.DocumentsOfChunks(ctx, ids)
	if err != nil || len(known) == len(ids) {
		return err
	}
	gone := slices.DeleteFunc(ids, func(id int64) bool { return known[id] != "" })
	return e.db.PendSearch(ctx, class, true, gone)
}

// sweepAll removes objects of an age that the record does not know from every class.
func (e *weaviateEngine) sweepAll(ctx context.Context, age time.Duration) error {
	last, err := e.db.LastChunk(ctx)
	if err != nil {
		return err
	}
	classes, err := e.db.SearchClasses(ctx)
	if err != nil {
		return err
	}
	for collection, c := range classes {
		if err := e.sweep(ctx, c, age, last); err != nil {
			return err
		}
		more, err := e.hasMore(ctx, collection, c)
		if err == nil && more && c.Swept > 0 {
			c.Swept = 0
			err = e.sweep(ctx, c, age, last)
		}
		if err != nil {
			return err
		}
	}
	if time.Since(e.looked) >= lateTime {
		e.looked, e.lookedAt = time.Now(), last
	}
	return nil
}

// hasMore says whether some node has more objects of a class than the record has chunks.
func (e *weaviateEngine) hasMore(ctx context.Context, collection string, c catalog.SearchClass) (bool, error) {
	counts, err := e.client.Counts(ctx, c.Name)
	if err != nil {
		return false, err
	}
	ids, err := e.db.ChunkIDs(ctx, collection)
	return err == nil && slices.Max(counts) > len(ids), err
}

// sweep removes the objects with ids above c.Swept, up to the last chunk and of changes that did not come to be. What
// it has found in order it does not look at again, but for chunks so new that they may still come from a node that
// goes on with a write.
func (e *weaviateEngine) sweep(ctx context.Context, c catalog.SearchClass, age time.Duration, last int64) error {
	settled := true // all objects so far are known, or are gone
	for from := c.Swept + 1; ; {
		to := min(from+spanOfSweep-1, last)
		if from > last {
			to = maxChunk
		}
		young, err := e.sweepSpan(ctx, c.Name, from, to, age)
		if err != nil || to == maxChunk {
			return err
		}
		if settled = settled && !young && to <= e.lookedAt; settled {
			if err := e.db.SearchClassSwept(ctx, c.Name, to); err != nil {
				return err
			}
		}
		from = to + 1
	}
}

// sweepSpan removes unknown objects with ids in a range. It reports whether there are some below the age.
func (e *weaviateEngine) sweepSpan(ctx context.Context, class string, from, to int64, age time.Duration) (young bool, err error) {
	found, err := e.client.Search(ctx, weaviate.Query{Class: class, Where: &weaviate.Where{From: from, To: to}, Limit: weaviate.MaxHits}, e.client.Addresses())
	if err != nil {
		return false, err
	}
	ids := make([]int64, len(found))
	for i, h := range found {
		ids[i] = h.Chunk
	}
	known, err := e.db.DocumentsOfChunks(ctx, ids) // after the search: what it found may be committed by now
	if err != nil {
		return false, err
	}
	for _, h := range found {
		switch {
		case known[h.Chunk] != "":
		case time.Since(h.Updated) < age:
			young = true
		default:
			if _, err := e.client.Remove(ctx, class, h.Chunk, h.Chunk, e.settings.nodes); err != nil {
				return false, err
			}
		}
	}
	return young, nil
}

// maxChunk is above every id of a chunk.
const maxChunk = 1 << 60
