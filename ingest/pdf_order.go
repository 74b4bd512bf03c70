package ingest

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// pdfRow is what stands on one line of a column: its segments from left to right.
type pdfRow struct {
	segs           []pdfSeg
	x0, y0, x1, y1 float64
	size           float64
	bold, mono     bool
	runes          int
}

func (r *pdfRow) cy() float64 { return (r.y0 + r.y1) / 2 }

func (r *pdfRow) text() string {
	if len(r.segs) == 1 {
		return r.segs[0].text
	}
	var b strings.Builder
	for i, s := range r.segs {
		if i > 0 {
			p := r.segs[i-1]
			l, _ := utf8.DecodeLastRuneInString(p.text)
			f, _ := utf8.DecodeRuneInString(s.text)
			// Parts of one word that the engine parted, such as a raised letter, stay together.
			if s.x0-p.x1 > 0.15*max(s.size, p.size) && !(isCJK(l) && isCJK(f) && s.x0-p.x1 < 1.5*s.size) {
				b.WriteByte(' ')
			} else if s.x0-p.x1 < -0.5*s.size {
				b.WriteByte(' ')
			}
		}
		b.WriteString(s.text)
	}
	return b.String()
}

func newPDFRow(segs []pdfSeg) pdfRow {
	slices.SortStableFunc(segs, func(a, b pdfSeg) int { return cmpFloat(a.x0, b.x0) })
	if len(segs) > 1 && pdfMarker.MatchString(segs[0].text) && segs[1].x0-segs[0].x1 < 5*segs[1].size {
		// A bullet and its text are one thing, however far apart.
		m := segs[0]
		segs = segs[1:]
		segs[0].text = m.text + " " + segs[0].text
		segs[0].x0, segs[0].y0, segs[0].y1 = m.x0, min(segs[0].y0, m.y0), max(segs[0].y1, m.y1)
		segs[0].runes += m.runes
	}
	r := pdfRow{segs: segs, x0: math.Inf(1), y0: math.Inf(1), x1: math.Inf(-1), y1: math.Inf(-1), bold: true, mono: true}
	most := 0
	for _, s := range segs {
		r.x0, r.y0, r.x1, r.y1 = min(r.x0, s.x0), min(r.y0, s.y0), max(r.x1, s.x1), max(r.y1, s.y1)
		r.bold, r.mono = r.bold && s.bold, r.mono && s.mono
		r.runes += s.runes
		if s.runes > most {
			most, r.size = s.runes, s.size
		}
	}
	return r
}

func cmpFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// pdfRows groups segments into rows, top to bottom.
func pdfRows(segs []pdfSeg) []pdfRow {
	segs = slices.Clone(segs)
	slices.SortStableFunc(segs, func(a, b pdfSeg) int { return cmpFloat(a.cy(), b.cy()) })
	var rows []pdfRow
	for i := 0; i < len(segs); {
		// A row is led by its largest segment; small ones beside it (indices) may stand higher or lower.
		j := i + 1
		lead := segs[i]
		for j < len(segs) {
			s := segs[j]
			if s.table != nil || lead.table != nil {
				break
			}
			if s.cy()-lead.cy() > 0.5*max(s.size, lead.size)*0.9 || s.y0 > lead.y1-0.15*min(s.size, lead.size) {
				break
			}
			if overlapsX(segs[i:j], s) {
				break
			}
			if s.size > lead.size*1.1 {
				lead = s
			}
			j++
		}
		rows = append(rows, newPDFRow(slices.Clone(segs[i:j])))
		i = j
	}
	return rows
}

// overlapsX tells whether s would stand upon a segment of the row.
func overlapsX(row []pdfSeg, s pdfSeg) bool {
	for _, o := range row {
		if w := min(o.x1, s.x1) - max(o.x0, s.x0); w > 0.5*min(o.x1-o.x0, s.x1-s.x0) && math.Abs(o.cy()-s.cy()) > 0.25*s.size {
			return true
		}
	}
	return false
}

// pdfRegion is a part of a page that reads from top to bottom.
type pdfRegion struct{ rows []pdfRow }

// pdfMaxOrdered is the number of segments of a page up to which columns are looked for: a page of small
// print has a thousand, and the time grows with the square.
const pdfMaxOrdered = 6000

