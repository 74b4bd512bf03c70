package ingest

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"docent/chunker"
)

// docxStyle is what a paragraph style says of structure.
type docxStyle struct {
	name    string
	based   string
	outline int // 0 to 8; -1 is none
	num     string
	level   int
}

type docxReader struct {
	b      *docBuilder
	p      *packed
	styles map[string]docxStyle
	// numbering: the format of each level of each list, and how far it has counted
	numFormats map[string]map[int]docxLevel
	abstract   map[string]string // list to abstract list
	counts     map[string][]int
	notes      map[string]string // "f1" and "e1": text of foot and end notes
	noteOrder  []string
	noteNumber map[string]int
	relations  map[string]docxRelation // of the part that is being read
	furniture  bool                    // it is a running head or foot
	depth      int
}

func parseDOCX(p *parser, in *input, f form) (*Document, error) {
	pk, err := openPacked(in)
	if err != nil {
		return nil, err
	}
	main := "word/document.xml"
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
	r := &docxReader{
		b: newDocBuilder("docx", in.cfg.MaxText), p: pk, styles: map[string]docxStyle{}, numFormats: map[string]map[int]docxLevel{},
		abstract: map[string]string{}, counts: map[string][]int{}, notes: map[string]string{}, noteNumber: map[string]int{},
	}
	aside := map[string][]string{} // parts beside the text, by what they are
	relations := pk.relations(main)
	for _, rel := range relations {
		if rel.external {
			continue
		}
		switch rel.kind {
		case "styles":
			err = r.readStyles(rel.target)
		case "numbering":
			err = r.readNumbering(rel.target)
		case "footnotes":
			err = r.readNotes(rel.target, "footnotes", "footnote", "f")
		case "endnotes":
			err = r.readNotes(rel.target, "endnotes", "endnote", "e")
		case "header", "footer", "comments":
			aside[rel.kind] = append(aside[rel.kind], rel.target)
		}
		// A broken side part costs what it says; one over a limit ends the reading.
		if errors.Is(err, ErrTooLarge) {
			return nil, err
		}
	}
	title := pk.core(r.b)
	body := root.find("document", "body")
	if body == nil {
		return nil, parseError(ErrDamaged, "its main part has no body")
	}
	r.relations = relations
	r.blocks(body)
	for _, id := range r.noteOrder {
		if text := r.notes[id]; text != "" {
			r.b.add(chunker.Paragraph, 0, fmt.Sprintf("[%d] %s", r.noteNumber[id], text))
		}
	}
	if err := r.aside(aside); err != nil {
		return nil, err
	}
	if t := r.styledTitle(body); t != "" && !sensibleTitle(strings.TrimSpace(title), in.name) {
		title = t
	}
	return r.b.finish(in.name, title)
}

func (r *docxReader) readStyles(part string) error {
	root, err := r.p.tree(part)
	if err != nil {
		return err
	}
	if styles := root.child("styles"); styles != nil {
		for _, s := range styles.kids {
			if s.name != "style" || s.attr["type"] != "paragraph" {
				continue
			}
			st := docxStyle{name: strings.ToLower(s.val("name")), based: s.val("basedOn"), outline: -1, level: -1}
			ppr := s.child("pPr")
			if v, err := strconv.Atoi(ppr.val("outlineLvl")); err == nil && v >= 0 && v <= 8 {
				st.outline = v
			}
			if np := ppr.child("numPr"); np != nil {
				st.num = np.val("numId")
				st.level, _ = strconv.Atoi(np.val("ilvl"))
			}
			r.styles[s.attr["styleId"]] = st
		}
	}
	return nil
}

// heading tells the heading level that a style gives, from 1; 0 is none.
func (r *docxReader) heading(id string) int {
	for range 20 {
		s, ok := r.styles[id]
		if !ok {
			s = docxStyle{name: strings.ToLower(id), outline: -1}
		}
		if s.outline >= 0 {
			return min(s.outline+1, 6)
		}
		for _, p := range []string{"heading ", "heading", "标题 ", "标题", "標題 ", "標題", "überschrift ", "titre "} {
			if rest, ok := strings.CutPrefix(s.name, p); ok {
				if n, err := strconv.Atoi(strings.TrimSpace(rest)); err == nil && n >= 1 && n <= 9 {
					return min(n, 6)
				}
			}
		}
		if s.name == "title" || s.name == "标题" || s.name == "標題" {
			return 1
		}
		if s.based == "" || s.based == id {
			return 0
		}
		id = s.based
	}
	return 0
}

func (r *docxReader) readNotes(part, outer, inner, prefix string) error {
	root, err := r.p.tree(part)
	if err != nil {
		return err
	}
	r.relations = r.p.relations(part)
	if notes := root.child(outer); notes != nil {
		for _, n := range notes.kids {
			if n.name != inner || n.attr["type"] != "" && n.attr["type"] != "normal" {
				continue
			}
			var parts []string
			for _, para := range n.kids {
				if para.name == "p" {
					if t := strings.TrimSpace(r.inline(para, nil)); t != "" {
						parts = append(parts, t)
					}
				}
			}
			r.notes[prefix+n.attr["id"]] = strings.Join(parts, " ")
		}
	}
	return nil
}

