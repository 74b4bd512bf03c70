package ingest_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"docent/ingest"
)

// TestMain makes the test binary its own parse worker: see workerArgv.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "parse-worker" {
		var out io.Writer = os.Stdout
		mode := os.Getenv("DOCENT_TEST_WORKER_MODE")
		if mode == "memory" {
			out = glutton{}
		}
		misbehave(mode)
		if err := ingest.Worker(context.Background(), os.Stdin, out); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// workerArgv is what ExtractorConfig.Worker takes in tests.
func workerArgv() []string { return []string{os.Args[0], "parse-worker"} }

// sharedData is a folder of real documents kept beside the repository, or the test is skipped.
func sharedData(t testing.TB, name string) string {
	dir := os.Getenv("DOCENT_TESTDATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data")
	}
	dir = filepath.Join(dir, name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no %s; set DOCENT_TESTDATA to the folder that holds it", dir)
	}
	return dir
}
