package tokenizer

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// unknownPenalty is how much worse than the worst entry an unknown character is (SentencePiece's
// kUnkPenalty).
const unknownPenalty = 10

// unigram is SentencePiece's language model over pieces: the cut of a word with the highest sum of
// scores, found by Viterbi's algorithm (Kudo 2018, section 3.1). Scores add up from left to right in
// float64 and the first of equal sums stays, as in Hugging Face's library.
type unigram struct {
	*vocab
	scores   []float64
	skip     []bool // by id: never the outcome of plain text
	unknown  int32  // -1 for none: then unknown characters need byte fallback
	fallback bool
	bytes    [256]int32
	worst    float64 // score of an unknown character
	near     *adjacency
	single   bool // sums are rounded to float32, as SentencePiece's are
}

// node is the best cut of the text up to a place.
type node struct {
	score float64
	start int32 // of the last piece; -1: no cut ends here
	id    int32 // -1: unknown
}

// rankByScore ranks ids by falling score, from 0; equal scores share a rank.
func rankByScore(scores []float32, ids []int32) []int32 {
	order := slices.Clone(ids)
	slices.SortStableFunc(order, func(a, b int32) int {
		switch x, y := scores[a], scores[b]; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	ranks := make([]int32, len(scores))
	rank := int32(0)
	for i, id := range order {
		if i > 0 && scores[id] != scores[order[i-1]] {
			rank = int32(i)
		}
		ranks[id] = rank
	}
	return ranks
}

type unigramParts struct {
	tokens       []string
	scores       []float64
	unknown      int32 // -1 for none
	byteFallback bool
	skip         func(id int32) bool
	worst        *float64 // lowest score, where not all tokens count for it; nil: of all tokens
}

func newUnigram(p unigramParts) (*unigram, error) {
	if len(p.scores) != len(p.tokens) {
		return nil, fmt.Errorf("%d scores for %d tokens", len(p.scores), len(p.tokens))
	}
	if p.unknown < -1 || int(p.unknown) >= len(p.tokens) {
		return nil, fmt.Errorf("unknown token has id %d in a vocabulary of %d", p.unknown, len(p.tokens))
	}
	v, err := newVocab(p.tokens)
	if err != nil {
		return nil, err
	}
	u := &unigram{vocab: v, scores: p.scores, unknown: p.unknown, skip: make([]bool, len(p.tokens)), worst: math.Inf(1)}
	for i, s := range p.scores {
		if len(p.tokens[i]) > 1<<12 {
			return nil, fmt.Errorf("token %d has %d bytes, at most %d are supported", i, len(p.tokens[i]), 1<<12)
		}
		if math.IsNaN(s) || math.IsInf(s, 0) {
			return nil, fmt.Errorf("token %q has score %v", p.tokens[i], s)
		}
		u.skip[i] = p.skip(int32(i))
		u.worst = min(u.worst, s)
	}
	if p.worst != nil {
		u.worst = *p.worst
	}
	u.worst -= unknownPenalty
	if p.byteFallback {
		u.fallback = true
		for i := range u.bytes {
			name := fmt.Sprintf("<0x%02X>", i)
			id, ok := u.ID(name)
			if !ok {
				return nil, fmt.Errorf("byte fallback: token %q is not in the vocabulary", name)
			}
			u.bytes[i] = id
		}
	}
	if p.unknown < 0 && !p.byteFallback {
		return nil, errors.New("there is neither an unknown token nor byte fallback")
	}
	u.near = newAdjacency(p.tokens, func(id int32) bool { return u.skip[id] })
	return u, nil
}

func (u *unigram) border(word string, i int) bool {
	left, _ := utf8.DecodeLastRuneInString(word[:i])
	right, _ := utf8.DecodeRuneInString(word[i:])
	return !u.near.has(left, right) && (u.near.known(left) || u.near.known(right))
}

// cut adds the cut of word to s.pieces. Its scores go on from s.base, and are left there.
func (u *unigram) cut(s *scratch, word string) {
	if cap(s.nodes) <= len(word) {
		s.nodes = make([]node, len(word)+len(word)/4+64)
	}
	nodes := s.nodes[:len(word)+1]
	for i := range nodes {
		nodes[i].start = -1
	}
	nodes[0].score = s.base
	for i := 0; i < len(word); {
		base, n := nodes[i].score, 1
		if word[i] >= utf8.RuneSelf {
			_, n = utf8.DecodeRuneInString(word[i:])
		}
		single := false
		state := uint32(0)
		for j := i; j < len(word); j++ {
			if state = u.step(state, word[j]); state == 0 {
				break
			}
			id := u.leaf[state]
			if id < 0 || u.skip[id] {
				continue
			}
			score := u.scores[id] + base
			if u.single {
				score = float64(float32(score))
			}
			if t := &nodes[j+1]; t.start < 0 || score > t.score {
				*t = node{score, int32(i), id}
			}
			single = single || j+1 == i+n
		}
		if !single {
			score := u.worst + base
			if u.single {
				score = float64(float32(score))
			}
			if t := &nodes[i+n]; t.start < 0 || score > t.score {
				*t = node{score, int32(i), -1}
			}
		}
		i += n
	}
	s.base = nodes[len(word)].score

	start := len(s.pieces)
	for end := int32(len(word)); end > 0; {
		t := nodes[end]
		if t.id >= 0 {
			s.pieces = append(s.pieces, piece{t.id, t.start, end})
			end = t.start
			continue
		}
		first := t.start // unknown characters in a row are one token
		for first > 0 && nodes[first].id < 0 {
			first = nodes[first].start
		}
		if u.fallback {
			for k := end - 1; k >= first; k-- {
				s.pieces = append(s.pieces, piece{u.bytes[word[k]], first, end})
			}
		} else {
			s.pieces = append(s.pieces, piece{u.unknown, first, end})
		}
		end = first
	}
	slices.Reverse(s.pieces[start:])
}
