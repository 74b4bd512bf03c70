package retriever

import (
	"context"
	"errors"
	"time"
)

// Settings say how a collection is searched: which parts take part, and how. They are stored with it, and
// package ingest describes each to people by its tags. The zero value searches as a Search without options does.
type Settings struct {
	Mode        string `json:"mode" values:"hybrid,dense,keyword" default:"hybrid" documents:"same" help:"Search by meaning and words, by meaning alone (dense), or by words alone (keyword)."`
	Fusion      string `json:"fusion" values:"score,scaled,rank" default:"score" documents:"same" help:"How hybrid search joins meaning and words: by their scores, by scores scaled to the same range (for encoders whose cosines all lie close together), or by reciprocal rank."`
	DenseShare  int    `json:"dense_share" min:"0" max:"100" documents:"same" help:"The weight of meaning in a hybrid score, in percent, where scores are joined; 0 means 70, and 60 when they are scaled."`
	Hops        int    `json:"hops" min:"0" max:"4" documents:"same" help:"Search up to this often, each time for what the best passages name: for questions that need several passages. 0: twice where that costs little, in collections of up to 20,000 chunks."`
	Queries     int    `json:"queries" min:"0" max:"8" documents:"same" help:"So many questions of the language model are searched besides the one that is asked: it in other words, or its parts."`
	HyDE        bool   `json:"hyde" documents:"same" help:"Search by meaning for what is like a passage that the language model makes up as an answer."`
	Rerank      string `json:"rerank" values:"auto,off,cross-encoder,model" default:"auto" documents:"same" help:"What puts the best hits in order: a cross-encoder, the language model, or nothing; auto: a cross-encoder where one is configured."`
	RerankTop   int    `json:"rerank_top" min:"0" max:"1000" documents:"same" help:"How many hits the reranker looks at; 0 means 30."`
	PerDocument int    `json:"per_document" min:"0" max:"1000" documents:"same" help:"The most passages of one document; 0 means no limit."`
	Diversity   int    `json:"diversity" min:"0" max:"100" documents:"same" help:"How much passages that repeat a better one give way to others, in percent; 0 means not at all, 30 is a good deal."`
	HalfLife    int    `json:"half_life" min:"0" max:"100000" documents:"same" help:"After so many days a document counts half; 0 means that age does not matter."`
	DateField   string `json:"date_field" default:"updated" documents:"same" help:"What the age is counted from: updated, added, or a key of the metadata with a date."`
	Neighbours  int    `json:"neighbours" min:"0" max:"20" documents:"same" help:"How many chunks more on each side of a hit are read with it."`
}

// Parts are what settings can name and a program has to provide. The zero value has none.
type Parts struct {
	// Questions returns what asks a language model for n questions; nil means that there is no model.
	Questions func(n int) QuestionsFunc
	// Hypothesis asks a language model for a passage; nil means that there is no model.
	Hypothesis HypothesisFunc
	// Judge is a language model as a reranker; nil means that there is no model. When it fails, hits stay as they are.
	Judge Reranker
	// CrossEncoder returns the reranker, which may be loaded at the first call; nil means that there is none.
	CrossEncoder func() (Reranker, error)
}

// ErrNoReranker: a reranker is asked for and none is configured.
var ErrNoReranker = errors.New("no reranker is configured")

// Options are the search that the settings describe, of the parts that there are. A part that is asked for and
// not there is left out, and told to OnNote. The error is that of a part that cannot be loaded.
func (s Settings) Options(parts Parts) ([]SearchOption, error) {
	opts := []SearchOption{
		WithMode(Mode(s.Mode)), WithFusion(Fusion(s.Fusion)), DenseShare(float64(s.DenseShare) / 100), Hops(s.Hops),
		PerDocument(s.PerDocument), Neighbours(s.Neighbours), Diversity(float64(s.Diversity) / 100),
		Decay(time.Duration(s.HalfLife)*24*time.Hour, s.DateField),
	}
	// What is not there is told in the same way as what fails.
	var questions QuestionsFunc
	if s.Queries > 0 {
		questions = func(context.Context, string) ([]string, error) { return nil, ErrNoModel }
		if parts.Questions != nil {
			questions = parts.Questions(s.Queries)
		}
	}
	hypothesis := parts.Hypothesis
	switch {
	case !s.HyDE:
		hypothesis = nil
	case hypothesis == nil:
		hypothesis = func(context.Context, string) (string, error) { return "", ErrNoModel }
	}
	opts = append(opts, MultiQuery(questions), HyDE(hypothesis))
	switch {
	case s.Rerank == "off":
		return append(opts, Rerank(nil, 0)), nil
	case s.Rerank == "model" && parts.Judge == nil:
		return append(opts, Rerank(nil, 0), without(Note{"rerank", ErrNoModel})), nil
	case s.Rerank == "model":
		return append(opts, Rerank(parts.Judge, s.RerankTop), rerankIfItCan), nil
	case parts.CrossEncoder != nil:
		r, err := parts.CrossEncoder()
		if err != nil {
			return nil, err
		}
		return append(opts, Rerank(r, s.RerankTop)), nil
	case s.Rerank == "cross-encoder":
		return append(opts, Rerank(nil, 0), without(Note{"rerank", ErrNoReranker})), nil
	}
	return append(opts, Rerank(nil, 0)), nil
}
