package tokenizer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestPreTokenizers compares where the pre-tokenizers of GGUF files cut with Hugging Face tokenizers, on lines of the
// golden files and on some that tell neighbours apart.
func TestPreTokenizers(t *testing.T) {
	var want struct {
		Lines int
		Extra []string
		Cuts  map[string]string // 4 hexadecimal digits a line
	}
	if err := json.Unmarshal(unzip(t, "pretokenizers.json.gz"), &want); err != nil {
		t.Fatal(err)
	}
	lines := append(slices.Clone(readLines(t)[:want.Lines]), want.Extra...)
	if len(lines) < 3000 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, g := range preTokenizerNames {
		first, _, _ := strings.Cut(g.names, " ")
		if !slices.Equal(g.pre.patterns, preTokenizers[first].patterns) {
			continue // another spelling of it
		}
		if len(want.Cuts[first]) != 4*len(lines) {
			t.Errorf("%s is not in the golden file", first)
			continue
		}
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			wrong := 0
			for i, line := range lines {
				if !utf8.ValidString(line) {
					continue
				}
				var b []byte
				cuts := cutBy(t, preTokenizers[first], line)
				for _, span := range cuts {
					b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, uint32(span[0])), uint32(span[1]))
				}
				sum := sha256.Sum256(b)
				if hex.EncodeToString(sum[:2]) != want.Cuts[first][4*i:4*i+4] {
					if wrong++; wrong <= 3 {
						var pieces []string
						for _, span := range cuts[:min(len(cuts), 40)] {
							pieces = append(pieces, line[span[0]:span[1]])
						}
						t.Errorf("line %d %.200q: %.400q", i, line, strings.Join(pieces, "|"))
					}
				}
			}
			if wrong > 0 {
				t.Errorf("%d of %d lines differ", wrong, len(lines))
			}
		})
	}
}

// TestPreTokenizersLong: the tokens of a long text do not depend on whether it is read in parts, and numbers and white
// space of any length are read in a time that grows as they do.
func TestPreTokenizersLong(t *testing.T) {
	file, _ := rankFile(t, "cl100k")
	l, err := listsOfRanks(file, &tokenizerConfig{Class: classGLM4})
	if err != nil {
		t.Fatal(err)
	}
	lines := readLines(t)
	text := strings.Join(lines[600:1600], " ") + strings.Repeat("中文字，", 3000) + strings.Join(lines[1600:2000], "。")
	endless := strings.Repeat("1", 300000) + "a " + strings.Repeat("٣", 100000) + strings.Repeat(" \n", 1000) + strings.Repeat(" ", 300000) + strings.Repeat("½7", 1000)
	for _, g := range preTokenizerNames {
		if g.pre.escaped || g.pre.bare {
			continue // of vocabularies of another kind
		}
		first, _, _ := strings.Cut(g.names, " ")
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			p, err := NewBPE(BPEConfig{Tokens: l.Tokens, Types: l.Types, Merges: l.Merges, Pre: first})
			if err != nil {
				t.Fatal(err)
			}
			got := p.Append(nil, text, -1)
			p.parts = false
			want := p.Append(nil, text, -1)
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Fatalf("token %d of %d differs between parts and whole: %v, near %q", i, len(want), want[i], text[max(0, want[i].Start-20):want[i].End+20])
				}
			}
			if len(got) != len(want) {
				t.Fatalf("%d tokens in parts, %d in whole", len(got), len(want))
			}
			if n := len(p.Append(nil, endless, -1)); n < 2000 || n > len(endless) {
				t.Errorf("%d tokens of %d bytes", n, len(endless))
			}
		})
	}
}

// TestCharacterMerges: a vocabulary of characters with merges has ▁ for spaces, bytes for what it lacks, and comes back
// as it was.
func TestCharacterMerges(t *testing.T) {
	cfg := BPEConfig{Tokens: []string{"<unk>", "▁", "l", "o", "w", "\n", "lo", "low", "▁low", "\n\n"}, Types: []int32{2, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		Merges: []string{"l o", "lo w", "▁ low", "\n \n"}, Pre: "gemma4"}
	for b := range 256 {
		cfg.Tokens, cfg.Types = append(cfg.Tokens, fmt.Sprintf("<0x%02X>", b)), append(cfg.Types, pieceByte)
	}
	p, err := NewBPE(cfg)
	if err != nil {
		t.Fatal(err)
	}
	const text = "low low\n\né  low"
	var got []string
	var ids []int32
	for _, x := range p.Append(nil, text, -1) {
		got, ids = append(got, p.Token(x.ID)), append(ids, x.ID)
	}
	if want := []string{"low", "▁low", "\n\n", "<0xC3>", "<0xA9>", "▁", "▁low"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if back := p.Decode(ids, false); back != text {
		t.Errorf("comes back as %q", back)
	}
	cfg = BPEConfig{Tokens: []string{"<unk>", "l", "o", "w", "lo", "low"}, Types: []int32{2, 1, 1, 1, 1, 1}, Merges: []string{"l o", "lo w"}, Pre: "whitespace"}
	if p, err = NewBPE(cfg); err != nil {
		t.Fatal(err)
	}
	got = nil
	for _, x := range p.Append(nil, " low\tw é", -1) {
		got = append(got, p.Token(x.ID))
	}
	if want := []string{"low", "w", "<unk>"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// FuzzPreTokenizers: the pieces of any text follow one another, on borders of characters, and leave nothing out but the
// white space where that is meant.
func FuzzPreTokenizers(f *testing.F) {
	for _, s := range append([]string{"", "1234567a 12 ½1234", "     \n  x", "\xff\xe4\xb8", "ab cd e\u0301 f", "<sentinel:1>IMGIMGABZ"}, readLines(f)[600:620]...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, g := range preTokenizerNames {
			at := 0
			for _, span := range cutBy(t, g.pre, text) {
				if span[0] < at || span[0] >= span[1] || span[0] > at && !g.pre.bare || span[1] < len(text) && !utf8.RuneStart(text[span[1]]) && utf8.ValidString(text) {
					t.Fatalf("%s: %q: a piece from %d to %d, after %d", g.names, text, span[0], span[1], at)
				}
				at = span[1]
			}
			if at != len(text) && !g.pre.bare {
				t.Fatalf("%s: %q: %d bytes are left", g.names, text, len(text)-at)
			}
		}
	})
}

// cutBy are the pieces that a pre-tokenizer of GGUF files cuts a text into.
func cutBy(t testing.TB, pre preTokenizer, text string) [][2]int {
	t.Helper()
	var c pipelineParts
	if err := pre.addTo(&c); err != nil {
		t.Fatal(err)
	}
	pieces := [][2]int{{0, len(text)}}
	for _, st := range c.pre {
		var next [][2]int
		for _, p := range pieces {
			for s, at := text[p[0]:p[1]], 0; at < len(s); {
				start, end := st.cut.next(s, at)
				if start == end {
					break
				}
				next, at = append(next, [2]int{p[0] + start, p[0] + end}), end
			}
		}
		pieces = next
	}
	return pieces
}
