package chunker

import (
	"context"
	"fmt"
)

// RecursiveConfig sizes the chunks of a [Recursive] splitter. All sizes are tokens of its tokenizer,
// special tokens left out.
type RecursiveConfig struct {
	// MaxTokens is the most a chunk's Text may hold, at least 16; 0 means 200, less where the
	// tokenizer has a method MaxTokens() int and that, less ContextTokens, is smaller.
	MaxTokens int
	// Overlap is the most that a chunk repeats of the one before it, in whole sentences, where the cut
	// lies inside a section. It is part of MaxTokens. 0 means 32 (never over a quarter of MaxTokens);
	// below 0 means none.
	Overlap int
	// ContextTokens is the most a chunk's Context may hold; 0 means 48 (never over a quarter of what
	// the tokenizer's MaxTokens method tells); below 0 means chunks carry no context.
	ContextTokens int
}

// recursiveVersion changes with every change of the code that makes other chunks.
const recursiveVersion = 3

// The defaults of RecursiveConfig. 200 + 48 tokens and the special ones fit the 256 that
// sentence-transformers gives MiniLM.
const (
	defaultMaxTokens     = 200
	defaultOverlap       = 32
	defaultContextTokens = 48
	leastMaxTokens       = 16
)

// Recursive is a [Splitter] that cuts where the document's structure does: between sections first,
// then between blocks, sentences, lines, clauses, words (by Unicode line breaking, so between any two
// ideographs but never before closing punctuation) and, within a word too long for a chunk, between
// grapheme clusters. Of all ways to cut, it takes the one that breaks least structure while leaving
// no needlessly small chunk, found by dynamic programming over the whole document in time linear in
// its length.
//
// A heading stays with the text after it. Small sibling sections share a chunk; sections of the
// document's outermost level hardly ever do. A table that must be cut is cut between rows, and its
// header row is repeated in the Context of the later pieces. Code is cut between functions and classes, else
// between lines; the lines that declare what encloses a piece are in its Context.
//
// No chunk holds more than MaxTokens tokens: Tokens is what the tokenizer counts for Text itself.
// Every byte of the document that is not white space is in some chunk.
type Recursive struct {
	tok   Tokenizer
	cfg   RecursiveConfig
	group int // up to how many tokens atoms share a chunk; 0 means MaxTokens
}

var _ Splitter = (*Recursive)(nil)

// NewRecursive returns a splitter that measures with t; nil means [Approximate]. It fails when cfg
// asks for less than 16 tokens a chunk, for an overlap of half a chunk or more, or for a Text and
// Context that together exceed what t's method MaxTokens() int tells, if it has one.
func NewRecursive(t Tokenizer, cfg RecursiveConfig) (*Recursive, error) {
	if t == nil {
		t = Approximate{}
	}
	limit := 0
	if l, ok := t.(interface{ MaxTokens() int }); ok {
		limit = l.MaxTokens()
	}
	switch {
	case cfg.ContextTokens < 0:
		cfg.ContextTokens = 0
	case cfg.ContextTokens == 0:
		cfg.ContextTokens = defaultContextTokens
		if limit > 0 {
			cfg.ContextTokens = min(cfg.ContextTokens, limit/4)
		}
	}
	if cfg.MaxTokens == 0 {
		cfg.MaxTokens = defaultMaxTokens
		if limit > 0 {
			cfg.MaxTokens = max(min(cfg.MaxTokens, limit-cfg.ContextTokens), leastMaxTokens)
		}
	}
	if cfg.MaxTokens < leastMaxTokens {
		return nil, fmt.Errorf("chunker: MaxTokens is %d, want at least %d", cfg.MaxTokens, leastMaxTokens)
	}
	if limit > 0 && cfg.MaxTokens+cfg.ContextTokens > limit {
		return nil, fmt.Errorf("chunker: MaxTokens %d and ContextTokens %d together exceed the %d tokens that the encoder reads",
			cfg.MaxTokens, cfg.ContextTokens, limit)
	}
	switch {
	case cfg.Overlap < 0:
		cfg.Overlap = 0
	case cfg.Overlap == 0:
		cfg.Overlap = min(defaultOverlap, cfg.MaxTokens/4)
	case cfg.Overlap*2 > cfg.MaxTokens:
		return nil, fmt.Errorf("chunker: Overlap is %d, want at most half of MaxTokens, which is %d", cfg.Overlap, cfg.MaxTokens)
	}
	return &Recursive{tok: t, cfg: cfg}, nil
}

// Config is the splitter's configuration with the defaults filled in; an Overlap or ContextTokens of
// 0 there means none.
func (r *Recursive) Config() RecursiveConfig { return r.cfg }

// Split implements [Splitter]. A document without Blocks is read as paragraphs between blank lines.
// It does not fail.
func (r *Recursive) Split(ctx context.Context, doc Document) ([]Chunk, error) {
	return r.split(ctx, doc, func(context.Context, *builder) error { return nil })
}

// split is Split with costs that shape has changed.
func (r *Recursive) split(ctx context.Context, doc Document, shape func(context.Context, *builder) error) ([]Chunk, error) {
	b := &builder{
		doc:   doc,
		max:   r.cfg.MaxTokens,
		group: r.cfg.MaxTokens,
		lap:   r.cfg.Overlap,
		meter: meter{tok: r.tok},
	}
	b.atomise(blocksOf(doc))
	if len(b.atoms) == 0 {
		return nil, nil
	}
	if err := shape(ctx, b); err != nil {
		return nil, err
	}
	f := finisher{builder: b, tok: r.tok, contextMax: r.cfg.ContextTokens}
	f.labels, f.tables = labelsOf(b)
	if r.group > 0 {
		b.group = r.group
	}
	for _, c := range b.cuts() {
		f.chunk(c)
	}
	return f.chunks, nil
}

// String describes how the splitter cuts: splitters of the same String make the same chunks of a
// document.
func (r *Recursive) String() string {
	tok := fmt.Sprintf("%T", r.tok)
	if f, ok := r.tok.(interface{ Fingerprint() string }); ok {
		tok = f.Fingerprint()
	}
	how := fmt.Sprintf("recursive-%d/%d/%d/%d/%s", recursiveVersion, r.cfg.MaxTokens, r.cfg.Overlap, r.cfg.ContextTokens, tok)
	if r.group > 0 {
		how += fmt.Sprintf("/%d", r.group)
	}
	return how
}
