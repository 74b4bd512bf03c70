// Package safetensors reads model weights in the safetensors format.
//
// A file is an 8-byte little-endian length, that many bytes of JSON that give each tensor's type,
// shape and place, and then the tensors. Files come from strangers: the header is checked in full
// before any tensor is read, and nothing is allocated on the word of a header alone.
//
//	┌─────────┬──────────────────────────────────────────────────────┬─────────────
//	│ n (u64) │ {"w":{"dtype":"F32","shape":[2,3],"data_offsets":[…]}} │ tensor bytes
//	└─────────┴──────────────────────────────────────────────────────┴─────────────
package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"docent/internal/mmap"
)

// maxHeader bounds the JSON header. The largest public models need under 1 MiB a file.
const maxHeader = 32 << 20

// ErrMissing is returned for a tensor that the file does not hold.
var ErrMissing = errors.New("no such tensor")

// A Tensor is what the header says of one tensor.
type Tensor struct {
	DType string // "F32", "F16", "BF16", "I8", ...
	Shape []int
	begin int64 // in the file
	size  int64 // bytes
}

// elemSize is the size in bytes of each element type of the format.
var elemSize = map[string]int64{
	"BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
	"I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8,
}

// A File is an open safetensors file. It is safe for concurrent use when its reader is.
type File struct {
	// Metadata is the header's free-form part. It must not be changed.
	Metadata map[string]string

	data    []byte // the whole file, or nil
	r       io.ReaderAt
	tensors map[string]Tensor
}

// Parse reads a file held in memory. The file keeps data, which must not change.
func Parse(data []byte) (*File, error) {
	f, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	f.data = data
	return f, nil
}

// Open reads the header of a file of the given size in bytes. The file keeps r.
func Open(r io.ReaderAt, size int64) (*File, error) {
	var length [8]byte
	if size < 8 {
		return nil, fmt.Errorf("safetensors: file has %d bytes, too short for a header", size)
	}
	if _, err := r.ReadAt(length[:], 0); err != nil {
		return nil, fmt.Errorf("safetensors: read header: %w", err)
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxHeader || int64(n) > size-8 {
		return nil, fmt.Errorf("safetensors: header claims %d bytes in a file of %d (at most %d)", n, size, maxHeader)
	}
	raw := make([]byte, n)
	if _, err := r.ReadAt(raw, 8); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("safetensors: read header: %w", err)
	}
	f := &File{r: r, tensors: map[string]Tensor{}}
	if err := f.header(raw, 8+int64(n), size); err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	return f, nil
}

