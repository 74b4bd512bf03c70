package tensor

import "fmt"

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
	if dot := qdotFor(m.Type, m.K); dot != nil && !a.exact {
		for i := range a.n {
			dot(first(dst[i*ldd+from:]), first(m.data[from*m.rowBytes:]), to-from, m.rowBytes, m.K, first(a.x[i*m.K:]))
		}
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

// qdot multiplies rows of weights, stride bytes apart, with n values.
type qdot func(dst *float32, w *byte, rows, stride, n int, x *float32)

// qdotF32 needs weights on a border of 4 bytes, as GGUF lays them.
func qdotF32(dst *float32, w *byte, rows, stride, n int, x *float32) {
	for i := range rows {
		*at(dst, i) = active.dot((*float32)(ptr(at(w, i*stride))), x, n)
	}
}
