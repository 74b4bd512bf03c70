package tokenizer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// BPEConfig describes a byte-pair encoding by the lists that GGUF files carry: with Merges a
// byte-level one ("gpt2" there), without them SentencePiece's, whose Scores rank the merges ("llama").
type BPEConfig struct {
	Tokens []string  // by id; required
	Scores []float32 // by id; required without Merges
	Types  []int32   // by id: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte; nil means all normal
	Merges []string  // "a b", best first
	Pre    string    // pre-tokenizer of a byte-level vocabulary, one of [PreTokenizers]; "" means "gpt-2"

	// NoSpacePrefix leaves out the space that SentencePiece puts before a text.
	NoSpacePrefix bool
	// SqueezeSpaces makes runs of spaces one and trims the ends, for SentencePiece (remove_extra_whitespaces).
	SqueezeSpaces bool

	Prefix, Suffix []int32 // special tokens around a text
}

// UnigramConfig describes a SentencePiece Unigram model by the lists that GGUF files carry ("t5").
type UnigramConfig struct {
	Tokens   []string
	Scores   []float32
	Types    []int32 // as in BPEConfig; required
	Charsmap []byte  // precompiled normalisation rules; nil means none

	NoSpacePrefix  bool
	KeepSpaces     bool // do not make runs of spaces one, nor trim the ends
	Prefix, Suffix []int32
}

// preTokenizer cuts a text before a byte-level encoding.
type preTokenizer struct {
	patterns []string
	nfc      bool // text is brought to this Unicode form first
	whole    bool // a word that is a token is not looked into
}

// preTokenizerNames are the pre-tokenizers of GGUF files (tokenizer.ggml.pre) that are known. The first name of
// each is the one to write.
var preTokenizerNames = []struct {
	names string
	pre   preTokenizer
}{
	{"gpt-2 gpt2 phi-2 jina-es jina-de jina-v1-en jina-v2-es jina-v2-de roberta-bpe mpt olmo jais trillion granite-docling gigachat", preTokenizer{[]string{patternGPT2}, false, false}},
	{"llama-bpe llama-v3 llama3 falcon3 pixtral lfm2", preTokenizer{[]string{patternLlama3}, false, true}},
	{"dbrx smaug-bpe chatglm-bpe glm4 gpt-4", preTokenizer{[]string{patternLlama3}, false, false}},
	{"qwen2 stablelm2 deepseek-r1-qwen megrez hunyuan grok-2", preTokenizer{[]string{patternQwen2}, true, false}},
	{"qwen35", preTokenizer{[]string{patternQwen35}, true, false}},
	{"gpt-4o o200k llama4 minimax-m2", preTokenizer{[]string{patternO200K}, false, false}},
	{"tekken", preTokenizer{[]string{patternTekken}, false, true}},
	{"deepseek-coder", preTokenizer{[]string{`[\r\n]`, `\s?\p{L}+`, `\s?\p{P}+`, patternIdeographs, `\p{N}`}, false, false}},
	{"falcon", preTokenizer{[]string{patternFalcon, patternGPT2, `[0-9][0-9][0-9]`}, false, false}},
	{"bloom poro-chat gpt3-finnish", preTokenizer{[]string{patternBloom}, false, false}},
	{"viking", preTokenizer{[]string{patternBloom, `\p{N}`}, false, false}},
	{"deepseek-v3 hunyuan-dense", preTokenizer{[]string{patternDigits3, patternCJK, patternDeepSeek}, false, false}},
	{"starcoder refact command-r smollm codeshell exaone minerva-7b", preTokenizer{[]string{`\p{N}`, patternGPT2}, false, false}},
}

var preTokenizers = func() map[string]preTokenizer {
	m := map[string]preTokenizer{}
	for _, g := range preTokenizerNames {
		for name := range strings.FieldsSeq(g.names) {
			m[name] = g.pre
		}
	}
	return m
}()

