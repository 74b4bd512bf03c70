package ingest

import (
	"bytes"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wlynxg/chardet"
	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	xunicode "golang.org/x/text/encoding/unicode"

	"docent/chunker"
)

// decodeText turns bytes of any encoding into a string, and names the encoding. declared is the one
// the file itself states, if any; it yields to a byte order mark and to valid UTF-8.
func decodeText(b []byte, declared string) (text, name string) {
	switch {
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")):
		return strings.ToValidUTF8(string(b[3:]), "\ufffd"), "utf-8"
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		return decodeWith(b[2:], xunicode.UTF16(xunicode.LittleEndian, xunicode.IgnoreBOM)), "utf-16le"
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		return decodeWith(b[2:], xunicode.UTF16(xunicode.BigEndian, xunicode.IgnoreBOM)), "utf-16be"
	}
	if enc := utf16Order(b); enc != nil {
		return decodeWith(b, enc), "utf-16"
	}
	if validUTF8Prefix(b) && !isoEscapes(b) {
		return strings.ToValidUTF8(string(b), ""), "utf-8"
	}
	if enc, n := charset.Lookup(declared); enc != nil && n != "utf-8" {
		if n == "gbk" || n == "gb2312" {
			enc, n = simplifiedchinese.GB18030, "gb18030"
		}
		if s := decodeWith(b, enc); badShare(s) < 0.01 {
			return s, n
		}
	}
	// Nearly all UTF-8, with a few broken bytes: a log, or a file that was cut.
	if s := strings.ToValidUTF8(string(b), "\ufffd"); utf8Signs(b) && badShare(s) < 0.005 {
		return s, "utf-8"
	}
	sample := b[:min(len(b), 1<<18)]
	if r := chardet.Detect(sample); r.Confidence > 0.8 {
		if enc, n := charset.Lookup(r.Encoding); enc != nil && n != "utf-8" && n != "windows-1252" {
			if beyondASCII(sample) < shortSample && !eastAsian(n) {
				if s, chinese := guessText(b, sample); chinese != "windows-1252" && plausible(s) > 0.85 {
					return s, chinese
				}
			}
			if n == "gbk" || n == "gb2312" {
				enc, n = simplifiedchinese.GB18030, "gb18030"
			}
			if s := decodeWith(b, enc); badShare(s) < 0.01 {
				return s, n
			}
		}
	}
	return guessText(b, sample)
}

// Below so many bytes beyond ASCII the statistics of letters say less than that a text reads as Chinese of
// everyday characters: "说明" in GBK is four letters of Thai.
const shortSample = 64

func beyondASCII(b []byte) (n int) {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			n++
		}
	}
	return n
}

// eastAsian tells the encodings of Chinese, Japanese and Korean by their names in [charset.Lookup].
func eastAsian(name string) bool {
	switch name {
	case "gbk", "gb18030", "gb2312", "big5", "euc-jp", "shift_jis", "iso-2022-jp", "euc-kr":
		return true
	}
	return false
}

// guessText picks among the encodings that short texts are seen in, by how plausible they read.
func guessText(b, sample []byte) (string, string) {
	type guess struct {
		name  string
		enc   encoding.Encoding
		prior float64
	}
	best, bestScore := guess{}, -1e9
	latin, _ := charset.Lookup("windows-1252")
	for _, g := range []guess{
		{"gb18030", simplifiedchinese.GB18030, 0.05}, {"big5", traditionalchinese.Big5, 0}, {"windows-1252", latin, 0},
	} {
		if score := plausible(decodeWith(sample, g.enc)) + g.prior; score > bestScore {
			best, bestScore = g, score
		}
	}
	return decodeWith(b, best.enc), best.name
}