// aside writes the comments, and once each what the running heads and feet say beyond the number of the
// page: the name of a company, of a handbook, of a version is often nowhere else.
func (r *docxReader) aside(parts map[string][]string) error {
	seen := map[string]bool{}
	for _, kind := range []string{"comments", "header", "footer"} {
		slices.Sort(parts[kind])
		for _, part := range parts[kind] {
			root, err := r.p.tree(part)
			if errors.Is(err, ErrTooLarge) {
				return err
			}
			if err != nil {
				continue
			}
			r.relations, r.furniture = r.p.relations(part), kind != "comments"
			for _, top := range root.kids {
				if kind != "comments" {
					if text := r.asideText(top); seen[text] || !strings.ContainsFunc(text, unicode.IsLetter) {
						continue
					} else if bare := pageWords.ReplaceAllString(text, ""); strings.ContainsFunc(bare, unicode.IsLetter) {
						seen[text] = true
						r.b.add(chunker.Paragraph, 0, text)
					}
					continue
				}
				for _, c := range top.kids {
					if text := r.asideText(c); c.name == "comment" && text != "" {
						if author := c.attr["author"]; author != "" {
							text = author + ": " + text
						}
						r.b.add(chunker.Quote, 0, text)
					}
				}
			}
		}
	}
	return nil
}

var pageWords = regexp.MustCompile(`(?i)\b(page|seite|of|von)\b|第|页|頁|共`)

// asideText is the text of the paragraphs below n, on one line.
func (r *docxReader) asideText(n *docxNode) string {
	var parts []string
	var gather func(*docxNode, int)
	gather = func(n *docxNode, depth int) {
		for _, k := range n.kids {
			if k.name == "p" {
				if t := strings.Join(strings.Fields(r.inline(k, nil)), " "); t != "" {
					parts = append(parts, t)
				}
			} else if depth < 50 {
				gather(k, depth+1)
			}
		}
	}
	gather(n, 0)
	return strings.Join(parts, " ")
}

// blocks writes the paragraphs and tables below n.
func (r *docxReader) blocks(n *docxNode) {
	for _, k := range n.kids {
		if r.b.tooLong {
			return
		}
		switch k.name {
		case "p":
			r.paragraph(k)
		case "tbl":
			r.table(k)
		case "sdt":
			if c := k.child("sdtContent"); c != nil {
				r.blocks(c)
			}
		case "ins", "moveTo", "customXml", "smartTag":
			r.blocks(k)
		case "AlternateContent":
			if c := k.child("Choice"); c != nil {
				r.blocks(c)
			}
		}
	}
}

func (r *docxReader) paragraph(p *docxNode) {
	var boxes []*docxNode
	text := strings.TrimSpace(r.inline(p, &boxes))
	ppr := p.child("pPr")
	style := ppr.val("pStyle")
	level := r.heading(style)
	if v, err := strconv.Atoi(ppr.val("outlineLvl")); err == nil && v >= 0 && v <= 8 {
		level = min(v+1, 6)
	}
	num, depth, listed := "", 0, false
	if np := ppr.child("numPr"); np != nil {
		num, listed = np.val("numId"), np.val("numId") != "0"
		depth, _ = strconv.Atoi(np.val("ilvl"))
	} else {
		id := style
		for range 20 {
			s, ok := r.styles[id]
			if !ok {
				break
			}
			if s.num != "" && s.num != "0" {
				num, depth, listed = s.num, max(s.level, 0), true
				break
			}
			if s.based == id {
				break
			}
			id = s.based
		}
	}
	low := r.styles[style].name
	switch {
	case text == "":
	case level > 0 && utf8.RuneCountInString(text) <= 300:
		if listed {
			if m := r.marker(num, depth); m != "-" && m != "" {
				text = m + " " + text
			}
		}
		r.b.add(chunker.Heading, level, text)
	case listed:
		m := r.marker(num, depth)
		if m == "" {
			m = "-"
		}
		r.b.add(chunker.ListItem, min(depth, 8)+1, m+" "+text)
	case strings.HasPrefix(low, "list bullet"), strings.HasPrefix(low, "list number"):
		r.b.add(chunker.ListItem, 1, "- "+text)
	case strings.Contains(low, "quote"):
		r.b.add(chunker.Quote, 0, text)
	case strings.Contains(low, "code"), strings.Contains(low, "preformatted"), strings.Contains(low, "source"):
		r.b.add(chunker.Code, 0, text)
	case strings.HasPrefix(low, "toc ") && !strings.Contains(low, "heading"):
		// The table of contents repeats the headings; it says nothing of its own.
	default:
		r.b.add(chunker.Paragraph, 0, text)
	}
	r.depth++
	if r.depth < 20 {
		for _, box := range boxes {
			r.blocks(box)
		}
	}
	r.depth--
}

