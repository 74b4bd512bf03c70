package llm_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tmc/langchaingo/llms"

	"docent/internal/llm"
	"docent/internal/llm/engine"
)

// TestAdapters: those of the configuration are loaded, named after their files, and chosen by name.
func TestAdapters(t *testing.T) {
	const dir = "engine/testdata/"
	m, err := llm.OpenFile(dir+"llama-f32.gguf", llm.Config{Adapters: []string{dir + "llama-f32.lora.gguf=0.5"}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	first, err := m.Adapter("")
	if err != nil || first == nil {
		t.Fatal(first, err)
	}
	if a, err := m.Adapter("llama-f32.lora"); a != first || err != nil {
		t.Error(a, err)
	}
	if a, err := m.Adapter(llm.NoAdapter); a != nil || err != nil {
		t.Error(a, err)
	}
	if _, err := m.Adapter("other"); err == nil || !strings.Contains(err.Error(), "llama-f32.lora") {
		t.Error("an adapter that is not there:", err)
	}
	if names := m.Adapters(); !slices.Equal(names, []string{"llama-f32.lora"}) {
		t.Error(names)
	}
	plain, err := m.WithAdapter(llm.NoAdapter)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := plain.(*llm.LocalModel).Adapter(""); a != nil || err != nil {
		t.Error("the model without its adapter has one:", a, err)
	}
	if _, err := m.WithAdapter("other"); err == nil {
		t.Error("a model with an adapter that is not there")
	}
	// Adapters count among what a model needs.
	need := m.Status().Memory
	if need.Adapters == 0 || need.Adapters != first.Bytes() {
		t.Errorf("%+v, the adapter has %d bytes", need, first.Bytes())
	}
	tight := llm.Config{Adapters: []string{dir + "llama-f32.lora.gguf"}, CacheTokens: 128, ContextTokens: 128, Parallel: 1, Threads: 1}
	one, err := llm.OpenFile(dir+"llama-f32.gguf", tight)
	if err != nil {
		t.Fatal(err)
	}
	tight.MemoryLimit = one.Status().Memory.Total()
	one.Close()
	if one, err = llm.OpenFile(dir+"llama-f32.gguf", tight); err != nil {
		t.Fatal("a limit that is just enough:", err)
	}
	one.Close()
	tight.MemoryLimit--
	if m, err := llm.OpenFile(dir+"llama-f32.gguf", tight); !errors.Is(err, engine.ErrMemory) || !strings.Contains(err.Error(), "adapter") {
		t.Errorf("a limit below: %v, %v", m, err)
	}
	for _, list := range [][]string{{dir + "phi3-f16.lora.gguf"}, {dir + "llama-f32.lora.gguf=1e9"}} {
		if m, err := llm.OpenFile(dir+"llama-f32.gguf", llm.Config{Adapters: list}); !errors.Is(err, engine.ErrAdapter) {
			t.Errorf("%v: %v, %v", list, m, err)
		}
	}
	twice := []string{dir + "llama-f32.lora.gguf", dir + "llama-f32.lora.gguf=2"}
	if _, err := llm.OpenFile(dir+"llama-f32.gguf", llm.Config{Adapters: twice}); err == nil || !strings.Contains(err.Error(), "rename") {
		t.Error("two of a name:", err)
	}
	_, err = m.GenerateContent(context.Background(), []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, "a")}, llm.WithLocal(llm.LocalOptions{Adapter: "other"}))
	if err == nil {
		t.Error("a request with an adapter that is not there is answered")
	}
}
