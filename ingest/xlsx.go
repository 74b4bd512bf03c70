package ingest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"docent/chunker"
)

// parseXLSX reads the sheets of a workbook, each as a heading and a table of what its cells show.
func parseXLSX(p *parser, in *input, f form) (*Document, error) {
	pk, err := openPacked(in)
	if err != nil {
		return nil, err
	}
	main := "xl/workbook.xml"
	for _, r := range pk.relations("") {
		if r.kind == "officeDocument" && !r.external {
			main = r.target
		}
	}
	root, err := pk.tree(main)
	if err != nil {
		return nil, partError(err, main)
	}
	b := newDocBuilder("xlsx", in.cfg.MaxText)
	title := pk.core(b)
	wb := root.child("workbook")
	rels := pk.relations(main)
	x := &xlsxReader{epoch: time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)}
	if pr := wb.child("workbookPr"); pr != nil && (pr.attr["date1904"] == "1" || pr.attr["date1904"] == "true") {
		x.epoch = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	for _, r := range rels {
		var err error
		switch {
		case r.external:
		case r.kind == "sharedStrings":
			err = x.readStrings(pk, r.target)
		case r.kind == "styles":
			err = x.readStyles(pk, r.target)
		}
		if errors.Is(err, ErrTooLarge) {
			return nil, err
		}
	}
	if sheets := wb.child("sheets"); sheets != nil {
		for _, s := range sheets.kids {
			rel, ok := rels[s.attr["id"]]
			if !ok || rel.kind != "worksheet" {
				continue
			}
			if err := in.ctx.Err(); err != nil {
				return nil, err
			}
			sheet, err := pk.tree(rel.target)
			if errors.Is(err, ErrTooLarge) {
				return nil, err
			}
			if err != nil {
				b.warn(fmt.Sprintf("the sheet %q cannot be read", s.attr["name"]))
				continue
			}
			if table := markdownTable(x.grid(sheet.find("worksheet", "sheetData"))); table != "" {
				b.add(chunker.Heading, 1, s.attr["name"])
				b.add(chunker.Table, 0, table)
			}
			for _, r := range pk.relations(rel.target) {
				if r.kind == "comments" && !r.external {
					if c, err := pk.tree(r.target); err == nil {
						xlsxComments(b, c.find("comments", "commentList"))
					}
				}
			}
		}
	}
	return b.finish(in.name, title)
}

type xlsxReader struct {
	strings []string
	formats []string // of each cell style: "date", "time", "percent" or ""
	epoch   time.Time
}

func (x *xlsxReader) readStrings(pk *packed, part string) error {
	root, err := pk.tree(part)
	if err != nil {
		return err
	}
	if sst := root.child("sst"); sst != nil {
		for _, si := range sst.kids {
			if si.name == "si" {
				x.strings = append(x.strings, xlsxText(si))
			}
		}
	}
	return nil
}

// xlsxText is the text of a string with its runs, without phonetic guides.
func xlsxText(si *docxNode) string {
	var b strings.Builder
	for _, k := range si.kids {
		switch k.name {
		case "t":
			b.WriteString(k.content())
		case "r":
			b.WriteString(k.child("t").content())
		}
	}
	return b.String()
}

func (x *xlsxReader) readStyles(pk *packed, part string) error {
	root, err := pk.tree(part)
	if err != nil {
		return err
	}
	styles := root.child("styleSheet")
	custom := map[string]string{}
	if nf := styles.child("numFmts"); nf != nil {
		for _, n := range nf.kids {
			custom[n.attr["numFmtId"]] = n.attr["formatCode"]
		}
	}
	if xfs := styles.child("cellXfs"); xfs != nil {
		for _, xf := range xfs.kids {
			if xf.name == "xf" {
				id := xf.attr["numFmtId"]
				x.formats = append(x.formats, xlsxFormat(id, custom[id]))
			}
		}
	}
	return nil
}

