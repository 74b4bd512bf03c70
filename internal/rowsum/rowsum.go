// Package rowsum gives rows of a database checksums that find damage, are brought up to date without covering
// damage up, and tell what a damaged byte was.
//
//	columns := []rowsum.Column{rowsum.NewColumn("documents", "title"), rowsum.NewColumn("documents", "pages")}
//	sum := rowsum.Sum(columns, []any{"Leave", int64(3)})
//	i, value, ok := rowsum.Correct(columns, []any{"Leavd", int64(3)}, sum) // 0, "Leave", true
//
// The sum of a row is the exclusive or of a hash of each value. So a value that changes takes its old hash out and
// puts its new one in ([Update]); what was wrong with the row before stays wrong. The hash is a polynomial modulo
// the prime 2^61-1 (Carter and Wegman 1979) over words of four bytes: it differs for any two values of
// one length that differ in one place, and for others but once in some 2^61/length cases. It is for damage, not for
// forgery: whoever can write the row can write its sum.
package rowsum

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/bits"
)

const (
	prime = 1<<61 - 1
	base  = 0x1a6f_3c5d_92b7_48e1 // any number below the prime
	// mark is in every sum, so that 0 is none.
	mark = 1 << 61
)

// inverse times base is 1.
var inverse = power(base, prime-2)

// A Column is one of a table. Two of different names have unlike hashes of the same value.
type Column struct {
	Seed uint64
	// Default is the value, an int64 or a string, of rows that were written before there was this column; nil for
	// none. Its hash is 0, so that a column that comes later does not change the sums of the rows that are there.
	Default any
}

// NewColumn returns a column without a default.
func NewColumn(table, name string) Column {
	h := fnv.New64a()
	h.Write([]byte(table + "\x00" + name))
	return Column{Seed: h.Sum64() % prime}
}

// Sum returns the sum of a row, never 0. Values are nil, int64, string or []byte.
func Sum(columns []Column, values []any) uint64 {
	sum := uint64(mark)
	for i, c := range columns {
		sum ^= c.Hash(values[i])
	}
	return sum
}

// Update returns the sum of a row that had the sum stored, where that of the values before is old and that of the values
// now is new. If stored was not old, because the row was damaged, the result is not new.
func Update(stored, old, new uint64) uint64 { return stored ^ old ^ new }

// Hash returns what a value adds to the sum of its row: 0 for nil and the default.
func (c Column) Hash(value any) uint64 {
	if value == nil || value == c.Default {
		return 0
	}
	kind, b := encode(value)
	return hash(c.Seed+kind, b)
}

// encode returns the bytes of a value and a number for its type.
func encode(value any) (kind uint64, b []byte) {
	switch v := value.(type) {
	case int64:
		return 0, binary.LittleEndian.AppendUint64(nil, uint64(v))
	case string:
		return 1, []byte(v)
	case []byte:
		return 2, v
	}
	panic(fmt.Sprintf("rowsum: a value is a %T", value))
}

func decode(kind uint64, b []byte) any {
	switch kind {
	case 0:
		return int64(binary.LittleEndian.Uint64(b))
	case 1:
		return string(b)
	}
	return b
}

// hash is seed·base^(n+1) + w0·base^n + … + w(n-1)·base + length, of n words of four bytes.
func hash(seed uint64, b []byte) uint64 {
	h, length := seed%prime, uint64(len(b))
	for len(b) >= 4 {
		h = mulAdd(h, base, uint64(binary.LittleEndian.Uint32(b)))
		b = b[4:]
	}
	if len(b) > 0 {
		var w [4]byte
		copy(w[:], b)
		h = mulAdd(h, base, uint64(binary.LittleEndian.Uint32(w[:])))
	}
	return mulAdd(h, base, length)
}

// mulAdd returns a·b + c modulo the prime, for numbers below it.
func mulAdd(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	s := (hi<<3 | lo>>61) + lo&prime + c // below 3·2^61
	s = s>>61 + s&prime
	if s >= prime {
		s -= prime
	}
	return s
}

func power(b uint64, n uint64) uint64 {
	p := uint64(1)
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			p = mulAdd(p, b, 0)
		}
		b = mulAdd(b, b, 0)
	}
	return p
}
