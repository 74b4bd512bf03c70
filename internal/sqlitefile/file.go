// Package sqlitefile reads the rows of an SQLite database straight from its pages, so that a damaged file
// still gives what it has, and tells a write-ahead log that lost something from one that was merely cut off.
//
//	f, err := sqlitefile.Open("docent.db")
//	tables, err := f.Tables()
//	for row := range f.Rows(tables[0].Root) { … }
//	for row := range f.Strays() { … } // what a damaged page has cut off
//
// What is read is checked for sense, not for truth: pages have no checksums. Nothing is ever written. Pages
// are taken to be used to their end, as they are unless an extension of SQLite reserves some bytes. The
// format is that of https://www.sqlite.org/fileformat2.html; sections are named where it matters.
package sqlitefile

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"iter"
	"math"
	"os"

	"docent/internal/mmap"
)

const (
	magic           = "SQLite format 3\x00"
	defaultPageSize = 4096
	maxDepth        = 40 // of a tree; 2^31 pages need far less
	maxPayload      = 1 << 30
)

// The types of pages that hold rows (section 1.6).
const (
	interiorIndex = 0x02
	interiorTable = 0x05
	leafIndex     = 0x0a
	leafTable     = 0x0d
)

// A File is an open database file. It is not safe for concurrent use.
type File struct {
	file   *mmap.File
	wal    *mmap.File
	data   []byte
	frames map[int][]byte // pages by number that the write-ahead log has newer
	size   int            // of a page
	pages  int
	intact bool // the header is as it should be

	seen []bool // by page number: it was read as part of a tree or of a long value
}

// Open opens a database file with its write-ahead log, if there is one. A damaged header is passed over.
func Open(path string) (*File, error) {
	f := &File{frames: map[int][]byte{}}
	var err error
	if f.file, err = mmap.Open(path); err != nil {
		return nil, err
	}
	f.data = f.file.Data
	stated := 0
	if len(f.data) >= 100 && string(f.data[:16]) == magic {
		if stated = int(binary.BigEndian.Uint16(f.data[16:])); stated == 1 {
			stated = 1 << 16
		}
	}
	// The size of pages with which most of the schema makes sense: the one that is stated may be damaged.
	f.size = defaultPageSize
	most := -1
	for size := 512; size <= 1<<16; size *= 2 {
		n := tablesWith(f.data, size)
		if n > 0 && size == stated {
			n = math.MaxInt
		}
		if n > most {
			f.size, most = size, n
		}
	}
	f.intact = f.size == stated
	f.pages = (len(f.data) + f.size - 1) / f.size
	if f.wal, err = mmap.Open(path + "-wal"); err == nil {
		w := readLog(f.wal.Data)
		for i := range w.Committed {
			at := logHeader + i*(frameHeader+w.pageSize)
			page := int(binary.BigEndian.Uint32(f.wal.Data[at:]))
			if w.pageSize == f.size {
				f.frames[page] = f.wal.Data[at+frameHeader : at+frameHeader+f.size]
				f.pages = max(f.pages, page)
			}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		f.file.Close()
		return nil, err
	}
	f.seen = make([]bool, f.pages+1)
	return f, nil
}

// CheckHeader says what of the first 100 bytes of a database file cannot be so; "" when nothing. SQLite takes
// some of it for a file that is read-only, or of another text encoding. It is for files that SQLite made with
// its defaults.
func CheckHeader(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := make([]byte, 100)
	if _, err := io.ReadFull(f, h); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return "it is shorter than a header", nil
		}
		return "", err
	}
	size := int(binary.BigEndian.Uint16(h[16:]))
	for _, c := range []struct {
		what string
		good bool
	}{
		{"it does not begin as a database", string(h[:16]) == magic},
		{"its size of pages is impossible", size == 1 || size >= 512 && size&(size-1) == 0},
		{"its format version is impossible", h[18] == h[19] && (h[18] == 1 || h[18] == 2)},
		{"its pages have reserved bytes", h[20] == 0},
		{"its payload fractions are not 64, 32 and 32", string(h[21:24]) == "\x40\x20\x20"},
		{"its schema format is impossible", binary.BigEndian.Uint32(h[44:]) <= 4},
		{"its text encoding is not UTF-8", binary.BigEndian.Uint32(h[56:]) <= 1},
	} {
		if !c.good {
			return "the header is damaged: " + c.what, nil
		}
	}
	return "", nil
}

// tablesWith counts the tables of the schema that begin at a page of a tree, were pages of that size.
func tablesWith(data []byte, size int) int {
	f := &File{data: data, size: size, pages: (len(data) + size - 1) / size}
	f.seen = make([]bool, f.pages+1)
	n := 0
	for _, t := range f.Tables() {
		if _, ok := pageHeader(f.page(t.Root), t.Root); ok {
			n++
		}
	}
	return n
}

