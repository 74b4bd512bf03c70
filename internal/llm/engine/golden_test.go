package engine_test

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"docent/internal/llm/engine"
)

type golden struct {
	prompt, answer []int32
	logits         [][]float32
}

func readGolden(t testing.TB, path string) golden {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	u32 := func() uint32 {
		x := binary.LittleEndian.Uint32(data)
		data = data[4:]
		return x
	}
	g := golden{prompt: make([]int32, u32()), answer: make([]int32, u32())}
	vocab := u32()
	for i := range g.prompt {
		g.prompt[i] = int32(u32())
	}
	for i := range g.answer {
		g.answer[i] = int32(u32())
	}
	for range g.prompt {
		row := make([]float32, vocab)
		for i := range row {
			row[i] = math.Float32frombits(u32())
		}
		g.logits = append(g.logits, row)
	}
	if len(data) != 0 {
		t.Fatalf("%s: %d bytes left", path, len(data))
	}
	return g
}

func farthest(a, b [][]float32) float64 {
	far := 0.0
	for i := range a {
		for j := range a[i] {
			d := math.Abs(float64(a[i][j] - b[i][j]))
			if d != d {
				return math.Inf(1)
			}
			far = max(far, d)
		}
	}
	return far
}

// TestGolden compares with Hugging Face transformers, by scripts/golden_llm.py: the logits of a prompt
// and 64 tokens that follow it.
func TestGolden(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(paths) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".golden")
		if strings.HasSuffix(name, ".lora") || strings.HasPrefix(name, "t5") {
			continue // TestAdapterGolden, TestEncoderDecoder
		}
		t.Run(name, func(t *testing.T) {
			g := readGolden(t, path)
			for _, exact := range []bool{true, false} {
				m, err := engine.Open("testdata/"+name+".gguf", engine.Config{Exact: exact, Cache: engine.CacheF32, Threads: 2})
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				logits, err := m.Logits(context.Background(), g.prompt)
				if err != nil {
					t.Fatal(err)
				}
				far := farthest(logits, g.logits)
				if far > 1e-3 && exact {
					t.Errorf("logits of the prompt are off by %g", far)
				}
				// One token at a time the same must come out.
				var single [][]float32
				for n := range g.prompt {
					row, err := m.Next(context.Background(), g.prompt[:n+1])
					if err != nil {
						t.Fatal(err)
					}
					single = append(single, row)
				}
				far1 := farthest(single, g.logits)
				t.Logf("exact=%v: prompt off by %.1g, one at a time by %.1g", exact, far, far1)
				if far1 > 1e-3 && exact {
					t.Errorf("logits one at a time are off by %g", far1)
				}
				if c := cosine(single[len(single)-1], g.logits[len(g.logits)-1]); c < 0.995 {
					t.Errorf("exact=%v: the last logits' cosine with the reference is %.4f", exact, c)
				}
				var answer []int32
				_, err = m.GenerateIDs(context.Background(), g.prompt, engine.Options{MaxTokens: len(g.answer)}, func(id int32) (bool, error) {
					answer = append(answer, id)
					return true, nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(answer, g.answer) {
					t.Errorf("exact=%v: continues with %v, want %v", exact, answer, g.answer)
				}
			}
		})
	}
}

// learnt are the models that know their text by heart (LEARNT in scripts/golden_llm.py): no rounding changes a token.
var learnt = []string{
	"llama-yarn-f16", "phi3-long-f16", "llama-linear-bf16", "llama-q8_0", "llama-q4_0", "llama-q5_0", "llama-q5_1", "llama-iq4_nl", "llama-k", "mixtral-q8_0",
	"llama-q2_k", "llama-q3_k", "llama-q4_k", "llama-q5_k", "llama-q6_k", "llama-iq4_xs",
}

// TestGoldenCaches: models that are sure of their text write it as they run by default, and with the smaller cache.
func TestGoldenCaches(t *testing.T) {
	for _, name := range learnt {
		g := readGolden(t, "testdata/"+name+".golden")
		for _, cache := range []engine.CacheType{engine.CacheF16, engine.CacheQ8_0} {
			m := open(t, "testdata/"+name+".gguf", engine.Config{Cache: cache})
			if answer, _ := generate(t, m, g.prompt, engine.Options{MaxTokens: len(g.answer)}); !slices.Equal(answer, g.answer) {
				t.Errorf("%s, a cache in %s: continues with %v, want %v", name, cache, answer, g.answer)
			}
		}
	}
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}
