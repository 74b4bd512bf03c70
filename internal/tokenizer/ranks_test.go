package tokenizer

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// rankFile writes a vocabulary as tiktoken keeps it: bytes, then what merges make, by rank.
func rankFile(t testing.TB, name string) (file []byte, merges []string) {
	t.Helper()
	var f struct {
		Model struct {
			Vocab  map[string]int64
			Merges []mergeText
		}
	}
	if err := json.Unmarshal(unzip(t, "families/"+name+".json.gz"), &f); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	rank := 0
	add := func(raw string) {
		fmt.Fprintf(&b, "%s %d\n", base64.StdEncoding.EncodeToString([]byte(raw)), rank)
		rank++
	}
	for c := range 256 {
		add(string([]byte{byte(255 - c)})) // in an order of their own
	}
	for _, m := range f.Model.Merges {
		raw, ok := rawBytes(m[0] + m[1])
		if !ok {
			t.Fatal(m)
		}
		add(raw)
		merges = append(merges, m[0]+" "+m[1])
	}
	return []byte(b.String()), merges
}

// TestRanks: ranks come to the merges that they were made of, and to the same tokens as those.
func TestRanks(t *testing.T) {
	file, merges := rankFile(t, "cl100k")
	config := []byte(`{"tokenizer_class": "ChatGLM4Tokenizer", "eos_token": "<|endoftext|>", "added_tokens_decoder": {
		"2100": {"content": "<|endoftext|>", "special": true}, "2101": {"content": "[gMASK]", "special": false}, "2102": {"content": "<|user|>", "special": true}}}`)
	l, err := ReadLists(fstest.MapFS{"tokenizer.model": {Data: file}, "tokenizer_config.json": {Data: config}})
	if err != nil {
		t.Fatal(err)
	}
	if l.Model != "gpt2" || l.Pre != "chatglm-bpe" || !slices.Equal(l.Merges, merges) {
		t.Errorf("model %s, pre-tokenizer %s, %d merges, want %d", l.Model, l.Pre, len(l.Merges), len(merges))
	}
	if l.EOS != 2100 || !slices.Equal(l.Ends, []int32{2102}) || l.Types[2101] != pieceControl || l.AddBOS == nil || *l.AddBOS {
		t.Errorf("end %d, others %v, type of [gMASK] %d", l.EOS, l.Ends, l.Types[2101])
	}
	got, err := NewBPE(BPEConfig{Tokens: l.Tokens, Types: l.Types, Merges: l.Merges, Pre: l.Pre})
	if err != nil {
		t.Fatal(err)
	}
	want := family(t, "cl100k")
	for _, line := range readLines(t)[:2000] {
		a, b := got.Append(nil, line, -1), want.Append(nil, line, -1)
		same := slices.EqualFunc(a, b, func(x, y Token) bool {
			return x.Start == y.Start && x.End == y.End && got.Token(x.ID) == want.Token(y.ID)
		})
		if !same {
			t.Fatalf("%q: %v, want %v", line, a, b)
		}
	}
}

func TestRanksRefused(t *testing.T) {
	glm := `{"tokenizer_class": "ChatGLM4Tokenizer"}`
	line := func(text string, rank int) string {
		return fmt.Sprintf("%s %d\n", base64.StdEncoding.EncodeToString([]byte(text)), rank)
	}
	for _, c := range []struct{ name, file, config, want string }{
		{"another class", line("a", 0), `{"tokenizer_class": "KimiTokenizer"}`, "KimiTokenizer"},
		{"no base64", line("a", 0) + "!? 1\n", glm, "line 2"},
		{"a rank twice", line("a", 0) + line("b", 0), glm, "line 2"},
		{"a token twice", line("a", 0) + line("a", 1), glm, "line 2"},
		{"a hole", line("a", 0) + line("b", 2), glm, "line 2"},
		{"a token of nothing", line("a", 0) + line("ab", 1), glm, `"ab"`},
		{"parts of higher rank", line("ab", 0) + line("a", 1) + line("b", 2), glm, `"ab"`},
		{"a giant token", line("a", 0) + line(strings.Repeat("a", 5000), 1), glm, "5000 bytes"},
	} {
		_, err := ReadLists(fstest.MapFS{"tokenizer.model": {Data: []byte(c.file)}, "tokenizer_config.json": {Data: []byte(c.config)}})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "tokenizer.model") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestChatGLM: the tokens that the code of ChatGLM's tokenizer adds come after those of its file, and no text yields them.
func TestChatGLM(t *testing.T) {
	model := unzip(t, "families/spm-bpe.model.gz")
	m, err := readSPM(model)
	if err != nil {
		t.Fatal(err)
	}
	n := len(m.tokens)
	for _, c := range []struct {
		name  string
		files fstest.MapFS
		last  string
		ends  []int32
	}{
		{"ChatGLM3", fstest.MapFS{}, "<|observation|>", []int32{int32(n) + 6, int32(n) + 8}},
		{"ChatGLM3 with its code", fstest.MapFS{"tokenization_chatglm.py": {Data: []byte(`["<|system|>", "<|user|>"]`)}}, "<|observation|>", []int32{int32(n) + 6, int32(n) + 8}},
		{"ChatGLM2", fstest.MapFS{"tokenization_chatglm.py": {Data: []byte(`special_tokens = ["[MASK]"]`)}}, "eop", nil},
	} {
		c.files["tokenizer.model"] = &fstest.MapFile{Data: model}
		c.files["tokenizer_config.json"] = &fstest.MapFile{Data: []byte(`{"tokenizer_class": "ChatGLMTokenizer"}`)}
		l, err := ReadLists(c.files)
		if err != nil {
			t.Fatal(err)
		}
		if l.Model != "llama" || l.Tokens[n] != "[MASK]" || l.Tokens[len(l.Tokens)-1] != c.last || l.Types[n+3] != pieceControl || !slices.Equal(l.Ends, c.ends) {
			t.Errorf("%s: %s, %q, ends %v", c.name, l.Model, l.Tokens[n:], l.Ends)
		}
		tok, err := NewBPE(BPEConfig{Tokens: l.Tokens, Scores: l.Scores, Types: l.Types})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range tok.Append(nil, "soprano sop <|user|> [gMASK]", -1) {
			if int(x.ID) >= n {
				t.Errorf("%s: a text yields %q", c.name, tok.Token(x.ID))
			}
		}
	}
}

// FuzzRanks: any file is refused, or comes to lists that make a tokenizer.
func FuzzRanks(f *testing.F) {
	f.Add([]byte("YQ== 0\nYg== 1\nYWI= 2\n"))
	f.Add([]byte("YQ== 0\nYWE= 1\nYWFh 2\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := listsOfRanks(data, &tokenizerConfig{Class: classGLM4})
		if err != nil || len(l.Tokens) == 0 {
			return
		}
		p, err := NewBPE(BPEConfig{Tokens: l.Tokens, Types: l.Types, Merges: l.Merges, Pre: l.Pre})
		if err != nil {
			t.Fatal(err)
		}
		checkSpans(t, "ab aab", p.Append(nil, "ab aab", -1), p.Size())
	})
}
