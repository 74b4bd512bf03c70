package engine

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"docent/internal/tensor"
)

// TestDirect: keys and values in half precision give the same bits multiplied as they are kept and widened before, so
// that a row's result does not depend on how many rows there are.
func TestDirect(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	for _, hd := range []int{32, 64, 128} {
		y := layout{kind: CacheF16, layers: 2, heads: 3, hd: hd}
		pages := [2]page{y.newPage(), y.newPage()}
		for i := range pages {
			tensor.NarrowHalves(pages[i].f16, random(len(pages[i].f16)))
		}
		for _, rows := range []int{1, 2, 3, 4, 7} {
			if !y.direct(rows) {
				t.Skip("this processor has no kernel for halves")
			}
			queries, buf := random(rows*hd), make([]float32, y.values())
			got, want := make([]float32, rows*spanTokens), make([]float32, rows*spanTokens)
			y.mulKeys(got, queries, rows, buf, &pages[0], &pages[1], 1, 2)
			tensor.MulRows(want, spanTokens, queries, hd, rows, y.keysOf(buf, &pages[0], &pages[1], 1, 2), blockTokens, blockTokens, hd)
			if !slices.EqualFunc(got, want, sameBits) {
				t.Fatalf("%d rows of %d: scores differ", rows, hd)
			}
			weights, values := random(rows*spanTokens), make([]float32, 2*blockTokens*hd)
			got, want = make([]float32, rows*hd), make([]float32, rows*hd)
			for i := range pages {
				y.mulValues(got, weights[i*blockTokens:], rows, &pages[i], &pages[1], 1, 2, i > 0)
				y.valuesOf(values[i*blockTokens*hd:], &pages[i], &pages[1], 1, 2)
			}
			tensor.MulRows(want, hd, weights, spanTokens, rows, values, hd, hd, 2*blockTokens)
			if !slices.EqualFunc(got, want, sameBits) {
				t.Fatalf("%d rows of %d: sums of values differ", rows, hd)
			}
		}
	}
}

func sameBits(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }
