package engine

import (
	"context"
	"math"

	"docent/internal/tensor"
)

const (
	batch      = 512 // most tokens of a prompt that are computed together
	queryBlock = 32  // queries whose attention is computed together
	fewRows    = 4   // up to here a scored text is computed one token at a time, like an answer
)

// state is one sequence being computed: its keys and values, and the buffers of a step.
type state struct {
	pool   *pool
	single bool
	tokens []int32 // whose keys and values are in the cache
	room   int     // tokens the cache has place for
	k, v   [][]float32

	x, h, q, kk, vv, att, gate, up []float32
	side                           []float32 // of attention, where the stream takes it later
	routes                         routes
	cos, sin                       [][]float32 // by rope
	keys                           []float32   // of a layer, packed
	scores                         [][]float32 // by worker
	scratch                        [][]float32 // by worker
	vec                            tensor.QVector
	logits                         []float32
}

func (m *Model) newState() *state {
	s := &state{pool: newPool(m.cfg.Threads), k: make([][]float32, len(m.layers)), v: make([][]float32, len(m.layers))}
	s.scores, s.scratch = make([][]float32, m.cfg.Threads), make([][]float32, m.cfg.Threads)
	s.cos, s.sin = make([][]float32, len(m.ropes)), make([][]float32, len(m.ropes))
	return s
}

func (s *state) close() { s.pool.close() }

// reserve makes room for n tokens. A layer's keys lie head after head, each with room for all tokens.
func (m *Model) reserve(s *state, n int) {
	if n <= s.room {
		return
	}
	room := min(m.cfg.Context, max(n, 2*s.room, 256))
	hd, kv := m.params.headDim, m.params.kvHeads
	for _, cache := range [][][]float32{s.k, s.v} {
		for l := range cache {
			grown := make([]float32, kv*room*hd)
			for h := range kv {
				if len(s.tokens) > 0 {
					copy(grown[h*room*hd:], cache[l][h*s.room*hd:][:len(s.tokens)*hd])
				}
			}
			cache[l] = grown
		}
	}
	s.room = room
}

// grow makes b n values long; they are not kept. It takes some more, since contexts grow by one.
func grow(b *[]float32, n int) []float32 {
	if cap(*b) < n {
		*b = make([]float32, n, n+n/8+64)
	}
	*b = (*b)[:n]
	return *b
}

// forward computes tokens, which follow those in the state, and returns the logits of the last, or with
// all of every one, one row of the vocabulary's size each. The result belongs to the state. It looks at
// ctx between layers; when it ends early, the state holds what it held before.
//
// The tokens of a prompt are computed together, in float32, whatever their number, so that an answer is
// the same with and without a part that was known already; with single they are computed one at a time
// from quantised weights.
func (m *Model) forward(ctx context.Context, s *state, tokens []int32, all, single bool) ([]float32, error) {
	s.single = single
	p := &m.params
	n, start := len(tokens), len(s.tokens)
	m.reserve(s, start+n)
	hd, qn, kn := p.headDim, p.heads*p.headDim, p.kvHeads*p.headDim
	x, h := grow(&s.x, n*p.dim), grow(&s.h, n*p.dim)
	q, kk, vv, att := grow(&s.q, n*qn), grow(&s.kk, n*kn), grow(&s.vv, n*kn), grow(&s.att, n*qn)
	for i, t := range tokens {
		row := x[i*p.dim:][:p.dim]
		m.embed.Row(row, int(t))
		if m.pos != nil {
			m.pos.Row(h[:p.dim], start+i)
			for j, v := range h[:p.dim] {
				row[j] += v
			}
		}
		if p.embedScale != 1 {
			for j := range row {
				row[j] *= p.embedScale
			}
		}
	}
	half := p.ropeDim / 2
	for r, rope := range m.ropes {
		cos, sin := grow(&s.cos[r], n*half), grow(&s.sin[r], n*half)
		for i := range n {
			rope.table(cos[i*half:][:half], sin[i*half:][:half], start+i)
		}
	}
	rope := make(map[*rope]int, len(m.ropes))
	for i, r := range m.ropes {
		rope[r] = i
	}
	for l := range m.layers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		y := &m.layers[l]
		m.norms(s, h, x, y.attnNorm, n)
		m.mul(s, h, n, out{y.q, q}, out{y.k, kk}, out{y.v, vv})
		s.pool.run(split(n, 16), func(_, part int) {
			for i := part * 16; i < min(n, part*16+16); i++ {
				for j := range p.heads {
					m.turn(s, q[i*qn+j*hd:][:hd], y, y.qNorm, j, rope[y.rope], i)
				}
				for j := range p.kvHeads {
					key := kk[i*kn+j*hd:][:hd]
					m.turn(s, key, y, y.kNorm, j, rope[y.rope], i)
					at := (j*s.room + start + i) * hd
					copy(s.k[l][at:], key)
					copy(s.v[l][at:], vv[i*kn+j*hd:][:hd])
				}
			}
		})
		m.attend(s, l, att, q, start, n)
		if y.parallel {
			side := grow(&s.side, n*p.dim)
			m.mul(s, att, n, out{y.o, side})
			m.feedForward(s, y, x, n) // the stream is still as attention found it
			m.add(s, x, side, y.attnPost, n)
			continue
		}
		m.mul(s, att, n, out{y.o, h})
		m.add(s, x, h, y.attnPost, n)
		m.feedForward(s, y, x, n)
	}
	s.tokens = append(s.tokens, tokens...)
	if !all {
		x, n = x[(n-1)*p.dim:], 1
	}
	m.norms(s, h[:n*p.dim], x, m.final, n)
	logits := grow(&s.logits, n*p.vocab)
	m.mul(s, h, n, out{m.output, logits})
	if c := p.finalCap; c > 0 {
		for i, v := range logits {
			logits[i] = c * float32(math.Tanh(float64(v/c)))
		}
	}
	return logits, nil
}

