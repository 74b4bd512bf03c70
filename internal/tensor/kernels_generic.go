package tensor

import (
	"math"
	"unsafe"
)

// generic is the meaning of every kernel, in plain Go.
var generic = kernels{
	name:      "generic",
	mulF32:    mulF32Generic,
	mrF32:     4,
	nrF32:     4,
	roundWide: roundWideGeneric,
	mulInt8:   mulInt8Generic,
	mrInt8:    4,
	nrInt8:    4,
	group:     1,
	width:     1,
	quantise:  quantiseGeneric,
	gelu:      geluGeneric,
	softmax:   softmaxGeneric,
	norm:      normGeneric,
	dot:       dotGeneric,
	dotInt8:   dotInt8Generic,
	axpy:      axpyGeneric,
	times:     timesGeneric,
	dequant:   dequantGeneric,
}

// mulF32Generic keeps a 4 by 4 tile of sums in registers, so that each value loaded is used four times.
func mulF32Generic(mr, k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, bias *float32) {
	if mr == 4 {
		a0, a1 := unsafe.Slice(a, k), unsafe.Slice(at(a, lda), k)
		a2, a3 := unsafe.Slice(at(a, 2*lda), k), unsafe.Slice(at(a, 3*lda), k)
		var s00, s01, s02, s03, s10, s11, s12, s13, s20, s21, s22, s23, s30, s31, s32, s33 float32
		for i := range k {
			w := (*[4]float32)(unsafe.Pointer(at(b, i*ldb)))
			w0, w1, w2, w3 := w[0], w[1], w[2], w[3]
			x := a0[i]
			s00, s01, s02, s03 = s00+x*w0, s01+x*w1, s02+x*w2, s03+x*w3
			x = a1[i]
			s10, s11, s12, s13 = s10+x*w0, s11+x*w1, s12+x*w2, s13+x*w3
			x = a2[i]
			s20, s21, s22, s23 = s20+x*w0, s21+x*w1, s22+x*w2, s23+x*w3
			x = a3[i]
			s30, s31, s32, s33 = s30+x*w0, s31+x*w1, s32+x*w2, s33+x*w3
		}
		var t [4]float32
		if bias != nil {
			t = *(*[4]float32)(unsafe.Pointer(bias))
		}
		*(*[4]float32)(unsafe.Pointer(c)) = [4]float32{s00 + t[0], s01 + t[1], s02 + t[2], s03 + t[3]}
		*(*[4]float32)(unsafe.Pointer(at(c, ldc))) = [4]float32{s10 + t[0], s11 + t[1], s12 + t[2], s13 + t[3]}
		*(*[4]float32)(unsafe.Pointer(at(c, 2*ldc))) = [4]float32{s20 + t[0], s21 + t[1], s22 + t[2], s23 + t[3]}
		*(*[4]float32)(unsafe.Pointer(at(c, 3*ldc))) = [4]float32{s30 + t[0], s31 + t[1], s32 + t[2], s33 + t[3]}
		return
	}
	for r := range mr {
		row := unsafe.Slice(at(a, r*lda), k)
		var s [4]float32
		for i, x := range row {
			w := (*[4]float32)(unsafe.Pointer(at(b, i*ldb)))
			s[0] += x * w[0]
			s[1] += x * w[1]
			s[2] += x * w[2]
			s[3] += x * w[3]
		}
		if bias != nil {
			t := (*[4]float32)(unsafe.Pointer(bias))
			s = [4]float32{s[0] + t[0], s[1] + t[1], s[2] + t[2], s[3] + t[3]}
		}
		*(*[4]float32)(unsafe.Pointer(at(c, r*ldc))) = s
	}
}

