package clean

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"

	"docent/chunker"
)

// lowQuality finds the passages that say nothing: paragraphs, list items and quotes. Headings, tables
// and code are never judged, nor are passages of fewer than 24 characters.
func lowQuality(doc chunker.Document) []judgement {
	var bad []judgement
	for i, b := range doc.Blocks {
		if b.Kind != chunker.Paragraph && b.Kind != chunker.ListItem && b.Kind != chunker.Quote {
			continue
		}
		if reason := Judge(doc.Text[b.Start:b.End]); reason != "" {
			bad = append(bad, judgement{i, reason})
		}
	}
	return bad
}

var webAddress = regexp.MustCompile(`(?i)\b(?:https?://|www\.)[^\s<>"'）】」]+|\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|net|org|cn|info|biz|xyz|top|shop|online|site|club|vip)\b[^\s<>"'）】」]*`)

var reference = regexp.MustCompile(`\[\d{1,3}\]\s*:?\s*(?:https?://|www\.)`)

// Judge says why a passage has no meaning for a reader: "links", "noise" (marks instead of words, as
// text recognition yields for a picture) or "gibberish" (letters or characters that form no words, as a
// wrong encoding yields). It returns "" for text, and for what is too short or in a script it cannot
// judge.
//
// The bounds were set so that no more than one in a thousand passages of real text falls below them;
// docs/cleaning.md has the figures.
func Judge(text string) string {
	text = strings.TrimSpace(text)
	if utf8.RuneCountInString(text) < 24 {
		return ""
	}
	if linkFarm(text) {
		return "links"
	}
	var c counts
	c.count(text)
	switch {
	case c.bad*5 > c.shown, c.misread*5 > c.shown:
		return "gibberish"
	case c.marks*10 > c.shown*7 && c.digits*4 < c.shown && c.letters > 0 && !formula(text):
		return "noise"
	case c.han >= 12 && c.han*2 >= c.letters:
		if c.rare*3 > c.han {
			return "gibberish"
		}
	case c.words >= 8 && c.latin*10 >= c.letters*9:
		switch {
		case c.single*10 >= c.words*7 && c.marks*5 >= c.letters*4 && c.digits*3 < c.shown && c.spaces*2 >= c.shown:
			return "noise" // apart, as no formula is set
		case c.pairs >= 30 && c.rarePairs*20 >= c.pairs*9 && c.accented*50 < c.latin && !listOfNames(text):
			return "gibberish"
		}
	}
	return ""
}

// linkFarm tells lists of web addresses: at least five, and more bytes in them than twice what is left. Where
// each has its number in brackets it is the sources of a text, which refers to them.
func linkFarm(text string) bool {
	inside := 0 // dots within words, which every address has
	for i := 1; i+1 < len(text); i++ {
		if text[i] == '.' && alphanumeric(text[i-1]) && alphanumeric(text[i+1]) {
			inside++
		}
	}
	if inside < 5 {
		return false
	}
	links := webAddress.FindAllStringIndex(text, -1)
	if len(links) < 5 {
		return false
	}
	in := 0
	different := map[string]bool{}
	for _, l := range links {
		in += l[1] - l[0]
		different[text[l[0]:l[1]]] = true
	}
	return in > 2*(len(text)-in) && len(reference.FindAllStringIndex(text, -1)) < len(links)
}

// formula tells mathematics, of which more than two thirds can be marks, by its brackets.
func formula(text string) bool {
	open := strings.Count(text, "(")
	return open >= 2 && open == strings.Count(text, ")") && strings.Contains(text, "=")
}

// listOfNames tells lists of identifiers and files, in which the same parts return, from letters at random.
func listOfNames(text string) bool {
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) })
	different := make(map[string]struct{}, len(words))
	for _, w := range words {
		different[w] = struct{}{}
	}
	return len(different)*3 < len(words)*2
}

// counts are what Judge goes by.
type counts struct {
	shown    int // characters that are neither white space nor part of a rule, a row of one mark
	spaces   int
	letters  int
	latin    int // of letters
	accented int // of latin: not in ASCII
	han      int // of letters
	rare     int // of han: in neither Chinese standard's list of common characters
	digits   int
	marks    int // everything else
	bad      int // replacement and private-use characters, and controls

	words     int // of Latin letters
	single    int // of one letter
	pairs     int // of letters from A to Z in words that are not all capitals
	rarePairs int // of them: rare in English
	misread   int // pairs of characters that are one in UTF-8 read as Windows-1252
}

