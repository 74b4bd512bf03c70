package engine

import (
	"context"
	"math"

	"docent/internal/tensor"
)

const (
	batch      = 512 // most rows of a step
	queryBlock = 32  // queries whose attention is computed together
)

// sequence is a text whose keys and values are kept.
type sequence struct {
	tokens []int32     // whose keys and values are in the cache
	room   int         // tokens the cache has place for
	k, v   [][]float32 // by layer, head after head, each with room for all tokens
}

// chunk is what a step computes of one sequence: tokens that follow those it holds.
type chunk struct {
	seq    *sequence
	tokens []int32
	logits int // of how many of the last tokens the logits are wanted
}

// state is the buffers of a step. Rows of all its chunks lie one after the other.
type state struct {
	pool *pool
	pos  []int // of each row in its sequence

	x, h, q, kk, vv, att, gate, up []float32
	side                           []float32 // of attention, where the stream takes it later
	routes                         routes
	cos, sin                       [][]float32 // by rope
	keys                           []float32   // of a layer, packed
	scores                         [][]float32 // by worker
	rows                           tensor.QRows
	products                       []tensor.QScratch // by worker
	logits                         []float32
}

func (m *Model) newState() *state {
	s := &state{pool: newPool(m.cfg.Threads)}
	s.scores, s.products = make([][]float32, m.cfg.Threads), make([]tensor.QScratch, m.cfg.Threads)
	s.cos, s.sin = make([][]float32, len(m.ropes)), make([][]float32, len(m.ropes))
	return s
}

func (s *state) close() { s.pool.close() }

func (m *Model) newSequence() *sequence {
	return &sequence{k: make([][]float32, len(m.layers)), v: make([][]float32, len(m.layers))}
}

// reserve makes room for n tokens.
func (m *Model) reserve(s *sequence, n int) {
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
func grow[T any](b *[]T, n int) []T {
	if cap(*b) < n {
		*b = make([]T, n, n+n/8+64)
	}
	*b = (*b)[:n]
	return *b
}

// step computes chunks of different sequences together and returns the logits that are wanted, one row of
// the vocabulary's size each, in the order of the chunks. The result belongs to the state. It looks at ctx
// between layers; when it ends early, the sequences hold what they held before.
//
// A row's result does not depend on the other rows of the step, to the last bit.
func (m *Model) step(ctx context.Context, s *state, chunks []chunk) ([]float32, error) {
	p := &m.params
	n, wanted := 0, 0
	s.pos = s.pos[:0]
	for _, c := range chunks {
		m.reserve(c.seq, len(c.seq.tokens)+len(c.tokens))
		for i := range c.tokens {
			s.pos = append(s.pos, len(c.seq.tokens)+i)
		}
		n, wanted = n+len(c.tokens), wanted+c.logits
	}
	x, h := grow(&s.x, n*p.dim), grow(&s.h, n*p.dim)
	m.embedRows(s, x, h, chunks)
	m.turns(s)
	for l := range m.layers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		y := &m.layers[l]
		m.norms(s, h, x, y.attnNorm, n)
		if y.parallel {
			side := grow(&s.side, n*p.dim)
			m.attention(s, l, side, h, chunks)
			m.feedForward(s, y, x, n) // the stream is still as attention found it
			m.add(s, x, side, y.attnPost, n)
			continue
		}
		m.attention(s, l, h, h, chunks)
		m.add(s, x, h, y.attnPost, n)
		m.feedForward(s, y, x, n)
	}
	row, kept := 0, 0
	for _, c := range chunks {
		c.seq.tokens = append(c.seq.tokens, c.tokens...)
		row += len(c.tokens)
		copy(x[kept*p.dim:], x[(row-c.logits)*p.dim:row*p.dim])
		kept += c.logits
	}
	if wanted == 0 {
		return nil, nil
	}
	m.norms(s, h[:wanted*p.dim], x, m.final, wanted)
	logits := grow(&s.logits, wanted*p.vocab)
	m.mul(s, h, wanted, out{m.output, logits})
	if c := p.finalCap; c > 0 {
		m.each(s, len(logits), func(from, to int) {
			for i, v := range logits[from:to] {
				logits[from+i] = c * float32(math.Tanh(float64(v/c)))
			}
		})
	}
	return logits, nil
}

// embedRows sets rows of x to the embeddings of the chunks' tokens; one row of h is used.
func (m *Model) embedRows(s *state, x, h []float32, chunks []chunk) {
	d := m.params.dim
	i := 0
	for _, c := range chunks {
		for _, t := range c.tokens {
			row := x[i*d:][:d]
			m.embed.Row(row, int(t))
			if m.pos != nil {
				m.pos.Row(h[:d], s.pos[i])
				for j, v := range h[:d] {
					row[j] += v
				}
			}
			if e := m.params.embedScale; e != 1 {
				for j := range row {
					row[j] *= e
				}
			}
			i++
		}
	}
}

// turns fills the tables of rotations for the rows' places.
func (m *Model) turns(s *state) {
	half := m.params.ropeDim / 2
	for r, rope := range m.ropes {
		cos, sin := grow(&s.cos[r], len(s.pos)*half), grow(&s.sin[r], len(s.pos)*half)
		for i, pos := range s.pos {
			rope.table(cos[i*half:][:half], sin[i*half:][:half], pos)
		}
	}
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
