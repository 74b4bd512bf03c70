package chunker

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"docent/internal/prose"
)

// Sentences yields the byte range of each sentence of text, outer white space left out, in order.
// It knows English (abbreviations, initials, decimals, list numbers, ellipses, closing quotes) and
// Chinese and Japanese (。！？； with any closing quotes and brackets after them). A blank line ends a
// sentence, and so does a line break before a list marker; any other line break is white space.
// Together the ranges cover all of text that is not white space.
func Sentences(text string) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for s := range prose.Running(text) {
			if !yield(s.Start, s.End) {
				return
			}
		}
	}
}

// clauseEnd is the offset just after the clause that begins at start: past a comma, semicolon, colon
// or dash and the closing marks after it.
func clauseEnd(text string, start int) int {
	for i := start; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		i += n
		switch r {
		case '，', '、', '：', '；', '。', '！', '？':
		case ',', ';', ':':
			next, n := utf8.DecodeRuneInString(text[i:])
			if n > 0 && !unicode.IsSpace(next) && !prose.Wide(next) {
				continue
			}
		case '—', '–':
			if next, n := utf8.DecodeRuneInString(text[i:]); next == r {
				i += n
			}
		default:
			continue
		}
		for i < len(text) {
			r, n := utf8.DecodeRuneInString(text[i:])
			if !strings.ContainsRune("\"')]}”’」』】》〉）〕］｝»", r) {
				break
			}
			i += n
		}
		return i
	}
	return len(text)
}

// closing reports whether r belongs to what stands before it, so that no chunk may begin with it.
func closing(r rune) bool {
	return r > 0x7f && strings.ContainsRune("。，、；：！？）】》」』〉〕］｝”’｡｣､％", r)
}

// trim narrows [start, end) of text past outer white space.
func trim(text string, start, end int) (int, int) {
	start += leadingSpace(text[start:end])
	end = start + len(strings.TrimRightFunc(text[start:end], unicode.IsSpace))
	return start, end
}

func leadingSpace(s string) int {
	return len(s) - len(strings.TrimLeftFunc(s, unicode.IsSpace))
}
