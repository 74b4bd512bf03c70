package beir

import (
	"math"
	"math/rand/v2"
	"slices"
)

// An Estimate is a mean over queries, how far chance may have moved it, and how likely chance alone is.
type Estimate struct {
	Mean float64 `json:"mean"`
	Low  float64 `json:"low"` // bounds of the 95 % confidence interval
	High float64 `json:"high"`
	P    float64 `json:"p"` // two-sided, of a mean at least as far from 0 were the true one 0
}

const (
	resamples  = 10000
	confidence = 0.95
)

// Bootstrap estimates a mean from its values by query, such as the differences between two
// configurations, which makes it the paired bootstrap test. Of several sets, the mean is that of their
// means, and each is resampled apart; sets without values are passed over. The same values give the same
// estimate, since the seed is fixed.
//
// The interval is the percentile interval, and p the share of the resampled means that lie as far from
// the mean as that lies from 0: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", sections
// 13.3 and 16.4; Sakai 2006 has it for retrieval. p is counted with the sample itself among the
// resamples, and so never 0.
func Bootstrap(sets ...[]float64) Estimate {
	sets = slices.DeleteFunc(slices.Clone(sets), func(s []float64) bool { return len(s) == 0 })
	if len(sets) == 0 {
		return Estimate{P: 1}
	}
	var e Estimate
	for _, s := range sets {
		e.Mean += mean(s) / float64(len(sets))
	}
	random := rand.New(rand.NewPCG(1, 2))
	means := make([]float64, resamples)
	for i := range means {
		for _, s := range sets {
			var sum float64
			for range s {
				sum += s[random.IntN(len(s))]
			}
			means[i] += sum / float64(len(s)) / float64(len(sets))
		}
	}
	slices.Sort(means)
	tail := (1 - confidence) / 2
	e.Low, e.High = quantile(means, tail), quantile(means, 1-tail)
	as := 1
	for _, m := range means {
		// Sums of the same values in another order may differ in the last bits.
		if math.Abs(m-e.Mean) >= math.Abs(e.Mean)-1e-12 {
			as++
		}
	}
	e.P = float64(as) / (resamples + 1)
	return e
}

func mean(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// quantile interpolates linearly between the sorted values, as NumPy does by default.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
