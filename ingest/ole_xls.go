package ingest

import (
	"encoding/binary"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"docent/chunker"
)

const xlsMaxCells = 5_000_000

// parseXLS reads an Excel workbook of the binary kind ([MS-XLS], BIFF5 and BIFF8): its sheets as headings
// and tables of what the cells hold, with page headers, footers and comments.
func parseXLS(p *parser, in *input, f form) (*Document, error) {
	r, err := openXLS(in)
	if err != nil {
		return nil, err
	}
	for _, s := range r.sheets {
		if err := r.sheet(s); err != nil {
			return nil, err
		}
	}
	return r.b.finish(in.name, r.title)
}

// openXLS reads what comes before the sheets of a workbook.
func openXLS(in *input) (*xlsReader, error) {
	o, err := openOLE(in, func(path string) bool {
		return path == "Workbook" || path == "Book" || strings.HasSuffix(path, "SummaryInformation")
	})
	if err != nil {
		return nil, err
	}
	data := o.streams["Workbook"]
	if data == nil {
		data = o.streams["Book"]
	}
	b := newDocBuilder("xls", in.cfg.MaxText)
	r := &xlsReader{in: in, b: b, data: data, title: o.summary(b), codepage: 1252, formats: map[int]string{}, epoch: time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)}
	if err := r.globals(); err != nil {
		return nil, err
	}
	if in.recognize {
		r.pictures = artPlaces(r.group, 0)
	}
	return r, nil
}

type xlsReader struct {
	in       *input
	b        *docBuilder
	data     []byte
	title    string
	group    []byte     // the drawings that the sheets share, where pictures are wanted
	pictures []artPlace // in group
	biff8    bool
	codepage int
	strings  []string
	formats  map[int]string
	styles   []string // what each cell format shows: see xlsxFormat
	sheets   []xlsSheet
	epoch    time.Time
	cells    int
}

type xlsSheet struct {
	name string
	at   int
}

// record is the one at an offset, and where the next begins.
func (r *xlsReader) record(at int) (kind int, body []byte, next int) {
	if at < 0 || at+4 > len(r.data) {
		return 0, nil, -1
	}
	n := u16(r.data, at+2)
	return u16(r.data, at), cut(r.data, at+4, n), at + 4 + n
}

func (r *xlsReader) globals() error {
	kind, body, at := r.record(0)
	if kind != 0x809 {
		return parseError(ErrDamaged, "its workbook stream does not begin as it must")
	}
	r.biff8 = u16(body, 0) >= 0x600
	before := 0 // the kind of the last record that continues none
	for at > 0 {
		var kind int
		var body []byte
		start := at
		if kind, body, at = r.record(at); kind == 0x0a {
			break
		}
		if kind != 0x3c {
			before = kind
		}
		if before == 0xeb && r.in.recognize { // it, or what continues it
			r.group = append(r.group, body...)
		}
		switch kind {
		case 0x2f:
			return errOLEEncrypted
		case 0x42:
			r.codepage = u16(body, 0)
		case 0x22:
			if u16(body, 0) == 1 {
				r.epoch = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
			}
		case 0x41e:
			if name, _ := r.text(body, 2, 2); name != "" {
				r.formats[u16(body, 0)] = name
			}
		case 0xe0:
			id := u16(body, 2)
			r.styles = append(r.styles, numberFormat(id, r.formats[id]))
		case 0x85:
			if len(r.sheets) < 10_000 && len(body) > 6 && body[5] == 0 { // a worksheet
				name, _ := r.text(body, 6, 1)
				r.sheets = append(r.sheets, xlsSheet{name, u32(body, 0)})
			}
		case 0xfc:
			at = r.sharedStrings(start)
		}
	}
	return nil
}

// notePictures notes those of a sheet, whose name goes before what is on them where it has no text.
func (r *xlsReader) notePictures(drawing []byte, sheet string, alone bool) {
	shapes := artShapes(drawing)
	byAnchor(shapes)
	for _, s := range shapes {
		if s.number > len(r.pictures) || r.pictures[s.number-1].inside < 0 {
			continue
		}
		p := picture{Ref: artRef(artSheets, r.pictures[s.number-1].inside)}
		if alone {
			p.Heading, p.Level = sheet, 1
		}
		r.b.pictureIn(p)
	}
}

// text reads a string with a length of size bytes at an offset of a record, and returns where it ends.
func (r *xlsReader) text(b []byte, at, size int) (string, int) {
	n := u16(b, at)
	if size == 1 {
		n &= 0xff
	}
	at += size
	if !r.biff8 {
		return latinText(cut(b, at, n), r.codepage), at + n
	}
	if at >= len(b) {
		return "", len(b)
	}
	flags := b[at]
	at++
	if flags&8 != 0 {
		at += 2
	}
	if flags&4 != 0 {
		at += 4
	}
	if flags&1 != 0 {
		return utf16Text(cut(b, at, 2*n)), at + 2*n
	}
	return latin1(cut(b, at, n)), at + n
}

