package ingest

import (
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"docent/chunker"
)

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
	pictured   bool                    // there was a picture since the last block
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
	pictured := w.pictured
	w.pictured = false
	if strings.TrimSpace(withoutMarks(text)) == "" {
		if pictured {
			w.b.add(chunker.Paragraph, 0, text) // adds no text, and notes the links
		}
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
		w.pictured = true
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
