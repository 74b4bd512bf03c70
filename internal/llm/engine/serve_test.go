package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"docent/internal/llm/engine"
)

// prompt is one of n tokens of the tiny models; those of one seed begin alike.
func prompt(seed uint64, n int) []int32 {
	r := rand.New(rand.NewPCG(seed, 77))
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(3 + r.IntN(90))
	}
	return ids
}

// settle waits until no request holds memory, and returns what the scheduler says then.
func settle(t testing.TB, m *engine.Model) engine.Stats {
	t.Helper()
	for range 500 {
		if s := m.Stats(); s.Held == 0 && s.Running == 0 && s.Waiting == 0 {
			return s
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("memory is held though nobody asks: %+v", m.Stats())
	return engine.Stats{}
}

// TestTogether: requests of random lengths that come, go on together, are cancelled, and lose their memory to
// one another, on a cache that holds few of them, get what each gets alone.
func TestTogether(t *testing.T) {
	type job struct {
		prompt []int32
		opts   engine.Options
		want   []int32
		stop   int // tokens after which it is cancelled; 0: never
	}
	r := rand.New(rand.NewPCG(9, 9))
	jobs := make([]job, 64)
	alone := open(t, tiny, engine.Config{Parallel: 1})
	for i := range jobs {
		j := &jobs[i]
		j.prompt = slices.Concat(prompt(uint64(r.IntN(4)), 1+r.IntN(40)), prompt(uint64(i), r.IntN(25)))
		j.opts.MaxTokens = 1 + r.IntN(62)
		if i%3 == 2 {
			j.opts.Sampling = engine.Sampling{Temperature: 1, TopK: 20, Seed: uint64(i)}
		}
		j.opts.NoGuesses = true
		j.want, _ = generate(t, alone, j.prompt, j.opts)
		j.opts.NoGuesses = i%2 == 0
		if i%4 == 3 {
			j.stop = 1 + r.IntN(len(j.want))
		}
	}
	for _, cache := range []engine.CacheType{engine.CacheF16, engine.CacheQ8_0} {
		t.Run(cache.String(), func(t *testing.T) {
			if cache != engine.CacheF16 { // the other's answers
				m := open(t, tiny, engine.Config{Parallel: 1, Cache: cache})
				for i := range jobs {
					jobs[i].want, _ = generate(t, m, jobs[i].prompt, jobs[i].opts)
				}
			}
			m := open(t, tiny, engine.Config{CacheTokens: 224, Parallel: 12, Cache: cache, Threads: 2})
			var wg sync.WaitGroup
			for i, j := range jobs {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					defer cancel()
					var got []int32
					_, err := m.GenerateIDs(ctx, j.prompt, j.opts, func(id int32) (bool, error) {
						if got = append(got, id); len(got) == j.stop {
							cancel()
						}
						return true, nil
					})
					want := j.want
					if j.stop > 0 {
						want = want[:j.stop]
					}
					if !slices.Equal(got, want) {
						t.Errorf("job %d, a prompt of %d tokens: %v, alone %v", i, len(j.prompt), got, want)
					}
					if ended := j.stop == len(j.want); err != nil && (j.stop == 0 || !errors.Is(err, context.Canceled)) || err == nil && j.stop > 0 && !ended {
						t.Errorf("job %d: %v", i, err)
					}
				})
			}
			wg.Wait()
			s := settle(t, m)
			t.Logf("%+v", s)
			if s.Preempted == 0 || s.Reused == 0 {
				t.Errorf("the test does not test what it should: %+v", s)
			}
		})
	}
}

// TestPrefix: a beginning that was computed once is not computed again, whoever asks.
func TestPrefix(t *testing.T) {
	m := open(t, tiny, engine.Config{CacheTokens: 1024})
	system := prompt(1, 70)
	_, res := generate(t, m, system, engine.Options{MaxTokens: 1})
	if res.Reused != 0 {
		t.Fatalf("%+v", res)
	}
	before := m.Stats().Computed
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			_, res := generate(t, m, slices.Concat(system, prompt(uint64(10+i), 40)), engine.Options{MaxTokens: 4, NoGuesses: true})
			if res.Reused < 70 { // a first token of its own may be that of another
				t.Errorf("request %d reused %d tokens of 70", i, res.Reused)
			}
		})
	}
	wg.Wait()
	settle(t, m)
	if n := m.Stats().Computed - before; n > 6*(40+3) {
		t.Errorf("%d tokens were computed for 6 questions of 40 tokens and 3 more of each answer", n)
	}
	// Requests of other lengths, down to one token.
	for _, n := range []int{1, 31, 32, 33, 64, 69, 70} {
		if _, res := generate(t, m, system[:n], engine.Options{MaxTokens: 1}); res.Reused != n-1 {
			t.Errorf("of a known prompt of %d tokens %d were reused", n, res.Reused)
		}
	}
}

