package ingest

import (
	"math"
	"slices"
)

// pdfRule is a straight line drawn across or down a page, in points from the page's top left corner.
type pdfRule struct {
	upright  bool
	at       float64 // its y, or its x when it is upright
	from, to float64 // where it begins and ends, on the other axis
}

const (
	pdfRuleWidth = 3.5    // what is thicker is an area, not a line
	pdfRuleLeast = 6      // what is shorter, once joined, belongs to a drawing
	pdfRuleNear  = 2.0    // lines closer than this are one: double borders, borders of two cells
	pdfRuleJoin  = 3.0    // pieces of a line may be this far apart
	pdfMaxRules  = 40_000 // of a page, before they are joined; a page with more holds a drawing
	pdfMaxJoined = 1_500  // the same of those across and of those down, once joined
)

// addRule notes a thin box as a line. Boxes that are neither thin nor long are passed over.
func (pg *pdfPage) addRule(x0, y0, x1, y1 float64) {
	if len(pg.rules) > pdfMaxRules {
		return
	}
	x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
	w, h := x1-x0, y1-y0
	if !(x1 > -1 && y1 > -1 && x0 < pg.width+1 && y0 < pg.height+1) || !(w < 1e5 && h < 1e5) {
		return // beside the page, or not a number
	}
	switch {
	case h <= pdfRuleWidth && w > 2*h:
		pg.rules = append(pg.rules, pdfRule{at: (y0 + y1) / 2, from: x0, to: x1})
	case w <= pdfRuleWidth && h > 2*w:
		pg.rules = append(pg.rules, pdfRule{upright: true, at: (x0 + x1) / 2, from: y0, to: y1})
	}
}

// pdfMaxDots is the number of drawn bullets of a page; a page with more holds a chart.
const pdfMaxDots = 300

// addPath notes the lines of a path that is stroked, and of one that is filled when it is thin. A small
// shape as wide as it is high may be a bullet.
func (pg *pdfPage) addPath(points [][2]float64, curved, stroke bool) {
	if len(points) < 2 {
		return
	}
	x0, y0, x1, y1 := points[0][0], points[0][1], points[0][0], points[0][1]
	for _, p := range points {
		x0, y0, x1, y1 = min(x0, p[0]), min(y0, p[1]), max(x1, p[0]), max(y1, p[1])
	}
	if w, h := x1-x0, y1-y0; w > 1.5 && w < 9 && h > 1.5 && h < 9 && w < 1.3*h && h < 1.3*w {
		if len(pg.dots) <= pdfMaxDots {
			pg.dots = append(pg.dots, [4]float64{x0, y0, x1, y1})
		}
		return
	}
	if x1-x0 <= pdfRuleWidth || y1-y0 <= pdfRuleWidth {
		pg.addRule(x0, y0, x1, y1)
		return
	}
	if !stroke || curved {
		return
	}
	for i := 1; i < len(points); i++ {
		a, b := points[i-1], points[i]
		if math.Abs(a[0]-b[0]) < 0.7 || math.Abs(a[1]-b[1]) < 0.7 {
			pg.addRule(a[0], a[1], b[0], b[1])
		}
	}
}

// pdfJoinRules joins pieces that make one line, and parts what runs across from what runs down. It
// returns nothing for a page of so many lines that it is a drawing.
func pdfJoinRules(rules []pdfRule) (across, down []pdfRule) {
	if len(rules) == 0 || len(rules) > pdfMaxRules {
		return nil, nil
	}
	for _, r := range rules {
		if r.upright {
			down = append(down, r)
		} else {
			across = append(across, r)
		}
	}
	across, down = pdfJoinParallel(across), pdfJoinParallel(down)
	if len(across) > pdfMaxJoined || len(down) > pdfMaxJoined {
		return nil, nil
	}
	return across, down
}

func pdfJoinParallel(rules []pdfRule) []pdfRule {
	slices.SortFunc(rules, func(a, b pdfRule) int { return cmpFloat(a.at, b.at) })
	var out []pdfRule
	for i := 0; i < len(rules); {
		j, sum, length := i, 0.0, 0.0
		for ; j < len(rules) && rules[j].at-rules[i].at <= pdfRuleNear; j++ {
			l := rules[j].to - rules[j].from
			sum, length = sum+rules[j].at*l, length+l
		}
		at := rules[i].at
		if length > 0 {
			at = sum / length
		}
		same := slices.Clone(rules[i:j])
		slices.SortFunc(same, func(a, b pdfRule) int { return cmpFloat(a.from, b.from) })
		begin := len(out)
		for _, r := range same {
			if k := len(out) - 1; k >= begin && r.from <= out[k].to+pdfRuleJoin {
				out[k].to = max(out[k].to, r.to)
				continue
			}
			r.at = at
			out = append(out, r)
		}
		out = slices.Concat(out[:begin], slices.DeleteFunc(out[begin:], func(r pdfRule) bool { return r.to-r.from < pdfRuleLeast }))
		i = j
	}
	return out
}

