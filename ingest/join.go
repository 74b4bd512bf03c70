package ingest

import (
	"strings"
	"unicode/utf8"
)

// writeJoin puts between b's text and next what joins two lines of a paragraph.
func writeJoin(b *strings.Builder, next string) {
	if b.Len() == 0 || next == "" {
		return
	}
	s := strings.TrimRightFunc(b.String(), isMark)
	last, _ := utf8.DecodeLastRuneInString(s)
	first, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(next, isMark))
	if last == ' ' || last == '\n' || isCJK(last) && isCJK(first) {
		return
	}
	b.WriteByte(' ')
}
