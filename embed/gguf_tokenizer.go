package embed

import (
	"cmp"
	"fmt"
	"strings"

	"docent/internal/llm/gguf"
	"docent/internal/tokenizer"
)

// ggufTokenizer makes the tokenizer of an encoder from the lists in a file's metadata: WordPiece
// ("bert"), byte-level BPE as RoBERTa has it ("gpt2"), or XLM-RoBERTa's Unigram ("t5").
func ggufTokenizer(f *gguf.File) (tokenizer.Tokenizer, error) {
	kind, _ := f.String("tokenizer.ggml.model")
	tokens, _ := f.Strings("tokenizer.ggml.tokens")
	if len(tokens) == 0 {
		return nil, fmt.Errorf("tokenizer.ggml.tokens is missing or empty")
	}
	ints, _ := f.Ints("tokenizer.ggml.token_type")
	types := make([]int32, len(ints))
	for i, t := range ints {
		types[i] = int32(t)
	}
	first, err := ggufSpecial(f, len(tokens), "tokenizer.ggml.cls_token_id", "tokenizer.ggml.bos_token_id")
	if err != nil {
		return nil, err
	}
	last, err := ggufSpecial(f, len(tokens), "tokenizer.ggml.seperator_token_id", "tokenizer.ggml.eos_token_id") // so it is spelt
	if err != nil {
		return nil, err
	}
	switch kind {
	case "bert":
		return ggufWordPiece(f, tokens, types, first, last)
	case "gpt2":
		merges, ok := f.Strings("tokenizer.ggml.merges")
		if !ok {
			return nil, fmt.Errorf("tokenizer.ggml.merges is missing")
		}
		pre, _ := f.String("tokenizer.ggml.pre")
		if pre == "default" {
			pre = ""
		}
		return tokenizer.NewBPE(tokenizer.BPEConfig{Tokens: tokens, Types: types, Merges: merges, Pre: pre, Prefix: first, Suffix: last})
	case "t5":
		scores, _ := f.Floats("tokenizer.ggml.scores")
		rules, _ := f.Ints("tokenizer.ggml.precompiled_charsmap")
		charsmap := make([]byte, len(rules))
		for i, b := range rules {
			charsmap[i] = byte(b)
		}
		space, given := f.Bool("tokenizer.ggml.add_space_prefix")
		return tokenizer.NewUnigram(tokenizer.UnigramConfig{Tokens: tokens, Scores: scores, Types: types, Charsmap: charsmap,
			NoSpacePrefix: given && !space, Prefix: first, Suffix: last})
	}
	return nil, fmt.Errorf("tokenizer.ggml.model %q is not known; those of encoders are bert, gpt2 and t5", kind)
}

// ggufSpecial is the special token that the first of the keys names; none where there is no key.
func ggufSpecial(f *gguf.File, size int, keys ...string) ([]int32, error) {
	for _, key := range keys {
		if id, ok := f.Uint(key); ok {
			if id >= uint64(size) {
				return nil, fmt.Errorf("%s is %d, there are %d tokens", key, id, size)
			}
			return []int32{int32(id)}, nil
		}
	}
	return nil, nil
}

const (
	ggufControl  = 3
	phantomSpace = "\u2581"
)

// ggufWordPiece undoes what the converter does to BERT's vocabulary: there a token that begins a word has
// a space's sign before it, and one that goes on has lost its "##". Older files leave names in brackets
// as they are. Whether text is put in lower case is not written; a vocabulary in which no capital letter
// stands alone cannot be for text that keeps them.
func ggufWordPiece(f *gguf.File, tokens []string, types []int32, first, last []int32) (tokenizer.Tokenizer, error) {
	if len(types) != len(tokens) {
		return nil, fmt.Errorf("%d token types for %d tokens", len(types), len(tokens))
	}
	names, capitals := make([]string, len(tokens)), 0
	for i, t := range tokens {
		word, begins := strings.CutPrefix(t, phantomSpace)
		switch {
		case types[i] == ggufControl:
			names[i] = t
		case begins:
			names[i] = word
			if len(word) == 1 && word >= "A" && word <= "Z" {
				capitals++
			}
		case strings.HasPrefix(t, "[") && strings.HasSuffix(t, "]") && len(t) > 2:
			names[i] = t
		case t != "":
			names[i] = "##" + t
		}
	}
	cased := capitals > 13
	cfg := tokenizer.WordPieceConfig{Lowercase: !cased, StripAccent: !cased}
	if first != nil {
		cfg.Prefix = []string{names[first[0]]}
	}
	if last != nil {
		cfg.Suffix = []string{names[last[0]]}
	}
	unknown, err := ggufSpecial(f, len(names), "tokenizer.ggml.unknown_token_id")
	if err != nil {
		return nil, err
	}
	if unknown != nil {
		cfg.Unknown = cmp.Or(names[unknown[0]], cfg.Unknown)
	}
	return tokenizer.NewWordPiece(names, cfg)
}
