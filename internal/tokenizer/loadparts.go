package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// tokenizerConfig is what tokenizer_config.json says beside files that hold only a vocabulary.
type tokenizerConfig struct {
	Class   string                 `json:"tokenizer_class"`
	Added   map[string]addedConfig `json:"added_tokens_decoder"`
	Bos     tokenName              `json:"bos_token"`
	Eos     tokenName              `json:"eos_token"`
	Cls     tokenName              `json:"cls_token"`
	Sep     tokenName              `json:"sep_token"`
	AddBos  *bool                  `json:"add_bos_token"`
	AddEos  *bool                  `json:"add_eos_token"`
	Space   bool                   `json:"add_prefix_space"`
	Unknown tokenName              `json:"unk_token"`
	Pad     tokenName              `json:"pad_token"`
	Mask    tokenName              `json:"mask_token"`
}

type addedConfig struct {
	Content    string
	Special    bool
	SingleWord bool `json:"single_word"`
	LStrip     bool
	RStrip     bool
	Normalized bool
}

func readTokenizerConfig(dir fs.FS) (*tokenizerConfig, []AddedToken, error) {
	c := &tokenizerConfig{}
	data, err := readFile(dir, "tokenizer_config.json")
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil, nil
	}
	if err == nil {
		err = json.Unmarshal(data, c)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("tokenizer_config.json: %w", err)
	}
	var added []AddedToken
	for key, a := range c.Added {
		id, err := strconv.ParseUint(key, 10, 31)
		if err != nil || id >= maxVocab {
			return nil, nil, fmt.Errorf("tokenizer_config.json: added token %q has id %q", a.Content, key)
		}
		added = append(added, AddedToken{int32(id), a.Content, a.Special, a.SingleWord, a.LStrip, a.RStrip, a.Normalized})
	}
	slices.SortFunc(added, func(a, b AddedToken) int { return int(a.ID) - int(b.ID) })
	return c, added, nil
}

// ParseMerges reads a merges.txt: one "a b" a line, best first, after an optional "#version" line.
func ParseMerges(data []byte) ([]string, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("merges.txt is not UTF-8")
	}
	var merges []string
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#version") {
			continue
		}
		var m mergeText
		if err := m.split(line); err != nil {
			return nil, fmt.Errorf("merges.txt: line %d: %w", number, err)
		}
		merges = append(merges, line)
	}
	return merges, nil
}

