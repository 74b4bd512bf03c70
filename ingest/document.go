package ingest

import (
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"docent/chunker"
)

// A Document is what a file says: its text, the structure of the text, and what is known of the file.
type Document struct {
	chunker.Document
	Format   string            `json:"format"`             // "pdf", "docx", "markdown", "html", "text", …
	Metadata map[string]string `json:"metadata,omitempty"` // "author", "created", … as the file states them
	Warnings []string          `json:"warnings,omitempty"` // for a person: what was left out or guessed
	// PagesWithoutText lists, from 1 and ascending, the pages that hold no text: scans, pictures, blanks.
	PagesWithoutText []int `json:"pages_without_text,omitempty"`
	// NeedsOCR are those of them that show something which is not in the text yet and which recognition may
	// read: none was there, it failed, or what it found beside garbled text is nothing.
	NeedsOCR []int `json:"needs_ocr,omitempty"`
	// NeedsOCRIn are the likewise unread pages of files within this one: in an archive, attached to a message.
	NeedsOCRIn []FilePages `json:"needs_ocr_in,omitempty"`
	// GarbledPages are the pages whose text is garbled by its fonts or their encoding. It was left out.
	GarbledPages []int `json:"garbled_pages,omitempty"`
	// RecognizedPages are those, from 1 and ascending, whose text was recognised in a picture of the page,
	// and RecognizedBy is what recognised it.
	RecognizedPages []int  `json:"recognized_pages,omitempty"`
	RecognizedBy    string `json:"recognized_by,omitempty"`

	unread       []int     // the pages, from 1, that are to be recognised: without text, or with a wrong one
	pictures     []picture // within it, in its order
	morePictures int       // beyond the limits on them
}

// FilePages are pages of a file within a file.
type FilePages struct {
	Name  string `json:"name"`            // with the files it lies in before it: "scans.zip / letter.pdf"
	Pages []int  `json:"pages,omitempty"` // from 1, ascending; none where nothing of the file could be read
}

// docBuilder puts a document together block by block, cleaning what it is given.
type docBuilder struct {
	doc     Document
	text    strings.Builder
	maxText int
	tooLong bool

	named bool // without a stated title it is called by its name, whatever headings it has

	members int // files within it that were come by; see nested.go

	wordless     []string // targets of links on pictures since the last block
	targets      []string // of the links so far; see openLink
	targetNumber map[string]int
}

func newDocBuilder(format string, maxText int64) *docBuilder {
	if maxText <= 0 {
		maxText = defaultMaxText
	}
	return &docBuilder{doc: Document{Format: format}, maxText: int(maxText)}
}

// add appends a block. Text that is only white space is dropped.
func (b *docBuilder) add(kind chunker.Kind, level int, text string) {
	if b.full(len(text)) {
		return
	}
	var links []chunker.Link
	if kind == chunker.Code {
		text = strings.Trim(cleanText(text, true), "\n")
		if i := firstLineStart(text); i > 0 {
			text = text[i:]
		}
		text = strings.TrimRightFunc(text, unicode.IsSpace)
	} else {
		text, links = b.clean(text)
	}
	if text == "" || strings.TrimSpace(text) == "" {
		return
	}
	if b.text.Len() > 0 {
		b.text.WriteByte('\n')
		n := len(b.doc.Blocks)
		if n == 0 || kind != chunker.ListItem || b.doc.Blocks[n-1].Kind != chunker.ListItem {
			b.text.WriteByte('\n')
		}
	}
	b.fixPage()
	start := b.text.Len()
	b.text.WriteString(text)
	b.doc.Blocks = append(b.doc.Blocks, chunker.Block{Kind: kind, Start: start, End: b.text.Len(), Level: level})
	b.placeWordless(start, links)
	for _, l := range links[:min(len(links), maxLinks-min(maxLinks, len(b.doc.Links)))] {
		l.Start, l.End = l.Start+start, l.End+start
		b.doc.Links = append(b.doc.Links, l)
	}
}

