package engine

import "docent/internal/tensor"

// out is a product and where it goes.
type out struct {
	l   linear
	dst []float32
}

// mul multiplies n rows of a with each of the matrices, which have the same inputs. Every row goes through
// the same kernel whatever n is: in 8 bits, as llama.cpp does, or with Config.Exact in float32.
func (m *Model) mul(s *state, a []float32, n int, outs ...out) {
	if m.cfg.Exact {
		m.mulExact(s, a, n, outs)
	} else {
		m.mulQuantised(s, a, n, outs)
	}
	for _, o := range outs {
		if o.l.b != nil {
			for i := range n {
				tensor.Axpy(o.dst[i*o.l.w.N:(i+1)*o.l.w.N], o.l.b, 1)
			}
		}
	}
}

func (m *Model) mulQuantised(s *state, a []float32, n int, outs []out) {
	k := outs[0].l.w.K
	vecs := grow(&s.vecs, n)
	s.pool.run(split(n, 4), func(_, part int) {
		for i := part * 4; i < min(n, part*4+4); i++ {
			vecs[i].Set(a[i*k:(i+1)*k], false)
		}
	})
	total := 0
	for _, o := range outs {
		total += o.l.w.N
	}
	// Parts small enough that a worker which came late does not make the others wait, and an even number
	// of rows; with many vectors, small enough to stay in the processor's cache for all of them.
	size := max(16, split(total, 4*m.cfg.Threads)+1) &^ 1
	if n > 1 {
		size = min(size, 64)
	}
	s.pool.run(split(total, size), func(w, part int) {
		from, to := part*size, min(total, (part+1)*size)
		for _, o := range outs {
			rows := o.l.w.N
			if lo, hi := max(0, from), min(rows, to); lo < hi {
				for i := range n {
					o.l.w.MulVec(o.dst[i*rows:(i+1)*rows], &vecs[i], lo, hi, grow(&s.scratch[w], k))
				}
			}
			from, to = from-rows, to-rows
		}
	})
}

func (m *Model) mulExact(s *state, a []float32, n int, outs []out) {
	k := outs[0].l.w.K
	total := 0
	for _, o := range outs {
		total += o.l.w.Panels()
	}
	s.pool.run(total, func(w, part int) {
		for _, o := range outs {
			if panels := o.l.w.Panels(); part < panels {
				o.l.w.Mul(o.dst, o.l.w.N, a, k, n, part, part+1, grow(&s.scratch[w], o.l.w.MulScratch()))
				return
			} else {
				part -= panels
			}
		}
	})
}
