package ingest_test

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"docent/ingest"
)

// le puts numbers and strings together, little-endian: int is 16 bits, uint32, uint64 and float64 as they are.
func le(parts ...any) string {
	var b []byte
	for _, p := range parts {
		switch v := p.(type) {
		case int:
			b = binary.LittleEndian.AppendUint16(b, uint16(v))
		case uint32:
			b = binary.LittleEndian.AppendUint32(b, v)
		case uint64:
			b = binary.LittleEndian.AppendUint64(b, v)
		case float64:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		case byte:
			b = append(b, v)
		case string:
			b = append(b, v...)
		}
	}
	return string(b)
}

// compound is an OLE2 file of streams, each padded to the least size that has sectors of its own. A
// name with a slash lies in a storage.
func compound(t testing.TB, streams ...string) []byte {
	t.Helper()
	const end, free, none = 0xfffffffe, 0xffffffff, 0xffffffff
	type entry struct {
		name         string
		kind         byte
		child, right uint32
		start, size  uint32
		last         int // entry of the latest child
		data         string
	}
	dirs := []entry{{name: "Root Entry", kind: 5, child: none, right: none, start: end}}
	add := func(parent int, e entry) int {
		e.child, e.right = none, none
		dirs = append(dirs, e)
		n := len(dirs) - 1
		if last := dirs[parent].last; last == 0 {
			dirs[parent].child = uint32(n)
		} else {
			dirs[last].right = uint32(n)
		}
		dirs[parent].last = n
		return n
	}
	storages := map[string]int{}
	for i := 0; i+1 < len(streams); i += 2 {
		parent, name := 0, streams[i]
		if dir, base, ok := strings.Cut(name, "/"); ok {
			if storages[dir] == 0 {
				storages[dir] = add(0, entry{name: dir, kind: 1})
			}
			parent, name = storages[dir], base
		}
		data := streams[i+1] + strings.Repeat("\x00", max(4096-len(streams[i+1]), 0))
		add(parent, entry{name: name, kind: 2, data: data, size: uint32(len(data))})
	}
	sectors := func(n int) int { return (n + 511) / 512 }
	dirSectors, total := sectors(len(dirs)*128), 0
	for _, e := range dirs {
		total += sectors(len(e.data))
	}
	fatSectors := 1
	for fatSectors*128 < fatSectors+dirSectors+total {
		fatSectors++
	}
	fat := make([]uint32, fatSectors*128)
	for i := range fat {
		fat[i] = free
	}
	next := uint32(0)
	chain := func(n int, mark uint32) uint32 {
		first := next
		for i := range n {
			fat[next] = next + 1
			if mark != 0 {
				fat[next] = mark
			} else if i == n-1 {
				fat[next] = end
			}
			next++
		}
		return first
	}
	chain(fatSectors, 0xfffffffd)
	dirStart := chain(dirSectors, 0)
	body := ""
	for i := range dirs {
		if dirs[i].data != "" {
			dirs[i].start = chain(sectors(len(dirs[i].data)), 0)
			body += dirs[i].data + strings.Repeat("\x00", sectors(len(dirs[i].data))*512-len(dirs[i].data))
		}
	}
	head := le("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", strings.Repeat("\x00", 16), 0x3e, 3, 0xfffe, 9, 6, "\x00\x00\x00\x00\x00\x00", uint32(0),
		uint32(fatSectors), dirStart, uint32(0), uint32(4096), uint32(end), uint32(0), uint32(end), uint32(0))
	for i := range 109 {
		if i < fatSectors {
			head += le(uint32(i))
		} else {
			head += le(uint32(free))
		}
	}
	out := head
	for _, f := range fat {
		out += le(f)
	}
	directory := ""
	for _, e := range dirs {
		name := string(utf16le(e.name+"\x00", false))
		directory += name + strings.Repeat("\x00", 64-len(name)) + le(len(name), e.kind, byte(1), uint32(none), e.right, e.child, strings.Repeat("\x00", 36), e.start, e.size, uint32(0))
	}
	out += directory + strings.Repeat("\x00", dirSectors*512-len(directory))
	return []byte(out + body)
}

func biff(kind int, parts ...any) string {
	body := le(parts...)
	return le(kind, len(body), body)
}

