package ingest

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"docent/chunker"
)

// parsePPTX reads the slides of a presentation in their order, one page each: title, text, tables and
// the speaker's notes.
func parsePPTX(p *parser, in *input, f form) (*Document, error) {
	pk, err := openPacked(in)
	if err != nil {
		return nil, err
	}
	main := "ppt/presentation.xml"
	for _, r := range pk.relations("") {
		if r.kind == "officeDocument" && !r.external {
			main = r.target
		}
	}
	root, err := pk.tree(main)
	if errors.Is(err, errNoPart) {
		return nil, parseError(ErrDamaged, "its main part %s is missing", main)
	}
	if err != nil {
		return nil, err
	}
	b := newDocBuilder("pptx", in.cfg.MaxText)
	rels := pk.relations(main)
	title := pk.core(b)
	number := 0
	if ids := root.find("presentation", "sldIdLst"); ids != nil {
		for _, id := range ids.kids {
			rel, ok := rels[id.attr["id"]]
			if !ok {
				continue
			}
			if err := in.ctx.Err(); err != nil {
				return nil, err
			}
			number++
			b.startPage(number, "")
			before := len(b.doc.Blocks)
			slide, err := pk.tree(rel.target)
			if errors.Is(err, ErrTooLarge) {
				return nil, err
			}
			if err != nil {
				b.warn(fmt.Sprintf("slide %d cannot be read", number))
				continue
			}
			if slide.child("sld") != nil && slide.child("sld").attr["show"] == "0" {
				b.warn(fmt.Sprintf("slide %d is hidden", number))
			}
			pptxShapes(b, slide.find("sld", "cSld", "spTree"), 0)
			for _, r := range pk.relations(rel.target) {
				if r.kind != "notesSlide" || r.external {
					continue
				}
				if notes, err := pk.tree(r.target); err == nil {
					pptxNotes(b, notes.find("notes", "cSld", "spTree"))
				}
			}
			if len(b.doc.Blocks) == before {
				b.doc.PagesWithoutText = append(b.doc.PagesWithoutText, number)
			}
		}
	}
	if number == 0 {
		return nil, parseError(ErrNoText, "the presentation %s has no slides", path.Base(in.name))
	}
	return b.finish(in.name, title)
}

// pptxShapes writes the shapes of a slide: the title first, the others as they are stacked.
func pptxShapes(b *docBuilder, tree *docxNode, depth int) {
	if tree == nil || depth > 20 {
		return
	}
	isTitle := func(sp *docxNode) bool {
		ph := sp.find("nvSpPr", "nvPr", "ph")
		return ph != nil && (ph.attr["type"] == "title" || ph.attr["type"] == "ctrTitle")
	}
	for _, k := range tree.kids {
		if k.name == "sp" && isTitle(k) {
			b.add(chunker.Heading, 1, strings.Join(pptxLines(k.child("txBody")), " "))
		}
	}
	for _, k := range tree.kids {
		switch k.name {
		case "sp":
			if isTitle(k) {
				continue
			}
			if ph := k.find("nvSpPr", "nvPr", "ph"); ph != nil {
				switch ph.attr["type"] {
				case "sldNum", "dt", "ftr", "hdr":
					continue
				}
			}
			pptxText(b, k.child("txBody"))
		case "grpSp":
			pptxShapes(b, k, depth+1)
		case "AlternateContent":
			pptxShapes(b, k.child("Choice"), depth+1)
		case "graphicFrame":
			if tbl := k.find("graphic", "graphicData", "tbl"); tbl != nil {
				var grid [][]string
				for _, tr := range tbl.kids {
					if tr.name != "tr" {
						continue
					}
					var row []string
					for _, tc := range tr.kids {
						if tc.name == "tc" {
							row = append(row, strings.Join(pptxLines(tc.child("txBody")), " "))
						}
					}
					grid = append(grid, row)
				}
				b.add(chunker.Table, 0, markdownTable(grid))
				continue
			}
			// Diagrams and charts keep their text in parts of their own; what is here still counts.
			b.add(chunker.Paragraph, 0, k.child("graphic").content())
		}
	}
}

// pptxText writes a text body; paragraphs below the first level, and several short ones, are a list.
func pptxText(b *docBuilder, body *docxNode) {
	if body == nil {
		return
	}
	var paras []*docxNode
	for _, p := range body.kids {
		if p.name == "p" && strings.TrimSpace(pptxLine(p)) != "" {
			paras = append(paras, p)
		}
	}
	for _, p := range paras {
		text, level := strings.TrimSpace(pptxLine(p)), 0
		ppr := p.child("pPr")
		if ppr != nil && len(ppr.attr["lvl"]) == 1 {
			level = int(ppr.attr["lvl"][0] - '0')
		}
		if level > 0 || ppr.child("buChar") != nil || ppr.child("buAutoNum") != nil {
			b.add(chunker.ListItem, min(max(level, 0), 8)+1, "- "+text)
			continue
		}
		b.add(chunker.Paragraph, 0, text)
	}
}

func pptxLines(body *docxNode) []string {
	var out []string
	if body != nil {
		for _, p := range body.kids {
			if p.name == "p" {
				if t := strings.TrimSpace(pptxLine(p)); t != "" {
					out = append(out, t)
				}
			}
		}
	}
	return out
}

// pptxLine is the text of one paragraph.
func pptxLine(p *docxNode) string {
	var b strings.Builder
	for _, k := range p.kids {
		switch k.name {
		case "r", "fld":
			b.WriteString(k.child("t").content())
		case "br":
			b.WriteByte('\n')
		case "m", "oMath", "oMathPara":
			b.WriteString(docxMath(k))
		case "AlternateContent":
			if c := k.child("Choice"); c != nil {
				b.WriteString(pptxLine(c))
			}
		}
	}
	return b.String()
}

// pptxNotes writes the speaker's notes of a slide.
func pptxNotes(b *docBuilder, tree *docxNode) {
	if tree == nil {
		return
	}
	for _, k := range tree.kids {
		if ph := k.find("nvSpPr", "nvPr", "ph"); k.name == "sp" && ph != nil && ph.attr["type"] == "body" {
			for _, line := range pptxLines(k.child("txBody")) {
				b.add(chunker.Quote, 0, line)
			}
		}
	}
}
