package ingest

import (
	"regexp"
	"strings"
	"unicode"

	"codeberg.org/readeck/go-readability/v2"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

var htmlBoilerplate = regexp.MustCompile(`(?i)(^|[\s_-])(nav|navbar|navigation|menu|breadcrumbs?|sidebar|footer|cookie|consent|banner|share|social|advert|ads?|promo|related|newsletter|subscribe|popup|modal|toc|skip-link)([\s_-]|$)`)

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
