package retriever_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"docent/internal/catalog"
	"docent/retriever"
)

// others is an encoder whose vectors have the length of words': a mixture would not show by itself.
var others = wordEncoder{name: "others@1", dim: 32}

func (e wordEncoder) counted() (wordEncoder, *atomic.Int64) {
	e.calls = new(atomic.Int64)
	return e, e.calls
}

// A gate lets a number of texts through to the encoder and then waits, or fails when it has an error.
type gate struct {
	wordEncoder
	mu      sync.Mutex
	left    int
	fail    error
	reached chan struct{} // closed when none is left
	open    chan struct{} // closed to let all through
}

func newGate(e wordEncoder, texts int, fail error) *gate {
	return &gate{wordEncoder: e, left: texts, fail: fail, reached: make(chan struct{}), open: make(chan struct{})}
}

func (g *gate) EmbedDocuments(ctx context.Context, texts []string) ([][]float32, error) {
	g.mu.Lock()
	had := g.left
	g.left -= len(texts)
	spent := g.left < 0
	if spent && had >= 0 {
		close(g.reached)
	}
	g.mu.Unlock()
	if spent {
		if g.fail != nil {
			return nil, g.fail
		}
		select {
		case <-g.open:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return g.wordEncoder.EmbedDocuments(ctx, texts)
}

// fill makes a collection of documents of many chunks and returns their texts.
func fill(t testing.TB, s *retriever.Store, collection string, documents, chunks int) {
	t.Helper()
	create(t, s, collection)
	for d := range documents {
		var text strings.Builder
		for c := range chunks {
			fmt.Fprintf(&text, "passage %d of document %d tells of topic%dx%d\n", c, d, d, c)
		}
		mustPut(t, s, collection, fmt.Sprintf("%d.md", d), text.String())
	}
}

// vectors are those of a collection, by the text of their chunk.
func vectorsOf(t testing.TB, s *retriever.Store, collection string) map[string][]float32 {
	t.Helper()
	all := map[string][]float32{}
	for c, err := range s.Catalog().ChunksAfter(context.Background(), collection, 0) {
		if err != nil {
			t.Fatal(err)
		}
		all[c.Text] = c.Vector
	}
	return all
}

func cosine(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

// spare counts the vectors beside the chunks.
func spare(t testing.TB, s *retriever.Store, collection string, e retriever.Encoder) int {
	t.Helper()
	n, _, err := s.Catalog().Reindexed(context.Background(), collection, e.Fingerprint(), e.Dim())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMismatchOffersReindex(t *testing.T) { eachStore(t, testMismatchOffersReindex) }

func testMismatchOffersReindex(t *testing.T, at place) {
	ctx := t.Context()
	s := at.open(t, words)
	fill(t, s, "c", 2, 3)
	s.Close()
	s = at.open(t, others)
	_, dense := s.Search(ctx, "c", "topic", retriever.WithMode(retriever.Dense))
	_, hybrid := s.Search(ctx, "c", "topic")
	_, write := s.Vectors(ctx, "c", lines("x\n"), nil)
	_, stored := put(ctx, s, "c", retriever.Document{Path: "n"}, "x\n")
	for name, err := range map[string]error{"dense": dense, "hybrid": hybrid, "vectors": write, "put": stored} {
		if !errors.Is(err, retriever.ErrEncoderMismatch) {
			t.Fatalf("%s: %v, want ErrEncoderMismatch", name, err)
		}
		for _, part := range []string{`"c"`, words.name, others.name, "docent --encoder others reindex -c"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q does not say %q", name, err, part)
			}
		}
	}
	if hits := search(t, s, "c", "topic1x2", retriever.WithMode(retriever.Keyword)); len(hits) == 0 || !strings.Contains(hits[0].Chunk.Text, "topic1x2") {
		t.Errorf("keyword search finds %v", found(hits))
	}
}

func TestReindex(t *testing.T) { eachStore(t, testReindex) }

func testReindex(t *testing.T, at place) {
	ctx := t.Context()
	tests := []struct {
		name     string
		from, to retriever.Encoder
	}{
		{"another encoder", words, others},
		{"of another dimension", words, wordEncoder{name: "wide@1", dim: 48}},
		{"from keywords only", nil, words},
		{"to keywords only", words, nil},
		{"nothing to do", words, words},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at := at.another(t)
			s := at.open(t, tt.from)
			fill(t, s, "c", 3, 150)
			fill(t, s, "other", 1, 3)
			before := vectorsOf(t, s, "other")
			search(t, s, "c", "topic")
			s.Close()

			s = at.open(t, tt.to)
			var last, total int
			c, err := s.Reindex(ctx, "c", func(done, of int) {
				if done < last || done > of {
					t.Errorf("progress goes from %d to %d of %d", last, done, of)
				}
				last, total = done, of
			})
			if err != nil {
				t.Fatal(err)
			}
			if tt.to != nil && tt.name != "nothing to do" && (last != 450 || total != 450) {
				t.Errorf("progress ends with %d of %d, want 450", last, total)
			}
			fingerprint, dim := "", 0
			if tt.to != nil {
				fingerprint, dim = tt.to.Fingerprint(), tt.to.Dim()
			}
			if c.Encoder != fingerprint || c.Dim != dim || c.Chunks != 450 {
				t.Errorf("the collection is %+v", c)
			}
			// What is there equals what a new collection would hold.
			fill(t, s, "fresh", 3, 150)
			if d := cmp.Diff(vectorsOf(t, s, "fresh"), vectorsOf(t, s, "c")); d != "" {
				t.Errorf("vectors differ from those of a new collection:\n%.500s", d)
			}
			for _, m := range modes {
				if m == retriever.Dense && tt.to == nil {
					continue
				}
				want := found(search(t, s, "fresh", "topic2x100", retriever.WithMode(m)))
				if d := cmp.Diff(want, found(search(t, s, "c", "topic2x100", retriever.WithMode(m)))); d != "" {
					t.Errorf("%s: other answers than of a new collection:\n%s", m, d)
				}
			}
			if _, err := put(ctx, s, "c", retriever.Document{Path: "later"}, "a later one\n"); err != nil {
				t.Errorf("write after reindexing: %v", err)
			}
			if tt.to != nil && spare(t, s, "c", tt.to) != 0 {
				t.Error("spare vectors are left behind")
			}
			if d := cmp.Diff(before, vectorsOf(t, s, "other")); d != "" {
				t.Errorf("another collection has changed:\n%.300s", d)
			}
		})
	}
}

func TestReindexAnswersMeanwhile(t *testing.T) { eachStore(t, testReindexAnswersMeanwhile) }

func testReindexAnswersMeanwhile(t *testing.T, at place) {
	ctx := t.Context()
	s := at.open(t, words)
	fill(t, s, "c", 4, 200)
	want := search(t, s, "c", "topic3x17", retriever.WithMode(retriever.Dense), retriever.TopK(5))
	s.Close()

	slow := newGate(others, 500, nil)
	s = at.open(t, slow, words)
	end := make(chan error, 1)
	go func() {
		_, err := s.Reindex(ctx, "c", nil)
		end <- err
	}()
	<-slow.reached
	if _, err := s.Reindex(ctx, "c", nil); !errors.Is(err, retriever.ErrReindexing) {
		t.Errorf("a second reindex: %v, want ErrReindexing", err)
	}
	got := search(t, s, "c", "topic3x17", retriever.WithMode(retriever.Dense), retriever.TopK(5))
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("meanwhile the old index answers otherwise:\n%s", d)
	}
	if _, err := put(ctx, s, "c", retriever.Document{Path: "x"}, "x\n"); !errors.Is(err, retriever.ErrEncoderMismatch) {
		t.Errorf("write meanwhile: %v, want ErrEncoderMismatch", err)
	}
	docs, err := s.Documents(ctx, "c")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteDocument(ctx, docs[0].ID); err != nil {
		t.Errorf("delete meanwhile: %v", err)
	}
	// Searches go on while the swap happens: each answer is of one encoder or the other.
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for !stop.Load() {
				hits, err := s.Search(ctx, "c", "passage 17 of document 3 tells of topic3x17", retriever.WithMode(retriever.Dense), retriever.TopK(1))
				if err != nil || len(hits) != 1 || !strings.Contains(hits[0].Chunk.Text, "topic3x17") || hits[0].DenseScore < 0.99 {
					t.Errorf("search beside the swap: %v, %v", found(hits), err)
					return
				}
			}
		})
	}
	close(slow.open)
	if err := <-end; err != nil {
		t.Fatal(err)
	}
	stop.Store(true)
	wg.Wait()
	for text, v := range vectorsOf(t, s, "c") {
		if w, _ := others.EmbedQuery(ctx, text); cosine(v, w) < 0.9999 {
			t.Fatalf("the vector of %q is not the new encoder's", text)
		}
	}
	if n := len(vectorsOf(t, s, "c")); n != 600 {
		t.Errorf("%d chunks after one of four documents was removed, want 600", n)
	}
	if _, err := put(ctx, s, "c", retriever.Document{Path: "x"}, "x\n"); err != nil {
		t.Errorf("write afterwards: %v", err)
	}
}

