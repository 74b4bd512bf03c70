package embed

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"docent/internal/llm/gguf"
	"docent/internal/tokenizer"
)

// The files under testdata/gguf are made by scripts/golden_gguf_encoder.py.

func TestGGUFAgainstTransformers(t *testing.T) {
	for name, want := range map[string]struct{ arch, pooling string }{
		"bert-f32": {"BERT", "mean"}, "bert-f16": {"BERT", "mean"}, "bert-q8_0": {"BERT", "mean"},
		"nomic-f32": {"nomic-bert", "mean"}, "jina-f32": {"Jina BERT v2", "mean"},
		"roberta-bpe": {"BERT", "cls"}, "xlmr-unigram": {"BERT", "cls"},
	} {
		t.Run(name, func(t *testing.T) {
			e := mustLoad(t, "testdata/gguf/"+name+".gguf")
			if i := e.Info(); i.Architecture != want.arch || i.Pooling != want.pooling || i.Precision != "float32" || i.Name != name {
				t.Errorf("%+v", i)
			}
			data, err := os.ReadFile("testdata/gguf/" + name + ".json")
			if err != nil {
				t.Fatal(err)
			}
			var rows []struct {
				Text   string
				IDs    []int32
				Vector []float32
			}
			if err := json.Unmarshal(data, &rows); err != nil || len(rows) < 8 {
				t.Fatal(len(rows), err)
			}
			largest := 0.0
			for _, r := range rows {
				ids := slices.Clone(e.prefix)
				for _, tok := range e.tok.Append(nil, r.Text, e.MaxTokens()) {
					ids = append(ids, tok.ID)
				}
				if ids = append(ids, e.suffix...); !slices.Equal(ids, r.IDs) {
					t.Errorf("%.30q: ids\n got %v\nwant %v", r.Text, ids, r.IDs)
				}
				got, err := e.EmbedQuery(context.Background(), r.Text)
				if err != nil {
					t.Fatal(err)
				}
				for i := range got {
					largest = max(largest, math.Abs(float64(got[i]-r.Vector[i])))
				}
			}
			if !(largest <= 1e-5) {
				t.Errorf("largest difference of a value %.2g", largest)
			}
		})
	}
}

func TestGGUFCrossEncoder(t *testing.T) {
	c, err := LoadCrossEncoder("testdata/gguf/cross-xlmr.gguf")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("testdata/gguf/cross-xlmr.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []crossGolden
	if err := json.Unmarshal(data, &rows); err != nil || len(rows) < 8 {
		t.Fatal(len(rows), err)
	}
	for _, r := range rows {
		got, err := c.Score(context.Background(), r.Query, []string{r.Passage})
		if err != nil {
			t.Fatal(err)
		}
		if d := math.Abs(float64(got[0]) - r.Score); !(d <= 1e-5) {
			t.Errorf("%.20q, %.20q: score %v, want %v", r.Query, r.Passage, got[0], r.Score)
		}
	}
	if _, err := LoadCrossEncoder("testdata/gguf/bert-f32.gguf"); err == nil || !strings.Contains(err.Error(), `"cls.weight"`) {
		t.Errorf("no classifier: %v", err)
	}
}

// A folder with a .gguf file is a model too, as docent models import makes it.
func TestGGUFFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nomic-embed-text-v1.5.Q8_0")
	if err := os.CopyFS(dir, os.DirFS("testdata/gguf")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "name the one to load") {
		t.Errorf("several files: %v", err)
	}
	for _, f := range []string{"bert-f16.gguf", "bert-q8_0.gguf", "jina-f32.gguf", "nomic-f32.gguf", "roberta-bpe.gguf", "xlmr-unigram.gguf", "cross-xlmr.gguf"} {
		if err := os.Remove(filepath.Join(dir, f)); err != nil {
			t.Fatal(err)
		}
	}
	a, b := mustLoad(t, dir), mustLoad(t, "testdata/gguf/bert-f32.gguf")
	if a.Name() != "nomic-embed-text-v1.5.Q8_0" || a.Fingerprint()[len(a.Name()):] != b.Fingerprint()[len(b.Name()):] {
		t.Errorf("%s and %s are of one file", a.Fingerprint(), b.Fingerprint())
	}
	if i := a.Info(); i.QueryPrompt != "search_query: " || i.PromptSource != promptsFamily {
		t.Errorf("the name has the family's prompts: %+v", i)
	}
}

