// Package bitset holds sets of small numbers, a bit each.
package bitset

import "math/bits"

// A Set is a set of numbers from 0; its words hold 64 of them each, the lowest in the lowest bit. The zero
// value is empty. Reading is safe beside reading.
type Set []uint64

// Has says whether i is in the set. Numbers past its end are not.
func (s Set) Has(i uint32) bool {
	return int(i>>6) < len(s) && s[i>>6]>>(i&63)&1 != 0
}

// Add puts i in, growing the set where it is too short.
func (s *Set) Add(i uint32) {
	for int(i>>6) >= len(*s) {
		*s = append(*s, 0)
	}
	(*s)[i>>6] |= 1 << (i & 63)
}

// Remove takes i out.
func (s Set) Remove(i uint32) {
	if int(i>>6) < len(s) {
		s[i>>6] &^= 1 << (i & 63)
	}
}

// Word returns the numbers from 64*w to 64*w+63 that are in the set.
func (s Set) Word(w int) uint64 {
	if w < len(s) {
		return s[w]
	}
	return 0
}

// Len is how many numbers are in the set.
func (s Set) Len() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// AppendTo appends the numbers in the set to list, ascending.
func (s Set) AppendTo(list []uint32) []uint32 {
	for w, word := range s {
		for ; word != 0; word &= word - 1 {
			list = append(list, uint32(64*w+bits.TrailingZeros64(word)))
		}
	}
	return list
}
