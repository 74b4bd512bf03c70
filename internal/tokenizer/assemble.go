package tokenizer

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
)

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
	// Where a stage marks words, a part that does not begin with a space would get a mark of its own.
	p.hanParts = p.parts && marks == 0 && slices.ContainsFunc(p.pre, stage.cutsWords)
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
		if cut, ok := st.cut.(*delimiterSplit); st.cutsWords() || ok && cut.atSpace {
			return true
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
