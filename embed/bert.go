package embed

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"

	"docent/internal/tensor"
	"docent/internal/tokenizer"
)

// model is the graph of an encoder: embeddings, then layers of self-attention and a feed-forward part,
// each added to its input (Devlin et al. 2019). What differs between families is in arch. It is
// read-only once loaded.
type model struct {
	cfg       *modelConfig
	words     table
	positions []float32   // a row for each, with the row of token type 0 added; nil for none
	first     []float32   // the row of token type 0 where there are no rows of positions, or nil
	second    []float32   // token type 1 less type 0, or nil
	norm      normWeights // of embeddings
	project   linear      // from embeddings to layers, or nothing
	bias      []distances // by head, in units of scores before they are scaled; nil for none
	layers    []*layer    // some may be the same
	final     normWeights // or nothing
	act       func([]float32)
}

// keep holds the mapped files that some of the weights lie in until the model is no longer used.
func (m *model) keep(files mappedTensors) {
	files.release()
	runtime.AddCleanup(m, func(f mappedTensors) { f.Close() }, files)
}

type layer struct {
	qkv, out, up, down linear
	attention, output  normWeights
	rotary             *rotary // or nil
	window             int     // the farthest key that is looked at; 0 for no limit
}

type normWeights struct{ gamma, beta []float32 }

// linear is a packed weight matrix, float32, bfloat16 or int8.
type linear struct {
	f32  *tensor.PackedF32
	bias []float32 // of f32
	bf16 *tensor.PackedBF16
	int8 *tensor.PackedInt8
	in   []float32 // what each input is multiplied by before int8 weights; nil for nothing
}

// none tells that the graph has no such layer.
func (w *linear) none() bool { return w.f32 == nil && w.bf16 == nil && w.int8 == nil }

// table is an embedding table, float32 or int8 with a scale for each row.
type table struct {
	f32    []float32
	int8   []int8
	scales []float32
}

func loadModel(f tensors, cfg *modelConfig) (*model, error) {
	a, l := cfg.arch, loader{file: f, freeBias: cfg.arch.freeBias, precision: cfg.precision}
	for _, p := range a.prefixes {
		if _, ok := f.Tensor(p + a.words + ".weight"); ok {
			l.prefix = p
			break
		}
	}
	if a == archs["nomic_bert"] && !l.has(a.norm+".weight") {
		a = nomicNative
	}
	h, inner, size := cfg.Hidden, cfg.Intermediate, cfg.Embedding
	m := &model{cfg: cfg, act: activations[cfg.Activation]}
	m.words = l.table(a.words+".weight", cfg.Vocab, size)
	var types []float32
	if a.types != "" && cfg.Types > 0 {
		types = l.floats(a.types+".weight", cfg.Types, size)
	}
	if a.positions != "" {
		m.positions = l.floats(a.positions+".weight", cfg.Positions, size)
	}
	m.norm = l.norm(a.norm, size)
	if a.project != "" {
		m.project = l.linear(h, size, a.project)
	}
	if a.final != "" {
		m.final = l.norm(a.final, h)
	}
	var learnt []float32
	if a.buckets != "" {
		learnt = l.floats(a.buckets, cfg.Buckets, cfg.Heads)
	}
	if l.err != nil {
		return nil, l.err
	}
	if types != nil {
		m.first = types[:size]
	}
	if cfg.Types > 1 && types != nil {
		m.second = make([]float32, size)
		for i := range m.second {
			m.second[i] = types[size+i] - types[i]
		}
	}
	if m.positions != nil {
		m.positions = slices.Clone(m.positions[cfg.firstPosition*size:]) // out of the file
		for i := range m.positions {
			if types != nil {
				m.positions[i] += types[i%size]
			}
		}
	}
	switch {
	case a.alibi:
		m.bias = alibi(cfg.Heads, cfg.maxTokens)
	case a.buckets != "":
		m.bias = relativeBuckets(learnt, cfg.Buckets, cfg.Heads, cfg.maxTokens)
	}
	for _, d := range m.bias { // softmax scales the scores and this together
		root := float32(math.Sqrt(float64(h / cfg.Heads)))
		for i := range d {
			d[i] *= root
		}
	}
	shared := map[string]*layer{}
	turns := map[float64]*rotary{}
	width := inner
	if a.gated {
		width = 2 * inner
	}
	for i := range cfg.Layers {
		p := fmt.Sprintf(a.layer, i*cfg.Groups/cfg.Layers)
		y := shared[p]
		if y == nil {
			y = &layer{
				qkv: l.linear(3*h, h, under(p, a.qkv)...), out: l.linear(h, h, p+a.out),
				up: l.linear(width, h, under(p, a.up)...), down: l.linear(h, inner, p+a.down),
				output: l.norm(p+a.output, h),
			}
			if !a.preNorm || i > 0 { // the first norm of all would follow that of the embeddings
				y.attention = l.norm(p+a.attention, h)
			}
			if l.err != nil {
				return nil, l.err
			}
			if mapped, ok := f.(mappedTensors); ok {
				mapped.release() // most of it is packed now, and not read again
			}
			shared[p] = y
		}
		if a.rotary {
			base := cfg.ropeBase
			if cfg.local(i) {
				y.window, base = cfg.window, cfg.localBase
			}
			if turns[base] == nil {
				turns[base] = newRotary(cfg.maxTokens, h/cfg.Heads, base)
			}
			y.rotary = turns[base]
		}
		m.layers = append(m.layers, y)
	}
	return m, nil
}