func TestReindexGoesOn(t *testing.T) { eachStore(t, testReindexGoesOn) }

func testReindexGoesOn(t *testing.T, at place) {
	broken := errors.New("the server is down")
	for _, how := range []string{"failure", "cancelled"} {
		t.Run(how, func(t *testing.T) {
			at := at.another(t)
			s := at.open(t, words)
			fill(t, s, "c", 2, 400)
			s.Close()

			ctx, cancel := context.WithCancel(t.Context())
			g := newGate(others, 500, broken)
			want := broken
			if how == "cancelled" {
				g.fail, want = nil, context.Canceled
				go func() { <-g.reached; cancel() }()
			}
			s = at.open(t, g)
			if _, err := s.Reindex(ctx, "c", nil); !errors.Is(err, want) {
				t.Fatalf("reindex: %v, want %v", err, want)
			}
			if c, _ := s.Collection(t.Context(), "c"); c.Encoder != words.name {
				t.Errorf("after a half done reindex the collection is of %q", c.Encoder)
			}
			s.Close()
			cancel()

			counted, calls := others.counted()
			s = at.open(t, counted)
			if _, err := s.Reindex(t.Context(), "c", nil); err != nil {
				t.Fatal(err)
			}
			// 448 of 800 texts were embedded, in whole batches of 64, before the end.
			if n := calls.Load(); n != 352 {
				t.Errorf("%d texts were embedded to finish, want 352", n)
			}
		})
	}
}

