package ingest_test

import (
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
)

// TestQueueChild is the process that TestQueueKill kills: it works on the queue of a data directory
// until nothing is left to do.
func TestQueueChild(t *testing.T) {
	dir := os.Getenv("DOCENT_TEST_QUEUE")
	if dir == "" {
		t.Skip("run by TestQueueKill")
	}
	store := openStore(t, dir)
	pipe := newPipeline(t, store, chunker.RecursiveConfig{MaxTokens: 64}, ingest.PipelineConfig{})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- pipe.Run(ctx) }()
	for ctx.Err() == nil {
		jobs, err := store.Catalog().Jobs(ctx, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(jobs, func(j catalog.Job) bool { return j.State == catalog.Queued || j.State == catalog.Running }) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Killing the process again and again while the queue is worked on loses no job, and leaves no document
// twice, half or not at all.
func TestQueueKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	ctx := t.Context()
	b := newBench(t)
	const files = 50
	var items []ingest.Item
	for i := range files {
		var sb strings.Builder
		fmt.Fprintf(&sb, "# File number%d\n\n", i)
		for k := range 200 {
			fmt.Fprintf(&sb, "Sentence %d of file %d is about rule %d of the handbook.\n\n", k, i, i*1000+k)
		}
		items = append(items, b.file(t, fmt.Sprintf("%02d.md", i), sb.String()))
	}
	jobs, err := b.pipe.Enqueue(ctx, "c", items)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(b.dir, "data")
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}

	child := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^TestQueueChild$", "-test.count=1")
		cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "DOCENT_TEST_PARSE_WORKER=") })
		cmd.Env = append(cmd.Env, "DOCENT_TEST_QUEUE="+dir)
		return cmd
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("DOCENT_TEST_SEED"); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	kills := 0
	for range 12 {
		cmd := child()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-time.After(time.Duration(50+rng.IntN(400)) * time.Millisecond):
			cmd.Process.Kill()
			<-ended
			kills++
		case err := <-ended:
			if err != nil {
				t.Fatalf("the child failed: %v", err)
			}
		}
		if t.Failed() {
			return
		}
	}
	last := child()
	if out, err := last.CombinedOutput(); err != nil {
		t.Fatalf("the last child: %v\n%s", err, out)
	}

	store := openStore(t, dir)
	begunAgain := 0
	for _, j := range jobs {
		got, err := store.Catalog().Job(ctx, j.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.State != catalog.Done {
			t.Errorf("seed %d: %s is %s after %d attempts: %s", seed, filepath.Base(got.Path), got.State, got.Attempts, got.Error)
		}
		if got.Attempts > 1 {
			begunAgain++
		}
	}
	t.Logf("seed %d: killed %d times, %d of %d jobs begun again", seed, kills, begunAgain, files)
	docs, err := store.Documents(ctx, "c")
	if err != nil || len(docs) != files {
		t.Fatalf("%d documents, %v, want %d", len(docs), err, files)
	}
	total := 0
	for i, d := range docs {
		hits, err := store.Search(ctx, "c", fmt.Sprintf("number%d", i))
		if err != nil || len(hits) == 0 {
			t.Fatalf("%s: %d hits, %v", d.Path, len(hits), err)
		}
		for _, h := range hits {
			if h.Document.ID != d.ID {
				t.Errorf("%s is found in %s", d.Path, h.Document.Path)
			}
		}
		total += d.Chunks
	}
	if c, err := store.Collection(ctx, "c"); err != nil || c.Documents != files || c.Chunks != total {
		t.Errorf("%+v, %v, want %d documents and %d chunks", c, err, files, total)
	}
}
