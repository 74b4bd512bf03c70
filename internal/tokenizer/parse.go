package tokenizer

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// maxDepth bounds Sequences inside Sequences.
const maxDepth = 8

// mergeText is a merge in tokenizer.json: "a b" or ["a", "b"].
type mergeText [2]string

func (m *mergeText) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		return m.split(s)
	}
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	if len(list) != 2 {
		return fmt.Errorf("a merge of %d parts, want 2", len(list))
	}
	*m = mergeText(list)
	return nil
}

func (m *mergeText) split(s string) error {
	left, right, ok := strings.Cut(s, " ")
	if !ok || left == "" || right == "" || strings.Contains(right, " ") {
		return fmt.Errorf("merge %q is not two tokens", s)
	}
	*m = mergeText{left, right}
	return nil
}

func parsePipeline(f *jsonFile, kind string) (*Pipeline, error) {
	var c pipelineParts
	specials := map[int32]bool{}
	ids := map[int64]string{}
	for _, a := range f.AddedTokens {
		if a.ID < 0 || a.ID >= maxVocab {
			return nil, fmt.Errorf("added token %q has id %d", a.Content, a.ID)
		}
		if old, ok := ids[a.ID]; ok && old != a.Content {
			return nil, fmt.Errorf("added tokens %q and %q share id %d", old, a.Content, a.ID)
		}
		ids[a.ID] = a.Content
		specials[int32(a.ID)] = a.Special
		c.added = append(c.added, AddedToken{int32(a.ID), a.Content, a.Special, a.SingleWord, a.LStrip, a.RStrip, a.Normalized})
	}
	special := func(id int32) bool { return specials[id] }

	var err error
	if c.norms, err = parseNormalizer(f.Normalizer, 0); err != nil {
		return nil, fmt.Errorf("normalizer: %w", err)
	}
	var byteLevel bool
	if c.pre, byteLevel, err = parsePre(f.PreTokenizer, 0); err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %w", err)
	}
	if c.decode, err = parseDecoder(f.Decoder, 0); err != nil {
		return nil, fmt.Errorf("decoder: %w", err)
	}
	switch kind {
	case "BPE":
		c.names, c.model, err = parseBPE(f.Model, byteLevel, special)
	case "Unigram":
		if byteLevel {
			return nil, errors.New("pre_tokenizer ByteLevel is not supported with Unigram")
		}
		c.names, c.model, err = parseUnigram(f.Model, special)
	}
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	c.spell = modelVocab(c.model)
	for _, a := range c.added {
		id, ok := spelledID(c.spell, a.Content, byteLevel)
		if ok && c.names[id] == a.Content && id != a.ID {
			return nil, fmt.Errorf("added token %q has id %d, but %d in the vocabulary", a.Content, a.ID, id)
		}
		if int(a.ID) < len(c.names) && c.names[a.ID] != "" && c.names[a.ID] != a.Content {
			return nil, fmt.Errorf("added token %q has id %d, which is %q in the vocabulary", a.Content, a.ID, c.names[a.ID])
		}
	}
	if err := parsePost(f.PostProcessor, &c, 0); err != nil {
		return nil, fmt.Errorf("post_processor: %w", err)
	}
	p, err := newPipeline(c)
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Concat(p.prefix, p.suffix) {
		if p.Token(id) == "" {
			return nil, fmt.Errorf("post_processor: special token has unknown id %d", id)
		}
	}
	return p, nil
}

func modelVocab(m model) *vocab {
	switch m := m.(type) {
	case *bpe:
		return m.vocab
	case *unigram:
		return m.vocab
	}
	return nil
}

func spelledID(v *vocab, token string, byteLevel bool) (int32, bool) {
	if byteLevel {
		raw, ok := rawBytes(token)
		if !ok {
			return 0, false
		}
		token = raw
	}
	return v.ID(token)
}

