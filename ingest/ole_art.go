package ingest

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/richardlehane/mscfb"
)

// Records of [MS-ODRAW], in which Word, Excel and PowerPoint of the binary kind keep their drawings.
const (
	artStore   = 0xf001 // the pictures of a file
	artEntry   = 0xf007 // one of them, or where it is
	artOptions = 0xf00b // the properties of a shape
	artAnchor  = 0xf010 // where a shape stands; its content differs between the programs

	artPicture  = 0x104 // the property that says by number, from 1, which picture a shape shows
	artMaxDepth = 50
	artMaxBlips = 20_000
)

// An artRecord is one of the records that all of these programs build their files of.
type artRecord struct {
	kind, instance int
	at             int // of data in its stream
	data           []byte
}

// walkArt calls visit for each record of b, which stands at an offset of its stream, and where it returns true for
// those within.
func walkArt(b []byte, base, depth int, visit func(artRecord) bool) {
	for at := 0; at+8 <= len(b); {
		head, n := u16(b, at), u32(b, at+4)
		r := artRecord{kind: u16(b, at+2), instance: head >> 4, at: base + at + 8, data: cut(b, at+8, n)}
		if visit(r) && head&15 == 15 && depth < artMaxDepth {
			walkArt(r.data, r.at, depth+1, visit)
		}
		at += 8 + min(n, len(b))
	}
}

// An artPlace is where a picture of a store lies: in the entry itself, or in another stream. -1 is nowhere.
type artPlace struct{ inside, outside int }

// artPlaces are the pictures of the stores in b, by their numbers less one.
func artPlaces(b []byte, base int) []artPlace {
	var all []artPlace
	walkArt(b, base, 0, func(r artRecord) bool {
		if r.kind != artEntry || len(all) >= artMaxBlips {
			return r.kind != artEntry
		}
		p := artPlace{inside: -1, outside: -1}
		if within := artWithin(r); within > 0 {
			p.inside = within
		} else if len(r.data) >= 36 && u32(r.data, 28) != 0xffffffff {
			p.outside = u32(r.data, 28)
		}
		all = append(all, p)
		return false
	})
	return all
}

// artWithin is the offset of the picture that lies in a store's entry, or 0.
func artWithin(r artRecord) int {
	if len(r.data) < 36 {
		return 0
	}
	if name := int(r.data[33]); 36+name+8 <= len(r.data) {
		return r.at + 36 + name
	}
	return 0
}

// An artShape is a shape that shows a picture.
type artShape struct {
	number int // of the picture, from 1
	anchor []byte
}

// artShapes are those in b in their order.
func artShapes(b []byte) []artShape {
	var all []artShape
	walkArt(b, 0, 0, func(r artRecord) bool {
		switch r.kind {
		case artOptions:
			for i := range r.instance {
				at := 6 * i
				if at+6 > len(r.data) || len(all) >= artMaxBlips {
					break
				}
				if n := u32(r.data, at+2); u16(r.data, at)&0x3fff == artPicture && n > 0 {
					all = append(all, artShape{number: n})
				}
			}
		case artAnchor:
			if n := len(all); n > 0 && all[n-1].anchor == nil {
				all[n-1].anchor = r.data
			}
		}
		return true
	})
	return all
}

// artRef names the picture at an offset of a stream.
func artRef(stream string, at int) string { return fmt.Sprintf("art:%s:%d", stream, at) }

// The streams of artRef. An inline picture of Word stands behind a header of its own.
const (
	artInline = "Data"
	artFloat  = "WordDocument"
	artSlides = "Pictures"
	artSheets = "" // none: of Excel's records, joined
)