// loadMerges reads vocab.json and merges.txt, a byte-level BPE of GPT-2's kind or what the class in
// tokenizer_config.json says.
func loadMerges(dir fs.FS) (Tokenizer, error) {
	data, err := readFile(dir, "vocab.json")
	if err != nil {
		return nil, err
	}
	var vocab map[string]int64
	if err := json.Unmarshal(data, &vocab); err != nil {
		return nil, fmt.Errorf("vocab.json: %w", err)
	}
	tokens, err := byID(vocab)
	if err != nil {
		return nil, fmt.Errorf("vocab.json: %w", err)
	}
	if data, err = readFile(dir, "merges.txt"); err != nil {
		return nil, err
	}
	lines, err := ParseMerges(data)
	if err != nil {
		return nil, err
	}
	merges := make([][2]string, len(lines))
	for i, line := range lines {
		merges[i][0], merges[i][1], _ = strings.Cut(line, " ")
	}
	cfg, added, err := readTokenizerConfig(dir)
	if err != nil {
		return nil, err
	}
	class := strings.TrimSuffix(cfg.Class, "Fast")
	roberta := slices.Contains([]string{"RobertaTokenizer", "BartTokenizer", "LongformerTokenizer", "LEDTokenizer"}, class)

	c := pipelineParts{names: tokens, added: added, decode: []decodeStep{{kind: decodeBytes}}}
	named := []struct {
		name   tokenName
		lstrip bool
	}{{cfg.Bos, false}, {cfg.Eos, false}, {cfg.Cls, false}, {cfg.Sep, false}, {cfg.Unknown, false}, {cfg.Pad, false}, {cfg.Mask, roberta}}
	if cfg.Class == "" || class == "GPT2Tokenizer" {
		named = append(named, struct {
			name   tokenName
			lstrip bool
		}{"<|endoftext|>", false})
	}
	for _, n := range named {
		if id, ok := vocab[string(n.name)]; ok && n.name != "" {
			c.added = appendAdded(c.added, AddedToken{ID: int32(id), Content: string(n.name), Special: true, LStrip: n.lstrip})
		}
	}
	if cfg.Space {
		c.pre = append(c.pre, stage{mark: " "})
	}
	pattern := patternGPT2
	if class == "Qwen2Tokenizer" || class == "Qwen3Tokenizer" {
		pattern, c.norms = patternQwen2, []normalizer{unicodeForms["NFC"]}
	}
	c.pre = append(c.pre, stage{cut: knownPatterns[pattern]})
	if roberta {
		c.trim, c.trimPrefix = true, cfg.Space
		cls, sep := or(string(cfg.Cls), "<s>"), or(string(cfg.Sep), "</s>")
		if c.prefix, err = specialIDs(vocab, cls); err == nil {
			c.suffix, err = specialIDs(vocab, sep)
		}
		if err != nil {
			return nil, fmt.Errorf("vocab.json: %w", err)
		}
	} else if cfg.AddBos != nil && *cfg.AddBos {
		if c.prefix, err = specialIDs(vocab, string(cfg.Bos)); err != nil {
			return nil, fmt.Errorf("vocab.json: %w", err)
		}
	}
	special := map[int32]bool{}
	for _, a := range c.added {
		special[a.ID] = a.Special
	}
	b, err := newBPE(bpeParts{tokens: tokens, merges: merges, byteLevel: true, special: func(id int32) bool { return special[id] }})
	if err != nil {
		return nil, fmt.Errorf("vocab.json and merges.txt: %w", err)
	}
	c.model, c.spell = b, b.vocab
	p, err := newPipeline(c)
	if err != nil {
		return nil, fmt.Errorf("tokenizer_config.json: %w", err)
	}
	return p, nil
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

func specialIDs(vocab map[string]int64, name string) ([]int32, error) {
	id, ok := vocab[name]
	if !ok {
		return nil, fmt.Errorf("special token %q is not in the vocabulary", name)
	}
	return []int32{int32(id)}, nil
}

// loadSentencePiece reads a SentencePiece model. The class in tokenizer_config.json, or else the name
// of the file, says which special tokens go around a text.
func loadSentencePiece(dir fs.FS) (Tokenizer, error) {
	for _, name := range []string{"tokenizer.model", "spiece.model", "sentencepiece.bpe.model"} {
		data, err := readFile(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		m, err := readSPM(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		cfg, added, err := readTokenizerConfig(dir)
		if err != nil {
			return nil, err
		}
		class := strings.TrimSuffix(cfg.Class, "Fast")
		if class == "" {
			class = map[string]string{"tokenizer.model": "LlamaTokenizer", "spiece.model": "T5Tokenizer", "sentencepiece.bpe.model": "XLMRobertaTokenizer"}[name]
		}
		var c pipelineParts
		var prefix, suffix string
		switch class {
		case "XLMRobertaTokenizer":
			if err := m.fairseq(); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			prefix, suffix = or(string(cfg.Cls), "<s>"), or(string(cfg.Sep), "</s>")
		case "T5Tokenizer":
			suffix = or(string(cfg.Eos), "</s>")
		default:
			if cfg.AddBos == nil || *cfg.AddBos {
				prefix = or(string(cfg.Bos), "<s>")
			}
			if cfg.AddEos != nil && *cfg.AddEos {
				suffix = or(string(cfg.Eos), "</s>")
			}
		}
		for _, a := range added {
			if int(a.ID) >= len(m.tokens) {
				c.added = append(c.added, a)
			}
		}
		for _, s := range []struct {
			name string
			to   *[]int32
		}{{prefix, &c.prefix}, {suffix, &c.suffix}} {
			if s.name == "" {
				continue
			}
			id := slices.Index(m.tokens, s.name)
			if id < 0 {
				return nil, fmt.Errorf("%s: special token %q is not in the vocabulary", name, s.name)
			}
			*s.to = []int32{int32(id)}
		}
		p, err := m.pipeline(c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return p, nil
	}
	return nil, fs.ErrNotExist
}

// fairseq renumbers pieces as XLM-RoBERTa does: <s>, <pad>, </s> and <unk> first, the file's pieces
// from 3 on after them, and <mask> last.
func (m *spmFile) fairseq() error {
	if len(m.tokens) < 3 || m.types[0] != pieceUnknown {
		return errors.New("the file does not start with <unk>, <s> and </s>, as one of XLM-RoBERTa's does")
	}
	m.tokens = slices.Concat([]string{"<s>", "<pad>", "</s>", "<unk>"}, m.tokens[3:], []string{"<mask>"})
	m.scores = slices.Concat(make([]float32, 4), m.scores[3:], make([]float32, 1))
	m.types = slices.Concat([]int32{pieceControl, pieceControl, pieceControl, pieceUnknown}, m.types[3:], []int32{pieceControl})
	return nil
}