func oldWorkbook(t testing.TB) []byte {
	sst := biff(0xfc, uint32(2), uint32(2), 4, byte(0), "Part", 6, byte(1), string(utf16le("价Sin", false)))
	more := biff(0x3c, byte(0), "ce") // a string cut at the border of two records goes on one byte wide
	globals := func(at uint32) string {
		return biff(0x809, 0x600, 5, uint32(0), uint32(0), uint32(0)) + biff(0xe0, 0, 0, strings.Repeat("\x00", 16)) + biff(0xe0, 0, 14, strings.Repeat("\x00", 16)) +
			biff(0x85, at, 0, byte(6), byte(0), "Prices") + sst + more + biff(0x0a)
	}
	sheet := biff(0x809, 0x600, 0x10, uint32(0), uint32(0), uint32(0)) + biff(0x14, 9, byte(0), "&CHead &P") +
		biff(0xfd, 0, 0, 0, uint32(0)) + biff(0xfd, 0, 2, 0, uint32(1)) +
		biff(0x203, 1, 0, 0, 0.30000000000000004) + biff(0x27e, 1, 2, 1, uint32(45292<<2|2)) +
		biff(0x06, 2, 0, 0, "\x00\x00\x00\x00\x00\x00\xff\xff", 0, uint32(0), 0) + biff(0x207, 2, byte(0), "ok") + biff(0x205, 2, 2, 0, byte(1), byte(0)) + biff(0x0a)
	return compound(t, "Workbook", globals(uint32(len(globals(0))))+sheet)
}

func oldDocument(t testing.TB) []byte {
	text := "Head\ra \x13 HYPERLINK x \x14link\x15 caf\xe9\ritem\rA\x07B\x07\x07end\r"
	// A page of paragraph properties at 0x600: heading 1, plain, list, three cells' marks, plain.
	ends := []int{5, strings.Index(text, "item"), strings.Index(text, "A\x07"), strings.Index(text, "end"), len(text)}
	ends = append(ends[:3], strings.Index(text, "\x07end"), ends[3], ends[4])
	page := make([]byte, 512)
	props := []string{le(byte(2), 1, byte(0)), "", le(byte(4), 0, 0x460b, 1, byte(0)), le(byte(3), 0, 0x2416, byte(1)), le(byte(5), 0, 0x2416, byte(1), 0x2417, byte(1)), ""}
	place := 500
	binary.LittleEndian.PutUint32(page, wordText)
	for i, e := range ends {
		binary.LittleEndian.PutUint32(page[4*i+4:], uint32(wordText+e))
		if props[i] != "" {
			place -= (len(props[i]) + 1) &^ 1
			copy(page[place:], props[i])
			page[4*(len(ends)+1)+13*i] = byte(place / 2)
		}
	}
	page[511] = byte(len(ends))
	main, table := wordStreams(text, page, 0x102)
	return compound(t, "WordDocument", string(main), "1Table", table)
}

// wordText is where wordStreams puts a Word document's text.
const wordText = 0x400

// wordStreams are the main and table streams of a Word document with a page of properties, whose list the header names
// at list.
func wordStreams(text string, page []byte, list int) (main []byte, table string) {
	clx := le(byte(2), uint32(16), uint32(0), uint32(len(text)), 0, uint32(0x40000000|wordText*2), 0)
	pages := le(uint32(wordText), uint32(wordText+len(text)), uint32(3))
	main = make([]byte, 0x800)
	copy(main, le(0xa5ec, 0xc1))
	binary.LittleEndian.PutUint16(main[0x0a:], 0x0200)
	for off, v := range map[int]int{0x4c: len(text), 0x1a6: len(clx), list: 100, list + 4: len(pages)} {
		binary.LittleEndian.PutUint32(main[off:], uint32(v))
	}
	copy(main[wordText:], text)
	copy(main[0x600:], page)
	return main, clx + strings.Repeat("\x00", 100-len(clx)) + pages
}

func pptRecord(head, kind int, parts ...any) string {
	body := le(parts...)
	return le(head, kind, uint32(len(body)), body)
}

