package engine_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"docent/internal/llm/engine"
)

// TestEncoderDecoder compares T5 with transformers: the log-probabilities at the first places of the answer, and 64
// tokens.
func TestEncoderDecoder(t *testing.T) {
	for _, name := range []string{"t5-f16", "t5-gated-f16"} {
		t.Run(name, func(t *testing.T) {
			g := readGolden(t, "testdata/"+name+".golden")
			m := open(t, "testdata/"+name+".gguf", engine.Config{Exact: true, Threads: 2})
			answer, res := generate(t, m, g.prompt, engine.Options{MaxTokens: len(g.answer), Sampling: engine.Sampling{LogProbs: 96}})
			if !slices.Equal(answer, g.answer) {
				t.Errorf("continues with %v, want %v", answer, g.answer)
			}
			far := 0.0
			for i, row := range g.logits {
				want := logSoftmax(row)
				for _, p := range res.LogProbs[i].Top {
					far = max(far, math.Abs(p.LogProb-want[p.ID]))
				}
			}
			t.Logf("log-probabilities off by %.1g", far)
			if !(far <= 1e-3) {
				t.Errorf("log-probabilities are off by %g", far)
			}
			if res.Prompt != len(g.prompt) || res.Completion != len(g.answer) || res.Reason != "length" {
				t.Errorf("%+v", res)
			}
		})
	}
}

// TestEncoderDecoderScore compares scores of continuations with transformers' log-probabilities: of the answer, of
// other tokens after parts of it, and of several at once.
func TestEncoderDecoderScore(t *testing.T) {
	for _, name := range []string{"t5-f16", "t5-gated-f16"} {
		t.Run(name, func(t *testing.T) {
			g := readGolden(t, "testdata/"+name+".golden")
			m := open(t, "testdata/"+name+".gguf", engine.Config{Exact: true, Threads: 2})
			places := len(g.logits)
			continuations := [][]int32{g.answer[:places]}
			for i := 0; i < places; i += 5 {
				continuations = append(continuations, append(slices.Clone(g.answer[:i]), int32(3+7*i%90)))
			}
			scores, err := m.Score(context.Background(), nil, g.prompt, continuations...)
			if err != nil {
				t.Fatal(err)
			}
			far := 0.0
			for i, c := range continuations {
				if len(scores[i]) != len(c) {
					t.Fatalf("%d scores of %d tokens", len(scores[i]), len(c))
				}
				for j, id := range c {
					far = max(far, math.Abs(scores[i][j]-logSoftmax(g.logits[j])[id]))
				}
			}
			t.Logf("scores off by %.1g", far)
			if !(far <= 1e-3) {
				t.Errorf("scores are off by %g", far)
			}
		})
	}
	g := readGolden(t, "testdata/t5-f16.golden")
	m := open(t, "testdata/t5-f16.gguf", engine.Config{Threads: 1})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		prompt []int32
		tokens []int32
		want   error
	}{
		{"no prompt", t.Context(), nil, []int32{5}, engine.ErrContext},
		{"no continuation", t.Context(), g.prompt, nil, engine.ErrContext},
		{"too long", t.Context(), g.prompt, make([]int32, 4096), engine.ErrContext},
		{"ended", ctx, g.prompt, []int32{5}, context.Canceled},
	} {
		if _, err := m.Score(c.ctx, nil, c.prompt, c.tokens); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := m.Perplexity(t.Context(), nil, g.prompt, -1, nil); !errors.Is(err, engine.ErrUnsupported) {
		t.Error("perplexity:", err)
	}
}

// TestEncoderDecoderCalls: calls wait for each other, end with their contexts, and what is not offered is refused.
func TestEncoderDecoderCalls(t *testing.T) {
	g := readGolden(t, "testdata/t5-f16.golden")
	m := open(t, "testdata/t5-f16.gguf", engine.Config{Exact: true, Threads: 2})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			var ids []int32
			_, err := m.GenerateIDs(ctx, g.prompt, engine.Options{MaxTokens: 16}, func(id int32) (bool, error) {
				if ids = append(ids, id); i%4 == 3 {
					cancel()
				}
				return true, nil
			})
			switch {
			case i%4 == 3 && !errors.Is(err, context.Canceled):
				t.Error(err)
			case i%4 != 3 && (err != nil || !slices.Equal(ids, g.answer[:16])):
				t.Errorf("%v, %v", ids, err)
			}
		})
	}
	wg.Wait()
	if _, err := m.Next(context.Background(), g.prompt); !errors.Is(err, engine.ErrUnsupported) {
		t.Error("logits of a prompt:", err)
	}
	if _, err := m.GenerateIDs(context.Background(), []int32{96}, engine.Options{}, nil); err == nil {
		t.Error("a token that is none is taken")
	}
	if _, err := m.GenerateIDs(context.Background(), nil, engine.Options{}, nil); !errors.Is(err, engine.ErrContext) {
		t.Error("no prompt:", err)
	}
}

// TestEncoderDecoderQueue: calls get their turns in the order in which they came, and one that is given up while it
// waits is out at once, though another's reader holds the turn.
func TestEncoderDecoderQueue(t *testing.T) {
	g := readGolden(t, "testdata/t5-f16.golden")
	synctest.Test(t, func(t *testing.T) {
		m, err := engine.Open("testdata/t5-f16.gguf", engine.Config{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		var order []int
		var wg sync.WaitGroup
		held := make(chan bool)
		call := func(ctx context.Context, i int) error {
			first := true
			_, err := m.GenerateIDs(ctx, g.prompt, engine.Options{MaxTokens: 3}, func(int32) (bool, error) {
				if first {
					first, order = false, append(order, i)
					if i == 0 {
						<-held
					}
				}
				return true, nil
			})
			return err
		}
		gaveUp := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 5 {
			wg.Go(func() {
				if i == 2 {
					gaveUp <- call(ctx, i)
				} else if err := call(t.Context(), i); err != nil {
					t.Errorf("call %d: %v", i, err)
				}
			})
			synctest.Wait() // it has the turn or waits for it
		}
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("the call that was given up: %v", err)
		}
		close(held)
		wg.Wait()
		if want := []int{0, 1, 3, 4}; !slices.Equal(order, want) {
			t.Errorf("turns went to %v, want %v", order, want)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
}
