package tensor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// eachLevel runs a test once for every set of kernels this machine can run.
func eachLevel(t *testing.T, f func(t *testing.T)) {
	saved := active
	defer func() { active = saved }()
	for _, k := range available() {
		active = k
		t.Run(k.name, f)
	}
}

func randoms(r *rand.Rand, n int) []float32 {
	v := make([]float32, n+1)[1:] // unaligned on purpose
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

// near checks floats against a float64 reference, relative to the size of the terms that were added.
func near(t *testing.T, what string, got float32, want, size float64) {
	t.Helper()
	if !(math.Abs(float64(got)-want) <= 2e-6*(size+1e-3)) {
		t.Fatalf("%s: got %v, want %v (terms of %v)", what, got, want, size)
	}
}

var shapes = []struct{ m, n, k int }{
	{1, 1, 1}, {1, 33, 7}, {2, 32, 4}, {3, 31, 5}, {4, 64, 16}, {5, 16, 3}, {6, 17, 8}, {7, 48, 12},
	{8, 1, 9}, {9, 65, 2}, {10, 32, 31}, {11, 20, 32}, {12, 96, 64}, {13, 15, 63}, {14, 32, 33},
	{15, 34, 100}, {16, 40, 1}, {29, 70, 21}, {57, 66, 130},
}

func TestMulF32(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for _, s := range shapes {
			for _, withBias := range []bool{false, true} {
				lda, ldd := s.k+3, s.n+5
				a, w := randoms(r, s.m*lda), randoms(r, s.n*s.k)
				var bias []float32
				if withBias {
					bias = randoms(r, s.n)
				}
				dst := randoms(r, s.m*ldd)
				keep := append([]float32(nil), dst...)
				p := PackF32(w, s.n, s.k)
				half := p.Panels() / 2
				p.Mul(dst, ldd, a, lda, s.m, bias, half, p.Panels())
				p.Mul(dst, ldd, a, lda, s.m, bias, 0, half)
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
							x := float64(a[i*lda+k]) * float64(w[j*s.k+k])
							want, size = want+x, size+math.Abs(x)
						}
						if withBias {
							want += float64(bias[j])
							size += math.Abs(float64(bias[j]))
						}
						near(t, fmt.Sprintf("%v [%d,%d]", s, i, j), dst[i*ldd+j], want, size)
					}
				}
			}
		}
	})
}

func TestMulPackedAndRows(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		w := PanelWidth()
		for _, s := range shapes {
			up := (s.n + w - 1) / w * w
			a, b := randoms(r, s.m*s.k), randoms(r, s.n*(s.k+2))
			packed := make([]float32, PackedLen(s.n, s.k))
			PackInto(packed, b, s.k+2, s.n, s.k)
			dst := make([]float32, s.m*up)
			MulPacked(dst, up, a, s.k, s.m, packed, s.n, s.k)
			c := randoms(r, s.k*(up+1))
			rows := make([]float32, s.m*up)
			MulRows(rows, up, a, s.k, s.m, c, up+1, up, s.k)
			for i := range s.m {
				for j := range up {
					want, size, wantRows, sizeRows := 0.0, 0.0, 0.0, 0.0
					for k := range s.k {
						if j < s.n {
							x := float64(a[i*s.k+k]) * float64(b[j*(s.k+2)+k])
							want, size = want+x, size+math.Abs(x)
						}
						x := float64(a[i*s.k+k]) * float64(c[k*(up+1)+j])
						wantRows, sizeRows = wantRows+x, sizeRows+math.Abs(x)
					}
					near(t, "packed", dst[i*up+j], want, size)
					near(t, "rows", rows[i*up+j], wantRows, sizeRows)
				}
			}
		}
	})
}

