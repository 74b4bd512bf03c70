package engine

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Sampling says how the next token is chosen. The zero value takes the most likely one.
type Sampling struct {
	Temperature float64 // 0 or less: the most likely token; 1: as the model says
	TopK        int     // only the most likely k; 0 means all
	TopP        float64 // only the likeliest that together reach p (Holtzman et al. 2020); 0 or 1 means all
	MinP        float64 // only those at least this part as likely as the likeliest; 0 means all
	Repeat      float64 // divides the logits of tokens that came lately (Keskar et al. 2019); 0 or 1 means none
	RepeatLast  int     // how many tokens count as lately; 0 means 64
	Seed        uint64  // one seed, one answer
}

type candidate struct {
	id    int32
	logit float32
	p     float64
}

// sampler chooses tokens for one sequence.
type sampler struct {
	Sampling
	rng  *rand.Rand
	pool []candidate
}

func newSampler(s Sampling) *sampler {
	if s.RepeatLast == 0 {
		s.RepeatLast = 64
	}
	return &sampler{Sampling: s, rng: rand.New(rand.NewPCG(s.Seed, 0x646f63656e74))}
}

// next chooses from logits, which it changes; past are the tokens so far. The steps follow one another
// as in llama.cpp: penalties, top-k, top-p, min-p, temperature.
func (s *sampler) next(logits []float32, past []int32) int32 {
	if r := float32(s.Repeat); r > 0 && r != 1 {
		recent := slices.Clone(past[max(0, len(past)-s.RepeatLast):])
		slices.Sort(recent)
		for _, id := range slices.Compact(recent) {
			if logits[id] > 0 {
				logits[id] /= r
			} else {
				logits[id] *= r
			}
		}
	}
	if s.Temperature <= 0 {
		return argmax(logits)
	}
	c := s.pool[:0]
	for id, x := range logits {
		if x == x {
			c = append(c, candidate{id: int32(id), logit: x})
		}
	}
	s.pool = c
	if len(c) == 0 {
		return argmax(logits)
	}
	byLogit := func(a, b candidate) int {
		switch {
		case a.logit > b.logit:
			return -1
		case a.logit < b.logit:
			return 1
		}
		return int(a.id - b.id)
	}
	if k := s.TopK; k > 0 && k < len(c) {
		c = topK(c, k)
	}
	slices.SortFunc(c, byLogit)
	if s.TopP > 0 && s.TopP < 1 {
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
		least := float64(c[0].logit) + math.Log(min(1, s.MinP))
		for i := range c {
			if float64(c[i].logit) < least {
				c = c[:i]
				break
			}
		}
	}
	weigh(c, s.Temperature)
	x := s.rng.Float64()
	for i := range c {
		if x -= c[i].p; x < 0 {
			return c[i].id
		}
	}
	return c[len(c)-1].id
}

// weigh sets probabilities; c is sorted.
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

// topK moves the k largest to the front, in no order, and returns them.
func topK(c []candidate, k int) []candidate {
	less := func(a, b candidate) bool { return a.logit < b.logit || a.logit == b.logit && a.id > b.id }
	heap := c[:k]
	down := func(i int) {
		for {
			j := 2*i + 1
			if j >= k {
				return
			}
			if j+1 < k && less(heap[j+1], heap[j]) {
				j++
			}
			if !less(heap[j], heap[i]) {
				return
			}
			heap[i], heap[j] = heap[j], heap[i]
			i = j
		}
	}
	for i := k/2 - 1; i >= 0; i-- {
		down(i)
	}
	for i := k; i < len(c); i++ {
		if less(heap[0], c[i]) {
			heap[0], c[i] = c[i], heap[0]
			down(0)
		}
	}
	return heap
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
