package chunker

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"
)

// RecursiveConfig sizes the chunks of a [Recursive] splitter. All sizes are tokens of its tokenizer,
// special tokens left out.
type RecursiveConfig struct {
	// MaxTokens is the most a chunk's Text may hold, at least 16; 0 means 200, less where the
	// tokenizer has a method MaxTokens() int and that, less ContextTokens, is smaller.
	MaxTokens int
	// Overlap is the most that a chunk repeats of the one before it, in whole sentences, where the cut
	// lies inside a section. It is part of MaxTokens. 0 means 32 (never over a quarter of MaxTokens);
	// below 0 means none.
	Overlap int
	// ContextTokens is the most a chunk's Context may hold; 0 means 48 (never over a quarter of what
	// the tokenizer's MaxTokens method tells); below 0 means chunks carry no context.
	ContextTokens int
}

// recursiveVersion changes with every change of the code that makes other chunks.
const recursiveVersion = 3

// The defaults of RecursiveConfig. 200 + 48 tokens and the special ones fit the 256 that
// sentence-transformers gives MiniLM.
const (
	defaultMaxTokens     = 200
	defaultOverlap       = 32
	defaultContextTokens = 48
	leastMaxTokens       = 16
)

// Recursive is a [Splitter] that cuts where the document's structure does: between sections first,
// then between blocks, sentences, lines, clauses, words (by Unicode line breaking, so between any two
// ideographs but never before closing punctuation) and, within a word too long for a chunk, between
// grapheme clusters. Of all ways to cut, it takes the one that breaks least structure while leaving
// no needlessly small chunk, found by dynamic programming over the whole document in time linear in
// its length.
//
// A heading stays with the text after it. Small sibling sections share a chunk; sections of the
// document's outermost level hardly ever do. A table that must be cut is cut between rows, and its
// header row is repeated in the Context of the later pieces. Code is cut between functions and classes, else
// between lines; the lines that declare what encloses a piece are in its Context.
//
// No chunk holds more than MaxTokens tokens: Tokens is what the tokenizer counts for Text itself.
// Every byte of the document that is not white space is in some chunk.
type Recursive struct {
	tok   Tokenizer
	cfg   RecursiveConfig
	group int // up to how many tokens atoms share a chunk; 0 means MaxTokens
}

var _ Splitter = (*Recursive)(nil)

// NewRecursive returns a splitter that measures with t; nil means [Approximate]. It fails when cfg
// asks for less than 16 tokens a chunk, for an overlap of half a chunk or more, or for a Text and
// Context that together exceed what t's method MaxTokens() int tells, if it has one.
func NewRecursive(t Tokenizer, cfg RecursiveConfig) (*Recursive, error) {
	if t == nil {
		t = Approximate{}
	}
	limit := 0
	if l, ok := t.(interface{ MaxTokens() int }); ok {
		limit = l.MaxTokens()
	}
	switch {
	case cfg.ContextTokens < 0:
		cfg.ContextTokens = 0
	case cfg.ContextTokens == 0:
		cfg.ContextTokens = defaultContextTokens
		if limit > 0 {
			cfg.ContextTokens = min(cfg.ContextTokens, limit/4)
		}
	}
	if cfg.MaxTokens == 0 {
		cfg.MaxTokens = defaultMaxTokens
		if limit > 0 {
			cfg.MaxTokens = max(min(cfg.MaxTokens, limit-cfg.ContextTokens), leastMaxTokens)
		}
	}
	if cfg.MaxTokens < leastMaxTokens {
		return nil, fmt.Errorf("chunker: MaxTokens is %d, want at least %d", cfg.MaxTokens, leastMaxTokens)
	}
	if limit > 0 && cfg.MaxTokens+cfg.ContextTokens > limit {
		return nil, fmt.Errorf("chunker: MaxTokens %d and ContextTokens %d together exceed the %d tokens that the encoder reads",
			cfg.MaxTokens, cfg.ContextTokens, limit)
	}
	switch {
	case cfg.Overlap < 0:
		cfg.Overlap = 0
	case cfg.Overlap == 0:
		cfg.Overlap = min(defaultOverlap, cfg.MaxTokens/4)
	case cfg.Overlap*2 > cfg.MaxTokens:
		return nil, fmt.Errorf("chunker: Overlap is %d, want at most half of MaxTokens, which is %d", cfg.Overlap, cfg.MaxTokens)
	}
	return &Recursive{tok: t, cfg: cfg}, nil
}

