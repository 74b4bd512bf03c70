package ingest

import (
	"encoding/xml"
	"io"
	"strings"
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

// attribute is the value of an attribute, empty also where n is not there.
func (n *docxNode) attribute(name string) string {
	if n == nil {
		return ""
	}
	return n.attr[name]
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
