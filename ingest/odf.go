package ingest

import (
	"strconv"
	"strings"

	"docent/chunker"
)

// parseODF reads OpenDocument text, spreadsheets and presentations.
func parseODF(p *parser, in *input, f form) (*Document, error) {
	pk, err := openPacked(in)
	if err != nil {
		return nil, err
	}
	root, err := pk.tree("content.xml")
	if err != nil {
		return nil, partError(err, "content.xml")
	}
	b := newDocBuilder(f.format, in.cfg.MaxText)
	title := ""
	if meta, err := pk.tree("meta.xml"); err == nil {
		m := meta.find("document-meta", "meta")
		title = m.child("title").content()
		b.meta("author", m.child("creator").content())
		b.meta("subject", m.child("subject").content())
		if d := m.child("creation-date").content(); len(d) >= 10 {
			b.meta("created", d[:10])
		}
	}
	r := &odfReader{b: b}
	body := root.find("document-content", "body")
	if body == nil {
		return nil, parseError(ErrDamaged, "its main part has no body")
	}
	for _, k := range body.kids {
		r.blocks(k, 0, 0)
	}
	return b.finish(in.name, title)
}

type odfReader struct {
	b      *docBuilder
	notes  int
	pages  int
	asides []string // comments on the paragraph that is read
}

// comments writes the comments on the paragraph that was written.
func (r *odfReader) comments() {
	for _, c := range r.asides {
		r.b.add(chunker.Quote, 0, c)
	}
	r.asides = nil
}

func (r *odfReader) blocks(n *docxNode, list, depth int) {
	if depth > 100 {
		return
	}
	for _, k := range n.kids {
		if r.b.tooLong {
			return
		}
		switch k.name {
		case "h":
			level, _ := strconv.Atoi(k.attr["outline-level"])
			r.b.add(chunker.Heading, min(max(level, 1), 6), r.inline(k, 0))
			r.comments()
		case "p":
			text := strings.TrimSpace(r.inline(k, 0))
			switch {
			case text == "":
			case list > 0:
				r.b.add(chunker.ListItem, list, "- "+text)
			default:
				r.b.add(chunker.Paragraph, 0, text)
			}
			r.comments()
		case "list":
			r.blocks(k, list+1, depth+1)
		case "table":
			if name := k.attr["name"]; r.b.doc.Format == "ods" && name != "" {
				r.b.add(chunker.Heading, 1, name)
			}
			r.table(k)
		case "page":
			r.pages++
			r.b.startPage(r.pages, "")
			r.blocks(k, 0, depth+1)
		case "table-of-content", "tracked-changes", "forms", "annotation", "sequence-decls", "date-time", "page-number":
		default:
			if k.name != "" {
				r.blocks(k, list, depth+1)
			}
		}
	}
}

// inline is the text of a paragraph.
func (r *odfReader) inline(n *docxNode, depth int) string {
	var b strings.Builder
	if depth > 100 {
		return n.content()
	}
	for _, k := range n.kids {
		switch k.name {
		case "":
			// White space counts as one blank, blanks beyond are elements.
			t := k.text
			lead, trail := t != strings.TrimLeft(t, " \n\t\r"), t != strings.TrimRight(t, " \n\t\r")
			t = strings.Join(strings.Fields(t), " ")
			if lead {
				t = " " + t
			}
			if trail && t != " " {
				t += " "
			}
			b.WriteString(t)
		case "s":
			c, err := strconv.Atoi(k.attr["c"])
			if err != nil {
				c = 1
			}
			b.WriteString(strings.Repeat(" ", min(max(c, 0), 100)))
		case "tab":
			b.WriteByte('\t')
		case "line-break":
			b.WriteByte('\n')
		case "annotation":
			text := ""
			for _, p := range k.kids {
				if p.name == "p" || p.name == "list" {
					text = strings.TrimSpace(text + " " + p.content())
				}
			}
			if who := strings.TrimSpace(k.child("creator").content()); who != "" && text != "" {
				text = who + ": " + text
			}
			r.asides = append(r.asides, text)
		case "tracked-changes":
		case "image":
			if href := k.attr["href"]; strings.HasPrefix(href, "Pictures/") {
				r.b.picture(href)
			}
		case "a":
			b.WriteString(r.b.link(k.attr["href"], r.inline(k, depth+1)))
		case "note":
			r.notes++
			b.WriteString(" [" + strings.TrimSpace(r.inline(&docxNode{kids: []*docxNode{k.child("note-body")}}, depth+1)) + "] ")
		default:
			b.WriteString(r.inline(k, depth+1))
			if k.name == "p" {
				b.WriteByte(' ')
			}
		}
	}
	return b.String()
}

func (r *odfReader) table(t *docxNode) {
	var rows []sheetRow
	cells, number := 0, 1
	var gather func(*docxNode, int)
	gather = func(n *docxNode, depth int) {
		for _, k := range n.kids {
			switch k.name {
			case "table-header-rows", "table-rows", "table-row-group":
				if depth < 20 {
					gather(k, depth+1)
				}
			case "table-row":
				var row []string
				for _, c := range k.kids {
					if c.name != "table-cell" && c.name != "covered-table-cell" {
						continue
					}
					repeat, err := strconv.Atoi(c.attr["number-columns-repeated"])
					if err != nil || repeat < 1 {
						repeat = 1
					}
					text := strings.TrimSpace(r.inline(c, 0))
					if text == "" {
						repeat = min(repeat, 64) // a sheet is filled up with empty cells to its edge
					}
					for range min(repeat, 1024) {
						row = append(row, text)
					}
				}
				cells += len(row)
				if cells < 2_000_000 {
					rows = append(rows, sheetRow{number, row})
				}
				repeat, err := strconv.Atoi(k.attr["number-rows-repeated"])
				if err != nil || repeat < 1 {
					repeat = 1
				}
				number += repeat
			}
		}
	}
	gather(t, 0)
	if r.b.doc.Format == "ods" {
		addTable(r.b, t.attr["name"], numbered(rows), true)
	} else {
		grid := make([][]string, len(rows))
		for i, row := range rows {
			grid[i] = row.cells
		}
		r.b.add(chunker.Table, 0, markdownTable(grid))
	}
	r.comments()
}
