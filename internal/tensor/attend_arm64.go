//go:build !noasm

package tensor

//go:noescape
func swishNEON(x *float32, n int, a, b float32)

//go:noescape
func widenHalvesNEON(dst *float32, src, next *uint16, n int)

//go:noescape
func narrowHalvesNEON(dst *uint16, src *float32, n int)

// The kernels take whole vectors; plain Go does the rest of a row.
var attendNEON = attendKernels{
	max: func(x *float32, n int) float32 {
		whole := n &^ 3
		if whole == 0 {
			return maxGeneric(x, n)
		}
		return max(maxOfNEON(x, whole), maxGeneric(at(x, whole), n-whole))
	},
	expSum: func(x *float32, n int, top, scale float32) float32 {
		whole := n &^ 3
		return expSumNEON(x, whole, top, scale) + expSumGeneric(at(x, whole), n-whole, top, scale)
	},
	scale: func(x *float32, n int, a float32) {
		whole := n &^ 3
		scaleByNEON(x, whole, a)
		scaleGeneric(at(x, whole), n-whole, a)
	},
	widen: func(dst *float32, src, next *uint16, n int) {
		whole := n &^ 7
		widenHalvesNEON(dst, src, next, whole)
		widenGeneric(at(dst, whole), at(src, whole), nil, n-whole)
	},
	narrow: func(dst *uint16, src *float32, n int) {
		whole := n &^ 7
		narrowHalvesNEON(dst, src, whole)
		narrowGeneric(at(dst, whole), at(src, whole), n-whole)
	},
	swish: func(x *float32, n int, a, b float32) {
		whole := n &^ 3
		swishNEON(x, whole, a, b)
		swishGeneric(at(x, whole), n-whole, a, b)
	},
}

// attendKernel is the implementation that goes with the active one.
func attendKernel() *attendKernels {
	if active.name == "generic" {
		return &attendGeneric
	}
	return &attendNEON
}
