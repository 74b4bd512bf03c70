package embed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func builtinEncoder(t *testing.T) *Encoder {
	t.Helper()
	e, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestBuiltinIdentity(t *testing.T) {
	e := builtinEncoder(t)
	sum := sha256.Sum256([]byte(builtinWeights))
	if want := "all-MiniLM-L6-v2-int8@" + hex.EncodeToString(sum[:])[:8]; e.Fingerprint() != want {
		t.Errorf("fingerprint %q, want %q", e.Fingerprint(), want)
	}
	if e.Name() != "all-MiniLM-L6-v2-int8" || e.Dim() != 384 || e.MaxTokens() != 254 || !slices.Equal(e.Languages(), []string{"en"}) {
		t.Errorf("%s %d %d %v", e.Name(), e.Dim(), e.MaxTokens(), e.Languages())
	}
	if !strings.Contains(BuiltinNotice, "Apache License 2.0") || !strings.Contains(BuiltinLicence, "Version 2.0, January 2004") {
		t.Error("notice or licence is not the right text")
	}
}

func TestEmbedEdges(t *testing.T) {
	e, ctx := builtinEncoder(t), context.Background()
	if out, err := e.EmbedDocuments(ctx, nil); err != nil || len(out) != 0 {
		t.Errorf("empty batch: %v, %v", out, err)
	}
	out, err := e.EmbedDocuments(ctx, []string{"", " \n", "\xff\xfe", "[CLS]", strings.Repeat("?", 999)})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range out {
		if n := cosine(v, v); len(v) != 384 || math.IsNaN(n) || math.Abs(float64(norm(v))-1) > 1e-6 {
			t.Errorf("text %d: %d values of length %v", i, len(v), norm(v))
		}
	}
	if !slices.Equal(out[0], out[1]) || !slices.Equal(out[0], out[2]) {
		t.Error("texts without tokens differ")
	}
	if c := cosine(out[0], out[3]); c > 0.999 {
		t.Errorf("a special token's name in a text is taken for the token: cosine %v with the empty text", c)
	}
}

func norm(v []float32) (n float64) {
	for _, x := range v {
		n += float64(x) * float64(x)
	}
	return math.Sqrt(n)
}

func TestLongTextIsCut(t *testing.T) {
	e, ctx := builtinEncoder(t), context.Background()
	long := strings.Repeat("Refunds take five working days. ", 300)
	starts := e.TokenStarts(nil, long)
	want, err := e.EmbedQuery(ctx, long[:starts[e.MaxTokens()]])
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{long, strings.Repeat(long, 2000)} { // 9 kB, 19 MB
		begin := time.Now()
		got, err := e.EmbedQuery(ctx, text)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d bytes: not the vector of the first %d tokens", len(text), e.MaxTokens())
		}
		t.Logf("%d bytes in %v", len(text), time.Since(begin))
	}
}

