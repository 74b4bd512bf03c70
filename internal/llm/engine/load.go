package engine

import (
	"fmt"
	"slices"

	"docent/internal/llm/gguf"
	"docent/internal/tensor"
)

// loader reads tensors and keeps the first error.
type loader struct {
	f   *gguf.File
	err error
}

func (l *loader) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, args...)
	}
}

// matrix finds a matrix of n outputs of k inputs.
func (l *loader) matrix(name string, n, k int) *tensor.QMatrix {
	t, ok := l.f.Tensor(name)
	if !ok {
		l.fail("%w: tensor %s is missing", ErrUnsupported, name)
		return nil
	}
	if !slices.Equal(t.Shape, []int{k, n}) {
		l.fail("%w: tensor %s: shape %v, want [%d %d]", ErrUnsupported, name, t.Shape, k, n)
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
	t, ok := l.f.Tensor(name)
	if !ok {
		if required {
			l.fail("%w: tensor %s is missing", ErrUnsupported, name)
		}
		return nil
	}
	if !slices.Equal(t.Shape, []int{n}) {
		l.fail("%w: tensor %s: shape %v, want [%d]", ErrUnsupported, name, t.Shape, n)
		return nil
	}
	q, err := tensor.NewQMatrix(tensor.QType(t.Type), 1, n, t.Data)
	if err != nil {
		l.fail("%w: tensor %s: %w", ErrUnsupported, name, err)
		return nil
	}
	out := make([]float32, n)
	q.Row(out, 0)
	return out
}

func (m *Model) readTensors() error {
	p, l := &m.params, &loader{f: m.file}
	t, ok := m.file.Tensor("token_embd.weight")
	if !ok || len(t.Shape) != 2 || t.Shape[1] > 1<<24 {
		return fmt.Errorf("%w: tensor token_embd.weight is missing", ErrUnsupported)
	}
	p.vocab = t.Shape[1]
	m.embed = l.matrix("token_embd.weight", p.vocab, p.dim)
	if p.learned {
		m.pos = l.matrix("position_embd.weight", p.train, p.dim)
	} else {
		m.readRopes(l)
	}
	normed := func(name string, n int, required bool) norm {
		w := norm{w: l.vector(name+".weight", n, required)}
		if p.layerNorm {
			w.b = l.vector(name+".bias", n, required)
		}
		return w
	}
	full := func(name string, n, k int) linear {
		return linear{l.matrix(name+".weight", n, k), l.vector(name+".bias", n, false)}
	}
	m.final = normed("output_norm", p.dim, true)
	if _, ok := m.file.Tensor("output.weight"); ok {
		m.output = full("output", p.vocab, p.dim)
	} else {
		m.output = linear{w: m.embed}
	}
	qn, kn := p.heads*p.headDim, p.kvHeads*p.headDim
	for i := range p.layers {
		name := func(s string) string { return fmt.Sprintf("blk.%d.%s", i, s) }
		var y layer
		y.attnNorm, y.ffnNorm = normed(name("attn_norm"), p.dim, true), normed(name("ffn_norm"), p.dim, true)
		y.attnPost, y.ffnPost = normed(name("post_attention_norm"), p.dim, false), normed(name("post_ffw_norm"), p.dim, false)
		if _, ok := m.file.Tensor(name("attn_qkv.weight")); ok {
			all := full(name("attn_qkv"), qn+2*kn, p.dim)
			y.q, y.k, y.v = all.rows(0, qn), all.rows(qn, qn+kn), all.rows(qn+kn, qn+2*kn)
		} else {
			y.q, y.k, y.v = full(name("attn_q"), qn, p.dim), full(name("attn_k"), kn, p.dim), full(name("attn_v"), kn, p.dim)
		}
		y.o = full(name("attn_output"), p.dim, qn)
		y.qNorm, y.kNorm = l.vector(name("attn_q_norm.weight"), p.headDim, p.headNorm), l.vector(name("attn_k_norm.weight"), p.headDim, p.headNorm)
		switch _, gate := m.file.Tensor(name("ffn_gate.weight")); {
		case p.ungated:
			y.up = full(name("ffn_up"), p.ff, p.dim)
		case !gate:
			all := full(name("ffn_up"), 2*p.ff, p.dim)
			y.gate, y.up = all.rows(0, p.ff), all.rows(p.ff, 2*p.ff)
		default:
			y.gate, y.up = full(name("ffn_gate"), p.ff, p.dim), full(name("ffn_up"), p.ff, p.dim)
		}
		y.down = full(name("ffn_down"), p.dim, p.ff)
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
	return l.err
}

// rows cuts a fused product into its parts.
func (l linear) rows(from, to int) linear {
	if l.w == nil {
		return l
	}
	out := linear{w: l.w.Rows(from, to)}
	if l.b != nil {
		out.b = l.b[from:to]
	}
	return out
}
