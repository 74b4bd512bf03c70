package engine_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"docent/internal/llm/engine"
	"docent/internal/llm/gguf"
)

// adapted are the models that have an adapter, by scripts/golden_llm.py with peft.
var adapted = []string{"llama-f32", "phi3-f16"}

func loadAdapter(t testing.TB, m *engine.Model, path string, scale float32) *engine.Adapter {
	t.Helper()
	a, err := m.LoadAdapter(path, scale)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// logProbs are the log-probabilities of all tokens after a prompt.
func logProbs(t testing.TB, m *engine.Model, prompt []int32, a *engine.Adapter, vocab int) []float64 {
	t.Helper()
	_, res := generate(t, m, prompt, engine.Options{MaxTokens: 1, Adapter: a, Sampling: engine.Sampling{LogProbs: vocab}})
	row := make([]float64, vocab)
	for _, p := range res.LogProbs[0].Top {
		row[p.ID] = p.LogProb
	}
	return row
}

func logSoftmax(logits []float32) []float64 {
	sum := 0.0
	for _, x := range logits {
		sum += math.Exp(float64(x))
	}
	out := make([]float64, len(logits))
	for i, x := range logits {
		out[i] = float64(x) - math.Log(sum)
	}
	return out
}

// TestAdapterGolden compares with peft, and the model without its adapter with what it was.
func TestAdapterGolden(t *testing.T) {
	for _, name := range adapted {
		t.Run(name, func(t *testing.T) {
			m := open(t, "testdata/"+name+".gguf", engine.Config{Exact: true, Threads: 2, Cache: engine.CacheF32})
			a := loadAdapter(t, m, "testdata/"+name+".lora.gguf", 1)
			none := loadAdapter(t, m, "testdata/"+name+".lora.gguf", 0)
			with, without := readGolden(t, "testdata/"+name+".lora.golden"), readGolden(t, "testdata/"+name+".golden")
			for _, c := range []struct {
				name    string
				adapter *engine.Adapter
				want    golden
			}{{"none", nil, without}, {"adapter", a, with}, {"scale 0", none, without}, {"adapter again", a, with}} {
				for n := range c.want.prompt {
					got, want := logProbs(t, m, c.want.prompt[:n+1], c.adapter, len(c.want.logits[n])), logSoftmax(c.want.logits[n])
					for i := range want {
						if math.Abs(got[i]-want[i]) > 1e-3 {
							t.Fatalf("%s: after %d tokens, token %d: log-probability %g, want %g", c.name, n+1, i, got[i], want[i])
						}
					}
				}
				if answer, _ := generate(t, m, c.want.prompt, engine.Options{MaxTokens: len(c.want.answer), Adapter: c.adapter}); !slices.Equal(answer, c.want.answer) {
					t.Errorf("%s: continues with %v, want %v", c.name, answer, c.want.answer)
				}
			}
		})
	}
}

// TestAdaptersTogether: requests with different adapters, and none, at the same time.
func TestAdaptersTogether(t *testing.T) {
	const name = "testdata/llama-f32"
	m := open(t, name+".gguf", engine.Config{Exact: true, Threads: 2, Cache: engine.CacheF32})
	adapters := []*engine.Adapter{nil, loadAdapter(t, m, name+".lora.gguf", 1), loadAdapter(t, m, name+".lora.gguf", -0.5)}
	prompt := readGolden(t, name+".lora.golden").prompt
	var want [][]int32
	for _, a := range adapters {
		ids, _ := generate(t, m, prompt, engine.Options{MaxTokens: 24, Adapter: a})
		want = append(want, ids)
	}
	if slices.Equal(want[0], want[1]) || slices.Equal(want[1], want[2]) {
		t.Fatal("the adapters change nothing")
	}
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			var ids []int32
			_, err := m.GenerateIDs(context.Background(), prompt, engine.Options{MaxTokens: 24, Adapter: adapters[i%3]}, func(id int32) (bool, error) {
				ids = append(ids, id)
				return true, nil
			})
			if err != nil || !slices.Equal(ids, want[i%3]) {
				t.Errorf("adapter %d: %v, %v, want %v", i%3, ids, err, want[i%3])
			}
		})
	}
	wg.Wait()
}

