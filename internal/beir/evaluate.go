package beir

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"docent/chain"
	"docent/retriever"
)

// A Metric is a figure of merit, from 0 to 1, higher being better. It has a value for each query that it says
// something of, and for a set the mean of these.
type Metric string

// The metrics of retrieval have a value for each query with a judgement.
const (
	NDCG10   Metric = "ndcg@10"
	Recall5  Metric = "recall@5"
	Recall10 Metric = "recall@10"
	MRR10    Metric = "mrr@10"
)

// The metrics of answers. An answerable question is one that the set does not mark as unanswerable.
const (
	// Exact, F1 and Holds compare the answer to an answerable question with the expected ones, where the set
	// tells any: see ExactMatch, TokenF1 and Contains. They are 0 of a refusal.
	Exact Metric = "exact"
	F1    Metric = "f1"
	Holds Metric = "holds"
	// CitationPrecision is the share of the documents cited that are relevant, of an answer that cites any;
	// CitationRecall the share of the relevant documents that are cited. Both are of answerable questions with a
	// judgement.
	CitationPrecision Metric = "citation_precision"
	CitationRecall    Metric = "citation_recall"
	// RefusalPrecision is 1 for a refused question that is unanswerable, 0 for another refused one;
	// RefusalRecall 1 for an unanswerable question that is refused, 0 for another unanswerable one. Both are of sets
	// with unanswerable questions.
	RefusalPrecision Metric = "refusal_precision"
	RefusalRecall    Metric = "refusal_recall"
	// Answered is 1 for an answerable question that is not refused.
	Answered Metric = "answered"
)

// RetrievalMetrics and AnswerMetrics list all there are, in the order in which people are shown them.
var (
	RetrievalMetrics = []Metric{NDCG10, Recall5, Recall10, MRR10}
	AnswerMetrics    = []Metric{Exact, F1, Holds, CitationPrecision, CitationRecall, Answered, RefusalPrecision, RefusalRecall}
)

// A Report is what was measured of a set in one configuration.
type Report struct {
	Set           string             `json:"set"`
	Configuration string             `json:"configuration"`
	Encoder       string             `json:"encoder"`
	Documents     int                `json:"documents"`
	Chunks        int                `json:"chunks"`
	Judged        int                `json:"judged"`         // queries that retrieval was measured with
	Answered      int                `json:"answered"`       // questions that were put to the answerer
	Metrics       map[Metric]float64 `json:"metrics"`        // those that some query has a value of
	QPS           float64            `json:"qps"`            // searches, one after the other
	P50           float64            `json:"latency_p50_ms"` // of a search, the query's embedding included
	P99           float64            `json:"latency_p99_ms"`
	AnswerP50     float64            `json:"answer_p50_ms,omitempty"` // the search for it included
	Results       []Result           `json:"results"`
}

// A Result is what was measured with one query.
type Result struct {
	ID       string             `json:"id"`
	Question string             `json:"question"`
	Metrics  map[Metric]float64 `json:"metrics"`
	Relevant []Rank             `json:"relevant,omitempty"` // the best graded first, then by id
	Answer   *Answer            `json:"answer,omitempty"`
}

// A Rank says where a relevant document was found.
type Rank struct {
	Document string `json:"document"`
	Grade    int    `json:"grade"`
	Rank     int    `json:"rank"` // from 1; 0 when it is not among the first 10
}

// An Answer is what was answered, and what should have been.
type Answer struct {
	Text         string   `json:"text"` // without the marks of its citations
	Refused      bool     `json:"refused"`
	Cited        []string `json:"cited"` // documents, each once
	Expected     []string `json:"expected"`
	Unanswerable bool     `json:"unanswerable"`
}

// Options says how to evaluate.
type Options struct {
	Search   []retriever.SearchOption // how to search; what bounds the hits is settled
	Ask      AskFunc                  // answers the questions of a set that has answers; nil leaves them out
	Progress func(done, total int)    // of the queries; nil for none
}

// AskFunc answers a question from the documents.
type AskFunc func(ctx context.Context, question string) (*chain.Answer, error)

// depth is the rank up to which documents are looked at.
const depth = 10

