package engine

import (
	"math"

	"docent/internal/tensor"
)

const (
	batch     = 512 // most rows of a step
	logitRows = 16  // rows whose logits are computed together
	rowsPart  = 16  // rows that a worker norms or adds at a time
)

// chunk is what a step computes of one sequence: tokens that follow those it holds, for which it has room.
// The logits of the last of them are given to deliver, a row at a time in any order and by several goroutines
// at once; a row is only lent.
type chunk struct {
	seq     *sequence
	tokens  []int32
	logits  int // how many
	skip    int // what deliver calls the first of them
	deliver func(i int, logits []float32)
}

// state is the buffers of a step. Rows of all its chunks lie one after the other.
type state struct {
	pool     *pool
	pos      []int      // of each row in its sequence
	owner    []int      // of each row, its chunk
	adapters []*Adapter // of each row of a product that adapters can change; empty where no row has one
	tiles    []tile
	pieces   []piece
	partial  []softmax   // by piece and head of keys
	work     []workspace // by worker

	x, h, q, kk, vv, att, gate, up []float32
	side                           []float32 // of attention, where the stream takes it later
	routes                         routes
	cos, sin                       [][]float32 // by rope
	rows                           tensor.QRows
	products                       []tensor.QScratch // by worker
	wanted                         []int             // rows whose logits are
	logits                         []float32
}

func (m *Model) newState() *state {
	return &state{
		pool: newPool(m.cfg.Threads), work: make([]workspace, m.cfg.Threads), products: make([]tensor.QScratch, m.cfg.Threads),
		cos: make([][]float32, len(m.ropes)), sin: make([][]float32, len(m.ropes)),
	}
}

func (s *state) close() { s.pool.close() }

// grow makes b n values long; they are not kept. It takes some more, since contexts grow by one.
func grow[T any](b *[]T, n int) []T {
	if cap(*b) < n {
		*b = make([]T, n, n+n/8+64)
	}
	*b = (*b)[:n]
	return *b
}

// step computes chunks of different sequences together. It asks abort between layers; when that is so, it
// returns false, and the sequences hold what they held before.
//
// A row's result does not depend on the other rows of the step, to the last bit.
func (m *Model) step(s *state, chunks []chunk, abort func() bool) bool {
	p := &m.params
	s.pos, s.owner, s.wanted = s.pos[:0], s.owner[:0], s.wanted[:0]
	for i, c := range chunks {
		for j := range c.tokens {
			if j >= len(c.tokens)-c.logits {
				s.wanted = append(s.wanted, len(s.pos))
			}
			s.pos, s.owner = append(s.pos, c.seq.n+j), append(s.owner, i)
		}
	}
	n := len(s.pos)
	s.adapters = adapters(s.adapters, chunks, s.owner)
	x, h := grow(&s.x, n*p.dim), grow(&s.h, n*p.dim)
	m.embedRows(s, x, h, chunks)
	m.turns(s)
	m.tiles(s, chunks)
	for l := range m.layers {
		if abort() {
			return false
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
	for at := 0; at < len(s.wanted); at += logitRows {
		m.deliver(s, chunks, s.wanted[at:min(len(s.wanted), at+logitRows)])
	}
	for _, c := range chunks {
		c.seq.n += len(c.tokens)
	}
	return true
}

// deliver computes the logits of some rows and gives them to their chunks.
func (m *Model) deliver(s *state, chunks []chunk, rows []int) {
	d, v := m.params.dim, m.params.vocab
	h, logits := s.h[:len(rows)*d], grow(&s.logits, len(rows)*v)
	owner := make([]int, len(rows))
	for i, row := range rows {
		owner[i] = s.owner[row]
		m.norm(h[i*d:(i+1)*d], s.x[row*d:(row+1)*d], m.final)
	}
	s.adapters = adapters(s.adapters, chunks, owner)
	m.mul(s, h, len(rows), out{m.output, logits})
	s.pool.run(len(rows), func(_, i int) {
		c, own := &chunks[owner[i]], logits[i*v:(i+1)*v]
		if limit := m.params.finalCap; limit > 0 {
			for j, x := range own {
				own[j] = limit * float32(math.Tanh(float64(x/limit)))
			}
		}
		c.deliver(c.skip+s.pos[rows[i]]-c.seq.n-len(c.tokens)+c.logits, own)
	})
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
	if n <= rowsPart { // without a closure, which takes memory
		m.normRows(dst, x, w, 0, n)
		return
	}
	s.pool.run(split(n, rowsPart), func(_, part int) {
		m.normRows(dst, x, w, part*rowsPart, min(n, (part+1)*rowsPart))
	})
}

func (m *Model) normRows(dst, x []float32, w norm, from, to int) {
	d := m.params.dim
	for i := from; i < to; i++ {
		m.norm(dst[i*d:(i+1)*d], x[i*d:(i+1)*d], w)
	}
}

// add adds h, after its own norm where the architecture has one, to the stream.
func (m *Model) add(s *state, x, h []float32, post norm, n int) {
	if n <= rowsPart {
		m.addRows(x, h, post, 0, n)
		return
	}
	s.pool.run(split(n, rowsPart), func(_, part int) {
		m.addRows(x, h, post, part*rowsPart, min(n, (part+1)*rowsPart))
	})
}

func (m *Model) addRows(x, h []float32, post norm, from, to int) {
	d := m.params.dim
	for i := from; i < to; i++ {
		row := h[i*d : (i+1)*d]
		if post.w != nil {
			m.norm(row, row, post)
		}
		tensor.Axpy(x[i*d:(i+1)*d], row, 1)
	}
}
