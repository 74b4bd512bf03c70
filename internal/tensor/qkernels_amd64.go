//go:build !noasm

package tensor

//go:generate go run ./qasm

//go:noescape
func qdotQ8_0AVX2(dst *float32, w *byte, rows, stride, n int, v *qargs)

//go:noescape
func qdotQ8_0VNNI(dst *float32, w *byte, rows, stride, n int, v *qargs)

//go:noescape
func qdotQ4_0AVX2(dst *float32, w *byte, rows, stride, n int, v *qargs)

//go:noescape
func qdotQ4_0VNNI(dst *float32, w *byte, rows, stride, n int, v *qargs)

//go:noescape
func qdotQ4_KAVX2(dst *float32, w *byte, rows, stride, n int, v *qargs)

//go:noescape
func qdotQ4_KVNNI(dst *float32, w *byte, rows, stride, n int, v *qargs)

//go:noescape
func qdotQ6_KAVX2(dst *float32, w *byte, rows, stride, n int, v *qargs)

//go:noescape
func qdotQ6_KVNNI(dst *float32, w *byte, rows, stride, n int, v *qargs)

//go:noescape
func qdotF16AVX2(dst *float32, w *byte, rows, stride, n int, v *qargs)

//go:noescape
func qdotBF16AVX2(dst *float32, w *byte, rows, stride, n int, v *qargs)

// qkernelFor finds the kernel that multiplies rows of a type without turning them into float32, if
// there is one.
func qkernelFor(t QType, k int, exact bool) qkernel {
	// Every processor with AVX2 and FMA also converts halves (F16C, since Haswell and Excavator).
	simd := active.name != "generic"
	switch {
	case t == QF32:
		return qdotF32
	case simd && t == QF16 && k%32 == 0:
		return qdotF16AVX2
	case simd && t == QBF16 && k%32 == 0:
		return qdotBF16AVX2
	case exact:
		return nil
	case !simd:
		return qgeneric(t, k)
	}
	vnni := active.vnni
	switch t {
	case Q8_0:
		return pick(vnni, qdotQ8_0VNNI, qdotQ8_0AVX2)
	case Q4_0:
		return pick(vnni, qdotQ4_0VNNI, qdotQ4_0AVX2)
	case Q4_K:
		return pick(vnni, qdotQ4_KVNNI, qdotQ4_KAVX2)
	case Q6_K:
		return pick(vnni, qdotQ6_KVNNI, qdotQ6_KAVX2)
	}
	return nil
}

func pick(first bool, a, b qkernel) qkernel {
	if first {
		return a
	}
	return b
}
