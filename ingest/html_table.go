package ingest

import (
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"docent/chunker"
)

// table writes a data table as Markdown, and one that is there for layout as the blocks in its cells.
func (w *htmlWalker) table(n *html.Node, st htmlState) {
	var rows []*html.Node
	var caption *html.Node
	nested := false
	var find func(*html.Node, int)
	find = func(n *html.Node, depth int) {
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			switch {
			case c.DataAtom == atom.Caption && caption == nil:
				caption = c
			case c.DataAtom == atom.Tr && !htmlHidden(c):
				rows = append(rows, c)
			case c.DataAtom == atom.Tbody, c.DataAtom == atom.Thead, c.DataAtom == atom.Tfoot:
				if depth < 3 {
					find(c, depth+1)
				}
			}
		}
	}
	find(n, 0)
	for d := range n.Descendants() {
		if d.DataAtom == atom.Table {
			nested = true
			break
		}
	}
	if caption != nil {
		w.b.add(chunker.Paragraph, 0, w.lineOf(caption))
	}
	widest := 0
	for _, r := range rows {
		cells := 0
		for c := r.FirstChild; c != nil; c = c.NextSibling {
			if c.DataAtom == atom.Td || c.DataAtom == atom.Th {
				cells++
			}
		}
		widest = max(widest, cells)
	}
	if widest <= 1 || htmlAttr(n, "role") == "presentation" || nested && st.depth < htmlMaxDepth/2 && htmlLayoutTable(n, rows) {
		for _, r := range rows {
			for c := r.FirstChild; c != nil; c = c.NextSibling {
				w.children(c, st)
				w.flush()
			}
		}
		return
	}
	w.b.add(chunker.Table, 0, markdownTable(w.grid(rows)))
}

// htmlLayoutTable tells a table around other tables with much text in it from one with a small table
// in a cell.
func htmlLayoutTable(n *html.Node, rows []*html.Node) bool {
	for d := range n.Descendants() {
		if d.DataAtom == atom.Th && d.Parent != nil && d.Parent.Parent != nil && (d.Parent.Parent == n || d.Parent.Parent.Parent == n) {
			return false
		}
	}
	return len(rows) <= 4
}

// grid lays cells out with their spans; a cell over several columns or rows stands in its first
// place, and a header cell in all of them.
func (w *htmlWalker) grid(rows []*html.Node) [][]string {
	var grid [][]string
	type span struct {
		rows int
		text string
	}
	down := map[int]span{}
	for _, r := range rows {
		var row []string
		fill := func() {
			for {
				s, ok := down[len(row)]
				if !ok {
					return
				}
				if s.rows--; s.rows == 0 {
					delete(down, len(row))
				} else {
					down[len(row)] = s
				}
				row = append(row, s.text)
			}
		}
		for c := r.FirstChild; c != nil; c = c.NextSibling {
			if c.DataAtom != atom.Td && c.DataAtom != atom.Th || htmlHidden(c) {
				continue
			}
			fill()
			text := w.lineOf(c)
			cols, _ := strconv.Atoi(htmlAttr(c, "colspan"))
			down2, _ := strconv.Atoi(htmlAttr(c, "rowspan"))
			cols, down2 = min(max(cols, 1), 64), min(max(down2, 1), 1000)
			for i := range cols {
				t := text
				if i > 0 && c.DataAtom != atom.Th {
					t = ""
				}
				if down2 > 1 {
					s := ""
					if i == 0 {
						s = text
					}
					down[len(row)] = span{down2 - 1, s}
				}
				row = append(row, t)
			}
		}
		fill()
		grid = append(grid, row)
	}
	return grid
}

// lineOf is the text of a heading or a cell on one line, with list items and inner blocks set apart.
func (w *htmlWalker) lineOf(n *html.Node) string {
	var b strings.Builder
	var walk func(*html.Node, int)
	walk = func(n *html.Node, depth int) {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
			return
		}
		if htmlHidden(n) || depth > htmlMaxDepth {
			return
		}
		block := htmlBlockElements[n.DataAtom] || n.DataAtom == atom.Br || n.DataAtom == atom.Li || n.DataAtom == atom.Pre
		if block {
			b.WriteByte(' ')
		}
		link := ""
		if n.DataAtom == atom.A {
			link = w.openLink(n)
			b.WriteString(link)
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c, depth+1)
		}
		if link != "" {
			b.WriteString(closeMark)
		}
		if block {
			b.WriteByte(' ')
		}
	}
	walk(n, 0)
	return strings.Join(strings.Fields(b.String()), " ")
}
