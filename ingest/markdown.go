package ingest

import (
	"bytes"
	"fmt"
	stdhtml "html"
	"strconv"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
	"golang.org/x/net/html"
	"gopkg.in/yaml.v3"

	"docent/chunker"
)

var markdownParser = goldmark.New(goldmark.WithExtensions(extension.GFM, extension.CJK, extension.Footnote, extension.DefinitionList)).Parser()

// markdownMaxDepth is how deep quotes and lists may nest: the parser's time grows with the square of
// it, so lines that open more are taken as text.
const markdownMaxDepth = 100

func parseMarkdown(p *parser, in *input, f form) (*Document, error) {
	raw, err := in.textBytes()
	if err != nil {
		return nil, err
	}
	src, enc := decodeText(raw, "")
	src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	b := newDocBuilder("markdown", in.cfg.MaxText)
	if enc != "utf-8" {
		b.meta("encoding", enc)
	}
	title, src := frontMatter(b, src)
	if strings.TrimSpace(src) == "" && title == "" {
		return nil, parseError(ErrEmptyFile, "it holds white space only")
	}
	if tooNested(src) {
		b.warn("quotes or lists nest too deeply; the file was read as plain text")
		addPlainText(b, src, false)
		return b.finish(in.name, title)
	}
	w := &markdownWalker{b: b, src: []byte(src)}
	root := markdownParser.Parse(text.NewReader(w.src))
	for n := root.FirstChild(); n != nil; n = n.NextSibling() {
		if err := in.ctx.Err(); err != nil {
			return nil, err
		}
		w.block(n, 0, false, "")
	}
	w.flushHTML()
	return b.finish(in.name, title)
}

func tooNested(src string) bool {
	for line := range strings.Lines(src) {
		depth := 0
		for _, c := range line {
			if c == '>' || c == '-' || c == '*' || c == '+' {
				depth++
			} else if c != ' ' && c != '\t' {
				break
			}
		}
		if depth > markdownMaxDepth && strings.Contains(line, ">") || depth > 1000 && strings.ContainsAny(line, " \t") {
			return true
		}
	}
	// Brackets and emphasis that never close are quadratic at worst; only absurd amounts matter.
	return strings.Contains(src, strings.Repeat("[", 2000)) || strings.Contains(src, strings.Repeat("![", 2000))
}

// frontMatter takes the YAML or TOML block off the top of a Markdown file and keeps what is plain in it.
func frontMatter(b *docBuilder, src string) (title, rest string) {
	for _, fence := range []string{"---", "+++"} {
		if !strings.HasPrefix(src, fence+"\n") {
			continue
		}
		head, rest, ok := strings.Cut(src[len(fence)+1:], "\n"+fence)
		if !ok || rest != "" && rest[0] != '\n' && strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]) != "" || len(head) > 64<<10 {
			return "", src
		}
		values := map[string]string{}
		if fence == "---" {
			var m map[string]any
			if strings.Count(head, "*") > 100 || yaml.Unmarshal([]byte(head), &m) != nil || m == nil {
				return "", src
			}
			for k, v := range m {
				switch v := v.(type) {
				case nil, map[string]any, map[any]any:
				case []any:
					var parts []string
					for _, x := range v {
						if _, ok := x.(map[string]any); !ok {
							parts = append(parts, fmt.Sprint(x))
						}
					}
					values[k] = strings.Join(parts, ", ")
				default:
					values[k] = fmt.Sprint(v)
				}
			}
		} else {
			for line := range strings.Lines(head) {
				if k, v, ok := strings.Cut(line, "="); ok {
					values[strings.TrimSpace(k)] = strings.Trim(strings.TrimSpace(v), `"'`)
				}
			}
		}
		for k, v := range values {
			if strings.EqualFold(k, "title") {
				title = v
				continue
			}
			if len(k) <= 64 {
				b.meta(strings.ToLower(k), v)
			}
		}
		return title, rest
	}
	return "", src
}

