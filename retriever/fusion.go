package retriever

import (
	"cmp"
	"context"
	"math"
	"slices"
	"unicode"
)

// A Fusion is a way of joining the ranking by meaning and the ranking by words into one.
type Fusion string

const (
	// ScoreFusion adds both scores, weighted: the better of the two on every English collection measured
	// (docs/decisions/0002-store.md). It is what an empty Fusion means.
	ScoreFusion Fusion = "score"
	// ScaledFusion is ScoreFusion with the cosines of each search's candidates scaled so that the least is 0 and the
	// greatest 1. It is the same for cosines that lie in any range, as those of some encoders do above .7, and
	// about as good as ScoreFusion on the sets measured.
	ScaledFusion Fusion = "scaled"
	// RankFusion adds 1/(60+rank) of both (reciprocal rank fusion: Cormack, Clarke and Büttcher 2009). It
	// asks nothing of the scores.
	RankFusion Fusion = "rank"
)

// fuse joins what the words and the vectors find into one ranking.
func (s *Store) fuse(ctx context.Context, v view, q question, cfg searchConfig, n int) ([]candidate, error) {
	find := bothOf
	if p, ok := v.(pairedView); ok {
		find = func(ctx context.Context, _ view, q question, n int) ([]candidate, error) { return p.both(ctx, q, n) }
	}
	found, err := find(ctx, v, q, max(n, pool))
	if err != nil {
		return nil, err
	}
	voting := votes(s.asking[v.encoder()], q.text) || !slices.ContainsFunc(found, func(c candidate) bool { return c.kwRank > 0 })
	switch cfg.fusion {
	case RankFusion:
		addRanks(found, voting)
	case ScaledFusion:
		weigh(found, scale(found), cmp.Or(cfg.denseShare, scaledDenseShare), voting)
	default:
		weigh(found, func(cosine float64) float64 { return cosine }, cmp.Or(cfg.denseShare, defaultDenseShare), voting)
	}
	sortCandidates(found, func(c candidate) float64 { return c.score })
	return found[:min(n, len(found))], nil
}

// A pairedView finds by meaning and by words at one stroke.
type pairedView interface {
	// both returns the n chunks nearest to the question's vector and the n best by BM25, in no certain order, each
	// with both scores exactly and with the ranks of the searches that found it.
	both(ctx context.Context, q question, n int) ([]candidate, error)
}

// bothOf is both of any view.
func bothOf(ctx context.Context, v view, q question, n int) ([]candidate, error) {
	found, err := v.nearest(ctx, q, n)
	if err != nil {
		return nil, err
	}
	also := make([]int64, len(found))
	at := make(map[int64]int, 2*n)
	for i, c := range found {
		also[i], at[c.chunk] = c.chunk, i
	}
	byWord, words, err := v.byWords(ctx, q, n, also)
	if err != nil {
		return nil, err
	}
	for i := range found {
		found[i].keyword = words[i]
	}
	var others []int64
	for _, c := range byWord {
		if i, ok := at[c.chunk]; ok {
			found[i].kwRank = c.kwRank
			continue
		}
		found = append(found, c)
		others = append(others, c.chunk)
	}
	cosines, err := v.similarities(ctx, q, others)
	if err != nil {
		return nil, err
	}
	for i, cosine := range cosines {
		found[len(also)+i].dense = cosine
	}
	return found, nil
}

// DenseShare sets the weight of the cosine in a hybrid score with ScoreFusion or ScaledFusion, up to 1; the rest is the
// keyword score's. The default, and what 0 means, is .7, and .6 of ScaledFusion.
func DenseShare(share float64) SearchOption {
	return func(c *searchConfig) { c.denseShare = min(max(share, 0), 1) }
}

// Between .65 and .8 hybrid search is better than both its parts on every English set measured
// (docs/decisions/0002-store.md).
const (
	defaultDenseShare = 0.7
	scaledDenseShare  = 0.6
)

// scale returns a function that takes the cosines of the candidates to 0 to 1.
func scale(found []candidate) func(cosine float64) float64 {
	least, greatest := math.Inf(1), math.Inf(-1)
	for _, c := range found {
		least, greatest = min(least, c.dense), max(greatest, c.dense)
	}
	return func(cosine float64) float64 {
		if greatest <= least {
			return 0
		}
		return (cosine - least) / (greatest - least)
	}
}

// weigh sets the fused score, a convex combination of both scores (Bruch, Gai and Ingber 2023, "An
// Analysis of Fusion Functions for Hybrid Retrieval"): what meaning makes of the cosine, and the BM25 score as a
// share of the best of this search. Every candidate has both scores exactly, whichever search found it.
// When the encoder does not vote, its score only parts passages with equal words.
func weigh(found []candidate, meaning func(cosine float64) float64, share float64, votes bool) {
	var best float64
	for _, c := range found {
		best = max(best, c.keyword)
	}
	if !votes {
		share = 1e-6
	}
	for i := range found {
		c := &found[i]
		c.score = share * meaning(c.dense)
		if best > 0 {
			c.score += (1 - share) * c.keyword / best
		}
	}
}

// rankOffset is the k of reciprocal rank fusion in its paper; it keeps the first rank of one search from outweighing
// agreement.
const rankOffset = 60

// addRanks sets the fused score to the sum of the reciprocal ranks. As in weigh, an encoder that does not
// vote only parts passages of equal rank by words.
func addRanks(found []candidate, votes bool) {
	share := 1.0
	if !votes {
		share = 1e-6
	}
	for i := range found {
		c := &found[i]
		c.score = 0
		if c.denseRank > 0 {
			c.score += share / float64(rankOffset+c.denseRank)
		}
		if c.kwRank > 0 {
			c.score += 1 / float64(rankOffset+c.kwRank)
		}
	}
}

// votes says whether the encoder understands the language of the query.
func votes(encoder Encoder, query string) bool {
	languages := encoder.Languages()
	return len(languages) == 0 || slices.Contains(languages, language(query))
}

// language guesses the language of a query from its script: "zh" when Han characters carry it, "ja" or
// "ko" with kana or hangul, else "en", which stands for every other language.
func language(query string) string {
	var han, kana, hangul, words int
	inWord := false
	for _, r := range query {
		letter := false
		switch {
		case unicode.Is(unicode.Han, r):
			han++
		case unicode.In(r, unicode.Hiragana, unicode.Katakana):
			kana++
		case unicode.Is(unicode.Hangul, r):
			hangul++
		default:
			letter = unicode.IsLetter(r)
		}
		if letter && !inWord {
			words++
		}
		inWord = letter
	}
	// A word of Chinese is about two characters.
	switch {
	case kana > 0 && han+kana >= 2*words:
		return "ja"
	case hangul >= 2*words && hangul > 0:
		return "ko"
	case han >= 2*words && han > 0:
		return "zh"
	}
	return "en"
}

// sortCandidates orders by descending score, equal ones by ascending id, which is by age.
func sortCandidates(c []candidate, score func(candidate) float64) {
	slices.SortFunc(c, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(score(b), score(a)), cmp.Compare(a.chunk, b.chunk))
	})
}
