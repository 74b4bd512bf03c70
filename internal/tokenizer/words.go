package tokenizer

import (
	"hash/maphash"
	"strings"
	"unicode/utf8"
)

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

// cutsWords tells whether the stage is one of the expressions for which [patternSplit.cutsWords] holds.
func (m stage) cutsWords() bool {
	known, ok := m.cut.(*patternSplit)
	return ok && known.cutsWords()
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
