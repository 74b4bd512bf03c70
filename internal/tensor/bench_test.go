package tensor

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkMul multiplies 96 rows with the matrices of all-MiniLM-L6-v2, on one core.
func BenchmarkMul(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, s := range []struct{ n, k int }{{1152, 384}, {384, 384}, {1536, 384}, {384, 1536}} {
		for _, m := range []int{12, 96} {
			x, w, bias := randoms(r, m*s.k), randoms(r, s.n*s.k), randoms(r, s.n)
			dst := make([]float32, m*s.n)
			rate := func(b *testing.B) {
				b.ReportMetric(2*float64(m*s.n*s.k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gop/s")
			}
			b.Run(fmt.Sprintf("f32/%dx%dx%d", m, s.n, s.k), func(b *testing.B) {
				p := PackF32(w, s.n, s.k)
				b.ReportAllocs()
				for b.Loop() {
					p.Mul(dst, s.n, x, s.k, m, bias, 0, p.Panels())
				}
				rate(b)
			})
			b.Run(fmt.Sprintf("bf16/%dx%dx%d", m, s.n, s.k), func(b *testing.B) {
				p := PackBF16(w, bias, s.n, s.k)
				var q RowsBF16
				for b.Loop() {
					q.Set(x, s.k, m, s.k)
					p.Mul(dst, s.n, &q, 0, p.Panels())
				}
				rate(b)
			})
			b.Run(fmt.Sprintf("int8/%dx%dx%d", m, s.n, s.k), func(b *testing.B) {
				ints := make([]byte, s.n*s.k)
				for i := range ints {
					ints[i] = byte(r.IntN(255) - 127)
				}
				p := PackInt8(ints, bias, bias, s.n, s.k)
				var q Quantised
				for b.Loop() {
					q.Set(x, s.k, m, s.k, nil)
					p.Mul(dst, s.n, &q, 0, p.Panels())
				}
				rate(b)
			})
		}
	}
}

func BenchmarkRows(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	x, y := randoms(r, 1536), randoms(r, 1536)
	b.Run("gelu/1536", func(b *testing.B) {
		for b.Loop() {
			GELU(x)
		}
	})
	b.Run("softmax/128", func(b *testing.B) {
		for b.Loop() {
			Softmax(x[:128], 0.2)
		}
	})
	b.Run("norm/384", func(b *testing.B) {
		for b.Loop() {
			AddNorm(x[:384], x, y, y, y, 1e-12)
		}
	})
	b.Run("dot/384", func(b *testing.B) {
		for b.Loop() {
			Dot(x[:384], y[:384])
		}
	})
	b.Run("dots-int8/1000x384", func(b *testing.B) {
		v, q, dst := make([]int8, 384000), make([]int8, 384), make([]int32, 1000)
		for b.Loop() {
			DotsInt8(dst, q, v)
		}
	})
	b.Run("pack/128x32", func(b *testing.B) {
		dst := make([]float32, PackedLen(128, 32))
		src := randoms(r, 128*1152)
		for b.Loop() {
			PackInto(dst, src, 1152, 128, 32)
		}
	})
}
