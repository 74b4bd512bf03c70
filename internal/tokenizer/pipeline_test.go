package tokenizer

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"
)

var familyNames = []string{"gpt2", "roberta", "roberta-prefix", "llama3", "qwen2", "qwen3.5", "cl100k", "o200k", "deepseek", "added", "llama2", "llama2-metaspace",
	"xlmr", "t5", "unigram-bytes", "clip", "words", "punct", "bert", "bert-cased"}

// checkSpans checks what holds for any text: known ids, ranges inside the text and on rune borders.
func checkSpans(t *testing.T, text string, tokens []Token, size int) {
	t.Helper()
	valid := utf8.ValidString(text)
	for _, tok := range tokens {
		if tok.ID < 0 || int(tok.ID) >= size || tok.Start < 0 || tok.End < tok.Start || tok.End > len(text) {
			t.Fatalf("token %v in %d bytes of %q", tok, len(text), text)
		}
		if valid && (tok.Start < len(text) && !utf8.RuneStart(text[tok.Start]) || tok.End < len(text) && !utf8.RuneStart(text[tok.End])) {
			t.Fatalf("token %v cuts a rune of %q", tok, text)
		}
	}
}

func TestInvalidUTF8(t *testing.T) {
	bad := "ab\xff\xfec \xe4\xb8 \xc3(\xf0\x9f\x99"
	for _, name := range familyNames {
		p := family(t, name)
		got := p.Append(nil, bad, -1)
		checkSpans(t, bad, got, p.Size())
		// Each byte stands for one U+FFFD.
		var clean strings.Builder
		for _, r := range bad {
			clean.WriteRune(r)
		}
		want := p.Append(nil, clean.String(), -1)
		if len(got) != len(want) {
			t.Errorf("%s: %d tokens, %d for the text with U+FFFD", name, len(got), len(want))
			continue
		}
		for i := range got {
			if got[i].ID != want[i].ID {
				t.Errorf("%s: token %d is %v, want id %d", name, i, got[i], want[i].ID)
			}
		}
	}
}

// TestSpecialTokensNeedTrust checks that the names of special tokens are only text, in whatever
// company, unless the text is trusted.
func TestSpecialTokensNeedTrust(t *testing.T) {
	for _, name := range familyNames {
		p := family(t, name)
		found := 0
		for id := range p.special {
			token := p.Token(id)
			for _, text := range []string{token, token + token, " " + token + " ", "a" + token + "b", "\n" + token, strings.ToUpper(token), strings.ReplaceAll(token, "|", "||")} {
				for _, tok := range p.Append(nil, text, -1) {
					if p.special[tok.ID] && p.Token(tok.ID) != "<unk>" {
						t.Errorf("%s: %q in plain text yields %q", name, text, p.Token(tok.ID))
					}
				}
			}
			if slices.ContainsFunc(p.AppendTrusted(nil, "a"+token+" b", -1), func(x Token) bool { return x.ID == id }) {
				found++
			}
		}
		if found != len(p.special) {
			t.Errorf("%s: %d of %d special tokens found in trusted text", name, found, len(p.special))
		}
	}
}

func TestPipelineSteadyStateDoesNotAllocate(t *testing.T) {
	text := strings.Repeat("Refunds are paid within 5 days; 员工每年享有十五天带薪年假。 naïve café 🙂\n", 40)
	for _, name := range []string{"gpt2", "llama3", "qwen2", "o200k", "llama2", "t5", "xlmr", "unigram-bytes"} {
		p := family(t, name)
		tokens, starts := p.Append(nil, text, -1), p.AppendStarts(nil, text)
		if n := testing.AllocsPerRun(20, func() {
			tokens = p.Append(tokens[:0], text, -1)
			starts = p.AppendStarts(starts[:0], text)
		}); n > 4 {
			t.Errorf("%s: %v allocations a call for %d tokens", name, n, len(tokens))
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	lines := readLines(t)[700:1100]
	for _, name := range []string{"qwen2", "xlmr", "llama2"} {
		p := family(t, name)
		var want [][]Token
		for _, line := range lines {
			want = append(want, p.Append(nil, line, -1))
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for i, line := range lines {
					if got := p.Append(nil, line, -1); !slices.Equal(got, want[i]) {
						t.Errorf("%s: line %d differs between goroutines", name, i)
					}
				}
			})
		}
		wg.Wait()
	}
}

