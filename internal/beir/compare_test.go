package beir_test

import (
	"context"
	"errors"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"docent/chain"
	"docent/chunker"
	"docent/internal/beir"
	"docent/retriever"
)

// indexed is the small set with answers, in a store.
func indexed(t *testing.T) (*beir.Dataset, *retriever.Store) {
	t.Helper()
	dir := small(t)
	write(t, dir, map[string]string{"answers.jsonl": `{"_id":"q1","answers":["twenty days","20 days"]}
{"_id":"q2","answers":["oil","grease"],"answer_groups":[["oil"],["pumps","machines"]]}
{"_id":"q3","answers":[],"unanswerable":true}
{"_id":"unknown","answers":["x"]}
`})
	set, err := beir.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	store, err := retriever.Open(t.Context(), retriever.Config{Dir: filepath.Join(t.TempDir(), "store")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if _, err := store.CreateCollection(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	split, err := chunker.NewRecursive(nil, chunker.RecursiveConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Index(t.Context(), store, "c", split, nil); err != nil {
		t.Fatal(err)
	}
	return set, store
}

func TestAnswerMetrics(t *testing.T) {
	set, store := indexed(t)
	cite := func(n int, path string) chain.Citation { return chain.Citation{N: n, Path: path} }
	for _, c := range []struct {
		name    string
		answers map[string]*chain.Answer // by question
		want    map[string]map[beir.Metric]float64
	}{
		{
			"as they should be",
			map[string]*chain.Answer{
				"days of leave":  {Text: "20 days. [1]", Citations: []chain.Citation{cite(1, "1")}},
				"oil for a pump": {Text: "Pumps need oil [1][2].", Citations: []chain.Citation{cite(1, "2"), cite(2, "1"), cite(3, "2")}},
				"not judged":     {Text: "Not in the documents.", Declined: true},
			},
			map[string]map[beir.Metric]float64{
				"q1": {beir.Exact: 1, beir.F1: 1, beir.Holds: 1, beir.CitationPrecision: 1, beir.CitationRecall: 1, beir.Answered: 1},
				"q2": {beir.Exact: 0, beir.F1: 0.5, beir.Holds: 1, beir.CitationPrecision: 0.5, beir.CitationRecall: 1, beir.Answered: 1},
				"q3": {beir.RefusalPrecision: 1, beir.RefusalRecall: 1},
			},
		},
		{
			"the other way",
			map[string]*chain.Answer{
				"days of leave":  {Text: "Twenty days.", Declined: true},
				"oil for a pump": {Text: "Oil."},
				"not judged":     {Text: "Something [1]", Citations: []chain.Citation{cite(1, "1")}},
			},
			map[string]map[beir.Metric]float64{
				"q1": {beir.Exact: 0, beir.F1: 0, beir.Holds: 0, beir.CitationRecall: 0, beir.Answered: 0, beir.RefusalPrecision: 0},
				"q2": {beir.Exact: 1, beir.F1: 1, beir.Holds: 0, beir.CitationRecall: 0, beir.Answered: 1},
				"q3": {beir.RefusalRecall: 0},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := set.Evaluate(t.Context(), store, "c", beir.Options{Ask: func(_ context.Context, question string) (*chain.Answer, error) {
				return c.answers[question], nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			if r.Judged != 2 || r.Answered != 3 || len(r.Results) != 3 {
				t.Fatalf("%d judged, %d answered, %d results", r.Judged, r.Answered, len(r.Results))
			}
			for _, got := range r.Results {
				for _, m := range beir.RetrievalMetrics {
					delete(got.Metrics, m)
				}
				if !maps.Equal(got.Metrics, c.want[got.ID]) {
					t.Errorf("%s: %v, want %v", got.ID, got.Metrics, c.want[got.ID])
				}
			}
			if got := r.Metrics[beir.Holds]; got != (c.want["q1"][beir.Holds]+c.want["q2"][beir.Holds])/2 {
				t.Errorf("mean of holds: %v", got)
			}
		})
	}
}

// TestEvaluateUntilStopped cancels in the middle: what is done is reported.
func TestEvaluateUntilStopped(t *testing.T) {
	set, store := indexed(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := set.Evaluate(ctx, store, "c", beir.Options{Progress: func(done, total int) {
		if total != 2 {
			t.Errorf("of %d", total)
		}
		cancel()
	}})
	if !errors.Is(err, context.Canceled) || len(r.Results) != 1 || r.Metrics[beir.NDCG10] != 1 {
		t.Errorf("%v, %+v", err, r)
	}
	if _, err := set.Evaluate(t.Context(), store, "c", beir.Options{Ask: func(context.Context, string) (*chain.Answer, error) {
		return nil, errors.New("no model")
	}}); err == nil || !strings.Contains(err.Error(), "query q1: no model") {
		t.Errorf("a question that is not answered: %v", err)
	}
}

func TestSample(t *testing.T) {
	var d beir.Dataset
	for i := range 100 {
		q := beir.Query{ID: string(rune('a' + i))}
		if i%2 == 0 {
			q.Relevant = map[string]int{"d": 1}
		}
		d.Queries = append(d.Queries, q)
	}
	all := slices.Clone(d.Queries)
	d.Sample(0)
	if len(d.Queries) != 100 {
		t.Errorf("%d of all", len(d.Queries))
	}
	d.Sample(10)
	first := slices.Clone(d.Queries)
	if len(first) != 10 || !slices.IsSortedFunc(first, func(a, b beir.Query) int { return strings.Compare(a.ID, b.ID) }) {
		t.Errorf("%v", first)
	}
	for _, q := range first {
		if len(q.Relevant) == 0 {
			t.Errorf("%s is not judged", q.ID)
		}
	}
	d.Queries = all
	d.Sample(10)
	if !slices.EqualFunc(first, d.Queries, func(a, b beir.Query) bool { return a.ID == b.ID }) {
		t.Error("another time it is another sample")
	}
}

func TestCompare(t *testing.T) {
	report := func(set, configuration string, values map[string]float64) beir.Report {
		r := beir.Report{Set: set, Configuration: configuration}
		for _, id := range slices.Sorted(maps.Keys(values)) {
			r.Results = append(r.Results, beir.Result{ID: id, Metrics: map[beir.Metric]float64{beir.NDCG10: values[id], beir.MRR10: 1}})
		}
		return r
	}
	e := beir.Evaluation{
		Metric:         beir.NDCG10,
		Configurations: []beir.Configuration{{Name: "base"}, {Name: "new"}},
		Reports: []beir.Report{
			report("one", "base", map[string]float64{"a": 0.5, "b": 0.25, "c": 1, "gone": 1}),
			report("one", "new", map[string]float64{"a": 0.75, "b": 0.25, "c": 0.5, "fresh": 1}),
			report("two", "base", map[string]float64{"a": 0}),
			report("two", "new", map[string]float64{"a": 1}),
			report("cut off", "base", map[string]float64{"a": 1}),
		},
	}
	e.Compare()
	for i, want := range []beir.Difference{
		{Set: "one", Configuration: "new", Against: "base", Queries: 3, Better: 1, Same: 1, Worse: 1, Estimate: beir.Estimate{Mean: -0.25 / 3}},
		{Set: "two", Configuration: "new", Against: "base", Queries: 1, Better: 1, Estimate: beir.Estimate{Mean: 1, Low: 1, High: 1}},
		{Set: "", Configuration: "new", Against: "base", Queries: 4, Better: 2, Same: 1, Worse: 1, Estimate: beir.Estimate{Mean: (1 - 0.25/3) / 2}},
	} {
		got := e.Differences[i]
		if math.Abs(got.Mean-want.Mean) > 1e-12 || got.Low > got.Mean || got.High < got.Mean || got.P <= 0 || got.P > 1 {
			t.Errorf("%+v", got)
		}
		got.Estimate, want.Estimate = beir.Estimate{}, beir.Estimate{}
		if got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if len(e.Differences) != 3 {
		t.Errorf("%d differences", len(e.Differences))
	}
	gains, losses := e.Changes("new", 1)
	if len(gains) != 1 || gains[0].Set != "two" || gains[0].Difference != 1 || len(losses) != 1 || losses[0].Before.ID != "c" || losses[0].Difference != -0.5 {
		t.Errorf("gains %+v\nlosses %+v", gains, losses)
	}
	c := e.Chart()
	if !slices.Equal(c.Groups, []string{"one", "two", "cut off"}) || len(c.Series) != 2 || c.Series[0].Bars[0].Value != 2.75/4 || !math.IsNaN(c.Series[1].Bars[2].Value) {
		t.Errorf("%+v", c)
	}
	empty := beir.Evaluation{}
	if empty.Compare(); len(empty.Differences) != 0 {
		t.Errorf("of nothing: %+v", empty.Differences)
	}
}
