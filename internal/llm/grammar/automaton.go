package grammar

import (
	"cmp"
	"errors"
	"slices"
)

// Bounds of what is kept, and of one configuration.
const (
	maxConfigs = 1 << 14
	maxFrames  = 1 << 19
	maxStacks  = 1 << 11
	maxClosure = 1 << 16
	maxWork    = 1 << 22 // frames looked at for one mask
)

// ErrAmbiguous is returned where a text can be read in more ways than can be followed.
var ErrAmbiguous = errors.New("the grammar can read this text in too many ways: make it less ambiguous")

// frame is a stack: a state, and what is beneath. Equal stacks are one frame.
type frame struct {
	state   int32 // ended or unknown: negative
	beneath *frame
	cost    int32 // bytes of the shortest way to the end
	id      int32
}

const (
	ended   = -1 // the grammar's end
	unknown = -2 // the end of what a mask knows: a rule's caller
)

// config is a set of stacks with states that read bytes on top, or nothing at all.
type config struct {
	stacks []*frame
	next   []*config // by class of byte; nil where it was not asked
	cost   int32     // of the cheapest
	ends   bool      // the text can end here
	opens  bool      // a rule has ended, and what called it is not known
	mask   *mask
	closed *closed
}

var (
	dead      = &config{cost: endless} // no stack is left
	ambiguous = &config{cost: endless}
)

// automaton keeps the configurations that were met.
type automaton struct {
	frames  map[frameKey]*frame
	configs map[string]*config
	begin   *config
	bottom  *frame
	open    *frame
	seen    map[*frame]bool
	key     []byte
	named   int32 // frames so far
	work    int   // frames looked at for the mask or token at hand
}

type frameKey struct {
	state   int32
	beneath *frame
}

// reset forgets what was met; configurations that are in use stay good.
func (g *Grammar) reset() {
	if g.bottom == nil {
		g.bottom, g.open = &frame{state: ended, id: -1}, &frame{state: unknown, id: -2}
	}
	g.frames, g.configs, g.seen, g.begin = map[frameKey]*frame{}, map[string]*config{}, map[*frame]bool{}, nil
}

// first is the configuration of no text.
func (g *Grammar) first() *config {
	if g.begin == nil {
		var stacks []*frame
		clear(g.seen)
		g.close(&stacks, g.frame(g.rules[0].start, g.bottom))
		g.begin = g.config(stacks)
	}
	return g.begin
}

func (g *Grammar) frame(state int32, beneath *frame) *frame {
	k := frameKey{state, beneath}
	f, ok := g.frames[k]
	if !ok {
		cost := min(int64(g.states[state].cost)+int64(beneath.cost), endless-1)
		f = &frame{state: state, beneath: beneath, cost: int32(cost), id: g.named}
		g.named++
		g.frames[k] = f
	}
	return f
}

// close adds to stacks what f comes to without a byte. g.seen holds what was looked at.
func (g *Grammar) close(stacks *[]*frame, f *frame) {
	if g.seen[f] || len(*stacks) > maxStacks || len(g.seen) > maxClosure {
		return
	}
	g.seen[f] = true
	g.work++
	if f.state < 0 {
		*stacks = append(*stacks, f)
		return
	}
	s := &g.states[f.state]
	if len(s.edges) > 0 {
		*stacks = append(*stacks, f)
	}
	for _, t := range s.to {
		g.close(stacks, g.frame(t, f.beneath))
	}
	for _, k := range s.calls {
		beneath := f.beneath
		if !g.states[k.back].tail {
			beneath = g.frame(k.back, f.beneath)
		}
		g.close(stacks, g.frame(g.rules[k.rule].start, beneath))
	}
	if g.rules[s.rule].end == f.state {
		g.close(stacks, f.beneath)
	}
}

// config is the one of a set of stacks.
func (g *Grammar) config(stacks []*frame) *config {
	switch {
	case len(stacks) == 0:
		return dead
	case len(stacks) > maxStacks || len(g.seen) > maxClosure:
		return ambiguous
	case len(g.configs) >= maxConfigs || len(g.frames) >= maxFrames:
		g.reset()
	}
	slices.SortFunc(stacks, func(a, b *frame) int { return cmp.Compare(a.id, b.id) })
	g.key = g.key[:0]
	for _, f := range stacks {
		g.key = append(g.key, byte(f.id), byte(f.id>>8), byte(f.id>>16), byte(f.id>>24))
	}
	if c, ok := g.configs[string(g.key)]; ok {
		return c
	}
	c := &config{stacks: stacks, next: make([]*config, len(g.bytes)), cost: endless}
	for _, f := range stacks {
		c.cost = min(c.cost, f.cost)
		c.ends = c.ends || f.state == ended
		c.opens = c.opens || f.state == unknown
	}
	g.configs[string(g.key)] = c
	return c
}

// step is what a configuration comes to with a byte.
func (g *Grammar) step(c *config, b byte) *config {
	class := g.class[b]
	if c == dead || c == ambiguous {
		return c
	}
	if n := c.next[class]; n != nil {
		return n
	}
	if g.work > maxWork {
		return ambiguous
	}
	var stacks []*frame
	clear(g.seen)
	for _, f := range c.stacks {
		if f.state < 0 {
			continue
		}
		for _, e := range g.states[f.state].edges {
			if e.lo <= b && b <= e.hi {
				g.close(&stacks, g.frame(e.to, f.beneath))
			}
		}
	}
	n := g.config(stacks)
	c.next[class] = n
	return n
}
