package engine

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"docent/internal/llm/gguf"
)

// architecture is how the models of a kind differ from Llama, which norms by root mean square before
// attention and before a feed-forward network that SiLU gates, and rotates queries and keys in pairs
// that lie side by side.
type architecture struct {
	neox      bool // rotated pairs lie half a head apart
	learned   bool // positions have vectors of their own, and nothing is rotated
	layerNorm bool // norms take the mean off and add a bias
	gelu      bool // gates or activates, not SiLU
	ungated   bool
	relu      bool // activates where there is no gate
	headNorm  bool // queries and keys have a norm, one for all heads
	parallel  bool // a layer without a norm before its feed-forward network gives it what attention gets
	rawRoute  bool // weights of the experts in use are not brought to a sum of 1
	scaled    bool // embeddings are multiplied by the root of their width
	wide      int  // a model of so many layers scales scores by its width over heads, not by a head's width

	attnCap, finalCap float32              // of scores and logits, where the file does not say
	window            int                  // where the file does not say
	noWindow          bool                 // the file's window is not used
	local             func(layer int) bool // which layers have the window; nil: all
	localBase         float64              // of the frequencies of layers with a window; 0: as the others
}

// architectures are those that are computed, by their names in files. Those of CodeLlama, SmolLM, TinyLlama,
// Mistral and Mixtral say llama.
var architectures = map[string]architecture{
	"llama":    {},
	"mistral3": {},
	"qwen2":    {neox: true},
	"qwen3":    {neox: true, headNorm: true},
	"qwen2moe": {neox: true, rawRoute: true},
	"qwen3moe": {neox: true, headNorm: true},
	"phi2":     {neox: true, layerNorm: true, gelu: true, ungated: true, parallel: true},
	"phi3":     {neox: true, noWindow: true},
	"chatglm":  {},
	"glm4":     {},
	"stablelm": {neox: true, layerNorm: true, parallel: true},
	"t5":       {gelu: true, relu: true},
	"gpt2":     {learned: true, layerNorm: true, gelu: true, ungated: true},
	"gemma":    {neox: true, gelu: true, scaled: true},
	"gemma2": {
		neox: true, gelu: true, scaled: true, wide: 46, attnCap: 50, finalCap: 30, window: 4096,
		local: func(layer int) bool { return layer%2 == 0 },
	},
	"gemma3": {
		neox: true, gelu: true, scaled: true, wide: 62, headNorm: true, localBase: 10000,
		local: func(layer int) bool { return layer%6 != 5 },
	},
}

// params are a model's shape and its architecture.
type params struct {
	architecture
	arch                  string
	layers, dim, ff       int
	heads, kvHeads        int
	headDim, vocab, train int // train: tokens of context it was trained with
	eps                   float32
	ropeDim               int
	experts, used         int // of a layer; 0 where there are none
	expertFF, sharedFF    int // inner widths of an expert and of the one that all tokens use
	embedScale            float32
	attnScale             float32
	temper                temper
}

// temper is how the scores of queries grow with their place, so that attention over a long text stays sharp: by
// 1 + scale·ln(1 + ⌊place/every⌋), as Llama 4 and Ministral 3 have it.
type temper struct {
	scale float64 // 0: they do not
	every float64 // tokens
}

// at is what the query at a place is multiplied by.
func (t temper) at(pos int) float32 {
	return float32(1 + t.scale*math.Log(1+math.Floor(float64(pos)/t.every)))
}

const (
	maxSize    = 1 << 20 // of a model's dimensions
	maxExperts = 1 << 12
)

// sizes reads numbers of an architecture's metadata and keeps the first error.
type sizes struct {
	f    *gguf.File
	arch string
	err  error
}

