package retriever

import (
	"context"
	"fmt"
	"slices"
)

// A Reranker scores how well passages answer a query, one score for each, in order, higher for better.
// *embed.CrossEncoder is one. It must be safe for concurrent use.
type Reranker interface {
	Score(ctx context.Context, query string, passages []string) ([]float32, error)
}

// defaultRerank is how many hits Rerank looks at: what a cross-encoder of BERT's size reads in about a
// second on two cores.
const defaultRerank = 30

type reranking struct {
	by Reranker
	n  int
}

// Rerank puts the best n hits of the search in the order of r's scores, which become their Score; the
// ranks and scores of the search itself stay as they are. It looks at no fewer than TopK asks for, and
// at 30 when n is 0; PerDocument limits what it looks at, MinScore applies to r's scores. A nil r
// changes nothing.
func Rerank(r Reranker, n int) SearchOption {
	return func(c *searchConfig) {
		c.rerank = nil
		if r != nil {
			c.rerank = &reranking{r, n}
		}
	}
}

// reranked searches for more than is wanted and lets the reranker choose.
func (s *Store) reranked(ctx context.Context, collection, query string, cfg searchConfig) ([]Hit, error) {
	wide, by, n := cfg, cfg.rerank.by, cfg.rerank.n
	if n <= 0 {
		n = defaultRerank
	}
	wide.rerank, wide.minScore, wide.k = nil, 0, min(max(n, cfg.k), maxTopK)
	hits, err := s.candidates(ctx, collection, query, wide)
	if err != nil || len(hits) == 0 {
		return hits, err
	}
	passages := make([]string, len(hits))
	for i, h := range hits {
		passages[i] = h.Chunk.IndexText()
	}
	scores, err := by.Score(ctx, query, passages)
	if err != nil {
		return nil, fmt.Errorf("rerank: %w", err)
	}
	if len(scores) != len(hits) {
		return nil, fmt.Errorf("rerank: %d scores for %d passages", len(scores), len(hits))
	}
	for i := range hits {
		if scores[i]-scores[i] != 0 {
			return nil, fmt.Errorf("rerank: the score of passage %d is %v", i, scores[i])
		}
		hits[i].Score = float64(scores[i])
	}
	slices.SortStableFunc(hits, func(a, b Hit) int {
		switch {
		case a.Score > b.Score:
			return -1
		case a.Score < b.Score:
			return 1
		}
		return 0
	})
	if cfg.minScore != 0 {
		hits = slices.DeleteFunc(hits, func(h Hit) bool { return h.Score < cfg.minScore })
	}
	return hits[:min(cfg.k, len(hits))], nil
}
