package tokenizer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// A charsmap is SentencePiece's precompiled normalisation: a double-array trie (Darts) from a string
// to where its replacement starts in text, and there the replacements, each ended by a zero byte.
//
//	uint32 size of the trie in bytes | trie: uint32 units | replacements
//
// A unit holds a byte label and an offset to its children, or a value; see darts-clone.
type charsmap struct {
	trie []uint32
	text string
}

func newCharsmap(data []byte) (*charsmap, error) {
	if len(data) < 4 {
		return nil, errors.New("precompiled charsmap is truncated")
	}
	size := binary.LittleEndian.Uint32(data)
	if size%4 != 0 || size < 1024 || uint64(size) > uint64(len(data)-4) {
		return nil, fmt.Errorf("precompiled charsmap of %d bytes says that its trie has %d", len(data), size)
	}
	m := &charsmap{trie: make([]uint32, size/4), text: string(data[4+size:])}
	for i := range m.trie {
		m.trie[i] = binary.LittleEndian.Uint32(data[4+4*i:])
	}
	if !utf8.ValidString(m.text) {
		return nil, errors.New("precompiled charsmap's replacements are not UTF-8")
	}
	return m, nil
}

// find follows s through the trie. It yields the replacement of the shortest or longest key that s
// starts with, and the key's length; -1 when there is none.
func (m *charsmap) find(s string, longest bool) (replacement string, length int) {
	length = -1
	at := uint32(0)
	unit := m.trie[0]
	at ^= darts(unit)
	for i := range min(len(s), maxRule) {
		at ^= uint32(s[i])
		if s[i] == 0 || at >= uint32(len(m.trie)) {
			break
		}
		unit = m.trie[at]
		if unit&(1<<31|0xFF) != uint32(s[i]) {
			break
		}
		at ^= darts(unit)
		if unit>>8&1 == 1 {
			if at >= uint32(len(m.trie)) {
				break
			}
			value := m.trie[at] & (1<<31 - 1)
			if value >= uint32(len(m.text)) {
				break
			}
			rest := m.text[value:]
			end := strings.IndexByte(rest, 0)
			if end < 0 {
				end = len(rest)
			}
			replacement, length = rest[:end], i+1
			if !utf8.ValidString(replacement) { // a value that points into the middle of a rune
				return "", -1
			}
			if !longest {
				break
			}
		}
	}
	return replacement, length
}

// maxRule bounds the length of a rule's key, in bytes: a hostile trie may hold a circle.
const maxRule = 256

func darts(unit uint32) uint32 { return unit >> 10 << (unit & (1 << 9) >> 6) }

// precompiled is Hugging Face's reading of a charsmap, which is not SentencePiece's: whole graphemes
// of up to 5 bytes are looked up first, and of the keys that the grapheme starts with the shortest
// decides.
type precompiled struct {
	*charsmap
	plain [utf8.RuneSelf]bool // maps to itself
}

func newPrecompiled(data []byte) (*precompiled, error) {
	m, err := newCharsmap(data)
	if err != nil {
		return nil, err
	}
	p := &precompiled{charsmap: m}
	for i := range p.plain {
		_, n := m.find(string(rune(i)), false)
		p.plain[i] = n < 0
	}
	return p, nil
}

// standsAlone reports runes that are a grapheme by themselves when they stand between two such runes
// or ASCII other than line ends; it need not know all of them.
func standsAlone(r rune) bool {
	switch {
	case r < 0x80:
		return r >= ' ' && r < 0x7F
	case r < 0x370:
		return r >= 0xC0 && r < 0x250
	case r < 0x530:
		return r < 0x483 || r >= 0x48A
	case r < 0x2010:
		return false
	case r < 0x2060:
		return r < 0x2028 || r > 0x202F && r != 0x203C && r != 0x2049
	case r < 0x3001:
		return false
	case r < 0xA000:
		return r < 0x302A || r >= 0x3041 && r < 0x3097 || r >= 0x309D && r < 0x3297 || r >= 0x3400
	}
	return r >= 0xFF01 && r <= 0xFF9D
}

func (p *precompiled) apply(in, out *alignedText, _ *normWork, _, _ bool) bool {
	text, i := view(in.text), 0
	for i < len(text) && text[i] < utf8.RuneSelf && p.plain[text[i]] {
		i++
	}
	if i == len(text) {
		return false
	}
	if i > 0 {
		i-- // it may start a grapheme
	}
	w := rewriter{in: in, out: out, at: i}
	out.add(in.text[:i], in.at[:i])
	changed := false
	for i < len(text) {
		r, n := utf8.DecodeRuneInString(text[i:])
		alone := standsAlone(r)
		if alone && i+n < len(text) {
			next, _ := utf8.DecodeRuneInString(text[i+n:])
			alone = standsAlone(next)
		}
		if !alone {
			cluster, _, _, _ := uniseg.FirstGraphemeClusterInString(text[i:], -1)
			n = len(cluster)
		}
		part := text[i : i+n]
		i += n
		if n < 6 && p.part(&w, part) {
			changed = true
			continue
		}
		for j := 0; j < len(part); {
			r, m := utf8.DecodeRuneInString(part[j:])
			if n < 6 && n == m || !p.part(&w, part[j:j+m]) {
				w.put(r, 0)
			} else {
				changed = true
			}
			j += m
		}
	}
	if !changed {
		out.reset()
	}
	return changed
}

// part writes the replacement of s, if it has one.
func (p *precompiled) part(w *rewriter, s string) bool {
	if len(s) == 1 && p.plain[s[0]&0x7F] && s[0] < utf8.RuneSelf {
		return false
	}
	to, n := p.find(s, false)
	if n < 0 {
		return false
	}
	diff := utf8.RuneCountInString(to) - utf8.RuneCountInString(s)
	k := utf8.RuneCountInString(to)
	if to == "" {
		// Nothing is written to count the removed runes on: they go to the rune written before.
		if len(w.out.text) > 0 {
			w.absorb(-diff)
		}
		return true
	}
	for _, r := range to {
		k--
		switch {
		case k < diff:
			w.put(r, 1)
		case k == 0 && diff < 0:
			w.put(r, diff)
		default:
			w.put(r, 0)
		}
	}
	return true
}
