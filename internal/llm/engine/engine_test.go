package engine_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"docent/internal/llm/engine"
	"docent/internal/llm/gguf"
)

const tiny = "testdata/llama-q8_0.gguf"

func open(t testing.TB, path string, cfg engine.Config) *engine.Model {
	t.Helper()
	m, err := engine.Open(path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func generate(t testing.TB, m *engine.Model, prompt []int32, opts engine.Options) ([]int32, engine.Result) {
	t.Helper()
	var ids []int32
	res, err := m.GenerateIDs(context.Background(), prompt, opts, func(id int32) (bool, error) {
		ids = append(ids, id)
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids, res
}

// TestReuse: what is kept from an earlier call does not change a later one.
func TestReuse(t *testing.T) {
	fresh := func(prompt []int32) []int32 {
		ids, _ := generate(t, open(t, tiny, engine.Config{}), prompt, engine.Options{MaxTokens: 16})
		return ids
	}
	m := open(t, tiny, engine.Config{})
	first := []int32{5, 9, 33, 71, 12, 40, 41, 42, 43, 44}
	answer, res := generate(t, m, first, engine.Options{MaxTokens: 16})
	if res.Reused != 0 || res.Completion != 16 || res.Reason != "length" {
		t.Errorf("%+v", res)
	}
	longer := slices.Concat(first, answer[:15], []int32{7, 8})
	got, res := generate(t, m, longer, engine.Options{MaxTokens: 16})
	if res.Reused != 25 {
		t.Errorf("%d tokens were reused, want 25", res.Reused)
	}
	if want := fresh(longer); !slices.Equal(got, want) {
		t.Errorf("with reuse %v, without %v", got, want)
	}
	got, res = generate(t, m, first, engine.Options{MaxTokens: 16})
	if res.Reused != len(first)-1 || !slices.Equal(got, answer) {
		t.Errorf("the same prompt again: %v reused %d, want %v", got, res.Reused, answer)
	}
}

func TestCancel(t *testing.T) {
	m := open(t, tiny, engine.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	_, err := m.GenerateIDs(ctx, []int32{4, 5}, engine.Options{}, func(int32) (bool, error) {
		if n++; n == 3 {
			cancel()
		}
		return true, nil
	})
	if !errors.Is(err, context.Canceled) || n != 3 {
		t.Errorf("%d tokens, %v", n, err)
	}
	if ids, _ := generate(t, m, []int32{4, 5}, engine.Options{MaxTokens: 2}); len(ids) != 2 {
		t.Error("the model is of no use after a cancelled call")
	}
}

// TestQueue: many callers are served one after the other, those that give up while they wait too.
func TestQueue(t *testing.T) {
	m := open(t, tiny, engine.Config{Threads: 2})
	want, _ := generate(t, m, []int32{3, 4, 5}, engine.Options{MaxTokens: 8})
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if i%4 == 3 {
				cancel()
			}
			var ids []int32
			_, err := m.GenerateIDs(ctx, []int32{3, 4, 5}, engine.Options{MaxTokens: 8}, func(id int32) (bool, error) {
				ids = append(ids, id)
				return true, nil
			})
			switch {
			case i%4 == 3 && !errors.Is(err, context.Canceled):
				t.Error(err)
			case i%4 != 3 && (err != nil || ids[0] != want[0]):
				t.Errorf("%v, %v, want %v", ids, err, want)
			}
		})
	}
	wg.Wait()
}

func TestSampling(t *testing.T) {
	m := open(t, tiny, engine.Config{})
	prompt := []int32{8, 13, 21}
	draw := func(s engine.Sampling) []int32 {
		ids, _ := generate(t, m, prompt, engine.Options{Sampling: s, MaxTokens: 24})
		return ids
	}
	greedy := draw(engine.Sampling{})
	if got := draw(engine.Sampling{Temperature: 3, TopK: 1}); !slices.Equal(got, greedy) {
		t.Errorf("top-k 1: %v, want %v", got, greedy)
	}
	if got := draw(engine.Sampling{Temperature: 3, TopP: 1e-9}); !slices.Equal(got, greedy) {
		t.Errorf("top-p of nothing: %v, want %v", got, greedy)
	}
	if got := draw(engine.Sampling{Temperature: 3, MinP: 1}); !slices.Equal(got, greedy) {
		t.Errorf("min-p 1: %v, want %v", got, greedy)
	}
	a, b, c := draw(engine.Sampling{Temperature: 1, Seed: 1}), draw(engine.Sampling{Temperature: 1, Seed: 1}), draw(engine.Sampling{Temperature: 1, Seed: 2})
	if !slices.Equal(a, b) || slices.Equal(a, c) {
		t.Errorf("seed 1: %v, %v; seed 2: %v", a, b, c)
	}
	distinct := func(ids []int32) int {
		ids = slices.Clone(ids)
		slices.Sort(ids)
		return len(slices.Compact(ids))
	}
	if got := draw(engine.Sampling{Repeat: 1e6}); distinct(got) <= distinct(greedy) {
		t.Errorf("repetition penalty: %v, without: %v", got, greedy)
	}
}

func TestLimits(t *testing.T) {
	m := open(t, tiny, engine.Config{Context: 8})
	if _, err := m.Next(context.Background(), make([]int32, 8)); !errors.Is(err, engine.ErrContext) {
		t.Error("a prompt as long as the window:", err)
	}
	if _, err := m.Next(context.Background(), nil); !errors.Is(err, engine.ErrContext) {
		t.Error("an empty prompt:", err)
	}
	for _, id := range []int32{-1, 96} {
		if _, err := m.Next(context.Background(), []int32{id}); err == nil {
			t.Errorf("token %d is taken", id)
		}
	}
	if ids, res := generate(t, m, []int32{3, 4, 5}, engine.Options{}); len(ids) != 5 || res.Reason != "length" {
		t.Errorf("%d tokens fill the window: %+v", len(ids), res)
	}
	if _, err := engine.Open(tiny, engine.Config{Memory: 100_000}); !errors.Is(err, engine.ErrMemory) || !strings.Contains(err.Error(), "MiB") {
		t.Error("a limit on memory:", err)
	}
	if _, err := engine.Open(filepath.Join(t.TempDir(), "none.gguf"), engine.Config{}); !errors.Is(err, os.ErrNotExist) {
		t.Error("no file:", err)
	}
}

// TestRefuses changes one thing of a good file at a time.
func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		name, key string
		value     any
		drop      string
		file      string // of testdata; empty means tiny
	}{
		{name: "unknown architecture", key: "general.architecture", value: "nonesuch"},
		{name: "no layers", key: "llama.block_count", value: uint32(0)},
		{name: "more layers than tensors", key: "llama.block_count", value: uint32(3)},
		{name: "endless layers", key: "llama.block_count", value: uint32(1 << 31)},
		{name: "width", key: "llama.embedding_length", value: uint32(64)},
		{name: "heads", key: "llama.attention.head_count", value: uint32(3)},
		{name: "no experts in use", key: "llama.expert_count", value: uint32(8)},
		{name: "epsilon", key: "llama.attention.layer_norm_rms_epsilon", value: float32(math.NaN())},
		{name: "base", key: "llama.rope.freq_base", value: float32(0)},
		{name: "scaling", key: "llama.rope.scaling.type", value: "warp"},
		{name: "rotated", key: "llama.rope.dimension_count", value: uint32(7)},
		{name: "tokenizer", key: "tokenizer.ggml.model", value: "gpt2"},
		{name: "missing tensor", drop: "blk.1.ffn_up.weight"},
		{name: "no embedding", drop: "token_embd.weight"},
		{name: "more experts in use than there are", file: "mixtral-q8_0", key: "llama.expert_used_count", value: uint32(5)},
		{name: "more experts than tensors have", file: "mixtral-q8_0", key: "llama.expert_count", value: uint32(8)},
		{name: "endless experts", file: "mixtral-q8_0", key: "llama.expert_count", value: uint32(1 << 19)},
		{name: "no router", file: "mixtral-q8_0", drop: "blk.0.ffn_gate_inp.weight"},
		{name: "no experts", file: "mixtral-q8_0", drop: "blk.1.ffn_down_exps.weight"},
		{name: "width of experts", file: "qwen2moe-f16", key: "qwen2moe.expert_feed_forward_length", value: uint32(31)},
		{name: "no gate of the shared expert", file: "qwen2moe-f16", drop: "blk.0.ffn_gate_inp_shexp.weight"},
		{name: "norms of heads", file: "qwen3moe-f16", drop: "blk.0.attn_k_norm.weight"},
		{name: "buckets of distances", file: "t5-f16", key: "t5.attention.relative_buckets_count", value: uint32(1 << 31)},
		{name: "layers of the decoder", file: "t5-f16", key: "t5.decoder_block_count", value: uint32(3)},
		{name: "no bias of distances", file: "t5-f16", drop: "dec.blk.0.attn_rel_b.weight"},
		{name: "no cross attention", file: "t5-f16", drop: "dec.blk.1.cross_attn_k.weight"},
		{name: "growth of scores", file: "mistral3-f16", key: "mistral3.attention.temperature_scale", value: float32(-1)},
		{name: "growth of scores each 0 tokens", file: "mistral3-f16", key: "mistral3.rope.scaling.original_context_length", value: uint32(0)},
		{name: "multiplier of YaRN", file: "mistral3-f16", key: "mistral3.rope.scaling.yarn_log_multiplier", value: float32(math.NaN())},
	} {
		t.Run(c.name, func(t *testing.T) {
			source := tiny
			if c.file != "" {
				source = "testdata/" + c.file + ".gguf"
			}
			path := changed(t, source, c.key, c.value, c.drop)
			m, err := engine.Open(path, engine.Config{})
			if !errors.Is(err, engine.ErrUnsupported) {
				t.Errorf("%v, %v", m, err)
			}
		})
	}
}

