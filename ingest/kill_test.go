package ingest_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"docent/chunker"
	"docent/ingest"
	"docent/internal/catalog"
	"docent/retriever"
)

const (
	killDirVar = "DOCENT_TEST_QUEUE" // the folder that the child of TestQueueKill works in
	killsVar   = "DOCENT_TEST_KILLS" // how often TestQueueKill kills; make crash asks for 100
	seedVar    = "DOCENT_TEST_SEED"
)

// openEncoded opens a data directory with the counting encoder, so that there are vectors to lose.
func openEncoded(t testing.TB, dir string) *retriever.Store {
	t.Helper()
	s, err := retriever.Open(context.Background(), retriever.Config{Dir: dir, Encoder: &countingEncoder{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestQueueChild is the process that TestQueueKill kills: it takes in a folder through the queue, a few
// files at a time, and says which of them it has acknowledged.
func TestQueueChild(t *testing.T) {
	dir := os.Getenv(killDirVar)
	if dir == "" {
		t.Skip("run by TestQueueKill")
	}
	store := openEncoded(t, filepath.Join(dir, "data"))
	pipe := newPipeline(t, store, chunker.RecursiveConfig{MaxTokens: 64}, ingest.PipelineConfig{})
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- pipe.Run(ctx) }()
	fmt.Println("ready")
	jobs, err := store.Catalog().Jobs(ctx, "c", 0)
	if err != nil {
		t.Fatal(err)
	}
	taken := map[string]bool{}
	for _, j := range jobs {
		taken[j.Path] = true
	}
	items, err := ingest.Walk(filepath.Join(dir, "files"))
	if err != nil {
		t.Fatal(err)
	}
	items = slices.DeleteFunc(items, func(it ingest.Item) bool { return taken[it.Path] })
	for batch := range slices.Chunk(items, 5) {
		if _, err := pipe.Enqueue(ctx, "c", batch); err != nil {
			t.Fatal(err)
		}
		for _, it := range batch {
			fmt.Println("acknowledged", it.Path)
		}
	}
	for ctx.Err() == nil {
		queued, err := store.Catalog().JobsIn(ctx, "", catalog.Queued)
		if err != nil {
			t.Fatal(err)
		}
		running, err := store.Catalog().JobsIn(ctx, "", catalog.Running)
		if err != nil {
			t.Fatal(err)
		}
		if len(queued)+len(running) == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Killing the process again and again while files are taken in loses nothing that was acknowledged, and
// leaves no document twice, half or not at all. The record, the vectors, the keyword index and the stored
// files agree afterwards.
func TestQueueKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	kills, files := 10, 50
	if n, err := strconv.Atoi(os.Getenv(killsVar)); err == nil {
		kills, files = n, 5*n
	}
	ctx := t.Context()
	dir := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv(seedVar); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	if err := os.Mkdir(filepath.Join(dir, "files"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range files {
		var sb strings.Builder
		fmt.Fprintf(&sb, "# File number%d\n\n", i)
		for k := range 20 + rng.IntN(400) {
			fmt.Fprintf(&sb, "Sentence %d of file %d is about rule %d of the handbook.\n\n", k, i, i*1000+k)
		}
		if err := os.WriteFile(filepath.Join(dir, "files", fmt.Sprintf("%04d.md", i)), []byte(sb.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	store := openEncoded(t, filepath.Join(dir, "data"))
	if _, err := store.CreateCollection(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	store.Close()

	temp := t.TempDir()
	acknowledged := map[string]bool{}
	// work runs a child, which is killed after a while unless that is 0, and reports whether it was.
	work := func(life time.Duration) bool {
		cmd := exec.Command(os.Args[0], "-test.run=^TestQueueChild$", "-test.count=1")
		cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "DOCENT_TEST_PARSE_WORKER=") })
		// A killed process leaves its temporary folders: they are to go with this test's.
		cmd.Env = append(cmd.Env, killDirVar+"="+dir, "TMPDIR="+temp, "TMP="+temp)
		var failure strings.Builder
		cmd.Stderr = &failure
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var killed bool
		var timer *time.Timer
		rest := ""
		for sc := bufio.NewScanner(out); sc.Scan(); {
			switch path, ok := strings.CutPrefix(sc.Text(), "acknowledged "); {
			case ok:
				acknowledged[path] = true
			case sc.Text() == "ready" && life > 0:
				timer = time.AfterFunc(life, func() { cmd.Process.Kill() })
			default:
				rest += sc.Text() + "\n"
			}
		}
		err = cmd.Wait()
		if timer != nil {
			killed = !timer.Stop()
		}
		if err != nil && !killed {
			t.Fatalf("seed %d: the child failed: %v\n%s%s", seed, err, rest, failure.String())
		}
		return killed
	}
	done := 0
	for range kills {
		// Most lives are short, so that there is work left for all of them.
		if work(time.Duration(1+rng.ExpFloat64()*100) * time.Millisecond) {
			done++
		}
	}
	before := len(acknowledged)
	work(0)

	store = openEncoded(t, filepath.Join(dir, "data"))
	jobs, err := store.Catalog().Jobs(ctx, "c", 0)
	if err != nil {
		t.Fatal(err)
	}
	begunAgain := 0
	byPath := map[string]int{}
	for _, j := range jobs {
		byPath[j.Path]++
		if j.State != catalog.Done {
			t.Errorf("seed %d: %s is %s after %d attempts: %s", seed, filepath.Base(j.Path), j.State, j.Attempts, j.Error)
		}
		if j.Attempts > 1 {
			begunAgain++
		}
	}
	for path := range acknowledged {
		if byPath[path] != 1 {
			t.Errorf("seed %d: %s was acknowledged and has %d jobs", seed, filepath.Base(path), byPath[path])
		}
	}
	docs, err := store.Documents(ctx, "c")
	if err != nil || len(docs) != files {
		t.Fatalf("seed %d: %d documents, %v, want %d", seed, len(docs), err, files)
	}
	chunks := 0
	for i, d := range docs {
		hits, err := store.Search(ctx, "c", fmt.Sprintf("number%d", i), retriever.WithMode(retriever.Keyword))
		if err != nil || len(hits) == 0 || hits[0].Document.ID != d.ID {
			t.Errorf("seed %d: %s is not found: %d hits, %v", seed, d.Path, len(hits), err)
		}
		chunks += d.Chunks
	}
	v, err := store.Verify(ctx, "c")
	if err != nil || v.Documents != files || v.Chunks != chunks || v.Vectors != chunks || v.Files != files {
		t.Errorf("seed %d: %+v, %v, want %d documents and files, %d chunks and vectors", seed, v, err, files, chunks)
	}
	for _, p := range v.Problems {
		t.Errorf("seed %d: %s", seed, p.What)
	}
	left, err := filepath.Glob(filepath.Join(dir, "data", "files", "incoming-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("seed %d: half written files are left: %v, %v", seed, left, err)
	}
	t.Logf("seed %d: killed %d times; %d files acknowledged before the last start, %d of %d jobs begun again, %d chunks", seed, done, before, begunAgain, len(jobs), chunks)
}