// plausible scores decoded text between -1 and 1: everyday characters count for it, rare ones,
// half-width katakana, private use and broken bytes against it. ASCII says nothing.
func plausible(s string) float64 {
	score, n := 0.0, 0.0
	var prev rune
	for _, r := range s {
		if r < 0x80 {
			prev = r
			continue
		}
		n++
		switch {
		case r == utf8.RuneError:
			score -= 3
		case r >= 0x4e00 && r <= 0x9fff:
			// Level 1 of GB 2312 holds the 3755 common simplified characters, the first plane of Big5
			// the 5401 common traditional ones.
			if commonHan(r) {
				score++
			} else {
				score -= 0.3
			}
		case r >= 0x3000 && r <= 0x303f, r >= 0xff00 && r <= 0xff5e:
			score++
		case r >= 0x3040 && r <= 0x30ff:
			score += 0.2
		case r >= 0xe000 && r <= 0xf8ff:
			score -= 2
		case r >= 0xa0 && r <= 0x24f:
			// A Latin letter stands among Latin letters; two high ones in a row are rarely words.
			if unicode.IsLetter(r) && prev < 0x80 && unicode.IsLetter(prev) {
				score += 0.8
			} else if unicode.IsLetter(r) {
				score -= 0.6
			} else {
				score -= 0.3
			}
		case r >= 0x2010 && r <= 0x2026:
			score += 0.5
		default:
			score -= 0.5
		}
		prev = r
	}
	if n == 0 {
		return 0
	}
	return score / n
}

func commonHan(r rune) bool {
	var buf [8]byte
	if n, _, err := simplifiedchinese.GBK.NewEncoder().Transform(buf[:], []byte(string(r)), true); err == nil && n == 2 && buf[0] >= 0xb0 && buf[0] <= 0xd7 && buf[1] >= 0xa1 {
		return true
	}
	if n, _, err := traditionalchinese.Big5.NewEncoder().Transform(buf[:], []byte(string(r)), true); err == nil && n == 2 && buf[0] >= 0xa4 && buf[0] <= 0xc6 {
		return true
	}
	return false
}

func decodeWith(b []byte, enc encoding.Encoding) string {
	out, err := enc.NewDecoder().Bytes(b)
	if err != nil {
		out = append(out, "\ufffd"...)
	}
	return strings.ToValidUTF8(string(out), "\ufffd")
}

func badShare(s string) float64 {
	if s == "" {
		return 0
	}
	bad, n := 0, 0
	for _, r := range s {
		n++
		if r == utf8.RuneError || r >= 0x80 && r < 0xa0 {
			bad++
		}
	}
	return float64(bad) / float64(n)
}

// utf8Signs tells that b holds sequences of three bytes as UTF-8 has them for CJK, or of two.
func utf8Signs(b []byte) bool {
	multi := 0
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if n > 1 && r != utf8.RuneError {
			multi++
		}
		i += n
	}
	return multi >= 4
}

// isoEscapes tells ISO-2022-JP and HZ, which are ASCII bytes throughout.
func isoEscapes(b []byte) bool {
	return bytes.Contains(b, []byte("\x1b$B")) || bytes.Contains(b, []byte("\x1b$@"))
}

// utf16Order finds UTF-16 without a byte order mark: by the zero bytes of its ASCII, or else, for text
// with hardly any ASCII, by reading as plausible CJK with line ends one way round.
func utf16Order(b []byte) encoding.Encoding {
	if len(b) > sniffBytes {
		b = b[:sniffBytes]
	}
	b = b[:len(b)&^1]
	if len(b) < 4 || bytes.IndexByte(b, 0) < 0 {
		return nil
	}
	var even, odd int // zero bytes at even and at odd places
	for i, c := range b {
		if c == 0 {
			if i&1 == 0 {
				even++
			} else {
				odd++
			}
		}
	}
	pairs := len(b) / 2
	for _, o := range []struct {
		zero, other int
		order       xunicode.Endianness
	}{{odd, even, xunicode.LittleEndian}, {even, odd, xunicode.BigEndian}} {
		// A few ideographs have a zero on the other side: U+4E00, U+9000.
		if o.zero <= o.other || o.zero*200 < pairs {
			continue
		}
		enc := xunicode.UTF16(o.order, xunicode.IgnoreBOM)
		if text := decodeWith(b, enc); textShare(text) > 0.97 && (o.zero*2 > pairs || plausible(text) > 0.4) {
			return enc
		}
	}
	return nil
}

// textShare is the share of characters that text is made of.
func textShare(s string) float64 {
	good, n := 0, 0
	for _, r := range s {
		n++
		if unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsPunct(r) || unicode.IsSymbol(r) && r != utf8.RuneError || unicode.IsMark(r) || r == ' ' || r == '\n' || r == '\r' || r == '\t' || r == 0x3000 || r == 0xa0 {
			good++
		}
	}
	if n == 0 {
		return 0
	}
	return float64(good) / float64(n)
}