type markdownWalker struct {
	b    *docBuilder
	src  []byte
	html strings.Builder // raw HTML blocks in a row, which may open in one and close in another
	// attached is the ref of a picture that comes with the text under a name; nil where none do.
	attached func(name string) string
}

// pictureOf is the ref of a picture that the file itself holds, or empty.
func (w *markdownWalker) pictureOf(src string) string {
	if name, ok := strings.CutPrefix(src, "attachment:"); ok && w.attached != nil {
		return w.attached(name)
	}
	return dataPicture(src)
}

// markdownData finds a data URI in the pictures of Markdown.
func markdownData(src, ref string) (data []byte, err error) {
	err = errNoPicture
	if tooNested(src) {
		return nil, err
	}
	root := markdownParser.Parse(text.NewReader([]byte(src)))
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if img, ok := n.(*ast.Image); ok && entering && dataPicture(string(img.Destination)) == ref {
			data, err = decodeDataURI(string(img.Destination))
			return ast.WalkStop, nil
		}
		return ast.WalkContinue, nil
	})
	return data, err
}

func (w *markdownWalker) flushHTML() {
	if w.html.Len() == 0 {
		return
	}
	raw := w.html.String()
	w.html.Reset()
	root, err := html.Parse(strings.NewReader(raw))
	if err != nil {
		w.b.add(chunker.Paragraph, 0, htmlTokensText(raw))
		return
	}
	hw := &htmlWalker{b: w.b, everything: true}
	hw.block(root, htmlState{})
	hw.flush()
}

// block writes one block node. marker is put before the first block of a list item.
func (w *markdownWalker) block(n ast.Node, list int, quote bool, marker string) {
	if hb, ok := n.(*ast.HTMLBlock); ok {
		for i := range hb.Lines().Len() {
			seg := hb.Lines().At(i)
			w.html.Write(seg.Value(w.src))
		}
		if hb.HasClosure() {
			w.html.Write(hb.ClosureLine.Value(w.src))
		}
		w.html.WriteString("\n")
		return
	}
	w.flushHTML()
	kind, level := chunker.Paragraph, 0
	if quote {
		kind = chunker.Quote
	}
	if marker != "" {
		kind, level = chunker.ListItem, list
		marker += " "
	}
	switch n := n.(type) {
	case *ast.Heading:
		w.b.add(chunker.Heading, n.Level, w.inline(n))
	case *ast.Paragraph, *ast.TextBlock, *extast.DefinitionTerm:
		w.b.add(kind, level, marker+w.inline(n))
	case *ast.FencedCodeBlock:
		w.b.add(chunker.Code, 0, w.lines(n))
	case *ast.CodeBlock:
		w.b.add(chunker.Code, 0, w.lines(n))
	case *ast.Blockquote:
		for c := n.FirstChild(); c != nil; c = c.NextSibling() {
			w.block(c, list, true, "")
		}
	case *ast.List:
		number := n.Start
		for c := n.FirstChild(); c != nil; c = c.NextSibling() {
			m := "-"
			if n.IsOrdered() {
				m = strconv.Itoa(number) + "."
				number++
			}
			first := true
			for k := c.FirstChild(); k != nil; k = k.NextSibling() {
				if _, inner := k.(*ast.List); inner || !first {
					w.block(k, list+1, quote, "")
					continue
				}
				w.block(k, list+1, quote, m)
				first = false
			}
		}
	case *extast.Table:
		var rows [][]string
		for r := n.FirstChild(); r != nil; r = r.NextSibling() {
			var row []string
			for c := r.FirstChild(); c != nil; c = c.NextSibling() {
				row = append(row, w.inline(c))
			}
			rows = append(rows, row)
		}
		w.b.add(chunker.Table, 0, markdownTable(rows))
	case *ast.ThematicBreak:
	case *extast.Footnote:
		m := "[" + string(n.Ref) + "]"
		for c := n.FirstChild(); c != nil; c = c.NextSibling() {
			if p, ok := c.(*ast.Paragraph); ok && m != "" {
				w.b.add(chunker.Paragraph, 0, m+" "+w.inline(p))
				m = ""
				continue
			}
			w.block(c, list, quote, "")
		}
	default:
		for c := n.FirstChild(); c != nil; c = c.NextSibling() {
			w.block(c, list, quote, "")
		}
	}
}