// changed writes a file like source where a key has another value, and without a tensor; either may be empty.
func changed(t *testing.T, source, key string, value any, drop string) (path string) {
	t.Helper()
	f, err := gguf.Open(source)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var meta []gguf.KeyValue
	for _, k := range f.Keys() {
		v, _ := f.Value(k)
		if k == key {
			v = value
		}
		meta = append(meta, gguf.KeyValue{Key: k, Value: v})
	}
	if _, ok := f.Value(key); !ok && key != "" {
		meta = append(meta, gguf.KeyValue{Key: key, Value: value})
	}
	tensors := slices.DeleteFunc(slices.Clone(f.Tensors), func(t gguf.Tensor) bool { return t.Name == drop })
	path = filepath.Join(t.TempDir(), "m.gguf")
	w, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := gguf.Write(w, meta, tensors, nil); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMemoryOfAttention: what a prompt takes grows with its length, not with the square of it, prompts read in steps
// and one token at a time alike.
func TestMemoryOfAttention(t *testing.T) {
	const short = 2048
	path := changed(t, tiny, "llama.context_length", uint32(1<<16), "")
	taken := func(n int) uint64 {
		m := open(t, path, engine.Config{Context: n + 64, CacheTokens: n + 64, Threads: 2})
		prompt := make([]int32, n)
		for i := range prompt {
			prompt[i] = int32(3 + i*i%90)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		generate(t, m, prompt, engine.Options{MaxTokens: 32})
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	taken(short) // what is made once
	a, b := taken(short), taken(4*short)
	t.Logf("%d tokens take %d KiB, %d take %d KiB", short, a>>10, 4*short, b>>10)
	if b > 6*a {
		t.Errorf("%d tokens take %d bytes, %d take %d", short, a, 4*short, b)
	}
}
