package agent

import (
	"slices"
	"sync"

	"github.com/tmc/langchaingo/tools"

	"docent/chain"
	"docent/retriever"
)

// Passages numbers the passages that the tools of one run find: the same passage keeps its number
// however often and by whichever tool it is found. The zero value is ready to use, and safe for
// concurrent use.
type Passages struct {
	mu   sync.Mutex
	list []chain.Passage
}

// Add numbers the passage of hit. known says that it was found before in this run.
func (p *Passages) Add(hit retriever.Hit) (passage chain.Passage, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, have := range p.list {
		if have.ChunkID == hit.ChunkID && have.DocumentID == hit.Document.ID ||
			have.Text == hit.Chunk.Text { // the same text in two documents is one passage to a reader
			return have, true
		}
	}
	passage = chain.NewPassage(len(p.list)+1, hit)
	p.list = append(p.list, passage)
	return passage, false
}

// All returns the passages in the order of their numbers, never nil.
func (p *Passages) All() []chain.Passage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]chain.Passage{}, slices.Clone(p.list)...)
}

// A Binder is a tool whose passages an answer may cite. The agent binds it to the passages of each run.
type Binder interface {
	tools.Tool
	// Bind returns the tool for one run: it adds what it finds to passages and shows their numbers.
	Bind(passages *Passages) tools.Tool
}
