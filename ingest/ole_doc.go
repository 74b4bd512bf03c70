package ingest

import (
	"sort"
	"strings"
	"unicode/utf16"

	"docent/chunker"
)

// parseDOC reads a Word document of the binary kind ([MS-DOC]): its text by the piece table, with
// headings, list items and tables by the paragraph properties, then notes, comments and text boxes.
func parseDOC(p *parser, in *input, f form) (*Document, error) {
	o, err := openOLE(in, func(path string) bool {
		return path == "WordDocument" || path == "0Table" || path == "1Table" || strings.HasSuffix(path, "SummaryInformation")
	})
	if err != nil {
		return nil, err
	}
	main := o.streams["WordDocument"]
	if len(main) < 0x1aa || u16(main, 0) != 0xa5ec && u16(main, 0) != 0xa5dc {
		return nil, parseError(ErrDamaged, "its main stream is no Word document")
	}
	flags := u16(main, 0x0a)
	if flags&0x0100 != 0 {
		return nil, errOLEEncrypted
	}
	b := newDocBuilder("doc", in.cfg.MaxText)
	title := o.summary(b)
	d := &docReader{b: b, main: main}
	if u16(main, 2) < 0xc1 { // Word 6 and 95: one run of bytes
		b.warn("it was written by Word 95 or older; its structure was not read")
		text := latinText(cut(main, u32(main, 0x18), u32(main, 0x1c)-u32(main, 0x18)), 1252)
		units := utf16.Encode([]rune(text))
		d.write(units, nil)
		return b.finish(in.name, title)
	}
	table := o.streams["0Table"]
	if flags&0x0200 != 0 {
		table = o.streams["1Table"]
	}
	units, places := docPieces(main, cut(table, u32(main, 0x1a2), u32(main, 0x1a6)))
	if units == nil {
		return nil, parseError(ErrDamaged, "its piece table cannot be read")
	}
	d.paragraphs(cut(table, u32(main, 0x102), u32(main, 0x106)))
	if in.recognize {
		d.pictures(cut(table, u32(main, 0xfa), u32(main, 0xfe)))
	}
	at := 0
	for i, off := range []int{0x4c, 0x50, 0x54, 0x58, 0x5c, 0x60, 0x64} { // text, footnotes, headers, macros, comments, endnotes, text boxes
		n := min(u32(main, off), len(units)-at)
		if i != 2 && i != 3 {
			d.write(units[at:at+n], places[at:at+n])
		}
		at += n
		if err := in.ctx.Err(); err != nil {
			return nil, err
		}
	}
	// What floats beside the text is anchored to shapes that the text does not name; it stands at the end.
	for _, p := range artPlaces(docDrawings(cut(table, u32(main, 0x22a), u32(main, 0x22e))), 0) {
		if p.outside >= 0 {
			b.picture(artRef(artFloat, p.outside))
		}
	}
	return b.finish(in.name, title)
}

type docReader struct {
	b    *docBuilder
	main []byte
	runs []docRun
	// inline are the offsets in the data stream of the pictures that characters stand for, by the runs of
	// characters, in order.
	inline []docPicture
	noted  []int // pictures of the paragraph or table that is being read
}

type docPicture struct{ start, end, at int }

// docRun is what is known of the paragraphs whose marks lie before end in the main stream.
type docRun struct {
	start, end int
	style      int
	list       bool
	level      int
	rowEnd     bool
	inTable    bool
	outline    int // from 1; 0 is none
}

// docPieces puts the text together, in UTF-16, with the place in the main stream of each unit.
func docPieces(main, clx []byte) ([]uint16, []int) {
	at := 0
	for at < len(clx) && clx[at] == 1 {
		at += 3 + u16(clx, at+1)
	}
	if at >= len(clx) || clx[at] != 2 {
		return nil, nil
	}
	plc := cut(clx, at+5, u32(clx, at+1))
	n := (len(plc) - 4) / 12
	units, places := []uint16{}, []int{}
	for i := range max(n, 0) {
		count := u32(plc, 4*i+4) - u32(plc, 4*i)
		fc := u32(plc, 4*(n+1)+8*i+2)
		if count <= 0 || count > len(main) || len(units) > len(main) {
			continue
		}
		if fc&0x40000000 != 0 {
			from := (fc & 0x3fffffff) / 2
			raw := cut(main, from, count)
			for j, r := range []rune(decodeCP1252(raw)) {
				units, places = append(units, uint16(r)), append(places, from+j)
			}
			continue
		}
		from := fc & 0x3fffffff
		raw := cut(main, from, 2*count)
		for j := 0; j+1 < len(raw); j += 2 {
			units, places = append(units, uint16(u16(raw, j))), append(places, from+j)
		}
	}
	return units, places
}

