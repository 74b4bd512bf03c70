package ingest

import (
	"errors"
	"net/url"
	"path"
	"strings"

	"golang.org/x/net/html"
)

// parseEPUB reads the chapters of a book in the order of its spine.
func parseEPUB(p *parser, in *input, f form) (*Document, error) {
	pk, err := openPacked(in)
	if err != nil {
		return nil, err
	}
	container, err := pk.tree("META-INF/container.xml")
	if err != nil {
		return nil, partError(err, "META-INF/container.xml")
	}
	opf := ""
	if rf := container.find("container", "rootfiles", "rootfile"); rf != nil {
		opf = rf.attr["full-path"]
	}
	root, err := pk.tree(opf)
	if err != nil {
		return nil, partError(err, opf)
	}
	b := newDocBuilder("epub", in.cfg.MaxText)
	parts := make(map[string]bool, len(pk.zr.File))
	for _, f := range pk.zr.File {
		parts[f.Name] = true
	}
	pkg := root.child("package")
	meta := pkg.child("metadata")
	title := meta.child("title").content()
	b.meta("author", meta.child("creator").content())
	b.meta("language", meta.child("language").content())
	b.meta("created", meta.child("date").content())
	items := map[string]string{}
	if m := pkg.child("manifest"); m != nil {
		for _, it := range m.kids {
			if t := it.attr["media-type"]; strings.Contains(t, "html") {
				items[it.attr["id"]] = it.attr["href"]
			}
		}
	}
	if spine := pkg.child("spine"); spine != nil {
		for _, ref := range spine.kids {
			href, ok := items[ref.attr["idref"]]
			if !ok {
				continue
			}
			if err := in.ctx.Err(); err != nil {
				return nil, err
			}
			if u, err := url.PathUnescape(href); err == nil {
				href = u
			}
			raw, err := pk.bytes(path.Join(path.Dir(opf), href))
			if errors.Is(err, ErrTooLarge) {
				return nil, err
			}
			if err != nil {
				b.warn("the chapter " + href + " cannot be read")
				continue
			}
			text, _ := decodeText(raw, "")
			tree, err := html.Parse(strings.NewReader(text))
			if err != nil {
				addPlainText(b, htmlTokensText(text), false)
				continue
			}
			w := &htmlWalker{b: b, part: func(src string) string {
				if u, err := url.PathUnescape(src); err == nil {
					src = u
				}
				if name := path.Join(path.Dir(opf), path.Dir(href), src); parts[name] {
					return name
				}
				return ""
			}}
			w.block(tree, htmlState{})
			w.flush()
		}
	}
	return b.finish(in.name, title)
}

// partError says which part of a packed document is missing or broken.
func partError(err error, part string) error {
	if errors.Is(err, errNoPart) {
		return parseError(ErrDamaged, "its part %s is missing", part)
	}
	return err
}
