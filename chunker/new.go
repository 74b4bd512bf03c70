package chunker

import "fmt"

// A Strategy is a way of cutting.
type Strategy string

const (
	Structure Strategy = "structure" // by headings, blocks and sentences: [Recursive]
	Sentence  Strategy = "sentence"  // one sentence, read with its neighbours: [NewSentence]
	Parent    Strategy = "parent"    // small pieces of the passages that are read: [NewParent]
	Semantic  Strategy = "semantic"  // where the topic changes: [NewSemantic]
)

// Config chooses a splitter. The zero value is Structure with its defaults.
type Config struct {
	Strategy Strategy // "" means Structure
	RecursiveConfig
	ReadTokens int // of Sentence and Parent; 0 means 400
}

// New returns the splitter that cfg asks for. It measures with t; nil means [Approximate]. Semantic needs e,
// the others do not.
func New(t Tokenizer, e Embedder, cfg Config) (Splitter, error) {
	switch cfg.Strategy {
	case Structure, "":
		return NewRecursive(t, cfg.RecursiveConfig)
	case Sentence:
		return NewSentence(t, cfg.RecursiveConfig, cfg.ReadTokens)
	case Parent:
		return NewParent(t, cfg.RecursiveConfig, cfg.ReadTokens)
	case Semantic:
		return NewSemantic(t, e, cfg.RecursiveConfig)
	}
	return nil, fmt.Errorf("chunker: there is no strategy %q; there are %s, %s, %s and %s", cfg.Strategy, Structure, Sentence, Parent, Semantic)
}
