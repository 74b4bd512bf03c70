package retriever_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"docent/retriever"
)

// crashDir tells a re-run of this test binary to be the process that is killed.
const crashDir = "DOCENT_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(reindexDir); dir != "" {
		if err := reindexSlowly(dir); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	if dir := os.Getenv(migrateFrom); dir != "" {
		if err := migrateSlowly(dir); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	if dir := os.Getenv(simDir); dir != "" {
		retriever.MergeEarly(8)
		if err := simulateChild(dir); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	if dir := os.Getenv(crashDir); dir != "" {
		retriever.MergeEarly(8)
		if err := ingestForever(dir, os.Getenv("DOCENT_CRASH_ROUND")); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const crashDocuments = 12

// crashText is the text of a version: its size depends on the version, so that a mixture shows.
func crashText(version string, doc, n int) string {
	return strings.Repeat(fmt.Sprintf("doc%dx version%sx%dx has its words\n", doc, version, n), 3+n%17)
}

// ingestForever stores documents, one version after another, and says so once each is stored.
func ingestForever(dir, round string) error {
	ctx := context.Background()
	s, err := retriever.Open(ctx, retriever.Config{Dir: dir, Encoder: words})
	if err != nil {
		return err
	}
	fmt.Println("open")
	for n := 0; ; n++ {
		doc := n % crashDocuments
		text := crashText(round, doc, n)
		sum, _, err := s.PutFile(ctx, strings.NewReader(text))
		if err != nil {
			return err
		}
		d := retriever.Document{Path: fmt.Sprint(doc), SHA256: sum, Metadata: map[string]string{"round": round, "n": fmt.Sprint(n)}}
		if _, err := put(ctx, s, "c", d, text); err != nil {
			return err
		}
		fmt.Println("stored", doc, n)
	}
}

// TestKilled kills a process that ingests, at random moments, and looks at what it left: every document
// acknowledged is there, in that version or a later one, and each is whole in the record, in the files
// and in both indexes.
func TestKilled(t *testing.T) {
	kills := 24
	if testing.Short() {
		kills = 6
	}
	ctx, dir := t.Context(), t.TempDir()
	s := open(t, dir, words)
	create(t, s, "c")
	s.Close()
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	acknowledged := map[string][2]int{} // path to round and n
	stored := 0
	for round := range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashDir+"="+dir, fmt.Sprintf("DOCENT_CRASH_ROUND=%d", round))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var doc, n int
			switch line := lines.Text(); {
			case line == "open":
				time.AfterFunc(time.Duration(rnd.Int64N(int64(200*time.Millisecond))), func() { cmd.Process.Kill() })
			case strings.HasPrefix(line, "stored "):
				if _, err := fmt.Sscanf(line, "stored %d %d", &doc, &n); err == nil {
					acknowledged[fmt.Sprint(doc)] = [2]int{round, n}
					stored++
				}
			default:
				cmd.Process.Kill()
				t.Fatalf("the process says %q", line)
			}
		}
		cmd.Wait()

		s := open(t, dir, words)
		docs, err := s.Documents(ctx, "c")
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		total := 0
		for _, d := range docs {
			seen[d.Path] = true
			var doc, r, n int
			fmt.Sscan(d.Path, &doc)
			fmt.Sscan(d.Metadata["round"], &r)
			fmt.Sscan(d.Metadata["n"], &n)
			if ack, ok := acknowledged[d.Path]; ok && (r < ack[0] || r == ack[0] && n < ack[1]) {
				t.Fatalf("round %d: document %s is version %d.%d, but %v was acknowledged", round, d.Path, r, n, ack)
			}
			want := crashText(fmt.Sprint(r), doc, n)
			if content, err := s.Content(ctx, d.ID); err != nil || content.Text != want {
				t.Fatalf("round %d: document %s, version %d.%d: %v, text %q", round, d.Path, r, n, err, content.Text)
			}
			f, err := s.OpenFile(ctx, d.SHA256)
			if err != nil {
				t.Fatalf("round %d: document %s: %v", round, d.Path, err)
			}
			f.Close()
			parts := strings.Count(want, "\n")
			total += parts
			for _, m := range modes {
				hits := search(t, s, "c", fmt.Sprintf("doc%dx", doc), retriever.WithMode(m), retriever.InDocuments(d.ID), retriever.TopK(1000))
				if len(hits) != parts || d.Chunks != parts {
					t.Fatalf("round %d: %s finds %d chunks of document %s, want %d", round, m, len(hits), d.Path, parts)
				}
			}
		}
		for path, ack := range acknowledged {
			if !seen[path] {
				t.Fatalf("round %d: document %s is gone, but %v was acknowledged", round, path, ack)
			}
		}
		if n := len(search(t, s, "c", "has its words", retriever.WithMode(retriever.Dense), retriever.TopK(1000))); n != min(total, 1000) {
			t.Fatalf("round %d: %d chunks in the index, want %d", round, n, total)
		}
		s.Close()
	}
	t.Logf("%d kills, %d documents acknowledged between them", kills, stored)
	if stored == 0 {
		t.Error("nothing was stored between the kills; the test shows nothing")
	}
}
