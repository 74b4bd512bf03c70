package tokenizer

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"
)

// WordPieceConfig describes a BERT tokenizer. The zero values of the names mean BERT's own.
type WordPieceConfig struct {
	Unknown      string   // "" means "[UNK]"
	Continuation string   // before the second and later pieces of a word; "" means "##"
	MaxWordRunes int      // a longer word is unknown; 0 means 100
	Prefix       []string // special tokens before a text; nil means "[CLS]"
	Suffix       []string // special tokens after it; nil means "[SEP]"

	KeepControl bool // do not clean control characters and white space (clean_text false)
	JoinChinese bool // do not cut Chinese text into characters (handle_chinese_chars false)
	Lowercase   bool
	StripAccent bool
}

// WordPiece is BERT's tokenizer: normalise, cut at white space, punctuation and Chinese characters,
// then take the longest known piece from the left of each word.
type WordPiece struct {
	*vocab
	runes          *runeTable
	unknown        int32
	cont           uint32 // trie node of the continuation prefix
	hasCont        bool
	maxRunes       int
	prefix, suffix []int32
	scratch        sync.Pool // *wordBuffer
}

var _ Tokenizer = (*WordPiece)(nil)

// NewWordPiece builds a tokenizer over the entries of a vocabulary, by id.
func NewWordPiece(tokens []string, cfg WordPieceConfig) (*WordPiece, error) {
	v, err := newVocab(tokens)
	if err != nil {
		return nil, err
	}
	return newWordPiece(v, cfg)
}

func newWordPiece(v *vocab, cfg WordPieceConfig) (*WordPiece, error) {
	if cfg.Unknown == "" {
		cfg.Unknown = "[UNK]"
	}
	if cfg.Continuation == "" {
		cfg.Continuation = "##"
	}
	if cfg.MaxWordRunes == 0 {
		cfg.MaxWordRunes = 100
	}
	if cfg.MaxWordRunes < 0 || cfg.MaxWordRunes > 1<<16 {
		return nil, fmt.Errorf("max_input_chars_per_word: %d, want 1 to %d", cfg.MaxWordRunes, 1<<16)
	}
	if cfg.Prefix == nil {
		cfg.Prefix = []string{"[CLS]"}
	}
	if cfg.Suffix == nil {
		cfg.Suffix = []string{"[SEP]"}
	}
	w := &WordPiece{
		vocab:    v,
		runes:    bertTable(bertMode{!cfg.KeepControl, !cfg.JoinChinese, cfg.StripAccent, cfg.Lowercase}),
		maxRunes: cfg.MaxWordRunes,
	}
	w.cont, w.hasCont = v.walk(cfg.Continuation)
	var err error
	if w.unknown, err = w.need(cfg.Unknown); err != nil {
		return nil, err
	}
	for _, list := range []struct {
		names []string
		ids   *[]int32
	}{{cfg.Prefix, &w.prefix}, {cfg.Suffix, &w.suffix}} {
		for _, name := range list.names {
			id, err := w.need(name)
			if err != nil {
				return nil, err
			}
			*list.ids = append(*list.ids, id)
		}
	}
	w.scratch.New = func() any { return &wordBuffer{} }
	return w, nil
}

func (w *WordPiece) need(token string) (int32, error) {
	id, ok := w.ID(token)
	if !ok {
		return 0, fmt.Errorf("special token %q is not in the vocabulary", token)
	}
	return id, nil
}

// Specials are the ids before and after a text, [CLS] and [SEP] for BERT.
func (w *WordPiece) Specials() (prefix, suffix []int32) { return w.prefix, w.suffix }

// Append implements [Tokenizer].
func (w *WordPiece) Append(dst []Token, text string, limit int) []Token {
	if limit == 0 {
		return dst
	}
	b := w.scratch.Get().(*wordBuffer)
	if limit > 0 {
		limit += len(dst)
	}
	b.tokens, b.limit = dst, limit
	w.scan(b, text, nil)
	dst, b.tokens = b.tokens, nil
	w.scratch.Put(b)
	if limit > 0 && len(dst) > limit {
		dst = dst[:limit]
	}
	return dst
}

// AppendStarts implements [Tokenizer].
func (w *WordPiece) AppendStarts(dst []int, text string) []int {
	b := w.scratch.Get().(*wordBuffer)
	kept := b.spare[:0]
	b.tokens, b.limit = kept, -1
	w.scan(b, text, func() {
		for _, t := range b.tokens {
			dst = append(dst, t.Start)
		}
		b.tokens = b.tokens[:0]
	})
	b.spare, b.tokens = b.tokens[:0], nil
	w.scratch.Put(b)
	return dst
}