// latin1 decodes UTF-16 without its zero bytes.
func latin1(b []byte) string {
	out := make([]rune, len(b))
	for i, c := range b {
		out[i] = rune(c)
	}
	return string(out)
}

// xlsStream reads a record together with those that continue it. Characters of a string that is cut at
// a border go on after a byte that tells anew how wide they are.
type xlsStream struct {
	parts [][]byte
	at    int
}

func (s *xlsStream) more() bool {
	for len(s.parts) > 0 && s.at >= len(s.parts[0]) {
		s.parts, s.at = s.parts[1:], 0
	}
	return len(s.parts) > 0
}

func (s *xlsStream) byte() int {
	if !s.more() {
		return 0
	}
	c := s.parts[0][s.at]
	s.at++
	return int(c)
}

func (s *xlsStream) skip(n int) {
	for n > 0 && s.more() {
		k := min(n, len(s.parts[0])-s.at)
		s.at += k
		n -= k
	}
}

func (s *xlsStream) string() string {
	n := s.byte() | s.byte()<<8
	flags := s.byte()
	runs, extra := 0, 0
	if flags&8 != 0 {
		runs = s.byte() | s.byte()<<8
	}
	if flags&4 != 0 {
		extra = s.byte() | s.byte()<<8 | s.byte()<<16 | s.byte()<<24
	}
	var out strings.Builder
	wide := flags&1 != 0
	var units []byte
	for n > 0 {
		if len(s.parts) > 0 && s.at >= len(s.parts[0]) {
			if !s.more() {
				break
			}
			wide = s.byte()&1 != 0
		}
		if !s.more() {
			break
		}
		lo, hi := s.byte(), 0
		if wide {
			hi = s.byte()
		}
		units = append(units, byte(lo), byte(hi))
		n--
	}
	out.WriteString(utf16Text(units))
	s.skip(4*runs + extra)
	return out.String()
}

func (r *xlsReader) sharedStrings(at int) int {
	_, body, next := r.record(at)
	s := &xlsStream{parts: [][]byte{body}, at: 8}
	for {
		kind, more, after := r.record(next)
		if kind != 0x3c {
			break
		}
		s.parts = append(s.parts, more)
		next = after
	}
	count := u32(body, 4)
	for i := 0; i < count && s.more(); i++ {
		r.strings = append(r.strings, s.string())
	}
	return next
}

var xlsHeaderCodes = regexp.MustCompile(`&(?:"[^"]*"|[LCRPNDTFAZGBIUESXY]|\d{1,3}|K[0-9A-Fa-f]{6})`)

