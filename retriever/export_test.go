package retriever

import (
	"context"
	"slices"
	"testing"
	"time"

	"docent/internal/catalog"
	"docent/internal/weaviate"
)

// MergeEarly makes indexes be merged, and saved, when they are as small as a test's, until it is undone.
func MergeEarly(chunks int) (undo func()) {
	merge, save := mergeFrom, saveFrom
	mergeFrom, saveFrom = chunks, 2*chunks
	return func() { mergeFrom, saveFrom = merge, save }
}

// Led is led.
var Led = led

// ReadAtOpen changes the size of a record up to which all its rows are compared when it is opened, until it is undone.
func ReadAtOpen(size int64) (undo func()) {
	before := readAtOpen
	readAtOpen = size
	return func() { readAtOpen = before }
}

// WaitForDamage returns when all of the record has been looked at.
func (s *Store) WaitForDamage() { s.damage.looked.Wait() }

// WaitForMerges returns when no index is being merged.
func (s *Store) WaitForMerges() { s.engine.(*embedded).background.Wait() }

// SavedPath is where the index of a collection is saved.
func (s *Store) SavedPath(collection string) string {
	return s.engine.(*embedded).savedPath(collection)
}

// ExactBelow changes from how many chunks on a search in Postgres follows the index, until it is undone.
func ExactBelow(chunks int) (undo func()) {
	before := exactBelow
	exactBelow = chunks
	return func() { exactBelow = before }
}

// SettleIndex puts all vectors of a collection in Postgres that wait for it into the index, if they are many.
func SettleIndex(t *testing.T, s *Store, collection string) {
	t.Helper()
	e := s.engine.(*pgEngine)
	_, err, _ := e.settled.Do(collection, func() (any, error) {
		_, err := e.settle(context.Background(), collection)
		return nil, err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func weaviateOf(s *Store) *weaviateEngine { return s.engine.(*weaviateEngine) }

// WeaviateClass is the class of a collection.
func WeaviateClass(t *testing.T, s *Store, collection string) string {
	t.Helper()
	c, err := s.db.SearchClass(context.Background(), collection, weaviateOf(s).settings.format)
	if err != nil {
		t.Fatal(err)
	}
	return c.Name
}

// Settle does at once what is pending in the cluster, and returns when nothing is.
func Settle(t *testing.T, s *Store) {
	t.Helper()
	e, ctx := weaviateOf(s), context.Background()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		left, err := e.settle(ctx, 0, 0)
		if err == nil && !left {
			err = e.sweepAll(ctx, 0)
		}
		if err == nil && !left {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("something stays pending: %v", err)
		}
	}
}

// Written returns when every replica has every chunk that was stored.
func Written(t *testing.T, s *Store) {
	wait(t, s, func(p catalog.PendingSearch) bool { return !p.Remove })
}

// Settled returns when the store has done what was pending in the cluster, in its own time, and a sweep has found
// nothing more than the record has.
func Settled(t *testing.T, s *Store) {
	t.Helper()
	wait(t, s, func(catalog.PendingSearch) bool { return true })
	if err := weaviateOf(s).sweepAll(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
}

// wait returns when nothing like that is pending.
func wait(t *testing.T, s *Store, like func(catalog.PendingSearch) bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		pending, err := s.db.PendingSearches(context.Background(), 10_000)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(pending, like) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it stays pending: %+v", pending)
		}
	}
}

// Searchable says whether the class of a collection has all its chunks.
func Searchable(t *testing.T, s *Store, collection string) bool {
	t.Helper()
	c, err := s.db.SearchClass(context.Background(), collection, weaviateOf(s).settings.format)
	if err != nil {
		t.Fatal(err)
	}
	return c.Ready
}

// ReindexAround is Reindex in a cluster, with something that happens once the next class is filled.
func ReindexAround(t *testing.T, s *Store, collection string, happens func()) {
	t.Helper()
	ctx := context.Background()
	err := s.embedAnew(ctx, collection, nil)
	if err == nil {
		err = weaviateOf(s).prepare(ctx, collection, s.fingerprint(), s.dim())
	}
	if err == nil {
		happens()
		err = s.commitEncoder(ctx, collection)
	}
	if err != nil {
		t.Error(err)
	}
}

// PutStray writes an object that no change of the record came of.
func PutStray(t *testing.T, s *Store, collection string, chunk int64, terms string) {
	t.Helper()
	o := weaviate.Object{Chunk: chunk, Document: "none", Terms: terms, Vector: make([]float32, s.dim())}
	o.Vector[0] = 1
	if _, err := weaviateOf(s).client.Put(context.Background(), WeaviateClass(t, s, collection), []weaviate.Object{o}, 3); err != nil {
		t.Fatal(err)
	}
}

// LoseObject removes a chunk's object behind the engine's back.
func LoseObject(t *testing.T, s *Store, collection string, chunk int64) {
	t.Helper()
	if _, err := weaviateOf(s).client.Remove(context.Background(), WeaviateClass(t, s, collection), chunk, chunk, 3); err != nil {
		t.Fatal(err)
	}
}

// DropClass removes a collection's class behind the engine's back.
func DropClass(t *testing.T, s *Store, collection string) {
	t.Helper()
	if err := weaviateOf(s).client.DropClass(context.Background(), WeaviateClass(t, s, collection)); err != nil {
		t.Fatal(err)
	}
}

// HasClass says whether the cluster has a class.
func HasClass(t *testing.T, s *Store, class string) (bool, error) {
	t.Helper()
	return weaviateOf(s).client.HasClass(context.Background(), class)
}
