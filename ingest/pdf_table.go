package ingest

import (
	"math"
	"slices"
	"strings"

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
