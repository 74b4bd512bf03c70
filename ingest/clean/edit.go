package clean

import (
	"sort"
	"strings"

	"docent/chunker"
)

// An Edit replaces bytes Start to End of a text by New.
type Edit struct {
	Start, End int
	New        string
}

// Apply returns doc with the edits made, which ascend and do not overlap, and the ranges of its blocks,
// pages and links moved with the text. A block that is left without text is dropped. A range that begins or
// ends within an edit begins where New does, or ends where New does.
func Apply(doc chunker.Document, edits []Edit) chunker.Document {
	if len(edits) == 0 {
		return doc
	}
	var b strings.Builder
	b.Grow(len(doc.Text))
	at := 0
	starts := make([]int, len(edits)) // of each New in the text that comes out
	for i, e := range edits {
		b.WriteString(doc.Text[at:e.Start])
		starts[i] = b.Len()
		b.WriteString(e.New)
		at = e.End
	}
	b.WriteString(doc.Text[at:])
	// moved is where p came to: the byte at p begins a range, or the one before p ends it.
	moved := func(p int, end bool) int {
		last := p // the last edit that can matter begins here at most
		if end {
			last--
		}
		i := sort.Search(len(edits), func(i int) bool { return edits[i].Start > last }) - 1
		switch {
		case i < 0:
			return p
		case p > edits[i].End || p == edits[i].End && !end:
			return starts[i] + len(edits[i].New) + p - edits[i].End
		case end:
			return starts[i] + len(edits[i].New)
		}
		return starts[i]
	}
	out := chunker.Document{Title: doc.Title, Language: doc.Language, Text: b.String()}
	for _, bl := range doc.Blocks {
		bl.Start, bl.End = moved(bl.Start, false), moved(bl.End, true)
		if bl.Start < bl.End && strings.TrimSpace(out.Text[bl.Start:bl.End]) != "" {
			out.Blocks = append(out.Blocks, bl)
		}
	}
	for _, p := range doc.Pages {
		p.Start = moved(p.Start, false)
		p.End = max(p.Start, moved(p.End, true))
		out.Pages = append(out.Pages, p)
	}
	for _, l := range doc.Links {
		if l.Start, l.End = moved(l.Start, false), moved(l.End, true); l.End < l.Start {
			l.End = l.Start // its text is gone
		}
		out.Links = append(out.Links, l)
	}
	return out
}