func parseText(p *parser, in *input, f form) (*Document, error) {
	raw, err := in.textBytes()
	if err != nil {
		return nil, err
	}
	text, enc := decodeText(raw, "")
	if strings.TrimSpace(cleanText(text, false)) == "" {
		return nil, parseError(ErrEmptyFile, "it holds white space only")
	}
	format := f.format
	if format == "code" {
		format = "text"
	}
	b := newDocBuilder(format, in.cfg.MaxText)
	if enc != "utf-8" {
		b.meta("encoding", enc)
	}
	if f.format == "code" {
		addCode(b, text)
		return b.finish(in.name, "")
	}
	addPlainText(b, text, f.format == "text")
	if f.format != "text" {
		return b.finish(in.name, "")
	}
	b.named = true
	return b.finish(in.name, b.plainTitle())
}

// plainTitle is the first line of a text where that can be nothing but its title: one that is underlined, or that
// stands alone before more text, is short, and is neither a sentence nor the heading of a chapter.
func (b *docBuilder) plainTitle() string {
	if len(b.doc.Blocks) < 2 {
		return ""
	}
	first := b.doc.Blocks[0]
	line := b.text.String()[first.Start:first.End]
	end, _ := utf8.DecodeLastRuneInString(line)
	switch {
	case plainHeading.MatchString(line):
		return ""
	case first.Kind == chunker.Heading:
		return line
	case strings.ContainsAny(line, "\n\t|"), utf8.RuneCountInString(line) > 80, strings.ContainsRune(".,;:!?…。，；：！？、-=*#>", end):
		return ""
	}
	return line
}

var plainHeading = regexp.MustCompile(`^(?:第[0-9０-９零〇一二三四五六七八九十百千两]{1,7}[章节節回部篇卷编編](?:$|[\s：:、　]\S?.*)|第[0-9０-９零〇一二三四五六七八九十百千两]{1,7}[章节節回部篇卷编編]\S{1,20}|(?:CHAPTER|Chapter|PART|Part|BOOK|Book|APPENDIX|Appendix)\s+(?:[0-9]{1,3}|[IVXLC]{1,7}|[A-Z])(?:$|[.:\s—–-].*))$`)

// addPlainText makes a paragraph of what stands between blank lines, and a heading of a line that
// names a chapter or is underlined.
func addPlainText(b *docBuilder, text string, headings bool) {
	var para []string
	flush := func() {
		if len(para) == 0 {
			return
		}
		lines := para
		para = nil
		if headings && len(lines) == 2 && underline(lines[1]) && utf8.RuneCountInString(lines[0]) <= 100 {
			level := 1
			if strings.HasPrefix(strings.TrimSpace(lines[1]), "-") {
				level = 2
			}
			b.add(chunker.Heading, level, lines[0])
			return
		}
		if headings && len(lines) == 1 && utf8.RuneCountInString(lines[0]) <= 80 && plainHeading.MatchString(strings.TrimSpace(lines[0])) {
			b.add(chunker.Heading, 1, lines[0])
			return
		}
		b.add(chunker.Paragraph, 0, strings.Join(lines, "\n"))
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	for line := range strings.Lines(text) {
		line = strings.TrimRightFunc(line, unicode.IsSpace)
		if strings.TrimSpace(line) == "" {
			flush()
			continue
		}
		para = append(para, line)
	}
	flush()
}

func underline(s string) bool {
	s = strings.TrimSpace(s)
	return len(s) >= 3 && (strings.Trim(s, "=") == "" || strings.Trim(s, "-") == "")
}

// addCode makes blocks of code at the blank lines before lines that are not indented.
func addCode(b *docBuilder, text string) {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	start, blank, at := 0, false, 0
	for line := range strings.Lines(text) {
		t := strings.TrimSpace(line)
		if t != "" && blank && line[0] != ' ' && line[0] != '\t' && line[0] != '}' && line[0] != ')' && at > start {
			b.add(chunker.Code, 0, text[start:at])
			start = at
		}
		blank = t == ""
		at += len(line)
	}
	b.add(chunker.Code, 0, text[start:])
}
