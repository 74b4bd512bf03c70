package chain

import (
	"context"
	"sync"

	"github.com/tmc/langchaingo/llms"
)

// Usage counts a model's tokens; zero where the model does not say. An answer's has those of every call that it took:
// to rewrite the question, to search with more of them, to order the passages, and to write.
type Usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
}

// Add counts the tokens of a reply, under the names that langchaingo's providers give them.
func (u *Usage) Add(c *llms.ContentChoice) {
	number := func(keys ...string) int {
		for _, k := range keys {
			switch v := c.GenerationInfo[k].(type) {
			case int:
				return v
			case int32:
				return int(v)
			case int64:
				return int(v)
			case float64:
				return int(v)
			}
		}
		return 0
	}
	u.PromptTokens += number("PromptTokens", "InputTokens", "input_tokens")
	u.CompletionTokens += number("CompletionTokens", "OutputTokens", "output_tokens")
}

// meter adds up what the parts of a search use of a language model, several of them at once. A search takes a
// context and returns hits, so it travels in the context.
type meter struct {
	mu    sync.Mutex
	total Usage
}

type meterKey struct{}

// WithMeter returns a context whose calls of a language model by [Questions], [Hypothesis] and [Judge] are counted,
// and what tells their sum so far.
func WithMeter(ctx context.Context) (context.Context, func() Usage) {
	m := &meter{}
	return context.WithValue(ctx, meterKey{}, m), func() Usage {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.total
	}
}

// countUsage adds to the meter of ctx, if it has one.
func countUsage(ctx context.Context, u Usage) {
	if m, ok := ctx.Value(meterKey{}).(*meter); ok {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.total.PromptTokens += u.PromptTokens
		m.total.CompletionTokens += u.CompletionTokens
	}
}
