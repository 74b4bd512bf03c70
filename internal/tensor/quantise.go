package tensor

import (
	"encoding/binary"
	"fmt"
	"math"
)

// CanQuantise reports whether [Quantise] makes blocks of type t.
func CanQuantise(t QType) bool {
	switch t {
	case QF32, QF16, QBF16, Q8_0, Q4_0, Q5_0, Q4_K, Q5_K, Q6_K:
		return true
	}
	return false
}

// Quantise sets dst to src, whole blocks of finite values, in type t. Scales of the types with blocks of 32
// follow from their largest value; those of the K types are searched for, so that the squares of the errors,
// large values weighing more, are least (as llama.cpp does it). It panics when the lengths do not fit, or
// where [CanQuantise] says no.
func Quantise(t QType, dst []byte, src []float32) {
	values, bytes := t.Block()
	if !CanQuantise(t) || len(src)%values != 0 || len(dst) != len(src)/values*bytes {
		panic(fmt.Sprintf("tensor: Quantise: %d values to %d bytes of %s", len(src), len(dst), t))
	}
	for ; len(src) > 0; dst, src = dst[bytes:], src[values:] {
		x := src[:values]
		switch t {
		case QF32:
			binary.LittleEndian.PutUint32(dst, math.Float32bits(x[0]))
		case QF16:
			binary.LittleEndian.PutUint16(dst, toHalf(x[0]))
		case QBF16:
			binary.LittleEndian.PutUint16(dst, bf16Of(x[0]))
		case Q8_0:
			quantiseQ8_0(dst, x)
		case Q4_0:
			quantiseQ4_0(dst, x)
		case Q5_0:
			quantiseQ5_0(dst, x)
		case Q4_K:
			quantiseQ4_K(dst, x)
		case Q5_K:
			quantiseQ5_K(dst, x)
		case Q6_K:
			quantiseQ6_K(dst, x)
		}
	}
}

// putHalf writes a scale and returns it as it will be read.
func putHalf(dst []byte, x float32) float32 {
	h := toHalf(x)
	binary.LittleEndian.PutUint16(dst, h)
	return halves[h]
}

// farthest is the value farthest from zero.
func farthest(x []float32) float32 {
	top := float32(0)
	for _, v := range x {
		if abs32(v) > abs32(top) {
			top = v
		}
	}
	return top
}

