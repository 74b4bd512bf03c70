package models

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Bounds of a GGUF header. The largest vocabularies have some 300 000 entries.
const (
	maxGGUFKeys    = 1 << 16
	maxGGUFTensors = 1 << 16
	maxGGUFString  = 1 << 20
	maxGGUFArray   = 1 << 23
)

// ggufHeader is what the beginning of a GGUF file says. Arrays are passed over; of them only the length
// is known.
type ggufHeader struct {
	version    uint32
	values     map[string]any // string, bool, int64, uint64, float64, or ggufArray
	parameters int64
	types      map[string]int64 // parameters by type of tensor
}

type ggufArray struct{ len uint64 }

var errGGUF = errors.New("not a GGUF file that can be read")

// ggufTypes are the names of the tensor types in use.
var ggufTypes = map[uint32]string{
	0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K",
	14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS",
	24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}

// readGGUF reads the header: versions 2 and 3, little endian. size is that of the file.
func readGGUF(r io.Reader, size int64) (*ggufHeader, error) {
	g := ggufReader{r: bufio.NewReaderSize(r, 1<<16), left: size}
	if magic := g.u32(); g.err != nil || magic != 0x46554747 {
		return nil, fmt.Errorf("%w: it does not begin with GGUF", errGGUF)
	}
	h := &ggufHeader{version: g.u32(), values: map[string]any{}, types: map[string]int64{}}
	if h.version != 2 && h.version != 3 {
		return nil, fmt.Errorf("%w: version %d, want 2 or 3", errGGUF, h.version)
	}
	tensors, keys := g.u64(), g.u64()
	if tensors > maxGGUFTensors || keys > maxGGUFKeys {
		return nil, fmt.Errorf("%w: it claims %d tensors and %d keys", errGGUF, tensors, keys)
	}
	for range keys {
		name := g.str()
		kind := g.u32()
		v := g.value(kind)
		if g.err != nil {
			return nil, fmt.Errorf("%w: key %.60q: %w", errGGUF, name, g.err)
		}
		h.values[name] = v
	}
	for range tensors {
		name := g.str()
		dims := g.u32()
		if g.err == nil && dims > 8 {
			g.err = fmt.Errorf("%d dimensions", dims)
		}
		n := uint64(1)
		for range min(dims, 8) {
			d := g.u64()
			if d != 0 && n > math.MaxInt64/d {
				g.err = errors.Join(g.err, errors.New("its size overflows"))
				break
			}
			n *= d
		}
		kind := g.u32()
		g.u64() // offset
		// Even at one bit a value it would have to fit in the file.
		if g.err == nil && n/8 > uint64(size) {
			g.err = fmt.Errorf("%d values in a file of %d bytes", n, size)
		}
		if g.err != nil {
			return nil, fmt.Errorf("%w: tensor %.60q: %w", errGGUF, name, g.err)
		}
		h.parameters += int64(n)
		t, ok := ggufTypes[kind]
		if !ok {
			t = fmt.Sprintf("type %d", kind)
		}
		h.types[t] += int64(n)
	}
	return h, nil
}

// ggufReader reads values and keeps the first error.
type ggufReader struct {
	r    *bufio.Reader
	left int64
	err  error
}

func (g *ggufReader) bytes(n uint64) []byte {
	if g.err != nil {
		return nil
	}
	if n > maxGGUFString || int64(n) > g.left {
		g.err = fmt.Errorf("%d bytes where %d are left", n, g.left)
		return nil
	}
	b := make([]byte, n)
	if _, g.err = io.ReadFull(g.r, b); g.err != nil {
		return nil
	}
	g.left -= int64(n)
	return b
}

func (g *ggufReader) skip(n uint64) {
	if g.err != nil {
		return
	}
	if n > math.MaxInt64 || int64(n) > g.left {
		g.err = fmt.Errorf("%d bytes where %d are left", n, g.left)
		return
	}
	_, g.err = io.CopyN(io.Discard, g.r, int64(n))
	g.left -= int64(n)
}

func (g *ggufReader) u32() uint32 {
	if b := g.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (g *ggufReader) u64() uint64 {
	if b := g.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (g *ggufReader) str() string { return string(g.bytes(g.u64())) }

// ggufSizes are the bytes of a value, by kind; 0 for the kinds that vary.
var ggufSizes = [13]uint64{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}

func (g *ggufReader) value(kind uint32) any {
	if g.err != nil {
		return nil
	}
	if kind >= uint32(len(ggufSizes)) {
		g.err = fmt.Errorf("value of unknown type %d", kind)
		return nil
	}
	switch kind {
	case 8:
		return g.str()
	case 9:
		return g.array()
	}
	b := g.bytes(ggufSizes[kind])
	if b == nil {
		return nil
	}
	switch kind {
	case 0:
		return uint64(b[0])
	case 1:
		return int64(int8(b[0]))
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 3:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	case 5:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	case 6:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	case 7:
		return b[0] != 0
	case 10:
		return binary.LittleEndian.Uint64(b)
	case 11:
		return int64(binary.LittleEndian.Uint64(b))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

func (g *ggufReader) array() any {
	kind, n := g.u32(), g.u64()
	switch {
	case g.err != nil:
		return nil
	case n > maxGGUFArray:
		g.err = fmt.Errorf("array of %d values", n)
	case kind == 8:
		for range n {
			if g.skip(g.u64()); g.err != nil {
				return nil
			}
		}
	case kind == 9 || kind >= uint32(len(ggufSizes)):
		g.err = fmt.Errorf("array of type %d", kind)
	default:
		g.skip(n * ggufSizes[kind])
	}
	return ggufArray{n}
}

// text returns a string value, number an integer one; empty and 0 where there is none.
func (h *ggufHeader) text(key string) string {
	s, _ := h.values[key].(string)
	return s
}

func (h *ggufHeader) number(key string) int {
	switch v := h.values[key].(type) {
	case uint64:
		return int(min(v, math.MaxInt32))
	case int64:
		return int(max(min(v, math.MaxInt32), 0))
	case ggufArray:
		return int(v.len)
	}
	return 0
}
