package ingest

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"

	"docent/chunker"
)

// rtfMaxDepth is how deep groups may nest; the reader keeps one small state for each.
const rtfMaxDepth = 10_000

// parseRTF reads Rich Text: paragraphs, headings by style or outline level, lists, tables, footnotes
// and text boxes, in the code pages of their fonts, and where pictures are. Embedded objects are passed over.
func parseRTF(p *parser, in *input, f form) (*Document, error) {
	raw, err := in.textBytes()
	if err != nil {
		return nil, err
	}
	b := newDocBuilder("rtf", in.cfg.MaxText)
	r := &rtfReader{b: b, src: raw, fonts: map[int]string{}, styles: map[int]int{}, info: map[string]*strings.Builder{}}
	r.st = rtfState{skipUnicode: 1, font: -1}
	r.codepage = "windows-1252"
	for i := 0; r.pos < len(r.src); i++ {
		if i&0xffff == 0 {
			if err := in.ctx.Err(); err != nil {
				return nil, err
			}
		}
		if err := r.step(); err != nil {
			return nil, err
		}
		if b.tooLong {
			break
		}
	}
	r.endParagraph()
	r.endTable()
	r.putPictures()
	for _, n := range r.notes {
		b.add(chunker.Paragraph, 0, n)
	}
	for _, kv := range [][2]string{{"author", "author"}, {"subject", "subject"}, {"keywords", "keywords"}} {
		if v := r.info[kv[0]]; v != nil {
			b.meta(kv[1], v.String())
		}
	}
	title := ""
	if v := r.info["title"]; v != nil {
		title = v.String()
	}
	return b.finish(in.name, title)
}

// rtfState is what a group inherits and gives back at its end.
type rtfState struct {
	dest        string // "" is the document's text, "skip" is nothing
	font        int
	skipUnicode int // bytes that stand for a character after \u
	hidden      bool
	link        bool // what it shows is one, whose mark is open
}

type rtfReader struct {
	b        *docBuilder
	src      []byte
	pos      int
	st       rtfState
	stack    []rtfState
	codepage string
	fonts    map[int]string // charset of each font
	styles   map[int]int    // heading level of each style
	info     map[string]*strings.Builder

	bytes  []byte // of the text so far, still in a code page
	high   uint16 // first half of a character of two UTF-16 units
	skip   int    // bytes still to pass over after \u
	text   strings.Builder
	marker strings.Builder // number or bullet of the paragraph

	// of the paragraph
	style, outline int // outline is from 1; 0 is none
	listed         bool
	listLevel      int
	inTable        bool
	rows           [][]string
	row            []string

	pictures []string // of the paragraph or table that is being read

	note  strings.Builder
	notes []string
	field strings.Builder // the code of a field

	fontNumber, styleNumber int // in the tables that define them
	name                    strings.Builder
}

// rtfSkipped are the destinations that hold no text of the document.
var rtfSkipped = map[string]bool{
	"colortbl": true, "nonshppict": true, "object": true, "objdata": true, "shprslt": true, "listtable": true, "listoverridetable": true,
	"revtbl": true, "rsidtbl": true, "generator": true, "themedata": true, "colorschememapping": true, "latentstyles": true, "datastore": true, "xmlnstbl": true,
	"header": true, "headerl": true, "headerr": true, "headerf": true, "footer": true, "footerl": true, "footerr": true, "footerf": true,
	"sn": true, "ftnsep": true, "ftnsepc": true, "ftncn": true, "aftnsep": true, "aftnsepc": true, "aftncn": true, "bkmkstart": true, "bkmkend": true,
	"filetbl": true, "mmathPr": true, "wgrffmtfilter": true, "userprops": true, "xe": true, "tc": true, "atnid": true, "atnauthor": true, "atnref": true,
	"atndate": true, "atrfstart": true, "atrfend": true, "datafield": true, "pgptbl": true, "listname": true, "background": true, "template": true, "private": true,
	"falt": true, "panose": true, "fontemb": true, "fontfile": true, "htmltag": true, "mhtmltag": true, "operator": true, "company": true, "doccomm": true, "category": true, "manager": true,
}

// rtfEntered are the destinations marked with \* that hold text all the same.
var rtfEntered = map[string]bool{"shpinst": true, "shptxt": true, "footnote": true, "annotation": true, "fldinst": true, "fldrslt": true, "do": true, "dptxbxtext": true, "pn": true, "moMath": true, "momath": true, "shppict": true}

