package engine

import "docent/internal/tensor"

// out is a product and where it goes.
type out struct {
	l   linear
	dst []float32
}

// mul multiplies n rows of a with each of the matrices, which have the same inputs. Every row's results
// are the same whatever n is: with activations in 8 bits, as llama.cpp has them, or with Config.Exact in
// float32. Rows are those of the step where a product is one that adapters change.
func (m *Model) mul(s *state, a []float32, n int, outs ...out) {
	s.rows.Set(a, n, outs[0].l.w.K, m.cfg.Exact)
	const few = 4
	if n <= few {
		s.rows.Round(0, n)
	} else {
		s.pool.run(split(n, few), func(_, part int) { s.rows.Round(part*few, min(n, part*few+few)) })
	}
	total := 0
	for _, o := range outs {
		total += o.l.w.Panels()
	}
	parts := m.parts(total)
	s.pool.run(parts, func(w, part int) {
		from, to := part*total/parts, (part+1)*total/parts
		last := s.pool.last(w, parts) == part
		for i, o := range outs {
			panels := o.l.w.Panels()
			if lo, hi := max(0, from), min(panels, to); lo < hi {
				scratch := &s.products[w]
				switch {
				case n > 1: // weights wait for the processor, not the other way round
				case last && hi == to:
					m.next(scratch, outs[0].l.then, w)
				case hi == panels && i+1 < len(outs):
					scratch.Next(outs[i+1].l.w, 0)
				}
				o.l.w.Mul(o.dst, o.l.w.N, &s.rows, lo, hi, scratch)
			}
			from, to = from-panels, to-panels
		}
	})
	m.adapt(s, a, outs)
	for _, o := range outs {
		if o.l.b != nil {
			for i := range n {
				tensor.Axpy(o.dst[i*o.l.w.N:(i+1)*o.l.w.N], o.l.b, 1)
			}
		}
	}
}

// parts is how many a product of so many panels has: small enough that a worker which came late does not make the
// others wait, and as many for each.
func (m *Model) parts(panels int) int { return min(panels, 4*m.cfg.Threads) }

// next tells a worker's scratch where the worker begins in the product after this one.
func (m *Model) next(scratch *tensor.QScratch, then []*tensor.QMatrix, w int) {
	total := 0
	for _, x := range then {
		total += x.Panels()
	}
	if total == 0 {
		return
	}
	parts := m.parts(total)
	at := w * parts / m.cfg.Threads * total / parts
	for _, x := range then {
		if at < x.Panels() {
			scratch.Next(x, at)
			return
		}
		at -= x.Panels()
	}
}

// chain notes for the layers' products which one comes after them, as far as it does not depend on the text.
func (m *Model) chain() {
	matrices := func(l ...linear) (w []*tensor.QMatrix) {
		for _, x := range l {
			if x.w != nil {
				w = append(w, x.w)
			}
		}
		return w
	}
	then := matrices(m.output)
	for i := len(m.layers) - 1; i >= 0; i-- {
		y := &m.layers[i]
		y.q.then = matrices(y.o)
		if y.experts == nil {
			y.o.then = matrices(y.mlp.gate, y.mlp.up)
			y.mlp.down.then = then
			first := &y.mlp.gate
			if first.w == nil {
				first = &y.mlp.up
			}
			first.then = matrices(y.mlp.down)
		}
		then = matrices(y.q, y.k, y.v)
	}
}
