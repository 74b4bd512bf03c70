package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"docent/internal/llm"
	"docent/internal/llm/gguf"
)

// tinyModel gives the engine's tiny random model an alphabet and writes it to a file.
func tinyModel(t *testing.T, path string) {
	t.Helper()
	f, err := gguf.Open("../../internal/llm/engine/testdata/llama-q8_0.gguf")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tokens, types := []string{"<|im_start|>", "<|im_end|>", "Ġ", "Ċ"}, []int32{3, 3, 1, 1}
	for c := '!'; c <= '~'; c++ {
		if !strings.ContainsRune("^`", c) { // there is no room for all
			tokens, types = append(tokens, string(c)), append(types, 1)
		}
	}
	meta := []gguf.KeyValue{
		{Key: "tokenizer.ggml.model", Value: "gpt2"}, {Key: "tokenizer.ggml.tokens", Value: tokens}, {Key: "tokenizer.ggml.token_type", Value: types},
		{Key: "tokenizer.ggml.merges", Value: []string{}}, {Key: "tokenizer.ggml.eos_token_id", Value: uint32(1)},
	}
	for _, k := range f.Keys() {
		if v, _ := f.Value(k); k != "tokenizer.ggml.model" {
			meta = append(meta, gguf.KeyValue{Key: k, Value: v})
		}
	}
	var b bytes.Buffer
	if err := gguf.Write(&b, meta, f.Tensors, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestGenerate(t *testing.T) {
	data := t.TempDir()
	if err := os.Mkdir(filepath.Join(data, "models"), 0o700); err != nil {
		t.Fatal(err)
	}
	tinyModel(t, filepath.Join(data, "models", "tiny.gguf"))
	docent := func(stdin string, args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		code := run(append([]string{"--data", data}, args...), strings.NewReader(stdin), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	code, first, stderr := docent("", "generate", "--model", "tiny", "--prompt", "Hello", "-n", "12", "--temperature", "2", "--seed", "7")
	if code != 0 || strings.TrimSpace(first) == "" {
		t.Fatalf("%d: %q %s", code, first, stderr)
	}
	code, out, stderr := docent("Hello", "--json", "generate", "--model", filepath.Join(data, "models", "tiny.gguf"), "-n", "12", "--temperature", "2", "--seed", "7")
	var got generationJSON
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
		t.Fatalf("%d: %v %q %s", code, err, out, stderr)
	}
	if got.Text+"\n" != first || got.Model != "tiny" || got.CompletionTokens < 1 || got.PromptTokens < 5 {
		t.Errorf("%+v, want the text %q", got, first)
	}
	if code, _, stderr := docent("", "generate", "--model", "nonesuch", "--prompt", "x"); code != exitFailed || !strings.Contains(stderr, "nonesuch") {
		t.Errorf("%d: %s", code, stderr)
	}
	// A file of numbers of tokens only.
	const bare = "../../internal/llm/engine/testdata/llama-q8_0.gguf"
	for _, more := range [][]string{nil, {"--raw"}, {"--regex", "a+"}, {"--choices", "a,b"}} {
		code, _, stderr := docent("", append([]string{"generate", "--model", bare, "--prompt", "x"}, more...)...)
		if code != exitFailed || !strings.Contains(stderr, bare) || !strings.Contains(stderr, "no tokenizer") || !strings.Contains(stderr, "convert") {
			t.Errorf("%v: %d: %s", more, code, stderr)
		}
	}
	if code, out, _ := docent("", "models", "info", bare); code != 0 || !strings.Contains(out, "no vocabulary") || !strings.Contains(out, "no: the file has no tokenizer") {
		t.Errorf("%d: %s", code, out)
	}
	if code, _, stderr := docent(" ", "generate", "--model", "tiny"); code != exitFailed || !strings.Contains(stderr, "--prompt") {
		t.Errorf("%d: %s", code, stderr)
	}
	// Forms.
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	schema := file("days.json", `{"type": "object", "properties": {"days": {"type": "integer", "minimum": 1, "maximum": 366}}, "required": ["days"]}`)
	bad := file("bad.json", `{"type": "object", "not": {}}`)
	gbnf := file("answer.gbnf", "root ::= (\"yes\" | \"no\") \".\"")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--as-json"}, `^\{.*\}\n$`}, {[]string{"--schema", schema}, `^\{\s*"days"\s*:\s*\d{1,3}\s*\}\n$`}, {[]string{"--grammar", gbnf}, `^(yes|no)\.\n$`}, {[]string{"--regex", "[a-c]{5}"}, `^[a-c]{5}\n$`},
	} {
		args := append([]string{"generate", "--model", "tiny", "--prompt", "Hello", "-n", "40", "--temperature", "1.5", "--stats"}, c.args...)
		code, out, stderr := docent("", args...)
		if code != 0 || !regexp.MustCompile("(?s)"+c.want).MatchString(out) || !strings.Contains(stderr, "tokens read") {
			t.Errorf("%v: %d, %q, %s", c.args, code, out, stderr)
		}
	}
	if code, _, stderr := docent("", "generate", "--model", "tiny", "--prompt", "Hello", "--schema", bad); code != exitFailed || !strings.Contains(stderr, `bad.json`) || !strings.Contains(stderr, `"not"`) {
		t.Errorf("%d: %s", code, stderr)
	}
	if code, _, _ := docent("", "generate", "--model", "tiny", "--prompt", "Hello", "--schema", schema, "--regex", "a"); code != exitUsage {
		t.Errorf("two forms: %d", code)
	}
	// A token that is added to: the same letter each time; and every sampler at once.
	if code, out, stderr := docent("", "generate", "--model", "tiny", "--prompt", "Hello", "-n", "5", "--logit-bias", "40=100"); code != 0 || len(out) != 6 || strings.Trim(out, out[:1]) != "\n" {
		t.Errorf("--logit-bias: %d, %q, %s", code, out, stderr)
	}
	samplers := []string{"--temperature", "1", "--top-k", "9", "--top-p", ".9", "--min-p", ".01", "--typical", ".9", "--repeat", "1.1", "--repeat-last", "8", "--presence", ".1", "--frequency", ".1", "--seed", "4"}
	for _, more := range [][]string{nil, {"--mirostat", "1", "--mirostat-tau", "4"}, {"--mirostat", "2", "--mirostat-eta", ".2"}} {
		args := append(append([]string{"generate", "--model", "tiny", "--prompt", "Hello", "-n", "12"}, samplers...), more...)
		code, first, stderr := docent("", args...)
		if _, again, _ := docent("", args...); code != 0 || first == "\n" || first != again {
			t.Errorf("%v: %d, %q, then %q, %s", more, code, first, again, stderr)
		}
	}
	for _, args := range [][]string{{"--choices", "yes,no", "--scoring", "pmi"}, {"--choices", "yes,no", "--scoring", "byte"}, {"--choices", "yes,no"}, {"--choices", "yes", "--choices", "no"}} {
		code, out, stderr := docent("", append([]string{"generate", "--model", "tiny", "--prompt", "Is it?"}, args...)...)
		if code != 0 || out != "yes\n" && out != "no\n" {
			t.Errorf("%v: %d, %q, %s", args, code, out, stderr)
		}
	}
	if code, _, stderr := docent("", "generate", "--model", "tiny", "--prompt", "Is it?", "--choices", "yes"); code != exitFailed || !strings.Contains(stderr, "want 2 to 64") {
		t.Errorf("one choice: %d, %s", code, stderr)
	}
	_, out, _ = docent("", "--json", "generate", "--model", "tiny", "--prompt", "Hello", "-n", "3", "--logprobs", "2")
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.LogProbs) != 3 || len(got.LogProbs[0].Top) != 2 || got.LogProbs[0].LogProb >= 0 {
		t.Errorf("%q, %v", out, err)
	}
	code, out, stderr = docent("", "models", "info", "tiny")
	for _, want := range []string{"llama, 2 layers", "chat template", "without tools", "for 128 tokens of context", "runs"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("%q is not in %s %s", want, out, stderr)
		}
	}
	// An installed model is what answers questions.
	a := newApp(globals{Data: data}, strings.NewReader(""), io.Discard, io.Discard)
	sel, err := llm.Open(context.Background(), a.llmConfig(modelFlags{ModelProvider: llm.Auto}, nil))
	if err != nil || sel.Provider != llm.Local || sel.Name != "tiny" {
		t.Fatalf("%+v, %v", sel, err)
	}
	if err := sel.Model.(*llm.LocalModel).Close(); err != nil {
		t.Error(err)
	}
}
