package embed

import (
	"context"
	"fmt"
	"math"

	"docent/internal/tensor"
	"docent/internal/tensor/safetensors"
	"docent/internal/tokenizer"
)

// bert is the graph of BERT (Devlin et al. 2019): embeddings, then layers of self-attention and a
// feed-forward part, each added to its input and layer-normed after. It is read-only once loaded.
type bert struct {
	cfg       *modelConfig
	words     table
	positions []float32 // Positions rows, each with the row of token type 0 added
	norm      normWeights
	layers    []bertLayer
}

type bertLayer struct {
	qkv, out, up, down linear
	attention, output  normWeights
}

type normWeights struct{ gamma, beta []float32 }

// linear is a packed weight matrix, float32 or int8.
type linear struct {
	f32  *tensor.PackedF32
	bias []float32
	int8 *tensor.PackedInt8
	in   []float32 // what each input is multiplied by before int8 weights; nil for nothing
}

// table is an embedding table, float32 or int8 with a scale for each row.
type table struct {
	f32    []float32
	int8   []int8
	scales []float32
}

// bertPrefixes are what comes before the names of tensors: of a bare BertModel, or of one inside a
// model with a head.
var bertPrefixes = []string{"", "bert.", "model.", "0.auto_model."}

func loadBERT(f *safetensors.File, cfg *modelConfig) (*bert, error) {
	l := loader{file: f}
	for _, p := range bertPrefixes {
		if _, ok := f.Tensor(p + "embeddings.word_embeddings.weight"); ok {
			l.prefix = p
			break
		}
	}
	h, inner := cfg.Hidden, cfg.Intermediate
	m := &bert{cfg: cfg}
	m.words = l.table("embeddings.word_embeddings.weight", cfg.Vocab, h)
	m.positions = l.floats("embeddings.position_embeddings.weight", cfg.Positions, h)
	types := l.floats("embeddings.token_type_embeddings.weight", cfg.Types, h)
	m.norm = l.norm("embeddings.LayerNorm", h)
	if l.err != nil {
		return nil, l.err
	}
	for i := range m.positions {
		m.positions[i] += types[i%h]
	}
	for i := range cfg.Layers {
		p := fmt.Sprintf("encoder.layer.%d.", i)
		m.layers = append(m.layers, bertLayer{
			qkv: l.linear(h, h, p+"attention.self.query", p+"attention.self.key", p+"attention.self.value"),
			out: l.linear(h, h, p+"attention.output.dense"), attention: l.norm(p+"attention.output.LayerNorm", h),
			up: l.linear(inner, h, p+"intermediate.dense"), down: l.linear(h, inner, p+"output.dense"),
			output: l.norm(p+"output.LayerNorm", h),
		})
		if l.err != nil {
			return nil, l.err
		}
	}
	return m, nil
}

// loader reads tensors and keeps the first error.
type loader struct {
	file   *safetensors.File
	prefix string
	err    error
}

func (l *loader) floats(name string, shape ...int) []float32 {
	if l.err != nil {
		return nil
	}
	var v []float32
	v, l.err = l.file.Float32(l.prefix+name, shape...)
	return v
}

func (l *loader) has(name string) bool {
	_, ok := l.file.Tensor(l.prefix + name)
	return ok
}

func (l *loader) isInt8(name string) bool {
	t, _ := l.file.Tensor(l.prefix + name)
	return t.DType == "I8"
}

func (l *loader) int8(name string, n, k int) (values []byte, scales []float32) {
	scales = l.floats(name+"_scale", n)
	if l.err == nil {
		values, l.err = l.file.Int8(l.prefix+name, n, k)
	}
	return values, scales
}

func (l *loader) table(name string, n, k int) table {
	if !l.isInt8(name) {
		return table{f32: l.floats(name, n, k)}
	}
	values, scales := l.int8(name, n, k)
	return table{int8: asInt8(values), scales: scales}
}

// norm reads a layer norm; checkpoints converted from TensorFlow name its parts gamma and beta.
func (l *loader) norm(name string, n int) normWeights {
	g, b := name+".weight", name+".bias"
	if !l.has(g) && l.has(name+".gamma") {
		g, b = name+".gamma", name+".beta"
	}
	return normWeights{l.floats(g, n), l.floats(b, n)}
}

// linear reads one layer, or several with one input that then act as one with their outputs side by
// side.
func (l *loader) linear(n, k int, names ...string) linear {
	quantised := l.isInt8(names[0] + ".weight")
	var bias, floats, scales []float32
	var ints []byte
	for _, name := range names {
		if quantised {
			v, s := l.int8(name+".weight", n, k)
			if len(names) == 1 {
				ints = v
			} else {
				ints = append(ints, v...)
			}
			scales = append(scales, s...)
		} else if v := l.floats(name+".weight", n, k); len(names) == 1 {
			floats = v
		} else {
			floats = append(floats, v...)
		}
		bias = append(bias, l.floats(name+".bias", n)...)
	}
	switch {
	case l.err != nil:
		return linear{}
	case quantised:
		w := linear{int8: tensor.PackInt8(ints, scales, bias, n*len(names), k)}
		if in := names[0] + ".weight_input"; l.has(in) {
			w.in = l.floats(in, k)
		}
		return w
	}
	return linear{f32: tensor.PackF32(floats, n*len(names), k), bias: bias}
}

// scratch is the memory of one forward pass. It grows to the largest pass it has seen.
type scratch struct {
	ids    []int32
	ends   []int // of each sequence in ids
	tokens []tokenizer.Token
	x      []float32
	qkv    []float32
	ctx    []float32
	part   []float32 // a block of rows: what a linear layer gives before it is added and normed
	wide   []float32 // a block of rows of the feed-forward part
	q      tensor.Quantised

	keys, values, scores, heads []float32 // attention
}