// xlsxFormat tells what a number format shows; the built-in ones are those of ECMA-376, 18.8.30.
func xlsxFormat(id, code string) string {
	if code == "" {
		switch n, _ := strconv.Atoi(id); {
		case n >= 14 && n <= 17 || n == 22 || n >= 27 && n <= 31 || n >= 50 && n <= 58:
			return "date"
		case n >= 18 && n <= 21 || n >= 45 && n <= 47:
			return "time"
		case n == 9 || n == 10:
			return "percent"
		}
		return ""
	}
	// Quoted text, colours and locale marks are no part of the pattern.
	var b strings.Builder
	skip := rune(0)
	for _, r := range strings.ToLower(code) {
		switch {
		case skip != 0:
			if r == skip {
				skip = 0
			}
		case r == '"':
			skip = '"'
		case r == '[':
			skip = ']'
		default:
			b.WriteRune(r)
		}
	}
	switch s := b.String(); {
	case strings.Contains(s, "y") || strings.Contains(s, "d") && strings.Contains(s, "m"):
		return "date"
	case strings.Contains(s, "h") && strings.Contains(s, "m") || strings.Contains(s, "m") && strings.Contains(s, "s"):
		return "time"
	case strings.Contains(s, "%"):
		return "percent"
	}
	return ""
}

// grid lays out the cells of a sheet.
func (x *xlsxReader) grid(data *docxNode) [][]string {
	if data == nil {
		return nil
	}
	var rows [][]string
	for _, r := range data.kids {
		if r.name != "row" {
			continue
		}
		var row []string
		for _, c := range r.kids {
			if c.name != "c" {
				continue
			}
			col := xlsxColumn(c.attr["r"])
			if col < 0 {
				col = len(row)
			}
			if col >= 1024 {
				continue
			}
			for len(row) <= col {
				row = append(row, "")
			}
			row[col] = x.cell(c)
		}
		rows = append(rows, row)
	}
	return rows
}

// xlsxColumn is the column of a reference such as "AB12", from 0; -1 is none.
func xlsxColumn(ref string) int {
	n := 0
	for _, r := range ref {
		if r < 'A' || r > 'Z' {
			break
		}
		if n = n*26 + int(r-'A') + 1; n > 1<<20 {
			return -1
		}
	}
	return n - 1
}

func (x *xlsxReader) cell(c *docxNode) string {
	v := c.child("v").content()
	switch c.attr["t"] {
	case "s":
		if i, err := strconv.Atoi(v); err == nil && i >= 0 && i < len(x.strings) {
			return x.strings[i]
		}
		return ""
	case "inlineStr":
		if is := c.child("is"); is != nil {
			return xlsxText(is)
		}
		return ""
	case "b":
		if v == "1" {
			return "TRUE"
		}
		return "FALSE"
	case "str", "e":
		return v
	}
	n, err := strconv.ParseFloat(v, 64)
	if err != nil {
		return v
	}
	format := ""
	if i, err := strconv.Atoi(c.attr["s"]); err == nil && i >= 0 && i < len(x.formats) {
		format = x.formats[i]
	}
	switch {
	case format == "date" && n > 0 && n < 2958466:
		t := x.epoch.Add(time.Duration(n * 24 * float64(time.Hour))).Round(time.Second)
		if n == float64(int(n)) {
			return t.Format("2006-01-02")
		}
		return t.Format("2006-01-02 15:04:05")
	case format == "time" && n >= 0 && n < 1:
		return x.epoch.Add(time.Duration(n * 24 * float64(time.Hour))).Round(time.Second).Format("15:04:05")
	case format == "percent":
		return strconv.FormatFloat(n*100, 'f', -1, 32) + "%"
	}
	// Twelve digits hide what binary fractions add; whole numbers keep all of theirs.
	if n == float64(int64(n)) && n > -1e15 && n < 1e15 {
		return strconv.FormatInt(int64(n), 10)
	}
	return strconv.FormatFloat(n, 'g', 12, 64)
}

func xlsxComments(b *docBuilder, list *docxNode) {
	if list == nil {
		return
	}
	for _, c := range list.kids {
		if t := c.child("text"); t != nil {
			b.add(chunker.Quote, 0, c.attr["ref"]+": "+xlsxText(t))
		}
	}
}
