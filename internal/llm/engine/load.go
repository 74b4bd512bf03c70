package engine

import (
	"fmt"
	"slices"

	"docent/internal/llm/gguf"
	"docent/internal/tensor"
)

// loader reads tensors and keeps the first error.
type loader struct {
	f     *gguf.File
	sites []site
	err   error
}

func (l *loader) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, args...)
	}
}

// matrix finds a matrix of n outputs of k inputs.
func (l *loader) matrix(name string, n, k int) *tensor.QMatrix { return l.shaped(name, n, k, k, n) }

// stack finds count matrices of n outputs of k inputs that are one tensor, as one matrix.
func (l *loader) stack(name string, count, n, k int) *tensor.QMatrix {
	return l.shaped(name, count*n, k, k, n, count)
}

// row finds a vector of k values, as a matrix of one output.
func (l *loader) row(name string, k int) *tensor.QMatrix { return l.shaped(name, 1, k, k) }

// shaped finds a tensor of a shape and reads it as n rows of k values.
func (l *loader) shaped(name string, n, k int, shape ...int) *tensor.QMatrix {
	t, ok := l.f.Tensor(name)
	if !ok {
		l.fail("%w: tensor %s is missing", ErrUnsupported, name)
		return nil
	}
	have := t.Shape
	for len(have) > len(shape) && have[len(have)-1] == 1 {
		have = have[:len(have)-1]
	}
	if !slices.Equal(have, shape) {
		l.fail("%w: tensor %s: shape %v, want %v", ErrUnsupported, name, t.Shape, shape)
		return nil
	}
	q, err := tensor.NewQMatrix(tensor.QType(t.Type), n, k, t.Data)
	if err != nil {
		l.fail("%w: tensor %s: %w", ErrUnsupported, name, err)
	}
	return q
}

// vector reads n values into memory; nil for one that is not there.
func (l *loader) vector(name string, n int, required bool) []float32 {
	if !required && !l.has(name) {
		return nil
	}
	q := l.row(name, n)
	if q == nil {
		return nil
	}
	out := make([]float32, n)
	q.Row(out, 0)
	return out
}

func (l *loader) has(name string) bool {
	_, ok := l.f.Tensor(name)
	return ok
}

// linear reads a product with or without a bias.
func (l *loader) linear(name string, n, k int) linear { return l.parts(name, k, n)[0] }

// parts reads products of the same inputs whose matrices are one tensor, of so many outputs each.
func (l *loader) parts(name string, k int, outputs ...int) []linear {
	n := 0
	for _, o := range outputs {
		n += o
	}
	w, b := l.matrix(name+".weight", n, k), l.vector(name+".bias", n, false)
	parts := make([]linear, len(outputs))
	from := 0
	for i, o := range outputs {
		to := from + o
		l.sites = append(l.sites, site{name + ".weight", k, n, from, to})
		parts[i].site = len(l.sites)
		if w != nil {
			parts[i].w = w.Rows(from, to)
		}
		if b != nil {
			parts[i].b = b[from:to]
		}
		from = to
	}
	return parts
}

// mlp reads a feed-forward network whose tensors' names end in suffix. Where gate and up are one tensor, gate
// comes first.
func (l *loader) mlp(name func(string) string, suffix string, dim, ff int, ungated bool) mlp {
	n := mlp{down: l.linear(name("ffn_down"+suffix), dim, ff)}
	switch {
	case ungated:
		n.up = l.linear(name("ffn_up"+suffix), ff, dim)
	case l.has(name("ffn_gate" + suffix + ".weight")):
		n.gate, n.up = l.linear(name("ffn_gate"+suffix), ff, dim), l.linear(name("ffn_up"+suffix), ff, dim)
	default:
		both := l.parts(name("ffn_up"+suffix), dim, ff, ff)
		n.gate, n.up = both[0], both[1]
	}
	return n
}

// headNorms reads the norms of queries' or keys' heads: one for all, or one for each.
func (l *loader) headNorms(name string, p *params, heads int) []norm {
	name += ".weight"
	if t, ok := l.f.Tensor(name); !ok && !p.headNorm {
		return nil
	} else if len(t.Shape) != 2 {
		return slices.Repeat([]norm{{w: l.vector(name, p.headDim, true), b: make([]float32, p.headDim)}}, heads)
	}
	rows := l.matrix(name, heads, p.headDim)
	norms := make([]norm, heads)
	for i := range norms {
		norms[i] = norm{make([]float32, p.headDim), make([]float32, p.headDim)}
		if rows != nil {
			rows.Row(norms[i].w, i)
		}
	}
	return norms
}

func (m *Model) readTensors() error {
	p, l := &m.params, &loader{f: m.file}
	t, ok := m.file.Tensor("token_embd.weight")
	if !ok || len(t.Shape) != 2 || t.Shape[1] > 1<<24 {
		return fmt.Errorf("%w: tensor token_embd.weight is missing", ErrUnsupported)
	}
	p.vocab = t.Shape[1]
	m.embed = l.matrix("token_embd.weight", p.vocab, p.dim)
	switch {
	case p.arch == "t5":
	case p.learned:
		m.pos = l.matrix("position_embd.weight", p.train, p.dim)
	default:
		m.readRopes(l)
	}
	normed := func(name string, n int, required bool) norm {
		w := norm{w: l.vector(name+".weight", n, required)}
		if p.layerNorm {
			w.b = l.vector(name+".bias", n, required)
		}
		return w
	}
	if l.has("output.weight") {
		m.output = l.linear("output", p.vocab, p.dim)
	} else {
		m.output = linear{w: m.embed}
	}
	if p.arch == "t5" {
		m.readT5(l)
		return l.err
	}
	m.final = normed("output_norm", p.dim, true)
	qn, kn := p.heads*p.headDim, p.kvHeads*p.headDim
	for i := range p.layers {
		name := func(s string) string { return fmt.Sprintf("blk.%d.%s", i, s) }
		var y layer
		y.attnNorm = normed(name("attn_norm"), p.dim, true)
		if p.parallel && !l.has(name("ffn_norm.weight")) {
			y.parallel, y.ffnNorm = true, y.attnNorm
		} else {
			y.ffnNorm = normed(name("ffn_norm"), p.dim, true)
		}
		y.attnPost, y.ffnPost = normed(name("post_attention_norm"), p.dim, false), normed(name("post_ffw_norm"), p.dim, false)
		if l.has(name("attn_qkv.weight")) {
			all := l.parts(name("attn_qkv"), p.dim, qn, kn, kn)
			y.q, y.k, y.v = all[0], all[1], all[2]
		} else {
			y.q, y.k, y.v = l.linear(name("attn_q"), qn, p.dim), l.linear(name("attn_k"), kn, p.dim), l.linear(name("attn_v"), kn, p.dim)
		}
		y.o = l.linear(name("attn_output"), p.dim, qn)
		y.qNorm, y.kNorm = l.headNorms(name("attn_q_norm"), p, p.heads), l.headNorms(name("attn_k_norm"), p, p.kvHeads)
		if p.experts > 0 && l.has(name("ffn_gate_inp.weight")) {
			y.experts = l.experts(name, p)
		} else {
			y.mlp = l.mlp(name, "", p.dim, p.ff, p.ungated)
		}
		y.window = p.windowOf(i)
		switch {
		case len(m.ropes) > 1 && p.local(i):
			y.rope = m.ropes[1]
		case len(m.ropes) > 0:
			y.rope = m.ropes[0]
		}
		m.layers = append(m.layers, y)
		if l.err != nil {
			return l.err
		}
	}
	m.sites = l.sites
	return l.err
}
