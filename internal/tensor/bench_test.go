package tensor

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"
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

// BenchmarkQMatrixMemory measures products of one row of activations with weights that come from memory, shared out
// between all processors as the parts of a step are, and beside them what reading the same bytes takes.
func BenchmarkQMatrixMemory(b *testing.B) {
	const size = 96 << 20
	workers := runtime.GOMAXPROCS(0)
	rng := rand.New(rand.NewPCG(5, 6))
	data := make([]byte, size)
	share := func(do func(worker int)) time.Duration {
		var wait sync.WaitGroup
		start := time.Now()
		for w := range workers {
			wait.Go(func() { do(w) })
		}
		wait.Wait()
		return time.Since(start)
	}
	for _, c := range []struct {
		typ QType
		k   int
	}{{Q8_0, 576}, {Q8_0, 1536}, {Q8_0, 896}, {Q4_0, 896}, {Q5_0, 576}, {Q5_0, 896}, {Q4_K, 4864}, {Q6_K, 4864}} {
		f := qformats[c.typ]
		row := c.k / f.values * f.bytes
		n := size / row
		for at, block := 0, randomBlocks(rng, c.typ, 256*f.values); at < size; at += len(block) {
			copy(data[at:], block)
		}
		m, err := NewQMatrix(c.typ, n, c.k, data[:n*row])
		if err != nil {
			b.Fatal(err)
		}
		a := rowsOf(randomVector(rng, c.k), 1, c.k, false)
		dst, scratch := make([]float32, n), make([]QScratch, workers)
		floats := unsafe.Slice((*float32)(ptr(first(data))), size/4)
		b.Run(fmt.Sprintf("%s/%d", c.typ, c.k), func(b *testing.B) {
			var took, read time.Duration
			for b.Loop() {
				took += share(func(w int) {
					m.Mul(dst, n, a, w*m.Panels()/workers, (w+1)*m.Panels()/workers, &scratch[w])
				})
				read += share(func(w int) {
					const piece = 4096
					for at := w * len(floats) / workers; at+piece <= (w+1)*len(floats)/workers; at += piece {
						Dot(floats[at:at+piece], floats[at:at+piece])
					}
				})
			}
			rate := func(d time.Duration) float64 { return size * float64(b.N) / d.Seconds() / 1e9 }
			b.ReportMetric(rate(took), "GB/s")
			b.ReportMetric(rate(read), "GB/s-read")
			b.ReportMetric(rate(took)/rate(read), "share")
		})
	}
}