func parseBPE(data json.RawMessage, byteLevel bool, special func(int32) bool) ([]string, model, error) {
	var m struct {
		Dropout  *float64
		Unknown  string `json:"unk_token"`
		Prefix   string `json:"continuing_subword_prefix"`
		Suffix   string `json:"end_of_word_suffix"`
		Fuse     bool   `json:"fuse_unk"`
		Fallback bool   `json:"byte_fallback"`
		Whole    bool   `json:"ignore_merges"`
		Vocab    map[string]int64
		Merges   []mergeText
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, nil, err
	}
	if m.Dropout != nil && *m.Dropout != 0 {
		return nil, nil, fmt.Errorf("dropout %v is for training, not supported", *m.Dropout)
	}
	tokens, err := byID(m.Vocab)
	if err != nil {
		return nil, nil, err
	}
	merges := make([][2]string, len(m.Merges))
	for i, t := range m.Merges {
		merges[i] = t
	}
	b, err := newBPE(bpeParts{tokens: tokens, merges: merges, byteLevel: byteLevel, byteFallback: m.Fallback, unknown: m.Unknown, fuse: m.Fuse,
		whole: m.Whole, prefix: m.Prefix, suffix: m.Suffix, special: special})
	return tokens, b, err
}

// scoredToken is a token of a Unigram vocabulary: ["the", -3.5].
type scoredToken struct {
	token string
	score float64
}

func (t *scoredToken) UnmarshalJSON(data []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("a token of %d parts, want token and score", len(pair))
	}
	if err := json.Unmarshal(pair[0], &t.token); err != nil {
		return err
	}
	if err := json.Unmarshal(pair[1], &t.score); err != nil {
		return fmt.Errorf("score of token %q: %w", t.token, err)
	}
	t.score = serdeFloat(string(pair[1]), t.score)
	return nil
}

// serdeFloat is a decimal number as Hugging Face's JSON library reads it: digits as an integer,
// rounded, then divided by a power of ten, rounded again. That may be one unit in the last place off
// exact, and decides between cuts whose scores are otherwise equal.
func serdeFloat(s string, exact float64) float64 {
	s, negative := strings.CutPrefix(s, "-")
	digits, scale, point := uint64(0), 0, false
	for _, c := range []byte(s) {
		switch {
		case c == '.' && !point:
			point = true
		case c < '0' || c > '9':
			return exact
		case digits > (math.MaxUint64-9)/10:
			if !point {
				return exact
			}
		default:
			digits = digits*10 + uint64(c-'0')
			if point {
				scale++
			}
		}
	}
	f := float64(digits) / math.Pow10(scale)
	if negative {
		f = -f
	}
	return f
}

func parseUnigram(data json.RawMessage, special func(int32) bool) ([]string, model, error) {
	var m struct {
		Unknown  *int32 `json:"unk_id"`
		Fallback bool   `json:"byte_fallback"`
		Vocab    []scoredToken
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, nil, err
	}
	u := unigramParts{unknown: -1, byteFallback: m.Fallback, tokens: make([]string, len(m.Vocab)), scores: make([]float64, len(m.Vocab))}
	if m.Unknown != nil {
		if *m.Unknown < 0 {
			return nil, nil, fmt.Errorf("unk_id is %d", *m.Unknown)
		}
		u.unknown = *m.Unknown
	}
	for i, t := range m.Vocab {
		u.tokens[i], u.scores[i] = t.token, t.score
	}
	u.skip = special
	out, err := newUnigram(u)
	return u.tokens, out, err
}

// pattern is a Pattern of tokenizer.json.
type pattern struct {
	String *string
	Regex  *string
}

func (p *pattern) get() (text string, isRegexp bool, err error) {
	switch {
	case p.String != nil:
		return *p.String, false, nil
	case p.Regex != nil:
		return *p.Regex, true, nil
	}
	return "", false, errors.New("pattern is neither String nor Regex")
}

func isOr(b *bool, def bool) bool {
	if b == nil {
		return def
	}
	return *b
}