// pdfGrid is a table's frame: cells between lines. Cells that no line parts are one.
type pdfGrid struct {
	xs, ys []float64 // where its columns and rows begin, and where the last ones end
	cells  []int     // for each place, row by row, the place of the cell it belongs to: its top left one
	walls  float64   // the share of places next to each other that a line parts
}

const (
	pdfMaxColumns = 60
	pdfMaxBands   = 400
)

func (g *pdfGrid) cols() int { return len(g.xs) - 1 }
func (g *pdfGrid) rows() int { return len(g.ys) - 1 }

func (g *pdfGrid) area() float64 {
	return (g.xs[len(g.xs)-1] - g.xs[0]) * (g.ys[len(g.ys)-1] - g.ys[0])
}

// place is the index of the cell that holds a point.
func (g *pdfGrid) place(x, y float64) (int, bool) {
	if !(x >= g.xs[0] && x <= g.xs[len(g.xs)-1] && y >= g.ys[0] && y <= g.ys[len(g.ys)-1]) {
		return 0, false
	}
	c, _ := slices.BinarySearch(g.xs, x)
	r, _ := slices.BinarySearch(g.ys, y)
	c, r = min(max(c-1, 0), g.cols()-1), min(max(r-1, 0), g.rows()-1)
	return g.cells[r*g.cols()+c], true
}

// pdfFreeRules keeps the lines across that no upright one meets.
func pdfFreeRules(across, down []pdfRule) []pdfRule {
	var out []pdfRule
	for _, h := range across {
		if !slices.ContainsFunc(down, func(v pdfRule) bool { return pdfMeet(h, v) }) {
			out = append(out, h)
		}
	}
	return out
}

func pdfMeet(h, v pdfRule) bool {
	return v.at > h.from-pdfRuleJoin && v.at < h.to+pdfRuleJoin && h.at > v.from-pdfRuleJoin && h.at < v.to+pdfRuleJoin
}

// pdfGrids finds what lines that meet frame. Nothing is said yet of what stands in the cells.
func pdfGrids(across, down []pdfRule) []*pdfGrid {
	n := len(across)
	if n < 2 || len(down) == 0 {
		return nil
	}
	set := newDisjoint(n + len(down))
	meets := make([]int, n+len(down))
	for i, h := range across {
		for j, v := range down {
			if pdfMeet(h, v) {
				set.join(i, n+j)
				meets[i]++
				meets[n+j]++
			}
		}
	}
	type part struct{ across, down []pdfRule }
	parts := map[int]*part{}
	var order []int
	for i := range meets {
		if meets[i] == 0 {
			continue
		}
		root := set.find(i)
		p := parts[root]
		if p == nil {
			p = &part{}
			parts[root] = p
			order = append(order, root)
		}
		if i < n {
			p.across = append(p.across, across[i])
		} else if meets[i] > 1 {
			p.down = append(p.down, down[i-n])
		}
	}
	var grids []*pdfGrid
	for _, root := range order {
		p := parts[root]
		if g := pdfNewGrid(p.across, p.down); g != nil {
			grids = append(grids, g)
		}
	}
	return grids
}

func pdfNewGrid(across, down []pdfRule) *pdfGrid {
	if len(across) < 2 || len(down) < 1 {
		return nil
	}
	edges := func(rules, others []pdfRule) []float64 {
		var at []float64
		for _, r := range rules {
			at = append(at, r.at)
		}
		// A side may be open: the lines of the other direction then run beyond the outermost one.
		var from, to []float64
		for _, r := range others {
			from, to = append(from, r.from), append(to, r.to)
		}
		slices.Sort(from)
		slices.Sort(to)
		at = append(at, from[len(from)/4], to[len(to)-1-len(to)/4])
		slices.Sort(at)
		out := at[:1]
		for _, v := range at[1:] {
			if v-out[len(out)-1] > 1.5*pdfRuleJoin {
				out = append(out, v)
			}
		}
		return out
	}
	g := &pdfGrid{xs: edges(down, across), ys: edges(across, down)}
	if g.cols() < 1 || g.rows() < 1 || g.cols() > pdfMaxColumns || g.rows() > pdfMaxBands {
		return nil
	}
	cols, rows := g.cols(), g.rows()
	set := newDisjoint(cols * rows)
	// wall tells whether a line runs between two neighbours: at, and over the most of from…to.
	wall := func(rules []pdfRule, at, from, to float64) bool {
		covered := 0.0
		for _, r := range rules {
			if math.Abs(r.at-at) <= 1.5*pdfRuleJoin {
				covered = max(covered, min(r.to, to)-max(r.from, from))
			}
		}
		return covered > 0.5*(to-from)
	}
	byAt := func(rules []pdfRule, edges []float64) [][]pdfRule {
		out := make([][]pdfRule, len(edges))
		for _, r := range rules {
			i, _ := slices.BinarySearch(edges, r.at)
			for _, k := range []int{i - 1, i} {
				if k >= 0 && k < len(edges) && math.Abs(edges[k]-r.at) <= 1.5*pdfRuleJoin {
					out[k] = append(out[k], r)
				}
			}
		}
		return out
	}
	downAt, acrossAt := byAt(down, g.xs), byAt(across, g.ys)
	walls, open := 0, 0
	join := func(parted bool, a, b int) {
		if parted {
			walls++
			return
		}
		open++
		set.join(a, b)
	}
	for r := range rows {
		for c := range cols {
			if c+1 < cols {
				join(wall(downAt[c+1], g.xs[c+1], g.ys[r], g.ys[r+1]), r*cols+c, r*cols+c+1)
			}
			if r+1 < rows {
				join(wall(acrossAt[r+1], g.ys[r+1], g.xs[c], g.xs[c+1]), r*cols+c, r*cols+cols+c)
			}
		}
	}
	g.walls = float64(walls) / float64(max(1, walls+open))
	g.cells = make([]int, cols*rows)
	first := map[int]int{}
	for i := range g.cells {
		root := set.find(i)
		if _, ok := first[root]; !ok {
			first[root] = i
		}
		g.cells[i] = first[root]
	}
	return g
}

