package tensor

import (
	"fmt"
	"math"
	"testing"
	"unsafe"
)

// bytesAs turns fuzzed bytes into numbers, over and over. Most are eighths, some are the values that
// kernels stumble over; with finite only, infinities and NaN are left out.
type bytesAs struct {
	data   []byte
	at     int
	finite bool
}

func (b *bytesAs) next() byte {
	if len(b.data) == 0 {
		return 0
	}
	v := b.data[b.at%len(b.data)] + byte(b.at/len(b.data))
	b.at++
	return v
}

var oddFloats = [...]float32{float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), 1e-40, -1e-40, 1e15, -1e15, 0x1p-126}

// floats is n numbers at an odd address.
func (b *bytesAs) floats(n int) []float32 {
	v := make([]float32, n+1)[1:]
	for i := range v {
		x := int8(b.next())
		v[i] = float32(x) / 8
		if odd := int(x) - 120; odd >= 0 && (odd > 2 || !b.finite) {
			v[i] = oddFloats[odd]
		}
	}
	return v
}

func (b *bytesAs) bytes(n int) []byte {
	v := make([]byte, n+1)[1:]
	for i := range v {
		v[i] = b.next()
	}
	return v
}

// forEachLevel runs f for each set of kernels.
func forEachLevel(f func()) {
	saved := active
	defer func() { active = saved }()
	for _, k := range available() {
		active = k
		f()
	}
}

// alike wants got to be want within part of size, or to be no finite number where want is none.
func alike(t *testing.T, what string, got float32, want, size, part float64) {
	t.Helper()
	g := float64(got)
	switch {
	case math.IsNaN(want) || math.IsNaN(size):
		if g-g == 0 {
			t.Fatalf("%s: %s: got %v, want %v", active.name, what, got, want)
		}
	case math.IsInf(want, 0):
		if g != want {
			t.Fatalf("%s: %s: got %v, want %v", active.name, what, got, want)
		}
	case !(math.Abs(g-want) <= part*size+1e-8):
		t.Fatalf("%s: %s: got %v, want %v (terms of %v)", active.name, what, got, want, size)
	}
}

// FuzzMul multiplies matrices of any shape in all precisions and compares with sums in float64.
func FuzzMul(f *testing.F) {
	f.Add([]byte("some bytes that are read as numbers"), uint8(3), uint8(33), uint8(7), uint8(0))
	f.Add([]byte{1, 255, 128, 64, 200, 3}, uint8(29), uint8(64), uint8(40), uint8(2))
	f.Add([]byte{120, 5, 122, 7, 123, 125}, uint8(15), uint8(17), uint8(5), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, m8, n8, k8, pad8 uint8) {
		m, n, k, pad := int(m8%33)+1, int(n8%80)+1, int(k8%70)+1, int(pad8%5)
		in := bytesAs{data: data}
		lda, ldd := k+pad, n+pad
		a, w, bias := in.floats(m*lda), in.floats(n*k), in.floats(n)
		in.finite = true
		fa, ints, scales := in.floats(m*lda), in.bytes(n*k), in.floats(n)
		for i, x := range ints {
			ints[i] = byte(max(int8(x), -127))
		}
		for i, x := range scales {
			if scales[i] = x; !(x > 1e-3 && x < 1e3) {
				scales[i] = 0.5
			}
		}
		for i, x := range fa {
			if !(x > -1e3 && x < 1e3) {
				fa[i] = 1e-40
			}
		}
		rounded := func(x float32) float32 { return bf16Value(bf16Of(x)) }
		forEachLevel(func() {
			float, bf16, small := make([]float32, m*ldd), make([]float32, m*ldd), make([]float32, m*ldd)
			pf := PackF32(w, n, k)
			pf.Mul(float, ldd, a, lda, m, bias, 0, pf.Panels())
			pb := PackBF16(w, bias, n, k)
			var rb RowsBF16
			rb.Set(a, lda, m, k)
			pb.Mul(bf16, ldd, &rb, 0, pb.Panels())
			pi := PackInt8(ints, scales, bias, n, k)
			var q Quantised
			q.Set(fa, lda, m, k, nil)
			pi.Mul(small, ldd, &q, 0, pi.Panels())
			row := make([]byte, k)
			for i := range m {
				rs := quantiseGeneric(first(row), &fa[i*lda], k)
				for j := range ldd {
					if j >= n {
						if float[i*ldd+j] != 0 || bf16[i*ldd+j] != 0 || small[i*ldd+j] != 0 {
							t.Fatalf("%s: wrote past row %d", active.name, i)
						}
						continue
					}
					var want, size, want16, size16, sum, total float64
					for c := range k {
						x, y := a[i*lda+c], w[j*k+c]
						p := float64(x) * float64(y)
						want, size = want+p, size+math.Abs(p)
						p = float64(rounded(x)) * float64(rounded(y))
						want16, size16 = want16+p, size16+math.Abs(p)
						v := float64(int8(ints[j*k+c]))
						sum, total = sum+float64(row[c])*v, total+v
					}
					b := float64(bias[j])
					what := fmt.Sprintf("%dx%dx%d [%d,%d]", m, n, k, i, j)
					alike(t, "float32 "+what, float[i*ldd+j], want+b, size+math.Abs(b), 4e-6)
					alike(t, "bf16 "+what, bf16[i*ldd+j], want16+b, size16+math.Abs(b), 4e-6)
					s := float64(scales[j])
					scaled, shifted := s*float64(rs.scale)*sum, s*float64(rs.shift)*total
					alike(t, "int8 "+what, small[i*ldd+j], scaled+shifted+b,
						s*float64(k)*127*(255*float64(rs.scale)+math.Abs(float64(rs.shift)))+math.Abs(b), 4e-6)
				}
			}
		})
	})
}