func parseNormalizer(data json.RawMessage, depth int) ([]normalizer, error) {
	var n struct {
		Type        string
		Normalizers []json.RawMessage
		Pattern     pattern
		Content     string
		Prepend     string
		Left        *bool `json:"strip_left"`
		Right       *bool `json:"strip_right"`
		Clean       *bool `json:"clean_text"`
		Chinese     *bool `json:"handle_chinese_chars"`
		Strip       *bool `json:"strip_accents"`
		Lowercase   *bool
		Charsmap    *string `json:"precompiled_charsmap"`
	}
	if err := json.Unmarshal(orNull(data), &n); err != nil {
		return nil, err
	}
	switch n.Type {
	case "":
		return nil, nil
	case "Sequence":
		var all []normalizer
		for _, part := range n.Normalizers {
			if depth >= maxDepth {
				return nil, errors.New("sequences are nested too deep")
			}
			list, err := parseNormalizer(part, depth+1)
			if err != nil {
				return nil, err
			}
			all = append(all, list...)
		}
		if len(all) > 64 {
			return nil, fmt.Errorf("%d steps are too many", len(all))
		}
		return all, nil
	case "NFC", "NFD", "NFKC", "NFKD":
		return []normalizer{unicodeForms[n.Type]}, nil
	case "Lowercase":
		return []normalizer{lowercase{}}, nil
	case "StripAccents":
		return []normalizer{runeFilter{stripAccentRune}}, nil
	case "Nmt":
		return []normalizer{runeFilter{nmtRune}}, nil
	case "Strip":
		return []normalizer{stripSpace{isOr(n.Left, true), isOr(n.Right, true)}}, nil
	case "Prepend":
		if len(n.Prepend) > maxAdded {
			return nil, errors.New("prepend's text is too long")
		}
		return []normalizer{prepend(n.Prepend)}, nil
	case "Replace":
		text, isRegexp, err := n.Pattern.get()
		if err != nil {
			return nil, err
		}
		if text == "" || len(n.Content) > maxAdded {
			return nil, errors.New("replace's pattern is empty or its content too long")
		}
		r, err := newReplace(text, isRegexp, n.Content)
		return []normalizer{r}, err
	case "Precompiled":
		if n.Charsmap == nil || *n.Charsmap == "" {
			return nil, nil
		}
		raw, err := base64.StdEncoding.DecodeString(*n.Charsmap)
		if err != nil {
			return nil, fmt.Errorf("precompiled charsmap: %w", err)
		}
		p, err := newPrecompiled(raw)
		return []normalizer{p}, err
	case "BertNormalizer":
		var list []normalizer
		if isOr(n.Clean, true) {
			list = append(list, runeFilter{bertClean()})
		}
		if isOr(n.Chinese, true) {
			list = append(list, spaceChinese{})
		}
		lower := isOr(n.Lowercase, true)
		if isOr(n.Strip, lower) {
			list = append(list, unicodeForms["NFD"], runeFilter{bertUnmark()})
		}
		if lower {
			list = append(list, lowercase{})
		}
		return list, nil
	}
	return nil, fmt.Errorf("type %q is not supported", n.Type)
}

