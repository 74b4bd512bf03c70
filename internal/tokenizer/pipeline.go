package tokenizer

import (
	"fmt"
	"hash/maphash"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
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

// scan cuts text at added tokens and into parts.
func (p *Pipeline) scan(s *scratch, text string, trusted bool) {
	s.full, s.any, s.source = false, false, text
	first := true
	// A token that takes the white space after it does not keep another from being found there, so the
	// search may be behind from.
	for from, search := 0, 0; (from < len(text) || search < len(text)) && !s.full; {
		end := p.partEnd(text, from)
		m, next, ok := p.raw.find(text, from, search, end, trusted)
		search = next
		if !ok {
			p.section(s, text[from:end], from, first, end == len(text), trusted)
			from, first = end, false
			continue
		}
		if m.start > from {
			p.section(s, text[from:m.start], from, first, true, trusted)
		}
		if !s.full {
			p.added(s, m.token.ID, text[m.start:m.end], m.start, m.end)
		}
		from, first = m.end, true
	}
}

const partSize = 1 << 12

// partEnd is where a part of text from from on may end.
func (p *Pipeline) partEnd(text string, from int) int {
	if !p.parts || len(text)-from <= 2*partSize {
		return len(text)
	}
	for i := from + partSize; i < len(text); i++ {
		switch c := text[i]; {
		case c == ' ' && asciiLetter(text[i-1]):
			return i
		case p.hanParts && (c == 0xE3 || c == 0xEF) && text[i-3] >= 0xE4 && text[i-3] <= 0xE9 &&
			(strings.HasPrefix(text[i:], "。") || strings.HasPrefix(text[i:], "，")):
			return i
		}
	}
	return len(text)
}

// section normalises a part of the text and cuts it at the added tokens that are looked for there.
func (p *Pipeline) section(s *scratch, text string, base int, first, last, trusted bool) {
	if text == "" {
		return
	}
	v := part{text: text, base: base, origin: base}
	if !p.idle(text) {
		s.work.textStart, s.work.textEnd = base == 0, base+len(text) == len(s.source)
		p.normalize(s, text, first, last)
		v.text, v.at = view(s.text.text), s.text.at
		if v.text == "" {
			return
		}
		v.origin += int(v.at[0].start)
	}
	if first {
		s.base = 0
	}
	for from, search := 0, 0; (from < len(v.text) || search < len(v.text)) && !s.full; {
		m, next, ok := p.late.find(v.text, from, search, len(v.text), trusted)
		search = next
		if !ok {
			if from == 0 {
				p.words(s, 0, v)
			} else if from < len(v.text) {
				p.words(s, 0, v.slice(from, len(v.text)))
			}
			return
		}
		if m.start > from {
			p.words(s, 0, v.slice(from, m.start))
		}
		if start, end := v.original(m.start, m.end); !s.full {
			p.added(s, m.token.ID, v.text[m.start:m.end], start, end)
		}
		s.base = 0
		from = m.end
	}
}

// original is where text[from:to] came from.
func (p *part) original(from, to int) (int, int) {
	if p.at == nil {
		return p.base + from, p.base + to
	}
	return p.base + int(p.at[from].start), p.base + int(p.at[to-1].end)
}

// An idler is a normalizer that can tell, without doing it, that it would do nothing.
type idler interface{ idle(text string) bool }

func (f *unicodeForm) idle(text string) bool { return normalization().quick.is(bytesOf(text), f.quick) }
func (lowercase) idle(text string) bool      { return normalization().quick.is(bytesOf(text), quickLower) }

func (p *replace) idle(text string) bool {
	if p.literal == "" {
		start, end := p.find(text, 0)
		return start == end
	}
	return !strings.Contains(text, p.literal)
}

func (p *precompiled) idle(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf || !p.plain[text[i]] {
			return false
		}
	}
	return true
}

func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

func (p *Pipeline) idle(text string) bool {
	if !utf8.ValidString(text) {
		return false
	}
	for _, n := range p.norms {
		if i, ok := n.(idler); !ok || !i.idle(text) {
			return false
		}
	}
	return true
}