// artPictureOf returns the picture file that a ref names; nil for one of a kind that has no pixels.
func artPictureOf(in *input, ref string) ([]byte, error) {
	parts := strings.Split(ref, ":")
	if len(parts) != 3 || parts[0] != "art" {
		return nil, errNoPicture
	}
	at, err := strconv.Atoi(parts[2])
	if err != nil || at < 0 {
		return nil, errNoPicture
	}
	if parts[1] == artSheets {
		book := *in
		book.recognize = true
		r, err := openXLS(&book)
		if err != nil {
			return nil, err
		}
		return artFile(cut(r.group, at, len(r.group))), nil
	}
	stream, err := oleStream(in, parts[1])
	if err != nil {
		return nil, err
	}
	if parts[1] != artInline {
		return stream.record(at)
	}
	// [MS-DOC] 2.9.192: the size of all of it, that of its header, and at 6 whether a name follows.
	head, err := stream.bytes(at, 68+256)
	if err != nil {
		return nil, err
	}
	skip := u16(head, 4)
	if u16(head, 6) == 0x66 && skip < len(head) {
		skip += 1 + int(head[skip])
	}
	body, err := stream.bytes(at+skip, u32(head, 0)-skip)
	if err != nil {
		return nil, err
	}
	var data []byte
	walkArt(body, 0, 0, func(r artRecord) bool {
		switch {
		case data != nil:
		case r.kind == artEntry:
			if at := artWithin(r); at > 0 {
				data = artFile(body[at:])
			}
		default:
			data = artFile(body[r.at-8:])
		}
		return data == nil
	})
	return data, nil
}

// artFile is the picture file in the record that b begins with; nil where it is none that has pixels.
func artFile(b []byte) []byte {
	head, kind := u16(b, 0), u16(b, 2)
	body := cut(b, 8, u32(b, 4))
	skip := 16 + 1 // its checksum, and a byte
	if head>>4&1 == 1 {
		skip += 16 // that of what it was made from, too
	}
	switch kind {
	case 0xf01d, 0xf02a, 0xf01e, 0xf029: // JPEG in RGB and CMYK, PNG, TIFF
		return cut(body, skip, len(body))
	case 0xf01f:
		return bitmapFile(cut(body, skip, len(body)))
	}
	return nil
}

// bitmapFile puts the header of a BMP file before a bitmap of Windows' memory.
func bitmapFile(dib []byte) []byte {
	header, bits, colours := u32(dib, 0), u16(dib, 14), u32(dib, 32)
	if header < 40 || header > len(dib) {
		return nil
	}
	if colours == 0 && bits <= 8 {
		colours = 1 << bits
	}
	pixels := 14 + header + 4*min(colours, 256)
	if u32(dib, 16) == 3 && header == 40 {
		pixels += 12 // masks of the colours
	}
	out := []byte("BM")
	out = binary.LittleEndian.AppendUint32(out, uint32(14+len(dib)))
	out = binary.LittleEndian.AppendUint32(out, 0)
	out = binary.LittleEndian.AppendUint32(out, uint32(pixels))
	return append(out, dib...)
}

// An oleRange reads parts of a stream of a compound file that may be large.
type oleRange struct {
	file *mscfb.File
	size int64
}

// oleStream finds a stream at the root of a compound file.
func oleStream(in *input, name string) (oleRange, error) {
	r, err := mscfb.New(io.NewSectionReader(in.file, 0, in.size))
	if err != nil {
		return oleRange{}, parseError(ErrDamaged, "it cannot be opened: %v", err)
	}
	for range oleMaxStreams {
		e, err := r.Next()
		if err != nil {
			break
		}
		if len(e.Path) == 0 && e.Name == name {
			return oleRange{e, min(e.Size, in.size)}, nil
		}
	}
	return oleRange{}, errNoPicture
}

// bytes are n bytes from an offset, or as many as there are.
func (o oleRange) bytes(at, n int) ([]byte, error) {
	if at < 0 || n <= 0 || int64(at) >= o.size {
		return nil, errNoPicture
	}
	if _, err := o.file.Seek(int64(at), io.SeekStart); err != nil {
		return nil, errNoPicture
	}
	var b bytes.Buffer
	_, err := io.CopyN(&b, o.file, min(int64(n), o.size-int64(at)))
	if err != nil && b.Len() == 0 {
		return nil, errNoPicture
	}
	return b.Bytes(), nil
}

// record is the picture file of the record at an offset.
func (o oleRange) record(at int) ([]byte, error) {
	head, err := o.bytes(at, 8)
	if err != nil {
		return nil, err
	}
	body, err := o.bytes(at, 8+u32(head, 4))
	if err != nil {
		return nil, err
	}
	return artFile(body), nil
}

// byAnchor sorts the shapes of a sheet from top to bottom by the cells they stand at ([MS-XLS] 2.5.193).
func byAnchor(shapes []artShape) {
	slices.SortStableFunc(shapes, func(a, b artShape) int {
		return cmp.Or(cmp.Compare(u16(a.anchor, 6), u16(b.anchor, 6)), cmp.Compare(u16(a.anchor, 2), u16(b.anchor, 2)))
	})
}