func under(prefix string, names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = prefix + name
	}
	return out
}

// loader reads tensors and keeps the first error.
type loader struct {
	file      tensors
	prefix    string
	freeBias  bool // biases may be left out
	precision precision
	err       error
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
	if l.isInt8(name) {
		values, scales := l.int8(name, n, k)
		return table{int8: signed(values), scales: scales}
	}
	v := l.floats(name, n, k)
	if l.precision == asInt8 && l.err == nil {
		values, scales := quantiseRows(v, n, k)
		return table{int8: signed(values), scales: scales}
	}
	return table{f32: v}
}

// norm reads a layer norm; checkpoints converted from TensorFlow name its parts gamma and beta.
func (l *loader) norm(name string, n int) normWeights {
	g, b := name+".weight", name+".bias"
	if !l.has(g) && l.has(name+".gamma") {
		g, b = name+".gamma", name+".beta"
	}
	if l.freeBias && !l.has(b) {
		return normWeights{l.floats(g, n), make([]float32, n)}
	}
	return normWeights{l.floats(g, n), l.floats(b, n)}
}

// linear reads one layer of n outputs and k inputs, or several of one size that then act as one with
// their outputs side by side.
func (l *loader) linear(n, k int, names ...string) linear {
	quantised := l.isInt8(names[0] + ".weight")
	each := n / len(names)
	var bias, floats, scales []float32
	var ints []byte
	for _, name := range names {
		if quantised {
			v, s := l.int8(name+".weight", each, k)
			if len(names) == 1 {
				ints = v
			} else {
				ints = append(ints, v...)
			}
			scales = append(scales, s...)
		} else if v := l.floats(name+".weight", each, k); len(names) == 1 {
			floats = v
		} else {
			floats = append(floats, v...)
		}
		if l.freeBias && !l.has(name+".bias") {
			bias = append(bias, make([]float32, each)...)
		} else {
			bias = append(bias, l.floats(name+".bias", each)...)
		}
	}
	if l.err != nil {
		return linear{}
	}
	if l.precision == asBF16 && !quantised {
		return linear{bf16: tensor.PackBF16(floats, bias, n, k)}
	}
	if l.precision == asInt8 && !quantised {
		ints, scales = quantiseRows(floats, n, k)
		return linear{int8: tensor.PackInt8(ints, scales, bias, n, k)}
	}
	if quantised {
		w := linear{int8: tensor.PackInt8(ints, scales, bias, n, k)}
		if in := names[0] + ".weight_input"; l.has(in) {
			w.in = l.floats(in, k)
		}
		return w
	}
	return linear{f32: tensor.PackF32(floats, n, k), bias: bias}
}

