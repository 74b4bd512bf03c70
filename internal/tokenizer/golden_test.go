package tokenizer

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

func unzip(tb testing.TB, name string) []byte {
	tb.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// goldenLines are the lines of scripts/golden_tokenizers.py.
var goldenLines = sync.OnceValues(func() (lines []string, err error) {
	f, err := os.Open("testdata/lines.json.gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err == nil {
		err = json.NewDecoder(z).Decode(&lines)
	}
	return lines, err
})

func readLines(tb testing.TB) []string {
	tb.Helper()
	lines, err := goldenLines()
	if err != nil {
		tb.Fatal(err)
	}
	return lines
}

func family(tb testing.TB, name string) *Pipeline {
	tb.Helper()
	tok, err := ParseJSON(unzip(tb, "families/"+name+".json.gz"))
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	return tok.(*Pipeline)
}

type golden struct {
	Text, IDs      string         // 4 hexadecimal digits a line
	Decoded        string         // 2 of them
	Trusted        map[int]string // by line, where it differs from Text
	Prefix, Suffix []int32
}

// TestGolden compares ids and byte offsets with Hugging Face tokenizers, and ids with SentencePiece
// for its own files, on 24,000 lines for each of the families; plain text, trusted text and decoding.
func TestGolden(t *testing.T) {
	lines := readLines(t)
	var all map[string]golden
	if err := json.Unmarshal(unzip(t, "golden.json.gz"), &all); err != nil {
		t.Fatal(err)
	}
	if len(lines) < 20000 || len(all) < 20 {
		t.Fatalf("%d lines, %d families", len(lines), len(all))
	}
	for name, want := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if want.IDs != "" {
				againstSentencePiece(t, name, lines, want)
				return
			}
			var tok Tokenizer
			var p *Pipeline
			if name == "wordpiece" {
				w, err := NewWordPiece(minilmVocab(t), WordPieceConfig{Lowercase: true, StripAccent: true})
				if err != nil {
					t.Fatal(err)
				}
				tok = w
			} else {
				p = family(t, name)
				tok = p
				if prefix, suffix := p.Specials(); !slices.Equal(prefix, want.Prefix) || !slices.Equal(suffix, want.Suffix) {
					t.Errorf("specials %v %v, want %v %v", prefix, suffix, want.Prefix, want.Suffix)
				}
			}
			var d digest
			var tokens []Token
			var ids []int32
			wrong := 0
			check := func(what string, i int, got, want string) {
				if got == want {
					return
				}
				if wrong++; wrong <= 5 {
					t.Errorf("%s of line %d %.300q differs: %v", what, i, lines[i], tokens[:min(len(tokens), 40)])
				}
			}
			for i, line := range lines {
				if p == nil && reordered(line) {
					continue
				}
				tokens = tok.Append(tokens[:0], line, -1)
				d.add(tokens)
				check("text", i, d.sum(4), want.Text[4*i:4*i+4])
				if p == nil {
					continue
				}
				ids = ids[:0]
				for _, tok := range tokens {
					ids = append(ids, tok.ID)
				}
				sum := sha256.Sum256([]byte(p.Decode(ids, false)))
				check("decoded text", i, hex.EncodeToString(sum[:1]), want.Decoded[2*i:2*i+2])
				tokens = p.AppendTrusted(tokens[:0], line, -1)
				d.add(tokens)
				trusted, ok := want.Trusted[i]
				if !ok {
					trusted = want.Text[4*i : 4*i+4]
				}
				check("trusted text", i, d.sum(4), trusted)
			}
			if wrong > 5 {
				t.Errorf("%d of %d lines differ", wrong, len(lines))
			}
		})
	}
}

// reordered reports the one thing that WordPiece's table cannot do: marks that NFD puts in another
// order, one of which strip_accents leaves.
func reordered(line string) bool {
	t, stays := normalization(), bertUnmark()
	last, unsorted, left := uint16(0), false, false
	for _, r := range line {
		text := string(r)
		if d, ok := t.canonical[r]; ok {
			text = d
		}
		for _, r := range text {
			class := t.class.class(r)
			if class == 0 {
				unsorted, left = false, false
			} else {
				unsorted = unsorted || class < last
				left = left || stays(r) >= 0
			}
			if last = class; unsorted && left {
				return true
			}
		}
	}
	return false
}

func againstSentencePiece(t *testing.T, name string, lines []string, want golden) {
	p, err := ParseSentencePiece(unzip(t, "families/"+name+".model.gz"))
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	var tokens []Token
	for i, line := range lines {
		tokens = p.Append(tokens[:0], line, -1)
		var b []byte
		for _, tok := range tokens {
			b = binary.LittleEndian.AppendUint32(b, uint32(tok.ID))
		}
		sum := sha256.Sum256(b)
		if hex.EncodeToString(sum[:2]) != want.IDs[4*i:4*i+4] {
			if wrong++; wrong <= 5 {
				var names []string
				for _, tok := range tokens[:min(len(tokens), 40)] {
					names = append(names, p.Token(tok.ID))
				}
				t.Errorf("line %d %.300q differs: %q", i, line, names)
			}
		}
	}
	if wrong > 5 {
		t.Errorf("%d of %d lines differ", wrong, len(lines))
	}
}

// TestLongTexts checks that what a text's tokens are does not depend on how it is read: limits, the
// parts of long texts, and starts alone.
func TestLongTexts(t *testing.T) {
	lines := readLines(t)
	text := strings.Join(lines[600:3000], " ") + strings.Repeat("中文字，", 3000)
	for _, name := range []string{"gpt2", "roberta-prefix", "llama3", "qwen2", "o200k", "deepseek", "added", "llama2", "llama2-metaspace", "xlmr", "t5", "unigram-bytes", "clip", "words", "bert"} {
		t.Run(name, func(t *testing.T) {
			p := family(t, name)
			got := p.Append(nil, text, -1)
			parts := p.parts
			p.parts = false
			want := p.Append(nil, text, -1)
			p.parts = parts
			if !parts {
				t.Log("long texts are read whole")
			}
			for i := range want {
				if i >= len(got) || got[i] != want[i] {
					t.Fatalf("token %d of %d differs between parts and whole: %v, near %q", i, len(want), want[i], text[max(0, want[i].Start-20):want[i].End+20])
				}
			}
			if len(got) != len(want) {
				t.Fatalf("%d tokens in parts, %d in whole", len(got), len(want))
			}
			for _, limit := range []int{1, 2, 7, 512, 5000} {
				if some := p.Append(nil, text, limit); !slices.Equal(some, want[:limit]) {
					t.Errorf("limit %d: other tokens", limit)
				}
			}
			for i, start := range p.AppendStarts(nil, text) {
				if start != want[i].Start {
					t.Fatalf("start %d is %d, want %d", i, start, want[i].Start)
				}
			}
		})
	}
}
