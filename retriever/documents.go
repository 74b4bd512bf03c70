package retriever

import (
	"context"
	"slices"
	"sync"

	"docent/internal/bitset"
)

// maxFilters is how many filters of a collection are kept with what they let through.
const maxFilters = 32

// filters holds the documents of an index, once a filter has asked for them, and what the filters used last
// let through, so that a filter that is used again costs nothing. Both follow the changes of the index.
type filters struct {
	mu        sync.Mutex // guards all against searches, which hold the index for reading only
	documents map[string]*Document
	kept      []*filtered // the last used last
}

type filtered struct {
	filter string // as text
	match  func(*Document) bool
	chunks bitset.Set
}

// allowed returns which chunks the filter lets a search find. The caller holds the index for reading, and
// does not change the set.
func (e *embedded) allowed(ctx context.Context, x *index, f Filter) (bitset.Set, error) {
	if f.Op == "" {
		return x.live, nil
	}
	match, err := f.compile(0)
	if err != nil {
		return nil, err
	}
	key := f.String()
	x.filters.mu.Lock()
	defer x.filters.mu.Unlock()
	if i := slices.IndexFunc(x.filters.kept, func(k *filtered) bool { return k.filter == key }); i >= 0 {
		k := x.filters.kept[i]
		x.filters.kept = append(slices.Delete(x.filters.kept, i, i+1), k)
		return k.chunks, nil
	}
	if x.filters.documents == nil {
		docs, err := e.db.Documents(ctx, x.name)
		if err != nil {
			return nil, err
		}
		x.filters.documents = make(map[string]*Document, len(docs))
		for _, d := range docs {
			x.filters.documents[d.ID] = (*Document)(&d)
		}
	}
	k := &filtered{key, match, x.chunksOf(func(id string) bool {
		d, ok := x.filters.documents[id]
		return ok && match(d)
	})}
	if len(x.filters.kept) == maxFilters {
		x.filters.kept = slices.Delete(x.filters.kept, 0, 1)
	}
	x.filters.kept = append(x.filters.kept, k)
	return k.chunks, nil
}

// put takes over a document whose chunks have the numbers from first up to end. The caller holds the index
// for writing.
func (f *filters) put(d Document, first, end int) {
	if f.documents != nil {
		f.documents[d.ID] = &d
	}
	for _, k := range f.kept {
		if k.match(&d) {
			for n := first; n < end; n++ {
				k.chunks.Add(uint32(n))
			}
		}
	}
}

// drop forgets a document.
func (f *filters) drop(id string) { delete(f.documents, id) }

// hide takes a chunk out.
func (f *filters) hide(number uint32) {
	for _, k := range f.kept {
		k.chunks.Remove(number)
	}
}

// renumber forgets which chunks the filters let through.
func (f *filters) renumber() { f.kept = nil }

// clear forgets all.
func (f *filters) clear() { f.documents, f.kept = nil, nil }
