package tensor

import (
	"math"
	"unsafe"
)

// attendKernels are the row operations of attention with a running softmax, the conversions of keys and
// values kept in half precision, and the activations of feed-forward networks.
type attendKernels struct {
	max    func(x *float32, n int) float32
	expSum func(x *float32, n int, top, scale float32) float32
	scale  func(x *float32, n int, a float32)
	widen  func(dst *float32, src, next *uint16, n int)
	narrow func(dst *uint16, src *float32, n int)
	swish  func(x *float32, n int, a, b float32) // x = x*sigmoid(x*(a+b*x*x))

	// mulHalves multiplies up to three rows of a with k rows of 32 halves; sums are added to c where add is not 0. It
	// may be nil.
	mulHalves func(mr, k int, a *float32, lda int, b, next *uint16, ldb int, c *float32, ldc, add int)
}

var attendGeneric = attendKernels{maxGeneric, expSumGeneric, scaleGeneric, widenGeneric, narrowGeneric, swishGeneric, nil}

// Max is the largest of x, -Inf of none.
func Max(x []float32) float32 { return attendKernel().max(first(x), len(x)) }

// ExpSum replaces x by exp(scale*(x-top)) and returns the sum. top must not be less than any of x, nor
// scale negative.
func ExpSum(x []float32, top, scale float32) float32 {
	return attendKernel().expSum(first(x), len(x), top, scale)
}

// Scale multiplies x by a.
func Scale(x []float32, a float32) { attendKernel().scale(first(x), len(x), a) }

// Times sets dst to the products of the values of x and y.
func Times(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	if len(dst) > 0 {
		active.times(first(dst), first(x), first(y), len(dst))
	}
}

// WidenHalves sets dst to IEEE 754 halves, given by their bits. Where the processor can, as much of next, which
// need not be different, is fetched to its cache meanwhile.
func WidenHalves(dst []float32, src, next []uint16) {
	src, next = src[:len(dst)], next[:len(dst)]
	attendKernel().widen(first(dst), first(src), first(next), len(dst))
}

// halvesRows is the most rows that are better multiplied with halves than with float32 made of them once for all.
const halvesRows = 9

// HasMulHalves tells whether [MulHalves] has a kernel that is faster than [WidenHalves] and [MulRows] for m rows.
func HasMulHalves(m int) bool { return attendKernel().mulHalves != nil && m <= halvesRows }

// MulHalves is [MulRows] with IEEE 754 halves for b, given by their bits, and n a multiple of 32; the sums are the same
// bits as of b widened. With add they go on from what dst has. Where the processor can, as much of next, which need
// not be different, is fetched to its cache meanwhile.
func MulHalves(dst []float32, ldd int, a []float32, lda, m int, b, next []uint16, ldb, n, k int, add bool) {
	if n%32 != 0 {
		panic("tensor: MulHalves: columns are not whole blocks of 32")
	}
	if m == 0 || n == 0 || k == 0 {
		return
	}
	_, _, _, _ = a[(m-1)*lda+k-1], b[(k-1)*ldb+n-1], next[(k-1)*ldb+n-1], dst[(m-1)*ldd+n-1]
	kernel, from := attendKernel().mulHalves, 0
	if kernel == nil {
		kernel = mulHalvesGeneric
	}
	if add {
		from = 1
	}
	for row, left := 0, (m+2)/3; left > 0; left-- {
		rows := (m - row + left - 1) / left
		for j := 0; j < n; j += 32 {
			kernel(rows, k, at(first(a), row*lda), lda, at(first(b), j), at(first(next), j), ldb, at(first(dst), row*ldd+j), ldd, from)
		}
		row += rows
	}
}

// NarrowHalves sets dst to the bits of the halves nearest to src, of two the even one. What is too large
// for a half becomes the largest, 65504.
func NarrowHalves(dst []uint16, src []float32) {
	dst = dst[:len(src)]
	attendKernel().narrow(first(dst), first(src), len(src))
}

func maxGeneric(x *float32, n int) float32 {
	top := float32(math.Inf(-1))
	for _, v := range unsafe.Slice(x, n) {
		top = max(top, v)
	}
	return top
}

func expSumGeneric(x *float32, n int, top, scale float32) (sum float32) {
	v := unsafe.Slice(x, n)
	for i, x := range v {
		e := exp((x - top) * scale)
		v[i] = e
		sum += e
	}
	return sum
}

func scaleGeneric(x *float32, n int, a float32) {
	v := unsafe.Slice(x, n)
	for i := range v {
		v[i] *= a
	}
}

func widenGeneric(dst *float32, src, _ *uint16, n int) {
	d := unsafe.Slice(dst, n)
	for i, h := range unsafe.Slice(src, n) {
		d[i] = halves[h]
	}
}

func mulHalvesGeneric(mr, k int, a *float32, lda int, b, _ *uint16, ldb int, c *float32, ldc, add int) {
	for i := range mr {
		sums := unsafe.Slice(at(c, i*ldc), 32)
		if add == 0 {
			clear(sums)
		}
		for l := range k {
			x := *at(a, i*lda+l)
			for j, h := range unsafe.Slice(at(b, l*ldb), 32) {
				sums[j] += x * halves[h]
			}
		}
	}
}

func narrowGeneric(dst *uint16, src *float32, n int) {
	d := unsafe.Slice(dst, n)
	for i, x := range unsafe.Slice(src, n) {
		d[i] = toHalf(x)
	}
}

func toHalf(x float32) uint16 {
	bits := math.Float32bits(x)
	sign, size := uint16(bits>>16)&0x8000, bits&0x7fffffff
	switch {
	case size > 0x7f800000: // no number
		return sign | 0x7e00
	case size >= 0x477fe000: // 65504
		return sign | 0x7bff
	case size < 0x38800000: // below 2^-14 halves lie 2^-24 apart
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(size))*(1<<24)))
	}
	size += 0xfff + size>>13&1
	return sign | uint16((size-0x38000000)>>13)
}
