package llm_test

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tmc/langchaingo/llms"

	"docent/internal/llm"
)

// TestScore: what the model writes itself is what it finds likeliest, and the chances are those it gives.
func TestScore(t *testing.T) {
	m, err := llm.OpenFile(speaking(t, filepath.Join(t.TempDir(), "tiny.gguf")), llm.Config{ContextTokens: 128})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ctx := context.Background()
	ask := []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, "a b c d")}
	got, read, err := m.Score(ctx, ask, "a b", "b", "a b")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || !slices.Equal(got[0], got[2]) || len(got[0]) != 4 || len(got[1]) != 2 || read <= 7 {
		t.Fatalf("%v", got)
	}
	for _, tokens := range got {
		for _, p := range tokens {
			if !(p < 0) || math.IsInf(p, 0) {
				t.Errorf("%v", got)
			}
		}
	}
	if _, _, err := m.Score(ctx, ask, ""); err == nil {
		t.Error("an empty reply is scored")
	}
}
