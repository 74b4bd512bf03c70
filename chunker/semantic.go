package chunker

import (
	"context"
	"fmt"
	"slices"
)

// An Embedder turns texts into vectors of length 1; langchaingo's embeddings.Embedder has its method.
type Embedder interface {
	EmbedDocuments(ctx context.Context, texts []string) ([][]float32, error)
}

// NewSemantic returns a splitter that prefers to cut where the topic changes: where the three sentences before
// a border mean something else than the three after it, by the cosine of their vectors, compared with the
// document's other borders (the breakpoints of Kamradt 2023, as costs in the search of [Recursive]). Headings,
// tables and code are kept as there. It embeds about every sentence of a document once more.
func NewSemantic(t Tokenizer, e Embedder, cfg RecursiveConfig) (Splitter, error) {
	if e == nil {
		return nil, fmt.Errorf("chunker: cutting by meaning needs an encoder")
	}
	inner, err := NewRecursive(t, cfg)
	if err != nil {
		return nil, err
	}
	return &semantic{inner, e}, nil
}

type semantic struct {
	inner *Recursive
	embed Embedder
}

func (s *semantic) String() string { return "semantic-1 " + s.inner.String() }

const (
	topicWindow = 3  // sentences on each side of a border
	topicRank   = .9 // from which rank of difference on a border is one between topics
	joinTopics  = 30 // cost of a chunk over such a border
)

// Split implements [Splitter]. It returns the embedder's error.
func (s *semantic) Split(ctx context.Context, doc Document) ([]Chunk, error) {
	return s.inner.split(ctx, doc, func(ctx context.Context, b *builder) error {
		var starts []int // atoms that begin a sentence of flowing text
		for i, a := range b.atoms {
			if a.kind == flowing && a.sentence {
				starts = append(starts, i)
			}
		}
		if len(starts) < 2*topicWindow {
			return nil
		}
		texts := make([]string, len(starts)) // of a window that begins with each sentence
		for i := range starts {
			end := len(b.atoms) - 1
			if i+topicWindow < len(starts) {
				end = starts[i+topicWindow] - 1
			}
			texts[i] = b.doc.Text[b.atoms[starts[i]].start:b.atoms[end].end]
		}
		vectors, err := s.embed.EmbedDocuments(ctx, texts)
		if err != nil {
			return fmt.Errorf("find topics: %w", err)
		}
		if len(vectors) != len(texts) {
			return fmt.Errorf("find topics: the encoder returned %d vectors for %d texts", len(vectors), len(texts))
		}
		differ := make([]float32, len(starts))
		for i := range starts {
			var dot float32
			if i >= topicWindow {
				for j, x := range vectors[i] {
					dot += x * vectors[i-topicWindow][j]
				}
				differ[i] = 1 - dot
			}
		}
		ranked := slices.Sorted(slices.Values(differ[topicWindow:]))
		for i := topicWindow; i < len(starts); i++ {
			a := &b.atoms[starts[i]]
			at, _ := slices.BinarySearch(ranked, differ[i])
			rank := float32(at) / float32(len(ranked))
			if a.cut > 0 && a.cut < cutGlued {
				a.cut *= 2 * (1 - rank)
			}
			if rank >= topicRank && a.join == 0 {
				a.join = joinTopics
			}
		}
		return nil
	})
}
