package engine

import (
	"math"
	"slices"

	"docent/internal/tensor"
)

// attention sets the rows of dst to what layer l's attention makes of those of h, which may be the same,
// and keeps their keys and values.
func (m *Model) attention(s *state, l int, dst, h []float32, chunks []chunk) {
	p, y := &m.params, &m.layers[l]
	n, hd, qn, kn := len(s.pos), p.headDim, p.heads*p.headDim, p.kvHeads*p.headDim
	q, kk, vv, att := grow(&s.q, n*qn), grow(&s.kk, n*kn), grow(&s.vv, n*kn), grow(&s.att, n*qn)
	m.mul(s, h, n, out{y.q, q}, out{y.k, kk}, out{y.v, vv})
	rope := slices.Index(m.ropes, y.rope)
	s.pool.run(split(n, 16), func(_, part int) {
		for i := part * 16; i < min(n, part*16+16); i++ {
			for j := range p.heads {
				m.turn(s, q[i*qn+j*hd:][:hd], y, y.qNorm, j, rope, i)
			}
			for j := range p.kvHeads {
				m.turn(s, kk[i*kn+j*hd:][:hd], y, y.kNorm, j, rope, i)
			}
		}
	})
	row := 0
	for _, c := range chunks {
		start, rows := len(c.seq.tokens), len(c.tokens)
		for i := range rows {
			for j := range p.kvHeads {
				at := (j*c.seq.room + start + i) * hd
				copy(c.seq.k[l][at:], kk[(row+i)*kn+j*hd:][:hd])
				copy(c.seq.v[l][at:], vv[(row+i)*kn+j*hd:][:hd])
			}
		}
		m.attend(s, c.seq, l, att[row*qn:], q[row*qn:], start, rows)
		row += rows
	}
	m.mul(s, att, n, out{y.o, dst})
}

// turn norms a head's query or key and rotates it to its place.
func (m *Model) turn(s *state, x []float32, y *layer, norms []norm, head, rope, i int) {
	if norms != nil {
		m.norm(x, x, norms[head])
	}
	if y.rope != nil {
		half := len(y.rope.freq)
		rotate(x, s.cos[rope][i*half:][:half], s.sin[rope][i*half:][:half], m.params.neox)
	}
}

// attend sets att to what the queries of n tokens, the first at place start, read from the layer's cache
// of their sequence.
func (m *Model) attend(s *state, c *sequence, l int, att, q []float32, start, n int) {
	p := &m.params
	hd, group, window := p.headDim, p.heads/p.kvHeads, m.layers[l].window
	if n == 1 {
		s.pool.run(p.heads*n, func(w, part int) {
			i, h := part/p.heads, part%p.heads
			to := start + i + 1
			from := 0
			if window > 0 {
				from = max(0, to-window)
			}
			keys := c.k[l][(h/group*c.room+from)*hd:]
			values := c.v[l][(h/group*c.room+from)*hd:]
			scores := grow(&s.scores[w], to-from)
			at := (i*p.heads + h) * hd
			tensor.Dots(scores, q[at:at+hd], keys)
			m.weigh(scores)
			read(att[at:at+hd], hd, scores, len(scores), 1, values, hd, len(scores))
		})
		return
	}
	length := start + n
	width := tensor.PanelWidth()
	padded := split(length, width) * width
	each := tensor.PackedLen(length, hd)
	keys := grow(&s.keys, p.kvHeads*each)
	s.pool.run(p.kvHeads, func(_, h int) {
		tensor.PackInto(keys[h*each:], c.k[l][h*c.room*hd:], hd, length, hd)
	})
	blocks := split(n, queryBlock)
	s.pool.run(p.heads*blocks, func(w, part int) {
		h, b := part%p.heads, blocks-1-part/p.heads // long ones first
		first := b * queryBlock
		rows := min(queryBlock, n-first)
		last := start + first + rows // places that the block's last query sees
		scores := grow(&s.scores[w], queryBlock*padded)
		at := (first*p.heads + h) * hd
		panels := split(last, width) * width
		tensor.MulPacked(scores, padded, q[at:], p.heads*hd, rows, keys[h/group*each:], min(panels, length), hd)
		for i := range rows {
			row := scores[i*padded:][:last]
			to := start + first + i + 1
			from := 0
			if window > 0 {
				from = max(0, to-window)
			}
			clear(row[:from])
			m.weigh(row[from:to])
			clear(row[to:])
		}
		read(att[at:], p.heads*hd, scores, padded, rows, c.v[l][h/group*c.room*hd:], hd, last)
	})
}

// weigh turns products into weights that sum to 1.
func (m *Model) weigh(scores []float32) {
	if c := m.params.attnCap; c > 0 {
		for i, x := range scores {
			scores[i] = c * float32(math.Tanh(float64(x*m.params.attnScale/c)))
		}
		tensor.Softmax(scores, 1)
		return
	}
	tensor.Softmax(scores, m.params.attnScale)
}

// read sets rows of dst, stride values apart, to sums of n values weighted by rows of scores.
func read(dst []float32, stride int, scores []float32, ld, rows int, values []float32, hd, n int) {
	if hd%tensor.PanelWidth() == 0 {
		tensor.MulRows(dst, stride, scores, ld, rows, values, hd, hd, n)
		return
	}
	for i := range rows {
		row := dst[i*stride:][:hd]
		clear(row)
		for j, w := range scores[i*ld:][:n] {
			if w != 0 {
				tensor.Axpy(row, values[j*hd:(j+1)*hd], w)
			}
		}
	}
}
