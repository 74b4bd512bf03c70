// Package keyword finds passages by their words: an inverted index in memory, ranked by BM25 over an
// analysis made for English and Chinese.
//
// English words are stemmed (Porter2), accents and case folded, possessives cut. A part number or a
// hyphenated word is found whole and by its parts: ZX-2031B as zx-2031b, zx2031b, ZX 2031B and 2031.
// Chinese, Japanese and Korean are indexed by characters and pairs of neighbouring ones, traditional
// characters as their simplified form. Full-width and compatibility forms are the ordinary ones (NFKC).
//
//	var p keyword.Part
//	n := p.Add(keyword.Analyze("Handbook > Leave", "Employees accrue 20 days a year."))
//	hits := keyword.Index{&p}.Search(keyword.ParseQuery("how many days of leave"), 10, keyword.Options{})
//
// An [Index] is a list of parts: passages have consecutive numbers in each, and the parts follow one
// another. The last part is being filled; earlier ones do not change, and may lie in a file that is mapped
// into memory. Passages are taken out by the caller, who leaves them out of Options.Live and Options.Allow and
// drops them when he merges parts; until then they count in no score.
package keyword

import (
	"cmp"
	"container/heap"
	"math"
	"math/bits"
	"slices"
	"sort"
	"sync"

	"docent/internal/bitset"
)

// K1 bounds what repetition of a word adds, B how much long passages are discounted (Robertson and
// Zaragoza 2009, "The Probabilistic Relevance Framework", section 3.3).
const (
	K1 = 1.0
	B  = 0.75
)

// A Hit is a passage found.
type Hit struct {
	Number uint32
	Score  float64 // BM25, above 0
}

// An Index is the parts that are searched together, in the order of their passages' numbers.
type Index []*Part

// Options says what a search is to consider besides its words.
type Options struct {
	Live  bitset.Set // the passages that there are: what words are worth is told by them; nil for all
	Allow bitset.Set // the passages that may be found, which are live; nil allows all
	Also  []uint32   // passages whose scores are wanted, found or not
}

// Search returns the k best passages, best first, equal ones by ascending number, and the scores of the
// passages in opts.Also. It may run beside other searches.
func (x Index) Search(q Query, k int, opts Options) (hits []Hit, also []float64) {
	also = make([]float64, len(opts.Also))
	n := 0
	for _, p := range x {
		n += p.Len()
	}
	gone := x.gone(opts.Live)
	statistics := x.statistics(gone)
	if q.Empty() || k <= 0 || statistics.Length == 0 {
		return nil, also
	}
	s, _ := sums.Get().(*scores)
	if s == nil {
		s = new(scores)
	}
	defer func() { s.clear(); sums.Put(s) }()
	if len(s.sum) < n {
		s.sum = make([]float32, n+n/8)
	}
	s.allow = opts.Allow

	w := statistics.weighing()
	terms := x.lookUp(q, w, gone, opts.Live)
	rest := make([]float32, len(terms)+1) // the most that the terms from one on can add
	for i := len(terms) - 1; i >= 0; i-- {
		rest[i] = rest[i+1] + terms[i].gain
	}
	if s.few(terms) {
		s.touched = s.allow.AppendTo(s.touched)
		end, _ := slices.BinarySearch(s.touched, uint32(n)) // there may be newer ones than this index has
		s.touched = append(s.touched[:end], opts.Also...)
		slices.Sort(s.touched)
		s.touched = slices.Compact(s.touched)
		s.finish(x, terms, rest, 0, nil, w)
		terms = nil
	}
	for i, t := range terms {
		// A passage that holds none of the first terms cannot be among the k best once the others together
		// add less than the k-th best has (MaxScore: Turtle and Flood 1995). From there on only passages
		// seen before are looked up. Finding out costs about as much as a list as long as what was touched.
		if i > 0 && t.total > len(s.touched) {
			if least := s.kth(k); rest[i] < least {
				s.finish(x, terms[i:], rest[i:], least, opts.Also, w)
				break
			}
		}
		s.add(x, t, w)
	}
	for i, at := range opts.Also {
		also[i] = float64(s.sum[at])
	}
	return s.best(k), also
}

