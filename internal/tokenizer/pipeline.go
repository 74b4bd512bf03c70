package tokenizer

import (
	"hash/maphash"
	"runtime"
	"sync"
	"unsafe"
)

// A Pipeline is a tokenizer put together from parts as Hugging Face's are: added tokens are found,
// then the text is normalised, cut into words, and each word into entries of the vocabulary by
// byte-pair encoding or a unigram model. Make one with [NewBPE], [NewUnigram], [ParseJSON],
// [ParseSentencePiece] or [Load].
//
// A long text is read in parts of a few kilobytes, so that memory and the cost of a limit do not grow
// with it, wherever the rules of the tokenizer allow to tell the parts apart.
type Pipeline struct {
	names          []string // by id, as the file has them
	ids            map[string]int32
	bySpelling     *vocab // the model's
	byteLevel      bool
	adjust         bool         // tokens may hold parts of runes
	raw, late      *addedTokens // looked for in the text and in the normalised text
	norms          []normalizer
	pre            []stage
	model          model
	whole          bool // no stage cuts words
	cached         bool
	trim           bool // offsets leave out white space at the ends of tokens
	trimPrefix     bool // but not the space that a prefix put before the first word
	prefix, suffix []int32
	special        map[int32]bool
	written        map[int32]string // what normalised added tokens are decoded to
	decode         []decodeStep
	parts          bool // long texts are cut between a letter and a space
	hanParts       bool // and between a Chinese character and a comma or full stop

	seed maphash.Seed
	mu   sync.Mutex
	free []*scratch
}

var _ Tokenizer = (*Pipeline)(nil)

// A stage of the pre-tokenizer cuts pieces, or marks their start.
type stage struct {
	cut splitter
	// Where cut is nil:
	mark   string // put before a piece that does not start with it
	only   bool   // only at the start of the text
	never  bool   // do not put it
	spaces bool   // replace spaces by it
}

// scratch is the working memory of one call.
type scratch struct {
	tokens []Token
	spare  []Token
	limit  int // on len(tokens); negative for none
	flush  func()
	full   bool
	any    bool   // a token was found
	source string // the text

	pieces         []piece
	key            []byte
	heap           []candidate
	links          [][2]int32
	ranks, outcome [40]int32
	nodes          []node
	base           float64

	text, other, marked alignedText
	work                normWork
	cache               []cachedWord
}

// A cachedWord is a word and its tokens, which follow each other without gap.
type cachedWord struct {
	size, count uint8
	text        [cachedText]byte
	ends        [cachedPieces]uint8
	ids         [cachedPieces]int32
}

const (
	cachedText   = 24
	cachedPieces = 6
	cachedWords  = 1 << 13 // 56 bytes each
)

// A part is text in some stage of its way, and where it came from.
type part struct {
	text   string
	at     []span // by byte of text, counted from base; nil: text is as it was, from base on
	base   int
	origin int // where it starts in the original
}

func (p *part) slice(from, to int) part {
	if p.at == nil {
		return part{p.text[from:to], nil, p.base + from, p.base + from}
	}
	return part{p.text[from:to], p.at[from:to], p.base, p.base + int(p.at[from].start)}
}

// view is b as a string, which must not be used after b changes.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Specials implements [Tokenizer].
func (p *Pipeline) Specials() (prefix, suffix []int32) { return p.prefix, p.suffix }

// Size implements [Tokenizer].
func (p *Pipeline) Size() int { return len(p.names) }

// Token implements [Tokenizer]. Entries of a byte-level vocabulary are in its alphabet, a space being "Ġ".
func (p *Pipeline) Token(id int32) string {
	if id < 0 || int(id) >= len(p.names) {
		return ""
	}
	return p.names[id]
}

// ID implements [Tokenizer].
func (p *Pipeline) ID(token string) (int32, bool) {
	if id, ok := p.ids[token]; ok {
		return id, true
	}
	if p.byteLevel {
		raw, ok := rawBytes(token)
		if !ok {
			return 0, false
		}
		id, ok := p.bySpelling.ID(raw)
		return id, ok && p.names[id] == token
	}
	return p.bySpelling.ID(token)
}

// IsSpecial reports whether id is a special token, which plain text never yields.
func (p *Pipeline) IsSpecial(id int32) bool { return p.special[id] }

// Append implements [Tokenizer].
func (p *Pipeline) Append(dst []Token, text string, limit int) []Token {
	return p.append(dst, text, limit, false)
}

// AppendTrusted is Append for text that may name special tokens, such as a chat template's own words:
// there "<|im_start|>" is the special token. Text from users or documents must not come this way.
func (p *Pipeline) AppendTrusted(dst []Token, text string, limit int) []Token {
	return p.append(dst, text, limit, true)
}

func (p *Pipeline) append(dst []Token, text string, limit int, trusted bool) []Token {
	if limit == 0 {
		return dst
	}
	s := p.get()
	s.tokens, s.limit, s.flush = dst, limit, nil
	if limit > 0 {
		s.limit += len(dst)
	}
	p.scan(s, text, trusted)
	dst, s.tokens = s.tokens, nil
	if s.limit > 0 && len(dst) > s.limit {
		dst = dst[:s.limit]
	}
	p.put(s)
	return dst
}

// AppendStarts implements [Tokenizer].
func (p *Pipeline) AppendStarts(dst []int, text string) []int {
	s := p.get()
	s.tokens, s.limit = s.spare[:0], -1
	s.flush = func() {
		for _, t := range s.tokens {
			dst = append(dst, t.Start)
		}
		s.tokens = s.tokens[:0]
	}
	p.scan(s, text, false)
	s.flush()
	s.spare, s.tokens, s.flush = s.tokens[:0], nil, nil
	p.put(s)
	return dst
}

// get takes scratch memory from the pipeline's own store: a sync.Pool would lose the word cache with
// every garbage collection.
func (p *Pipeline) get() *scratch {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		s := p.free[n-1]
		p.free = p.free[:n-1]
		return s
	}
	s := &scratch{}
	if p.cached {
		s.cache = make([]cachedWord, cachedWords)
	}
	return s
}

func (p *Pipeline) put(s *scratch) {
	const most = 1 << 20 // do not keep the memory that one giant word took
	if cap(s.nodes) > most || cap(s.heap) > most || cap(s.text.text) > most || cap(s.pieces) > most {
		*s = scratch{cache: s.cache, spare: s.spare}
	}
	s.source = ""
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) < runtime.GOMAXPROCS(0) {
		p.free = append(p.free, s)
	}
}
