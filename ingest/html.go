package ingest

import (
	"cmp"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/net/html/charset"
)

const (
	htmlMaxDepth = 400     // elements deeper than this are read as their text
	htmlMaxNodes = 400_000 // pages with more are not put through readability, which is not linear
)

func parseHTML(p *parser, in *input, f form) (*Document, error) { return readHTML(in, nil) }

// readHTML reads a page; part is that of htmlWalker.
func readHTML(in *input, part func(src string) string) (*Document, error) {
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
	w := &htmlWalker{b: b, base: base, everything: in.whole, part: part}
	w.block(content, htmlState{})
	w.flush()
	if len(b.doc.Blocks) == 0 {
		w = &htmlWalker{b: b, base: base, everything: true, part: part}
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