// normalize leaves the normalised text in s.text.
func (p *Pipeline) normalize(s *scratch, text string, first, last bool) {
	a := &s.text
	a.reset()
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			a.text, a.at = append(a.text, c), append(a.at, span{int32(i), int32(i + 1)})
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		at := span{int32(i), int32(i + n)}
		if r == utf8.RuneError && n == 1 {
			a.addRune(r, at)
		} else {
			a.addString(text[i:i+n], at)
		}
		i += n
	}
	for _, norm := range p.norms {
		s.other.reset()
		if norm.apply(&s.text, &s.other, &s.work, first, last) {
			s.text, s.other = s.other, s.text
		}
	}
}

// words takes a piece through the stages from i on, and what is left to the model.
func (p *Pipeline) words(s *scratch, i int, v part) {
	for i < len(p.pre) && p.pre[i].cut == nil {
		v = p.pre[i].apply(s, v)
		i++
	}
	if i == len(p.pre) {
		p.word(s, v)
		return
	}
	cut := p.pre[i].cut
	known, _ := cut.(*patternSplit)
	classes := runeClasses()
	for at := 0; at < len(v.text) && !s.full; {
		var start, end int
		if known != nil && known.total { // saves the dynamic call
			start, end = at, known.match(classes, v.text, at)
		} else {
			start, end = cut.next(v.text, at)
		}
		if start >= end {
			return
		}
		if v.at == nil && i+1 == len(p.pre) {
			p.word(s, part{text: v.text[start:end], base: v.base + start})
		} else {
			p.words(s, i+1, v.slice(start, end))
		}
		at = end
	}
}

// apply marks a piece. Its text is then in s.marked, which the marking of another piece writes over.
func (m *stage) apply(s *scratch, v part) part {
	put := !m.never && !strings.HasPrefix(v.text, m.mark) && !(m.only && v.origin != 0) &&
		!(m.spaces && strings.HasPrefix(v.text, " "))
	if !put && (!m.spaces || strings.IndexByte(v.text, ' ') < 0) {
		return v
	}
	out := &s.marked
	out.reset()
	if put {
		at := span{0, 1}
		if v.at != nil {
			at = v.at[0]
		} else if v.text[0] >= utf8.RuneSelf {
			_, n := utf8.DecodeRuneInString(v.text)
			at.end = int32(n)
		}
		out.addString(m.mark, at)
	}
	for i := 0; i < len(v.text); {
		n := 1
		if v.text[i] >= utf8.RuneSelf {
			_, n = utf8.DecodeRuneInString(v.text[i:])
		}
		at := span{int32(i), int32(i + n)}
		if v.at != nil {
			at = v.at[i]
		}
		if m.spaces && v.text[i] == ' ' {
			out.addString(m.mark, at)
		} else {
			out.text = append(out.text, v.text[i:i+n]...)
			for k := range n {
				if v.at != nil {
					at = v.at[i+k]
				}
				out.at = append(out.at, at)
			}
		}
		i += n
	}
	return part{view(out.text), out.at, v.base, v.origin}
}

// longWord is from where on a word is cut at its borders first, where the model knows some.
const longWord = 256

// word gives a word to the model, in pieces where it can be told that they do not depend on each
// other.
func (p *Pipeline) word(s *scratch, v part) {
	if !p.whole {
		s.base = 0
		if len(v.text) <= longWord {
			p.entries(s, v)
			return
		}
	}
	least := longWord
	if p.whole && p.cached {
		least = 1
	}
	for from := 0; from < len(v.text) && !s.full; {
		to := from + least
		for to < len(v.text) && !(utf8.RuneStart(v.text[to]) && p.model.border(v.text, to)) {
			to++
		}
		to = min(to, len(v.text))
		p.entries(s, v.slice(from, to))
		from = to
	}
}

