package tokenizer

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
)

// A model cuts a word into vocabulary entries.
type model interface {
	// cut appends the tokens of word, which is not empty, to s.pieces, with ends counted from the
	// start of the word.
	cut(s *scratch, word string)
	// border reports that no token holds both the rune that ends at word[i] and the one that starts
	// there, and that the tokens on one side do not depend on the other.
	border(word string, i int) bool
}

// A piece is a token of a word.
type piece struct {
	id         int32
	start, end int32
}

// bpe is byte-pair encoding: the pair of neighbours with the lowest rank is merged first, the leftmost
// among equals, until none is left.
type bpe struct {
	*vocab    // by the text that an entry stands for: raw bytes when byteLevel
	merges    mergeTable
	byteLevel bool
	complete  bool       // byteLevel, and every byte has an entry
	bytes     [256]int32 // the entry of each byte: byteLevel's alphabet or the <0x00> of byte fallback; -1 for none
	fallback  bool       // all of bytes are there, for characters that have no entry
	unknown   int32      // -1: characters without an entry vanish
	fuse      bool       // neighbouring unknown characters are one token
	whole     bool       // a word that is an entry is not cut
	special   []bool     // by id: never the outcome of plain text
	prefix    string     // before the characters of a word but the first, in the vocabulary
	suffix    string     // after the last
	near      *adjacency // nil: border is always false

	// For byteLevel: the entry that the bytes of a character merge to, where they merge to one, by page
	// of 256. The bytes of a character merge before anything around it can touch them, so that it may
	// start as one piece, unless some entry holds a part of it together with what stands beside it:
	// heads has the last byte of the character and the first after it of entries that start within a
	// character; tails has the character before, or where that is not whole heads its last byte, and
	// the first byte of the character of entries that end within one.
	runes [256][]int32
	heads [1 << 16 / 64]uint64
	tails [1 << 16 / 64]uint64 // by hash, so there may be more in it
}

// mergeTable maps a pair of ids to the rank of their merge and its outcome.
type mergeTable struct {
	slots []merge
	shift uint
	used  int
}

type merge struct {
	left, right int32
	rank        int32 // 0 marks a free slot, so ranks start with 1
	id          int32
}

const noRank = int32(1<<31 - 1)

func newMergeTable(n int) mergeTable {
	size := max(4, bits.Len(uint(2*n)))
	return mergeTable{slots: make([]merge, 1<<size), shift: 64 - uint(size)}
}

func (t *mergeTable) slot(left, right int32) *merge {
	key := uint64(uint32(left))<<32 | uint64(uint32(right))
	mask := uint64(len(t.slots) - 1)
	for i := key * 0x9E3779B97F4A7C15 >> t.shift; ; i = (i + 1) & mask {
		m := &t.slots[i&mask]
		if m.rank == 0 || m.left == left && m.right == right {
			return m
		}
	}
}

// rank is the rank of merging left and right, or noRank.
func (t *mergeTable) rank(left, right int32) (rank, id int32) {
	if m := t.slot(left, right); m.rank != 0 {
		return m.rank, m.id
	}
	return noRank, 0
}

// set sets a merge; the later of two of the same pair counts.
func (t *mergeTable) set(left, right, rank, id int32) {
	m := t.slot(left, right)
	if m.rank == 0 {
		t.used++
	}
	*m = merge{left, right, rank + 1, id}
}

