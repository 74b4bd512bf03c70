package tokenizer

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Lists are a tokenizer as GGUF files carry it: lists by id.
type Lists struct {
	Model    string // "gpt2": byte-level BPE, "llama": SentencePiece's BPE, "t5": Unigram
	Tokens   []string
	Scores   []float32 // nil with gpt2
	Types    []int32   // as in [BPEConfig]
	Merges   []string  // of gpt2
	Pre      string    // of gpt2
	Charsmap []byte    // of t5

	NoSpacePrefix bool
	SqueezeSpaces bool

	BOS, EOS, Pad, Unknown int32   // -1: none, or the files do not say
	Ends                   []int32 // further tokens that end an answer
	AddBOS, AddEOS         *bool   // nil: the files do not say
}

// ReadLists reads the tokenizer of a checkpoint folder: a SentencePiece model, tokenizer.json, or vocab.json with
// merges.txt, with the special tokens that tokenizer_config.json names.
func ReadLists(dir fs.FS) (*Lists, error) {
	cfg, added, err := readTokenizerConfig(dir)
	if err != nil {
		return nil, err
	}
	var file jsonFile
	raw, err := readFile(dir, "tokenizer.json")
	switch {
	case err == nil:
		if err := json.Unmarshal(raw, &file); err != nil {
			return nil, fmt.Errorf("tokenizer.json: %w", err)
		}
		for _, a := range file.AddedTokens {
			if a.ID < 0 || a.ID >= maxVocab {
				return nil, fmt.Errorf("tokenizer.json: added token %q has id %d", a.Content, a.ID)
			}
			added = appendAdded(added, AddedToken{ID: int32(a.ID), Content: a.Content, Special: a.Special})
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	l, err := listsOfPieces(dir, cfg)
	if errors.Is(err, fs.ErrNotExist) {
		if raw != nil {
			if l, err = listsOfJSON(&file); err != nil {
				err = fmt.Errorf("tokenizer.json: %w", err)
			}
		} else {
			l, err = listsOfMerges(dir, cfg)
		}
	}
	if err != nil {
		return nil, err
	}
	if added, err = l.addChatGLM(dir, cfg, added); err != nil {
		return nil, err
	}
	if err := l.add(added); err != nil {
		return nil, err
	}
	if err := l.around(&file, cfg); err != nil {
		return nil, err
	}
	l.endsOfTurns(cfg)
	return l, nil
}

// listsOfPieces reads a SentencePiece model, or ranks under the name of one.
func listsOfPieces(dir fs.FS, cfg *tokenizerConfig) (*Lists, error) {
	for _, name := range []string{"tokenizer.model", "spiece.model", "sentencepiece.bpe.model"} {
		data, err := readFile(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if isRanks(data) {
			l, err := listsOfRanks(data, cfg)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			return l, nil
		}
		m, err := readSPM(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		l := &Lists{Model: "llama", Tokens: m.tokens, Scores: m.scores, Types: m.types, NoSpacePrefix: !m.dummyPrefix, SqueezeSpaces: m.squeeze}
		if m.kind == 1 {
			l.Model, l.Charsmap = "t5", m.charsmap
		} else if len(m.charsmap) > 0 && m.squeeze {
			l.SqueezeSpaces = true
		}
		return l, nil
	}
	return nil, fs.ErrNotExist
}

// listsOfMerges reads vocab.json and merges.txt, which are GPT-2's or Qwen's.
func listsOfMerges(dir fs.FS, cfg *tokenizerConfig) (*Lists, error) {
	data, err := readFile(dir, "vocab.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no tokenizer.json, SentencePiece model or vocab.json with merges.txt: %w", fs.ErrNotExist)
	}
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
	merges, err := ParseMerges(data)
	if err != nil {
		return nil, err
	}
	l := &Lists{Model: "gpt2", Tokens: tokens, Types: normals(len(tokens)), Merges: merges, Pre: "gpt-2"}
	if strings.HasPrefix(cfg.Class, "Qwen2") || strings.HasPrefix(cfg.Class, "Qwen3") {
		l.Pre = "qwen2"
	}
	return l, nil
}

func normals(n int) []int32 { return slices.Repeat([]int32{pieceNormal}, n) }

// listsOfJSON reads tokenizer.json.
func listsOfJSON(f *jsonFile) (*Lists, error) {
	var m struct {
		Type     string
		Unknown  string `json:"unk_token"`
		Fallback bool   `json:"byte_fallback"`
		Whole    bool   `json:"ignore_merges"`
		Prefix   string `json:"continuing_subword_prefix"`
		Suffix   string `json:"end_of_word_suffix"`
		Vocab    json.RawMessage
		Merges   []mergeText
		UnkID    *int64 `json:"unk_id"`
	}
	if err := json.Unmarshal(orNull(f.Model), &m); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	patterns, byteLevel, err := prePatterns(f.PreTokenizer, 0)
	if err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %w", err)
	}
	var norm normSummary
	if err := norm.read(f.Normalizer, 0); err != nil {
		return nil, fmt.Errorf("normalizer: %w", err)
	}
	if m.Type == "Unigram" {
		var scored []scoredToken
		if err := json.Unmarshal(orNull(m.Vocab), &scored); err != nil {
			return nil, fmt.Errorf("model: %w", err)
		}
		l := &Lists{Model: "t5", Types: normals(len(scored)), Charsmap: norm.charsmap, SqueezeSpaces: true}
		for i, t := range scored {
			l.Tokens, l.Scores = append(l.Tokens, t.token), append(l.Scores, float32(t.score))
			if m.UnkID != nil && int64(i) == *m.UnkID {
				l.Types[i] = pieceUnknown
			}
		}
		return l, nil
	}
	if m.Type != "" && m.Type != "BPE" || m.Prefix != "" || m.Suffix != "" {
		return nil, fmt.Errorf("a %s model cannot be written to a GGUF file", m.Type)
	}
	var vocab map[string]int64
	if err := json.Unmarshal(orNull(m.Vocab), &vocab); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	tokens, err := byID(vocab)
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	l := &Lists{Tokens: tokens, Types: normals(len(tokens))}
	if byteLevel {
		l.Model = "gpt2"
		for _, merge := range m.Merges {
			l.Merges = append(l.Merges, merge[0]+" "+merge[1])
		}
		if l.Merges == nil {
			return nil, errors.New("model: there are no merges")
		}
		for _, g := range preTokenizerNames {
			if slices.Equal(g.pre.patterns, patterns) && g.pre.nfc == norm.nfc && g.pre.whole == m.Whole {
				l.Pre, _, _ = strings.Cut(g.names, " ")
				return l, nil
			}
		}
		return nil, fmt.Errorf("pre_tokenizer: GGUF files have no name for the patterns %q (NFC %v, ignore_merges %v)", patterns, norm.nfc, m.Whole)
	}
	var pre struct {
		Type   string
		Scheme string `json:"prepend_scheme"`
	}
	if err := json.Unmarshal(orNull(f.PreTokenizer), &pre); err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %w", err)
	}
	norm.space = norm.space || pre.Type == "Metaspace" && pre.Scheme != "never"
	// SentencePiece's: the merge that comes first has the highest score.
	l.Model, l.Scores, l.NoSpacePrefix = "llama", make([]float32, len(tokens)), !norm.space
	ranks := map[string]int{}
	for i, merge := range m.Merges {
		if t := merge[0] + merge[1]; ranks[t] == 0 {
			ranks[t] = i + 1
		}
	}
	for i, t := range tokens {
		_, isByte := byteToken(t)
		switch {
		case t == m.Unknown && t != "":
			l.Types[i] = pieceUnknown
		case isByte && m.Fallback:
			l.Types[i] = pieceByte
		case ranks[t] > 0:
			l.Scores[i] = -float32(ranks[t])
		default:
			l.Scores[i] = -float32(len(m.Merges) + 1) // no two tokens become it
		}
	}
	return l, nil
}

// normSummary is what of a normalizer GGUF files can say.
type normSummary struct {
	nfc      bool
	space    bool // SentencePiece's space before a text
	charsmap []byte
}

func (s *normSummary) read(data json.RawMessage, depth int) error {
	var n struct {
		Type        string
		Normalizers []json.RawMessage
		Prepend     string
		Charsmap    string `json:"precompiled_charsmap"`
	}
	if err := json.Unmarshal(orNull(data), &n); err != nil {
		return err
	}
	switch n.Type {
	case "Sequence":
		for _, part := range n.Normalizers {
			if depth >= maxDepth {
				return errors.New("sequences are nested too deep")
			}
			if err := s.read(part, depth+1); err != nil {
				return err
			}
		}
	case "NFC":
		s.nfc = true
	case "Prepend":
		s.space = true
	case "Precompiled":
		raw, err := base64.StdEncoding.DecodeString(n.Charsmap)
		if err != nil {
			return fmt.Errorf("precompiled charsmap: %w", err)
		}
		s.charsmap = raw
	}
	return nil
}

// prePatterns are the regular expressions that a pre-tokenizer cuts by, one after the other.
func prePatterns(data json.RawMessage, depth int) (patterns []string, byteLevel bool, err error) {
	var n struct {
		Type       string
		List       []json.RawMessage `json:"pretokenizers"`
		Prefix     *bool             `json:"add_prefix_space"`
		Regex      *bool             `json:"use_regex"`
		Pattern    pattern
		Behavior   string
		Invert     bool
		Individual bool `json:"individual_digits"`
	}
	if err := json.Unmarshal(orNull(data), &n); err != nil {
		return nil, false, err
	}
	switch n.Type {
	case "Sequence":
		for _, part := range n.List {
			if depth >= maxDepth {
				return nil, false, errors.New("sequences are nested too deep")
			}
			p, level, err := prePatterns(part, depth+1)
			if err != nil {
				return nil, false, err
			}
			patterns, byteLevel = append(patterns, p...), byteLevel || level
		}
	case "ByteLevel":
		if isOr(n.Prefix, true) {
			return nil, false, errors.New("GGUF files cannot say that a space goes before a text")
		}
		if isOr(n.Regex, true) {
			patterns = append(patterns, patternGPT2)
		}
		byteLevel = true
	case "Split":
		text, isRegexp, err := n.Pattern.get()
		if err != nil {
			return nil, false, err
		}
		if isRegexp && !(n.Behavior == "Isolated" && !n.Invert) && !(n.Behavior == "Removed" && n.Invert) {
			return nil, false, fmt.Errorf("GGUF files cannot say that %q is cut by as %s (inverted: %v)", text, n.Behavior, n.Invert)
		}
		switch {
		case text == patternCL100K:
			text = patternLlama3 // the same cuts, in other words
		case text == patternGPT2Short:
			text = patternGPT2
		}
		if isRegexp {
			patterns = append(patterns, text)
		}
	case "Digits":
		if n.Individual {
			patterns = append(patterns, patternDigit)
		} else {
			patterns = append(patterns, patternDigits)
		}
	case "Punctuation":
		if n.Behavior == "Isolated" || n.Behavior == "" {
			patterns = append(patterns, patternASCIIPunct)
		} else {
			patterns = append(patterns, n.Type+" "+n.Behavior)
		}
	case "":
	default:
		patterns = append(patterns, n.Type) // which no file has a name for, where it is not the model that cuts
	}
	return patterns, byteLevel, nil
}

// add puts added tokens in their places, after the others where they are new.
func (l *Lists) add(added []AddedToken) error {
	for _, a := range added {
		id := int(a.ID)
		if id > 2*len(l.Tokens)+1024 {
			return fmt.Errorf("added token %q has id %d in a vocabulary of %d", a.Content, id, len(l.Tokens))
		}
		for len(l.Tokens) <= id {
			l.Tokens, l.Types = append(l.Tokens, fmt.Sprintf("[PAD%d]", len(l.Tokens))), append(l.Types, pieceUnused)
			if l.Scores != nil {
				l.Scores = append(l.Scores, 0)
			}
		}
		l.Tokens[id] = a.Content
		switch {
		case l.Types[id] == pieceUnknown || l.Types[id] == pieceByte:
		case a.Special:
			l.Types[id] = pieceControl
		default:
			l.Types[id] = pieceUser
		}
	}
	return nil
}

// around finds the special tokens, and which of them go around a text.
func (l *Lists) around(f *jsonFile, cfg *tokenizerConfig) error {
	find := func(name tokenName) int32 {
		if name == "" {
			return -1
		}
		return int32(slices.Index(l.Tokens, string(name)))
	}
	l.BOS, l.EOS, l.Pad, l.Unknown = find(cfg.Bos), find(cfg.Eos), find(cfg.Pad), find(cfg.Unknown)
	if l.AddBOS == nil {
		l.AddBOS, l.AddEOS = cfg.AddBos, cfg.AddEos
	}
	var parts pipelineParts
	if err := parsePost(f.PostProcessor, &parts, 0); err != nil {
		return fmt.Errorf("tokenizer.json: post_processor: %w", err)
	}
	if f.PostProcessor != nil {
		bos, eos := slices.Contains(parts.prefix, l.BOS), slices.Contains(parts.suffix, l.EOS)
		l.AddBOS, l.AddEOS = &bos, &eos
	}
	return nil
}
