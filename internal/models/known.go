package models

import (
	"slices"
	"strings"
)

// A Kind says what a model is for.
type Kind string

const (
	EncoderModel  Kind = "encoder"  // texts to vectors
	RerankerModel Kind = "reranker" // a question and a passage to a score
	ChatModel     Kind = "chat"     // writes answers
)

// A KnownModel is one of those that docent suggests.
type KnownModel struct {
	Name      string   `json:"name"`
	Kind      Kind     `json:"kind"`
	Repo      string   `json:"repo"`
	File      string   `json:"file,omitempty"` // of a repository with several
	Megabytes int      `json:"megabytes"`      // about, of the download
	Licence   string   `json:"licence"`        // SPDX identifier
	Languages []string `json:"languages"`      // ISO 639-1; empty for many
	About     string   `json:"about"`
}

// known is by kind and size. Whoever adds one has read its card: the licence, and that the repository has
// safetensors.
var known = []KnownModel{
	{"all-minilm-l6-v2", EncoderModel, "sentence-transformers/all-MiniLM-L6-v2", "", 92, "Apache-2.0", []string{"en"}, "384 dimensions; the built-in encoder with its float32 weights"},
	{"bge-small-en-v1.5", EncoderModel, "BAAI/bge-small-en-v1.5", "", 134, "MIT", []string{"en"}, "384 dimensions, 512 tokens"},
	{"e5-small-v2", EncoderModel, "intfloat/e5-small-v2", "", 134, "MIT", []string{"en"}, "384 dimensions, 512 tokens"},
	{"bge-base-en-v1.5", EncoderModel, "BAAI/bge-base-en-v1.5", "", 439, "MIT", []string{"en"}, "768 dimensions, 512 tokens"},
	{"bge-small-zh-v1.5", EncoderModel, "BAAI/bge-small-zh-v1.5", "", 97, "MIT", []string{"zh"}, "512 dimensions, 512 tokens"},
	{"bge-base-zh-v1.5", EncoderModel, "BAAI/bge-base-zh-v1.5", "", 410, "MIT", []string{"zh"}, "768 dimensions, 512 tokens"},
	{"multilingual-e5-small", EncoderModel, "intfloat/multilingual-e5-small", "", 490, "MIT", nil, "384 dimensions, 512 tokens, some hundred languages"},
	{"paraphrase-multilingual-minilm-l12-v2", EncoderModel, "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", "", 485, "Apache-2.0", nil, "384 dimensions, 128 tokens, some fifty languages"},
	{"ms-marco-minilm-l6-v2", RerankerModel, "cross-encoder/ms-marco-MiniLM-L6-v2", "", 92, "Apache-2.0", []string{"en"}, "cross-encoder"},
	{"bge-reranker-base", RerankerModel, "BAAI/bge-reranker-base", "", 1130, "MIT", []string{"en", "zh"}, "cross-encoder"},
	{"bge-reranker-v2-m3", RerankerModel, "BAAI/bge-reranker-v2-m3", "", 2290, "Apache-2.0", nil, "cross-encoder"},
	{"qwen2.5-0.5b-instruct", ChatModel, "Qwen/Qwen2.5-0.5B-Instruct-GGUF", "qwen2.5-0.5b-instruct-q4_k_m.gguf", 491, "Apache-2.0", nil, "half a billion parameters, 4 bits"},
	{"qwen2.5-1.5b-instruct", ChatModel, "Qwen/Qwen2.5-1.5B-Instruct-GGUF", "qwen2.5-1.5b-instruct-q4_k_m.gguf", 1120, "Apache-2.0", nil, "1.5 billion parameters, 4 bits"},
	{"qwen3-0.6b", ChatModel, "Qwen/Qwen3-0.6B-GGUF", "Qwen3-0.6B-Q8_0.gguf", 640, "Apache-2.0", nil, "0.6 billion parameters, 8 bits"},
	{"qwen3-4b", ChatModel, "Qwen/Qwen3-4B-GGUF", "Qwen3-4B-Q4_K_M.gguf", 2500, "Apache-2.0", nil, "4 billion parameters, 4 bits"},
}

// All returns the models that docent suggests.
func All() []KnownModel { return slices.Clone(known) }

// Known returns the suggested model of that name or repository, in any case.
func Known(name string) (KnownModel, bool) {
	for _, k := range known {
		if strings.EqualFold(k.Name, name) || strings.EqualFold(k.Repo, name) {
			return k, true
		}
	}
	return KnownModel{}, false
}
