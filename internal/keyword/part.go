package keyword

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"

	"docent/internal/sections"
)

// postings lists the passages of a part that hold a term, by ascending number, six bytes each.
type postings struct {
	docs   []uint32
	counts []uint16 // in quarters
}

// A Part is the postings of passages numbered from 0. The zero value is empty and can be filled.
type Part struct {
	lengths []uint32 // by passage, in quarters
	total   uint64   // of lengths

	// Of a part that is being filled.
	terms map[string]*postings

	// Of one that was opened: terms sorted, their letters one after the other, and their lists likewise.
	letters  []byte
	ends     []uint32 // of each term's letters
	listEnds []uint64 // of each term's list
	all      postings
}

// Len returns the number of passages.
func (p *Part) Len() int { return len(p.lengths) }

// Add puts a passage in and returns its number. The part must not be one that was opened.
func (p *Part) Add(t Terms) uint32 {
	doc := uint32(len(p.lengths))
	p.lengths = append(p.lengths, t.length)
	p.total += uint64(t.length)
	if p.terms == nil {
		p.terms = make(map[string]*postings)
	}
	for term, count := range t.counts {
		l := p.terms[term]
		if l == nil {
			l = new(postings)
			p.terms[term] = l
		}
		l.docs = append(l.docs, doc)
		l.counts = append(l.counts, count)
	}
	return doc
}

// list returns the passages that hold a term.
func (p *Part) list(term string) postings {
	if l := p.terms[term]; l != nil {
		return *l
	}
	i := sort.Search(len(p.ends), func(i int) bool { return string(p.term(i)) >= term })
	if i < len(p.ends) && string(p.term(i)) == term {
		return p.at(i)
	}
	return postings{}
}

func (p *Part) term(i int) []byte { return p.letters[start(p.ends, i):p.ends[i]] }

func (p *Part) at(i int) postings {
	from, to := start(p.listEnds, i), p.listEnds[i]
	return postings{p.all.docs[from:to], p.all.counts[from:to]}
}

func start[T uint32 | uint64](ends []T, i int) T {
	if i == 0 {
		return 0
	}
	return ends[i-1]
}

// Gone is what Merge's to holds for a passage that is left out.
const Gone = math.MaxUint32

// Merge writes parts as one: passage i of parts[p] becomes to[p][i], which must ascend. The parts must not
// change meanwhile. Open reads what it wrote.
func Merge(w *sections.Writer, parts []*Part, to [][]uint32) error {
	var lengths []uint32
	for i, p := range parts {
		for doc, at := range to[i] {
			if at != Gone {
				lengths = append(lengths, p.lengths[doc])
			}
		}
	}
	if err := sections.Write(w, "words.lengths", lengths); err != nil {
		return err
	}

	var letters []byte
	var ends []uint32
	var listEnds []uint64
	var total uint64
	if err := w.Begin("words.docs"); err != nil {
		return err
	}
	kept := make([]bool, 0, 1<<16) // by term, in order
	var docs []uint32
	err := eachTerm(parts, func(term []byte, lists []postings) error {
		docs = docs[:0]
		for i, l := range lists {
			for _, doc := range l.docs {
				if at := to[i][doc]; at != Gone {
					docs = append(docs, at)
				}
			}
		}
		kept = append(kept, len(docs) > 0)
		if len(docs) == 0 {
			return nil
		}
		if len(letters)+len(term) > math.MaxUint32 {
			return fmt.Errorf("the words of %d passages have more than 4 GB of letters", len(lengths))
		}
		total += uint64(len(docs))
		letters = append(letters, term...)
		ends, listEnds = append(ends, uint32(len(letters))), append(listEnds, total)
		return sections.Append(w, docs)
	})
	if err != nil {
		return err
	}
	if err := w.Begin("words.counts"); err != nil {
		return err
	}
	var counts []uint16
	n := 0
	err = eachTerm(parts, func(_ []byte, lists []postings) error {
		if n++; !kept[n-1] {
			return nil
		}
		counts = counts[:0]
		for i, l := range lists {
			for j, doc := range l.docs {
				if to[i][doc] != Gone {
					counts = append(counts, l.counts[j])
				}
			}
		}
		return sections.Append(w, counts)
	})
	if err != nil {
		return err
	}
	if err := sections.Write(w, "words.letters", letters); err != nil {
		return err
	}
	if err := sections.Write(w, "words.ends", ends); err != nil {
		return err
	}
	return sections.Write(w, "words.listEnds", listEnds)
}

