package retriever_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"docent/retriever"
)

// storeLines stores documents of four lines.
func storeLines(t *testing.T, s *retriever.Store, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		mustPut(t, s, "c", fmt.Sprint(i), fmt.Sprintf("pump %dx\noil %dx\nleave %dx\nsecret%dx\n", i, i, i, i))
	}
	s.WaitForMerges()
}

// checkFilled searches for each line of the documents that are there.
func checkFilled(t *testing.T, s *retriever.Store, there func(i int) bool, n int) {
	t.Helper()
	for i := range n {
		for _, mode := range modes {
			hits := search(t, s, "c", fmt.Sprintf("secret%dx", i), retriever.WithMode(mode), retriever.TopK(1))
			if got := len(hits) == 1 && hits[0].Document.Path == fmt.Sprint(i); got != there(i) {
				t.Fatalf("document %d, %s: found %v, want %v", i, mode, got, there(i))
			}
		}
	}
}

func all(int) bool { return true }

func TestSavedIndex(t *testing.T) {
	defer retriever.MergeEarly(8)()
	dir := t.TempDir()
	s := open(t, dir, words)
	create(t, s, "c")
	search(t, s, "c", "x") // loads the index, so that what comes is added to it
	storeLines(t, s, 0, 40)
	path := s.SavedPath("c")
	saved, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	checkFilled(t, s, all, 40)
	storeLines(t, s, 40, 42) // after the file was written
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	again := func(name string, spoil func()) {
		t.Run(name, func(t *testing.T) {
			spoil()
			s := open(t, dir, words)
			checkFilled(t, s, all, 42)
			s.WaitForMerges()
			checkFilled(t, s, all, 42)
			s.Close()
		})
	}
	again("as it was", func() {})
	now, _ := os.ReadFile(path)
	write := func(data []byte) func() {
		return func() {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	again("an earlier one", write(saved))
	again("cut", write(now[:len(now)/2]))
	flipped := bytes.Clone(now)
	flipped[len(now)/3] ^= 4
	again("a bit flipped", write(flipped))
	again("empty", write(nil))
	again("gone", func() { os.Remove(path) })
	again("another encoder's", func() {
		other := open(t, t.TempDir(), wordEncoder{name: "other@1", dim: 32})
		create(t, other, "c")
		search(t, other, "c", "x")
		storeLines(t, other, 0, 40)
		data, err := os.ReadFile(other.SavedPath("c"))
		if err != nil {
			t.Fatal(err)
		}
		write(data)()
	})
}

// What is deleted is not found, also when the file still has it, and leaves the file at the next start.
func TestSavedIndexForgets(t *testing.T) {
	defer retriever.MergeEarly(8)()
	dir := t.TempDir()
	s := open(t, dir, words)
	create(t, s, "c")
	search(t, s, "c", "x")
	storeLines(t, s, 0, 40)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, words) // not loaded: the change goes to the record alone
	d, err := s.DocumentByPath(context.Background(), "c", "7")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteDocument(context.Background(), d.ID); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, dir, words)
	checkFilled(t, s, func(i int) bool { return i != 7 }, 40)
	s.WaitForMerges()
	checkFilled(t, s, func(i int) bool { return i != 7 }, 40)
	data, err := os.ReadFile(s.SavedPath("c"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte("secret7x")) || !bytes.Contains(data, []byte("secret8x")) {
		t.Error("the file still has the words of what was deleted")
	}
	if err := s.DeleteCollection(context.Background(), "c"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.SavedPath("c")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of a collection that is gone: %v", err)
	}
}

// Searches and changes go on while parts are merged.
func TestMergeMeanwhile(t *testing.T) {
	defer retriever.MergeEarly(8)()
	s := open(t, t.TempDir(), words)
	create(t, s, "c")
	search(t, s, "c", "x")
	there := map[int]bool{}
	for i := range 150 {
		mustPut(t, s, "c", fmt.Sprint(i), fmt.Sprintf("pump %dx\nsecret%dx\n", i, i))
		there[i] = true
		if i%3 == 2 {
			d, err := s.DocumentByPath(context.Background(), "c", fmt.Sprint(i-1))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.DeleteDocument(context.Background(), d.ID); err != nil {
				t.Fatal(err)
			}
			there[i-1] = false
		}
		hits := search(t, s, "c", "pump", retriever.WithMode(retriever.Keyword), retriever.TopK(1000))
		want := 0
		for _, ok := range there {
			if ok {
				want++
			}
		}
		if len(hits) != want {
			t.Fatalf("after %d: %d hits, want %d", i, len(hits), want)
		}
	}
	s.WaitForMerges()
	checkFilled(t, s, func(i int) bool { return there[i] }, 150)
	if left, err := os.ReadDir(filepath.Dir(s.SavedPath("c"))); err != nil || len(left) != 1 {
		t.Errorf("%v is left, %v", left, err)
	}
}