// PreTokenizers are the names that [BPEConfig].Pre may have, sorted.
func PreTokenizers() []string {
	var names []string
	for name := range preTokenizers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// NewBPE builds a byte-pair encoding. Tokens of type control and unknown are special.
func NewBPE(cfg BPEConfig) (*Pipeline, error) {
	if cfg.Types == nil {
		cfg.Types = make([]int32, len(cfg.Tokens))
		for i := range cfg.Types {
			cfg.Types[i] = pieceNormal
		}
	}
	if err := checkLists(cfg.Tokens, cfg.Scores, cfg.Types, cfg.Merges == nil, cfg.Prefix, cfg.Suffix); err != nil {
		return nil, err
	}
	c := pipelineParts{prefix: cfg.Prefix, suffix: cfg.Suffix}
	if cfg.Merges == nil {
		if cfg.Pre != "" {
			return nil, fmt.Errorf("pre-tokenizer %q needs merges", cfg.Pre)
		}
		m := &spmFile{tokens: cfg.Tokens, scores: cfg.Scores, types: cfg.Types, kind: 2, dummyPrefix: !cfg.NoSpacePrefix, squeeze: cfg.SqueezeSpaces, escape: true,
			byteFallback: slices.Contains(cfg.Types, pieceByte)}
		return m.pipeline(c)
	}
	if cfg.Pre == "" {
		cfg.Pre = "gpt-2"
	}
	pre, ok := preTokenizers[cfg.Pre]
	if !ok {
		return nil, fmt.Errorf("pre-tokenizer %q is not known", cfg.Pre)
	}
	if pre.nfc {
		c.norms = []normalizer{unicodeForms["NFC"]}
	}
	for _, pattern := range pre.patterns {
		cut, err := newPatternSplit(pattern, true, cutIsolated, false)
		if err != nil {
			return nil, err
		}
		c.pre = append(c.pre, stage{cut: cut})
	}
	merges := make([][2]string, len(cfg.Merges))
	for i, text := range cfg.Merges {
		var m mergeText
		if err := m.split(text); err != nil {
			return nil, fmt.Errorf("merge %d: %w", i, err)
		}
		merges[i] = m
	}
	c.names = slices.Clone(cfg.Tokens)
	special := func(id int32) bool { return cfg.Types[id] == pieceControl || cfg.Types[id] == pieceUnknown }
	for i, t := range cfg.Tokens {
		if special(int32(i)) || cfg.Types[i] == pieceUser {
			c.added = append(c.added, AddedToken{ID: int32(i), Content: t, Special: special(int32(i))})
		}
	}
	b, err := newBPE(bpeParts{tokens: cfg.Tokens, merges: merges, byteLevel: true, whole: pre.whole, special: special})
	if err != nil {
		return nil, err
	}
	c.model, c.spell, c.decode = b, b.vocab, []decodeStep{{kind: decodeBytes}}
	return newPipeline(c)
}

// NewUnigram builds a SentencePiece Unigram model.
func NewUnigram(cfg UnigramConfig) (*Pipeline, error) {
	if err := checkLists(cfg.Tokens, cfg.Scores, cfg.Types, true, cfg.Prefix, cfg.Suffix); err != nil {
		return nil, err
	}
	m := &spmFile{tokens: cfg.Tokens, scores: cfg.Scores, types: cfg.Types, kind: 1, charsmap: cfg.Charsmap, dummyPrefix: !cfg.NoSpacePrefix, squeeze: !cfg.KeepSpaces,
		escape: true, byteFallback: slices.Contains(cfg.Types, pieceByte)}
	return m.pipeline(pipelineParts{prefix: cfg.Prefix, suffix: cfg.Suffix})
}

func checkLists(tokens []string, scores []float32, types []int32, scored bool, around ...[]int32) error {
	switch {
	case len(tokens) == 0:
		return errors.New("vocabulary is empty")
	case len(types) != len(tokens):
		return fmt.Errorf("%d types for %d tokens", len(types), len(tokens))
	case scored && len(scores) != len(tokens):
		return fmt.Errorf("%d scores for %d tokens", len(scores), len(tokens))
	}
	for i, s := range scores {
		if s != s || s-s != 0 {
			return fmt.Errorf("token %d %q has score %v", i, tokens[i], s)
		}
	}
	for i, t := range tokens {
		if t == "" && types[i] != pieceUnused && types[i] != pieceNormal {
			return fmt.Errorf("token %d of type %d is empty", i, types[i])
		}
	}
	for _, ids := range around {
		for _, id := range ids {
			if id < 0 || int(id) >= len(tokens) {
				return fmt.Errorf("special token %d is not in the vocabulary of %d", id, len(tokens))
			}
		}
	}
	return nil
}
