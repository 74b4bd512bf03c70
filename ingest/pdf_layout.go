package ingest

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"docent/chunker"
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
	return dropOverprint(segs)
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

// pdfPara is a block of a page before headings are told from paragraphs.
type pdfPara struct {
	kind  chunker.Kind
	text  string
	size  float64
	bold  bool
	lines int
	open  bool // may go on in the next paragraph: it does not end like one
	level int
	gap   bool // set apart from what stands above

	table  *pdfTableText // of a table
	joined bool          // goes on with the table before
}

// pdfParas builds the blocks of a page from its segments and the lines drawn across it.
func pdfParas(segs []pdfSeg, across []pdfRule, body float64) []pdfPara {
	segs = pdfSetTables(segs, across)
	var level, vertical, turned []pdfSeg
	verticalRunes, allRunes := 0, 0
	for _, s := range segs {
		allRunes += s.runes
		switch {
		case s.table != nil:
			level = append(level, s)
		case s.turned:
			turned = append(turned, s)
		case s.vertical:
			vertical = append(vertical, s)
			verticalRunes += s.runes
		default:
			level = append(level, s)
		}
	}
	var out []pdfPara
	for _, reg := range pdfOrder(level, 0) {
		out = append(out, pdfRegionParas(reg.rows, body)...)
	}
	if len(vertical) > 0 {
		// Columns from right to left; one that stops short of the others ends a paragraph.
		slices.SortStableFunc(vertical, func(a, b pdfSeg) int {
			if math.Abs(a.x0-b.x0) > 0.5*a.size {
				return cmpFloat(b.x0, a.x0)
			}
			return cmpFloat(a.y0, b.y0)
		})
		bottom := 0.0
		for _, s := range vertical {
			bottom = max(bottom, s.y1)
		}
		var b strings.Builder
		var paras []pdfPara
		for i, s := range vertical {
			b.WriteString(s.text)
			if i+1 == len(vertical) || s.y1 < bottom-3*s.size {
				paras = append(paras, pdfPara{kind: chunker.Paragraph, text: b.String(), size: s.size, lines: 2})
				b.Reset()
			}
		}
		if verticalRunes*2 > allRunes {
			out = append(paras, out...)
		} else {
			out = append(out, paras...)
		}
	}
	return append(out, pdfTurned(turned)...)
}

// pdfTurned joins segments along other directions in the order the file has them.
func pdfTurned(segs []pdfSeg) []pdfPara {
	var out []pdfPara
	for i, s := range segs {
		if n := len(out); n > 0 && i > 0 && math.Abs(segs[i-1].size-s.size) < 0.1*s.size && math.Hypot(segs[i-1].x0-s.x0, segs[i-1].y0-s.y0) < 2.5*s.size {
			out[n-1].text = joinLines(out[n-1].text, s.text)
			continue
		}
		out = append(out, pdfPara{kind: chunker.Paragraph, text: s.text, size: s.size, lines: 2})
	}
	return out
}

var (
	pdfBullet   = regexp.MustCompile(`^(?:[•●○◦▪▫■□◆◇➢➤►▶‣⁃∙·–—✓✔\x{f0b7}\x{f0a7}\x{f076}\x{f0d8}*-]\s+\S|[•●▪■◆➢►‣\x{f0b7}\x{f0a7}])`)
	pdfNumbered = regexp.MustCompile(`^(?:\(?[0-9]{1,3}[.)、）]|\(?[a-zA-Z][.)]|\(?[ivx]{1,5}[.)]|[（(][一二三四五六七八九十]{1,3}[）)]|[一二三四五六七八九十]{1,3}、|[①-⑳])\s*\S`)
	pdfMarker   = regexp.MustCompile(`^(?:[•●○◦▪▫■□◆◇➢➤►▶‣⁃∙·–—*-]|[\x{f0b7}\x{f0a7}\x{f076}\x{f0d8}]|\(?[0-9]{1,3}[.)]|\(?[a-zA-Z][.)])$`)
	dotLeader   = regexp.MustCompile(`(?:\s?[.…·‧]){4,}\s*`)
	sentenceEnd = regexp.MustCompile(`[.!?:;。！？：；…"”』」’)）]$`)
)

// pdfRegionParas makes blocks of the rows of one region.
func pdfRegionParas(rows []pdfRow, body float64) []pdfPara {
	if len(rows) == 0 {
		return nil
	}
	left, right := math.Inf(1), math.Inf(-1)
	var gaps []float64
	for i, r := range rows {
		left, right = min(left, r.x0), max(right, r.x1)
		if i > 0 && r.size < 1.15*rows[i-1].size && rows[i-1].size < 1.15*r.size {
			if d := (r.cy() - rows[i-1].cy()) / max(r.size, 1); d > 0.5 && d < 3 {
				gaps = append(gaps, d)
			}
		}
	}
	leading := 1.25
	if len(gaps) > 0 {
		slices.Sort(gaps)
		leading = gaps[len(gaps)/3]
	}
	var out []pdfPara
	var cur []pdfRow
	curGap := true
	flush := func() {
		if len(cur) == 0 {
			return
		}
		out = append(out, pdfJoin(cur, curGap, right))
		cur = nil
	}
	// Each row may begin a table, of any number of rows. Real pages do not come near this bound.
	budget := 2000 + 50*len(rows)
	for i := 0; i < len(rows); {
		if t := rows[i].segs[0].table; t != nil {
			flush()
			if t.caption != "" {
				out = append(out, pdfPara{kind: chunker.Paragraph, text: t.caption, size: rows[i].size, lines: 2, gap: true})
			}
			out = append(out, pdfPara{kind: chunker.Table, table: t, size: rows[i].size, lines: t.lines})
			i++
			continue
		}
		if n, t := pdfTable(rows[i:], &budget); n > 0 {
			flush()
			out = append(out, pdfPara{kind: chunker.Table, table: t, size: rows[i].size, lines: n})
			i += n
			continue
		}
		if n, columns := pdfTextColumns(rows[i:], &budget); n > 0 {
			flush()
			for _, c := range columns {
				out = append(out, pdfRegionParas(c, body)...)
			}
			i += n
			continue
		}
		r := rows[i]
		gap := true
		if i > 0 && rows[i-1].segs[0].table == nil {
			p := rows[i-1]
			d := (r.cy() - p.cy()) / max(min(r.size, p.size), 1)
			gap = d > 1.4*leading || d < 0
			if len(cur) > 0 && pdfNewPara(cur, r, rows[i+1:], gap, left, right) {
				flush()
			}
		}
		if len(cur) == 0 {
			curGap = gap
		}
		cur = append(cur, r)
		i++
	}
	flush()
	return out
}

