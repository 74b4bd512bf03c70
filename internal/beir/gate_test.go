package beir_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"docent/internal/beir"
)

func TestGates(t *testing.T) {
	for _, tc := range []struct {
		text string
		want []beir.Gate
		says string
	}{
		{"recall@5>=.85,citation_precision>=.9", []beir.Gate{{beir.Recall5, .85}, {beir.CitationPrecision, .9}}, ""},
		{" ndcg@10 >= 1 ", []beir.Gate{{beir.NDCG10, 1}}, ""},
		{"", nil, "want METRIC>=VALUE"},
		{"recall@5", nil, "want METRIC>=VALUE"},
		{"recall@5>=85", nil, "from 0 to 1"},
		{"recall@5>=NaN", nil, "from 0 to 1"},
		{"recall@7>=.5", nil, `no metric "recall@7"`},
	} {
		got, err := beir.ParseGates(tc.text)
		if diff := cmp.Diff(tc.want, got); diff != "" || (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%q: %v, want %q in it\n%s", tc.text, err, tc.says, diff)
		}
	}
	e := beir.Evaluation{Reports: []beir.Report{
		{Set: "one", Configuration: "defaults", Metrics: map[beir.Metric]float64{beir.Recall5: .9}},
		{Set: "two", Configuration: "defaults", Metrics: map[beir.Metric]float64{beir.Recall5: .8}},
	}}
	if err := e.Check([]beir.Gate{{beir.Recall5, .8}}); err != nil {
		t.Error(err)
	}
	err := e.Check([]beir.Gate{{beir.Recall5, .85}, {beir.F1, .1}})
	if !errors.Is(err, beir.ErrGate) {
		t.Fatal(err)
	}
	for _, says := range []string{"two, defaults: recall@5 is 0.8000, want 0.85", "one, defaults: f1 was not measured; it takes --answers"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%v: want %q in it", err, says)
		}
	}
}