// TestHostileTexts checks that no text costs more than about n log n, and a limit bounds the cost.
func TestHostileTexts(t *testing.T) {
	for _, name := range []string{"gpt2", "llama3", "o200k", "deepseek", "llama2", "xlmr", "unigram-bytes", "qwen2", "added", "clip"} {
		p := family(t, name)
		for what, text := range map[string]string{
			"one letter": strings.Repeat("a", 1<<17), "two letters": strings.Repeat("ab", 1<<16), "spaces": strings.Repeat(" ", 1<<17), "marks": "a" + strings.Repeat("\u0301\u0323", 1<<15),
			"chinese": strings.Repeat("中", 1<<15), "newlines": strings.Repeat(" \n", 1<<16), "apostrophes": strings.Repeat("'", 1<<17), "emoji": strings.Repeat("👩\u200d", 1<<14),
			"mixed case": strings.Repeat("aBªA", 1<<14),
		} {
			start := time.Now()
			checkSpans(t, text, p.Append(nil, text, -1), p.Size())
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("%s: %s: %v for %d bytes", name, what, took, len(text))
			}
		}
	}
}

// TestLongWordsMergeAlike compares the heap with the plain algorithm, on words of a few characters so
// that merges collide.
func TestLongWordsMergeAlike(t *testing.T) {
	p := family(t, "gpt2")
	b := p.model.(*bpe)
	r := rand.New(rand.NewPCG(1, 2))
	s := &scratch{}
	for range 300 {
		word := make([]byte, 2+r.IntN(38))
		for i := range word {
			word[i] = "eontirsha "[r.IntN(10)]
		}
		var a, c []piece
		for i, x := range word {
			a = append(a, piece{b.bytes[x], int32(i), int32(i + 1)})
		}
		c = slices.Clone(a)
		a, c = a[:b.mergeAll(s, a)], c[:b.mergeLong(s, c)]
		if !slices.Equal(a, c) {
			t.Fatalf("%q: %v, by heap %v", word, a, c)
		}
	}
}

func TestDecoderStreams(t *testing.T) {
	lines := readLines(t)
	for _, name := range familyNames {
		p := family(t, name)
		for _, line := range lines[600:900] {
			var ids []int32
			for _, tok := range p.AppendTrusted(nil, line, -1) {
				ids = append(ids, tok.ID)
			}
			d := p.NewDecoder(true)
			var b strings.Builder
			for _, id := range ids {
				part := d.Next(id)
				if !utf8.ValidString(part) {
					t.Fatalf("%s: %q streams %q, which is not UTF-8", name, line, part)
				}
				b.WriteString(part)
			}
			b.WriteString(d.Flush())
			if want := p.Decode(ids, true); b.String() != want {
				t.Fatalf("%s: %q streams as %q", name, want, b.String())
			}
		}
	}
	p := family(t, "gpt2")
	for text, want := range map[string]string{"🙂 ok": "🙂 ok", "plain": "plain", "中文。": "中文。"} {
		var ids []int32
		for _, tok := range p.Append(nil, text, -1) {
			ids = append(ids, tok.ID)
		}
		if got := p.Decode(ids, false); got != want {
			t.Errorf("%q comes back as %q", text, got)
		}
	}
	half := p.model.(*bpe).bytes["🙂"[0]]
	if got := p.Decode([]int32{half, half, -1, 1 << 30}, false); got != "\uFFFD\uFFFD" {
		t.Errorf("two halves of a character decode to %q", got)
	}
}

