package tokenizer

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// maxAdded bounds the text of an added token, in bytes, so that looking for one costs little.
const maxAdded = 1 << 10

// An AddedToken is found in text before anything else is done to it. A special one is found only in
// trusted text, see [Pipeline.AppendTrusted].
type AddedToken struct {
	ID         int32
	Content    string
	Special    bool
	SingleWord bool // not inside a word
	LStrip     bool // takes the white space before it
	RStrip     bool // takes the white space after it
	Normalized bool // is looked for in the normalised text
}

// addedTokens finds the tokens of one kind, the longest at the first place. As in Hugging Face's
// library a match that does not count, for want of trust or of a word border, still hides what
// overlaps it.
type addedTokens struct {
	list  []AddedToken
	trie  *vocab // leaves are indexes into list
	first [256]bool
}

func newAddedTokens(list []AddedToken, content []string) (*addedTokens, error) {
	if len(list) == 0 {
		return nil, nil
	}
	for i, c := range content {
		if len(c) > maxAdded {
			return nil, fmt.Errorf("added token %d has %d bytes, at most %d are supported", list[i].ID, len(c), maxAdded)
		}
	}
	trie, err := newVocab(content)
	if err != nil {
		return nil, fmt.Errorf("added tokens: %w", err)
	}
	a := &addedTokens{list: list, trie: trie}
	for _, c := range content {
		if c != "" {
			a.first[c[0]] = true
		}
	}
	return a, nil
}

type addedMatch struct {
	token      *AddedToken
	start, end int
}

// find is the first match that starts in s[search:limit]. Text before from belongs to the match
// before. It returns where to search next.
func (a *addedTokens) find(s string, from, search, limit int, trusted bool) (m addedMatch, next int, ok bool) {
	if a == nil {
		return addedMatch{}, limit, false
	}
	limit = min(limit, len(s))
	for i := search; i < limit; {
		if !a.first[s[i]] {
			i++
			continue
		}
		node, end, index := uint32(0), 0, int32(0)
		for j := i; j < len(s); j++ {
			if node = a.trie.step(node, s[j]); node == 0 {
				break
			}
			if leaf := a.trie.leaf[node]; leaf >= 0 {
				end, index = j+1, leaf
			}
		}
		if end == 0 {
			i++
			continue
		}
		t := &a.list[index]
		start := i
		i = end
		if t.Special && !trusted {
			continue
		}
		c := runeClasses()
		if t.SingleWord {
			if start > 0 {
				if class, _ := c.before(s, start); class&isWordRune != 0 {
					continue
				}
			}
			if end < len(s) {
				if class, _ := c.at(s, end); class&isWordRune != 0 {
					continue
				}
			}
		}
		next = end
		if t.LStrip {
			for start > from {
				class, n := c.before(s, start)
				if class&isSpace == 0 {
					break
				}
				start -= n
			}
			start = max(start, from)
		}
		if t.RStrip {
			end = c.skip(s, end, isSpace)
		}
		return addedMatch{t, start, end}, next, true
	}
	return addedMatch{}, limit, false
}

// breaksChunks reports tokens that a long text must not be cut within, between a letter and a space.
func (a *addedTokens) breaksChunks() bool {
	return a != nil && slices.ContainsFunc(a.list, func(t AddedToken) bool {
		for i := 1; i < len(t.Content); i++ {
			if t.Content[i] == ' ' || t.Content[i] >= utf8.RuneSelf && t.Content[i-1] >= utf8.RuneSelf {
				return true
			}
		}
		return t.RStrip && t.Content != "" && (asciiLetter(t.Content[len(t.Content)-1]) || t.Content[len(t.Content)-1] >= utf8.RuneSelf)
	})
}
