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

type qformat struct {
	name          string
	values, bytes int
	dequantise    func(dst []float32, src []byte) // whole blocks
}

var qformats = map[QType]*qformat{
	QF32: {"F32", 1, 4, dequantF32}, QF16: {"F16", 1, 2, dequantF16}, QBF16: {"BF16", 1, 2, dequantBF16},
	Q4_0: {"Q4_0", 32, 18, dequantQ4_0}, Q4_1: {"Q4_1", 32, 20, dequantQ4_1},
	Q5_0: {"Q5_0", 32, 22, dequantQ5_0}, Q5_1: {"Q5_1", 32, 24, dequantQ5_1}, Q8_0: {"Q8_0", 32, 34, dequantQ8_0},
	Q2_K: {"Q2_K", 256, 84, dequantQ2_K}, Q3_K: {"Q3_K", 256, 110, dequantQ3_K}, Q4_K: {"Q4_K", 256, 144, dequantQ4_K},
	Q5_K: {"Q5_K", 256, 176, dequantQ5_K}, Q6_K: {"Q6_K", 256, 210, dequantQ6_K},
	IQ4_NL: {"IQ4_NL", 32, 18, dequantIQ4_NL}, IQ4_XS: {"IQ4_XS", 256, 136, dequantIQ4_XS},
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
	f.dequantise(dst, src[:len(dst)/f.values*f.bytes])
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

// Q8_0: scale f16, 32 int8.
func dequantQ8_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[34:] {
		d := half(src)
		o := dst[:32]
		for i, q := range src[2:34] {
			o[i] = d * float32(int8(q))
		}
	}
}

// Q4_0: scale f16, 16 bytes of two values each: the low halves are values 0 to 15, the high ones the
// rest. A value is scale*(q-8).
func dequantQ4_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[18:] {
		d := half(src)
		lo, hi := dst[:16], dst[16:32]
		for i, q := range src[2:18] {
			lo[i], hi[i] = d*float32(int(q&15)-8), d*float32(int(q>>4)-8)
		}
	}
}

// Q4_1: scale and minimum f16, values as in Q4_0: scale*q + minimum.
func dequantQ4_1(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[20:] {
		d, m := half(src), half(src[2:])
		for i, q := range src[4:20] {
			dst[i], dst[16+i] = float32(d*float32(q&15))+m, float32(d*float32(q>>4))+m
		}
	}
}

// Q5_0: scale f16, 32 fifth bits, low bits as in Q4_0: scale*(q-16).
func dequantQ5_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[22:] {
		d, h := half(src), binary.LittleEndian.Uint32(src[2:])
		for i, q := range src[6:22] {
			dst[i] = d * float32(int(uint32(q&15)|h>>i&1<<4)-16)
			dst[16+i] = d * float32(int(uint32(q>>4)|h>>(16+i)&1<<4)-16)
		}
	}
}

// Q5_1: scale and minimum f16, then as Q5_0: scale*q + minimum.
func dequantQ5_1(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[24:] {
		d, m, h := half(src), half(src[2:]), binary.LittleEndian.Uint32(src[4:])
		for i, q := range src[8:24] {
			dst[i] = float32(d*float32(uint32(q&15)|h>>i&1<<4)) + m
			dst[16+i] = float32(d*float32(uint32(q>>4)|h>>(16+i)&1<<4)) + m
		}
	}
}

// Q2_K: 16 bytes with a 4-bit scale and minimum for 16 values each, 64 bytes of 2-bit values, scale and
// minimum of these f16.
func dequantQ2_K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[84:] {
		d, dmin := half(src[80:]), half(src[82:])
		for i := range 256 {
			sc := src[i/16]
			q := src[16+i/128*32+i%32] >> (i % 128 / 32 * 2) & 3
			dst[i] = float32(d*float32(sc&15)*float32(q)) - dmin*float32(sc>>4)
		}
	}
}

