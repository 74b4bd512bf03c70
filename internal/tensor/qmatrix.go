package tensor

import (
	"fmt"
	"math"
	"unsafe"
)

// QMatrix is a weight matrix of N outputs by K inputs, kept as a model file has it. It is read-only and
// safe for concurrent use; the data stays the caller's and must outlive it.
type QMatrix struct {
	Type QType
	N, K int

	data     []byte
	rowBytes int
}

// NewQMatrix looks at data as n rows of k values of type t.
func NewQMatrix(t QType, n, k int, data []byte) (*QMatrix, error) {
	values, bytes := t.Block()
	switch {
	case values == 0:
		return nil, fmt.Errorf("weights of %s are not supported", t)
	case n < 1 || k < 1 || k%values != 0:
		return nil, fmt.Errorf("%d rows of %d values do not fit %s, whose blocks have %d", n, k, t, values)
	}
	row := k / values * bytes
	if len(data)/row < n || len(data) != n*row {
		return nil, fmt.Errorf("%d bytes for %d rows of %d values of %s, want %d", len(data), n, k, t, n*row)
	}
	return &QMatrix{Type: t, N: n, K: k, data: data, rowBytes: row}, nil
}

// Bytes is the size of the weights.
func (m *QMatrix) Bytes() int { return len(m.data) }

// Rows is the matrix of the rows from up to to, without a copy. It panics when they are not there.
func (m *QMatrix) Rows(from, to int) *QMatrix {
	c := *m
	c.N, c.data = to-from, m.data[from*m.rowBytes:to*m.rowBytes]
	return &c
}

// Row sets dst, K values long, to row i.
func (m *QMatrix) Row(dst []float32, i int) {
	DequantiseBlocks(m.Type, dst[:m.K], m.data[i*m.rowBytes:(i+1)*m.rowBytes])
}

// QVector is a vector of activations, as it is and in eighths: int8 values with a scale for each 32,
// which is how it is multiplied with quantised weights. It is for one product after another; products
// only read it.
type QVector struct {
	x     []float32
	q     []int8
	scale []float32 // for each 32 values
	sum8  []int32   // -8 times the sum of each 32 of q: what takes the 8 off Q4_0's values
	sums  []float32 // scale times the sum of each 32
	half  []float32 // the scale, for each 16 values
	sum32 []float32 // 32 * scale * the sum of each 16: what takes the 32 off Q6_K's values
	exact bool
	args  qargs
}

// Set makes v hold x, which must not change while v is in use. With exact products use x itself, in
// float32, and are several times slower.
func (v *QVector) Set(x []float32, exact bool) {
	v.x, v.exact, v.args = x, exact, qargs{x: first(x)}
	if exact || len(x)%32 != 0 {
		v.exact = true
		return
	}
	n := len(x) / 32
	v.q, v.scale, v.sum8, v.sums = resize(v.q, 32*n), resize(v.scale, n), resize(v.sum8, n), resize(v.sums, n)
	v.half, v.sum32 = resize(v.half, 2*n), resize(v.sum32, 2*n)
	for b := range n {
		v.set(b)
	}
	v.args = qargs{first(x), first(v.q), first(v.scale), first(v.sum8), first(v.sums), first(v.half), first(v.sum32)}
}

func (v *QVector) set(b int) {
	x, q := v.x[32*b:32*b+32], v.q[32*b:32*b+32]
	top := float32(0)
	for _, f := range x {
		top = max(top, math.Float32frombits(math.Float32bits(f)&^(1<<31)))
	}
	scale := top / 127
	inv := float32(0)
	if scale > 0 {
		inv = 1 / scale
		if inv > math.MaxFloat32 || scale > math.MaxFloat32 {
			scale, inv = 0, 0
		}
	}
	// Adding 1.5*2^23 leaves the rounded value in the low bits.
	const magic = 3 << 22
	var s [2]int32
	for h := range s {
		for i, f := range x[16*h : 16*h+16] {
			n := int32(math.Float32bits(float32(f*inv)+magic)) - 0x4b400000
			q[16*h+i] = int8(n)
			s[h] += int32(int8(n))
		}
	}
	v.scale[b], v.half[2*b], v.half[2*b+1] = scale, scale, scale
	v.sum8[b], v.sums[b] = -8*(s[0]+s[1]), scale*float32(s[0]+s[1])
	v.sum32[2*b], v.sum32[2*b+1] = 32*scale*float32(s[0]), 32*scale*float32(s[1])
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// qkernel multiplies rows of weights, stride bytes apart, with a vector of n values, a multiple of the
// type's block.
type qkernel func(dst *float32, w *byte, rows, stride, n int, v *qargs)

// qargs is a QVector as the kernels see it; the assembly knows its layout.
type qargs struct {
	x     *float32
	q     *int8
	scale *float32
	sum8  *int32
	sums  *float32
	half  *float32
	sum32 *float32
}

// MulVec sets dst[i] to the product of row i and v for the rows from up to to. scratch is for K values.
func (m *QMatrix) MulVec(dst []float32, v *QVector, from, to int, scratch []float32) {
	if from >= to {
		return
	}
	if len(v.x) != m.K {
		panic("tensor: MulVec: the vector's length is not the matrix's")
	}
	dst = dst[from:to]
	w := m.data[from*m.rowBytes : to*m.rowBytes]
	if k := qkernelFor(m.Type, m.K, v.exact); k != nil {
		k(first(dst), first(w), len(dst), m.rowBytes, m.K, &v.args)
		return
	}
	scratch = scratch[:m.K]
	for i := range dst {
		DequantiseBlocks(m.Type, scratch, w[i*m.rowBytes:(i+1)*m.rowBytes])
		dst[i] = active.dot(first(scratch), v.args.x, m.K)
	}
}

// qdotF32 needs weights on a border of 4 bytes, as GGUF lays them.
func qdotF32(dst *float32, w *byte, rows, stride, n int, v *qargs) {
	for i := range rows {
		*at(dst, i) = active.dot((*float32)(unsafe.Pointer(at(w, i*stride))), v.x, n)
	}
}

// Panels is the number of groups of rows that [QMatrix.Mul] works in, which callers may share out.
func (m *QMatrix) Panels() int { return (m.N + active.nrF32 - 1) / active.nrF32 }

// MulScratch is how many values of scratch Mul needs.
func (m *QMatrix) MulScratch() int { return 2 * active.nrF32 * m.K }

// Mul sets dst[i][j] to the product of row i of a and row j of the weights, for rows of a and the
// weights of panels from up to to, in float32. Rows of a and dst lie lda and ldd values apart. It turns
// weights into float32 a panel at a time, so it is for many rows; for few, use MulVec.
func (m *QMatrix) Mul(dst []float32, ldd int, a []float32, lda, rows int, from, to int, scratch []float32) {
	if rows == 0 || from >= to {
		return
	}
	_ = a[(rows-1)*lda+m.K-1]
	nr := active.nrF32
	plain, packed := scratch[:nr*m.K], scratch[nr*m.K:2*nr*m.K]
	for p := from; p < to; p++ {
		j := p * nr
		n := min(nr, m.N-j)
		DequantiseBlocks(m.Type, plain[:n*m.K], m.data[j*m.rowBytes:(j+n)*m.rowBytes])
		PackInto(packed, plain, m.K, n, m.K)
		mulPanel(active, dst[j:], ldd, n, a, lda, rows, m.K, packed, nr, nil)
	}
}
