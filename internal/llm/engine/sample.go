package engine

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Sampling says how the next token is chosen. The zero value takes the most likely one. The steps follow
// one another in the order of the fields, each on what the one before left: bias, penalties, the
// constraint's mask, top-k, typical, top-p, min-p, temperature. Mirostat takes the place of the steps from
// top-k to min-p, after temperature.
type Sampling struct {
	Bias       map[int32]float32 // is added to tokens' logits; -Inf forbids one
	Repeat     float64           // divides the logits of tokens that came lately (Keskar et al. 2019); 0 or 1 means none
	Presence   float64           // is taken from the logits of tokens that came lately
	Frequency  float64           // is taken from them for each time they came
	RepeatLast int               // how many tokens count as lately, those of the prompt too; 0 means 64

	TopK    int     // only the most likely k; 0 means all
	Typical float64 // only those of nearly the expected surprise that together reach p (Meister et al. 2022); 0 or 1 means all
	TopP    float64 // only the likeliest that together reach p (Holtzman et al. 2020); 0 or 1 means all
	MinP    float64 // only those at least this part as likely as the likeliest (Nguyen et al. 2024); 0 means all

	Temperature float64 // 0 or less: the most likely token, whatever the fields above say; 1: as the model says

	Mirostat    int     // 1 or 2, the version of the method that keeps answers as surprising as told (Basu et al. 2021); 0 means none
	MirostatTau float64 // the surprise to keep, in bits; 0 means 5
	MirostatEta float64 // how fast it is corrected; 0 means 0.1

	Seed     uint64 // one seed, one answer
	LogProbs int    // how many of the likeliest tokens Result.LogProbs tells for each place, up to 100; 0 means not to tell, negative only the chosen one's
}

// validate names the first field that cannot be.
func (s Sampling) validate() error {
	for _, f := range []struct {
		name      string
		v, lo, hi float64
	}{
		{"temperature", s.Temperature, math.Inf(-1), 100}, {"repetition penalty", s.Repeat, 0, math.MaxFloat32}, {"presence penalty", s.Presence, -100, 100},
		{"frequency penalty", s.Frequency, -100, 100}, {"top-p", s.TopP, 0, 1}, {"min-p", s.MinP, 0, 1}, {"typical p", s.Typical, 0, 1},
		{"mirostat", float64(s.Mirostat), 0, 2}, {"mirostat tau", s.MirostatTau, 0, 100}, {"mirostat eta", s.MirostatEta, 0, 10},
		{"top-k", float64(s.TopK), 0, math.MaxInt32}, {"number of log-probabilities", float64(s.LogProbs), math.Inf(-1), 100},
	} {
		if !(f.v >= f.lo && f.v <= f.hi) {
			return fmt.Errorf("%w: %s is %v, want %v to %v", ErrOption, f.name, f.v, f.lo, f.hi)
		}
	}
	return nil
}

// ErrOption is wrapped when an option's value is not one that can be.
var ErrOption = errors.New("option out of range")

// A Constraint limits what a sequence may say. Its methods are called from one goroutine at a time.
type Constraint interface {
	// Mask sets the logits of tokens that may not come next to -Inf. left says how many tokens may still
	// come, this one included. It returns an error when no token may.
	Mask(logits []float32, left int) error
	// Accept takes note of the token that came.
	Accept(id int32) error
	// Done reports whether nothing more may come.
	Done() bool
}

// TokenProb is a token with the logarithm of the probability that the model gave it, before penalties,
// masks and temperature.
type TokenProb struct {
	ID      int32
	LogProb float64
	Top     []TokenProb // the likeliest at its place, best first, as many as were asked for
}

type candidate struct {
	id    int32
	logit float32
	p     float64
}

// sampler chooses tokens for one sequence.
type sampler struct {
	Sampling
	constraint Constraint // nil: none
	hold       []int32    // tokens that may not come before least have
	least      int
	chosen     int // so far
	mu         float64
	rng        *rand.Rand
	pool       []candidate
	recent     []int32
	probs      []TokenProb
}

func newSampler(s Sampling, c Constraint) *sampler {
	s.RepeatLast = cmp.Or(s.RepeatLast, 64)
	s.MirostatTau, s.MirostatEta = cmp.Or(s.MirostatTau, 5), cmp.Or(s.MirostatEta, 0.1)
	return &sampler{Sampling: s, constraint: c, mu: 2 * s.MirostatTau, rng: rand.New(rand.NewPCG(s.Seed, 0x646f63656e74))}
}

