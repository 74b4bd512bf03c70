package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"docent/internal/llm/gguf"
	"docent/internal/tensor"
)

// ErrAdapter is wrapped when an adapter's file cannot be used with a model.
var ErrAdapter = errors.New("adapter does not fit the model")

// Adapter changes some of a model's products by additions of low rank (LoRA, Hu et al. 2021). The model's
// weights stay as they are: a step multiplies all rows with them together, and adds to each row what its
// own adapter makes of it (as S-LoRA does, Sheng et al. 2023). It is read-only.
type Adapter struct {
	model *Model
	name  string
	space string     // of what is cached of its sequences
	pairs []*lowRank // by site
	bytes int64
}

// lowRank adds b*(a*x) to a product.
type lowRank struct {
	rank int
	a    []float32 // rank rows, as long as the product's input
	b    []float32 // rank rows, as long as its output: the file's matrix turned over, times the scale
}

// site is a product that adapters can change: outputs from one to another of a tensor.
type site struct {
	tensor   string
	inputs   int
	outputs  int // of the tensor, of which
	from, to int // these are the product's
}

const maxRank = 1024

var adapterCount atomic.Int64 // of those loaded, which gives each a space

// LoadAdapter reads a LoRA adapter, a GGUF file that is made for this model, into memory. Its effect is
// multiplied by scale, 1 being that of its training; the same file may be loaded several times. Requests
// choose it with [Options].Adapter.
func (m *Model) LoadAdapter(path string, scale float32) (*Adapter, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a, err := m.readAdapter(f, scale)
	if err != nil {
		return nil, fmt.Errorf("open adapter %s: %w", path, err)
	}
	a.name = path
	need := m.Memory()
	if limit := m.cfg.Memory; limit > 0 && need.Total()+a.bytes > limit {
		return nil, fmt.Errorf("open adapter %s: %w: it needs %s, with the model and %s of other adapters that is %s, the limit is %s; load fewer, or choose a smaller context or a cache in q8_0",
			path, ErrMemory, mib(a.bytes), mib(need.Adapters), mib(need.Total()+a.bytes), mib(limit))
	}
	m.adapters.Add(a.bytes)
	return a, nil
}

// String is the file's name.
func (a *Adapter) String() string { return a.name }

// Bytes is the memory it takes.
func (a *Adapter) Bytes() int64 { return a.bytes }

