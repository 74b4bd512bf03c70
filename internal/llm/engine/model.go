package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"strings"

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

// params are a model's shape and its architecture's ways.
type params struct {
	arch                  string
	layers, dim, ff       int
	heads, kvHeads        int
	headDim, vocab, train int // train: tokens of context it was trained with
	eps                   float32
	ropeDim               int
	neox                  bool // pairs of rotated values lie half a head apart, not side by side
	layerNorm             bool // with mean and bias, not RMS
	gelu                  bool // GELU gates or activates, not SiLU
	gated                 bool
	embedScale            float32
	attnScale             float32
	attnCap, finalCap     float32 // 0: none
	window                int     // of the layers that have one
}

type norm struct{ w, b []float32 }

type linear struct {
	w *tensor.QMatrix
	b []float32
}

type layer struct {
	attnNorm, attnPost, ffnNorm, ffnPost norm
	q, k, v, o                           linear
	qNorm, kNorm                         []float32
	gate, up, down                       linear
	window                               int // 0: sees all
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
	width := int64(4*p.dim + 2*p.heads*p.headDim + 2*p.kvHeads*p.headDim + 2*p.ff)
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

const maxSize = 1 << 20 // of a model's dimensions

func (m *Model) readParams() error {
	f := m.file
	arch, _ := f.String("general.architecture")
	p := params{arch: arch, gated: true, embedScale: 1}
	switch arch {
	case "llama", "mistral3":
	case "qwen2", "qwen3", "phi3":
		p.neox = true
	case "gpt2":
		p.layerNorm, p.gelu, p.gated = true, true, false
	case "gemma", "gemma2", "gemma3":
		p.neox, p.gelu = true, true
	case "":
		return fmt.Errorf("%w: the file does not say its architecture", ErrUnsupported)
	default:
		return fmt.Errorf("%w: architecture %q (there are llama, mistral, qwen2, qwen3, gemma, gemma2, gemma3, phi3 and gpt2)", ErrUnsupported, arch)
	}
	if n, ok := f.Uint(arch + ".expert_count"); ok && n > 0 {
		return fmt.Errorf("%w: a mixture of experts", ErrUnsupported)
	}
	if n, ok := f.Uint(arch + ".attention.sliding_window"); ok && n <= maxSize*64 && arch != "phi3" {
		p.window = int(n)
	}
	var err error
	size := func(key string, fallback int) int {
		n, ok := f.Uint(arch + "." + key)
		if !ok && fallback > 0 {
			return fallback
		}
		if !ok || n < 1 || n > maxSize {
			if v, listed := f.Value(arch + "." + key); err == nil && listed {
				err = fmt.Errorf("%w: %s.%s is %v", ErrUnsupported, arch, key, v)
			} else if err == nil {
				err = fmt.Errorf("%w: %s.%s is missing", ErrUnsupported, arch, key)
			}
			return 1
		}
		return int(n)
	}
	p.layers = size("block_count", 0)
	p.dim = size("embedding_length", 0)
	p.ff = size("feed_forward_length", 0)
	p.heads = size("attention.head_count", 0)
	p.kvHeads = size("attention.head_count_kv", p.heads)
	p.headDim = size("attention.key_length", p.dim/p.heads)
	if v := size("attention.value_length", p.headDim); err == nil && v != p.headDim {
		err = fmt.Errorf("%w: keys of %d values and values of %d", ErrUnsupported, p.headDim, v)
	}
	p.ropeDim = size("rope.dimension_count", p.headDim)
	if err != nil {
		return err
	}
	train, ok := f.Uint(arch + ".context_length")
	if !ok || train < 1 || train > 1<<28 {
		return fmt.Errorf("%w: %s.context_length is missing", ErrUnsupported, arch)
	}
	p.train = int(train)
	key := arch + ".attention.layer_norm_rms_epsilon"
	if p.layerNorm {
		key = arch + ".attention.layer_norm_epsilon"
	}
	eps, ok := f.Float(key)
	if !ok || !(eps > 0 && eps < 1) {
		return fmt.Errorf("%w: %s is missing", ErrUnsupported, key)
	}
	p.eps = float32(eps)
	if p.layers > 1024 || p.heads%p.kvHeads != 0 || p.ropeDim > p.headDim || p.ropeDim%2 != 0 || p.headDim > 4096 || p.heads*p.headDim > maxSize {
		return fmt.Errorf("%w: %d layers, %d heads for %d of keys, %d of %d values of a head rotated", ErrUnsupported, p.layers, p.heads, p.kvHeads, p.ropeDim, p.headDim)
	}
	p.attnScale = float32(1 / math.Sqrt(float64(p.headDim)))
	if strings.HasPrefix(arch, "gemma") {
		p.embedScale = float32(math.Sqrt(float64(p.dim)))
		if arch == "gemma2" && p.layers == 46 { // the 27B model scales by width over heads
			p.attnScale = float32(1 / math.Sqrt(float64(p.dim)/float64(p.heads)))
		}
		if arch == "gemma3" && p.layers == 62 {
			p.attnScale = float32(1 / math.Sqrt(float64(p.dim)/float64(p.heads)))
		}
	}
	if c, ok := f.Float(arch + ".attn_logit_softcapping"); ok && c > 0 {
		p.attnCap = float32(c)
	}
	if c, ok := f.Float(arch + ".final_logit_softcapping"); ok && c > 0 {
		p.finalCap = float32(c)
	}
	if arch == "gemma2" {
		p.attnCap, p.finalCap = orDefault(p.attnCap, 50), orDefault(p.finalCap, 30)
		if p.window == 0 {
			p.window = 4096
		}
	}
	m.params = p
	return nil
}

func orDefault(x, d float32) float32 {
	if x == 0 {
		return d
	}
	return x
}

// loader reads tensors and keeps the first error.
type loader struct {
	f   *gguf.File
	err error
}

func (l *loader) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, args...)
	}
}

