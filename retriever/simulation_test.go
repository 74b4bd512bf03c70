package retriever_test

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"

	"docent/internal/keyword"
	"docent/retriever"
)

// The simulation runs random operations against a store and against simModel, a plain map, and compares the
// two. Each operation follows from the seed and its number alone, so that a process that is killed and the
// test that watches it know the same ones.

const (
	simDir   = "DOCENT_SIMULATION_DIR" // tells a re-run of this test binary to be the process that is killed
	simSteps = "DOCENT_SIMULATION_STEPS"
	simSeed  = "DOCENT_SIMULATION_SEED"
)

// A simulation is a store, its model and where both are.
type simulation struct {
	t       *testing.T
	seed    uint64
	dir     string
	encoder int
	store   *retriever.Store
	model   simModel
	rnd     *rand.Rand // of what happens to the store, not of the operations
	counts  map[string]int
}

func (sim *simulation) fatalf(step int, format string, args ...any) {
	sim.t.Helper()
	sim.t.Fatalf("%s=%d, step %d: %s", simSeed, sim.seed, step, fmt.Sprintf(format, args...))
}

func (sim *simulation) open(step int) {
	s, err := retriever.Open(sim.t.Context(), retriever.Config{Dir: sim.dir, Encoder: simEncoders[sim.encoder]})
	if err != nil {
		sim.fatalf(step, "open: %v", err)
	}
	sim.store = s
}

func (sim *simulation) close(step int) {
	if err := sim.store.Close(); err != nil {
		sim.fatalf(step, "close: %v", err)
	}
}

// documents returns the same of the store.
func (sim *simulation) documents(step int) map[string]string {
	ctx := sim.t.Context()
	all, err := sim.store.Collections(ctx)
	if err != nil {
		sim.fatalf(step, "%v", err)
	}
	l := map[string]string{}
	for _, c := range all {
		l[c.Name] = ""
		docs, err := sim.store.Documents(ctx, c.Name)
		if err != nil {
			sim.fatalf(step, "%v", err)
		}
		paths := map[string]string{"": ""}
		for _, d := range docs {
			paths[d.ID] = d.Path
		}
		for _, d := range docs {
			l[c.Name+"/"+d.Path] = fmt.Sprintf("%.8s of %q, %d chunks, %s", d.SHA256, paths[d.DuplicateOf], d.Chunks, c.Encoder)
		}
	}
	return l
}