// scratch is the memory of one forward pass. It grows to the largest pass it has seen.
type scratch struct {
	ids    []int32
	ends   []int // of each sequence in ids
	second []int // where the second text of each sequence begins in ids; empty without such
	tokens []tokenizer.Token
	x      []float32
	qkv    []float32
	ctx    []float32
	embed  []float32 // embeddings of another size than the layers
	part   []float32 // a block of rows: what a linear layer gives before it is added and normed
	wide   []float32 // a block of rows of the feed-forward part
	normed []float32 // a block of rows after a norm that comes first
	pooled []float32
	dense  [2][]float32 // what layers after the pooling give, in turns
	q      tensor.Quantised
	b      tensor.RowsBF16
	team   *team // helps with linear layers, or nil

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
	p := product{dst: dst, ldd: ldd, a: a, lda: lda, rows: rows, w: w}
	n, k, panels := 0, 0, 0
	switch {
	case w.int8 != nil:
		n, k, panels = w.int8.N, w.int8.K, w.int8.Panels()
		s.q.Set(a, lda, rows, k, w.in)
		p.q = &s.q
	case w.bf16 != nil:
		n, k, panels = w.bf16.N, w.bf16.K, w.bf16.Panels()
		s.b.Set(a, lda, rows, k)
		p.b = &s.b
	default:
		n, k, panels = w.f32.N, w.f32.K, w.f32.Panels()
	}
	if s.team != nil && rows*n*k >= splitWork {
		s.team.mul(p, panels)
		return
	}
	p.part(0, panels)
}

// product is one use of a linear layer: rows of dst from rows of a, or from what they became for weights
// that are not float32.
type product struct {
	dst            []float32
	ldd, lda, rows int
	a              []float32
	q              *tensor.Quantised
	b              *tensor.RowsBF16
	w              *linear
}

// part computes some panels of columns.
func (p *product) part(from, to int) {
	switch {
	case p.w.int8 != nil:
		p.w.int8.Mul(p.dst, p.ldd, p.q, from, to)
	case p.w.bf16 != nil:
		p.w.bf16.Mul(p.dst, p.ldd, p.b, from, to)
	default:
		p.w.f32.Mul(p.dst, p.ldd, p.a, p.lda, p.rows, p.w.bias, from, to)
	}
}

// embeddings writes the embeddings of s.ids to dst, a row for each token.
func (m *model) embeddings(s *scratch, dst []float32) {
	n, eps := m.cfg.Embedding, float32(m.cfg.Epsilon)
	begin := 0
	for i, end := range s.ends {
		for t := begin; t < end; t++ {
			row := dst[t*n : (t+1)*n]
			m.words.row(row, int(s.ids[t]))
			if len(s.second) > 0 && t >= s.second[i] && m.second != nil {
				tensor.Axpy(row, m.second, 1)
			}
			add := m.first
			if m.positions != nil {
				add = m.positions[(t-begin)*n : (t-begin+1)*n]
			}
			tensor.AddNorm(row, row, add, m.norm.gamma, m.norm.beta, eps)
		}
		begin = end
	}
}

// add adds what a branch of a layer gave to x, and norms the sum unless norms come first.
func (m *model) add(x, branch []float32, norm *normWeights) {
	if m.cfg.arch.preNorm {
		tensor.Axpy(x, branch, 1)
		return
	}
	h := m.cfg.Hidden
	for r := 0; r < len(x); r += h {
		tensor.AddNorm(x[r:r+h], branch[r:], x[r:], norm.gamma, norm.beta, float32(m.cfg.Epsilon))
	}
}

// enter is what a branch of a layer reads: x, or its norm where that comes first.
func (m *model) enter(s *scratch, x []float32, norm *normWeights) []float32 {
	if !m.cfg.arch.preNorm || norm.gamma == nil {
		return x
	}
	out, h := grow(&s.normed, len(x)), m.cfg.Hidden
	for r := 0; r < len(x); r += h {
		tensor.AddNorm(out[r:r+h], x[r:], nil, norm.gamma, norm.beta, float32(m.cfg.Epsilon))
	}
	return out
}

// activate applies the activation to rows of the feed-forward part that lie width apart.
func (m *model) activate(wide []float32, width int) {
	inner := m.cfg.Intermediate
	if width == inner {
		m.act(wide)
		return
	}
	for r := 0; r < len(wide); r += width {
		a, b := wide[r:r+inner], wide[r+inner:r+width]
		m.act(a)
		for i, x := range b {
			a[i] *= x
		}
	}
}

