package tensor

import "math"

// PackedBF16 is a weight matrix of N outputs by K inputs rounded to bfloat16, laid out for the kernels in
// use. It is read-only after [PackBF16] and safe for concurrent use.
//
// A value has two bytes. Where the processor multiplies bfloat16 faster than float32 ([HasBF16]) it does;
// elsewhere weights are widened as they are read, which costs about what float32 costs but for half the
// memory; and in plain Go and on arm64 when they are packed. Activations are rounded alike everywhere, so
// all machines compute the same but for the order of sums.
type PackedBF16 struct {
	N, K int
	data []uint16  // by panel
	bias []float32 // for whole panels
	f32  *PackedF32
	k    *kernels
}

// HasBF16 tells whether products of bfloat16 are computed as such: by AVX512-BF16, on processors where
// that is faster than float32.
func HasBF16() bool { return active.mulBF16 != nil }

// PackBF16 rounds and packs weights given as n rows of k values, with the bias of each row, which may be
// nil.
func PackBF16(weights []float32, bias []float32, n, k int) *PackedBF16 {
	p := &PackedBF16{N: n, K: k, k: active}
	nr := active.nrF32
	p.bias = make([]float32, p.Panels()*nr)
	if bias != nil {
		copy(p.bias, bias[:n])
	}
	if active.mulBF16 == nil && active.mulWide == nil {
		rounded := make([]float32, n*k)
		for i, x := range weights[:n*k] {
			rounded[i] = bf16Value(bf16Of(x))
		}
		p.f32 = PackF32(rounded, n, k)
		return p
	}
	kp := p.depth()
	p.data = make([]uint16, p.Panels()*nr*kp)
	for j := range n {
		panel, c := p.data[j/nr*nr*kp:], j%nr
		for i, x := range weights[j*k : (j+1)*k] {
			at := i*nr + 2*(c%(nr/2)) + c/(nr/2) // two halves of the panel take turns
			if active.mulBF16 != nil {
				at = (i/2*nr+c)*2 + i%2 // two inputs of a column lie together
			}
			panel[at] = bf16Of(x)
		}
	}
	return p
}

// depth is the number of inputs with what fills up the last pair.
func (p *PackedBF16) depth() int {
	if p.k.mulBF16 != nil {
		return (p.K + 1) / 2 * 2
	}
	return p.K
}

// RowsBF16 is a block of activation rows rounded to bfloat16, in the form [PackedBF16.Mul] reads. The zero
// value is ready for use; its memory is kept and grows to the largest block.
type RowsBF16 struct {
	rows, k, stride int
	data            []uint16
	wide            []float32 // instead of data, where the processor does not multiply bfloat16
}

// Set rounds m rows of k values that lie lda apart to the nearest bfloat16, halves to the even one.
// Subnormals may become zero.
func (q *RowsBF16) Set(a []float32, lda, m, k int) {
	q.rows, q.k, q.stride = m, k, (k+1)/2*2
	if m == 0 || k == 0 {
		return
	}
	_ = a[(m-1)*lda+k-1]
	if active.mulBF16 == nil {
		q.wide = resize(q.wide, m*q.stride)
		for i := range m {
			active.roundWide(at(first(q.wide), i*q.stride), at(first(a), i*lda), k)
		}
		return
	}
	q.data = resize(q.data, m*q.stride)
	for i := range m {
		active.roundBF16(at(first(q.data), i*q.stride), at(first(a), i*lda), k)
		clear(q.data[i*q.stride+k : (i+1)*q.stride])
	}
}

// Panels is the number of column panels, which callers may share out between goroutines.
func (p *PackedBF16) Panels() int { return (p.N + p.k.nrF32 - 1) / p.k.nrF32 }

// Mul sets dst[i][j] = bias[j] + sum over k of q[i][k] * w[j][k] for all rows of q and the columns of
// panels from up to to, the sums in float32. Rows of dst lie ldd values apart.
func (p *PackedBF16) Mul(dst []float32, ldd int, q *RowsBF16, from, to int) {
	if q.k != p.K {
		panic("tensor: PackedBF16.Mul: rows of another length")
	}
	if p.f32 != nil {
		p.f32.Mul(dst, ldd, q.wide, q.stride, q.rows, p.bias, from, to)
		return
	}
	if q.rows == 0 {
		return
	}
	nr, kp := p.k.nrF32, p.depth()
	for panel := from; panel < to; panel++ {
		j := panel * nr
		b, bias := first(p.data[j*kp:(j+nr)*kp]), first(p.bias[j:j+nr])
		for t := tilesOf(dst[j:], ldd, min(nr, p.N-j), nr, q.rows, p.k.mrF32); t.next(); {
			if row := t.row * q.stride; p.k.mulBF16 != nil {
				p.k.mulBF16(t.rows, kp, at(first(q.data), row), q.stride, b, t.c, t.ldc, bias)
			} else {
				p.k.mulWide(t.rows, kp, at(first(q.wide), row), q.stride, b, t.c, t.ldc, bias)
			}
		}
	}
}

// bf16Of rounds to bfloat16, which is the upper half of a float32, as VCVTNEPS2BF16 does.
func bf16Of(x float32) uint16 {
	b := math.Float32bits(x)
	switch {
	case b&0x7f800000 == 0: // zero, or below the normal range
		return uint16(b>>16) & 0x8000
	case x != x:
		return uint16(b>>16) | 0x40 // quiet
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// bf16Value is the value of a bfloat16.
func bf16Value(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }
