package keyword

import (
	"sync"
	"unicode/utf8"
)

// toSimplified maps traditional Chinese characters to their simplified form, one to one: enough for a
// question in one script to find a passage in the other, character by character. Words that differ
// between regions (軟體, 软件) are not its business.
var toSimplified = sync.OnceValue(func() map[rune]string {
	m := make(map[rune]string, utf8.RuneCountInString(traditionalForms))
	to := simplifiedForms
	for _, from := range traditionalForms {
		_, size := utf8.DecodeRuneInString(to)
		m[from], to = to[:size], to[size:]
	}
	return m
})

// simplified returns the simplified form of a Chinese character, which is mostly c itself.
func simplified(c string) string {
	r, _ := utf8.DecodeRuneInString(c)
	if s, ok := toSimplified()[r]; ok {
		return s
	}
	return c
}
