package chunker

import (
	"context"
	"fmt"
	"slices"
)

// NewParent returns a splitter whose chunks are small and lie each within one of the larger passages that cfg
// would make with readTokens as MaxTokens: the small ones are found more surely, and the passage around one,
// Chunk.ReadStart to ReadEnd, is what a reader is shown (small to big). cfg.MaxTokens 0 means 96 tokens,
// readTokens 0 means 400.
func NewParent(t Tokenizer, cfg RecursiveConfig, readTokens int) (Splitter, error) {
	if cfg.MaxTokens == 0 {
		cfg.MaxTokens = 96
	}
	cfg.Overlap = -1 // the passage shows what lies around
	inner, err := NewRecursive(t, cfg)
	if err != nil {
		return nil, err
	}
	outer, err := readSplitter(t, inner, readTokens)
	if err != nil {
		return nil, err
	}
	return &parent{inner, outer}, nil
}

const defaultReadTokens = 400

// readSplitter cuts the passages that are read and not embedded, so that an encoder's limit does not hold.
func readSplitter(t Tokenizer, inner *Recursive, readTokens int) (*Recursive, error) {
	if readTokens == 0 {
		readTokens = max(defaultReadTokens, inner.cfg.MaxTokens)
	}
	if readTokens < inner.cfg.MaxTokens {
		return nil, fmt.Errorf("chunker: passages of %d tokens cannot hold chunks of %d", readTokens, inner.cfg.MaxTokens)
	}
	if t == nil {
		t = Approximate{}
	}
	return NewRecursive(struct{ Tokenizer }{t}, RecursiveConfig{MaxTokens: readTokens, Overlap: -1, ContextTokens: -1})
}

type parent struct{ inner, outer *Recursive }

func (p *parent) String() string {
	return fmt.Sprintf("parent-%d %s", p.outer.cfg.MaxTokens, p.inner)
}

// Split implements [Splitter].
func (p *parent) Split(ctx context.Context, doc Document) ([]Chunk, error) {
	passages, err := p.outer.Split(ctx, doc)
	if err != nil {
		return nil, err
	}
	chunks, err := p.inner.split(ctx, doc, func(_ context.Context, b *builder) error {
		next := 0
		for i := range b.atoms {
			a := &b.atoms[i]
			if next < len(passages) && a.start >= passages[next].Start {
				a.join = apart
				for next < len(passages) && a.start >= passages[next].Start {
					next++
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	at := 0
	for i := range chunks {
		c := &chunks[i]
		for at+1 < len(passages) && passages[at+1].Start <= c.Start {
			at++
		}
		c.ReadStart, c.ReadEnd = passages[at].Start, max(passages[at].End, c.End)
	}
	return chunks, nil
}

// NewSentence returns a splitter whose chunks are single sentences, list items, table rows or lines of code;
// very short ones share a chunk. What a reader is shown, Chunk.ReadStart to ReadEnd, is a window of
// neighbours on both sides of up to readTokens, within the section (sentence window). cfg.MaxTokens bounds a
// long sentence, as ever; readTokens 0 means 400.
func NewSentence(t Tokenizer, cfg RecursiveConfig, readTokens int) (Splitter, error) {
	cfg.Overlap = -1
	inner, err := NewRecursive(t, cfg)
	if err != nil {
		return nil, err
	}
	inner.group = shortSentence
	outer, err := readSplitter(t, inner, readTokens)
	if err != nil {
		return nil, err
	}
	return &sentence{inner, outer.cfg.MaxTokens}, nil
}

// shortSentence is up to how many tokens neighbouring sentences share a chunk.
const shortSentence = 16

type sentence struct {
	inner  *Recursive
	window int
}

func (s *sentence) String() string { return fmt.Sprintf("sentence-%d %s", s.window, s.inner) }

// Split implements [Splitter].
func (s *sentence) Split(ctx context.Context, doc Document) ([]Chunk, error) {
	chunks, err := s.inner.Split(ctx, doc)
	for i := range chunks {
		c := &chunks[i]
		from, to, size := i, i, c.Tokens
		for {
			grown := false
			for _, next := range []int{from - 1, to + 1} {
				if next < 0 || next >= len(chunks) || size+chunks[next].Tokens > s.window || !slices.Equal(chunks[next].Headings, c.Headings) {
					continue
				}
				size += chunks[next].Tokens
				from, to = min(from, next), max(to, next)
				grown = true
			}
			if !grown {
				break
			}
		}
		c.ReadStart, c.ReadEnd = chunks[from].Start, chunks[to].End
	}
	return chunks, err
}