// Config is the splitter's configuration with the defaults filled in; an Overlap or ContextTokens of
// 0 there means none.
func (r *Recursive) Config() RecursiveConfig { return r.cfg }

// Split implements [Splitter]. A document without Blocks is read as paragraphs between blank lines.
// It does not fail.
func (r *Recursive) Split(ctx context.Context, doc Document) ([]Chunk, error) {
	return r.split(ctx, doc, func(context.Context, *builder) error { return nil })
}

// split is Split with costs that shape has changed.
func (r *Recursive) split(ctx context.Context, doc Document, shape func(context.Context, *builder) error) ([]Chunk, error) {
	b := &builder{
		doc:   doc,
		max:   r.cfg.MaxTokens,
		group: r.cfg.MaxTokens,
		lap:   r.cfg.Overlap,
		meter: meter{tok: r.tok},
	}
	b.atomise(blocksOf(doc))
	if len(b.atoms) == 0 {
		return nil, nil
	}
	if err := shape(ctx, b); err != nil {
		return nil, err
	}
	f := finisher{builder: b, tok: r.tok, contextMax: r.cfg.ContextTokens}
	f.labels, f.tables = labelsOf(b)
	if r.group > 0 {
		b.group = r.group
	}
	for _, c := range b.cuts() {
		f.chunk(c)
	}
	return f.chunks, nil
}

// An atom is a stretch of text that the search for the best cuts does not look into: a heading, a
// sentence, a table row, a line of code, or a piece of one that is too large for a chunk.
type atom struct {
	start, end int
	weight     int32
	section    int32
	block      int32 // index of the block, for the header of a table
	kind       atomKind
	sentence   bool    // begins a sentence, so that an overlap may begin here
	cut        float32 // cost of a cut before the atom
	join       float32 // cost of keeping the atom in one chunk with the one before
	line, last int32   // of a table: the lines of its text that the atom begins and ends on, from 0
}

type atomKind uint8

const (
	flowing atomKind = iota
	headingAtom
	tableHead // header row and delimiter row
	tableRow
	codeLine
)

// What a cut costs, in the units of chunkCost. A cut between sections costs nothing: there joining
// costs.
const (
	cutBlock    = 10
	cutItem     = 14 // before a list item
	cutRow      = 16
	cutCodeGap  = 10 // after a blank line of code
	cutCode     = 18
	cutUnit     = 4 // before a function or class; cutInner inside another
	cutInner    = 8
	cutInBody   = 16 // more, between lines of a function or class
	cutSentence = 20
	cutPause    = 28 // after ； or ……
	cutIntro    = 40 // between "as follows:" and what follows
	cutLine     = 45
	cutClause   = 70
	cutWord     = 120
	cutGrapheme = 240
	cutGlued    = 10_000 // after a heading, after the header of a table

	joinOuter = 80 // sections of the outermost level
	joinInner = 25
	joinUnits = 6    // of functions that nothing encloses
	apart     = 1e12 // of what must not share a chunk

	perChunk  = 20
	smallCost = 60 // of an empty chunk; falls with the square to 0 at half of MaxTokens
)

// A section is the text under one heading, up to the next.
type section struct {
	path []heading
}

type heading struct {
	text       string
	level      int
	start, end int // of its block
}

type builder struct {
	doc      Document
	max, lap int
	group    int              // up to how many tokens atoms share a chunk
	units    map[int32][]unit // of blocks of code
	meter    meter
	atoms    []atom
	sections []section
	blocks   []Block

	// State of the block at hand.
	blk       int32
	kind      atomKind
	limit     int
	line      int32 // of a table
	splitting bool  // inside a sentence
}

// blocksOf is doc.Blocks put in order: inside the text, on rune borders, ascending, without outer
// white space, and with paragraphs for any text that no block covers.
func blocksOf(doc Document) []Block {
	text := doc.Text
	out := make([]Block, 0, len(doc.Blocks)+1)
	pos := 0
	for _, b := range doc.Blocks {
		start, end := runeBorder(text, max(b.Start, pos)), runeBorder(text, b.End)
		if start >= end {
			continue
		}
		out = appendParagraphs(out, text, pos, start)
		pos = end
		if b.Kind != Code { // indentation is part of code, outer blank lines are not
			start, end = trim(text, start, end)
		}
		if start < end {
			b.Start, b.End = start, end
			out = append(out, b)
		}
	}
	return appendParagraphs(out, text, pos, len(text))
}

