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

// pdfTableText is a table read from a page.
type pdfTableText struct {
	caption string // what stands in a row of its own above the header
	rows    [][]string
	xs      []float64 // where its columns begin and the last one ends; nil when they are not ruled
	lines   int
}

// pdfSetTables puts whole tables in the place of the segments that stand in them.
func pdfSetTables(segs []pdfSeg, across []pdfRule) []pdfSeg {
	byGrid := map[*pdfGrid][]pdfSeg{}
	var grids []*pdfGrid
	var out []pdfSeg
	for _, s := range segs {
		if s.grid == nil {
			out = append(out, s)
			continue
		}
		if byGrid[s.grid] == nil {
			grids = append(grids, s.grid)
		}
		byGrid[s.grid] = append(byGrid[s.grid], s)
	}
	for _, g := range grids {
		if t := g.table(byGrid[g]); t != nil {
			out = append(out, pdfTableSeg(t, byGrid[g], g.xs[0], g.xs[len(g.xs)-1]))
		} else {
			out = append(out, byGrid[g]...)
		}
	}
	var free []pdfRule
	for _, r := range across {
		if !slices.ContainsFunc(grids, func(g *pdfGrid) bool {
			return r.at > g.ys[0]-pdfRuleJoin && r.at < g.ys[len(g.ys)-1]+pdfRuleJoin && r.from < g.xs[len(g.xs)-1] && r.to > g.xs[0]
		}) {
			free = append(free, r)
		}
	}
	return pdfBareTables(out, free)
}

// pdfTableSeg is a segment that stands for the table made of segs.
func pdfTableSeg(t *pdfTableText, segs []pdfSeg, x0, x1 float64) pdfSeg {
	s := pdfSeg{table: t, x0: x0, x1: x1, y0: math.Inf(1), y1: math.Inf(-1)}
	sizes := make([]float64, 0, len(segs))
	for _, o := range segs {
		s.y0, s.y1 = min(s.y0, o.y0), max(s.y1, o.y1)
		sizes = append(sizes, o.size)
	}
	slices.Sort(sizes)
	s.size = sizes[len(sizes)/2]
	return s
}

// pdfCellText joins the lines of a cell.
func pdfCellText(segs []pdfSeg) string {
	text := ""
	for _, r := range pdfRows(segs) {
		text = joinLines(text, r.text())
	}
	return strings.ReplaceAll(text, string(softHyphen), "-")
}

// table reads the text of a grid's cells. It returns nil where that makes no table.
func (g *pdfGrid) table(segs []pdfSeg) *pdfTableText {
	cols, rows := g.cols(), g.rows()
	byCell := make([][]pdfSeg, cols*rows)
	for _, s := range segs {
		if s.cell >= 0 && s.cell < len(byCell) {
			byCell[s.cell] = append(byCell[s.cell], s)
		}
	}
	// How far each cell reaches.
	wide, high := make([]int, len(byCell)), make([]int, len(byCell))
	for i, p := range g.cells {
		wide[p], high[p] = max(wide[p], i%cols-p%cols+1), max(high[p], i/cols-p/cols+1)
	}
	t := &pdfTableText{xs: g.xs, lines: rows}
	text := make([]string, len(byCell))
	for i, s := range byCell {
		if len(s) > 0 {
			text[i] = pdfCellText(s)
		}
	}
	first := 0
	for ; first < rows; first++ {
		n := 0
		for c := range cols {
			if text[first*cols+c] != "" {
				n++
			}
		}
		p := g.cells[first*cols]
		if n == 1 && text[p] != "" && wide[p] == cols && high[p] == 1 && cols > 1 {
			t.caption = joinLines(t.caption, text[p])
			continue
		}
		if n > 0 {
			break
		}
	}
	for r := first; r < rows; r++ {
		line := make([]string, cols)
		var parts [][]pdfSeg
		single := true
		for c := range cols {
			p := g.cells[r*cols+c]
			if high[p] > 1 {
				single = false
			}
			switch {
			case p == r*cols+c:
				line[c] = text[p]
				if len(byCell[p]) > 0 {
					parts = append(parts, byCell[p])
				}
			case p/cols == r:
				if r == first && len(t.rows) == 0 {
					line[c] = text[p] // a header over several columns
				}
			}
		}
		if single && len(parts) > 1 {
			if split := pdfSplitBand(parts, cols, func(s *pdfSeg) int { return s.cell % cols }); split != nil {
				t.rows = append(t.rows, split...)
				continue
			}
		}
		t.rows = append(t.rows, line)
	}
	if rows-first > 2 && len(t.rows) > 2 && g.twoHeaders(first, text, wide, high) {
		for c := range cols {
			a, b := t.rows[0][c], t.rows[1][c]
			if a != b {
				t.rows[0][c] = strings.TrimSpace(joinLines(a, b))
			}
		}
		t.rows = slices.Delete(t.rows, 1, 2)
	}
	return t.tidy()
}

