package engine

import (
	"context"
	"fmt"
	"math"
	"time"

	"docent/internal/tensor"
)

// encoderDecoder is T5 (Raffel et al. 2020): an encoder reads the prompt, all of it at once, and a decoder writes
// the answer, looking at what the encoder made. Places are told apart by a bias on scores that depends on the
// distance. Calls are computed one after the other, outside of the scheduler; the prompt cannot be shared.
type encoderDecoder struct {
	turn        chan *state // holds the one state when nobody computes
	enc, dec    []t5Layer
	encOut      norm
	decOut      norm
	encBias     [][]float32 // by bucket of distances, by head
	decBias     [][]float32
	start       int32 // the token before the answer
	outputScale float32
}

type t5Layer struct {
	attnNorm, crossNorm, ffnNorm norm
	self, cross                  t5Attention
	mlp                          mlp
}

type t5Attention struct{ q, k, v, o linear }

// t5Distance is where distances are all alike.
const t5Distance = 128

func (m *Model) readT5(l *loader) {
	p := &m.params
	e := &encoderDecoder{turn: make(chan *state, 1), outputScale: 1}
	s := &sizes{f: m.file, arch: p.arch}
	decoders := s.at("decoder_block_count", p.layers)
	buckets := s.at("attention.relative_buckets_count", 0)
	if s.err != nil || decoders > 1024 || buckets < 4 || buckets > 1024 || buckets%4 != 0 {
		l.fail("%w: %d layers of a decoder, %d buckets of distances", ErrUnsupported, decoders, buckets)
		return
	}
	if id, ok := m.file.Uint(p.arch + ".decoder_start_token_id"); ok && id < uint64(p.vocab) {
		e.start = int32(id)
	}
	qn := p.heads * p.headDim
	vector := func(name string) norm { return norm{w: l.vector(name+".weight", p.dim, true)} }
	attention := func(prefix string) t5Attention {
		return t5Attention{
			l.linear(prefix+"attn_q", qn, p.dim), l.linear(prefix+"attn_k", qn, p.dim), l.linear(prefix+"attn_v", qn, p.dim), l.linear(prefix+"attn_o", p.dim, qn),
		}
	}
	read := func(side string, layers int, cross bool) (out []t5Layer, bias [][]float32, last norm) {
		for i := range layers {
			prefix := fmt.Sprintf("%s.blk.%d.", side, i)
			y := t5Layer{attnNorm: vector(prefix + "attn_norm"), ffnNorm: vector(prefix + "ffn_norm"), self: attention(prefix)}
			if cross {
				y.crossNorm, y.cross = vector(prefix+"cross_attn_norm"), attention(prefix+"cross_")
			}
			y.mlp = l.mlp(func(name string) string { return prefix + name }, "", p.dim, p.ff, !l.has(prefix+"ffn_gate.weight"))
			if out = append(out, y); l.err != nil {
				return
			}
		}
		if rows := l.matrix(side+".blk.0.attn_rel_b.weight", buckets, p.heads); rows != nil {
			for i := range buckets {
				row := make([]float32, p.heads)
				rows.Row(row, i)
				bias = append(bias, row)
			}
		}
		return out, bias, vector(side + ".output_norm")
	}
	e.enc, e.encBias, e.encOut = read("enc", p.layers, false)
	e.dec, e.decBias, e.decOut = read("dec", decoders, true)
	if !l.has("output.weight") {
		e.outputScale = float32(1 / math.Sqrt(float64(p.dim))) // since the embeddings serve as the output
	}
	m.t5 = e
}

// bucket is where a key so far after a query belongs, of n buckets: near ones have one each, farther ones share
// ever more. With both, half of them are for keys that come later; else those are not seen.
func bucket(distance, n int, both bool) int {
	first := 0
	if both {
		n /= 2
		if distance > 0 {
			first = n
		}
		distance = max(distance, -distance)
	} else {
		distance = max(0, -distance)
	}
	exact := n / 2
	if distance < exact {
		return first + distance
	}
	// In float32, as where the weights were trained: a logarithm on a border falls to one side.
	far := float32(math.Log(float64(distance)/float64(exact))) / float32(math.Log(t5Distance/float64(exact)))
	return first + min(n-1, exact+int(far*float32(n-exact)))
}

