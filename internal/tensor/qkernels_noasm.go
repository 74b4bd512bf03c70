//go:build !amd64 || noasm

package tensor

func quantKernels() *qkernels { return &qgeneric }

// qdotFor finds the kernel that multiplies rows of a float type without turning them into float32
// first, if there is one.
func qdotFor(t QType, k int) qdot {
	if t == QF32 {
		return qdotF32
	}
	return nil
}
