package tensor

import "encoding/binary"

// The layouts of the quantised types, after ggml's. Each function takes one block apart.

// Q8_0: scale f16, 32 int8.
func splitQ8_0(src []byte, q *[256]int8, scale, _ *[16]float32) {
	scale[0] = half(src)
	for i, c := range src[2:34] {
		q[i] = int8(c)
	}
}

// Q4_0: scale f16, 16 bytes of two values each: the low halves are values 0 to 15, the high ones the
// rest. 8 is taken off each.
func splitQ4_0(src []byte, q *[256]int8, scale, _ *[16]float32) {
	scale[0] = half(src)
	for i, c := range src[2:18] {
		q[i], q[16+i] = int8(c&15)-8, int8(c>>4)-8
	}
}

// Q4_1: scale and minimum f16, values as in Q4_0 without the 8.
func splitQ4_1(src []byte, q *[256]int8, scale, minimum *[16]float32) {
	scale[0], minimum[0] = half(src), half(src[2:])
	for i, c := range src[4:20] {
		q[i], q[16+i] = int8(c&15), int8(c>>4)
	}
}

// Q5_0: scale f16, 32 fifth bits, low bits as in Q4_0. 16 is taken off each.
func splitQ5_0(src []byte, q *[256]int8, scale, _ *[16]float32) {
	scale[0] = half(src)
	splitFive(src[2:], q, 16)
}

// Q5_1: scale and minimum f16, then as Q5_0 without the 16.
func splitQ5_1(src []byte, q *[256]int8, scale, minimum *[16]float32) {
	scale[0], minimum[0] = half(src), half(src[2:])
	splitFive(src[4:], q, 0)
}

func splitFive(src []byte, q *[256]int8, off int8) {
	high := binary.LittleEndian.Uint32(src)
	for i, c := range src[4:20] {
		q[i] = int8(c&15|byte(high>>i&1)<<4) - off
		q[16+i] = int8(c>>4|byte(high>>(16+i)&1)<<4) - off
	}
}

// Q2_K: 16 bytes with a 4-bit scale and minimum for 16 values each, 64 bytes of 2-bit values, scale and
// minimum of these f16. Minima are taken off, as in all _K types.
func splitQ2_K(src []byte, q *[256]int8, scale, minimum *[16]float32) {
	d, dmin := half(src[80:]), half(src[82:])
	for j, c := range src[:16] {
		scale[j], minimum[j] = d*float32(c&15), -dmin*float32(c>>4)
	}
	for i := range q {
		q[i] = int8(src[16+i/128*32+i%32] >> (i % 128 / 32 * 2) & 3)
	}
}

// Q3_K: 32 bytes of third bits (4 is taken off where the bit is not set), 64 bytes of 2-bit values, 16
// scales of 6 bits in 12 bytes, scale f16.
func splitQ3_K(src []byte, q *[256]int8, scale, _ *[16]float32) {
	d := half(src[108:])
	for j := range scale {
		scale[j] = d * float32(int(src[96+j%8]>>(j/8*4)&15|src[104+j%4]>>(j/4*2)&3<<4)-32)
	}
	for i := range q {
		q[i] = int8(src[32+i/128*32+i%32]>>(i%128/32*2)&3|src[i%32]>>(i/32)&1<<2) - 4
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
func splitQ4_K(src []byte, q *[256]int8, scale, minimum *[16]float32) {
	d, dmin := half(src), half(src[2:])
	for j := range 8 {
		sc, m := scaleMin(src[4:16], j)
		scale[j], minimum[j] = d*sc, -dmin*m
		out, shift := q[32*j:32*j+32], j&1*4
		for i, c := range src[16+j/2*32:][:32] {
			out[i] = int8(c >> shift & 15)
		}
	}
}

// Q5_K: as Q4_K, with 32 bytes of fifth bits before the values: bit j for sub-block j.
func splitQ5_K(src []byte, q *[256]int8, scale, minimum *[16]float32) {
	d, dmin := half(src), half(src[2:])
	for j := range 8 {
		sc, m := scaleMin(src[4:16], j)
		scale[j], minimum[j] = d*sc, -dmin*m
		out, shift, high := q[32*j:32*j+32], j&1*4, src[16:48]
		for i, c := range src[48+j/2*32:][:32] {
			out[i] = int8(c>>shift&15 | high[i]>>j&1<<4)
		}
	}
}

// Q6_K: 128 bytes of low halves, 64 bytes of high pairs of bits, 16 int8 scales of 16 values each,
// scale f16. In each half of 128 values, four rows of 32. 32 is taken off each.
func splitQ6_K(src []byte, q *[256]int8, scale, _ *[16]float32) {
	d := half(src[208:])
	for j, c := range src[192:208] {
		scale[j] = d * float32(int8(c))
	}
	for j := range 8 {
		low, high := src[j/4*64+j%2*32:][:32], src[128+j/4*32:][:32]
		ls, hs := j%4/2*4, j%4*2
		for i, c := range low {
			q[32*j+i] = int8(c>>ls&15|high[i]>>hs&3<<4) - 32
		}
	}
}

// iq4 are the values that the 4-bit codes of IQ4_NL and IQ4_XS stand for, closer together around zero.
var iq4 = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// IQ4_NL: scale f16, 16 bytes of two codes each, in Q4_0's order.
func splitIQ4_NL(src []byte, q *[256]int8, scale, _ *[16]float32) {
	scale[0] = half(src)
	for i, c := range src[2:18] {
		q[i], q[16+i] = iq4[c&15], iq4[c>>4]
	}
}

// IQ4_XS: scale f16, 8 scales of 6 bits (high pairs in 2 bytes, low halves in 4), 16 bytes of codes for
// each 32 values, as IQ4_NL.
func splitIQ4_XS(src []byte, q *[256]int8, scale, _ *[16]float32) {
	d, high := half(src), binary.LittleEndian.Uint16(src[2:])
	for j := range 8 {
		sc := int(src[4+j/2]>>(j%2*4)&15) | int(high>>(2*j)&3)<<4
		scale[j] = d * float32(sc-32)
		for i, c := range src[8+16*j:][:16] {
			q[32*j+i], q[32*j+16+i] = iq4[c&15], iq4[c>>4]
		}
	}
}
