package ingest

import (
	"archive/zip"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"docent/chunker"
)

// docxNode is an element of a part of the document: its local name, its attributes by local name and
// its children. Text is in nodes without a name.
type docxNode struct {
	name string
	attr map[string]string
	kids []*docxNode
	text string
}

const (
	xmlMaxDepth = 500       // elements nested deeper are refused
	xmlMaxNodes = 4_000_000 // and so are parts of more elements
)

// parseXMLTree reads XML into a tree. Entities beyond XML's own five are not expanded: a document
// type that declares some is skipped, and a reference to one is an error.
func parseXMLTree(r io.Reader) (*docxNode, error) {
	d := xml.NewDecoder(r)
	d.Strict = true
	d.CharsetReader = xmlCharset
	root := &docxNode{}
	stack := []*docxNode{root}
	nodes := 0
	for {
		tok, err := d.RawToken()
		if err == io.EOF {
			return root, nil
		}
		if err != nil {
			return nil, err
		}
		top := stack[len(stack)-1]
		switch t := tok.(type) {
		case xml.StartElement:
			if nodes++; nodes > xmlMaxNodes {
				return nil, parseError(ErrTooLarge, "it has more than %d elements", xmlMaxNodes)
			}
			if len(stack) > xmlMaxDepth {
				return nil, parseError(ErrDamaged, "its elements nest more than %d deep", xmlMaxDepth)
			}
			n := &docxNode{name: t.Name.Local}
			if len(t.Attr) > 0 {
				n.attr = make(map[string]string, len(t.Attr))
				for _, a := range t.Attr {
					if _, twice := n.attr[a.Name.Local]; twice && a.Name.Space != "r" {
						continue // r:id, the relation, counts before id
					}
					n.attr[a.Name.Local] = a.Value
				}
			}
			top.kids = append(top.kids, n)
			stack = append(stack, n)
		case xml.EndElement:
			if len(stack) > 1 {
				stack = stack[:len(stack)-1]
			}
		case xml.CharData:
			if len(t) > 0 {
				top.kids = append(top.kids, &docxNode{text: string(t)})
			}
		}
	}
}

func xmlCharset(label string, r io.Reader) (io.Reader, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	text, _ := decodeText(raw, label)
	return strings.NewReader(text), nil
}

func (n *docxNode) child(name string) *docxNode {
	if n == nil {
		return nil
	}
	for _, k := range n.kids {
		if k.name == name {
			return k
		}
	}
	return nil
}

func (n *docxNode) find(names ...string) *docxNode {
	for _, name := range names {
		n = n.child(name)
	}
	return n
}

func (n *docxNode) val(name string) string {
	if c := n.child(name); c != nil {
		return c.attr["val"]
	}
	return ""
}

// content is all text below n.
func (n *docxNode) content() string {
	if n == nil {
		return ""
	}
	if n.name == "" && n.text != "" {
		return n.text
	}
	var b strings.Builder
	for _, k := range n.kids {
		b.WriteString(k.content())
	}
	return b.String()
}

// packed is a document that is a ZIP file of XML parts, read within a limit on what it unpacks to.
type packed struct {
	zr   *zip.Reader
	left int64
	max  int64
}

func openPacked(in *input) (*packed, error) {
	zr, err := zip.NewReader(in.file, in.size)
	if err != nil {
		return nil, parseError(ErrDamaged, "it cannot be unpacked: %v", err)
	}
	limit := in.cfg.MaxUnpacked
	if limit <= 0 {
		limit = defaultMaxUnpacked
	}
	return &packed{zr: zr, left: limit, max: limit}, nil
}

var errNoPart = errors.New("no such part")

