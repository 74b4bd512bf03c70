package engine

import (
	"math"
	"slices"
)

// cache keeps keys and values in blocks of blockTokens tokens (PagedAttention, Kwon et al. 2023). A sequence
// holds a table of blocks. A block that is full, and the last of a sequence that has ended, is published: it
// becomes a node of a tree in which the path from a root spells the tokens before it, so that another
// sequence that begins alike can hold it too. What nobody holds stays in the tree until its memory is needed;
// then the block that was used longest ago goes.
//
// Published blocks are not written to. A sequence that shares only a part of one gets a copy.
//
// It is for one goroutine.
type cache struct {
	layout
	capacity int               // blocks
	free     []*block          // with memory, but without content
	made     int               // blocks that have memory
	tree     []*block          // published
	roots    map[string]*block // by what, besides tokens, keys and values depend on
	clock    uint64
	held     int // blocks that sequences hold
}

// block is the keys and values of tokens that follow one another.
type block struct {
	page
	refs     int     // sequences that hold it
	tokens   []int32 // of a published block
	parent   *block  // of a published block; nil: it is not published
	children []*block
	used     uint64 // when it was let go of
}

func newCache(y layout, capacity int) *cache {
	return &cache{layout: y, capacity: capacity, roots: map[string]*block{}}
}

// available is how many blocks can be had.
func (c *cache) available() int { return c.capacity - c.held }

// alloc returns an empty block, which the caller holds, or nil when all are held.
func (c *cache) alloc() *block {
	var b *block
	switch n := len(c.free); {
	case n > 0:
		b, c.free = c.free[n-1], c.free[:n-1]
		b.clear()
	case c.made < c.capacity:
		b = &block{page: c.newPage()}
		c.made++
	case c.held < c.capacity:
		c.evict()
		return c.alloc()
	default:
		return nil
	}
	b.refs = 1
	c.held++
	return b
}

// evict frees the published block that was let go of first, of those that nobody holds.
func (c *cache) evict() {
	var oldest *block
	for _, b := range c.tree {
		if b.refs == 0 && (oldest == nil || b.used < oldest.used) {
			oldest = b
		}
	}
	c.unpublish(oldest)
}

// unpublish takes a block and all that follow it out of the tree; they could not be found without it. Those
// that nobody holds are free.
func (c *cache) unpublish(b *block) {
	for len(b.children) > 0 {
		c.unpublish(b.children[0])
	}
	drop := func(list []*block) []*block {
		i := slices.Index(list, b)
		list[i] = list[len(list)-1]
		return slices.Delete(list, len(list)-1, len(list))
	}
	b.parent.children, c.tree = drop(b.parent.children), drop(c.tree)
	b.parent, b.tokens = nil, b.tokens[:0]
	if b.refs == 0 {
		c.free = append(c.free, b)
	}
}

func (c *cache) hold(b *block) {
	if b.refs++; b.refs == 1 {
		c.held++
	}
}

// release lets go of a block.
func (c *cache) release(b *block) {
	if b.refs--; b.refs > 0 {
		return
	}
	c.held--
	if b.parent == nil {
		c.free = append(c.free, b)
		return
	}
	c.clock++
	b.used = c.clock
}

// match finds the longest known beginning of tokens, in whole blocks that the sequence then holds and, where
// there is memory, a copy of a part of one. It returns their table and the number of tokens.
func (c *cache) match(space string, tokens []int32) (table []*block, n int) {
	at := c.roots[space]
	for at != nil && n < len(tokens) {
		next, same := at.child(tokens[n:])
		if same == 0 {
			break
		}
		if same == blockTokens {
			c.hold(next)
			table, n, at = append(table, next), n+same, next
			continue
		}
		c.hold(next) // so that it is not what is evicted
		if part := c.alloc(); part != nil {
			part.copy(&next.page)
			table, n = append(table, part), n+same
		}
		c.release(next)
		break
	}
	return table, n
}

// child finds the block after b that begins most like tokens, and how many tokens are the same.
func (b *block) child(tokens []int32) (best *block, same int) {
	for _, c := range b.children {
		n := 0
		for n < min(len(c.tokens), len(tokens)) && c.tokens[n] == tokens[n] {
			n++
		}
		if n > same {
			best, same = c, n
		}
	}
	return best, same
}

// publish makes block b, held by a sequence and full unless the sequence has ended, known as what follows
// parent, or follows nothing in a space. Where the same tokens are known there already, that block, held in
// b's stead, is returned.
func (c *cache) publish(space string, parent, b *block, tokens []int32) *block {
	if parent == nil {
		if c.roots[space] == nil {
			c.roots[space] = &block{}
		}
		parent = c.roots[space]
	}
	known, same := parent.child(tokens)
	if same == len(tokens) {
		c.hold(known)
		c.release(b)
		return known
	}
	if same > 0 && same == len(known.tokens) && known.refs == 0 { // b says the same and more
		c.unpublish(known)
	}
	b.parent, b.tokens = parent, append(b.tokens[:0], tokens...)
	parent.children, c.tree = append(parent.children, b), append(c.tree, b)
	return b
}

// sequence is a text whose keys and values are kept.
type sequence struct {
	space     string   // keys and values of another space are not its own
	adapter   *Adapter // nil: none
	table     []*block // nil: behind the window of all layers
	n         int      // tokens whose keys and values are kept
	published int      // blocks that need not be looked at again
}

// reserve makes room for n more tokens, or as many as there are blocks for, and returns how many.
func (c *cache) reserve(s *sequence, n int) int {
	for len(s.table)*blockTokens < s.n+n {
		b := c.alloc()
		if b == nil {
			return len(s.table)*blockTokens - s.n
		}
		s.table = append(s.table, b)
	}
	return n
}

// publishAll publishes what is sure of a sequence: its full blocks, and with last the rest as well.
func (c *cache) publishAll(s *sequence, tokens []int32, last bool) {
	for i := s.published; i < len(s.table) && i*blockTokens < len(tokens); i++ {
		part := tokens[i*blockTokens : min(len(tokens), (i+1)*blockTokens)]
		if len(part) < blockTokens && !last {
			return
		}
		s.published = i + 1
		var parent *block
		if i > 0 {
			if parent = s.table[i-1]; parent == nil || parent.parent == nil {
				s.published = math.MaxInt // it could not be found
				return
			}
		}
		if s.table[i] == nil {
			s.published = math.MaxInt
			return
		}
		s.table[i] = c.publish(s.space, parent, s.table[i], part)
	}
}

// truncate forgets what comes after n tokens.
func (c *cache) truncate(s *sequence, n int) {
	s.n = min(s.n, n)
	for keep := (n + blockTokens - 1) / blockTokens; len(s.table) > keep; {
		last := len(s.table) - 1
		c.release(s.table[last])
		s.table = s.table[:last]
	}
}

// slide lets go of blocks that no token from place n on sees, when all layers have a window.
func (c *cache) slide(s *sequence, n, window int) {
	for i := (n-window+1)/blockTokens - 1; i >= 0 && s.table[i] != nil; i-- {
		c.release(s.table[i])
		s.table[i] = nil
	}
}

// drop lets go of all that a sequence holds, its end first: of a text, the beginning is kept longest.
func (c *cache) drop(s *sequence) {
	for _, b := range slices.Backward(s.table) {
		if b != nil {
			c.release(b)
		}
	}
	s.table, s.n, s.published = s.table[:0], 0, 0
}
