//go:build !amd64 || noasm

package tensor

// qkernelFor finds the kernel that multiplies rows of a type without turning them into float32, if
// there is one.
func qkernelFor(t QType, k int, exact bool) qkernel {
	if exact {
		if t == QF32 {
			return qdotF32
		}
		return nil
	}
	return qgeneric(t, k)
}
