package llm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tmc/langchaingo/llms"

	"docent/internal/llm"
	"docent/internal/llm/gguf"
)

// speaking writes a tiny random model, with letters for a vocabulary, to a file.
func speaking(t testing.TB, path string) string {
	t.Helper()
	f, err := gguf.Open("engine/testdata/llama-q8_0.gguf")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var meta []gguf.KeyValue
	for _, k := range f.Keys() {
		if v, _ := f.Value(k); k != "tokenizer.ggml.model" {
			meta = append(meta, gguf.KeyValue{Key: k, Value: v})
		}
	}
	tokens := []string{"<|bos|>", "<|im_start|>", "<|im_end|>", "Ġ", "Ċ"}
	types := []int32{3, 3, 3, 1, 1}
	for c := '!'; c <= '~' && len(tokens) < 96; c++ {
		tokens, types = append(tokens, string(c)), append(types, 1)
	}
	tokens[len(tokens)-1] = "~"
	meta = append(meta, gguf.KeyValue{Key: "tokenizer.ggml.model", Value: "gpt2"}, gguf.KeyValue{Key: "tokenizer.ggml.tokens", Value: tokens},
		gguf.KeyValue{Key: "tokenizer.ggml.token_type", Value: types}, gguf.KeyValue{Key: "tokenizer.ggml.merges", Value: []string{}},
		gguf.KeyValue{Key: "tokenizer.ggml.eos_token_id", Value: uint32(2)})
	var b bytes.Buffer
	if err := gguf.Write(&b, meta, f.Tensors, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLocal(t *testing.T) {
	path := speaking(t, filepath.Join(t.TempDir(), "tiny.gguf"))
	sel, err := llm.Open(context.Background(), llm.Config{Provider: llm.Local, Model: path})
	if err != nil {
		t.Fatal(err)
	}
	defer sel.Model.(*llm.LocalModel).Close()
	if sel.Provider != llm.Local || sel.Name != "tiny" || sel.URL != path || sel.Notice != "" {
		t.Errorf("%+v", sel)
	}
	messages := []llms.MessageContent{
		llms.TextParts(llms.ChatMessageTypeSystem, "Be brief."),
		llms.TextParts(llms.ChatMessageTypeHuman, "Hello", "there<|im_end|>"),
	}
	var streamed strings.Builder
	ask := func(options ...llms.CallOption) *llms.ContentChoice {
		t.Helper()
		streamed.Reset()
		resp, err := sel.Model.GenerateContent(context.Background(), messages, append(options, llms.WithStreamingFunc(func(_ context.Context, b []byte) error {
			streamed.Write(b)
			return nil
		}))...)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Choices[0].Content != streamed.String() {
			t.Errorf("streamed %q, replied %q", streamed.String(), resp.Choices[0].Content)
		}
		return resp.Choices[0]
	}
	first := ask(llms.WithMaxTokens(30))
	info := first.GenerationInfo
	if info["CompletionTokens"].(int) < 1 || info["TotalTokens"] != info["PromptTokens"].(int)+info["CompletionTokens"].(int) || info["CachedTokens"] != 0 {
		t.Error(info)
	}
	again := ask(llms.WithMaxTokens(30))
	if again.Content != first.Content {
		t.Errorf("the same question: %q, then %q", first.Content, again.Content)
	}
	if n := info["PromptTokens"].(int) - 1; again.GenerationInfo["CachedTokens"] != n {
		t.Errorf("%v tokens of the prompt were known, want %d", again.GenerationInfo["CachedTokens"], n)
	}
	if len(first.Content) > 6 {
		stop := first.Content[3:5]
		if c := ask(llms.WithMaxTokens(30), llms.WithStopWords([]string{stop})); c.Content != first.Content[:strings.Index(first.Content, stop)] || c.StopReason != "stop" {
			t.Errorf("stop at %q: %q (%s) of %q", stop, c.Content, c.StopReason, first.Content)
		}
	}
	a, b := ask(llms.WithMaxTokens(20), llms.WithTemperature(1.5), llms.WithSeed(5)), ask(llms.WithMaxTokens(20), llms.WithTemperature(1.5), llms.WithSeed(5))
	if a.Content != b.Content {
		t.Errorf("one seed: %q and %q", a.Content, b.Content)
	}

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := sel.Model.GenerateContent(ctx, messages, llms.WithStreamingFunc(func(context.Context, []byte) error {
		cancel()
		return nil
	})); !errors.Is(err, context.Canceled) {
		t.Error("cancelled in the stream:", err)
	}
	long := []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, strings.Repeat("long ", 100))}
	if _, err := sel.Model.GenerateContent(context.Background(), long); !llm.IsContextOverflow(err) {
		t.Error("a prompt that is too long:", err)
	}
	if _, err := sel.Model.GenerateContent(context.Background(), messages, llms.WithTools([]llms.Tool{{Type: "function"}})); !errors.Is(err, llm.ErrTools) {
		t.Error("tools:", err)
	}
	picture := []llms.MessageContent{{Role: llms.ChatMessageTypeHuman, Parts: []llms.ContentPart{llms.ImageURLContent{URL: "x"}}}}
	if _, err := sel.Model.GenerateContent(context.Background(), picture); err == nil {
		t.Error("a picture is read")
	}
}

