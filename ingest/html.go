package ingest

import (
	"cmp"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"codeberg.org/readeck/go-readability/v2"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/net/html/charset"

	"docent/chunker"
)

const (
	htmlMaxDepth = 400     // elements deeper than this are read as their text
	htmlMaxNodes = 400_000 // pages with more are not put through readability, which is not linear
)

func parseHTML(p *parser, in *input, f form) (*Document, error) {
	raw, err := in.textBytes()
	if err != nil {
		return nil, err
	}
	_, declared, _ := charset.DetermineEncoding(raw[:min(len(raw), 1024)], "")
	if declared == "windows-1252" && !strings.Contains(strings.ToLower(string(raw[:min(len(raw), 1024)])), "charset") {
		declared = "" // the standard's default, not what the page says
	}
	text, enc := decodeText(raw, declared)
	b := newDocBuilder("html", in.cfg.MaxText)
	if enc != "utf-8" {
		b.meta("encoding", enc)
	}
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		// Nested beyond what the parser allows; its text is still worth having.
		b.warn("the page is nested too deeply; its structure was ignored")
		addPlainText(b, htmlTokensText(text), false)
		return b.finish(in.name, "")
	}
	title := htmlMeta(b, root)
	content := root
	if !in.whole {
		content = htmlMain(root)
	}
	base := htmlBase(root, in.url)
	w := &htmlWalker{b: b, base: base, everything: in.whole}
	w.block(content, htmlState{})
	w.flush()
	if len(b.doc.Blocks) == 0 {
		w = &htmlWalker{b: b, base: base, everything: true}
		w.block(root, htmlState{})
		w.flush()
	}
	return b.finish(in.name, title)
}

// htmlTokensText is the visible text of a page by its tokens alone.
func htmlTokensText(s string) string {
	var b strings.Builder
	z := html.NewTokenizer(strings.NewReader(s))
	skip := ""
	for {
		switch z.Next() {
		case html.ErrorToken:
			return b.String()
		case html.TextToken:
			if skip == "" {
				b.WriteString(html.UnescapeString(string(z.Text())))
			}
		case html.StartTagToken:
			name, _ := z.TagName()
			switch t := string(name); {
			case skip == "" && (t == "script" || t == "style" || t == "template"):
				skip = t
			case skip == "" && (t == "p" || t == "div" || t == "br" || t == "li" || t == "tr" || strings.HasPrefix(t, "h")):
				b.WriteString("\n\n")
			}
		case html.EndTagToken:
			if name, _ := z.TagName(); string(name) == skip {
				skip = ""
			}
		}
	}
}

// htmlMeta reads the head of a page and returns its title.
func htmlMeta(b *docBuilder, root *html.Node) string {
	var title, ogTitle, h1 string
	h1s := 0
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.DataAtom {
		case atom.Title:
			if title == "" && n.Namespace == "" {
				title = htmlText(n)
			}
		case atom.H1:
			if h1s++; h1s == 1 {
				h1 = htmlText(n)
			}
		case atom.Html:
			if v := htmlAttr(n, "lang"); v != "" {
				b.meta("language", v)
			}
		case atom.Meta:
			key := strings.ToLower(htmlAttr(n, "name") + htmlAttr(n, "property"))
			value := htmlAttr(n, "content")
			switch key {
			case "author", "description", "keywords":
				b.meta(key, value)
			case "og:title":
				ogTitle = value
			case "article:published_time", "date", "dcterms.created":
				b.meta("created", value)
			case "article:modified_time":
				b.meta("modified", value)
			}
		}
	}
	// "How to pay – Example Inc." with a heading that is one part of it: the heading says it best.
	if h1s == 1 && h1 != "" && utf8.RuneCountInString(h1) <= 200 && strings.Contains(title, h1) {
		return h1
	}
	if title == "" {
		return ogTitle
	}
	return title
}

var htmlBoilerplate = regexp.MustCompile(`(?i)(^|[\s_-])(nav|navbar|navigation|menu|breadcrumbs?|sidebar|footer|cookie|consent|banner|share|social|advert|ads?|promo|related|newsletter|subscribe|popup|modal|toc|skip-link)([\s_-]|$)`)