func (r *rtfReader) step() error {
	c := r.src[r.pos]
	switch c {
	case '{':
		r.flushBytes()
		r.pos++
		if len(r.stack) >= rtfMaxDepth {
			return parseError(ErrDamaged, "its groups nest more than %d deep", rtfMaxDepth)
		}
		r.stack = append(r.stack, r.st)
		r.skip = 0
	case '}':
		r.flushBytes()
		r.pos++
		r.skip = 0
		r.endGroup()
	case '\r', '\n':
		r.pos++
	case '\\':
		r.control()
	default:
		// A run of plain bytes.
		end := r.pos
		for end < len(r.src) && r.src[end] != '{' && r.src[end] != '}' && r.src[end] != '\\' && r.src[end] != '\r' && r.src[end] != '\n' {
			end++
		}
		run := r.src[r.pos:end]
		r.pos = end
		if n := min(r.skip, len(run)); n > 0 {
			run, r.skip = run[n:], r.skip-n
		}
		r.put(run)
	}
	return nil
}

func (r *rtfReader) endGroup() {
	ended, link := r.st.dest, r.st.link
	if n := len(r.stack); n > 0 {
		r.st = r.stack[n-1]
		r.stack = r.stack[:n-1]
	}
	if link && !r.st.link {
		r.write(closeMark)
	}
	if ended == r.st.dest {
		return
	}
	switch ended {
	case "font":
		r.name.Reset()
	case "style":
		r.defineStyle()
	case "note":
		if t := strings.TrimSpace(r.note.String()); t != "" {
			r.notes = append(r.notes, "["+strconv.Itoa(len(r.notes)+1)+"] "+t)
			r.text.WriteString("[" + strconv.Itoa(len(r.notes)) + "]")
		}
		r.note.Reset()
	}
}

func (r *rtfReader) defineStyle() {
	name := strings.ToLower(strings.TrimSpace(strings.TrimRight(strings.TrimSpace(r.name.String()), ";")))
	r.name.Reset()
	level := 0
	for _, p := range []string{"heading ", "标题 ", "標題 ", "überschrift ", "titre ", "título "} {
		if rest, ok := strings.CutPrefix(name, p); ok {
			if n, err := strconv.Atoi(strings.TrimSpace(rest)); err == nil && n >= 1 && n <= 9 {
				level = n
			}
		}
	}
	if name == "title" || name == "标题" {
		level = 1
	}
	if level > 0 {
		r.styles[r.styleNumber] = min(level, 6)
	}
}

// control reads a control word or symbol.
func (r *rtfReader) control() {
	r.pos++
	if r.pos >= len(r.src) {
		return
	}
	c := r.src[r.pos]
	if !(c|0x20 >= 'a' && c|0x20 <= 'z') {
		r.pos++
		r.symbol(c)
		return
	}
	start := r.pos
	for r.pos < len(r.src) && (r.src[r.pos]|0x20 >= 'a' && r.src[r.pos]|0x20 <= 'z') && r.pos-start < 64 {
		r.pos++
	}
	word := string(r.src[start:r.pos])
	arg, has := 0, false
	at := r.pos
	if at < len(r.src) && r.src[at] == '-' {
		at++
	}
	digits := at
	for at < len(r.src) && at-digits < 11 && r.src[at] >= '0' && r.src[at] <= '9' {
		at++
	}
	if at > digits {
		arg, _ = strconv.Atoi(string(r.src[r.pos:at]))
		has = true
		r.pos = at
	}
	if r.pos < len(r.src) && r.src[r.pos] == ' ' {
		r.pos++
	}
	if word == "bin" {
		r.pos += min(max(arg, 0), len(r.src)-r.pos)
		return
	}
	if r.skip > 0 {
		r.skip--
		return
	}
	r.word(word, arg, has)
}

func (r *rtfReader) symbol(c byte) {
	if c == '\'' {
		if r.pos+2 <= len(r.src) {
			v, err := strconv.ParseUint(string(r.src[r.pos:r.pos+2]), 16, 8)
			r.pos += 2
			if r.skip > 0 {
				r.skip--
			} else if err == nil {
				r.put([]byte{byte(v)})
			}
		} else {
			r.pos = len(r.src)
		}
		return
	}
	if r.skip > 0 {
		r.skip--
		return
	}
	switch c {
	case '*':
		r.flushBytes()
		// What follows is passed over unless its name is known to hold text.
		if r.pos < len(r.src) && r.src[r.pos] == '\\' {
			end := r.pos + 1
			for end < len(r.src) && (r.src[end]|0x20 >= 'a' && r.src[end]|0x20 <= 'z') && end-r.pos < 64 {
				end++
			}
			if !rtfEntered[string(r.src[r.pos+1:end])] {
				r.st.dest = "skip"
			}
		}
	case '\\', '{', '}':
		r.put([]byte{c})
	case '~':
		r.write("\u00a0")
	case '_':
		r.write("-")
	case '\r', '\n':
		r.word("par", 0, false)
	case '\t':
		r.write("\t")
	}
}

