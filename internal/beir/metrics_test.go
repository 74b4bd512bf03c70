package beir_test

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"docent/internal/beir"
)

// golden is what scripts/golden_metrics.py wrote.
type golden struct {
	Rankings []struct {
		Found    []string       `json:"found"`
		Relevant map[string]int `json:"relevant"`
		NDCG10   float64        `json:"ndcg@10"`
		Recall5  float64        `json:"recall@5"`
		Recall10 float64        `json:"recall@10"`
		MRR10    float64        `json:"mrr@10"`
	} `json:"rankings"`
	Answers []struct {
		Answer   string   `json:"answer"`
		Expected []string `json:"expected"`
		Exact    bool     `json:"exact"`
		F1       float64  `json:"f1"`
	} `json:"answers"`
	Bootstraps []struct {
		Name   string    `json:"name"`
		Values []float64 `json:"values"`
		beir.Estimate
	} `json:"bootstraps"`
}

func readGolden(t *testing.T) (g golden) {
	t.Helper()
	data, err := os.ReadFile("testdata/golden.json")
	if err == nil {
		err = json.Unmarshal(data, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestRankingsAsTrecEval(t *testing.T) {
	repeated := 0
	for i, c := range readGolden(t).Rankings {
		seen := map[string]bool{}
		for _, id := range c.Found {
			if seen[id] && c.Relevant[id] > 0 {
				repeated++
			}
			seen[id] = true
		}
		for _, m := range []struct {
			name      string
			got, want float64
		}{
			{"nDCG@10", beir.NDCG(c.Found, c.Relevant, 10), c.NDCG10},
			{"Recall@5", beir.Recall(c.Found, c.Relevant, 5), c.Recall5},
			{"Recall@10", beir.Recall(c.Found, c.Relevant, 10), c.Recall10},
			{"MRR@10", beir.ReciprocalRank(c.Found, c.Relevant, 10), c.MRR10},
		} {
			if math.Abs(m.got-m.want) > 1e-9 {
				t.Errorf("ranking %d: %s is %v, trec_eval has %v\nfound %v\nrelevant %v", i, m.name, m.got, m.want, c.Found, c.Relevant)
			}
		}
	}
	if repeated == 0 {
		t.Error("no ranking has a relevant document twice")
	}
}

func TestNothingFoundOrRelevant(t *testing.T) {
	relevant := map[string]int{"a": 1}
	if beir.NDCG(nil, relevant, 10) != 0 || beir.NDCG([]string{"a"}, nil, 10) != 0 || beir.Recall([]string{"a"}, nil, 5) != 0 || beir.ReciprocalRank(nil, relevant, 10) != 0 {
		t.Error("not 0")
	}
}

func TestAnswersAsSQuAD(t *testing.T) {
	for _, c := range readGolden(t).Answers {
		if got := beir.ExactMatch(c.Answer, c.Expected); got != c.Exact {
			t.Errorf("%q against %q: exact match is %v, SQuAD's script has %v", c.Answer, c.Expected, got, c.Exact)
		}
		if got := beir.TokenF1(c.Answer, c.Expected); math.Abs(got-c.F1) > 1e-6 {
			t.Errorf("%q against %q: F1 is %v, SQuAD's script has %v", c.Answer, c.Expected, got, c.F1)
		}
	}
}

func TestContains(t *testing.T) {
	for _, c := range []struct {
		answer, expected string
		want             bool
	}{
		{"It was won by the Denver Broncos, in 2016.", "Denver Broncos", true},
		{"It was won by Denver's Broncos.", "Denver Broncos", false},
		{"It cost 120 dollars.", "12", false},
		{"印歐語系因為《梵語》而被發現。", "梵語", true},
		{"Anything.", "", false},
		{"", "gold", false},
	} {
		if got := beir.Contains(c.answer, []string{"none of this", c.expected}); got != c.want {
			t.Errorf("%q within %q: %v", c.expected, c.answer, got)
		}
	}
}

func TestBootstrapAsSciPy(t *testing.T) {
	for _, c := range readGolden(t).Bootstraps {
		t.Run(c.Name, func(t *testing.T) {
			got := beir.Bootstrap(c.Values)
			if math.Abs(got.Mean-c.Mean) > 1e-12 {
				t.Errorf("mean %v, want %v", got.Mean, c.Mean)
			}
			// Ten thousand resamples leave p uncertain by sqrt(p(1-p)/10000), and the ends of the interval by
			// about three times the standard error of the mean over 100.
			if allowed := 4*math.Sqrt(c.P*(1-c.P)/10000) + 2e-4; math.Abs(got.P-c.P) > allowed {
				t.Errorf("p %v, want %v ± %v", got.P, c.P, allowed)
			}
			allowed := 4 * 0.03 * (c.High - c.Low) / 3.92
			if len(c.Values) < 10 {
				allowed = 0.1 * (c.High - c.Low) // few different means, far apart
			}
			if math.Abs(got.Low-c.Low) > allowed || math.Abs(got.High-c.High) > allowed {
				t.Errorf("from %v to %v, want from %v to %v, each ± %v", got.Low, got.High, c.Low, c.High, allowed)
			}
			if again := beir.Bootstrap(c.Values); again != got {
				t.Errorf("a second time it is %v", again)
			}
		})
	}
}

// TestBootstrapOfSets compares several sets with the closed form: the variance of the mean of the means is
// the sum of those of the sets' means, over the square of their number.
func TestBootstrapOfSets(t *testing.T) {
	sets := make([][]float64, 3)
	var want, variance float64
	for i, n := range []int{100, 400, 1600} {
		for j := range n {
			sets[i] = append(sets[i], float64(i)/10+math.Sin(float64(j)))
		}
		var sum, square float64
		for _, v := range sets[i] {
			sum, square = sum+v, square+v*v
		}
		m := sum / float64(n)
		want += m / 3
		variance += (square/float64(n) - m*m) / float64(n) / 9
	}
	got := beir.Bootstrap(append(sets, nil)...)
	half := 1.96 * math.Sqrt(variance)
	if math.Abs(got.Mean-want) > 1e-12 || math.Abs(got.Low-(want-half)) > 0.1*half || math.Abs(got.High-(want+half)) > 0.1*half {
		t.Errorf("%+v, want %v ± %v", got, want, half)
	}
	if none := beir.Bootstrap(nil, nil); none != (beir.Estimate{P: 1}) {
		t.Errorf("of nothing: %+v", none)
	}
}

// FuzzAnswers checks what must be so of any text.
func FuzzAnswers(f *testing.F) {
	f.Add("the Denver Broncos", "Denver")
	f.Add("《蘇達爾摩》GitHub", "蘇達 an a")
	f.Fuzz(func(t *testing.T, a, b string) {
		if f1 := beir.TokenF1(a, []string{b}); f1 < 0 || f1 > 1 || f1 != beir.TokenF1(b, []string{a}) {
			t.Errorf("F1 %v", f1)
		}
		if !beir.ExactMatch(a, []string{a}) || beir.TokenF1(a, []string{a}) != 1 {
			t.Error("text does not match itself")
		}
		if beir.ExactMatch(a, []string{b}) && strings.TrimSpace(b) != "" && beir.TokenF1(a, []string{b}) != 1 {
			t.Error("a match whose F1 is not 1")
		}
	})
}