// entries cuts a word into entries of the vocabulary and appends them as tokens.
func (p *Pipeline) entries(s *scratch, v part) {
	var slot *cachedWord
	if p.cached && len(v.text) <= cachedText {
		slot = &s.cache[maphash.String(p.seed, v.text)%cachedWords]
		if int(slot.size) == len(v.text) && string(slot.text[:slot.size]) == v.text {
			start := 0
			for i, end := range slot.ends[:slot.count] {
				p.emit(s, &v, slot.ids[i], start, int(end))
				start = int(end)
			}
			return
		}
	}
	s.pieces = s.pieces[:0]
	p.model.cut(s, v.text)
	if slot != nil && len(s.pieces) <= cachedPieces {
		slot.size, slot.count = uint8(len(v.text)), uint8(len(s.pieces))
		copy(slot.text[:], v.text)
		end := int32(0)
		for i, t := range s.pieces {
			if t.start != end {
				slot.size = 0xFF // tokens that share a range are not kept
				break
			}
			end = t.end
			slot.ids[i], slot.ends[i] = t.id, uint8(t.end)
		}
	}
	for _, t := range s.pieces {
		p.emit(s, &v, t.id, int(t.start), int(t.end))
		if s.full {
			return
		}
	}
}

func (p *Pipeline) emit(s *scratch, v *part, id int32, from, to int) {
	var t Token
	if v.at == nil {
		a, b := from, to
		if p.adjust {
			for a > 0 && !utf8.RuneStart(v.text[a]) {
				a--
			}
			for b < len(v.text) && !utf8.RuneStart(v.text[b]) {
				b++
			}
		}
		t = Token{id, v.base + a, v.base + b}
	} else {
		t = Token{id, v.base + int(v.at[from].start), v.base + int(v.at[to-1].end)}
	}
	if p.trim && (v.text[from] == ' ' || v.text[to-1] == ' ') {
		lead, trail := 0, 0
		for from+lead < to && v.text[from+lead] == ' ' {
			lead++
		}
		for to-trail > from && v.text[to-trail-1] == ' ' {
			trail++
		}
		p.trimToken(s, &t, lead, trail)
	}
	p.append1(s, t)
}

func (p *Pipeline) trimToken(s *scratch, t *Token, lead, trail int) {
	if lead == 1 && p.trimPrefix && (!s.any || t.Start == 0) {
		lead = 0
	}
	// Characters of the token come off as many characters of the text, which are not always the same:
	// that is what Hugging Face's library does.
	for ; lead > 0 && t.Start < t.End; lead-- {
		_, n := utf8.DecodeRuneInString(s.source[t.Start:])
		t.Start += n
	}
	for ; trail > 0 && t.End > t.Start; trail-- {
		_, n := utf8.DecodeLastRuneInString(s.source[:t.End])
		t.End -= n
	}
}

func (p *Pipeline) append1(s *scratch, t Token) {
	s.tokens = append(s.tokens, t)
	s.any = true
	if s.flush != nil && len(s.tokens) >= 512 {
		s.flush()
	}
	s.full = s.limit > 0 && len(s.tokens) >= s.limit
}

// added appends an added token.
func (p *Pipeline) added(s *scratch, id int32, text string, start, end int) {
	t := Token{id, start, end}
	if p.trim {
		c, lead, trail := runeClasses(), 0, 0
		space := func(r rune) bool { return r == 'Ġ' || c.class(r)&isRustSpace != 0 }
		lead = utf8.RuneCountInString(text) - utf8.RuneCountInString(strings.TrimLeftFunc(text, space))
		trail = utf8.RuneCountInString(text) - utf8.RuneCountInString(strings.TrimRightFunc(text, space))
		if lead > 0 || trail > 0 {
			p.trimToken(s, &t, lead, trail)
		}
	}
	p.append1(s, t)
}

// pipelineParts are what a Pipeline is put together from.
type pipelineParts struct {
	names      []string
	spell      *vocab
	added      []AddedToken
	norms      []normalizer
	pre        []stage
	model      model
	prefix     []int32
	suffix     []int32
	decode     []decodeStep
	trim       bool
	trimPrefix bool
}

