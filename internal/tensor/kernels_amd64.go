//go:build !noasm

package tensor

//go:generate go run ./asm

import (
	"slices"

	"golang.org/x/sys/cpu"
)

//go:noescape
func mulF32AVX2(mr, k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, bias *float32)

//go:noescape
func mulF32AVX512(mr, k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, bias *float32)

//go:noescape
func mulBF16AVX512(mr, k int, a *uint16, lda int, b *uint16, c *float32, ldc int, bias *float32)

//go:noescape
func roundBF16AVX512(dst *uint16, src *float32, n int)

//go:noescape
func mulWideAVX2(mr, k int, a *float32, lda int, b *uint16, c *float32, ldc int, bias *float32)

//go:noescape
func mulWideAVX512(mr, k int, a *float32, lda int, b *uint16, c *float32, ldc int, bias *float32)

//go:noescape
func roundWideAVX2(dst, src *float32, n int)

//go:noescape
func roundWideAVX512(dst, src *float32, n int)

func processorVendor() (first uint32)

const vendorAMD = 'A' | 'u'<<8 | 't'<<16 | 'h'<<24 // of "AuthenticAMD"

//go:noescape
func mulInt8AVX2(mr, k int, a *byte, lda int, b *int8, c *float32, ldc int, rows *rowScale, cols *float32)

//go:noescape
func mulInt8AVX512(mr, k int, a *byte, lda int, b *int8, c *float32, ldc int, rows *rowScale, cols *float32)

//go:noescape
func geluAVX2(x *float32, n int)

//go:noescape
func geluAVX512(x *float32, n int)

//go:noescape
func expSumAVX2(x *float32, n int, top, scale float32) (sum float32)

//go:noescape
func expSumAVX512(x *float32, n int, top, scale float32) (sum float32)

//go:noescape
func swishAVX2(x *float32, n int, a, b float32)

//go:noescape
func swishAVX512(x *float32, n int, a, b float32)

//go:noescape
func maxOfAVX2(x *float32, n int) (top float32)

//go:noescape
func maxOfAVX512(x *float32, n int) (top float32)

//go:noescape
func minMaxAVX2(x *float32, n int) (lo, hi float32)

//go:noescape
func minMaxAVX512(x *float32, n int) (lo, hi float32)

//go:noescape
func scaleByAVX2(x *float32, n int, a float32)

//go:noescape
func scaleByAVX512(x *float32, n int, a float32)

//go:noescape
func timesAVX2(dst, x, y *float32, n int)

//go:noescape
func timesAVX512(dst, x, y *float32, n int)

//go:noescape
func axpyAVX2(dst, x *float32, n int, a float32)

//go:noescape
func axpyAVX512(dst, x *float32, n int, a float32)

//go:noescape
func addSumAVX2(dst, x, y *float32, n int) (sum float32)

//go:noescape
func addSumAVX512(dst, x, y *float32, n int) (sum float32)

//go:noescape
func squaresAVX2(x *float32, n int, mean float32) (sum float32)

//go:noescape
func squaresAVX512(x *float32, n int, mean float32) (sum float32)

//go:noescape
func affineAVX2(x *float32, n int, mean, inv float32, gamma, beta *float32)

//go:noescape
func affineAVX512(x *float32, n int, mean, inv float32, gamma, beta *float32)

//go:noescape
func quantRowAVX2(dst *byte, src *float32, n int, lo, inv float32)

//go:noescape
func quantRowAVX512(dst *byte, src *float32, n int, lo, inv float32)

//go:noescape
func dotAVX2(a, b *float32, n int) (sum float32)

//go:noescape
func dotAVX512(a, b *float32, n int) (sum float32)

//go:noescape
func dotInt8AVX2(a, b *int8, n int) (sum int32)

//go:noescape
func dotInt8AVX512(a, b *int8, n int) (sum int32)

//go:noescape
func dequantAVX2(dst *float32, x *int8, n int, scale float32)

//go:noescape
func dequantAVX512(dst *float32, x *int8, n int, scale float32)

