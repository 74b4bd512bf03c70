package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"unicode"
)

// maxFile bounds the files this package reads; the largest tokenizer.json in use is about 20 MB.
const maxFile = 1 << 27

// Load reads the tokenizer of a checkpoint folder: tokenizer.json; or else vocab.txt, vocab.json with
// merges.txt, or a SentencePiece model (tokenizer.model, spiece.model, sentencepiece.bpe.model), with
// what tokenizer_config.json says about them.
func Load(dir fs.FS) (Tokenizer, error) {
	data, err := readFile(dir, "tokenizer.json")
	switch {
	case err == nil:
		t, err := ParseJSON(data)
		if err != nil {
			return nil, fmt.Errorf("tokenizer.json: %w", err)
		}
		return t, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	for _, read := range []func(fs.FS) (Tokenizer, error){loadWordPiece, loadMerges, loadSentencePiece} {
		if t, err := read(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return t, err
		}
	}
	return nil, fmt.Errorf("no tokenizer.json, vocab.txt, vocab.json with merges.txt or SentencePiece model: %w", fs.ErrNotExist)
}

func loadWordPiece(dir fs.FS) (Tokenizer, error) {
	data, err := readFile(dir, "vocab.txt")
	if err != nil {
		return nil, err
	}
	tokens, err := WordPieceVocab(data)
	if err != nil {
		return nil, err
	}
	cfg := WordPieceConfig{Lowercase: true, StripAccent: true}
	data, err = readFile(dir, "tokenizer_config.json")
	if err == nil {
		cfg, err = wordPieceConfig(data)
		if err != nil {
			return nil, fmt.Errorf("tokenizer_config.json: %w", err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	t, err := NewWordPiece(tokens, cfg)
	if err != nil {
		return nil, fmt.Errorf("vocab.txt: %w", err)
	}
	return t, nil
}

func readFile(dir fs.FS, name string) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is over %d MiB", name, maxFile>>20)
	}
	return data, err
}

// vocabLines are the lines of text without trailing white space, as Hugging Face reads them.
func vocabLines(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			if !yield(strings.TrimRightFunc(line, unicode.IsSpace)) {
				return
			}
		}
	}
}

// tokenName is a token in a configuration: a string, or an object with the string in it.
type tokenName string

func (t *tokenName) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		var o struct{ Content string }
		err := json.Unmarshal(data, &o)
		*t = tokenName(o.Content)
		return err
	}
	return json.Unmarshal(data, (*string)(t))
}

func wordPieceConfig(data []byte) (WordPieceConfig, error) {
	var c struct {
		Lower   *bool     `json:"do_lower_case"`
		Strip   *bool     `json:"strip_accents"`
		Chinese *bool     `json:"tokenize_chinese_chars"`
		Unknown tokenName `json:"unk_token"`
		Cls     tokenName `json:"cls_token"`
		Sep     tokenName `json:"sep_token"`
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return WordPieceConfig{}, err
	}
	cfg := WordPieceConfig{Unknown: string(c.Unknown), Lowercase: true}
	if c.Lower != nil {
		cfg.Lowercase = *c.Lower
	}
	cfg.StripAccent = cfg.Lowercase
	if c.Strip != nil {
		cfg.StripAccent = *c.Strip
	}
	if c.Chinese != nil {
		cfg.JoinChinese = !*c.Chinese
	}
	if c.Cls != "" {
		cfg.Prefix = []string{string(c.Cls)}
	}
	if c.Sep != "" {
		cfg.Suffix = []string{string(c.Sep)}
	}
	return cfg, nil
}

type jsonFile struct {
	AddedTokens []struct {
		ID         int64
		Content    string
		Special    bool
		SingleWord bool `json:"single_word"`
		LStrip     bool
		RStrip     bool
		Normalized bool
	} `json:"added_tokens"`
	Normalizer    json.RawMessage
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage
	Model         json.RawMessage
}

// ParseJSON reads a tokenizer.json of Hugging Face tokenizers. Its truncation and padding are the
// caller's business and ignored.
func ParseJSON(data []byte) (Tokenizer, error) {
	var f jsonFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	var model struct {
		Type   string
		Merges *json.RawMessage
		Vocab  json.RawMessage
	}
	if err := json.Unmarshal(orNull(f.Model), &model); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if model.Type == "" { // early files leave the type out
		switch {
		case model.Merges != nil:
			model.Type = "BPE"
		case len(model.Vocab) > 0 && model.Vocab[0] == '[':
			model.Type = "Unigram"
		default:
			model.Type = "WordPiece"
		}
	}
	switch model.Type {
	case "WordPiece":
		return parseWordPiece(&f)
	case "BPE", "Unigram":
		return parsePipeline(&f, model.Type)
	}
	return nil, fmt.Errorf("model %q is not supported, only WordPiece, BPE and Unigram", model.Type)
}

func orNull(m json.RawMessage) []byte {
	if len(m) == 0 {
		return []byte("null")
	}
	return m
}