func (w *markdownWalker) lines(n ast.Node) string {
	var b bytes.Buffer
	for i := range n.Lines().Len() {
		seg := n.Lines().At(i)
		b.Write(seg.Value(w.src))
	}
	return b.String()
}

// inline is the readable text of a node's inline content: link texts with marks for their targets, no
// emphasis marks, images as their description.
func (w *markdownWalker) inline(n ast.Node) string {
	var b strings.Builder
	var open []string // what ends the links at hand
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			if _, ok := n.(*ast.Link); ok && len(open) > 0 {
				b.WriteString(open[len(open)-1])
				open = open[:len(open)-1]
			}
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Link:
			mark := w.b.openLink(string(n.Destination))
			b.WriteString(mark)
			if mark != "" {
				mark = closeMark
			}
			open = append(open, mark)
		case *ast.Image:
			w.b.picture(w.pictureOf(string(n.Destination)))
		case *ast.Text:
			if n.IsRaw() {
				b.Write(n.Segment.Value(w.src))
			} else {
				b.WriteString(unescapeMarkdown(n.Segment.Value(w.src)))
			}
			if n.HardLineBreak() {
				b.WriteByte('\n')
			} else if n.SoftLineBreak() {
				b.WriteByte('\n')
			}
		case *ast.String:
			b.Write(n.Value)
		case *ast.CodeSpan:
			for c := n.FirstChild(); c != nil; c = c.NextSibling() {
				if t, ok := c.(*ast.Text); ok {
					b.Write(bytes.ReplaceAll(t.Segment.Value(w.src), []byte("\n"), []byte(" ")))
				}
			}
			return ast.WalkSkipChildren, nil
		case *ast.AutoLink:
			target := string(n.URL(w.src))
			if n.AutoLinkType == ast.AutoLinkEmail {
				target = "mailto:" + target
			}
			b.WriteString(w.b.link(target, string(n.Label(w.src))))
		case *ast.RawHTML:
			raw := ""
			for i := range n.Segments.Len() {
				seg := n.Segments.At(i)
				raw += string(seg.Value(w.src))
			}
			switch t := strings.ToLower(raw); {
			case strings.HasPrefix(t, "<br"):
				b.WriteByte('\n')
			case strings.HasPrefix(t, "<a "):
				z := html.NewTokenizer(strings.NewReader(raw))
				z.Next()
				for _, a := range z.Token().Attr {
					if a.Key == "href" {
						b.WriteString(w.b.openLink(a.Val))
					}
				}
			case strings.HasPrefix(t, "</a"):
				b.WriteString(closeMark)
			}
		case *extast.FootnoteLink:
			b.WriteString("[" + strconv.Itoa(n.Index) + "]")
		case *extast.TaskCheckBox:
			if n.IsChecked {
				b.WriteString("[x] ")
			} else {
				b.WriteString("[ ] ")
			}
		}
		return ast.WalkContinue, nil
	})
	return joinSoftLines(b.String())
}

// joinSoftLines joins the lines of a paragraph: with a space, or with nothing between CJK characters.
func joinSoftLines(s string) string {
	if !strings.Contains(s, "\n") {
		return s
	}
	var b strings.Builder
	for i, line := range strings.Split(s, "\n") {
		line = strings.TrimSpace(line)
		if i > 0 {
			writeJoin(&b, line)
		}
		b.WriteString(line)
	}
	return b.String()
}

// unescapeMarkdown undoes backslash escapes and character references.
func unescapeMarkdown(s []byte) string {
	if bytes.IndexByte(s, '\\') >= 0 {
		s = util.UnescapePunctuations(s)
	}
	if bytes.IndexByte(s, '&') >= 0 {
		return stdhtml.UnescapeString(string(s))
	}
	return string(s)
}
