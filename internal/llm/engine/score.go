package engine

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"docent/internal/tensor"
)

// Score computes how likely the model finds each of some continuations of a prompt: for each of their tokens the
// natural logarithm of its probability after the prompt and the tokens before it. The prompt is computed once; an
// encoder-decoder's encoder reads it, and the continuations are its decoder's. adapter may be nil.
func (m *Model) Score(ctx context.Context, adapter *Adapter, prompt []int32, continuations ...[]int32) ([][]float64, error) {
	return m.score(ctx, adapter, prompt, 0, continuations)
}

// ScoreReplies is [Model.Score] with one value more for each continuation, its last: of an end after it.
func (m *Model) ScoreReplies(ctx context.Context, adapter *Adapter, prompt []int32, replies ...[]int32) ([][]float64, error) {
	return m.score(ctx, adapter, prompt, 1, replies)
}

// score scores the continuations, and with end 1 what ends them.
func (m *Model) score(ctx context.Context, adapter *Adapter, prompt []int32, end int, continuations [][]int32) ([][]float64, error) {
	if err := m.owns(adapter); err != nil {
		return nil, err
	}
	for _, c := range continuations {
		if len(prompt) == 0 || len(c) == 0 {
			return nil, fmt.Errorf("%w: the prompt or a continuation is empty", ErrContext)
		}
	}
	var ends []int32
	if m.vocab != nil {
		ends = slices.Sorted(maps.Keys(m.vocab.ends))
	}
	if m.t5 != nil {
		return m.scoreT5(ctx, adapter, prompt, end, ends, continuations)
	}
	out := make([][]float64, len(continuations))
	var waiting []*request
	defer func() {
		for _, r := range waiting {
			m.sched.leave(r)
		}
	}()
	finish := func() error {
		for len(waiting) > 0 {
			r := waiting[0]
			if err := r.wait(ctx); err != nil {
				return err
			}
			m.sched.leave(r)
			waiting = waiting[1:]
		}
		return nil
	}
	for i, c := range continuations {
		text := slices.Concat(prompt, c)
		if err := m.check(text); err != nil {
			return nil, err
		}
		out[i] = make([]float64, len(c)+end)
		r := m.newRequest(text[:len(text)-1+end])
		r.adapt(adapter)
		r.logits = len(c) + end
		r.deliver = func(j int, logits []float32) {
			if j < len(c) {
				out[i][j] = logProb(logits, c[j:j+1])
			} else {
				out[i][j] = logProb(logits, ends)
			}
		}
		if err := m.sched.submit(ctx, r); err != nil {
			return nil, err
		}
		waiting = append(waiting, r)
		if i == 0 { // the others find the prompt computed
			if err := finish(); err != nil {
				return nil, err
			}
		}
	}
	return out, finish()
}

// logProb is the logarithm of the probability of one of some tokens; of none it is 0. It overwrites the logits.
func logProb(logits []float32, ids []int32) float64 {
	if len(ids) == 0 {
		return 0
	}
	top := tensor.Max(logits)
	best, sum := logits[ids[0]], 0.0
	for _, id := range ids {
		best = max(best, logits[id])
	}
	for _, id := range ids {
		sum += math.Exp(float64(logits[id] - best))
	}
	return float64(best-top) + math.Log(sum) - math.Log(float64(tensor.ExpSum(logits, top, 1)))
}

// Perplexity is how well a model foretells a text: exp of the mean of -log p of its tokens.
type Perplexity struct {
	Value  float64 `json:"perplexity"`
	Tokens int     `json:"tokens"` // that were foretold
}

// Perplexity reads tokens in pieces of a context window, each by itself, and looks at the second half of each,
// as llama.cpp does. A text that is shorter than a window is one piece, foretold from its second token on.
// first, if not negative, takes the place of each piece's first token: the one that begins texts. adapter and
// progress may be nil.
func (m *Model) Perplexity(ctx context.Context, adapter *Adapter, tokens []int32, first int32, progress func(done, total int)) (Perplexity, error) {
	if m.t5 != nil {
		return Perplexity{}, fmt.Errorf("%w: perplexity is of a text that a model goes on with; %s models answer a text that they read whole", ErrUnsupported, m.params.arch)
	}
	window := min(m.cfg.Context-1, len(tokens))
	if window < 2 {
		return Perplexity{}, fmt.Errorf("%w: perplexity is of two tokens at least", ErrContext)
	}
	from := window / 2
	if len(tokens) < m.cfg.Context {
		from = 1
	}
	sum, n := 0.0, 0
	pieces := len(tokens) / window
	for i := range pieces {
		piece := slices.Clone(tokens[i*window : (i+1)*window])
		if first >= 0 {
			piece[0] = first
		}
		scores, err := m.Score(ctx, adapter, piece[:from], piece[from:])
		if err != nil {
			return Perplexity{}, err
		}
		for _, s := range scores[0] {
			sum -= s
			n++
		}
		if progress != nil {
			progress(i+1, pieces)
		}
	}
	return Perplexity{math.Exp(sum / float64(n)), n}, nil
}
