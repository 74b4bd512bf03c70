package engine

import "docent/internal/tensor"

// mlp is a feed-forward network. Without a gate, up is activated itself.
type mlp struct{ gate, up, down linear }

// feedForward adds to n rows of the stream what the layer's feed-forward network makes of them. It uses
// the state's buffer h.
func (m *Model) feedForward(s *state, y *layer, x []float32, n int) {
	h := grow(&s.h, n*m.params.dim)
	m.norms(s, h, x, y.ffnNorm, n)
	if y.experts != nil {
		h = m.mix(s, y.experts, h, n)
	} else {
		m.transform(s, &y.mlp, h, h, n)
	}
	m.add(s, x, h, y.ffnPost, n)
}

// transform sets n rows of dst to what a network makes of those of h, which may be the same.
func (m *Model) transform(s *state, net *mlp, dst, h []float32, n int) {
	ff := net.up.w.N
	up := grow(&s.up, n*ff)
	if net.gate.w == nil {
		m.mul(s, h, n, out{net.up, up})
		m.each(s, n*ff, func(from, to int) {
			if m.params.relu {
				for i, v := range up[from:to] {
					up[from+i] = max(0, v)
				}
			} else {
				tensor.GELUTanh(up[from:to])
			}
		})
		m.mul(s, up, n, out{net.down, dst})
		return
	}
	gate := grow(&s.gate, n*ff)
	m.mul(s, h, n, out{net.gate, gate}, out{net.up, up})
	m.each(s, n*ff, func(from, to int) {
		if m.params.gelu {
			tensor.GeGLU(gate[from:to], up[from:to])
		} else {
			tensor.SwiGLU(gate[from:to], up[from:to])
		}
	})
	m.mul(s, gate, n, out{net.down, dst})
}
