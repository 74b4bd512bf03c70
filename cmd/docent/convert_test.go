package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestModelsConvert makes a file of a tiny checkpoint and has it write, with and without an adapter.
func TestModelsConvert(t *testing.T) {
	h := newHome(t)
	dir := filepath.Join(h.work, "tiny")
	if err := os.CopyFS(dir, os.DirFS("../../internal/llm/convert/testdata/llama3-f16")); err != nil {
		t.Fatal(err)
	}
	h.fails(1, []string{"tokenizer.json"}, "models", "convert", dir)
	tokenizer := `{"added_tokens": [{"id": 1, "content": "<s>", "special": true}, {"id": 2, "content": "</s>", "special": true}],
		"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
		"model": {"type": "BPE", "vocab": {"<unk>": 0, "a": 3, "b": 4, "ab": 5, "Ġ": 6}, "merges": ["a b"]}}`
	for name, text := range map[string]string{
		"tokenizer.json":        tokenizer,
		"tokenizer_config.json": `{"bos_token": "<s>", "eos_token": "</s>", "chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	type result struct {
		Path, Type string
		Bytes      int64
	}
	out := filepath.Join(h.work, "tiny.gguf")
	if r := decode[result](t, h.ok("models", "convert", dir, "--out", out, "--type", "f16", "--json")); r.Path != out || r.Type != "f16" || r.Bytes < 10_000 {
		t.Errorf("%+v", r)
	}
	h.fails(1, []string{"--force"}, "models", "convert", dir, "--out", out)
	h.fails(1, []string{"q4_k_m"}, "models", "convert", dir, "--type", "q9")
	h.fails(1, []string{"config.json"}, "models", "convert", h.work)
	if text := h.ok("models", "convert", dir, "--out", out, "--force", "--type", "Q8_0"); !strings.HasPrefix(text, out) {
		t.Errorf("%q", text)
	}
	type generated struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
	}
	g := decode[generated](t, h.ok("generate", "--model", out, "--prompt", "ab ab", "-n", "4", "--json"))
	if g.PromptTokens != 3 || g.CompletionTokens == 0 { // ab, space, ab
		t.Errorf("%+v", g)
	}
	adapter, err := filepath.Abs("../../internal/llm/engine/testdata/llama-f32.lora.gguf")
	if err != nil {
		t.Fatal(err)
	}
	h.fails(1, []string{"adapter", "output.weight"}, "generate", "--model", out, "--prompt", "a", "--lora", adapter) // the model has no output of its own
}
