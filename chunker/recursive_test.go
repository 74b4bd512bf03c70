package chunker_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"docent/chunker"

	"github.com/rivo/uniseg"
)

// testData is the folder of public evaluation data; the test is skipped without it.
func testData(t testing.TB) string {
	dir := os.Getenv("DOCENT_TESTDATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no evaluation data at %s; set DOCENT_TESTDATA to its folder", dir)
	}
	return dir
}

func newRecursive(t testing.TB, tok chunker.Tokenizer, cfg chunker.RecursiveConfig) *chunker.Recursive {
	t.Helper()
	r, err := chunker.NewRecursive(tok, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const closingMarks = "。，；：！？）"

// check holds every promise that does not depend on what the document says.
func check(t testing.TB, r *chunker.Recursive, tok chunker.Tokenizer, doc chunker.Document) []chunker.Chunk {
	t.Helper()
	chunks, err := r.Split(doc)
	if err != nil {
		t.Fatal(err)
	}
	cfg := r.Config()
	covered, prevStart, prevEnd := 0, -1, 0
	for i, c := range chunks {
		if c.Start < 0 || c.End > len(doc.Text) || c.Start >= c.End {
			t.Fatalf("chunk %d: range [%d, %d) of %d bytes", i, c.Start, c.End, len(doc.Text))
		}
		if c.Text != doc.Text[c.Start:c.End] {
			t.Fatalf("chunk %d: text is not the document's at [%d, %d)", i, c.Start, c.End)
		}
		if c.Start <= prevStart || c.End <= prevEnd {
			t.Fatalf("chunk %d: [%d, %d) does not come after [%d, %d)", i, c.Start, c.End, prevStart, prevEnd)
		}
		if s := strings.TrimRightFunc(c.Text, unicode.IsSpace); s != c.Text {
			t.Fatalf("chunk %d: white space at the end of %q", i, c.Text)
		}
		if len(doc.Blocks) == 0 && strings.TrimLeftFunc(c.Text, unicode.IsSpace) != c.Text {
			t.Fatalf("chunk %d: white space at the start of %q", i, c.Text)
		}
		if got := len(tok.TokenStarts(nil, c.Text)); got != c.Tokens {
			t.Fatalf("chunk %d: Tokens is %d, the tokenizer counts %d", i, c.Tokens, got)
		}
		if c.Tokens > cfg.MaxTokens {
			t.Fatalf("chunk %d: %d tokens, want at most %d: %q", i, c.Tokens, cfg.MaxTokens, c.Text)
		}
		if got := len(tok.TokenStarts(nil, c.Context)); got > cfg.ContextTokens {
			t.Fatalf("chunk %d: context of %d tokens, want at most %d: %q", i, got, cfg.ContextTokens, c.Context)
		}
		if utf8.ValidString(doc.Text) && !utf8.ValidString(c.Text) {
			t.Fatalf("chunk %d cuts a rune: %q", i, c.Text)
		}
		if c.Start > covered {
			if gap := doc.Text[covered:c.Start]; strings.TrimSpace(gap) != "" {
				t.Fatalf("chunk %d: text before it is in no chunk: %q", i, gap)
			}
		}
		if (len(doc.Pages) > 0) != (c.FirstPage > 0) || c.LastPage < c.FirstPage {
			t.Fatalf("chunk %d: pages %d to %d", i, c.FirstPage, c.LastPage)
		}
		covered, prevStart, prevEnd = c.End, c.Start, c.End
	}
	if rest := doc.Text[covered:]; strings.TrimSpace(rest) != "" {
		t.Fatalf("the end is in no chunk: %q", rest)
	}
	return chunks
}

// randomDocument is made of words, marks, ideographs, clusters and rubbish, with blocks or without.
func randomDocument(rng *rand.Rand) chunker.Document {
	pieces := []string{"word", "a", "Dr.", "3.14", "etc.", "extraordinarily", "。", "，", "！", "？”", "；", "：", "）", "（", "“", "中", "文字", "年假规定",
		"…", "……", "...", ".", "!", "?", ",", ";", " ", " ", " ", "  ", "\t", "\n", "é", "e\u0301", "👩‍👩‍👧‍👦", "🇨🇳", "한국어", "カタカナ", "\u0000", "\ufeff",
		"https://example.org/a/very/long/path?with=query&and=more", strings.Repeat("x", 300), strings.Repeat("好", 90), strings.Repeat("\u0301", 40), "|", "- ", "# ", "\u00a0", "\u2028"}
	var doc chunker.Document
	var sb strings.Builder
	kinds := []chunker.Kind{chunker.Heading, chunker.Paragraph, chunker.Paragraph, chunker.ListItem, chunker.Table, chunker.Code, chunker.Quote}
	withBlocks := rng.IntN(3) > 0
	for range rng.IntN(30) {
		start := sb.Len()
		kind := kinds[rng.IntN(len(kinds))]
		n := 1 + rng.IntN(60)
		if kind == chunker.Heading {
			n = 1 + rng.IntN(6)
		}
		if kind == chunker.Table && rng.IntN(2) == 0 {
			sb.WriteString("| a | b |\n| --- | --- |\n")
		}
		for range n {
			sb.WriteString(pieces[rng.IntN(len(pieces))])
			if rng.IntN(2) == 0 {
				sb.WriteByte(" \n"[min(rng.IntN(8), 7)/7])
			}
		}
		if withBlocks && rng.IntN(10) > 0 {
			doc.Blocks = append(doc.Blocks, chunker.Block{Kind: kind, Start: start, End: sb.Len(), Level: 1 + rng.IntN(4)})
		}
		sb.WriteString("\n\n")
	}
	doc.Text = sb.String()
	if rng.IntN(2) == 0 {
		doc.Title = "A title of some words 和标题"
	}
	if rng.IntN(2) == 0 {
		for p, at := 1, 0; at < len(doc.Text); p++ {
			end := min(at+1+rng.IntN(400), len(doc.Text))
			doc.Pages = append(doc.Pages, chunker.Page{Number: p, Start: at, End: end})
			at = end
		}
	}
	return doc
}

func TestRecursiveProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 1500 {
		doc := randomDocument(rng)
		cfg := chunker.RecursiveConfig{MaxTokens: 16 + rng.IntN(120), ContextTokens: rng.IntN(40) - 1}
		cfg.Overlap = rng.IntN(cfg.MaxTokens/2+1) - 1
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("document %d: panic", i)
					panic(p)
				}
			}()
			check(t, newRecursive(t, nil, cfg), chunker.Approximate{}, doc)
		}()
		if t.Failed() {
			t.Fatalf("document %d, %+v: %q", i, cfg, doc.Text)
		}
	}
}

var _ = []any{bufio.NewReader, json.Marshal, fmt.Sprint, slices.Sort[[]int], time.Now, uniseg.StringWidth, closingMarks, testData}
