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
			before, pictures := len(b.doc.Blocks), len(b.doc.pictures)
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
			r := pptxReader{b, pk.relations(rel.target)}
			r.shapes(slide.find("sld", "cSld", "spTree"), 0)
			for _, rel := range r.relations {
				if rel.kind != "notesSlide" || rel.external {
					continue
				}
				if notes, err := pk.tree(rel.target); err == nil {
					r := pptxReader{b, pk.relations(rel.target)}
					r.notes(notes.find("notes", "cSld", "spTree"))
				}
			}
			if len(b.doc.Blocks) == before {
				b.doc.PagesWithoutText = append(b.doc.PagesWithoutText, number)
				if len(b.doc.pictures) > pictures {
					b.doc.NeedsOCR = append(b.doc.NeedsOCR, number)
				}
			}
		}
	}
	if number == 0 {
		return nil, parseError(ErrNoText, "the presentation %s has no slides", path.Base(in.name))
	}
	return b.finish(in.name, title)
}

// A pptxReader reads one part: a slide, or the notes on it.
type pptxReader struct {
	b         *docBuilder
	relations map[string]docxRelation
}

// shapes writes the shapes of a slide: the title first, the others as they are stacked.
func (r *pptxReader) shapes(tree *docxNode, depth int) {
	if tree == nil || depth > 20 {
		return
	}
	isTitle := func(sp *docxNode) bool {
		ph := sp.find("nvSpPr", "nvPr", "ph")
		return ph != nil && (ph.attr["type"] == "title" || ph.attr["type"] == "ctrTitle")
	}
	for _, k := range tree.kids {
		if k.name == "sp" && isTitle(k) {
			r.b.add(chunker.Heading, 1, strings.Join(r.lines(k.child("txBody")), " "))
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
			r.text(k.child("txBody"))
		case "pic":
			if blip := k.find("blipFill", "blip"); blip != nil {
				r.b.picture(r.relations[blip.attr["embed"]].picture())
			}
			if rel := r.relations[k.find("nvPicPr", "cNvPr", "hlinkClick").attribute("id")]; rel.external {
				r.b.pictureLink(rel.target)
			}
		case "grpSp":
			r.shapes(k, depth+1)
		case "AlternateContent":
			r.shapes(k.child("Choice"), depth+1)
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
							row = append(row, strings.Join(r.lines(tc.child("txBody")), " "))
						}
					}
					grid = append(grid, row)
				}
				r.b.add(chunker.Table, 0, markdownTable(grid))
				continue
			}
			// Diagrams and charts keep their text in parts of their own; what is here still counts.
			r.b.add(chunker.Paragraph, 0, k.child("graphic").content())
		}
	}
}

// text writes a text body; paragraphs below the first level, and several short ones, are a list.
func (r *pptxReader) text(body *docxNode) {
	if body == nil {
		return
	}
	var paras []*docxNode
	for _, p := range body.kids {
		if p.name == "p" && strings.TrimSpace(r.line(p)) != "" {
			paras = append(paras, p)
		}
	}
	for _, p := range paras {
		text, level := strings.TrimSpace(r.line(p)), 0
		ppr := p.child("pPr")
		if ppr != nil && len(ppr.attr["lvl"]) == 1 {
			level = int(ppr.attr["lvl"][0] - '0')
		}
		if level > 0 || ppr.child("buChar") != nil || ppr.child("buAutoNum") != nil {
			r.b.add(chunker.ListItem, min(max(level, 0), 8)+1, "- "+text)
			continue
		}
		r.b.add(chunker.Paragraph, 0, text)
	}
}

func (r *pptxReader) lines(body *docxNode) []string {
	var out []string
	if body != nil {
		for _, p := range body.kids {
			if p.name == "p" {
				if t := strings.TrimSpace(r.line(p)); t != "" {
					out = append(out, t)
				}
			}
		}
	}
	return out
}

// line is the text of one paragraph.
func (r *pptxReader) line(p *docxNode) string {
	var b strings.Builder
	for _, k := range p.kids {
		switch k.name {
		case "r", "fld":
			text := k.child("t").content()
			if click := k.child("rPr").child("hlinkClick"); click != nil && r.relations[click.attr["id"]].external {
				text = r.b.link(r.relations[click.attr["id"]].target, text)
			}
			b.WriteString(text)
		case "br":
			b.WriteByte('\n')
		case "m", "oMath", "oMathPara":
			b.WriteString(docxMath(k))
		case "AlternateContent":
			if c := k.child("Choice"); c != nil {
				b.WriteString(r.line(c))
			}
		}
	}
	return b.String()
}

// notes writes the speaker's notes of a slide.
func (r *pptxReader) notes(tree *docxNode) {
	if tree == nil {
		return
	}
	for _, k := range tree.kids {
		if ph := k.find("nvSpPr", "nvPr", "ph"); k.name == "sp" && ph != nil && ph.attr["type"] == "body" {
			for _, line := range r.lines(k.child("txBody")) {
				r.b.add(chunker.Quote, 0, line)
			}
		}
	}
}
