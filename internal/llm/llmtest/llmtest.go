// Package llmtest makes models for tests.
package llmtest

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
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
	_, here, _, _ := runtime.Caller(0)
	f, err := gguf.Open(filepath.Join(filepath.Dir(here), "..", "engine", "testdata", model+".gguf"))
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
	tokens := []string{"<|bos|>", "<|im_start|>", "<|im_end|>", "Ġ", "Ċ"}
	types := []int32{3, 3, 3, 1, 1}
	for c := '!'; c <= '~'; c++ {
		if !strings.ContainsRune("^`@", c) { // there is no room for all
			tokens, types = append(tokens, string(c)), append(types, 1)
		}
	}
	meta = append(meta, gguf.KeyValue{Key: "tokenizer.ggml.model", Value: "gpt2"}, gguf.KeyValue{Key: "tokenizer.ggml.tokens", Value: tokens},
		gguf.KeyValue{Key: "tokenizer.ggml.token_type", Value: types}, gguf.KeyValue{Key: "tokenizer.ggml.merges", Value: []string{}},
		gguf.KeyValue{Key: "tokenizer.ggml.eos_token_id", Value: uint32(2)})
	meta = append(meta, more...)
	var b bytes.Buffer
	if err := gguf.Write(&b, meta, f.Tensors, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// ContextLength says in a model's metadata that it reads so many tokens; the tiny ones otherwise say 128.
func ContextLength(tokens uint32) gguf.KeyValue {
	return gguf.KeyValue{Key: "llama.context_length", Value: tokens}
}