func parseWordPiece(f *jsonFile) (*WordPiece, error) {
	var model struct {
		Unknown  string `json:"unk_token"`
		Prefix   string `json:"continuing_subword_prefix"`
		MaxRunes int    `json:"max_input_chars_per_word"`
		Vocab    map[string]int64
	}
	if err := json.Unmarshal(orNull(f.Model), &model); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	for _, a := range f.AddedTokens {
		if !a.Special {
			return nil, fmt.Errorf("added token %q is not special, which is not supported", a.Content)
		}
		if model.Vocab == nil {
			model.Vocab = map[string]int64{}
		}
		if id, ok := model.Vocab[a.Content]; ok && id != a.ID {
			return nil, fmt.Errorf("added token %q has id %d, but %d in the vocabulary", a.Content, a.ID, id)
		}
		model.Vocab[a.Content] = a.ID
	}
	tokens, err := byID(model.Vocab)
	if err != nil {
		return nil, err
	}
	cfg := WordPieceConfig{Unknown: model.Unknown, Continuation: model.Prefix, MaxWordRunes: model.MaxRunes}

	var norm struct {
		Type      string
		Clean     *bool `json:"clean_text"`
		Chinese   *bool `json:"handle_chinese_chars"`
		Strip     *bool `json:"strip_accents"`
		Lowercase *bool
	}
	if err := json.Unmarshal(orNull(f.Normalizer), &norm); err != nil {
		return nil, fmt.Errorf("normalizer: %w", err)
	}
	if norm.Type != "BertNormalizer" {
		return nil, fmt.Errorf("normalizer %q is not supported with WordPiece, only BertNormalizer", norm.Type)
	}
	is := func(b *bool, def bool) bool {
		if b == nil {
			return def
		}
		return *b
	}
	cfg.KeepControl = !is(norm.Clean, true)
	cfg.JoinChinese = !is(norm.Chinese, true)
	cfg.Lowercase = is(norm.Lowercase, true)
	cfg.StripAccent = is(norm.Strip, cfg.Lowercase)

	var pre struct{ Type string }
	if err := json.Unmarshal(orNull(f.PreTokenizer), &pre); err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %w", err)
	}
	if pre.Type != "BertPreTokenizer" {
		return nil, fmt.Errorf("pre_tokenizer %q is not supported with WordPiece, only BertPreTokenizer", pre.Type)
	}
	v, err := newVocab(tokens)
	if err != nil {
		return nil, err
	}
	cfg.Prefix, cfg.Suffix, err = parseTemplate(f.PostProcessor, v)
	if err != nil {
		return nil, fmt.Errorf("post_processor: %w", err)
	}
	return newWordPiece(v, cfg)
}

// byID turns a map of entries to ids around.
func byID(vocab map[string]int64) ([]string, error) {
	top := int64(-1)
	for token, id := range vocab {
		// Real files have few holes; refuse a small file that claims a giant id.
		if id < 0 || id >= int64(2*len(vocab)+1024) {
			return nil, fmt.Errorf("token %q has id %d in a vocabulary of %d", token, id, len(vocab))
		}
		top = max(top, id)
	}
	tokens := make([]string, top+1)
	for token, id := range vocab {
		if tokens[id] != "" {
			return nil, fmt.Errorf("tokens %q and %q share id %d", min(tokens[id], token), max(tokens[id], token), id)
		}
		tokens[id] = token
	}
	return tokens, nil
}

// parseTemplate reads which special tokens go around a single text.
func parseTemplate(data json.RawMessage, v *vocab) (prefix, suffix []string, err error) {
	type piece struct {
		SpecialToken *struct{ ID string }
		Sequence     *struct{ ID string }
	}
	var p struct {
		Type    string
		Cls     []any
		Sep     []any
		Single  []piece
		Special map[string]struct{ IDs []int32 } `json:"special_tokens"`
	}
	if err := json.Unmarshal(orNull(data), &p); err != nil {
		return nil, nil, err
	}
	prefix, suffix = []string{}, []string{}
	switch p.Type {
	case "":
		return prefix, suffix, nil
	case "BertProcessing", "RobertaProcessing":
		for _, s := range []struct {
			pair []any
			to   *[]string
		}{{p.Cls, &prefix}, {p.Sep, &suffix}} {
			if len(s.pair) != 2 {
				return nil, nil, errors.New("cls and sep must be pairs of token and id")
			}
			name, ok := s.pair[0].(string)
			if !ok {
				return nil, nil, errors.New("cls and sep must be pairs of token and id")
			}
			*s.to = append(*s.to, name)
		}
		return prefix, suffix, nil
	case "TemplateProcessing":
		to, seen := &prefix, false
		for _, s := range p.Single {
			switch {
			case s.Sequence != nil && seen:
				return nil, nil, errors.New("a single text appears twice in the template")
			case s.Sequence != nil:
				to, seen = &suffix, true
			case s.SpecialToken != nil:
				for _, id := range p.Special[s.SpecialToken.ID].IDs {
					token := v.Token(id)
					if token == "" {
						return nil, nil, fmt.Errorf("special token %q has unknown id %d", s.SpecialToken.ID, id)
					}
					*to = append(*to, token)
				}
			}
		}
		if !seen {
			return nil, nil, errors.New("the template has no place for the text")
		}
		return prefix, suffix, nil
	}
	return nil, nil, fmt.Errorf("type %q is not supported", p.Type)
}
