package clean

import (
	"encoding/binary"
	"errors"
	"math"
	"unicode"
)

// A Signature is the MinHash of a text's shingles (A. Broder, On the resemblance and containment of
// documents, 1997): the share of places in which two signatures agree estimates the Jaccard similarity
// of the sets of shingles, with a standard error of at most 1/(2·√signatureSize) = 0.044.
//
// A shingle is shingleTokens tokens in a row; a token is a word in lower case, or one character of a
// script that is written without spaces.
type Signature [signatureSize]uint32

const (
	signatureSize = 128
	shingleTokens = 4
	minShingles   = 16 // texts with fewer have no signature: a few words are alike by chance

	// Candidates share one of 32 bands of 4 places; a pair of similarity s does with probability
	// 1-(1-s⁴)³²: 0.9999998 at 0.8, 0.99 at 0.6, 0.56 at 0.4.
	bandSize = 4
	// Bands is the number of values Signature.Bands yields.
	Bands = signatureSize / bandSize
)

// NearDuplicateFrom is the similarity from which two documents are called nearly the same. It finds 99 % of
// copies with one word in a hundred changed and 9 in 10 with one in fifty; passages that differ came to
// .62 at most (docs/cleaning.md has the figures).
const NearDuplicateFrom = 0.7

// multipliers are odd numbers of splitmix64 (Steele, Lea, Flood 2014), one a place.
var multipliers = func() (m [signatureSize]uint64) {
	x := uint64(0x9e3779b97f4a7c15)
	for i := range m {
		m[i] = mix(x*uint64(i+1)) | 1
	}
	return m
}()

// mix is the finaliser of splitmix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Sign returns the signature of a text, and false for one that is too short to have one.
func Sign(text string) (sig Signature, ok bool) {
	for i := range sig {
		sig[i] = math.MaxUint32
	}
	var window [shingleTokens]uint64
	tokens := 0
	seen := make(map[uint64]struct{}, 1024) // to hash a shingle that repeats once, while there are few
	add := func(token uint64) {
		window[tokens%shingleTokens] = token
		if tokens++; tokens < shingleTokens {
			return
		}
		h := uint64(0)
		for i := range shingleTokens {
			h = mix(h*31 + window[(tokens+i)%shingleTokens])
		}
		if _, again := seen[h]; again {
			return
		}
		if len(seen) < 1<<16 {
			seen[h] = struct{}{}
		}
		for i, m := range multipliers {
			sig[i] = min(sig[i], uint32(h*m>>32))
		}
	}
	const fnvOffset, fnvPrime = 14695981039346656037, 1099511628211
	word := uint64(fnvOffset)
	inWord := false
	flush := func() {
		if inWord {
			add(mix(word))
		}
		word, inWord = fnvOffset, false
	}
	for _, r := range text {
		switch {
		case unbroken(r):
			flush()
			add(mix(uint64(r)))
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			word = (word ^ uint64(unicode.ToLower(r))) * fnvPrime
			inWord = true
		default:
			flush()
		}
	}
	flush()
	return sig, len(seen) >= minShingles
}

// unbroken tells characters of scripts that are written without spaces between words.
func unbroken(r rune) bool {
	return r >= 0x2e80 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) || r >= 0x0e00 && r <= 0x0eff
}

// Similarity estimates the Jaccard similarity of two texts from their signatures, 0 to 1.
func (s Signature) Similarity(t Signature) float64 {
	same := 0
	for i := range s {
		if s[i] == t[i] {
			same++
		}
	}
	return float64(same) / signatureSize
}

// Bands returns the keys by which similar texts are found (locality-sensitive hashing; Indyk and
// Motwani 1998): two similar signatures are likely to have one in common.
func (s Signature) Bands() []int64 {
	keys := make([]int64, Bands)
	for b := range keys {
		h := uint64(b)
		for _, v := range s[b*bandSize : (b+1)*bandSize] {
			h = mix(h<<32 ^ h>>32 ^ uint64(v))
		}
		keys[b] = int64(h)
	}
	return keys
}

// MarshalBinary returns the places, little endian.
func (s Signature) MarshalBinary() ([]byte, error) {
	b := make([]byte, 0, 4*signatureSize)
	for _, v := range s {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b, nil
}

// UnmarshalBinary reads what MarshalBinary wrote.
func (s *Signature) UnmarshalBinary(b []byte) error {
	if len(b) != 4*signatureSize {
		return errors.New("a signature of another size")
	}
	for i := range s {
		s[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return nil
}
