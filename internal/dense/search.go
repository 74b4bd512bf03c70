package dense

import (
	"cmp"
	"context"
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"docent/internal/bitset"
	"docent/internal/tensor"
)

// An Index is the parts that are searched together, in the order of their vectors' numbers.
type Index []*Part

// Len is the number of vectors.
func (x Index) Len() int {
	n := 0
	for _, p := range x {
		n += p.Len()
	}
	return n
}

// A Hit is a vector found.
type Hit struct {
	Number     uint32
	Similarity float64 // the cosine, exact
}

// Similarity returns the cosine of a vector of the index and a unit vector.
func (x Index) Similarity(ctx context.Context, number uint32, q []float32) (float64, error) {
	for _, p := range x {
		if n := uint32(p.Len()); number >= n {
			number -= n
			continue
		}
		return p.similarity(ctx, number, q)
	}
	panic("dense: no vector has that number")
}

// A Scanner shares passes over one index between the questions that are asked of it at the same time. The
// zero value is ready. While calls of Nearest are under way the index must not change.
type Scanner struct {
	mu       sync.Mutex
	scanning bool
	waiting  []*question
}

// question is one call of Nearest.
type question struct {
	codes []int8
	allow bitset.Set
	n     int
	best  []sketched // when done
	ready chan struct{}
}

// sketched is a vector with its score by the sketch; scores of one question can be compared.
type sketched struct {
	number uint32
	score  float32
}

// together is the most questions of one pass.
const together = 16

// candidates is how many of the sketch's best are looked at for n of the exact ones.
func candidates(n int) int { return 2*n + 100 }

// Nearest returns the n vectors nearest to the unit vector q of those that allow has (nil: of all), nearest
// first, equal ones by ascending number.
func (s *Scanner) Nearest(ctx context.Context, x Index, q []float32, n int, allow bitset.Set) ([]Hit, error) {
	if x.Len() == 0 || n <= 0 {
		return nil, ctx.Err()
	}
	ask := &question{codes: make([]int8, len(q)), allow: allow, n: min(candidates(n), x.Len()), ready: make(chan struct{})}
	quantise(ask.codes, q)
	s.ask(x, ask)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	hits := make([]Hit, len(ask.best))
	for i, b := range ask.best {
		d, err := x.Similarity(ctx, b.number, q)
		if err != nil {
			return nil, err
		}
		hits[i] = Hit{b.number, d}
	}
	slices.SortFunc(hits, func(a, b Hit) int {
		return cmp.Or(cmp.Compare(b.Similarity, a.Similarity), cmp.Compare(a.Number, b.Number))
	})
	return hits[:min(n, len(hits))], nil
}

// ask returns when the question has been answered. It does not return earlier, since until then the index
// is being read.
func (s *Scanner) ask(x Index, q *question) {
	s.mu.Lock()
	s.waiting = append(s.waiting, q)
	first := !s.scanning
	s.scanning = true
	s.mu.Unlock()
	if first {
		s.pass(x)
	}
	<-q.ready
}

// pass answers the questions that wait, and sees to it that those who come meanwhile are answered next.
func (s *Scanner) pass(x Index) {
	s.mu.Lock()
	round := s.waiting[:min(len(s.waiting), together)]
	s.waiting = slices.Clone(s.waiting[len(round):])
	s.mu.Unlock()
	scan(x, round)
	s.mu.Lock()
	if s.scanning = len(s.waiting) > 0; s.scanning {
		go s.pass(x)
	}
	s.mu.Unlock()
	for _, q := range round {
		close(q.ready)
	}
}

// block is how many vectors are compared with one question after another: for 384 dimensions 24 kB, which
// stay in the first cache.
const block = 64

// parallel is from how many vectors on a pass is split between processors.
const parallel = 8192

