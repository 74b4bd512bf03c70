package ingest

import (
	"regexp"
	"slices"
	"strings"
)

// pdfTable tells whether rows begin with a table that has no lines, of how many rows, and reads it. It
// goes by the strips of white between the segments of rows that follow one another. Text that stands in
// columns for another reason, such as verse, forms, formulas and listings, is to stay text: a table
// that is missed does less harm than a sentence cut to pieces.
func pdfTable(rows []pdfRow, budget *int) (int, *pdfTableText) {
	if len(rows) < 2 || len(rows[0].segs) < 2 {
		return 0, nil
	}
	n, multi, mono := 0, 0, 0
	var cols []pdfSpan
	for i, r := range rows {
		if r.segs[0].table != nil || len(r.segs) > pdfMaxColumns || *budget < 0 {
			break
		}
		if i > 0 && (r.y0-rows[i-1].y1 > 2.2*r.size || r.size > 1.5*rows[0].size || r.y0 < rows[i-1].y1-0.35*r.size || r.size < 0.75*rows[i-1].size) {
			break
		}
		*budget--
		for _, s := range r.segs {
			if dotLeader.MatchString(s.text) {
				return 0, nil // a table of contents
			}
		}
		next := pdfMoreColumns(cols, r)
		if i > 0 && (len(next) < 2 || len(next) < len(cols)-len(cols)/3) {
			break
		}
		if len(r.segs) == 1 {
			// A further line of a cell, unless it runs beyond its column.
			if r.y0-rows[i-1].y1 > 0.6*r.size {
				break
			}
			last := i+1 >= len(rows) || len(rows[i+1].segs) < 2
			if last && !(len(next) == len(cols) && r.x0 > cols[0].x1 && i > 1) {
				break
			}
		} else {
			multi++
		}
		if r.mono {
			mono++
		}
		cols = next
		n = i + 1
	}
	if len(cols) < 2 || multi < 2 || multi*2 < n {
		return 0, nil
	}
	grid := make([][]pdfSeg, n) // for each line and column, one segment with all its text
	for i, r := range rows[:n] {
		grid[i] = make([]pdfSeg, len(cols))
		for _, s := range r.segs {
			for c, col := range cols {
				if s.x0 >= col.x0-0.5 && s.x1 <= col.x1+0.5 {
					g := &grid[i][c]
					if g.runes == 0 {
						*g = s
					} else {
						g.text, g.runes, g.x1 = g.text+" "+s.text, g.runes+s.runes, s.x1
					}
					break
				}
			}
		}
	}
	if !pdfLooksTabular(grid, cols, multi, mono*2 > n) {
		return 0, nil
	}
	on := pdfGoOn(rows[:n], grid, cols)
	t := &pdfTableText{lines: n}
	for i, line := range grid {
		text := make([]string, len(cols))
		for c := range line {
			text[c] = line[c].text
		}
		if on[i] {
			last := t.rows[len(t.rows)-1]
			for c, s := range text {
				last[c] = joinLines(last[c], s)
			}
			continue
		}
		t.rows = append(t.rows, text)
	}
	for _, r := range t.rows {
		for c := range r {
			r[c] = strings.ReplaceAll(r[c], string(softHyphen), "-")
		}
	}
	if t = t.tidy(); t == nil {
		return 0, nil
	}
	return n, t
}

// pdfTextColumns tells whether rows begin with lines of text in columns, which neither a strip across
// the whole region nor a table makes: verse, addresses, narrow columns. It returns how many rows, and
// the columns, which read one after another.
func pdfTextColumns(rows []pdfRow, budget *int) (int, [][]pdfRow) {
	var cols []pdfSpan
	n := 0
	for i, r := range rows {
		if r.segs[0].table != nil || r.mono || *budget < 0 || i > 0 && (r.y0-rows[i-1].y1 > 2.2*r.size || r.size > 1.3*rows[0].size || r.size < 0.75*rows[0].size || r.y0 < rows[i-1].y1-0.35*r.size) {
			break
		}
		*budget--
		next := pdfMoreColumns(cols, r)
		if i > 0 && len(next) != max(len(cols), len(next)) || len(next) > 4 {
			break
		}
		if len(r.segs) < 2 && (i == 0 || len(next) < 2) {
			break
		}
		cols = next
		n = i + 1
	}
	for n > 0 && len(rows[n-1].segs) < 2 {
		n--
	}
	if n < 4 || len(cols) < 2 {
		return 0, nil
	}
	out := make([][]pdfRow, len(cols))
	runes := make([]int, len(cols))
	for _, r := range rows[:n] {
		parts := make([][]pdfSeg, len(cols))
		for _, s := range r.segs {
			for c, col := range cols {
				if s.x0 >= col.x0-0.5 && s.x1 <= col.x1+0.5 {
					parts[c] = append(parts[c], s)
					runes[c] += s.runes
					if isCJK(firstRune(s.text)) {
						runes[c] += s.runes
					}
					break
				}
			}
		}
		for c, segs := range parts {
			if len(segs) > 0 {
				out[c] = append(out[c], newPDFRow(segs))
			}
		}
	}
	for c := range cols {
		if len(out[c])*10 < n*6 || runes[c] < 22*len(out[c]) {
			return 0, nil
		}
	}
	return n, out
}

