package grammar

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

var (
	// ErrSyntax is wrapped when a source cannot be read.
	ErrSyntax = errors.New("syntax error")
	// ErrUnsupported is wrapped when a source asks for what cannot be kept to.
	ErrUnsupported = errors.New("not supported")
	// ErrTooLarge is wrapped when a source, or what is made of it, is over a bound.
	ErrTooLarge = errors.New("too large")
	// ErrEmpty is wrapped when no text at all has the form.
	ErrEmpty = errors.New("no text has this form")
)

// An Expr is a form of texts. The zero value is the empty text.
type Expr struct{ n node }

type (
	node interface{} // nil, a literal, set, seq, alt, repeat, *rule, until or avoid

	literal string // bytes
	set     []runeRange
	seq     []node
	alt     []node
	repeat  struct {
		of       node
		min, max int // max < 0: without end
	}
	// rule is a part that may be used in several places and within itself.
	rule struct {
		name string
		body node
	}
	until string // any text up to the first place of a marker, the marker included
	avoid string // any text without a marker
)

// runeRange holds both its ends.
type runeRange struct{ lo, hi rune }

// Literal is one text.
func Literal(s string) Expr { return Expr{literal(s)} }

// Seq is one form after the other.
func Seq(of ...Expr) Expr { return Expr{seq(nodes(of))} }

// Or is any one of several forms.
func Or(of ...Expr) Expr { return Expr{alt(nodes(of))} }

// Repeat is a form min to max times; without end where max is negative.
func Repeat(of Expr, min, max int) Expr { return Expr{repeat{of.n, min, max}} }

// Until is any text up to the first place of a marker, the marker included.
func Until(marker string) Expr { return Expr{until(marker)} }

// Avoid is any text without a marker.
func Avoid(marker string) Expr { return Expr{avoid(marker)} }

func nodes(of []Expr) []node {
	var out []node
	for _, e := range of {
		out = append(out, e.n)
	}
	return out
}

// unicodeSet sorts ranges and joins those that touch.
func unicodeSet(r []runeRange) set {
	slices.SortFunc(r, func(a, b runeRange) int { return int(a.lo - b.lo) })
	var out set
	for _, x := range r {
		if n := len(out); n > 0 && x.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, x.hi)
			continue
		}
		out = append(out, x)
	}
	return out
}

// complement are the characters that are not in a set.
func (s set) complement() set {
	var out set
	next := rune(0)
	for _, r := range s {
		if r.lo > next {
			out = append(out, runeRange{next, r.lo - 1})
		}
		next = r.hi + 1
	}
	if next <= utf8.MaxRune {
		out = append(out, runeRange{next, utf8.MaxRune})
	}
	return out
}

// without takes characters out.
func (s set) without(t set) set {
	return unicodeSet(append(s.complement(), t...)).complement()
}

func (s set) has(c rune) bool {
	return slices.ContainsFunc(s, func(r runeRange) bool { return r.lo <= c && c <= r.hi })
}

func chars(s string) set {
	var out []runeRange
	for _, r := range s {
		out = append(out, runeRange{r, r})
	}
	return unicodeSet(out)
}

func optional(n node) node { return repeat{n, 0, 1} }

// byteRange holds both its ends.
type byteRange struct{ lo, hi byte }

// utf8Ranges are the byte sequences of the characters from lo to hi, each as a range for each byte, in the
// way of RE2's compiler. Surrogates are left out.
func utf8Ranges(lo, hi rune, emit func([]byteRange)) {
	const surrogates, after = 0xD800, 0xE000
	switch {
	case lo > hi:
		return
	case lo < surrogates && hi >= surrogates:
		utf8Ranges(lo, surrogates-1, emit)
		utf8Ranges(after, hi, emit)
		return
	case lo >= surrogates && lo < after:
		utf8Ranges(after, hi, emit)
		return
	}
	for _, last := range []rune{0x7F, 0x7FF, 0xFFFF} { // of the lengths
		if lo <= last && last < hi {
			utf8Ranges(lo, last, emit)
			utf8Ranges(last+1, hi, emit)
			return
		}
	}
	if hi > 0x7F {
		for i := 1; i < 4; i++ {
			m := rune(1)<<(6*i) - 1
			if lo&^m == hi&^m {
				continue
			}
			if lo&m != 0 {
				utf8Ranges(lo, lo|m, emit)
				utf8Ranges((lo|m)+1, hi, emit)
				return
			}
			if hi&m != m {
				utf8Ranges(lo, hi&^m-1, emit)
				utf8Ranges(hi&^m, hi, emit)
				return
			}
		}
	}
	var a, b [utf8.UTFMax]byte
	n := utf8.EncodeRune(a[:], lo)
	utf8.EncodeRune(b[:], hi)
	var out [utf8.UTFMax]byteRange
	for i := range n {
		out[i] = byteRange{a[i], b[i]}
	}
	emit(out[:n])
}

func syntaxError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrSyntax}, args...)...)
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrUnsupported}, args...)...)
}