func TestWithoutQuantSuffix(t *testing.T) {
	for name, want := range map[string]string{
		"bge-small-en-v1.5-q8_0": "bge-small-en-v1.5", "nomic-embed-text-v1.5.Q4_K_M": "nomic-embed-text-v1.5",
		"e5-small-v2-f16": "e5-small-v2", "a.IQ4_XS": "a", "bge-small-en-v1.5": "bge-small-en-v1.5", "plain": "plain", "q8_0": "q8_0",
	} {
		if got := withoutQuantSuffix(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestGGUFWordPiece(t *testing.T) {
	letters := func() (tokens []string, types []int32) {
		tokens = []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[unused0]", "▁hello", "ing", "]"}
		types = []int32{3, 3, 3, 3, 1, 1, 1, 1}
		return tokens, types
	}
	tokens, types := letters()
	uncased, err := ggufWordPiece(&gguf.File{}, tokens, types, []int32{2}, []int32{3})
	if err != nil {
		t.Fatal(err)
	}
	ids := func(tok tokenizer.Tokenizer, text string) (ids []int32) {
		for _, tk := range tok.Append(nil, text, -1) {
			ids = append(ids, tk.ID)
		}
		return ids
	}
	if got := ids(uncased, "HELLOing"); !slices.Equal(got, []int32{5, 6}) || uncased.Token(4) != "[unused0]" || uncased.Token(7) != "##]" {
		t.Errorf("%v, %q, %q", got, uncased.Token(4), uncased.Token(7))
	}
	for c := 'A'; c <= 'Z'; c++ {
		tokens, types = append(tokens, "▁"+string(c)), append(types, 1)
	}
	cased, err := ggufWordPiece(&gguf.File{}, tokens, types, []int32{2}, []int32{3})
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(cased, "hello HELLO B"); !slices.Equal(got, []int32{5, 1, 9}) {
		t.Errorf("a vocabulary of capitals keeps them: %v", got)
	}
}

func TestGGUFRefused(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		edit func([]byte) []byte
		want string
	}{
		"cut":              {"bert-f32", func(b []byte) []byte { return b[:len(b)-64] }, `tensor "blk.1.ffn_down.weight"`},
		"no such kind":     {"bert-f32", replace("general.architecture\x08\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00bert", "general.architecture\x08\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00burt"), `architecture "burt"`},
		"no heads":         {"nomic-f32", replace("attention.head_count", "attention.bead_count"), "num_attention_heads is 0"},
		"of another shape": {"jina-f32", replace("jina-bert-v2.feed_forward_length\x04\x00\x00\x00\x30", "jina-bert-v2.feed_forward_length\x04\x00\x00\x00\x20"), `tensor "blk.0.ffn_up.weight": shape [96 32], want [64 32]`},
		"absent tensor":    {"bert-f32", replace("blk.1.attn_k.bias", "blk.1.attn_j.bias"), `tensor "blk.1.attn_k.bias": no such tensor`},
		"no vocabulary":    {"bert-f32", replace("tokenizer.ggml.tokens", "tokenizer.ggml.takens"), "tokenizer.ggml.tokens is missing"},
		"no tokenizer":     {"bert-f32", replace("tokenizer.ggml.model", "tokenizer.ggml.modal"), "tokenizer.ggml.model"},
		"no merges":        {"roberta-bpe", replace("tokenizer.ggml.merges", "tokenizer.ggml.murges"), "tokenizer.ggml.merges"},
		"NaN":              {"bert-f32", func(b []byte) []byte { return append(b[:len(b)-4:len(b)-4], 0, 0, 0xc0, 0x7f) }, "is NaN"},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile("testdata/gguf/" + c.file + ".gguf")
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "bad.gguf")
			if err := os.WriteFile(path, c.edit(data), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err = Load(path); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "bad.gguf") {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// FuzzGGUF loads damaged encoders. What is accepted must embed.
func FuzzGGUF(f *testing.F) {
	for _, name := range []string{"bert-q8_0", "jina-f32", "xlmr-unigram"} {
		data, err := os.ReadFile("testdata/gguf/" + name + ".gguf")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := gguf.Parse(data)
		if err != nil {
			return
		}
		c, err := readGGUF(file, "fuzz", false)
		if err != nil {
			return
		}
		if c.cfg.Layers > 8 || c.cfg.Positions > 1<<10 {
			return // it loads, and takes its time
		}
		e, err := newEncoder(c, nil)
		if err != nil {
			return
		}
		if v, err := e.EmbedQuery(context.Background(), "hello 中文"); err == nil && len(v) != e.Dim() {
			t.Fatalf("%d values of %d", len(v), e.Dim())
		}
	})
}
