package engine

import (
	"math"

	"docent/internal/llm/gguf"
)

// rope turns pairs of values of queries and keys by an angle that grows with the position (Su et al.
// 2021), so that products depend on distances. Ways to reach further than the model was trained for
// change the frequencies: all of them (linear), each by a factor of the file (Llama 3, LongRoPE), or
// the low ones more than the high ones (YaRN, Peng et al. 2023).
type rope struct {
	freq   []float64 // radians to a position, for each pair
	mscale float32   // of the rotated values
}

// readRopes makes the frequencies of the layers: one set, or with localBase another for local layers.
func (m *Model) readRopes(l *loader) {
	p, f := m.params, m.file
	key := p.arch + ".rope."
	base, ok := f.Float(key + "freq_base")
	if !ok {
		base = 10000
	}
	if !(base > 1 && base < 1e12) {
		l.fail("%w: %sfreq_base is %g", ErrUnsupported, key, base)
		return
	}
	kind, _ := f.String(key + "scaling.type")
	factor, ok := f.Float(key + "scaling.factor")
	if !ok {
		if old, has := f.Float(key + "scale_linear"); has {
			kind, factor = "linear", old
		}
	}
	if factor == 0 {
		factor = 1
	}
	if !(factor >= 1 && factor < 1e6) {
		l.fail("%w: %sscaling.factor is %g", ErrUnsupported, key, factor)
		return
	}
	n := p.ropeDim / 2
	plain := func(base float64) *rope {
		r := &rope{mscale: 1, freq: make([]float64, n)}
		for i := range r.freq {
			r.freq[i] = math.Pow(base, -2*float64(i)/float64(p.ropeDim))
		}
		return r
	}
	r := plain(base)
	orig, hasOrig := f.Float(key + "scaling.original_context_length")
	if !hasOrig {
		orig = float64(p.train)
	}
	switch kind {
	case "", "none", "longrope", "llama3":
	case "linear":
		for i := range r.freq {
			r.freq[i] /= factor
		}
	case "yarn":
		// Pairs that turn at least so often in the text of training stay, those that turn at most so often are
		// interpolated as by linear scaling.
		fast, slow := turns(f, key+"scaling.yarn_beta_fast", 32), turns(f, key+"scaling.yarn_beta_slow", 1)
		if !(slow > 0 && fast > slow && fast < 1e6) {
			l.fail("%w: %sscaling.yarn_beta_fast is %g and yarn_beta_slow %g", ErrUnsupported, key, fast, slow)
			return
		}
		rotations := func(turns float64) float64 {
			return float64(p.ropeDim) * math.Log(orig/(turns*2*math.Pi)) / (2 * math.Log(base))
		}
		low, high := max(0, math.Floor(rotations(fast))), min(float64(p.ropeDim-1), math.Ceil(rotations(slow)))
		for i, w := range r.freq {
			keep := 1 - min(1, max(0, (float64(i)-low)/max(0.001, high-low)))
			r.freq[i] = w/factor*(1-keep) + w*keep
		}
		mscale := 1 + 0.1*math.Log(factor)
		if x, ok := f.Float(key + "scaling.yarn_log_multiplier"); ok && x != 0 {
			if !(x > 0 && x < 100) {
				l.fail("%w: %sscaling.yarn_log_multiplier is %g", ErrUnsupported, key, x)
				return
			}
			mscale /= 1 + 0.1*x*math.Log(factor)
		}
		r.mscale = float32(mscale)
	default:
		l.fail("%w: scaling of positions by %q", ErrUnsupported, kind)
		return
	}
	factors := l.vector("rope_freqs.weight", n, false)
	if kind == "longrope" || factors == nil {
		name := "rope_factors_short.weight"
		if float64(m.cfg.Context) > orig {
			name = "rope_factors_long.weight"
		}
		if longs := l.vector(name, n, false); longs != nil {
			factors = longs
		}
	}
	for i, x := range factors {
		if !(x > 0) {
			l.fail("%w: a factor of %g for the frequencies of positions", ErrUnsupported, x)
			return
		}
		r.freq[i] /= float64(x)
	}
	if a, ok := f.Float(key + "scaling.attn_factor"); ok && a > 0 {
		r.mscale *= float32(a)
	}
	m.ropes = []*rope{r}
	if p.localBase > 0 {
		local, ok := f.Float(key + "freq_base_swa")
		if !ok || !(local > 1 && local < 1e12) {
			local = p.localBase
		}
		m.ropes = append(m.ropes, plain(local))
	}
}

func turns(f *gguf.File, key string, fallback float64) float64 {
	if x, ok := f.Float(key); ok {
		return x
	}
	return fallback
}

// table sets cos and sin, of len(freq) values each, for one position.
func (r *rope) table(cos, sin []float32, pos int) {
	for i, w := range r.freq {
		s, c := math.Sincos(float64(pos) * w)
		cos[i], sin[i] = float32(c)*r.mscale, float32(s)*r.mscale
	}
}

func rotate(x, cos, sin []float32, neox bool) {
	n := len(cos)
	sin = sin[:n]
	if neox {
		a, b := x[:n], x[n:2*n]
		for i, c := range cos {
			s, u, v := sin[i], a[i], b[i]
			a[i], b[i] = u*c-v*s, u*s+v*c
		}
		return
	}
	x = x[:2*n]
	for i, c := range cos {
		s, u, v := sin[i], x[2*i], x[2*i+1]
		x[2*i], x[2*i+1] = u*c-v*s, u*s+v*c
	}
}