// next chooses from logits, which it changes; past are the tokens so far, left how many may still come,
// this one included. Called for one place after the other it needs no way back: who checks drafted tokens
// stops at the first that is not chosen.
func (s *sampler) next(logits []float32, past []int32, left int) (int32, error) {
	lse := 0.0
	var top []TokenProb
	if s.LogProbs != 0 {
		lse = logSumExp(logits)
		top = s.likeliest(logits, lse)
	}
	var id int32
	if s.constraint == nil && s.plain() {
		id = argmax(logits)
		s.record(id, logits[id], lse, top)
		s.chosen++
		return id, nil
	}
	given := logits
	if s.LogProbs != 0 {
		given = slices.Clone(logits)
	}
	for id, b := range s.Bias {
		if id >= 0 && int(id) < len(logits) {
			logits[id] += b
		}
	}
	s.penalise(logits, past)
	if s.chosen < s.least && s.constraint == nil {
		for _, id := range s.hold {
			logits[id] = float32(math.Inf(-1))
		}
	}
	if s.constraint != nil {
		if err := s.constraint.Mask(logits, left); err != nil {
			return 0, err
		}
	}
	switch {
	case s.Temperature <= 0:
		id = argmax(logits)
	case s.Mirostat > 0:
		id = s.mirostat(logits)
	default:
		id = s.draw(logits)
	}
	s.record(id, given[id], lse, top)
	s.chosen++
	if s.constraint != nil {
		if err := s.constraint.Accept(id); err != nil {
			return 0, err
		}
	}
	return id, nil
}

// plain reports whether nothing changes which token is the most likely, and that one is taken.
func (s *sampler) plain() bool {
	return s.Temperature <= 0 && len(s.Bias) == 0 && (s.Repeat == 0 || s.Repeat == 1) && s.Presence == 0 && s.Frequency == 0 && s.chosen >= s.least
}

// done reports whether the constraint lets nothing more come.
func (s *sampler) done() bool { return s.constraint != nil && s.constraint.Done() }

func (s *sampler) record(id int32, logit float32, lse float64, top []TokenProb) {
	if s.LogProbs != 0 {
		s.probs = append(s.probs, TokenProb{ID: id, LogProb: float64(logit) - lse, Top: top})
	}
}

func (s *sampler) penalise(logits []float32, past []int32) {
	repeat := float32(s.Repeat)
	if repeat == 0 {
		repeat = 1
	}
	if repeat == 1 && s.Presence == 0 && s.Frequency == 0 {
		return
	}
	s.recent = append(s.recent[:0], past[max(0, len(past)-s.RepeatLast):]...)
	slices.Sort(s.recent)
	for i := 0; i < len(s.recent); {
		id, n := s.recent[i], 0
		for ; i < len(s.recent) && s.recent[i] == id; i++ {
			n++
		}
		if logits[id] > 0 {
			logits[id] /= repeat
		} else {
			logits[id] *= repeat
		}
		logits[id] -= float32(s.Presence + float64(n)*s.Frequency)
	}
}

// draw chooses by chance among what top-k, typical, top-p and min-p leave.
func (s *sampler) draw(logits []float32) int32 {
	typical, nucleus := s.Typical > 0 && s.Typical < 1, s.TopP > 0 && s.TopP < 1
	var c []candidate
	switch {
	case s.TopK > 0 && s.TopK < len(logits):
		c = s.largest(logits, s.TopK)
	case typical:
		c = s.all(logits)
		slices.SortFunc(c, byLogit)
	case nucleus:
		c = s.nucleus(logits)
		nucleus = false
	default:
		c = s.all(logits)
		if len(c) > 0 { // nothing below needs more of an order
			at := 0
			for i := range c {
				if c[i].logit > c[at].logit {
					at = i
				}
			}
			c[0], c[at] = c[at], c[0]
		}
	}
	if len(c) == 0 {
		return argmax(logits)
	}
	if typical {
		weigh(c, 1)
		c = cutTypical(c, s.Typical)
		slices.SortFunc(c, byLogit)
	}
	if nucleus {
		weigh(c, 1)
		sum := 0.0
		for i := range c {
			if sum += c[i].p; sum >= s.TopP {
				c = c[:i+1]
				break
			}
		}
	}
	if s.MinP > 0 {
		least := float64(c[0].logit) + math.Log(s.MinP)
		kept := c[:1]
		for _, x := range c[1:] {
			if float64(x.logit) >= least {
				kept = append(kept, x)
			}
		}
		c = kept
	}
	weigh(c, s.Temperature)
	return c[s.pick(c)].id
}

// pick is the place of one chosen by chance; c has probabilities.
func (s *sampler) pick(c []candidate) int {
	x := s.rng.Float64()
	for i := range c {
		if x -= c[i].p; x < 0 {
			return i
		}
	}
	return len(c) - 1
}

// cutTypical keeps those whose surprise is nearest to the entropy, until they reach p together.
func cutTypical(c []candidate, p float64) []candidate {
	entropy := 0.0
	for i := range c {
		if c[i].p > 0 {
			entropy -= c[i].p * math.Log(c[i].p)
		}
	}
	off := func(x candidate) float64 {
		if x.p == 0 {
			return math.Inf(1)
		}
		return math.Abs(-math.Log(x.p) - entropy)
	}
	slices.SortFunc(c, func(a, b candidate) int { return cmp.Or(cmp.Compare(off(a), off(b)), cmp.Compare(a.id, b.id)) })
	sum := 0.0
	for i := range c {
		if sum += c[i].p; sum >= p {
			return c[:i+1]
		}
	}
	return c
}