func parsePre(data json.RawMessage, depth int) (stages []stage, byteLevel bool, err error) {
	var n struct {
		Type       string
		List       []json.RawMessage `json:"pretokenizers"`
		Prefix     *bool             `json:"add_prefix_space"`
		Regex      *bool             `json:"use_regex"`
		Pattern    pattern
		Behavior   string
		Invert     bool
		Mark       string `json:"replacement"`
		Scheme     string `json:"prepend_scheme"`
		Split      *bool
		Individual bool `json:"individual_digits"`
		Delimiter  string
	}
	if err := json.Unmarshal(orNull(data), &n); err != nil {
		return nil, false, err
	}
	class := func(t *runeClassTable, any uint16, how cutBehaviour, atSpace bool) stage {
		return stage{cut: &delimiterSplit{find: findClass(t, any), behaviour: how, atSpace: atSpace}}
	}
	switch n.Type {
	case "":
	case "Sequence":
		for _, part := range n.List {
			if depth >= maxDepth {
				return nil, false, errors.New("sequences are nested too deep")
			}
			list, level, err := parsePre(part, depth+1)
			if err != nil {
				return nil, false, err
			}
			if byteLevel && len(list) > 0 {
				return nil, false, errors.New("ByteLevel must be the last step")
			}
			stages, byteLevel = append(stages, list...), byteLevel || level
		}
		if len(stages) > 64 {
			return nil, false, fmt.Errorf("%d steps are too many", len(stages))
		}
	case "ByteLevel":
		if isOr(n.Prefix, true) {
			stages = append(stages, stage{mark: " "})
		}
		if isOr(n.Regex, true) {
			stages = append(stages, stage{cut: knownPatterns[patternGPT2]})
		}
		byteLevel = true
	case "Split":
		text, isRegexp, err := n.Pattern.get()
		if err != nil {
			return nil, false, err
		}
		how, ok := cutBehaviours[n.Behavior]
		if !ok {
			return nil, false, fmt.Errorf("split behavior %q is not known", n.Behavior)
		}
		cut, err := newPatternSplit(text, isRegexp, how, n.Invert)
		if err != nil {
			return nil, false, err
		}
		stages = []stage{{cut: cut}}
	case "Metaspace":
		if n.Mark == "" {
			n.Mark = "▁"
		}
		if len(n.Mark) > 16 {
			return nil, false, errors.New("metaspace's replacement is too long")
		}
		if n.Scheme == "" {
			n.Scheme = "always"
			if !isOr(n.Prefix, true) {
				n.Scheme = "never"
			}
		}
		if !slices.Contains([]string{"always", "first", "never"}, n.Scheme) {
			return nil, false, fmt.Errorf("metaspace prepend_scheme %q is not known", n.Scheme)
		}
		stages = []stage{{mark: n.Mark, spaces: true, only: n.Scheme == "first", never: n.Scheme == "never"}}
		if isOr(n.Split, true) {
			stages = append(stages, stage{cut: &delimiterSplit{find: findLiteral(n.Mark), behaviour: cutWithNext, atSpace: true}})
		}
	case "Whitespace":
		stages = []stage{{cut: &delimiterSplit{find: findWords, behaviour: cutRemoved, invert: true, atSpace: true}}}
	case "WhitespaceSplit":
		stages = []stage{class(runeClasses(), isRustSpace, cutRemoved, true)}
	case "Punctuation":
		how, ok := cutBehaviours[n.Behavior]
		if n.Behavior != "" && !ok {
			return nil, false, fmt.Errorf("punctuation behavior %q is not known", n.Behavior)
		}
		stages = []stage{class(punctuation(), isPunct, how, false)}
	case "Digits":
		how := cutContiguous
		if n.Individual {
			how = cutIsolated
		}
		stages = []stage{class(runeClasses(), isNumeric, how, false)}
	case "BertPreTokenizer":
		stages = []stage{class(runeClasses(), isRustSpace, cutRemoved, true), class(punctuation(), isPunct, cutIsolated, false)}
	case "CharDelimiterSplit":
		if n.Delimiter == "" {
			return nil, false, errors.New("CharDelimiterSplit's delimiter is empty")
		}
		stages = []stage{{cut: &delimiterSplit{find: findLiteral(n.Delimiter), behaviour: cutRemoved, atSpace: n.Delimiter == " "}}}
	default:
		return nil, false, fmt.Errorf("type %q is not supported", n.Type)
	}
	return stages, byteLevel, nil
}

// parsePost reads which special tokens go around a single text, and what happens to offsets.
func parsePost(data json.RawMessage, c *pipelineParts, depth int) error {
	type pieceJSON struct {
		SpecialToken *struct{ ID string }
		Sequence     *struct{ ID string }
	}
	var p struct {
		Type       string
		Cls, Sep   []any
		Single     []pieceJSON
		Special    map[string]struct{ IDs []int32 } `json:"special_tokens"`
		Processors []json.RawMessage
		Trim       *bool `json:"trim_offsets"`
		Prefix     *bool `json:"add_prefix_space"`
	}
	if err := json.Unmarshal(orNull(data), &p); err != nil {
		return err
	}
	switch p.Type {
	case "":
	case "Sequence":
		for _, part := range p.Processors {
			if depth >= maxDepth {
				return errors.New("sequences are nested too deep")
			}
			if err := parsePost(part, c, depth+1); err != nil {
				return err
			}
		}
	case "ByteLevel":
		if isOr(p.Trim, true) {
			c.trim, c.trimPrefix = true, isOr(p.Prefix, true)
		}
	case "BertProcessing", "RobertaProcessing":
		if p.Type == "RobertaProcessing" && isOr(p.Trim, true) {
			c.trim, c.trimPrefix = true, isOr(p.Prefix, true)
		}
		for _, s := range []struct {
			pair []any
			to   *[]int32
		}{{p.Cls, &c.prefix}, {p.Sep, &c.suffix}} {
			id, ok := float64(0), len(s.pair) == 2
			if ok {
				id, ok = s.pair[1].(float64)
			}
			if !ok || id < 0 || id >= maxVocab || id != float64(int32(id)) {
				return errors.New("cls and sep must be pairs of token and id")
			}
			*s.to = append(*s.to, int32(id))
		}
	case "TemplateProcessing":
		to, seen := &c.prefix, false
		for _, s := range p.Single {
			switch {
			case s.Sequence != nil && seen:
				return errors.New("a single text appears twice in the template")
			case s.Sequence != nil:
				to, seen = &c.suffix, true
			case s.SpecialToken != nil:
				ids := p.Special[s.SpecialToken.ID].IDs
				if len(ids) == 0 {
					return fmt.Errorf("special token %q of the template has no id", s.SpecialToken.ID)
				}
				*to = append(*to, ids...)
			}
		}
		if !seen {
			return errors.New("the template has no place for the text")
		}
	default:
		return fmt.Errorf("type %q is not supported", p.Type)
	}
	return nil
}

func parseDecoder(data json.RawMessage, depth int) ([]decodeStep, error) {
	var n struct {
		Type     string
		Decoders []json.RawMessage
		Pattern  pattern
		Content  string
		Start    int
		Stop     int
		Mark     string `json:"replacement"`
		Scheme   string `json:"prepend_scheme"`
		AddSpace *bool  `json:"add_prefix_space"`
		Prefix   string
		Suffix   string
		Cleanup  *bool
	}
	if err := json.Unmarshal(orNull(data), &n); err != nil {
		return nil, err
	}
	switch n.Type {
	case "", "Fuse":
		return nil, nil
	case "Sequence":
		var all []decodeStep
		for _, part := range n.Decoders {
			if depth >= maxDepth {
				return nil, errors.New("sequences are nested too deep")
			}
			list, err := parseDecoder(part, depth+1)
			if err != nil {
				return nil, err
			}
			all = append(all, list...)
		}
		if len(all) > 64 {
			return nil, fmt.Errorf("%d steps are too many", len(all))
		}
		return all, nil
	case "ByteLevel":
		return []decodeStep{{kind: decodeBytes}}, nil
	case "ByteFallback":
		return []decodeStep{{kind: decodeFallback}}, nil
	case "Replace":
		text, isRegexp, err := n.Pattern.get()
		if err == nil && (isRegexp || text == "" || len(n.Content) > maxAdded) {
			err = errors.New("replace with a regular expression, an empty pattern or a long content is not supported")
		}
		return []decodeStep{{kind: decodeReplace, from: text, to: n.Content}}, err
	case "Strip":
		if n.Stop != 0 {
			return nil, errors.New("strip at the end is not supported")
		}
		return []decodeStep{{kind: decodeStrip, from: n.Content, count: n.Start}}, nil
	case "Metaspace":
		if n.Mark == "" {
			n.Mark = "▁"
		}
		steps := []decodeStep{{kind: decodeReplace, from: n.Mark, to: " "}}
		if n.Scheme != "never" && (n.Scheme != "" || isOr(n.AddSpace, true)) {
			steps = slices.Insert(steps, 0, decodeStep{kind: decodeFirst, from: n.Mark})
		}
		return steps, nil
	case "WordPiece":
		steps := []decodeStep{{kind: decodeJoin, from: n.Prefix}}
		if isOr(n.Cleanup, true) {
			steps = append(steps, decodeStep{kind: decodeClean})
		}
		return steps, nil
	case "BPEDecoder":
		return []decodeStep{{kind: decodeSuffix, from: n.Suffix}}, nil
	}
	return nil, fmt.Errorf("type %q is not supported", n.Type)
}
