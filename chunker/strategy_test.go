package chunker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"docent/chunker"
)

const goSource = `// Package pump moves water.
package pump

import "fmt"

// Start starts the pump. It primes it first, which takes a while, and
// returns an error when there is no water.
func Start(p *Pump) error {
	if p.dry() {
		return fmt.Errorf("no water")
	}
	p.running = true
	return nil
}

// Stop stops it.
func Stop(p *Pump) {
	p.running = false
}

type Pump struct {
	running bool
	litres  float64
}

func (p *Pump) dry() bool {
	return p.litres < 1
}
`

const pythonSource = `import os


class Pump:
    """Moves water."""

    def __init__(self, litres):
        self.litres = litres
        self.running = False

    @property
    def dry(self):
        if self.litres < 1:
            return True
        return False


# Starts a pump, after it has looked whether there is water, and says so.
def start(pump):
    if pump.dry:
        raise ValueError("no water")
    pump.running = True
    return pump
`

const javaSource = `package pump;

/** Moves water. */
public class Pump
{
    private double litres;

    /** Starts it. */
    @Override
    public void start() throws IOException {
        if (litres < 1) {
            throw new IOException("no water");
        }
        running = true;
    }

    public boolean isDry() {
        return litres < 1;
    }
}
`

func split(t *testing.T, s chunker.Splitter, err error, doc chunker.Document) []chunker.Chunk {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	chunks, err := s.Split(t.Context(), doc)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range chunks {
		if doc.Text[c.Start:c.End] != c.Text {
			t.Errorf("chunk %d is not the bytes it says", i)
		}
		if c.ReadEnd > 0 && (c.ReadStart > c.Start || c.ReadEnd < c.End) {
			t.Errorf("chunk %d, %d to %d, is not in what is read, %d to %d", i, c.Start, c.End, c.ReadStart, c.ReadEnd)
		}
	}
	return chunks
}

func code(text string) chunker.Document {
	return chunker.Document{Title: "pump", Text: text, Blocks: []chunker.Block{{Kind: chunker.Code, End: len(text)}}}
}

func TestCodeIsCutAtDeclarations(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		max        int
		starts     []string // of some chunks
	}{
		{"go", goSource, 80, []string{"// Stop stops"}},
		{"python", pythonSource, 50, []string{"@property", "# Starts a pump"}},
		{"java", javaSource, 64, []string{"/** Starts it. */"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := chunker.NewRecursive(nil, chunker.RecursiveConfig{MaxTokens: tt.max})
			chunks := split(t, s, err, code(tt.text))
			for _, start := range tt.starts {
				if !slices.ContainsFunc(chunks, func(c chunker.Chunk) bool { return strings.HasPrefix(strings.TrimSpace(c.Text), start) }) {
					t.Errorf("no chunk begins with %q:", start)
					for _, c := range chunks {
						t.Logf("%q", c.Text)
					}
				}
			}
		})
	}
}

// What encloses a piece of code is said in its context.
func TestCodeContext(t *testing.T) {
	s, err := chunker.NewRecursive(nil, chunker.RecursiveConfig{MaxTokens: 40})
	for _, c := range split(t, s, err, code(pythonSource)) {
		if strings.HasPrefix(strings.TrimSpace(c.Text), "@property") && !strings.Contains(c.Context, "class Pump:") {
			t.Errorf("the context of a method is %q", c.Context)
		}
		if strings.HasPrefix(c.Text, "# Starts") && strings.Contains(c.Context, "class") {
			t.Errorf("the context of a function after the class is %q", c.Context)
		}
	}
}

const article = `# Water

Water is taken from the river. It is filtered twice. Then it is pumped up the hill. The reservoir holds a week's supply.

## Money

Households pay by the litre. Bills are sent each quarter. Who pays late pays a fee. The fee is two per cent. It is waived once a year.

| Use | Price |
| --- | --- |
| House | 2 |
| Farm | 1 |
`

