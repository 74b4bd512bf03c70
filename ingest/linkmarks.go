package ingest

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"docent/chunker"
)

// A parser gives a link to the builder by marks around its text: those then go with the text through all
// that trims, joins and puts it into tables, and docBuilder.add takes them out again. They are among the 32
// code points that Unicode keeps for such use within a program (noncharacters, section 23.7); of a file that
// holds them none is kept.
//
//	openMark, the link's number in digits from firstDigit, endMark, the text, closeMark
const (
	firstDigit = '\ufdd0' // to U+FDDF: base 16
	openMark   = '\ufde0'
	endMark    = '\ufde1'
	closeMark  = "\ufde2"
)

func isMark(r rune) bool { return r >= 0xfdd0 && r <= 0xfdef }

const (
	maxLinks      = 5000 // of a document
	maxLinkTarget = 2048 // bytes
)

// linkTarget is the address of a link, or empty for one that a reader is not to be led to: a script, a file
// of the machine where the document was made.
func linkTarget(s string) string {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > maxLinkTarget || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || strings.ContainsFunc(s, isMark) {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "https", "ftp", "mailto", "tel", "doi":
		return s
	case "":
		if strings.HasPrefix(strings.ToLower(s), "www.") {
			return "http://" + s
		}
	}
	return ""
}

// link is text with marks that make it a link, unless target is no address for a reader.
func (b *docBuilder) link(target, text string) string {
	if open := b.openLink(target); open != "" {
		return open + text + closeMark
	}
	return text
}

// pictureLink notes a link on a picture, which has no words: it becomes an empty range where the next block
// begins, or the last one. One beside a link to the same target is part of it.
func (b *docBuilder) pictureLink(target string) {
	if target = linkTarget(target); target != "" && len(b.wordless) < maxLinks && !slices.Contains(b.wordless, target) {
		b.wordless = append(b.wordless, target)
	}
}

// placeWordless places the links on pictures at start, beside links of a block.
func (b *docBuilder) placeWordless(start int, beside []chunker.Link) {
	for _, target := range b.wordless {
		same := func(l chunker.Link) bool { return l.Target == target }
		if n := len(b.doc.Links); n >= maxLinks || slices.ContainsFunc(beside, same) || n > 0 && same(b.doc.Links[n-1]) {
			continue
		}
		b.doc.Links = append(b.doc.Links, chunker.Link{Start: start, End: start, Target: target})
	}
	b.wordless = nil
}

// openLink is the mark that a link begins with; closeMark ends it. It is empty for a target that is no
// address for a reader, and that link is to have no closeMark.
func (b *docBuilder) openLink(target string) string {
	target = linkTarget(target)
	if target == "" {
		return ""
	}
	n, ok := b.targetNumber[target]
	if !ok {
		if n = len(b.targets); n >= maxLinks {
			return ""
		}
		if b.targetNumber == nil {
			b.targetNumber = make(map[string]int)
		}
		b.targets, b.targetNumber[target] = append(b.targets, target), n
	}
	digits := []rune{endMark}
	for {
		digits = append(digits, firstDigit+rune(n%16))
		if n /= 16; n == 0 {
			break
		}
	}
	digits = append(digits, openMark)
	for i, j := 0, len(digits)-1; i < j; i, j = i+1, j-1 {
		digits[i], digits[j] = digits[j], digits[i]
	}
	return string(digits)
}

// withoutMarks is text as it reads.
func withoutMarks(text string) string {
	if !strings.ContainsFunc(text, isMark) {
		return text
	}
	return strings.Map(func(r rune) rune {
		if isMark(r) {
			return -1
		}
		return r
	}, text)
}

// clean is the cleaned text of a block that is not code, without outer white space, and the links that its
// marks tell, by their places in it.
func (b *docBuilder) clean(text string) (string, []chunker.Link) {
	if !strings.ContainsFunc(text, isMark) {
		return strings.TrimSpace(cleanText(text, false)), nil
	}
	var out []byte
	var links []chunker.Link
	number, start := -1, -1 // of the link that is open
	end := func() {
		if start >= 0 && number < len(b.targets) {
			if from, to := trimSpan(string(out), start, len(out)); from < to {
				links = append(links, chunker.Link{Start: from, End: to, Target: b.targets[number]})
			} else {
				b.pictureLink(b.targets[number])
			}
		}
		start = -1
	}
	for rest := text; rest != ""; {
		n := strings.IndexFunc(rest, isMark)
		if n < 0 {
			n = len(rest)
		}
		piece := cleanText(rest[:n], false)
		if len(out) == 0 || out[len(out)-1] == ' ' || out[len(out)-1] == '\n' {
			piece = strings.TrimLeft(piece, " ")
		}
		out = append(out, piece...)
		rest = rest[n:]
		for rest != "" {
			r, size := utf8.DecodeRuneInString(rest)
			if !isMark(r) {
				break
			}
			rest = rest[size:]
			switch {
			case r == openMark:
				end()
				number = 0
			case r <= firstDigit+15 && number >= 0 && start < 0:
				number = min(16*number+int(r-firstDigit), maxLinks)
			case r == endMark && number >= 0 && start < 0:
				start = len(out)
			default:
				end()
				number = -1
			}
		}
	}
	end()
	plain := string(out)
	if !norm.NFC.IsNormalString(plain) { // a link ends before an accent
		return strings.TrimSpace(cleanText(text, false)), nil
	}
	from, to := trimSpan(plain, 0, len(plain))
	for i := range links {
		links[i].Start, links[i].End = links[i].Start-from, links[i].End-from
	}
	return plain[from:to], links
}

// trimSpan is text[start:end] without its outer white space.
func trimSpan(text string, start, end int) (from, to int) {
	s := text[start:end]
	from = start + len(s) - len(strings.TrimLeftFunc(s, unicode.IsSpace))
	return from, max(from, start+len(strings.TrimRightFunc(s, unicode.IsSpace)))
}
