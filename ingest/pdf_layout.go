package ingest

import (
	"math"
	"slices"
	"strings"
	"unicode"
)

// pdfSeg is a run of characters on one line without a wide gap: a line of a column, or a cell.
type pdfSeg struct {
	text           string
	x0, y0, x1, y1 float64
	size           float64
	bold, mono     bool
	vertical       bool // written from top to bottom
	turned         bool // written along another line than the page's
	runes          int

	grid *pdfGrid // the table it stands in, if any,
	cell int      // and where in it

	table *pdfTableText // instead of text: a whole table

	gaps  []pdfSpan // between which columns may stand; see pdf_tight.go
	chars []pdfChar // where there are gaps
}

func (s *pdfSeg) cy() float64 { return (s.y0 + s.y1) / 2 }

// pdfSegments cuts a page's characters, in the engine's order, into segments, at the latest where a
// cell of one of the grids ends.
func pdfSegments(pg *pdfPage, grids []*pdfGrid) []pdfSeg {
	var segs []pdfSeg
	var cur []pdfChar
	space := false
	var grid *pdfGrid // of cur
	cell := 0
	where := func(c pdfChar) (*pdfGrid, int) {
		for _, g := range grids {
			if p, ok := g.place(float64(c.x0+c.x1)/2, float64(c.y0+c.y1)/2); ok {
				return g, p
			}
		}
		return nil, 0
	}
	flush := func() {
		if len(cur) > 0 {
			if s, ok := newPDFSeg(cur); ok {
				s.grid, s.cell = grid, cell
				if grid == nil && !s.vertical && !s.turned {
					if s.gaps = tightGaps(cur); len(s.gaps) > 0 {
						s.chars = slices.Clone(cur)
					}
				}
				segs = append(segs, s)
			}
		}
		cur, space = cur[:0], false
	}
	for _, c := range pg.chars {
		switch c.r {
		case '\n', '\r':
			flush()
			continue
		case ' ':
			space = true
			continue
		}
		if len(cur) > 0 {
			p := cur[len(cur)-1]
			size := max(c.size, p.size, 1)
			if c.r == p.r && abs32(c.x0-p.x0) < 0.12*size && abs32(c.y0-p.y0) < 0.12*size && abs32(c.x1-p.x1) < 0.12*size && c.angle == 0 && c.r != softHyphen {
				continue // printed twice, to look bold
			}
			if pdfBreaks(cur, c, space) {
				flush()
			} else if g, p2 := where(c); len(grids) > 0 && (g != grid || p2 != cell) && (space || c.x0-p.x1 > 0.15*size || isCJK(c.r)) {
				flush() // a word that runs over a line is left whole
			} else if gap := c.x0 - p.x1; !space && c.angle == 0 && p.angle == 0 && gap > 0.3*size && gap > 0.9*max(p.x1-p.x0, c.x1-c.x0) && !isCJK(c.r) && !isCJK(p.r) && c.y1 > p.y0 {
				space = true // the engine missed a wide gap
			}
		}
		if space && len(cur) > 0 {
			cur = append(cur, pdfChar{r: ' ', x0: cur[len(cur)-1].x1, x1: c.x0, y0: c.y0, y1: c.y1, size: c.size, angle: c.angle})
		}
		space = false
		if len(cur) == 0 && len(grids) > 0 {
			grid, cell = where(c)
		}
		cur = append(cur, c)
	}
	flush()
	return pdfPartTight(dropOverprint(segs))
}

// pdfDrawnBullets puts a bullet before each line that has a small shape on its left, as browsers draw
// the marks of lists: between a third of its size and twice its size away, with nothing in between.
func pdfDrawnBullets(segs []pdfSeg, dots [][4]float64) {
	if len(dots) == 0 || len(dots) > pdfMaxDots {
		return
	}
	for _, d := range dots {
		x, y := d[2], (d[1]+d[3])/2
		var best *pdfSeg
		clear := true
		for i := range segs {
			s := &segs[i]
			if s.turned || s.vertical || y < s.y0 || y > s.y1 {
				continue
			}
			if x > s.x0-0.2*s.size {
				// Beside a word on its left, or within one, it is something else.
				clear = clear && d[0] > s.x1+6*s.size
				continue
			}
			if best == nil || s.x0 < best.x0 {
				best = s
			}
		}
		if best == nil || !clear || best.grid != nil || best.x0-x > 2.5*best.size || d[3]-d[1] > 0.5*best.size || pdfBullet.MatchString(best.text) {
			continue
		}
		if f := firstRune(best.text); !unicode.IsLetter(f) && !unicode.IsDigit(f) {
			continue
		}
		best.text = "• " + best.text
		best.x0 = d[0]
	}
}

func abs32(v float32) float32 { return float32(math.Abs(float64(v))) }

