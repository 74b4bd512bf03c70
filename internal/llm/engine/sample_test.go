package engine

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// reference is what a token's chance must be, worked out from the definitions with a list of everything.
func reference(s Sampling, logits []float32) []float64 {
	type word struct {
		id int
		p  float64
	}
	softmax := func(ids []int, temperature float64) []word {
		var out []word
		sum := 0.0
		for _, id := range ids {
			p := math.Exp(float64(logits[id]) / temperature)
			out, sum = append(out, word{id, p}), sum+p
		}
		for i := range out {
			out[i].p /= sum
		}
		return out
	}
	var ids []int
	for id := range logits {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b int) int { return int(math.Copysign(1, float64(logits[b]-logits[a]))) })
	if s.TopK > 0 {
		ids = ids[:s.TopK]
	}
	if s.Typical > 0 && s.Typical < 1 {
		w, h := softmax(ids, 1), 0.0
		for _, x := range w {
			h -= x.p * math.Log(x.p)
		}
		slices.SortFunc(w, func(a, b word) int {
			return int(math.Copysign(1, math.Abs(-math.Log(a.p)-h)-math.Abs(-math.Log(b.p)-h)))
		})
		ids = ids[:0]
		for i, sum := 0, 0.0; i < len(w) && sum < s.Typical; i++ {
			ids, sum = append(ids, w[i].id), sum+w[i].p
		}
		slices.SortFunc(ids, func(a, b int) int { return int(math.Copysign(1, float64(logits[b]-logits[a]))) })
	}
	if s.TopP > 0 {
		w, n, sum := softmax(ids, 1), 0, 0.0
		for ; n < len(w) && sum < s.TopP; n++ {
			sum += w[n].p
		}
		ids = ids[:n]
	}
	if s.MinP > 0 {
		w := softmax(ids, 1)
		for n := range w {
			if w[n].p < s.MinP*w[0].p {
				ids = ids[:n]
				break
			}
		}
	}
	out := make([]float64, len(logits))
	for _, w := range softmax(ids, s.Temperature) {
		out[w.id] = w.p
	}
	return out
}

// TestDistribution draws many times, and compares how often each token came with its chance.
func TestDistribution(t *testing.T) {
	const draws = 5_000
	logits := make([]float32, 400) // more than the nucleus looks at first
	r := rand.New(rand.NewPCG(1, 2))
	for i := range logits {
		logits[i] = float32(r.NormFloat64() * 2)
	}
	for name, s := range map[string]Sampling{
		"temperature":           {Temperature: 0.8},
		"hot":                   {Temperature: 1.7},
		"top-k":                 {Temperature: 1, TopK: 12},
		"top-p":                 {Temperature: 1, TopP: 0.7},
		"a wide top-p":          {Temperature: 0.9, TopP: 0.97},
		"min-p":                 {Temperature: 1.2, MinP: 0.1},
		"typical":               {Temperature: 1, Typical: 0.4},
		"all":                   {Temperature: 0.7, TopK: 40, Typical: 0.9, TopP: 0.9, MinP: 0.05},
		"top-p, top-k":          {Temperature: 1, TopK: 100, TopP: 0.5},
		"typical, top-p, min-p": {Temperature: 1, Typical: 0.8, TopP: 0.9, MinP: 0.02},
	} {
		t.Run(name, func(t *testing.T) {
			want := reference(s, logits)
			c := newSampler(s, nil)
			seen := make([]int, len(logits))
			for range draws {
				id, err := c.next(slices.Clone(logits), nil, 1)
				if err != nil {
					t.Fatal(err)
				}
				seen[id]++
			}
			chi, kinds := 0.0, 0
			rest, restSeen := 0.0, 0
			for id, p := range want {
				if p == 0 && seen[id] > 0 {
					t.Fatalf("token %d came %d times and cannot", id, seen[id])
				}
				if p*draws < 5 {
					rest, restSeen = rest+p, restSeen+seen[id]
					continue
				}
				kinds++
				chi += math.Pow(float64(seen[id])-p*draws, 2) / (p * draws)
			}
			if rest*draws >= 5 {
				kinds++
				chi += math.Pow(float64(restSeen)-rest*draws, 2) / (rest * draws)
			}
			// Five standard deviations above what chance gives.
			if limit := float64(kinds) + 5*math.Sqrt(2*float64(kinds)); chi > limit {
				t.Errorf("chi-squared %.1f over %d kinds, want at most %.1f", chi, kinds, limit)
			}
		})
	}
}

