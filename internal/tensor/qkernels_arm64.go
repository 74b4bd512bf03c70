//go:build !noasm

package tensor

import "unsafe"

//go:noescape
func qtile32DotNEON(rows, blocks int, a *qrow, lda int, w *qblock, c *float32, ldc int, how qhow)

//go:noescape
func qtile32NEON(rows, blocks int, a *qrow, lda int, w *qblock, c *float32, ldc int, how qhow)

//go:noescape
func qtile16DotNEON(rows, blocks int, a *qrow, lda int, w *qblock, c *float32, ldc int, how qhow)

//go:noescape
func qtile16NEON(rows, blocks int, a *qrow, lda int, w *qblock, c *float32, ldc int, how qhow)

//go:noescape
func unpackQ8_0NEON(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ4_0NEON(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ4_1NEON(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ5_0NEON(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ5_1NEON(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ2_KNEON(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ3_KNEON(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ4_KNEON(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ5_KNEON(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ6_KNEON(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackIQ4_NLNEON(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackIQ4_XSNEON(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func qdotF32NEON(dst *float32, ldd int, w *byte, rows, stride, n int, x *float32, ldx, m int)

//go:noescape
func qdotF16NEON(dst *float32, ldd int, w *byte, rows, stride, n int, x *float32, ldx, m int)

//go:noescape
func qdotBF16NEON(dst *float32, ldd int, w *byte, rows, stride, n int, x *float32, ldx, m int)

// The tile kernels do half a panel.
var (
	qneonDot = qkernels{
		rows: 4, tile: [3]qtile{wholePanel(qtile32DotNEON), wholePanel(qtile32DotNEON), wholePanel(qtile16DotNEON)}, unpack: unpackNEON, round: roundGeneric,
	}
	qneon = qkernels{
		rows: 3, tile: [3]qtile{wholePanel(qtile32NEON), wholePanel(qtile32NEON), wholePanel(qtile16NEON)}, unpack: unpackNEON, round: roundGeneric,
	}
	unpackNEON = map[QType]qunpack{
		Q8_0: unpackQ8_0NEON, Q4_0: unpackQ4_0NEON, Q4_1: unpackQ4_1NEON,
		Q5_0: unpackQ5_0NEON, Q5_1: unpackQ5_1NEON, Q2_K: unpackQ2_KNEON,
		Q3_K: unpackQ3_KNEON, Q4_K: unpackQ4_KNEON, Q5_K: unpackQ5_KNEON,
		Q6_K: unpackQ6_KNEON, IQ4_NL: unpackIQ4_NLNEON, IQ4_XS: unpackIQ4_XSNEON,
	}
	qdotsNEON = qdots{4, map[QType]qdot{QF32: qdotF32NEON, QF16: qdotF16NEON, QBF16: qdotBF16NEON}}
)

func wholePanel(tile qtile) qtile {
	return func(rows, blocks int, a *qrow, lda int, w *qblock, c *float32, ldc int, how qhow) {
		tile(rows, blocks, a, lda, w, c, ldc, how)
		tile(rows, blocks, a, lda, (*qblock)(unsafe.Add(ptr(w), 32)), at(c, 8), ldc, how)
	}
}

func quantKernels() *qkernels {
	switch active.name {
	case neonDot.name:
		return &qneonDot
	case neon.name:
		return &qneon
	}
	return &qgeneric
}

// floatKernels multiply rows of a multiple of 32 values.
func floatKernels() *qdots {
	if active.name == "generic" {
		return &qdotsGeneric
	}
	return &qdotsNEON
}