func TestReindexCollectionGoes(t *testing.T) { eachStore(t, testReindexCollectionGoes) }

func testReindexCollectionGoes(t *testing.T, at place) {
	ctx := t.Context()
	s := at.open(t, words)
	fill(t, s, "c", 1, 100)
	s.Close()
	g := newGate(others, 10, nil)
	s = at.open(t, g)
	if _, err := s.Reindex(ctx, "none", nil); !errors.Is(err, retriever.ErrNotFound) {
		t.Errorf("unknown collection: %v, want ErrNotFound", err)
	}
	end := make(chan error, 1)
	go func() {
		_, err := s.Reindex(ctx, "c", nil)
		end <- err
	}()
	<-g.reached
	if err := s.DeleteCollection(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	close(g.open)
	if err := <-end; !errors.Is(err, retriever.ErrNotFound) {
		t.Errorf("the collection was deleted meanwhile: %v, want ErrNotFound", err)
	}
}

// TestWritableDoesNotDeadlock has empty collections of another encoder written to and deleted at once.
func TestWritableDoesNotDeadlock(t *testing.T) { eachStore(t, testWritableDoesNotDeadlock) }

func testWritableDoesNotDeadlock(t *testing.T, at place) {
	s := at.open(t, words)
	for i := range 40 {
		create(t, s, fmt.Sprint("c", i))
	}
	s.Close()
	s = at.open(t, others)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 40 {
		name := fmt.Sprint("c", i)
		wg.Go(func() { _, _ = put(ctx, s, name, retriever.Document{Path: "a"}, "a\n") })
		wg.Go(func() { _ = s.DeleteCollection(ctx, name) })
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		t.Fatal("writers and deleters wait for each other")
	}
}

// TestVectorsAreMadeOnce re-ingests, and goes on after the encoder has failed in the middle of a document.
func TestVectorsAreMadeOnce(t *testing.T) { eachStore(t, testVectorsAreMadeOnce) }

func testVectorsAreMadeOnce(t *testing.T, at place) {
	ctx := t.Context()
	broken := errors.New("429")
	var text strings.Builder
	for i := range 300 {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	g := newGate(words, 200, broken)
	s := at.open(t, g)
	create(t, s, "c", "d")
	if _, err := put(ctx, s, "c", retriever.Document{Path: "a"}, text.String()); !errors.Is(err, broken) {
		t.Fatalf("got %v, want the encoder's error", err)
	}
	s.Close()

	counted, calls := words.counted()
	s = at.open(t, counted)
	mustPut(t, s, "c", "a", text.String())
	if n := calls.Swap(0); n != 300-192 {
		t.Errorf("%d texts embedded after the failure, want %d", n, 300-192)
	}
	if n := spare(t, s, "c", words); n != 0 {
		t.Errorf("%d spare vectors are left, want none", n)
	}
	mustPut(t, s, "c", "a", text.String()+"one more\n")
	mustPut(t, s, "c", "b", text.String())
	mustPut(t, s, "d", "a", text.String())
	if n := calls.Load(); n != 1 {
		t.Errorf("%d texts embedded for one new line, want 1", n)
	}
}

// TestSpareOfWrongLength: vectors that an encoder of the same name made with another dimension are no help.
func TestSpareOfWrongLength(t *testing.T) { eachStore(t, testSpareOfWrongLength) }

func testSpareOfWrongLength(t *testing.T, at place) {
	ctx := t.Context()
	s := at.open(t, words)
	fill(t, s, "c", 1, 3)
	bad := map[catalog.Hash][]float32{}
	for text := range vectorsOf(t, s, "c") {
		bad[catalog.HashText(text)] = []float32{1, 0}
	}
	if err := s.Catalog().SpareVectors(ctx, others.name, bad); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = at.open(t, others)
	if c, err := s.Reindex(ctx, "c", nil); err != nil || c.Encoder != others.name {
		t.Fatalf("got %+v, %v", c, err)
	}
	search(t, s, "c", "topic", retriever.WithMode(retriever.Dense))
}

// reindexDir tells a re-run of this test binary to be the process that is killed while it reindexes.
const reindexDir = "DOCENT_REINDEX_DIR"

type slowEncoder struct{ wordEncoder }

func (e slowEncoder) EmbedDocuments(ctx context.Context, texts []string) ([][]float32, error) {
	time.Sleep(5 * time.Millisecond)
	return e.wordEncoder.EmbedDocuments(ctx, texts)
}

func reindexSlowly(dir string) error {
	s, err := retriever.Open(context.Background(), retriever.Config{Dir: dir, Encoder: slowEncoder{others}})
	if err != nil {
		return err
	}
	_, err = s.Reindex(context.Background(), "c", func(done, total int) { fmt.Println("done", done, total) })
	return err
}

// TestReindexKilled kills a process in the middle of a reindex, again and again: the collection is whole
// and of one encoder each time, and nothing that was committed is embedded again.
func TestReindexKilled(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	const chunks = 3000
	s := open(t, dir, words)
	fill(t, s, "c", 3, chunks/3)
	s.Close()
	kept, kills := 0, 0
	for _, killAt := range []int{300, 900, 1500, 2300} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), reindexDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		first := true
		for l := bufio.NewScanner(out); l.Scan(); {
			var done, total int
			if _, err := fmt.Sscanf(l.Text(), "done %d %d", &done, &total); err != nil {
				cmd.Process.Kill()
				t.Fatalf("the process says %q", l.Text())
			}
			if first && done < kept {
				t.Errorf("after a kill it goes on from %d, %d were kept", done, kept)
			}
			first = false
			if done >= killAt {
				cmd.Process.Kill()
			}
		}
		if cmd.Wait() != nil {
			kills++
		}

		s := open(t, dir, words)
		c, err := s.Collection(ctx, "c")
		if err != nil || c.Encoder != words.name {
			t.Fatalf("after the kill at %d: %+v, %v", killAt, c, err)
		}
		if hits := search(t, s, "c", "passage 700 of document 2 tells of topic2x700", retriever.WithMode(retriever.Dense), retriever.TopK(1)); !strings.Contains(hits[0].Chunk.Text, "topic2x700") {
			t.Errorf("after the kill at %d the old index finds %v", killAt, found(hits))
		}
		kept = spare(t, s, "c", others)
		if kept < killAt-2*256 {
			t.Errorf("after the kill at %d, %d vectors are kept", killAt, kept)
		}
		s.Close()
	}
	if kills == 0 {
		t.Error("nothing was killed; the test shows nothing")
	}
	counted, calls := others.counted()
	s = open(t, dir, counted)
	if c, err := s.Reindex(ctx, "c", nil); err != nil || c.Encoder != others.name {
		t.Fatalf("finish: %+v, %v", c, err)
	}
	if n := int(calls.Load()); n != chunks-kept {
		t.Errorf("%d texts embedded to finish, want the %d that were missing", n, chunks-kept)
	}
	for text, v := range vectorsOf(t, s, "c") {
		if w, _ := others.EmbedQuery(ctx, text); cosine(v, w) < 0.9999 {
			t.Fatalf("the vector of %q is not the new encoder's", text)
		}
	}
}
