package ingest

import (
	"math"
	"slices"
)

// Between columns that stand close together, without lines, is a gap hardly wider than between words. What gives it
// away is that it stands at one place over several lines, and is wider than the others of its line: the gaps of a
// justified line are all alike.
const (
	tightGap    = 0.45 // the least, in sizes of the text; above 1.1 pdfBreaks parts the line anyway
	tightGapCJK = 0.85 // the blank part of a full-width mark is narrower
	tightRatio  = 1.6  // to the median gap of the line
	tightLines  = 4    // one above the other
)

// tightGaps are the gaps within a line that may part columns.
func tightGaps(line []pdfChar) []pdfSpan {
	type gap struct {
		pdfSpan
		least float64
	}
	var all []gap
	var widths []float64
	last := -1 // the character before, blanks left out
	for i, c := range line {
		if c.r == ' ' {
			continue
		}
		if c.angle != 0 || rightToLeft(c.r) {
			return nil
		}
		if last >= 0 {
			p := line[last]
			size := float64(max(c.size, p.size, 1))
			g := gap{pdfSpan{float64(p.x1), float64(c.x0)}, tightGap * size}
			if isCJK(c.r) || isCJK(p.r) {
				g.least = tightGapCJK * size
			}
			if w := g.x1 - g.x0; i > last+1 || w > 0.15*size {
				widths = append(widths, w)
				all = append(all, g)
			}
		}
		last = i
	}
	slices.Sort(widths)
	var wide []pdfSpan
	for _, g := range all {
		w := g.x1 - g.x0
		if w >= g.least && (len(widths) < 3 || w >= tightRatio*widths[(len(widths)-1)/2]) {
			wide = append(wide, g.pdfSpan)
		}
	}
	return wide
}

// pdfPartTight parts segments at gaps that stand in one place over several lines.
func pdfPartTight(segs []pdfSeg) []pdfSeg {
	var order []int // of those that may be parted, or stand between them
	gapped := false
	for i := range segs {
		if s := &segs[i]; !s.vertical && !s.turned {
			order = append(order, i)
			gapped = gapped || len(s.gaps) > 0
		}
	}
	if !gapped || len(order) > pdfMaxOrdered {
		return segs
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmpFloat(segs[a].cy(), segs[b].cy()) })
	cuts := make([][]float64, len(segs))
	for at, i := range order {
		for _, g := range segs[i].gaps {
			if slices.ContainsFunc(cuts[i], func(x float64) bool { return x > g.x0 && x < g.x1 }) {
				continue // of a strip that began above
			}
			strip, parted, lines := tightStrip(segs, order[at:], g)
			if lines < tightLines {
				continue
			}
			for _, k := range parted {
				cuts[k] = append(cuts[k], (strip.x0+strip.x1)/2)
			}
		}
	}
	var out []pdfSeg
	for i, s := range segs {
		if len(cuts[i]) == 0 {
			out = append(out, s)
			continue
		}
		slices.Sort(cuts[i])
		rest := s.chars
		for _, x := range append(cuts[i], math.Inf(1)) {
			n := 0
			for n < len(rest) && float64(rest[n].x0+rest[n].x1)/2 < x {
				n++
			}
			part := rest[:n]
			for len(part) > 0 && part[0].r == ' ' {
				part = part[1:]
			}
			if p, ok := newPDFSeg(part); ok {
				out = append(out, p)
			}
			rest = rest[n:]
		}
	}
	return out
}

// tightStrip follows the gap of the first segment down over the lines below it, as long as every line that crosses
// it has a gap there, and returns what is white in all of them, the segments with a gap, and how many lines have one:
// also those that are two segments already, one on either side.
func tightStrip(segs []pdfSeg, order []int, strip pdfSpan) (white pdfSpan, parted []int, lines int) {
	parted, lines = []int{order[0]}, 1
	above := &segs[order[0]]
	var left, right *pdfSeg // the last ones beside it
	for _, i := range order[1:] {
		s := &segs[i]
		if s.y0-above.y1 > 1.6*above.size {
			break
		}
		if s.cy()-above.cy() < 0.5*above.size {
			continue // another part of the same line
		}
		if s.x1 <= strip.x0+0.5 || s.x0 >= strip.x1-0.5 {
			if s.x1 <= strip.x0+0.5 {
				left = s
			} else {
				right = s
			}
			if left != nil && right != nil && math.Abs(left.cy()-right.cy()) < 0.3*s.size {
				lines++
				above, left, right = s, nil, nil
			}
			continue
		}
		if s.grid != nil {
			break
		}
		found := false
		for _, g := range s.gaps {
			if both := (pdfSpan{max(g.x0, strip.x0), min(g.x1, strip.x1)}); both.x1-both.x0 >= 0.9*tightGap*s.size {
				strip, found = both, true
				break
			}
		}
		if !found {
			break
		}
		parted = append(parted, i)
		lines++
		above = s
	}
	return strip, parted, lines
}
