package grammar

import (
	"fmt"
	"math"
	"slices"
	"sync"
)

// Bounds of what is made of a source.
const (
	maxStates = 1 << 18
	maxDepth  = 500     // of expressions within each other
	inlined   = 32      // rules without rules in them, up to this many states, are copied to where they are used
	spelled   = 1 << 13 // repetitions of more states are made of calls

	maxShortest = 1 << 20 // bytes
)

const endless = math.MaxInt32

// A Grammar is a compiled form. It is safe for concurrent use.
type Grammar struct {
	states []state
	rules  []ruleStates
	class  [256]uint8 // bytes that no edge tells apart have one class
	bytes  []byte     // one of each class

	mu sync.Mutex // guards all that follows
	automaton
	masks map[*Vocabulary]*masks
}

// ruleStates are where a rule begins and ends, and which bytes may come after it anywhere.
type ruleStates struct {
	name       string
	start, end int32
	follow     [256]bool
}

// state is a place in a rule.
type state struct {
	rule  int32
	edges []edge
	to    []int32 // without a byte
	calls []call
	tail  bool  // only the rule's end can come
	cost  int32 // bytes of the shortest way to the rule's end
}

type edge struct {
	lo, hi byte
	to     int32
}

type call struct{ rule, back int32 }

type compiler struct {
	g     *Grammar
	index map[*rule]int32
	queue []*rule
	sizes map[*rule]int
}

// Compile makes the automaton of a form. It wraps ErrUnsupported for left recursion, ErrEmpty where no text
// has the form, and ErrTooLarge.
func Compile(e Expr) (*Grammar, error) {
	c := &compiler{g: &Grammar{masks: map[*Vocabulary]*masks{}}, index: map[*rule]int32{}, sizes: map[*rule]int{}}
	root := &rule{name: "root", body: e.n}
	c.rule(root)
	for i := 0; i < len(c.queue); i++ {
		r := c.g.rules[i]
		if err := c.build(c.queue[i].body, r.start, r.end, int32(i), 0); err != nil {
			return nil, err
		}
	}
	if err := c.costs(); err != nil {
		return nil, err
	}
	if err := c.leftRecursion(); err != nil {
		return nil, err
	}
	c.tails()
	c.classes()
	c.follows()
	c.g.reset()
	return c.g, nil
}

// rule is a rule's number; it is built later.
func (c *compiler) rule(r *rule) int32 {
	if i, ok := c.index[r]; ok {
		return i
	}
	i := int32(len(c.g.rules))
	c.index[r] = i
	c.queue = append(c.queue, r)
	c.g.rules = append(c.g.rules, ruleStates{name: r.name, start: c.state(i), end: c.state(i)})
	return i
}

func (c *compiler) state(rule int32) int32 {
	c.g.states = append(c.g.states, state{rule: rule})
	return int32(len(c.g.states) - 1)
}

func (c *compiler) edge(from, to int32, lo, hi byte) {
	s := &c.g.states[from]
	s.edges = append(s.edges, edge{lo, hi, to})
}

func (c *compiler) skip(from, to int32) {
	s := &c.g.states[from]
	s.to = append(s.to, to)
}