// disjoint is a union-find over 0…n-1.
type disjoint []int

func newDisjoint(n int) disjoint {
	d := make(disjoint, n)
	for i := range d {
		d[i] = i
	}
	return d
}

func (d disjoint) find(i int) int {
	for d[i] != i {
		d[i] = d[d[i]]
		i = d[i]
	}
	return i
}

func (d disjoint) join(a, b int) {
	a, b = d.find(a), d.find(b)
	d[max(a, b)] = min(a, b)
}

// pdfTableGrids keeps the grids of a page that hold a table: text in most cells of at least two
// columns and two rows. Frames, forms, charts and boxes around text are left to be read as text.
func pdfTableGrids(pg *pdfPage, across, down []pdfRule) []*pdfGrid {
	grids := pdfGrids(across, down)
	if len(grids) == 0 {
		return nil
	}
	// The smallest first: a table may stand in a cell of another.
	slices.SortStableFunc(grids, func(a, b *pdfGrid) int { return cmpFloat(a.area(), b.area()) })
	if len(grids) > 200 {
		return nil
	}
	kept := grids[:0]
	taken := make([]bool, len(pg.chars))
	for _, g := range grids {
		runes := map[int]int{}
		total, cut := 0, 0
		var mine []int
		last, lastPlace := -1, 0
		for i, c := range pg.chars {
			if c.r == ' ' {
				continue
			}
			if c.r < ' ' || taken[i] {
				last = -1
				continue
			}
			p, ok := g.place(float64(c.x0+c.x1)/2, float64(c.y0+c.y1)/2)
			if !ok {
				p = -1
			}
			// Lines that cut through words and letters, or run between words, are of a drawing.
			if last >= 0 && p != lastPlace && abs32(c.x0-pg.chars[last].x1) < 0.35*c.size && abs32(c.y1-pg.chars[last].y1) < 0.2*c.size && !isCJK(c.r) {
				cut++
			}
			last, lastPlace = i, p
			if ok {
				runes[p]++
				total++
				mine = append(mine, i)
				if q, ok := g.place(float64(c.x0+c.x1)/2, float64(c.y0+(c.y1-c.y0)*0.3)); !ok || q != p {
					cut++
				}
			}
		}
		if cut > 2 && cut*40 > total || !g.isTable(runes, total) {
			continue
		}
		for _, i := range mine {
			taken[i] = true
		}
		kept = append(kept, g)
	}
	return kept
}

func (g *pdfGrid) isTable(runes map[int]int, total int) bool {
	cols, rows := g.cols(), g.rows()
	inCol, inRow := make([]int, cols), make([]int, rows)
	filled, most := 0, 0
	size := map[int]int{}
	right, bottom := map[int]int{}, map[int]int{}
	for i, p := range g.cells {
		size[p]++
		right[p], bottom[p] = max(right[p], i%cols), max(bottom[p], i/cols)
		if i == p && runes[p] > 0 {
			filled++
			most = max(most, runes[p])
			inCol[p%cols]++
			inRow[p/cols]++
		}
	}
	odd := 0 // cells that are not rectangles
	for p, n := range size {
		if n != (right[p]-p%cols+1)*(bottom[p]-p/cols+1) {
			odd++
		}
	}
	used := func(counts []int) (n, often int) {
		for _, k := range counts {
			if k > 0 {
				n++
			}
			if k > 1 {
				often++
			}
		}
		return n, often
	}
	c, cOften := used(inCol)
	r, rOften := used(inRow)
	switch {
	case c < 2 || filled < 3 || r < 2 && rows > 1:
		return false
	case odd*10 > len(size):
		return false
	case len(g.cells) > 6 && g.walls < 0.5: // boxes here and there
		return false
	case filled*4 < len(size):
		return false
	case rows > 3 && (cOften*2 < cols || rOften*3 < rows):
		return false
	}
	// Text laid out in frames is not a table.
	return most <= 1500 && (most < 600 || most*10 < total*6) && total < 400*filled
}