// htmlBase is what the links of a page are relative to: what its base element says, the address it was
// fetched from, or the one it gives as its own; nil when there is none of them.
func htmlBase(root *html.Node, fetched string) *url.URL {
	from, _ := url.Parse(fetched)
	if from != nil && !from.IsAbs() {
		from = nil
	}
	var own *url.URL
	for n := range root.Descendants() {
		switch {
		case n.DataAtom == atom.Base && htmlAttr(n, "href") != "":
			base, err := url.Parse(htmlAttr(n, "href"))
			if err == nil && from != nil {
				base = from.ResolveReference(base)
			}
			if err == nil && base.IsAbs() {
				return base
			}
		case n.DataAtom == atom.Link && own == nil && strings.EqualFold(htmlAttr(n, "rel"), "canonical"):
			if u, err := url.Parse(htmlAttr(n, "href")); err == nil && u.IsAbs() {
				own = u
			}
		case n.DataAtom == atom.Body:
			return cmp.Or(from, own)
		}
	}
	return cmp.Or(from, own)
}

// htmlMain picks the part of a page that is its content: what readability finds, unless that loses
// too much of what the page shows outside its navigation.
func htmlMain(root *html.Node) *html.Node {
	total, nodes := htmlWeight(root)
	if total < 600 || nodes > htmlMaxNodes {
		return root
	}
	article := htmlReadable(root)
	if article == nil {
		return root
	}
	got, _ := htmlWeight(article)
	if got*10 < total*7 {
		return root
	}
	// Readability drops tables, code and lists that it takes for furniture.
	for _, a := range []atom.Atom{atom.Table, atom.Pre, atom.H2, atom.Dl} {
		if had, has := htmlCount(root, a), htmlCount(article, a); had > 0 && has*10 < had*8 {
			return root
		}
	}
	return article
}

func htmlReadable(root *html.Node) (node *html.Node) {
	defer func() {
		if recover() != nil {
			node = nil
		}
	}()
	rp := readability.NewParser()
	article, err := rp.ParseDocument(root, nil)
	if err != nil {
		return nil
	}
	return article.Node
}

// htmlWeight counts the letters below n outside furniture, and the nodes.
func htmlWeight(n *html.Node) (letters, nodes int) {
	depth := 0
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		nodes++
		if n.Type == html.TextNode {
			for _, r := range n.Data {
				if !unicode.IsSpace(r) {
					letters++
				}
			}
			return
		}
		if htmlHidden(n) || htmlFurniture(n) || depth > 2*htmlMaxDepth {
			return
		}
		depth++
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
		depth--
	}
	walk(n)
	return letters, nodes
}

func htmlCount(n *html.Node, a atom.Atom) int {
	count := 0
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.DataAtom == a {
			count++
		}
	}
	return count
}

// htmlHidden tells elements that are never shown.
func htmlHidden(n *html.Node) bool {
	switch n.Type {
	case html.CommentNode, html.DoctypeNode:
		return true
	case html.ElementNode:
	default:
		return false
	}
	switch n.DataAtom {
	case atom.Script, atom.Style, atom.Head, atom.Template, atom.Noscript, atom.Iframe, atom.Object, atom.Embed, atom.Svg, atom.Canvas,
		atom.Audio, atom.Video, atom.Select, atom.Datalist, atom.Meta, atom.Link, atom.Title:
		return true
	}
	for _, a := range n.Attr {
		switch a.Key {
		case "hidden":
			return true
		case "aria-hidden":
			if a.Val == "true" && n.DataAtom != atom.Body && n.DataAtom != atom.Main {
				return true
			}
		case "style":
			s := strings.ReplaceAll(strings.ToLower(a.Val), " ", "")
			if strings.Contains(s, "display:none") || strings.Contains(s, "visibility:hidden") {
				return true
			}
		}
	}
	return false
}

// htmlFurniture tells elements around the content: navigation, banners, footers.
func htmlFurniture(n *html.Node) bool {
	if n.Type != html.ElementNode {
		return false
	}
	switch n.DataAtom {
	case atom.Nav, atom.Button:
		return true
	case atom.Footer, atom.Header, atom.Aside:
		// Those of the page, not those of an article in it.
		for p := n.Parent; p != nil; p = p.Parent {
			switch p.DataAtom {
			case atom.Article, atom.Main, atom.Blockquote, atom.Section:
				return false
			}
		}
		if n.DataAtom == atom.Header {
			return htmlCount(n, atom.H1) == 0 && htmlCount(n, atom.P) == 0
		}
		return true
	case atom.Body, atom.Html, atom.Main, atom.Article, atom.Table, atom.Tbody, atom.Tr, atom.Td, atom.Pre, atom.Code, atom.H1, atom.H2, atom.H3:
		return false
	}
	switch strings.ToLower(htmlAttr(n, "role")) {
	case "navigation", "banner", "contentinfo", "search", "menu", "menubar", "dialog", "alertdialog":
		return true
	}
	if n.DataAtom == atom.Div || n.DataAtom == atom.Ul || n.DataAtom == atom.Section {
		for _, a := range n.Attr {
			if (a.Key == "class" || a.Key == "id") && htmlBoilerplate.MatchString(a.Val) {
				return htmlLinkShare(n) > 0.5
			}
		}
	}
	return false
}

