package embed

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"docent/internal/tensor"
)

type options struct {
	precision precision
	dims      int
	prompts   *prompts
}

// An Option changes how [Load] and [LoadCrossEncoder] read a checkpoint.
type Option func(*options)

// Int8 rounds the weights of linear layers and of word embeddings to 8 bits: a quarter of the memory,
// and two to four times the speed where the processor multiplies bytes. Vectors differ a little from
// those of float32 (their cosine is about 0.998 for all-MiniLM-L6-v2), so the name and fingerprint get
// "-int8". A checkpoint that is in int8 already stays as it is.
func Int8() Option { return func(o *options) { o.precision = asInt8 } }

// BF16 rounds the weights of linear layers, and what they are multiplied with, to bfloat16, which has the
// range of float32 and 8 bits of its 24: half the memory, and vectors much nearer to those of float32 than
// Int8's. It is faster than float32 where the processor multiplies bfloat16 faster (AMD from Zen 4 on, with
// AVX512-BF16) and about as fast elsewhere; Info says which. The name and fingerprint get "-bf16". A
// checkpoint in int8 stays as it is. Of Int8 and BF16 the last counts.
func BF16() Option { return func(o *options) { o.precision = asBF16 } }

// precision is that of a loaded model's linear layers.
type precision string

const (
	asFloat32 precision = "" // or int8, where the checkpoint is
	asInt8    precision = "int8"
	asBF16    precision = "bf16"
)

// Dims keeps the first n values of each vector and makes the rest of length 1 again, for models that
// were trained to put what matters first (Matryoshka representations, Kusupati et al. 2022). 0 keeps
// all. The name and fingerprint get "-<n>d". It does not apply to cross-encoders.
func Dims(n int) Option { return func(o *options) { o.dims = n } }

// Prompts sets what is put before queries and documents, in place of what the checkpoint or its family
// says. It does not apply to cross-encoders.
func Prompts(query, document string) Option {
	return func(o *options) { o.prompts = &prompts{query, document} }
}

// Where prompts come from, as Info says it.
const (
	promptsGiven  = "option"
	promptsOwn    = "config_sentence_transformers.json"
	promptsFamily = "the model's name"
)

// configure applies the options, and settles the prompts.
func (e *Encoder) configure(o options) error {
	cfg := e.model.cfg
	switch {
	case o.prompts != nil:
		e.prompts, e.source = *o.prompts, promptsGiven
	case cfg.prompted:
		e.prompts, e.source = cfg.prompts, promptsOwn
	default:
		e.prompts, _ = knownModel(withoutQuantSuffix(e.name))
		e.source = promptsFamily
	}
	if o.prompts == nil && e.prompts == (prompts{}) {
		e.source = ""
	}
	e.name = e.model.named(e.name)
	if o.dims < 0 || o.dims > e.dim {
		return fmt.Errorf("%d dimensions were asked for, the model has %d", o.dims, e.dim)
	}
	if o.dims > 0 && o.dims < e.dim {
		e.dim = o.dims
		e.name = fmt.Sprintf("%s-%dd", e.name, o.dims)
	}
	return nil
}

// mixed is a digest that depends on more than the weights.
func mixed(sum string, more ...string) string {
	h := sha256.Sum256([]byte(sum + "\x00" + strings.Join(more, "\x00")))
	return hex.EncodeToString(h[:])[:8]
}

// Info describes an encoder to people.
type Info struct {
	Name           string   `json:"name"`
	Fingerprint    string   `json:"fingerprint"`
	Architecture   string   `json:"architecture"` // one of Architectures
	Precision      string   `json:"precision"`    // of linear layers: "float32", "bf16" or "int8"
	Kernels        string   `json:"kernels"`      // that multiply them: "avx512-bf16", "avx512-vnni", "avx512", "avx2", "neon-dot", "neon" or "generic"
	Dim            int      `json:"dim"`          // of vectors
	FullDim        int      `json:"full_dim"`     // before Dims
	Layers         int      `json:"layers"`
	Heads          int      `json:"heads"`                     // of attention
	Hidden         int      `json:"hidden"`                    // values of a token between layers
	Vocabulary     int      `json:"vocabulary"`                // tokens
	MaxTokens      int      `json:"max_tokens"`                // of a document, without prompt and special tokens
	Pooling        string   `json:"pooling"`                   // "mean", "cls", "last" or "max"
	Dense          []int    `json:"dense,omitempty"`           // outputs of layers after the pooling
	QueryPrompt    string   `json:"query_prompt,omitempty"`    // put before queries
	DocumentPrompt string   `json:"document_prompt,omitempty"` // put before documents
	PromptSource   string   `json:"prompt_source,omitempty"`   // where the two come from; empty for none
	Languages      []string `json:"languages"`                 // ISO 639-1; empty when the model does not say
}

// Info describes the encoder: what it is, how it makes vectors, and what it puts before texts.
func (e *Encoder) Info() Info {
	c := e.model.cfg
	info := Info{
		Name: e.name, Fingerprint: e.fingerprint, Architecture: c.arch.name, Precision: e.model.precision(), Kernels: tensor.Level(),
		Dim: e.dim, FullDim: c.dim(), Layers: c.Layers, Heads: c.Heads, Hidden: c.Hidden, Vocabulary: c.Vocab,
		MaxTokens: e.MaxTokens(), Pooling: string(c.pooling), QueryPrompt: e.prompts.query,
		DocumentPrompt: e.prompts.document, PromptSource: e.source, Languages: slices.Clone(e.languages),
	}
	for _, d := range c.dense {
		info.Dense = append(info.Dense, d.out)
	}
	if info.Languages == nil {
		info.Languages = []string{}
	}
	return info
}

func (m *model) precision() string {
	switch w := m.layers[0].qkv; {
	case w.int8 != nil:
		return string(asInt8)
	case w.bf16 != nil:
		return string(asBF16)
	}
	return "float32"
}

// named ends a model's name in its precision, where that is not float32.
func (m *model) named(name string) string {
	if p := m.precision(); p == string(m.cfg.precision) && !strings.HasSuffix(name, "-"+p) {
		return name + "-" + p
	}
	return name
}
