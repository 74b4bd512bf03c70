package ingest

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
)

// page reads a page's characters. A page that cannot be loaded is an error; the document goes on.
func (d *pdfiumDoc) page(index int) (pg *pdfPage, err error) {
	defer func() {
		if r := recover(); r != nil {
			pg, err = nil, pdfiumFault(r)
		}
	}()
	loaded, err := d.inst.FPDF_LoadPage(&requests.FPDF_LoadPage{Document: d.doc, Index: index})
	if err != nil {
		return nil, pdfiumFault(err)
	}
	ref := loaded.Page
	defer func() { _, _ = d.inst.FPDF_ClosePage(&requests.FPDF_ClosePage{Page: ref}) }()
	page := requests.Page{ByReference: &ref}
	links := d.links(page) // before they are flattened away

	// Form fields and notes are drawn over the page; flattened, their text is part of it.
	if n, err := d.inst.FPDFPage_GetAnnotCount(&requests.FPDFPage_GetAnnotCount{Page: page}); err == nil && n.Count > 0 && n.Count < 5000 {
		if flat, err := d.inst.FPDFPage_Flatten(&requests.FPDFPage_Flatten{Page: page}); err == nil && flat.Result == 1 {
			if again, err := d.inst.FPDF_LoadPage(&requests.FPDF_LoadPage{Document: d.doc, Index: index}); err == nil {
				_, _ = d.inst.FPDF_ClosePage(&requests.FPDF_ClosePage{Page: ref})
				ref = again.Page
			}
		}
	}
	pg = &pdfPage{engine: "pdfium"}
	size, err := d.inst.FPDF_GetPageSizeByIndex(&requests.FPDF_GetPageSizeByIndex{Document: d.doc, Index: index})
	if err == nil {
		pg.width, pg.height = size.Width, size.Height
	}
	rotation := 0
	if rot, err := d.inst.FPDFPage_GetRotation(&requests.FPDFPage_GetRotation{Page: page}); err == nil {
		rotation = int(rot.PageRotation)
	}
	if count, err := d.inst.FPDFPage_CountObjects(&requests.FPDFPage_CountObjects{Page: page}); err == nil {
		pg.blank = count.Count == 0
	}
	text, err := d.inst.GetPageTextStructured(&requests.GetPageTextStructured{Page: page, Mode: requests.GetPageTextStructuredModeChars})
	if err != nil {
		return nil, pdfiumFault(err)
	}
	if len(text.Chars) == 0 {
		return pg, nil
	}
	tp, err := d.inst.FPDFText_LoadPage(&requests.FPDFText_LoadPage{Page: page})
	if err != nil {
		return nil, pdfiumFault(err)
	}
	defer func() { _, _ = d.inst.FPDFText_ClosePage(&requests.FPDFText_ClosePage{TextPage: tp.TextPage}) }()

	left, bottom := 0.0, 0.0
	if box, err := d.inst.FPDFPage_GetCropBox(&requests.FPDFPage_GetCropBox{Page: page}); err == nil {
		left, bottom = float64(box.Left), float64(box.Bottom)
	} else if box, err := d.inst.FPDFPage_GetMediaBox(&requests.FPDFPage_GetMediaBox{Page: page}); err == nil {
		left, bottom = float64(box.Left), float64(box.Bottom)
	}
	// turn brings a box from PDF's user space, y upward, to the page as it is seen, y downward.
	turn := func(l, t, r, b float64) (x0, y0, x1, y1 float64) {
		l, r, t, b = l-left, r-left, t-bottom, b-bottom
		switch rotation {
		case 1:
			return b, l, t, r
		case 2:
			return pg.width - r, b, pg.width - l, t
		case 3:
			return pg.width - t, pg.height - r, pg.width - b, pg.height - l
		}
		return l, pg.height - t, r, pg.height - b
	}
	for _, l := range links {
		for i, b := range l.boxes {
			x0, y0, x1, y1 := turn(b[0], b[3], b[2], b[1])
			l.boxes[i] = [4]float64{min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)}
		}
	}
	pg.links = links
	d.objects(pg, page, turn)
	var size1 float64
	var bold, mono bool
	names := map[string][2]bool{}
	pg.chars = make([]pdfChar, 0, len(text.Chars))
	wordStart := true
	high := rune(0) // of a pair of UTF-16 units
	for i, c := range text.Chars {
		r := rune(0)
		for _, r = range c.Text {
			break
		}
		if r == utf8.RuneError {
			r = d.unit(tp.TextPage, i)
			if r2 := utf16.DecodeRune(high, r); r2 != utf8.RuneError {
				r, high = r2, 0
			} else if utf16.IsSurrogate(r) {
				high = r
				continue
			}
		}
		switch r {
		case 0:
			continue
		case 0xfffe, 0xffff, 2:
			r = softHyphen // PDFium marks a hyphen at the end of a line so
		case '\r', '\n', ' ', '\t', 0xa0:
			wordStart = true
			if r != '\n' && r != '\r' {
				r = ' '
			}
		default:
			if r < 0x20 {
				r = 0xfffd
			}
		}
		ch := pdfChar{r: r}
		p := c.PointPosition
		x0, y0, x1, y1 := turn(p.Left, p.Top, p.Right, p.Bottom)
		ch.angle = float32(normalAngle(c.Angle + float64(rotation)*math.Pi/2))
		if wordStart && r != ' ' && r != '\n' && r != '\r' || len(pg.chars) == 0 {
			wordStart = false
			if loose, err := d.inst.FPDFText_GetLooseCharBox(&requests.FPDFText_GetLooseCharBox{TextPage: tp.TextPage, Index: i}); err == nil {
				_, ly0, _, ly1 := turn(float64(loose.Rect.Left), float64(loose.Rect.Top), float64(loose.Rect.Right), float64(loose.Rect.Bottom))
				if math.Abs(math.Sin(float64(ch.angle))) > 0.7 {
					lx0, _, lx1, _ := turn(float64(loose.Rect.Left), float64(loose.Rect.Top), float64(loose.Rect.Right), float64(loose.Rect.Bottom))
					ly0, ly1 = lx0, lx1
				}
				size1 = math.Abs(ly1 - ly0)
			}
			if info, err := d.inst.FPDFText_GetFontInfo(&requests.FPDFText_GetFontInfo{TextPage: tp.TextPage, Index: i}); err == nil {
				style, ok := names[info.FontName]
				if !ok {
					low := strings.ToLower(info.FontName)
					style = [2]bool{
						strings.Contains(low, "bold") || strings.Contains(low, "black") || strings.Contains(low, "heavy") || strings.Contains(low, "demi") || strings.Contains(low, "cmbx") ||
							strings.HasSuffix(low, "-medi") || strings.Contains(low, "mediital") || info.Flags&(1<<18) != 0,
						strings.Contains(low, "mono") || strings.Contains(low, "courier") || strings.Contains(low, "consol") || strings.Contains(low, "cmtt") || strings.Contains(low, "menlo"),
					}
					names[info.FontName] = style
				}
				bold, mono = style[0], style[1]
			}
		}
		ch.x0, ch.y0, ch.x1, ch.y1 = float32(min(x0, x1)), float32(min(y0, y1)), float32(max(x0, x1)), float32(max(y0, y1))
		ch.size, ch.bold, ch.mono = float32(size1), bold, mono
		pg.chars = append(pg.chars, ch)
	}
	return pg, nil
}

