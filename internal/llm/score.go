package llm

import (
	"context"
	"fmt"

	"github.com/tmc/langchaingo/llms"
)

// A Likelihood is how likely a model finds a reply.
type Likelihood struct {
	LogProb float64 // the natural logarithm of the reply's probability, the sum over its tokens
	Tokens  int     // of the reply; LogProb/Tokens compares replies of different lengths
}

// Score tells how likely the model finds each of some replies to messages, in their order, without writing
// any, with the first of the model's adapters: to choose among given answers, or to rank passages by how well they explain a question. The messages
// are computed once.
func (l *LocalModel) Score(ctx context.Context, messages []llms.MessageContent, replies ...string) ([]Likelihood, error) {
	turns, err := turnsOf(messages)
	if err != nil {
		return nil, err
	}
	prompt, err := l.prompt(turns, nil, false, true)
	if err != nil {
		return nil, err
	}
	tokens := make([][]int32, len(replies))
	for i, text := range replies {
		if tokens[i], err = l.engine.EncodePart(text); err != nil {
			return nil, fmt.Errorf("model %s: %w", l.path, err)
		}
	}
	adapter, err := l.Adapter("")
	if err != nil {
		return nil, err
	}
	scores, err := l.engine.Score(ctx, adapter, prompt.ids, tokens...)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("model %s: %w", l.path, err)
	}
	out := make([]Likelihood, len(replies))
	for i, s := range scores {
		out[i].Tokens = len(s)
		for _, p := range s {
			out[i].LogProb += p
		}
	}
	return out, nil
}
