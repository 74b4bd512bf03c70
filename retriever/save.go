package retriever

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"docent/internal/bitset"
	"docent/internal/keyword"
	"docent/internal/sections"
)

// Parts are merged, in the background, when the last one has grown, or many chunks have been removed. The
// merged part of a large collection is a file beside the record, mapped into memory: it makes the next start
// fast and lets the system take its memory back. The file is a copy of what the record has, as of some
// moment. What has changed since then is found by the ids of chunks, which are never used twice; a file that
// does not fit the record, is damaged, or is of another encoder is left aside and made anew.

// saveFrom is from how many chunks on a merged part is a file. Tests lower it.
var saveFrom = 16_384

// mergeFrom is the least number of chunks in the last part, or of removed ones, that are merged. Tests lower
// it.
var mergeFrom = 4096

func (x *index) about() about {
	return about{Format: partFormat, Analysis: keyword.Version, Collection: x.name, Encoder: x.encoder, Dim: x.held}
}

// savedPath is where the merged part of a collection lies.
func (e *embedded) savedPath(collection string) string {
	return filepath.Join(e.dir, fmt.Sprintf("%.12x.index", sha256.Sum256([]byte(collection))))
}

// openSaved begins the index with the saved part, brought up to date with what has been removed since, and
// returns the id of its last chunk; 0 when there is none that can be used.
func (e *embedded) openSaved(ctx context.Context, x *index) (last int64, err error) {
	path := e.savedPath(x.name)
	f, err := sections.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	unusable := func(err error) (int64, error) {
		e.log.Warn("saved index is made anew", "collection", x.name, "file", path, "error", err)
		e.dropSaved(x.name)
		return 0, nil
	}
	if err != nil {
		return unusable(err)
	}
	p, err := openPart(f, x.about())
	if err != nil {
		f.Close()
		return unusable(err)
	}
	p.saved = true
	f.Release() // each vector has been looked at; searches look at few
	live, count, err := e.stillThere(ctx, x.name, p.ids)
	if err != nil || count < 0 {
		f.Close()
		if err != nil {
			return 0, err
		}
		return unusable(errors.New("it lacks chunks that the record has"))
	}
	x.parts, x.live, x.count = []*part{p}, live, count
	if n := p.len(); n > 0 {
		last = p.ids[n-1]
	}
	return last, nil
}

// stillThere returns which of ids, ascending, are chunks of the collection, by place, and how many; -1 when
// the collection has others up to the last of ids.
func (e *embedded) stillThere(ctx context.Context, collection string, ids []int64) (live bitset.Set, count int, err error) {
	has, err := e.db.ChunkIDs(ctx, collection)
	if err != nil {
		return nil, 0, err
	}
	slices.Sort(has)
	live = make(bitset.Set, (len(ids)+63)/64)
	i := 0
	for _, id := range has {
		for i < len(ids) && ids[i] < id {
			i++
		}
		if i == len(ids) {
			break
		}
		if ids[i] != id {
			return nil, -1, nil
		}
		live.Add(uint32(i))
		count++
	}
	return live, count, nil
}

func (e *embedded) dropSaved(collection string) {
	if err := os.Remove(e.savedPath(collection)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.log.Warn("saved index is left behind", "collection", collection, "error", err)
	}
}

// mergeParts begins to merge the index's parts where that is due. The caller holds x.mu for writing.
func (e *embedded) mergeParts(x *index) {
	last := x.parts[len(x.parts)-1].len()
	removed := x.total() - x.count
	due := last > max(mergeFrom, x.total()/4) || removed > max(mergeFrom, x.total()/5)
	// What has been removed is not to stay on the disk for long.
	due = due || removed > 0 && x.parts[0].saved && time.Since(x.merged) > 10*time.Minute
	if !due || x.merging {
		return
	}
	if last > 0 {
		if err := x.appendPart(); err != nil {
			e.log.Error("index cannot be merged", "collection", x.name, "error", err)
			return
		}
	}
	x.merging = true
	parts, live, epoch, what := slices.Clone(x.parts[:len(x.parts)-1]), slices.Clone(x.live), x.epoch, x.about()
	save := x.count >= saveFrom
	e.background.Go(func() { e.mergeInto(x, parts, live, epoch, what, save) })
}

// mergeInto merges parts of the index, which are no longer filled, and puts the result in their place.
func (e *embedded) mergeInto(x *index, parts []*part, live bitset.Set, epoch int, what about, save bool) {
	merged, to, err := e.merged(parts, live, what, save)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.epoch != epoch { // unloaded meanwhile; nobody else closes the parts
		for _, p := range parts {
			p.close()
		}
		if merged != nil {
			merged.close()
		}
		return
	}
	x.merging, x.merged = false, time.Now()
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			e.log.Error("index cannot be merged", "collection", x.name, "error", err)
		}
		return
	}
	rest := x.parts[len(parts):]
	now := make(bitset.Set, 0, len(x.live))
	number := uint32(0) // as it was
	for _, at := range to {
		for _, n := range at {
			if n != keyword.Gone && x.live.Has(number) {
				now.Add(n)
			}
			number++
		}
	}
	next := uint32(merged.len())
	for _, p := range rest {
		for range p.len() {
			if x.live.Has(number) {
				now.Add(next)
			}
			number, next = number+1, next+1
		}
	}
	for _, p := range parts {
		p.close()
	}
	x.parts, x.live = append([]*part{merged}, rest...), now
	x.filters.renumber()
	if merged.saved {
		debug.FreeOSMemory() // hundreds of megabytes may have moved into the file
	}
	// What came meanwhile may be enough for another, and nothing else may come.
	e.mergeParts(x)
}

// merged makes one part of several, as a file where save is set.
func (e *embedded) merged(parts []*part, live bitset.Set, what about, save bool) (p *part, to [][]uint32, err error) {
	w := sections.InMemory(e.ctx)
	path := e.savedPath(what.Collection)
	if save {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, nil, err
		}
		if w, err = sections.Create(e.ctx, path); err != nil {
			return nil, nil, err
		}
		defer w.Discard()
	}
	if to, err = merge(w, parts, live.Has, what); err != nil {
		return nil, nil, err
	}
	var f *sections.File
	if !save {
		f, err = w.File()
	} else if err = w.Commit(); err == nil {
		f, err = sections.Open(path)
	}
	if err != nil {
		return nil, nil, err
	}
	if p, err = openPart(f, what); err != nil {
		f.Close()
		return nil, nil, err
	}
	p.saved = save
	f.Release()
	return p, to, nil
}

// removeUnfinished removes what merges that were interrupted have left.
func (e *embedded) removeUnfinished() {
	entries, _ := os.ReadDir(e.dir)
	for _, entry := range entries {
		if strings.Contains(entry.Name(), ".new-") {
			_ = os.Remove(filepath.Join(e.dir, entry.Name()))
		}
	}
}
