package engine

import "docent/internal/tensor"

// feedForward adds to n rows of the stream what the layer's feed-forward network makes of them. It uses
// the state's buffer h.
func (m *Model) feedForward(s *state, y *layer, x []float32, n int) {
	p := &m.params
	h, up := grow(&s.h, n*p.dim), grow(&s.up, n*p.ff)
	m.norms(s, h, x, y.ffnNorm, n)
	if p.ungated {
		m.mul(s, h, n, out{y.up, up})
		m.each(s, n*p.ff, func(from, to int) { tensor.GELUTanh(up[from:to]) })
		m.mul(s, up, n, out{y.down, h})
	} else {
		gate := grow(&s.gate, n*p.ff)
		m.mul(s, h, n, out{y.gate, gate}, out{y.up, up})
		m.each(s, n*p.ff, func(from, to int) {
			if p.gelu {
				tensor.GeGLU(gate[from:to], up[from:to])
			} else {
				tensor.SwiGLU(gate[from:to], up[from:to])
			}
		})
		m.mul(s, gate, n, out{y.down, h})
	}
	m.add(s, x, h, y.ffnPost, n)
}