// open opens one part, and counts what is read of it.
func (p *packed) open(name string) (*countedReader, error) {
	name = strings.TrimPrefix(name, "/")
	for _, f := range p.zr.File {
		if !strings.EqualFold(strings.TrimPrefix(strings.ReplaceAll(f.Name, `\`, "/"), "/"), name) {
			continue
		}
		// More than a thousand to one is no document: XML packs a hundredfold at best.
		if f.UncompressedSize64 > 1<<20 && f.UncompressedSize64 > 1000*(f.CompressedSize64+1) || f.UncompressedSize64 > uint64(p.left) {
			return nil, parseError(ErrTooLarge, "its part %s unpacks from %s to %s, the limit is %s in all (a ZIP bomb?)", f.Name, byteSize(int64(min(f.CompressedSize64, 1<<62))), byteSize(int64(min(f.UncompressedSize64, 1<<62))), byteSize(p.max))
		}
		rc, err := f.Open()
		if err != nil {
			return nil, parseError(ErrDamaged, "its part %s cannot be unpacked: %v", f.Name, err)
		}
		return &countedReader{r: rc, name: f.Name, left: p.left}, nil
	}
	return nil, errNoPart
}

// done closes a part, and says what went wrong with it.
func (p *packed) done(c *countedReader, err error) error {
	c.r.Close()
	p.left = c.left
	if c.over {
		return parseError(ErrTooLarge, "it unpacks to more than %s (a ZIP bomb?)", byteSize(p.max))
	}
	if err != nil {
		if _, ok := errors.AsType[*FileError](err); ok {
			return err
		}
		return parseError(ErrDamaged, "its part %s: %v", c.name, err)
	}
	return nil
}

// tree reads one part as XML.
func (p *packed) tree(name string) (*docxNode, error) {
	c, err := p.open(name)
	if err != nil {
		return nil, err
	}
	root, err := parseXMLTree(c)
	return root, p.done(c, err)
}

// bytes reads one part as it is.
func (p *packed) bytes(name string) ([]byte, error) {
	c, err := p.open(name)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(c)
	return raw, p.done(c, err)
}

type countedReader struct {
	r    io.ReadCloser
	name string
	left int64
	over bool
}

func (c *countedReader) Read(b []byte) (int, error) {
	if c.left <= 0 {
		c.over = true
		return 0, errors.New("limit reached")
	}
	n, err := c.r.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	return n, err
}

// relations reads a part's relations: id to target, as a name within the package.
func (p *packed) relations(part string) map[string]docxRelation {
	dir, base := path.Split(part)
	root, err := p.tree(dir + "_rels/" + base + ".rels")
	if err != nil {
		return nil
	}
	m := map[string]docxRelation{}
	if rels := root.child("Relationships"); rels != nil {
		for _, r := range rels.kids {
			target := r.attr["Target"]
			external := r.attr["TargetMode"] == "External"
			if !external {
				if strings.HasPrefix(target, "/") {
					target = strings.TrimPrefix(target, "/")
				} else {
					target = path.Join(dir, target)
				}
			}
			kind := r.attr["Type"]
			m[r.attr["Id"]] = docxRelation{target, kind[strings.LastIndexByte(kind, '/')+1:], external}
		}
	}
	return m
}

type docxRelation struct {
	target, kind string
	external     bool
}

// picture is the name of the part that holds a picture, or empty where the relation is none.
func (r docxRelation) picture() string {
	if r.external || r.kind != "image" {
		return ""
	}
	return r.target
}

// core reads the properties that all Office documents keep in one place and returns the title.
func (p *packed) core(b *docBuilder) string {
	root, err := p.tree("docProps/core.xml")
	if err != nil {
		return ""
	}
	props := root.child("coreProperties")
	if props == nil {
		return ""
	}
	for _, kv := range [][2]string{{"creator", "author"}, {"subject", "subject"}, {"keywords", "keywords"}, {"description", "description"}} {
		b.meta(kv[1], props.child(kv[0]).content())
	}
	for _, k := range []string{"created", "modified"} {
		if v := props.child(k).content(); len(v) >= 10 {
			b.meta(k, v[:10])
		}
	}
	return props.child("title").content()
}

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

type docxLevel struct {
	format, text string
	start        int
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

func (r *docxReader) readNumbering(part string) error {
	root, err := r.p.tree(part)
	if err != nil {
		return err
	}
	num := root.child("numbering")
	if num == nil {
		return nil
	}
	for _, n := range num.kids {
		switch n.name {
		case "abstractNum":
			levels := map[int]docxLevel{}
			for _, l := range n.kids {
				if l.name == "lvl" {
					i, _ := strconv.Atoi(l.attr["ilvl"])
					start, err := strconv.Atoi(l.val("start"))
					if err != nil {
						start = 1
					}
					levels[i] = docxLevel{l.val("numFmt"), l.val("lvlText"), start}
				}
			}
			r.numFormats[n.attr["abstractNumId"]] = levels
		case "num":
			r.abstract[n.attr["numId"]] = n.val("abstractNumId")
		}
	}
	return nil
}

// marker is what stands before a paragraph of a list, and counts it.
func (r *docxReader) marker(num string, level int) string {
	if level < 0 || level > 8 {
		level = 0
	}
	abstract := r.abstract[num]
	levels := r.numFormats[abstract]
	lv, ok := levels[level]
	if !ok || lv.format == "bullet" || lv.format == "none" {
		return "-"
	}
	counts := r.counts[abstract+"/"+num]
	if counts == nil {
		counts = make([]int, 9)
		r.counts[abstract+"/"+num] = counts
	}
	if counts[level] == 0 {
		counts[level] = lv.start
	} else {
		counts[level]++
	}
	for i := level + 1; i < 9; i++ {
		counts[i] = 0
	}
	text := lv.text
	if text == "" {
		text = "%" + strconv.Itoa(level+1) + "."
	}
	for i := range 9 {
		n := counts[i]
		if n == 0 {
			n = max(levels[i].start, 1)
		}
		text = strings.ReplaceAll(text, "%"+strconv.Itoa(i+1), docxNumber(n, levels[i].format))
	}
	return strings.TrimSpace(text)
}

func docxNumber(n int, format string) string {
	switch format {
	case "lowerLetter", "upperLetter":
		s := strings.Repeat(string(rune('a'+(n-1)%26)), min((n-1)/26+1, 20))
		if format == "upperLetter" {
			s = strings.ToUpper(s)
		}
		return s
	case "lowerRoman", "upperRoman":
		if n > 3999 {
			break
		}
		var b strings.Builder
		for _, v := range []struct {
			n int
			s string
		}{{1000, "m"}, {900, "cm"}, {500, "d"}, {400, "cd"}, {100, "c"}, {90, "xc"}, {50, "l"}, {40, "xl"}, {10, "x"}, {9, "ix"}, {5, "v"}, {4, "iv"}, {1, "i"}} {
			for ; n >= v.n; n -= v.n {
				b.WriteString(v.s)
			}
		}
		if format == "upperRoman" {
			return strings.ToUpper(b.String())
		}
		return b.String()
	case "chineseCounting", "chineseCountingThousand", "ideographTraditional", "japaneseCounting", "taiwaneseCountingThousand":
		return chineseNumber(n)
	}
	return strconv.Itoa(n)
}

// chineseNumber writes 1 to 99 in Chinese numerals, and others in digits.
func chineseNumber(n int) string {
	digits := []rune("零一二三四五六七八九")
	switch {
	case n < 1 || n > 99:
		return strconv.Itoa(n)
	case n < 10:
		return string(digits[n])
	}
	s := "十"
	if n >= 20 {
		s = string(digits[n/10]) + s
	}
	if n%10 > 0 {
		s += string(digits[n%10])
	}
	return s
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

// docxMath writes a formula on one line, in the manner of TeX.
func docxMath(n *docxNode) string {
	var b strings.Builder
	part := func(k *docxNode, name string) string { return docxMath(&docxNode{kids: []*docxNode{k.child(name)}}) }
	group := func(s string) string {
		if utf8.RuneCountInString(s) == 1 {
			return s
		}
		return "{" + s + "}"
	}
	for _, k := range n.kids {
		if k == nil {
			continue
		}
		switch k.name {
		case "t":
			b.WriteString(k.content())
		case "f":
			b.WriteString("(" + part(k, "num") + ")/(" + part(k, "den") + ")")
		case "sSup":
			b.WriteString(part(k, "e") + "^" + group(part(k, "sup")))
		case "sSub":
			b.WriteString(part(k, "e") + "_" + group(part(k, "sub")))
		case "sSubSup":
			b.WriteString(part(k, "e") + "_" + group(part(k, "sub")) + "^" + group(part(k, "sup")))
		case "rad":
			b.WriteString("√(" + part(k, "e") + ")")
		case "nary":
			chr := k.find("naryPr").val("chr")
			if chr == "" {
				chr = "∫"
			}
			b.WriteString(chr)
			if s := part(k, "sub"); s != "" {
				b.WriteString("_" + group(s))
			}
			if s := part(k, "sup"); s != "" {
				b.WriteString("^" + group(s))
			}
			b.WriteString(part(k, "e"))
		case "d":
			open, closing := "(", ")"
			if pr := k.child("dPr"); pr != nil {
				if c := pr.child("begChr"); c != nil {
					open = c.attr["val"]
				}
				if c := pr.child("endChr"); c != nil {
					closing = c.attr["val"]
				}
			}
			b.WriteString(open)
			for i, e := range k.kids {
				if e.name == "e" {
					if i > 1 {
						b.WriteString(",")
					}
					b.WriteString(docxMath(e))
				}
			}
			b.WriteString(closing)
		case "rPr", "ctrlPr", "":
		default:
			b.WriteString(docxMath(k))
		}
	}
	return b.String()
}

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