// Q3_K: 32 bytes of third bits (4 is taken off where the bit is not set), 64 bytes of 2-bit values, 16
// scales of 6 bits in 12 bytes, scale f16.
func dequantQ3_K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[110:] {
		d := half(src[108:])
		for i := range 256 {
			j := i / 16
			sc := int(src[96+j%8]>>(j/8*4)&15|src[104+j%4]>>(j/4*2)&3<<4) - 32
			q := int(src[32+i/128*32+i%32] >> (i % 128 / 32 * 2) & 3)
			if src[i%32]>>(i/32)&1 == 0 {
				q -= 4
			}
			dst[i] = float32(d*float32(sc)) * float32(q)
		}
	}
}

// scaleMin unpacks the 6-bit scale and minimum of sub-block j of Q4_K and Q5_K from 12 bytes.
func scaleMin(s []byte, j int) (sc, m float32) {
	if j < 4 {
		return float32(s[j] & 63), float32(s[4+j] & 63)
	}
	return float32(s[4+j]&15 | s[j-4]>>6<<4), float32(s[4+j]>>4 | s[j]>>6<<4)
}

// Q4_K: scale and minimum f16, 8 scales and minima of 6 bits in 12 bytes, 128 bytes: for each 64
// values the low halves of 32 bytes, then the high ones.
func dequantQ4_K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[144:] {
		d, dmin := half(src), half(src[2:])
		for j := range 8 {
			sc, m := scaleMin(src[4:16], j)
			sc, m = d*sc, dmin*m
			out, shift := dst[32*j:32*j+32], j&1*4
			for i, q := range src[16+j/2*32:][:32] {
				out[i] = float32(sc*float32(q>>shift&15)) - m
			}
		}
	}
}

// Q5_K: as Q4_K, with 32 bytes of fifth bits before the values: bit j for sub-block j.
func dequantQ5_K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[176:] {
		d, dmin := half(src), half(src[2:])
		for j := range 8 {
			sc, m := scaleMin(src[4:16], j)
			sc, m = d*sc, dmin*m
			out, shift, high := dst[32*j:32*j+32], j&1*4, src[16:48]
			for i, q := range src[48+j/2*32:][:32] {
				out[i] = float32(sc*float32(q>>shift&15|high[i]>>j&1<<4)) - m
			}
		}
	}
}

// Q6_K: 128 bytes of low halves, 64 bytes of high pairs of bits, 16 int8 scales of 16 values each,
// scale f16. In each half of 128 values, four rows of 32: a value is scale*sub-scale*(q-32).
func dequantQ6_K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[210:] {
		d := half(src[208:])
		for j := range 8 {
			low, high := src[j/4*64+j%2*32:][:32], src[128+j/4*32:][:32]
			s0, s1 := d*float32(int8(src[192+2*j])), d*float32(int8(src[193+2*j]))
			out := dst[32*j : 32*j+32]
			ls, hs := j%4/2*4, j%4*2
			for i, q := range low {
				s := s0
				if i >= 16 {
					s = s1
				}
				out[i] = s * float32(int(q>>ls&15|high[i]>>hs&3<<4)-32)
			}
		}
	}
}

// iq4 are the values that the 4-bit codes of IQ4_NL and IQ4_XS stand for, closer together around zero.
var iq4 = [16]float32{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

func dequantIQ4_NL(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[18:] {
		d := half(src)
		for i, q := range src[2:18] {
			dst[i], dst[16+i] = d*iq4[q&15], d*iq4[q>>4]
		}
	}
}

// IQ4_XS: scale f16, 8 scales of 6 bits (high pairs in 2 bytes, low halves in 4), values as IQ4_NL.
func dequantIQ4_XS(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[136:] {
		d, high := half(src), binary.LittleEndian.Uint16(src[2:])
		for j := range 8 {
			sc := int(src[4+j/2]>>(j%2*4)&15) | int(high>>(2*j)&3)<<4
			s := d * float32(sc-32)
			for i, q := range src[8+16*j:][:16] {
				dst[32*j+i], dst[32*j+16+i] = s*iq4[q&15], s*iq4[q>>4]
			}
		}
	}
}
