package beir

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Gate is the least that a metric may be.
type Gate struct {
	Metric Metric
	Least  float64
}

// ParseGates reads gates such as "recall@5>=.85, citation_precision>=.9".
func ParseGates(text string) ([]Gate, error) {
	var gates []Gate
	for _, one := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(one, ">=")
		g := Gate{Metric: Metric(strings.TrimSpace(name))}
		var err error
		if g.Least, err = strconv.ParseFloat(strings.TrimSpace(value), 64); !ok || err != nil || !(g.Least >= 0 && g.Least <= 1) {
			return nil, fmt.Errorf("gate %q: want METRIC>=VALUE with a value from 0 to 1, such as recall@5>=.85", strings.TrimSpace(one))
		}
		if all := slices.Concat(RetrievalMetrics, AnswerMetrics); !slices.Contains(all, g.Metric) {
			return nil, fmt.Errorf("gate %q: there is no metric %q; there are %v", strings.TrimSpace(one), g.Metric, all)
		}
		gates = append(gates, g)
	}
	return gates, nil
}

// ErrGate: a report is below a gate.
var ErrGate = errors.New("below the gate")

// Check returns ErrGate, with each report that is below a gate, or that has no value to tell.
func (e *Evaluation) Check(gates []Gate) error {
	var below []error
	for _, r := range e.Reports {
		for _, g := range gates {
			got, ok := r.Metrics[g.Metric]
			switch {
			case !ok && slices.Contains(AnswerMetrics, g.Metric):
				below = append(below, fmt.Errorf("%w: %s, %s: %s was not measured; it takes --answers, and questions that it says something of", ErrGate, r.Set, r.Configuration, g.Metric))
			case !ok:
				below = append(below, fmt.Errorf("%w: %s, %s: %s was not measured; no question has a judgement", ErrGate, r.Set, r.Configuration, g.Metric))
			case got < g.Least:
				below = append(below, fmt.Errorf("%w: %s, %s: %s is %.4f, want %g", ErrGate, r.Set, r.Configuration, g.Metric, got, g.Least))
			}
		}
	}
	return errors.Join(below...)
}