// pdfOrder arranges a page's segments into regions in reading order: columns one after another,
// between the lines that run across them.
func pdfOrder(segs []pdfSeg, depth int) []pdfRegion {
	if len(segs) == 0 {
		return nil
	}
	if depth < 4 && len(segs) <= pdfMaxOrdered {
		if g, ok := pdfGutter(segs); ok {
			var left, right, cross []pdfSeg
			for _, s := range segs {
				switch {
				case s.x1 <= g+1:
					left = append(left, s)
				case s.x0 >= g-1:
					right = append(right, s)
				default:
					cross = append(cross, s)
				}
			}
			slices.SortStableFunc(cross, func(a, b pdfSeg) int { return cmpFloat(a.cy(), b.cy()) })
			var out []pdfRegion
			take := func(from []pdfSeg, until float64) (head, rest []pdfSeg) {
				for _, s := range from {
					if s.cy() < until {
						head = append(head, s)
					} else {
						rest = append(rest, s)
					}
				}
				return head, rest
			}
			var head []pdfSeg
			var across []pdfSeg
			flushAcross := func() {
				if len(across) > 0 {
					out = append(out, pdfRegion{pdfRows(across)})
					across = nil
				}
			}
			for _, c := range cross {
				var l, r []pdfSeg
				l, left = take(left, c.y0)
				r, right = take(right, c.y0)
				if len(l)+len(r) > 0 {
					// What stands beside a line that runs across belongs to its row.
					flushAcross()
					out = append(out, pdfOrder(l, depth+1)...)
					out = append(out, pdfOrder(r, depth+1)...)
				}
				head, left = take(left, c.y1)
				across = append(across, head...)
				head, right = take(right, c.y1)
				across = append(across, head...)
				across = append(across, c)
			}
			flushAcross()
			out = append(out, pdfOrder(left, depth+1)...)
			out = append(out, pdfOrder(right, depth+1)...)
			return out
		}
	}
	return []pdfRegion{{pdfRows(segs)}}
}

// pdfGutter looks for the gap between two columns of text: a vertical strip that few lines cross, with
// several well-filled lines on either side. Tables have such strips too, but short cells.
func pdfGutter(segs []pdfSeg) (float64, bool) {
	if len(segs) < 8 {
		return 0, false
	}
	x0, x1 := math.Inf(1), math.Inf(-1)
	for _, s := range segs {
		x0, x1 = min(x0, s.x0), max(x1, s.x1)
	}
	width := x1 - x0
	if width < 100 || math.IsInf(width, 0) {
		return 0, false
	}
	const bins = 240
	var crossing [bins + 1]int
	at := func(i int) float64 { return x0 + width*float64(i)/bins }
	bin := func(x float64) int { return min(max(int((x-x0)/width*bins), 0), bins) }
	for _, s := range segs {
		for i := bin(s.x0) + 1; i <= bin(s.x1) && i <= bins; i++ {
			if at(i) > s.x0+0.5 && at(i) < s.x1-0.5 {
				crossing[i]++
			}
		}
	}
	type strip struct {
		from, to, n int
	}
	var strips []strip
	for i := bins * 15 / 100; i <= bins*85/100; i++ {
		if k := len(strips); k > 0 && strips[k-1].to == i-1 && strips[k-1].n == crossing[i] {
			strips[k-1].to = i
		} else {
			strips = append(strips, strip{i, i, crossing[i]})
		}
	}
	slices.SortStableFunc(strips, func(a, b strip) int {
		if a.n != b.n {
			return a.n - b.n
		}
		return (b.to - b.from) - (a.to - a.from)
	})
	for _, st := range strips[:min(len(strips), 6)] {
		g := (at(st.from) + at(st.to)) / 2
		if st.n*4 > len(segs) {
			break
		}
		var left, right []pdfSeg
		for _, s := range segs {
			switch {
			case s.x1 <= g+1:
				left = append(left, s)
			case s.x0 >= g-1:
				right = append(right, s)
			}
		}
		if st.n*2 > len(left)+len(right) {
			continue
		}
		if pdfColumn(left) && pdfColumn(right) && pdfBeside(left, right) {
			return g, true
		}
	}
	return 0, false
}

// pdfColumn tells whether segments look like a column of running text.
func pdfColumn(segs []pdfSeg) bool {
	if len(segs) < 4 {
		return false
	}
	rows := pdfRows(segs)
	if len(rows) < 4 {
		return false
	}
	x0, x1 := math.Inf(1), math.Inf(-1)
	for _, r := range rows {
		x0, x1 = min(x0, r.x0), max(x1, r.x1)
	}
	full, runes, n := 0, 0, 0
	for _, r := range rows {
		if t := r.segs[0].table; t != nil {
			n += t.lines // as so many lines of text
			full += t.lines
			runes += 16 * t.lines
			continue
		}
		n++
		if r.x1-r.x0 > 0.6*(x1-x0) {
			full++
		}
		runes += r.runes
		if isCJK(firstRune(r.segs[0].text)) {
			runes += r.runes
		}
	}
	return full*2 >= n && runes >= 16*n
}

func firstRune(s string) rune {
	r, _ := utf8.DecodeRuneInString(s)
	return r
}

func pdfBeside(a, b []pdfSeg) bool {
	extent := func(segs []pdfSeg) (float64, float64) {
		y0, y1 := math.Inf(1), math.Inf(-1)
		for _, s := range segs {
			y0, y1 = min(y0, s.y0), max(y1, s.y1)
		}
		return y0, y1
	}
	a0, a1 := extent(a)
	b0, b1 := extent(b)
	return min(a1, b1)-max(a0, b0) > 0.4*min(a1-a0, b1-b0)
}
