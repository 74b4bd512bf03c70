package tensor

import (
	"encoding/binary"
	"fmt"
	"math"
)

// QType is how the values of a weight matrix are kept, with the numbers of GGUF. A row is cut into
// blocks; a block has its own scale.
type QType uint32

// The types that are computed with. Names are ggml's: the digit is the bits of a value; _0 types have
// a scale for 32 values, _1 also a minimum, and _K types blocks of 256 with scales of scales.
const (
	QF32   QType = 0
	QF16   QType = 1
	Q4_0   QType = 2
	Q4_1   QType = 3
	Q5_0   QType = 6
	Q5_1   QType = 7
	Q8_0   QType = 8
	Q2_K   QType = 10
	Q3_K   QType = 11
	Q4_K   QType = 12
	Q5_K   QType = 13
	Q6_K   QType = 14
	IQ4_NL QType = 20
	IQ4_XS QType = 23
	QBF16  QType = 30
)

// qformat says how a type's values are kept. Those of the quantised types are scale*q + minimum, with
// int8 q and a scale for each group of 16 or 32 values; only some types have a minimum.
type qformat struct {
	name          string
	values, bytes int                                                         // of a block
	group         int                                                         // values of one scale; 0 for floats
	minimum       bool                                                        // whether there are minima
	whole         bool                                                        // whether q takes whole bytes, and not a few bits
	split         func(src []byte, q *[256]int8, scale, minimum *[16]float32) // takes a block apart
	floats        func(dst []float32, src []byte)                             // whole blocks of the others
}

var qformats = map[QType]*qformat{
	QF32:   {name: "F32", values: 1, bytes: 4, floats: dequantF32},
	QF16:   {name: "F16", values: 1, bytes: 2, floats: dequantF16},
	QBF16:  {name: "BF16", values: 1, bytes: 2, floats: dequantBF16},
	Q4_0:   {name: "Q4_0", values: 32, bytes: 18, group: 32, split: splitQ4_0},
	Q4_1:   {name: "Q4_1", values: 32, bytes: 20, group: 32, minimum: true, split: splitQ4_1},
	Q5_0:   {name: "Q5_0", values: 32, bytes: 22, group: 32, split: splitQ5_0},
	Q5_1:   {name: "Q5_1", values: 32, bytes: 24, group: 32, minimum: true, split: splitQ5_1},
	Q8_0:   {name: "Q8_0", values: 32, bytes: 34, group: 32, whole: true, split: splitQ8_0},
	Q2_K:   {name: "Q2_K", values: 256, bytes: 84, group: 16, minimum: true, split: splitQ2_K},
	Q3_K:   {name: "Q3_K", values: 256, bytes: 110, group: 16, split: splitQ3_K},
	Q4_K:   {name: "Q4_K", values: 256, bytes: 144, group: 32, minimum: true, split: splitQ4_K},
	Q5_K:   {name: "Q5_K", values: 256, bytes: 176, group: 32, minimum: true, split: splitQ5_K},
	Q6_K:   {name: "Q6_K", values: 256, bytes: 210, group: 16, split: splitQ6_K},
	IQ4_NL: {name: "IQ4_NL", values: 32, bytes: 18, group: 32, whole: true, split: splitIQ4_NL},
	IQ4_XS: {name: "IQ4_XS", values: 256, bytes: 136, group: 32, whole: true, split: splitIQ4_XS},
}

// tile says which of a processor's tile kernels multiplies the type: that for a scale for each 32 values that are whole
// bytes, for 32 of at most five bits, or for 16 of at most six.
func (f *qformat) tile() int {
	switch {
	case f.group == 16:
		return 2
	case f.whole:
		return 0
	}
	return 1
}

// Block is how many values lie together in how many bytes; zeros for a type that is not computed with.
func (t QType) Block() (values, bytes int) {
	if f := qformats[t]; f != nil {
		return f.values, f.bytes
	}
	return 0, 0
}

// String is ggml's name of the type.
func (t QType) String() string {
	if f := qformats[t]; f != nil {
		return f.name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// DequantiseBlocks sets dst to the values of whole blocks of type t. It panics when the lengths do not
// fit or the type is not known.
func DequantiseBlocks(t QType, dst []float32, src []byte) {
	f := qformats[t]
	if f == nil {
		panic("tensor: DequantiseBlocks: " + t.String())
	}
	if len(dst)%f.values != 0 {
		panic("tensor: DequantiseBlocks: part of a block")
	}
	src = src[:len(dst)/f.values*f.bytes]
	if f.floats != nil {
		f.floats(dst, src)
		return
	}
	var q [256]int8
	var scale, minimum [16]float32
	for ; len(dst) > 0; dst, src = dst[f.values:], src[f.bytes:] {
		f.split(src[:f.bytes], &q, &scale, &minimum)
		for g := range f.values / f.group {
			out := dst[g*f.group:][:f.group]
			for i, v := range q[g*f.group:][:f.group] {
				out[i] = float32(scale[g] * float32(v))
			}
			if f.minimum {
				for i := range out {
					out[i] += minimum[g]
				}
			}
		}
	}
}

// halves are the values of all IEEE 754 halves: 256 KB, but a quick look-up wherever a scale is read
// in plain Go.
var halves = func() (t [1 << 16]float32) {
	for i := range t {
		h := uint32(i)
		sign, exp, frac := h>>15<<31, h>>10&31, h&1023
		switch {
		case exp == 31:
			t[i] = math.Float32frombits(sign | 0xff<<23 | frac<<13)
		case exp == 0:
			t[i] = math.Float32frombits(sign|127<<23) * float32(frac) / (1 << 24)
		default:
			t[i] = math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
		}
	}
	return t
}()

func half(b []byte) float32 { return halves[binary.LittleEndian.Uint16(b)] }

func dequantF32(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

func dequantF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = half(src[2*i:])
	}
}

func dequantBF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
}
