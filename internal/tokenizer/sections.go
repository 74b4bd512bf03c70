package tokenizer

import (
	"strings"
	"unicode/utf8"
	"unsafe"
)

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
