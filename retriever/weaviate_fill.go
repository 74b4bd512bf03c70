package retriever

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"docent/internal/catalog"
	"docent/internal/keyword"
	"docent/internal/weaviate"
)

const (
	// putGroup is how many objects are written between two looks at whether all nodes are there.
	putGroup = weaviate.PutBatch * weaviate.PutAtOnce
	// filling is how many groups are under way at a time when a class is filled.
	filling = 2
)

// termsText writes what Weaviate is to index: every term as often as it counts, whole words. A word of the
// text counts 1, one of the context 1.5.
func termsText(words keyword.Terms) string {
	terms := make([]string, 0, 2*words.Len())
	for term, quarters := range words.Counts() {
		for range (quarters + 2) / 4 {
			terms = append(terms, term)
		}
	}
	slices.Sort(terms) // so that the same words are the same text
	return strings.Join(terms, " ")
}

// weightSteps is how often a term of weight 1 is in the text of a question: Weaviate multiplies what a term
// adds by how often it is there. The least weight is then a half.
const weightSteps = 20

// questionText writes a question for Weaviate, empty for one without a word.
func questionText(q keyword.Query) string {
	var terms []string
	for term, weight := range q.Terms() {
		for range max(1, int(weight*weightSteps+.5)) {
			terms = append(terms, term)
		}
	}
	return strings.Join(terms, " ")
}

func objectOf(k catalog.Chunk) weaviate.Object {
	return weaviate.Object{Chunk: k.ID, Document: k.DocumentID, Terms: termsText(keyword.Analyze(k.Context, k.Text)), Vector: k.Vector}
}

// put writes objects and returns the ids of those that some replica may lack.
func (e *weaviateEngine) put(ctx context.Context, class string, objects []weaviate.Object) (lacking []int64, err error) {
	for group := range slices.Chunk(objects, putGroup) {
		full, err := e.client.Put(ctx, class, group, e.settings.nodes)
		if err != nil {
			return nil, err
		}
		if !full {
			for _, o := range group {
				lacking = append(lacking, o.Chunk)
			}
		}
	}
	return lacking, nil
}

// A weaviateBuild is the making of a class, which goes on when the search that asked for it is given up.
type weaviateBuild struct {
	done chan struct{}
	err  error
}

// ready waits until the collection has a class that can be searched, and makes it where there is none.
func (e *weaviateEngine) ready(ctx context.Context, collection string) error {
	b := e.build(collection)
	if b == nil {
		return ErrClosed
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// build begins to make the collection's class, unless that is under way. It returns nil after close.
func (e *weaviateEngine) build(collection string) *weaviateBuild {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	if b := e.building[collection]; b != nil {
		return b
	}
	b := &weaviateBuild{done: make(chan struct{})}
	e.building[collection] = b
	e.background.Go(func() {
		b.err = e.fill(e.ctx, collection)
		e.mu.Lock()
		delete(e.building, collection)
		e.mu.Unlock()
		close(b.done)
	})
	return b
}

// fill makes the class of a collection and writes all its chunks to it. Documents that change meanwhile, here
// or in another process, see the class and write their chunks themselves. To write one twice does no harm.
func (e *weaviateEngine) fill(ctx context.Context, collection string) error {
	for {
		c, err := e.db.SearchClass(ctx, collection, e.settings.format)
		if err != nil {
			return err
		}
		if c.Name == "" {
			name, err := e.makeClass(ctx)
			if err != nil {
				return fmt.Errorf("load collection %q: %w", collection, err)
			}
			if c, err = e.db.TakeSearchClass(ctx, collection, e.settings.format, name); err != nil {
				return err
			}
		}
		has, err := e.has(ctx, c.Name)
		if err != nil {
			return err
		}
		if !has { // the cluster lost it, or is another one
			if err := e.db.GiveUpSearchClass(ctx, c.Name); err != nil {
				return err
			}
			continue
		}
		if c.Ready {
			return nil
		}
		if err := e.fillClass(ctx, collection, c); err != nil {
			return fmt.Errorf("load collection %q: %w", collection, err)
		}
		if err := e.db.SearchClassReady(ctx, c.Name); err != nil {
			return err
		}
	}
}

// has says whether the cluster has a class; it is asked once.
func (e *weaviateEngine) has(ctx context.Context, class string) (bool, error) {
	e.mu.Lock()
	known := e.known[class]
	e.mu.Unlock()
	if known {
		return true, nil
	}
	has, err := e.client.HasClass(ctx, class)
	if has {
		e.mu.Lock()
		e.known[class] = true
		e.mu.Unlock()
	}
	return has, err
}

// fillClass writes the chunks of the record to a class.
func (e *weaviateEngine) fillClass(ctx context.Context, collection string, c catalog.SearchClass) error {
	total, lacking, err := e.fillFrom(ctx, c.Name, e.db.ChunksAfter(ctx, collection, 0), func(chunks []catalog.Chunk) ([]catalog.Chunk, error) {
		for _, k := range chunks {
			if c.Dim == 0 {
				break
			}
			if err := checkVector(k.Vector, c.Dim); err != nil {
				return nil, fmt.Errorf("document %s, chunk %d: %w: %w", k.DocumentID, k.ID, ErrCorrupt, err)
			}
		}
		return chunks, nil
	})
	if err != nil {
		return err
	}
	e.log.Info("collection is in Weaviate", "collection", collection, "chunks", total)
	if len(lacking) == 0 {
		return nil
	}
	defer e.wakeUp()
	return e.db.PendSearch(ctx, c.Name, false, lacking)
}
