//go:build !noasm

package tensor

//go:noescape
func widenHalvesF16C(dst *float32, src, next *uint16, n int)

//go:noescape
func narrowHalvesF16C(dst *uint16, src *float32, n int)

//go:noescape
func mulHalvesAVX2(mr, k int, a *float32, lda int, b, next *uint16, ldb int, c *float32, ldc, add int)

// AVX-512 can have mulHalvesAVX2 as well; its sums are mulF32AVX512's. It was not measured there.
var (
	attendAVX2   = attendKernels{maxOfAVX2, expSumAVX2, scaleByAVX2, widenF16C, narrowF16C, swishAVX2, mulHalvesAVX2}
	attendAVX512 = attendKernels{maxOfAVX512, expSumAVX512, scaleByAVX512, widenF16C, narrowF16C, swishAVX512, nil}
)

// attendKernel is the implementation that goes with the active one. Every processor with AVX2 and FMA also
// converts halves (F16C, since Haswell and Excavator).
func attendKernel() *attendKernels {
	switch active.nrF32 {
	case avx512.nrF32:
		return &attendAVX512
	case avx2.nrF32:
		return &attendAVX2
	}
	return &attendGeneric
}

func widenF16C(dst *float32, src, next *uint16, n int) {
	whole := n &^ 7
	widenHalvesF16C(dst, src, next, whole)
	if whole < n {
		widenGeneric(at(dst, whole), at(src, whole), nil, n-whole)
	}
}

func narrowF16C(dst *uint16, src *float32, n int) {
	whole := n &^ 7
	narrowHalvesF16C(dst, src, whole)
	if whole < n {
		narrowGeneric(at(dst, whole), at(src, whole), n-whole)
	}
}