// wordBuffer is the normalised word being read: its bytes and, for each, the range of the original
// rune it came from.
type wordBuffer struct {
	text   []byte
	start  []int
	end    []int
	runes  int // in text, or more when the word is too long and its text no longer kept
	first  int // start of the first rune
	last   int // end of the last rune
	tokens []Token
	limit  int
	spare  []Token
}

func (b *wordBuffer) reset() {
	b.text, b.start, b.end, b.runes = b.text[:0], b.start[:0], b.end[:0], 0
}

// scan cuts text into words and words into pieces. Where flush is not nil it is called now and then,
// when the tokens so far may be taken away.
func (w *WordPiece) scan(b *wordBuffer, text string, flush func()) {
	b.reset()
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			switch k := w.runes.ascii[c]; {
			case k < asciiAlone:
				if b.runes == 0 {
					b.first = i
				}
				b.last = i + 1
				if b.runes++; b.runes <= w.maxRunes {
					b.text = append(b.text, k)
					b.start = append(b.start, i)
					b.end = append(b.end, i+1)
				}
			case k == asciiSpace:
				if b.runes > 0 && w.word(b, flush) {
					return
				}
			case k == asciiDrop:
			default:
				if b.runes > 0 && w.word(b, flush) {
					return
				}
				if w.alone(b, k&^asciiAlone, i, flush) {
					return
				}
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		piece, alone := text[i:i+n], false
		switch class := w.runes.class(r); class {
		case runeDrop:
			i += n
			continue
		case runeSpace:
			if b.runes > 0 && w.word(b, flush) {
				return
			}
			i += n
			continue
		case runeLetter:
		case runeAlone:
			alone = true
		default:
			m := &w.runes.mapped[class-runeMapped]
			piece, alone = m.text, m.alone
		}
		if r == utf8.RuneError && n == 1 {
			piece = "\uFFFD"
		}
		if alone && b.runes > 0 && w.word(b, flush) {
			return
		}
		if b.runes == 0 {
			b.first = i
		}
		b.last = i + n
		b.runes += utf8.RuneCountInString(piece)
		if b.runes <= w.maxRunes {
			b.text = append(b.text, piece...)
			for range len(piece) {
				b.start = append(b.start, i)
				b.end = append(b.end, i+n)
			}
		}
		i += n
		if alone && w.word(b, flush) {
			return
		}
	}
	if b.runes > 0 {
		w.word(b, flush)
	}
	if flush != nil {
		flush()
	}
}

// alone ends a word that is the single ASCII byte c at i.
func (w *WordPiece) alone(b *wordBuffer, c byte, i int, flush func()) (full bool) {
	id := w.unknown
	if node := w.step(0, c); node != 0 && w.leaf[node] >= 0 {
		id = w.leaf[node]
	}
	b.tokens = append(b.tokens, Token{id, i, i + 1})
	return w.full(b, flush)
}

// word cuts the word in b into pieces, appends them and empties b. It reports whether the limit is
// reached.
func (w *WordPiece) word(b *wordBuffer, flush func()) (full bool) {
	mark := len(b.tokens)
	known := b.runes <= w.maxRunes
	node := uint32(0)
	for at := 0; known && at < len(b.text); {
		id, end := int32(-1), at
		for j := at; j < len(b.text); j++ {
			if node = w.step(node, b.text[j]); node == 0 {
				break
			}
			if leaf := w.leaf[node]; leaf >= 0 {
				id, end = leaf, j+1
			}
		}
		if id < 0 {
			known = false
			break
		}
		b.tokens = append(b.tokens, Token{id, b.start[at], b.end[end-1]})
		at, node = end, w.cont
		if !w.hasCont && at < len(b.text) {
			known = false
		}
	}
	if !known {
		b.tokens = append(b.tokens[:mark], Token{w.unknown, b.first, b.last})
	}
	b.reset()
	return w.full(b, flush)
}

func (w *WordPiece) full(b *wordBuffer, flush func()) bool {
	if flush != nil && len(b.tokens) >= 512 {
		flush()
	}
	return b.limit > 0 && len(b.tokens) >= b.limit
}

// WordPieceVocab reads a vocab.txt: one entry a line, its id the line's number from 0.
func WordPieceVocab(data []byte) ([]string, error) {
	if len(data) > maxVocabBytes {
		return nil, fmt.Errorf("vocab.txt has %d bytes, at most %d are supported", len(data), maxVocabBytes)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("vocab.txt is not UTF-8")
	}
	return slices.Collect(vocabLines(string(data))), nil
}
