package beir

import (
	"cmp"
	"math"
	"slices"

	"docent/internal/chart"
)

// A Configuration is a way of indexing, searching and answering that is measured.
type Configuration struct {
	Name     string            `json:"name"`
	Settings map[string]string `json:"settings"` // what differs from the defaults, by key
}

// An Evaluation is what was measured of some sets in some configurations.
type Evaluation struct {
	Configurations []Configuration `json:"configurations"`
	Metric         Metric          `json:"metric"` // that the differences are of
	Interrupted    bool            `json:"interrupted"`
	Differences    []Difference    `json:"differences"` // set Compare
	Reports        []Report        `json:"reports"`     // by set, in the order of the configurations
}

// A Difference is that of a configuration to the first one, on the queries that both have a value of.
type Difference struct {
	Set           string `json:"set"` // empty: the mean of all sets, each counting as much
	Configuration string `json:"configuration"`
	Against       string `json:"against"`
	Queries       int    `json:"queries"`
	Estimate
	Better int `json:"better"` // queries that gain
	Same   int `json:"same"`
	Worse  int `json:"worse"`
}

// tie is how near two values of a query are the same: sums in another order differ in the last bits.
const tie = 1e-9

// Compare sets the differences of each configuration to the first, for each set and, where there are
// several, for the mean of those that the configuration has come to.
func (e *Evaluation) Compare() {
	e.Differences = []Difference{}
	bySet := make(map[string][][]float64) // by configuration
	for _, p := range e.pairs() {
		d := Difference{Set: p.after.Set, Configuration: p.after.Configuration, Against: p.before.Configuration}
		values := make([]float64, len(p.queries))
		for i, q := range p.queries {
			values[i] = q.Difference
		}
		d.count(values)
		d.Estimate = Bootstrap(values)
		e.Differences = append(e.Differences, d)
		bySet[d.Configuration] = append(bySet[d.Configuration], values)
	}
	for i, c := range e.Configurations {
		if sets := bySet[c.Name]; i > 0 && len(sets) > 1 {
			d := Difference{Configuration: c.Name, Against: e.Configurations[0].Name, Estimate: Bootstrap(sets...)}
			for _, values := range sets {
				d.count(values)
			}
			e.Differences = append(e.Differences, d)
		}
	}
}

func (d *Difference) count(differences []float64) {
	for _, v := range differences {
		d.Queries++
		switch {
		case v >= tie:
			d.Better++
		case v <= -tie:
			d.Worse++
		default:
			d.Same++
		}
	}
}

// A Change is a query that a configuration does better or worse than the first.
type Change struct {
	Set           string
	Before, After Result  // of the first configuration, and of the other
	Difference    float64 // of the metric
}

// Changes are the queries that differ most between the first configuration and another, in all sets: at most n
// that gain, the most first, and n that lose.
func (e *Evaluation) Changes(configuration string, n int) (gains, losses []Change) {
	for _, p := range e.pairs() {
		if p.after.Configuration != configuration {
			continue
		}
		for _, q := range p.queries {
			switch {
			case q.Difference >= tie:
				gains = append(gains, q)
			case q.Difference <= -tie:
				losses = append(losses, q)
			}
		}
	}
	most := func(a, b Change) int { return cmp.Compare(math.Abs(b.Difference), math.Abs(a.Difference)) }
	slices.SortStableFunc(gains, most)
	slices.SortStableFunc(losses, most)
	return gains[:min(n, len(gains))], losses[:min(n, len(losses))]
}

// A pair is a set in the first configuration and in another one.
type pair struct {
	before, after *Report
	queries       []Change // that both have a value of
}

// pairs are those with such queries, in the order of the reports.
func (e *Evaluation) pairs() []pair {
	var all []pair
	first := make(map[string]*Report) // by set
	for i := range e.Reports {
		r := &e.Reports[i]
		if r.Configuration == e.Configurations[0].Name {
			first[r.Set] = r
			continue
		}
		before, ok := first[r.Set]
		if !ok {
			continue
		}
		was := make(map[string]Result, len(before.Results))
		for _, q := range before.Results {
			was[q.ID] = q
		}
		p := pair{before: before, after: r}
		for _, q := range r.Results {
			old, ok := was[q.ID].Metrics[e.Metric]
			now, also := q.Metrics[e.Metric]
			if ok && also {
				p.queries = append(p.queries, Change{Set: r.Set, Before: was[q.ID], After: q, Difference: now - old})
			}
		}
		if len(p.queries) > 0 {
			all = append(all, p)
		}
	}
	return all
}

// Chart shows the metric of each set in each configuration, with the 95 % confidence interval of each.
func (e *Evaluation) Chart() chart.Bars {
	c := chart.Bars{Title: string(e.Metric) + ", with 95 % confidence intervals", Axis: string(e.Metric)}
	for _, r := range e.Reports {
		if !slices.Contains(c.Groups, r.Set) {
			c.Groups = append(c.Groups, r.Set)
		}
	}
	for _, configuration := range e.Configurations {
		s := chart.Series{Name: configuration.Name, Bars: make([]chart.Bar, len(c.Groups))}
		for i := range s.Bars {
			s.Bars[i].Value = math.NaN()
		}
		for _, r := range e.Reports {
			if values := r.values(e.Metric); r.Configuration == configuration.Name && len(values) > 0 {
				b := Bootstrap(values)
				s.Bars[slices.Index(c.Groups, r.Set)] = chart.Bar{Value: b.Mean, Low: b.Low, High: b.High}
			}
		}
		c.Series = append(c.Series, s)
	}
	return c
}
