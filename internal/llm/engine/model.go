package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	"docent/internal/llm/gguf"
	"docent/internal/tensor"
)

var (
	// ErrUnsupported is wrapped when a file holds a model that this package does not compute.
	ErrUnsupported = errors.New("model not supported")
	// ErrMemory is wrapped when a model needs more memory than the limit.
	ErrMemory = errors.New("not enough memory for the model")
	// ErrContext is wrapped when a prompt leaves no room in the context window.
	ErrContext = errors.New("prompt is too long for the context window")
	// ErrClosed is returned by a model that has been closed.
	ErrClosed = errors.New("model is closed")

	errNoTokenizer = fmt.Errorf("%w: the file has no tokenizer, so that it reads and writes numbers of tokens only; convert its checkpoint again with the tokenizer's files in the folder, or take another file", ErrUnsupported)
)

// Config says how a model is run.
type Config struct {
	// Context is the most tokens of a prompt and its answer; 0 means 4096, or what the model was trained
	// for where that is less.
	Context int
	// CacheTokens is how many tokens' keys and values are kept, for all requests together, and those of earlier
	// ones for others that begin alike; at least Context. 0 means twice Context, or as much as Memory allows.
	CacheTokens int
	Cache       CacheType // how keys and values are kept
	Parallel    int       // the most requests that are computed together, others wait; 0 means 8
	Threads     int       // 0 means one for each processor
	Memory      int64     // the most bytes for weights, cache and buffers; 0 means no limit
	Exact       bool      // activations stay in float32: several times slower, for comparisons

	Logger *slog.Logger // nil discards
}

type norm struct{ w, b []float32 }

type linear struct {
	w    *tensor.QMatrix
	b    []float32
	site int               // one more than its place in the model's sites; 0: adapters cannot change it
	then []*tensor.QMatrix // of the first of some that are multiplied together: those of the product after, if it is known
}

type layer struct {
	attnNorm, attnPost, ffnNorm, ffnPost norm
	q, k, v, o                           linear
	qNorm, kNorm                         []norm // of each head; nil: none
	mlp                                  mlp
	experts                              *experts // nil: none
	parallel                             bool     // the feed-forward network gets what attention gets
	window                               int      // 0: sees all
	rope                                 *rope
}

// Model is an open model. It is safe for concurrent use.
type Model struct {
	cfg    Config
	file   *gguf.File
	params params
	embed  *tensor.QMatrix
	pos    *tensor.QMatrix // learned positions; nil with rope
	final  norm
	output linear
	layers []layer
	t5     *encoderDecoder // nil: the layers are a decoder's
	sites  []site
	vocab  *vocabulary
	ropes  []*rope
	tmpl   *template
	layout layout // of the cache's blocks
	blocks int    // of the cache
	window int    // the widest of the layers'; 0: one sees all
	sched  *scheduler
	rows   rowPool
	closed sync.Once

	adapters atomic.Int64 // bytes of those that were loaded
}

// Open opens a model file; of a split model, any part.
func Open(path string, cfg Config) (*Model, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	m, err := New(f, cfg)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open model %s: %w", path, err)
	}
	return m, nil
}

// New makes a model from an open file, which then belongs to it.
func New(f *gguf.File, cfg Config) (*Model, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Threads <= 0 {
		cfg.Threads = runtime.GOMAXPROCS(0)
	}
	m := &Model{cfg: cfg, file: f}
	if err := m.readParams(); err != nil {
		return nil, err
	}
	if m.cfg.Context <= 0 {
		m.cfg.Context = 4096
	}
	m.cfg.Context = min(m.cfg.Context, m.params.train)
	if err := m.readTensors(); err != nil {
		return nil, err
	}
	if m.t5 == nil {
		m.chain()
	}
	if err := m.size(); err != nil {
		return nil, err
	}
	if err := m.readVocabulary(); err != nil {
		return nil, err
	}
	if err := m.readTemplate(); err != nil {
		return nil, err
	}
	for i, y := range m.layers {
		if y.window == 0 || i == 0 {
			m.window = y.window
		}
		if y.window == 0 {
			break
		}
		m.window = max(m.window, y.window)
	}
	m.sched = m.newScheduler()
	if m.t5 != nil {
		m.t5.turn <- m.newState()
	}
	return m, nil
}

