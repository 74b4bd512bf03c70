package retriever_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"docent/retriever"
)

// TestAgainstMap runs random changes against the store and a plain map, reopening it now and then.
func TestAgainstMap(t *testing.T) {
	eachStore(t, func(t *testing.T, at place) { againstMap(t, at, 3) })
	t.Run("merged", func(t *testing.T) {
		defer retriever.MergeEarly(4)()
		againstMap(t, place{dir: t.TempDir()}, 5)
	})
}

func againstMap(t *testing.T, at place, seed uint64) {
	ctx := t.Context()
	rnd := rand.New(rand.NewPCG(seed, 4))
	s := at.open(t, words)
	names := []string{"a", "b"}
	create(t, s, names...)
	model := map[string]map[string]string{"a": {}, "b": {}} // collection, path, text
	vocabulary := strings.Fields("pump oil leave salary 年假 员工 engine wing 设备 boundary café rule")
	text := func() string {
		var sb strings.Builder
		for range rnd.IntN(6) {
			for range 1 + rnd.IntN(5) {
				sb.WriteString(vocabulary[rnd.IntN(len(vocabulary))] + " ")
			}
			sb.WriteString("\n")
		}
		return sb.String()
	}
	steps := 600
	if testing.Short() {
		steps = 100
	}
	for step := range steps {
		c := names[rnd.IntN(2)]
		path := fmt.Sprint(rnd.IntN(25))
		switch op := rnd.IntN(100); {
		case op < 45:
			body := text()
			mustPut(t, s, c, path, body)
			model[c][path] = body
		case op < 60:
			d, err := s.DocumentByPath(ctx, c, path)
			if _, ok := model[c][path]; ok != (err == nil) {
				t.Fatalf("step %d: %s/%s: %v", step, c, path, err)
			}
			if err == nil {
				if err := s.DeleteDocument(ctx, d.ID); err != nil {
					t.Fatal(err)
				}
				delete(model[c], path)
			}
		case op < 62:
			if err := s.DeleteCollection(ctx, c); err != nil {
				t.Fatal(err)
			}
			create(t, s, c)
			model[c] = map[string]string{}
		case op < 66:
			s.Close()
			s = at.open(t, words)
		default:
			word := vocabulary[rnd.IntN(len(vocabulary))]
			var want, all []string
			for path, body := range model[c] {
				for line := range strings.Lines(body) {
					one := path + ": " + strings.TrimSpace(line)
					all = append(all, one)
					if slices.Contains(strings.Fields(line), word) {
						want = append(want, one)
					}
				}
			}
			slices.Sort(want)
			slices.Sort(all)
			got := found(search(t, s, c, word, retriever.WithMode(retriever.Keyword), retriever.TopK(1000)))
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("step %d: keyword %q (-want +got):\n%s", step, word, diff)
			}
			for _, m := range []retriever.Mode{retriever.Dense, retriever.Hybrid} {
				hits := search(t, s, c, word, retriever.WithMode(m), retriever.TopK(1000))
				if !slices.IsSortedFunc(hits, func(a, b retriever.Hit) int {
					if a.Score > b.Score {
						return -1
					} else if a.Score < b.Score {
						return 1
					}
					return 0
				}) {
					t.Fatalf("step %d: %s: not in order", step, m)
				}
				got := found(hits)
				slices.Sort(got)
				if diff := cmp.Diff(all, got); diff != "" {
					t.Fatalf("step %d: %s (-want +got):\n%s", step, m, diff)
				}
			}
		}
	}
	for _, c := range names {
		docs, err := s.Documents(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, d := range docs {
			content, err := s.Content(ctx, d.ID)
			if err != nil {
				t.Fatal(err)
			}
			got[d.Path] = content.Text
		}
		if diff := cmp.Diff(model[c], got); diff != "" {
			t.Errorf("%s at the end (-want +got):\n%s", c, diff)
		}
	}
}

// TestWholeVersions searches while documents change: every hit must be of a version that is whole.
func TestWholeVersions(t *testing.T) { eachStore(t, testWholeVersions) }

func testWholeVersions(t *testing.T, at place) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := at.open(t, words)
	create(t, s, "c")
	const docs, parts, versions = 3, 5, 25
	body := func(version int) string {
		return strings.Repeat(fmt.Sprintf("version v%03d of the text\n", version), parts)
	}
	for d := range docs {
		mustPut(t, s, "c", fmt.Sprint(d), body(0))
	}
	var wg sync.WaitGroup
	for r := range 3 {
		wg.Go(func() {
			for ctx.Err() == nil {
				hits, err := s.Search(ctx, "c", "version text", retriever.WithMode(modes[r]), retriever.TopK(100))
				if err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				count := map[string]map[string]int{} // path, text
				for _, h := range hits {
					if count[h.Document.Path] == nil {
						count[h.Document.Path] = map[string]int{}
					}
					count[h.Document.Path][h.Chunk.Text]++
				}
				if len(count) != docs {
					t.Errorf("%d documents found, want %d", len(count), docs)
				}
				for path, texts := range count {
					if len(texts) != 1 || slices.Collect(maps.Values(texts))[0] != parts {
						t.Errorf("document %s is found as %v", path, texts)
					}
				}
			}
		})
	}
	var writers sync.WaitGroup
	for d := range docs {
		writers.Go(func() {
			for v := range versions {
				if _, err := put(ctx, s, "c", retriever.Document{Path: fmt.Sprint(d)}, body(v+1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	cancel()
	wg.Wait()
}