// pdfMoreColumns widens columns by what stands in a row, joining those that it joins.
func pdfMoreColumns(cols []pdfSpan, r pdfRow) []pdfSpan {
	next := slices.Clone(cols)
	for _, s := range r.segs {
		next = append(next, pdfSpan{s.x0, s.x1})
	}
	slices.SortFunc(next, func(a, b pdfSpan) int { return cmpFloat(a.x0, b.x0) })
	merged := next[:0]
	for _, s := range next {
		if k := len(merged); k > 0 && s.x0 < merged[k-1].x1 {
			merged[k-1].x1 = max(merged[k-1].x1, s.x1)
		} else {
			merged = append(merged, s)
		}
	}
	return merged
}

var pdfFigure = regexp.MustCompile(`^[-+−–(]?[\p{Sc}]?\s?[-+−–]?[0-9][0-9.,' ]*\)?\s?(?:%|[\p{Sc}])?$|^[-–—]$`)

func pdfDigits(s string) (n int) {
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			n++
		}
	}
	return n
}

// pdfLooksTabular tells tables from other things that stand in columns.
func pdfLooksTabular(grid [][]pdfSeg, cols []pdfSpan, multi int, mono bool) bool {
	k := len(cols)
	cells, runes, wide := 0, 0, 0
	count, sum, figures, numbers := make([]int, k), make([]int, k), make([]int, k), 0
	for _, line := range grid {
		for c := range line {
			s := &line[c]
			if s.runes == 0 {
				continue
			}
			n := s.runes
			if isCJK(firstRune(s.text)) {
				n *= 2
			}
			cells++
			runes += n
			count[c]++
			sum[c] += n
			if pdfFigure.MatchString(s.text) {
				figures[c]++
			} else if n >= 12 && (n >= 24 || pdfDigits(s.text) < 2) && s.x1-s.x0 > 0.8*(cols[c].x1-cols[c].x0) {
				wide++
			}
			if c == 0 && pdfLineNumber.MatchString(s.text) {
				numbers++
			}
		}
	}
	numeric := 0
	for c := 1; c < k; c++ {
		if count[c] > 0 && figures[c]*10 >= count[c]*5 {
			numeric++
		}
	}
	switch {
	case runes > 45*cells, wide*2 > cells: // text in columns
		return false
	case cells*100 < 35*k*len(grid): // a drawing, a formula
		return false
	case multi < 3:
		return k >= 3 && cells*100 >= 85*k*len(grid) && runes <= 15*cells && runes >= 3*cells
	case k == 2 && multi < 4 && numeric == 0:
		return false
	case mono && numeric == 0 && (k < 4 || cells*10 < 6*k*len(grid)): // a listing, with gaps
		return false
	case k == 2 && numbers*10 >= len(grid)*7 && numeric == 0: // a listing
		return false
	}
	if numeric > 0 {
		return true
	}
	long := 0
	for c := range k {
		if sum[c] > 26*count[c] {
			long++
			if c == 0 && sum[c] > 40*count[c] {
				return false
			}
		}
	}
	return long*2 < k || k == 2 && long == 1
}

// pdfGoOn tells which lines of a table go on with the cells of the line above: those without a first
// cell that stand closer than rows do, or that stand below cells full to the edge.
func pdfGoOn(rows []pdfRow, grid [][]pdfSeg, cols []pdfSpan) []bool {
	on := make([]bool, len(grid))
	var steps []float64
	for i := 1; i < len(grid); i++ {
		if grid[i][0].runes > 0 && len(rows[i].segs) > 1 {
			steps = append(steps, rows[i].cy()-rows[i-1].cy())
		}
	}
	slices.Sort(steps)
	step := 0.0
	if len(steps) > 0 {
		step = steps[len(steps)/2]
	}
	for i := 1; i < len(grid); i++ {
		if len(rows[i].segs) == 1 {
			on[i] = true
			continue
		}
		if grid[i][0].runes > 0 {
			continue
		}
		d := rows[i].cy() - rows[i-1].cy()
		full, below, plain := true, true, true
		for c := range cols {
			s, up := &grid[i][c], &grid[i-1][c]
			if s.runes == 0 {
				continue
			}
			below = below && up.runes > 0
			full = full && up.runes >= 8 && up.x1-up.x0 > 0.7*(cols[c].x1-cols[c].x0)
			plain = plain && !pdfFigure.MatchString(s.text)
		}
		on[i] = below && plain && (d < 0.8*step || full && d < 1.1*step)
	}
	return on
}