// mirostat chooses as Basu et al. 2021 do in their algorithms 1 and 2. Surprise is measured under the
// model's distribution at the temperature, before it is cut.
func (s *sampler) mirostat(logits []float32) int32 {
	const words = 100 // that the first version estimates the exponent of Zipf's law from
	best := logits[argmax(logits)]
	mass := 0.0
	for _, x := range logits {
		if x == x {
			mass += math.Exp(float64(x-best) / s.Temperature)
		}
	}
	p := func(x candidate) float64 { return math.Exp(float64(x.logit-best)/s.Temperature) / mass }
	var c []candidate
	if s.Mirostat == 1 {
		c = s.largest(logits, words)
		var tb, tt float64
		for i := range len(c) - 1 {
			t := math.Log(float64(i+2) / float64(i+1))
			tb, tt = tb+t*math.Log(p(c[i])/p(c[i+1])), tt+t*t
		}
		k := 1.0
		if exponent := tb / tt; exponent > 0 && !math.IsInf(exponent, 0) {
			e := exponent - 1
			k = math.Pow(e*math.Exp2(s.mu)/(1-math.Pow(float64(len(logits)), -e)), 1/exponent)
		}
		if !(k >= 1) {
			k = 1
		}
		if n := int(min(k, float64(len(logits)))); n <= len(c) {
			c = c[:max(1, n)]
		} else {
			c = s.largest(logits, n)
		}
	} else {
		c = s.pool[:0]
		for id, x := range logits {
			if x == best || float64(x-best)/s.Temperature-math.Log(mass) >= -s.mu*math.Ln2 {
				c = append(c, candidate{id: int32(id), logit: x})
			}
		}
		s.pool = c
		slices.SortFunc(c, byLogit)
	}
	if len(c) == 0 {
		return argmax(logits)
	}
	weigh(c, s.Temperature)
	x := c[s.pick(c)]
	s.mu -= s.MirostatEta * (-math.Log2(p(x)) - s.MirostatTau)
	return x.id
}

func byLogit(a, b candidate) int {
	return cmp.Or(cmp.Compare(b.logit, a.logit), cmp.Compare(a.id, b.id))
}

// all are the tokens that can be chosen, in no order.
func (s *sampler) all(logits []float32) []candidate {
	c := s.pool[:0]
	for id, x := range logits {
		if x > float32(math.Inf(-1)) {
			c = append(c, candidate{id: int32(id), logit: x})
		}
	}
	s.pool = c
	return c
}

// nucleus are the likeliest tokens that together reach TopP, the likeliest first.
func (s *sampler) nucleus(logits []float32) []candidate {
	lse := logSumExp(logits)
	for n := 256; ; n *= 8 {
		c := s.largest(logits, n)
		sum := 0.0
		for i := range c {
			if sum += math.Exp(float64(c[i].logit) - lse); sum >= s.TopP {
				return c[:i+1]
			}
		}
		if n >= len(logits) {
			return c
		}
	}
}

// largest are the k most likely tokens, the likeliest first.
func (s *sampler) largest(logits []float32, k int) []candidate {
	h := s.pool[:0]
	less := func(a, b candidate) bool { return byLogit(a, b) > 0 }
	down := func(i int) {
		for {
			j := 2*i + 1
			if j >= len(h) {
				return
			}
			if j+1 < len(h) && less(h[j+1], h[j]) {
				j++
			}
			if !less(h[j], h[i]) {
				return
			}
			h[i], h[j] = h[j], h[i]
			i = j
		}
	}
	for id, x := range logits {
		switch {
		case !(x > float32(math.Inf(-1))):
		case len(h) < k:
			if h = append(h, candidate{id: int32(id), logit: x}); len(h) == k {
				for i := k/2 - 1; i >= 0; i-- {
					down(i)
				}
			}
		case x > h[0].logit:
			h[0] = candidate{id: int32(id), logit: x}
			down(0)
		}
	}
	s.pool = h
	slices.SortFunc(h, byLogit)
	return h
}

// likeliest are the tokens that LogProbs asks for.
func (s *sampler) likeliest(logits []float32, lse float64) []TokenProb {
	if s.LogProbs < 0 {
		return nil
	}
	var out []TokenProb
	for _, c := range s.largest(logits, s.LogProbs) {
		out = append(out, TokenProb{ID: c.id, LogProb: float64(c.logit) - lse})
	}
	return out
}

func logSumExp(x []float32) float64 {
	best := x[argmax(x)]
	sum := 0.0
	for _, v := range x {
		if v == v {
			sum += math.Exp(float64(v - best))
		}
	}
	return float64(best) + math.Log(sum)
}

// weigh sets probabilities; the first is the likeliest.
func weigh(c []candidate, temperature float64) {
	sum := 0.0
	for i := range c {
		c[i].p = math.Exp(float64(c[i].logit-c[0].logit) / temperature)
		sum += c[i].p
	}
	for i := range c {
		c[i].p /= sum
	}
}

func argmax(x []float32) int32 {
	best, at := float32(math.Inf(-1)), 0
	for i, v := range x {
		if v > best {
			best, at = v, i
		}
	}
	return int32(at)
}