func split(n, size int) int { return (n + size - 1) / size }

// each shares n values out between the workers.
func (m *Model) each(s *state, n int, do func(from, to int)) {
	const size = 16 << 10
	s.pool.run(split(n, size), func(_, part int) { do(part*size, min(n, (part+1)*size)) })
}

func (m *Model) norm(dst, x []float32, w norm) {
	if m.params.layerNorm {
		tensor.AddNorm(dst, x, nil, w.w, w.b, m.params.eps)
	} else {
		tensor.RMSNorm(dst, x, w.w, m.params.eps)
	}
}

func (m *Model) norms(s *state, dst, x []float32, w norm, n int) {
	d := m.params.dim
	s.pool.run(split(n, 16), func(_, part int) {
		for i := part * 16; i < min(n, part*16+16); i++ {
			m.norm(dst[i*d:(i+1)*d], x[i*d:(i+1)*d], w)
		}
	})
}

// add adds h, after its own norm where the architecture has one, to the stream.
func (m *Model) add(s *state, x, h []float32, post norm, n int) {
	d := m.params.dim
	s.pool.run(split(n, 16), func(_, part int) {
		for i := part * 16; i < min(n, part*16+16); i++ {
			row := h[i*d : (i+1)*d]
			if post.w != nil {
				m.norm(row, row, post)
			}
			tensor.Axpy(x[i*d:(i+1)*d], row, 1)
		}
	})
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

// out is a product and where it goes.
type out struct {
	l   linear
	dst []float32
}

// mul multiplies n rows of a with each of the matrices, which have the same inputs.
func (m *Model) mul(s *state, a []float32, n int, outs ...out) {
	k := outs[0].l.w.K
	if s.single {
		for i := range n {
			s.vec.Set(a[i*k:(i+1)*k], m.cfg.Exact)
			total := 0
			for _, o := range outs {
				total += o.l.w.N
			}
			// Parts small enough that a worker which came late does not make the others wait, and an even
			// number of rows.
			size := max(16, split(total, 4*m.cfg.Threads)+1) &^ 1
			s.pool.run(split(total, size), func(w, part int) {
				from, to := part*size, min(total, (part+1)*size)
				for _, o := range outs {
					rows := o.l.w.N
					if lo, hi := max(0, from), min(rows, to); lo < hi {
						o.l.w.MulVec(o.dst[i*rows:(i+1)*rows], &s.vec, lo, hi, grow(&s.scratch[w], k))
					}
					from, to = from-rows, to-rows
				}
			})
		}
	} else {
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
	for _, o := range outs {
		if o.l.b != nil {
			for i := range n {
				tensor.Axpy(o.dst[i*o.l.w.N:(i+1)*o.l.w.N], o.l.b, 1)
			}
		}
	}
}

// attend sets att to what the queries of n tokens, the first at place start, read from the layer's
// cache.
func (m *Model) attend(s *state, l int, att, q []float32, start, n int) {
	p := &m.params
	hd, group, window := p.headDim, p.heads/p.kvHeads, m.layers[l].window
	if s.single {
		s.pool.run(p.heads*n, func(w, part int) {
			i, h := part/p.heads, part%p.heads
			to := start + i + 1
			from := 0
			if window > 0 {
				from = max(0, to-window)
			}
			keys := s.k[l][(h/group*s.room+from)*hd:]
			values := s.v[l][(h/group*s.room+from)*hd:]
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
		tensor.PackInto(keys[h*each:], s.k[l][h*s.room*hd:], hd, length, hd)
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
		read(att[at:], p.heads*hd, scores, padded, rows, s.v[l][h/group*s.room*hd:], hd, last)
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
