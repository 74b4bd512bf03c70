package tensor

// PackedInt8 is an int8 weight matrix of N outputs by K inputs with one scale for each output, laid
// out for the kernels in use. It is read-only after [PackInt8] and safe for concurrent use.
type PackedInt8 struct {
	N, K int
	data []int8
	cols []float32 // by panel: scales, scales times sums of weights, biases
	k    *kernels
}

// PackInt8 packs weights given as n rows of k int8 values, with the scale that each row is multiplied
// by and the bias added to its sums, which may be nil.
func PackInt8(weights []byte, scales, bias []float32, n, k int) *PackedInt8 {
	p := &PackedInt8{N: n, K: k, k: active}
	nr, g := p.k.nrInt8, p.k.group
	kp, panels := (k+g-1)/g*g, (n+nr-1)/nr
	p.data = make([]int8, panels*nr*kp)
	p.cols = make([]float32, panels*nr*3)
	for j := range n {
		row := weights[j*k : (j+1)*k]
		panel := p.data[j/nr*nr*kp : (j/nr+1)*nr*kp]
		sum, c := int32(0), j%nr
		for i, x := range row {
			sum += int32(int8(x))
			panel[(i/g*nr+c)*g+i%g] = int8(x)
		}
		cols := p.cols[j/nr*nr*3:]
		cols[c], cols[nr+c] = scales[j], scales[j]*float32(sum)
		if bias != nil {
			cols[2*nr+c] = bias[j]
		}
	}
	return p
}

// Quantised is a block of activation rows in the form [PackedInt8.Mul] reads: each value as a small
// integer with a scale and shift of its row. The zero value is ready for use; its memory is kept and
// grows to the largest block.
type Quantised struct {
	rows, k, stride int
	data            []byte
	scales          []rowScale
	row             []float32
}

// Set quantises m rows of k values that lie lda apart, each value first multiplied by that of its
// column in factors, unless factors is nil.
func (q *Quantised) Set(a []float32, lda, m, k int, factors []float32) {
	kern := active
	stride := (k + kern.group - 1) / kern.group * kern.group * kern.width
	if need := m * stride; cap(q.data) < need {
		q.data = make([]byte, need)
	}
	if cap(q.scales) < m {
		q.scales = make([]rowScale, m)
	}
	q.rows, q.k, q.stride = m, k, stride
	q.data, q.scales = q.data[:m*stride], q.scales[:m]
	if m == 0 || k == 0 {
		return
	}
	_ = a[(m-1)*lda+k-1]
	if factors != nil {
		factors = factors[:k]
		if cap(q.row) < k {
			q.row = make([]float32, k)
		}
		q.row = q.row[:k]
	}
	for i := range m {
		row := at(first(a), i*lda)
		if factors != nil {
			kern.times(first(q.row), row, first(factors), k)
			row = first(q.row)
		}
		q.scales[i] = kern.quantise(at(first(q.data), i*stride), row, k)
		clear(q.data[i*stride+k*kern.width : (i+1)*stride])
	}
}

// Panels is the number of column panels, which callers may share out between goroutines.
func (p *PackedInt8) Panels() int { return (p.N + p.k.nrInt8 - 1) / p.k.nrInt8 }

// Mul sets dst[i][j] = bias[j] + sum over k of q[i][k] * w[j][k] for all rows of q and the columns of
// panels from up to to. Rows of dst lie ldd values apart.
func (p *PackedInt8) Mul(dst []float32, ldd int, q *Quantised, from, to int) {
	if q.k != p.K {
		panic("tensor: PackedInt8.Mul: rows of another length")
	}
	m, nr, g := q.rows, p.k.nrInt8, p.k.group
	if m == 0 {
		return
	}
	kp := (p.K + g - 1) / g * g
	for panel := from; panel < to; panel++ {
		j := panel * nr
		b, cols := p.data[j*kp:(j+nr)*kp], p.cols[j*3:(j+nr)*3]
		for t := tilesOf(dst[j:], ldd, min(nr, p.N-j), nr, m, p.k.mrInt8); t.next(); {
			p.k.mulInt8(t.rows, kp, at(first(q.data), t.row*q.stride), q.stride, first(b), t.c, t.ldc, &q.scales[t.row], first(cols))
		}
	}
}
