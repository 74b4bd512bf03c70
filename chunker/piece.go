package chunker

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"docent/internal/prose"
)

// The steps by which a stretch of text that is too large is cut finer and finer.
const (
	stepSentence = iota
	stepCell     // of a table row
	stepLine
	stepClause
	stepWord
	stepGrapheme
	stepNone
)

// piece appends the atoms of [start, end): one if it fits the limit, else those of its parts by the
// given step or a finer one. cut is the cost of a cut before it.
func (b *builder) piece(start, end, step int, cut float32) {
	lead := start
	start, end = trim(b.doc.Text, start, end)
	if start == end {
		return
	}
	if b.kind == codeLine { // the indentation of a line stays with it
		start = lead
	}
	weight := b.meter.weight(start, end)
	if weight <= b.limit || step == stepNone {
		b.emit(start, end, weight, cut)
		return
	}
	text := b.doc.Text[start:end]
	each := func(next func(pos int) int, finer int, between float32) {
		cost := cut
		for pos := 0; pos < len(text); {
			stop := next(pos)
			b.piece(start+pos, start+stop, finer, cost)
			cost = between
			pos = stop
		}
	}
	switch step {
	case stepSentence:
		each(func(pos int) int { return prose.End(text, pos) }, stepLine, cutSentence)
	case stepCell:
		each(func(pos int) int { return after(text, pos, '|') }, stepClause, cutClause)
	case stepLine:
		each(func(pos int) int { return after(text, pos, '\n') }, stepClause, cutLine)
	case stepClause:
		each(func(pos int) int { return clauseEnd(text, pos) }, stepWord, cutClause)
	case stepWord:
		state := -1
		each(func(pos int) int {
			segment, _, _, s := uniseg.FirstLineSegmentInString(text[pos:], state)
			state = s
			return pos + len(segment)
		}, stepGrapheme, cutWord)
	case stepGrapheme:
		state := -1
		each(func(pos int) int {
			cluster, _, _, s := uniseg.FirstGraphemeClusterInString(text[pos:], state)
			state = s
			return pos + len(cluster)
		}, stepNone, cutGrapheme)
	}
}

// after is the offset just past the next c at or after pos, where that is not the first byte.
func after(text string, pos int, c byte) int {
	if i := strings.IndexByte(text[pos+1:], c); i >= 0 {
		return pos + 1 + i + 1
	}
	return len(text)
}

// emit appends one atom.
func (b *builder) emit(start, end, weight int, cut float32) {
	n := len(b.atoms)
	if n > 0 && b.kind != codeLine {
		// Closing punctuation belongs to what it closes, whatever the extractor put between.
		lead := start
		for lead < end {
			r, size := utf8.DecodeRuneInString(b.doc.Text[lead:])
			if !closing(r) && !(lead > start && unicode.IsSpace(r)) {
				break
			}
			lead += size
		}
		if lead > start {
			prev := &b.atoms[n-1]
			_, stop := trim(b.doc.Text, start, lead)
			w := b.meter.weight(start, stop)
			if int(prev.weight)+w <= b.max {
				prev.end, prev.weight = stop, prev.weight+int32(w)
				if start = lead; start == end {
					return
				}
				weight = b.meter.weight(start, end)
			}
		}
	}
	// Very small neighbours of one kind within a block are one atom, which bounds the number of cuts to
	// weigh: a chunk holds at most a few dozen atoms of one block.
	if n > 0 {
		prev := &b.atoms[n-1]
		if prev.block == b.blk && prev.kind == b.kind && cut < cutGlued && !(cut < prev.cut && cut < cutSentence) &&
			int(prev.weight)+weight <= min(b.max/32, b.limit) {
			prev.end, prev.weight, prev.last = end, prev.weight+int32(weight), b.line
			b.splitting = true
			return
		}
	}
	b.atoms = append(b.atoms, atom{
		start: start, end: end, weight: int32(weight), section: int32(len(b.sections) - 1), block: b.blk,
		kind: b.kind, sentence: b.kind == flowing && !b.splitting, cut: cut, line: b.line, last: b.line,
	})
	b.splitting = true
}

// halve is a border near the middle of [start, end) of text: white space where there is any within a
// quarter of the length, else between two grapheme clusters, else between two runes; start when there
// is none.
func halve(text string, start, end int) int {
	mid := runeBorder(text, (start+end)/2)
	if mid >= end {
		for mid = end - 1; mid > start && !utf8.RuneStart(text[mid]); mid-- {
		}
		return mid
	}
	quarter := (end - start) / 4
	if i := strings.LastIndexFunc(text[mid-min(quarter, mid-start):mid], unicode.IsSpace); i >= 0 {
		if at := mid - min(quarter, mid-start) + i; at > start && utf8.RuneStart(text[at]) {
			return at
		}
	}
	// Clusters from a rune border before the middle: exact but for those that begin earlier yet.
	at := runeBorder(text, max(start, mid-256))
	best, state := start, -1
	for at < end && at <= mid {
		if at > start {
			best = at
		}
		cluster, _, _, s := uniseg.FirstGraphemeClusterInString(text[at:end], state)
		state = s
		at += len(cluster)
	}
	if best > start && best > (start+mid)/2 {
		return best
	}
	return mid
}