// compare compares everything with the model.
func (sim *simulation) compare(step int) {
	ctx := sim.t.Context()
	if d := diff.Diff(sim.model.listed(), sim.documents(step)); d != "" {
		sim.fatalf(step, "documents (-model +store):\n%s", d)
	}
	for name, c := range sim.model {
		var want, got []string
		docs, err := sim.store.Documents(ctx, name)
		if err != nil {
			sim.fatalf(step, "%v", err)
		}
		paths := map[string]string{}
		for _, d := range docs {
			paths[d.ID] = d.Path
			content, err := sim.store.Content(ctx, d.ID)
			if err != nil || content.Text != c.documents[d.Path].text {
				sim.fatalf(step, "%s/%s: text %q, %v, want %q", name, d.Path, content.Text, err, c.documents[d.Path].text)
			}
			f, err := sim.store.OpenFile(ctx, d.SHA256)
			if err != nil {
				sim.fatalf(step, "%s/%s: original: %v", name, d.Path, err)
			}
			f.Close()
		}
		for _, k := range c.chunks() {
			want = append(want, k.path+": "+k.text)
		}
		e := simEncoders[c.encoder]
		for k, err := range sim.store.Catalog().ChunksAfter(ctx, name, 0) {
			if err != nil {
				sim.fatalf(step, "%s: %v", name, err)
			}
			got = append(got, paths[k.DocumentID]+": "+k.Text)
			if v, _ := e.EmbedQuery(ctx, k.IndexText()); !nearlySame(v, k.Vector) {
				sim.fatalf(step, "%s: chunk %d %q has another vector", name, k.ID, k.Text)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if d := diff.Diff(want, got); d != "" {
			sim.fatalf(step, "%s: chunks (-model +store):\n%s", name, d)
		}
		for _, word := range simWords[:3] {
			sim.query(step, name, word)
		}
		v, err := sim.store.Verify(ctx, name)
		if err != nil || len(v.Problems) > 0 {
			sim.fatalf(step, "%s: %+v, %v", name, v.Problems, err)
		}
	}
	sim.counts["comparisons"]++
}

func nearlySame(a, b []float32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Abs(float64(a[i]-b[i])) > 1e-6 {
			return false
		}
	}
	return true
}

// query compares what is found: by keyword just the chunks that have the word or one more, with the scores that they have where
// nothing was ever removed, by meaning the ten nearest, with those of a plain scan.
func (sim *simulation) query(step int, name, word string) {
	ctx := sim.t.Context()
	c := sim.model[name]
	var want, got []string
	chunks := c.chunks()
	var fresh keyword.Part
	for _, k := range chunks {
		fresh.Add(keyword.Analyze("", k.text))
	}
	both := word + " " + simWords[0]
	scored, _ := keyword.Index{&fresh}.Search(keyword.ParseQuery(both), len(chunks), keyword.Options{})
	for _, h := range scored {
		k := chunks[h.Number]
		if fields := strings.Fields(k.text); !slices.Contains(fields, word) && !slices.Contains(fields, simWords[0]) {
			sim.fatalf(step, "%s: keyword %q finds %q", name, both, k.text)
		}
		want = append(want, fmt.Sprintf("%s: %s %.6f", k.path, k.text, h.Score))
	}
	hits, err := sim.store.Search(ctx, name, both, retriever.WithMode(retriever.Keyword), retriever.TopK(1000))
	if err != nil {
		sim.fatalf(step, "%s: keyword %q: %v", name, both, err)
	}
	for i, h := range hits {
		got = append(got, fmt.Sprintf("%s: %s %.6f", h.Document.Path, h.Chunk.Text, h.KeywordScore))
		if i > 0 && hits[i-1].Score < h.Score {
			sim.fatalf(step, "%s: keyword %q: not in order", name, both)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if d := diff.Diff(want, got); d != "" {
		sim.fatalf(step, "%s: keyword %q (-model +store):\n%s", name, both, d)
	}
	if len(c.documents) == 0 || c.encoder != sim.encoder {
		return
	}
	e := simEncoders[c.encoder]
	q, _ := e.EmbedQuery(ctx, word)
	var scores []float64
	for _, k := range c.chunks() {
		v, _ := e.EmbedQuery(ctx, k.text)
		var dot float64
		for i := range v {
			dot += float64(v[i]) * float64(q[i])
		}
		scores = append(scores, dot)
	}
	slices.SortFunc(scores, func(a, b float64) int { return cmp.Compare(b, a) })
	scores = scores[:min(10, len(scores))]
	hits, err = sim.store.Search(ctx, name, word, retriever.WithMode(retriever.Dense), retriever.TopK(10))
	if err != nil || len(hits) != len(scores) {
		sim.fatalf(step, "%s: dense %q: %d hits, want %d, %v", name, word, len(hits), len(scores), err)
	}
	for i, h := range hits {
		if math.Abs(h.DenseScore-scores[i]) > 1e-4 {
			sim.fatalf(step, "%s: dense %q: hit %d has similarity %v, want %v", name, word, i, h.DenseScore, scores[i])
		}
	}
}

// crash goes on with what is on the disk at this moment; the store that was open is left behind.
func (sim *simulation) crash(step int) {
	to := sim.t.TempDir()
	err := filepath.WalkDir(sim.dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(sim.dir, path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // an index that is being written goes under this name at any moment
			return nil
		case err != nil:
			return err
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o600)
	})
	if err != nil {
		sim.fatalf(step, "copy: %v", err)
	}
	old, dir := sim.store, sim.dir
	sim.dir = to
	sim.open(step)
	old.Close()
	os.RemoveAll(dir)
	sim.counts["crashes"]++
}

// kill lets another process do the operations from step on, kills it at a random moment, and returns the
// step after the last that was done.
func (sim *simulation) kill(step, most int) int {
	sim.close(step)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), simDir+"="+sim.dir, fmt.Sprintf("%s=%d", simSeed, sim.seed), fmt.Sprintf("%s=%d %d %d", simSteps, step, most, sim.encoder))
	out, err := cmd.StdoutPipe()
	if err != nil {
		sim.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		sim.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var done int
		switch line := lines.Text(); {
		case line == "open":
			time.AfterFunc(time.Duration(sim.rnd.Int64N(int64(400*time.Millisecond))), func() { cmd.Process.Kill() })
		case strings.HasPrefix(line, "done "):
			if _, err := fmt.Sscanf(line, "done %d", &done); err != nil || done != step {
				sim.fatalf(step, "the process says %q", line)
			}
			sim.model.apply(simOpAt(sim.seed, step), sim.encoder)
			step++
		default:
			cmd.Process.Kill()
			sim.fatalf(step, "the process says %q", line)
		}
	}
	if cmd.Wait() != nil {
		sim.counts["kills"]++
	}
	sim.open(step)
	// What was acknowledged is there. The operation that was under way has happened, or has not.
	got := sim.documents(step)
	if diff.Diff(sim.model.listed(), got) != "" {
		after := sim.model.clone()
		after.apply(simOpAt(sim.seed, step), sim.encoder)
		if d := diff.Diff(after.listed(), got); d != "" {
			sim.fatalf(step, "after a kill the store is neither before nor after the operation that was under way (-after +store):\n%s", d)
		}
		sim.model = after
		step++
		sim.counts["kills after the commit"]++
	}
	return step
}

