package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Options says how an answer is made.
type Options struct {
	Sampling
	MaxTokens int      // 0 means until the context window is full
	MinTokens int      // the model may not end the answer before
	Stop      []string // the answer ends before the first of these texts
	IgnoreEnd bool     // goes on after tokens that end an answer, for measurements
	NoGuesses bool     // computes one token at a time; guesses do not change an answer
	Adapter   *Adapter // of this model; nil means the model as it is

	Constraint Constraint // what the answer may be; nil means anything. It serves one call

	// Observe, where Sampling.LogProbs asks for something, is told of each token of the answer before it is emitted, but
	// not of one that only ends the answer.
	Observe func(TokenProb)
}

// Result says how an answer came about.
type Result struct {
	Reason     string // "stop": the model or a stop text ended it; "length": there was no more room
	Prompt     int    // tokens
	Reused     int    // of the prompt's tokens, that did not have to be computed
	Completion int    // tokens, the one that ended it included
	PromptTime time.Duration
	Time       time.Duration // after the prompt
	Guesses    int           // tokens that were guessed
	Guessed    int           // of those, how many were right
	LogProbs   []TokenProb   // of the answer's tokens, where Sampling.LogProbs asks for them
}

// Generate continues a prompt and calls emit with each piece of text, on borders of characters, as it
// comes. It waits for earlier calls first. An error of emit ends it. When ctx ends, Generate returns its
// error within about a layer's time.
func (m *Model) Generate(ctx context.Context, prompt []int32, opts Options, emit func(text string) error) (Result, error) {
	if m.vocab == nil {
		return Result{}, errNoTokenizer
	}
	d := &decoder{vocab: m.vocab}
	cut := newCutter(opts.Stop)
	ended := false
	send := func(text string) error {
		if text == "" || emit == nil {
			return nil
		}
		return emit(text)
	}
	res, err := m.GenerateIDs(ctx, prompt, opts, func(id int32) (bool, error) {
		if !opts.IgnoreEnd && m.vocab.ends[id] {
			ended = true
			return false, nil
		}
		text, stopped := cut.add(d.next(id))
		ended = stopped
		return !stopped, send(text)
	})
	if err != nil {
		return res, err
	}
	if !cut.stopped {
		text, stopped := cut.add(d.flush())
		ended = ended || stopped
		if err := send(text + cut.flush()); err != nil {
			return res, err
		}
	}
	if ended {
		res.Reason = "stop"
	}
	return res, nil
}

// GenerateIDs continues a prompt and calls emit with each token, until it says no.
func (m *Model) GenerateIDs(ctx context.Context, prompt []int32, opts Options, emit func(id int32) (more bool, err error)) (res Result, err error) {
	if err := opts.validate(); err != nil {
		return Result{}, err
	}
	if m.t5 != nil {
		return m.generateT5(ctx, prompt, opts, emit)
	}
	res = Result{Reason: "length", Prompt: len(prompt)}
	if err := m.check(prompt); err != nil {
		return res, err
	}
	if err := m.owns(opts.Adapter); err != nil {
		return res, err
	}
	limit := m.cfg.Context - len(prompt)
	if opts.MaxTokens > 0 {
		limit = min(limit, opts.MaxTokens)
	}
	r := m.newRequest(prompt)
	rows := make([]*[]float32, 1+maxGuess)
	r.deliver = func(i int, row []float32) { rows[i] = m.rows.copy(row) }
	r.adapt(opts.Adapter)
	if err := m.sched.submit(ctx, r); err != nil {
		return res, err
	}
	defer m.sched.leave(r)
	if err := r.wait(ctx); err != nil {
		return res, err
	}
	start := time.Now()
	res.Reused, res.PromptTime = r.reused, start.Sub(r.start)
	defer func() { res.Time = time.Since(start) }()
	choose, guess := m.sampler(opts), guesser{rate: 0.5}
	for {
		// The tokens after the sure ones are guesses; row i is what follows the first i of them.
		guessed, right := r.logits-1, 0
		for more := true; more; {
			row := rows[right]
			r.known = r.sure
			id, err := choose.next(*row, r.tokens[:r.sure], limit-res.Completion)
			m.rows.Put(row)
			if err != nil {
				return res, err
			}
			res.LogProbs = choose.probs
			res.Completion++
			m.observe(&opts, choose.probs)
			if more, err = emit(id); err != nil {
				return res, err
			}
			if !more || choose.done() {
				res.Reason = "stop"
				return res, nil
			}
			if res.Completion >= limit {
				return res, nil
			}
			if err := ctx.Err(); err != nil { // no guesses for who has left
				return res, err
			}
			if more = right < guessed && r.tokens[r.sure] == id; more {
				right++
			} else {
				r.tokens = append(r.tokens[:r.sure], id)
			}
			r.sure++
		}
		for _, row := range rows[right+1 : guessed+1] {
			m.rows.Put(row)
		}
		res.Guessed, res.Guesses = res.Guessed+right, res.Guesses+guessed
		if guessed > 0 {
			guess.learn(right, guessed)
		}
		if !opts.NoGuesses {
			r.tokens = append(r.tokens, guess.guess(r.tokens, min(limit-res.Completion, stepGuess/r.company)-1)...)
		}
		r.logits = 1 + len(r.tokens) - r.sure
		m.sched.advance(r)
		if err := r.wait(ctx); err != nil {
			return res, err
		}
	}
}

