// Package llmtest makes models for tests.
package llmtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"docent/internal/llm/gguf"
)

// Letters writes one of the engine's tiny random models, such as "llama-q8_0", to a file, with characters for its
// tokens: "<|bos|>", "<|im_start|>", "<|im_end|>" (which ends a reply), a space, a new line, then those of ASCII from !
// to ~ but for ^, ` and @, in that order. more adds to its metadata, or replaces some. It returns path.
func Letters(t testing.TB, path, model string, more ...gguf.KeyValue) string {
	t.Helper()
	f, err := gguf.Open(filepath.Join(moduleRoot(t), "internal", "llm", "engine", "testdata", model+".gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var meta []gguf.KeyValue
	for _, k := range f.Keys() {
		given := slices.ContainsFunc(more, func(m gguf.KeyValue) bool { return m.Key == k })
		if v, _ := f.Value(k); k != "tokenizer.ggml.model" && !given {
			meta = append(meta, gguf.KeyValue{Key: k, Value: v})
		}
	}
	return write(t, path, append(meta, letters()...), more, f.Tensors, nil)
}

// moduleRoot is the folder of go.mod, looked for from the folder a test runs in upwards, since -trimpath leaves no
// other way to find it.
func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the folder of the test")
		}
		dir = parent
	}
}

// end is the token that ends a turn.
const end = 2

// letters is the metadata of the vocabulary.
func letters() []gguf.KeyValue {
	tokens := []string{"<|bos|>", "<|im_start|>", "<|im_end|>", "Ġ", "Ċ"}
	types := []int32{3, 3, 3, 1, 1}
	for c := '!'; c <= '~'; c++ {
		if !strings.ContainsRune("^`@", c) { // there is no room for all
			tokens, types = append(tokens, string(c)), append(types, 1)
		}
	}
	return []gguf.KeyValue{
		{Key: "tokenizer.ggml.model", Value: "gpt2"}, {Key: "tokenizer.ggml.tokens", Value: tokens},
		{Key: "tokenizer.ggml.token_type", Value: types}, {Key: "tokenizer.ggml.merges", Value: []string{}},
		{Key: "tokenizer.ggml.eos_token_id", Value: uint32(end)},
	}
}

func write(t testing.TB, path string, meta, more []gguf.KeyValue, tensors []gguf.Tensor, data func(io.Writer, gguf.Tensor) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := gguf.Write(&b, append(meta, more...), tensors, data); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Random writes a random model of the same vocabulary that takes some milliseconds for a token: three million
// weights in float32. It reads 32,768 tokens and, without a temperature, never ends by itself.
func Random(t testing.TB, path string, more ...gguf.KeyValue) string {
	t.Helper()
	const dim, ff, layers, vocab = 256, 768, 4, 96
	meta := []gguf.KeyValue{
		{Key: "general.architecture", Value: "llama"}, {Key: "llama.block_count", Value: uint32(layers)}, {Key: "llama.context_length", Value: uint32(32768)},
		{Key: "llama.embedding_length", Value: uint32(dim)}, {Key: "llama.feed_forward_length", Value: uint32(ff)},
		{Key: "llama.attention.head_count", Value: uint32(4)}, {Key: "llama.attention.head_count_kv", Value: uint32(2)},
		{Key: "llama.attention.layer_norm_rms_epsilon", Value: float32(1e-5)},
	}
	var tensors []gguf.Tensor
	add := func(name string, shape ...int) {
		tensors = append(tensors, gguf.Tensor{Name: name + ".weight", Type: gguf.F32, Shape: shape})
	}
	add("token_embd", dim, vocab)
	add("output_norm", dim)
	for i := range layers {
		b := fmt.Sprintf("blk.%d.", i)
		add(b+"attn_norm", dim)
		add(b+"attn_q", dim, dim)
		add(b+"attn_k", dim, dim/2)
		add(b+"attn_v", dim, dim/2)
		add(b+"attn_output", dim, dim)
		add(b+"ffn_norm", dim)
		add(b+"ffn_gate", dim, ff)
		add(b+"ffn_up", dim, ff)
		add(b+"ffn_down", ff, dim)
	}
	r := rand.New(rand.NewPCG(1, 2))
	return write(t, path, append(meta, letters()...), more, tensors, func(w io.Writer, t gguf.Tensor) error {
		values := make([]float32, t.Values())
		for i := range values {
			if values[i] = 1; len(t.Shape) > 1 {
				values[i] = float32(r.NormFloat64()) * 2 / float32(math.Sqrt(float64(t.Shape[0])))
			}
		}
		if t.Name == "token_embd.weight" { // which are the output's too
			clear(values[end*dim : (end+1)*dim])
		}
		return binary.Write(w, binary.LittleEndian, values)
	})
}

// ContextLength says in a model's metadata that it reads so many tokens; the tiny ones otherwise say 128.
func ContextLength(tokens uint32) gguf.KeyValue {
	return gguf.KeyValue{Key: "llama.context_length", Value: tokens}
}
