package grammar

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// Bounds of the masks that are kept for a vocabulary.
const (
	maxDense  = 1 << 9  // bit sets
	maxSparse = 1 << 22 // tokens in lists
)

// ErrDeadEnd is wrapped where a text could go on, and no token of the vocabulary says how.
var ErrDeadEnd = errors.New("no token fits the grammar")

// mask says which tokens may come in a configuration.
type mask struct {
	of    *Vocabulary
	set   tokenSet
	worst int32 // bytes: no token that may come leaves a longer way to the end
}

// tokenSet is a bit set, or a list where few tokens are in it.
type tokenSet struct {
	bits []uint64
	list []int32
}

// local is what a state on top of a stack decides by itself.
type local struct {
	set     tokenSet
	worst   int32   // bytes to the rule's end at most, after those tokens
	pending []int32 // texts that leave the rule: the whole stack decides
}

// masks are those of one grammar and one vocabulary.
type masks struct {
	locals  map[int32]*local // by state
	users   []*config        // that hold a mask
	dense   int
	sparse  int
	path    []*config
	escaped []bool
	build   []uint64
	texts   []int32
}

func (g *Grammar) masksOf(v *Vocabulary) *masks {
	m, ok := g.masks[v]
	if !ok {
		m = &masks{locals: map[int32]*local{}, path: make([]*config, v.depth+1), escaped: make([]bool, v.depth+1), build: make([]uint64, (len(v.pieces)+63)/64)}
		g.masks[v] = m
	}
	return m
}

// forget lets go of masks when they have become many.
func (m *masks) forget() {
	if m.dense > maxDense || m.sparse > maxSparse {
		clear(m.locals)
		for _, c := range m.users {
			c.mask, c.closed = nil, nil
		}
		m.users, m.dense, m.sparse = m.users[:0], 0, 0
	}
}

// keep is the set of m.build, which it clears.
func (m *masks) keep() tokenSet {
	n := 0
	for _, w := range m.build {
		n += bits.OnesCount64(w)
	}
	var t tokenSet
	if n > len(m.build) { // a list takes half the bytes of a word for each token
		t.bits = slices.Clone(m.build)
		m.dense++
	} else {
		t.list = make([]int32, 0, n)
		for i, w := range m.build {
			for ; w != 0; w &= w - 1 {
				t.list = append(t.list, int32(i*64+bits.TrailingZeros64(w)))
			}
		}
		m.sparse += n
	}
	clear(m.build)
	return t
}

func (m *masks) add(v *Vocabulary, t int32) {
	x := v.texts[t]
	for _, id := range v.ids[x.lo:x.hi] {
		m.build[id/64] |= 1 << (id % 64)
	}
}

// walk calls visit for each branch that a configuration can follow, with what it then is; visit says
// whether to go on below it.
func (g *Grammar) walk(v *Vocabulary, m *masks, from *config, visit func(b *branch, c *config) bool) {
	m.path[0] = from
	for i := 0; i < len(v.tree); {
		b := &v.tree[i]
		c := g.step(m.path[b.depth-1], b.b)
		m.path[b.depth] = c
		if visit(b, c) {
			i++
		} else {
			i = int(b.skip)
		}
	}
}

// local works out what a state decides.
func (g *Grammar) local(v *Vocabulary, m *masks, state int32) *local {
	if l, ok := m.locals[state]; ok {
		return l
	}
	l := &local{}
	follow := &g.rules[g.states[state].rule].follow
	start := &config{stacks: []*frame{g.frame(state, g.open)}, next: make([]*config, len(g.bytes))}
	m.escaped[0] = false
	g.walk(v, m, start, func(b *branch, c *config) bool {
		// Has the rule ended within the text, before a byte that can follow it?
		out := m.escaped[b.depth-1] || m.path[b.depth-1].opens && follow[b.b]
		m.escaped[b.depth] = out
		if c == dead || c == ambiguous {
			if out {
				for t := b.first; t < b.last; t++ {
					l.pending = append(l.pending, t)
				}
			}
			return false
		}
		if b.text >= 0 {
			m.add(v, b.text)
			l.worst = max(l.worst, c.cost)
		}
		return true
	})
	l.set = m.keep()
	m.sparse += len(l.pending)
	m.locals[state] = l
	return l
}