// build puts a way of the form n between two states.
func (c *compiler) build(n node, from, to, in int32, depth int) error {
	if len(c.g.states) > maxStates {
		return fmt.Errorf("%w: over %d states", ErrTooLarge, maxStates)
	}
	if depth > maxDepth {
		return fmt.Errorf("%w: over %d levels", ErrTooLarge, maxDepth)
	}
	depth++
	switch n := n.(type) {
	case nil:
		c.skip(from, to)
	case literal:
		for i := range len(n) {
			next := to
			if i < len(n)-1 {
				next = c.state(in)
			}
			c.edge(from, next, n[i], n[i])
			from = next
		}
		if len(n) == 0 {
			c.skip(from, to)
		}
	case set:
		// Ends that are alike are shared.
		ends := map[string]int32{}
		for _, r := range n {
			utf8Ranges(r.lo, r.hi, func(seq []byteRange) {
				at, key := to, ""
				for i := len(seq) - 1; i > 0; i-- {
					key += string([]byte{seq[i].lo, seq[i].hi})
					s, ok := ends[key]
					if !ok {
						s = c.state(in)
						ends[key] = s
						c.edge(s, at, seq[i].lo, seq[i].hi)
					}
					at = s
				}
				c.edge(from, at, seq[0].lo, seq[0].hi)
			})
		}
	case seq:
		for i, x := range n {
			next := to
			if i < len(n)-1 {
				next = c.state(in)
			}
			if err := c.build(x, from, next, in, depth); err != nil {
				return err
			}
			from = next
		}
		if len(n) == 0 {
			c.skip(from, to)
		}
	case alt:
		var texts []string
		for _, x := range n {
			if l, ok := x.(literal); ok && len(l) > 0 {
				texts = append(texts, string(l))
				continue
			}
			// A way of its own: a loop at its start must not be one of the others'.
			s := c.state(in)
			c.skip(from, s)
			if err := c.build(x, s, to, in, depth); err != nil {
				return err
			}
		}
		if len(texts) > 0 {
			s := c.state(in)
			c.skip(from, s)
			return c.tree(texts, s, to, in)
		}
	case repeat:
		return c.repeat(n, from, to, in, depth)
	case *rule:
		if c.size(n, 0) <= inlined {
			return c.build(n.body, from, to, in, depth)
		}
		s := &c.g.states[from]
		s.calls = append(s.calls, call{-1, to})
		at := len(s.calls) - 1
		i := c.rule(n) // may move the states
		c.g.states[from].calls[at].rule = i
	case until:
		c.search(string(n), from, to, in, true)
	case avoid:
		c.search(string(n), from, to, in, false)
	default:
		panic(fmt.Sprintf("grammar: %T", n))
	}
	return nil
}

// tree puts any of several texts between two states, with what they begin with in common.
func (c *compiler) tree(texts []string, from, to, in int32) error {
	type place struct {
		at int32
		b  byte
	}
	next := map[place]int32{}
	for _, t := range texts {
		at := from
		for i := range len(t) - 1 {
			p := place{at, t[i]}
			s, ok := next[p]
			if !ok {
				if len(c.g.states) > maxStates {
					return fmt.Errorf("%w: over %d states", ErrTooLarge, maxStates)
				}
				s = c.state(in)
				next[p] = s
				c.edge(at, s, t[i], t[i])
			}
			at = s
		}
		c.edge(at, to, t[len(t)-1], t[len(t)-1])
	}
	return nil
}

func (c *compiler) repeat(n repeat, from, to, in int32, depth int) error {
	of, times := n.of, max(n.min, n.max)
	if n.max >= 0 && n.max < n.min || n.min < 0 {
		return syntaxError("a repetition of %d to %d times", n.min, n.max)
	}
	if times > maxStates {
		return fmt.Errorf("%w: a repetition of %d times", ErrTooLarge, times)
	}
	if size := c.size(of, 0); times > 1 && size > 4 && size*times > spelled {
		r := &rule{name: "repeated", body: n.of}
		c.sizes[r] = inlined + 1
		of = r
	}
	for range n.min {
		next := c.state(in)
		if err := c.build(of, from, next, in, depth); err != nil {
			return err
		}
		from = next
	}
	if n.max < 0 {
		loop := c.state(in)
		c.skip(from, loop)
		back := c.state(in)
		if err := c.build(of, loop, back, in, depth); err != nil {
			return err
		}
		c.skip(back, loop)
		c.skip(loop, to)
		return nil
	}
	for range n.max - n.min {
		next := c.state(in)
		c.skip(from, to)
		if err := c.build(of, from, next, in, depth); err != nil {
			return err
		}
		from = next
	}
	c.skip(from, to)
	return nil
}

// search puts the automaton of Knuth, Morris and Pratt between two states: its state k has read the first
// k bytes of the marker.
func (c *compiler) search(marker string, from, to, in int32, find bool) {
	if marker == "" {
		c.skip(from, to)
		return
	}
	fail := make([]int, len(marker)+1)
	for i := 1; i < len(marker); i++ {
		k := fail[i]
		for k > 0 && marker[i] != marker[k] {
			k = fail[k]
		}
		if marker[i] == marker[k] {
			k++
		}
		fail[i+1] = k
	}
	at := make([]int32, len(marker))
	for k := range at {
		at[k] = c.state(in)
		if !find {
			c.skip(at[k], to)
		}
	}
	c.skip(from, at[0])
	for k := range at {
		next := func(b byte) int {
			j := k
			for j > 0 && marker[j] != b {
				j = fail[j]
			}
			if marker[j] == b {
				j++
			}
			return j
		}
		for lo := 0; lo < 256; {
			j, hi := next(byte(lo)), lo
			for hi < 255 && next(byte(hi+1)) == j {
				hi++
			}
			switch {
			case j < len(marker):
				c.edge(at[k], at[j], byte(lo), byte(hi))
			case find:
				c.edge(at[k], to, byte(lo), byte(hi))
			}
			lo = hi + 1
		}
	}
}