func runeBorder(text string, i int) int {
	i = min(max(i, 0), len(text))
	for i < len(text) && i > 0 && !utf8.RuneStart(text[i]) {
		i++
	}
	return i
}

// appendParagraphs cuts text[start:end] at blank lines.
func appendParagraphs(out []Block, text string, start, end int) []Block {
	add := func(s, e int) {
		if s, e = trim(text, s, e); s < e {
			out = append(out, Block{Kind: Paragraph, Start: s, End: e})
		}
	}
	from := start
	for i := start; i < end; {
		nl := strings.IndexByte(text[i:end], '\n')
		if nl < 0 {
			break
		}
		line := i + nl + 1
		next := strings.IndexByte(text[line:end], '\n')
		if next < 0 {
			break
		}
		if strings.TrimSpace(text[line:line+next]) == "" {
			add(from, line)
			from = line + next
		}
		i = line
	}
	add(from, end)
	return out
}

// atomise fills b.atoms and b.sections.
func (b *builder) atomise(blocks []Block) {
	b.blocks = blocks
	outer := outermost(blocks)
	b.sections = append(b.sections, section{})
	var path []heading
	headWeight := 0 // of the headings that wait for their text
	waiting := 0    // the first atom of theirs
	for i, blk := range blocks {
		b.blk, b.splitting = int32(i), false
		b.meter.load(b.doc.Text[blk.Start:blk.End], blk.Start)
		b.limit = b.max
		first := len(b.atoms)
		var cut, join float32
		if blk.Kind == Heading {
			level := min(max(blk.Level, 1), 6)
			for len(path) > 0 && path[len(path)-1].level >= level {
				path = path[:len(path)-1]
			}
			path = append(path[:len(path):len(path)], heading{
				text: headingText(b.doc.Text[blk.Start:blk.End]), level: level, start: blk.Start, end: blk.End,
			})
			b.sections = append(b.sections, section{path: path})
			join = joinInner
			if level <= outer {
				join = joinOuter
			}
			if headWeight > 0 { // a heading right under a heading
				cut, join = cutGlued, 0
				if p := b.sections[len(b.sections)-2].path; p[len(p)-1].level >= level {
					cut, join = 0, joinInner // the section above is empty
				}
			}
			b.kind = headingAtom
			b.piece(blk.Start, blk.End, stepSentence, cut)
			if first < len(b.atoms) {
				b.atoms[first].join = join
			}
			if cut != cutGlued {
				headWeight, waiting = 0, first
			}
			for _, a := range b.atoms[first:] {
				headWeight += int(a.weight)
			}
			continue
		}
		glued := headWeight > 0
		if glued { // leave room for the headings in the chunk of the first piece
			cut = cutGlued
			b.limit = max(b.max-headWeight, b.max/2)
		} else {
			cut = b.blockCut(i)
		}
		headWeight = 0
		switch blk.Kind {
		case Table:
			b.table(blk, cut)
		case Code:
			b.code(blk, cut)
		default:
			b.kind = flowing
			b.flowing(blk, cut)
		}
	}
	if headWeight > 0 && waiting < len(b.atoms) { // headings at the end, without text
		b.atoms[waiting].join = 0
	}
}

// outermost is the highest heading level that divides the document: the first with more than one
// heading. A lone title does not.
func outermost(blocks []Block) int {
	var n [7]int
	for _, b := range blocks {
		if b.Kind == Heading {
			n[min(max(b.Level, 1), 6)]++
		}
	}
	for level := 1; level <= 6; level++ {
		if n[level] > 1 {
			return level
		}
	}
	return 0
}

// blockCut is the cost of a cut before block i.
func (b *builder) blockCut(i int) float32 {
	if i == 0 {
		return 0
	}
	blk, prev := b.blocks[i], b.blocks[i-1]
	before := b.doc.Text[prev.Start:prev.End]
	last, _ := utf8.DecodeLastRuneInString(before)
	switch {
	case (last == ':' || last == '：') && prev.Kind != Code && prev.Kind != Table:
		return cutIntro
	case blk.Kind == ListItem && blk.Level > 1:
		return cutSentence
	case blk.Kind == ListItem:
		return cutItem
	}
	return cutBlock
}

