package ingest

import (
	"strconv"
	"strings"

	"docent/chunker"
)

// table writes a table as Markdown, or, where it is there for layout, the blocks of its cells.
func (r *docxReader) table(t *docxNode) {
	if r.depth > 20 {
		return
	}
	var rows []*docxNode
	var gather func(*docxNode)
	gather = func(n *docxNode) {
		for _, k := range n.kids {
			switch k.name {
			case "tr":
				if k.child("trPr").child("del") == nil {
					rows = append(rows, k)
				}
			case "sdt", "sdtContent", "ins", "customXml", "bookmarkStart":
				gather(k)
			}
		}
	}
	gather(t)
	var grid [][]string
	var cells []*docxNode
	widest := 0
	for _, row := range rows {
		var line []string
		if v, err := strconv.Atoi(row.child("trPr").val("gridBefore")); err == nil {
			line = append(line, make([]string, min(max(v, 0), 63))...)
		}
		var walk func(*docxNode)
		count := 0
		walk = func(n *docxNode) {
			for _, k := range n.kids {
				switch k.name {
				case "tc":
					count++
					cells = append(cells, k)
					tcpr := k.child("tcPr")
					text := r.cell(k)
					if m := tcpr.child("vMerge"); m != nil && m.attr["val"] != "restart" {
						text = "" // goes on from the row above
					}
					line = append(line, text)
					if v, err := strconv.Atoi(tcpr.val("gridSpan")); err == nil && v > 1 {
						line = append(line, make([]string, min(v-1, 63))...)
					}
				case "sdt", "sdtContent", "ins", "customXml":
					walk(k)
				}
			}
		}
		walk(row)
		widest = max(widest, count)
		grid = append(grid, line)
	}
	if widest <= 1 {
		// One column, or one cell: a frame around text.
		r.depth++
		for _, c := range cells {
			r.blocks(c)
		}
		r.depth--
		return
	}
	r.b.add(chunker.Table, 0, markdownTable(grid))
}

// cell is the text of a cell on one line, inner tables included.
func (r *docxReader) cell(c *docxNode) string {
	var parts []string
	var walk func(*docxNode, int)
	walk = func(n *docxNode, depth int) {
		if depth > 60 {
			return
		}
		for _, k := range n.kids {
			switch k.name {
			case "p":
				var boxes []*docxNode
				text := strings.TrimSpace(r.inline(k, &boxes))
				if np := k.find("pPr", "numPr"); np != nil && text != "" && np.val("numId") != "0" {
					lv, _ := strconv.Atoi(np.val("ilvl"))
					if m := r.marker(np.val("numId"), lv); m != "-" {
						text = m + " " + text
					}
				}
				if text != "" {
					parts = append(parts, text)
				}
				for _, b := range boxes {
					walk(b, depth+1)
				}
			case "tbl", "tr", "tc", "sdt", "sdtContent", "ins", "customXml":
				walk(k, depth+1)
			}
		}
	}
	walk(c, 0)
	return strings.Join(parts, " ")
}