// TestMulInt8 compares with the plain product of the same integers: sums are exact, so only the final
// float32 steps may round differently.
func TestMulInt8(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		for _, s := range shapes {
			lda, ldd := s.k+3, s.n+5
			a, w := randoms(r, s.m*lda), make([]byte, s.n*s.k)
			for i := range w {
				w[i] = byte(int8(r.IntN(255) - 127))
			}
			scales, bias := randoms(r, s.n), randoms(r, s.n)
			dst := make([]float32, s.m*ldd)
			var q Quantised
			var factors []float32
			if s.m%2 == 0 {
				factors = randoms(r, s.k)
			}
			q.Set(a, lda, s.m, s.k, factors)
			for i := range s.m {
				for k := range factors {
					a[i*lda+k] *= factors[k]
				}
			}
			p := PackInt8(w, scales, bias, s.n, s.k)
			half := p.Panels() / 2
			p.Mul(dst, ldd, &q, half, p.Panels())
			p.Mul(dst, ldd, &q, 0, half)
			row := make([]byte, s.k)
			for i := range s.m {
				rs := quantiseGeneric(first(row), &a[i*lda], s.k)
				for j := range s.n {
					sum, size, total := 0.0, 0.0, 0.0
					for k := range s.k {
						v := float64(int8(w[j*s.k+k]))
						sum += float64(row[k]) * v
						total += v
						size += math.Abs(float64(row[k])*v*float64(rs.scale)) + math.Abs(v*float64(rs.shift))
					}
					want := float64(scales[j])*(float64(rs.scale)*sum+float64(rs.shift)*total) + float64(bias[j])
					near(t, fmt.Sprintf("%v [%d,%d]", s, i, j), dst[i*ldd+j], want, size*math.Abs(float64(scales[j]))+1)
				}
			}
		}
	})
}

func TestQuantiseExact(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 8))
		for n := 1; n < 70; n++ {
			for _, scale := range []float32{0, 1e-42, 1e-20, 1, 1e20} {
				x := randoms(r, n)
				for i := range x {
					x[i] *= scale
				}
				want, got := make([]byte, n), make([]byte, n*active.width)
				ws := quantiseGeneric(first(want), first(x), n)
				if gs := active.quantise(first(got), first(x), n); gs != ws {
					t.Fatalf("n %d scale %g: got %v, want %v", n, scale, gs, ws)
				}
				for i := range want {
					if got[i*active.width] != want[i] || active.width == 2 && got[2*i+1] != 0 {
						t.Fatalf("n %d scale %g: value %d: got %d, want %d", n, scale, i, got[i*active.width], want[i])
					}
				}
			}
		}
	})
}

func TestGELU(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for n := range 70 {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(i-n/2) * 0.37
			}
			got := append([]float32(nil), x...)
			GELU(got)
			for i, v := range x {
				want := float64(v) / 2 * (1 + math.Erf(float64(v)/math.Sqrt2))
				if math.Abs(float64(got[i])-want) > 1e-6*max(1, math.Abs(want)) {
					t.Fatalf("n %d: gelu(%v) = %v, want %v", n, v, got[i], want)
				}
			}
		}
		x := []float32{float32(math.Inf(1)), 1e30, 0, 1e-40, -1e30}
		GELU(x)
		if x[0] != float32(math.Inf(1)) || x[1] != 1e30 || x[2] != 0 || math.Abs(float64(x[4])) > 1e24 {
			t.Fatalf("extremes: %v", x)
		}
		y := []float32{float32(math.NaN())}
		if GELU(y); active == &generic && y[0] == y[0] {
			t.Fatalf("NaN: %v", y)
		}
	})
}

func TestSoftmax(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 10))
		for n := 1; n < 70; n++ {
			for _, spread := range []float32{0, 1, 30, 1000} {
				x := randoms(r, n)
				top := math.Inf(-1)
				for i := range x {
					x[i] = x[i]*spread - 50
					top = max(top, float64(x[i]))
				}
				got := append([]float32(nil), x...)
				Softmax(got, 0.5)
				sum := 0.0
				for _, v := range x {
					sum += math.Exp((float64(v) - top) / 2)
				}
				for i, v := range x {
					want := math.Exp((float64(v)-top)/2) / sum
					if math.Abs(float64(got[i])-want) > 2e-6*want+1e-9 {
						t.Fatalf("n %d spread %v: got %v, want %v", n, spread, got[i], want)
					}
				}
			}
		}
		x := []float32{1, float32(math.Inf(-1)), 1}
		if Softmax(x, 1); x[0] != 0.5 || x[1] > 1e-30 || x[2] != 0.5 {
			t.Fatalf("minus infinity: %v", x)
		}
	})
}

