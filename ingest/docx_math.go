package ingest

import (
	"strings"
	"unicode/utf8"
)

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