// addTable appends a Markdown table with what its source calls it and the numbers that its rows have there.
func (b *docBuilder) addTable(name, text string, rows []chunker.RowNumber) {
	before := len(b.doc.Blocks)
	if b.add(chunker.Table, 0, text); len(b.doc.Blocks) > before {
		b.doc.Blocks[before].Name, b.doc.Blocks[before].Rows = name, rows
	}
}

// firstLineStart is where the first line that is not blank begins, so that indentation is kept.
func firstLineStart(s string) int {
	at := 0
	for i, r := range s {
		if r == '\n' {
			at = i + 1
		} else if !unicode.IsSpace(r) {
			return at
		}
	}
	return 0
}

// extend appends text to the last block, which must exist; sep goes between, on the page where the
// block began.
func (b *docBuilder) extend(sep, text string) {
	text = strings.TrimSpace(cleanText(text, false))
	if text == "" || b.full(len(text)) {
		return
	}
	b.text.WriteString(sep)
	b.fixPage()
	b.text.WriteString(text)
	b.doc.Blocks[len(b.doc.Blocks)-1].End = b.text.Len()
}

// startPage ends the page before and begins another at the next text that is written.
func (b *docBuilder) startPage(number int, label string) {
	if n := len(b.doc.Pages); n > 0 && b.doc.Pages[n-1].Start < 0 {
		b.doc.Pages[n-1].Start = b.text.Len()
	}
	if n := len(b.doc.Pages); n > 0 {
		b.doc.Pages[n-1].End = b.text.Len()
	}
	b.doc.Pages = append(b.doc.Pages, chunker.Page{Number: number, Label: label, Start: -1})
}

// fixPage sets the start of a page that had no text so far.
func (b *docBuilder) fixPage() {
	if n := len(b.doc.Pages); n > 0 && b.doc.Pages[n-1].Start < 0 {
		b.doc.Pages[n-1].Start = b.text.Len()
	}
}

func (b *docBuilder) full(n int) bool {
	if b.text.Len()+n > b.maxText {
		b.tooLong = true
	}
	return b.tooLong
}

func (b *docBuilder) warn(text string) { b.doc.Warnings = append(b.doc.Warnings, text) }

func (b *docBuilder) meta(key, value string) {
	value = strings.Join(strings.Fields(cleanText(value, false)), " ")
	if value == "" {
		return
	}
	if len(value) > 2000 {
		value = strings.ToValidUTF8(value[:2000], "")
	}
	if b.doc.Metadata == nil {
		b.doc.Metadata = map[string]string{}
	}
	b.doc.Metadata[key] = value
}

// finish fills in what follows from the text. title is the one the file's metadata states.
func (b *docBuilder) finish(name, title string) (*Document, error) {
	if b.tooLong {
		return nil, parseError(ErrTooLarge, "it holds more than %s of text; split it, or raise --max-text", byteSize(int64(b.maxText)))
	}
	d := &b.doc
	d.Text = b.text.String()
	if n := len(d.Blocks); n > 0 {
		b.placeWordless(d.Blocks[n-1].Start, nil)
		slices.SortStableFunc(d.Links, func(a, b chunker.Link) int { return a.Start - b.Start })
	}
	if n := len(d.Pages); n > 0 {
		b.fixPage()
		d.Pages[n-1].End = len(d.Text)
	}
	d.Language = language(d.Text)
	d.Title = b.title(name, title)
	return d, nil
}

func (b *docBuilder) title(name, stated string) string {
	oneLine := func(s string) string { return strings.Join(strings.Fields(cleanText(s, false)), " ") }
	if t := oneLine(stated); sensibleTitle(t, name) {
		return t
	}
	text := b.text.String()
	for i, bl := range b.doc.Blocks {
		if b.named || i > 200 {
			break
		}
		if bl.Kind == chunker.Heading {
			if t := oneLine(text[bl.Start:bl.End]); t != "" && utf8.RuneCountInString(t) <= 200 {
				return t
			}
		}
	}
	base := filepath.Base(filepath.ToSlash(name))
	if t := strings.TrimSuffix(base, filepath.Ext(base)); t != "" {
		return t
	}
	return base
}