func (m *Model) readAdapter(f *gguf.File, scale float32) (*Adapter, error) {
	if kind, _ := f.String("general.type"); kind != "adapter" {
		return nil, fmt.Errorf("%w: the file holds a %q, not an adapter", ErrAdapter, kind)
	}
	if kind, _ := f.String("adapter.type"); kind != "lora" {
		return nil, fmt.Errorf("%w: an adapter of type %q, want lora", ErrAdapter, kind)
	}
	if arch, _ := f.String("general.architecture"); arch != m.params.arch {
		return nil, fmt.Errorf("%w: it is for a model of architecture %q, this one's is %q", ErrAdapter, arch, m.params.arch)
	}
	alpha, ok := f.Float("adapter.lora.alpha")
	if !ok || !(alpha >= 0 && alpha < 1e6) || !(scale > -1e6 && scale < 1e6) {
		return nil, fmt.Errorf("%w: alpha %g, scale %g", ErrAdapter, alpha, scale)
	}
	a := &Adapter{model: m, space: fmt.Sprintf("adapter %d", adapterCount.Add(1)), pairs: make([]*lowRank, len(m.sites))}
	for _, t := range f.Tensors {
		base, ok := strings.CutSuffix(t.Name, ".lora_a")
		if !ok {
			if other, isB := strings.CutSuffix(t.Name, ".lora_b"); isB {
				if _, ok := f.Tensor(other + ".lora_a"); ok {
					continue
				}
			}
			return nil, fmt.Errorf("%w: tensor %s is not half of a pair NAME.lora_a, NAME.lora_b", ErrAdapter, t.Name)
		}
		u, ok := f.Tensor(base + ".lora_b")
		if !ok {
			return nil, fmt.Errorf("%w: tensor %s.lora_b is missing", ErrAdapter, base)
		}
		if err := a.add(base, t, u, alpha, scale); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// add takes in the halves of a tensor's addition.
func (a *Adapter) add(base string, down, up gguf.Tensor, alpha float64, scale float32) error {
	found := false
	for i, s := range a.model.sites {
		if s.tensor != base {
			continue
		}
		found = true
		k := s.inputs
		if len(down.Shape) != 2 || down.Shape[0] != k || down.Shape[1] > maxRank || !slices.Equal(up.Shape, []int{down.Shape[1], s.outputs}) {
			return fmt.Errorf("%w: tensors %s.lora_a and .lora_b: shapes %v and %v, want [%d rank] and [rank %d], rank up to %d",
				ErrAdapter, base, down.Shape, up.Shape, k, s.outputs, maxRank)
		}
		rank := down.Shape[1]
		p := &lowRank{rank: rank, a: make([]float32, rank*k), b: make([]float32, rank*(s.to-s.from))}
		if err := readRows(down, func(row int, x []float32) { copy(p.a[row*k:], x) }); err != nil {
			return err
		}
		factor, n := scale, s.to-s.from
		if alpha != 0 {
			factor *= float32(alpha) / float32(rank)
		}
		if err := readRows(up, func(row int, x []float32) {
			if row >= s.from && row < s.to {
				for r, v := range x {
					p.b[r*n+row-s.from] = factor * v
				}
			}
		}); err != nil {
			return err
		}
		a.pairs[i] = p
		a.bytes += 4 * int64(len(p.a)+len(p.b))
	}
	if !found {
		return fmt.Errorf("%w: it changes tensor %s, which the model does not have, or which adapters cannot change here (those of attention, dense feed-forward networks and the output can be)", ErrAdapter, base)
	}
	return nil
}

// readRows calls do with each row of a tensor of two dimensions.
func readRows(t gguf.Tensor, do func(row int, x []float32)) error {
	q, err := tensor.NewQMatrix(tensor.QType(t.Type), t.Shape[1], t.Shape[0], t.Data)
	if err != nil {
		return fmt.Errorf("%w: tensor %s: %w", ErrAdapter, t.Name, err)
	}
	row := make([]float32, q.K)
	for i := range q.N {
		q.Row(row, i)
		if slices.ContainsFunc(row, func(x float32) bool { return x-x != 0 }) {
			return fmt.Errorf("%w: tensor %s: row %d has a value that is no number", ErrAdapter, t.Name, i)
		}
		do(i, row)
	}
	return nil
}

// adapters are those of rows that belong to chunks, or empty where none has one.
func adapters(dst []*Adapter, chunks []chunk, owner []int) []*Adapter {
	dst = dst[:0]
	if !slices.ContainsFunc(chunks, func(c chunk) bool { return c.seq.adapter != nil }) {
		return dst
	}
	for _, c := range owner {
		dst = append(dst, chunks[c].seq.adapter)
	}
	return dst
}

// adapt adds to products of rows of a what the rows' adapters make of them.
func (m *Model) adapt(s *state, a []float32, outs []out) {
	s.pool.run(len(s.adapters)*len(outs), func(_, part int) {
		row, o := part/len(outs), outs[part%len(outs)]
		if s.adapters[row] == nil || o.l.site == 0 {
			return
		}
		p := s.adapters[row].pairs[o.l.site-1]
		if p == nil {
			return
		}
		x, y := a[row*o.l.w.K:][:o.l.w.K], o.dst[row*o.l.w.N:][:o.l.w.N]
		for r := range p.rank {
			tensor.Axpy(y, p.b[r*len(y):(r+1)*len(y)], tensor.Dot(p.a[r*len(x):(r+1)*len(x)], x))
		}
	})
}