func abs32(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

// inverse is 1/x, or 0 where that is no number.
func inverse(x float32) float32 {
	if y := 1 / x; y-y == 0 {
		return y
	}
	return 0
}

// nearest is x rounded, between two bounds that are small.
func nearest(x float32, lo, hi int) int {
	switch {
	case !(x > float32(lo)):
		return lo
	case x >= float32(hi):
		return hi
	}
	const magic = 3 << 22 // adding it leaves the rounded value in the low bits
	return int(int32(math.Float32bits(float32(x)+magic)) - 0x4b400000)
}

func quantiseQ8_0(dst []byte, x []float32) {
	d := abs32(farthest(x)) / 127
	putHalf(dst, d)
	inv := inverse(d)
	for i, v := range x {
		dst[2+i] = byte(int8(math.Round(float64(v * inv))))
	}
}

// quantiseQ4_0 gives the value farthest from zero the code that is, -8.
func quantiseQ4_0(dst []byte, x []float32) {
	d := farthest(x) / -8
	putHalf(dst, d)
	inv := inverse(d)
	code := func(v float32) byte { return byte(min(15, int(v*inv+8.5))) }
	for i := range 16 {
		dst[2+i] = code(x[i]) | code(x[16+i])<<4
	}
}

func quantiseQ5_0(dst []byte, x []float32) {
	d := farthest(x) / -16
	putHalf(dst, d)
	inv := inverse(d)
	high := uint32(0)
	code := func(i int) byte {
		c := byte(min(31, int(x[i]*inv+16.5)))
		high |= uint32(c>>4) << i
		return c & 15
	}
	for i := range 16 {
		dst[6+i] = code(i) | code(16+i)<<4
	}
	binary.LittleEndian.PutUint32(dst[2:], high)
}

// fitRange finds for 32 values scale and low so that scale*q+low, q from 0 to top and low not above 0, is near x: the least
// squares of the errors, weighted, for a number of ways to round x to q that differ by a shift.
func fitRange(x, weight []float32, top int, shift float32, steps int) (scale, low float32) {
	low, high := min(0, x[0]), x[0]
	var sumW, sumX float32
	for i, v := range x {
		low, high = min(low, v), max(high, v)
		sumW += weight[i]
		sumX += weight[i] * v
	}
	if high == low {
		return 0, low
	}
	start := low
	var codes [32]float32
	put := func(inv float32) {
		for i, v := range x {
			codes[i] = float32(nearest(inv*(v-start), 0, top))
		}
	}
	cost := func(scale, low float32) (sum float32) {
		for i, v := range x {
			e := scale*codes[i] + low - v
			sum += weight[i] * e * e
		}
		return sum
	}
	scale = (high - low) / float32(top)
	put(float32(top) / (high - low))
	best := cost(scale, low)
	for s := 0; s <= steps; s++ {
		put((shift + 0.1*float32(s) + float32(top)) / (high - start))
		var sumQ, sumQQ, sumXQ float32
		for i, v := range x {
			q := codes[i]
			wq := weight[i] * q
			sumQ, sumQQ, sumXQ = sumQ+wq, sumQQ+wq*q, sumXQ+wq*v
		}
		det := sumW*sumQQ - sumQ*sumQ
		if det <= 0 {
			continue
		}
		trial, trialLow := (sumW*sumXQ-sumX*sumQ)/det, (sumQQ*sumX-sumQ*sumXQ)/det
		if trialLow > 0 {
			trial, trialLow = sumXQ/sumQQ, 0
		}
		if c := cost(trial, trialLow); c < best {
			best, scale, low = c, trial, trialLow
		}
	}
	return scale, low
}

// quantiseScaleMin writes the scales and minima of 8 blocks of 32 values to a block's first 16 bytes, and
// returns the codes from 0 to top.
func quantiseScaleMin(dst []byte, x []float32, top int, shift float32, steps int) (codes [256]byte) {
	var scales, mins [8]float32
	for j := range scales {
		part, weight := x[32*j:32*j+32], [32]float32{}
		sum := float32(0)
		for _, v := range part {
			sum += v * v
		}
		mean := float32(math.Sqrt(float64(sum / 32)))
		for i, v := range part {
			weight[i] = mean + abs32(v)
		}
		scale, low := fitRange(part, weight[:], top, shift, steps)
		scales[j], mins[j] = scale, -low
	}
	d, dmin := max(0, farthest(scales[:])), max(0, farthest(mins[:]))
	invScale, invMin := inverse(d/63), inverse(dmin/63)
	d, dmin = putHalf(dst, d/63), putHalf(dst[2:], dmin/63)
	packed := dst[4:16]
	clear(packed)
	for j := range 8 {
		sc, m := byte(nearest(invScale*scales[j], 0, 63)), byte(nearest(invMin*mins[j], 0, 63))
		if j < 4 {
			packed[j], packed[4+j] = sc, m
		} else {
			packed[4+j] = sc&15 | m<<4
			packed[j-4] |= sc >> 4 << 6
			packed[j] |= m >> 4 << 6
		}
		inv, low := inverse(d*float32(sc)), dmin*float32(m)
		for i, v := range x[32*j : 32*j+32] {
			codes[32*j+i] = byte(nearest((v+low)*inv, 0, top))
		}
	}
	return codes
}

func quantiseQ4_K(dst []byte, x []float32) {
	codes := quantiseScaleMin(dst, x, 15, -1, 20)
	for j := range 4 {
		for i := range 32 {
			dst[16+32*j+i] = codes[64*j+i] | codes[64*j+32+i]<<4
		}
	}
}

func quantiseQ5_K(dst []byte, x []float32) {
	codes := quantiseScaleMin(dst, x, 31, -0.5, 15)
	high := dst[16:48]
	clear(high)
	for j := range 4 {
		for i := range 32 {
			a, b := codes[64*j+i], codes[64*j+32+i]
			dst[48+32*j+i] = a&15 | b&15<<4
			high[i] |= a>>4<<(2*j) | b>>4<<(2*j+1)
		}
	}
}

// fitScale finds a scale so that scale*q, q from -top to top-1, is near x: the least squares of the errors,
// weighted by the squares of x, for a number of ways to round x to q.
func fitScale(x []float32, top int) float32 {
	far := farthest(x)
	if abs32(far) < 1e-15 {
		return 0
	}
	var scale, best float32
	for s := -9; s <= 9; s++ {
		inv := -(float32(top) + 0.1*float32(s)) / far
		var sumXQ, sumQQ float32
		for _, v := range x {
			q, w := float32(nearest(inv*v, -top, top-1)), v*v
			sumXQ, sumQQ = sumXQ+w*v*q, sumQQ+w*q*q
		}
		// The error is a constant less sumXQ^2/sumQQ.
		if sumQQ > 0 && sumXQ*sumXQ > best*sumQQ {
			scale = sumXQ / sumQQ
			best = scale * sumXQ
		}
	}
	return scale
}

func quantiseQ6_K(dst []byte, x []float32) {
	var scales [16]float32
	for j := range scales {
		scales[j] = fitScale(x[16*j:16*j+16], 32)
	}
	far := farthest(scales[:])
	inv := inverse(far / -128)
	clear(dst[:210])
	d := putHalf(dst[208:], inverse(inv))
	for j, s := range scales {
		sc := int8(nearest(inv*s, -128, 127))
		dst[192+j] = byte(sc)
		invD := inverse(d * float32(sc))
		for i, v := range x[16*j : 16*j+16] {
			at := 16*j + i
			code := byte(nearest(v*invD, -32, 31) + 32)
			half, row, col := at/128, at%128/32, at%32
			dst[64*half+row%2*32+col] |= code & 15 << (row / 2 * 4)
			dst[128+32*half+col] |= code >> 4 << (2 * row)
		}
	}
}
