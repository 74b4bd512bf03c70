package tensor

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestHalves: every half comes back from float32 as it was, values between two go to the nearer one, and
// those without a half to the largest.
func TestHalves(t *testing.T) {
	saved := active
	defer func() { active = saved }()
	all, back := make([]uint16, 1<<16), make([]uint16, 1<<16)
	for i := range all {
		all[i] = uint16(i)
	}
	wide := make([]float32, len(all))
	for _, active = range available() {
		WidenHalves(wide, all, all)
		for i, x := range wide {
			if want := halves[i]; math.Float32bits(x) != math.Float32bits(want) && want == want {
				t.Fatalf("%s: half %#x is %g, want %g", active.name, i, x, want)
			}
		}
		NarrowHalves(back, wide)
		for i, h := range back {
			switch i & 0x7fff {
			case 0x7c00: // infinite
				if h != uint16(i&0x8000)|0x7bff {
					t.Fatalf("%s: %g becomes %#x", active.name, wide[i], h)
				}
			default:
				if wide[i] == wide[i] && h != uint16(i) {
					t.Fatalf("%s: %g becomes %#x, want %#x", active.name, wide[i], h, i)
				}
				if wide[i] != wide[i] && halves[h] == halves[h] {
					t.Fatalf("%s: NaN becomes %#x", active.name, h)
				}
			}
		}
		r := rand.New(rand.NewPCG(1, 2))
		for n := range 70 {
			x, got := make([]float32, n), make([]uint16, n+1)
			for i := range x {
				x[i] = float32(math.Ldexp(r.Float64()*2-1, r.IntN(50)-32))
			}
			got[n] = 0xabcd
			NarrowHalves(got, x)
			for i, v := range x {
				if want := toHalf(v); got[i] != want {
					t.Fatalf("%s: %g becomes %#x, want %#x", active.name, v, got[i], want)
				}
			}
			if got[n] != 0xabcd {
				t.Fatal("wrote too far")
			}
		}
	}
}

// TestRunningSoftmax: parts of a row, each against the largest so far, come to the softmax of the whole.
func TestRunningSoftmax(t *testing.T) {
	saved := active
	defer func() { active = saved }()
	r := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, 100)
	for i := range x {
		x[i] = float32(r.NormFloat64() * 30)
	}
	want := append([]float32(nil), x...)
	active = &generic
	Softmax(want, 0.25)
	for _, active = range available() {
		got := append([]float32(nil), x...)
		top, sum := float32(math.Inf(-1)), float32(0)
		for i := 0; i < len(x); i += 7 {
			part := got[i:min(len(x), i+7)]
			if next := max(top, Max(part)); next > top {
				shrink := float32(math.Exp(float64((top - next) * 0.25)))
				Scale(got[:i], shrink)
				top, sum = next, sum*shrink
			}
			sum += ExpSum(part, top, 0.25)
		}
		for i := range got {
			if d := math.Abs(float64(got[i]/sum - want[i])); d > 1e-6 {
				t.Fatalf("%s: weight %d is off by %g", active.name, i, d)
			}
		}
	}
}

// TestRowsAlone: a row's product is the same to the last bit whatever the number of rows it is computed with.
func TestRowsAlone(t *testing.T) {
	saved := active
	defer func() { active = saved }()
	r := rand.New(rand.NewPCG(5, 6))
	const k, n, rows = 77, 64, 31
	a, b := make([]float32, rows*k), make([]float32, k*n)
	for i := range a {
		a[i] = float32(r.NormFloat64())
	}
	for i := range b {
		b[i] = float32(r.NormFloat64())
	}
	for _, active = range available() {
		all, one := make([]float32, rows*n), make([]float32, n)
		MulRows(all, n, a, k, rows, b, n, n, k)
		for i := range rows {
			MulRows(one, n, a[i*k:], k, 1, b, n, n, k)
			for j, x := range one {
				if x != all[i*n+j] {
					t.Fatalf("%s: row %d alone is %g, with others %g", active.name, i, x, all[i*n+j])
				}
			}
		}
	}
}

// TestGates compares the activations of feed-forward networks with float64.
func TestGates(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		for n := range 70 {
			x, up := randoms(r, n), randoms(r, n)
			for i := range x {
				x[i] *= 3
				if i < 6 {
					x[i] = []float32{0, 200, -200, float32(math.Inf(1)), -1000, 88}[i]
				}
			}
			silu, gelu := append([]float32(nil), x...), append([]float32(nil), x...)
			SwiGLU(silu, up)
			GeGLU(gelu, up)
			for i, v := range x {
				f := float64(v)
				want := f / (1 + math.Exp(-f)) * float64(up[i])
				if d := math.Abs(float64(silu[i]) - want); d > 3e-7*math.Abs(want)+1e-33 {
					t.Fatalf("n %d: SwiGLU(%v, %v) = %v, want %v", n, v, up[i], silu[i], want)
				}
				want = f / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(f+0.044715*f*f*f))) * float64(up[i])
				if d := math.Abs(float64(gelu[i]) - want); d > 1e-6*math.Abs(want)+1e-6 {
					t.Fatalf("n %d: GeGLU(%v, %v) = %v, want %v", n, v, up[i], gelu[i], want)
				}
			}
		}
	})
}

// TestMulHalves: products with halves are those with float32 made of them, to the last bit, and near those of float64.
func TestMulHalves(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		for m := range 11 {
			for _, s := range []struct{ n, k int }{{32, 1}, {32, 80}, {64, 32}, {128, 5}} {
				testMulHalves(t, r, m, s.n, s.k)
			}
		}
	})
}

func testMulHalves(t *testing.T, r *rand.Rand, m, n, k int) {
	t.Helper()
	lda, ldb, ldd := k+3, n+32, n+5
	a, b := randoms(r, (m+1)*lda), make([]uint16, 2*k*ldb+1)[1:]
	NarrowHalves(b, randoms(r, len(b)))
	wide := make([]float32, len(b))
	WidenHalves(wide, b, b)
	dst := randoms(r, (m+1)*ldd)
	keep := append([]float32(nil), dst...)
	// In two parts, as attention goes from page to page.
	half := k / 2
	MulHalves(dst, ldd, a, lda, m, b, b, ldb, n, half, false)
	MulHalves(dst, ldd, a[half:], lda, m, b[half*ldb:], b, ldb, n, k-half, half > 0)
	whole := append([]float32(nil), keep...)
	if PanelWidth() <= n {
		MulRows(whole, ldd, a, lda, m, wide, ldb, n, k)
	}
	for i := range m + 1 {
		for j := range ldd {
			at := i*ldd + j
			if i == m || j >= n {
				if dst[at] != keep[at] {
					t.Fatalf("%dx%dx%d: wrote to [%d,%d]", m, n, k, i, j)
				}
				continue
			}
			want, size := 0.0, 0.0
			for l := range k {
				p := float64(a[i*lda+l]) * float64(wide[l*ldb+j])
				want, size = want+p, size+math.Abs(p)
			}
			near(t, "product", dst[at], want, size)
			if attendKernel().mulHalves != nil && math.Float32bits(dst[at]) != math.Float32bits(whole[at]) {
				t.Fatalf("%dx%dx%d: [%d,%d] is %v, of float32 %v", m, n, k, i, j, dst[at], whole[at])
			}
		}
	}
}