// Evaluate searches the collection for each judged query, and asks each question that has an answer. A
// document's rank is that of its best chunk. When ctx ends, the report is of the queries until then, and
// comes with the error.
func (d *Dataset) Evaluate(ctx context.Context, store *retriever.Store, collection string, o Options) (Report, error) {
	r := Report{Set: d.Name, Documents: len(d.Documents)}
	opts := append(slices.Clone(o.Search), retriever.TopK(depth), retriever.PerDocument(1))
	asked := func(q Query) bool { return o.Ask != nil && q.Expected != nil }
	queries := slices.DeleteFunc(slices.Clone(d.Queries), func(q Query) bool { return len(q.Relevant) == 0 && !asked(q) })
	if len(queries) == 0 {
		return r, fmt.Errorf("%s: no query has a judgement", d.Name)
	}
	// The first search loads the collection; it is not part of the figures.
	if _, err := store.Search(ctx, collection, queries[0].Text, opts...); err != nil {
		return r, err
	}
	unanswerable := slices.ContainsFunc(queries, func(q Query) bool { return q.Expected != nil && q.Expected.Unanswerable })
	var searches, answers []time.Duration
	var err error
	for i, q := range queries {
		result := Result{ID: q.ID, Question: q.Text, Metrics: make(map[Metric]float64)}
		if len(q.Relevant) > 0 {
			began := time.Now()
			var hits []retriever.Hit
			if hits, err = store.Search(ctx, collection, q.Text, opts...); err != nil {
				break
			}
			searches = append(searches, time.Since(began))
			result.rank(hits, q.Relevant)
		}
		if asked(q) {
			began := time.Now()
			var answer *chain.Answer
			if answer, err = o.Ask(ctx, q.Text); err != nil {
				break
			}
			answers = append(answers, time.Since(began))
			result.judge(answer, q, unanswerable)
		}
		r.Results = append(r.Results, result)
		if o.Progress != nil {
			o.Progress(i+1, len(queries))
		}
	}
	r.summarise()
	if len(searches) > 0 {
		var all time.Duration
		for _, t := range searches {
			all += t
		}
		r.QPS = float64(len(searches)) / all.Seconds()
		r.P50, r.P99 = percentile(searches, 0.50), percentile(searches, 0.99)
	}
	if len(answers) > 0 {
		r.AnswerP50 = percentile(answers, 0.50)
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%s: query %s: %w", d.Name, queries[len(r.Results)].ID, err)
	}
	return r, err
}

// summarise counts the results and sets the metrics to the means of theirs.
func (r *Report) summarise() {
	r.Metrics = make(map[Metric]float64)
	for _, q := range r.Results {
		if len(q.Relevant) > 0 {
			r.Judged++
		}
		if q.Answer != nil {
			r.Answered++
		}
	}
	for _, m := range slices.Concat(RetrievalMetrics, AnswerMetrics) {
		if values := r.values(m); len(values) > 0 {
			r.Metrics[m] = mean(values)
		}
	}
}

// values are those of a metric, of the queries that have one.
func (r *Report) values(m Metric) []float64 {
	var all []float64
	for _, q := range r.Results {
		if v, ok := q.Metrics[m]; ok {
			all = append(all, v)
		}
	}
	return all
}

// rank fills in what the hits are worth.
func (r *Result) rank(hits []retriever.Hit, relevant map[string]int) {
	found := make([]string, len(hits))
	for i, h := range hits {
		found[i] = h.Document.Path
	}
	found = distinct(found, depth)
	for id, grade := range relevant {
		r.Relevant = append(r.Relevant, Rank{Document: id, Grade: grade, Rank: slices.Index(found, id) + 1})
	}
	slices.SortFunc(r.Relevant, func(a, b Rank) int {
		return cmp.Or(cmp.Compare(b.Grade, a.Grade), cmp.Compare(a.Document, b.Document))
	})
	r.Metrics[NDCG10] = NDCG(found, relevant, 10)
	r.Metrics[Recall5] = Recall(found, relevant, 5)
	r.Metrics[Recall10] = Recall(found, relevant, 10)
	r.Metrics[MRR10] = ReciprocalRank(found, relevant, 10)
}

// percentile returns, in milliseconds, the smallest time that the share p of the times does not exceed.
func percentile(times []time.Duration, p float64) float64 {
	sorted := slices.Sorted(slices.Values(times))
	at := int(math.Ceil(p*float64(len(sorted)))) - 1
	return float64(sorted[max(at, 0)]) / float64(time.Millisecond)
}