// size is about how many states a form takes; rules that stand within others are calls.
func (c *compiler) size(n node, depth int) int {
	if depth > maxDepth {
		return maxStates
	}
	depth++
	sum := func(of []node) int {
		total := 0
		for _, x := range of {
			total = min(total+1+c.size(x, depth), maxStates)
		}
		return total
	}
	switch n := n.(type) {
	case literal:
		return len(n)
	case set:
		if len(n) == 0 || n[len(n)-1].hi < 0x80 {
			return 1
		}
		return 4 + len(n)
	case seq:
		return sum(n)
	case alt:
		return sum(n)
	case repeat:
		return min(c.size(n.of, depth)*max(1, n.min, n.max)+2, maxStates)
	case *rule:
		size, ok := c.sizes[n]
		if !ok {
			c.sizes[n] = inlined + 1 // whatever is in it that leads back to it
			size = c.size(n.body, depth)
			if hasRules(n.body, 0) {
				size = max(size, inlined+1)
			}
			c.sizes[n] = size
		}
		return min(size, inlined+1)
	case until:
		return 2 * len(n)
	case avoid:
		return 2 * len(n)
	}
	return 1
}

func hasRules(n node, depth int) bool {
	if depth > maxDepth {
		return true
	}
	any := func(of []node) bool {
		for _, x := range of {
			if hasRules(x, depth+1) {
				return true
			}
		}
		return false
	}
	switch n := n.(type) {
	case seq:
		return any(n)
	case alt:
		return any(n)
	case repeat:
		return hasRules(n.of, depth+1)
	case *rule:
		return true
	}
	return false
}

// costs finds the shortest ways to the rules' ends and takes away what leads to none, so that no
// configuration is a dead end.
func (c *compiler) costs() error {
	g := c.g
	for i := range g.states {
		g.states[i].cost = endless
	}
	before := make([][]int32, len(g.states)) // whose cost may follow from a state's
	callers := make([][]int32, len(g.rules))
	for i, s := range g.states {
		from := int32(i)
		for _, e := range s.edges {
			before[e.to] = append(before[e.to], from)
		}
		for _, t := range s.to {
			before[t] = append(before[t], from)
		}
		for _, k := range s.calls {
			before[k.back] = append(before[k.back], from)
			callers[k.rule] = append(callers[k.rule], from)
		}
	}
	var work []int32
	lower := func(i int32, cost int32) {
		if cost < g.states[i].cost {
			g.states[i].cost = cost
			work = append(work, i)
		}
	}
	for _, r := range g.rules {
		lower(r.end, 0)
	}
	sum := func(a, b int32) int32 { // of two that are not endless, not endless
		if a == endless || b == endless {
			return endless
		}
		return int32(min(int64(a)+int64(b), endless-1))
	}
	relax := func(i int32) {
		s := &g.states[i]
		best := s.cost
		for _, e := range s.edges {
			best = min(best, sum(1, g.states[e.to].cost))
		}
		for _, t := range s.to {
			best = min(best, g.states[t].cost)
		}
		for _, k := range s.calls {
			best = min(best, sum(g.states[k.back].cost, g.states[g.rules[k.rule].start].cost))
		}
		lower(i, best)
	}
	for len(work) > 0 {
		i := work[0]
		work = work[1:]
		for _, b := range before[i] {
			relax(b)
		}
		if r := g.states[i].rule; g.rules[r].start == i {
			for _, b := range callers[r] {
				relax(b)
			}
		}
	}
	switch cost := g.states[g.rules[0].start].cost; {
	case cost == endless:
		return ErrEmpty
	case cost > maxShortest:
		return fmt.Errorf("%w: the shortest text of this form has over %d bytes", ErrTooLarge, maxShortest)
	}
	for i := range g.states {
		s := &g.states[i]
		lost := func(t int32) bool { return g.states[t].cost == endless }
		s.edges = slices.DeleteFunc(s.edges, func(e edge) bool { return lost(e.to) })
		s.to = slices.DeleteFunc(s.to, lost)
		s.calls = slices.DeleteFunc(s.calls, func(k call) bool { return lost(k.back) || lost(g.rules[k.rule].start) })
	}
	return nil
}

