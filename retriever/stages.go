package retriever

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// staged searches and does with the hits what the options ask for, in this order: several questions are searched
// and joined, a reranker scores, age takes from the scores, low ones go, and those that say the same give way.
// Each stage sees more hits than are wanted in the end.
func (s *Store) staged(ctx context.Context, collection, query string, cfg searchConfig) ([]Hit, error) {
	if cfg.rerank == nil && cfg.decay == nil && cfg.diversity == 0 {
		return s.expanded(ctx, collection, query, cfg)
	}
	wide := cfg
	wide.minScore = 0
	switch {
	case cfg.rerank != nil:
		wide.k = cmp.Or(max(0, cfg.rerank.n), defaultRerank)
	case cfg.decay != nil:
		wide.k = pool
	default:
		wide.k = mmrPool
	}
	wide.k = min(max(wide.k, cfg.k), maxTopK)
	hits, err := s.expanded(ctx, collection, query, wide)
	if err != nil {
		return nil, err
	}
	if cfg.rerank != nil {
		err := rerank(ctx, cfg.rerank.by, query, hits)
		switch {
		case err == nil:
		case !cfg.rerank.ifItCan || ctx.Err() != nil:
			return nil, fmt.Errorf("rerank: %w", err)
		default:
			s.note(cfg, Note{"rerank", err})
		}
	}
	if cfg.decay != nil {
		cfg.decay.apply(hits)
	}
	hits = atLeast(hits, cfg.minScore)
	if cfg.diversity > 0 {
		return s.diverse(ctx, hits, cfg.diversity, cfg.k)
	}
	return hits[:min(cfg.k, len(hits))], nil
}

// sortHits orders by descending score; equal ones stay as they are.
func sortHits(hits []Hit) {
	slices.SortStableFunc(hits, func(a, b Hit) int { return cmp.Compare(b.Score, a.Score) })
}

// atLeast leaves out the hits below a score, unless it is 0.
func atLeast(hits []Hit, score float64) []Hit {
	if score == 0 {
		return hits
	}
	return slices.DeleteFunc(hits, func(h Hit) bool { return h.Score < score })
}

// atMost leaves out all but the first n hits of each document; 0 is no limit.
func atMost(hits []Hit, n int) []Hit {
	if n <= 0 {
		return hits
	}
	count := make(map[string]int)
	return slices.DeleteFunc(hits, func(h Hit) bool { count[h.Document.ID]++; return count[h.Document.ID] > n })
}
