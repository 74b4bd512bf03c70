package dense_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"docent/internal/bitset"
	"docent/internal/dense"
	"docent/internal/sections"
)

func unit(rnd *rand.Rand, dim int) []float32 {
	v := make([]float32, dim)
	var sum float64
	for i := range v {
		v[i] = float32(rnd.NormFloat64())
		sum += float64(v[i]) * float64(v[i])
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / math.Sqrt(sum))
	}
	return v
}

func part(t testing.TB, dim int, vectors [][]float32) *dense.Part {
	t.Helper()
	p, err := dense.NewPart(dim)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range vectors {
		if err := p.Add(int64(i)*7+1, v); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// exact is the answer by comparing all.
func exact(vectors [][]float32, q []float32, n int, allow bitset.Set) []dense.Hit {
	var hits []dense.Hit
	for i, v := range vectors {
		if allow != nil && !allow.Has(uint32(i)) {
			continue
		}
		var sum float64
		for j := range v {
			sum += float64(v[j]) * float64(q[j])
		}
		hits = append(hits, dense.Hit{Number: uint32(i), Similarity: sum})
	}
	slices.SortFunc(hits, func(a, b dense.Hit) int { return cmp.Compare(b.Similarity, a.Similarity) })
	return hits[:min(n, len(hits))]
}

func numbers(hits []dense.Hit) []uint32 {
	var n []uint32
	for _, h := range hits {
		n = append(n, h.Number)
	}
	return n
}

func TestNearest(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, dim := range []int{1, 7, 32, 384} {
		var vectors [][]float32
		for range 3000 {
			vectors = append(vectors, unit(rnd, dim))
		}
		x := dense.Index{part(t, dim, vectors[:1000]), part(t, dim, nil), part(t, dim, vectors[1000:1037]), part(t, dim, vectors[1037:])}
		some, few := make(bitset.Set, 1), make(bitset.Set, 1)
		for i := range uint32(3000) {
			if i%3 > 0 {
				some.Add(i)
			}
			if i%97 == 0 {
				few.Add(i)
			}
		}
		var s dense.Scanner
		var wg sync.WaitGroup
		for range 40 {
			q := unit(rnd, dim)
			wg.Go(func() {
				for _, allow := range []bitset.Set{nil, some, few, {}} {
					hits, err := s.Nearest(context.Background(), x, q, 10, allow)
					if err != nil {
						t.Error(err)
					}
					want := exact(vectors, q, 10, allow)
					if dim > 1 && !slices.Equal(numbers(hits), numbers(want)) {
						t.Errorf("dim %d: got %v, want %v", dim, hits, want)
					}
					for i, h := range hits {
						if math.Abs(h.Similarity-want[i].Similarity) > 1e-5 {
							t.Errorf("dim %d: similarity %v, want %v", dim, h, want[i])
						}
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestMerge(t *testing.T) {
	const dim = 48
	rnd := rand.New(rand.NewPCG(3, 4))
	var vectors, kept [][]float32
	for range 2500 {
		vectors = append(vectors, unit(rnd, dim))
	}
	a, b := part(t, dim, vectors[:1300]), part(t, dim, vectors[1300:])
	to := [][]uint32{make([]uint32, 1300), make([]uint32, 1200)}
	var ids []int64
	for i, v := range vectors {
		at := &to[i/1300][i%1300]
		*at = dense.Gone
		if rnd.IntN(4) > 0 {
			*at = uint32(len(kept))
			kept, ids = append(kept, v), append(ids, int64(i))
		}
	}
	w := sections.InMemory(context.Background())
	if err := dense.Merge(w, []*dense.Part{a, b}, to); err != nil {
		t.Fatal(err)
	}
	f, err := w.File()
	if err != nil {
		t.Fatal(err)
	}
	p, err := dense.Open(f, dim, ids)
	if err != nil {
		t.Fatal(err)
	}
	more := part(t, dim, vectors[:5])
	var s dense.Scanner
	for range 20 {
		q := unit(rnd, dim)
		hits, err := s.Nearest(context.Background(), dense.Index{p, more}, q, 10, nil)
		if want := exact(append(slices.Clip(kept), vectors[:5]...), q, 10, nil); err != nil || !slices.Equal(numbers(hits), numbers(want)) {
			t.Errorf("got %v, %v, want %v", hits, err, want)
		}
	}
	if _, err := dense.Open(f, dim, ids[1:]); err == nil {
		t.Error("vectors that do not fit their ids are opened")
	}
	if _, err := dense.Open(f, dim+1, ids); err == nil {
		t.Error("vectors of another length are opened")
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var s dense.Scanner
	x := dense.Index{part(t, 2, [][]float32{{1, 0}})}
	if hits, err := s.Nearest(ctx, x, []float32{1, 0}, 1, nil); err == nil {
		t.Errorf("got %v", hits)
	}
}

func BenchmarkNearest(b *testing.B) {
	const dim = 384
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{10_000, 100_000} {
		p := part(b, dim, nil)
		for i := range n {
			if err := p.Add(int64(i), unit(rnd, dim)); err != nil {
				b.Fatal(err)
			}
		}
		var s dense.Scanner
		for _, clients := range []int{1, 8} {
			b.Run(fmt.Sprintf("vectors=%d/clients=%d", n, clients), func(b *testing.B) {
				b.SetParallelism(max(1, clients/2))
				ask := func() {
					q := unit(rand.New(rand.NewPCG(rand.Uint64(), 1)), dim)
					if _, err := s.Nearest(context.Background(), dense.Index{p}, q, 10, nil); err != nil {
						b.Error(err)
					}
				}
				if clients == 1 {
					for b.Loop() {
						ask()
					}
					return
				}
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						ask()
					}
				})
			})
		}
	}
}
