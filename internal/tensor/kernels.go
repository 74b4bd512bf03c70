package tensor

import (
	"os"
	"unsafe"
)

// kernels is one implementation of everything that is worth assembly. Lengths have been checked by
// the callers in this package.
type kernels struct {
	name string
	vnni bool

	// mulF32 computes c[i][j] = bias[j] + sum over k of a[i][k]*b[k][j] for rows i < mr and all columns
	// j < nr of a panel. Strides are in elements. bias may be nil.
	mulF32 func(mr, k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, bias *float32)
	mrF32  int // most rows of a call
	nrF32  int // columns of a panel
	// mulBF16 is mulF32 for bfloat16 on both sides, two inputs of a row or column side by side. nil where it
	// would not be faster than mulWide, which takes weights in bfloat16 and activations in float32. A panel of
	// either has nrF32 columns. Without any of the two, weights are widened when they are packed.
	mulBF16   func(mr, k int, a *uint16, lda int, b *uint16, c *float32, ldc int, bias *float32)
	mulWide   func(mr, k int, a *float32, lda int, b *uint16, c *float32, ldc int, bias *float32)
	roundBF16 func(dst *uint16, src *float32, n int)
	roundWide func(dst, src *float32, n int) // leaves what is rounded in float32

	mulInt8  func(mr, k int, a *byte, lda int, b *int8, c *float32, ldc int, rows *rowScale, cols *float32)
	mrInt8   int
	nrInt8   int
	group    int // inputs of one column that lie together in a packed int8 panel; k is padded to it
	width    int // bytes of one quantised activation
	quantise func(dst *byte, src *float32, n int) rowScale

	gelu    func(x *float32, n int)
	softmax func(x *float32, n int, scale float32)
	norm    func(dst, x, residual, gamma, beta *float32, n int, eps float32) // dst = norm(x+residual)
	dot     func(a, b *float32, n int) float32
	dotInt8 func(a, b *int8, n int) int32
	axpy    func(dst, x *float32, n int, a float32)
	times   func(dst, x, y *float32, n int)
	dequant func(dst *float32, x *int8, n int, scale float32)
}

// rowScale turns the products of a quantised row back: x = scale*q + shift.
type rowScale struct{ scale, shift float32 }

// active is the implementation in use; tests change it.
var active = choose(os.Getenv("DOCENT_SIMD"))

// Level names the kernels in use: "avx512-bf16", "avx512-vnni", "avx512", "avx2", "neon-dot", "neon" or "generic".
func Level() string { return active.name }

// choose picks the best of what the machine supports, or what is named; plain Go where it has no such.
func choose(name string) *kernels {
	for _, k := range available() {
		if name == "" || name == k.name {
			return k
		}
	}
	return &generic
}

func at[T any](p *T, i int) *T {
	return (*T)(unsafe.Add(unsafe.Pointer(p), uintptr(i)*unsafe.Sizeof(*p)))
}

// first is the address of a slice's first element, nil for an empty one.
func first[T any](s []T) *T { return unsafe.SliceData(s) }
