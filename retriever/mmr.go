package retriever

import (
	"context"
	"math"

	"docent/internal/prose"
)

// Diversity lets passages that repeat a better one give way to others: by maximal marginal relevance (Carbonell
// and Goldstein 1998), the next hit is always the one with the most of
//
//	(1-d) × its score − d × its greatest likeness to a hit before it
//
// with d from 0, the default, which changes nothing, to 1. The best 50 hits, or as many as TopK asks for, take
// part. Likeness is the cosine of their vectors, or of the counts of their words where the collection has none; a score
// counts as a share of the best one. Hits keep their Score, so that they need not be in its order.
func Diversity(d float64) SearchOption {
	return func(c *searchConfig) { c.diversity = min(max(d, 0), 1) }
}

// mmrPool is how many hits Diversity chooses from.
const mmrPool = 50

// diverse picks k of the hits, which are in the order of their scores.
func (s *Store) diverse(ctx context.Context, hits []Hit, d float64, k int) ([]Hit, error) {
	hits = hits[:min(len(hits), max(mmrPool, k))]
	likeness, err := s.likeness(ctx, hits)
	if err != nil || len(hits) == 0 {
		return hits, err
	}
	relevance := func(i int) float64 {
		if hits[0].Score <= 0 {
			return 0
		}
		return max(0, hits[i].Score) / hits[0].Score
	}
	picked := make([]Hit, 0, min(k, len(hits)))
	like := make([]float64, len(hits)) // of each hit, the greatest likeness to one that is picked
	taken := make([]bool, len(hits))
	for len(picked) < min(k, len(hits)) {
		next, most := -1, math.Inf(-1)
		for i := range hits {
			if taken[i] {
				continue
			}
			if m := (1-d)*relevance(i) - d*like[i]; m > most {
				next, most = i, m
			}
		}
		taken[next] = true
		picked = append(picked, hits[next])
		for i := range hits {
			if l := likeness(next, i); len(picked) == 1 || l > like[i] {
				like[i] = l
			}
		}
	}
	return picked, nil
}

// likeness returns a function that compares two of the hits, by their numbers, from -1 to 1 for the same.
func (s *Store) likeness(ctx context.Context, hits []Hit) (func(i, j int) float64, error) {
	ids := make([]int64, len(hits))
	for i, h := range hits {
		ids[i] = h.ChunkID
	}
	vectors, err := s.db.VectorsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	if len(vectors) == len(hits) {
		return func(i, j int) float64 {
			var dot float64
			b := vectors[ids[j]]
			for n, x := range vectors[ids[i]] {
				dot += float64(x) * float64(b[n])
			}
			return dot
		}, nil
	}
	counts := make([]map[string]float64, len(hits))
	lengths := make([]float64, len(hits))
	for i, h := range hits {
		counts[i] = make(map[string]float64)
		for _, t := range prose.Terms(h.Chunk.IndexText()) {
			counts[i][t]++
		}
		for _, n := range counts[i] {
			lengths[i] += n * n
		}
	}
	return func(i, j int) float64 {
		var dot float64
		for t, n := range counts[i] {
			dot += n * counts[j][t]
		}
		return dot / max(1, math.Sqrt(lengths[i]*lengths[j]))
	}, nil
}
