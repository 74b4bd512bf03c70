package retriever

import (
	"context"
	"fmt"
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
	by      Reranker
	n       int
	ifItCan bool // hits stay as they are when it fails
}

// Rerank puts the best n hits of the search in the order of r's scores, which become their Score; the
// ranks and scores of the search itself stay as they are. It looks at no fewer than TopK asks for, and
// at 30 when n is 0; PerDocument limits what it looks at, MinScore applies to r's scores. A nil r
// changes nothing.
func Rerank(r Reranker, n int) SearchOption {
	return func(c *searchConfig) {
		c.rerank = nil
		if r != nil {
			c.rerank = &reranking{by: r, n: n}
		}
	}
}

// rerankIfItCan does without the reranker when it fails.
func rerankIfItCan(c *searchConfig) { c.rerank.ifItCan = true }

// rerank puts the hits in the order of the reranker's scores.
func rerank(ctx context.Context, by Reranker, query string, hits []Hit) error {
	if len(hits) == 0 {
		return nil
	}
	passages := make([]string, len(hits))
	for i, h := range hits {
		passages[i] = h.Chunk.IndexText()
	}
	scores, err := by.Score(ctx, query, passages)
	if err != nil {
		return err
	}
	if len(scores) != len(hits) {
		return fmt.Errorf("%d scores for %d passages", len(scores), len(hits))
	}
	for i, score := range scores {
		if score-score != 0 {
			return fmt.Errorf("the score of passage %d is %v", i, score)
		}
	}
	for i, score := range scores {
		hits[i].Score = float64(score)
	}
	sortHits(hits)
	return nil
}