// simulateChild does operations and says so after each, until it is killed.
func simulateChild(dir string) error {
	ctx := context.Background()
	seed, err := strconv.ParseUint(os.Getenv(simSeed), 10, 64)
	if err != nil {
		return err
	}
	var from, most, encoder int
	if _, err := fmt.Sscan(os.Getenv(simSteps), &from, &most, &encoder); err != nil {
		return err
	}
	s, err := retriever.Open(ctx, retriever.Config{Dir: dir, Encoder: simEncoders[encoder]})
	if err != nil {
		return err
	}
	fmt.Println("open")
	for step := from; step < from+most; step++ {
		if err := simOpAt(seed, step).do(ctx, s); err != nil {
			return err
		}
		fmt.Println("done", step)
	}
	return s.Close()
}

// TestSimulation does what the head of this file says: additions, updates, duplicates, deletions, queries,
// reindexing, collections that come and go, reopening, crashes and kills.
func TestSimulation(t *testing.T) {
	defer retriever.MergeEarly(8)()
	steps, seed := 400, uint64(time.Now().UnixNano())
	if n := os.Getenv(simSteps); n != "" {
		fmt.Sscan(n, &steps)
	}
	if n := os.Getenv(simSeed); n != "" {
		fmt.Sscan(n, &seed)
	}
	t.Logf("%s=%d; make simulation runs 10,000 steps rather than %d", simSeed, seed, steps)
	sim := &simulation{t: t, seed: seed, dir: t.TempDir(), model: simModel{}, rnd: rand.New(rand.NewPCG(seed, math.MaxUint64)), counts: map[string]int{}}
	sim.open(0)
	defer func() { sim.store.Close() }()
	for step := 0; step < steps; {
		switch n := sim.rnd.IntN(1000); {
		case n < 8:
			step = sim.kill(step, 80)
			sim.compare(step)
			continue
		case n < 30:
			sim.crash(step)
			sim.compare(step)
		case n < 40:
			sim.close(step)
			sim.open(step)
			sim.counts["reopenings"]++
		case n < 44:
			sim.close(step)
			sim.encoder = 1 - sim.encoder
			sim.open(step)
			for name, c := range sim.model {
				if _, err := sim.store.Reindex(t.Context(), name, nil); err != nil {
					sim.fatalf(step, "reindex: %v", err)
				}
				c.encoder = sim.encoder
			}
			sim.counts["reindexings"]++
			sim.compare(step)
		}
		op := simOpAt(seed, step)
		if err := op.do(t.Context(), sim.store); err != nil {
			sim.fatalf(step, "%+v: %v", op, err)
		}
		sim.model.apply(op, sim.encoder)
		if c := sim.model[op.collection]; c != nil && op.kind == simQuery {
			sim.query(step, op.collection, op.word)
			sim.counts["queries"]++
		}
		if step++; step%1000 == 0 {
			sim.compare(step)
		}
	}
	sim.compare(steps)
	t.Logf("%d steps: %v", steps, sim.counts)
}
