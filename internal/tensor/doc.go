// Package tensor is docent's arithmetic: matrix products with packed weights in float32, bfloat16 and
// int8, and the row operations of transformers (softmax, layer norm, GELU, dot products).
//
// Every operation has a meaning in plain Go, which runs everywhere, and kernels in Go assembly that
// are chosen once at start by what the processor offers: AVX-512 (with VNNI and BF16) or AVX2 with FMA on
// amd64, NEON (with dot products of bytes, where there are) on arm64. The build tag noasm leaves the
// assembly out; the environment variable DOCENT_SIMD (a name that [Level] gives) sets the choice, for tests
// and bug reports. [Level] tells what runs.
//
// Weights are packed once, for the kernels in use, and then shared: [PackF32], [PackBF16], [PackInt8].
//
//	w := tensor.PackF32(weights, n, k)           // n outputs of k inputs each, as PyTorch keeps them
//	w.Mul(dst, n, x, k, rows, bias, 0, w.Panels())
//
// The weights of language models stay as their files have them: [QMatrix] multiplies them with [QRows].
//
// Functions here are single-threaded and allocate nothing; callers split rows or panels between
// goroutines. Lengths are checked, so a wrong one panics instead of reading past a slice.
// Integer accumulation is exact and so the same on every machine; float32 results may differ in the
// last bits between levels, because fused multiply-adds round once and lanes change the order of sums.
package tensor
