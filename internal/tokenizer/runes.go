package tokenizer

import (
	"sync"
	"unicode/utf8"
)

// runeTableSize is in pages of 256 code points.
const runePages = utf8.MaxRune/256 + 1

// runeClassTable answers what Hugging Face's regular expressions and string functions think of a
// code point: the bits of rune_tables.gen.go.
type runeClassTable struct {
	ascii [256]uint16 // the bytes of a longer rune are 0
	index [runePages]uint16
	pages [][256]uint16
}

func (t *runeClassTable) class(r rune) uint16 {
	return t.pages[t.index[uint32(r)>>8%runePages]][r&255]
}

// at is the class of the rune at s[i] and its length.
func (t *runeClassTable) at(s string, i int) (class uint16, n int) {
	if c := s[i]; c < utf8.RuneSelf {
		return t.ascii[c], 1
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	return t.class(r), n
}

// before is the class of the rune that ends at s[i] and its length; i > 0.
func (t *runeClassTable) before(s string, i int) (class uint16, n int) {
	r, n := utf8.DecodeLastRuneInString(s[:i])
	return t.class(r), n
}

// skip is the end of the run, from i, of runes with any of the class bits.
func (t *runeClassTable) skip(s string, i int, any uint16) int {
	for i < len(s) {
		if c := s[i]; c < utf8.RuneSelf {
			if t.ascii[c]&any == 0 {
				break
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if t.class(r)&any == 0 {
			break
		}
		i += n
	}
	return i
}

// skipNot is the end of the run, from i, of runes with none of the class bits.
func (t *runeClassTable) skipNot(s string, i int, none uint16) int {
	for i < len(s) {
		class, n := t.at(s, i)
		if class&none != 0 {
			break
		}
		i += n
	}
	return i
}

// newRuneClasses packs ranges into pages, sharing equal ones.
func newRuneClasses(ranges [][3]uint32) *runeClassTable {
	t := &runeClassTable{}
	known := map[[256]uint16]uint16{}
	var page [256]uint16
	next := 0
	for p := range t.index {
		page = [256]uint16{}
		for next < len(ranges) && ranges[next][1] < uint32(p)<<8 {
			next++
		}
		for i := next; i < len(ranges) && ranges[i][0] < uint32(p+1)<<8; i++ {
			first, last := max(ranges[i][0], uint32(p)<<8), min(ranges[i][1], uint32(p)<<8|255)
			for c := first; c <= last; c++ {
				page[c&255] = uint16(ranges[i][2])
			}
		}
		at, ok := known[page]
		if !ok {
			at = uint16(len(t.pages))
			known[page] = at
			t.pages = append(t.pages, page)
		}
		t.index[p] = at
	}
	copy(t.ascii[:utf8.RuneSelf], t.pages[0][:utf8.RuneSelf])
	return t
}

var runeClasses = sync.OnceValue(func() *runeClassTable { return newRuneClasses(runeRanges) })

// punctuation is the class table of BERT's punctuation, with isPunct for its members, and
// isRustSpace for white space.
var punctuation = sync.OnceValue(func() *runeClassTable {
	var ranges [][3]uint32
	for _, r := range bertPunct {
		ranges = append(ranges, [3]uint32{uint32(r[0]), uint32(r[1]), uint32(isPunct)})
	}
	return newRuneClasses(ranges)
})
