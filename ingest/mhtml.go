package ingest

import (
	"bytes"
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"github.com/jhillyerd/enmime/v2"
)

// parseMHTML reads a web page saved with its pictures as one mail-like file.
func parseMHTML(p *parser, in *input, f form) (*Document, error) {
	m, err := openMHTML(in)
	if err != nil {
		return nil, err
	}
	if m.page == nil {
		return parseEML(p, in, f)
	}
	doc, err := readHTML(m.input(in), m.pictureOf)
	if doc != nil {
		doc.Format = "mhtml"
		if u := m.parts[0].Header.Get("Snapshot-Content-Location"); u != "" && doc.Metadata["url"] == "" {
			if doc.Metadata == nil {
				doc.Metadata = map[string]string{}
			}
			doc.Metadata["url"] = u
		}
	}
	return doc, err
}

// mhtml is a page with the parts that it is made of (RFC 2557), the whole of it first.
type mhtml struct {
	parts []*enmime.Part
	page  *enmime.Part // nil when there is none
	base  *url.URL     // of the page; nil when it states none
}

func openMHTML(in *input) (*mhtml, error) {
	raw, err := in.textBytes()
	if err != nil {
		return nil, err
	}
	root, err := readMail(raw)
	if err != nil {
		return nil, err
	}
	m := &mhtml{parts: root.DepthMatchAll(func(*enmime.Part) bool { return true })}
	m.page = root.DepthMatchFirst(func(p *enmime.Part) bool { return p.ContentType == "text/html" })
	if m.page != nil {
		m.base, _ = url.Parse(cmp.Or(m.page.Header.Get("Content-Location"), root.Header.Get("Snapshot-Content-Location")))
	}
	return m, nil
}

// input is the page as a file.
func (m *mhtml) input(in *input) *input {
	within := *in
	within.file, within.size = bytes.NewReader(m.page.Content), int64(len(m.page.Content))
	return &within
}

// pictureOf is the ref of a picture of the page that is a part of the file, or empty.
func (m *mhtml) pictureOf(src string) string {
	if ref := dataPicture(src); ref != "" {
		return ref
	}
	if id, ok := strings.CutPrefix(src, "cid:"); ok {
		if plain, err := url.PathUnescape(id); err == nil {
			id = plain
		}
		return m.part(func(p *enmime.Part) bool { return p.ContentID == id })
	}
	wanted := m.address(src)
	return m.part(func(p *enmime.Part) bool {
		at := p.Header.Get("Content-Location")
		return at != "" && m.address(at) == wanted
	})
}

// address is an address in the one spelling in which they are compared.
func (m *mhtml) address(s string) string {
	u, err := url.Parse(strings.TrimSpace(s))
	if err != nil {
		return s
	}
	if m.base != nil {
		u = m.base.ResolveReference(u)
	}
	return u.String()
}

func (m *mhtml) part(fits func(*enmime.Part) bool) string {
	for i, p := range m.parts {
		if strings.HasPrefix(p.ContentType, "image/") && fits(p) {
			return fmt.Sprintf("part:%d", i)
		}
	}
	return ""
}

// mhtmlPicture returns a picture of a page saved in one file as a grey PNG file.
func (p *parser) mhtmlPicture(in *input, ref string, dpi int) ([]byte, error) {
	m, err := openMHTML(in)
	if err != nil {
		return nil, err
	}
	if m.page == nil {
		return p.memberPicture(in, form{format: "eml"}, ref, dpi)
	}
	var data []byte
	var number int
	if _, scan := fmt.Sscanf(ref, "part:%d", &number); scan != nil {
		data, err = dataOf(m.input(in), ref)
	} else if number >= 0 && number < len(m.parts) {
		data = m.parts[number].Content
	} else {
		err = errNoPicture
	}
	if err != nil {
		return nil, err
	}
	return pictureData(data, ref)
}
