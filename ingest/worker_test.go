package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"docent/ingest"
)

// TestWorkerLoss runs workers that end, hang or eat memory instead of answering.
func TestWorkerLoss(t *testing.T) {
	path := writeFile(t, "a.txt", []byte("Some text."))
	for _, tt := range []struct {
		name, mode string
		want       error
		says       string
		linuxOnly  bool
	}{
		{"panics", "panic", ingest.ErrCrashed, "boom", false},
		{"exits", "exit", ingest.ErrCrashed, "", false},
		{"hangs", "hang", ingest.ErrTimeout, "500ms", false},
		{"has no memory for a thread", "thread", ingest.ErrCrashed, "out of memory (limit 64 MiB)", false},
		{"eats memory", "memory", ingest.ErrCrashed, "out of memory (limit 64 MiB)", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.linuxOnly && runtime.GOOS != "linux" {
				t.Skip("a worker limits its own memory on Linux only")
			}
			t.Setenv("DOCENT_TEST_WORKER_MODE", tt.mode)
			// Two processes are started one after the other within it, which takes a busy machine many seconds.
			timeout := 3 * time.Minute
			if tt.mode == "hang" {
				timeout = 500 * time.Millisecond
			}
			ex := newExtractor(t, ingest.ExtractorConfig{Worker: workerArgv(), Workers: 1, Timeout: timeout, MemoryMiB: 64})
			_, err := ex.Extract(context.Background(), ingest.File{Path: path, Name: "report.txt"})
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "report.txt") {
				t.Errorf("error %v, want %v with %q", err, tt.want, tt.says)
			}
			// The next file gets a new worker.
			os.Unsetenv("DOCENT_TEST_WORKER_MODE")
			doc, err := ex.Extract(context.Background(), ingest.File{Path: path})
			for range 100 { // where half a second is too short to start one, too
				if !errors.Is(err, ingest.ErrTimeout) {
					break
				}
				doc, err = ex.Extract(context.Background(), ingest.File{Path: path})
			}
			if err != nil || doc.Text != "Some text." {
				t.Errorf("after the loss: %v, %v", doc, err)
			}
		})
	}
}

func TestExtractConcurrently(t *testing.T) {
	ex := newExtractor(t, ingest.ExtractorConfig{Worker: workerArgv(), Workers: 2})
	path := writeFile(t, "a.md", []byte("# T\n\ntext\n"))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if doc, err := ex.Extract(context.Background(), ingest.File{Path: path}); err != nil || doc.Title != "T" {
				t.Errorf("%v, %v", doc, err)
			}
		})
	}
	wg.Wait()
	ex.Close()
	if _, err := ex.Extract(context.Background(), ingest.File{Path: path}); err == nil {
		t.Error("no error after Close")
	}
}

// misbehave is what a worker under test does instead of its work.
func misbehave(mode string) {
	switch mode {
	case "panic":
		go func() { panic("boom") }()
		time.Sleep(time.Minute)
	case "exit":
		os.Exit(3)
	case "thread": // as package runtime/cgo says it
		fmt.Fprintln(os.Stderr, "runtime/cgo: pthread_create failed: Resource temporarily unavailable\nSIGABRT: abort\nPC=0x7f1 m=3 sigcode=1\n\nruntime: g 0 gp=0x1: unknown pc 0x7f1")
		os.Exit(2)
	case "hang":
		time.Sleep(time.Hour)
	}
}

// glutton asks for ever more memory instead of writing.
type glutton struct{}

func (glutton) Write([]byte) (int, error) {
	var hold [][]byte
	for range 200 {
		b := make([]byte, 16<<20)
		for i := range b {
			b[i] = 1
		}
		hold = append(hold, b)
	}
	return 0, fmt.Errorf("%d blocks were to be had", len(hold))
}
