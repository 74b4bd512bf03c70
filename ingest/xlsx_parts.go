package ingest

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/xuri/excelize/v2"
)

// An xlsxLink is a link of a cell, whose row and column count from 1.
type xlsxLink struct {
	row, column int
	target      string
}

// An xlsxSheet is a sheet by its part, for what the library does not tell without reading a sheet whole.
type xlsxSheet struct {
	part      string
	relations map[string]docxRelation
}

// xlsxSheets are the sheets of a workbook by their names.
func xlsxSheets(pk *packed) map[string]xlsxSheet {
	main := "xl/workbook.xml"
	for _, r := range pk.relations("") {
		if r.kind == "officeDocument" && !r.external {
			main = r.target
		}
	}
	root, err := pk.tree(main)
	if err != nil {
		return nil
	}
	sheets := root.find("workbook", "sheets")
	if sheets == nil {
		return nil
	}
	parts := pk.relations(main)
	all := make(map[string]xlsxSheet)
	for _, s := range sheets.kids {
		if part := parts[s.attr["id"]].target; part != "" {
			all[s.attr["name"]] = xlsxSheet{part, pk.relations(part)}
		}
	}
	return all
}

// links are the links of a sheet. The library would read a sheet whole to tell them; they are looked
// for at the end of its part instead (ECMA-376, part 1, 18.3.1.99), and only where the part has relations
// that are links.
func (s xlsxSheet) links(pk *packed) (links []xlsxLink) {
	if !slices.ContainsFunc(slices.Collect(maps.Values(s.relations)), func(r docxRelation) bool { return r.kind == "hyperlink" && r.external }) {
		return nil
	}
	data, err := pk.bytes(s.part)
	if err != nil {
		return nil
	}
	at := bytes.LastIndex(data, []byte("hyperlinks>"))
	if at < 0 {
		return nil
	}
	if at = bytes.LastIndex(data[:at], []byte("hyperlinks>")); at < 0 {
		return nil
	}
	d := xml.NewDecoder(bytes.NewReader(data[at+len("hyperlinks>"):]))
	for {
		token, err := d.RawToken()
		if err != nil || len(links) >= maxLinks {
			return links
		}
		el, ok := token.(xml.StartElement)
		if !ok || el.Name.Local != "hyperlink" {
			continue
		}
		var l xlsxLink
		for _, a := range el.Attr {
			switch a.Name.Local {
			case "id":
				if r := s.relations[a.Value]; r.external {
					l.target = r.target
				}
			case "ref":
				cell, _, _ := strings.Cut(a.Value, ":")
				l.column, l.row, _ = excelize.CellNameToCoordinates(cell)
			}
		}
		if l.target != "" && l.row > 0 {
			links = append(links, l)
		}
	}
}

// pictures are the names of the parts that hold the pictures on a sheet, from top to bottom by the cells that
// they are anchored at (ECMA-376, part 1, 20.5).
func (s xlsxSheet) pictures(pk *packed) []string {
	type placed struct {
		row, column int
		part        string
	}
	var all []placed
	for _, rel := range s.relations {
		if rel.kind != "drawing" || rel.external {
			continue
		}
		root, err := pk.tree(rel.target)
		if err != nil {
			continue
		}
		relations := pk.relations(rel.target)
		drawing := root.child("wsDr")
		if drawing == nil {
			continue
		}
		for _, anchor := range drawing.kids {
			at := placed{}
			at.row, _ = strconv.Atoi(anchor.find("from", "row").content())
			at.column, _ = strconv.Atoi(anchor.find("from", "col").content())
			for _, id := range anchor.blips(nil, 0) {
				if at.part = relations[id].picture(); at.part != "" {
					all = append(all, at)
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int { return cmp.Or(cmp.Compare(a.row, b.row), cmp.Compare(a.column, b.column)) })
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.part
	}
	return names
}

// blips appends the relations that the pictures below n name.
func (n *docxNode) blips(ids []string, depth int) []string {
	for _, k := range n.kids {
		switch {
		case k.name == "Fallback" || depth > 50:
		case k.name == "blip":
			ids = append(ids, k.attr["embed"])
		default:
			ids = k.blips(ids, depth+1)
		}
	}
	return ids
}
