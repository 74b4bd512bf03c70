package tensor

import "sync"

// PackedF32 is a float32 weight matrix of N outputs by K inputs, laid out for the kernels in use. It
// is read-only after [PackF32] and safe for concurrent use.
//
// Columns (outputs) are cut into panels as wide as a kernel's tile; within a panel the values of one
// input lie together, so a kernel reads the panel front to back.
type PackedF32 struct {
	N, K int
	data []float32
	k    *kernels
}

// PackF32 packs weights given as n rows of k values, PyTorch's layout of a linear layer.
func PackF32(weights []float32, n, k int) *PackedF32 {
	p := &PackedF32{N: n, K: k, k: active}
	p.data = make([]float32, PackedLen(n, k))
	PackInto(p.data, weights, k, n, k)
	return p
}

// PanelWidth is the number of columns of a float32 panel.
func PanelWidth() int { return active.nrF32 }

// PackedLen is the number of values of n by k packed weights.
func PackedLen(n, k int) int {
	nr := active.nrF32
	return (n + nr - 1) / nr * nr * k
}

// PackInto packs n rows of k weights, lying stride apart, into dst of at least PackedLen(n, k) values.
func PackInto(dst, weights []float32, stride, n, k int) {
	nr := active.nrF32
	if n == 0 || k == 0 {
		return
	}
	_ = weights[(n-1)*stride+k-1]
	dst = dst[:PackedLen(n, k)]
	for j := 0; j < n; j += nr {
		panel := dst[j*k : (j+nr)*k]
		for c := range nr {
			if j+c >= n {
				for i := c; i < len(panel); i += nr {
					panel[i] = 0
				}
				continue
			}
			row := weights[(j+c)*stride:][:k]
			for i, x := range row {
				panel[i*nr+c] = x
			}
		}
	}
}

// Panels is the number of column panels, which callers may share out between goroutines.
func (p *PackedF32) Panels() int { return (p.N + p.k.nrF32 - 1) / p.k.nrF32 }

// Mul sets dst[i][j] = bias[j] + sum over k of a[i][k] * w[j][k] for m rows and the columns of panels
// from up to to. Rows of a and dst lie lda and ldd values apart. bias has N values, or is nil.
func (p *PackedF32) Mul(dst []float32, ldd int, a []float32, lda, m int, bias []float32, from, to int) {
	if m == 0 || from >= to {
		return
	}
	if bias != nil {
		bias = bias[:p.N]
	}
	_ = a[(m-1)*lda+p.K-1]
	nr := p.k.nrF32
	for panel := from; panel < to; panel++ {
		j := panel * nr
		var b []float32
		if bias != nil {
			b = bias[j:]
		}
		mulPanel(p.k, dst[j:], ldd, min(nr, p.N-j), a, lda, m, p.K, p.data[j*p.K:(j+nr)*p.K], nr, b)
	}
}

// MulPacked is [PackedF32.Mul] for weights packed by [PackInto], all panels, without bias. It writes
// whole panels: dst must hold n rounded up to a multiple of [PanelWidth] columns.
func MulPacked(dst []float32, ldd int, a []float32, lda, m int, packed []float32, n, k int) {
	nr := active.nrF32
	if m == 0 || n == 0 {
		return
	}
	packed = packed[:PackedLen(n, k)]
	_ = a[(m-1)*lda+k-1]
	for j := 0; j < n; j += nr {
		mulPanel(active, dst[j:], ldd, nr, a, lda, m, k, packed[j*k:(j+nr)*k], nr, nil)
	}
}

// MulRows sets dst[i][j] = sum over k of a[i][k] * b[k][j] for m rows and n columns, with b as it is:
// k rows of n values, ldb apart. n must be a multiple of [PanelWidth].
func MulRows(dst []float32, ldd int, a []float32, lda, m int, b []float32, ldb, n, k int) {
	nr := active.nrF32
	if n%nr != 0 {
		panic("tensor: MulRows: columns are not whole panels")
	}
	if m == 0 || n == 0 || k == 0 {
		return
	}
	_, _ = a[(m-1)*lda+k-1], b[(k-1)*ldb+n-1]
	for j := 0; j < n; j += nr {
		mulPanel(active, dst[j:], ldd, nr, a, lda, m, k, b[j:], ldb, nil)
	}
}

// mulPanel multiplies all rows with one panel of which n columns are wanted.
func mulPanel(kern *kernels, dst []float32, ldd, n int, a []float32, lda, m, k int, b []float32, ldb int, bias []float32) {
	nr := kern.nrF32
	if bias != nil && n < nr {
		whole := tiles.Get().(*[maxTile]float32)
		defer tiles.Put(whole)
		clear(whole[copy(whole[:nr], bias[:n]):nr])
		bias = whole[:]
	}
	for t := tilesOf(dst, ldd, n, nr, m, kern.mrF32); t.next(); {
		kern.mulF32(t.rows, k, at(first(a), t.row*lda), lda, first(b), ldb, t.c, t.ldc, first(bias))
	}
}

// tiling walks through the rows of a product with one panel, as many at a time as a kernel takes.
type tiling struct {
	dst       []float32 // from the panel's first column on
	ldd       int
	n, nr     int // columns that are wanted, and that the kernel writes
	m         int
	blocks    int // that are left
	row, rows int // the block
	c         *float32
	ldc       int
	tile      *[maxTile]float32 // where the kernel writes when not all columns are wanted
}

func tilesOf(dst []float32, ldd, n, nr, m, mr int) tiling {
	_ = dst[(m-1)*ldd+n-1]
	t := tiling{dst: dst, ldd: ldd, n: n, nr: nr, m: m, blocks: (m + mr - 1) / mr}
	if n < nr {
		t.tile = tiles.Get().(*[maxTile]float32)
		t.c, t.ldc = &t.tile[0], nr
	}
	return t
}

// next goes on to the next block, when the kernel has written the last.
func (t *tiling) next() bool {
	if t.tile != nil {
		for i := range t.rows {
			copy(t.dst[(t.row+i)*t.ldd:][:t.n], t.tile[i*t.nr:])
		}
	}
	t.row += t.rows
	if t.blocks == 0 {
		if t.tile != nil {
			tiles.Put(t.tile)
		}
		return false
	}
	t.rows = (t.m - t.row + t.blocks - 1) / t.blocks // even blocks: 14 and 2 rows would waste most of the second
	t.blocks--
	if t.tile == nil {
		t.c, t.ldc = at(first(t.dst), t.row*t.ldd), t.ldd
	}
	return true
}

// maxTile is the most values of any kernel's tile.
const maxTile = 16 * 64

// tiles are for panels that are not whole. They cannot be on the stack: the kernel is called through a
// variable, so the compiler takes its arguments to escape.
var tiles = sync.Pool{New: func() any { return new([maxTile]float32) }}