// htmlLinkShare is the share of the text below n that is in links.
func htmlLinkShare(n *html.Node) float64 {
	var all, linked int
	var walk func(n *html.Node, link bool, depth int)
	walk = func(n *html.Node, link bool, depth int) {
		if n.Type == html.TextNode {
			k := len(strings.TrimSpace(n.Data))
			all += k
			if link {
				linked += k
			}
			return
		}
		if depth > 2*htmlMaxDepth {
			return
		}
		link = link || n.DataAtom == atom.A || n.DataAtom == atom.Button
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c, link, depth+1)
		}
	}
	walk(n, false, 0)
	if all == 0 {
		return 1
	}
	return float64(linked) / float64(all)
}

func htmlAttr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return strings.TrimSpace(a.Val)
		}
	}
	return ""
}

// htmlText is the text below n on one line.
func htmlText(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode && (d.Parent == nil || d.Parent == n || !htmlHidden(d.Parent)) {
			b.WriteString(d.Data)
		} else if d.DataAtom == atom.Br {
			b.WriteByte(' ')
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

type htmlState struct {
	list   int  // depth of lists
	quote  bool // inside a blockquote
	depth  int
	marker string // of the list item that is open, until its first text
}

// htmlWalker turns a tree into blocks. Text between block elements gathers in line.
type htmlWalker struct {
	b          *docBuilder
	line       strings.Builder
	pending    htmlState
	base       *url.URL                // of relative links; nil when it is not known
	link       string                  // the mark of the link that is open
	everything bool                    // furniture too
	part       func(src string) string // of a page in a package: the name of the part that holds a picture; else nil
}

// pictureOf is the ref of a picture that the file itself holds, or empty.
func (w *htmlWalker) pictureOf(src string) string {
	if w.part != nil {
		return w.part(src)
	}
	return dataPicture(src)
}

// openLink is the mark of a link, or empty where it leads nowhere but in the page itself.
func (w *htmlWalker) openLink(a *html.Node) string {
	href := htmlAttr(a, "href")
	if href == "" || href[0] == '#' {
		return ""
	}
	if w.base != nil {
		if u, err := w.base.Parse(href); err == nil {
			href = u.String()
		}
	}
	return w.b.openLink(href)
}

func (w *htmlWalker) flush() {
	text := strings.TrimSpace(w.line.String())
	w.line.Reset()
	w.line.WriteString(w.link) // one around several blocks goes on in the next
	st := w.pending
	if strings.TrimSpace(withoutMarks(text)) == "" {
		return
	}
	switch {
	case st.marker != "":
		w.b.add(chunker.ListItem, max(1, st.list), st.marker+" "+text)
	case st.quote:
		w.b.add(chunker.Quote, 0, text)
	default:
		w.b.add(chunker.Paragraph, 0, text)
	}
	w.pending.marker = ""
}

// inline appends text with its white space collapsed.
func (w *htmlWalker) inline(s string) {
	for _, r := range s {
		if r == ' ' || r == '\n' || r == '\t' || r == '\r' || r == '\f' {
			if s := strings.TrimRightFunc(w.line.String(), isMark); s != "" && s[len(s)-1] != ' ' && s[len(s)-1] != '\n' {
				w.line.WriteByte(' ')
			}
			continue
		}
		w.line.WriteRune(r)
	}
}

func (w *htmlWalker) children(n *html.Node, st htmlState) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		w.block(c, st)
	}
}

