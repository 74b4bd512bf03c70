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
	s.pool.run(split(n, few), func(_, part int) { s.rows.Round(part*few, min(n, part*few+few)) })
	total := 0
	for _, o := range outs {
		total += o.l.w.Panels()
	}
	// Parts small enough that a worker which came late does not make the others wait, and as many for each.
	parts := min(total, 4*m.cfg.Threads)
	s.pool.run(parts, func(w, part int) {
		from, to := part*total/parts, (part+1)*total/parts
		for _, o := range outs {
			panels := o.l.w.Panels()
			if lo, hi := max(0, from), min(panels, to); lo < hi {
				o.l.w.Mul(o.dst, o.l.w.N, &s.rows, lo, hi, &s.products[w])
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
