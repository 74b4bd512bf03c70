package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"

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
)

// Config says how a model is run.
type Config struct {
	// Context is the most tokens of a prompt and its answer; 0 means 4096, or what the model was trained
	// for where that is less.
	Context int
	Threads int   // 0 means one for each processor
	Memory  int64 // the most bytes for weights, cache and buffers; 0 means no limit
	Exact   bool  // activations stay in float32: several times slower, for comparisons

	Logger *slog.Logger // nil discards
}

type norm struct{ w, b []float32 }

type linear struct {
	w *tensor.QMatrix
	b []float32
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
	vocab  *vocabulary
	ropes  []*rope
	slots  chan *state // holds the one state when nobody computes
	seq    *sequence   // the last one; whoever has the state may use it
	tmpl   *template
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
	m := &Model{cfg: cfg, file: f, slots: make(chan *state, 1)}
	if err := m.readParams(); err != nil {
		return nil, err
	}
	if m.cfg.Context <= 0 {
		m.cfg.Context = 4096
	}
	m.cfg.Context = min(m.cfg.Context, m.params.train)
	if need := m.Memory(); cfg.Memory > 0 && need.Total() > cfg.Memory {
		return nil, fmt.Errorf("%w: it needs %s (weights %s, %d tokens of context %s, buffers %s), the limit is %s; choose a smaller file or context",
			ErrMemory, mib(need.Total()), mib(need.Weights), m.cfg.Context, mib(need.Cache), mib(need.Buffers), mib(cfg.Memory))
	}
	if err := m.readTensors(); err != nil {
		return nil, err
	}
	if err := m.readVocabulary(); err != nil {
		return nil, err
	}
	if err := m.readTemplate(); err != nil {
		return nil, err
	}
	m.seq = m.newSequence()
	m.slots <- m.newState()
	return m, nil
}

func mib(n int64) string { return fmt.Sprintf("%d MiB", (n+1<<20-1)>>20) }

// Close waits for the call in progress and lets go of the file.
func (m *Model) Close() error {
	s, ok := <-m.slots
	if !ok {
		return nil
	}
	close(m.slots)
	s.close()
	return m.file.Close()
}

// Memory is what a model needs, in bytes.
type Memory struct {
	Weights int64 // the file; it is mapped, so the system may drop and read again parts of it
	Cache   int64 // keys and values of a full context
	Buffers int64
}

// Total is the sum.
func (n Memory) Total() int64 { return n.Weights + n.Cache + n.Buffers }

// Memory estimates what the model needs with a full context.
func (m *Model) Memory() Memory {
	p := m.params
	cache := 2 * 4 * int64(p.layers) * int64(p.kvHeads) * int64(p.headDim) * int64(m.cfg.Context)
	rows := int64(min(batch, m.cfg.Context))
	width := int64(4*p.dim + 2*p.heads*p.headDim + 2*p.kvHeads*p.headDim + 2*max(p.ff, p.expertFF, p.sharedFF))
	if p.experts > 0 {
		width += int64(2*p.dim + p.experts)
	}
	panel := int64(m.cfg.Threads) * int64(2*tensor.PanelWidth()) * int64(max(p.dim, p.ff, p.heads*p.headDim))
	scores := int64(m.cfg.Threads) * (queryBlock + 1) * int64(m.cfg.Context+2*tensor.PanelWidth())
	keys := int64(p.kvHeads) * int64(m.cfg.Context+tensor.PanelWidth()) * int64(p.headDim)
	return Memory{Weights: m.file.Bytes(), Cache: cache, Buffers: 4 * (rows*width + panel + scores + keys + int64(p.vocab))}
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

// Context is the most tokens of a prompt and its answer.
func (m *Model) Context() int { return m.cfg.Context }
