package engine

import (
	"fmt"
	"slices"
	"strings"

	"docent/internal/llm/gguf"
	"docent/internal/tokenizer"
)

// newTokenizer makes the tokenizer that the file's metadata describes.
func newTokenizer(f *gguf.File, kind string) (textTokenizer, error) {
	tokens, _ := f.Strings("tokenizer.ggml.tokens")
	types64, _ := f.Ints("tokenizer.ggml.token_type")
	var types []int32
	for i, t := range types64 {
		if t == tokenUser && i < len(tokens) && marks(tokens[i]) {
			t = tokenControl
		}
		types = append(types, int32(t))
	}
	scores, _ := f.Floats("tokenizer.ggml.scores")
	space, given := f.Bool("tokenizer.ggml.add_space_prefix")
	noSpace := given && !space
	switch kind {
	case "gpt2", "gemma4":
		merges, ok := f.Strings("tokenizer.ggml.merges")
		if !ok {
			return nil, fmt.Errorf("tokenizer.ggml.merges is missing")
		}
		pre, _ := f.String("tokenizer.ggml.pre")
		if kind == "gemma4" {
			pre = kind
		}
		return tokenizer.NewBPE(tokenizer.BPEConfig{Tokens: tokens, Types: types, Merges: merges, Pre: pre})
	case "llama":
		return tokenizer.NewBPE(tokenizer.BPEConfig{Tokens: tokens, Scores: scores, Types: types, NoSpacePrefix: noSpace})
	case "t5":
		charsmap, _ := f.Value("tokenizer.ggml.precompiled_charsmap")
		rules, _ := charsmap.([]uint8)
		return tokenizer.NewUnigram(tokenizer.UnigramConfig{Tokens: tokens, Scores: scores, Types: types, NoSpacePrefix: noSpace, Charsmap: rules})
	}
	return nil, fmt.Errorf("tokenizer.ggml.model %q is not known", kind)
}

// marks tells whether a token that was added to a vocabulary as text (tokenUser) shows where turns, thoughts or calls
// begin and end, as Qwen's do. A text that is not trusted must not bring such a token, while others, such as Gemma's
// <table>, are what the model was trained to read.
func marks(token string) bool {
	return slices.Contains(written, token) || slices.Contains(turnMarks, token) || strings.HasPrefix(token, "<|") && strings.HasSuffix(token, "|>")
}

var turnMarks = []string{"<s>", "</s>", "<bos>", "<eos>", "[INST]", "[/INST]", "<start_of_turn>", "<end_of_turn>"}