// FuzzRows compares the row operations of each set of kernels with those in plain Go.
func FuzzRows(f *testing.F) {
	f.Add([]byte("some bytes that are read as numbers"), uint16(37), uint8(3))
	f.Add([]byte{120, 121, 122, 123, 124, 125, 126, 127, 1, 255, 128}, uint16(131), uint8(9))
	f.Fuzz(func(t *testing.T, data []byte, n16 uint16, scale8 uint8) {
		n, scale := int(n16%600)+1, float32(scale8)/32
		in := bytesAs{data: data}
		x, y := in.floats(n), in.floats(n)
		in.finite = true
		fx, fy, ints := in.floats(n), in.floats(n), in.bytes(n)
		for i := range fx { // where sums of 1e15 and 1 are taken, all is lost but the large
			fx[i], fy[i] = max(min(fx[i], 1e3), -1e3), max(min(fy[i], 1e3), -1e3)
		}
		i8 := unsafeInt8(ints)
		type result struct{ gelu, softmax, norm, plain, axpy, times, dequant, round []float32 }
		run := func() (r result) {
			clone := func(v []float32) []float32 { return append(make([]float32, 1, n+1), v...)[1:] }
			r.gelu, r.softmax, r.axpy = clone(fx), clone(fx), clone(x)
			GELU(r.gelu)
			Softmax(r.softmax, scale)
			r.norm, r.plain = clone(fx), clone(fx)
			AddNorm(r.norm, fx, fy, fy, fx, 1e-5)
			AddNorm(r.plain, fx, nil, fy, fx, 1e-5)
			Axpy(r.axpy, y, scale)
			r.times, r.dequant, r.round = clone(x), clone(x), clone(x)
			active.times(first(r.times), first(x), first(y), n)
			Dequantise(r.dequant, i8, scale)
			active.roundWide(first(r.round), first(fx), n)
			return r
		}
		saved := active
		active = &generic
		want := run()
		active = saved
		dot, size := 0.0, 0.0
		for i := range fx {
			p := float64(fx[i]) * float64(fy[i])
			dot, size = dot+p, size+math.Abs(p)
		}
		spread := 0.0 // of norm: what its sums may lose is divided by a small deviation
		for i := range fx {
			spread = max(spread, math.Abs(float64(fx[i])), math.Abs(float64(fy[i])))
		}
		forEachLevel(func() {
			got := run()
			alike(t, "dot", Dot(fx, fy), dot, size, 4e-6)
			if g, w := DotInt8(i8, i8), dotInt8Plain(i8, i8); g != w {
				t.Fatalf("%s: int8 dot %d, want %d", active.name, g, w)
			}
			for i := range n {
				alike(t, fmt.Sprint("gelu of ", fx[i]), got.gelu[i], float64(want.gelu[i]), max(1, math.Abs(float64(fx[i]))), 1e-6)
				alike(t, "softmax", got.softmax[i], float64(want.softmax[i]), float64(want.softmax[i]), 5e-5)
				alike(t, "norm", got.norm[i], float64(want.norm[i]), (1+spread)*(1+spread)*400, 2e-5)
				alike(t, "norm alone", got.plain[i], float64(want.plain[i]), (1+spread)*(1+spread)*400, 2e-5)
				alike(t, "axpy", got.axpy[i], float64(want.axpy[i]), math.Abs(float64(x[i]))+math.Abs(float64(scale)*float64(y[i])), 1e-6)
				alike(t, "times", got.times[i], float64(want.times[i]), math.Abs(float64(want.times[i])), 1e-6)
				alike(t, "dequantise", got.dequant[i], float64(want.dequant[i]), math.Abs(float64(want.dequant[i])), 0)
				alike(t, "round", got.round[i], float64(want.round[i]), 0, 0)
			}
		})
	})
}

// FuzzInt8 compares what is exact: products of int8 and quantised rows.
func FuzzInt8(f *testing.F) {
	f.Add([]byte("some bytes that are read as numbers"), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, cut uint8) {
		n := min(len(data)/2, 4096)
		a := unsafeInt8(data)
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(a[i]) / float32(1+int(cut))
		}
		saved := active
		defer func() { active = saved }()
		want := dotInt8Plain(a[:n], a[n:2*n])
		for _, k := range available() {
			active = k
			if got := DotInt8(a[:n], a[n:2*n]); got != want {
				t.Fatalf("%s: int8 dot %d, want %d", k.name, got, want)
			}
			if n == 0 {
				continue
			}
			q, w := make([]byte, n*k.width), make([]byte, n)
			gs, ws := k.quantise(first(q), first(x), n), quantiseGeneric(first(w), first(x), n)
			if gs != ws {
				t.Fatalf("%s: scale %v, want %v", k.name, gs, ws)
			}
			for i := range w {
				if q[i*k.width] != w[i] {
					t.Fatalf("%s: quantised %v to %d, want %d", k.name, x[i], q[i*k.width], w[i])
				}
			}
		}
	})
}

func unsafeInt8(b []byte) []int8 {
	return unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(b))), len(b))
}