// mulInt8Generic: cols holds, for 4 columns each, the scale, the scale times the sum of the column's
// weights, and the bias. With x = scale*q + shift for activations and w = colScale*v for weights,
//
//	sum x*w + bias = rowScale*(colScale * sum q*v) + shift*(colScale * sum v) + bias
//
// It multiplies for two columns at once: with w = w0 + w1<<32, the sum of x*w is the sum of
// x*w0 plus that of x*w1 shifted by 32, exactly, and the two come apart at the end because the lower
// fits 32 bits.
func mulInt8Generic(mr, k int, a *byte, lda int, b *int8, c *float32, ldc int, rows *rowScale, cols *float32) {
	for r := 0; r < mr; r += 4 {
		row := func(i int) []byte { return unsafe.Slice(at(a, min(r+i, mr-1)*lda), k) }
		a0, a1, a2, a3 := row(0), row(1), row(2), row(3)
		panel := unsafe.Slice((*[4]int8)(unsafe.Pointer(b)), k)
		var s [4][2]int64
		var s00, s01, s10, s11, s20, s21, s30, s31 int64
		if mr-r == 1 {
			for i, w := range panel {
				x := int64(a0[i])
				s00 += x * (int64(w[0]) + int64(w[1])<<32)
				s01 += x * (int64(w[2]) + int64(w[3])<<32)
			}
		} else {
			for i, w := range panel {
				w0 := int64(w[0]) + int64(w[1])<<32
				w1 := int64(w[2]) + int64(w[3])<<32
				x := int64(a0[i])
				s00, s01 = s00+x*w0, s01+x*w1
				x = int64(a1[i])
				s10, s11 = s10+x*w0, s11+x*w1
				x = int64(a2[i])
				s20, s21 = s20+x*w0, s21+x*w1
				x = int64(a3[i])
				s30, s31 = s30+x*w0, s31+x*w1
			}
		}
		s = [4][2]int64{{s00, s01}, {s10, s11}, {s20, s21}, {s30, s31}}
		scales := (*[12]float32)(unsafe.Pointer(cols))
		for i := range min(4, mr-r) {
			q := *at(rows, r+i)
			out := (*[4]float32)(unsafe.Pointer(at(c, (r+i)*ldc)))
			for j := range out {
				pair := s[i][j/2]
				t := int32(pair)
				if j%2 == 1 {
					t = int32((pair - int64(t)) >> 32)
				}
				out[j] = q.scale*(scales[j]*float32(t)) + (q.shift*scales[4+j] + scales[8+j])
			}
		}
	}
}

// quantiseGeneric maps a row to 0..255, its smallest value (at most 0) to 0 and its largest (at least
// 0) to 255.
func quantiseGeneric(dst *byte, src *float32, n int) rowScale {
	x, q := unsafe.Slice(src, n), unsafe.Slice(dst, n)
	lo, hi := float32(0), float32(0)
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
	}
	s, inv := quantScale(lo, hi)
	for i, v := range x {
		q[i] = byte(int32(float32((v-lo)*inv) + 0.5)) // the conversion forbids fusing the two
	}
	return s
}

// quantScale is the scale of a row with values from lo to hi, and its inverse.
func quantScale(lo, hi float32) (s rowScale, inv float32) {
	scale := (hi - lo) / 255
	if !(scale > 0) { // all zero
		return rowScale{0, lo}, 0
	}
	inv = 255 / (hi - lo)
	if inv > math.MaxFloat32 { // denormal range
		return rowScale{0, 0}, 0
	}
	return rowScale{scale, lo}, inv
}

func geluGeneric(x *float32, n int) {
	v := unsafe.Slice(x, n)
	for i, x := range v {
		v[i] = x * 0.5 * (1 + erf(x*math.Sqrt2/2))
	}
}

// erf is a rational approximation of the error function on [-4, 4], odd over even as Eigen's, within
// 5e-7 of it.
func erf(x float32) float32 {
	x = min(max(x, -4), 4)
	t := x * x
	p := erfP[0]
	for _, c := range erfP[1:] {
		p = p*t + c
	}
	q := erfQ[0]
	for _, c := range erfQ[1:] {
		q = q*t + c
	}
	return x * p / q
}

var (
	erfP = [7]float32{-2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06,
		-5.69250639462346e-05, -7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02}
	erfQ = [5]float32{-1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03,
		-7.37332916720468e-03, -1.42647390514189e-02}
)