// TestBatchDoesNotMatter checks that a text's vector is the same to the last bit alone, in any batch,
// and from many goroutines at once.
func TestBatchDoesNotMatter(t *testing.T) {
	e, ctx := builtinEncoder(t), context.Background()
	var texts []string
	for i := range 40 {
		texts = append(texts, english(1, 1+i*i%90)[0])
	}
	want, err := e.EmbedDocuments(ctx, texts)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := g; i < len(texts); i += 8 {
				got, err := e.EmbedDocuments(ctx, texts[i:min(i+g%3+1, len(texts))])
				if err != nil {
					t.Error(err)
					return
				}
				for j := range got {
					if !slices.Equal(got[j], want[i+j]) {
						t.Errorf("text %d depends on its batch", i+j)
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestCancel(t *testing.T) {
	e := builtinEncoder(t)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	if _, err := e.EmbedDocuments(ctx, []string{"a"}); !errors.Is(err, cause) {
		t.Errorf("cancelled before: %v", err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer stop()
	begin := time.Now()
	if _, err := e.EmbedDocuments(ctx, english(20000, 250)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cancelled during: %v", err)
	}
	if d := time.Since(begin); d > 20*time.Second {
		t.Errorf("took %v to stop", d)
	}
	if _, err := e.EmbedQuery(context.Background(), "still works"); err != nil {
		t.Error(err)
	}
}

// TestLoadRefused breaks a good checkpoint in one place at a time.
func TestLoadRefused(t *testing.T) {
	const good = "testdata/tiny-f32-mean"
	for name, c := range map[string]struct {
		file string
		edit func([]byte) []byte // nil removes the file
		want string
	}{
		"no weights":        {"model.safetensors", nil, "model.safetensors"},
		"no config":         {"config.json", nil, "config.json"},
		"no vocabulary":     {"vocab.txt", nil, "vocab.txt"},
		"no pooling":        {"1_Pooling/config.json", nil, "1_Pooling"},
		"weights cut":       {"model.safetensors", func(b []byte) []byte { return b[:len(b)-5] }, "tensor"},
		"tensor missing":    {"model.safetensors", replace("encoder.layer.1.output.dense.weight", "encoder.layer.1.output.dense.weighs"), "encoder.layer.1.output.dense.weight"},
		"other shape":       {"config.json", replace(`"intermediate_size": 64`, `"intermediate_size": 65`), "intermediate.dense"},
		"more layers":       {"config.json", replace(`"num_hidden_layers": 2`, `"num_hidden_layers": 3`), "encoder.layer.2"},
		"absurd size":       {"config.json", replace(`"vocab_size": `, `"vocab_size": 9999999`), "vocab_size"},
		"negative size":     {"config.json", replace(`"hidden_size": 32`, `"hidden_size": -32`), "hidden_size"},
		"heads":             {"config.json", replace(`"num_attention_heads": 4`, `"num_attention_heads": 5`), "num_attention_heads"},
		"model type":        {"config.json", replace(`"bert"`, `"gpt2"`), "gpt2"},
		"activation":        {"config.json", replace(`"gelu"`, `"softsign"`), "softsign"},
		"config not JSON":   {"config.json", func([]byte) []byte { return []byte("{") }, "config.json"},
		"pooling mode":      {"1_Pooling/config.json", replace(`"pooling_mode_mean_tokens": true`, `"pooling_mode_weightedmean_tokens": true`), "weightedmean"},
		"module":            {"modules.json", replace("models.Pooling", "models.LSTM"), "LSTM"},
		"module's path":     {"modules.json", replace("1_Pooling", "../../etc"), "leaves the folder"},
		"no room for text":  {"sentence_bert_config.json", replace("32", "2"), "no room"},
		"vocabulary longer": {"vocab.txt", func(b []byte) []byte { return append(b, "one more\n"...) }, "vocab_size"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := broken(t, good, c.file, c.edit)
			if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// broken copies a checkpoint and edits a file of it; nil removes the file.
func broken(t *testing.T, good, file string, edit func([]byte) []byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, file)
	if edit == nil {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, edit(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func replace(old, with string) func([]byte) []byte {
	return func(b []byte) []byte {
		if !strings.Contains(string(b), old) {
			panic("nothing to replace: " + old)
		}
		return []byte(strings.Replace(string(b), old, with, 1))
	}
}

func TestLanguages(t *testing.T) {
	for card, want := range map[string][]string{
		"---\nlanguage: en\nlicense: mit\n---\n# Model":          {"en"},
		"---\ntags:\n- bert\nlanguage:\n- zh\n- en\nx: y\n---\n": {"zh", "en"},
		"---\nlanguage: [\"de\", fr]\n---\n":                     {"de", "fr"},
		"---\nlanguage: multilingual\n---\n":                     nil,
		"---\nlanguage: en\n":                                    nil,
		"# Model\nlanguage: en\n":                                nil,
		"":                                                       nil,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "README.md"), []byte(card), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := readLanguages(os.DirFS(dir)); !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", card, got, want)
		}
	}
}

func FuzzConfig(f *testing.F) {
	data, err := os.ReadFile("builtin/config.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	dirs, err := filepath.Glob("testdata/*/config.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range dirs {
		if data, err = os.ReadFile(name); err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var raw rawConfig
		if json.Unmarshal(data, &raw) != nil {
			return
		}
		c, err := raw.config()
		if err != nil {
			return
		}
		if c.Hidden <= 0 || c.Hidden%c.Heads != 0 || c.maxTokens < 1 || c.maxTokens > c.Positions-c.firstPosition ||
			c.Groups < 1 || c.Groups > c.Layers || activations[c.Activation] == nil || len(c.layerTypes) > 0 && c.window > 0 && len(c.layerTypes) != c.Layers {
			t.Fatalf("accepted %+v", c)
		}
		for i := range c.Layers {
			c.local(i)
		}
	})
}

func TestNew(t *testing.T) {
	for _, name := range []string{"", "builtin"} {
		e, err := New(name)
		if b, _ := Builtin(); err != nil || e != b {
			t.Errorf("%q: %v", name, err)
		}
	}
	e, err := New("builtin", Dims(128), Prompts("q: ", ""))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	if e.Dim() != 128 || b.Dim() != 384 || e.Name() != b.Name()+"-128d" || strings.HasSuffix(e.Fingerprint(), b.Fingerprint()[len(b.Name()):]) {
		t.Errorf("%+v", e.Info())
	}
	if e, err := New("testdata/tiny-albert"); err != nil || e.Name() != "tiny-albert" {
		t.Error(err)
	}
	if _, err := New("testdata/none"); err == nil || !strings.Contains(err.Error(), "testdata/none") {
		t.Errorf("no such folder: %v", err)
	}
}