func (b *bpe) cut(s *scratch, word string) {
	if b.whole {
		if id, ok := b.ID(word); ok && !b.special[id] {
			s.pieces = append(s.pieces, piece{id, 0, int32(len(word))})
			return
		}
	}
	start := len(s.pieces)
	if !b.complete {
		b.symbols(s, word)
		s.pieces = s.pieces[:start+b.mergeAll(s, s.pieces[start:])]
		return
	}
	before := rune(-1)
	for i := 0; i < len(word); {
		r, n := rune(word[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(word[i:])
			if id := b.character(word, i, n, r, before); id >= 0 {
				s.pieces = append(s.pieces, piece{id, int32(i), int32(i + n)})
				before = r
				i += n
				continue
			}
		}
		before = r
		for ; n > 0; n-- {
			s.pieces = append(s.pieces, piece{b.bytes[word[i]], int32(i), int32(i + 1)})
			i++
		}
	}
	s.pieces = s.pieces[:start+b.mergeAll(s, s.pieces[start:])]
}

// character is the entry for the character r of n bytes at word[i], which follows before, or -1 where
// it may not start as one piece.
func (b *bpe) character(word string, i, n int, r, before rune) int32 {
	if r >= 1<<16 || b.runes[r>>8] == nil {
		return -1
	}
	id := b.runes[r>>8][r&255]
	if id < 0 || i > 0 && (hasBit(&b.heads, byteKey(word[i-1], word[i])) || hasBit(&b.tails, runeKey(before, word[i]))) ||
		i+n < len(word) && hasBit(&b.heads, byteKey(word[i+n-1], word[i+n])) {
		return -1
	}
	return id
}

func byteKey(last, first byte) uint32 { return uint32(last)<<8 | uint32(first) }

func runeKey(before rune, first byte) uint32 {
	return (uint32(before)<<8 | uint32(first)) * 0x9E3779B1 >> 16
}

func hasBit(set *[1 << 16 / 64]uint64, key uint32) bool { return set[key>>6]>>(key&63)&1 == 1 }

func setBit(set *[1 << 16 / 64]uint64, key uint32) { set[key>>6] |= 1 << (key & 63) }

// setCharacters fills runes, heads and tails.
func (b *bpe) setCharacters() {
	s := &scratch{}
	for id, t := range b.tokens {
		if !utf8.ValidString(t) {
			b.setEdges(t)
			continue
		}
		r, n := utf8.DecodeRuneInString(t)
		if n < 2 || n != len(t) || r >= 1<<16 || r == utf8.RuneError {
			continue
		}
		s.pieces = s.pieces[:0]
		for i := range n {
			s.pieces = append(s.pieces, piece{b.bytes[t[i]], int32(i), int32(i + 1)})
		}
		if b.mergeAll(s, s.pieces) != 1 || s.pieces[0].id != int32(id) {
			continue
		}
		page := b.runes[r>>8]
		if page == nil {
			page = make([]int32, 256)
			for i := range page {
				page[i] = -1
			}
			b.runes[r>>8] = page
		}
		page[r&255] = int32(id)
	}
}

// setEdges notes the characters that the entry t cuts.
func (b *bpe) setEdges(t string) {
	k := 0
	for k < len(t) && !utf8.RuneStart(t[k]) {
		k++
	}
	if k > 0 && k < len(t) {
		setBit(&b.heads, byteKey(t[k-1], t[k]))
	}
	// Whatever else is not well-formed in it counts as cut.
	for before := rune(-1); k < len(t); {
		r, n := utf8.DecodeRuneInString(t[k:])
		if r == utf8.RuneError && n == 1 {
			if before >= 0 {
				setBit(&b.tails, runeKey(before, t[k]))
			} else if k > 0 {
				setBit(&b.heads, byteKey(t[k-1], t[k]))
			}
			r = -1
		}
		before = r
		k += n
	}
}

// symbols appends the characters of word. Positions are sums of lengths, as in Hugging Face's library:
// a character that vanishes for want of an unknown token moves the ones after it.
func (b *bpe) symbols(s *scratch, word string) {
	at, unknown := int32(0), int32(0)
	add := func(id, n int32) {
		s.pieces = append(s.pieces, piece{id, at, at + n})
		at += n
	}
	for i := 0; i < len(word); {
		n := 1
		if !b.byteLevel {
			_, n = utf8.DecodeRuneInString(word[i:])
		}
		id, ok := int32(-1), false
		if (b.prefix == "" || i == 0) && (b.suffix == "" || i+n < len(word)) {
			id, ok = b.ID(word[i : i+n])
		} else {
			s.key = s.key[:0]
			if i > 0 {
				s.key = append(s.key, b.prefix...)
			}
			s.key = append(s.key, word[i:i+n]...)
			if i+n == len(word) {
				s.key = append(s.key, b.suffix...)
			}
			id, ok = b.ID(view(s.key))
		}
		switch {
		case ok && !b.special[id]:
			if unknown > 0 {
				add(b.unknown, unknown)
				unknown = 0
			}
			add(id, int32(n))
		case b.fallback:
			for _, c := range []byte(word[i : i+n]) {
				add(b.bytes[c], 1)
			}
		case b.unknown >= 0:
			if unknown > 0 && !b.fuse {
				add(b.unknown, unknown)
				unknown = 0
			}
			unknown += int32(n)
		}
		i += n
	}
	if unknown > 0 {
		add(b.unknown, unknown)
	}
}

// mergeAll merges the pieces in place and returns how many are left.
func (b *bpe) mergeAll(s *scratch, p []piece) int {
	if len(p) > len(s.ranks) {
		return b.mergeLong(s, p)
	}
	ranks, ids, n := &s.ranks, &s.outcome, len(p) // of merging piece i with the next
	for i := 0; i+1 < n; i++ {
		ranks[i], ids[i] = b.merges.rank(p[i].id, p[i+1].id)
	}
	for n > 1 {
		best, at := noRank, 0
		for i, r := range ranks[:n-1] {
			if r < best {
				best, at = r, i
			}
		}
		if best == noRank {
			break
		}
		p[at].id, p[at].end = ids[at], p[at+1].end
		copy(p[at+1:], p[at+2:n])
		n--
		if at+1 < n {
			copy(ranks[at+1:n-1], ranks[at+2:n])
			copy(ids[at+1:n-1], ids[at+2:n])
			ranks[at], ids[at] = b.merges.rank(p[at].id, p[at+1].id)
		}
		if at > 0 {
			ranks[at-1], ids[at-1] = b.merges.rank(p[at-1].id, p[at].id)
		}
	}
	return n
}

// candidate is a merge in the heap of mergeLong: rank<<32 | place of the left piece.
type candidate uint64

// mergeLong merges with a heap and a linked list, in n log n steps. Entries of the heap go stale when
// a neighbour merges first; such a place then has another rank, because the texts differ.
func (b *bpe) mergeLong(s *scratch, p []piece) int {
	heap := s.heap[:0]
	if cap(s.links) < len(p) {
		s.links = make([][2]int32, len(p)+len(p)/4)
	}
	links := s.links[:len(p)] // previous and next; next is -2 for a piece that is gone
	for i := range p {
		links[i] = [2]int32{int32(i) - 1, int32(i) + 1}
		if i+1 < len(p) {
			if rank, _ := b.merges.rank(p[i].id, p[i+1].id); rank != noRank {
				heap = append(heap, candidate(rank)<<32|candidate(i))
			}
		}
	}
	links[len(p)-1][1] = -1
	for i := len(heap)/2 - 1; i >= 0; i-- {
		siftDown(heap, i)
	}
	for len(heap) > 0 {
		top := heap[0]
		heap[0] = heap[len(heap)-1]
		heap = heap[:len(heap)-1]
		siftDown(heap, 0)
		i := int32(uint32(top))
		next := links[i][1]
		if next < 0 {
			continue
		}
		rank, id := b.merges.rank(p[i].id, p[next].id)
		if rank != int32(top>>32) {
			continue
		}
		p[i].id, p[i].end = id, p[next].end
		after := links[next][1]
		links[next][1] = -2
		links[i][1] = after
		if after >= 0 {
			links[after][0] = i
			if rank, _ := b.merges.rank(id, p[after].id); rank != noRank {
				heap = siftUp(append(heap, candidate(rank)<<32|candidate(i)))
			}
		}
		if before := links[i][0]; before >= 0 {
			if rank, _ := b.merges.rank(p[before].id, id); rank != noRank {
				heap = siftUp(append(heap, candidate(rank)<<32|candidate(before)))
			}
		}
	}
	s.heap = heap
	n := 0
	for i := int32(0); i >= 0; i = links[i][1] {
		p[n] = p[i]
		n++
	}
	return n
}

func siftDown(h []candidate, i int) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h[child+1] < h[child] {
			child++
		}
		if h[i] <= h[child] {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}

func siftUp(h []candidate) []candidate {
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if h[parent] <= h[i] {
			break
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
	return h
}

func (b *bpe) border(word string, i int) bool {
	if b.near == nil {
		return false
	}
	left, _ := utf8.DecodeLastRuneInString(word[:i])
	right, _ := utf8.DecodeRuneInString(word[i:])
	if b.near.has(left, right) {
		return false
	}
	return b.fallback || b.near.known(left) || b.near.known(right)
}

// adjacency is the set of pairs of runes that stand side by side in some entry of a vocabulary.
type adjacency struct {
	small [(adjacentSmall * adjacentSmall) / 64]uint64
	pairs map[uint64]struct{}
	runes map[rune]struct{}
}

// The ASCII characters and U+2581, by which almost all pairs of Western text are decided.
const adjacentSmall = 192

func smallRune(r rune) (int, bool) {
	if r < 0x80 {
		return int(r), true
	}
	return 0x80, r == '▁'
}

func newAdjacency(tokens []string, skip func(id int32) bool) *adjacency {
	a := &adjacency{pairs: map[uint64]struct{}{}, runes: map[rune]struct{}{}}
	for id, t := range tokens {
		if skip(int32(id)) {
			continue
		}
		last := rune(-1)
		for _, r := range t {
			a.runes[r] = struct{}{}
			if last >= 0 {
				x, ok1 := smallRune(last)
				y, ok2 := smallRune(r)
				if ok1 && ok2 {
					k := x*adjacentSmall + y
					a.small[k/64] |= 1 << (k % 64)
				} else {
					a.pairs[uint64(last)<<32|uint64(r)] = struct{}{}
				}
			}
			last = r
		}
	}
	return a
}

func (a *adjacency) has(left, right rune) bool {
	x, ok1 := smallRune(left)
	y, ok2 := smallRune(right)
	if ok1 && ok2 {
		k := x*adjacentSmall + y
		return a.small[k/64]>>(k%64)&1 == 1
	}
	_, ok := a.pairs[uint64(left)<<32|uint64(right)]
	return ok
}

func (a *adjacency) known(r rune) bool {
	_, ok := a.runes[r]
	return ok
}

// runeBytes are the bytes that the characters of GPT-2's alphabet stand for: printable Latin-1 is
// itself, and every other byte the next character from U+0100.
var runeBytes = func() map[rune]byte {
	from := make(map[rune]byte, 256)
	next := rune(256)
	for b := range 256 {
		if r := rune(b); r >= '!' && r <= '~' || r >= 0xA1 && r <= 0xAC || r >= 0xAE {
			from[r] = byte(b)
		} else {
			from[next] = byte(b)
			next++
		}
	}
	return from
}()

// rawBytes is what an entry in GPT-2's alphabet stands for; ok is false for an entry in another.
func rawBytes(token string) (raw string, ok bool) {
	plain := true
	for i := range len(token) {
		if token[i] < '!' || token[i] > '~' {
			plain = false
			break
		}
	}
	if plain {
		return token, true
	}
	var b strings.Builder
	for _, r := range token {
		c, ok := runeBytes[r]
		if !ok {
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

// bpeParts are the parts of a bpe as files have them.
type bpeParts struct {
	tokens         []string
	merges         [][2]string
	scores         []float32 // where there are no merges
	byteLevel      bool
	byteFallback   bool
	unknown        string
	fuse, whole    bool
	prefix, suffix string
	special        func(id int32) bool
	plain          func(id int32) bool // entries that text may merge to, where scores decide
}

func newBPE(p bpeParts) (*bpe, error) {
	texts := p.tokens
	if p.byteLevel {
		texts = make([]string, len(p.tokens))
		for i, t := range p.tokens {
			if raw, ok := rawBytes(t); ok {
				texts[i] = raw
			}
		}
	}
	v, err := newVocab(texts)
	if err != nil {
		return nil, err
	}
	b := &bpe{vocab: v, byteLevel: p.byteLevel, unknown: -1, fuse: p.fuse, whole: p.whole, special: make([]bool, len(texts))}
	for i := range b.special {
		b.special[i] = p.special(int32(i))
	}
	if p.byteLevel {
		if b.prefix, b.suffix = p.prefix, p.suffix; b.prefix != "" || b.suffix != "" {
			return nil, errors.New("a byte-level vocabulary with a continuing prefix or word suffix is not supported")
		}
	} else {
		b.prefix, b.suffix = p.prefix, p.suffix
	}
	if p.unknown != "" {
		id, ok := b.ID(p.unknown)
		if !ok {
			return nil, fmt.Errorf("unknown token %q is not in the vocabulary", p.unknown)
		}
		b.unknown = id
	}
	for i := range b.bytes {
		b.bytes[i] = -1
		var id int32
		var ok bool
		if p.byteLevel {
			id, ok = b.ID(string([]byte{byte(i)}))
		} else if p.byteFallback {
			id, ok = b.ID(fmt.Sprintf("<0x%02X>", i))
		}
		if ok && (!b.special[id] || !p.byteLevel) {
			b.bytes[i] = id
		}
	}
	if p.byteFallback && !p.byteLevel {
		b.fallback = true
		for i, id := range b.bytes {
			if id < 0 {
				return nil, fmt.Errorf("byte fallback: token %q is not in the vocabulary", fmt.Sprintf("<0x%02X>", i))
			}
		}
	}
	if p.merges == nil && p.scores != nil {
		err = b.mergesFromScores(p)
	} else {
		err = b.setMerges(p.merges)
	}
	if err != nil {
		return nil, err
	}
	if p.byteLevel && !slices.Contains(b.bytes[:], -1) {
		b.complete = true
		b.setCharacters()
	}
	if !p.byteLevel && b.prefix == "" && b.suffix == "" && !b.whole {
		b.near = newAdjacency(p.tokens, p.special)
	}
	return b, nil
}

func (b *bpe) setMerges(merges [][2]string) error {
	b.merges = newMergeTable(len(merges))
	for i, m := range merges {
		if b.byteLevel {
			for j, part := range m {
				raw, ok := rawBytes(part)
				if !ok {
					return fmt.Errorf("merge %d: %q is not in the alphabet of bytes", i, part)
				}
				m[j] = raw
			}
		}
		left, ok1 := b.ID(m[0])
		right, ok2 := b.ID(m[1])
		if !ok1 || !ok2 {
			missing := m[0]
			if ok1 {
				missing = m[1]
			}
			return fmt.Errorf("merge %d: token %q is not in the vocabulary", i, missing)
		}
		text := m[0] + strings.TrimPrefix(m[1], b.prefix)
		id, ok := b.ID(text)
		if !ok {
			return fmt.Errorf("merge %d: token %q is not in the vocabulary", i, text)
		}
		if b.special[id] {
			continue
		}
		b.merges.set(left, right, int32(i), id)
	}
	return nil
}

// maxSplits bounds the work of finding merges in a vocabulary of pieces.
const maxSplits = 1 << 28

// mergesFromScores makes the merges that SentencePiece takes from its pieces: any two pieces whose
// text together is a piece, those with the highest score first.
func (b *bpe) mergesFromScores(p bpeParts) error {
	ids := make([]int32, 0, len(p.tokens))
	work, pairs := 0, 0
	for i, t := range p.tokens {
		if t != "" && p.plain(int32(i)) {
			ids = append(ids, int32(i))
			if work += len(t) * len(t); len(t) > 1<<14 || work > maxSplits {
				return fmt.Errorf("token %d: the vocabulary's tokens are too long", i)
			}
			pairs += utf8.RuneCountInString(t) - 1
		}
	}
	ranks := rankByScore(p.scores, ids)
	type found struct{ left, right, rank, id int32 }
	list := make([]found, 0, min(pairs, 2*len(ids)))
	for _, id := range ids {
		t := p.tokens[id]
		if got, _ := b.ID(t); got != id {
			continue // another piece has the same text
		}
		node := uint32(0)
		for i := range len(t) - 1 {
			if node = b.step(node, t[i]); node == 0 {
				break
			}
			left := b.leaf[node]
			if left < 0 || !utf8.RuneStart(t[i+1]) || !p.plain(left) {
				continue
			}
			if right, ok := b.ID(t[i+1:]); ok && p.plain(right) {
				list = append(list, found{left, right, ranks[id], id})
			}
		}
	}
	b.merges = newMergeTable(len(list))
	for _, m := range list {
		b.merges.set(m.left, m.right, m.rank, m.id)
	}
	return nil
}
