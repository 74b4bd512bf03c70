package examples_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"docent/chain"
	"docent/chunker"
	"docent/embed"
	"docent/examples"
	"docent/ingest"
	"docent/retriever"
)

// wanted is how many of the 40 questions must cite the passage that answers them.
const wanted = 36

func TestQuestionsAreWellFormed(t *testing.T) {
	all := examples.Questions()
	perLanguage, perDocument, ids := map[string]int{}, map[string]int{}, map[string]bool{}
	for _, q := range all {
		if q.Question == "" || q.Expected == "" || ids[q.ID] {
			t.Errorf("bad question: %+v", q)
		}
		ids[q.ID] = true
		perLanguage[q.Language]++
		perDocument[q.Document]++
		if _, err := fs.Stat(examples.FS(), q.Document); err != nil {
			t.Errorf("%s: %v", q.ID, err)
		}
	}
	if perLanguage["en"] != 20 || perLanguage["zh"] != 20 || len(perDocument) != 4 {
		t.Errorf("questions: %v, %v", perLanguage, perDocument)
	}
}

// open makes a library of the sample corpus.
func open(t *testing.T) (*retriever.Store, *embed.Encoder) {
	t.Helper()
	ctx := t.Context()
	enc, err := embed.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	store, err := retriever.Open(ctx, retriever.Config{Dir: t.TempDir(), Encoder: enc})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if _, err := store.CreateCollection(ctx, "sample"); err != nil {
		t.Fatal(err)
	}
	ex, err := ingest.NewExtractor(ingest.ExtractorConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	split, err := chunker.NewRecursive(enc, chunker.RecursiveConfig{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, examples.FS()); err != nil {
		t.Fatal(err)
	}
	p := ingest.NewPipeline(store, ex, split, ingest.PipelineConfig{})
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		start := time.Now()
		res, err := p.Ingest(ctx, "sample", ingest.Item{Path: f.Name(), File: filepath.Join(dir, f.Name())}, nil)
		if err != nil || res.Status != "ingested" {
			t.Fatalf("ingest %s: %+v, %v", f.Name(), res, err)
		}
		t.Logf("%s: %d chunks in %v", f.Name(), res.Chunks, time.Since(start).Round(time.Millisecond))
	}
	return store, enc
}

// TestAllQuestions asks the 40 questions of the whole path with the built-in encoder and no language
// model. A question counts when the phrase that answers it stands in a chunk that the answer cites.
func TestAllQuestions(t *testing.T) {
	if testing.Short() {
		t.Skip("reads, embeds and asks for a while; run without -short")
	}
	store, enc := open(t)
	qa, err := chain.NewQA(chain.Config{
		Encoder: enc,
		Search: func(ctx context.Context, query string, k int, opts ...retriever.SearchOption) ([]retriever.Hit, error) {
			return store.Search(ctx, "sample", query, append(opts, retriever.TopK(k))...)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	cited, quoted, inPrompt := 0, 0, 0
	var missed []string
	for _, q := range examples.Questions() {
		ans, err := qa.Ask(t.Context(), chain.Question{Text: q.Question})
		if err != nil {
			t.Fatalf("%s: %v", q.ID, err)
		}
		numbers := map[int]bool{}
		expected, inQuote := squash(q.Expected), false
		for _, c := range ans.Citations {
			numbers[c.N] = true
			inQuote = inQuote || c.Path == q.Document && strings.Contains(squash(c.Quote), expected)
		}
		hit, offered := false, false
		for _, p := range ans.Passages {
			if p.Path == q.Document && strings.Contains(squash(p.Text), expected) {
				offered = true
				hit = hit || numbers[p.N]
			}
		}
		if offered {
			inPrompt++
		}
		if inQuote {
			quoted++
		}
		if hit {
			cited++
			continue
		}
		missed = append(missed, fmt.Sprintf("%s %s\n   want %q, found: %v, answer: %s", q.ID, q.Question, q.Expected, offered, ans.Text))
	}
	t.Logf("the expected passage is cited in %d of 40, quoted in %d, among the passages in %d", cited, quoted, inPrompt)
	for _, m := range missed {
		t.Log(m)
	}
	if cited < wanted {
		t.Errorf("the expected passage is cited in %d of 40 answers, want %d", cited, wanted)
	}
}

// squash leaves one space between words, so that line breaks of the source do not count.
func squash(s string) string { return strings.Join(strings.Fields(s), " ") }

// TestLibraryPage keeps the code on docs/library.md code that is run or, where it needs servers, compiled.
func TestLibraryPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "library.md"))
	if err != nil {
		t.Fatal(err)
	}
	compiled := map[string]bool{}
	for _, name := range []string{"example_test.go", "library_test.go"} {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(source)) {
			compiled[strings.TrimSpace(line)] = true
		}
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	if len(blocks) < 9 {
		t.Fatalf("docs/library.md has %d pieces of Go code", len(blocks))
	}
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "```")
		for line := range strings.Lines(code) {
			if line = strings.TrimSpace(line); !compiled[line] {
				t.Errorf("docs/library.md shows a line that no example has: %s", line)
			}
		}
	}
}
