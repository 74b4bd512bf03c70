package ingest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"

	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"golang.org/x/image/draw"
)

// A pdfPicture is one that stands on a page beside text.
type pdfPicture struct {
	box           [4]float64 // x0, y0, x1, y1 in points from the page's top left corner
	width, height int        // of its own pixels
	sum           string     // of its data, in hexadecimal; empty when it was not read
}

const (
	pdfMaxPictures = 500        // of a page that are looked at
	pdfHashed      = 10_000_000 // pixels; the data of larger ones is not copied out of the engine
	// Smaller ones, in points, are marks and icons, whatever their resolution.
	pdfLeastPictureWidth, pdfLeastPictureHeight = 36, 10
	// A picture of which text covers more than this share has its text layer already.
	pdfLayerShare = 0.03
)

// picture notes an image object of a page, where its pictures are wanted. m is that of the form it is in.
func (d *pdfiumDoc) picture(pg *pdfPage, obj references.FPDF_PAGEOBJECT, m ledongMatrix, turn func(l, t, r, b float64) (x0, y0, x1, y1 float64)) {
	if !d.pictures || len(pg.pictures) >= pdfMaxPictures {
		return
	}
	size, err := d.inst.FPDFImageObj_GetImagePixelSize(&requests.FPDFImageObj_GetImagePixelSize{ImageObject: obj})
	if err != nil || size.Width == 0 || size.Height == 0 || size.Width > 1<<24 || size.Height > 1<<24 {
		return
	}
	bounds, err := d.inst.FPDFPageObj_GetBounds(&requests.FPDFPageObj_GetBounds{PageObject: obj})
	if err != nil {
		return
	}
	p := pdfPicture{width: int(size.Width), height: int(size.Height)}
	at := func(x, y float32) (float64, float64) {
		return float64(x)*m[0] + float64(y)*m[2] + m[4], float64(x)*m[1] + float64(y)*m[3] + m[5]
	}
	left, bottom := at(bounds.Left, bounds.Bottom)
	right, top := at(bounds.Right, bounds.Top)
	x0, y0, x1, y1 := turn(left, top, right, bottom)
	p.box = [4]float64{max(min(x0, x1), 0), max(min(y0, y1), 0), min(max(x0, x1), pg.width), min(max(y0, y1), pg.height)}
	if p.box[0] >= p.box[2] || p.box[1] >= p.box[3] {
		return // off the page
	}
	if size.Width*size.Height <= pdfHashed && size.Width*size.Height >= leastPictureWidth*leastPictureHeight {
		if raw, err := d.inst.FPDFImageObj_GetImageDataRaw(&requests.FPDFImageObj_GetImageDataRaw{ImageObject: obj}); err == nil {
			sum := sha256.Sum256(raw.Data)
			p.sum = hex.EncodeToString(sum[:8])
		}
	}
	pg.pictures = append(pg.pictures, p)
}

// readable are the pictures of a page that may have text of their own, from top to bottom: strips of one
// picture joined, and neither icons nor those with a text layer over them.
func (pg *pdfPage) readable() []pdfPicture {
	all := slices.DeleteFunc(slices.Clone(pg.pictures), func(p pdfPicture) bool {
		covered := 0.0
		for _, c := range pg.chars {
			if x, y := float64(c.x0+c.x1)/2, float64(c.y0+c.y1)/2; c.r > ' ' && x > p.box[0] && x < p.box[2] && y > p.box[1] && y < p.box[3] {
				covered += float64(c.x1-c.x0) * float64(c.y1-c.y0)
			}
		}
		return covered > pdfLayerShare*(p.box[2]-p.box[0])*(p.box[3]-p.box[1])
	})
	all = slices.DeleteFunc(pdfJoinPictures(all), func(p pdfPicture) bool {
		return p.width < leastPictureWidth || p.height < leastPictureHeight ||
			p.box[2]-p.box[0] < pdfLeastPictureWidth || p.box[3]-p.box[1] < pdfLeastPictureHeight
	})
	slices.SortStableFunc(all, func(a, b pdfPicture) int { return cmp.Compare(a.box[1], b.box[1]) })
	return all
}

// pdfJoinPictures makes one of pictures that touch along a whole side, as scanners write a page in strips, or
// that lie one on the other, as a scan's foreground does on its background.
func pdfJoinPictures(all []pdfPicture) []pdfPicture {
	const near = 1.5 // points
	close := func(a, b float64) bool { return math.Abs(a-b) <= near }
	for joined := true; joined; {
		joined = false
		for i := 0; i < len(all); i++ {
			for j := i + 1; j < len(all); j++ {
				a, b := &all[i], all[j]
				beside := close(a.box[1], b.box[1]) && close(a.box[3], b.box[3]) && (close(a.box[2], b.box[0]) || close(a.box[0], b.box[2]))
				below := close(a.box[0], b.box[0]) && close(a.box[2], b.box[2]) && (close(a.box[3], b.box[1]) || close(a.box[1], b.box[3]))
				within := b.box[0] >= a.box[0]-near && b.box[1] >= a.box[1]-near && b.box[2] <= a.box[2]+near && b.box[3] <= a.box[3]+near
				around := a.box[0] >= b.box[0]-near && a.box[1] >= b.box[1]-near && a.box[2] <= b.box[2]+near && a.box[3] <= b.box[3]+near
				switch {
				case within || around:
					a.width, a.height = max(a.width, b.width), max(a.height, b.height)
				case beside:
					a.width, a.height = a.width+b.width, max(a.height, b.height)
				case below:
					a.width, a.height = max(a.width, b.width), a.height+b.height
				default:
					continue
				}
				a.box = [4]float64{min(a.box[0], b.box[0]), min(a.box[1], b.box[1]), max(a.box[2], b.box[2]), max(a.box[3], b.box[3])}
				if a.sum != "" && b.sum != "" {
					a.sum += b.sum
				} else {
					a.sum = ""
				}
				all = slices.Delete(all, j, j+1)
				joined = true
				j--
			}
		}
	}
	return all
}

