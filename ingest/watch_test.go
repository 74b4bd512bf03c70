package ingest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"docent/ingest"
	"docent/internal/catalog"
)

// documents are the paths of the collection "c" below root, as they are once they are as wanted.
func (b *bench) documents(t testing.TB, root string, want ...string) {
	t.Helper()
	var got []string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		docs, err := b.store.Documents(context.Background(), "c")
		if err != nil {
			t.Fatal(err)
		}
		got = []string{}
		for _, d := range docs {
			rel, err := filepath.Rel(root, d.Path)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, filepath.ToSlash(rel))
		}
		if cmp.Equal(got, want) {
			return
		}
	}
	t.Fatalf("documents %v, want %v", got, want)
}

func TestWatcher(t *testing.T) {
	for _, pollOnly := range []bool{false, true} {
		t.Run(fmt.Sprintf("poll only %v", pollOnly), func(t *testing.T) {
			ctx := t.Context()
			b := newBench(t)
			root := filepath.Join(b.dir, "watched")
			write := func(name, text string) {
				t.Helper()
				name = filepath.Join(root, filepath.FromSlash(name))
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			do := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			text := func(name string) string { return "# " + name + "\n\nAll about " + name + " for whoever watches.\n" }
			write("a.md", text("first"))
			outside := filepath.Join(b.dir, "outside.md")
			do(os.WriteFile(outside, []byte(text("outside")), 0o644))
			_ = os.Symlink(outside, filepath.Join(root, "link.md"))
			cfg := ingest.WatchConfig{Roots: []string{b.dir}, Debounce: 30 * time.Millisecond, Poll: time.Minute}
			if pollOnly {
				cfg.PollOnly, cfg.Poll = true, 30*time.Millisecond
			}
			start := func() (w *ingest.Watcher, stop func()) {
				w = ingest.NewWatcher(b.pipe, cfg)
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan error, 1)
				go func() { done <- w.Run(ctx) }()
				return w, func() {
					cancel()
					do(<-done)
				}
			}
			b.start(t)
			w, stop := start()
			added, err := w.Add(ctx, catalog.Watch{Collection: "c", Folder: root, Include: []string{"*.md"}, Exclude: []string{"drafts"}})
			do(err)
			b.documents(t, root, "a.md")

			write("new/deep/b.md", text("second")) // in folders that are new too
			write("new/c.txt", text("not wanted"))
			write("drafts/d.md", text("draft"))
			b.documents(t, root, "a.md", "new/deep/b.md")

			write("a.md", text("changed"))
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				if hits, err := b.store.Search(ctx, "c", "changed"); err == nil && len(hits) > 0 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("the change was not seen")
				}
			}
			do(os.Rename(filepath.Join(root, "new"), filepath.Join(root, "renamed")))
			b.documents(t, root, "a.md", "renamed/deep/b.md")
			do(os.Remove(filepath.Join(root, "a.md")))
			b.documents(t, root, "renamed/deep/b.md")

			// What happens while nobody watches is seen at the next start.
			stop()
			write("later.md", text("later"))
			do(os.RemoveAll(filepath.Join(root, "renamed")))
			_, stop = start()
			b.documents(t, root, "later.md")
			jobs, err := b.store.Catalog().Jobs(ctx, "c", 0)
			do(err)

			// Another start finds nothing to do, and does nothing.
			stop()
			w, stop = start()
			defer func() { stop() }()
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				if list, err := w.List(ctx, "c"); err == nil && len(list) == 1 && !list[0].CheckedAt.IsZero() {
					if list[0].Notices == pollOnly || list[0].Files != 1 || list[0].Error != "" {
						t.Errorf("%+v", list[0])
					}
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("the folder was not looked at")
				}
			}
			again, err := b.store.Catalog().Jobs(ctx, "c", 0)
			if do(err); len(again) != len(jobs) {
				t.Errorf("%d jobs, %d before the start", len(again), len(jobs))
			}

			// A drive that is gone for a while empties nothing.
			do(os.Rename(root, root+".away"))
			for deadline := time.Now().Add(20 * time.Second); pollOnly; time.Sleep(10 * time.Millisecond) {
				if list, err := w.List(ctx, "c"); err == nil && strings.Contains(list[0].Error, "no such file") {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("nothing is said of the folder that is gone")
				}
			}
			b.documents(t, root, "later.md")
			do(os.Rename(root+".away", root))
			do(w.Remove(ctx, added.ID))
			write("unwatched.md", text("unwatched"))
			time.Sleep(100 * time.Millisecond)
			b.documents(t, root, "later.md")
		})
	}
}

// A file that is being written to is read once it stays as it is.
func TestFollowDebounce(t *testing.T) {
	b := newBench(t)
	root := filepath.Join(b.dir, "watched")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	name := filepath.Join(root, "growing.md")
	written := make(chan bool)
	go func() {
		f, err := os.Create(name)
		if err != nil {
			t.Error(err)
			return
		}
		defer close(written)
		defer f.Close()
		for i := range 20 {
			fmt.Fprintf(f, "Line %d of a file that grows.\n\n", i)
			time.Sleep(20 * time.Millisecond)
		}
	}()
	calls := 0
	err := b.pipe.Follow(ctx, catalog.Watch{Collection: "c", Folder: root}, ingest.WatchConfig{Debounce: 150 * time.Millisecond}, func(ctx context.Context, c ingest.Changes) error {
		calls++
		select {
		case <-written:
		default:
			t.Error("read while it was written to")
		}
		cancel()
		return nil
	}, nil)
	if err != nil || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}