func TestPenalties(t *testing.T) {
	logits := []float32{2, -1, 0.5, 3, -4}
	past := []int32{3, 3, 1, 0, 1, 1}
	for _, c := range []struct {
		name string
		s    Sampling
		want []float32
	}{
		{"none", Sampling{}, []float32{2, -1, 0.5, 3, -4}},
		{"repetition", Sampling{Repeat: 2}, []float32{1, -2, 0.5, 1.5, -4}},
		{"repetition of the last two", Sampling{Repeat: 2, RepeatLast: 2}, []float32{2, -2, 0.5, 3, -4}},
		{"presence", Sampling{Presence: 0.5}, []float32{1.5, -1.5, 0.5, 2.5, -4}},
		{"frequency", Sampling{Frequency: 0.25}, []float32{1.75, -1.75, 0.5, 2.5, -4}},
		{"all", Sampling{Repeat: 2, Presence: 1, Frequency: 1}, []float32{-1, -6, 0.5, -1.5, -4}},
	} {
		got := slices.Clone(logits)
		newSampler(c.s, nil).penalise(got, past)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestGreedyBias(t *testing.T) {
	logits := func() []float32 { return []float32{1, 2, 3, 2.5} }
	forbid := float32(math.Inf(-1))
	for _, c := range []struct {
		bias map[int32]float32
		want int32
	}{{nil, 2}, {map[int32]float32{2: forbid}, 3}, {map[int32]float32{0: 5}, 0}, {map[int32]float32{2: forbid, 3: forbid, 99: 4}, 1}} {
		if got, err := newSampler(Sampling{Bias: c.bias}, nil).next(logits(), nil, 1); got != c.want || err != nil {
			t.Errorf("%v: token %d, %v, want %d", c.bias, got, err, c.want)
		}
	}
}

// TestMirostat: whatever the model's distribution, the answer is as surprising as told.
func TestMirostat(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	logits := make([]float32, 5000)
	for i := range logits { // Zipf's law, which the first version assumes
		logits[i] = float32(-1.1 * math.Log(float64(i+1)))
	}
	r.Shuffle(len(logits), func(i, j int) { logits[i], logits[j] = logits[j], logits[i] })
	lse := logSumExp(logits)
	for _, version := range []int{1, 2} {
		for _, tau := range []float64{3, 5} {
			s := newSampler(Sampling{Temperature: 1, Mirostat: version, MirostatTau: tau}, nil)
			sum := 0.0
			const n = 2000
			for range n {
				id, err := s.next(slices.Clone(logits), nil, 1)
				if err != nil {
					t.Fatal(err)
				}
				sum -= (float64(logits[id]) - lse) / math.Ln2
			}
			if got := sum / n; math.Abs(got-tau) > 0.15 {
				t.Errorf("version %d: %.2f bits on average, want %.0f", version, got, tau)
			}
		}
	}
}

func TestLogProbs(t *testing.T) {
	logits := []float32{1, 4, 2, 3}
	lse := math.Log(math.Exp(1) + math.Exp(2) + math.Exp(3) + math.Exp(4))
	// The penalty changes the choice, and not what the model is said to have thought.
	s := newSampler(Sampling{LogProbs: 2, Repeat: 100, Bias: map[int32]float32{1: -9}}, nil)
	id, err := s.next(slices.Clone(logits), []int32{1}, 1)
	if err != nil || id != 3 || len(s.probs) != 1 {
		t.Fatal(id, err, s.probs)
	}
	got := s.probs[0]
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-6 }
	if got.ID != 3 || !near(got.LogProb, 3-lse) || len(got.Top) != 2 || got.Top[0].ID != 1 || !near(got.Top[0].LogProb, 4-lse) || got.Top[1].ID != 3 {
		t.Errorf("%+v", got)
	}
}

func TestSamplerAllocates(t *testing.T) {
	logits := make([]float32, 32_000)
	r := rand.New(rand.NewPCG(5, 6))
	for i := range logits {
		logits[i] = float32(r.NormFloat64() * 3)
	}
	past := make([]int32, 100)
	buf := make([]float32, len(logits))
	for name, s := range map[string]Sampling{
		"greedy":   {Repeat: 1.1},
		"default":  {Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05, Repeat: 1.1, Presence: 0.1, Frequency: 0.1},
		"top-p":    {Temperature: 1, TopP: 0.9},
		"typical":  {Temperature: 1, Typical: 0.9},
		"mirostat": {Temperature: 1, Mirostat: 2},
		"older":    {Temperature: 1, Mirostat: 1},
	} {
		c := newSampler(s, nil)
		next := func() {
			copy(buf, logits)
			if _, err := c.next(buf, past, 1); err != nil {
				t.Fatal(err)
			}
		}
		for range 20 {
			next() // its buffers grow
		}
		if n := testing.AllocsPerRun(20, next); n > 0 {
			t.Errorf("%s: %.1f allocations a token", name, n)
		}
	}
}

func TestSamplingValidate(t *testing.T) {
	nan := math.NaN()
	for _, s := range []Sampling{{Temperature: nan}, {TopP: 1.5}, {MinP: -1}, {TopK: -1}, {Mirostat: 3}, {Repeat: math.Inf(1)}, {LogProbs: 5000}} {
		if err := s.validate(); !errors.Is(err, ErrOption) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if err := (Sampling{Temperature: -1, TopP: 1, LogProbs: -1}).validate(); err != nil {
		t.Error(err)
	}
}

// TestCutter: stop texts are found wherever the text is cut, at the borders of tokens or characters.
func TestCutter(t *testing.T) {
	const text = "答案是四十二。STOP and 停止符 more"
	for _, c := range []struct{ stop, want string }{
		{"STOP", "答案是四十二。"}, {"停止符", "答案是四十二。STOP and "}, {"。", "答案是四十二"}, {"absent", text}, {"more!", text},
	} {
		for size := 1; size < 9; size++ {
			v := &vocabulary{}
			var ids []int32
			for i := 0; i < len(text); i += size { // pieces that end within characters
				ids = append(ids, int32(len(v.pieces)))
				v.pieces = append(v.pieces, []byte(text[i:min(len(text), i+size)]))
			}
			d, cut := &decoder{vocab: v}, newCutter([]string{c.stop})
			var got string
			for _, id := range ids {
				out, stopped := cut.add(d.next(id))
				got += out
				if stopped {
					break
				}
			}
			if !cut.stopped {
				got += cut.flush()
			}
			if got != c.want {
				t.Errorf("stop %q in pieces of %d bytes: %q, want %q", c.stop, size, got, c.want)
			}
		}
	}
}

func BenchmarkSampler(b *testing.B) {
	logits := make([]float32, 128_000)
	r := rand.New(rand.NewPCG(5, 6))
	for i := range logits {
		logits[i] = float32(r.NormFloat64() * 3)
	}
	buf := make([]float32, len(logits))
	for name, s := range map[string]Sampling{
		"greedy": {}, "top-k 40": {Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05}, "top-p": {Temperature: 1, TopP: 0.95},
		"typical": {Temperature: 1, Typical: 0.9}, "mirostat 2": {Temperature: 1, Mirostat: 2},
	} {
		b.Run(name, func(b *testing.B) {
			c := newSampler(s, nil)
			for b.Loop() {
				copy(buf, logits)
				if _, err := c.next(buf, nil, 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
