package tensor

import (
	"fmt"
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

// QPanel is how many rows of weights the parts have that [QMatrix.Mul] can be shared out in.
const QPanel = 32

// Panels is the number of panels, the last of which may not be whole.
func (m *QMatrix) Panels() int { return (m.N + QPanel - 1) / QPanel }

// Mul sets dst[i][j] to the product of row i of a and row j of the weights, for all rows of a and the
// weights of panels from up to to. Rows of dst lie ldd values apart. Callers may share panels out between
// goroutines, each with its own scratch.
//
// Quantised weights are multiplied with rounded activations, if a has been rounded, and all other with
// the activations themselves.
func (m *QMatrix) Mul(dst []float32, ldd int, a *QRows, from, to int, s *QScratch) {
	if a.k != m.K {
		panic("tensor: QMatrix.Mul: rows of another length")
	}
	from, to = from*QPanel, min(m.N, to*QPanel)
	if a.n == 0 || from >= to {
		return
	}
	_ = dst[(a.n-1)*ldd+to-1]
	if a.rounded && qformats[m.Type].group > 0 {
		m.mulRounded(dst, ldd, a, from, to, s)
		return
	}
	if !a.exact && qformats[m.Type].group == 0 {
		m.mulDots(dst, ldd, a, from, to)
		return
	}
	m.mulFloats(dst, ldd, a, from, to, s)
}

// mulFloats turns weights into float32, a panel of the float32 kernels at a time.
func (m *QMatrix) mulFloats(dst []float32, ldd int, a *QRows, from, to int, s *QScratch) {
	nr := active.nrF32
	s.floats = resize(s.floats, 2*nr*m.K)
	plain, packed := s.floats[:nr*m.K], s.floats[nr*m.K:]
	for j := from; j < to; j += nr {
		n := min(nr, to-j)
		DequantiseBlocks(m.Type, plain[:n*m.K], m.data[j*m.rowBytes:(j+n)*m.rowBytes])
		PackInto(packed, plain, m.K, n, m.K)
		mulPanel(active, dst[j:], ldd, n, a.x, m.K, a.n, m.K, packed, nr, nil)
	}
}

// qdots are the kernels for float weights.
type qdots struct {
	rows int // most rows of a call
	dot  map[QType]qdot
}

// qdot multiplies rows of weights, stride bytes apart, with m rows of n values.
type qdot func(dst *float32, ldd int, w *byte, rows, stride, n int, x *float32, ldx, m int)

var qdotsGeneric = qdots{rows: 1}

// mulDots multiplies float weights as they are kept. A row's results are the same alone and among others.
func (m *QMatrix) mulDots(dst []float32, ldd int, a *QRows, from, to int) {
	k := floatKernels()
	dot := k.dot[m.Type]
	if dot == nil || m.K%32 != 0 {
		dot = m.dotRows
	}
	for i := 0; i < a.n; i += k.rows {
		dot(first(dst[i*ldd+from:]), ldd, first(m.data[from*m.rowBytes:]), to-from, m.rowBytes, m.K,
			first(a.x[i*m.K:]), m.K, min(k.rows, a.n-i))
	}
}

// dotRows is a qdot for what has no kernel: a row of weights at a time is turned into float32.
func (m *QMatrix) dotRows(dst *float32, ldd int, w *byte, rows, stride, n int, x *float32, ldx, count int) {
	row := make([]float32, n)
	for j := range rows {
		DequantiseBlocks(m.Type, row, unsafe.Slice(at(w, j*stride), stride))
		for i := range count {
			*at(dst, i*ldd+j) = active.dot(first(row), at(x, i*ldx), n)
		}
	}
}
