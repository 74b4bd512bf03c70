package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"docent/internal/llm/grammar"
	"docent/internal/tokenizer"
)

// The kinds of vocabulary entries in GGUF files.
const (
	tokenNormal  = 1
	tokenUnknown = 2
	tokenControl = 3
	tokenUser    = 4 // added to the vocabulary, as it is
	tokenUnused  = 5
	tokenByte    = 6
)

// vocabulary turns text into ids and back.
type vocabulary struct {
	tok      textTokenizer
	pieces   [][]byte // what an id adds to a text; nil for control tokens
	bos, eos int32    // -1: none
	addBOS   bool
	addEOS   bool
	ends     map[int32]bool    // ids that end an answer
	special  map[byte][]string // control and added tokens by their first byte, longest first
	control  map[string]int32
	names    []string

	sort   sync.Once // makes sorted
	sorted *grammar.Vocabulary
}

// written are control tokens that are part of what a model says: they show where it thinks and calls tools.
var written = []string{"<think>", "</think>", "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]", "<|python_tag|>"}

// textTokenizer is what is needed of internal/tokenizer.
type textTokenizer interface {
	Append(dst []tokenizer.Token, text string, limit int) []tokenizer.Token
}

func (m *Model) readVocabulary() error {
	f := m.file
	kind, ok := f.String("tokenizer.ggml.model")
	if !ok || kind == "none" || kind == "no_vocab" {
		return nil
	}
	tokens, ok := f.Strings("tokenizer.ggml.tokens")
	if !ok || len(tokens) > m.params.vocab {
		return fmt.Errorf("%w: %d tokenizer.ggml.tokens for a vocabulary of %d", ErrUnsupported, len(tokens), m.params.vocab)
	}
	types, ok := f.Ints("tokenizer.ggml.token_type")
	if !ok {
		types = slices.Repeat([]int64{tokenNormal}, len(tokens))
	}
	if len(types) != len(tokens) {
		return fmt.Errorf("%w: %d tokenizer.ggml.token_type for %d tokens", ErrUnsupported, len(types), len(tokens))
	}
	v := &vocabulary{
		bos: -1, eos: -1, ends: map[int32]bool{}, special: map[byte][]string{}, control: map[string]int32{},
		pieces: make([][]byte, m.params.vocab), names: tokens,
	}
	id := func(key string) int32 {
		if n, ok := f.Uint("tokenizer.ggml." + key); ok && n < uint64(len(tokens)) {
			return int32(n)
		}
		return -1
	}
	v.bos, v.eos = id("bos_token_id"), id("eos_token_id")
	v.addBOS, ok = f.Bool("tokenizer.ggml.add_bos_token")
	if !ok {
		v.addBOS = kind == "llama"
	}
	v.addEOS, ok = f.Bool("tokenizer.ggml.add_eos_token")
	if !ok {
		v.addEOS = kind == "t5"
	}
	for _, e := range []int32{v.eos, id("eot_token_id"), id("eom_token_id")} {
		if e >= 0 {
			v.ends[e] = true
		}
	}
	pre, _ := f.String("tokenizer.ggml.pre")
	bytewise := kind == "gpt2" && tokenizer.ByteLevel(pre)
	for i, t := range tokens {
		switch types[i] {
		case tokenControl, tokenUnknown:
			// Files do not always say which tokens end a turn.
			switch t {
			case "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "</s>", "<|end_of_text|>":
				v.ends[int32(i)] = true
			}
			v.addSpecial(t, int32(i))
			if slices.Contains(written, t) {
				v.pieces[i] = []byte(t)
			}
		case tokenUser:
			v.addSpecial(t, int32(i))
			v.pieces[i] = []byte(t)
			if strings.HasPrefix(t, "▁") { // gemma's runs of spaces
				v.pieces[i] = []byte(strings.ReplaceAll(t, "▁", " "))
			}
		case tokenByte:
			var b byte
			if _, err := fmt.Sscanf(t, "<0x%02X>", &b); err == nil {
				v.pieces[i] = []byte{b}
			}
		default:
			if bytewise {
				v.pieces[i] = byteLevel(t)
			} else {
				v.pieces[i] = []byte(strings.ReplaceAll(t, "▁", " "))
			}
		}
	}
	for b := range v.special {
		slices.SortFunc(v.special[b], func(x, y string) int { return len(y) - len(x) })
	}
	var err error
	if v.tok, err = newTokenizer(f, kind); err != nil {
		return fmt.Errorf("%w: tokenizer: %w", ErrUnsupported, err)
	}
	m.vocab = v
	return nil
}

// Constrain makes the constraint that keeps one answer to a grammar. The first call sorts the vocabulary.
func (m *Model) Constrain(g *grammar.Grammar) (*grammar.Matcher, error) {
	v := m.vocab
	if v == nil {
		return nil, errNoTokenizer
	}
	v.sort.Do(func() { v.sorted = grammar.NewVocabulary(v.pieces, slices.Sorted(maps.Keys(v.ends))) })
	return g.Matcher(v.sorted), nil
}