var rtfSymbols = map[string]string{
	"tab": "\t", "line": "\n", "softline": "\n", "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”", "bullet": "•",
	"emspace": "\u2003", "enspace": "\u2002", "qmspace": "\u2005", "lbr": "\n", "zwj": "\u200d", "zwnj": "\u200c",
}

func (r *rtfReader) word(word string, arg int, has bool) {
	if s, ok := rtfSymbols[word]; ok {
		r.write(s)
		return
	}
	if r.st.dest == "skip" && word != "u" {
		return
	}
	switch word {
	case "pict":
		r.st.dest = "pict"
		return
	case "sv": // of a shape's property, which may be a picture
		r.st.dest = "value"
		return
	case "pngblip", "jpegblip":
		if r.st.dest == "pict" && len(r.pictures) < maxPictures {
			r.pictures = append(r.pictures, rtfRef(r.pos))
		}
		return
	case "u":
		r.flushBytes()
		r.skip = r.st.skipUnicode
		r.unit(uint16(arg))
		return
	case "f":
		r.flushBytes()
		if r.st.dest == "font" {
			r.fontNumber = arg
		}
		r.st.font = arg
		return
	}
	r.flushBytes()
	switch word {
	case "uc":
		r.st.skipUnicode = min(max(arg, 0), 16)
	case "ansicpg":
		r.codepage = rtfCodepage(arg)
	case "mac":
		r.codepage = "macintosh"
	case "pc", "pca":
		r.codepage = "windows-1252"
	case "fonttbl":
		r.st.dest = "font"
	case "fcharset":
		if r.st.dest == "font" {
			r.fonts[r.fontNumber] = rtfCharset(arg)
		}
	case "cpg":
		if r.st.dest == "font" {
			r.fonts[r.fontNumber] = rtfCodepage(arg)
		}
	case "stylesheet":
		r.st.dest = "styles"
	case "info":
		r.st.dest = "info"
	case "title", "author", "subject", "keywords":
		if r.st.dest == "info" {
			r.st.dest = "info:" + word
		}
	case "fldinst":
		r.field.Reset()
		r.st.dest = "field"
	case "fldrslt":
		if open := r.b.openLink(hyperlinkField(r.field.String())); open != "" && !r.st.link && (r.st.dest == "" || r.st.dest == "note") {
			r.write(open)
			r.st.link = true
		}
		r.field.Reset()
	case "footnote":
		r.st.dest = "note"
	case "annotation":
		r.st.dest = "note"
	case "pntext", "listtext":
		r.st.dest = "marker"
	case "pntxtb", "pntxta":
		r.st.dest = "skip"
	case "pn":
		r.st.dest = "skip"
		r.listed = true
	case "v":
		r.st.hidden = !has || arg != 0
	case "plain":
		r.st.hidden = false
	case "pard":
		r.style, r.outline, r.listed, r.listLevel, r.inTable = 0, 0, false, 0, false
	case "s":
		if r.st.dest == "styles" || r.st.dest == "style" {
			r.st.dest = "style"
			r.styleNumber = arg
			return
		}
		r.style = arg
	case "outlinelevel":
		if r.st.dest == "" && arg >= 0 && arg < 9 {
			r.outline = arg + 1
		}
	case "ls":
		r.listed = r.listed || r.st.dest == ""
	case "ilvl":
		r.listLevel = min(max(arg, 0), 8)
	case "intbl":
		r.inTable = true
	case "par", "sect", "page":
		if r.st.dest == "note" {
			r.note.WriteByte(' ')
			return
		}
		if r.st.dest == "" {
			if r.inTable && word == "par" {
				r.text.WriteByte('\n')
				return
			}
			r.endParagraph()
		}
	case "cell", "nestcell":
		if r.st.dest == "" {
			if word == "nestcell" {
				r.text.WriteByte(' ')
				return
			}
			r.flushBytes()
			r.row = append(r.row, strings.TrimSpace(r.text.String()))
			r.text.Reset()
			r.marker.Reset()
		}
	case "row":
		if r.st.dest == "" {
			r.rows = append(r.rows, r.row)
			r.row = nil
			r.text.Reset()
		}
	case "trowd":
		if r.st.dest == "" && len(r.row) == 0 && len(r.rows) == 0 {
			r.endParagraph()
		}
	default:
		if rtfSkipped[word] {
			r.st.dest = "skip"
		}
	}
}