// commonPairs has, for each letter, a bit for each letter that follows it in at least one pair of 4,000
// in English: 288 of 676. "go run ./bench/clean -pairs" prints it. Random letters have a rare pair in
// two of three places; the languages written in Latin letters share most of the common ones.
var commonPairs = [26]uint32{
	0x1febd7e, 0x11e4911, 0x11e4d95, 0x1164159, 0x1fff9ff, 0x01a4931, 0x0166991, 0x11a6111, 0x2bef87f,
	0x0104011, 0x0002911, 0x13c591f, 0x014d113, 0x13c6d7d, 0x0fefd7f, 0x01ec991, 0x0100000, 0x13efd7f,
	0x11cddb5, 0x15e4991, 0x00eb95f, 0x0004111, 0x0046191, 0x0088101, 0x004f810, 0x0000010,
}

// lead and trail are what the first byte of a longer character in UTF-8, and the others, come out as
// in Windows-1252.
func lead(r rune) bool { return r >= 0xc2 && r <= 0xf4 }

func trail(r rune) bool {
	return r >= 0x80 && r <= 0xbf || strings.ContainsRune("€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ\ufffd", r)
}

func (c *counts) count(text string) {
	common := commonHan()
	var word []rune
	flush := func() {
		if len(word) > 0 {
			c.word(word)
		}
		word = word[:0]
	}
	run, last := 0, rune(0)
	for _, r := range text {
		if r < 0x80 && alphanumeric(byte(r)) { // most of most texts
			c.shown++
			if digit(byte(r)) {
				c.digits++
				flush()
			} else {
				c.letters++
				c.latin++
				word = append(word, r)
			}
			last = r
			continue
		}
		if unicode.IsSpace(r) {
			c.spaces++
			flush()
			continue
		}
		c.shown++
		if unicode.Is(unicode.Latin, r) || r == '\'' && len(word) > 0 {
			word = append(word, r)
		} else {
			flush()
		}
		switch {
		case r == utf8.RuneError || unicode.Is(unicode.Co, r) || unicode.IsControl(r):
			c.bad++
		case unicode.IsLetter(r) || unicode.IsMark(r):
			c.letters++
			switch {
			case unicode.Is(unicode.Latin, r):
				c.latin++
				c.accented++
			case unicode.Is(unicode.Han, r):
				c.han++
				if !common[r] {
					c.rare++
				}
			}
		case unicode.IsNumber(r):
			c.digits++
		default:
			if r != last {
				run = 0
			}
			switch run++; {
			case run == 4:
				c.marks -= 3
				c.shown -= 4
			case run > 4:
				c.shown--
			default:
				c.marks++
			}
		}
		if lead(last) && trail(r) {
			c.misread += 2
		}
		last = r
	}
	flush()
}

func (c *counts) word(w []rune) {
	c.words++
	if len(w) == 1 {
		c.single++
		return
	}
	if unicode.IsUpper(w[1]) && unicode.IsUpper(w[len(w)-1]) {
		return // an abbreviation
	}
	last := rune(-1)
	for _, r := range w {
		r = unicode.ToLower(r) - 'a'
		if r < 0 || r >= 26 {
			last = -1
			continue
		}
		if last >= 0 {
			c.pairs++
			if commonPairs[last]&(1<<r) == 0 {
				c.rarePairs++
			}
		}
		last = r
	}
}

// commonHan holds the characters of the first level of GB 2312 (3,755, simplified) and of Big5 (5,401,
// traditional): together more than 99 % of running text in either writing.
var commonHan = sync.OnceValue(func() map[rune]bool {
	set := make(map[rune]bool, 8000)
	add := func(dec *encoding.Decoder, high0, high1 byte, lows [][2]byte, last uint16) {
		for hi := high0; hi <= high1; hi++ {
			for _, lo := range lows {
				for l := int(lo[0]); l <= int(lo[1]); l++ {
					if uint16(hi)<<8|uint16(l) > last {
						continue
					}
					if s, err := dec.String(string([]byte{hi, byte(l)})); err == nil {
						r, _ := utf8.DecodeRuneInString(s)
						if unicode.Is(unicode.Han, r) {
							set[r] = true
						}
					}
				}
			}
		}
	}
	add(simplifiedchinese.GBK.NewDecoder(), 0xb0, 0xd7, [][2]byte{{0xa1, 0xfe}}, 0xd7f9)
	add(traditionalchinese.Big5.NewDecoder(), 0xa4, 0xc6, [][2]byte{{0x40, 0x7e}, {0xa1, 0xfe}}, 0xc67e)
	return set
})
