package embed

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// tinyEncoder is a small checkpoint with workers of its own.
func tinyEncoder(tb testing.TB) *Encoder {
	tb.Helper()
	e, err := Load("testdata/tiny-f32-mean")
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// settle waits for the goroutines of an encoder to end.
func settle(t *testing.T, s *scheduler) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		running, helpers, queue, waiting := s.running, s.team.helpers, len(s.queue), s.waiting
		s.mu.Unlock()
		if running == 0 && helpers == 0 && queue == 0 && waiting == 0 {
			return
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("still %d workers, %d helpers, %d calls, %d tokens", running, helpers, queue, waiting)
		}
	}
}

// TestCallsAreCoalesced holds all workers and checks that the calls that wait run together.
func TestCallsAreCoalesced(t *testing.T) {
	const limit, calls = 2, 30
	hold := make(chan struct{})
	var held, groups, texts atomic.Int32
	s := newScheduler(1, limit, func(string) int { return 4 }, func(_ context.Context, _ *scratch, list []string, out []float32) (int, error) {
		if list[0] == "hold" {
			held.Add(1)
			<-hold
			return 0, nil
		}
		groups.Add(1)
		texts.Add(int32(len(list)))
		for i, x := range list {
			out[i] = float32(len(x))
		}
		return 0, nil
	})
	var wg sync.WaitGroup
	call := func(text string) {
		wg.Go(func() {
			dst := []float32{-1}
			if _, err := s.do(context.Background(), []string{text}, dst, nil); err != nil {
				t.Error(err)
			}
			if text != "hold" && dst[0] != float32(len(text)) {
				t.Errorf("%q: got %v", text, dst)
			}
		})
	}
	wait := func(what string, ok func() bool) {
		for range 5000 {
			s.mu.Lock()
			done := ok()
			s.mu.Unlock()
			if done {
				return
			}
			time.Sleep(time.Millisecond)
		}
		t.Fatal(what)
	}
	for i := range int32(limit) {
		call("hold") // one by one: a worker would take both at once
		wait("workers do not start", func() bool { return held.Load() == i+1 })
	}
	for i := range calls {
		call("text"[:i%5])
	}
	wait("calls do not queue", func() bool { return len(s.queue) == calls })
	close(hold)
	wg.Wait()
	settle(t, s)
	if texts.Load() != calls || groups.Load() > 4 {
		t.Errorf("%d texts in %d groups", texts.Load(), groups.Load())
	}
}

// TestCallsTakeTurns checks that a small call does not wait for a large one.
func TestCallsTakeTurns(t *testing.T) {
	started, release := make(chan struct{}, 1000), make(chan struct{})
	s := newScheduler(1, 1, func(string) int { return 512 }, func(context.Context, *scratch, []string, []float32) (int, error) {
		started <- struct{}{}
		<-release
		return 0, nil
	})
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		if _, err := s.do(ctx, make([]string, 100), make([]float32, 100), nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	<-started
	small := make(chan struct{})
	wg.Go(func() {
		defer close(small)
		if _, err := s.do(context.Background(), make([]string, 1), make([]float32, 1), nil); err != nil {
			t.Error(err)
		}
	})
	for s.mu.Lock(); len(s.queue) < 2; s.mu.Lock() {
		s.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	s.mu.Unlock()
	for range 2 { // the large call's second group, the small call
		release <- struct{}{}
		<-started
	}
	release <- struct{}{}
	<-small
	cancel()
	close(release)
	wg.Wait()
	settle(t, s)
}

// TestProgress holds the second group until the first has been told of.
func TestProgress(t *testing.T) {
	told := make(chan struct{})
	groups := 0
	s := newScheduler(1, 1, func(string) int { return groupTokens / 2 }, func(_ context.Context, _ *scratch, list []string, out []float32) (int, error) {
		if groups++; groups == 2 {
			<-told
		}
		for i, x := range list {
			out[i] = float32(len(x))
		}
		return 0, nil
	})
	var seen []int
	e := &Encoder{dim: 1, sched: s}
	vectors, err := e.EmbedDocumentsProgress(t.Context(), []string{"a", "bb", "ccc", "dddd"}, func(done int) {
		if seen = append(seen, done); len(seen) == 1 {
			close(told)
		}
	})
	if err != nil || len(seen) == 0 || seen[0] != 2 || !slices.IsSorted(seen) || seen[len(seen)-1] > 4 {
		t.Errorf("progress %v, %v", seen, err)
	}
	for i, v := range vectors {
		if v[0] != float32(i+1) {
			t.Errorf("vector %d: %v", i, v)
		}
	}
}

// TestManyCallers mixes calls of all sizes, some of which end early, and checks every vector.
func TestManyCallers(t *testing.T) {
	e := tinyEncoder(t)
	texts := english(64, 20)
	for i := range texts {
		texts[i] = texts[i][:len(texts[i])*(i+1)/len(texts)]
	}
	want, err := e.EmbedDocuments(context.Background(), texts)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 12 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(g)))
			for range 60 {
				from := r.IntN(len(texts))
				to := min(len(texts), from+1+r.IntN(1+r.IntN(40)))
				ctx, cancel := context.WithCancel(context.Background())
				early := r.IntN(4) == 0
				if early {
					time.AfterFunc(time.Duration(r.IntN(300))*time.Microsecond, cancel)
				}
				got, err := e.EmbedDocuments(ctx, texts[from:to])
				cancel()
				if err != nil {
					if !early || !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					continue
				}
				for i, v := range got {
					if !slices.Equal(v, want[from+i]) {
						t.Errorf("text %d differs", from+i)
					}
				}
			}
		})
	}
	wg.Wait()
	settle(t, e.sched)
	if n := len(e.sched.workers); n > runtime.GOMAXPROCS(0) {
		t.Errorf("%d sets of buffers for %d workers", n, runtime.GOMAXPROCS(0))
	}
}