// blockRows is how many rows go through the layers' linear parts together: enough that a panel of
// weights is used often while it is in the first-level cache, few enough that a block's feed-forward
// rows stay in the second (96 rows of 1536 float32 are 590 kB).
const blockRows = 96

func grow[T any](s *[]T, n int) []T {
	if cap(*s) < n {
		*s = make([]T, n+n/4)
	}
	*s = (*s)[:n]
	return *s
}

// mul computes rows of dst from rows of a through a linear layer.
func (s *scratch) mul(dst []float32, ldd int, a []float32, lda, rows int, w *linear) {
	if w.int8 != nil {
		s.q.Set(a, lda, rows, w.int8.K, w.in)
		w.int8.Mul(dst, ldd, &s.q, 0, w.int8.Panels())
		return
	}
	w.f32.Mul(dst, ldd, a, lda, rows, w.bias, 0, w.f32.Panels())
}

// forward runs the sequences in s.ids and leaves the last hidden state in s.x, a row for each token.
func (m *bert) forward(ctx context.Context, s *scratch) error {
	t, h, inner := len(s.ids), m.cfg.Hidden, m.cfg.Intermediate
	x := grow(&s.x, t*h)
	qkv := grow(&s.qkv, t*3*h)
	att := grow(&s.ctx, t*h)
	part := grow(&s.part, blockRows*h)
	wide := grow(&s.wide, blockRows*inner)
	eps := float32(m.cfg.Epsilon)

	begin := 0
	for _, end := range s.ends {
		for i := begin; i < end; i++ {
			row := x[i*h : (i+1)*h]
			m.words.row(row, int(s.ids[i]))
			tensor.AddNorm(row, row, m.positions[(i-begin)*h:(i-begin+1)*h], m.norm.gamma, m.norm.beta, eps)
		}
		begin = end
	}
	for b := 0; b < t; b += blockRows {
		rows := min(blockRows, t-b)
		s.mul(qkv[b*3*h:], 3*h, x[b*h:], h, rows, &m.layers[0].qkv)
	}
	for i := range m.layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		begin = 0
		for _, end := range s.ends {
			m.attend(s, att, qkv, begin, end)
			begin = end
		}
		// Everything up to the next attention looks at one row at a time, so a block of rows goes
		// through all of it while it is in the cache.
		l := &m.layers[i]
		for b := 0; b < t; b += blockRows {
			rows := min(blockRows, t-b)
			xb := x[b*h : (b+rows)*h]
			s.mul(part, h, att[b*h:], h, rows, &l.out)
			for r := range rows {
				tensor.AddNorm(xb[r*h:(r+1)*h], part[r*h:], xb[r*h:], l.attention.gamma, l.attention.beta, eps)
			}
			s.mul(wide, inner, xb, h, rows, &l.up)
			tensor.GELU(wide[:rows*inner])
			s.mul(part, h, wide, inner, rows, &l.down)
			for r := range rows {
				tensor.AddNorm(xb[r*h:(r+1)*h], part[r*h:], xb[r*h:], l.output.gamma, l.output.beta, eps)
			}
			if i+1 < len(m.layers) {
				s.mul(qkv[b*3*h:], 3*h, xb, h, rows, &m.layers[i+1].qkv)
			}
		}
	}
	return nil
}

// row writes the embedding of a token.
func (t *table) row(dst []float32, id int) {
	n := len(dst)
	if t.int8 != nil {
		tensor.Dequantise(dst, t.int8[id*n:(id+1)*n], t.scales[id])
		return
	}
	copy(dst, t.f32[id*n:(id+1)*n])
}

// attend computes self-attention for the sequence in rows begin to end.
func (m *bert) attend(s *scratch, dst, qkv []float32, begin, end int) {
	h, size := m.cfg.Hidden, m.cfg.Hidden/m.cfg.Heads
	n, stride := end-begin, 3*h
	pw := tensor.PanelWidth()
	padded, sizeUp := (n+pw-1)/pw*pw, (size+pw-1)/pw*pw
	keys := grow(&s.keys, tensor.PackedLen(n, size))
	const rows = 56 // of queries at a time: four tiles of the widest kernel
	scores := grow(&s.scores, rows*padded)
	scale := float32(1 / math.Sqrt(float64(size)))
	for head := range m.cfg.Heads {
		base := qkv[begin*stride+head*size:]
		tensor.PackInto(keys, base[h:], stride, n, size)
		values, ldv := base[2*h:], stride
		if sizeUp != size {
			values, ldv = grow(&s.values, n*sizeUp), sizeUp
			for i := range n {
				copy(values[i*sizeUp:], base[2*h+i*stride:][:size])
			}
		}
		for q := 0; q < n; q += rows {
			r := min(rows, n-q)
			tensor.MulPacked(scores, padded, base[q*stride:], stride, r, keys, n, size)
			for i := range r {
				tensor.Softmax(scores[i*padded:][:n], scale)
			}
			out := dst[(begin+q)*h+head*size:]
			if sizeUp == size {
				tensor.MulRows(out, h, scores, padded, r, values, ldv, size, n)
				continue
			}
			tmp := grow(&s.heads, rows*sizeUp)
			tensor.MulRows(tmp, sizeUp, scores, padded, r, values, ldv, sizeUp, n)
			for i := range r {
				copy(out[i*h:][:size], tmp[i*sizeUp:])
			}
		}
	}
}