// mask works out which tokens may come.
func (g *Grammar) mask(v *Vocabulary, m *masks, c *config) *mask {
	if c.mask != nil && c.mask.of == v {
		return c.mask
	}
	m.forget()
	out := &mask{of: v}
	var sets []tokenSet
	m.texts = m.texts[:0]
	for _, f := range c.stacks {
		if f.state < 0 {
			continue
		}
		l := g.local(v, m, f.state)
		sets = append(sets, l.set)
		if len(l.set.bits)+len(l.set.list) > 0 {
			out.worst = max(out.worst, int32(min(int64(l.worst)+int64(f.beneath.cost), endless-1)))
		}
		m.texts = append(m.texts, l.pending...)
	}
	for _, s := range sets {
		for i, w := range s.bits {
			m.build[i] |= w
		}
		for _, id := range s.list {
			m.build[id/64] |= 1 << (id % 64)
		}
	}
	slices.Sort(m.texts)
	g.check(v, m, c, slices.Compact(m.texts), func(t int32, after *config) {
		m.add(v, t)
		out.worst = max(out.worst, after.cost)
	})
	out.set = m.keep()
	c.mask = out
	m.users = append(m.users, c)
	return out
}

// check calls yield for the texts, of a sorted list, that a configuration can read.
func (g *Grammar) check(v *Vocabulary, m *masks, c *config, texts []int32, yield func(t int32, after *config)) {
	m.path[0] = c
	var last []byte
	known := 0 // bytes of last that m.path has
	for _, t := range texts {
		x := &v.texts[t]
		common := 0
		for common < min(known, len(x.piece)) && last[common] == x.piece[common] {
			common++
		}
		last = x.piece
		known = common
		for known < len(x.piece) && m.path[known] != dead && m.path[known] != ambiguous {
			m.path[known+1] = g.step(m.path[known], x.piece[known])
			known++
		}
		if after := m.path[known]; known == len(x.piece) && after != dead && after != ambiguous {
			yield(t, after)
		}
	}
}

// A Matcher follows one text. It is an engine's constraint; it is not safe for concurrent use.
type Matcher struct {
	g     *Grammar
	v     *Vocabulary
	at    *config
	ended bool
	kept  []float32
}

// Matcher begins a text.
func (g *Grammar) Matcher(v *Vocabulary) *Matcher {
	g.mu.Lock()
	defer g.mu.Unlock()
	return &Matcher{g: g, v: v, at: g.first()}
}

// Clone is a matcher at the same place that goes its own way.
func (m *Matcher) Clone() *Matcher {
	return &Matcher{g: m.g, v: m.v, at: m.at, ended: m.ended}
}

// CanEnd reports whether the text so far has the form.
func (m *Matcher) CanEnd() bool { return m.at.ends }

// Done reports whether the text has the form and cannot go on.
func (m *Matcher) Done() bool {
	return m.ended || m.at.ends && len(m.at.stacks) == 1
}

// Mask sets the logits of tokens that may not come to -Inf. left is how many tokens may still come, this
// one included: where the shortest way to the end takes nearly as many, as one for each byte, only tokens
// that leave enough may come, or, where even that is too late, those that leave the shortest way.
func (m *Matcher) Mask(logits []float32, left int) error {
	g := m.g
	g.mu.Lock()
	defer g.mu.Unlock()
	g.work = 0
	ms := g.masksOf(m.v)
	if len(logits) < len(m.v.pieces) {
		return fmt.Errorf("%d logits for a vocabulary of %d", len(logits), len(m.v.pieces))
	}
	var set tokenSet
	if !m.ended {
		k := g.mask(m.v, ms, m.at)
		set = k.set
		if int64(k.worst) >= int64(left) {
			set = g.closing(m.v, ms, m.at, left)
		}
	}
	if g.work > maxWork { // what was worked out is not whole
		ms.dense = maxDense + 1
		ms.forget()
		return ErrAmbiguous
	}
	if len(set.bits)+len(set.list) == 0 && !m.at.ends {
		return fmt.Errorf("%w: it wants %s next, which the model's vocabulary cannot write", ErrDeadEnd, g.wants(m.at))
	}
	m.apply(logits, set)
	return nil
}

