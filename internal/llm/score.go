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
	// of each of its tokens after those before it, and as its last value that of the reply's end. Their sum is that of
	// the reply, whole and nothing more. tokens is how many were read, those that all replies share once.
	Score(ctx context.Context, messages []llms.MessageContent, replies ...string) (logProbs [][]float64, tokens int, err error)
}

var _ Scorer = (*LocalModel)(nil)

// Score implements [Scorer], with the adapter of [LocalModel.WithAdapter], else the first: to choose among given answers, or to rank
// passages by how well they explain a question. The messages are computed once. A reply without text is an error.
func (l *LocalModel) Score(ctx context.Context, messages []llms.MessageContent, replies ...string) (logProbs [][]float64, read int, err error) {
	leave, err := l.gate.enter()
	if err != nil {
		return nil, 0, err
	}
	defer leave()
	turns, err := turnsOf(messages)
	if err != nil {
		return nil, 0, err
	}
	prompt, err := l.prompt(turns, nil, false, true)
	if err != nil {
		return nil, 0, fmt.Errorf("model %s: %w", l.path, err)
	}
	tokens, read := make([][]int32, len(replies)), len(prompt.ids)
	for i, text := range replies {
		if tokens[i], err = l.engine.EncodePart(text); err != nil {
			return nil, 0, fmt.Errorf("model %s: %w", l.path, err)
		}
		read += len(tokens[i])
	}
	adapter, err := l.Adapter("")
	if err != nil {
		return nil, 0, err
	}
	logProbs, err = l.engine.ScoreReplies(ctx, adapter, prompt.ids, tokens...)
	if err != nil {
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		return nil, 0, fmt.Errorf("model %s: %w", l.path, err)
	}
	return logProbs, read, nil
}
