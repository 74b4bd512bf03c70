package tokenizer

import (
	"errors"
	"fmt"
)

// maxVocab bounds the ids and maxVocabBytes the text of a vocabulary: the largest in use have some
// 300,000 entries and 5 MB.
const (
	maxVocab      = 1 << 22
	maxVocabBytes = 1 << 26
)

// vocab holds the entries of a vocabulary by id, and a trie over their bytes that finds an entry or
// the longest entry at the start of a text.
//
// The trie is one hash table of edges, open-addressed: a step costs one probe, and building it costs
// one insert a byte, about 10 ms for 30,000 entries.
type vocab struct {
	tokens []string
	edges  []edge // power of two; a zero node is a free slot, as no edge leads to the root
	shift  uint
	leaf   []int32 // by node: the id that ends there, or -1
	used   int
}

type edge struct{ key, node uint32 } // key is from<<8 | byte

// newVocab builds a vocabulary from entries by id. An empty entry is an id without text. Where two
// ids share an entry, the later wins.
func newVocab(tokens []string) (*vocab, error) {
	total := 0
	for _, t := range tokens {
		total += len(t)
	}
	switch {
	case len(tokens) == 0:
		return nil, errors.New("vocabulary is empty")
	case len(tokens) > maxVocab:
		return nil, fmt.Errorf("vocabulary has %d entries, at most %d are supported", len(tokens), maxVocab)
	case total > maxVocabBytes:
		return nil, fmt.Errorf("vocabulary has %d bytes of text, at most %d are supported", total, maxVocabBytes)
	}
	v := &vocab{tokens: tokens, leaf: make([]int32, 1, total/2+1)}
	v.leaf[0] = -1
	v.resize(16)
	for id, t := range tokens {
		if t != "" {
			if err := v.insert(t, int32(id)); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func (v *vocab) resize(bits uint) {
	old := v.edges
	v.edges, v.shift = make([]edge, 1<<bits), 32-bits
	for _, e := range old {
		if e.node != 0 {
			*v.slot(e.key) = e
		}
	}
}

// slot is the edge of the key, or the free slot where it belongs.
func (v *vocab) slot(key uint32) *edge {
	mask := uint32(len(v.edges) - 1)
	for i := key * 0x9E3779B1 >> v.shift; ; i = (i + 1) & mask {
		if e := &v.edges[i&mask]; e.key == key || e.node == 0 {
			return e
		}
	}
}

// step follows the edge labelled b from node, to 0 when there is none.
func (v *vocab) step(node uint32, b byte) uint32 {
	key := node<<8 | uint32(b)
	mask := uint32(len(v.edges) - 1)
	for i := key * 0x9E3779B1 >> v.shift; ; i = (i + 1) & mask {
		e := v.edges[i&mask]
		if e.node == 0 || e.key == key {
			return e.node
		}
	}
}

func (v *vocab) insert(token string, id int32) error {
	node := uint32(0)
	for i := range len(token) {
		e := v.slot(node<<8 | uint32(token[i]))
		if e.node == 0 {
			if len(v.leaf) >= 1<<24 {
				return errors.New("vocabulary is too varied: over 16 million distinct prefixes")
			}
			*e = edge{node<<8 | uint32(token[i]), uint32(len(v.leaf))}
			node = e.node
			v.leaf = append(v.leaf, -1)
			if v.used++; v.used*2 > len(v.edges) {
				v.resize(32 - v.shift + 1)
			}
		} else {
			node = e.node
		}
	}
	v.leaf[node] = id
	return nil
}

// walk is the node that s leads to from the root; ok is false when no entry starts with s.
func (v *vocab) walk(s string) (node uint32, ok bool) {
	for i := range len(s) {
		if node = v.step(node, s[i]); node == 0 {
			return 0, false
		}
	}
	return node, true
}

func (v *vocab) Size() int { return len(v.tokens) }

func (v *vocab) Token(id int32) string {
	if id < 0 || int(id) >= len(v.tokens) {
		return ""
	}
	return v.tokens[id]
}

func (v *vocab) ID(token string) (int32, bool) {
	node, ok := v.walk(token)
	if !ok || v.leaf[node] < 0 {
		return 0, false
	}
	return v.leaf[node], true
}
