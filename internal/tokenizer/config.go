package tokenizer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// BPEConfig describes a byte-pair encoding by the lists that GGUF files carry: with Merges one that Pre describes,
// most often byte-level ("gpt2" there), without them SentencePiece's, whose Scores rank the merges ("llama").
type BPEConfig struct {
	Tokens []string  // by id; required
	Scores []float32 // by id; required without Merges
	Types  []int32   // by id: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte; nil means all normal
	Merges []string  // "a b", best first
	Pre    string    // pre-tokenizer where there are merges, one of [PreTokenizers]; "" means "gpt-2"

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

// preTokenizer cuts a text before the encoding.
type preTokenizer struct {
	patterns []string
	nfc      bool // text is brought to this Unicode form first
	whole    bool // a word that is a token is not looked into
	escaped  bool // the vocabulary is of characters, not of bytes, and has ▁ for a space
	bare     bool // the vocabulary is of characters, and white space is left out
}

// preTokenizerNames are the pre-tokenizers of GGUF files (tokenizer.ggml.pre), those that llama.cpp knows. The first
// name of each is the one to write. Two are told apart where files of one have a normaliser, or leave words that are
// tokens whole, and files of the other do not.
var preTokenizerNames = []struct {
	names string
	pre   preTokenizer
}{
	{"gpt-2 gpt2 phi-2 jina-es jina-de jina-v1-en jina-v2-es jina-v2-de jina-v2-code roberta-bpe mpt olmo jais trillion granite-docling gigachat a.x-4.0 mellum modern-bert exaone4",
		preTokenizer{patterns: []string{patternGPT2}}},
	{"llama-bpe llama-v3 llama3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", preTokenizer{patterns: []string{patternLlama3}, whole: true}},
	{"dbrx smaug-bpe chatglm-bpe glm4 gpt-4", preTokenizer{patterns: []string{patternLlama3}}},
	{"jais-2", preTokenizer{patterns: []string{patternJais2}}},
	{"minicpm5", preTokenizer{patterns: []string{patternDigits3, patternMiniCPM}, whole: true}},
	{"qwen2 stablelm2 deepseek-r1-qwen megrez hunyuan grok-2 f2llmv2", preTokenizer{patterns: []string{patternQwen2}, nfc: true}},
	{"solar-open kormo", preTokenizer{patterns: []string{patternQwen2}}},
	{"bailingmoe bailingmoe2 llada-moe", preTokenizer{patterns: []string{patternBailing}}},
	{"qwen35", preTokenizer{patterns: []string{patternQwen35}, nfc: true}},
	{"laguna", preTokenizer{patterns: []string{patternLines, patternQwen2}}},
	{"ufakzeka", preTokenizer{patterns: []string{patternUfakZeka}}},
	{"seed-coder", preTokenizer{patterns: []string{patternSeedCoder}}},
	{"exaone-moe", preTokenizer{patterns: []string{patternExaone}}},
	{"gpt-4o o200k llama4 kanana2 talkie minimax-m2", preTokenizer{patterns: []string{patternO200K}}},
	{"granite-embed-multi-97m", preTokenizer{patterns: []string{patternO200K}, whole: true}},
	{"tiny_aya cohere2moe", preTokenizer{patterns: []string{patternWordGroups, patternO200K}}},
	{"youtu", preTokenizer{patterns: []string{patternYoutuMarks, patternO200KOne}, whole: true}},
	{"tekken", preTokenizer{patterns: []string{patternTekken}, whole: true}},
	{"kimi-k2", preTokenizer{patterns: []string{patternKimi}}},
	// As tokenizer.json has it, which comes to the same with its vocabulary: the second is what files mean.
	{"deepseek-llm", preTokenizer{patterns: []string{`[\r\n]`, patternCased, patternWidePunct, `\s+$`, patternIdeographs, patternDigit}}},
	{"deepseek-llm", preTokenizer{patterns: []string{`[\r\n]`, patternCased, patternWidePunct, `\s+$`, patternIdeographs, patternDigits}}},
	{"deepseek-coder", preTokenizer{patterns: []string{`[\r\n]`, patternLetters, patternMarks, patternIdeographs, patternDigit}}},
	{"deepseek-v3 hunyuan-dense joyai-llm hy_v4", preTokenizer{patterns: []string{patternDigits3, patternCJK, patternDeepSeek}}},
	{"spark2_5", preTokenizer{patterns: []string{patternDigits3, patternCJK, patternSpark, patternDigit}}},
	{"afmoe", preTokenizer{patterns: []string{patternGroups, patternAsian, patternDeepSeek}}},
	{"falcon", preTokenizer{patterns: []string{patternFalcon, patternGPT2, `[0-9][0-9][0-9]`}}},
	{"default", preTokenizer{patterns: []string{patternDefault, patternGPT2, patternDigits, `[0-9][0-9][0-9]`}}},
	{"bloom poro-chat gpt3-finnish", preTokenizer{patterns: []string{patternBloom}}},
	{"viking", preTokenizer{patterns: []string{patternBloom, patternDigit}}},
	{"starcoder refact command-r smollm codeshell exaone minerva-7b mellum2", preTokenizer{patterns: []string{patternDigit, patternGPT2}}},
	{"chameleon", preTokenizer{patterns: []string{`<sentinel:[0-9]+>`, `(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z`, `([\t\n]|    |  )`, patternDigit, patternASCIIPunct, patternGPT2}}},
	{"superbpe", preTokenizer{patterns: []string{patternDigits, patternBorders}}},
	{"gemma4 granite-embed-multi-311m sarvam-moe", preTokenizer{patterns: []string{patternLines}, escaped: true}},
	{"whitespace", preTokenizer{bare: true}},
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

// ByteLevel tells whether the vocabularies that go with a pre-tokenizer are of bytes, in GPT-2's letters for them, as
// most are, or of characters with ▁ for a space.
func ByteLevel(pre string) bool {
	p := preTokenizers[pre]
	return !p.escaped && !p.bare
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
		return nil, fmt.Errorf("pre-tokenizer %q is not known (there are %s)", cfg.Pre, strings.Join(PreTokenizers(), ", "))
	}
	if err := pre.addTo(&c); err != nil {
		return nil, err
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
	parts := bpeParts{tokens: cfg.Tokens, merges: merges, byteLevel: !pre.escaped && !pre.bare, whole: pre.whole, special: special}
	if !parts.byteLevel {
		parts.fuse, parts.byteFallback = true, slices.Contains(cfg.Types, pieceByte)
		if i := slices.Index(cfg.Types, pieceUnknown); i >= 0 {
			parts.unknown = cfg.Tokens[i]
		}
	}
	b, err := newBPE(parts)
	if err != nil {
		return nil, err
	}
	c.model, c.spell = b, b.vocab
	return newPipeline(c)
}

// addTo adds what comes before the encoding, and how its tokens become text.
func (p preTokenizer) addTo(c *pipelineParts) error {
	c.decode = []decodeStep{{kind: decodeBytes}}
	switch {
	case p.nfc:
		c.norms = []normalizer{unicodeForms["NFC"]}
	case p.escaped:
		spaces, err := newReplace(" ", false, "▁")
		if err != nil {
			return err
		}
		c.norms = []normalizer{spaces}
		c.decode = []decodeStep{{kind: decodeReplace, from: "▁", to: " "}, {kind: decodeFallback}}
	case p.bare:
		c.pre = []stage{{cut: &delimiterSplit{find: findClass(runeClasses(), isRustSpace), behaviour: cutRemoved, atSpace: true}}}
		c.decode = nil
	}
	for _, pattern := range p.patterns {
		cut, err := newPatternSplit(pattern, true, cutIsolated, false)
		if err != nil {
			return err
		}
		c.pre = append(c.pre, stage{cut: cut})
	}
	return nil
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
