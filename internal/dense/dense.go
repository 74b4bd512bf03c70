// Package dense finds the vectors nearest to a question's.
//
// chromem-go holds the exact vectors. Beside them lies a sketch: the same vectors rounded to int8, one after
// the other in memory, a quarter of the size. A search reads the whole sketch in order, which is what memory
// is fastest at, and the exact vectors of the few hundred best decide. Rounding moves a cosine by less than
// 0.01, so those hold the nearest ones (for 384 dimensions; bench/retrieval counts how often not).
//
// Like the keyword index, an [Index] is a list of parts with consecutive numbers: the last is being filled,
// earlier ones do not change and may be mapped from a file. Questions that are asked at the same time share
// one pass over memory.
package dense

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/philippgille/chromem-go"

	"docent/internal/sections"
	"docent/internal/tensor"
)

// slab is how many vectors are allocated together.
const slab = 1024

// A Part holds unit vectors numbered from 0.
type Part struct {
	dim    int
	ids    []int64 // by number; the documents of exact are named after them
	exact  *chromem.Collection
	codes  [][]int8    // the sketch, in blocks of slab vectors
	scales []float32   // of the sketch: vector = scale * codes
	slabs  [][]float32 // the memory of exact's vectors, in blocks of slab vectors
}

// NewPart returns an empty part for vectors of dim values.
func NewPart(dim int) (*Part, error) {
	// Every document comes with its vector, so the function to make one is never called.
	c, err := chromem.NewDB().CreateCollection("vectors", nil, func(context.Context, string) ([]float32, error) {
		return nil, fmt.Errorf("no vector is given")
	})
	return &Part{dim: dim, exact: c}, err
}

// Len returns the number of vectors.
func (p *Part) Len() int { return len(p.ids) }

// Add copies a unit vector in, under an id that is not in the part. Its number is the next.
func (p *Part) Add(id int64, vector []float32) error {
	if len(vector) != p.dim {
		return fmt.Errorf("a vector has %d values, want %d", len(vector), p.dim)
	}
	n := len(p.ids) % slab
	if n == 0 {
		p.codes = append(p.codes, make([]int8, slab*p.dim))
		p.slabs = append(p.slabs, make([]float32, slab*p.dim))
	}
	own := p.slabs[len(p.slabs)-1][n*p.dim:][:p.dim:p.dim]
	copy(own, vector)
	p.scales = append(p.scales, quantise(p.codes[len(p.codes)-1][n*p.dim:][:p.dim], own))
	return p.hold(id, own)
}

// hold gives chromem a vector, which it keeps as it is, not a copy.
func (p *Part) hold(id int64, vector []float32) error {
	p.ids = append(p.ids, id)
	return p.exact.AddDocument(context.Background(), chromem.Document{ID: name(id), Embedding: vector})
}

func name(id int64) string { return strconv.FormatInt(id, 36) }

// similarity returns the cosine of a vector and the unit vector q, both exact.
func (p *Part) similarity(ctx context.Context, number uint32, q []float32) (float64, error) {
	d, err := p.exact.GetByID(ctx, name(p.ids[number]))
	if err != nil {
		return 0, err
	}
	return float64(tensor.Dot(d.Embedding, q)), nil
}

// quantise sets codes to v rounded in steps of the scale it returns, so that the largest value becomes 127.
func quantise(codes []int8, v []float32) (scale float32) {
	for _, x := range v {
		scale = max(scale, float32(math.Abs(float64(x))))
	}
	if scale == 0 {
		clear(codes)
		return 0
	}
	inv := 127 / scale
	for i, x := range v {
		codes[i] = int8(math.RoundToEven(float64(x * inv)))
	}
	return scale / 127
}

// Gone is what Merge's to holds for a vector that is left out.
const Gone = math.MaxUint32

// Merge writes parts as one: vector i of parts[p] becomes to[p][i], which must ascend. Open reads what it
// wrote.
func Merge(w *sections.Writer, parts []*Part, to [][]uint32) error {
	each := func(section string, write func(p *Part, i int) error) error {
		if err := w.Begin(section); err != nil {
			return err
		}
		for n, p := range parts {
			for i, at := range to[n] {
				if at != Gone {
					if err := write(p, i); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}
	return cmp.Or(
		each("vectors.exact", func(p *Part, i int) error { return sections.Append(w, p.slabs[i/slab][i%slab*p.dim:][:p.dim]) }),
		each("vectors.codes", func(p *Part, i int) error { return sections.Append(w, p.codes[i/slab][i%slab*p.dim:][:p.dim]) }),
		each("vectors.scales", func(p *Part, i int) error { return sections.Append(w, p.scales[i:i+1]) }),
	)
}

// Open returns the part that Merge wrote to f, which must outlive it, with the ids of its vectors. A vector
// that is not of unit length is an error.
func Open(f *sections.File, dim int, ids []int64) (*Part, error) {
	p, err := NewPart(dim)
	if err != nil {
		return nil, err
	}
	exact, err1 := sections.Array[float32](f, "vectors.exact")
	codes, err2 := sections.Array[int8](f, "vectors.codes")
	scales, err3 := sections.Array[float32](f, "vectors.scales")
	if err := cmp.Or(err1, err2, err3); err != nil {
		return nil, err
	}
	n := len(ids)
	if len(exact) != n*dim || len(codes) != n*dim || len(scales) != n {
		return nil, fmt.Errorf("%w: the vectors are not %d of %d values", sections.ErrDamaged, n, dim)
	}
	p.scales = scales
	p.codes = slices.Collect(slices.Chunk(codes, slab*dim))
	p.slabs = slices.Collect(slices.Chunk(exact, slab*dim))
	p.ids = make([]int64, 0, n)
	for i, id := range ids {
		v := exact[i*dim : (i+1)*dim : (i+1)*dim]
		if d := tensor.Dot(v, v); !(math.Abs(float64(d)-1) < 1e-2) {
			return nil, fmt.Errorf("%w: vector %d has the squared length %v, want 1", sections.ErrDamaged, i, d)
		}
		if err := p.hold(id, v); err != nil {
			return nil, err
		}
	}
	return p, nil
}