// Close lets go of the file.
func (f *File) Close() error {
	err := f.file.Close()
	if f.wal != nil {
		err = errors.Join(err, f.wal.Close())
	}
	return err
}

// page returns a page by its number, from 1; nil when there is none. The last may be cut short.
func (f *File) page(n int) []byte {
	if n < 1 || n > f.pages {
		return nil
	}
	if p := f.frames[n]; p != nil {
		return p
	}
	from := (n - 1) * f.size
	if from >= len(f.data) {
		return nil
	}
	return f.data[from:min(from+f.size, len(f.data))]
}

// A Table is a line of the schema.
type Table struct {
	Name string
	Root int // the number of its first page
	SQL  string
}

// Tables returns the tables that the schema lists, as far as it can be read; indexes and views are left out.
func (f *File) Tables() []Table {
	var tables []Table
	for row := range f.Rows(1) {
		if len(row.Values) != 5 || row.Values[0] != "table" {
			continue
		}
		name, ok1 := row.Values[1].(string)
		root, ok2 := row.Values[3].(int64)
		text, ok3 := row.Values[4].(string)
		if ok1 && ok2 && ok3 && root > 1 && root <= int64(f.pages) {
			tables = append(tables, Table{name, int(root), text})
		}
	}
	return tables
}

// A Row is a row of a table. A value is nil, an int64, a float64, a string or a []byte, which are copies.
// There may be fewer values than the table has columns; the rest have their defaults.
type Row struct {
	ID     int64 // of a table with row ids; a column that is INTEGER PRIMARY KEY is nil in Values
	Values []any
	Keyed  bool // of a tree without row ids: of an index, or a table WITHOUT ROWID, the primary key first
}

// Rows yields the rows of the tree that begins at a page, leaving out what makes no sense. A page is read
// once in the life of a File.
func (f *File) Rows(root int) iter.Seq[Row] {
	return func(yield func(Row) bool) { f.walk(root, 0, yield) }
}

func (f *File) walk(n, depth int, yield func(Row) bool) bool {
	p := f.page(n)
	if p == nil || f.seen[n] || depth > maxDepth {
		return true
	}
	h, ok := pageHeader(p, n)
	if !ok {
		return true
	}
	f.seen[n] = true
	room := len(p) // cells do not overlap, and a page that says so is no page
	for _, at := range h.cells {
		if h.kind == interiorTable || h.kind == interiorIndex {
			if at+4 > len(p) {
				continue
			}
			if !f.walk(int(binary.BigEndian.Uint32(p[at:])), depth+1, yield) {
				return false
			}
			at += 4
		}
		if h.kind == interiorTable {
			continue // of the row it has the id only
		}
		row, took, ok := f.cell(p, at, h.kind == leafTable)
		if room -= took; room < 0 {
			break
		}
		if ok && !yield(row) {
			return false
		}
	}
	if h.kind == interiorTable || h.kind == interiorIndex {
		return f.walk(h.right, depth+1, yield)
	}
	return true
}

// Strays yields the rows of pages that Rows has not come to and that are not known to be free. Call it when
// the tables have been read: their pages and long values are then told from what is left. When the list of
// free pages cannot be read, what was deleted would be taken for what was lost, and there are none.
func (f *File) Strays() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		free, ok := f.free()
		if !ok {
			return
		}
		for n := 2; n <= f.pages; n++ {
			p := f.page(n)
			if f.seen[n] || free[n] || len(p) == 0 || p[0] != leafTable && p[0] != leafIndex {
				continue
			}
			if !f.walk(n, maxDepth, yield) {
				return
			}
		}
	}
}

// free returns the pages of the free list (section 1.5).
func (f *File) free() (map[int]bool, bool) {
	p := f.page(1)
	if !f.intact || len(p) < 100 {
		return nil, false
	}
	free := map[int]bool{}
	for next := int(binary.BigEndian.Uint32(p[32:])); next != 0; {
		trunk := f.page(next)
		if len(trunk) < 8 || free[next] {
			return nil, false
		}
		free[next] = true
		n := int(binary.BigEndian.Uint32(trunk[4:]))
		if n > (len(trunk)-8)/4 {
			return nil, false
		}
		for i := range n {
			free[int(binary.BigEndian.Uint32(trunk[8+4*i:]))] = true
		}
		next = int(binary.BigEndian.Uint32(trunk))
	}
	return free, len(free) == int(binary.BigEndian.Uint32(p[36:]))
}