// TestTeam checks that a group split over cores gives the same vectors to the last bit.
func TestTeam(t *testing.T) {
	b, ctx := *builtinEncoder(t), context.Background()
	b.start()
	b.sched.limit = max(2, b.sched.limit)
	texts := english(40, 30)
	var want [][]float32
	for i := range texts {
		texts[i] = texts[i][:len(texts[i])*(i+1)/len(texts)]
		b.sched.team.busy.Store(true) // nobody else may use it
		v, err := b.EmbedQuery(ctx, texts[i])
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, v)
	}
	b.sched.team.busy.Store(false)
	for range 3 {
		for i, text := range texts {
			b.sched.mu.Lock()
			for c := range b.sched.team.sizes {
				x := &b.sched.team.sizes[c]
				x.runs, x.alone, x.split = 5, 0, 0 // always split
			}
			b.sched.mu.Unlock()
			got, err := b.EmbedQuery(ctx, text)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want[i]) {
				t.Errorf("text %d differs", i)
			}
		}
	}
	settle(t, b.sched)
}

// TestTeamOnlyWhenItWins checks the choice by made-up times.
func TestTeamOnlyWhenItWins(t *testing.T) {
	for _, c := range []struct {
		name         string
		alone, split time.Duration
		min, max     int
	}{
		{"split is faster", 1000, 600, 900, 990},
		{"split is slower", 1000, 1200, 10, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScheduler(1, 2, nil, nil)
			s.team.loop = func() {} // no goroutine takes part
			n := 0
			for range 1000 {
				s.running = 1
				g := &group{cost: 14, split: s.team.begin(14)}
				took := c.alone
				if g.split {
					took = c.split
					n++
				}
				s.team.end(g, took, true)
				s.team.helpers = 0
			}
			if n < c.min || n > c.max {
				t.Errorf("split %d of 1000 times", n)
			}
		})
	}
}

func TestBadVector(t *testing.T) {
	e := tinyEncoder(t)
	words, gamma := &e.model.words.f32, &e.model.layers[0].output.gamma
	*words, *gamma = slices.Clone(*words), slices.Clone(*gamma) // out of the file
	for i := range *words {
		(*words)[i] *= 1e38 // sums overflow
	}
	(*gamma)[0] = float32(math.NaN())
	if _, err := e.EmbedDocuments(context.Background(), english(100, 10)); !errors.Is(err, errNoVector) {
		t.Errorf("error %v", err)
	}
	settle(t, e.sched)
}

func TestEmbedAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	e := builtinEncoder(t)
	checkAllocations(t, e)
	for dir, option := range map[string]Option{"tiny-f32-mean": BF16(), "tiny-modernbert": Int8(), "tiny-distilbert": Dims(0), "tiny-nomic": Dims(0)} {
		checkAllocations(t, mustLoad(t, filepath.Join("testdata", dir), option))
	}
	defer func() {
		if recover() == nil {
			t.Error("a short slice was not refused")
		}
	}()
	_ = e.EmbedInto(context.Background(), make([]float32, 383), []string{"a"})
}

func checkAllocations(t *testing.T, e *Encoder) {
	t.Helper()
	ctx := context.Background()
	for name, texts := range map[string][]string{"query": {"how do I get my money back?"}, "batch": english(40, 30)} {
		dst := make([]float32, len(texts)*e.Dim())
		n := 1.0
		for try := 0; n > 0 && try < 20; try++ { // until each worker has had its largest group
			n = testing.AllocsPerRun(3, func() {
				if err := e.EmbedInto(ctx, dst, texts); err != nil {
					t.Error(err)
				}
			})
		}
		if n > 0 {
			t.Errorf("%s, %s: %v allocations a call", e.Name(), name, n)
		}
		want, err := e.EmbedDocuments(ctx, texts)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(dst, slices.Concat(want...)) {
			t.Errorf("%s, %s: other vectors than EmbedDocuments", e.Name(), name)
		}
	}
}

// BenchmarkQueriesOfManyCallers embeds short texts from 16 goroutines a core.
func BenchmarkQueriesOfManyCallers(b *testing.B) {
	e, err := Builtin()
	if err != nil {
		b.Fatal(err)
	}
	texts := english(16, 10)
	b.SetParallelism(16)
	var n atomic.Int32
	b.RunParallel(func(p *testing.PB) {
		dst, text := make([]float32, e.Dim()), texts[n.Add(1)%16:][:1]
		for p.Next() {
			if err := e.EmbedInto(context.Background(), dst, text); err != nil {
				b.Error(err)
			}
		}
	})
}
