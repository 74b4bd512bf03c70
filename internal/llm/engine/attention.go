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
	spanBlocks = 4
	spanTokens = spanBlocks * blockTokens
)

// tile is tokens of one chunk whose attention is computed together, for each head of keys.
type tile struct {
	chunk       int
	row, tokens int // the first one's row of the step
	pos         int // the first one's place
}

// tiles cuts a step's rows up, the longest work first.
func (m *Model) tiles(s *state, chunks []chunk) {
	most := max(1, tileRows*m.params.kvHeads/m.params.heads)
	s.tiles = s.tiles[:0]
	row := 0
	for i, c := range chunks {
		for at := 0; at < len(c.tokens); at += most {
			s.tiles = append(s.tiles, tile{i, row + at, min(most, len(c.tokens)-at), c.seq.n + at})
		}
		row += len(c.tokens)
	}
	slices.SortStableFunc(s.tiles, func(a, b tile) int { return (b.pos+1)*b.tokens - (a.pos+1)*a.tokens })
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
			page := &seq.table[pos/blockTokens].page
			for j := range p.kvHeads {
				key := kk[i*kn+j*hd:][:hd]
				m.turn(s, key, y, y.kNorm, j, rope, i)
				m.layout.put(page, l, j, pos%blockTokens, key, vv[i*kn+j*hd:][:hd], tmp)
			}
		}
	})
	s.pool.run(len(s.tiles)*p.kvHeads, func(w, part int) {
		t := &s.tiles[part/p.kvHeads]
		m.attend(&s.work[w], chunks[t.chunk].seq, t, l, part%p.kvHeads, att, q)
	})
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
	halves                            []uint16
	q, keys, values, scores, acc, add []float32
	top, sum                          []float32 // by row
}

// attend computes, for the tokens of a tile, the attention of the heads that share a head of keys. It goes
// through the sequence in spans and keeps, for each row, the largest score so far and sums relative to it
// (Milakov and Gimelshein 2018; FlashAttention, Dao et al. 2022). Spans begin at the same places whatever the
// tile, and what a row does not see has the weight zero, so a row's result is the same in every tile.
func (m *Model) attend(b *workspace, seq *sequence, t *tile, l, head int, att, q []float32) {
	p := &m.params
	hd, group, window, wide := p.headDim, p.heads/p.kvHeads, m.layers[l].window, m.layout.padded()
	rows, qn := t.tokens*group, p.heads*p.headDim
	queries := grow(&b.q, rows*hd)
	for r := range rows {
		copy(queries[r*hd:(r+1)*hd], q[(t.row+r/group)*qn+(head*group+r%group)*hd:])
	}
	scores, acc, add := grow(&b.scores, rows*spanTokens), grow(&b.acc, rows*wide), grow(&b.add, rows*wide)
	top, sum := grow(&b.top, rows), grow(&b.sum, rows)
	clear(acc)
	clear(sum)
	for r := range top {
		top[r] = float32(math.Inf(-1))
	}
	keys, values := grow(&b.keys, blockTokens*hd), grow(&b.values, spanTokens*wide)
	first, end := 0, (t.pos+t.tokens-1)/blockTokens+1 // blocks that are seen
	if window > 0 {
		first = max(0, t.pos-window+1) / blockTokens
	}
	for from := first; from < end; {
		to := min(end, (from/spanBlocks+1)*spanBlocks)
		n := (to - from) * blockTokens
		for i := from; i < to; i++ {
			page, at := &seq.table[i].page, (i-from)*blockTokens
			tensor.MulRows(scores[at:], spanTokens, queries, hd, rows, m.layout.keysOf(keys, page, l, head), blockTokens, blockTokens, hd)
			m.layout.valuesOf(values[at*wide:], page, l, head)
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
			m.weigh(row[lo:hi], &top[r], &sum[r], acc[r*wide:(r+1)*wide])
		}
		tensor.MulRows(add, wide, scores, spanTokens, rows, values, wide, wide, n)
		tensor.Axpy(acc, add, 1)
		from = to
	}
	for r := range rows {
		dst := att[(t.row+r/group)*qn+(head*group+r%group)*hd:][:hd]
		copy(dst, acc[r*wide:])
		tensor.Scale(dst, 1/sum[r])
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
			shrink := float32(math.Exp(float64((*top - most) * scale)))
			tensor.Scale(acc, shrink)
			*sum *= shrink
		}
		*top = most
	}
	*sum += tensor.ExpSum(scores, *top, scale)
}
