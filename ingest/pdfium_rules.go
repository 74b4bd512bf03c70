package ingest

import (
	"math"

	"github.com/klippa-app/go-pdfium/enums"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/structs"
)

// pdfiumMaxObjects is how many objects of a page, and points of its lines, are looked at for tables.
const pdfiumMaxObjects = 50_000

// objects notes the straight lines of a page, and its pictures. The lines of a page that holds too many objects
// or points are left out: it is a drawing. Faults inside PDFium are the caller's to recover from.
func (d *pdfiumDoc) objects(pg *pdfPage, page requests.Page, turn func(l, t, r, b float64) (x0, y0, x1, y1 float64)) {
	count, err := d.inst.FPDFPage_CountObjects(&requests.FPDFPage_CountObjects{Page: page})
	if err != nil || count.Count > pdfiumMaxObjects {
		return
	}
	left := pdfiumMaxObjects
	spent := func() bool {
		left--
		return left < 0
	}
	over := false
	var walk func(n int, get func(int) (references.FPDF_PAGEOBJECT, error), m ledongMatrix, depth int)
	walk = func(n int, get func(int) (references.FPDF_PAGEOBJECT, error), m ledongMatrix, depth int) {
		for i := 0; i < n && !over; i++ {
			if over = spent(); over {
				return
			}
			obj, err := get(i)
			if err != nil {
				continue
			}
			kind, err := d.inst.FPDFPageObj_GetType(&requests.FPDFPageObj_GetType{PageObject: obj})
			if err != nil {
				continue
			}
			switch kind.Type {
			case enums.FPDF_PAGEOBJ_FORM:
				own, err := d.inst.FPDFPageObj_GetMatrix(&requests.FPDFPageObj_GetMatrix{PageObject: obj})
				inner, err2 := d.inst.FPDFFormObj_CountObjects(&requests.FPDFFormObj_CountObjects{PageObject: obj})
				if err != nil || err2 != nil || depth > 6 {
					continue
				}
				walk(inner.Count, func(i int) (references.FPDF_PAGEOBJECT, error) {
					o, err := d.inst.FPDFFormObj_GetObject(&requests.FPDFFormObj_GetObject{PageObject: obj, Index: uint64(i)})
					if err != nil {
						return "", err
					}
					return o.PageObject, nil
				}, pdfiumMatrix(own.Matrix).mul(m), depth+1)
			case enums.FPDF_PAGEOBJ_PATH:
				over = d.pathRules(pg, obj, m, turn, spent)
			case enums.FPDF_PAGEOBJ_IMAGE:
				d.picture(pg, obj, m, turn)
			}
		}
	}
	walk(count.Count, func(i int) (references.FPDF_PAGEOBJECT, error) {
		o, err := d.inst.FPDFPage_GetObject(&requests.FPDFPage_GetObject{Page: page, Index: i})
		if err != nil {
			return "", err
		}
		return o.PageObject, nil
	}, ledongMatrix{1, 0, 0, 1, 0, 0}, 0)
	if over {
		pg.rules = nil
	}
}

func pdfiumMatrix(m structs.FPDF_FS_MATRIX) ledongMatrix {
	return ledongMatrix{float64(m.A), float64(m.B), float64(m.C), float64(m.D), float64(m.E), float64(m.F)}
}

// pathRules notes the lines of a path; it reports whether there is no time left.
func (d *pdfiumDoc) pathRules(pg *pdfPage, obj references.FPDF_PAGEOBJECT, m ledongMatrix, turn func(l, t, r, b float64) (x0, y0, x1, y1 float64), spent func() bool) bool {
	mode, err := d.inst.FPDFPath_GetDrawMode(&requests.FPDFPath_GetDrawMode{PageObject: obj})
	if err != nil || !mode.Stroke && mode.FillMode == enums.FPDF_FILLMODE_NONE {
		return false
	}
	at := func(x, y float64) [2]float64 {
		x, y = x*m[0]+y*m[2]+m[4], x*m[1]+y*m[3]+m[5]
		x0, y0, _, _ := turn(x, y, x, y)
		return [2]float64{x0, y0}
	}
	box, err := d.inst.FPDFPageObj_GetBounds(&requests.FPDFPageObj_GetBounds{PageObject: obj})
	if err != nil {
		return false
	}
	corners := [][2]float64{at(float64(box.Left), float64(box.Bottom)), at(float64(box.Right), float64(box.Top))}
	w, h := math.Abs(corners[0][0]-corners[1][0]), math.Abs(corners[0][1]-corners[1][1])
	if w <= pdfRuleWidth || h <= pdfRuleWidth || w < 9 && h < 9 {
		pg.addPath(corners, false, false)
		return false
	}
	segments, err := d.inst.FPDFPath_CountSegments(&requests.FPDFPath_CountSegments{PageObject: obj})
	if err != nil || !mode.Stroke && segments.Count < 8 {
		return false // an area
	}
	if width, err := d.inst.FPDFPageObj_GetStrokeWidth(&requests.FPDFPageObj_GetStrokeWidth{PageObject: obj}); err == nil && width.StrokeWidth > 2*pdfRuleWidth {
		return false
	}
	own, err := d.inst.FPDFPageObj_GetMatrix(&requests.FPDFPageObj_GetMatrix{PageObject: obj})
	if err != nil {
		return false
	}
	inner := pdfiumMatrix(own.Matrix)
	var points [][2]float64
	curved := false
	flush := func() {
		pg.addPath(points, curved, mode.Stroke)
		points, curved = nil, false
	}
	for i := range segments.Count {
		if spent() {
			return true
		}
		seg, err := d.inst.FPDFPath_GetPathSegment(&requests.FPDFPath_GetPathSegment{PageObject: obj, Index: i})
		if err != nil {
			break
		}
		kind, err := d.inst.FPDFPathSegment_GetType(&requests.FPDFPathSegment_GetType{PathSegment: seg.PathSegment})
		if err != nil {
			break
		}
		p, err := d.inst.FPDFPathSegment_GetPoint(&requests.FPDFPathSegment_GetPoint{PathSegment: seg.PathSegment})
		if err != nil {
			break
		}
		switch kind.Type {
		case enums.FPDF_SEGMENT_MOVETO:
			flush()
		case enums.FPDF_SEGMENT_BEZIERTO:
			curved = true
		}
		x, y := float64(p.X), float64(p.Y)
		points = append(points, at(x*inner[0]+y*inner[2]+inner[4], x*inner[1]+y*inner[3]+inner[5]))
		if closed, err := d.inst.FPDFPathSegment_GetClose(&requests.FPDFPathSegment_GetClose{PathSegment: seg.PathSegment}); err == nil && closed.IsClose {
			points = append(points, points[0])
		}
	}
	flush()
	return false
}