// at reads a size; fallback is for a key that is not there, 0 where it must be.
func (s *sizes) at(key string, fallback int) int {
	key = s.arch + "." + key
	v, listed := s.f.Value(key)
	n, ok := s.f.Uint(key)
	switch {
	case !listed && fallback > 0:
		return fallback
	case ok && n >= 1 && n <= maxSize:
		return int(n)
	case s.err == nil && listed:
		s.err = fmt.Errorf("%w: %s is %v", ErrUnsupported, key, v)
	case s.err == nil:
		s.err = fmt.Errorf("%w: %s is missing", ErrUnsupported, key)
	}
	return 1
}

func (m *Model) readParams() error {
	f := m.file
	arch, _ := f.String("general.architecture")
	ways, ok := architectures[arch]
	if arch == "" {
		return fmt.Errorf("%w: the file does not say its architecture", ErrUnsupported)
	}
	if !ok {
		return fmt.Errorf("%w: architecture %q (there are %s)", ErrUnsupported, arch, strings.Join(slices.Sorted(maps.Keys(architectures)), ", "))
	}
	p := params{architecture: ways, arch: arch, embedScale: 1}
	if n, ok := f.Uint(arch + ".attention.sliding_window"); ok && n <= maxSize*64 && n > 0 {
		p.window = int(n)
	}
	if p.noWindow {
		p.window = 0
	}
	s := &sizes{f: f, arch: arch}
	p.layers = s.at("block_count", 0)
	p.dim = s.at("embedding_length", 0)
	if n, ok := f.Uint(arch + ".expert_count"); ok && n > 0 {
		p.experts, p.used = s.at("expert_count", 0), s.at("expert_used_count", 0)
		p.expertFF = s.at("expert_feed_forward_length", s.at("feed_forward_length", 0))
		p.sharedFF = s.at("expert_shared_feed_forward_length", p.expertFF)
		if s.err == nil && (p.used > p.experts || p.experts > maxExperts) {
			s.err = fmt.Errorf("%w: %d of %d experts", ErrUnsupported, p.used, p.experts)
		}
	}
	p.ff = s.at("feed_forward_length", p.expertFF)
	p.heads = s.at("attention.head_count", 0)
	p.kvHeads = s.at("attention.head_count_kv", p.heads)
	p.headDim = s.at("attention.key_length", max(1, p.dim/p.heads))
	if v := s.at("attention.value_length", p.headDim); s.err == nil && v != p.headDim {
		s.err = fmt.Errorf("%w: keys of %d values and values of %d", ErrUnsupported, p.headDim, v)
	}
	p.ropeDim = s.at("rope.dimension_count", p.headDim)
	if s.err != nil {
		return s.err
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
	if p.layers == p.wide {
		p.attnScale = float32(1 / math.Sqrt(float64(p.dim)/float64(p.heads)))
	}
	if x, ok := f.Float(arch + ".attention.temperature_scale"); ok && x != 0 {
		// The file says no length of its own; llama.cpp too takes the one of the training before YaRN.
		p.temper.scale = x
		p.temper.every, _ = f.Float(arch + ".rope.scaling.original_context_length")
		if !(x > 0 && x < 100 && p.temper.every >= 1 && p.temper.every <= 1<<28) {
			return fmt.Errorf("%w: %s.attention.temperature_scale is %g, for each %g tokens of rope.scaling.original_context_length", ErrUnsupported, arch, x, p.temper.every)
		}
	}
	if p.scaled {
		p.embedScale = float32(math.Sqrt(float64(p.dim)))
	}
	limit := func(key string, fallback float32) float32 {
		c, _ := f.Float(arch + "." + key)
		return cmp.Or(max(0, float32(c)), fallback)
	}
	p.attnCap = limit("attn_logit_softcapping", p.attnCap)
	p.finalCap = limit("final_logit_softcapping", p.finalCap)
	m.params = p
	return nil
}

// windowOf is how many tokens a layer sees, 0 for all.
func (p *params) windowOf(layer int) int {
	if p.local != nil && !p.local(layer) {
		return 0
	}
	return p.window
}
