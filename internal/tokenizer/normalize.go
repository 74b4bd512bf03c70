package tokenizer

import (
	"bytes"
	"strings"
	"sync"
	"unicode/utf8"
)

// A span is a range of bytes of the text being cut, counted from the start of the part in work.
type span struct{ start, end int32 }

// alignedText is text with, for each byte, the range of the original it came from.
type alignedText struct {
	text []byte
	at   []span
}

func (a *alignedText) reset() { a.text, a.at = a.text[:0], a.at[:0] }

func (a *alignedText) add(b []byte, at []span) {
	a.text, a.at = append(a.text, b...), append(a.at, at...)
}

func (a *alignedText) addString(s string, at span) {
	a.text = append(a.text, s...)
	for range len(s) {
		a.at = append(a.at, at)
	}
}

func (a *alignedText) addRune(r rune, at span) {
	n := len(a.text)
	a.text = utf8.AppendRune(a.text, r)
	for range len(a.text) - n {
		a.at = append(a.at, at)
	}
}

// A normalizer rewrites text. A long text comes in parts, cut between a letter and a space (or where
// the rules given to the pipeline see no difference); first and last say where the part stands.
type normalizer interface {
	// apply writes what becomes of in to out, which is empty, and reports whether anything changed;
	// if not, out is left as it was.
	apply(in, out *alignedText, w *normWork, first, last bool) bool
}

// normWork is scratch memory for normalizers.
type normWork struct {
	runes []decomposedRune
	held  []decomposedRune

	textStart, textEnd bool // the part is at the start and end of the whole text, not only of a section between added tokens
}

// A rewriter follows Hugging Face's NormalizedString.transform: what is written is a list of runes,
// each with the number of runes it adds to (1) or takes from (-n) those it stands for, and alignments
// are whatever those numbers say, right or wrong.
type rewriter struct {
	in, out *alignedText
	at      int // bytes of in that are used up
	added   int // bytes of the last rune written, if it was an added one
}

func (w *rewriter) put(r rune, change int) {
	w.added = 0
	switch {
	case change > 0:
		at := span{}
		if w.at > 0 {
			at = w.in.at[w.at-1]
		}
		w.out.addRune(r, at)
		w.added = utf8.RuneLen(r)
	case len(w.in.at) > 0:
		w.out.addRune(r, w.in.at[min(w.at, len(w.in.at)-1)])
		w.skip(1 - change)
	}
}

// absorb takes n more runes into the last one written. An added one thereby turns into one that stands
// for the first of them.
func (w *rewriter) absorb(n int) {
	for i := len(w.out.at) - w.added; i < len(w.out.at) && w.at < len(w.in.at); i++ {
		w.out.at[i] = w.in.at[w.at]
	}
	w.added = 0
	w.skip(n)
}

func (w *rewriter) skip(n int) {
	for ; n > 0 && w.at < len(w.in.text); n-- {
		w.at += runeLen(w.in.text, w.at)
	}
}

func runeLen(b []byte, i int) int {
	if b[i] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRune(b[i:])
	return n
}

// normTables hold the decompositions, compositions and classes of Hugging Face's normalisation, and
// in quick, by form, the runes that the form leaves alone whatever stands around them.
type normTables struct {
	canonical, compat, lower map[rune]string
	pairs                    map[[2]rune]rune
	class, quick             *runeClassTable
}

const (
	quickNFC uint16 = 1 << iota
	quickNFD
	quickNFKC
	quickNFKD
	quickLower
)