// matrix finds a matrix of n outputs of k inputs.
func (l *loader) matrix(name string, n, k int) *tensor.QMatrix {
	t, ok := l.f.Tensor(name)
	if !ok {
		l.fail("%w: tensor %s is missing", ErrUnsupported, name)
		return nil
	}
	if !slices.Equal(t.Shape, []int{k, n}) {
		l.fail("%w: tensor %s: shape %v, want [%d %d]", ErrUnsupported, name, t.Shape, k, n)
		return nil
	}
	q, err := tensor.NewQMatrix(tensor.QType(t.Type), n, k, t.Data)
	if err != nil {
		l.fail("%w: tensor %s: %w", ErrUnsupported, name, err)
	}
	return q
}

// vector reads n values into memory; nil for one that is not there.
func (l *loader) vector(name string, n int, required bool) []float32 {
	t, ok := l.f.Tensor(name)
	if !ok {
		if required {
			l.fail("%w: tensor %s is missing", ErrUnsupported, name)
		}
		return nil
	}
	if !slices.Equal(t.Shape, []int{n}) {
		l.fail("%w: tensor %s: shape %v, want [%d]", ErrUnsupported, name, t.Shape, n)
		return nil
	}
	q, err := tensor.NewQMatrix(tensor.QType(t.Type), 1, n, t.Data)
	if err != nil {
		l.fail("%w: tensor %s: %w", ErrUnsupported, name, err)
		return nil
	}
	out := make([]float32, n)
	q.Row(out, 0)
	return out
}

func (m *Model) readTensors() error {
	p, l := &m.params, &loader{f: m.file}
	t, ok := m.file.Tensor("token_embd.weight")
	if !ok || len(t.Shape) != 2 || t.Shape[1] > 1<<24 {
		return fmt.Errorf("%w: tensor token_embd.weight is missing", ErrUnsupported)
	}
	p.vocab = t.Shape[1]
	m.embed = l.matrix("token_embd.weight", p.vocab, p.dim)
	if p.arch == "gpt2" {
		m.pos = l.matrix("position_embd.weight", p.train, p.dim)
	} else {
		m.readRopes(l)
	}
	normed := func(name string, n int, required bool) norm {
		w := norm{w: l.vector(name+".weight", n, required)}
		if p.layerNorm {
			w.b = l.vector(name+".bias", n, required)
		}
		return w
	}
	full := func(name string, n, k int) linear {
		return linear{l.matrix(name+".weight", n, k), l.vector(name+".bias", n, false)}
	}
	m.final = normed("output_norm", p.dim, true)
	if _, ok := m.file.Tensor("output.weight"); ok {
		m.output = full("output", p.vocab, p.dim)
	} else {
		m.output = linear{w: m.embed}
	}
	qn, kn := p.heads*p.headDim, p.kvHeads*p.headDim
	for i := range p.layers {
		name := func(s string) string { return fmt.Sprintf("blk.%d.%s", i, s) }
		var y layer
		y.attnNorm, y.ffnNorm = normed(name("attn_norm"), p.dim, true), normed(name("ffn_norm"), p.dim, true)
		y.attnPost, y.ffnPost = normed(name("post_attention_norm"), p.dim, false), normed(name("post_ffw_norm"), p.dim, false)
		if _, ok := m.file.Tensor(name("attn_qkv.weight")); ok {
			all := full(name("attn_qkv"), qn+2*kn, p.dim)
			y.q, y.k, y.v = all.rows(0, qn), all.rows(qn, qn+kn), all.rows(qn+kn, qn+2*kn)
		} else {
			y.q, y.k, y.v = full(name("attn_q"), qn, p.dim), full(name("attn_k"), kn, p.dim), full(name("attn_v"), kn, p.dim)
		}
		y.o = full(name("attn_output"), p.dim, qn)
		y.qNorm, y.kNorm = l.vector(name("attn_q_norm.weight"), p.headDim, p.arch == "qwen3" || p.arch == "gemma3"), l.vector(name("attn_k_norm.weight"), p.headDim, p.arch == "qwen3" || p.arch == "gemma3")
		switch _, gate := m.file.Tensor(name("ffn_gate.weight")); {
		case p.gated && !gate:
			all := full(name("ffn_up"), 2*p.ff, p.dim)
			y.gate, y.up = all.rows(0, p.ff), all.rows(p.ff, 2*p.ff)
		case p.gated:
			y.gate, y.up = full(name("ffn_gate"), p.ff, p.dim), full(name("ffn_up"), p.ff, p.dim)
		default:
			y.up = full(name("ffn_up"), p.ff, p.dim)
		}
		y.down = full(name("ffn_down"), p.dim, p.ff)
		if len(m.ropes) > 0 {
			y.rope = m.ropes[0]
		}
		switch p.arch {
		case "gemma2":
			if i%2 == 0 {
				y.window = p.window
			}
		case "gemma3":
			if i%6 != 5 {
				y.window, y.rope = p.window, m.ropes[1]
			}
		default:
			y.window = p.window
		}
		m.layers = append(m.layers, y)
		if l.err != nil {
			return l.err
		}
	}
	return l.err
}

// rows cuts a fused product into its parts.
func (l linear) rows(from, to int) linear {
	if l.w == nil {
		return l
	}
	out := linear{w: l.w.Rows(from, to)}
	if l.b != nil {
		out.b = l.b[from:to]
	}
	return out
}
