package ingest

import (
	"math"
	"regexp"
	"slices"
	"unicode"
	"unicode/utf8"
)

// pdfSpan is a column of a table without upright lines: from where to where its text reaches.
type pdfSpan struct{ x0, x1 float64 }

// pdfBareTables finds tables that only have lines across, of one width: one under each row, or one
// above the header, one below it and one at the end. The header may stand above the first line.
func pdfBareTables(segs []pdfSeg, across []pdfRule) []pdfSeg {
	if len(across) < 3 {
		return segs
	}
	across = slices.Clone(across)
	slices.SortStableFunc(across, func(a, b pdfRule) int { return cmpFloat(a.at, b.at) })
	var groups [][]pdfRule
	for _, r := range across {
		if r.to-r.from < 60 {
			continue
		}
		found := false
		for i := len(groups) - 1; i >= 0 && i >= len(groups)-20; i-- {
			if l := groups[i][len(groups[i])-1]; math.Abs(l.from-r.from) < 4 && math.Abs(l.to-r.to) < 4 && r.at-l.at < 400 {
				groups[i] = append(groups[i], r)
				found = true
				break
			}
		}
		if !found {
			groups = append(groups, []pdfRule{r})
		}
	}
	for n, g := range groups {
		if n < 100 && len(g) >= 3 {
			segs = pdfBareGroup(segs, g)
		}
	}
	return segs
}

// pdfBand is what stands between two lines.
type pdfBand struct {
	at    []int // of the page's segments
	lines []pdfRow
	prose bool
}

func pdfBareGroup(segs []pdfSeg, rules []pdfRule) []pdfSeg {
	band := func(y0, y1 float64) pdfBand {
		var b pdfBand
		var in []pdfSeg
		width := rules[0].to - rules[0].from
		for i := range segs {
			s := &segs[i]
			if s.table != nil || s.turned || s.vertical || s.cy() < y0 || s.cy() > y1 || s.x1 < rules[0].from || s.x0 > rules[0].to {
				if s.table != nil && s.y0 < y1 && s.y1 > y0 {
					b.prose = true
				}
				continue
			}
			if s.x0 < rules[0].from-10 || s.x1 > rules[0].to+10 || s.runes > 60 && s.x1-s.x0 > 0.6*width {
				b.prose = true
			}
			b.at = append(b.at, i)
			in = append(in, *s)
		}
		b.lines = pdfRows(in)
		return b
	}
	bands := make([]pdfBand, 0, len(rules)-1)
	for i := 1; i < len(rules); i++ {
		bands = append(bands, band(rules[i-1].at, rules[i].at))
	}
	gone := map[int]bool{}
	var tables []pdfSeg
	for i := 0; i < len(bands); {
		if bands[i].prose || len(bands[i].at) == 0 {
			i++
			continue
		}
		j := i
		for j < len(bands) && !bands[j].prose && len(bands[j].at) > 0 {
			j++
		}
		if j-i >= 2 {
			size := max(bands[i].lines[0].size, 1)
			above := band(rules[i].at-3.2*size, rules[i].at)
			if t, with := pdfBareTable(bands[i:j], above); t != nil {
				var in []pdfSeg
				if with {
					bands[i].at = append(bands[i].at, above.at...)
				}
				for _, b := range bands[i:j] {
					for _, k := range b.at {
						gone[k] = true
						in = append(in, segs[k])
					}
				}
				t.xs = []float64{rules[0].from, rules[0].to, float64(len(t.rows[0]))}
				tables = append(tables, pdfTableSeg(t, in, rules[0].from, rules[0].to))
			}
		}
		i = j
	}
	if len(tables) == 0 {
		return segs
	}
	out := make([]pdfSeg, 0, len(segs))
	for i := range segs {
		if !gone[i] {
			out = append(out, segs[i])
		}
	}
	return append(out, tables...)
}

// pdfColumns finds the columns of lines by their fullest ones.
func pdfColumns(lines []pdfRow) []pdfSpan {
	most := 0
	for _, l := range lines {
		most = max(most, len(l.segs))
	}
	if most < 2 {
		return nil
	}
	var spans []pdfSpan
	for _, l := range lines {
		if len(l.segs)*10 < most*8 {
			continue
		}
		for _, s := range l.segs {
			spans = append(spans, pdfSpan{s.x0, s.x1})
		}
	}
	slices.SortFunc(spans, func(a, b pdfSpan) int { return cmpFloat(a.x0, b.x0) })
	cols := spans[:0]
	for _, s := range spans {
		if k := len(cols); k > 0 && s.x0 < cols[k-1].x1+1 {
			cols[k-1].x1 = max(cols[k-1].x1, s.x1)
		} else {
			cols = append(cols, s)
		}
	}
	if len(cols) < 2 || len(cols)*10 < most*7 {
		return nil
	}
	return cols
}

