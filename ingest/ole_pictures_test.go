package ingest_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/png"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/bmp"

	"docent/ingest"
)

// sizes is a Recognizer that reads how large a picture is.
type sizes struct{}

func (sizes) Name() string { return "sizes" }

func (sizes) Recognize(_ context.Context, data []byte) (string, error) {
	cfg, err := png.DecodeConfig(bytes.NewReader(data))
	return fmt.Sprintf("%d by %d", cfg.Width, cfg.Height), err
}

// drawn is a picture of many shades.
func drawn(width, height int) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = byte(i)
	}
	return img
}

func pngOf(t testing.TB, width, height int) string {
	var b bytes.Buffer
	if err := png.Encode(&b, drawn(width, height)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// blip is a picture as [MS-ODRAW] has it: a PNG file with one checksum before it.
func blip(data string) string {
	return pptRecord(0x6e0<<4, 0xf01e, strings.Repeat("u", 16), byte(0xff), data)
}

// dibBlip is a bitmap with two checksums before it.
func dibBlip(t testing.TB, width, height int) string {
	var b bytes.Buffer
	if err := bmp.Encode(&b, drawn(width, height)); err != nil {
		t.Fatal(err)
	}
	return pptRecord(0x7a9<<4, 0xf01f, strings.Repeat("u", 32), byte(0xff), b.String()[14:])
}

// artEntry is the entry of a picture in a store: with the picture in it, or with where that is.
func artEntry(delay uint32, inside string) string {
	return pptRecord(0x62, 0xf007, byte(6), byte(6), strings.Repeat("u", 16), 0xff, uint32(len(inside)), uint32(1), delay, byte(0), byte(0), byte(0), byte(0), inside)
}

// artGroup is the group of drawings with a store of entries.
func artGroup(entries ...string) string {
	return pptRecord(0x0f, 0xf000, pptRecord(len(entries)<<4|15, 0xf001, strings.Join(entries, "")))
}

// artShape is a shape that shows a picture of the store, with what the program says of its place.
func artShape(number uint32, anchor string) string {
	options := le(0x4104, number, 0x17f, uint32(0))
	return pptRecord(0x0f, 0xf004, pptRecord(2, 0xf00a, strings.Repeat("\x00", 8)), pptRecord(2<<4|3, 0xf00b, options), pptRecord(0, 0xf010, anchor))
}

// slidesWithPictures has a slide of a text and two pictures, one of them a metafile, and a slide of a picture alone.
func slidesWithPictures(t testing.TB) []byte {
	first, second := blip(pngOf(t, 1200, 60)), dibBlip(t, 1300, 70)
	metafile := pptRecord(0x3d4<<4, 0xf01a, strings.Repeat("u", 16), "\x00\x00")
	pictures := metafile + first + second
	entries := []string{artEntry(0, ""), artEntry(uint32(len(metafile)), ""), artEntry(uint32(len(metafile+first)), "")}
	persist := func(ref, id uint32) string { return pptRecord(0, 1011, ref, uint32(0), uint32(0), id, uint32(0)) }
	list := pptRecord(0x0f, 4080, persist(2, 256), pptRecord(0, 3999, uint32(0)), pptRecord(0, 4008, "Plan"), persist(3, 257))
	document := pptRecord(0x0f, 1000, pptRecord(0x0f, 1035, artGroup(entries...)), list)
	slide := func(shapes ...string) string {
		return pptRecord(0x0f, 1006, pptRecord(0, 1007, strings.Repeat("\x00", 24)), pptRecord(0x0f, 1036, pptRecord(0x0f, 0xf002, strings.Join(shapes, ""))))
	}
	one, two := slide(artShape(1, ""), artShape(2, ""), artShape(9, "")), slide(artShape(3, ""))
	stream := document + one + two
	dir := len(stream)
	stream += pptRecord(0, 6002, uint32(3<<20|1), uint32(0), uint32(len(document)), uint32(len(document)+len(one)))
	edit := len(stream)
	stream += pptRecord(0, 4085, uint32(0), uint32(0), uint32(0), uint32(dir), uint32(1), uint32(0))
	return compound(t, "PowerPoint Document", stream, "Current User", le(0, 4086, uint32(20), uint32(20), uint32(0xe391c05f), uint32(edit)), "Pictures", pictures)
}

// bookWithPictures has two pictures on a sheet, of which the lower one is drawn first, and one on a sheet alone. The
// records of the group and of the first sheet are cut.
func bookWithPictures(t testing.TB) []byte {
	group := artGroup(artEntry(0, blip(pngOf(t, 1200, 60))), artEntry(0, blip(pngOf(t, 1300, 70))), artEntry(0, blip(pngOf(t, 1400, 80))))
	anchor := func(row int) string { return le(0, 0, 0, row, 0, 5, 0, row+3, 0) }
	head := biff(0x809, 0x600, 0x10, uint32(0), uint32(0), uint32(0))
	shapes := pptRecord(0x0f, 0xf002, pptRecord(0x0f, 0xf003, artShape(2, anchor(9))+artShape(1, anchor(4))))
	one := head + biff(0x203, 0, 0, 0, 12.0) + biff(0xec, shapes[:50]) + biff(0x5d, 0) + biff(0xec, shapes[50:90]) + biff(0x3c, shapes[90:]) + biff(0x0a)
	two := head + biff(0xec, pptRecord(0x0f, 0xf002, artShape(3, anchor(0)))) + biff(0x0a)
	globals := func(at uint32) string {
		n := len(group)
		drawings := biff(0xeb, group[:n/3]) + biff(0xeb, group[n/3:n/2]) + biff(0x3c, group[n/2:])
		return biff(0x809, 0x600, 5, uint32(0), uint32(0), uint32(0)) + biff(0xe0, 0, 0, strings.Repeat("\x00", 16)) + drawings +
			biff(0x85, at, 0, byte(4), byte(0), "Data") + biff(0x85, at+uint32(len(one)), 0, byte(4), byte(0), "Scan") + biff(0x0a)
	}
	return compound(t, "Workbook", globals(uint32(len(globals(0))))+one+two)
}

// letterWithPictures has two pictures in the line, one of them with a name before it, and one that floats.
func letterWithPictures(t testing.TB) []byte {
	inline := func(kind int, name, picture string) string {
		records := pptRecord(0x0f, 0xf004, pptRecord(2, 0xf00a, strings.Repeat("\x00", 8))) + picture
		return le(uint32(68+len(name)+len(records)), 68, kind, strings.Repeat("\x00", 60), name, records)
	}
	first := inline(0x64, "", artEntry(0, blip(pngOf(t, 1200, 60))))
	data := first + inline(0x66, "\x05a.png", blip(pngOf(t, 1300, 70)))
	const text = "One text.\r\x01\rTwo text.\rwith \x01 in it\r"
	// A page of character properties at 0x600: the two pictures, and text around them.
	var ends []int
	for i, c := range text {
		if c == 1 {
			ends = append(ends, i, i+1)
		}
	}
	ends = append(ends, len(text))
	page := make([]byte, 512)
	place := 500
	binary.LittleEndian.PutUint32(page, wordText)
	for i, e := range ends {
		binary.LittleEndian.PutUint32(page[4*i+4:], uint32(wordText+e))
		if text[max(e-1, 0)] == 1 {
			offset := uint32(0)
			if i > 1 {
				offset = uint32(len(first))
			}
			props := le(0x0855, byte(1), 0x6a03, offset)
			place -= 12
			copy(page[place:], le(byte(len(props)), props))
			page[4*(len(ends)+1)+i] = byte(place / 2)
		}
	}
	page[511] = byte(len(ends))
	main, table := wordStreams(text, page, 0xfa)
	drawings := artGroup(artEntry(uint32(len(main)), "")) // the floating picture comes after all else
	binary.LittleEndian.PutUint32(main[0x22a:], 200)
	binary.LittleEndian.PutUint32(main[0x22e:], uint32(len(drawings)))
	table += strings.Repeat("\x00", 200-len(table)) + drawings
	return compound(t, "WordDocument", string(main)+blip(pngOf(t, 1400, 80)), "1Table", table, "Data", data)
}

// What is written in the pictures of old Office files stands where they do, as far as the files say where.
func TestOldOfficePictures(t *testing.T) {
	ex := newExtractor(t, ingest.ExtractorConfig{CacheDir: t.TempDir(), Recognizer: sizes{}})
	bare := newExtractor(t, ingest.ExtractorConfig{CacheDir: t.TempDir()})
	for _, c := range []struct {
		name       string
		data       []byte
		with, bare string
		needs      []int // pages, without recognition
	}{
		{"a.ppt", slidesWithPictures(t), "Plan\n\n1200 by 60\n\n1300 by 70", "Plan", []int{2}},
		{"a.xls", bookWithPictures(t), "Data\n\n| 12 |\n| --- |\n\n1200 by 60\n\n1300 by 70\n\nScan\n\n1400 by 80", "Data\n\n| 12 |\n| --- |", nil},
		{"a.doc", letterWithPictures(t), "One text.\n\n1200 by 60\n\nTwo text.\n\nwith  in it\n\n1300 by 70\n\n1400 by 80", "One text.\n\nTwo text.\n\nwith  in it", nil},
	} {
		file := writeFile(t, c.name, c.data)
		doc, err := ex.Extract(t.Context(), ingest.File{Path: file})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		checkDocument(t, doc.Format, doc)
		if doc.Text != c.with || doc.RecognizedBy != "sizes" || len(doc.Warnings)+len(doc.NeedsOCR) > 0 {
			t.Errorf("%s: %q by %q, %q, %v", c.name, doc.Text, doc.RecognizedBy, doc.Warnings, doc.NeedsOCR)
		}
		if doc, err = bare.Extract(t.Context(), ingest.File{Path: file}); err != nil || doc.Text != c.bare || !slices.Equal(doc.NeedsOCR, c.needs) {
			t.Errorf("%s without recognition: %+v, %v", c.name, doc, err)
		}
	}
}