func (f *File) header(raw []byte, base, size int64) error {
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	for name, raw := range entries {
		if name == "__metadata__" {
			if err := json.Unmarshal(raw, &f.Metadata); err != nil {
				return fmt.Errorf("metadata: %w", err)
			}
			continue
		}
		var e struct {
			DType   string  `json:"dtype"`
			Shape   []int64 `json:"shape"`
			Offsets []int64 `json:"data_offsets"`
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		width, ok := elemSize[e.DType]
		if !ok {
			return fmt.Errorf("tensor %q: element type %q is not known", name, e.DType)
		}
		if len(e.Offsets) != 2 || e.Offsets[0] < 0 || e.Offsets[1] < e.Offsets[0] || e.Offsets[1] > size-base {
			return fmt.Errorf("tensor %q: bytes %v lie outside the %d bytes of data", name, e.Offsets, size-base)
		}
		want, shape := width, make([]int, len(e.Shape))
		for i, d := range e.Shape {
			if d < 0 || d > math.MaxInt32 || d > 0 && want > math.MaxInt64/d {
				return fmt.Errorf("tensor %q: shape %v is out of range", name, e.Shape)
			}
			want *= d
			shape[i] = int(d)
		}
		if have := e.Offsets[1] - e.Offsets[0]; want != have {
			return fmt.Errorf("tensor %q: %s %v needs %d bytes, has %d", name, e.DType, e.Shape, want, have)
		}
		f.tensors[name] = Tensor{DType: e.DType, Shape: shape, begin: base + e.Offsets[0], size: want}
	}
	names := slices.SortedFunc(maps.Keys(f.tensors), func(a, b string) int {
		x, y := f.tensors[a], f.tensors[b]
		if x.begin != y.begin {
			return int(min(max(x.begin-y.begin, -1), 1))
		}
		return int(min(max(x.size-y.size, -1), 1))
	})
	for i := 1; i < len(names); i++ {
		a, b := f.tensors[names[i-1]], f.tensors[names[i]]
		if a.begin+a.size > b.begin {
			return fmt.Errorf("tensors %q and %q overlap", names[i-1], names[i])
		}
	}
	return nil
}

// Names lists the tensors, sorted.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.tensors)) }

// Tensor describes the tensor of that name.
func (f *File) Tensor(name string) (Tensor, bool) {
	t, ok := f.tensors[name]
	return t, ok
}

// find checks that a tensor has a shape.
func (f *File) find(name string, shape []int) (Tensor, error) {
	t, ok := f.tensors[name]
	if !ok {
		return t, fmt.Errorf("tensor %q: %w", name, ErrMissing)
	}
	if !slices.Equal(t.Shape, shape) {
		return t, fmt.Errorf("tensor %q: shape %v, want %v", name, t.Shape, shape)
	}
	return t, nil
}

func (f *File) read(name string, t Tensor) ([]byte, error) {
	if f.data != nil {
		return f.data[t.begin : t.begin+t.size : t.begin+t.size], nil
	}
	b := make([]byte, t.size)
	if n, err := f.r.ReadAt(b, t.begin); n < len(b) {
		return nil, fmt.Errorf("tensor %q: %w", name, err)
	}
	return b, nil
}

// Int8 returns the values of an I8 tensor of the given shape. They are shared with the file when it
// was made by [Parse], and must not be changed.
func (f *File) Int8(name string, shape ...int) ([]byte, error) {
	t, err := f.find(name, shape)
	if err != nil {
		return nil, err
	}
	if t.DType != "I8" {
		return nil, fmt.Errorf("tensor %q: element type %s, want I8", name, t.DType)
	}
	return f.read(name, t)
}

// Float32 returns the values of an F32, F16 or BF16 tensor of the given shape. Those of an F32 tensor
// are shared with the file where it was made by [Parse] and they lie on a border of 4 bytes; they must
// not be changed. Infinities and NaNs are refused: no trained weight is one.
func (f *File) Float32(name string, shape ...int) ([]float32, error) {
	t, err := f.find(name, shape)
	if err != nil {
		return nil, err
	}
	if t.DType != "F32" && t.DType != "F16" && t.DType != "BF16" {
		return nil, fmt.Errorf("tensor %q: element type %s, want F32, F16 or BF16", name, t.DType)
	}
	b, err := f.read(name, t)
	if err != nil {
		return nil, err
	}
	out, ok := []float32(nil), false
	if t.DType == "F32" {
		out, ok = mmap.Float32s(b)
	}
	if !ok {
		out = make([]float32, int64(len(b))/elemSize[t.DType])
		widen(out, b, t.DType)
	}
	return out, finite(out, name, 0)
}

// Range sets dst to values of an F32, F16 or BF16 tensor from place first on, in the order of the file, so that
// a large tensor need not be in memory. Infinities and NaNs are refused.
func (f *File) Range(name string, first int, dst []float32) error {
	t, ok := f.tensors[name]
	if !ok {
		return fmt.Errorf("tensor %q: %w", name, ErrMissing)
	}
	if t.DType != "F32" && t.DType != "F16" && t.DType != "BF16" {
		return fmt.Errorf("tensor %q: element type %s, want F32, F16 or BF16", name, t.DType)
	}
	width := elemSize[t.DType]
	begin, size := int64(first)*width, int64(len(dst))*width
	if first < 0 || begin > t.size || size > t.size-begin {
		return fmt.Errorf("tensor %q: values %d to %d of %d", name, first, first+len(dst), t.size/width)
	}
	b, err := f.read(name, Tensor{begin: t.begin + begin, size: size})
	if err != nil {
		return err
	}
	widen(dst, b, t.DType)
	return finite(dst, name, first)
}

// widen sets dst to the values in b.
func widen(dst []float32, b []byte, dtype string) {
	for i := range dst {
		switch dtype {
		case "F32":
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		case "F16":
			dst[i] = Float16(binary.LittleEndian.Uint16(b[2*i:]))
		case "BF16":
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
		}
	}
}

// finite names the first of a tensor's values from place first on that is no number.
func finite(x []float32, name string, first int) error {
	for i, v := range x {
		if v-v != 0 {
			return fmt.Errorf("tensor %q: value %d is %v", name, first+i, v)
		}
	}
	return nil
}

// Float16 is the value of an IEEE 754 half.
func Float16(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch exp {
	case 0:
		return math.Float32frombits(sign | math.Float32bits(float32(frac)*(1.0/(1<<24))))
	case 31:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}