func TestAdapterRefused(t *testing.T) {
	const path = "testdata/llama-f32.lora.gguf"
	m := open(t, "testdata/llama-f32.gguf", engine.Config{})
	other := open(t, "testdata/phi3-f16.gguf", engine.Config{})
	if _, err := m.LoadAdapter("testdata/phi3-f16.lora.gguf", 1); !errors.Is(err, engine.ErrAdapter) || !strings.Contains(err.Error(), "phi3") {
		t.Error("another architecture's:", err)
	}
	if _, err := m.LoadAdapter("testdata/llama-f32.gguf", 1); !errors.Is(err, engine.ErrAdapter) {
		t.Error("a model:", err)
	}
	if _, err := m.LoadAdapter(path, float32(math.NaN())); !errors.Is(err, engine.ErrAdapter) {
		t.Error("a scale that is no number:", err)
	}
	a := loadAdapter(t, m, path, 1)
	if _, err := other.GenerateIDs(context.Background(), []int32{3}, engine.Options{Adapter: a}, nil); !errors.Is(err, engine.ErrAdapter) {
		t.Error("another model's:", err)
	}
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range []struct {
		name   string
		change func(t []gguf.Tensor) []gguf.Tensor
	}{
		{"half of a pair", func(t []gguf.Tensor) []gguf.Tensor { return t[1:] }},
		{"unknown tensor", func(t []gguf.Tensor) []gguf.Tensor {
			t[0].Name, t[1].Name = "blk.9.attn_q.weight.lora_a", "blk.9.attn_q.weight.lora_b"
			return t
		}},
		{"no pair", func(t []gguf.Tensor) []gguf.Tensor { t[0].Name = "blk.0.attn_q.weight"; return t }},
		{"shape", func(t []gguf.Tensor) []gguf.Tensor { t[0].Shape = []int{t[0].Values()}; return t }},
		{"no number", func(t []gguf.Tensor) []gguf.Tensor {
			t[0].Data = slices.Clone(t[0].Data)
			copy(t[0].Data, []byte{0, 0, 0xc0, 0x7f})
			return t
		}},
		{"halves turned over", func(t []gguf.Tensor) []gguf.Tensor { t[0].Shape = []int{t[0].Shape[1], t[0].Shape[0]}; return t }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var meta []gguf.KeyValue
			for _, k := range f.Keys() {
				v, _ := f.Value(k)
				meta = append(meta, gguf.KeyValue{Key: k, Value: v})
			}
			var out bytes.Buffer
			if err := gguf.Write(&out, meta, c.change(slices.Clone(f.Tensors)), nil); err != nil {
				t.Fatal(err)
			}
			bad := filepath.Join(t.TempDir(), "bad.gguf")
			if err := os.WriteFile(bad, out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := m.LoadAdapter(bad, 1); !errors.Is(err, engine.ErrAdapter) || !strings.Contains(err.Error(), bad) {
				t.Error(err)
			}
		})
	}
}

// FuzzAdapter: any file is loaded, or refused with one of two errors. Seeds are small, and nothing is computed, since
// the fuzzer is slow with large inputs and with goroutines.
func FuzzAdapter(f *testing.F) {
	m, err := engine.Open("testdata/llama-f32.gguf", engine.Config{Threads: 1, Context: 16})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { m.Close() })
	var seed bytes.Buffer
	if err := gguf.Write(&seed, []gguf.KeyValue{
		{Key: "general.type", Value: "adapter"}, {Key: "general.architecture", Value: "llama"},
		{Key: "adapter.type", Value: "lora"}, {Key: "adapter.lora.alpha", Value: float32(2)},
	}, []gguf.Tensor{
		{Name: "blk.0.attn_k.weight.lora_a", Type: gguf.F16, Shape: []int{32, 1}, Data: make([]byte, 64)},
		{Name: "blk.0.attn_k.weight.lora_b", Type: gguf.F32, Shape: []int{1, 16}, Data: make([]byte, 64)},
	}, nil); err != nil {
		f.Fatal(err)
	}
	dir := f.TempDir()
	load := func(t testing.TB, data []byte) (*engine.Adapter, error) {
		path := filepath.Join(dir, "a.gguf")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return m.LoadAdapter(path, 1)
	}
	if _, err := load(f, seed.Bytes()); err != nil {
		f.Fatal("the seed is refused:", err)
	}
	f.Add(seed.Bytes())
	f.Add(seed.Bytes()[:seed.Len()/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := load(t, data)
		switch {
		case err != nil && !errors.Is(err, engine.ErrAdapter) && !errors.Is(err, gguf.ErrFormat):
			t.Fatal(err)
		case err == nil && a.Bytes() > int64(8*len(data)):
			t.Fatalf("a file of %d bytes takes %d", len(data), a.Bytes())
		}
	})
}
