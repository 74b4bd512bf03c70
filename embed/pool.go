package embed

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"strings"

	"docent/internal/tensor"
	"docent/internal/tensor/safetensors"
)

// pool makes one vector of a text's rows of h values.
func pool(mode pooling, dst, rows []float32) {
	h := len(dst)
	switch mode {
	case poolCLS:
		copy(dst, rows)
	case poolLast:
		copy(dst, rows[len(rows)-h:])
	case poolMax:
		copy(dst, rows)
		for r := h; r < len(rows); r += h {
			for i, x := range rows[r : r+h] {
				dst[i] = max(dst[i], x)
			}
		}
	default:
		clear(dst)
		for r := 0; r < len(rows); r += h {
			tensor.Axpy(dst, rows[r:r+h], 1)
		}
		for i := range dst {
			dst[i] /= float32(len(rows) / h)
		}
	}
}

// dense is a layer that sentence-transformers puts after the pooling.
type dense struct {
	in, out       int
	weights, bias []float32
	act           func([]float32) // nil for none
}

func (d *dense) apply(dst, x []float32) {
	tensor.Dots(dst, x, d.weights)
	for i, b := range d.bias {
		dst[i] += b
	}
	if d.act != nil {
		d.act(dst)
	}
}

// maxDense bounds the weights of such a layer; the largest in use have some 20 MB.
const maxDense = 128 << 20

// readDense reads one from its folder, given the number of values that come in.
func readDense(dir fs.FS, sub string, in int) (dense, error) {
	var c struct {
		In   int    `json:"in_features"`
		Out  int    `json:"out_features"`
		Bias *bool  `json:"bias"`
		Act  string `json:"activation_function"`
	}
	name := path.Join(sub, "config.json")
	found, err := readJSON(dir, name, &c)
	if err != nil {
		return dense{}, err
	}
	if !found {
		return dense{}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	if c.In != in || c.Out < 1 || c.Out > 1<<14 {
		return dense{}, fmt.Errorf("%s: %d inputs and %d outputs, want %d and 1 to %d", name, c.In, c.Out, in, 1<<14)
	}
	d := dense{in: c.In, out: c.Out}
	switch act := c.Act[strings.LastIndexByte(c.Act, '.')+1:]; act {
	case "Tanh", "": // the default of sentence-transformers
		d.act = tanh
	case "Identity":
	case "ReLU":
		d.act = relu
	case "GELU":
		d.act = tensor.GELU
	default:
		return dense{}, fmt.Errorf("%s: activation_function %q is not supported", name, c.Act)
	}
	name = path.Join(sub, "model.safetensors")
	f, err := dir.Open(name)
	if err != nil {
		return dense{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxDense+1))
	if err == nil && len(data) > maxDense {
		err = fmt.Errorf("over %d MiB", maxDense>>20)
	}
	if err != nil {
		return dense{}, fmt.Errorf("%s: %w", name, err)
	}
	file, err := safetensors.Parse(data)
	if err == nil {
		d.weights, err = file.Float32("linear.weight", d.out, d.in)
	}
	if err == nil && (c.Bias == nil || *c.Bias) {
		d.bias, err = file.Float32("linear.bias", d.out)
	}
	if err != nil {
		return dense{}, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}

// dim is the number of values that pooling and the layers after it give.
func (c *modelConfig) dim() int {
	if n := len(c.dense); n > 0 {
		return c.dense[n-1].out
	}
	return c.Hidden
}

var errNoVector = errors.New("the model gave no finite vector")

// vector makes the vector of a text, of length 1, from its rows of the last layer.
func (m *model) vector(s *scratch, dst, rows []float32) error {
	v := grow(&s.pooled, m.cfg.Hidden)
	pool(m.cfg.pooling, v, rows)
	for i := range m.cfg.dense {
		d := &m.cfg.dense[i]
		out := grow(&s.dense[i%2], d.out)
		d.apply(out, v)
		v = out
	}
	copy(dst, v) // the first values, where fewer are wanted
	if !normalise(dst) {
		return errNoVector
	}
	return nil
}

// normalise scales v to length 1; it is false when v has no direction.
func normalise(v []float32) bool {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if !(sum > 0) || math.IsInf(sum, 0) {
		return false
	}
	inv := 1 / math.Sqrt(sum)
	for i, x := range v {
		v[i] = float32(float64(x) * inv)
	}
	return true
}
