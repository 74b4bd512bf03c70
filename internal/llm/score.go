package llm

import (
	"context"
	"fmt"

	"github.com/tmc/langchaingo/llms"
)

// A Scorer is a model that tells how likely it finds replies, without writing any. *LocalModel is one; models on
// servers are not. Packages that score declare the method themselves, so any llms.Model may have it.
type Scorer interface {
	llms.Model

	// Score returns, for each of some replies to messages in their order, the natural logarithm of the probability
	// of each of its tokens after those before it. Their sum is the reply's own; their mean compares replies of
	// different lengths.
	Score(ctx context.Context, messages []llms.MessageContent, replies ...string) ([][]float64, error)
}

var _ Scorer = (*LocalModel)(nil)

// Score implements [Scorer], with the adapter of [LocalModel.WithAdapter], else the first: to choose among given answers, or to rank
// passages by how well they explain a question. The messages are computed once. A reply without text is an error.
func (l *LocalModel) Score(ctx context.Context, messages []llms.MessageContent, replies ...string) ([][]float64, error) {
	leave, err := l.gate.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
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
	return scores, nil
}
