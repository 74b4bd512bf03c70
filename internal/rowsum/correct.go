package rowsum

import (
	"bytes"
	"math/bits"
)

// Correct looks for the one byte of a row that must have been another for the row to have its sum. It returns the
// column and what its value was; i is -1, and ok set, when it is the sum itself that is damaged. ok is false when
// more than a byte is damaged, or when more than one answer fits.
//
// It takes time in proportion to the size of the row: two polynomials that differ in one coefficient tell by their
// difference, for each place, what the other coefficient must have been.
func Correct(columns []Column, values []any, sum uint64) (i int, value any, ok bool) {
	differ := sum ^ Sum(columns, values)
	if oneByte(differ) {
		return -1, nil, true
	}
	if differ >= prime {
		return 0, nil, false
	}
	for at, c := range columns {
		v, found := c.correct(values[at], differ^c.Hash(values[at]))
		if found && ok {
			return 0, nil, false
		}
		if found {
			i, value, ok = at, v, true
		}
	}
	return i, value, ok
}

// oneByte says whether a number has bits in just one of its bytes.
func oneByte(n uint64) bool {
	return n != 0 && bits.TrailingZeros64(n)/8 == (63-bits.LeadingZeros64(n))/8
}

// correct looks for the value that has the hash want and differs from value in one byte, or is the default.
func (c Column) correct(value any, want uint64) (any, bool) {
	if want == 0 {
		return c.Default, c.Default != nil
	}
	if value == nil || want >= prime {
		return nil, false
	}
	kind, b := encode(value)
	b = bytes.Clone(b)
	if !correctByte(c.Seed+kind, b, want) {
		return nil, false
	}
	return decode(kind, b), true
}

// correctByte changes one byte so that b has the hash want, if just one change does.
func correctByte(seed uint64, b []byte, want uint64) bool {
	// What the word k places before the end has too little, times base^(k+1).
	rest := mulAdd(1, want+prime-hash(seed, b), 0)
	at, was, n := 0, byte(0), 0
	for word := (len(b) - 1) / 4 * 4; word >= 0 && len(b) > 0; word -= 4 {
		rest = mulAdd(rest, inverse, 0)
		little, less := rest, false
		if rest > prime/2 {
			little, less = prime-rest, true
		}
		if little == 0 || little > 255<<24 {
			continue
		}
		place := bits.TrailingZeros64(little) / 8
		if little>>(8*place) > 255 {
			continue // more than that byte
		}
		i, by := word+place, int(little>>(8*place))
		if less {
			by = -by
		}
		if i < len(b) && int(b[i])+by >= 0 && int(b[i])+by <= 255 {
			at, was = i, byte(int(b[i])+by)
			n++
		}
	}
	if n == 1 {
		b[at] = was
	}
	return n == 1
}
