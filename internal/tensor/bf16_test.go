package tensor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestMulBF16 compares with sums in float64 of the rounded values, for whole and part panels: what rounds
// is the float32 sums, as in TestMulF32.
func TestMulBF16(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(15, 16))
		for _, s := range shapes {
			lda, ldd := s.k+3, s.n+5
			a, w := randoms(r, s.m*lda), randoms(r, s.n*s.k)
			var bias []float32
			if s.m%2 == 0 {
				bias = randoms(r, s.n)
			}
			dst := randoms(r, s.m*ldd)
			keep := append([]float32(nil), dst...)
			p := PackBF16(w, bias, s.n, s.k)
			var q RowsBF16
			q.Set(randoms(r, 2*s.m*s.k), s.k, 2*s.m, s.k) // what it held before does not matter
			q.Set(a, lda, s.m, s.k)
			half := p.Panels() / 2
			p.Mul(dst, ldd, &q, half, p.Panels())
			p.Mul(dst, ldd, &q, 0, half)
			for i := range s.m {
				for j := range ldd {
					if j >= s.n {
						if dst[i*ldd+j] != keep[i*ldd+j] {
							t.Fatalf("%v: wrote past row %d", s, i)
						}
						continue
					}
					want, size := 0.0, 0.0
					for k := range s.k {
						x := float64(bf16Value(bf16Of(a[i*lda+k]))) * float64(bf16Value(bf16Of(w[j*s.k+k])))
						want, size = want+x, size+math.Abs(x)
					}
					if bias != nil {
						want += float64(bias[j])
						size += math.Abs(float64(bias[j]))
					}
					near(t, fmt.Sprintf("%v [%d,%d]", s, i, j), dst[i*ldd+j], want, size)
				}
			}
		}
	})
}

// TestMulBF16Order checks the meaning of the instruction bit by bit: of two neighbours the second is
// added first, and each addition rounds once, since the product of two bfloat16 is exact in float32.
func TestMulBF16Order(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		if !HasBF16() {
			t.Skip("these kernels widen bfloat16")
		}
		r := rand.New(rand.NewPCG(17, 18))
		const m, n, k = 5, 37, 51
		a, w := randoms(r, m*k), randoms(r, n*k)
		p, dst := PackBF16(w, nil, n, k), make([]float32, m*n)
		var q RowsBF16
		q.Set(a, k, m, k)
		p.Mul(dst, n, &q, 0, p.Panels())
		for i := range m {
			for j := range n {
				sum := float32(0)
				for c := 0; c < k; c += 2 {
					for _, at := range []int{c + 1, c} {
						if at < k {
							sum += float32(bf16Value(bf16Of(a[i*k+at])) * bf16Value(bf16Of(w[j*k+at])))
						}
					}
				}
				if dst[i*n+j] != sum {
					t.Fatalf("[%d,%d]: got %v, want %v", i, j, dst[i*n+j], sum)
				}
			}
		}
	})
}

func TestRoundBF16(t *testing.T) {
	for in, want := range map[uint32]uint16{
		0: 0, 0x80000000: 0x8000, 0x3f800000: 0x3f80, 0x3f808000: 0x3f80, 0x3f808001: 0x3f81, 0x3f818000: 0x3f82, // ties to even
		0x7f800000: 0x7f80, 0xff800000: 0xff80, 0x7f7fffff: 0x7f80, 0x7f800001: 0x7fc0, // infinities, overflow, NaN
		1: 0, 0x807fffff: 0x8000, 0x00800000: 0x0080, // subnormals
	} {
		if got := bf16Of(math.Float32frombits(in)); got != want {
			t.Errorf("%#08x: got %#04x, want %#04x", in, got, want)
		}
	}
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(19, 20))
		for n := range 70 {
			src, got, wide := make([]float32, n), make([]uint16, n), make([]float32, n)
			for round := range 50 {
				for i := range src {
					bits := r.Uint32()
					if round%5 == 0 {
						bits = bits&0xffff0000 | 0x8000 // a tie
					}
					src[i] = math.Float32frombits(bits)
				}
				if active.roundBF16 != nil {
					active.roundBF16(first(got), first(src), n)
				}
				active.roundWide(first(wide), first(src), n)
				for i, x := range src {
					want := bf16Of(x)
					if active.roundBF16 != nil && got[i] != want {
						t.Fatalf("%#08x: got %#04x, want %#04x", math.Float32bits(x), got[i], want)
					}
					if w := bf16Value(want); wide[i] != w && (w == w || wide[i] == wide[i]) && !(math.Abs(float64(x)) < 0x1p-126) {
						t.Fatalf("%#08x: got %v, want %v", math.Float32bits(x), wide[i], w)
					}
				}
			}
		}
	})
}