// pdfBreaks tells whether c begins another segment.
func pdfBreaks(cur []pdfChar, c pdfChar, space bool) bool {
	p := cur[len(cur)-1]
	if p.r == ' ' && len(cur) > 1 {
		p = cur[len(cur)-2]
	}
	size := max(c.size, p.size, 1)
	if abs32(c.angle-p.angle) > 0.1 {
		return true
	}
	if a := math.Abs(math.Sin(float64(c.angle))); a > 0.02 {
		// Along its own line: how far aside, and how far on.
		sin, cos := float32(math.Sin(float64(c.angle))), float32(math.Cos(float64(c.angle)))
		dx, dy := (c.x0+c.x1-p.x0-p.x1)/2, -(c.y0+c.y1-p.y0-p.y1)/2
		aside, on := abs32(dx*sin-dy*cos), dx*cos+dy*sin
		return aside > 1.2*size || on > 4*size || on < -2*size
	}
	pc, cc := (p.y0+p.y1)/2, (c.y0+c.y1)/2
	if isCJK(c.r) && isCJK(p.r) && !space {
		// From top to bottom: below the one before, and in the same column.
		dx := abs32((p.x0+p.x1)/2 - (c.x0+c.x1)/2)
		if cc-pc > 0.4*size && cc-pc < 2.2*size && dx < 0.4*size {
			return len(cur) > 1 && !pdfVertical(cur)
		}
		if len(cur) > 1 && pdfVertical(cur) {
			return true
		}
	}
	if abs32(pc-cc) > 0.75*size && (c.y0 > p.y1-0.1*size || c.y1 < p.y0+0.1*size) {
		return true
	}
	if rightToLeft(c.r) || rightToLeft(p.r) {
		return c.x0-p.x1 > 3*size || p.x0-c.x1 > 3*size
	}
	return c.x0-p.x1 > 1.1*size || c.x0 < p.x0-0.8*size
}

func pdfVertical(cur []pdfChar) bool {
	if len(cur) < 2 {
		return false
	}
	a, b := cur[0], cur[len(cur)-1]
	return b.y0-a.y0 > 2*abs32(b.x0-a.x0) && b.y0-a.y0 > 0.4*a.size
}

func rightToLeft(r rune) bool {
	return r >= 0x590 && r <= 0x8ff || r >= 0xfb1d && r <= 0xfdff || r >= 0xfe70 && r <= 0xfefc
}

func newPDFSeg(cur []pdfChar) (pdfSeg, bool) {
	for len(cur) > 0 && cur[len(cur)-1].r == ' ' {
		cur = cur[:len(cur)-1]
	}
	if len(cur) == 0 {
		return pdfSeg{}, false
	}
	s := pdfSeg{x0: math.Inf(1), y0: math.Inf(1), x1: math.Inf(-1), y1: math.Inf(-1), vertical: len(cur) > 1 && pdfVertical(cur) && isCJK(cur[0].r)}
	var bold, mono int
	var size float64
	rtl := 0
	for _, c := range cur {
		if c.r == ' ' {
			continue
		}
		s.runes++
		s.x0, s.y0 = min(s.x0, float64(c.x0)), min(s.y0, float64(c.y0))
		s.x1, s.y1 = max(s.x1, float64(c.x1)), max(s.y1, float64(c.y1))
		size = max(size, float64(c.size))
		if c.bold {
			bold++
		}
		if c.mono {
			mono++
		}
		if rightToLeft(c.r) {
			rtl++
		}
	}
	s.turned = math.Abs(math.Sin(float64(cur[0].angle))) > 0.05 || math.Cos(float64(cur[0].angle)) < 0
	s.size = size
	if s.size < 0.5 {
		s.size = max(1, s.y1-s.y0)
	}
	s.bold, s.mono = bold*10 >= s.runes*8, mono*10 >= s.runes*8
	var b strings.Builder
	if rtl*2 > s.runes {
		cur = logicalOrder(cur)
	}
	for _, c := range cur {
		b.WriteRune(c.r)
	}
	s.text = b.String()
	return s, true
}

// logicalOrder turns right-to-left text that a file holds in the order of the eye into that of speech.
func logicalOrder(cur []pdfChar) []pdfChar {
	forward, back := 0, 0
	for i := 1; i < len(cur); i++ {
		if a, b := cur[i-1], cur[i]; rightToLeft(a.r) && rightToLeft(b.r) {
			if b.x0 > a.x0 {
				forward++
			} else if b.x0 < a.x0 {
				back++
			}
		}
	}
	if forward <= back {
		return cur
	}
	out := slices.Clone(cur)
	slices.Reverse(out)
	// Numbers and Latin words within read from left to right.
	for i := 0; i < len(out); {
		if rightToLeft(out[i].r) || out[i].r == ' ' {
			i++
			continue
		}
		j := i
		for j < len(out) && !rightToLeft(out[j].r) && out[j].r != ' ' {
			j++
		}
		slices.Reverse(out[i:j])
		i = j
	}
	return out
}

// dropOverprint removes segments printed a second time in the same place: shadows, bold by overprint.
func dropOverprint(segs []pdfSeg) []pdfSeg {
	seen := map[string][]int{}
	out := segs[:0]
next:
	for _, s := range segs {
		for _, i := range seen[s.text] {
			o := &out[i]
			if math.Abs(o.x0-s.x0) < 0.3*s.size && math.Abs(o.y0-s.y0) < 0.3*s.size && math.Abs(o.x1-s.x1) < 0.3*s.size {
				continue next
			}
		}
		seen[s.text] = append(seen[s.text], len(out))
		out = append(out, s)
	}
	return out
}