func (v *vocabulary) addSpecial(t string, id int32) {
	if t == "" {
		return
	}
	if _, ok := v.control[t]; !ok {
		v.control[t] = id
		v.special[t[0]] = append(v.special[t[0]], t)
	}
}

// byteLevel turns GPT-2's letters for bytes back.
func byteLevel(t string) []byte {
	out := make([]byte, 0, len(t))
	for _, r := range t {
		if b, ok := byteOf[r]; ok {
			out = append(out, b)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}

// byteOf maps the letters that stand for bytes in GPT-2's vocabulary: printable bytes stand for
// themselves, the others for letters from U+0100 on.
var byteOf = func() map[rune]byte {
	m := make(map[rune]byte, 256)
	next := rune(0x100)
	for b := range 256 {
		if b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae {
			m[rune(b)] = byte(b)
		} else {
			m[next] = byte(b)
			next++
		}
	}
	return m
}()

// Encode is a text as tokens, with the ones that go around it. Special tokens' names in it are text.
func (m *Model) Encode(text string) ([]int32, error) { return m.encode(text, nil) }

// EncodePart is a part of a text as tokens, without those that go around a text.
func (m *Model) EncodePart(text string) ([]int32, error) {
	if m.vocab == nil {
		return nil, errNoTokenizer
	}
	var ids []int32
	for _, t := range m.vocab.tok.Append(nil, text, -1) {
		ids = append(ids, t.ID)
	}
	return ids, nil
}

// First is the token that texts begin with, -1 for none.
func (m *Model) First() int32 {
	if m.vocab == nil || !m.vocab.addBOS {
		return -1
	}
	return m.vocab.bos
}

// encode also reads special tokens' names as those tokens where trusted is not nil; it then puts text
// that is not trusted in place of its keys.
func (m *Model) encode(text string, trusted *strings.Replacer) ([]int32, error) {
	v := m.vocab
	if v == nil {
		return nil, errNoTokenizer
	}
	var ids []int32
	var buf []tokenizer.Token
	plain := func(s string) {
		if trusted != nil {
			s = trusted.Replace(s)
		}
		if s == "" {
			return
		}
		buf = v.tok.Append(buf[:0], s, -1)
		for _, t := range buf {
			ids = append(ids, t.ID)
		}
	}
	if trusted == nil {
		plain(text)
	} else {
		from := 0
		for i := 0; i < len(text); {
			t := v.match(text[i:])
			if t == "" {
				i++
				continue
			}
			plain(text[from:i])
			ids = append(ids, v.control[t])
			i += len(t)
			from = i
		}
		plain(text[from:])
	}
	if v.addBOS && v.bos >= 0 && (len(ids) == 0 || ids[0] != v.bos) {
		ids = slices.Insert(ids, 0, v.bos)
	}
	if v.addEOS && v.eos >= 0 && trusted == nil {
		ids = append(ids, v.eos)
	}
	return ids, nil
}

// match is the longest special token that s begins with.
func (v *vocabulary) match(s string) string {
	for _, t := range v.special[s[0]] {
		if strings.HasPrefix(s, t) {
			return t
		}
	}
	return ""
}

func (v *vocabulary) name(id int32) string {
	if id < 0 || int(id) >= len(v.names) {
		return ""
	}
	return v.names[id]
}

// decoder puts the text of ids together, a whole character at a time.
type decoder struct {
	vocab *vocabulary
	held  []byte
}

func (d *decoder) next(id int32) string {
	d.held = append(d.held, d.vocab.pieces[id]...)
	end := len(d.held)
	// A last character whose bytes are not all there waits.
	for i := max(0, end-utf8.UTFMax+1); i < end; i++ {
		if utf8.RuneStart(d.held[i]) && !utf8.FullRune(d.held[i:]) {
			end = i
			break
		}
	}
	out := strings.ToValidUTF8(string(d.held[:end]), "\uFFFD")
	d.held = append(d.held[:0], d.held[end:]...)
	return out
}

func (d *decoder) flush() string {
	out := strings.ToValidUTF8(string(d.held), "\uFFFD")
	d.held = nil
	return out
}

// Piece is what a token adds to a text, which may be part of a character; the name of one that adds nothing.
func (m *Model) Piece(id int32) string {
	if m.vocab == nil || id < 0 || int(id) >= len(m.vocab.pieces) {
		return ""
	}
	if p := m.vocab.pieces[id]; p != nil {
		return string(p)
	}
	return m.vocab.name(id)
}

// Marker is a text of the program's own as tokens, with special tokens' names in it as those tokens. It
// must not come from a user.
func (m *Model) Marker(text string) ([]int32, error) {
	ids, err := m.encode(text, strings.NewReplacer())
	if err == nil && len(ids) > 0 && m.vocab.addBOS && ids[0] == m.vocab.bos {
		ids = ids[1:]
	}
	return ids, err
}

// Decode is the text of ids, without control tokens.
func (m *Model) Decode(ids []int32) string {
	if m.vocab == nil {
		return ""
	}
	d := &decoder{vocab: m.vocab}
	var b strings.Builder
	for _, id := range ids {
		if id >= 0 && int(id) < len(m.vocab.pieces) {
			b.WriteString(d.next(id))
		}
	}
	return b.String() + d.flush()
}
