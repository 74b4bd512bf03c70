package tokenizer

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// Rune classes of BERT's normaliser and pre-tokenizer together. A class from runeMapped on stands for
// replaced text: class-runeMapped indexes runeTable.mapped.
const (
	runeLetter uint16 = iota // part of a word, as it is
	runeDrop                 // removed
	runeSpace                // separates words
	runeAlone                // a word of its own: punctuation, Chinese
	runeMapped
)

// A bertMode is the set of options of BERT's normaliser.
type bertMode struct {
	clean   bool // drop control characters, make white space one kind
	chinese bool // every Chinese character is a word
	strip   bool // remove accents
	lower   bool
}

type mappedRune struct {
	text  string
	alone bool
}

// runeTable classifies runes for one mode. No rule of BERT's looks at a rune's neighbours, so the
// whole normaliser is a table. The one exception is the canonical reordering of marks by NFD, which
// shows only on two adjacent marks that both survive strip_accents; there are a dozen such marks, in
// musical notation and old Hangul.
type runeTable struct {
	pages  [utf8.MaxRune/256 + 1][]uint16 // pages that are all one class share storage
	mapped []mappedRune
	ascii  [utf8.RuneSelf]uint8 // the lower-cased byte, with asciiAlone when it is a word; or one of the next two
}

const (
	asciiAlone = 0x80
	asciiDrop  = asciiAlone // a word of the byte 0, which is always dropped, stands for every dropped byte
	asciiSpace = asciiAlone | ' '
)

func (t *runeTable) class(r rune) uint16 { return t.pages[r>>8][r&255] }

var bertTables sync.Map // bertMode -> func() *runeTable

// bertTable is the table for a mode, built on first use (a few ms) and shared.
func bertTable(m bertMode) *runeTable {
	f, _ := bertTables.LoadOrStore(m, sync.OnceValue(func() *runeTable { return newRuneTable(m) }))
	return f.(func() *runeTable)()
}

func newRuneTable(m bertMode) *runeTable {
	t := &runeTable{}
	var uniform [runeMapped][]uint16
	for class := range uniform {
		uniform[class] = make([]uint16, 256)
		for i := range uniform[class] {
			uniform[class][i] = uint16(class)
		}
	}
	owned := make([]bool, len(t.pages))
	for i := range t.pages {
		t.pages[i] = uniform[runeLetter]
	}
	set := func(r rune, class uint16) {
		p := r >> 8
		if !owned[p] {
			t.pages[p], owned[p] = append([]uint16(nil), t.pages[p]...), true
		}
		t.pages[p][r&255] = class
	}
	fill := func(ranges [][2]rune, class uint16) {
		for _, rg := range ranges {
			for r := rg[0]; r <= rg[1]; r++ {
				if r&255 == 0 && r+255 <= rg[1] {
					t.pages[r>>8], owned[r>>8] = uniform[class], false
					r += 255
					continue
				}
				set(r, class)
			}
		}
	}
	fill(bertSplit, runeSpace)
	fill(bertPunct, runeAlone)
	if m.chinese {
		fill(bertChinese, runeAlone)
	}
	if m.clean {
		fill(bertSpace, runeSpace)
		fill(bertDropped, runeDrop)
	}

	marks := map[rune]bool{}
	decomposed, lowered := map[rune]string{}, map[rune]string{}
	if m.strip {
		for _, rg := range bertMark {
			for r := rg[0]; r <= rg[1]; r++ {
				marks[r] = true
			}
		}
		readMapping(decomposed, bertDecomposed)
		for r := rune(0xAC00); r <= 0xD7A3; r++ { // Hangul, Unicode 3.12
			s := r - 0xAC00
			d := string(rune(0x1100+s/588)) + string(rune(0x1161+s%588/28))
			if tail := s % 28; tail != 0 {
				d += string(0x11A7 + tail)
			}
			decomposed[r] = d
		}
	}
	if m.lower {
		readMapping(lowered, bertLowered)
	}
	plain := *t // classes before anything is mapped: what a mapping's result is judged by
	plain.pages = [utf8.MaxRune/256 + 1][]uint16{}
	for i, p := range t.pages {
		plain.pages[i] = p
		if owned[i] {
			plain.pages[i] = append([]uint16(nil), p...)
		}
	}
	remap := func(r rune) {
		before := plain.class(r)
		if before == runeDrop || before == runeSpace {
			return
		}
		d, ok := decomposed[r]
		if !ok {
			d = string(r)
		}
		var b strings.Builder
		alone := before == runeAlone
		for _, c := range d {
			if marks[c] {
				continue
			}
			if l, ok := lowered[c]; ok {
				b.WriteString(l)
			} else {
				b.WriteRune(c)
			}
		}
		text := b.String()
		if text == "" {
			set(r, runeDrop)
			return
		}
		if first, _ := utf8.DecodeRuneInString(text); plain.class(first) == runeAlone {
			alone = true
		}
		if text != string(r) {
			set(r, runeMapped+uint16(len(t.mapped)))
			t.mapped = append(t.mapped, mappedRune{text, alone})
		}
	}
	for r := range decomposed {
		remap(r)
	}
	for r := range lowered {
		if _, done := decomposed[r]; !done {
			remap(r)
		}
	}
	for r := range marks {
		if _, done := decomposed[r]; !done {
			remap(r)
		}
	}

	for i := range t.ascii {
		switch class := t.class(rune(i)); class {
		case runeLetter:
			t.ascii[i] = byte(i)
		case runeDrop:
			t.ascii[i] = asciiDrop
		case runeSpace:
			t.ascii[i] = asciiSpace
		case runeAlone:
			t.ascii[i] = byte(i) | asciiAlone
		default:
			t.ascii[i] = t.mapped[class-runeMapped].text[0] // a lower-cased letter
		}
	}
	return t
}

// readMapping adds the entries of a generated mapping: key rune, value runes, zero.
func readMapping(m map[rune]string, packed string) {
	for packed != "" {
		entry, rest, _ := strings.Cut(packed, "\x00")
		key, n := utf8.DecodeRuneInString(entry)
		m[key] = entry[n:]
		packed = rest
	}
}