// leftRecursion refuses rules that can begin with themselves: their stacks would grow without a byte.
func (c *compiler) leftRecursion() error {
	g := c.g
	begins := make([][]int32, len(g.rules)) // with which rules a rule can begin
	for r := range g.rules {
		seen := map[int32]bool{}
		work := []int32{g.rules[r].start}
		for len(work) > 0 {
			i := work[len(work)-1]
			work = work[:len(work)-1]
			if seen[i] {
				continue
			}
			seen[i] = true
			work = append(work, g.states[i].to...)
			for _, k := range g.states[i].calls {
				begins[r] = append(begins[r], k.rule)
				if g.states[g.rules[k.rule].start].cost == 0 {
					work = append(work, k.back)
				}
			}
		}
	}
	// Those that begin with no rule, or only with such ones, are taken away until none is left.
	waits := make([]int, len(g.rules))
	heads := make([][]int32, len(g.rules))
	var free []int32
	for r, b := range begins {
		waits[r] = len(b)
		for _, x := range b {
			heads[x] = append(heads[x], int32(r))
		}
		if len(b) == 0 {
			free = append(free, int32(r))
		}
	}
	for len(free) > 0 {
		r := free[len(free)-1]
		free = free[:len(free)-1]
		for _, h := range heads[r] {
			if waits[h]--; waits[h] == 0 {
				free = append(free, h)
			}
		}
	}
	for r, n := range waits {
		if n > 0 {
			return unsupported("rule %s can begin with itself, or with one that can (left recursion): write it as a repetition", g.rules[r].name)
		}
	}
	return nil
}

// tails marks the states after which a rule can only end: a call there needs no way back.
func (c *compiler) tails() {
	g := c.g
	for _, r := range g.rules {
		g.states[r.end].tail = len(g.states[r.end].edges)+len(g.states[r.end].to)+len(g.states[r.end].calls) == 0
	}
	for again := true; again; {
		again = false
		for i := len(g.states) - 1; i >= 0; i-- {
			s := &g.states[i]
			if s.tail || len(s.edges)+len(s.calls) > 0 || len(s.to) == 0 {
				continue
			}
			tail := true
			for _, t := range s.to {
				tail = tail && g.states[t].tail
			}
			if tail {
				s.tail, again = true, true
			}
		}
	}
}

func (c *compiler) classes() {
	var border [257]bool
	for _, s := range c.g.states {
		for _, e := range s.edges {
			border[e.lo], border[int(e.hi)+1] = true, true
		}
	}
	n := -1
	for b := range 256 {
		if b == 0 || border[b] {
			n++
			c.g.bytes = append(c.g.bytes, byte(b))
		}
		c.g.class[b] = uint8(n)
	}
}

// follows finds for each rule which bytes may come after it.
func (c *compiler) follows() {
	g := c.g
	first := make([][256]bool, len(g.rules)) // of rules
	after := func(from int32) (out [256]bool, ends bool) {
		seen := map[int32]bool{from: true}
		work := []int32{from}
		for len(work) > 0 {
			i := work[len(work)-1]
			work = work[:len(work)-1]
			push := func(t int32) {
				if !seen[t] {
					seen[t] = true
					work = append(work, t)
				}
			}
			s := &g.states[i]
			ends = ends || g.rules[s.rule].end == i
			for _, e := range s.edges {
				for b := int(e.lo); b <= int(e.hi); b++ {
					out[b] = true
				}
			}
			for _, t := range s.to {
				push(t)
			}
			for _, k := range s.calls {
				for b, ok := range first[k.rule] {
					out[b] = out[b] || ok
				}
				if g.states[g.rules[k.rule].start].cost == 0 {
					push(k.back)
				}
			}
		}
		return out, ends
	}
	for again := true; again; {
		again = false
		for r := range g.rules {
			if f, _ := after(g.rules[r].start); f != first[r] {
				first[r], again = f, true
			}
		}
	}
	type link struct{ from, to int32 } // what follows one rule follows the other
	var links []link
	for i := range g.states {
		for _, k := range g.states[i].calls {
			f, ends := after(k.back)
			for b, ok := range f {
				if ok {
					g.rules[k.rule].follow[b] = true
				}
			}
			if ends {
				links = append(links, link{g.states[i].rule, k.rule})
			}
		}
	}
	for again := true; again; {
		again = false
		for _, l := range links {
			for b, ok := range g.rules[l.from].follow {
				if ok && !g.rules[l.to].follow[b] {
					g.rules[l.to].follow[b], again = true, true
				}
			}
		}
	}
}
