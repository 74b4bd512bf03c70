package ingest

import (
	"bytes"
	"context"
	"encoding/binary"
	"image"
	"image/color"
	_ "image/gif" // registers
	_ "image/jpeg"
	"image/png"
	"io"
	"math"
	"slices"
	"strconv"

	_ "golang.org/x/image/bmp"
	"golang.org/x/image/draw"
	"golang.org/x/image/tiff"
	_ "golang.org/x/image/webp"

	"docent/chunker"
)

const (
	maxPixels  = 40_000_000 // of a picture that is recognised; larger ones are made smaller
	maxDecoded = 120_000_000
	minWidth   = 1000 // narrower pictures are made twice as large: letters of 10 pixels are not recognised
	maxFrames  = 500  // pages of a TIFF file
)

// pictures are the formats, by the first bytes of a file.
var pictures = []struct {
	magic        string
	format, what string
}{
	{"\x89PNG\r\n\x1a\n", "png", "PNG picture"},
	{"\xff\xd8\xff", "jpeg", "JPEG picture"},
	{"GIF87a", "gif", "GIF picture"},
	{"GIF89a", "gif", "GIF picture"},
	{"II*\x00", "tiff", "TIFF picture"},
	{"MM\x00*", "tiff", "TIFF picture"},
}

// pictureFormats are all there are.
var pictureFormats = map[string]bool{"png": true, "jpeg": true, "gif": true, "tiff": true, "webp": true, "bmp": true}

func detectPicture(head []byte) (form, bool) {
	if len(head) > 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WEBP" {
		return form{format: "webp", what: "WebP picture"}, true
	}
	// Two letters, reserved bytes that are zero, and after the offset of the pixels the size of a header.
	if len(head) > 18 && string(head[:2]) == "BM" && binary.LittleEndian.Uint32(head[6:]) == 0 {
		if n := binary.LittleEndian.Uint32(head[14:]); n == 12 || n >= 40 && n <= 124 {
			return form{format: "bmp", what: "BMP picture"}, true
		}
	}
	for _, p := range pictures {
		if bytes.HasPrefix(head, []byte(p.magic)) {
			return form{format: p.format, what: p.what}, true
		}
	}
	return form{}, false
}

// parsePicture yields a document with a page for each frame and no text: what a Recognizer reads comes
// later.
func parsePicture(p *parser, in *input, f form) (*Document, error) {
	if !in.recognize {
		return nil, parseError(ErrNoText, "it is a %s; %s", f.what, howToRecognize)
	}
	offsets, err := frames(in.file, in.size, f.format)
	if err != nil {
		return nil, err
	}
	cfg, _, err := image.DecodeConfig(frame(in, offsets[0]))
	if err != nil {
		return nil, parseError(ErrDamaged, "the %s cannot be read: %v", f.what, err)
	}
	if int64(cfg.Width)*int64(cfg.Height) > maxDecoded {
		return nil, parseError(ErrTooLarge, "it has %d × %d pixels, the limit is %d million; make it smaller", cfg.Width, cfg.Height, maxDecoded/1_000_000)
	}
	if in.depth > 0 && (cfg.Width < leastPictureWidth || cfg.Height < leastPictureHeight) {
		return nil, parseError(ErrNoText, "it is an icon")
	}
	b := newDocBuilder(f.format, in.cfg.MaxText)
	b.meta("width", strconv.Itoa(cfg.Width))
	b.meta("height", strconv.Itoa(cfg.Height))
	doc, err := b.finish(in.name, "")
	if err != nil {
		return nil, err
	}
	for i := range offsets {
		doc.Pages = append(doc.Pages, chunker.Page{Number: i + 1})
		doc.PagesWithoutText = append(doc.PagesWithoutText, i+1)
	}
	doc.unread, doc.NeedsOCR = slices.Clone(doc.PagesWithoutText), slices.Clone(doc.PagesWithoutText)
	return doc, nil
}

