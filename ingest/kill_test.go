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
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"docent/chunker"
	"docent/ingest"
	"docent/internal/catalog"
	"docent/internal/pgtest"
	"docent/retriever"
)

const (
	killDirVar   = "DOCENT_TEST_QUEUE" // the folder that the child of a kill test works in
	killStoreVar = "DOCENT_TEST_STORE" // the store, where it is not in the folder
	killPartVar  = "DOCENT_TEST_PART"  // "I/N": the child takes in every Nth file from the Ith on
	killsVar     = "DOCENT_TEST_KILLS" // how often the tests kill; make crash asks for 100
	seedVar      = "DOCENT_TEST_SEED"
)

// openEncoded opens a store with the counting encoder, so that there are vectors to lose.
func openEncoded(t testing.TB, dir, address string) *retriever.Store {
	t.Helper()
	s, err := retriever.Open(context.Background(), retriever.Config{Dir: dir, Store: address, Encoder: &countingEncoder{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestQueueChild is the process that the kill tests kill: it takes in a folder, or a part of it, through the
// queue, a few files at a time, and says which of them it has acknowledged.
func TestQueueChild(t *testing.T) {
	dir, address := os.Getenv(killDirVar), os.Getenv(killStoreVar)
	if dir == "" {
		t.Skip("run by TestQueueKill and TestSharedQueueKill")
	}
	part, parts := 0, 1
	if s := os.Getenv(killPartVar); s != "" {
		if _, err := fmt.Sscanf(s, "%d/%d", &part, &parts); err != nil {
			t.Fatal(err)
		}
	}
	store := openEncoded(t, filepath.Join(dir, "data"), address)
	cfg := ingest.PipelineConfig{}
	if address != "" {
		// Jobs pass on quickly, and none is given up: with three processes a file may be hit often.
		cfg.Heartbeat, cfg.MaxAttempts = 200*time.Millisecond, 1000
	}
	pipe := newPipeline(t, store, chunker.RecursiveConfig{MaxTokens: 64}, cfg)
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
	n := -1
	items = slices.DeleteFunc(items, func(it ingest.Item) bool {
		n++
		return n%parts != part || taken[it.Path]
	})
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

// A killing is a folder that processes take in while they are killed.
type killing struct {
	t            *testing.T
	dir, address string
	kills, files int
	seed         uint64
	rng          *rand.Rand

	mu           sync.Mutex
	acknowledged map[string]bool
}

// newKilling writes the files and makes the collection.
func newKilling(t *testing.T, kills, files int, address string) *killing {
	t.Helper()
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	k := &killing{t: t, dir: t.TempDir(), address: address, kills: kills, files: files, seed: uint64(time.Now().UnixNano()), acknowledged: map[string]bool{}}
	if n, err := strconv.Atoi(os.Getenv(killsVar)); err == nil {
		k.kills, k.files = n, files*n/kills
	}
	if s := os.Getenv(seedVar); s != "" {
		var err error
		if k.seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	k.rng = rand.New(rand.NewPCG(k.seed, 0))
	if err := os.Mkdir(filepath.Join(k.dir, "files"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range k.files {
		var sb strings.Builder
		fmt.Fprintf(&sb, "# File number%d\n\n", i)
		for n := range 20 + k.rng.IntN(400) {
			fmt.Fprintf(&sb, "Sentence %d of file %d is about rule %d of the handbook.\n\n", n, i, i*1000+n)
		}
		if err := os.WriteFile(filepath.Join(k.dir, "files", fmt.Sprintf("%04d.md", i)), []byte(sb.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	store := openEncoded(t, filepath.Join(k.dir, "data"), address)
	if _, err := store.CreateCollection(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	store.Close()
	return k
}

// life is a time until a process is killed. Most are short, so that there is work left for all of them.
func (k *killing) life() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return time.Duration(1+k.rng.ExpFloat64()*100) * time.Millisecond
}

// work runs a child, which is killed after a while unless that is 0, and reports whether it was.
func (k *killing) work(life time.Duration, part string) (killed bool) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestQueueChild$", "-test.count=1")
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "DOCENT_TEST_PARSE_WORKER=") })
	cmd.Env = append(cmd.Env, killDirVar+"="+k.dir, killStoreVar+"="+k.address, killPartVar+"="+part)
	var failure strings.Builder
	cmd.Stderr = &failure
	out, err := cmd.StdoutPipe()
	if err != nil {
		k.t.Error(err)
		return false
	}
	if err := cmd.Start(); err != nil {
		k.t.Error(err)
		return false
	}
	var timer *time.Timer
	rest := ""
	for sc := bufio.NewScanner(out); sc.Scan(); {
		switch path, ok := strings.CutPrefix(sc.Text(), "acknowledged "); {
		case ok:
			k.mu.Lock()
			k.acknowledged[path] = true
			k.mu.Unlock()
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
		k.t.Errorf("seed %d: the child failed: %v\n%s%s", k.seed, err, rest, failure.String())
	}
	return killed
}

// check finds each file that was acknowledged once and whole. The record, the vectors, the keyword index and the
// stored files agree.
func (k *killing) check() (jobs, begunAgain, chunks int) {
	t, ctx := k.t, k.t.Context()
	t.Helper()
	store := openEncoded(t, filepath.Join(k.dir, "data"), k.address)
	all, err := store.Catalog().Jobs(ctx, "c", 0)
	if err != nil {
		t.Fatal(err)
	}
	byPath := map[string]int{}
	for _, j := range all {
		byPath[j.Path]++
		if j.State != catalog.Done {
			t.Errorf("seed %d: %s is %s after %d attempts: %s", k.seed, filepath.Base(j.Path), j.State, j.Attempts, j.Error)
		}
		if j.Attempts > 1 {
			begunAgain++
		}
	}
	for path := range k.acknowledged {
		if byPath[path] != 1 {
			t.Errorf("seed %d: %s was acknowledged and has %d jobs", k.seed, filepath.Base(path), byPath[path])
		}
	}
	docs, err := store.Documents(ctx, "c")
	if err != nil || len(docs) != k.files {
		t.Fatalf("seed %d: %d documents, %v, want %d", k.seed, len(docs), err, k.files)
	}
	for i, d := range docs {
		if !d.AddedAt.Equal(d.UpdatedAt) {
			t.Errorf("seed %d: %s was stored twice, at %v and %v", k.seed, d.Path, d.AddedAt, d.UpdatedAt)
		}
		hits, err := store.Search(ctx, "c", fmt.Sprintf("number%d", i), retriever.WithMode(retriever.Keyword))
		if err != nil || len(hits) == 0 || hits[0].Document.ID != d.ID {
			t.Errorf("seed %d: %s is not found: %d hits, %v", k.seed, d.Path, len(hits), err)
		}
		chunks += d.Chunks
	}
	v, err := store.Verify(ctx, "c")
	if err != nil || v.Documents != k.files || v.Chunks != chunks || v.Vectors != chunks || v.Files != k.files {
		t.Errorf("seed %d: %+v, %v, want %d documents and files, %d chunks and vectors", k.seed, v, err, k.files, chunks)
	}
	for _, p := range v.Problems {
		t.Errorf("seed %d: %s", k.seed, p.What)
	}
	return len(all), begunAgain, chunks
}

// Killing the process again and again while files are taken in loses nothing that was acknowledged, and
// leaves no document twice, half or not at all.
func TestQueueKill(t *testing.T) {
	k := newKilling(t, 10, 50, "")
	done := 0
	for range k.kills {
		if k.work(k.life(), "") {
			done++
		}
	}
	before := len(k.acknowledged)
	k.work(0, "")
	jobs, begunAgain, chunks := k.check()
	left, err := filepath.Glob(filepath.Join(k.dir, "data", "files", "incoming-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("seed %d: half written files are left: %v, %v", k.seed, left, err)
	}
	t.Logf("seed %d: killed %d times; %d files acknowledged before the last start, %d of %d jobs begun again, %d chunks", k.seed, done, before, begunAgain, jobs, chunks)
}

// Three processes share a store; each is killed again and again and started anew, while the others go on. What
// TestQueueKill asks for holds, and no document is stored twice.
func TestSharedQueueKill(t *testing.T) {
	k := newKilling(t, 9, 45, pgtest.Database(t))
	const processes = 3
	var done, before atomic.Int64
	var wg sync.WaitGroup
	for i := range processes {
		wg.Go(func() {
			part := fmt.Sprintf("%d/%d", i, processes)
			for range k.kills / processes {
				if k.work(k.life(), part) {
					done.Add(1)
				}
			}
			k.mu.Lock()
			before.Store(int64(len(k.acknowledged)))
			k.mu.Unlock()
			k.work(0, part)
		})
	}
	wg.Wait()
	jobs, begunAgain, chunks := k.check()
	t.Logf("seed %d: killed %d times; %d files acknowledged before the last start, %d of %d jobs begun again, %d chunks", k.seed, done.Load(), before.Load(), begunAgain, jobs, chunks)
}