// gone returns the passages that are not live, ascending.
func (x Index) gone(live bitset.Set) []uint32 {
	if live == nil {
		return nil
	}
	var gone []uint32
	n := uint32(0)
	for _, p := range x {
		n += uint32(p.Len())
	}
	for first := uint32(0); first < n; first += 64 {
		dead := ^live.Word(int(first / 64))
		if rest := n - first; rest < 64 {
			dead &= 1<<rest - 1
		}
		for ; dead != 0; dead &= dead - 1 {
			gone = append(gone, first+uint32(bits.TrailingZeros64(dead)))
		}
	}
	return gone
}

// statistics are those of all passages but the ones that are gone.
func (x Index) statistics(gone []uint32) Statistics {
	var s Statistics
	first := uint32(0)
	for _, p := range x {
		s.Passages += p.Len()
		s.Length += p.total
		end := first + uint32(p.Len())
		for ; len(gone) > 0 && gone[0] < end; gone = gone[1:] {
			s.Passages--
			s.Length -= uint64(p.lengths[gone[0]-first])
		}
		first = end
	}
	return s
}

// Statistics are what BM25 needs to know of all passages that are searched together. An engine that keeps
// its postings elsewhere scores by them: a term adds Gain · count / (count + Norm of the passage's length).
type Statistics struct {
	Passages int
	Length   uint64 // of all, as Terms.Length
}

// Gain is what a term of a query adds to a passage at most, when passages hold it.
func (s Statistics) Gain(weight float32, passages int) float64 {
	// The form that is never negative: a word in every passage still says a little.
	idf := math.Log(1 + (float64(s.Passages)-float64(passages)+0.5)/(float64(passages)+0.5))
	return float64(weight) * idf * (K1 + 1)
}

// Norm is fixed + slope · length for a passage of a length.
func (s Statistics) Norm() (fixed, slope float64) {
	return K1 * (1 - B) * textUnits, K1 * B * textUnits / (float64(s.Length) / float64(s.Passages))
}

func (s Statistics) weighing() weighing {
	fixed, slope := s.Norm()
	return weighing{s, float32(fixed), float32(slope)}
}

// weighing is Statistics as a search uses them.
type weighing struct {
	Statistics
	fixed, slope float32
}

// score is what a term that a passage of a length holds count times adds to it.
func (w weighing) score(gain float32, count uint16, length uint32) float32 {
	c := float32(count)
	return gain * c / (c + w.fixed + w.slope*float32(length))
}

// term is a word of a query, with its list in each part.
type term struct {
	gain  float32 // what it adds to a passage at most
	total int     // passages in its lists
	lists []postings
}

// lookUp returns the terms that some live passage holds, those that add most first.
func (x Index) lookUp(q Query, w weighing, gone []uint32, live bitset.Set) []term {
	terms := make([]term, 0, len(q.terms))
	for _, t := range q.terms {
		found := term{lists: make([]postings, len(x))}
		passages := 0 // that are live and hold it
		first, rest := uint32(0), gone
		for i, p := range x {
			end := first + uint32(p.Len())
			n, _ := slices.BinarySearch(rest, end)
			l := p.list(t.term)
			found.lists[i] = l
			found.total += len(l.docs)
			passages += len(l.docs) - l.among(rest[:n], first, live)
			first, rest = end, rest[n:]
		}
		if passages == 0 {
			continue
		}
		found.gain = float32(w.Gain(t.weight, passages))
		terms = append(terms, found)
	}
	slices.SortStableFunc(terms, func(a, b term) int { return cmp.Compare(b.gain, a.gain) })
	return terms
}

// sums are the scores in use again.
var sums sync.Pool // *scores

// scores are the sums of one search. sum is zero but for the passages in touched.
type scores struct {
	sum     []float32
	touched []uint32
	allow   bitset.Set
	top     hitHeap
}

func (s *scores) clear() {
	for _, at := range s.touched {
		s.sum[at] = 0
	}
	s.touched, s.allow = s.touched[:0], nil
}