// eachTerm calls do for each term of the parts, in order, with its list in each. The slices are do's until
// it returns.
func eachTerm(parts []*Part, do func(term []byte, lists []postings) error) error {
	type cursor struct {
		part *Part
		keys []string // of a part that is being filled
		i    int
	}
	term := func(c *cursor) []byte {
		switch {
		case c.i < len(c.keys):
			return []byte(c.keys[c.i])
		case c.keys == nil && c.i < len(c.part.ends):
			return c.part.term(c.i)
		}
		return nil
	}
	cursors := make([]cursor, len(parts))
	for i, p := range parts {
		cursors[i].part = p
		if p.terms != nil {
			cursors[i].keys = slices.Sorted(maps.Keys(p.terms))
		}
	}
	heads := make([][]byte, len(parts))
	for i := range cursors {
		heads[i] = term(&cursors[i])
	}
	lists := make([]postings, len(parts))
	var current []byte
	for {
		var least []byte
		for _, h := range heads {
			if h != nil && (least == nil || bytes.Compare(h, least) < 0) {
				least = h
			}
		}
		if least == nil {
			return nil
		}
		current = append(current[:0], least...)
		for i := range cursors {
			lists[i] = postings{}
			if c := &cursors[i]; heads[i] != nil && bytes.Equal(heads[i], current) {
				if c.keys != nil {
					lists[i] = *c.part.terms[c.keys[c.i]]
				} else {
					lists[i] = c.part.at(c.i)
				}
				c.i++
				heads[i] = term(c)
			}
		}
		if err := do(current, lists); err != nil {
			return err
		}
	}
}

// Open returns the part of n passages that Merge wrote to f, which must outlive it.
func Open(f *sections.File, n int) (*Part, error) {
	p := new(Part)
	var err, first error
	keep := func() { first = cmp.Or(first, err) }
	p.lengths, err = sections.Array[uint32](f, "words.lengths")
	keep()
	p.letters, err = f.Bytes("words.letters")
	keep()
	p.ends, err = sections.Array[uint32](f, "words.ends")
	keep()
	p.listEnds, err = sections.Array[uint64](f, "words.listEnds")
	keep()
	p.all.docs, err = sections.Array[uint32](f, "words.docs")
	keep()
	p.all.counts, err = sections.Array[uint16](f, "words.counts")
	keep()
	if first != nil {
		return nil, first
	}
	if len(p.lengths) != n || len(p.ends) != len(p.listEnds) || len(p.all.docs) != len(p.all.counts) ||
		!slices.IsSorted(p.ends) || !slices.IsSorted(p.listEnds) ||
		len(p.ends) > 0 && (int(p.ends[len(p.ends)-1]) != len(p.letters) || p.listEnds[len(p.listEnds)-1] != uint64(len(p.all.docs))) {
		return nil, fmt.Errorf("%w: the lists of words do not fit each other", sections.ErrDamaged)
	}
	for _, doc := range p.all.docs {
		if int(doc) >= n {
			return nil, fmt.Errorf("%w: a list of passages names number %d of %d", sections.ErrDamaged, doc, n)
		}
	}
	for _, l := range p.lengths {
		p.total += uint64(l)
	}
	return p, nil
}

// Holds reports whether the passage of a number was added with these terms: for those who check an index
// against what it was made from.
func (p *Part) Holds(number uint32, t Terms) bool {
	if int(number) >= len(p.lengths) || p.lengths[number] != t.length {
		return false
	}
	for term, count := range t.counts {
		l := p.list(term)
		if i, ok := slices.BinarySearch(l.docs, number); !ok || l.counts[i] != count {
			return false
		}
	}
	return true
}
