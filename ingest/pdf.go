package ingest

import (
	"io"
)

const softHyphen = '\u00ad' // inside the PDF reader: a hyphen at the end of a line

type outlineItem struct {
	title string
	level int
}

// pdfChar is one character of a page with its place, in points from the top left corner of the page
// as it is seen.
type pdfChar struct {
	r              rune // '\n' and '\r' end a line, ' ' stands between words
	x0, y0, x1, y1 float32
	size           float32 // of the font, on the page
	angle          float32 // of the line of writing, radians; 0 is left to right
	bold, mono     bool
}

// pdfPage is what an engine read of a page.
type pdfPage struct {
	engine        string
	width, height float64
	chars         []pdfChar
}

func parsePDF(p *parser, in *input, f form) (*Document, error) {
	d, err := p.pdfium.open(in.ctx, io.NewSectionReader(in.file, 0, in.size), in.size, in.password)
	if err != nil {
		return nil, err
	}
	defer d.close()
	b := newDocBuilder("pdf", in.cfg.MaxText)
	for i := range d.pages {
		pg, err := d.page(i)
		if err != nil {
			b.warn(err.Error())
			continue
		}
		s := ""
		for _, c := range pg.chars {
			s += string(c.r)
		}
		b.startPage(i+1, d.label(i))
		b.add("paragraph", 0, s)
	}
	return b.finish(in.name, "")
}