func TestLocalIsFound(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("OLLAMA_HOST", "127.0.0.1:1")
	open := func(cfg llm.Config) (string, error) {
		sel, err := llm.Open(context.Background(), cfg)
		if m, ok := sel.Model.(*llm.LocalModel); ok {
			defer m.Close()
		}
		return fmt.Sprintf("%s %s", sel.Provider, sel.Name), err
	}
	if got, err := open(llm.Config{ModelDir: dir}); got != "extractive extractive" || err != nil {
		t.Error("none installed:", got, err)
	}
	if _, err := open(llm.Config{Provider: llm.Local, ModelDir: dir}); !errors.Is(err, llm.ErrNoModel) {
		t.Error("none installed:", err)
	}
	if _, err := open(llm.Config{Model: filepath.Join(dir, "none.gguf")}); !errors.Is(err, llm.ErrNoModel) {
		t.Error("a file that is not there:", err)
	}
	old := speaking(t, filepath.Join(dir, "old.gguf"))
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	speaking(t, filepath.Join(dir, "new.gguf"))
	for _, sub := range []string{"pulled", ".partial"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	speaking(t, filepath.Join(dir, ".partial", "half.gguf"))
	pulled := speaking(t, filepath.Join(dir, "pulled", "tiny-q8_0.gguf"))
	if err := os.Chtimes(pulled, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cfg  llm.Config
		want string
	}{
		{llm.Config{ModelDir: dir}, "local new"},
		{llm.Config{ModelDir: dir, Model: "old"}, "local old"},
		{llm.Config{ModelDir: dir, Model: "old.gguf"}, "local old"},
		{llm.Config{Provider: llm.Local, ModelDir: dir}, "local new"},
		{llm.Config{Model: old}, "local old"},
		{llm.Config{Provider: llm.Local, ModelDir: dir, Model: "pulled"}, "local tiny-q8_0"},
		{llm.Config{Provider: llm.Local, ModelDir: dir, Model: "tiny-q8_0.gguf"}, "local tiny-q8_0"},
	} {
		if got, err := open(c.cfg); got != c.want || err != nil {
			t.Errorf("%+v: %s, %v, want %s", c.cfg, got, err, c.want)
		}
	}
	for name, kv := range map[string][]gguf.KeyValue{ // the newest, and not language models
		"bert": {{Key: "general.architecture", Value: "bert"}}, "nomic": {{Key: "general.architecture", Value: "nomic-bert"}},
		"jina": {{Key: "general.architecture", Value: "jina-bert-v2"}},
		"qwen": {{Key: "general.architecture", Value: "qwen3"}, {Key: "qwen3.pooling_type", Value: uint32(3)}},
	} {
		var b bytes.Buffer
		if err := gguf.Write(&b, kv, nil, nil); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name+".gguf")
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := open(llm.Config{ModelDir: dir}); got != "local new" || err != nil {
		t.Error("encoders among the models:", got, err)
	}
	installed, err := llm.InstalledModels(dir)
	if want := []string{filepath.Join(dir, "new.gguf"), old, pulled}; !slices.Equal(installed, want) || err != nil {
		t.Error(installed, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.gguf"), []byte("GGUF"), 0o600); err != nil {
		t.Fatal(err)
	}
	sel, err := llm.Open(context.Background(), llm.Config{ModelDir: dir})
	if err != nil || sel.Provider != llm.ExtractiveAnswer || !strings.Contains(sel.Notice, "broken.gguf") {
		t.Errorf("a broken file: %+v, %v", sel, err)
	}
	if _, err := open(llm.Config{ModelDir: dir, Model: "new", MemoryLimit: 1000, Provider: llm.Local}); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Error("a limit on memory:", err)
	}
}
