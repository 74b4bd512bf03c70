package ingest

import (
	"strings"
	"unicode"

	"docent/ingest/clean"
)

// pdfQuality judges text that an engine read from a page, from 0 (garbage) to 1. Wrong text comes
// without an error: codes shown as if they were characters, bytes of two-byte characters taken for
// Latin letters, words run together.
func pdfQuality(pg *pdfPage) float64 {
	var total, bad, latin, high, cjk, letters, vowels, lower, spaces, odd int
	run, longest := 0, 0
	var prev rune
	for _, c := range pg.chars {
		r := c.r
		if r == ' ' || r == '\n' || r == '\r' {
			if r == ' ' {
				spaces++
			}
			run = 0
			prev = ' '
			continue
		}
		total++
		switch {
		case r == softHyphen:
		case unreadable(r):
			bad++
		case isCJK(r):
			cjk++
		case r >= 0xa1 && r <= 0xff:
			high++
			if prev >= 0xa1 && prev <= 0xff {
				odd++ // two in a row are rare in every language that has them
			}
		}
		if unicode.IsLetter(r) && !isCJK(r) {
			letters++
			run++
			longest = max(longest, run)
			if r < 0x80 {
				latin++
				if strings.ContainsRune("aeiouyAEIOUY", r) {
					vowels++
				}
			}
			if unicode.IsLower(prev) && unicode.IsUpper(r) {
				lower++
			}
		} else {
			run = 0
		}
		prev = r
	}
	if total == 0 {
		return 0
	}
	t := float64(total)
	q := 1.0
	q -= 3 * float64(bad) / t
	if high > 4 {
		q -= 2 * float64(odd) / t
	}
	if latin > 40 && cjk*4 < latin {
		// The share of vowels is 0.33 to 0.48 in the languages written with Latin letters.
		if v := float64(vowels) / float64(latin); v < 0.2 || v > 0.7 {
			q -= 0.6
		} else if v < 0.27 {
			q -= 0.2
		}
		if float64(lower) > 0.08*float64(latin) {
			q -= 0.3
		}
	}
	if letters > 60 && cjk*4 < letters {
		if mean := float64(letters) / float64(spaces+countLines(pg)+1); mean > 16 {
			q -= 0.5
		}
	}
	if longest > 60 {
		q -= 0.2
	}
	return max(q, 0)
}

// countLines is how many lines the characters stand on.
func countLines(pg *pdfPage) int {
	n := 0
	var y float32
	for _, c := range pg.chars {
		if c.r == ' ' || c.r == '\n' {
			continue
		}
		if abs32(c.y1-y) > 0.5*max(c.size, 1) {
			n++
			y = c.y1
		}
	}
	return n
}

// pdfGood is the quality from which text is taken as it is, and pdfDoubtful the one below which text that is
// recognised in a picture of the page counts more.
const (
	pdfGood     = 0.9
	pdfDoubtful = 0.7
)

// garbled tells whether what an engine read from a page is no text at all, because a font lacks the table of its
// characters or has a wrong one. It is to be sure of it: the page then counts as one without text. Quality alone
// is not: tables of characters, long addresses and rows of one letter have little of it.
func (pg *pdfPage) garbled() bool {
	var total, bad, odd, latin, vowels, digits, marks int
	var text strings.Builder
	var prev rune
	for _, c := range pg.chars {
		r := c.r
		text.WriteRune(r)
		if r == ' ' || r == '\n' || r == '\r' || r == softHyphen {
			prev = ' '
			continue
		}
		total++
		switch {
		case unreadable(r):
			bad++
		case r >= 0xa1 && r <= 0xff && prev >= 0xa1 && prev <= 0xff && (r <= prev || r > prev+8):
			odd++ // not in the order of a table of characters
		}
		switch {
		case unicode.Is(unicode.Latin, r):
			latin++
			if r > 0x7f || strings.ContainsRune("aeiouyAEIOUY", r) { // most accented letters are vowels
				vowels++
			}
		case unicode.IsNumber(r):
			digits++
		case r < 0x7f:
			marks++
		}
		prev = r
	}
	switch {
	case total == 0:
		return false
	case bad == total, bad >= 3 && bad*5 >= total:
		return true
	case bad*10 >= total && (latin >= 5 && vowels*4 < latin || marks*3 >= total && digits*2 < total):
		return true // codes of glyphs in place of characters
	case odd >= 8 && odd*2 >= total:
		return true
	}
	return clean.Judge(text.String()) == "gibberish"
}

// unreadable tells what stands for no character.
func unreadable(r rune) bool {
	return r == 0xfffd || r < ' ' || r >= 0x7f && r < 0xa0 || unicode.Is(unicode.Co, r) || r >= 0xfff0 && r <= 0xffff
}