// t5Memory is the keys and values that an attention looks at, a row for each token.
type t5Memory struct{ k, v []float32 }

// t5Attend adds to n rows of x what an attention makes of those of h, which look at the first seen rows of mem. The
// rows are at places from first on; bias may be nil.
func (m *Model) t5Attend(s *state, a *t5Attention, x, h []float32, n, first int, mem *t5Memory, seen int, bias [][]float32, both bool) {
	p := &m.params
	hd, qn := p.headDim, p.heads*p.headDim
	q, att := grow(&s.q, n*qn), grow(&s.att, n*qn)
	m.mul(s, h, n, out{a.q, q})
	s.pool.run(n*p.heads, func(_, part int) {
		i, head := part/p.heads, part%p.heads
		scores := make([]float32, seen)
		at := i*qn + head*hd
		for j := range scores {
			scores[j] = tensor.Dot(q[at:at+hd], mem.k[j*qn+head*hd:][:hd])
			if bias != nil {
				scores[j] += bias[bucket(j-first-i, len(bias), both)][head]
			}
		}
		tensor.Softmax(scores, 1)
		row := att[at : at+hd]
		clear(row)
		for j, w := range scores {
			tensor.Axpy(row, mem.v[j*qn+head*hd:][:hd], w)
		}
	})
	side := grow(&s.side, n*p.dim)
	m.mul(s, att, n, out{a.o, side})
	m.add(s, x, side, norm{}, n)
}

// remember appends the keys and values of n rows of h.
func (m *Model) remember(s *state, a *t5Attention, h []float32, n int, mem *t5Memory) {
	qn := m.params.heads * m.params.headDim
	at := len(mem.k)
	mem.k, mem.v = append(mem.k, make([]float32, n*qn)...), append(mem.v, make([]float32, n*qn)...)
	m.mul(s, h, n, out{a.k, mem.k[at:]}, out{a.v, mem.v[at:]})
}

// t5Feed adds to rows of x what a layer's feed-forward network makes of them.
func (m *Model) t5Feed(s *state, y *t5Layer, x, h []float32, n int) {
	m.norms(s, h, x, y.ffnNorm, n)
	m.transform(s, &y.mlp, h, h, n)
	m.add(s, x, h, norm{}, n)
}

// t5Encode computes the prompt and returns what each layer of the decoder looks at.
func (m *Model) t5Encode(ctx context.Context, s *state, prompt []int32) ([]t5Memory, error) {
	e, d, n := m.t5, m.params.dim, len(prompt)
	x, h := grow(&s.x, n*d), grow(&s.h, n*d)
	for i, t := range prompt {
		m.embed.Row(x[i*d:(i+1)*d], int(t))
	}
	for i := range e.enc {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		y := &e.enc[i]
		m.norms(s, h, x, y.attnNorm, n)
		var mem t5Memory
		m.remember(s, &y.self, h, n, &mem)
		m.t5Attend(s, &y.self, x, h, n, 0, &mem, n, e.encBias, true)
		m.t5Feed(s, y, x, h, n)
	}
	m.norms(s, h, x, e.encOut, n)
	cross := make([]t5Memory, len(e.dec))
	for i := range e.dec {
		m.remember(s, &e.dec[i].cross, h, n, &cross[i])
	}
	return cross, nil
}