func articleDoc() chunker.Document {
	doc := chunker.Document{Title: "Water works", Text: article}
	at := 0
	for _, part := range strings.SplitAfter(article, "\n\n") {
		b := chunker.Block{Kind: chunker.Paragraph, Start: at, End: at + len(strings.TrimRight(part, "\n"))}
		switch {
		case strings.HasPrefix(part, "## "):
			b.Kind, b.Level = chunker.Heading, 2
		case strings.HasPrefix(part, "# "):
			b.Kind, b.Level = chunker.Heading, 1
		case strings.HasPrefix(part, "|"):
			b.Kind = chunker.Table
		}
		doc.Blocks = append(doc.Blocks, b)
		at += len(part)
	}
	return doc
}

func TestSentence(t *testing.T) {
	doc := articleDoc()
	if _, err := chunker.NewSentence(nil, chunker.RecursiveConfig{}, 40); err == nil {
		t.Error("windows smaller than the longest sentence are accepted")
	}
	s, err := chunker.NewSentence(nil, chunker.RecursiveConfig{MaxTokens: 32}, 32)
	chunks := split(t, s, err, doc)
	if len(chunks) < 6 {
		t.Errorf("%d chunks", len(chunks))
	}
	for _, c := range chunks {
		if c.Tokens > 32 {
			t.Errorf("%d tokens: %q", c.Tokens, c.Text)
		}
		read := doc.Text[c.ReadStart:c.ReadEnd]
		if strings.Contains(c.Text, "filtered twice") && (!strings.Contains(read, "pumped up") || strings.Contains(read, "Households")) {
			t.Errorf("around %q is read %q", c.Text, read)
		}
	}
}

func TestParent(t *testing.T) {
	doc := articleDoc()
	s, err := chunker.NewParent(nil, chunker.RecursiveConfig{MaxTokens: 20}, 60)
	chunks := split(t, s, err, doc)
	passages := map[int]int{}
	for _, c := range chunks {
		if c.Tokens > 20 {
			t.Errorf("%d tokens: %q", c.Tokens, c.Text)
		}
		passages[c.ReadStart]++
	}
	if len(passages) < 2 || len(passages) >= len(chunks) {
		t.Errorf("%d chunks in %d passages", len(chunks), len(passages))
	}
}

// topics embeds a text by which of two words it has.
type topics struct{ err error }

func (e topics) EmbedDocuments(_ context.Context, texts []string) ([][]float32, error) {
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		vectors[i] = []float32{0, 1}
		if strings.Contains(text, "water") {
			vectors[i] = []float32{1, 0}
		}
	}
	return vectors, e.err
}

func TestSemantic(t *testing.T) {
	text := strings.Repeat("The water runs down the long hill. ", 7) + strings.Repeat("The money goes to the old bank. ", 7)
	doc := chunker.Document{Text: text}
	s, err := chunker.NewSemantic(nil, topics{}, chunker.RecursiveConfig{MaxTokens: 100, Overlap: -1})
	chunks := split(t, s, err, doc)
	for _, c := range chunks {
		if strings.Contains(c.Text, "water") && strings.Contains(c.Text, "money") {
			t.Errorf("two topics in one chunk: %q", c.Text)
		}
	}
	broken := errors.New("no encoder")
	s, err = chunker.NewSemantic(nil, topics{broken}, chunker.RecursiveConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Split(t.Context(), doc); !errors.Is(err, broken) {
		t.Errorf("the encoder's error is lost: %v", err)
	}
	if _, err := chunker.NewSemantic(nil, nil, chunker.RecursiveConfig{}); err == nil {
		t.Error("no encoder is accepted")
	}
}

func TestLabels(t *testing.T) {
	doc := articleDoc()
	s, err := chunker.NewRecursive(nil, chunker.RecursiveConfig{MaxTokens: 30})
	var labels []string
	for _, c := range split(t, s, err, doc) {
		if strings.Contains(c.Text, "Farm") {
			labels = c.Labels
		}
	}
	if !slices.Equal(labels, []string{"table 1"}) {
		t.Errorf("labels %q", labels)
	}
	for text, want := range map[string]string{
		"Table 3: Prices":           "Table 3",
		"FIG. 2.1. The pump":        "Fig. 2.1",
		"图 4 水泵":                    "图 4",
		"**Figure A1.** The pump":   "Figure A1",
		"Table of contents":         "",
		"Tables 3 and 4 show that.": "",
	} {
		var got string
		for _, c := range split(t, s, err, chunker.Document{Text: text}) {
			got = strings.Join(c.Labels, ",")
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