// frames returns where the directory of each page of a TIFF file lies; one 0 for other formats.
func frames(r io.ReaderAt, size int64, format string) ([]uint32, error) {
	if format != "tiff" {
		return []uint32{0}, nil
	}
	var head [8]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, parseError(ErrDamaged, "the TIFF picture ends in its first bytes")
	}
	order := tiffOrder(head[:])
	var offsets []uint32
	seen := map[uint32]bool{}
	for at := order.Uint32(head[4:]); at != 0 && int64(at)+2 <= size && !seen[at] && len(offsets) < maxFrames; {
		seen[at] = true
		offsets = append(offsets, at)
		var n [2]byte
		if _, err := r.ReadAt(n[:], int64(at)); err != nil {
			break
		}
		var next [4]byte
		if _, err := r.ReadAt(next[:], int64(at)+2+12*int64(order.Uint16(n[:]))); err != nil {
			break
		}
		at = order.Uint32(next[:])
	}
	if len(offsets) == 0 {
		return nil, parseError(ErrDamaged, "the TIFF picture has no page")
	}
	return offsets, nil
}

func tiffOrder(head []byte) binary.ByteOrder {
	if head[0] == 'M' {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// frame returns a reader of the file in which the page at offset is the first; 0 means as it is.
func frame(in *input, offset uint32) io.Reader {
	file := io.NewSectionReader(in.file, 0, in.size)
	if offset == 0 {
		return file
	}
	head := make([]byte, 8)
	if _, err := in.file.ReadAt(head, 0); err != nil {
		return file
	}
	tiffOrder(head).PutUint32(head[4:], offset)
	return io.NewSectionReader(&patched{head, in.file}, 0, in.size)
}

// patched is a file with other bytes at its start.
type patched struct {
	head []byte
	rest io.ReaderAt
}

func (p *patched) ReadAt(b []byte, at int64) (int, error) {
	n, err := p.rest.ReadAt(b, at)
	if at < int64(len(p.head)) {
		copy(b[:n], p.head[at:])
	}
	return n, err
}

// frameOf returns a page of a picture as a grey PNG file, or nil when nothing is to be seen on it.
func frameOf(in *input, f form, page int) ([]byte, error) {
	offsets, err := frames(in.file, in.size, f.format)
	if err != nil {
		return nil, err
	}
	if page < 1 || page > len(offsets) {
		return nil, errNoPicture
	}
	cfg, _, err := image.DecodeConfig(frame(in, offsets[page-1]))
	if err != nil {
		return nil, parseError(ErrDamaged, "page %d cannot be read: %v", page, err)
	}
	if int64(cfg.Width)*int64(cfg.Height) > maxDecoded {
		return nil, parseError(ErrTooLarge, "page %d has %d × %d pixels", page, cfg.Width, cfg.Height)
	}
	var img image.Image
	if f.format == "tiff" {
		img, err = tiff.Decode(frame(in, offsets[page-1]))
	} else {
		img, _, err = image.Decode(frame(in, 0))
	}
	if err != nil {
		return nil, parseError(ErrDamaged, "page %d cannot be read: %v", page, err)
	}
	return greyPNG(img, true)
}

// greyPNG writes img in shades of grey on white, of a size that can be recognised. It returns nil for a
// picture that is all of one shade.
func greyPNG(img image.Image, enlarge bool) ([]byte, error) {
	size := img.Bounds().Size()
	scale := 1.0
	if n := size.X * size.Y; n > maxPixels {
		scale = math.Sqrt(maxPixels / float64(n))
	} else if enlarge && size.X < minWidth && n < maxPixels/4 {
		scale = 2
	}
	gray, ok := img.(*image.Gray)
	if !ok || scale != 1 {
		gray = image.NewGray(image.Rect(0, 0, max(1, int(float64(size.X)*scale)), max(1, int(float64(size.Y)*scale))))
		draw.Draw(gray, gray.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
		if scale == 1 {
			draw.Draw(gray, gray.Bounds(), img, img.Bounds().Min, draw.Over)
		} else {
			draw.CatmullRom.Scale(gray, gray.Bounds(), img, img.Bounds(), draw.Over, nil)
		}
	}
	lightest, darkest := uint8(0), uint8(255)
	for _, v := range gray.Pix {
		lightest, darkest = max(lightest, v), min(darkest, v)
	}
	if int(lightest)-int(darkest) < 24 {
		return nil, nil
	}
	var b bytes.Buffer
	err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, gray)
	return b.Bytes(), err
}

// render returns the picture that a request names as a PNG file; nil where nothing is to be seen on it.
func (p *parser) render(ctx context.Context, req parseRequest) (picture []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			picture, err = nil, parseError(ErrCrashed, "%v (%s)", r, panicPlace())
		}
	}()
	in, closeFile, err := p.open(ctx, req)
	if err != nil {
		return nil, err
	}
	defer closeFile()
	return p.pictureOf(in, req.Picture, req.DPI)
}