type header struct {
	kind  byte
	right int // the last child of an interior page
	cells []int
}

// pageHeader reads the header of a page of a tree (section 1.6).
func pageHeader(p []byte, n int) (h header, ok bool) {
	at := 0
	if n == 1 {
		at = 100
	}
	if len(p) < at+12 {
		return h, false
	}
	h.kind = p[at]
	count := int(binary.BigEndian.Uint16(p[at+3:]))
	switch h.kind {
	case interiorIndex, interiorTable:
		h.right = int(binary.BigEndian.Uint32(p[at+8:]))
		at += 12
	case leafIndex, leafTable:
		at += 8
	default:
		return h, false
	}
	for i := 0; i < count && at+2*i+2 <= len(p); i++ {
		if c := int(binary.BigEndian.Uint16(p[at+2*i:])); c >= at && c < len(p) {
			h.cells = append(h.cells, c)
		}
	}
	return h, true
}

// cell reads a row of a leaf, or of an interior page of an index (section 1.6), and says how many bytes of
// the page it has, at least.
func (f *File) cell(p []byte, at int, table bool) (row Row, took int, ok bool) {
	size, n := varint(p[at:])
	if n == 0 || size <= 0 || size > maxPayload || size > int64(f.pages)*int64(f.size) {
		return row, 1, false
	}
	at += n
	most := (f.size-12)*64/255 - 23
	row.Keyed = !table
	if table {
		if row.ID, n = varint(p[at:]); n == 0 {
			return row, 1, false
		}
		at += n
		most = f.size - 35
	}
	payload, local, ok := f.payload(p, at, int(size), most)
	if ok {
		row.Values, ok = values(payload)
	}
	return row, local, ok
}

// payload collects the bytes of a row from its page and, when they are too many for that, the chain of pages
// that follow it.
func (f *File) payload(p []byte, at, size, most int) (payload []byte, local int, ok bool) {
	local = size
	if size > most {
		least := (f.size-12)*32/255 - 23
		if local = least + (size-least)%(f.size-4); local > most {
			local = least
		}
	}
	if at+local > len(p) {
		return nil, 1, false
	}
	if local == size {
		return p[at : at+local], local, true
	}
	out := append(make([]byte, 0, size), p[at:at+local]...)
	if at+local+4 > len(p) {
		return nil, 1, false
	}
	for next := int(binary.BigEndian.Uint32(p[at+local:])); len(out) < size; {
		q := f.page(next)
		take := min(size-len(out), f.size-4)
		if q == nil || f.seen[next] || len(q) < 4+take {
			return nil, local, false
		}
		f.seen[next] = true
		out = append(out, q[4:4+take]...)
		next = int(binary.BigEndian.Uint32(q))
	}
	return out, local, true
}

// values decodes a record (section 2.1).
func values(p []byte) ([]any, bool) {
	size, n := varint(p)
	if n == 0 || size < int64(n) || size > int64(len(p)) {
		return nil, false
	}
	kinds, body := p[n:size], p[size:]
	var out []any
	for len(kinds) > 0 {
		kind, n := varint(kinds)
		if n == 0 {
			return nil, false
		}
		kinds = kinds[n:]
		width, ok := int64(0), true
		switch {
		case kind >= 1 && kind <= 4:
			width = kind
		case kind == 5:
			width = 6
		case kind == 6, kind == 7:
			width = 8
		case kind >= 12:
			width = (kind - 12) / 2
		default:
			ok = kind == 0 || kind == 8 || kind == 9
		}
		if !ok || width > int64(len(body)) {
			return nil, false
		}
		v := body[:width]
		body = body[width:]
		switch {
		case kind == 0:
			out = append(out, nil)
		case kind == 8, kind == 9:
			out = append(out, kind-8)
		case kind == 7:
			out = append(out, math.Float64frombits(binary.BigEndian.Uint64(v)))
		case kind < 7:
			x := int64(int8(v[0]))
			for _, b := range v[1:] {
				x = x<<8 | int64(b)
			}
			out = append(out, x)
		case kind%2 == 0:
			out = append(out, append([]byte{}, v...))
		default:
			out = append(out, string(v))
		}
	}
	return out, len(body) == 0
}

// varint reads a number of 1 to 9 bytes (section 1.6); n is 0 when it is cut off.
func varint(p []byte) (v int64, n int) {
	var u uint64
	for i, b := range p[:min(len(p), 9)] {
		if i == 8 {
			return int64(u<<8 | uint64(b)), 9
		}
		if u = u<<7 | uint64(b&0x7f); b < 0x80 {
			return int64(u), i + 1
		}
	}
	return 0, 0
}
