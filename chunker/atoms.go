package chunker

import (
	"slices"
	"strings"
	"unicode/utf8"
)

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