func TestNewBPERefused(t *testing.T) {
	ok := func() BPEConfig {
		return BPEConfig{Tokens: []string{"a", "b", "ab", "<s>"}, Types: []int32{1, 1, 1, 3}, Merges: []string{"a b"}}
	}
	if _, err := NewBPE(ok()); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*BPEConfig){
		"no tokens":        func(c *BPEConfig) { c.Tokens = nil },
		"types":            func(c *BPEConfig) { c.Types = c.Types[1:] },
		"unknown pre":      func(c *BPEConfig) { c.Pre = "nix" },
		"merge of one":     func(c *BPEConfig) { c.Merges = []string{"a"} },
		"merge of three":   func(c *BPEConfig) { c.Merges = []string{"a b c"} },
		"merge unknown":    func(c *BPEConfig) { c.Merges = []string{"a x"} },
		"merge to nothing": func(c *BPEConfig) { c.Merges = []string{"b a"} },
		"alphabet":         func(c *BPEConfig) { c.Merges = []string{"a \u4e00"} },
		"special":          func(c *BPEConfig) { c.Prefix = []int32{9} },
		"no scores":        func(c *BPEConfig) { c.Merges = nil },
		"NaN":              func(c *BPEConfig) { c.Merges, c.Scores = nil, []float32{0, float32(math.NaN()), 0, 0} },
		"pre with scores":  func(c *BPEConfig) { c.Merges, c.Scores, c.Pre = nil, make([]float32, 4), "gpt-2" },
		"byte tokens":      func(c *BPEConfig) { c.Merges, c.Scores, c.Types = nil, make([]float32, 4), []int32{6, 1, 1, 3} },
		"duplicate token":  func(c *BPEConfig) { c.Merges, c.Scores, c.Tokens[0] = nil, make([]float32, 4), "b" },
		"token of 20,000 a": func(c *BPEConfig) {
			c.Merges, c.Scores, c.Tokens[0] = nil, make([]float32, 4), strings.Repeat("a", 20000)
		},
	} {
		c := ok()
		edit(&c)
		if _, err := NewBPE(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestGGUFLists builds tokenizers from lists as a GGUF file has them and compares with the files they
// come from.
func TestGGUFLists(t *testing.T) {
	lines := readLines(t)[600:2000]
	same := func(name string, got, want *Pipeline) {
		t.Helper()
		for _, line := range lines {
			if a, b := got.Append(nil, line, -1), want.Append(nil, line, -1); !slices.Equal(a, b) {
				t.Fatalf("%s: %q: %v, want %v", name, line, a, b)
			}
		}
	}
	for name, pre := range map[string]string{"gpt2": "gpt-2", "llama3": "llama-bpe", "qwen2": "qwen2", "o200k": "gpt-4o", "deepseek": "deepseek-v3"} {
		var f struct {
			Model struct {
				Vocab  map[string]int64
				Merges []mergeText
			}
		}
		if err := json.Unmarshal(unzip(t, "families/"+name+".json.gz"), &f); err != nil {
			t.Fatal(err)
		}
		want := family(t, name)
		want.trim = false
		cfg := BPEConfig{Pre: pre, Types: make([]int32, want.Size())}
		for id := range int32(want.Size()) {
			cfg.Tokens = append(cfg.Tokens, want.Token(id))
			cfg.Types[id] = pieceNormal
			if want.IsSpecial(id) {
				cfg.Types[id] = pieceControl
			}
		}
		for _, m := range f.Model.Merges {
			cfg.Merges = append(cfg.Merges, m[0]+" "+m[1])
		}
		got, err := NewBPE(cfg)
		if err != nil {
			t.Fatal(err)
		}
		same(name, got, want)
	}
	for _, name := range []string{"spm-bpe", "spm-unigram"} {
		data := unzip(t, "families/"+name+".model.gz")
		m, err := readSPM(data)
		if err != nil {
			t.Fatal(err)
		}
		want, err := ParseSentencePiece(data)
		if err != nil {
			t.Fatal(err)
		}
		var got *Pipeline
		if m.kind == 2 {
			got, err = NewBPE(BPEConfig{Tokens: m.tokens, Scores: m.scores, Types: m.types, Prefix: []int32{1}})
		} else {
			got, err = NewUnigram(UnigramConfig{Tokens: m.tokens, Scores: m.scores, Types: m.types, Charsmap: m.charsmap})
		}
		if err != nil {
			t.Fatal(err)
		}
		same(name, got, want)
	}
}

func TestLoadParts(t *testing.T) {
	var f struct {
		Model struct {
			Vocab  map[string]int64
			Merges []mergeText
		}
	}
	if err := json.Unmarshal(unzip(t, "families/roberta.json.gz"), &f); err != nil {
		t.Fatal(err)
	}
	vocab, _ := json.Marshal(f.Model.Vocab)
	merges := "#version: 0.2\n"
	for _, m := range f.Model.Merges {
		merges += m[0] + " " + m[1] + "\n"
	}
	dir := fstest.MapFS{
		"vocab.json":            {Data: vocab},
		"merges.txt":            {Data: []byte(merges)},
		"tokenizer_config.json": {Data: []byte(`{"tokenizer_class":"RobertaTokenizer","bos_token":"<s>","eos_token":"</s>","pad_token":"<pad>","unk_token":"<unk>","mask_token":{"content":"<mask>","lstrip":true}}`)},
	}
	got, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := family(t, "roberta")
	for _, line := range readLines(t)[600:2000] {
		if a, b := got.Append(nil, line, -1), want.Append(nil, line, -1); !slices.Equal(a, b) {
			t.Fatalf("%q: %v, want %v", line, a, b)
		}
		if a, b := got.(*Pipeline).AppendTrusted(nil, line, -1), want.AppendTrusted(nil, line, -1); !slices.Equal(a, b) {
			t.Fatalf("trusted %q: %v, want %v", line, a, b)
		}
	}
	if p, s := got.Specials(); !slices.Equal(p, []int32{0}) || !slices.Equal(s, []int32{2}) {
		t.Errorf("specials %v %v", p, s)
	}

	model := unzip(t, "families/spm-unigram.model.gz")
	for name, c := range map[string]struct {
		file, config     string
		prefix, suffix   []int32
		first            string
		offset, trailing int
	}{
		"llama": {"tokenizer.model", "", []int32{1}, nil, "<unk>", 0, 0},
		"t5":    {"spiece.model", "", nil, []int32{2}, "<unk>", 0, 0},
		"xlmr":  {"sentencepiece.bpe.model", "", []int32{0}, []int32{2}, "<s>", 1, 1},
		"eos":   {"tokenizer.model", `{"add_bos_token":false,"add_eos_token":true}`, nil, []int32{2}, "<unk>", 0, 0},
	} {
		dir := fstest.MapFS{c.file: {Data: model}}
		if c.config != "" {
			dir["tokenizer_config.json"] = &fstest.MapFile{Data: []byte(c.config)}
		}
		tok, err := Load(dir)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if p, s := tok.Specials(); !slices.Equal(p, c.prefix) || !slices.Equal(s, c.suffix) || tok.Token(0) != c.first {
			t.Errorf("%s: specials %v %v, first token %q", name, p, s, tok.Token(0))
		}
		plain, err := ParseSentencePiece(model)
		if err != nil {
			t.Fatal(err)
		}
		if tok.Size() != plain.Size()+c.offset+c.trailing {
			t.Errorf("%s: size %d, the file has %d", name, tok.Size(), plain.Size())
		}
		a, b := tok.Append(nil, "Refunds are paid.", -1), plain.Append(nil, "Refunds are paid.", -1)
		for i := range b {
			if int(a[i].ID) != int(b[i].ID)+c.offset {
				t.Errorf("%s: %v, want %v shifted by %d", name, a, b, c.offset)
				break
			}
		}
	}
	for name, dir := range map[string]fstest.MapFS{
		"no merges":   {"vocab.json": {Data: vocab}},
		"bad vocab":   {"vocab.json": {Data: []byte(`{"a":-1}`)}, "merges.txt": {Data: nil}},
		"bad merges":  {"vocab.json": {Data: vocab}, "merges.txt": {Data: []byte("a b c\n")}},
		"bad model":   {"tokenizer.model": {Data: []byte("\x0a\xff\xff\xff\xff\x0f")}},
		"bad config":  {"tokenizer.model": {Data: model}, "tokenizer_config.json": {Data: []byte("[")}},
		"no such bos": {"tokenizer.model": {Data: model}, "tokenizer_config.json": {Data: []byte(`{"bos_token":"nix"}`)}},
	} {
		if _, err := Load(dir); err == nil {
			t.Errorf("%s: no error", name)
		} else if name == "no merges" != errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func field(number int, data string) string {
	return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3|2), uint64(len(data)))) + data
}

func spmPiece(token string, score float32, kind int) string {
	s := field(1, token) + "\x15" + string(binary.LittleEndian.AppendUint32(nil, math.Float32bits(score)))
	if kind > 0 {
		s += "\x18" + string(rune(kind))
	}
	return field(1, s)
}

func TestParseSentencePieceRefused(t *testing.T) {
	ok := spmPiece("<unk>", 0, 2) + spmPiece("a", -1, 0)
	if _, err := ParseSentencePiece([]byte(ok)); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"empty": "", "truncated": ok[:len(ok)-1], "twice": ok + spmPiece("a", -2, 0), "two unknowns": ok + spmPiece("b", 0, 2), "NaN": ok + spmPiece("b", float32(math.NaN()), 0),
		"type": ok + spmPiece("b", 0, 77), "not UTF-8": ok + spmPiece("\xff", 0, 0), "no text": ok + spmPiece("", 0, 0), "word model": ok + field(2, "\x18\x03"), "huge length": ok + "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
		"group": ok + "\x0b", "charsmap": ok + field(3, field(2, "\x00\x00\x00\x10")), "suffix": ok + field(2, "\xc0\x01\x01"), "fallback without bytes": ok + field(2, "\x98\x02\x01"),
		"field zero": ok + "\x02\x00",
	} {
		if _, err := ParseSentencePiece([]byte(data)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestParsePipelineRefused(t *testing.T) {
	const ok = `{"added_tokens":[{"id":3,"content":"<s>","special":true}],"normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"decoder":{"type":"ByteLevel"},
	 "post_processor":{"type":"RobertaProcessing","cls":["<s>",3],"sep":["<s>",3]},"model":{"type":"BPE","unk_token":null,"vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}}`
	if _, err := ParseJSON([]byte(ok)); err != nil {
		t.Fatal(err)
	}
	deep := strings.Repeat(`{"type":"Sequence","pretokenizers":[`, 50) + `{"type":"Digits"}` + strings.Repeat("]}", 50)
	for name, edit := range map[string][2]string{
		"huge id":            {`"ab":2`, `"ab":2000000000`},
		"shared id":          {`"ab":2`, `"ab":1`},
		"merge":              {`"a b"`, `"a c"`},
		"merge of three":     {`"a b"`, `["a","b","c"]`},
		"merge to nothing":   {`"a b"`, `"b a"`},
		"unknown token":      {`"unk_token":null`, `"unk_token":"nix"`},
		"dropout":            {`"unk_token":null`, `"dropout":0.5`},
		"added id":           {`{"id":3,"content"`, `{"id":1,"content"`},
		"added huge id":      {`{"id":3,"content"`, `{"id":2000000,"content"`},
		"added negative id":  {`{"id":3,"content"`, `{"id":-3,"content"`},
		"added without text": {`"content":"<s>"`, `"content":""`},
		"added in vocab":     {`"content":"<s>"`, `"content":"ab"`},
		"added twice":        {`"added_tokens":[`, `"added_tokens":[{"id":3,"content":"x"},`},
		"added giant":        {`"content":"<s>"`, `"content":"` + strings.Repeat("x", 5000) + `"`},
		"normalizer":         {`"normalizer":null`, `"normalizer":{"type":"Nix"}`},
		"charsmap":           {`"normalizer":null`, `"normalizer":{"type":"Precompiled","precompiled_charsmap":"AAAA"}`},
		"replace":            {`"normalizer":null`, `"normalizer":{"type":"Replace","pattern":{"Regex":"("},"content":""}`},
		"pre":                {`"type":"ByteLevel","add_prefix_space":false`, `"type":"Nix"`},
		"split":              {`"type":"ByteLevel","add_prefix_space":false`, `"type":"Split","pattern":{"Regex":"a(?=b)"},"behavior":"Isolated"`},
		"behavior":           {`"type":"ByteLevel","add_prefix_space":false`, `"type":"Split","pattern":{"String":"a"},"behavior":"Nix"`},
		"deep":               {`{"type":"ByteLevel","add_prefix_space":false}`, deep},
		"cls":                {`"cls":["<s>",3]`, `"cls":["<s>",99]`},
		"cls id":             {`"cls":["<s>",3]`, `"cls":["<s>",3.5]`},
		"decoder":            {`"decoder":{"type":"ByteLevel"}`, `"decoder":{"type":"Nix"}`},
		"score":              {`"type":"BPE"`, `"type":"Unigram"`},
	} {
		data := strings.Replace(ok, edit[0], edit[1], 1)
		if data == ok {
			t.Fatalf("%s: nothing replaced", name)
		}
		if _, err := ParseJSON([]byte(data)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, data := range []string{
		`{"model":{"type":"Unigram","vocab":[["a",-1]],"unk_id":7}}`, `{"model":{"type":"Unigram","vocab":[["a",-1]]}}`, `{"model":{"type":"Unigram","vocab":[["a"]],"unk_id":0}}`,
		`{"model":{"type":"Unigram","vocab":[["a",-1]],"unk_id":0,"byte_fallback":true}}`, `{"model":{"type":"Unigram","vocab":[],"unk_id":0}}`,
	} {
		if _, err := ParseJSON([]byte(data)); err == nil {
			t.Errorf("%s: no error", data)
		}
	}
}

// TestRegularExpressions checks the way of patterns that are not written by hand.
func TestRegularExpressions(t *testing.T) {
	cut, err := newPatternSplit(`\s+|\d`, true, cutIsolated, false)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	s := "ab\u3000 c١2d"
	for at := 0; at < len(s); {
		start, end := cut.next(s, at)
		got, at = append(got, s[start:end]), end
	}
	if want := []string{"ab", "\u3000 ", "c", "١", "2", "d"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func ExampleNewBPE() {
	tok, err := NewBPE(BPEConfig{
		Tokens: []string{"<|end|>", "l", "o", "w", "Ġ", "lo", "low", "Ġlow"},
		Types:  []int32{3, 1, 1, 1, 1, 1, 1, 1},
		Merges: []string{"l o", "lo w", "Ġ low"},
		Pre:    "llama-bpe",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range tok.Append(nil, "low low", -1) {
		fmt.Println(t.ID, tok.Token(t.ID), t.Start, t.End)
	}
	fmt.Println(len(tok.AppendTrusted(nil, "low<|end|>", -1)), tok.Decode([]int32{6, 7}, false))
	// Output:
	// 6 low 0 3
	// 7 Ġlow 3 7
	// 2 low low
}

func ExampleNewUnigram() {
	tok, err := NewUnigram(UnigramConfig{
		Tokens: []string{"<unk>", "</s>", "▁", "a", "b", "▁ab"},
		Scores: []float32{0, 0, -2, -3, -3, -4},
		Types:  []int32{2, 3, 1, 1, 1, 1},
		Suffix: []int32{1},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range tok.Append(nil, "ab  ba", -1) {
		fmt.Println(tok.Token(t.ID), t.Start, t.End)
	}
	// Output:
	// ▁ab 0 2
	// ▁ 2 3
	// b 4 5
	// a 5 6
}

func FuzzPipelines(f *testing.F) {
	for _, s := range append([]string{"", "Don't  stop\n\n", "\xff\xe4\xb8", "▁<s>a\u0301 <0x0A>", "  中文，字。123 \r\n"}, readLines(f)[600:640]...) {
		f.Add(s, 3)
	}
	var all []*Pipeline
	for _, name := range familyNames {
		all = append(all, family(f, name))
	}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		for i, p := range all {
			tokens := p.Append(nil, text, -1)
			checkSpans(t, text, tokens, p.Size())
			limit = max(limit, 0)
			if got := p.Append(nil, text, limit); !slices.Equal(got, tokens[:min(limit, len(tokens))]) {
				t.Fatalf("%s: limit %d: %v, all: %v", familyNames[i], limit, got, tokens)
			}
			if got := p.AppendStarts(nil, text); len(got) != len(tokens) {
				t.Fatalf("%s: %d starts, %d tokens", familyNames[i], len(got), len(tokens))
			}
			var ids []int32
			for _, tok := range tokens {
				ids = append(ids, tok.ID)
			}
			back := p.Decode(ids, true)
			if familyNames[i] == "gpt2" && utf8.ValidString(text) && back != text {
				t.Fatalf("%q comes back as %q", text, back)
			}
		}
	})
}

func FuzzSentencePiece(f *testing.F) {
	f.Add([]byte(spmPiece("<unk>", 0, 2)+spmPiece("a", -1, 0)+spmPiece("▁a", -2, 0)+spmPiece("b", 0, 4)), "ab a")
	f.Add(unzip(f, "families/spm-bpe.model.gz")[:4000], "")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		if p, err := ParseSentencePiece(data); err == nil {
			checkSpans(t, text, p.Append(nil, text, -1), p.Size())
		}
	})
}

func FuzzMerges(f *testing.F) {
	f.Add([]byte("#version: 0.2\na b\nab c\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		merges, err := ParseMerges(data)
		if err != nil {
			return
		}
		tokens := []string{"a", "b", "c", "ab", "abc"}
		if p, err := NewBPE(BPEConfig{Tokens: tokens, Merges: append([]string{}, merges...)}); err == nil {
			checkSpans(t, "abcabc", p.Append(nil, "abcabc", -1), p.Size())
		}
	})
}

func FuzzCharsmap(f *testing.F) {
	f.Add(append([]byte{0, 4, 0, 0}, make([]byte, 1100)...), "ab")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		p, err := newPrecompiled(data)
		if err != nil {
			return
		}
		tok := &Pipeline{norms: []normalizer{p, &spmNormalizer{charsmap: p.charsmap, dummy: true, squeeze: true}}}
		s := &scratch{}
		tok.normalize(s, text, true, true)
		if len(s.text.text) != len(s.text.at) || !utf8.Valid(s.text.text) {
			t.Fatalf("%q: %q with %d ranges", text, s.text.text, len(s.text.at))
		}
	})
}

func FuzzTokenizerJSON(f *testing.F) {
	f.Add([]byte(`{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]},"normalizer":{"type":"NFC"},"pre_tokenizer":{"type":"ByteLevel"}}`))
	f.Add([]byte(`{"model":{"type":"Unigram","vocab":[["<unk>",0],["a",-1.5]],"unk_id":0},"normalizer":{"type":"Replace","pattern":{"Regex":" +"},"content":"▁"},"pre_tokenizer":{"type":"Metaspace"}}`))
	f.Add([]byte(`{"added_tokens":[{"id":0,"content":"a b","lstrip":true,"rstrip":true,"normalized":true}],"model":{"type":"BPE","vocab":{"a":1},"merges":[]},"pre_tokenizer":{"type":"Split","pattern":{"Regex":"\\p{N}{1,3}"},"behavior":"MergedWithNext"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if tok, err := ParseJSON(data); err == nil {
			const text = "Aa ab 中 a b12"
			checkSpans(t, text, tok.Append(nil, text, -1), tok.Size())
		}
	})
}

func benchmarkText(b *testing.B, chinese bool) string {
	dir := os.Getenv("DOCENT_TESTDATA")
	if dir == "" {
		dir = "../../../shared/data"
	}
	name := "squad2-public"
	if chinese {
		name = "drcd-dev"
	}
	data, err := os.ReadFile(filepath.Join(dir, name, "corpus.jsonl"))
	if err != nil {
		b.Skip("set DOCENT_TESTDATA to the folder of test data: ", err)
	}
	var text strings.Builder
	for d := json.NewDecoder(strings.NewReader(string(data))); d.More() && text.Len() < 400000; {
		var doc struct{ Text string }
		if err := d.Decode(&doc); err != nil {
			b.Fatal(err)
		}
		text.WriteString(doc.Text + "\n")
	}
	return text.String()
}

func BenchmarkPipeline(b *testing.B) {
	for _, name := range []string{"gpt2", "llama3", "qwen2", "o200k", "llama2", "t5", "xlmr"} {
		p := family(b, name)
		for _, language := range []string{"english", "chinese"} {
			text := benchmarkText(b, language == "chinese")
			b.Run(name+"/"+language, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				var tokens []Token
				for b.Loop() {
					tokens = p.Append(tokens[:0], text, -1)
				}
				b.ReportMetric(float64(len(tokens))*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
			})
		}
	}
}

// BenchmarkLimit is a query against a long text: its cost is that of the 512 tokens.
func BenchmarkLimit(b *testing.B) {
	for _, name := range []string{"gpt2", "qwen2", "llama2", "xlmr"} {
		p := family(b, name)
		text := strings.Repeat(benchmarkText(b, false), 4)[:1<<20]
		b.Run(name, func(b *testing.B) {
			var tokens []Token
			for b.Loop() {
				tokens = p.Append(tokens[:0], text, 512)
			}
		})
	}
}