func decodeCP1252(b []byte) string {
	var out strings.Builder
	for _, c := range b {
		r := rune(c)
		if c >= 0x80 && c <= 0x9f {
			r = cp1252[c-0x80]
		}
		out.WriteRune(r)
	}
	return out.String()
}

var cp1252 = [32]rune{'€', 0x81, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0x8d, 'Ž', 0x8f, 0x90, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0x9d, 'ž', 'Ÿ'}

// pages calls visit for each page of properties that a table of them names, with the number of its runs.
func (d *docReader) pages(bte []byte, visit func(page []byte, runs int)) {
	n := (len(bte) - 4) / 8
	for i := range max(min(n, 100_000), 0) {
		if page := cut(d.main, (u32(bte, 4*(n+1)+4*i)&0x3fffff)*512, 512); len(page) == 512 {
			visit(page, int(page[511]))
		}
	}
}

// paragraphs reads the pages of paragraph properties ([MS-DOC] 2.9.174).
func (d *docReader) paragraphs(bte []byte) {
	d.pages(bte, func(page []byte, runs int) {
		for r := range runs {
			if 4*(runs+1)+13*r >= 511 {
				break
			}
			run := docRun{start: u32(page, 4*r), end: u32(page, 4*r+4)}
			if at := 2 * int(page[4*(runs+1)+13*r]); at > 0 && at < 510 {
				size := 2*int(page[at]) - 1
				at++
				if size < 0 {
					size = 2 * int(page[at])
					at++
				}
				props := cut(page, at, size)
				run.style = u16(props, 0)
				run.sprms(cut(props, 2, len(props)))
			}
			d.runs = append(d.runs, run)
		}
	})
	sort.SliceStable(d.runs, func(i, j int) bool { return d.runs[i].end < d.runs[j].end })
}

// pictures reads the pages of character properties ([MS-DOC] 2.9.32) for the characters that are pictures.
func (d *docReader) pictures(bte []byte) {
	d.pages(bte, func(page []byte, runs int) {
		for r := range runs {
			if 4*(runs+1)+r >= 511 {
				break
			}
			at := 2 * int(page[4*(runs+1)+r])
			if at == 0 || at > 510 {
				continue
			}
			p := docPicture{start: u32(page, 4*r), end: u32(page, 4*r+4), at: -1}
			docModifiers(cut(page, at+1, int(page[at])), func(op int, operand []byte) {
				if op == 0x6a03 {
					p.at = u32(operand, 0)
				}
			})
			if p.at >= 0 {
				d.inline = append(d.inline, p)
			}
		}
	})
	sort.SliceStable(d.inline, func(i, j int) bool { return d.inline[i].end < d.inline[j].end })
}

// pictureAt notes the picture that the character at a place stands for.
func (d *docReader) pictureAt(place int) {
	i := sort.Search(len(d.inline), func(i int) bool { return d.inline[i].end > place })
	if i < len(d.inline) && d.inline[i].start <= place {
		d.noted = append(d.noted, d.inline[i].at)
	}
}

// putPictures puts those that were noted behind the block that has just been written.
func (d *docReader) putPictures() {
	for _, at := range d.noted {
		d.b.picture(artRef(artInline, at))
	}
	d.noted = d.noted[:0]
}

// docDrawings is what comes first of a document's drawings, the group with the pictures ([MS-DOC] 2.9.172).
func docDrawings(content []byte) []byte { return cut(content, 0, 8+u32(content, 4)) }

