package retriever

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// A QuestionsFunc returns other questions that find what a question is about: it said otherwise, or its parts.
type QuestionsFunc func(ctx context.Context, question string) ([]string, error)

// MultiQuery searches the questions of f, up to 8, besides the question itself, and joins what they find by
// reciprocal rank, which then is the Score; scores and ranks of each hit are those of the first search that found
// it. It is for questions that say things in other words than the documents, or ask for several things. A nil f
// changes nothing; where f fails, the question alone is searched, and OnNote is told. chain.Questions makes an f of
// a language model.
func MultiQuery(f QuestionsFunc) SearchOption { return func(c *searchConfig) { c.questions = f } }

// A HypothesisFunc writes a passage that could answer a question.
type HypothesisFunc func(ctx context.Context, question string) (string, error)

// HyDE searches by meaning for what is like a passage that f makes up (hypothetical document embeddings: Gao et
// al. 2022): the mean of its vector and the question's is compared with those of the passages, as in equation 8 with
// one document. Words are searched for as they are asked. A nil f changes nothing; where f fails, the question
// itself is embedded, and OnNote is told. chain.Hypothesis makes an f of a language model.
func HyDE(f HypothesisFunc) SearchOption { return func(c *searchConfig) { c.hypothesise = f } }

// ErrNoModel: a part wants a language model and there is none.
var ErrNoModel = errors.New("there is no language model")

const maxQuestions = 8

// expanded searches for the question, and what the options make of it.
func (s *Store) expanded(ctx context.Context, collection, query string, cfg searchConfig) ([]Hit, error) {
	if strings.TrimSpace(query) == "" {
		return s.candidates(ctx, collection, query, cfg)
	}
	plain := cfg
	if cfg.hypothesise != nil && cfg.mode != Keyword {
		var err error
		if cfg.hypothesis, err = cfg.hypothesise(ctx, query); ctx.Err() != nil {
			return nil, ctx.Err()
		} else if err != nil {
			s.note(cfg, Note{"hyde", err})
		}
	}
	if cfg.questions == nil {
		return s.candidates(ctx, collection, query, cfg)
	}
	others, err := cfg.questions(ctx, query)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		s.note(cfg, Note{"queries", err})
		return s.candidates(ctx, collection, query, cfg)
	}
	var lists [][]Hit
	for i, q := range append([]string{query}, others[:min(len(others), maxQuestions)]...) {
		one := plain
		if i == 0 {
			one = cfg
		}
		one.minScore, one.k, one.neighbours = 0, max(cfg.k, defaultRerank), 0
		hits, err := s.candidates(ctx, collection, q, one)
		if err != nil {
			return nil, fmt.Errorf("question %q: %w", q, err)
		}
		lists = append(lists, hits)
	}
	hits := atMost(atLeast(joinRanks(lists), cfg.minScore), cfg.perDocument)
	return s.widen(ctx, s.db.Reader, hits[:min(cfg.k, len(hits))], cfg.neighbours)
}

// joinRanks joins rankings into one by reciprocal rank.
func joinRanks(lists [][]Hit) []Hit {
	type passage struct {
		document   string
		start, end int
	}
	at := make(map[passage]int)
	var all []Hit
	for _, hits := range lists {
		for rank, h := range hits {
			key := passage{h.Document.ID, h.Chunk.Start, h.Chunk.End} // small chunks that are read as one passage are one
			i, ok := at[key]
			if !ok {
				i = len(all)
				at[key] = i
				h.Score = 0
				all = append(all, h)
			}
			all[i].Score += 1 / float64(rankOffset+rank+1)
		}
	}
	sortHits(all)
	return all
}
