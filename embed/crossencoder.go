package embed

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"

	"docent/internal/tensor"
	"docent/internal/tokenizer"
)

// A CrossEncoder scores how well passages answer a query. It reads each passage together with the
// query, which is far slower than comparing vectors and more exact: it is for putting the few best hits
// of a search in order. It is safe for concurrent use.
type CrossEncoder struct {
	name        string
	fingerprint string
	languages   []string
	tok         tokenizer.Tokenizer
	model       *model
	head        head
	prefix      []int32
	middle      []int32 // between query and passage
	suffix      []int32
	maxText     int           // tokens of query and passage together
	slots       chan *scratch // one for each worker; nil until first used
}

// head is a classifier of one label on a vector of the last hidden state.
type head struct {
	dense  dense
	norm   normWeights // or nothing
	out    []float32
	bias   float32
	logits bool // scores are as they come, not between 0 and 1
}

// LoadCrossEncoder reads a reranker: the files that [Load] reads, with a classifier of one label on top
// (BERT, DistilBERT, RoBERTa, CamemBERT, XLM-RoBERTa, MPNet, ALBERT and ModernBERT; of GGUF files those
// with a classifier of two layers, which XLM-RoBERTa's have). Of the options, Int8 applies.
func LoadCrossEncoder(path string, opts ...Option) (*CrossEncoder, error) {
	c, err := loadCross(path, opts)
	if err != nil {
		return nil, fmt.Errorf("load cross-encoder %s: %w", path, err)
	}
	return c, nil
}

func loadCross(path string, opts []Option) (*CrossEncoder, error) {
	var o options
	for _, set := range opts {
		set(&o)
	}
	from, err := openCheckpoint(path, true)
	if err != nil {
		return nil, err
	}
	c, err := newCrossEncoder(&from.checkpoint, o)
	if err != nil {
		from.files.Close()
		return nil, err
	}
	c.fingerprint = c.name + "@" + from.files.digest()
	c.model.keep(from.files)
	return c, nil
}

// newCrossEncoder builds a cross-encoder without a fingerprint.
func newCrossEncoder(from *checkpoint, o options) (*CrossEncoder, error) {
	cfg := from.cfg
	if cfg.arch.head.out == "" {
		return nil, fmt.Errorf("%s has no classifier that is supported", cfg.arch.name)
	}
	if cfg.labels != 1 {
		return nil, fmt.Errorf("the classifier has %d labels, a reranker has 1", cfg.labels)
	}
	cfg.precision = o.precision
	c := &CrossEncoder{name: from.name, languages: from.languages, tok: from.tok}
	err := c.tokens(cfg)
	if err != nil {
		return nil, err
	}
	if c.model, err = loadModel(from.weights, cfg); err != nil {
		return nil, err
	}
	c.name = c.model.named(c.name)
	if c.head, err = loadHead(from.weights, cfg); err != nil {
		return nil, err
	}
	workers := runtime.GOMAXPROCS(0)
	c.slots = make(chan *scratch, workers)
	for range workers {
		c.slots <- nil
	}
	return c, nil
}

// tokens sets up what is read of texts.
func (c *CrossEncoder) tokens(cfg *modelConfig) error {
	c.prefix, c.suffix = c.tok.Specials()
	c.middle = c.suffix
	if cfg.arch.twoSeps {
		c.middle = slices.Concat(c.suffix, c.suffix)
	}
	if len(c.prefix) == 0 || len(c.suffix) == 0 {
		return errors.New("the tokenizer adds no special tokens around a text")
	}
	c.maxText = cfg.maxTokens - len(c.prefix) - len(c.middle) - len(c.suffix)
	if c.maxText < 2 {
		return fmt.Errorf("max_seq_length %d leaves no room for two texts", cfg.maxTokens)
	}
	return nil
}

func loadHead(f tensors, cfg *modelConfig) (head, error) {
	names, h := cfg.arch.head, cfg.Hidden
	l := loader{file: f, freeBias: cfg.arch.freeBias}
	act := names.act
	if cfg.headActivation != "" {
		act = cfg.headActivation
	}
	if activations[act] == nil {
		return head{}, fmt.Errorf("config.json: classifier_activation %q is not supported", act)
	}
	d := head{dense: dense{in: h, out: h, act: activations[act]}, logits: cfg.identity}
	d.dense.weights = l.floats(names.dense+".weight", h, h)
	if !l.freeBias || l.has(names.dense+".bias") {
		d.dense.bias = l.floats(names.dense+".bias", h)
	}
	if names.norm != "" {
		d.norm = l.norm(names.norm, h)
	}
	d.out = l.floats(names.out+".weight", 1, h)
	bias := l.floats(names.out+".bias", 1)
	if l.err != nil {
		return head{}, l.err
	}
	d.bias = bias[0]
	return d, nil
}

// score is that of one text, given the rows of its last hidden state.
func (d *head) score(mode pooling, rows []float32, epsilon float32) float32 {
	v, y := make([]float32, d.dense.in), make([]float32, d.dense.out)
	pool(mode, v, rows)
	d.dense.apply(y, v)
	if d.norm.gamma != nil {
		tensor.AddNorm(y, y, nil, d.norm.gamma, d.norm.beta, epsilon)
	}
	logit := tensor.Dot(d.out, y) + d.bias
	if d.logits {
		return logit
	}
	return float32(1 / (1 + math.Exp(-float64(logit))))
}

