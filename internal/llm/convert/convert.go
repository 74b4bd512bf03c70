package convert

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"docent/internal/llm/gguf"
	"docent/internal/tensor/safetensors"
)

// Options says how a checkpoint is converted.
type Options struct {
	Type        Type   // empty means Q8_0
	Name        string // general.name; empty means the folder's
	NoTokenizer bool   // a folder without a tokenizer is converted too; the model then reads and writes ids only
	Overwrite   bool

	// Progress is told the bytes written of those to write, at most once for each part of a tensor; nil for none.
	Progress func(written, total int64)
}

// output is a tensor of the file.
type output struct {
	name, part string
	layer      int
	layers     int
	experts    int
	tied       bool // there is no output matrix but this one
	shape      []int
	kind       gguf.Type
	pieces     []piece
}

// piece is a tensor of the checkpoint, or part of an output's rows.
type piece struct {
	file       *safetensors.File
	name       string
	rows, cols int
	index      int
	pairs      int  // rows of a head whose halves are interleaved; 0: as they are
	transposed bool // the file has cols rows of rows values
	add        float32
}

// Folder converts the checkpoint in dir to the file out.
func Folder(ctx context.Context, dir, out string, opts Options) (err error) {
	kind, err := ParseType(string(opts.Type))
	if err != nil {
		return err
	}
	if !opts.Overwrite {
		if _, err := os.Lstat(out); err == nil {
			return fmt.Errorf("convert %s: %s: %w", dir, out, fs.ErrExist)
		}
	}
	c, err := open(dir)
	if err != nil {
		return fmt.Errorf("convert %s: %w", dir, err)
	}
	defer c.close()
	if opts.Name == "" {
		if abs, err := filepath.Abs(dir); err == nil {
			opts.Name = filepath.Base(abs)
		}
	}
	meta, tensors, err := c.plan(kind, opts)
	if err != nil {
		return fmt.Errorf("convert %s: %w", dir, err)
	}
	f, err := os.CreateTemp(filepath.Dir(out), "."+filepath.Base(out)+".*")
	if err != nil {
		return err
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if err := c.write(ctx, f, meta, tensors, opts.Progress); err != nil {
		return fmt.Errorf("convert %s: %w", dir, err)
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), out)
}

// checkpoint is an open folder.
type checkpoint struct {
	dir     fs.FS
	config  *config
	family  family
	files   []*os.File
	sources map[string]*safetensors.File // by tensor
	outputs map[string]*output
}

func open(dir string) (_ *checkpoint, err error) {
	c := &checkpoint{dir: os.DirFS(dir), sources: map[string]*safetensors.File{}, outputs: map[string]*output{}}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	data, err := readFile(c.dir, "config.json")
	if err != nil {
		return nil, err
	}
	if c.config, c.family, err = parseConfig(data); err != nil {
		return nil, err
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, errors.New("there is no .safetensors file (pickles, pytorch_model.bin, are not read)")
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		c.files = append(c.files, f)
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		s, err := safetensors.Open(f, info.Size())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		for _, name := range s.Names() {
			if c.sources[name] != nil {
				return nil, fmt.Errorf("%s: tensor %q is in another file too", filepath.Base(path), name)
			}
			c.sources[name] = s
		}
	}
	return c, c.checkIndex()
}

// checkIndex compares the files that are there with the list of a checkpoint in parts.
func (c *checkpoint) checkIndex() error {
	var index struct {
		Map map[string]string `json:"weight_map"`
	}
	if err := readJSON(c.dir, "model.safetensors.index.json", &index); err != nil {
		return err
	}
	for name, file := range index.Map {
		if c.sources[name] == nil {
			return fmt.Errorf("model.safetensors.index.json: tensor %q is to be in %s, but is not there", name, file)
		}
	}
	return nil
}

func (c *checkpoint) close() {
	for _, f := range c.files {
		f.Close()
	}
}

