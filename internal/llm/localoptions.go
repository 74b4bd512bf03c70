package llm

import (
	"github.com/tmc/langchaingo/llms"

	"docent/internal/llm/engine"
)

// LocalOptions are options that langchaingo has no names for. A local model honours all of them. One on a server gets
// what its protocol has a word for; the others are an [OptionError] where they would change the answer. The zero value
// changes nothing. At most one of Schema, Grammar and Regex may be set: the answer is then held to it, whatever the
// model would say, and is complete unless MaxTokens ends it (StopReason "length").
type LocalOptions struct {
	Schema  []byte // a JSON schema: package grammar says what of it is kept to
	Grammar string // in llama.cpp's notation (GBNF); local models only
	Regex   string // in Go's syntax; the whole answer matches; local models only

	Adapter string // the name of one of Config.Adapters, its file's without .gguf, or "none"; empty means the first

	LogProbs int // how many of the likeliest tokens GenerationInfo["LogProbs"] tells at each place; negative only the chosen one's; local models only

	MinP        float64 // see engine.Sampling for these
	Typical     float64
	Mirostat    int
	MirostatTau float64
	MirostatEta float64
	RepeatLast  int
	Bias        map[int32]float32

	OneCall        bool // at most one call of a tool
	OwnTemperature bool // a server's own temperature, where the call's is 0

	// Deltas is given the pieces of all choices as they come, one at a time; an error ends the call. Of a model on a
	// server, calls of tools come whole.
	Deltas func(Delta) error
}

// TokenProb is a token of an answer with the logarithm of the probability that the model gave it.
type TokenProb struct {
	Token   string      `json:"token"` // may be part of a character
	LogProb float64     `json:"logprob"`
	Top     []TokenProb `json:"top,omitempty"` // the likeliest at its place, best first
}

// localKey is where a call's metadata holds the options. Metadata of other models goes to their servers, so
// the key says whose it is.
const localKey = "docent_local"

// WithLocal gives a call options that langchaingo has no names for.
func WithLocal(o LocalOptions) llms.CallOption {
	return func(opts *llms.CallOptions) {
		m := map[string]any{localKey: o}
		for k, v := range opts.Metadata {
			if k != localKey {
				m[k] = v
			}
		}
		opts.Metadata = m
	}
}

func localOptions(opts *llms.CallOptions) LocalOptions {
	o, _ := opts.Metadata[localKey].(LocalOptions)
	return o
}

// form reports whether the answer is held to one.
func (o LocalOptions) form() bool { return o.Schema != nil || o.Grammar != "" || o.Regex != "" }

// sampling are the options that the engine takes as they are.
func (o LocalOptions) sampling() engine.Sampling {
	return engine.Sampling{
		Bias: o.Bias, RepeatLast: o.RepeatLast, Typical: o.Typical, MinP: o.MinP, Mirostat: o.Mirostat, MirostatTau: o.MirostatTau,
		MirostatEta: o.MirostatEta, LogProbs: o.LogProbs,
	}
}
