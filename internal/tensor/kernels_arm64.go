//go:build !noasm

package tensor

//go:generate go run ./armasm

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

//go:noescape
func mulF32NEON(mr, k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, bias *float32)

//go:noescape
func mulInt8DotNEON(mr, k int, a *byte, lda int, b *int8, c *float32, ldc int, rows *rowScale, cols *float32)

//go:noescape
func mulInt8NEON(mr, k int, a *byte, lda int, b *int8, c *float32, ldc int, rows *rowScale, cols *float32)

//go:noescape
func geluNEON(x *float32, n int)

//go:noescape
func expSumNEON(x *float32, n int, top, scale float32) (sum float32)

//go:noescape
func maxOfNEON(x *float32, n int) (top float32)

//go:noescape
func minMaxNEON(x *float32, n int) (lo, hi float32)

//go:noescape
func scaleByNEON(x *float32, n int, a float32)

//go:noescape
func timesNEON(dst, x, y *float32, n int)

//go:noescape
func axpyNEON(dst, x *float32, n int, a float32)

//go:noescape
func addSumNEON(dst, x, y *float32, n int) (sum float32)

//go:noescape
func squaresNEON(x *float32, n int, mean float32) (sum float32)

//go:noescape
func affineNEON(x, gamma, beta *float32, n int, mean, inv float32)

//go:noescape
func dotNEON(a, b *float32, n int) (sum float32)

//go:noescape
func dotInt8NEON(a, b *int8, n int) (sum int32)

//go:noescape
func dequantNEON(dst *float32, x *int8, n int, scale float32)

//go:noescape
func quantRow8NEON(dst *byte, src *float32, n int, lo, inv float32)

//go:noescape
func quantRow16NEON(dst *byte, src *float32, n int, lo, inv float32)

// The kernels but for the matrix products take whole vectors; plain Go does the rest of a row.

// neon is for every arm64 processor; neonDot for those with FEAT_DotProd, which is most since 2018 (Neoverse
// N1, Cortex-A75, Apple A11 and M1).
var (
	neon = kernels{
		name: "neon", mulF32: mulF32NEON, mrF32: 8, nrF32: 8, roundWide: roundWideGeneric,
		mulInt8: mulInt8NEON, mrInt8: 8, nrInt8: 8, group: 1, width: 2,
		quantise: func(dst *byte, src *float32, n int) rowScale { return quantiseNEON(dst, src, n, 2, quantRow16NEON) },
		gelu: func(x *float32, n int) {
			whole := n &^ 3
			geluNEON(x, whole)
			if whole < n {
				geluGeneric(at(x, whole), n-whole)
			}
		},
		softmax: softmaxNEON, norm: normNEON,
		dot: func(a, b *float32, n int) float32 {
			whole := n &^ 15
			s := dotNEON(a, b, whole)
			if whole < n {
				s += dotGeneric(at(a, whole), at(b, whole), n-whole)
			}
			return s
		},
		dotInt8: func(a, b *int8, n int) int32 {
			whole := n &^ 15
			s := dotInt8NEON(a, b, whole)
			if whole < n {
				s += dotInt8Generic(at(a, whole), at(b, whole), n-whole)
			}
			return s
		},
		axpy: func(dst, x *float32, n int, a float32) {
			whole := n &^ 3
			axpyNEON(dst, x, whole, a)
			if whole < n {
				axpyGeneric(at(dst, whole), at(x, whole), n-whole, a)
			}
		},
		times: func(dst, x, y *float32, n int) {
			whole := n &^ 3
			timesNEON(dst, x, y, whole)
			if whole < n {
				timesGeneric(at(dst, whole), at(x, whole), at(y, whole), n-whole)
			}
		},
		dequant: func(dst *float32, x *int8, n int, scale float32) {
			whole := n &^ 7
			dequantNEON(dst, x, whole, scale)
			if whole < n {
				dequantGeneric(at(dst, whole), at(x, whole), n-whole, scale)
			}
		},
	}

	neonDot = func() kernels {
		k := neon
		k.name, k.mulInt8, k.group, k.width = "neon-dot", mulInt8DotNEON, 4, 1
		k.quantise = func(dst *byte, src *float32, n int) rowScale { return quantiseNEON(dst, src, n, 1, quantRow8NEON) }
		return k
	}()
)

// quantiseNEON writes width bytes for each value, the lower first.
func quantiseNEON(dst *byte, src *float32, n, width int, kernel func(dst *byte, src *float32, n int, lo, inv float32)) rowScale {
	whole := n &^ 7
	lo, hi := minMaxNEON(src, whole)
	x, q := unsafe.Slice(src, n), unsafe.Slice(dst, n*width)
	for _, v := range x[whole:] {
		lo, hi = min(lo, v), max(hi, v)
	}
	s, inv := quantScale(lo, hi)
	kernel(dst, src, whole, lo, inv)
	clear(q[whole*width:])
	for i := whole; i < n; i++ {
		q[i*width] = byte(int32(float32((x[i]-lo)*inv) + 0.5))
	}
	return s
}

func softmaxNEON(x *float32, n int, scale float32) {
	whole := n &^ 3
	if whole == 0 {
		softmaxGeneric(x, n, scale)
		return
	}
	v := unsafe.Slice(x, n)
	top := maxOfNEON(x, whole)
	for _, f := range v[whole:] {
		top = max(top, f)
	}
	sum := expSumNEON(x, whole, top, scale)
	for i := whole; i < n; i++ {
		v[i] = exp((v[i] - top) * scale)
		sum += v[i]
	}
	scaleByNEON(x, whole, 1/sum)
	for i := whole; i < n; i++ {
		v[i] /= sum
	}
}

func normNEON(dst, x, residual, gamma, beta *float32, n int, eps float32) {
	if residual == nil || n%4 != 0 {
		normGeneric(dst, x, residual, gamma, beta, n, eps)
		return
	}
	mean := addSumNEON(dst, x, residual, n) / float32(n)
	affineNEON(dst, gamma, beta, n, mean, inverseDeviation(squaresNEON(dst, n, mean), n, eps))
}

// available lists the implementations this processor can run, best first.
func available() []*kernels {
	if cpu.ARM64.HasASIMDDP {
		return []*kernels{&neonDot, &neon, &generic}
	}
	return []*kernels{&neon, &generic}
}