// plan says what the file holds.
func (c *checkpoint) plan(kind Type, opts Options) (meta []gguf.KeyValue, tensors []gguf.Tensor, err error) {
	meta = []gguf.KeyValue{
		{Key: "general.architecture", Value: c.family.arch}, {Key: "general.type", Value: "model"}, {Key: "general.name", Value: opts.Name},
		{Key: "general.file_type", Value: fileTypes[kind].number}, {Key: "general.quantization_version", Value: uint32(2)},
	}
	shape, extra, err := c.config.metadata(c.family)
	if err != nil {
		return nil, nil, err
	}
	meta = append(meta, shape...)
	for name, file := range c.sources {
		if err := c.take(file, name); err != nil {
			return nil, nil, err
		}
	}
	embeds := c.outputs["token_embd.weight"]
	if embeds == nil {
		return nil, nil, fmt.Errorf("%w: there are no embeddings of tokens", ErrUnsupported)
	}
	if c.config.tied(c.family) {
		delete(c.outputs, "output.weight")
	} else if c.outputs["output.weight"] == nil && c.family.arch == "t5" {
		// A file without an output means one that is scaled.
		c.outputs["output.weight"] = &output{name: "output.weight", part: "output", layer: -1, shape: embeds.shape, pieces: embeds.pieces}
	}
	embeds.tied = c.outputs["output.weight"] == nil
	for _, o := range c.outputs {
		if err := o.finish(c, kind); err != nil {
			return nil, nil, err
		}
	}
	words, err := vocabulary(c.dir, c.config, embeds.shape[1])
	switch {
	case errors.Is(err, fs.ErrNotExist) && opts.NoTokenizer:
		meta = append(meta, gguf.KeyValue{Key: "tokenizer.ggml.model", Value: "none"})
	case err != nil:
		return nil, nil, err
	}
	meta = append(meta, words...)
	// Layers in the order that they are computed in.
	all := make([]*output, 0, len(c.outputs))
	for _, o := range c.outputs {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b *output) int {
		if a.layer != b.layer {
			return a.layer - b.layer
		}
		return strings.Compare(a.name, b.name)
	})
	for _, o := range all {
		tensors = append(tensors, gguf.Tensor{Name: o.name, Type: o.kind, Shape: o.shape})
	}
	return meta, append(tensors, extra...), nil
}

// take finds the output of a tensor of the checkpoint.
func (c *checkpoint) take(file *safetensors.File, name string) error {
	p, ok, err := c.family.place(name)
	if err != nil || !ok {
		return err
	}
	t, _ := file.Tensor(name)
	shape := t.Shape
	if p.part == "ffn_gate_inp_shexp" && len(shape) == 2 && shape[0] == 1 {
		shape = shape[1:]
	}
	if len(shape) < 1 || len(shape) > 2 || slices.Contains(shape, 0) {
		return fmt.Errorf("%w: tensor %q has shape %v", ErrUnsupported, name, t.Shape)
	}
	in := piece{file: file, name: name, rows: 1, cols: shape[len(shape)-1], index: p.index}
	if len(shape) == 2 {
		in.rows = shape[0]
		if c.family.transposed && p.part != "token_embd" && p.part != "position_embd" && p.part != "output" {
			in.rows, in.cols, in.transposed = in.cols, in.rows, true
		}
	}
	if c.family.plusOne && strings.HasSuffix(p.part, "norm") {
		in.add = 1
	}
	if c.family.permuted && (p.part == "attn_q" || p.part == "attn_k") {
		in.pairs = c.config.HeadDim
		if len(shape) == 1 { // a bias is turned as a column would be
			in.rows, in.cols = in.cols, 1
		}
		if in.rows%in.pairs != 0 || in.pairs%2 != 0 {
			return fmt.Errorf("%w: tensor %q has shape %v, heads have %d values", ErrUnsupported, name, t.Shape, in.pairs)
		}
	}
	o := c.outputs[p.name]
	if o == nil {
		o = &output{name: p.name, part: p.part, layers: c.config.Layers, experts: c.config.Experts, layer: -1}
		if side, rest, ok := strings.Cut(p.name, "blk."); ok {
			number, _, _ := strings.Cut(rest, ".")
			o.layer, _ = strconv.Atoi(number)
			if side == "dec." {
				o.layers = c.config.Decoders
			}
			if o.layer >= o.layers {
				return fmt.Errorf("%w: tensor %q is of layer %d, config.json says there are %d", ErrUnsupported, name, o.layer, o.layers)
			}
		}
		c.outputs[p.name] = o
		o.shape = slices.Clone(shape)
	}
	o.pieces = append(o.pieces, in)
	return nil
}

