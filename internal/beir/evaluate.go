package beir

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"docent/chunker"
	"docent/retriever"
)

// indexBatch is how many documents are embedded together.
const indexBatch = 64

// Index stores each document of the corpus, under its id as path, in an existing collection: cut by
// split and embedded like any other document. Documents that are there already, with the same text,
// are passed over. progress, unless nil, is told how many documents are done.
func (d *Dataset) Index(ctx context.Context, store *retriever.Store, collection string, split chunker.Splitter, progress func(done, total int)) error {
	present, err := store.Documents(ctx, collection)
	if err != nil {
		return err
	}
	had := make(map[string]string, len(present))
	for _, p := range present {
		had[p.Path] = p.ID
	}
	for start := 0; start < len(d.Documents); start += indexBatch {
		batch := d.Documents[start:min(start+indexBatch, len(d.Documents))]
		contents := make([]chunker.Document, len(batch))
		ends := make([]int, len(batch))
		skip := make([]bool, len(batch))
		var chunks []chunker.Chunk
		for i, doc := range batch {
			contents[i] = content(doc)
			if id, ok := had[doc.ID]; ok {
				old, err := store.Content(ctx, id)
				if err != nil {
					return err
				}
				skip[i] = old.Text == contents[i].Text && old.Title == contents[i].Title
			}
			if !skip[i] {
				cut, err := split.Split(ctx, contents[i])
				if err != nil {
					return fmt.Errorf("%s: document %s: %w", d.Name, doc.ID, err)
				}
				chunks = append(chunks, cut...)
			}
			ends[i] = len(chunks)
		}
		vectors, err := store.Vectors(ctx, collection, chunks, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", d.Name, err)
		}
		from := 0
		for i, doc := range batch {
			to := ends[i]
			if !skip[i] {
				var v [][]float32
				if vectors != nil {
					v = vectors[from:to]
				}
				meta := retriever.Document{Path: doc.ID, Title: doc.Title, Format: "text", Bytes: int64(len(doc.Text))}
				if _, err := store.Put(ctx, collection, meta, contents[i], chunks[from:to], v); err != nil {
					return fmt.Errorf("%s: %w", d.Name, err)
				}
			}
			from = to
		}
		if progress != nil {
			progress(start+len(batch), len(d.Documents))
		}
	}
	return nil
}

// content is the document of a corpus entry: one paragraph under its title.
func content(doc Document) chunker.Document {
	c := chunker.Document{Title: doc.Title, Text: doc.Text}
	if len(doc.Text) > 0 {
		c.Blocks = []chunker.Block{{Kind: chunker.Paragraph, End: len(doc.Text)}}
	}
	return c
}

// A Report is the outcome of an evaluation: means over the judged queries, and the time of a search.
type Report struct {
	Name      string         `json:"name"`
	Mode      retriever.Mode `json:"mode"`
	Documents int            `json:"documents"`
	Queries   int            `json:"queries"` // judged
	NDCG10    float64        `json:"ndcg@10"` // gain is the grade, as in trec_eval's ndcg_cut
	Recall5   float64        `json:"recall@5"`
	Recall10  float64        `json:"recall@10"`
	MRR10     float64        `json:"mrr@10"`
	QPS       float64        `json:"qps"`            // one search after the other
	P50       float64        `json:"latency_p50_ms"` // of a search, the query's embedding included
	P99       float64        `json:"latency_p99_ms"`
}

// Options says how to evaluate.
type Options struct {
	Mode     retriever.Mode           // empty means Hybrid
	Search   []retriever.SearchOption // how else to search; what bounds the hits is settled
	Progress func(done, total int)    // nil for none
}

// depth is the rank up to which documents are looked at.
const depth = 10

// Evaluate searches the collection for each judged query and compares. A document's rank is that of its
// best chunk.
func (d *Dataset) Evaluate(ctx context.Context, store *retriever.Store, collection string, o Options) (Report, error) {
	if o.Mode == "" {
		o.Mode = retriever.Hybrid
	}
	r := Report{Name: d.Name, Mode: o.Mode, Documents: len(d.Documents)}
	opts := append(slices.Clone(o.Search), retriever.TopK(depth), retriever.PerDocument(1), retriever.WithMode(o.Mode))
	judged := slices.DeleteFunc(slices.Clone(d.Queries), func(q Query) bool { return len(q.Relevant) == 0 })
	if len(judged) == 0 {
		return r, fmt.Errorf("%s: no query has a judgement", d.Name)
	}
	// The first search loads the collection; it is not part of the figures.
	if _, err := store.Search(ctx, collection, judged[0].Text, opts...); err != nil {
		return r, err
	}
	took := make([]time.Duration, 0, len(judged))
	var all time.Duration
	for i, q := range judged {
		began := time.Now()
		hits, err := store.Search(ctx, collection, q.Text, opts...)
		if err != nil {
			return r, fmt.Errorf("%s: query %s: %w", d.Name, q.ID, err)
		}
		t := time.Since(began)
		took, all = append(took, t), all+t
		ranked := make([]string, len(hits))
		for i, h := range hits {
			ranked[i] = h.Document.Path
		}
		r.NDCG10 += NDCG(ranked, q.Relevant, 10)
		r.Recall5 += Recall(ranked, q.Relevant, 5)
		r.Recall10 += Recall(ranked, q.Relevant, 10)
		r.MRR10 += ReciprocalRank(ranked, q.Relevant, 10)
		if o.Progress != nil {
			o.Progress(i+1, len(judged))
		}
	}
	r.Queries = len(judged)
	for _, m := range []*float64{&r.NDCG10, &r.Recall5, &r.Recall10, &r.MRR10} {
		*m /= float64(r.Queries)
	}
	slices.Sort(took)
	r.QPS = float64(r.Queries) / all.Seconds()
	r.P50, r.P99 = percentile(took, 0.50), percentile(took, 0.99)
	return r, nil
}

// percentile returns, in milliseconds, the smallest time that the share p of the sorted times does not
// exceed.
func percentile(sorted []time.Duration, p float64) float64 {
	at := int(math.Ceil(p*float64(len(sorted)))) - 1
	return float64(sorted[max(at, 0)]) / float64(time.Millisecond)
}