// t5Decode computes the token at a place of the answer and returns the logits of the next, which belong to the state.
func (m *Model) t5Decode(ctx context.Context, s *state, token int32, place int, own, cross []t5Memory) ([]float32, error) {
	e, p := m.t5, &m.params
	x, h := grow(&s.x, p.dim), grow(&s.h, p.dim)
	m.embed.Row(x, int(token))
	for i := range e.dec {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		y := &e.dec[i]
		m.norm(h, x, y.attnNorm)
		m.remember(s, &y.self, h, 1, &own[i])
		m.t5Attend(s, &y.self, x, h, 1, place, &own[i], place+1, e.decBias, false)
		m.norm(h, x, y.crossNorm)
		m.t5Attend(s, &y.cross, x, h, 1, 0, &cross[i], len(cross[i].k)/(p.heads*p.headDim), nil, false)
		m.t5Feed(s, y, x, h, 1)
	}
	m.norm(h, x, e.decOut)
	for i := range h {
		h[i] *= e.outputScale
	}
	logits := grow(&s.logits, p.vocab)
	m.mul(s, h, 1, out{m.output, logits})
	return logits, nil
}

// takeT5 waits for the one state of an encoder-decoder, which goes back to its turn when the call is over, and checks
// what calls are refused for.
func (m *Model) takeT5(ctx context.Context, adapter *Adapter, tokens ...[]int32) (*state, error) {
	if adapter != nil {
		return nil, fmt.Errorf("%w: %s models do not take adapters", ErrAdapter, m.params.arch)
	}
	for _, ids := range tokens {
		if err := m.checkTokens(ids); err != nil {
			return nil, err
		}
	}
	select {
	case s, ok := <-m.t5.turn:
		if !ok {
			return nil, ErrClosed
		}
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// scoreT5 is score for an encoder-decoder: what its decoder would write, token after token, after the prompt was read
// by the encoder.
func (m *Model) scoreT5(ctx context.Context, adapter *Adapter, prompt []int32, end int, ends []int32, continuations [][]int32) ([][]float64, error) {
	s, err := m.takeT5(ctx, adapter, append([][]int32{prompt}, continuations...)...)
	if err != nil {
		return nil, err
	}
	defer func() { m.t5.turn <- s }()
	cross, err := m.t5Encode(ctx, s, prompt)
	if err != nil {
		return nil, err
	}
	out := make([][]float64, len(continuations))
	for i, c := range continuations {
		out[i] = make([]float64, len(c)+end)
		own := make([]t5Memory, len(m.t5.dec))
		token := m.t5.start
		for j := range out[i] {
			logits, err := m.t5Decode(ctx, s, token, j, own, cross)
			if err != nil {
				return nil, err
			}
			if j == len(c) {
				out[i][j] = logProb(logits, ends)
				break
			}
			token = c[j]
			out[i][j] = logProb(logits, c[j:j+1])
		}
	}
	return out, nil
}

// generateT5 is GenerateIDs for an encoder-decoder.
func (m *Model) generateT5(ctx context.Context, prompt []int32, opts Options, emit func(id int32) (more bool, err error)) (res Result, err error) {
	res = Result{Reason: "length", Prompt: len(prompt)}
	s, err := m.takeT5(ctx, opts.Adapter, prompt)
	if err != nil {
		return res, err
	}
	defer func() { m.t5.turn <- s }()
	start := time.Now()
	cross, err := m.t5Encode(ctx, s, prompt)
	if err != nil {
		return res, err
	}
	res.PromptTime = time.Since(start)
	start = time.Now()
	defer func() { res.Time = time.Since(start) }()
	limit := m.cfg.Context - 1
	if opts.MaxTokens > 0 {
		limit = min(limit, opts.MaxTokens)
	}
	choose := m.sampler(opts)
	own := make([]t5Memory, len(m.t5.dec))
	for past := []int32{m.t5.start}; ; {
		logits, err := m.t5Decode(ctx, s, past[len(past)-1], len(past)-1, own, cross)
		if err != nil {
			return res, err
		}
		id, err := choose.next(logits, past, limit-res.Completion)
		if err != nil {
			return res, err
		}
		past, res.LogProbs = append(past, id), choose.probs
		res.Completion++
		m.observe(&opts, choose.probs)
		more, err := emit(id)
		if err != nil {
			return res, err
		}
		if !more || choose.done() {
			res.Reason = "stop"
			return res, nil
		}
		if res.Completion >= limit {
			return res, nil
		}
	}
}
