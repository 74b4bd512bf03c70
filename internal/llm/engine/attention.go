package engine

import (
	"math"
	"slices"

	"docent/internal/tensor"
)

const (
	// tileRows is about how many queries of one head of keys are attended to together: those of all its heads,
	// for some tokens.
	tileRows = 84
	// A span is the blocks whose scores are weighed together.
	spanBlocks  = 4
	spanTokens  = spanBlocks * blockTokens
	segmentRows = 32 // most queries of a tile whose segments are shared out between workers
)

// A segment is the blocks that one softmax runs through; what comes of segments is merged. Tests make it shorter.
var segmentBlocks = 16

// tile is tokens of one chunk whose attention is computed together, for each head of keys.
type tile struct {
	chunk       int
	row, tokens int // the first one's row of the step
	pos         int // the first one's place
	partial     int // the first of its pieces, where they are segments; else -1
}

// blocks is how many the tile's tokens see, but for windows.
func (t *tile) blocks() int { return (t.pos+t.tokens-1)/blockTokens + 1 }

// piece is what a worker does of a tile, for a head of keys: a segment of the context, or all of it.
type piece struct{ tile, segment int }

const whole = -1 // of piece.segment

// tiles cuts a step's rows up, the longest work first.
func (m *Model) tiles(s *state, chunks []chunk) {
	group := m.params.heads / m.params.kvHeads
	most := max(1, tileRows/group)
	s.tiles, s.pieces = s.tiles[:0], s.pieces[:0]
	row := 0
	for i, c := range chunks {
		for at := 0; at < len(c.tokens); at += most {
			s.tiles = append(s.tiles, tile{i, row + at, min(most, len(c.tokens)-at), c.seq.n + at, whole})
		}
		row += len(c.tokens)
	}
	slices.SortStableFunc(s.tiles, func(a, b tile) int { return (b.pos+1)*b.tokens - (a.pos+1)*a.tokens })
	for i := range s.tiles {
		t := &s.tiles[i]
		segments := split(t.blocks(), segmentBlocks)
		if m.cfg.Threads == 1 || segments == 1 || t.tokens*group > segmentRows {
			s.pieces = append(s.pieces, piece{i, whole})
			continue
		}
		t.partial = len(s.pieces)
		for j := range segments {
			s.pieces = append(s.pieces, piece{i, j})
		}
	}
}