// add adds what one term gives to each passage that holds it.
func (s *scores) add(x Index, t term, w weighing) {
	first := uint32(0)
	for i, p := range x {
		l := t.lists[i]
		counts := l.counts[:len(l.docs)]
		sum := s.sum[first:]
		for j, doc := range l.docs {
			if sum[doc] == 0 {
				s.touched = append(s.touched, first+doc)
			}
			sum[doc] += w.score(t.gain, counts[j], p.lengths[doc])
		}
		first += uint32(p.Len())
	}
}

// lookup is how many steps of a list take about as long as looking a passage up in it.
const lookup = 16

// few says whether it costs less to look up the passages allowed in each list than to go through the lists.
func (s *scores) few(terms []term) bool {
	postings := 0
	for _, t := range terms {
		postings += t.total
	}
	return s.allow != nil && lookup*len(terms)*s.allow.Len() < postings
}

// finish adds the remaining terms to the passages that may still be among the best, and to those of also.
func (s *scores) finish(x Index, terms []term, rest []float32, least float32, also []uint32, w weighing) {
	at := make([]uint32, 0, len(s.touched)/4+len(also))
	for _, doc := range s.touched {
		// Rounding: the sums are of float32.
		if s.sum[doc]+rest[0] >= least*(1-1e-5) {
			at = append(at, doc)
		}
	}
	for _, doc := range also {
		if s.sum[doc] == 0 {
			s.touched = append(s.touched, doc)
		}
	}
	at = append(at, also...)
	slices.Sort(at)
	at = slices.Compact(at)
	for _, t := range terms {
		first := uint32(0)
		todo := at
		for i, p := range x {
			end := first + uint32(p.Len())
			n := sort.Search(len(todo), func(i int) bool { return todo[i] >= end })
			t.lists[i].each(todo[:n], first, func(doc uint32, count uint16) {
				s.sum[first+doc] += w.score(t.gain, count, p.lengths[doc])
			})
			todo, first = todo[n:], end
		}
	}
}

// among counts the passages of the list, numbered from first on, that are gone.
func (l postings) among(gone []uint32, first uint32, live bitset.Set) (n int) {
	if len(gone) == 0 {
		return 0
	}
	if lookup*len(gone) < len(l.docs) {
		l.each(gone, first, func(uint32, uint16) { n++ })
		return n
	}
	for _, doc := range l.docs {
		if !live.Has(first + doc) {
			n++
		}
	}
	return n
}

// each calls found for the passages of at, numbered from first on, that are in the list. It gallops
// through the list.
func (l postings) each(at []uint32, first uint32, found func(doc uint32, count uint16)) {
	from := 0
	for _, a := range at {
		doc := a - first
		step := 1
		for from+step < len(l.docs) && l.docs[from+step] < doc {
			from += step
			step *= 2
		}
		i, ok := slices.BinarySearch(l.docs[from:min(len(l.docs), from+step+1)], doc)
		from += i
		if ok {
			found(doc, l.counts[from])
		}
		if from >= len(l.docs) {
			return
		}
	}
}

// kth is the k-th best sum so far among the passages allowed, 0 when there are fewer.
func (s *scores) kth(k int) float32 {
	s.rank(k)
	if len(s.top) < k {
		return 0
	}
	return float32(s.top[0].Score)
}

// best returns the k best.
func (s *scores) best(k int) []Hit {
	s.rank(k)
	hits := slices.Clone(s.top)
	slices.SortFunc(hits, func(a, b Hit) int { return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Number, b.Number)) })
	return hits
}

// rank fills top with the k best passages.
func (s *scores) rank(k int) {
	top := s.top[:0]
	least := float32(0)
	for _, doc := range s.touched {
		score := s.sum[doc]
		if score < least || score == 0 || s.allow != nil && !s.allow.Has(doc) {
			continue
		}
		h := Hit{doc, float64(score)}
		if len(top) < k {
			heap.Push(&top, h)
		} else if better(h, top[0]) {
			top[0] = h
			heap.Fix(&top, 0)
		}
		if len(top) == k {
			least = float32(top[0].Score)
		}
	}
	s.top = top
}

func better(a, b Hit) bool { return a.Score > b.Score || a.Score == b.Score && a.Number < b.Number }

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
