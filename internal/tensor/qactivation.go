package tensor

import "math"

// QRows are rows of activations as the products with a [QMatrix] take them: the values themselves, and
// rounded to int8 with a scale for each 32. The zero value is ready for use; its memory is kept and grows
// to the largest. Products only read it.
type QRows struct {
	x       []float32
	n, k    int
	exact   bool
	rounded bool
	blocks  []qrow // k/32 of a row, rows one after the other
}

// qrow are 32 rounded activations of a row, with what the kernels need beside them; the assembly knows
// its layout. A kernel whose weights are bytes with 128 added begins its sums at bias.
type qrow struct {
	q      [32]int8
	scale  float32
	bias   int32      // -128 times the sum of q
	bias16 [2]int32   // of each half
	sum    float32    // scale times the sum of q: what minima are multiplied with
	sum16  [2]float32 // of each half
	_      int32
}

// Set makes r hold n rows of k values, one after the other in x, which must not change while r is in
// use. The rows must then be rounded by [QRows.Round], unless products are to be exact: with the float32
// values, several times slower.
func (r *QRows) Set(x []float32, n, k int, exact bool) {
	r.x, r.n, r.k, r.exact = x[:n*k], n, k, exact
	r.rounded = !exact && k%32 == 0
	if r.rounded {
		r.blocks = resize(r.blocks, n*k/32)
	}
}

// Round rounds the rows from up to to. Callers may share rows out between goroutines.
func (r *QRows) Round(from, to int) {
	if !r.rounded || from >= to {
		return
	}
	each := r.k / 32
	blocks, x := r.blocks[from*each:to*each], r.x[from*r.k:to*r.k]
	quantKernels().round(first(blocks), first(x), len(blocks))
}

func roundGeneric(dst *qrow, src *float32, blocks int) {
	for b := range blocks {
		at(dst, b).set((*[32]float32)(ptr(at(src, 32*b))))
	}
}

func (r *qrow) set(x *[32]float32) {
	top := float32(0)
	for _, f := range x {
		top = max(top, math.Float32frombits(math.Float32bits(f)&^(1<<31)))
	}
	scale, inv := top/127, float32(0)
	if scale > 0 && scale <= math.MaxFloat32 {
		inv = 1 / scale
	}
	if !(inv > 0 && inv <= math.MaxFloat32) {
		*r = qrow{}
		return
	}
	// Adding 1.5*2^23 leaves the rounded value in the low bits.
	const magic = 3 << 22
	var s [2]int32
	for h := range s {
		for i, f := range x[16*h : 16*h+16] {
			n := int32(math.Float32bits(float32(f*inv)+magic)) - 0x4b400000
			r.q[16*h+i] = int8(n)
			s[h] += int32(int8(n))
		}
		r.bias16[h], r.sum16[h] = -128*s[h], scale*float32(s[h])
	}
	r.scale, r.bias, r.sum = scale, -128*(s[0]+s[1]), scale*float32(s[0]+s[1])
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