func (b *builder) flowing(blk Block, cut float32) {
	text := b.doc.Text[blk.Start:blk.End]
	pause := false
	for s, e := range Sentences(text) {
		b.piece(blk.Start+s, blk.Start+e, stepLine, cut)
		b.splitting = false
		pause = pauseEnd(text[:e])
		cut = cutSentence
		if pause {
			cut = cutPause
		}
	}
}

// pauseEnd reports whether s ends in a mark that may also stand inside a sentence.
func pauseEnd(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(s)
	return r == '；' || r == '…' || r == ';'
}

func (b *builder) code(blk Block, cut float32) {
	b.kind = codeLine
	text := b.doc.Text
	found := units(text, blk.Start, blk.End)
	if b.units == nil {
		b.units = make(map[int32][]unit)
	}
	b.units[b.blk] = found
	for i := blk.Start; i < blk.End; {
		end := blk.End
		if nl := strings.IndexByte(text[i:end], '\n'); nl >= 0 {
			end = i + nl + 1
		}
		if strings.TrimSpace(text[i:end]) == "" {
			if cut == cutCode {
				cut = cutCodeGap
			}
		} else {
			join := float32(0)
			for len(found) > 0 && found[0].decl < i {
				found = found[1:]
			}
			if inner := cut == cutCode || cut == cutCodeGap; inner && len(found) > 0 && found[0].start <= i {
				switch {
				case found[0].start < i: // the comment above stays with what it is about
					cut = cutLine
				case found[0].level > 0:
					cut = cutInner
				default:
					cut, join = cutUnit, joinUnits
				}
			}
			if (cut == cutCode || cut == cutCodeGap) && slices.ContainsFunc(b.units[b.blk], func(u unit) bool { return u.decl < i && i < u.end }) {
				cut += cutInBody
			}
			n := len(b.atoms)
			b.piece(i, end, stepClause, cut)
			if n < len(b.atoms) {
				b.atoms[n].join = join
			}
			b.splitting = false
			cut = cutCode
		}
		i = end
	}
}

func (b *builder) table(blk Block, cut float32) {
	headEnd := tableHeadEnd(b.doc.Text, blk)
	if headEnd > blk.Start {
		b.kind = tableHead
		b.piece(blk.Start, headEnd, stepCell, cut)
		b.splitting = false
		cut = cutGlued
		if n := len(b.atoms); n > 0 && b.limit == b.max {
			b.limit = max(b.max-int(b.atoms[n-1].weight), b.max/2)
		}
	}
	b.kind = tableRow
	text := b.doc.Text
	b.line = int32(strings.Count(text[blk.Start:headEnd], "\n"))
	for i := headEnd; i < blk.End; b.line++ {
		end := blk.End
		if nl := strings.IndexByte(text[i:end], '\n'); nl >= 0 {
			end = i + nl + 1
		}
		if strings.TrimSpace(text[i:end]) != "" {
			b.piece(i, end, stepCell, cut)
			b.splitting = false
			cut = cutRow
		}
		i = end
	}
}

// tableHeadEnd is the offset after the delimiter row of a Markdown table (| --- | --- |); the table's
// start when it has none.
func tableHeadEnd(text string, blk Block) int {
	first := strings.IndexByte(text[blk.Start:blk.End], '\n')
	if first < 0 {
		return blk.Start
	}
	second := blk.Start + first + 1
	end := blk.End
	if nl := strings.IndexByte(text[second:end], '\n'); nl >= 0 {
		end = second + nl + 1
	}
	row := strings.TrimSpace(text[second:end])
	if row == "" || !strings.Contains(row, "-") || strings.Trim(row, "|-: \t") != "" {
		return blk.Start
	}
	return end
}

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
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
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
	if n > f.max && s.to-s.from > 1 {
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
		return
	}
	if n > f.max {
		if mid := halve(f.doc.Text, start, end); mid > start {
			f.part(s, start, mid)
			f.part(s, mid, end)
			return
		}
	}
	f.emit(s, start, end, n)
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

// String describes how the splitter cuts: splitters of the same String make the same chunks of a
// document.
func (r *Recursive) String() string {
	tok := fmt.Sprintf("%T", r.tok)
	if f, ok := r.tok.(interface{ Fingerprint() string }); ok {
		tok = f.Fingerprint()
	}
	how := fmt.Sprintf("recursive-%d/%d/%d/%d/%s", recursiveVersion, r.cfg.MaxTokens, r.cfg.Overlap, r.cfg.ContextTokens, tok)
	if r.group > 0 {
		how += fmt.Sprintf("/%d", r.group)
	}
	return how
}