// size settles the cache, within the limit on memory.
func (m *Model) size() error {
	c, p := &m.cfg, &m.params
	if c.Parallel <= 0 {
		c.Parallel = 8
	}
	if c.CacheTokens > 0 && c.CacheTokens < c.Context {
		return fmt.Errorf("%w: a cache of %d tokens cannot hold a context of %d", ErrMemory, c.CacheTokens, c.Context)
	}
	m.layout = layout{kind: c.Cache, layers: p.layers, heads: p.kvHeads, hd: p.headDim}
	least := split(c.Context, blockTokens)
	m.blocks = 2 * least
	if c.CacheTokens > 0 {
		m.blocks = split(c.CacheTokens, blockTokens)
	}
	need := m.Memory()
	if over := need.Total() - c.Memory; c.Memory > 0 && over > 0 && c.CacheTokens == 0 {
		m.blocks = max(least, m.blocks-int((over+m.layout.bytes()-1)/m.layout.bytes()))
		need = m.Memory()
	}
	if c.Memory > 0 && need.Total() > c.Memory {
		return fmt.Errorf("%w: it needs %s (weights %s, a cache of %d tokens %s, buffers %s), the limit is %s; choose a smaller file, a smaller context or a cache in q8_0",
			ErrMemory, mib(need.Total()), mib(need.Weights), m.blocks*blockTokens, mib(need.Cache), mib(need.Buffers), mib(c.Memory))
	}
	return nil
}

func mib(n int64) string { return fmt.Sprintf("%d MiB", (n+1<<20-1)>>20) }

// Close waits for the calls in progress and lets go of the file. Calls that come later get ErrClosed.
func (m *Model) Close() (err error) {
	m.closed.Do(func() {
		m.sched.close()
		if m.t5 != nil {
			(<-m.t5.turn).close()
			close(m.t5.turn)
		}
		err = m.file.Close()
	})
	return err
}

// Memory is what a model needs, in bytes.
type Memory struct {
	Weights  int64 `json:"weights"` // the file; it is mapped, so the system may drop and read again parts of it
	Cache    int64 `json:"cache"`   // keys and values, when all of the cache is in use
	Buffers  int64 `json:"buffers"`
	Adapters int64 `json:"adapters"` // that have been loaded
}

// Total is the sum.
func (n Memory) Total() int64 { return n.Weights + n.Cache + n.Buffers + n.Adapters }

// Memory estimates the most that the model needs.
func (m *Model) Memory() Memory {
	p := m.params
	ff := max(p.ff, p.expertFF, p.sharedFF)
	width := 4*p.dim + 2*p.heads*p.headDim + 2*p.kvHeads*p.headDim + 2*ff
	width += max(p.dim, ff, p.heads*p.headDim) / 2 // in 8 bits, with scales and sums
	if p.experts > 0 {
		width += 2*p.dim + p.experts
	}
	worker := 2 * tensor.PanelWidth() * max(p.dim, ff, p.heads*p.headDim)
	worker += max(tileRows, p.heads/p.kvHeads)*(2*m.layout.padded()+p.headDim+spanTokens) + (blockTokens+spanTokens)*m.layout.padded()
	logits := (logitRows + stepGuess + m.cfg.Parallel) * p.vocab
	segments := split(split(m.cfg.Context, blockTokens), segmentBlocks) * p.kvHeads * segmentRows * m.layout.padded()
	values := int64(batch)*int64(width) + int64(m.cfg.Threads)*int64(worker) + int64(logits) + int64(m.cfg.Parallel)*int64(segments)
	return Memory{Weights: m.file.Bytes(), Cache: int64(m.blocks) * m.layout.bytes(), Buffers: 4 * values, Adapters: m.adapters.Load()}
}

// CacheSize is what the keys and values of so many tokens take, in bytes.
func (m *Model) CacheSize(tokens int) int64 {
	return int64((tokens+blockTokens-1)/blockTokens) * m.layout.bytes()
}

// Info describes a model.
type Info struct {
	Architecture string
	Name         string
	Parameters   int64
	Context      int // it was trained with
	Layers       int
	Width        int
	Vocabulary   int
	Types        map[string]int // how many tensors of each type
}

// Info describes the model.
func (m *Model) Info() Info {
	name, _ := m.file.String("general.name")
	info := Info{
		Architecture: m.params.arch, Name: name, Context: m.params.train, Layers: m.params.layers, Width: m.params.dim,
		Vocabulary: m.params.vocab, Types: map[string]int{},
	}
	for _, t := range m.file.Tensors {
		info.Parameters += int64(t.Values())
		info.Types[t.Type.String()]++
	}
	return info
}

// HasTokenizer tells whether the file has one. Without it a model reads and writes numbers of tokens only.
func (m *Model) HasTokenizer() bool { return m.vocab != nil }

// Context is the most tokens of a prompt and its answer.
func (m *Model) Context() int { return m.cfg.Context }
