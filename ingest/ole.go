package ingest

import (
	"encoding/binary"
	"io"
	"strings"
	"unicode/utf16"

	"github.com/richardlehane/mscfb"
)

// oleMaxStreams bounds the directory of a compound file.
const oleMaxStreams = 20_000

// oleFile holds the streams of a compound file by the path of their names.
type oleFile struct {
	streams map[string][]byte
	order   []string
}

// openOLE reads the streams that keep accepts. A chain of sectors that runs in a circle ends where its
// stream should.
func openOLE(in *input, keep func(path string) bool) (*oleFile, error) {
	r, err := mscfb.New(io.NewSectionReader(in.file, 0, in.size))
	if err != nil {
		return nil, parseError(ErrDamaged, "it cannot be opened: %v", err)
	}
	o := &oleFile{streams: map[string][]byte{}}
	left := 2 * in.size // no more than all sectors, twice over
	for n := 0; n < oleMaxStreams; n++ {
		if err := in.ctx.Err(); err != nil {
			return nil, err
		}
		e, err := r.Next()
		if err != nil {
			break
		}
		name := strings.Join(append(append([]string(nil), e.Path...), e.Name), "/")
		if !keep(name) || e.Size <= 0 {
			continue
		}
		data, _ := io.ReadAll(io.LimitReader(e, min(e.Size, in.size)))
		if left -= int64(len(data)); left < 0 {
			return nil, parseError(ErrDamaged, "its streams overlap")
		}
		if _, twice := o.streams[name]; !twice {
			o.order = append(o.order, name)
			o.streams[name] = data
		}
	}
	if len(o.streams) == 0 {
		return nil, parseError(ErrDamaged, "its directory names none of the streams of its format")
	}
	return o, nil
}

var errOLEEncrypted = parseError(ErrPassword, "it is encrypted; save it without a password")

// u16 and u32 read little-endian numbers, 0 past the end.
func u16(b []byte, at int) int {
	if at < 0 || at+2 > len(b) {
		return 0
	}
	return int(binary.LittleEndian.Uint16(b[at:]))
}

func u32(b []byte, at int) int {
	if at < 0 || at+4 > len(b) {
		return 0
	}
	return int(binary.LittleEndian.Uint32(b[at:]))
}

// cut is b[from:from+n] as far as it goes.
func cut(b []byte, from, n int) []byte {
	if from < 0 || n <= 0 || from >= len(b) {
		return nil
	}
	return b[from:min(from+n, len(b))]
}

func utf16Text(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

// latinText decodes bytes that old Office writes for characters below U+0100, or in a code page.
func latinText(b []byte, codepage int) string {
	for _, c := range b {
		if c >= 0x80 {
			name := rtfCodepage(codepage)
			if s, enc := decodeText(b, name); enc != "utf-8" || name == "utf-8" {
				return s
			}
			break
		}
	}
	return string(b)
}

// summary reads the property set that Office keeps of a document, and returns the title.
func (o *oleFile) summary(b *docBuilder) string {
	raw := o.streams["\x05SummaryInformation"]
	if raw == nil {
		raw = o.streams["SummaryInformation"]
	}
	at := u32(raw, 44)
	if at <= 0 || at >= len(raw) {
		return ""
	}
	set := raw[at:]
	count := min(u32(set, 4), 100)
	codepage := 1252
	props := map[int]int{}
	for i := range count {
		id, off := u32(set, 8+8*i), u32(set, 12+8*i)
		props[id] = off
		if id == 1 {
			codepage = u16(set, off+4)
		}
	}
	text := func(id int) string {
		off, ok := props[id]
		if !ok {
			return ""
		}
		n := u32(set, off+4)
		switch u32(set, off) {
		case 30:
			v := cut(set, off+8, min(n, 4000))
			if codepage == 1200 {
				return strings.TrimRight(utf16Text(v), "\x00")
			}
			return strings.TrimRight(latinText(v, codepage), "\x00")
		case 31:
			return strings.TrimRight(utf16Text(cut(set, off+8, min(2*n, 8000))), "\x00")
		}
		return ""
	}
	b.meta("author", text(4))
	b.meta("subject", text(3))
	b.meta("keywords", text(5))
	return text(2)
}
