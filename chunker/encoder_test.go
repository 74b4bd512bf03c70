package chunker_test

import (
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"docent/chunker"
	"docent/embed"
)

// With the tokenizer of the built-in encoder every promise holds as it does with the approximate one,
// and a chunk with its context is no longer than the encoder reads.
func TestRecursiveBuiltinEncoder(t *testing.T) {
	enc, err := embed.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	dir := testData(t)
	r := newRecursive(t, enc, chunker.RecursiveConfig{})
	for _, set := range []string{"xquad-en", "cranfield", "xquad-zh", "drcd-dev", "rgb-zh-fact"} {
		t.Run(set, func(t *testing.T) {
			var sb strings.Builder
			doc := chunker.Document{Title: "A title of the collection"}
			for _, e := range corpus(t, filepath.Join(dir, set)) {
				if sb.Len() > 1<<20 {
					break
				}
				if e.Title != "" {
					start := sb.Len()
					sb.WriteString(e.Title)
					doc.Blocks = append(doc.Blocks, chunker.Block{Kind: chunker.Heading, Level: 1, Start: start, End: sb.Len()})
					sb.WriteString("\n\n")
				}
				start := sb.Len()
				sb.WriteString(e.Text)
				doc.Blocks = append(doc.Blocks, chunker.Block{Kind: chunker.Paragraph, Start: start, End: sb.Len()})
				sb.WriteString("\n\n")
			}
			doc.Text = sb.String()
			start := time.Now()
			chunks := check(t, r, enc, doc)
			took := time.Since(start)
			good, small, tokens := 0, 0, 0
			for _, c := range chunks {
				if n := len(enc.TokenStarts(nil, c.IndexText())); n > enc.MaxTokens() {
					t.Errorf("%d tokens with its context, the encoder reads %d: %q", n, enc.MaxTokens(), c.IndexText())
				}
				if endsWell(doc.Text, c.End) {
					good++
				}
				if first, _ := utf8.DecodeRuneInString(c.Text); strings.ContainsRune(closingMarks, first) {
					t.Errorf("a chunk starts with %c: %q", first, c.Text)
				}
				if c.Tokens < 16 {
					small++
				}
				tokens += c.Tokens
			}
			n := float64(len(chunks))
			t.Logf("%d chunks of %.0f tokens on average, %.1f %% end well, %.1f %% below 16 tokens, %.1f MB/s with the checks",
				len(chunks), float64(tokens)/n, 100*float64(good)/n, 100*float64(small)/n, float64(len(doc.Text))/took.Seconds()/1e6)
			if float64(good)/n < 0.95 {
				t.Errorf("%.1f %% end at a sentence or line, want 95", 100*float64(good)/n)
			}
		})
	}
}

// The doc comment of Approximate says how near it comes.
func TestApproximate(t *testing.T) {
	enc, err := embed.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	dir := testData(t)
	for set, tolerance := range map[string]float64{"xquad-en": 0.04, "squad2-public": 0.04, "xquad-zh": 0.04, "drcd-dev": 0.04} {
		approximate, exact := 0, 0
		for _, e := range corpus(t, filepath.Join(dir, set)) {
			approximate += len(chunker.Approximate{}.TokenStarts(nil, e.Text))
			exact += len(enc.TokenStarts(nil, e.Text))
		}
		off := float64(approximate)/float64(exact) - 1
		t.Logf("%s: %+.1f %%", set, 100*off)
		if math.Abs(off) > tolerance {
			t.Errorf("%s: %d tokens instead of %d, off by %.1f %%", set, approximate, exact, 100*off)
		}
	}
}

func BenchmarkRecursiveBuiltinEncoder(b *testing.B) {
	enc, err := embed.Builtin()
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"prose", "chinese"} {
		b.Run(name, func(b *testing.B) {
			doc := chunker.Document{Text: large[name](10 << 20)}
			r := newRecursive(b, enc, chunker.RecursiveConfig{})
			b.SetBytes(int64(len(doc.Text)))
			for b.Loop() {
				if _, err := r.Split(b.Context(), doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
