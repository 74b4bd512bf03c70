package chain

import (
	"context"
	"iter"
	"log/slog"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/schema"

	"docent/retriever"
)

// SearchFunc finds the k passages that fit query best, best first.
type SearchFunc func(ctx context.Context, query string, k int) ([]retriever.Hit, error)

// Encoder embeds text; docent's embed.Encoder is one. An encoder that also has a method
// Languages() []string is asked only about text in those languages.
type Encoder interface {
	EmbedDocuments(ctx context.Context, texts []string) ([][]float32, error)
	EmbedQuery(ctx context.Context, text string) ([]float32, error)
}

// Config builds a QA.
type Config struct {
	Model     llms.Model // nil, or an *llm.Extractive: quote the sentences that fit best instead of writing
	ModelName string     // as reported in Answer.Model; "" means "extractive" without a model
	Search    SearchFunc // required
	Encoder   Encoder    // for the extractive answerer when Model is nil; may be nil

	Style     string // when a question names none; "" means "plain"
	PromptDir string // folder of *.yaml prompt files that add to the built-in ones or replace them; "" means none

	TopK          int     // passages searched for; 0 means 8
	ContextTokens int     // the model's context window; 0 means 8192
	AnswerTokens  int     // kept free in it for the reply; 0 means a quarter, at most 1024 (2048 when the style reasons)
	Temperature   float64 // 0 means 0: the likeliest words

	CountTokens func(text string) int // the model's own count; nil means a cautious guess from the characters

	Notice string        // copied to every answer, such as llm.Selected.Notice
	Memory schema.Memory // for langchaingo's chains.Call; nil means none
	Logger *slog.Logger  // nil discards
}

// A Turn is an earlier question of the conversation and its answer.
type Turn struct {
	Question string `json:"question"`
	Answer   string `json:"answer"`
}

// A Question is what is asked.
type Question struct {
	Text    string
	History []Turn // oldest first
	Style   string // "plain", "examples", "reasoning", "examples+reasoning" or a user's own; "" means Config.Style
}

// QA answers questions from the passages that a search finds. It is safe for concurrent use.
type QA struct{ cfg Config }

// NewQA checks cfg, reads its prompt files and returns the chain.
func NewQA(cfg Config) (*QA, error) { return &QA{cfg: cfg}, nil }

// Styles lists the prompt styles that a question may name, sorted.
func (q *QA) Styles() []string { return nil }

// Stream answers question, event by event; the last is Done. An error ends the stream. Breaking out
// of the loop, or cancelling ctx, stops the search and the model.
func (q *QA) Stream(ctx context.Context, question Question) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {}
}

// Ask is Stream without the events.
func (q *QA) Ask(ctx context.Context, question Question) (*Answer, error) { return nil, ctx.Err() }