func (r *xlsReader) sheet(s xlsSheet) error {
	kind, _, at := r.record(s.at)
	if kind != 0x809 {
		r.b.warn(fmt.Sprintf("the sheet %q cannot be read", s.name))
		return nil
	}
	rows := map[int][]string{}
	var heads, notes []string
	var drawing []byte
	before := 0 // as in globals
	set := func(row, col int, v string) {
		if v = strings.TrimSpace(v); v == "" || col >= tableMaxColumns {
			return
		}
		cells := rows[row]
		for len(cells) <= col {
			cells = append(cells, "")
			r.cells++
		}
		cells[col] = v
		rows[row] = cells
	}
	formulaRow, formulaCol := -1, 0
	depth := 0
	for n := 0; at > 0; n++ {
		if n&0xfff == 0 && r.in.ctx.Err() != nil {
			return r.in.ctx.Err()
		}
		if r.cells > xlsMaxCells {
			return parseError(ErrTooLarge, "it has more than %d cells", xlsMaxCells)
		}
		var b []byte
		kind, b, at = r.record(at)
		if kind == 0x809 { // a chart on the sheet
			depth++
			continue
		}
		if kind == 0x0a {
			if depth--; depth < 0 {
				break
			}
			continue
		}
		if depth > 0 {
			continue
		}
		if kind != 0x3c {
			before = kind
		}
		if before == 0xec && r.in.recognize {
			drawing = append(drawing, b...)
		}
		row, col := u16(b, 0), u16(b, 2)
		switch kind {
		case 0xfd:
			if i := u32(b, 6); i >= 0 && i < len(r.strings) {
				set(row, col, r.strings[i])
			}
		case 0x204, 0xd6:
			v, _ := r.text(b, 6, 2)
			set(row, col, v)
		case 0x203:
			if len(b) >= 14 {
				set(row, col, r.number(math.Float64frombits(binary.LittleEndian.Uint64(b[6:])), u16(b, 4)))
			}
		case 0x27e:
			set(row, col, r.number(rk(u32(b, 6)), u16(b, 4)))
		case 0xbd:
			for i := 0; 4+6*i+6 <= len(b)-2; i++ {
				set(row, col+i, r.number(rk(u32(b, 6+6*i)), u16(b, 4+6*i)))
			}
		case 0x205:
			if len(b) >= 8 && b[7] == 0 {
				set(row, col, map[bool]string{true: "TRUE", false: "FALSE"}[b[6] != 0])
			}
		case 0x06, 0x406:
			if len(b) < 14 {
				continue
			}
			if u16(b, 12) != 0xffff {
				set(row, col, r.number(math.Float64frombits(binary.LittleEndian.Uint64(b[6:])), u16(b, 4)))
			} else if b[6] == 0 {
				formulaRow, formulaCol = row, col // its text is the next record but one at most
			} else if b[6] == 1 {
				set(row, col, map[bool]string{true: "TRUE", false: "FALSE"}[b[8] != 0])
			}
		case 0x207:
			if formulaRow >= 0 {
				v, _ := r.text(b, 0, 2)
				set(formulaRow, formulaCol, v)
				formulaRow = -1
			}
		case 0x14, 0x15:
			size := 2
			if !r.biff8 {
				size = 1
			}
			v, _ := r.text(b, 0, size)
			v = strings.Join(strings.Fields(strings.ReplaceAll(xlsHeaderCodes.ReplaceAllString(v, " "), "&&", "&")), " ")
			if v != "" {
				heads = append(heads, v)
			}
		case 0x1b6: // the text of a comment or a shape, in the record after
			k, t, after := r.record(at)
			if k == 0x3c && len(t) > 1 {
				n := u16(b, 10)
				if t[0]&1 != 0 {
					notes = append(notes, utf16Text(cut(t, 1, 2*n)))
				} else {
					notes = append(notes, latin1(cut(t, 1, n)))
				}
				at = after
			}
		}
	}
	numbers := make([]int, 0, len(rows))
	for n := range rows {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	if len(rows)+len(heads)+len(notes) > 0 {
		r.b.add(chunker.Heading, 1, s.name)
	}
	addTable(r.b, s.name, func(yield func(int, []string) bool) {
		for _, n := range numbers {
			if !yield(n+1, rows[n]) {
				return
			}
		}
	}, true)
	r.notePictures(drawing, s.name, len(rows)+len(heads)+len(notes) == 0)
	for _, n := range notes {
		r.b.add(chunker.Quote, 0, n)
	}
	for _, h := range heads {
		r.b.add(chunker.Paragraph, 0, h)
	}
	return nil
}

// rk decodes the short form of numbers ([MS-XLS] 2.5.217).
func rk(v int) float64 {
	n := 0.0
	if v&2 != 0 {
		n = float64(int32(uint32(v)) >> 2)
	} else {
		n = math.Float64frombits(uint64(uint32(v)&^3) << 32)
	}
	if v&1 != 0 {
		n /= 100
	}
	return n
}

// number shows a number by the kind of its format.
func (r *xlsReader) number(n float64, style int) string {
	format := ""
	if style < len(r.styles) {
		format = r.styles[style]
	}
	switch {
	case math.IsNaN(n) || math.IsInf(n, 0):
		return ""
	case format == "date" && n > 0 && n < 2958466:
		t := r.epoch.Add(time.Duration(n * 24 * float64(time.Hour))).Round(time.Second)
		if n == math.Trunc(n) {
			return t.Format("2006-01-02")
		}
		return t.Format("2006-01-02 15:04:05")
	case format == "time" && n >= 0 && n < 1:
		return r.epoch.Add(time.Duration(n * 24 * float64(time.Hour))).Round(time.Second).Format("15:04:05")
	case format == "percent":
		return strconv.FormatFloat(n*100, 'f', -1, 32) + "%"
	case n == math.Trunc(n) && math.Abs(n) < 1e15:
		return strconv.FormatInt(int64(n), 10)
	}
	// Twelve digits hide what binary fractions add.
	return strconv.FormatFloat(n, 'g', 12, 64)
}

// numberFormat tells what a number format shows: "date", "time", "percent" or "" for anything else. The
// built-in ones are those of ECMA-376, 18.8.30.
func numberFormat(id int, code string) string {
	if code == "" {
		switch {
		case id >= 14 && id <= 17 || id == 22 || id >= 27 && id <= 31 || id >= 50 && id <= 58:
			return "date"
		case id >= 18 && id <= 21 || id >= 45 && id <= 47:
			return "time"
		case id == 9 || id == 10:
			return "percent"
		}
		return ""
	}
	// Quoted text, colours and locale marks are no part of the pattern.
	var b strings.Builder
	skip := rune(0)
	for _, r := range strings.ToLower(code) {
		switch {
		case skip != 0:
			if r == skip {
				skip = 0
			}
		case r == '"':
			skip = '"'
		case r == '[':
			skip = ']'
		default:
			b.WriteRune(r)
		}
	}
	switch s := b.String(); {
	case strings.Contains(s, "y") || strings.Contains(s, "d") && strings.Contains(s, "m"):
		return "date"
	case strings.Contains(s, "h") && strings.Contains(s, "m") || strings.Contains(s, "m") && strings.Contains(s, "s"):
		return "time"
	case strings.Contains(s, "%"):
		return "percent"
	}
	return ""
}