var normalization = sync.OnceValue(func() *normTables {
	t := &normTables{map[rune]string{}, map[rune]string{}, map[rune]string{}, map[[2]rune]rune{}, newRuneClasses(combiningRanges), nil}
	readMapping(t.canonical, bertDecomposed)
	readMapping(t.compat, compatDecomposed)
	readMapping(t.lower, bertLowered)
	composed := map[rune]string{}
	readMapping(composed, composedPairs)
	second := map[rune]bool{}
	for r, pair := range composed {
		a, n := utf8.DecodeRuneInString(pair)
		b, _ := utf8.DecodeRuneInString(pair[n:])
		t.pairs[[2]rune{a, b}] = r
		second[b] = true
	}
	for r := rune(0x1161); r <= 0x11C2; r++ {
		second[r] = true
	}
	var ranges [][3]uint32
	for r := rune(0); r <= utf8.MaxRune; r++ {
		bits := quickNFC | quickNFD | quickNFKC | quickNFKD | quickLower
		if r >= 0x80 {
			if t.class.class(r) != 0 {
				bits &= quickLower
			}
			if second[r] {
				bits &^= quickNFC | quickNFKC
			}
			hangul := r >= 0xAC00 && r <= 0xD7A3
			if _, ok := t.canonical[r]; ok || hangul {
				bits &^= quickNFD | quickNFKD
				if composed[r] == "" && !hangul {
					bits &^= quickNFC | quickNFKC
				}
			}
			if _, ok := t.compat[r]; ok {
				bits &^= quickNFKC | quickNFKD
			}
		}
		if _, ok := t.lower[r]; ok {
			bits &^= quickLower
		}
		if n := len(ranges); n > 0 && ranges[n-1][2] == uint32(bits) {
			ranges[n-1][1] = uint32(r)
		} else {
			ranges = append(ranges, [3]uint32{uint32(r), uint32(r), uint32(bits)})
		}
	}
	t.quick = newRuneClasses(ranges)
	return t
})