// before is the index of the block of a page that a picture comes before in reading order.
func (p pdfPicture) before(paras []pdfPara) int {
	at, middle := -1, (p.box[1]+p.box[3])/2
	for i, q := range paras {
		if q.x0 >= q.x1 || min(q.x1, p.box[2])-max(q.x0, p.box[0]) < 0.3*min(q.x1-q.x0, p.box[2]-p.box[0]) {
			continue // of another column, or of no known place
		}
		if q.y0 >= middle {
			return i
		}
		at = i
	}
	if at < 0 {
		return len(paras)
	}
	return at + 1
}

// pagePictures are those of a page that are not noted yet, with the block of the page that each comes before.
type pagePictures struct {
	page    int // its number
	waiting []pdfPicture
	before  []int
}

func newPagePictures(all []pdfPicture, paras []pdfPara, page int) *pagePictures {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b pdfPicture) int { return cmp.Compare(a.before(paras), b.before(paras)) })
	p := &pagePictures{page: page, waiting: all}
	for _, pic := range all {
		p.before = append(p.before, pic.before(paras))
	}
	return p
}

// note notes in b those that come before block n of the page.
func (p *pagePictures) note(b *docBuilder, n int) {
	for len(p.waiting) > 0 && p.before[0] <= n {
		pic := p.waiting[0]
		b.pictureIn(picture{Ref: boxRef(p.page, pic.box), Same: pic.sum})
		p.waiting, p.before = p.waiting[1:], p.before[1:]
	}
}

// pageRef and boxRef are the refs of a page, from 1, and of a part of one, in points.
func pageRef(number int) string { return fmt.Sprintf("page:%d", number) }

func boxRef(number int, box [4]float64) string {
	return fmt.Sprintf("box:%d:%.1f:%.1f:%.1f:%.1f", number, box[0], box[1], box[2], box[3])
}

// pdfPictureOf draws the page, or the part of one, that a ref names. What the page has as text is painted
// over in a part, so that it is not read twice.
func (p *parser) pdfPictureOf(in *input, ref string, dpi int) ([]byte, error) {
	var number int
	var box [4]float64
	if _, err := fmt.Sscanf(ref, "page:%d", &number); err != nil {
		if _, err := fmt.Sscanf(ref, "box:%d:%f:%f:%f:%f", &number, &box[0], &box[1], &box[2], &box[3]); err != nil {
			return nil, errNoPicture
		}
	}
	d, err := p.pdfium.open(in.ctx, in.file, in.size, in.password)
	if err != nil {
		return nil, err
	}
	defer d.close()
	if number < 1 || number > d.pages {
		return nil, errNoPicture
	}
	var img image.Image
	var pg *pdfPage
	if box != [4]float64{} {
		if pg, err = d.pageWithin(number - 1); err != nil {
			return nil, fmt.Errorf("page %d: %w", number, err)
		}
	}
	if img, err = d.draw(number-1, dpi); err != nil {
		return nil, fmt.Errorf("page %d: %w", number, err)
	}
	if pg == nil {
		return greyPNG(img, false)
	}
	return greyPNG(pg.cut(img, box), true)
}

// cut returns the part of a drawn page without its text.
func (pg *pdfPage) cut(img image.Image, box [4]float64) image.Image {
	scale := float64(img.Bounds().Dx()) / max(pg.width, 1)
	area := func(x0, y0, x1, y1, pad float64) image.Rectangle {
		return image.Rect(int(x0*scale-pad), int(y0*scale-pad), int(math.Ceil(x1*scale+pad)), int(math.Ceil(y1*scale+pad)))
	}
	part := area(box[0], box[1], box[2], box[3], 0).Intersect(img.Bounds())
	out := image.NewGray(image.Rect(0, 0, part.Dx(), part.Dy()))
	draw.Draw(out, out.Rect, img, part.Min, draw.Src)
	for _, c := range pg.chars {
		if c.r > ' ' {
			over := area(float64(c.x0), float64(c.y0), float64(c.x1), float64(c.y1), 2).Intersect(part).Sub(part.Min)
			draw.Draw(out, over, image.NewUniform(color.White), image.Point{}, draw.Src)
		}
	}
	return out
}
