package tensor

// Products of quantised weights. Whatever the type, a panel of 16 rows of weights is unpacked, a stretch
// at a time, to the one layout of qblock, which stays in the first-level cache; a tile kernel multiplies
// it with up to a dozen rows of activations. So weights are read from memory once for all rows, and each
// type needs only its unpacking.
//
// A product is, whatever the number of rows and on every processor with fused multiply-add,
//
//	for each 32 values (or 16): c = fma(scale_w*scale_a, integer product, c); c = fma(minimum, sum_a, c)
//
// so a row's results are the same bits alone and among others.

const (
	qpanel   = 16 // rows of weights in a panel
	qstretch = 32 // blocks that are unpacked together: 24 KB
	qgroup   = 16 // panels that many rows of activations are multiplied with before the next
)

// qblock are 32 values of each of a panel's rows; the assembly knows its layout. Values lie in fours of a
// row, as the instructions want them: plain, or a multiple of them with half its range added, so that they have no sign.
// There is one scale and minimum, or one for each half.
type qblock struct {
	q       [8][qpanel][4]int8
	scale   [2][qpanel]float32
	minimum [2][qpanel]float32
}

// qkernels is one implementation of these products.
type qkernels struct {
	rows   int      // most rows of a tile
	tile   [3]qtile // see qformat.tile
	unpack map[QType]qunpack
	one    map[QType]qone // for a single row of activations; may lack types
	round  func(dst *qrow, src *float32, blocks int)
}

// qtile multiplies rows of activations, lda bytes apart, with a panel's blocks, and sets c, or adds to
// it; values of c's rows lie ldc apart.
type qtile func(rows, blocks int, a *qrow, lda int, w *qblock, c *float32, ldc int, how qhow)

type qhow int

const (
	qadd     qhow = 1 // add to c
	qminimum qhow = 2 // weights have minima
)

// qunpack unpacks that many blocks of the type of 16 rows of weights, stride bytes apart, and fetches what
// lies ahead bytes from them to the cache.
type qunpack func(dst *qblock, w *byte, stride, blocks, ahead int)

// qone multiplies a row of activations with some rows of weights, stride bytes apart, and fetches what lies ahead bytes
// from them to the cache: unpacking and tile kernel in one, without the way through memory. Kernels for a panel fetch
// a line of each row at a time, those for half of one in the order of memory.
type qone struct {
	rows int
	mul  func(blocks int, a *qrow, w *byte, stride, ahead int, c *float32)
}

// QScratch is a worker's memory for products; the zero value is ready for use.
type QScratch struct {
	blocks []qblock
	edge   []byte    // weights of a last panel that is not whole
	tile   []float32 // and its results
	floats []float32
	next   *byte // see Next
}

// Next says that the scratch's owner, after its next product, goes on with the rows of m from a panel on. If that product
// is of one row of activations, the beginning of those weights is fetched to the cache while its last are multiplied.
func (s *QScratch) Next(m *QMatrix, panel int) { s.next = &m.data[panel*QPanel*m.rowBytes] }

// mulRounded sets dst for the weights' rows from up to to, from being a multiple of 16.
func (m *QMatrix) mulRounded(dst []float32, ldd int, a *QRows, from, to int, s *QScratch) {
	k, f := quantKernels(), qformats[m.Type]
	next := s.next
	s.next = nil
	if one, ok := k.one[m.Type]; ok && a.n == 1 {
		m.mulOne(one, dst, a, from, to, next, s)
		return
	}
	unpack := k.unpack[m.Type]
	if unpack == nil {
		unpack = func(dst *qblock, w *byte, stride, blocks, _ int) { unpackGeneric(f, dst, w, stride, blocks) }
	}
	tile, how := k.tile[f.tile()], qhow(0)
	if f.minimum {
		how = qminimum
	}
	group := 1
	if a.n > k.rows {
		group = qgroup
	}
	s.blocks = resize(s.blocks, group*qstretch)
	per := f.values / 32
	all := m.K / 32 // blocks of a row
	for ; from < to; from += group * qpanel {
		panels := min(group, (to-from+qpanel-1)/qpanel)
		for b := 0; b < all; b += qstretch {
			n := min(qstretch, all-b)
			offset, size := b/per*f.bytes, n/per*f.bytes
			for p := range panels {
				row := from + p*qpanel
				w, stride := m.data[row*m.rowBytes+offset:], m.rowBytes
				if short := to - row; short < qpanel {
					s.edge = resize(s.edge, qpanel*size)
					for i := range short {
						copy(s.edge[i*size:(i+1)*size], w[i*stride:])
					}
					clear(s.edge[short*size:])
					w, stride = s.edge, size
				}
				ahead := size // the next stretch, or the next panel's first
				if b+n == all {
					ahead = qpanel*m.rowBytes - offset
				}
				unpack(&s.blocks[p*qstretch], first(w), stride, n/per, ahead)
			}
			h := how
			if b > 0 {
				h |= qadd
			}
			for r, left := 0, (a.n+k.rows-1)/k.rows; left > 0; left-- {
				rows := (a.n - r + left - 1) / left
				act := &a.blocks[r*all+b]
				for p := range panels {
					j := from + p*qpanel
					w, c := &s.blocks[p*qstretch], dst[r*ldd+j:]
					if short := to - j; short < qpanel {
						s.tile = resize(s.tile, k.rows*qpanel)
						for i := range rows {
							copy(s.tile[i*qpanel:][:short], c[i*ldd:])
						}
						tile(rows, n, act, all*64, w, first(s.tile), qpanel, h)
						for i := range rows {
							copy(c[i*ldd:][:short], s.tile[i*qpanel:])
						}
						continue
					}
					_ = c[(rows-1)*ldd+qpanel-1]
					tile(rows, n, act, all*64, w, first(c), ldd, h)
				}
				r += rows
			}
		}
	}
}

// mulOne is mulRounded for one row of activations. With its last rows it fetches what is at next, if that is not nil.
func (m *QMatrix) mulOne(one qone, dst []float32, a *QRows, from, to int, next *byte, s *QScratch) {
	blocks, size := m.K/qformats[m.Type].values, one.rows*m.rowBytes
	ahead := size
	if one.rows < qpanel {
		ahead += 1 << 10 // the last of the next rows begin late
	}
	row := from
	for ; to-row >= one.rows; row += one.rows {
		w := first(m.data[row*m.rowBytes:])
		if one.rows < qpanel && next != nil && to-row < 2*one.rows {
			ahead = int(uintptr(ptr(next)) - uintptr(ptr(w)))
		}
		one.mul(blocks, &a.blocks[0], w, m.rowBytes, ahead, first(dst[row:row+one.rows]))
	}
	if row < to {
		s.edge, s.tile = resize(s.edge, size), resize(s.tile, one.rows)
		clear(s.edge[copy(s.edge, m.data[row*m.rowBytes:to*m.rowBytes]):])
		one.mul(blocks, &a.blocks[0], first(s.edge), m.rowBytes, 0, first(s.tile))
		copy(dst[row:to], s.tile)
	}
}