// TestEvicts: what was used longest ago goes when memory runs out.
func TestEvicts(t *testing.T) {
	m := open(t, tiny, engine.Config{Context: 128, CacheTokens: 256})
	reused := func(seed uint64) int {
		_, res := generate(t, m, prompt(seed, 97), engine.Options{MaxTokens: 1})
		return res.Reused
	}
	for _, c := range []struct {
		seed uint64
		want int
	}{{1, 0}, {2, 0}, {1, 96}, {3, 0}, {1, 96}, {2, 0}} {
		if got := reused(c.seed); got != c.want {
			t.Errorf("text %d: %d tokens reused, want %d", c.seed, got, c.want)
		}
	}
	if s := settle(t, m); s.Blocks != 8 || s.Kept > 8 {
		t.Errorf("%+v", s)
	}
}

// TestCancelFreesMemory: a request that nobody waits for any more is given no further step.
func TestCancelFreesMemory(t *testing.T) {
	m := open(t, tiny, engine.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	_, err := m.GenerateIDs(ctx, prompt(1, 50), engine.Options{}, func(int32) (bool, error) {
		if n++; n == 10 {
			cancel()
		}
		return true, nil
	})
	if !errors.Is(err, context.Canceled) || n != 10 {
		t.Fatal(n, err)
	}
	settle(t, m)
	if c := m.Stats().Computed; c > 50+10 {
		t.Errorf("%d tokens were computed", c)
	}
}

// TestStalledCaller: a caller that does not take its tokens does not keep others from theirs, and gets the rest
// when it does.
func TestStalledCaller(t *testing.T) {
	m := open(t, tiny, engine.Config{Context: 128, CacheTokens: 128, Parallel: 1})
	want, _ := generate(t, m, prompt(1, 60), engine.Options{MaxTokens: 40})
	got := make(chan []int32)
	stalled, goOn := make(chan bool), make(chan bool)
	go func() {
		var ids []int32
		m.GenerateIDs(context.Background(), prompt(1, 60), engine.Options{MaxTokens: 40}, func(id int32) (bool, error) {
			if ids = append(ids, id); len(ids) == 5 {
				close(stalled)
				<-goOn
			}
			return true, nil
		})
		got <- ids
	}()
	<-stalled
	generate(t, m, prompt(2, 90), engine.Options{MaxTokens: 20})
	close(goOn)
	if ids := <-got; !slices.Equal(ids, want) {
		t.Errorf("%v, want %v", ids, want)
	}
}

// TestGuesses: answers are the same with guesses and without, however they are sampled.
func TestGuesses(t *testing.T) {
	m := open(t, tiny, engine.Config{})
	var guesses, right, steps int
	for i := range uint64(24) {
		text := prompt(i, 20)
		text = slices.Concat(text, text, text[:10])
		opts := engine.Options{MaxTokens: 60, NoGuesses: true}
		switch i % 4 {
		case 1:
			opts.Sampling = engine.Sampling{Temperature: 0.3, Seed: i}
		case 2:
			opts.Sampling = engine.Sampling{Repeat: 1.05, Frequency: 0.1, LogProbs: 2}
		case 3:
			opts.Sampling = engine.Sampling{Temperature: 1, Mirostat: 2, MirostatTau: 2, Seed: i}
		}
		want, plain := generate(t, m, text, opts)
		opts.NoGuesses = false
		before := settle(t, m).Steps
		got, res := generate(t, m, text, opts)
		steps += int(settle(t, m).Steps - before)
		if !slices.Equal(got, want) || len(plain.LogProbs) != len(res.LogProbs) {
			t.Errorf("%+v: %v, without guesses %v", opts.Sampling, got, want)
		}
		if plain.Guesses != 0 || res.Guessed > res.Guesses {
			t.Errorf("%+v, %+v", plain, res)
		}
		guesses, right = guesses+res.Guesses, right+res.Guessed
	}
	t.Logf("%d of %d guesses were right; %d steps for %d tokens", right, guesses, steps, 24*60)
	if right == 0 || steps > 24*60-right/2 {
		t.Errorf("%d of %d guesses were right; %d steps for %d tokens", right, guesses, steps, 24*60)
	}
}

// TestScore compares with the logits of whole texts.
func TestScore(t *testing.T) {
	m := open(t, tiny, engine.Config{Cache: engine.CacheF32})
	given := prompt(1, 70)
	continuations := [][]int32{prompt(2, 1), prompt(3, 20), prompt(4, 40), {5}}
	before := settle(t, m).Computed
	got, err := m.Score(context.Background(), nil, given, continuations...)
	if err != nil {
		t.Fatal(err)
	}
	if n := settle(t, m).Computed - before; n > 70+20+40+4 {
		t.Errorf("%d tokens were computed, the prompt has 70", n)
	}
	for i, c := range continuations {
		text := slices.Concat(given, c)
		logits, err := m.Logits(context.Background(), text)
		if err != nil {
			t.Fatal(err)
		}
		for j, id := range c {
			row, sum := logits[len(given)+j-1], 0.0
			for _, x := range row {
				sum += math.Exp(float64(x))
			}
			if want := float64(row[id]) - math.Log(sum); math.Abs(got[i][j]-want) > 1e-5 {
				t.Errorf("continuation %d, token %d: %g, want %g", i, j, got[i][j], want)
			}
		}
	}
	for _, bad := range [][]int32{{}, {96}, prompt(1, 100)} {
		if _, err := m.Score(context.Background(), nil, given, bad); err == nil {
			t.Errorf("a continuation of %d tokens is taken", len(bad))
		}
	}
	settle(t, m)
}

func TestPerplexity(t *testing.T) {
	m := open(t, tiny, engine.Config{Context: 65})
	text := prompt(5, 150)
	got, err := m.Perplexity(context.Background(), nil, text, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for i := range 2 {
		piece := slices.Clone(text[i*64 : (i+1)*64])
		piece[0] = 1
		scores, err := m.Score(context.Background(), nil, piece[:32], piece[32:])
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range scores[0] {
			sum -= x
		}
	}
	if want := math.Exp(sum / 64); got.Tokens != 64 || math.Abs(got.Value-want) > 1e-9*want {
		t.Errorf("%+v, want %g of 64 tokens", got, want)
	}
	if got, err := m.Perplexity(context.Background(), nil, text[:30], -1, nil); err != nil || got.Tokens != 29 {
		t.Errorf("a short text: %+v, %v", got, err)
	}
	if _, err := m.Perplexity(context.Background(), nil, text[:1], -1, nil); !errors.Is(err, engine.ErrContext) {
		t.Error(err)
	}
}

// TestWindow: a model all of whose layers have a window holds no more than the window of a long text.
func TestWindow(t *testing.T) {
	m := open(t, "testdata/mistral-f16.gguf", engine.Config{})
	most := 0
	_, err := m.GenerateIDs(context.Background(), prompt(1, 60), engine.Options{MaxTokens: 60}, func(int32) (bool, error) {
		most = max(most, m.Stats().Held)
		return true, nil
	})
	if err != nil || most > 3 {
		t.Errorf("%d blocks of 32 tokens are held for a window of 8: %v", most, err)
	}
}

func TestClose(t *testing.T) {
	m, err := engine.Open(tiny, engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	begun, ids := make(chan bool), make(chan int)
	go func() {
		n := 0
		m.GenerateIDs(context.Background(), []int32{4, 5}, engine.Options{MaxTokens: 50}, func(int32) (bool, error) {
			if n++; n == 1 {
				close(begun)
			}
			return true, nil
		})
		ids <- n
	}()
	<-begun
	closed := make(chan error)
	go func() { closed <- m.Close() }()
	if n := <-ids; n != 50 {
		t.Errorf("Close cut an answer off after %d tokens of 50", n)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, err := m.Next(context.Background(), []int32{4}); !errors.Is(err, engine.ErrClosed) {
		t.Error("after Close:", err)
	}
	if err := m.Close(); err != nil {
		t.Error("a second Close:", err)
	}
}

// TestCacheMemory: the cache is as large as told, smaller where memory is, and never too small for a context.
func TestCacheMemory(t *testing.T) {
	full := open(t, tiny, engine.Config{Context: 128}).Memory()
	for _, c := range []struct {
		cfg    engine.Config
		tokens int // 0: an error
	}{
		{engine.Config{}, 256},
		{engine.Config{CacheTokens: 2000}, 2016},
		{engine.Config{CacheTokens: 120}, 0},
		{engine.Config{Context: 100}, 256},
		{engine.Config{Memory: full.Total()}, 256},
		{engine.Config{Memory: full.Total() - full.Cache/4}, 192},
		{engine.Config{Memory: full.Total() - full.Cache/2}, 128},
		{engine.Config{Memory: full.Total() - full.Cache/2 - 1}, 0},
		{engine.Config{CacheTokens: 256, Memory: full.Total() - 1}, 0},
		{engine.Config{Cache: engine.CacheQ8_0}, 256},
	} {
		t.Run(fmt.Sprintf("%+v", c.cfg), func(t *testing.T) {
			m, err := engine.Open(tiny, c.cfg)
			if c.tokens == 0 {
				if !errors.Is(err, engine.ErrMemory) {
					t.Error(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			generate(t, m, []int32{4}, engine.Options{MaxTokens: 1})
			if got := settle(t, m).Blocks * 32; got != c.tokens {
				t.Errorf("a cache of %d tokens, want %d", got, c.tokens)
			}
			if need := m.Memory(); c.cfg.Memory > 0 && need.Total() > c.cfg.Memory {
				t.Errorf("%+v", need)
			}
		})
	}
}

// benchModel is a tiny model, or the file that DOCENT_BENCH_MODEL names, such as one that bench/llm makes.
func benchModel(b *testing.B, cfg engine.Config) *engine.Model {
	path := os.Getenv("DOCENT_BENCH_MODEL")
	if path == "" {
		path = tiny
	}
	return open(b, path, cfg)
}

// BenchmarkServe measures answers to prompts of 64 tokens, one at a time and several at once, with what was
// written before in the cache.
func BenchmarkServe(b *testing.B) {
	for _, n := range []int{1, 2, 4, 8} {
		b.Run(fmt.Sprintf("requests=%d", n), func(b *testing.B) {
			m := benchModel(b, engine.Config{})
			var tokens int
			for i := 0; b.Loop(); i++ {
				var wg sync.WaitGroup
				for j := range n {
					wg.Go(func() {
						generate(b, m, prompt(uint64(i*n+j), 64), engine.Options{MaxTokens: 32, NoGuesses: true})
					})
				}
				wg.Wait()
				tokens += n * 32
			}
			b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

// BenchmarkFirstToken measures the time to the first token after a prompt, of which nothing is known, or all but
// the last 16 tokens.
func BenchmarkFirstToken(b *testing.B) {
	for _, known := range []bool{false, true} {
		b.Run(fmt.Sprintf("known=%v", known), func(b *testing.B) {
			m := benchModel(b, engine.Config{})
			system := prompt(1, min(512, m.Context()-20)-16)
			generate(b, m, system, engine.Options{MaxTokens: 1})
			for i := uint64(2); b.Loop(); i++ {
				if !known {
					system = prompt(i, len(system))
				}
				generate(b, m, slices.Concat(system, prompt(i+1e6, 16)), engine.Options{MaxTokens: 1})
			}
		})
	}
}

// BenchmarkContext measures a token of an answer after prompts of some lengths.
func BenchmarkContext(b *testing.B) {
	for _, n := range []int{16, 100, 2048} {
		b.Run(fmt.Sprintf("tokens=%d", n), func(b *testing.B) {
			m := benchModel(b, engine.Config{})
			if n >= m.Context()-16 {
				b.Skip("the model's context is too short")
			}
			var spent time.Duration
			for b.Loop() {
				_, res := generate(b, m, prompt(1, n), engine.Options{MaxTokens: 17, IgnoreEnd: true, NoGuesses: true})
				spent += res.Time
			}
			b.ReportMetric(float64(16*b.N)/spent.Seconds(), "tokens/s")
		})
	}
}