// pdfColumnsOf tells which columns a segment stands in.
func pdfColumnsOf(cols []pdfSpan, s *pdfSeg) (from, to int) {
	from, to = -1, -1
	best, most := 0, math.Inf(-1)
	for c, col := range cols {
		w := min(col.x1, s.x1) - max(col.x0, s.x0)
		if w > most {
			best, most = c, w
		}
		if mid := (col.x0 + col.x1) / 2; w > 0.6*(col.x1-col.x0) && mid > s.x0 && mid < s.x1 {
			if from < 0 {
				from = c
			}
			to = c
		}
	}
	if from < 0 || to == from {
		return best, best
	}
	return from, to
}

var pdfLineNumber = regexp.MustCompile(`^[0-9]{1,4}[:.)]?$`)

// pdfBareTable reads a table from the bands between its lines; with tells that its header stands above
// the first line.
func pdfBareTable(bands []pdfBand, above pdfBand) (t *pdfTableText, with bool) {
	var lines []pdfRow
	for _, b := range bands {
		lines = append(lines, b.lines...)
	}
	cols := pdfColumns(lines)
	if cols == nil || len(cols) > pdfMaxColumns {
		return nil, false
	}
	full := func(l *pdfRow) bool {
		in := map[int]bool{}
		for i := range l.segs {
			c, _ := pdfColumnsOf(cols, &l.segs[i])
			in[c] = true
		}
		return len(in) >= 2 && len(in)*10 >= len(cols)*6
	}
	if !above.prose && len(above.lines) > 0 {
		last := above.lines[len(above.lines)-1]
		with = full(&last)
		for i := range last.segs {
			if c, d := pdfColumnsOf(cols, &last.segs[i]); c != d || last.segs[i].runes > 40 {
				with = false
			}
		}
		if with {
			bands = append([]pdfBand{above}, bands...)
		}
	}
	// One row between two lines, or several?
	ones, body := 0, 0
	for i, b := range bands {
		n := 0
		for j := range b.lines {
			if full(&b.lines[j]) {
				n++
			}
		}
		if i > 0 && n > 0 {
			body++
			if n == 1 {
				ones++
			}
		}
	}
	perLine := ones*2 < body || body < 2
	t = &pdfTableText{}
	row := func(lines []pdfRow, header bool) []string {
		by := make([][]pdfSeg, len(cols))
		out := make([]string, len(cols))
		for _, l := range lines {
			for i := range l.segs {
				c, d := pdfColumnsOf(cols, &l.segs[i])
				by[c] = append(by[c], l.segs[i])
				for k := c + 1; header && k <= d; k++ {
					by[k] = append(by[k], l.segs[i])
				}
			}
		}
		for c, segs := range by {
			out[c] = pdfCellText(segs)
		}
		return out
	}
	for i, b := range bands {
		t.lines += len(b.lines)
		if i == 0 || !perLine {
			t.rows = append(t.rows, row(b.lines, i == 0))
			continue
		}
		for _, g := range pdfRowGroups(b.lines, cols, full) {
			t.rows = append(t.rows, row(g, false))
		}
	}
	cells, runes, multi, numbers := 0, 0, 0, 0
	for _, r := range t.rows {
		n := 0
		for _, s := range r {
			if s != "" {
				n++
				runes += utf8.RuneCountInString(s)
			}
		}
		if pdfLineNumber.MatchString(r[0]) {
			numbers++
		}
		cells += n
		if n > 1 {
			multi++
		}
	}
	switch {
	case multi < 2 || multi*10 < len(t.rows)*6 || cells*10 < len(t.rows)*len(cols)*4:
		return nil, false
	case runes > 70*cells:
		return nil, false
	case len(cols) == 2 && numbers*10 >= len(t.rows)*7 && runes > 20*cells:
		return nil, false // a listing whose lines are numbered
	}
	return t.tidy(), with
}

// pdfRowGroups puts lines that go on with a row to the row: those whose first column is empty, and
// those that have only the first, written on.
func pdfRowGroups(lines []pdfRow, cols []pdfSpan, full func(*pdfRow) bool) [][]pdfRow {
	var out [][]pdfRow
	for i := range lines {
		l := &lines[i]
		if n := len(out); n > 0 && !full(l) {
			c, _ := pdfColumnsOf(cols, &l.segs[0])
			last := out[n-1]
			tight := l.y0-last[len(last)-1].y1 < 0.7*l.size
			on := c > 0 || unicode.IsLower(firstRune(l.segs[0].text)) || l.x0 > last[0].x0+0.5*l.size
			if tight && on {
				out[n-1] = append(last, *l)
				continue
			}
		}
		out = append(out, []pdfRow{*l})
	}
	return out
}