func (w *htmlWalker) block(n *html.Node, st htmlState) {
	if n.Type == html.TextNode {
		w.inline(n.Data)
		return
	}
	if htmlHidden(n) || !w.everything && htmlFurniture(n) || w.b.tooLong {
		return
	}
	st.depth++
	if st.depth > htmlMaxDepth {
		w.inline(htmlText(n))
		return
	}
	if n.Type != html.ElementNode {
		w.children(n, st)
		return
	}
	switch n.DataAtom {
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		w.flush()
		w.b.add(chunker.Heading, int(n.Data[1]-'0'), w.lineOf(n))
	case atom.Br:
		if w.line.Len() > 0 {
			w.line.WriteByte('\n')
		}
	case atom.Hr:
		w.flush()
	case atom.Pre, atom.Listing, atom.Textarea:
		w.flush()
		w.b.add(chunker.Code, 0, htmlPre(n))
	case atom.Table:
		w.flush()
		w.table(n, st)
	case atom.Ul, atom.Ol, atom.Menu:
		w.flush()
		w.list(n, st)
		w.flush()
		w.pending = st
	case atom.Dl:
		w.flush()
		w.children(n, st)
		w.flush()
	case atom.Dt, atom.Dd:
		w.flush()
		w.children(n, st)
		w.flush()
	case atom.Li:
		w.item(n, st, "-")
	case atom.Blockquote:
		w.flush()
		st.quote = true
		w.pending = st
		w.children(n, st)
		w.flush()
		st.quote = false
		w.pending = st
	case atom.Img:
		w.b.picture(w.pictureOf(htmlAttr(n, "src")))
		if alt := htmlAttr(n, "alt"); len(strings.Fields(alt)) >= 3 {
			w.inline(" " + alt + " ")
		}
	case atom.Math:
		if t := htmlMathText(n); t != "" {
			w.inline(t)
		}
	case atom.Input:
		if t := htmlAttr(n, "type"); t == "submit" || t == "button" || t == "hidden" {
			return
		}
		w.inline(htmlAttr(n, "value"))
	case atom.A:
		outer := w.link
		if open := w.openLink(n); open != "" {
			w.link = open
			w.line.WriteString(open)
		}
		w.children(n, st)
		if w.link != outer {
			w.link = outer
			w.line.WriteString(closeMark + outer)
		}
	case atom.Sup, atom.Sub, atom.Span, atom.B, atom.I, atom.Em, atom.Strong, atom.Code, atom.Small, atom.U, atom.S, atom.Mark, atom.Abbr,
		atom.Cite, atom.Q, atom.Kbd, atom.Samp, atom.Var, atom.Time, atom.Label, atom.Font, atom.Del, atom.Ins, atom.Bdi, atom.Bdo, atom.Data,
		atom.Dfn, atom.Ruby, atom.Rb, atom.Wbr, atom.Big, atom.Tt, atom.Strike, atom.Center:
		if n.DataAtom == atom.Center {
			w.flush()
		}
		w.children(n, st)
		if n.DataAtom == atom.Center {
			w.flush()
		}
	case atom.Rt, atom.Rp:
	case atom.Html, atom.Body:
		w.children(n, st)
	default:
		if htmlBlockElements[n.DataAtom] {
			w.flush()
			w.children(n, st)
			w.flush()
			return
		}
		w.children(n, st)
	}
}

var htmlBlockElements = map[atom.Atom]bool{
	atom.P: true, atom.Div: true, atom.Section: true, atom.Article: true, atom.Main: true, atom.Header: true, atom.Footer: true, atom.Aside: true,
	atom.Figure: true, atom.Figcaption: true, atom.Address: true, atom.Details: true, atom.Summary: true, atom.Fieldset: true, atom.Form: true,
	atom.Legend: true, atom.Caption: true, atom.Tr: true, atom.Td: true, atom.Th: true, atom.Nav: true, atom.Hgroup: true, atom.Option: true,
}

func (w *htmlWalker) list(n *html.Node, st htmlState) {
	st.list++
	number := 1
	if v, err := strconv.Atoi(htmlAttr(n, "start")); err == nil {
		number = v
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.DataAtom == atom.Li {
			marker := "-"
			if n.DataAtom == atom.Ol {
				if v, err := strconv.Atoi(htmlAttr(c, "value")); err == nil {
					number = v
				}
				marker = strconv.Itoa(number) + "."
				number++
			}
			w.item(c, st, marker)
			continue
		}
		w.block(c, st)
	}
}

func (w *htmlWalker) item(n *html.Node, st htmlState, marker string) {
	if htmlHidden(n) || !w.everything && htmlFurniture(n) {
		return
	}
	w.flush()
	st.marker = marker
	st.list = max(1, st.list)
	w.pending = st
	st.marker = ""
	w.children(n, st)
	w.flush()
	w.pending = htmlState{}
}

// htmlPre is the text of preformatted elements with its lines.
func htmlPre(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		switch {
		case d.Type == html.TextNode:
			b.WriteString(d.Data)
		case d.DataAtom == atom.Br:
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// htmlMathText prefers the TeX source that pages carry beside MathML.
func htmlMathText(n *html.Node) string {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == "annotation" && strings.Contains(htmlAttr(d, "encoding"), "tex") {
			return " " + htmlText(d) + " "
		}
	}
	if alt := htmlAttr(n, "alttext"); alt != "" {
		return " " + alt + " "
	}
	return htmlText(n)
}

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