// observe tells of the last of the tokens.
func (m *Model) observe(opts *Options, probs []TokenProb) {
	if opts.Observe == nil || len(probs) == 0 {
		return
	}
	if last := probs[len(probs)-1]; opts.IgnoreEnd || m.vocab == nil || !m.vocab.ends[last.ID] {
		opts.Observe(last)
	}
}

// newRequest is one that computes a prompt and wants the logits of its last token.
func (m *Model) newRequest(prompt []int32) *request {
	return &request{
		tokens: append(make([]int32, 0, len(prompt)+64), prompt...),
		sure:   len(prompt), known: len(prompt), logits: 1,
	}
}

// adapt chooses the request's adapter; nil means none.
func (r *request) adapt(a *Adapter) {
	if a != nil {
		r.seq.adapter, r.seq.space = a, a.space
	}
}

// owns refuses an adapter of another model.
func (m *Model) owns(a *Adapter) error {
	if a != nil && a.model != m {
		return fmt.Errorf("%w: %s was loaded for another one", ErrAdapter, a)
	}
	return nil
}

// sampler chooses the tokens of a call.
func (m *Model) sampler(opts Options) *sampler {
	s := newSampler(opts.Sampling, opts.Constraint)
	if opts.MinTokens > 0 && m.vocab != nil {
		s.least, s.hold = opts.MinTokens, slices.Collect(maps.Keys(m.vocab.ends))
	}
	return s
}

// Logits computes the logits after each token of a prompt: len(prompt) rows of the vocabulary's size.
func (m *Model) Logits(ctx context.Context, prompt []int32) ([][]float32, error) {
	out := make([][]float32, len(prompt))
	r := m.newRequest(prompt)
	r.fresh, r.logits = true, len(prompt)
	r.deliver = func(i int, row []float32) { out[i] = slices.Clone(row) }
	if err := m.once(ctx, r); err != nil {
		return nil, err
	}
	return out, nil
}

// Next computes the logits of the token that follows a prompt.
func (m *Model) Next(ctx context.Context, prompt []int32) ([]float32, error) {
	var out []float32
	r := m.newRequest(prompt)
	r.deliver = func(_ int, row []float32) { out = slices.Clone(row) }
	if err := m.once(ctx, r); err != nil {
		return nil, err
	}
	return out, nil
}

// once computes a request that has one answer.
func (m *Model) once(ctx context.Context, r *request) error {
	if err := m.check(r.tokens); err != nil {
		return err
	}
	if err := m.sched.submit(ctx, r); err != nil {
		return err
	}
	defer m.sched.leave(r)
	return r.wait(ctx)
}

func (m *Model) check(prompt []int32) error {
	if m.t5 != nil {
		return fmt.Errorf("%w: a %s model generates and scores replies only", ErrUnsupported, m.params.arch)
	}
	return m.checkTokens(prompt)
}

func (m *Model) checkTokens(prompt []int32) error {
	if len(prompt) == 0 {
		return fmt.Errorf("%w: the prompt is empty", ErrContext)
	}
	if len(prompt) >= m.cfg.Context {
		return fmt.Errorf("%w: it has %d tokens, the window %d", ErrContext, len(prompt), m.cfg.Context)
	}
	for _, id := range prompt {
		if id < 0 || int(id) >= m.params.vocab {
			return fmt.Errorf("token %d is not one of the model's %d", id, m.params.vocab)
		}
	}
	return nil
}

// cutter ends a text before the first of some strings and holds back what may be the start of one.
type cutter struct {
	stop    []string
	held    string
	stopped bool
}

func newCutter(stop []string) *cutter {
	c := &cutter{}
	for _, s := range stop {
		if s != "" {
			c.stop = append(c.stop, s)
		}
	}
	return c
}

func (c *cutter) add(text string) (out string, stopped bool) {
	if c.stopped {
		return "", true
	}
	c.held += text
	first := -1
	for _, s := range c.stop {
		if i := strings.Index(c.held, s); i >= 0 && (first < 0 || i < first) {
			first = i
		}
	}
	if first >= 0 {
		out, c.held, c.stopped = c.held[:first], "", true
		return out, true
	}
	keep := 0
	for _, s := range c.stop {
		for n := min(len(s)-1, len(c.held)); n > keep; n-- {
			if strings.HasSuffix(c.held, s[:n]) {
				keep = n
				break
			}
		}
	}
	out, c.held = c.held[:len(c.held)-keep], c.held[len(c.held)-keep:]
	return out, false
}

func (c *cutter) flush() string {
	out := c.held
	c.held = ""
	return out
}
