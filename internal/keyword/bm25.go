// Package keyword finds passages by their words: an inverted index in memory, ranked by BM25 over an
// analysis made for English and Chinese.
//
// English words are stemmed (Porter2), accents and case folded, possessives cut. A part number or a
// hyphenated word is found whole and by its parts: ZX-2031B as zx-2031b, zx2031b, ZX 2031B and 2031.
// Chinese, Japanese and Korean are indexed by characters and pairs of neighbouring ones, traditional
// characters as their simplified form. Full-width and compatibility forms are the ordinary ones (NFKC).
//
//	x := keyword.New()
//	x.Add(1, keyword.Analyze("Handbook > Leave", "Employees accrue 20 days a year."))
//	hits := x.Search(keyword.ParseQuery("how many days of leave"), 10, nil, nil, nil)
//
// An Index is not safe for changes beside other calls; searches may run at the same time.
package keyword

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"sync"
)

// k1 bounds what repetition of a word adds, b how much long passages are discounted (Robertson and
// Zaragoza 2009, "The Probabilistic Relevance Framework", section 3.3).
const (
	k1 = 1.0
	b  = 0.75
)

// A Hit is a passage found.
type Hit struct {
	ID    int64
	Score float64 // BM25, above 0
}

// postings lists the passages that hold a term, by ascending ordinal, six bytes each.
type postings struct {
	docs   []uint32
	counts []uint16 // in quarters
}

// An Index is an inverted index of passages.
type Index struct {
	terms   map[string]uint32 // to its place in lists
	lists   []postings
	ids     []int64 // by ordinal; dead ones stay until compact
	lengths []uint32
	dead    []bool
	live    map[int64]uint32 // id to ordinal
	total   uint64           // of lengths, dead ones too
	scratch sync.Pool        // *scores
}

// New returns an empty index.
func New() *Index {
	return &Index{terms: make(map[string]uint32), live: make(map[int64]uint32)}
}

// Len returns the number of passages.
func (x *Index) Len() int { return len(x.live) }

// Add puts a passage in, in place of the one of the same id.
func (x *Index) Add(id int64, t Terms) {
	x.Remove(id)
	doc := uint32(len(x.ids))
	x.ids = append(x.ids, id)
	x.lengths = append(x.lengths, t.length)
	x.dead = append(x.dead, false)
	x.live[id] = doc
	x.total += uint64(t.length)
	for term, count := range t.counts {
		at, ok := x.terms[term]
		if !ok {
			at = uint32(len(x.lists))
			x.terms[term] = at
			x.lists = append(x.lists, postings{})
		}
		l := &x.lists[at]
		l.docs = append(l.docs, doc)
		l.counts = append(l.counts, count)
	}
}

// Remove takes a passage out. It counts in the statistics of its words until enough are gone to make
// the index compact again, which Remove does.
func (x *Index) Remove(id int64) {
	doc, ok := x.live[id]
	if !ok {
		return
	}
	delete(x.live, id)
	x.dead[doc] = true
	if gone := len(x.ids) - len(x.live); gone > 64 && gone > len(x.ids)/5 || len(x.live) == 0 {
		x.compact()
	}
}

// compact drops the dead passages and numbers the others anew.
func (x *Index) compact() {
	to := make([]uint32, len(x.ids))
	n := uint32(0)
	x.total = 0
	for doc, dead := range x.dead {
		if dead {
			continue
		}
		to[doc] = n
		x.ids[n], x.lengths[n] = x.ids[doc], x.lengths[doc]
		x.live[x.ids[n]] = n
		x.total += uint64(x.lengths[n])
		n++
	}
	lists := x.lists[:0]
	moved := make([]uint32, len(x.lists))
	for at, l := range x.lists {
		kept := 0
		for i, doc := range l.docs {
			if !x.dead[doc] {
				l.docs[kept], l.counts[kept] = to[doc], l.counts[i]
				kept++
			}
		}
		moved[at] = math.MaxUint32
		if kept > 0 {
			moved[at] = uint32(len(lists))
			lists = append(lists, postings{l.docs[:kept], l.counts[:kept]})
		}
	}
	clear(x.lists[len(lists):])
	x.lists = lists
	for term, at := range x.terms {
		if moved[at] == math.MaxUint32 {
			delete(x.terms, term)
		} else {
			x.terms[term] = moved[at]
		}
	}
	x.ids, x.lengths = x.ids[:n], x.lengths[:n]
	x.dead = x.dead[:n]
	clear(x.dead)
}

// scores are the sums of one search. sum is zero but for the documents in touched.
type scores struct {
	sum     []float32
	touched []uint32
}

// Search returns the k best passages among those that keep allows (nil allows all), best first, equal
// ones by ascending id. The scores of the passages in also, found or not, are put into extra.
func (x *Index) Search(q Query, k int, keep func(id int64) bool, also []int64, extra map[int64]float64) []Hit {
	if q.Empty() || k <= 0 || len(x.live) == 0 {
		return nil
	}
	s, _ := x.scratch.Get().(*scores)
	if s == nil {
		s = new(scores)
	}
	if len(s.sum) < len(x.ids) {
		s.sum = make([]float32, len(x.ids)+len(x.ids)/8)
	}
	for _, t := range q.terms {
		x.add(s, t)
	}
	for _, id := range also {
		if doc, ok := x.live[id]; ok {
			extra[id] = float64(s.sum[doc])
		}
	}
	top := make(hitHeap, 0, min(k, len(s.touched))+1)
	for _, doc := range s.touched {
		score := s.sum[doc]
		s.sum[doc] = 0
		if x.dead[doc] || len(top) == k && float64(score) < top[0].Score {
			continue
		}
		h := Hit{x.ids[doc], float64(score)}
		if len(top) == k && !better(h, top[0]) || keep != nil && !keep(h.ID) {
			continue
		}
		if len(top) < k {
			heap.Push(&top, h)
		} else {
			top[0] = h
			heap.Fix(&top, 0)
		}
	}
	s.touched = s.touched[:0]
	x.scratch.Put(s)
	slices.SortFunc(top, func(a, b Hit) int { return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.ID, b.ID)) })
	return top
}

// add adds what one term gives to each passage that holds it.
func (x *Index) add(s *scores, t weighted) {
	at, ok := x.terms[t.term]
	if !ok {
		return
	}
	l := x.lists[at]
	n, df := float64(len(x.ids)), float64(len(l.docs))
	// The form that is never negative: a word in every passage still says a little.
	idf := math.Log(1 + (n-df+0.5)/(df+0.5))
	gain := float32(float64(t.weight) * idf * (k1 + 1))
	fixed := float32(k1 * (1 - b) * textUnits)
	slope := float32(k1 * b * textUnits / (float64(x.total) / n))
	for i, doc := range l.docs {
		count := float32(l.counts[i])
		if s.sum[doc] == 0 {
			s.touched = append(s.touched, doc)
		}
		s.sum[doc] += gain * count / (count + fixed + slope*float32(x.lengths[doc]))
	}
}

func better(a, b Hit) bool { return a.Score > b.Score || a.Score == b.Score && a.ID < b.ID }

// hitHeap has the worst hit on top.
type hitHeap []Hit

func (h hitHeap) Len() int           { return len(h) }
func (h hitHeap) Less(i, j int) bool { return better(h[j], h[i]) }
func (h hitHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *hitHeap) Push(v any)        { *h = append(*h, v.(Hit)) }
func (h *hitHeap) Pop() any {
	old := *h
	v := old[len(old)-1]
	*h = old[:len(old)-1]
	return v
}