// put takes bytes of text in the code page of the font.
func (r *rtfReader) put(b []byte) {
	if len(b) == 0 || r.st.dest == "skip" || r.st.dest == "pict" || r.st.dest == "value" {
		return
	}
	if r.skip > 0 {
		n := min(r.skip, len(b))
		b, r.skip = b[n:], r.skip-n
	}
	r.bytes = append(r.bytes, b...)
}

func (r *rtfReader) unit(u uint16) {
	switch {
	case utf16.IsSurrogate(rune(u)) && r.high == 0:
		r.high = u
	case r.high != 0:
		if c := utf16.DecodeRune(rune(r.high), rune(u)); c != utf8.RuneError {
			r.write(string(c))
		}
		r.high = 0
	case u >= 0xf000 && u <= 0xf0ff:
		r.write(symbolRune(rune(u - 0xf000))) // symbol fonts
	default:
		r.write(string(rune(u)))
	}
}

// symbolRune is a character of a symbol font: bullets mostly, for which a dot is good enough.
func symbolRune(c rune) string {
	if c > 0x20 && c < 0x7f {
		return string(c)
	}
	return "•"
}

func (r *rtfReader) flushBytes() {
	if len(r.bytes) == 0 {
		return
	}
	raw := r.bytes
	r.bytes = r.bytes[:0]
	plain := true
	for _, c := range raw {
		if c >= 0x80 {
			plain = false
			break
		}
	}
	if plain {
		r.write(string(raw))
		return
	}
	name := r.codepage
	if n, ok := r.fonts[r.st.font]; ok && n != "" && r.st.dest != "font" {
		name = n
	}
	if name == "gbk" || name == "gb18030" || name == "gb2312" {
		r.write(decodeWith(raw, simplifiedchinese.GB18030))
		return
	}
	var enc encoding.Encoding
	if enc, _ = charset.Lookup(name); enc == nil {
		enc, _ = charset.Lookup("windows-1252")
	}
	r.write(decodeWith(bytes.Clone(raw), enc))
}

// write puts text where the group says.
func (r *rtfReader) write(s string) {
	r.flushBytes()
	switch d := r.st.dest; {
	case r.st.hidden && d == "":
	case d == "":
		if r.text.Len()+len(s) <= r.b.maxText {
			r.text.WriteString(s)
		} else {
			r.b.tooLong = true
		}
	case d == "note":
		if r.note.Len() < 1<<20 {
			r.note.WriteString(s)
		}
	case d == "marker":
		r.marker.WriteString(s)
	case d == "field":
		if r.field.Len() < maxLinkTarget {
			r.field.WriteString(s)
		}
	case d == "style":
		if r.name.Len() < 200 {
			r.name.WriteString(s)
		}
	case strings.HasPrefix(d, "info:"):
		k := d[len("info:"):]
		if r.info[k] == nil {
			r.info[k] = &strings.Builder{}
		}
		if r.info[k].Len() < 4000 {
			r.info[k].WriteString(s)
		}
	}
}

func (r *rtfReader) endParagraph() {
	r.flushBytes()
	text := strings.TrimSpace(r.text.String())
	r.text.Reset()
	marker := strings.TrimSpace(strings.ReplaceAll(r.marker.String(), "\t", " "))
	r.marker.Reset()
	if text == "" {
		if len(r.pictures) > 0 {
			r.endTable()
			r.putPictures()
		}
		return
	}
	defer r.putPictures()
	if len(r.row) > 0 { // a row that was never ended
		r.rows = append(r.rows, r.row)
		r.row = nil
	}
	r.endTable()
	level := r.outline
	if l, ok := r.styles[r.style]; ok && level == 0 && r.style != 0 {
		level = l
	}
	switch {
	case level > 0:
		if marker != "" && marker != "•" {
			text = marker + " " + text
		}
		r.b.add(chunker.Heading, min(level, 6), strings.ReplaceAll(text, "\n", " "))
	case marker != "" || r.listed:
		if marker == "" || utf8.RuneCountInString(marker) == 1 && !strings.ContainsAny(marker, "0123456789abcdefghijklmnopqrstuvwxyz一二三四五六七八九十") {
			marker = "-"
		}
		r.b.add(chunker.ListItem, r.listLevel+1, marker+" "+text)
	default:
		r.b.add(chunker.Paragraph, 0, text)
	}
}

// putPictures puts those that were met behind the block that has just been written.
func (r *rtfReader) putPictures() {
	for _, ref := range r.pictures {
		r.b.picture(ref)
	}
	r.pictures = r.pictures[:0]
}

func (r *rtfReader) endTable() {
	if len(r.row) > 0 {
		r.rows = append(r.rows, r.row)
		r.row = nil
	}
	if len(r.rows) > 0 {
		r.b.add(chunker.Table, 0, markdownTable(r.rows))
		r.rows = nil
	}
}
