package grammar

import (
	"bytes"
	"cmp"
	"slices"
)

// A Vocabulary is what a model's tokens say, sorted so that those with a common start are looked at once.
// It is safe for concurrent use.
type Vocabulary struct {
	pieces [][]byte
	ends   []int32
	isEnd  map[int32]bool
	texts  []text  // different ones, sorted
	ids    []int32 // in the order of texts
	tree   []branch
	depth  int
}

// text is what one or more tokens say.
type text struct {
	piece  []byte
	lo, hi int32 // of ids
}

// branch is a node of the texts' tree, in the order of a walk from the root. Each has a text, or branches
// below it that have.
type branch struct {
	text  int32 // -1: none ends here
	first int32 // text at or below it
	last  int32 // and behind the last
	skip  int32 // the first branch that is not below it
	depth int32 // 1 for a first byte
	b     byte
}

// NewVocabulary takes what each token adds to a text, nil for tokens that stand for no text, and the
// tokens that end an answer. It keeps the slices.
func NewVocabulary(pieces [][]byte, ends []int32) *Vocabulary {
	v := &Vocabulary{pieces: pieces, ends: ends, isEnd: map[int32]bool{}}
	for _, e := range ends {
		v.isEnd[e] = true
	}
	for id, p := range pieces {
		if len(p) > 0 && !v.isEnd[int32(id)] {
			v.ids = append(v.ids, int32(id))
		}
	}
	slices.SortFunc(v.ids, func(a, b int32) int { return cmp.Or(bytes.Compare(pieces[a], pieces[b]), cmp.Compare(a, b)) })
	var path []int32 // the branches that lead to the last text
	for i := 0; i < len(v.ids); {
		p, lo := pieces[v.ids[i]], i
		for i < len(v.ids) && bytes.Equal(pieces[v.ids[i]], p) {
			i++
		}
		t := int32(len(v.texts))
		v.texts = append(v.texts, text{p, int32(lo), int32(i)})
		common := 0
		for common < len(path) && common < len(p) && v.tree[path[common]].b == p[common] {
			common++
		}
		v.leave(path[common:], t)
		path = path[:common]
		for d := common; d < len(p); d++ {
			path = append(path, int32(len(v.tree)))
			v.tree = append(v.tree, branch{text: -1, first: t, depth: int32(d + 1), b: p[d]})
		}
		v.tree[path[len(p)-1]].text = t
		v.depth = max(v.depth, len(p))
	}
	v.leave(path, int32(len(v.texts)))
	return v
}

func (v *Vocabulary) leave(path []int32, last int32) {
	for _, n := range path {
		v.tree[n].skip, v.tree[n].last = int32(len(v.tree)), last
	}
}

// Piece is what a token adds to a text; nil for one that stands for no text.
func (v *Vocabulary) Piece(id int32) []byte { return v.pieces[id] }

// Size is the number of tokens.
func (v *Vocabulary) Size() int { return len(v.pieces) }