// attention sets the rows of dst to what layer l's attention makes of those of h, which may be the same,
// and keeps their keys and values.
func (m *Model) attention(s *state, l int, dst, h []float32, chunks []chunk) {
	p, y := &m.params, &m.layers[l]
	n, hd, qn, kn := len(s.pos), p.headDim, p.heads*p.headDim, p.kvHeads*p.headDim
	q, kk, vv, att := grow(&s.q, n*qn), grow(&s.kk, n*kn), grow(&s.vv, n*kn), grow(&s.att, n*qn)
	m.mul(s, h, n, out{y.q, q}, out{y.k, kk}, out{y.v, vv})
	rope := slices.Index(m.ropes, y.rope)
	s.pool.run(split(n, 16), func(w, part int) {
		tmp := grow(&s.work[w].halves, hd)
		for i := part * 16; i < min(n, part*16+16); i++ {
			for j := range p.heads {
				m.turn(s, q[i*qn+j*hd:][:hd], y, y.qNorm, j, rope, i)
			}
			seq, pos := chunks[s.owner[i]].seq, s.pos[i]
			if p.temper.scale != 0 {
				tensor.Scale(q[i*qn:(i+1)*qn], p.temper.at(pos))
			}
			page := &seq.table[pos/blockTokens].page
			for j := range p.kvHeads {
				key := kk[i*kn+j*hd:][:hd]
				m.turn(s, key, y, y.kNorm, j, rope, i)
				m.layout.put(page, l, j, pos%blockTokens, key, vv[i*kn+j*hd:][:hd], tmp)
			}
		}
	})
	m.attend(s, l, att, q, chunks)
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

// workspace is a worker's buffers of attention.
type workspace struct {
	halves                       []uint16
	q, keys, values, scores, add []float32
	total, segment               softmax
}

// softmax is one that runs through keys, for some queries: for each of them the largest score so far and, relative
// to it, the sum of weights and the values so weighed, as many as the layout pads them to (Milakov and Gimelshein
// 2018; FlashAttention, Dao et al. 2022).
type softmax struct{ top, sum, acc []float32 }

func (x *softmax) reset(rows, wide int) {
	clear(grow(&x.acc, rows*wide))
	clear(grow(&x.sum, rows))
	for r := range grow(&x.top, rows) {
		x.top[r] = float32(math.Inf(-1))
	}
}

// attend sets the rows of att to the attention of those of q. A tile's segments begin at the same places whatever
// the tile and the worker, and are merged in their order; so do spans in a segment, and what a row does not see has
// the weight zero. So a row's result is the same in every tile.
func (m *Model) attend(s *state, l int, att, q []float32, chunks []chunk) {
	heads, wide := m.params.kvHeads, m.layout.padded()
	partial := grow(&s.partial, len(s.pieces)*heads)
	s.pool.run(len(s.pieces)*heads, func(w, part int) {
		p, head := s.pieces[part/heads], part%heads
		b, t := &s.work[w], &s.tiles[p.tile]
		seq := chunks[t.chunk].seq
		m.queries(b, t, head, q)
		if p.segment != whole {
			m.segment(b, seq, t, l, head, p.segment, &partial[part])
			return
		}
		b.total.reset(m.queriesOf(t), wide)
		for i := range split(t.blocks(), segmentBlocks) {
			m.segment(b, seq, t, l, head, i, &b.segment)
			m.merge(&b.total, &b.segment)
		}
		m.result(t, head, att, &b.total)
	})
	for i := range s.tiles {
		t := &s.tiles[i]
		if t.partial == whole {
			continue
		}
		total := &s.work[0].total
		for head := range heads {
			total.reset(m.queriesOf(t), wide)
			for j := range split(t.blocks(), segmentBlocks) {
				m.merge(total, &partial[(t.partial+j)*heads+head])
			}
			m.result(t, head, att, total)
		}
	}
}

// queriesOf is how many queries a tile has for a head of keys: of each token, those of the heads that share it.
func (m *Model) queriesOf(t *tile) int { return t.tokens * (m.params.heads / m.params.kvHeads) }

// queries gathers those of a tile for a head of keys.
func (m *Model) queries(b *workspace, t *tile, head int, q []float32) {
	p := &m.params
	hd, group, qn := p.headDim, p.heads/p.kvHeads, p.heads*p.headDim
	queries := grow(&b.q, t.tokens*group*hd)
	for r := range t.tokens * group {
		copy(queries[r*hd:(r+1)*hd], q[(t.row+r/group)*qn+(head*group+r%group)*hd:])
	}
}

// result puts what a tile's queries found where it belongs.
func (m *Model) result(t *tile, head int, att []float32, x *softmax) {
	p := &m.params
	hd, group, qn, wide := p.headDim, p.heads/p.kvHeads, p.heads*p.headDim, m.layout.padded()
	for r := range t.tokens * group {
		dst := att[(t.row+r/group)*qn+(head*group+r%group)*hd:][:hd]
		copy(dst, x.acc[r*wide:])
		tensor.Scale(dst, 1/x.sum[r])
	}
}

// merge adds a segment to those before it.
func (m *Model) merge(total, x *softmax) {
	wide := m.layout.padded()
	for r, sum := range x.sum {
		acc, add := total.acc[r*wide:(r+1)*wide], x.acc[r*wide:(r+1)*wide]
		switch {
		case sum == 0: // it saw nothing
		case total.sum[r] == 0:
			copy(acc, add)
			total.top[r], total.sum[r] = x.top[r], sum
		case x.top[r] > total.top[r]:
			shrink := m.weight(total.top[r] - x.top[r])
			tensor.Scale(acc, shrink)
			tensor.Axpy(acc, add, 1)
			total.top[r], total.sum[r] = x.top[r], total.sum[r]*shrink+sum
		default:
			weight := m.weight(x.top[r] - total.top[r])
			tensor.Axpy(acc, add, weight)
			total.sum[r] += sum * weight
		}
	}
}

// weight is that of a score that differs so much from the largest.
func (m *Model) weight(difference float32) float32 {
	if m.params.attnCap == 0 {
		difference *= m.params.attnScale
	}
	return float32(math.Exp(float64(difference)))
}

// segment runs a softmax through one segment of a sequence, for the queries of a tile.
func (m *Model) segment(b *workspace, seq *sequence, t *tile, l, head, segment int, x *softmax) {
	p := &m.params
	hd, group, window, wide := p.headDim, p.heads/p.kvHeads, m.layers[l].window, m.layout.padded()
	rows := t.tokens * group
	x.reset(rows, wide)
	scores, add := grow(&b.scores, rows*spanTokens), grow(&b.add, rows*wide)
	keys, values := grow(&b.keys, blockTokens*hd), grow(&b.values, spanTokens*wide)
	direct := m.layout.direct(rows) && wide == hd
	from, end := segment*segmentBlocks, min(t.blocks(), (segment+1)*segmentBlocks)
	if window > 0 {
		from = max(from, max(0, t.pos-window+1)/blockTokens)
	}
	for from < end {
		to := min(end, (from/spanBlocks+1)*spanBlocks)
		n := (to - from) * blockTokens
		pages := func(i int) (p, next *page) { return &seq.table[i].page, &seq.table[min(i+1, end-1)].page }
		for i := from; i < to; i++ {
			p, next := pages(i)
			m.layout.mulKeys(scores[(i-from)*blockTokens:], b.q, rows, keys, p, next, l, head)
			if !direct {
				m.layout.valuesOf(values[(i-from)*blockTokens*wide:], p, next, l, head)
			}
		}
		for r := range rows {
			pos := t.pos + r/group - from*blockTokens // of the query, from the span's start
			lo, hi := 0, min(n, pos+1)
			if window > 0 {
				lo = max(0, pos-window+1)
			}
			row := scores[r*spanTokens:][:n]
			if lo >= hi {
				clear(row)
				continue
			}
			clear(row[:lo])
			clear(row[hi:])
			m.weigh(row[lo:hi], &x.top[r], &x.sum[r], x.acc[r*wide:(r+1)*wide])
		}
		for i := from; direct && i < to; i++ {
			p, next := pages(i)
			m.layout.mulValues(add, scores[(i-from)*blockTokens:], rows, p, next, l, head, i > from)
		}
		if !direct {
			tensor.MulRows(add, wide, scores, spanTokens, rows, values, wide, wide, n)
		}
		tensor.Axpy(x.acc, add, 1)
		from = to
	}
}

// weigh turns a row's scores into weights relative to the largest score so far, top, and adds them to sum. When
// that has grown, it brings what was weighed before to the new one.
func (m *Model) weigh(scores []float32, top, sum *float32, acc []float32) {
	scale := m.params.attnScale
	if c := m.params.attnCap; c > 0 {
		for i, x := range scores {
			scores[i] = c * float32(math.Tanh(float64(x*scale/c)))
		}
		scale = 1
	}
	if most := tensor.Max(scores); most > *top {
		if *sum > 0 {
			shrink := m.weight(*top - most)
			tensor.Scale(acc, shrink)
			*sum *= shrink
		}
		*top = most
	}
	*sum += tensor.ExpSum(scores, *top, scale)
}