func (m *Matcher) apply(logits []float32, set tokenSet) {
	forbidden := float32(math.Inf(-1))
	ends := m.at.ends || m.ended
	m.kept = m.kept[:0]
	if ends {
		for _, id := range m.v.ends {
			m.kept = append(m.kept, logits[id])
		}
	}
	if set.bits != nil {
		for i, w := range set.bits {
			for w = ^w; w != 0; w &= w - 1 {
				if id := i*64 + bits.TrailingZeros64(w); id < len(logits) {
					logits[id] = forbidden
				}
			}
		}
		for id := len(set.bits) * 64; id < len(logits); id++ {
			logits[id] = forbidden
		}
		for i, id := range m.v.ends[:len(m.kept)] {
			logits[id] = m.kept[i]
		}
		return
	}
	for _, id := range set.list {
		m.kept = append(m.kept, logits[id])
	}
	for i := range logits {
		logits[i] = forbidden
	}
	if ends {
		for i, id := range m.v.ends {
			logits[id] = m.kept[i]
		}
		m.kept = m.kept[len(m.v.ends):]
	}
	for i, id := range set.list {
		logits[id] = m.kept[i]
	}
	m.kept = m.kept[:0]
}

// closed is what closing found for a configuration.
type closed struct {
	of       *Vocabulary
	set      tokenSet
	shortest int32 // bytes that the token with the shortest way to the end leaves
	most     int32 // bytes that a token of the set leaves at most
	next     int32 // and one that is not in it at least
}

// closing are the tokens that leave a way to the end of fewer than left bytes; where there is none, those
// that leave the shortest.
func (g *Grammar) closing(v *Vocabulary, m *masks, c *config, left int) tokenSet {
	limit := int32(max(0, min(left-1, endless-1)))
	if k := c.closed; k != nil && k.of == v {
		if at := max(limit, k.shortest); k.most <= at && at < k.next {
			return k.set
		}
	}
	k := &closed{of: v, shortest: endless, next: endless}
	if c.ends {
		k.shortest = 0 // to end is always a way
	}
	find := func(limit int32) {
		g.walk(v, m, c, func(b *branch, after *config) bool {
			if after == dead || after == ambiguous {
				return false
			}
			if b.text >= 0 {
				k.shortest = min(k.shortest, after.cost)
				if after.cost <= limit {
					k.most = max(k.most, after.cost)
					m.add(v, b.text)
				} else {
					k.next = min(k.next, after.cost)
				}
			}
			return true
		})
	}
	find(limit)
	if k.shortest > limit && k.shortest < endless {
		k.next = endless
		find(k.shortest)
	}
	k.set = m.keep()
	if c.closed == nil && c.mask == nil {
		m.users = append(m.users, c)
	}
	c.closed = k
	return k.set
}

// wants words which bytes a configuration can read.
func (g *Grammar) wants(c *config) string {
	var out []string
	for _, f := range c.stacks {
		if f.state < 0 {
			continue
		}
		for _, e := range g.states[f.state].edges {
			word := fmt.Sprintf("%q", []byte{e.lo})
			if e.lo != e.hi {
				word += fmt.Sprintf(" to %q", []byte{e.hi})
			}
			if !slices.Contains(out, word) && len(out) < 8 {
				out = append(out, word)
			}
		}
	}
	return strings.Join(out, ", ")
}

// Accept takes note of the token that came. It returns an error for one that may not come.
func (m *Matcher) Accept(id int32) error {
	if m.v.isEnd[id] {
		if !m.at.ends && !m.ended {
			return fmt.Errorf("%w: the answer ends where it may not", ErrDeadEnd)
		}
		m.ended = true
		return nil
	}
	if m.ended || id < 0 || int(id) >= len(m.v.pieces) || len(m.v.pieces[id]) == 0 {
		return fmt.Errorf("%w: token %d stands for no text", ErrDeadEnd, id)
	}
	return m.read(m.v.pieces[id])
}

func (m *Matcher) read(piece []byte) error {
	m.g.mu.Lock()
	defer m.g.mu.Unlock()
	m.g.work = 0
	at := m.at
	for _, b := range piece {
		at = m.g.step(at, b)
	}
	switch at {
	case dead:
		return fmt.Errorf("%w: %q, where it wants %s", ErrDeadEnd, piece, m.g.wants(m.at))
	case ambiguous:
		return ErrAmbiguous
	}
	m.at = at
	return nil
}

// Match reports whether a whole text has the form.
func (g *Grammar) Match(text string) bool {
	m := g.Matcher(nil)
	return m.read([]byte(text)) == nil && m.at.ends
}
