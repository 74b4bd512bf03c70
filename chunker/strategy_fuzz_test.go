package chunker_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"docent/chunker"
)

var strategies = []chunker.Strategy{chunker.Structure, chunker.Sentence, chunker.Parent, chunker.Semantic}

// checkStrategy checks what holds for the chunks of every strategy: they lie in order, cover all text that is
// not white space, and what is read around one holds it.
func checkStrategy(t testing.TB, strategy chunker.Strategy, size, read int, doc chunker.Document) {
	t.Helper()
	s, err := chunker.New(nil, topics{}, chunker.Config{Strategy: strategy, RecursiveConfig: chunker.RecursiveConfig{MaxTokens: size}, ReadTokens: read})
	if err != nil {
		t.Fatal(err)
	}
	chunks, err := s.Split(t.Context(), doc)
	if err != nil {
		t.Fatal(err)
	}
	covered, last := 0, chunker.Chunk{Start: -1}
	for i, c := range chunks {
		if c.Start < 0 || c.End > len(doc.Text) || c.Start >= c.End || c.Text != doc.Text[c.Start:c.End] {
			t.Fatalf("%s, chunk %d: [%d, %d) of %d bytes is not %q", strategy, i, c.Start, c.End, len(doc.Text), c.Text)
		}
		if c.Start <= last.Start || c.End <= last.End {
			t.Fatalf("%s, chunk %d: [%d, %d) does not come after [%d, %d)", strategy, i, c.Start, c.End, last.Start, last.End)
		}
		if c.Start > covered && strings.TrimSpace(doc.Text[covered:c.Start]) != "" {
			t.Fatalf("%s, chunk %d: text before it is in no chunk: %q", strategy, i, doc.Text[covered:c.Start])
		}
		if n := len(chunker.Approximate{}.TokenStarts(nil, c.Text)); n != c.Tokens || n > size {
			t.Fatalf("%s, chunk %d: %d tokens, says %d, want at most %d", strategy, i, n, c.Tokens, size)
		}
		if (c.ReadStart != 0 || c.ReadEnd != 0) && (c.ReadStart > c.Start || c.ReadEnd < c.End || c.ReadStart < 0 || c.ReadEnd > len(doc.Text)) {
			t.Fatalf("%s, chunk %d: [%d, %d) is not in what is read, [%d, %d)", strategy, i, c.Start, c.End, c.ReadStart, c.ReadEnd)
		}
		covered, last = c.End, c
	}
	if strings.TrimSpace(doc.Text[covered:]) != "" {
		t.Fatalf("%s: the end is in no chunk: %q", strategy, doc.Text[covered:])
	}
}

func TestStrategyProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 150 {
		doc := randomDocument(rng)
		size := 16 + rng.IntN(200)
		for _, s := range strategies {
			checkStrategy(t, s, size, size+rng.IntN(400), doc)
		}
	}
}

func FuzzStrategies(f *testing.F) {
	f.Add(goSource, uint16(24), uint16(80), uint16(0))
	f.Add("# Title\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n“你好。”他说。", uint16(4), uint16(60), uint16(7))
	f.Add("The water rises. It falls again. A dog barks! Why? Nobody knows.", uint16(0), uint16(9), uint16(12))
	f.Fuzz(func(t *testing.T, text string, size, read, seed uint16) {
		doc := chunker.Document{Title: "T", Text: text}
		kinds := []chunker.Kind{chunker.Heading, chunker.Paragraph, chunker.ListItem, chunker.Table, chunker.Code, chunker.Quote}
		for at := int(seed % 5); seed > 0 && at < len(text); {
			end := min(at+1+int(seed%97), len(text))
			doc.Blocks = append(doc.Blocks, chunker.Block{Kind: kinds[at%len(kinds)], Start: at, End: end, Level: at % 7})
			at = end + at%3
		}
		n := 16 + int(size%300)
		for _, s := range strategies {
			checkStrategy(t, s, n, n+int(read%500), doc)
		}
	})
}