// inline is the text of a paragraph as it reads with all changes accepted. Text boxes anchored in it
// are appended to boxes.
func (r *docxReader) inline(p *docxNode, boxes *[]*docxNode) string {
	var b strings.Builder
	var walk func(*docxNode)
	field := 0 // depth of complex fields whose code, not result, is being read
	var fields []docxField
	walk = func(n *docxNode) {
		for _, k := range n.kids {
			switch k.name {
			case "t":
				if field == 0 {
					b.WriteString(k.content())
				}
			case "tab", "ptab":
				if n.name == "r" {
					b.WriteByte('\t')
				}
			case "br", "cr":
				b.WriteByte('\n')
			case "noBreakHyphen":
				b.WriteByte('-')
			case "softHyphen", "pPr", "rPr", "del", "moveFrom", "delText", "delInstrText", "Fallback", "annotationRef", "sectPr":
			case "instrText":
				if m := len(fields); m > 0 && fields[m-1].reading && len(fields[m-1].code) < maxLinkTarget {
					fields[m-1].code += k.content()
				}
			case "hyperlink":
				link := ""
				if rel := r.relations[k.attr["id"]]; rel.external {
					link = r.b.openLink(rel.target)
				}
				b.WriteString(link)
				walk(k)
				if link != "" {
					b.WriteString(closeMark)
				}
			case "blip", "imagedata": // of DrawingML, and of VML
				if !r.furniture {
					r.b.picture(r.relations[cmp.Or(k.attr["embed"], k.attr["id"])].picture())
				}
				walk(k)
			case "fldSimple":
				link := r.b.openLink(hyperlinkField(k.attr["instr"]))
				b.WriteString(link)
				walk(k)
				if link != "" {
					b.WriteString(closeMark)
				}
			case "sym":
				if c, err := strconv.ParseUint(k.attr["char"], 16, 32); err == nil && c < 0xe000 {
					b.WriteRune(rune(c))
				}
			case "fldChar":
				switch k.attr["fldCharType"] {
				case "begin":
					fields = append(fields, docxField{reading: true})
					field++
				case "separate":
					if m := len(fields); m > 0 && fields[m-1].reading {
						link := r.b.openLink(hyperlinkField(fields[m-1].code))
						b.WriteString(link)
						fields[m-1].reading, fields[m-1].link = false, link != ""
						field--
					}
				case "end":
					if m := len(fields); m > 0 {
						if fields[m-1].reading {
							field--
						}
						if fields[m-1].link {
							b.WriteString(closeMark)
						}
						fields = fields[:m-1]
					}
				}
			case "footnoteReference", "endnoteReference":
				id := string(k.name[0]) + k.attr["id"]
				if r.notes[id] != "" {
					if r.noteNumber[id] == 0 {
						r.noteOrder = append(r.noteOrder, id)
						r.noteNumber[id] = len(r.noteOrder)
					}
					fmt.Fprintf(&b, "[%d]", r.noteNumber[id])
				}
			case "txbxContent":
				if boxes != nil {
					*boxes = append(*boxes, k)
				}
			case "oMath", "oMathPara":
				b.WriteString(docxMath(k))
			case "docPr":
				if rel := r.relations[k.child("hlinkClick").attribute("id")]; rel.external {
					r.b.pictureLink(rel.target)
				}
				if d := k.attr["descr"]; len(strings.Fields(d)) >= 4 && !strings.Contains(d, "automatically generated") {
					b.WriteString(" " + d + " ")
				}
			case "p":
				b.WriteByte(' ')
				walk(k)
			default:
				walk(k)
			}
		}
	}
	walk(p)
	return b.String()
}

// A docxField is a complex field that is open (ECMA-376, part 1, 17.16.18): its code, then its result.
type docxField struct {
	code    string
	reading bool // the code
	link    bool // its result is one
}

var hyperlinkCode = regexp.MustCompile(`^\s*HYPERLINK\s+(?:\\[a-z]\s+)*"([^"]+)"`)

// hyperlinkField is where a field of that kind leads to, or empty for a field of another.
func hyperlinkField(code string) string {
	if m := hyperlinkCode.FindStringSubmatch(code); m != nil && !strings.Contains(code[:len(m[0])-len(m[1])-2], `\l`) {
		return m[1]
	}
	return ""
}

// styledTitle is the text of the first paragraph with the style Title, among the first few.
func (r *docxReader) styledTitle(body *docxNode) string {
	for i, k := range body.kids {
		if i > 20 {
			break
		}
		if k.name == "p" {
			if name := r.styles[k.find("pPr").val("pStyle")].name; name == "title" {
				return strings.TrimSpace(withoutMarks(r.inline(k, nil)))
			}
		}
	}
	return ""
}