// scan answers the questions in one pass.
func scan(x Index, questions []*question) {
	blocks := 0
	for _, p := range x {
		blocks += (p.Len() + block - 1) / block
	}
	workers := 1
	if x.Len() >= parallel {
		workers = runtime.GOMAXPROCS(0)
	}
	found := make([][]heap, workers)
	var next atomic.Int64
	const stride = 16 // blocks taken at a time
	work := func(w int) {
		tops := make([]heap, len(questions))
		for i, q := range questions {
			tops[i].size = q.n
		}
		found[w] = tops
		var dots [block]int32
		for {
			from := int(next.Add(stride)) - stride
			if from >= blocks {
				return
			}
			for b := from; b < min(from+stride, blocks); b++ {
				x.block(b, questions, tops, &dots)
			}
		}
	}
	var wg sync.WaitGroup
	for w := 1; w < workers; w++ {
		wg.Go(func() { work(w) })
	}
	work(0)
	wg.Wait()
	for i, q := range questions {
		for _, tops := range found {
			q.best = append(q.best, tops[i].items...)
		}
		slices.SortFunc(q.best, func(a, b sketched) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.number, b.number)) })
		q.best = q.best[:min(len(q.best), q.n)]
	}
}

// block compares the b-th block of the index with each question.
func (x Index) block(b int, questions []*question, tops []heap, dots *[block]int32) {
	first := uint32(0)
	for _, p := range x {
		if n := (p.Len() + block - 1) / block; b >= n {
			b -= n
			first += uint32(p.Len())
			continue
		}
		at := b * block
		rows := min(block, p.Len()-at)
		codes := p.codes[at/slab][at%slab*p.dim:]
		scales := p.scales[at : at+rows]
		first += uint32(at)
		for i, q := range questions {
			todo := allowed(q.allow, first, rows)
			if todo == 0 {
				continue
			}
			if bits.OnesCount64(todo) > rows/4 {
				tensor.DotsInt8(dots[:rows], q.codes, codes[:rows*p.dim])
			} else {
				for rest := todo; rest != 0; rest &= rest - 1 {
					r := bits.TrailingZeros64(rest)
					dots[r] = tensor.DotInt8(q.codes, codes[r*p.dim:(r+1)*p.dim])
				}
			}
			top := &tops[i]
			least := top.least()
			for rest := todo; rest != 0; rest &= rest - 1 {
				r := bits.TrailingZeros64(rest)
				if score := float32(dots[r]) * scales[r]; score > least || len(top.items) < top.size {
					top.add(sketched{first + uint32(r), score})
					least = top.least()
				}
			}
		}
		return
	}
}

// allowed returns, for the numbers from first on, at most 64 of them, which are in the set.
func allowed(set bitset.Set, first uint32, rows int) uint64 {
	mask := ^uint64(0) >> (64 - rows)
	if set == nil {
		return mask
	}
	w, shift := int(first/64), first%64
	return (set.Word(w)>>shift | set.Word(w+1)<<(64-shift)) & mask
}

// heap keeps the size best, the worst on top.
type heap struct {
	items []sketched
	size  int
}

func (h *heap) least() float32 {
	if len(h.items) < h.size {
		return -1 << 30
	}
	return h.items[0].score
}

func (h *heap) add(s sketched) {
	if len(h.items) < h.size {
		h.items = append(h.items, s)
		for i := len(h.items) - 1; i > 0; {
			up := (i - 1) / 2
			if h.items[up].score <= h.items[i].score {
				return
			}
			h.items[up], h.items[i] = h.items[i], h.items[up]
			i = up
		}
		return
	}
	h.items[0] = s
	for i := 0; ; {
		down := 2*i + 1
		if down >= len(h.items) {
			return
		}
		if down+1 < len(h.items) && h.items[down+1].score < h.items[down].score {
			down++
		}
		if h.items[i].score <= h.items[down].score {
			return
		}
		h.items[i], h.items[down] = h.items[down], h.items[i]
		i = down
	}
}
