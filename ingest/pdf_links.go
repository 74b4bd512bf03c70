package ingest

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"docent/chunker"
)

// pdfLink is an area of a page that leads to an address outside the document.
type pdfLink struct {
	target string
	boxes  [][4]float64 // x0, y0, x1, y1 in points from the page's top left corner; one for each line of the link
}

// pdfAnchor is a link by the text that it stands on. The layout moves and joins what a page says, so a link
// is found again by its words and those around it, as the file has them.
type pdfAnchor struct {
	target        string
	text          string // empty on a picture
	before, after string // letters and digits alone
}

const (
	pdfLinkContext = 32 // letters and digits on either side that tell equal words apart
	// pdfLinkWork is how many comparisons of a character with a line of a link a page is worth. Links beyond
	// it are left out; a full page has 5,000 characters, and this is enough for 4,000 links on it.
	pdfLinkWork = 20_000_000
)

// pdfAnchors finds the words under a page's links.
func pdfAnchors(pg *pdfPage) []pdfAnchor {
	var out []pdfAnchor
	work := pdfLinkWork
	for _, l := range pg.links {
		if work -= len(pg.chars) * (1 + len(l.boxes)); work < 0 {
			break
		}
		a := pdfAnchor{target: l.target}
		first, last := -1, -1
		var text []rune
		for i, c := range pg.chars {
			x, y := float64(c.x0+c.x1)/2, float64(c.y0+c.y1)/2
			if c.r <= ' ' || !slices.ContainsFunc(l.boxes, func(b [4]float64) bool { return x >= b[0]-1 && x <= b[2]+1 && y >= b[1] && y <= b[3] }) {
				continue
			}
			if first < 0 {
				first = i
			}
			last = i
			text = append(text, c.r)
		}
		if a.text = cleanText(string(text), false); first >= 0 {
			a.before = pdfWordsBefore(pg.chars[:first])
			a.after = pdfWordsAfter(pg.chars[last+1:])
		}
		out = append(out, a)
	}
	return out
}

func pdfWordsBefore(chars []pdfChar) string {
	var out []rune
	for i := len(chars) - 1; i >= 0 && len(out) < pdfLinkContext; i-- {
		if wordRune(chars[i].r) {
			out = append(out, chars[i].r)
		}
	}
	slices.Reverse(out)
	return cleanText(string(out), false)
}

func pdfWordsAfter(chars []pdfChar) string {
	var out []rune
	for i := 0; i < len(chars) && len(out) < pdfLinkContext; i++ {
		if wordRune(chars[i].r) {
			out = append(out, chars[i].r)
		}
	}
	return cleanText(string(out), false)
}

// wordRune tells what of a text the layout never drops, adds or replaces.
func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) }

// pdfPlaceLinks gives each page's links their ranges in the document's text. One whose words are not in the
// text, such as a picture, is an empty range where its page begins.
func pdfPlaceLinks(doc *chunker.Document, sheets []pdfSheet) {
	for i, sh := range sheets {
		if i >= len(doc.Pages) {
			break
		}
		if len(sh.links) == 0 {
			continue
		}
		page := doc.Pages[i]
		words := newLetters(doc.Text[page.Start:page.End])
		var links []chunker.Link
		for _, a := range sh.links {
			if len(doc.Links)+len(links) >= maxLinks {
				break
			}
			l := chunker.Link{Start: page.Start, End: page.Start, Target: a.target}
			if start, end, ok := words.find(a); ok {
				l.Start, l.End = page.Start+start, page.Start+end
			}
			if !slices.ContainsFunc(links, func(o chunker.Link) bool { return o.Target == l.Target && l.Start < o.End && l.End > o.Start }) {
				links = append(links, l)
			}
		}
		slices.SortStableFunc(links, func(a, b chunker.Link) int { return a.Start - b.Start })
		// A link that is broken over two lines is often two in the file.
		for _, l := range links {
			if n := len(doc.Links); n > 0 && l.Start < l.End {
				last := &doc.Links[n-1]
				if last.Target == l.Target && last.End > last.Start && last.End <= l.Start && strings.TrimSpace(doc.Text[last.End:l.Start]) == "" {
					last.End = l.End
					continue
				}
			}
			doc.Links = append(doc.Links, l)
		}
	}
}

// letters is a text without all but letters and digits, and where each byte of them stands in the text.
type letters struct {
	text string
	only string
	at   []int
}

func newLetters(text string) letters {
	var b strings.Builder
	l := letters{text: text}
	for i, r := range text {
		if wordRune(r) {
			n, _ := b.WriteRune(r)
			for k := range n {
				l.at = append(l.at, i+k)
			}
		}
	}
	l.only = b.String()
	return l
}

// find returns the range of the text that a link stands on: where most of the words around it agree.
func (l letters) find(a pdfAnchor) (start, end int, ok bool) {
	only := strings.Map(func(r rune) rune {
		if wordRune(r) {
			return r
		}
		return -1
	}, a.text)
	if only == "" {
		return 0, 0, false
	}
	best := -1
	for from := 0; ; {
		i := strings.Index(l.only[from:], only)
		if i < 0 {
			break
		}
		i += from
		score := commonSuffix(l.only[:i], a.before) + commonPrefix(l.only[i+len(only):], a.after)
		if score > best {
			best, start, end = score, l.at[i], l.at[i+len(only)-1]+1
		}
		_, n := utf8.DecodeRuneInString(l.only[i:])
		from = i + n
	}
	if best < 0 {
		return 0, 0, false
	}
	// Brackets and marks at its ends are part of it where the text has them.
	head, tail := a.text[:strings.IndexFunc(a.text, wordRune)], a.text[lastWordEnd(a.text):]
	if strings.HasSuffix(l.text[:start], head) {
		start -= len(head)
	}
	if strings.HasPrefix(l.text[end:], tail) {
		end += len(tail)
	}
	return start, end, true
}

func lastWordEnd(s string) int {
	i := strings.LastIndexFunc(s, wordRune)
	_, n := utf8.DecodeRuneInString(s[i:])
	return i + n
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func commonSuffix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

// moveLinks adds to links those of old that lie in block from, which came to stand at to.
func moveLinks(links []chunker.Link, old []chunker.Link, from chunker.Block, to int) []chunker.Link {
	i, _ := slices.BinarySearchFunc(old, from.Start, func(l chunker.Link, at int) int { return l.Start - at })
	for ; i < len(old) && old[i].Start < from.End; i++ {
		if l := old[i]; l.End <= from.End {
			l.Start, l.End = l.Start-from.Start+to, l.End-from.Start+to
			links = append(links, l)
		}
	}
	return links
}