// Name is the model's name: that of its folder, if the weights carry none.
func (c *CrossEncoder) Name() string { return c.name }

// Fingerprint is the name, "@", and the first 8 hex digits of the SHA-256 of the weights.
func (c *CrossEncoder) Fingerprint() string { return c.fingerprint }

// MaxTokens is the most tokens of query and passage together that are read, special tokens not counted.
func (c *CrossEncoder) MaxTokens() int { return c.maxText }

// Info describes the cross-encoder. It has no vectors, so Dim and FullDim are 0; Pooling is what the
// classifier reads.
func (c *CrossEncoder) Info() Info {
	cfg := c.model.cfg
	info := Info{
		Name: c.name, Fingerprint: c.fingerprint, Architecture: cfg.arch.name, Precision: c.model.precision(),
		Layers: cfg.Layers, Heads: cfg.Heads, Hidden: cfg.Hidden, Vocabulary: cfg.Vocab, MaxTokens: c.maxText,
		Pooling: string(cfg.headPooling), Languages: append([]string{}, c.languages...),
	}
	return info
}

// Score returns a number for each passage, higher for one that answers the query better, in order. It
// is between 0 and 1, or any number where the checkpoint's configuration asks for the classifier's own
// (activation_fn Identity); either way it depends on nothing but the two texts. Of texts that are too
// long together, the longer is cut first. When ctx ends first, the error is its cause.
func (c *CrossEncoder) Score(ctx context.Context, query string, passages []string) ([]float32, error) {
	out := make([]float32, len(passages))
	if len(passages) == 0 {
		return out, nil
	}
	asked := c.tok.Append(nil, query, c.maxText)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		next int
	)
	guess := func(i int) int { return min(len(asked)+len(passages[i])/4, c.maxText) + 3 }
	total := 0
	for i := range passages {
		total += guess(i)
	}
	workers := min(cap(c.slots), len(passages))
	budget := min(groupTokens, max(total/workers, 64))
	take := func() (from, to int) {
		mu.Lock()
		defer mu.Unlock()
		from = next
		for sum := 0; next < len(passages) && (next == from || sum+guess(next) <= budget); next++ {
			sum += guess(next)
		}
		return from, next
	}
	work := func() {
		var s *scratch
		select {
		case s = <-c.slots:
		case <-ctx.Done():
			return
		}
		if s == nil {
			s = new(scratch)
		}
		defer func() { c.slots <- s }()
		for ctx.Err() == nil {
			from, to := take()
			if from == to {
				return
			}
			if err := c.run(ctx, s, asked, passages[from:to], out[from:to]); err != nil {
				cancel(err)
				return
			}
		}
	}
	for range workers - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return out, nil
}

// run scores passages on one goroutine.
func (c *CrossEncoder) run(ctx context.Context, s *scratch, asked []tokenizer.Token, passages []string, out []float32) error {
	for done := 0; done < len(passages); {
		s.ids, s.ends, s.second = s.ids[:0], s.ends[:0], s.second[:0]
		for i := done; i < len(passages) && (i == done || len(s.ids) < groupTokens); i++ {
			c.pair(s, asked, passages[i])
		}
		if err := c.model.forward(ctx, s); err != nil {
			return err
		}
		begin, h := 0, c.model.cfg.Hidden
		for i, end := range s.ends {
			score := c.head.score(c.model.cfg.headPooling, s.x[begin*h:end*h], float32(c.model.cfg.Epsilon))
			if score-score != 0 {
				return fmt.Errorf("score passage %d: the model gave %v", done+i, score)
			}
			out[done+i] = score
			begin = end
		}
		done += len(s.ends)
	}
	runtime.KeepAlive(c.model) // the head's weights lie in its files
	return nil
}

// pair appends the tokens of query and passage.
func (c *CrossEncoder) pair(s *scratch, asked []tokenizer.Token, passage string) {
	s.tokens = c.tok.Append(s.tokens[:0], passage, c.maxText)
	a, b := shares(len(asked), len(s.tokens), c.maxText)
	s.ids = append(s.ids, c.prefix...)
	for _, t := range asked[:a] {
		s.ids = append(s.ids, t.ID)
	}
	s.ids = append(s.ids, c.middle...)
	s.second = append(s.second, len(s.ids))
	for _, t := range s.tokens[:b] {
		s.ids = append(s.ids, t.ID)
	}
	s.ids = append(s.ids, c.suffix...)
	s.ends = append(s.ends, len(s.ids))
}

// shares cuts two texts of a and b tokens to limit tokens together, the longer first, as Hugging Face
// tokenizers' longest_first does.
func shares(a, b, limit int) (int, int) {
	switch half := limit / 2; {
	case a+b <= limit:
		return a, b
	case a <= b && a <= half:
		return a, limit - a
	case b < a && b <= half:
		return limit - b, b
	case a <= b:
		return half, limit - half
	default:
		return limit - half, half
	}
}