// docModifiers calls visit for each modifier (Sprm) in b with its operand and what follows.
func docModifiers(b []byte, visit func(op int, operand []byte)) {
	for at := 0; at+2 < len(b); {
		op := u16(b, at)
		at += 2
		size := [8]int{1, 1, 2, 4, 2, 2, 0, 3}[op>>13]
		if size == 0 {
			size = 1 + int(b[at])
			if op == 0xd608 || op == 0xd606 {
				size = 1 + u16(b, at)
			}
		}
		visit(op, b[at:])
		at += size
	}
}

// sprms reads the modifiers of a paragraph that tell of structure.
func (r *docRun) sprms(b []byte) {
	docModifiers(b, func(op int, operand []byte) {
		v := int(operand[0])
		switch op {
		case 0x2416:
			r.inTable = v != 0
		case 0x2417:
			r.rowEnd = v != 0
		case 0x460b:
			r.list = u16(operand, 0) != 0
		case 0x260a:
			r.level = v
		case 0x2640:
			if v < 9 {
				r.outline = v + 1
			}
		}
	})
}

func (d *docReader) at(place int) docRun {
	i := sort.Search(len(d.runs), func(i int) bool { return d.runs[i].end > place })
	if i < len(d.runs) && d.runs[i].start <= place {
		return d.runs[i]
	}
	return docRun{}
}

// write makes blocks of a stretch of text.
func (d *docReader) write(units []uint16, places []int) {
	var para []uint16
	var row []string
	var rows [][]string
	fields := []bool{} // of each open field: its instructions are over
	endTable := func() {
		if row != nil {
			rows = append(rows, row)
			row = nil
		}
		if rows != nil {
			d.b.add(chunker.Table, 0, markdownTable(rows))
			rows = nil
		}
	}
	defer d.putPictures()
	for i, u := range units {
		if d.b.tooLong {
			return
		}
		shown := len(fields) == 0 || fields[len(fields)-1]
		switch u {
		case 0x13:
			if len(fields) < 1000 {
				fields = append(fields, false)
			}
			continue
		case 0x14:
			if n := len(fields); n > 0 {
				fields[n-1] = n < 2 || fields[n-2]
			}
			continue
		case 0x15:
			if n := len(fields); n > 0 {
				fields = fields[:n-1]
			}
			continue
		}
		if !shown && u != 0x0d && u != 0x07 {
			continue
		}
		switch u {
		case 0x0d, 0x0c, 0x07:
			run := docRun{}
			if places != nil {
				run = d.at(places[i])
			}
			text := strings.TrimSpace(string(utf16.Decode(para)))
			para = para[:0]
			switch {
			case u == 0x07 && (run.rowEnd || places == nil && text == ""):
				if row != nil {
					rows = append(rows, row)
				}
				row = nil
			case u == 0x07:
				if n := len(row); n > 0 && strings.HasSuffix(row[n-1], "\x00") {
					row[n-1] = strings.TrimSpace(strings.TrimSuffix(row[n-1], "\x00") + "\n" + text)
				} else {
					row = append(row, text)
				}
			case run.inTable: // a paragraph within a cell; what follows belongs to it as well
				if n := len(row); n > 0 && strings.HasSuffix(row[n-1], "\x00") {
					row[n-1] = strings.TrimSuffix(row[n-1], "\x00") + "\n" + text + "\x00"
				} else {
					row = append(row, text+"\x00")
				}
			case text == "":
				if len(d.noted) > 0 {
					endTable()
				}
			default:
				endTable()
				level := run.outline
				if run.style >= 1 && run.style <= 9 {
					level = run.style
				}
				switch {
				case level > 0:
					d.b.add(chunker.Heading, min(level, 6), text)
				case run.list:
					d.b.add(chunker.ListItem, min(run.level, 8)+1, "- "+text)
				default:
					d.b.add(chunker.Paragraph, 0, text)
				}
			}
			if row == nil && rows == nil {
				d.putPictures()
			}
		case 0x0b:
			para = append(para, '\n')
		case 0x1e:
			para = append(para, '-')
		case 0x01:
			if places != nil {
				d.pictureAt(places[i])
			}
		case 0x02, 0x03, 0x04, 0x05, 0x08, 0x1f, 0x00:
		default:
			para = append(para, u)
		}
	}
	if text := strings.TrimSpace(string(utf16.Decode(para))); text != "" {
		endTable()
		d.b.add(chunker.Paragraph, 0, text)
	}
	endTable()
}