// sensibleTitle tells titles that people write from those that programs leave behind.
func sensibleTitle(t, name string) bool {
	if t == "" || utf8.RuneCountInString(t) > 200 || strings.ContainsRune(t, utf8.RuneError) {
		return false
	}
	low := strings.ToLower(t)
	for _, p := range []string{"microsoft word", "microsoft powerpoint", "untitled", "无标题", "未命名", "word document", "powerpoint presentation", "powerpoint 演示文稿", "document1", "slide 1", "about:blank", "title", "(anonymous)", "anonymous", "(unspecified)"} {
		if low == p || strings.HasPrefix(low, p+" - ") || strings.HasPrefix(low, p+" ") && len(low) < len(p)+4 {
			return false
		}
	}
	switch strings.ToLower(filepath.Ext(low)) {
	case ".doc", ".docx", ".dvi", ".tex", ".indd", ".ps", ".eps", ".rtf", ".pdf", ".qxd", ".fm", ".odt", ".ppt", ".pptx", ".html", ".txt":
		return false
	}
	if strings.Contains(low, `:\`) || strings.HasPrefix(low, "/") || strings.HasPrefix(low, "file:") {
		return false
	}
	letters := 0
	for _, r := range t {
		if unicode.IsLetter(r) {
			letters++
		}
	}
	return letters >= 2
}

// cleanText makes text fit to be stored, searched and shown: valid UTF-8 in normal form C, line feeds
// alone, no control or invisible characters, CJK radicals and Latin ligatures as the characters they
// stand for. The other compatibility characters (full-width forms, superscripts, units) are kept.
func cleanText(s string, code bool) string {
	if plainASCII(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		part := s[i : i+n]
		i += n
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteRune(utf8.RuneError)
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case r == '\r':
			if i >= len(s) || s[i] != '\n' {
				b.WriteByte('\n')
			}
		case r == '\v' || r == '\f' || r == 0x85 || r == 0x2028 || r == 0x2029:
			b.WriteByte('\n')
		case r < 0x20 || r >= 0x7f && r < 0xa0:
		case isMark(r): // see openLink
		case r == 0xad || r == 0x200b || r == 0x2060 || r == 0xfeff || r >= 0xfff9 && r <= 0xfffb || r == 0xffff || r == 0xfffe:
		case r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f:
		case r >= 0xe0000 && r <= 0xe0fff && !(r >= 0xe0100 && r <= 0xe01ef): // tags: invisible ASCII
		case (r == 0xa0 || r == 0x202f || r >= 0x2000 && r <= 0x200a) && !code:
			b.WriteByte(' ')
		case r >= 0x2f00 && r <= 0x2fd5, r == 0x2e9f, r == 0x2ef3, r >= 0xfb00 && r <= 0xfb06, r >= 0xfb13 && r <= 0xfb17:
			b.WriteString(norm.NFKC.String(part))
		case r >= 0x2e80 && r <= 0x2eff:
			if u, ok := radicals[r]; ok {
				r = u
			}
			b.WriteRune(r)
		default:
			b.WriteString(part)
		}
	}
	return norm.NFC.String(b.String())
}

func plainASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 0x7f || c < 0x20 && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}

// radicals maps the CJK Radicals Supplement to unified ideographs as EquivalentUnifiedIdeograph.txt of
// the Unicode Character Database does, for the simplified forms that PDF fonts are seen to yield;
// they have no compatibility decomposition.
var radicals = map[rune]rune{
	'⺁': '厂', '⺇': '几', '⺌': '小', '⺍': '小', '⺎': '兀', '⺏': '尣', '⺐': '尢', '⺒': '巳', '⺓': '幺', '⺔': '彑', '⺖': '忄', '⺗': '心', '⺘': '扌', '⺙': '攵',
	'⺛': '旡', '⺝': '月', '⺞': '歺', '⺟': '母', '⺠': '民', '⺡': '氵', '⺢': '氺', '⺣': '灬', '⺤': '爫', '⺥': '爫', '⺦': '丬', '⺧': '牛', '⺨': '犭',
	'⺩': '王', '⺪': '疋', '⺫': '目', '⺬': '示', '⺭': '礻', '⺮': '竹', '⺯': '糹', '⺰': '纟', '⺱': '罓', '⺲': '罒', '⺳': '罓', '⺴': '网', '⺵': '网',
	'⺶': '羊', '⺷': '羊', '⺸': '羋', '⺹': '耂', '⺺': '肀', '⺻': '聿', '⺼': '肉', '⺽': '臼', '⺾': '艹', '⺿': '艹', '⻀': '艹', '⻁': '虎', '⻂': '衤',
	'⻃': '覀', '⻄': '西', '⻅': '见', '⻆': '角', '⻇': '角', '⻈': '讠', '⻉': '贝', '⻊': '足', '⻋': '车', '⻌': '辶', '⻍': '辶', '⻎': '辶', '⻏': '阝',
	'⻐': '钅', '⻑': '長', '⻒': '镸', '⻓': '长', '⻔': '门', '⻕': '阜', '⻖': '阝', '⻗': '雨', '⻘': '青', '⻙': '韦', '⻚': '页', '⻛': '风', '⻜': '飞',
	'⻝': '食', '⻞': '食', '⻟': '飠', '⻠': '饣', '⻡': '首', '⻢': '马', '⻣': '骨', '⻤': '鬼', '⻥': '鱼', '⻦': '鸟', '⻧': '卤', '⻨': '麦', '⻩': '黄',
	'⻪': '黾', '⻫': '斉', '⻬': '齐', '⻭': '歯', '⻮': '齿', '⻯': '竜', '⻰': '龙', '⻱': '龜', '⻲': '亀',
}

// isCJK tells characters that are written without spaces between words.
func isCJK(r rune) bool {
	switch {
	case r < 0x2e80:
		return false
	case r <= 0x303f: // radicals, punctuation
		return true
	case r <= 0x30ff, r >= 0x31f0 && r <= 0x31ff: // kana
		return true
	case r >= 0x3100 && r <= 0x312f, r >= 0x31a0 && r <= 0x31bf: // bopomofo
		return true
	case r >= 0x3400 && r <= 0x9fff, r >= 0xf900 && r <= 0xfaff, r >= 0x20000 && r <= 0x3ffff:
		return true
	case r >= 0xff00 && r <= 0xffef:
		return true
	}
	return false
}

// language tells English and Chinese by script, and English from its neighbours by its small words.
func language(text string) string {
	if len(text) > 1<<18 {
		text = text[:1<<18]
	}
	var han, kana, latin, ascii, other int
	words, small := 0, 0
	word := make([]byte, 0, 32)
	flush := func() {
		if len(word) > 0 {
			words++
			if englishSmall[string(word)] {
				small++
			}
		}
		word = word[:0]
	}
	for _, r := range text {
		switch {
		case r < 0x80:
			if c := byte(r) | 0x20; c >= 'a' && c <= 'z' {
				latin, ascii = latin+1, ascii+1
				if len(word) < 24 {
					word = append(word, c)
				}
				continue
			}
			flush()
		case unicode.Is(unicode.Han, r):
			han++
		case unicode.In(r, unicode.Hiragana, unicode.Katakana):
			kana++
		case unicode.Is(unicode.Latin, r):
			latin++
		case unicode.IsLetter(r):
			other++
		}
	}
	flush()
	total := han + kana + latin/4 + other // a Han character says about as much as four letters
	switch {
	case total == 0:
		return ""
	case kana*10 > han+kana && kana > 4:
		return ""
	case han*3 >= total:
		return "zh"
	case latin/4*2 < total || ascii*50 < latin*47:
		return ""
	case words < 20:
		if small > 0 || words < 5 {
			return "en"
		}
		return ""
	case small*100 >= words*12:
		return "en"
	}
	return ""
}

var englishSmall = func() map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq("the of and to a in is for on that with as are this by be it from or an at was not have has which you your will can we our they their if all but his her he she i its into were been more when how what no do use used using may must should any each than these those") {
		m[w] = true
	}
	return m
}()