func newPipeline(c pipelineParts) (*Pipeline, error) {
	p := &Pipeline{names: c.names, ids: map[string]int32{}, bySpelling: c.spell, norms: c.norms, pre: c.pre, model: c.model, seed: maphash.MakeSeed(),
		prefix: c.prefix, suffix: c.suffix, decode: c.decode, trim: c.trim, trimPrefix: c.trimPrefix, special: map[int32]bool{}, written: map[int32]string{}}
	if b, ok := c.model.(*bpe); ok {
		p.byteLevel, p.adjust, p.cached = b.byteLevel, b.byteLevel || b.fallback, true
	}
	marks := 0
	p.whole = true
	for _, st := range p.pre {
		if st.cut != nil {
			p.whole = false
		} else {
			marks++
		}
	}
	if marks > 1 {
		return nil, fmt.Errorf("pre_tokenizer: %d steps that mark words, at most one is supported", marks)
	}
	if !p.whole {
		p.cached = true
	}

	// Files may be hand-made, so ids are checked as the vocabulary's are.
	added := slices.Clone(c.added)
	top := len(p.names)
	for _, a := range added {
		if a.ID < 0 || int(a.ID) >= top+len(added)+1024 || int(a.ID) >= maxVocab {
			return nil, fmt.Errorf("added token %q has id %d, the vocabulary has %d", a.Content, a.ID, top)
		}
		for int(a.ID) >= len(p.names) {
			p.names = append(p.names, "")
		}
		if old := p.names[a.ID]; old != "" && old != a.Content && int(a.ID) >= top {
			return nil, fmt.Errorf("added tokens %q and %q share id %d", old, a.Content, a.ID)
		}
		if a.Content == "" {
			return nil, fmt.Errorf("added token %d is empty", a.ID)
		}
		if id, ok := p.ids[a.Content]; ok && id != a.ID {
			return nil, fmt.Errorf("added token %q has two ids, %d and %d", a.Content, id, a.ID)
		}
		p.names[a.ID] = a.Content
		p.ids[a.Content] = a.ID
		if a.Special {
			p.special[a.ID] = true
		}
	}
	var raw, late []AddedToken
	var rawText, lateText []string
	s := &scratch{}
	for _, a := range added {
		if !a.Normalized {
			raw, rawText = append(raw, a), append(rawText, a.Content)
			continue
		}
		text := a.Content
		if !p.idle(text) {
			p.normalize(s, text, true, true)
			text = string(s.text.text)
		}
		if text != "" {
			late, lateText = append(late, a), append(lateText, text)
			p.written[a.ID] = text
		}
	}
	var err error
	if p.raw, err = newAddedTokens(raw, rawText); err != nil {
		return nil, err
	}
	if p.late, err = newAddedTokens(late, lateText); err != nil {
		return nil, err
	}
	p.parts = p.partsAllowed(s)
	if len(p.pre) > 0 && p.parts {
		known, ok := p.pre[0].cut.(*patternSplit)
		p.hanParts = ok && (known.total || len(p.pre) > 1)
	}
	return p, nil
}

// partsAllowed reports whether a text can be cut between an ASCII letter and a space: no step then
// sees across.
func (p *Pipeline) partsAllowed(s *scratch) bool {
	if p.raw.breaksChunks() || p.late.breaksChunks() {
		return false
	}
	for _, n := range p.norms {
		switch n := n.(type) {
		case *replace:
			if n.literal == "" && n.content == "" || n.literal != "" && len(n.literal) > 1 && strings.ContainsRune(n.literal[1:], ' ') {
				return false
			}
			if n.literal == "" && !n.spaces {
				return false
			}
		case unsplittable:
			return false
		}
	}
	for _, st := range p.pre {
		switch cut := st.cut.(type) {
		case *patternSplit:
			if cut.total || cut == knownPatterns[patternDeepSeek] {
				return true
			}
		case *delimiterSplit:
			if cut.atSpace {
				return true
			}
		}
	}
	// Nothing cuts there, unless the model knows a border: try it with each letter.
	border := "a "
	if !p.idle(border) {
		p.normalize(s, border, false, false)
		border = string(s.text.text)
	}
	for i := range p.pre {
		border = strings.Clone(p.pre[i].apply2(s, border))
	}
	if len(border) < 2 || border[0] != 'a' {
		return false
	}
	for c := byte('A'); c <= 'z'; c++ {
		if asciiLetter(c) && !p.model.border(string(c)+border[1:], 1) {
			return false
		}
	}
	return true
}

// apply2 is apply for a piece that is not at the start of the text, where the stage only marks.
func (m *stage) apply2(s *scratch, text string) string {
	if m.cut != nil {
		return text
	}
	quiet := *m
	quiet.never = true
	v := quiet.apply(s, part{text: text, base: 1, origin: 1})
	return v.text
}

// unsplittable is a normalizer that may look at the text across a letter and a space.
type unsplittable interface{ wholeText() }
