//go:build !noasm

package tensor

//go:generate go run ./qasm

import "unsafe"

//go:noescape
func qtile32VNNI(rows, blocks int, a *qrow, lda int, w *qblock, c *float32, ldc int, how qhow)

//go:noescape
func qtile16VNNI(rows, blocks int, a *qrow, lda int, w *qblock, c *float32, ldc int, how qhow)

//go:noescape
func unpackQ8_0VNNI(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ4_0VNNI(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ4_1VNNI(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ5_0VNNI(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ5_1VNNI(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ2_KVNNI(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ3_KVNNI(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ4_KVNNI(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ5_KVNNI(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ6_KVNNI(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackIQ4_NLVNNI(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackIQ4_XSVNNI(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func qrowQ8_0VNNI(blocks int, a *qrow, w *byte, stride, ahead int, c *float32)

//go:noescape
func qrowQ4_0VNNI(blocks int, a *qrow, w *byte, stride, ahead int, c *float32)

//go:noescape
func qrowQ5_0VNNI(blocks int, a *qrow, w *byte, stride, ahead int, c *float32)

//go:noescape
func qrowIQ4_NLVNNI(blocks int, a *qrow, w *byte, stride, ahead int, c *float32)

//go:noescape
func qtile32AVX2(rows, blocks int, a *qrow, lda int, w *qblock, c *float32, ldc int, how qhow)

//go:noescape
func qtile32FewBitsAVX2(rows, blocks int, a *qrow, lda int, w *qblock, c *float32, ldc int, how qhow)

//go:noescape
func qtile16FewBitsAVX2(rows, blocks int, a *qrow, lda int, w *qblock, c *float32, ldc int, how qhow)

//go:noescape
func unpackQ8_0AVX2(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ4_0AVX2(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ4_1AVX2(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ5_0AVX2(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ5_1AVX2(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ2_KAVX2(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ3_KAVX2(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ4_KAVX2(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ5_KAVX2(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackQ6_KAVX2(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackIQ4_NLAVX2(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func unpackIQ4_XSAVX2(dst *qblock, w *byte, stride, blocks, ahead int)

//go:noescape
func qrowQ8_0AVX2(blocks int, a *qrow, w *byte, stride, ahead int, c *float32)

//go:noescape
func qrowQ4_0AVX2(blocks int, a *qrow, w *byte, stride, ahead int, c *float32)

//go:noescape
func qrowQ4_1AVX2(blocks int, a *qrow, w *byte, stride, ahead int, c *float32)

//go:noescape
func qrowQ5_0AVX2(blocks int, a *qrow, w *byte, stride, ahead int, c *float32)

//go:noescape
func qrowQ5_1AVX2(blocks int, a *qrow, w *byte, stride, ahead int, c *float32)

//go:noescape
func qrowIQ4_NLAVX2(blocks int, a *qrow, w *byte, stride, ahead int, c *float32)

//go:noescape
func qrowIQ4_XSAVX2(blocks int, a *qrow, w *byte, stride, ahead int, c *float32)

//go:noescape
func qrowQ4_KAVX2(blocks int, a *qrow, w *byte, stride, ahead int, c *float32)

//go:noescape
func qrowQ5_KAVX2(blocks int, a *qrow, w *byte, stride, ahead int, c *float32)

//go:noescape
func qrowQ6_KAVX2(blocks int, a *qrow, w *byte, stride, ahead int, c *float32)

//go:noescape
func qrowQ3_KAVX2(blocks int, a *qrow, w *byte, stride, ahead int, c *float32)

//go:noescape
func qrowQ2_KAVX2(blocks int, a *qrow, w *byte, stride, ahead int, c *float32)

//go:noescape
func roundAVX2(dst *qrow, src *float32, blocks int)

//go:noescape
func qdotF32AVX512(dst *float32, ldd int, w *byte, rows, stride, n int, x *float32, ldx, m int)

//go:noescape
func qdotF16AVX512(dst *float32, ldd int, w *byte, rows, stride, n int, x *float32, ldx, m int)

//go:noescape
func qdotBF16AVX512(dst *float32, ldd int, w *byte, rows, stride, n int, x *float32, ldx, m int)

//go:noescape
func qdotF32AVX2(dst *float32, ldd int, w *byte, rows, stride, n int, x *float32, ldx, m int)

//go:noescape
func qdotF16AVX2(dst *float32, ldd int, w *byte, rows, stride, n int, x *float32, ldx, m int)

//go:noescape
func qdotBF16AVX2(dst *float32, ldd int, w *byte, rows, stride, n int, x *float32, ldx, m int)

// qvnni has row kernels of its own for the types of 32 values without minima, and takes AVX2's for the others, whose
// results are the same bits: they were not measured where AVX-512 is.
var qvnni = qkernels{
	rows: 12, tile: [3]qtile{qtile32VNNI, qtile32VNNI, qtile16VNNI}, round: roundAVX2,
	unpack: map[QType]qunpack{
		Q8_0: unpackQ8_0VNNI, Q4_0: unpackQ4_0VNNI, Q4_1: unpackQ4_1VNNI, Q5_0: unpackQ5_0VNNI,
		Q5_1: unpackQ5_1VNNI, Q2_K: unpackQ2_KVNNI, Q3_K: unpackQ3_KVNNI, Q4_K: unpackQ4_KVNNI,
		Q5_K: unpackQ5_KVNNI, Q6_K: unpackQ6_KVNNI, IQ4_NL: unpackIQ4_NLVNNI, IQ4_XS: unpackIQ4_XSVNNI,
	},
	one: map[QType]qone{
		Q8_0: {16, qrowQ8_0VNNI}, Q4_0: {16, qrowQ4_0VNNI}, Q4_1: {8, qrowQ4_1AVX2}, Q5_0: {16, qrowQ5_0VNNI},
		Q5_1: {8, qrowQ5_1AVX2}, Q2_K: {8, qrowQ2_KAVX2}, Q3_K: {8, qrowQ3_KAVX2}, Q4_K: {8, qrowQ4_KAVX2},
		Q5_K: {8, qrowQ5_KAVX2}, Q6_K: {8, qrowQ6_KAVX2}, IQ4_NL: {16, qrowIQ4_NLVNNI}, IQ4_XS: {8, qrowIQ4_XSAVX2},
	},
}

// qavx2's tile kernels do half a panel.
var qavx2 = qkernels{
	rows: 4, tile: [3]qtile{wholePanel(qtile32AVX2), wholePanel(qtile32FewBitsAVX2), wholePanel(qtile16FewBitsAVX2)},
	round: roundAVX2,
	unpack: map[QType]qunpack{
		Q8_0: unpackQ8_0AVX2, Q4_0: unpackQ4_0AVX2, Q4_1: unpackQ4_1AVX2, Q5_0: unpackQ5_0AVX2,
		Q5_1: unpackQ5_1AVX2, Q2_K: unpackQ2_KAVX2, Q3_K: unpackQ3_KAVX2, Q4_K: unpackQ4_KAVX2,
		Q5_K: unpackQ5_KAVX2, Q6_K: unpackQ6_KAVX2, IQ4_NL: unpackIQ4_NLAVX2, IQ4_XS: unpackIQ4_XSAVX2,
	},
	one: map[QType]qone{
		Q8_0: {8, qrowQ8_0AVX2}, Q4_0: {8, qrowQ4_0AVX2}, Q4_1: {8, qrowQ4_1AVX2},
		Q5_0: {8, qrowQ5_0AVX2}, Q5_1: {8, qrowQ5_1AVX2}, Q2_K: {8, qrowQ2_KAVX2},
		Q3_K: {8, qrowQ3_KAVX2}, Q4_K: {8, qrowQ4_KAVX2}, Q5_K: {8, qrowQ5_KAVX2},
		Q6_K: {8, qrowQ6_KAVX2}, IQ4_NL: {8, qrowIQ4_NLAVX2}, IQ4_XS: {8, qrowIQ4_XSAVX2},
	},
}

func wholePanel(tile qtile) qtile {
	return func(rows, blocks int, a *qrow, lda int, w *qblock, c *float32, ldc int, how qhow) {
		tile(rows, blocks, a, lda, w, c, ldc, how)
		tile(rows, blocks, a, lda, (*qblock)(unsafe.Add(ptr(w), 32)), at(c, 8), ldc, how)
	}
}

func quantKernels() *qkernels {
	switch {
	case active.vnni:
		return &qvnni
	case active.name == "generic":
		return &qgeneric
	}
	return &qavx2
}

var (
	qdotsAVX512 = qdots{4, map[QType]qdot{QF32: qdotF32AVX512, QF16: qdotF16AVX512, QBF16: qdotBF16AVX512}}
	qdotsAVX2   = qdots{3, map[QType]qdot{QF32: qdotF32AVX2, QF16: qdotF16AVX2, QBF16: qdotBF16AVX2}}
)

// floatKernels multiply rows of a multiple of 32 values. Every processor with AVX2 and FMA also converts
// halves (F16C, since Haswell and Excavator).
func floatKernels() *qdots {
	switch active.nrF32 {
	case avx512.nrF32:
		return &qdotsAVX512
	case avx2.nrF32:
		return &qdotsAVX2
	}
	return &qdotsGeneric
}