func oldSlides(t testing.TB) []byte {
	persist := func(ref, id uint32) string { return pptRecord(0, 1011, ref, uint32(0), uint32(0), id, uint32(0)) }
	list := pptRecord(0x0f, 4080, persist(3, 256), pptRecord(0, 3999, uint32(0)), pptRecord(0, 4008, "Second"), persist(2, 257), pptRecord(0, 3999, uint32(0)), pptRecord(0, 4000, string(utf16le("第一", false))))
	document := pptRecord(0x0f, 1000, list)
	slide := pptRecord(0x0f, 1006, pptRecord(0, 1007, strings.Repeat("\x00", 24)), pptRecord(0x0f, 1036, pptRecord(0x0f, 0xf00d, pptRecord(0, 3999, uint32(4)), pptRecord(0, 4008, "a box\rline"))))
	empty := pptRecord(0x0f, 1006, pptRecord(0, 1007, strings.Repeat("\x00", 24)))
	stream := document + slide + empty
	dir := len(stream)
	stream += pptRecord(0, 6002, uint32(3<<20|1), uint32(0), uint32(len(document)), uint32(len(document)+len(slide)))
	edit := len(stream)
	stream += pptRecord(0, 4085, uint32(0), uint32(0), uint32(0), uint32(dir), uint32(1), uint32(0))
	return compound(t, "PowerPoint Document", stream, "Current User", le(0, 4086, uint32(20), uint32(20), uint32(0xe391c05f), uint32(edit)))
}

func oldMessage(t testing.TB) []byte {
	u := func(s string) string { return string(utf16le(s, false)) }
	return compound(t, "__substg1.0_0037001F", u("退款"), "__substg1.0_0C1A001F", u("Ann"), "__substg1.0_0C1F001F", u("ann@example.com"), "__substg1.0_0E04001F", u("Bob"), "__substg1.0_1000001F", u("Please pay.\r\n"),
		"__properties_version1.0", strings.Repeat("\x00", 32)+le(uint32(0x00390040), uint32(6), uint64(133515936000000000)),
		"__attach_version1.0_#00000000/__substg1.0_3707001F", u("a.csv"), "__attach_version1.0_#00000000/__substg1.0_37010102", "x,y\n1,2\n"+strings.Repeat("\n", 4096))
}

func TestExtractOldOffice(t *testing.T) {
	tests := []struct {
		format, title string
		data          []byte
		want          []block
	}{
		{"xls", "Prices", oldWorkbook(t), []block{{"heading", 1, "Prices"}, {"table", 0, "| Part | 价Since |\n| --- | --- |\n| 0.3 | 2024-01-01 |\n| ok | TRUE |"}, {"paragraph", 0, "Head"}}},
		{"doc", "Head", oldDocument(t), []block{{"heading", 1, "Head"}, {"paragraph", 0, "a link café"}, {"list_item", 1, "- item"}, {"table", 0, "| A | B |\n| --- | --- |"}, {"paragraph", 0, "end"}}},
		{"ppt", "Second", oldSlides(t), []block{{"heading", 1, "Second"}, {"heading", 1, "第一"}, {"paragraph", 0, "a box"}, {"paragraph", 0, "line"}}},
		{"msg", "退款", oldMessage(t), []block{{"heading", 1, "退款"}, {"paragraph", 0, "From: Ann <ann@example.com>\nTo: Bob\nDate: Mon, 05 Feb 2024 08:00:00 +0000"}, {"paragraph", 0, "Please pay."}, {"heading", 2, "a.csv"}, {"table", 0, "| x | y |\n| --- | --- |\n| 1 | 2 |"}}},
	}
	ex := newExtractor(t, ingest.ExtractorConfig{CacheDir: t.TempDir()})
	for _, tt := range tests {
		t.Run(tt.format, func(t *testing.T) {
			doc, err := ex.Extract(context.Background(), ingest.File{Path: writeFile(t, "a.bin", tt.data)})
			if err != nil {
				t.Fatal(err)
			}
			checkDocument(t, tt.format, doc)
			if doc.Format != tt.format || doc.Title != tt.title {
				t.Errorf("format %q title %q, want %q %q", doc.Format, doc.Title, tt.format, tt.title)
			}
			if diff := cmp.Diff(tt.want, blocksOf(doc)); diff != "" {
				t.Errorf("blocks (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzOldOffice varies compound files, beginning with real ones where they are at hand.
func FuzzOldOffice(f *testing.F) {
	for _, data := range [][]byte{oldWorkbook(f), oldDocument(f), oldSlides(f), oldMessage(f), slidesWithPictures(f), bookWithPictures(f), letterWithPictures(f)} {
		f.Add(data)
	}
	if dir := os.Getenv("DOCENT_TESTDATA"); dir != "" {
		for _, pattern := range []string{"*.xls", "*.doc", "*.ppt"} {
			files, _ := filepath.Glob(filepath.Join(dir, "mixed-docs", "files", pattern))
			for _, name := range files {
				if data, err := os.ReadFile(name); err == nil && len(data) < 50_000 {
					f.Add(data)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) { fuzzWith(t, pictureExtractor(), "a.bin", data) })
}