// exp is e to the x for x <= 0, as 2^n times a polynomial (Cephes' expf), within 2e-7 of it
// relatively. Below -87 it is 0.
func exp(x float32) float32 {
	if !(x > -87) {
		return 0
	}
	n := float32(math.RoundToEven(float64(x * math.Log2E)))
	r := x - n*0.693359375
	r -= n * -2.12194440e-4
	p := float32(1.9875691500e-4)
	p = p*r + 1.3981999507e-3
	p = p*r + 8.3334519073e-3
	p = p*r + 4.1665795894e-2
	p = p*r + 1.6666665459e-1
	p = p*r + 5.0000001201e-1
	p = p*r*r + r + 1
	return p * math.Float32frombits(uint32(int32(n)+127)<<23)
}

func softmaxGeneric(x *float32, n int, scale float32) {
	v := unsafe.Slice(x, n)
	top := float32(math.Inf(-1))
	for _, x := range v {
		top = max(top, x)
	}
	sum := float32(0)
	for i, x := range v {
		e := exp((x - top) * scale)
		v[i] = e
		sum += e
	}
	inv := 1 / sum
	for i := range v {
		v[i] *= inv
	}
}

func normGeneric(dst, x, residual, gamma, beta *float32, n int, eps float32) {
	d, v := unsafe.Slice(dst, n), unsafe.Slice(x, n)
	if residual != nil {
		for i, r := range unsafe.Slice(residual, n) {
			d[i] = v[i] + r
		}
	} else {
		copy(d, v)
	}
	sum := float32(0)
	for _, x := range d {
		sum += x
	}
	mean := sum / float32(n)
	square := float32(0)
	for _, x := range d {
		square += (x - mean) * (x - mean)
	}
	inv := inverseDeviation(square, n, eps)
	g, b := unsafe.Slice(gamma, n), unsafe.Slice(beta, n)
	for i, x := range d {
		d[i] = (x-mean)*inv*g[i] + b[i]
	}
}

func inverseDeviation(squares float32, n int, eps float32) float32 {
	return 1 / float32(math.Sqrt(float64(squares/float32(n)+eps)))
}

func dotGeneric(a, b *float32, n int) float32 {
	x, y := unsafe.Slice(a, n), unsafe.Slice(b, n)
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= n; i += 4 {
		s0 += x[i] * y[i]
		s1 += x[i+1] * y[i+1]
		s2 += x[i+2] * y[i+2]
		s3 += x[i+3] * y[i+3]
	}
	for ; i < n; i++ {
		s0 += x[i] * y[i]
	}
	return (s0 + s1) + (s2 + s3)
}

func dotInt8Generic(a, b *int8, n int) int32 {
	x, y := unsafe.Slice(a, n), unsafe.Slice(b, n)
	s := int32(0)
	for i, v := range x {
		s += int32(v) * int32(y[i])
	}
	return s
}

func axpyGeneric(dst, x *float32, n int, a float32) {
	d := unsafe.Slice(dst, n)
	for i, v := range unsafe.Slice(x, n) {
		d[i] += a * v
	}
}

func dequantGeneric(dst *float32, x *int8, n int, scale float32) {
	d := unsafe.Slice(dst, n)
	for i, v := range unsafe.Slice(x, n) {
		d[i] = scale * float32(v)
	}
}

func timesGeneric(dst, x, y *float32, n int) {
	d, w := unsafe.Slice(dst, n), unsafe.Slice(y, n)
	for i, v := range unsafe.Slice(x, n) {
		d[i] = v * w[i]
	}
}

func roundBF16Generic(dst *uint16, src *float32, n int) {
	d := unsafe.Slice(dst, n)
	for i, x := range unsafe.Slice(src, n) {
		d[i] = bf16Of(x)
	}
}

func roundWideGeneric(dst, src *float32, n int) {
	d := unsafe.Slice(dst, n)
	for i, x := range unsafe.Slice(src, n) {
		d[i] = bf16Value(bf16Of(x))
	}
}
