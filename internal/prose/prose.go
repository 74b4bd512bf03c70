// Package prose looks at running text as a reader does: where its sentences end, which of its words
// carry meaning, and whether it is Chinese. It knows English and Chinese and does no harm to others.
// Every function is pure and safe for concurrent use.
package prose

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Span is the byte range [Start, End) of a text, on rune borders.
type Span struct{ Start, End int }

func set(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

// lineBorder reports whether the line break between line and rest ends a sentence.
func lineBorder(line, rest string) bool {
	trimmed := strings.TrimSpace(line)
	next, _, _ := strings.Cut(rest, "\n")
	next = strings.TrimSpace(next)
	if trimmed == "" || next == "" || ShapeOf(trimmed) == Heading || ShapeOf(next) != Flowing {
		return true
	}
	if ShapeOf(trimmed) == Row {
		return true
	}
	// A short line that does not run on is a title or a label: wrapped lines are long.
	last, _ := utf8.DecodeLastRuneInString(trimmed)
	first, _ := utf8.DecodeRuneInString(next)
	return width(trimmed) < 40 && !strings.ContainsRune(",，、;；-–—（(", last) && !unicode.IsLower(first)
}

// A Shape is what Markdown makes of a line.
type Shape int

const (
	Flowing Shape = iota // running text
	Heading              // "# Title"
	Item                 // of a list, a quotation or code: "- milk", "1. Open the lid"
	Row                  // of a table: "| a | b |"
)

// ShapeOf says what Markdown makes of a line that has no white space before it.
func ShapeOf(line string) Shape {
	switch {
	case strings.HasPrefix(line, "#"):
		return Heading
	case strings.HasPrefix(line, "|"):
		return Row
	case strings.HasPrefix(line, "- "), strings.HasPrefix(line, "* "), strings.HasPrefix(line, "+ "),
		strings.HasPrefix(line, "•"), strings.HasPrefix(line, "> "), strings.HasPrefix(line, "```"):
		return Item
	}
	digits := 0
	for i, r := range line {
		switch {
		case unicode.IsDigit(r) || strings.ContainsRune("一二三四五六七八九十（(", r):
			digits++
			if digits > 4 {
				return Flowing
			}
		case digits > 0 && strings.ContainsRune("、)）", r):
			return Item
		case digits > 0 && r == '.' && i+1 < len(line) && line[i+1] == ' ':
			return Item
		default:
			return Flowing
		}
	}
	return Flowing
}

// width is a line's width in columns: Chinese characters take two.
func width(s string) int {
	w := 0
	for _, r := range s {
		w++
		if r >= 0x2E80 {
			w++
		}
	}
	return w
}

// IsChinese reports whether text is mainly Chinese: more Han characters than words in letters, and
// no kana, so that Japanese is not taken for it.
func IsChinese(text string) bool {
	han, words := 0, 0
	in := false
	for _, r := range text {
		switch {
		case unicode.Is(unicode.Han, r):
			han++
			in = false
		case unicode.In(r, unicode.Hiragana, unicode.Katakana) && r != 'ー' && r != '・':
			return false
		case unicode.IsLetter(r):
			if !in {
				words++
			}
			in = true
		default:
			in = false
		}
	}
	return han > 0 && han >= words
}

// Language is "zh" for Chinese text and "en" for any other.
func Language(text string) string {
	if IsChinese(text) {
		return "zh"
	}
	return "en"
}