func TestAddNorm(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		for n := 1; n < 70; n++ {
			x, y, g, b := randoms(r, n), randoms(r, n), randoms(r, n), randoms(r, n)
			for _, res := range [][]float32{nil, y} {
				sum := make([]float64, n)
				mean, square := 0.0, 0.0
				for i := range x {
					sum[i] = float64(x[i])
					if res != nil {
						sum[i] = float64(x[i] + y[i])
					}
					mean += sum[i] / float64(n)
				}
				for _, v := range sum {
					square += (v - mean) * (v - mean) / float64(n)
				}
				got := append([]float32(nil), x...)
				AddNorm(got, got, res, g, b, 1e-5)
				for i := range got {
					want := (sum[i]-mean)/math.Sqrt(square+1e-5)*float64(g[i]) + float64(b[i])
					if math.Abs(float64(got[i])-want) > 2e-5*(1+math.Abs(want)) {
						t.Fatalf("n %d: got %v, want %v", n, got[i], want)
					}
				}
			}
		}
	})
}

func TestVectors(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(13, 14))
		for n := range 300 {
			a, b := randoms(r, n), randoms(r, 3*n)
			dst := make([]float32, 3)
			Dots(dst, a, b)
			for v := range dst {
				want, size := 0.0, 0.0
				for i := range a {
					x := float64(a[i]) * float64(b[v*n+i])
					want, size = want+x, size+math.Abs(x)
				}
				near(t, "dots", dst[v], want, size)
				near(t, "dot", Dot(a, b[v*n:(v+1)*n]), want, size)
			}
			y := append([]float32(nil), a...)
			Axpy(y, b, 0.5)
			i8, j8 := make([]int8, n), make([]int8, 2*n)
			for i := range j8 {
				j8[i] = int8(r.IntN(256) - 128)
				if i < n {
					i8[i] = int8(r.IntN(256) - 128)
				}
			}
			ints := make([]int32, 2)
			DotsInt8(ints, i8, j8)
			for v := range ints {
				want := int32(0)
				for i := range i8 {
					want += int32(i8[i]) * int32(j8[v*n+i])
				}
				if ints[v] != want || DotInt8(i8, j8[v*n:(v+1)*n]) != want {
					t.Fatalf("int8 dot of %d: got %d, want %d", n, ints[v], want)
				}
			}
			d := make([]float32, n)
			Dequantise(d, i8, 0.25)
			for i := range a {
				near(t, "axpy", y[i], float64(a[i])+0.5*float64(b[i]), 2)
				if d[i] != 0.25*float32(i8[i]) {
					t.Fatalf("dequantise %d: got %v", i8[i], d[i])
				}
			}
		}
	})
}

func dotInt8Plain(a, b []int8) (s int32) {
	for i := range a {
		s += int32(a[i]) * int32(b[i])
	}
	return s
}

func TestChoose(t *testing.T) {
	if k := choose("generic"); k != &generic {
		t.Errorf("generic: %s", k.name)
	}
	if k := choose(""); k != available()[0] {
		t.Errorf("default: %s", k.name)
	}
	t.Logf("kernels in use: %s", Level())
}

// TestNoAllocations checks that products allocate nothing once their memory has grown, also for panels that
// are not whole.
func TestNoAllocations(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		const m, n, k = 9, 70, 33
		x, w, dst := make([]float32, m*k), make([]float32, n*k), make([]float32, m*n)
		f32, bf16, ints := PackF32(w, n, k), PackBF16(w, nil, n, k), PackInt8(make([]byte, n*k), make([]float32, n), nil, n, k)
		var rounded RowsBF16
		var q Quantised
		allocs := testing.AllocsPerRun(100, func() {
			f32.Mul(dst, n, x, k, m, w[:n], 0, f32.Panels())
			rounded.Set(x, k, m, k)
			bf16.Mul(dst, n, &rounded, 0, bf16.Panels())
			q.Set(x, k, m, k, w[:k])
			ints.Mul(dst, n, &q, 0, ints.Panels())
			Softmax(x, 0.5)
			GELU(x)
			AddNorm(x, x, w[:m*k], w, w, 1e-5)
		})
		if allocs >= 1 && !raceEnabled { // the race detector empties pools at random
			t.Errorf("%v allocations in a round", allocs)
		}
	})
}