var avx2 = kernels{
	name: "avx2", mulF32: mulF32AVX2, mrF32: 6, nrF32: 16,
	mulWide: mulWideAVX2, roundWide: roundWide(roundWideAVX2, 8),
	mulInt8: mulInt8AVX2, mrInt8: 6, nrInt8: 16, group: 2, width: 2,
	quantise: func(dst *byte, src *float32, n int) rowScale {
		lo, hi := minMaxAVX2(src, n)
		s, inv := quantScale(lo, hi)
		quantRowAVX2(dst, src, n, lo, inv)
		return s
	},
	gelu: geluAVX2,
	softmax: func(x *float32, n int, scale float32) {
		scaleByAVX2(x, n, 1/expSumAVX2(x, n, maxOfAVX2(x, n), scale))
	},
	norm: func(dst, x, residual, gamma, beta *float32, n int, eps float32) {
		if residual == nil {
			normGeneric(dst, x, residual, gamma, beta, n, eps)
			return
		}
		mean := addSumAVX2(dst, x, residual, n) / float32(n)
		affineAVX2(dst, n, mean, inverseDeviation(squaresAVX2(dst, n, mean), n, eps), gamma, beta)
	},
	dot: dotAVX2, dotInt8: dotInt8AVX2, axpy: axpyAVX2, times: timesAVX2, dequant: dequantAVX2,
}

// avx512 lacks VNNI (Skylake-X): its integer products are AVX2's.
var avx512 = kernels{
	name: "avx512", mulF32: mulF32AVX512, mrF32: 14, nrF32: 32,
	mulWide: mulWideAVX512, roundWide: roundWide(roundWideAVX512, 16),
	mulInt8: mulInt8AVX2, mrInt8: 6, nrInt8: 16, group: 2, width: 2,
	quantise: avx2.quantise,
	gelu:     geluAVX512,
	softmax: func(x *float32, n int, scale float32) {
		scaleByAVX512(x, n, 1/expSumAVX512(x, n, maxOfAVX512(x, n), scale))
	},
	norm: func(dst, x, residual, gamma, beta *float32, n int, eps float32) {
		if residual == nil {
			normGeneric(dst, x, residual, gamma, beta, n, eps)
			return
		}
		mean := addSumAVX512(dst, x, residual, n) / float32(n)
		affineAVX512(dst, n, mean, inverseDeviation(squaresAVX512(dst, n, mean), n, eps), gamma, beta)
	},
	dot: dotAVX512, dotInt8: dotInt8AVX512, axpy: axpyAVX512, times: timesAVX512, dequant: dequantAVX512,
}

var avx512vnni = func() kernels {
	k := avx512
	k.vnni = true
	k.name, k.mulInt8, k.mrInt8, k.nrInt8, k.group, k.width = "avx512-vnni", mulInt8AVX512, 14, 32, 4, 1
	k.quantise = func(dst *byte, src *float32, n int) rowScale {
		lo, hi := minMaxAVX512(src, n)
		s, inv := quantScale(lo, hi)
		quantRowAVX512(dst, src, n, lo, inv)
		return s
	}
	return k
}()

// avx512bf16 multiplies bfloat16 as such.
var avx512bf16 = func() kernels {
	k := avx512vnni
	k.name, k.mulBF16 = "avx512-bf16", mulBF16AVX512
	k.roundBF16 = func(dst *uint16, src *float32, n int) {
		whole := n &^ 15
		roundBF16AVX512(dst, src, whole)
		if whole < n {
			roundBF16Generic(at(dst, whole), at(src, whole), n-whole)
		}
	}
	return k
}()

// roundWide rounds whole vectors of some lanes with a kernel, and the rest in plain Go.
func roundWide(kernel func(dst, src *float32, n int), lanes int) func(dst, src *float32, n int) {
	return func(dst, src *float32, n int) {
		whole := n / lanes * lanes
		kernel(dst, src, whole)
		if whole < n {
			roundWideGeneric(at(dst, whole), at(src, whole), n-whole)
		}
	}
}

// available lists the implementations this processor can run, best first.
func available() []*kernels {
	var out []*kernels
	x := &cpu.X86
	fma := x.HasAVX2 && x.HasFMA
	if fma && x.HasAVX512F && x.HasAVX512BW && x.HasAVX512VL && x.HasAVX512DQ {
		if x.HasAVX512VNNI {
			out = append(out, &avx512vnni)
		}
		if x.HasAVX512VNNI && x.HasAVX512BF16 {
			// Zen 4 multiplies twice as many bfloat16 as float32 in a cycle, Sapphire Rapids half as many.
			best := 1
			if processorVendor() == vendorAMD {
				best = 0
			}
			out = slices.Insert(out, best, &avx512bf16)
		}
		out = append(out, &avx512)
	}
	if fma {
		out = append(out, &avx2)
	}
	return append(out, &generic)
}
