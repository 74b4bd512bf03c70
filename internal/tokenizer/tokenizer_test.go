package tokenizer

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"
)

func minilmVocab(tb testing.TB) []string {
	tb.Helper()
	data, err := os.ReadFile("../../embed/builtin/vocab.txt")
	if err != nil {
		tb.Fatal(err)
	}
	tokens, err := WordPieceVocab(data)
	if err != nil {
		tb.Fatal(err)
	}
	return tokens
}

// digest is what scripts/golden_embed.py writes: hashes of ids, starts and ends.
type digest struct{ buf []byte }

func (d *digest) add(tokens []Token) {
	for _, f := range []func(Token) int{
		func(t Token) int { return int(t.ID) }, func(t Token) int { return t.Start }, func(t Token) int { return t.End },
	} {
		for _, t := range tokens {
			d.buf = binary.LittleEndian.AppendUint32(d.buf, uint32(f(t)))
		}
		d.buf = append(d.buf, '|')
	}
}

func (d *digest) sum(digits int) string {
	s := sha256.Sum256(d.buf)
	d.buf = d.buf[:0]
	return hex.EncodeToString(s[:])[:digits]
}

// TestWordPieceAgainstHuggingFace compares ids and offsets with Hugging Face tokenizers, for some 250
// texts and for every code point of Unicode inside a word and alone, in the modes of BERT's normaliser.
func TestWordPieceAgainstHuggingFace(t *testing.T) {
	f, err := os.Open("testdata/wordpiece.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Texts []string
		Modes []struct {
			Clean, Chinese, Strip, Lower bool
			Texts                        []string
			Blocks                       map[string]string // first code point in hex: digest of 4096
		}
	}
	if err := json.NewDecoder(z).Decode(&golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Texts) < 200 || len(golden.Modes) < 7 {
		t.Fatalf("%d texts in %d modes", len(golden.Texts), len(golden.Modes))
	}
	vocab := minilmVocab(t)
	for _, m := range golden.Modes {
		w, err := NewWordPiece(vocab, WordPieceConfig{KeepControl: !m.Clean, JoinChinese: !m.Chinese, StripAccent: m.Strip, Lowercase: m.Lower})
		if err != nil {
			t.Fatal(err)
		}
		var d digest
		var tokens []Token
		for i, text := range golden.Texts {
			tokens = w.Append(tokens[:0], text, -1)
			d.add(tokens)
			if d.sum(16) != m.Texts[i] {
				t.Errorf("clean %v chinese %v strip %v lower %v: text %d %.80q differs", m.Clean, m.Chinese, m.Strip, m.Lower, i, text)
			}
		}
		for block, want := range m.Blocks {
			first, err := strconv.ParseInt(block, 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			for c := rune(first); c < rune(first)+0x1000; c++ {
				if utf8.ValidRune(c) {
					fmt.Fprintf(&text, "a%cb %c . ", c, c)
				}
			}
			tokens = w.Append(tokens[:0], text.String(), -1)
			d.add(tokens)
			if d.sum(8) != want {
				t.Errorf("clean %v chinese %v strip %v lower %v: code points from U+%s differ", m.Clean, m.Chinese, m.Strip, m.Lower, block)
			}
		}
	}
}

func small(t testing.TB, cfg WordPieceConfig) *WordPiece {
	t.Helper()
	w, err := NewWordPiece([]string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "a", "##b", "[", "]", "cls", "中"}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWordPiece(t *testing.T) {
	w := small(t, WordPieceConfig{Lowercase: true, StripAccent: true})
	for _, c := range []struct {
		name, text string
		want       []Token
	}{
		{"empty", "", nil},
		{"pieces", "unaffable", []Token{{4, 0, 2}, {5, 2, 5}, {6, 5, 9}}},
		{"unknown word", "unaffablex a", []Token{{1, 0, 10}, {7, 11, 12}}},
		{"accents and case", "Ä Áb", []Token{{7, 0, 2}, {7, 3, 5}, {8, 5, 6}}},
		{"special tokens are text", "[CLS]", []Token{{9, 0, 1}, {11, 1, 4}, {10, 4, 5}}},
		{"chinese", "a中a", []Token{{7, 0, 1}, {12, 1, 4}, {7, 4, 5}}},
		{"control characters vanish", "a\x00\u200bb\x7f", []Token{{7, 0, 1}, {8, 5, 6}}},
		{"invalid UTF-8 vanishes", "a\xff\xfeb \xe4\xb8", []Token{{7, 0, 1}, {8, 3, 4}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := w.Append(nil, c.text, -1); !slices.Equal(got, c.want) {
				t.Errorf("%q: got %v, want %v", c.text, got, c.want)
			}
			var starts []int
			for _, tok := range c.want {
				starts = append(starts, tok.Start)
			}
			if got := w.AppendStarts(nil, c.text); !slices.Equal(got, starts) {
				t.Errorf("%q: starts %v, want %v", c.text, got, starts)
			}
		})
	}
}

func TestAppendLimit(t *testing.T) {
	w := small(t, WordPieceConfig{})
	text := strings.Repeat("unaffable a中 ", 1000)
	all := w.Append(nil, text, -1)
	dst := []Token{{-7, 0, 0}}
	for _, limit := range []int{0, 1, 2, 3, 4, 5, 17, len(all), len(all) + 1} {
		got := w.Append(dst, text, limit)
		if got[0].ID != -7 || !slices.Equal(got[1:], all[:min(limit, len(all))]) {
			t.Errorf("limit %d: %d tokens that are not the first", limit, len(got)-1)
		}
	}
	if starts := w.AppendStarts(nil, text); len(starts) != len(all) || !slices.IsSorted(starts) {
		t.Errorf("%d starts for %d tokens", len(starts), len(all))
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	w := small(t, WordPieceConfig{Lowercase: true, StripAccent: true})
	text := strings.Repeat("Unaffäble, a中 xyz ", 100)
	buf, starts := w.Append(nil, text, -1), w.AppendStarts(nil, text)
	if n := testing.AllocsPerRun(100, func() {
		buf = w.Append(buf[:0], text, -1)
		starts = w.AppendStarts(starts[:0], text)
	}); n > 1 {
		t.Errorf("%v allocations a call", n)
	}
}

const tinyJSON = `{"added_tokens":[{"id":0,"content":"[UNK]","special":true}],
 "normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},
 "pre_tokenizer":{"type":"BertPreTokenizer"},
 "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[C]","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"[S]","type_id":0}}],
  "special_tokens":{"[C]":{"id":"[C]","ids":[1],"tokens":["[C]"]},"[S]":{"id":"[S]","ids":[2],"tokens":["[S]"]}}},
 "model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":5,"vocab":{"[UNK]":0,"[C]":1,"[S]":2,"a":3,"##a":4}}}`

func TestParseJSON(t *testing.T) {
	tok, err := ParseJSON([]byte(tinyJSON))
	if err != nil {
		t.Fatal(err)
	}
	prefix, suffix := tok.Specials()
	if !slices.Equal(prefix, []int32{1}) || !slices.Equal(suffix, []int32{2}) || tok.Size() != 5 {
		t.Errorf("specials %v %v, size %d", prefix, suffix, tok.Size())
	}
	if got := tok.Append(nil, "Áa aaaaaa", -1); !slices.Equal(got, []Token{{3, 0, 2}, {4, 2, 3}, {0, 4, 10}}) {
		t.Errorf("tokens %v", got)
	}
	if id, ok := tok.ID("##a"); !ok || id != 4 || tok.Token(4) != "##a" || tok.Token(-1) != "" || tok.Token(99) != "" {
		t.Errorf("vocabulary: %v %v", id, ok)
	}
	if _, ok := tok.ID("##"); ok {
		t.Error("a prefix of an entry is an entry")
	}
}

func TestParseJSONRefused(t *testing.T) {
	for name, edit := range map[string][2]string{
		"not JSON":          {`{"added_tokens"`, `added_tokens`},
		"other model":       {`"type":"WordPiece"`, `"type":"WordLevel"`},
		"other normalizer":  {`BertNormalizer`, `NFKC`},
		"other pre":         {`BertPreTokenizer`, `Whitespace`},
		"huge id":           {`"a":3`, `"a":3000000000`},
		"negative id":       {`"a":3`, `"a":-3`},
		"shared id":         {`"a":3`, `"a":4`},
		"no unknown":        {`"unk_token":"[UNK]"`, `"unk_token":"nix"`},
		"template's id":     {`"ids":[1]`, `"ids":[77]`},
		"added token's id":  {`{"id":0,`, `{"id":1,`},
		"word length":       {`_word":5`, `_word":500000000`},
		"no text":           {`{"Sequence":{"id":"A","type_id":0}},`, ``},
		"text not special":  {`"special":true`, `"special":false`},
		"vocabulary's type": {`"vocab":{`, `"vocab":7,"x":{`},
	} {
		data := strings.Replace(tinyJSON, edit[0], edit[1], 1)
		if data == tinyJSON {
			t.Fatalf("%s: nothing replaced", name)
		}
		if _, err := ParseJSON([]byte(data)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := ParseJSON([]byte("{}")); err == nil {
		t.Error("empty object: no error")
	}
}

func TestLoad(t *testing.T) {
	vocab := &fstest.MapFile{Data: []byte("[PAD]\r\n[UNK]\n[CLS]\n[SEP]\nA\na\n")}
	cased := &fstest.MapFile{Data: []byte(`{"do_lower_case":false,"unk_token":{"content":"[UNK]"}}`)}
	for _, c := range []struct {
		name string
		dir  fstest.MapFS
		id   int32 // of "A"
	}{
		{"vocab alone is uncased", fstest.MapFS{"vocab.txt": vocab}, 5},
		{"cased", fstest.MapFS{"vocab.txt": vocab, "tokenizer_config.json": cased}, 4},
		{"json first", fstest.MapFS{"vocab.txt": vocab, "tokenizer.json": {Data: []byte(tinyJSON)}}, 3},
	} {
		tok, err := Load(c.dir)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := tok.Append(nil, "A", -1); len(got) != 1 || got[0].ID != c.id {
			t.Errorf("%s: got %v, want id %d", c.name, got, c.id)
		}
	}
	if _, err := Load(fstest.MapFS{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("empty folder: %v", err)
	}
	for name, data := range map[string]string{"empty": "", "no specials": "a\nb\n", "not UTF-8": "\xff\xfe[UNK]\n"} {
		if _, err := Load(fstest.MapFS{"vocab.txt": {Data: []byte(data)}}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// checkTokens checks what holds for any text: offsets inside it, on rune borders, never falling.
func checkTokens(t *testing.T, text string, tokens []Token, size int) {
	t.Helper()
	last := Token{}
	for _, tok := range tokens {
		if tok.ID < 0 || int(tok.ID) >= size || tok.Start < last.Start || tok.End < last.End || tok.End <= tok.Start || tok.End > len(text) {
			t.Fatalf("token %v after %v in %d bytes", tok, last, len(text))
		}
		if utf8.ValidString(text) && (!utf8.RuneStart(text[tok.Start]) || tok.End < len(text) && !utf8.RuneStart(text[tok.End])) {
			t.Fatalf("token %v cuts a rune of %q", tok, text)
		}
		last = tok
	}
}

func FuzzWordPiece(f *testing.F) {
	for _, s := range []string{"", "unaffable", "Äb中 [SEP]\x00", "\xff\xe4\xb8", "a\u0301\u200b한"} {
		f.Add(s, 3)
	}
	modes := []*WordPiece{small(f, WordPieceConfig{Lowercase: true, StripAccent: true}), small(f, WordPieceConfig{KeepControl: true, JoinChinese: true})}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		for _, w := range modes {
			tokens := w.Append(nil, text, -1)
			checkTokens(t, text, tokens, w.Size())
			limit = max(limit, 0)
			if got := w.Append(nil, text, limit); !slices.Equal(got, tokens[:min(limit, len(tokens))]) {
				t.Fatalf("limit %d: %v, all: %v", limit, got, tokens)
			}
			starts := w.AppendStarts(nil, text)
			for i, s := range starts {
				if s != tokens[i].Start {
					t.Fatalf("start %d is %d, token %v", i, s, tokens[i])
				}
			}
		}
	})
}

func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(tinyJSON))
	f.Add([]byte(`{"model":{"type":"WordPiece","vocab":{"":9}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if tok, err := ParseJSON(data); err == nil {
			checkTokens(t, "Aa aaaa 中", tok.Append(nil, "Aa aaaa 中", -1), tok.Size())
		}
	})
}

func FuzzVocab(f *testing.F) {
	f.Add([]byte("[UNK]\n[CLS]\n[SEP]\na\n##a\n\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := Load(fstest.MapFS{"vocab.txt": {Data: data}})
		if err != nil {
			return
		}
		for id := range int32(tok.Size()) {
			if s := tok.Token(id); s != "" {
				if got, ok := tok.ID(s); !ok || tok.Token(got) != s {
					t.Fatalf("entry %q of id %d is found as %d, %v", s, id, got, ok)
				}
			}
		}
		checkTokens(t, "Aa aaaa 中", tok.Append(nil, "Aa aaaa 中", -1), tok.Size())
	})
}

func BenchmarkWordPiece(b *testing.B) {
	w, err := NewWordPiece(minilmVocab(b), WordPieceConfig{Lowercase: true, StripAccent: true})
	if err != nil {
		b.Fatal(err)
	}
	for name, text := range map[string]string{
		"english": strings.Repeat("Refunds are paid within five working days of a written cancellation, see section 4.2. ", 100),
		"chinese": strings.Repeat("员工每年享有十五天带薪年假，须提前两周申请。", 100),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			var tokens []Token
			for b.Loop() {
				tokens = w.Append(tokens[:0], text, -1)
			}
			b.ReportMetric(float64(len(tokens))*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

func BenchmarkNewWordPiece(b *testing.B) {
	vocab := minilmVocab(b)
	for b.Loop() {
		if _, err := NewWordPiece(vocab, WordPieceConfig{}); err != nil {
			b.Fatal(err)
		}
	}
}
