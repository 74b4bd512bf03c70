package beir

import (
	"fmt"
	"slices"
	"strings"

	"docent/chain"
)

// judge fills in what an answer to the query is worth, which is one with an expected answer.
// withUnanswerable says that some questions of the set should be refused.
func (r *Result) judge(answer *chain.Answer, q Query, withUnanswerable bool) {
	a := Answer{
		Text: plainAnswer(answer), Refused: answer.Declined, Cited: []string{},
		Expected: q.Expected.Answers, Unanswerable: q.Expected.Unanswerable,
	}
	for _, c := range answer.Citations {
		if !slices.Contains(a.Cited, c.Path) {
			a.Cited = append(a.Cited, c.Path)
		}
	}
	r.Answer = &a
	if a.Refused && withUnanswerable {
		r.Metrics[RefusalPrecision] = truth(a.Unanswerable)
	}
	if a.Unanswerable {
		r.Metrics[RefusalRecall] = truth(a.Refused)
		return
	}
	r.Metrics[Answered] = truth(!a.Refused)
	if len(a.Expected) > 0 { // a set may tell of some questions no more than that there is an answer
		text := a.Text
		if a.Refused {
			text = "" // the words of a refusal are no answer
		}
		r.Metrics[Exact] = truth(ExactMatch(text, a.Expected))
		r.Metrics[F1] = TokenF1(text, a.Expected)
		r.Metrics[Holds] = truth(holdsAll(text, q.Expected))
	}
	if len(q.Relevant) == 0 {
		return
	}
	right := 0
	for _, id := range a.Cited {
		if q.Relevant[id] > 0 {
			right++
		}
	}
	if len(a.Cited) > 0 {
		r.Metrics[CitationPrecision] = float64(right) / float64(len(a.Cited))
	}
	r.Metrics[CitationRecall] = float64(right) / float64(len(q.Relevant))
}

// holdsAll reports whether the answer has what a full one needs.
func holdsAll(text string, e *Expected) bool {
	if len(e.Groups) == 0 {
		return Contains(text, e.Answers)
	}
	return !slices.ContainsFunc(e.Groups, func(any []string) bool { return !Contains(text, any) })
}

// plainAnswer is the text of an answer without the marks of its citations.
func plainAnswer(a *chain.Answer) string {
	var marks []string
	for _, c := range a.Citations {
		mark := fmt.Sprintf("[%d]", c.N)
		marks = append(marks, " "+mark, "", mark, "")
	}
	return strings.TrimSpace(strings.NewReplacer(marks...).Replace(a.Text))
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