// twoHeaders tells whether the second row names the columns that headers of the first run over.
func (g *pdfGrid) twoHeaders(first int, text []string, wide, high []int) bool {
	cols := g.cols()
	over := false
	for c := range cols {
		p := g.cells[first*cols+c]
		below := g.cells[(first+1)*cols+c]
		switch {
		case below == p: // beside both
		case wide[p] > 1 && text[p] != "":
			if below != (first+1)*cols+c || text[below] == "" {
				return false
			}
			over = true
		case text[below] != "":
			return false
		}
	}
	return over
}

// tidy drops empty rows, and returns nil when what is left has not two rows and two columns.
func (t *pdfTableText) tidy() *pdfTableText {
	used := map[int]bool{}
	kept := t.rows[:0]
	for _, r := range t.rows {
		n := 0
		for c, s := range r {
			if strings.TrimSpace(s) != "" {
				n++
				used[c] = true
			}
		}
		if n > 0 {
			kept = append(kept, r)
		}
	}
	t.rows = kept
	if len(t.rows) < 2 || len(used) < 2 {
		return nil
	}
	return t
}

// pdfSplitBand parts what stands between two lines into rows, where each of its lines of text is one:
// the cells all have the same number of lines, at least three. Otherwise it returns nil.
func pdfSplitBand(parts [][]pdfSeg, cols int, col func(*pdfSeg) int) [][]string {
	n := 0
	var all []pdfSeg
	for i, segs := range parts {
		k := len(pdfRows(segs))
		if i == 0 {
			n = k
		}
		if k != n || n < 3 {
			return nil
		}
		all = append(all, segs...)
	}
	lines := pdfRows(all)
	if len(lines) != n {
		return nil
	}
	runes := 0
	for _, s := range all {
		runes += s.runes
	}
	if runes > 30*n*len(parts) {
		return nil
	}
	out := make([][]string, 0, n)
	for _, l := range lines {
		line := make([]string, cols)
		for i := range l.segs {
			c := col(&l.segs[i])
			line[c] = strings.TrimSpace(line[c] + " " + strings.ReplaceAll(l.segs[i].text, string(softHyphen), "-"))
		}
		out = append(out, line)
	}
	return out
}

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

// pdfJoinTables writes the tables as Markdown. One that begins a page where one with the same columns
// ended the page before goes on with it: without the header, should it be printed again.
func pdfJoinTables(pages [][]pdfPara) {
	var chain []*pdfPara
	flush := func() {
		if len(chain) == 0 {
			return
		}
		var rows [][]string
		for _, p := range chain {
			rows = append(rows, p.table.rows...)
		}
		lines := strings.Split(markdownTable(rows), "\n")
		at := 0
		for i, p := range chain {
			n := len(p.table.rows)
			if i == 0 {
				n++ // the line below the header
			}
			n = min(n, len(lines)-at)
			p.text = strings.Join(lines[at:at+n], "\n")
			at += n
		}
		chain = chain[:0]
	}
	for _, page := range pages {
		for j := range page {
			p := &page[j]
			if p.kind != chunker.Table || p.table == nil {
				flush()
				continue
			}
			if j > 0 || len(chain) == 0 || !chain[0].table.goesOn(p.table) {
				flush()
			} else {
				p.joined = true
				if slices.Equal(chain[0].table.rows[0], p.table.rows[0]) && len(p.table.rows) > 1 {
					p.table.rows = p.table.rows[1:]
				}
			}
			chain = append(chain, p)
		}
	}
	flush()
}

// goesOn tells whether next has the columns of t.
func (t *pdfTableText) goesOn(next *pdfTableText) bool {
	if len(t.rows[0]) != len(next.rows[0]) || next.caption != "" {
		return false
	}
	if slices.Equal(t.rows[0], next.rows[0]) {
		return true
	}
	if len(t.xs) != len(next.xs) || len(t.xs) == 0 {
		return false
	}
	for i := range t.xs {
		if math.Abs((t.xs[i]-t.xs[0])-(next.xs[i]-next.xs[0])) > 4 {
			return false
		}
	}
	return true
}

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
