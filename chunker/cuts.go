package chunker

import (
	"math"
	"slices"
	"sort"
)

// cuts finds the cheapest way to group the atoms into chunks.
func (b *builder) cuts() []span {
	n := len(b.atoms)
	// best[i] is the least cost of cutting atoms[:i] with a cut at i, from[i] the atom where the last
	// chunk of that way begins.
	best := make([]float64, n+1)
	from := make([]int32, n+1)
	for i := range best {
		best[i] = math.Inf(1)
	}
	best[0] = 0
	half := float64(b.max) / 2
	for i := range n {
		_, repeated := b.overlap(i)
		size, joins := 0, 0.0
		for j := i + 1; j <= n; j++ {
			a := &b.atoms[j-1]
			size += int(a.weight)
			if size+repeated > b.group && j > i+1 {
				break
			}
			if j > i+1 {
				joins += float64(a.join)
			}
			cost := best[i] + joins + perChunk
			if small := 1 - float64(size)/half; small > 0 {
				cost += smallCost * small * small
			}
			if j < n {
				cost += float64(b.atoms[j].cut)
			}
			if cost < best[j] {
				best[j], from[j] = cost, int32(i)
			}
		}
	}
	var out []span
	for j := n; j > 0; j = int(from[j]) {
		i := int(from[j])
		lap, _ := b.overlap(i)
		out = append(out, span{lap: lap, from: i, to: j})
	}
	slices.Reverse(out)
	return out
}

// A span is atoms[from:to], shown with the overlap atoms[lap:from] before them.
type span struct{ lap, from, to int }

// overlap is the first atom that a chunk beginning at atom i repeats, i when it repeats none, and the
// weight of what it repeats.
func (b *builder) overlap(i int) (first, weight int) {
	first = i
	if b.lap == 0 || i >= len(b.atoms) || b.atoms[i].kind != flowing {
		return first, 0
	}
	room := min(b.lap, b.max-int(b.atoms[i].weight))
	sum := 0
	for k := i - 1; k >= 0; k-- {
		a := &b.atoms[k]
		sum += int(a.weight)
		if sum > room || a.kind != flowing || a.section != b.atoms[i].section {
			break
		}
		if a.sentence {
			first, weight = k, sum
		}
	}
	return first, weight
}

// A finisher turns spans into chunks.
type finisher struct {
	*builder
	tok        Tokenizer
	contextMax int
	labels     map[int32]string // by block
	tables     int              // in the document
	chunks     []Chunk
	buf        []int
	counted    map[string]int
}

func (f *finisher) count(s string) int {
	f.buf = f.tok.TokenStarts(f.buf[:0], s)
	return len(f.buf)
}

// chunk appends the chunk of a span. The arithmetic on the tokens of whole blocks can be off by a
// few where a piece read by itself yields other tokens, so the text is counted once more and, in the
// rare case that it is too long, cut again.
func (f *finisher) chunk(s span) {
	start, end := f.atoms[s.lap].start, f.atoms[s.to-1].end
	n := f.count(f.doc.Text[start:end])
	if n > f.max && s.lap < s.from {
		s.lap = s.from
		start = f.atoms[s.from].start
		n = f.count(f.doc.Text[start:end])
	}
	switch {
	case n <= f.max:
		f.emit(s, start, end, n)
	case s.to-s.from == 1:
		f.part(s, start, end)
	default:
		mid := s.from + 1
		for k := s.from + 1; k < s.to; k++ { // the best border, the nearest to the middle on a tie
			a, m := &f.atoms[k], &f.atoms[mid]
			centre := (s.from + s.to) / 2
			if a.cut < m.cut || a.cut == m.cut && abs(k-centre) < abs(mid-centre) {
				mid = k
			}
		}
		f.chunk(span{s.from, s.from, mid})
		f.chunk(span{mid, mid, s.to})
	}
}

// part appends [start, end), a part of one atom that counts for more by itself than within its block.
func (f *finisher) part(s span, start, end int) {
	start, end = trim(f.doc.Text, start, end)
	if start == end {
		return
	}
	n := f.count(f.doc.Text[start:end])
	if n > f.max {
		if mid := halve(f.doc.Text, start, end); mid > start {
			f.part(s, start, mid)
			f.part(s, mid, end)
			return
		}
	}
	f.emit(s, start, end, n)
}

func (f *finisher) emit(s span, start, end, tokens int) {
	text := f.doc.Text[start:end]
	path := f.path(s)
	c := Chunk{Text: text, Start: start, End: end, Tokens: tokens, Context: f.context(s, start, end, path)}
	for _, h := range path {
		if h.text != "" {
			c.Headings = append(c.Headings, h.text)
		}
	}
	c.FirstPage, c.LastPage = pagesOf(f.doc.Pages, start, end)
	c.Labels = f.labelsIn(s, c.Headings)
	f.chunks = append(f.chunks, c)
}

// path is the heading path that all text of the span stands under.
func (f *finisher) path(s span) []heading {
	var path []heading
	seen, last := false, int32(-1)
	for _, a := range f.atoms[s.from:s.to] {
		if a.kind == headingAtom || a.section == last {
			continue
		}
		last = a.section
		p := f.sections[a.section].path
		if !seen {
			path, seen = p, true
			continue
		}
		n := 0
		for n < len(path) && n < len(p) && path[n].start == p[n].start {
			n++
		}
		path = path[:n]
	}
	if !seen { // headings only
		path = f.sections[f.atoms[s.to-1].section].path
	}
	return path
}

// pagesOf is the first and last page that [start, end) touches.
func pagesOf(pages []Page, start, end int) (first, last int) {
	if len(pages) == 0 {
		return 0, 0
	}
	i := sort.Search(len(pages), func(i int) bool { return pages[i].End > start })
	j := sort.Search(len(pages), func(j int) bool { return pages[j].Start >= end }) - 1
	i, j = min(i, len(pages)-1), max(j, 0)
	return pages[i].Number, max(pages[i].Number, pages[j].Number)
}

func abs(n int) int { return max(n, -n) }