// unit is a character by its UTF-16 code unit, for the halves of characters beyond the first 65,536, which the
// library cannot tell as text.
func (d *pdfiumDoc) unit(text references.FPDF_TEXTPAGE, index int) rune {
	resp, err := d.inst.FPDFText_GetUnicode(&requests.FPDFText_GetUnicode{TextPage: text, Index: index})
	if err != nil || resp.Unicode == 0 || resp.Unicode > unicode.MaxRune {
		return utf8.RuneError
	}
	return rune(resp.Unicode)
}

// links are those of a page that lead out of the document, their boxes in PDF's user space: left, bottom,
// right, top.
func (d *pdfiumDoc) links(page requests.Page) (links []pdfLink) {
	for at, n := 0, 0; n < maxLinks; n++ {
		next, err := d.inst.FPDFLink_Enumerate(&requests.FPDFLink_Enumerate{Page: page, StartPos: at})
		if err != nil || next.Link == nil || next.NextStartPos == nil || *next.NextStartPos <= at {
			return links
		}
		at = *next.NextStartPos
		action, err := d.inst.FPDFLink_GetAction(&requests.FPDFLink_GetAction{Link: *next.Link})
		if err != nil || action.Action == nil {
			continue
		}
		uri, err := d.inst.FPDFAction_GetURIPath(&requests.FPDFAction_GetURIPath{Document: d.doc, Action: *action.Action})
		if err != nil || uri.URIPath == nil {
			continue
		}
		l := pdfLink{target: linkTarget(*uri.URIPath)}
		if l.target == "" {
			continue
		}
		if quads, err := d.inst.FPDFLink_CountQuadPoints(&requests.FPDFLink_CountQuadPoints{Link: *next.Link}); err == nil {
			for i := range min(quads.Count, 100) {
				q, err := d.inst.FPDFLink_GetQuadPoints(&requests.FPDFLink_GetQuadPoints{Link: *next.Link, QuadIndex: i})
				if err != nil || q.Points == nil {
					break
				}
				p := q.Points
				l.boxes = append(l.boxes, [4]float64{float64(min(p.X1, p.X2, p.X3, p.X4)), float64(min(p.Y1, p.Y2, p.Y3, p.Y4)),
					float64(max(p.X1, p.X2, p.X3, p.X4)), float64(max(p.Y1, p.Y2, p.Y3, p.Y4))})
			}
		}
		if len(l.boxes) == 0 {
			r, err := d.inst.FPDFLink_GetAnnotRect(&requests.FPDFLink_GetAnnotRect{Link: *next.Link})
			if err != nil || r.Rect == nil {
				continue
			}
			l.boxes = [][4]float64{{float64(r.Rect.Left), float64(r.Rect.Bottom), float64(r.Rect.Right), float64(r.Rect.Top)}}
		}
		links = append(links, l)
	}
	return links
}

func normalAngle(a float64) float64 {
	a = math.Mod(a, 2*math.Pi)
	if a > math.Pi {
		a -= 2 * math.Pi
	}
	if a < -math.Pi {
		a += 2 * math.Pi
	}
	return a
}