// finish puts an output's pieces in order and chooses its type.
func (o *output) finish(c *checkpoint, kind Type) error {
	slices.SortFunc(o.pieces, func(a, b piece) int { return a.index - b.index })
	first := o.pieces[0]
	for i, p := range o.pieces {
		if p.index != i || p.rows != first.rows || p.cols != first.cols {
			return fmt.Errorf("%w: tensor %q: it should be number %d of %d by %d values", ErrUnsupported, p.name, i, first.rows, first.cols)
		}
	}
	stacked := strings.HasSuffix(o.part, "_exps") || len(o.pieces) > 1
	switch {
	case len(o.shape) == 1 && !stacked:
	case len(o.shape) == 1:
		o.shape = []int{first.cols, len(o.pieces)}
	case stacked:
		o.shape = []int{first.cols, first.rows, len(o.pieces)}
	default:
		o.shape = []int{first.cols, first.rows}
	}
	if strings.HasSuffix(o.part, "_exps") && len(o.pieces) != c.config.Experts {
		return fmt.Errorf("%w: %d of %d experts of %s are there", ErrUnsupported, len(o.pieces), c.config.Experts, o.name)
	}
	o.kind = o.tensorType(kind)
	return nil
}

// vector is a tensor of values that no checkpoint has.
func vector(name string, values []float64) gguf.Tensor {
	t := gguf.Tensor{Name: name, Type: gguf.F32, Shape: []int{len(values)}, Data: make([]byte, 4*len(values))}
	x := make([]float32, len(values))
	for i, v := range values {
		x[i] = float32(v)
	}
	round(gguf.F32, t.Data, x)
	return t
}

const chunk = 1 << 20 // values in memory at a time, unless a tensor has to be turned over

// write writes the file, tensor by tensor.
func (c *checkpoint) write(ctx context.Context, out io.Writer, meta []gguf.KeyValue, tensors []gguf.Tensor, progress func(written, total int64)) error {
	var written, total int64
	for _, t := range tensors {
		values, bytes := t.Type.Block()
		total += int64(t.Values() / values * bytes)
	}
	buf := bufio.NewWriterSize(out, 1<<20)
	err := gguf.Write(buf, meta, tensors, func(w io.Writer, t gguf.Tensor) error {
		o := c.outputs[t.Name]
		for _, p := range o.pieces {
			if err := p.read(func(x []float32) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				b := quantise(t.Type, x)
				written += int64(len(b))
				if progress != nil {
					progress(written, total)
				}
				_, err := w.Write(b)
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return buf.Flush()
}

// read gives do the piece's values as they are in files, whole rows at a time.
func (p piece) read(do func(x []float32) error) error {
	if p.transposed {
		x, out := make([]float32, p.rows*p.cols), make([]float32, p.rows*p.cols)
		if err := p.file.Range(p.name, 0, x); err != nil {
			return err
		}
		for i := range p.rows {
			for j := range p.cols {
				out[i*p.cols+j] = x[j*p.rows+i]
			}
		}
		return do(out)
	}
	unit := max(1, p.pairs) // rows that must be read together
	size := max(unit, chunk/p.cols/unit*unit)
	buf := make([]float32, min(size, p.rows)*p.cols)
	turned := make([]float32, p.pairs*p.cols)
	for at := 0; at < p.rows; at += size {
		n := min(size, p.rows-at)
		x := buf[:n*p.cols]
		if err := p.file.Range(p.name, at*p.cols, x); err != nil {
			return err
		}
		if p.add != 0 {
			for i := range x {
				x[i] += p.add
			}
		}
		for head := 0; p.pairs > 0 && head < n; head += p.pairs {
			part := x[head*p.cols : (head+p.pairs)*p.cols]
			for i := range p.pairs {
				from := i/2 + i%2*p.pairs/2
				copy(turned[i*p.cols:(i+1)*p.cols], part[from*p.cols:])
			}
			copy(part, turned)
		}
		if err := do(x); err != nil {
			return err
		}
	}
	return nil
}

// quantise rounds values on all processors.
func quantise(t gguf.Type, x []float32) []byte {
	values, bytes := t.Block()
	out := make([]byte, len(x)/values*bytes)
	blocks := len(x) / values
	each := (blocks + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for from := 0; from < blocks; from += each {
		to := min(blocks, from+each)
		wg.Go(func() { round(t, out[from*bytes:to*bytes], x[from*values:to*values]) })
	}
	wg.Wait()
	return out
}