// pdfNewPara tells whether row r begins another block than the rows in cur.
func pdfNewPara(cur []pdfRow, r pdfRow, after []pdfRow, gap bool, left, right float64) bool {
	p := cur[len(cur)-1]
	size := max(r.size, 1)
	text, before := r.text(), p.text()
	if r.mono && p.mono && math.Abs(r.size-p.size) < 0.1*size {
		return false
	}
	if gap || r.size > 1.12*p.size || p.size > 1.12*r.size || r.mono != p.mono {
		return true
	}
	if r.bold != p.bold && (p.bold && allBold(cur) || r.bold && p.x1 < right-4*size) {
		return true
	}
	if strings.HasSuffix(before, string(softHyphen)) {
		return false
	}
	if pdfBullet.MatchString(text) {
		return true
	}
	ended := sentenceEnd.MatchString(before)
	short := p.x1 < right-0.15*(right-left) && p.x1 < right-3*size
	if pdfNumbered.MatchString(text) && (ended || short) {
		return true
	}
	if short && (ended || isCJK(firstRune(text)) && p.x1 < right-0.3*(right-left)) {
		return true
	}
	if r.mono {
		return false
	}
	// A first line set in: the next one is back where this paragraph's lines begin.
	if in := r.x0 - p.x0; in > 0.8*size && in < 6*size && !pdfBullet.MatchString(cur[0].text()) && !pdfNumbered.MatchString(cur[0].text()) {
		if len(after) == 0 || after[0].x0 < r.x0-0.5*size {
			return ended || len(cur) > 1 || len(after) > 0 && math.Abs(after[0].x0-p.x0) < 0.5*size
		}
	}
	// The end of an entry whose further lines were set in.
	if len(cur) > 1 && r.x0 < p.x0-0.8*size && math.Abs(r.x0-cur[0].x0) < 0.5*size {
		return true
	}
	return false
}

func allBold(rows []pdfRow) bool {
	for _, r := range rows {
		if !r.bold {
			return false
		}
	}
	return true
}

// pdfJoin makes one block of rows.
func pdfJoin(rows []pdfRow, gap bool, right float64) pdfPara {
	p := pdfPara{kind: chunker.Paragraph, size: rows[0].size, bold: allBold(rows), lines: len(rows), gap: gap}
	mono, runes := true, 0
	for _, r := range rows {
		mono = mono && r.mono
		runes += r.runes
	}
	if mono && len(rows) >= 2 {
		p.kind = chunker.Code
		left := rows[0].x0
		for _, r := range rows {
			left = min(left, r.x0)
		}
		for i, r := range rows {
			if i > 0 {
				p.text += "\n"
			}
			if in := int((r.x0-left)/(0.6*max(r.size, 1)) + 0.5); in > 0 && in < 80 {
				p.text += strings.Repeat(" ", in)
			}
			p.text += strings.ReplaceAll(r.text(), string(softHyphen), "-")
		}
		return p
	}
	for i, r := range rows {
		if i == 0 {
			p.text = r.text()
			continue
		}
		p.text = joinLines(p.text, r.text())
	}
	if dotLeader.MatchString(p.text) {
		p.text = dotLeader.ReplaceAllString(p.text, " … ")
	}
	if pdfBullet.MatchString(p.text) {
		p.kind, p.level = chunker.ListItem, 1
		_, n := utf8.DecodeRuneInString(p.text)
		p.text = "- " + strings.TrimSpace(p.text[n:])
	}
	last := rows[len(rows)-1]
	p.open = !sentenceEnd.MatchString(p.text) && (len(rows) > 1 || runes > 30) && last.x1 > right-6*last.size || strings.HasSuffix(p.text, string(softHyphen))
	return p
}

// joinLines joins two lines of a paragraph, undoing a hyphen at the end of the first.
func joinLines(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	if s, ok := strings.CutSuffix(a, string(softHyphen)); ok {
		return s + b
	}
	if s, ok := strings.CutSuffix(a, "-"); ok {
		l, _ := utf8.DecodeLastRuneInString(s)
		f, _ := utf8.DecodeRuneInString(b)
		if unicode.IsLetter(l) && unicode.IsLower(f) {
			return s + b
		}
		if unicode.IsLetter(l) || unicode.IsDigit(l) {
			return a + b
		}
	}
	l, _ := utf8.DecodeLastRuneInString(a)
	f, _ := utf8.DecodeRuneInString(b)
	if isCJK(l) && isCJK(f) {
		return a + b
	}
	return a + " " + b
}