// is reports whether all runes of b have the bit.
func (t *runeClassTable) is(b []byte, bit uint16) bool {
	for i := 0; i < len(b); {
		if c := b[i]; c < utf8.RuneSelf {
			if t.ascii[c]&bit == 0 {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if t.class(r)&bit == 0 {
			return false
		}
		i += n
	}
	return true
}

type decomposedRune struct {
	r      rune
	class  uint16
	change int
}

// unicodeForm is NFC, NFD, NFKC or NFKD.
type unicodeForm struct {
	quick           uint16
	compat, compose bool
}

var unicodeForms = map[string]*unicodeForm{
	"NFC": {quickNFC, false, true}, "NFD": {quickNFD, false, false}, "NFKC": {quickNFKC, true, true}, "NFKD": {quickNFKD, true, false},
}

func (f *unicodeForm) apply(in, out *alignedText, work *normWork, _, _ bool) bool {
	t := normalization()
	if t.quick.is(in.text, f.quick) {
		return false
	}
	list := work.runes[:0]
	sorted := 0
	push := func(r rune, change int) {
		class := t.class.class(r)
		if class == 0 {
			sortMarks(list[sorted:])
			sorted = len(list) + 1
		}
		list = append(list, decomposedRune{r, class, change})
	}
	for i := 0; i < len(in.text); {
		r, n := utf8.DecodeRune(in.text[i:])
		i += n
		if r >= 0xAC00 && r <= 0xD7A3 { // Hangul, Unicode 3.12
			s := r - 0xAC00
			push(0x1100+s/588, 0)
			push(0x1161+s%588/28, 1)
			if s%28 != 0 {
				push(0x11A7+s%28, 1)
			}
			continue
		}
		d, ok := "", false
		if r >= 0x80 {
			if f.compat {
				d, ok = t.compat[r]
			}
			if !ok {
				d, ok = t.canonical[r]
			}
		}
		if !ok {
			push(r, 0)
			continue
		}
		for j, r := range d {
			push(r, min(j, 1))
		}
	}
	sortMarks(list[sorted:])
	work.runes = list

	w := rewriter{in: in, out: out}
	if !f.compose {
		for _, d := range list {
			w.put(d.r, d.change)
		}
		return true
	}
	held := work.held[:0] // marks after the starter that did not join it
	starter := decomposedRune{r: -1}
	for _, d := range list {
		if starter.r < 0 {
			if d.class != 0 {
				w.put(d.r, d.change)
			} else {
				starter = d
			}
			continue
		}
		if len(held) == 0 || d.class > held[len(held)-1].class {
			if r, ok := t.join(starter.r, d.r); ok {
				starter.r, starter.change = r, starter.change+d.change-1
				continue
			}
		}
		if d.class != 0 {
			held = append(held, d)
			continue
		}
		w.put(starter.r, starter.change)
		for _, h := range held {
			w.put(h.r, h.change)
		}
		starter, held = d, held[:0]
	}
	if starter.r >= 0 {
		w.put(starter.r, starter.change)
	}
	for _, h := range held {
		w.put(h.r, h.change)
	}
	work.held = held[:0]
	return true
}

// sortMarks orders marks by class, keeping the order within one; runs are a few marks long, but a
// hostile one may be anything, hence no insertion sort for those.
func sortMarks(list []decomposedRune) {
	if len(list) < 2 {
		return
	}
	if len(list) > 64 {
		sortLongMarks(list)
		return
	}
	for i := 1; i < len(list); i++ {
		for j := i; j > 0 && list[j].class < list[j-1].class; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
}

func sortLongMarks(list []decomposedRune) {
	var count [257]int
	for _, d := range list {
		count[d.class+1]++
	}
	for i := 1; i < len(count); i++ {
		count[i] += count[i-1]
	}
	out := make([]decomposedRune, len(list))
	for _, d := range list {
		out[count[d.class]] = d
		count[d.class]++
	}
	copy(list, out)
}

func (t *normTables) join(a, b rune) (rune, bool) {
	switch {
	case a >= 0x1100 && a <= 0x1112 && b >= 0x1161 && b <= 0x1175:
		return 0xAC00 + ((a-0x1100)*21+b-0x1161)*28, true
	case a >= 0xAC00 && a <= 0xD7A3 && (a-0xAC00)%28 == 0 && b > 0x11A7 && b <= 0x11C2:
		return a + b - 0x11A7, true
	}
	r, ok := t.pairs[[2]rune{a, b}]
	return r, ok
}

type lowercase struct{}

func (lowercase) apply(in, out *alignedText, _ *normWork, _, _ bool) bool {
	t := normalization()
	if t.quick.is(in.text, quickLower) {
		return false
	}
	for i := 0; i < len(in.text); {
		if c := in.text[i]; c < utf8.RuneSelf {
			out.text, out.at = append(out.text, lowerASCII(c)), append(out.at, in.at[i])
			i++
			continue
		}
		r, n := utf8.DecodeRune(in.text[i:])
		if l, ok := t.lower[r]; ok {
			out.addString(l, in.at[i])
		} else {
			out.add(in.text[i:i+n], in.at[i:i+n])
		}
		i += n
	}
	return true
}

// runeFilter drops runes or replaces them by one other.
type runeFilter struct {
	keep func(r rune) rune // -1 to drop
}

func (f runeFilter) apply(in, out *alignedText, _ *normWork, _, _ bool) bool {
	changed := false
	for i := 0; i < len(in.text); {
		r, n := rune(in.text[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(in.text[i:])
		}
		switch to := f.keep(r); {
		case to == r:
			out.add(in.text[i:i+n], in.at[i:i+n])
		case to >= 0:
			out.addRune(to, in.at[i])
			changed = true
		default:
			changed = true
		}
		i += n
	}
	if !changed {
		out.reset()
	}
	return changed
}

func nmtRune(r rune) rune {
	switch {
	case r >= 1 && r <= 8, r == 0xB, r >= 0xE && r <= 0x1F, r == 0x7F, r == 0x8F, r == 0x9F:
		return -1
	case r == 9, r == 10, r == 12, r == 13, r == 0x1680, r >= 0x200B && r <= 0x200F, r == 0x2028, r == 0x2029, r == 0x2581, r == 0xFEFF, r == 0xFFFD:
		return ' '
	}
	return r
}

func stripAccentRune(r rune) rune {
	if r >= 0x80 && runeClasses().class(r)&isAccent != 0 {
		return -1
	}
	return r
}

// inRanges builds a rune test from the tables of BERT's normaliser.
func inRanges(ranges [][2]rune) func(rune) bool {
	var list [][3]uint32
	for _, r := range ranges {
		list = append(list, [3]uint32{uint32(r[0]), uint32(r[1]), 1})
	}
	t := newRuneClasses(list)
	return func(r rune) bool { return t.class(r) != 0 }
}

var (
	bertClean = sync.OnceValue(func() func(rune) rune {
		dropped, space := inRanges(bertDropped), inRanges(bertSpace)
		return func(r rune) rune {
			switch {
			case dropped(r):
				return -1
			case space(r):
				return ' '
			}
			return r
		}
	})
	bertUnmark = sync.OnceValue(func() func(rune) rune {
		mark := inRanges(bertMark)
		return func(r rune) rune {
			if r >= 0x80 && mark(r) {
				return -1
			}
			return r
		}
	})
	bertIsChinese = sync.OnceValue(func() func(rune) bool { return inRanges(bertChinese) })
)

// spaceChinese puts spaces around Chinese characters.
type spaceChinese struct{}

func (spaceChinese) apply(in, out *alignedText, _ *normWork, _, _ bool) bool {
	is, changed := bertIsChinese(), false
	for i := 0; i < len(in.text); {
		r, n := utf8.DecodeRune(in.text[i:])
		if r >= 0x3400 && is(r) {
			// The first space takes the place of the character, which then takes its alignment from it.
			changed = true
			out.addRune(' ', in.at[i])
			out.addRune(r, in.at[i])
			out.addRune(' ', in.at[i])
		} else {
			out.add(in.text[i:i+n], in.at[i:i+n])
		}
		i += n
	}
	if !changed {
		out.reset()
	}
	return changed
}

type stripSpace struct{ left, right bool }

func (s stripSpace) apply(in, out *alignedText, _ *normWork, first, last bool) bool {
	c, start, end := runeClasses(), 0, len(in.text)
	if s.left && first {
		for start < end {
			r, n := utf8.DecodeRune(in.text[start:])
			if c.class(r)&isRustSpace == 0 {
				break
			}
			start += n
		}
	}
	if s.right && last {
		for end > start {
			r, n := utf8.DecodeLastRune(in.text[:end])
			if c.class(r)&isRustSpace == 0 {
				break
			}
			end -= n
		}
	}
	if end-start == len(in.text) {
		return false
	}
	out.add(in.text[start:end], in.at[start:end])
	return true
}

// prepend puts text before the first character of a text that has one.
type prepend string

func (p prepend) apply(in, out *alignedText, _ *normWork, first, _ bool) bool {
	if !first || p == "" || len(in.text) == 0 {
		return false
	}
	out.addString(string(p), in.at[0])
	out.add(in.text, in.at)
	return true
}

// replace replaces each match by content, aligned with the last byte of the match.
type replace struct {
	literal string                                  // or else:
	find    func(s string, at int) (start, end int) // as delimiterSplit.find
	content string
	spaces  bool // find is findSpaces
}

func (p *replace) apply(in, out *alignedText, _ *normWork, _, _ bool) bool {
	if p.literal != "" {
		at := bytes.Index(in.text, []byte(p.literal))
		if at < 0 {
			return false
		}
		from := 0
		for {
			out.add(in.text[from:at], in.at[from:at])
			from = at + len(p.literal)
			out.addString(p.content, in.at[from-1])
			next := bytes.Index(in.text[from:], []byte(p.literal))
			if next < 0 {
				break
			}
			at = from + next
		}
		out.add(in.text[from:], in.at[from:])
		return true
	}
	text, from := view(in.text), 0
	for {
		start, end := p.find(text, from)
		if start >= end {
			break
		}
		out.add(in.text[from:start], in.at[from:start])
		out.addString(p.content, in.at[end-1])
		from = end
	}
	if from == 0 {
		return false
	}
	out.add(in.text[from:], in.at[from:])
	return true
}

// newReplace is a Replace of tokenizer.json.
func newReplace(pattern string, isRegexp bool, content string) (*replace, error) {
	if !isRegexp {
		return &replace{literal: pattern, content: content}, nil
	}
	if n, ok := strings.CutSuffix(pattern, "{2,}"); ok && n == " " {
		return &replace{content: content, find: findSpaces, spaces: true}, nil
	}
	find, err := findRegexp(pattern)
	return &replace{find: find, content: content}, err
}

// findSpaces finds two or more spaces.
func findSpaces(s string, at int) (int, int) {
	i := strings.Index(s[at:], "  ")
	if i < 0 {
		return len(s), len(s)
	}
	end := at + i + 2
	for end < len(s) && s[end] == ' ' {
		end++
	}
	return at + i, end
}
