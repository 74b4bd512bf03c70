package chunker_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
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
	chunks, err := r.Split(t.Context(), doc)
	if err != nil {
		t.Fatal(err)
	}
	cfg := r.Config()
	valid := utf8.ValidString(doc.Text)
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
		if valid && !utf8.ValidString(c.Text) {
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
	for i := range 800 {
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

func TestNewRecursive(t *testing.T) {
	for _, tc := range []struct {
		name string
		tok  chunker.Tokenizer
		cfg  chunker.RecursiveConfig
		want chunker.RecursiveConfig
		err  bool
	}{
		{name: "defaults", want: chunker.RecursiveConfig{MaxTokens: 200, Overlap: 32, ContextTokens: 48}},
		{name: "none of it", cfg: chunker.RecursiveConfig{MaxTokens: 100, Overlap: -1, ContextTokens: -1}, want: chunker.RecursiveConfig{MaxTokens: 100}},
		{name: "small chunks", cfg: chunker.RecursiveConfig{MaxTokens: 40}, want: chunker.RecursiveConfig{MaxTokens: 40, Overlap: 10, ContextTokens: 48}},
		{name: "a small encoder", tok: limited{128}, want: chunker.RecursiveConfig{MaxTokens: 96, Overlap: 24, ContextTokens: 32}},
		{name: "a large encoder", tok: limited{8192}, want: chunker.RecursiveConfig{MaxTokens: 200, Overlap: 32, ContextTokens: 48}},
		{name: "more than the encoder reads", tok: limited{254}, cfg: chunker.RecursiveConfig{MaxTokens: 230}, err: true},
		{name: "too small", cfg: chunker.RecursiveConfig{MaxTokens: 15}, err: true},
		{name: "negative", cfg: chunker.RecursiveConfig{MaxTokens: -1}, err: true},
		{name: "overlap of most", cfg: chunker.RecursiveConfig{MaxTokens: 100, Overlap: 51}, err: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := chunker.NewRecursive(tc.tok, tc.cfg)
			if (err != nil) != tc.err {
				t.Fatalf("error %v, want one: %v", err, tc.err)
			}
			if err == nil && r.Config() != tc.want {
				t.Errorf("got %+v, want %+v", r.Config(), tc.want)
			}
		})
	}
}

// limited is a tokenizer of an encoder that reads so many tokens.
type limited struct{ max int }

func (l limited) MaxTokens() int { return l.max }
func (limited) TokenStarts(dst []int, text string) []int {
	return chunker.Approximate{}.TokenStarts(dst, text)
}

// build makes a document of blocks: "# " to "###### " begin a heading, "- " a list item, "| " a table,
// "    " code; the rest are paragraphs.
func build(title string, parts ...string) chunker.Document {
	doc := chunker.Document{Title: title}
	for _, p := range parts {
		if doc.Text != "" {
			doc.Text += "\n\n"
		}
		b := chunker.Block{Kind: chunker.Paragraph, Start: len(doc.Text)}
		switch hashes := len(p) - len(strings.TrimLeft(p, "#")); {
		case hashes > 0:
			b.Kind, b.Level = chunker.Heading, hashes
			p = strings.TrimSpace(p[hashes:])
		case strings.HasPrefix(p, "- "):
			b.Kind, b.Level = chunker.ListItem, 1
		case strings.HasPrefix(p, "| "):
			b.Kind = chunker.Table
		case strings.HasPrefix(p, "    "):
			b.Kind = chunker.Code
		}
		doc.Text += p
		b.End = len(doc.Text)
		doc.Blocks = append(doc.Blocks, b)
	}
	return doc
}

func lorem(sentences int) string {
	return strings.TrimSpace(strings.Repeat("The quick brown fox jumps over the lazy dog near the old mill. ", sentences))
}

func TestRecursiveStructure(t *testing.T) {
	rows := func(n int) string {
		var sb strings.Builder
		sb.WriteString("| Part | Price |\n| --- | --- |")
		for i := range n {
			fmt.Fprintf(&sb, "\n| ZX-%04d | %d euros |", i, i*7)
		}
		return sb.String()
	}
	type piece struct{ first, last, context string } // what the chunk's text begins and ends with
	for _, tc := range []struct {
		name string
		cfg  chunker.RecursiveConfig
		doc  chunker.Document
		want []piece
	}{
		{
			name: "empty", doc: chunker.Document{Text: " \n\t "},
		},
		{
			name: "one chunk, the title shown once",
			doc:  build("Handbook", "# Handbook", "Welcome."),
			want: []piece{{"Handbook\n\nWelcome.", "Welcome.", ""}},
		},
		{
			name: "outermost sections stay apart, small subsections meet",
			doc:  build("Handbook", "# Leave", lorem(3), "## Sick leave", lorem(1), "## Parents", lorem(1), "# Pay", lorem(3)),
			want: []piece{{"Leave\n", "old mill.", "Handbook"}, {"Pay\n", "old mill.", "Handbook"}},
		},
		{
			name: "a heading goes with its text",
			cfg:  chunker.RecursiveConfig{MaxTokens: 60, Overlap: -1},
			doc:  build("", lorem(3), "# Outer", "## Inner", lorem(3), "## Last"),
			want: []piece{{"The quick", "old mill.", ""}, {"Outer\n\nInner\n\nThe quick", "mill.\n\nLast", ""}},
		},
		{
			name: "a table cut between rows",
			cfg:  chunker.RecursiveConfig{MaxTokens: 100},
			doc:  build("Parts", "# Spares", rows(12)),
			want: []piece{{"Spares\n\n| Part", "|", "Parts"}, {"| ZX-", "| ZX-0011 | 77 euros |", "Parts\nSpares\n| Part | Price |"}},
		},
		{
			name: "code cut between lines, indentation kept",
			cfg:  chunker.RecursiveConfig{MaxTokens: 18},
			doc:  build("", "    func a() {\n        return one\n    }\n\n    func b() {\n        return two\n    }\n\n    func c() {\n        return three\n    }"),
			want: []piece{{"    func a() {", "}", ""}, {"    func b() {", "}", ""}},
		},
		{
			name: "a list keeps its introduction",
			cfg:  chunker.RecursiveConfig{MaxTokens: 50, Overlap: -1},
			doc:  build("", lorem(2), "Bring these:", "- a passport", "- two photographs", "- the signed form", lorem(1)),
			want: []piece{{"The quick", "old mill.", ""}, {"Bring these:", "old mill.", ""}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRecursive(t, nil, tc.cfg)
			chunks := check(t, r, chunker.Approximate{}, tc.doc)
			ok := len(chunks) == len(tc.want)
			for i := 0; ok && i < len(chunks); i++ {
				c, w := chunks[i], tc.want[i]
				ok = strings.HasPrefix(c.Text, w.first) && strings.HasSuffix(c.Text, w.last) && c.Context == w.context
			}
			if !ok {
				for i, c := range chunks {
					t.Errorf("%d: %d tokens, context %q, headings %q:\n%s", i, c.Tokens, c.Context, c.Headings, c.Text)
				}
			}
		})
	}
}

func TestRecursiveOverlap(t *testing.T) {
	r := newRecursive(t, nil, chunker.RecursiveConfig{MaxTokens: 64, Overlap: 20})
	var doc chunker.Document
	for i := range 20 {
		doc.Text += fmt.Sprintf("Sentence %d speaks of one more thing to know. ", i)
	}
	chunks := check(t, r, chunker.Approximate{}, doc)
	for i := 1; i < len(chunks); i++ {
		shared := doc.Text[chunks[i].Start:max(chunks[i-1].End, chunks[i].Start)]
		if !strings.HasPrefix(shared, "Sentence") || !strings.HasSuffix(shared, "know.") {
			t.Errorf("chunks %d and %d share %q, want whole sentences", i-1, i, shared)
		}
		if n := len(chunker.Approximate{}.TokenStarts(nil, shared)); n > 20 {
			t.Errorf("chunks %d and %d share %d tokens, want at most 20", i-1, i, n)
		}
	}
}

func TestRecursivePages(t *testing.T) {
	doc := chunker.Document{Text: "One two three. Four five six. Seven eight nine."}
	doc.Pages = []chunker.Page{{Number: 3, Start: 0, End: 15}, {Number: 4, Start: 15, End: 30}, {Number: 5, Start: 30, End: len(doc.Text)}}
	chunks := check(t, newRecursive(t, nil, chunker.RecursiveConfig{}), chunker.Approximate{}, doc)
	if len(chunks) != 1 || chunks[0].FirstPage != 3 || chunks[0].LastPage != 5 {
		t.Errorf("got %+v, want one chunk from page 3 to 5", chunks)
	}
}

// Blocks that an extractor got wrong must not lose text or panic.
func TestRecursiveBadBlocks(t *testing.T) {
	text := "前言。A first paragraph.\n\nA second one，with marks。"
	for _, blocks := range [][]chunker.Block{
		{{Kind: chunker.Paragraph, Start: -5, End: 1 << 40}},
		{{Kind: chunker.Paragraph, Start: 1, End: 2}, {Kind: chunker.Heading, Start: 4, End: 10, Level: 9}},
		{{Kind: chunker.Table, Start: 20, End: 30}, {Kind: chunker.Table, Start: 10, End: 25}},
		{{Kind: "unknown", Start: 9, End: 3}},
	} {
		check(t, newRecursive(t, nil, chunker.RecursiveConfig{}), chunker.Approximate{}, chunker.Document{Text: text, Blocks: blocks})
	}
}

// Cuts inside a word too long for a chunk keep grapheme clusters whole.
func TestRecursiveGraphemes(t *testing.T) {
	doc := chunker.Document{Text: strings.Repeat("👩‍👩‍👧‍👦🇨🇳é", 200)}
	borders := map[int]bool{}
	for g := uniseg.NewGraphemes(doc.Text); g.Next(); {
		from, to := g.Positions()
		borders[from], borders[to] = true, true
	}
	for i, c := range check(t, newRecursive(t, nil, chunker.RecursiveConfig{MaxTokens: 32}), chunker.Approximate{}, doc) {
		if !borders[c.Start] || !borders[c.End] {
			t.Errorf("chunk %d: [%d, %d) cuts a grapheme cluster", i, c.Start, c.End)
		}
	}
}

func TestRecursiveChinese(t *testing.T) {
	dir := testData(t)
	for _, set := range []string{"xquad-zh", "drcd-dev", "rgb-zh-fact"} {
		t.Run(set, func(t *testing.T) {
			var docs []string
			for _, d := range corpus(t, filepath.Join(dir, set)) {
				docs = append(docs, d.Text)
			}
			for name, doc := range map[string]chunker.Document{
				"one line each":    {Text: strings.Join(docs, "\n")},
				"a paragraph each": {Text: strings.Join(docs, "\n\n")},
				"one single line":  {Text: strings.Join(docs, "")},
			} {
				for _, size := range []int{64, 200} {
					r := newRecursive(t, nil, chunker.RecursiveConfig{MaxTokens: size})
					chunks := check(t, r, chunker.Approximate{}, doc)
					good := 0
					for i, c := range chunks {
						first, _ := utf8.DecodeRuneInString(c.Text)
						if strings.ContainsRune(closingMarks, first) {
							t.Errorf("%s, %d tokens, chunk %d starts with %c", name, size, i, first)
						}
						if endsWell(doc.Text, c.End) {
							good++
						}
					}
					share := float64(good) / float64(len(chunks))
					t.Logf("%s, %d tokens: %d chunks, %.2f %% end at a sentence or line", name, size, len(chunks), 100*share)
					if share < 0.95 && size >= 200 {
						t.Errorf("%s, %d tokens: %.2f %% end at a sentence or line, want 95", name, size, 100*share)
					}
				}
			}
		})
	}
}

// endsWell reports whether end is the end of a sentence or of a line of text.
func endsWell(text string, end int) bool {
	if rest := strings.TrimLeft(text[end:], " \t\r"); rest == "" || rest[0] == '\n' {
		return true
	}
	s := strings.TrimRight(text[:end], "\"')]}”’」』】》〉）")
	last, _ := utf8.DecodeLastRuneInString(s)
	return strings.ContainsRune("。！？.!?…", last)
}

type entry struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

func corpus(t testing.TB, dir string) []entry {
	f, err := os.Open(filepath.Join(dir, "corpus.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []entry
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<24)
	for sc.Scan() {
		var e entry
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// large is text of the kinds that make naive splitters quadratic.
var large = map[string]func(n int) string{
	"prose": func(n int) string { return strings.Repeat(lorem(8)+"\n\n", n/500) },
	"chinese": func(n int) string {
		return strings.Repeat("员工每年享有十五天带薪年假，须提前两周申请。", n/66+1)[:n/66*66]
	},
	"one word":     func(n int) string { return strings.Repeat("x", n) },
	"one sentence": func(n int) string { return strings.Repeat("and so on ", n/10) },
	"no spaces":    func(n int) string { return strings.Repeat("的", n/3) },
	"tiny lines":   func(n int) string { return strings.Repeat("a\n\n", n/3) },
	"marks":        func(n int) string { return strings.Repeat("。", n/3) },
	"blanks":       func(n int) string { return strings.Repeat(" ", n-1) + "x" },
	"accents":      func(n int) string { return "e" + strings.Repeat("\u0301", n/2) },
	"flags":        func(n int) string { return strings.Repeat("🇨", n/4) },
}

// The time of a split is near linear in the length, whatever the text.
func TestRecursiveLinear(t *testing.T) {
	const n = 1 << 19
	for name, text := range large {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			check(t, newRecursive(t, nil, chunker.RecursiveConfig{}), chunker.Approximate{}, chunker.Document{Text: text(n)})
			if d := time.Since(start); d > 20*time.Second {
				t.Errorf("%v for half a MiB", d)
			} else {
				t.Log(d)
			}
		})
	}
}

func BenchmarkRecursive(b *testing.B) {
	for _, name := range []string{"prose", "chinese", "one sentence", "no spaces", "one word"} {
		b.Run(name, func(b *testing.B) {
			doc := chunker.Document{Text: large[name](1 << 20)}
			r := newRecursive(b, nil, chunker.RecursiveConfig{})
			b.SetBytes(int64(len(doc.Text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Split(b.Context(), doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func FuzzRecursive(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		text := randomDocument(rng).Text // short: the fuzzer spends its time on making long inputs short
		f.Add(strings.ToValidUTF8(text[:min(len(text), 400)], ""), uint16(rng.IntN(1000)), uint16(rng.IntN(1000)))
	}
	f.Add("# Title\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n“你好。”他说。", uint16(40), uint16(7))
	f.Fuzz(func(t *testing.T, text string, size, seed uint16) {
		doc := chunker.Document{Title: "T", Text: text}
		kinds := []chunker.Kind{chunker.Heading, chunker.Paragraph, chunker.ListItem, chunker.Table, chunker.Code, chunker.Quote}
		for at := int(seed % 5); seed > 0 && at < len(text); {
			end := at + 1 + int(seed%97)
			doc.Blocks = append(doc.Blocks, chunker.Block{Kind: kinds[at%len(kinds)], Start: at, End: end, Level: at % 8})
			at = end + at%3
		}
		cfg := chunker.RecursiveConfig{MaxTokens: 16 + int(size%300)}
		check(t, newRecursive(t, nil, cfg), chunker.Approximate{}, doc)
	})
}