// forward runs the sequences in s.ids and leaves the last hidden state in s.x, a row for each token.
func (m *model) forward(ctx context.Context, s *scratch) error {
	t, h, width := len(s.ids), m.cfg.Hidden, m.cfg.Intermediate
	if m.cfg.arch.gated {
		width *= 2
	}
	x := grow(&s.x, t*h)
	qkv := grow(&s.qkv, t*3*h)
	att := grow(&s.ctx, t*h)
	part := grow(&s.part, blockRows*h)
	wide := grow(&s.wide, blockRows*width)

	embedded := x
	if !m.project.none() {
		embedded = grow(&s.embed, t*m.cfg.Embedding)
	}
	m.embeddings(s, embedded)
	for b := 0; b < t; b += blockRows {
		rows := min(blockRows, t-b)
		if !m.project.none() {
			s.mul(x[b*h:], h, embedded[b*m.cfg.Embedding:], m.cfg.Embedding, rows, &m.project)
		}
		s.mul(qkv[b*3*h:], 3*h, m.enter(s, x[b*h:(b+rows)*h], &m.layers[0].attention), h, rows, &m.layers[0].qkv)
	}
	for i, l := range m.layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		begin := 0
		for _, end := range s.ends {
			m.attend(s, l, att, qkv, begin, end)
			begin = end
		}
		// Everything up to the next attention looks at one row at a time, so a block of rows goes
		// through all of it while it is in the cache.
		for b := 0; b < t; b += blockRows {
			rows := min(blockRows, t-b)
			xb := x[b*h : (b+rows)*h]
			s.mul(part, h, att[b*h:], h, rows, &l.out)
			m.add(xb, part, &l.attention)
			s.mul(wide, width, m.enter(s, xb, &l.output), h, rows, &l.up)
			m.activate(wide[:rows*width], width)
			s.mul(part, h, wide, width, rows, &l.down)
			m.add(xb, part, &l.output)
			if i+1 < len(m.layers) {
				next := m.layers[i+1]
				s.mul(qkv[b*3*h:], 3*h, m.enter(s, xb, &next.attention), h, rows, &next.qkv)
			} else if m.final.gamma != nil {
				copy(xb, m.enter(s, xb, &m.final))
			}
		}
	}
	runtime.KeepAlive(m) // and with it the files that weights lie in
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

// attend computes self-attention for the sequence in rows begin to end. It turns queries and keys in
// place where the layer has rotary positions.
func (m *model) attend(s *scratch, l *layer, dst, qkv []float32, begin, end int) {
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
		if l.rotary != nil {
			l.rotary.turn(base, stride, n)
			l.rotary.turn(base[h:], stride, n)
		}
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
			lo, hi := 0, n // of keys; lo at the border of a panel
			if l.window > 0 {
				lo, hi = max(0, q-l.window)/pw*pw, min(n, q+r+l.window)
			}
			tensor.MulPacked(scores, padded, base[q*stride:], stride, r, keys[lo*size:], hi-lo, size)
			for i := range r {
				row := scores[i*padded:][:hi-lo]
				if m.bias != nil {
					tensor.Axpy(row, m.bias[head].from(q+i, lo), 1)
				}
				if l.window > 0 {
					from, to := max(lo, q+i-l.window)-lo, min(hi, q+i+l.window+1)-lo
					clear(row[:from])
					clear(row[to:])
					row = row[from:to]
				}
				tensor.Softmax(row, scale)
			}
			out := dst[(begin+q)*h+head*size:]
			if sizeUp == size {
				tensor.MulRows(out, h, scores, padded, r, values[lo*ldv:], ldv, size, hi-lo)
				continue
			}
			tmp := grow(&s.heads, rows*sizeUp)
			tensor.MulRows(tmp, sizeUp, scores, padded, r, values[lo*ldv:], ldv, sizeUp, hi-lo)
			for i := range r {
				copy(out[i*h:][:size], tmp[i*sizeUp:])
			}
		}
	}
}
