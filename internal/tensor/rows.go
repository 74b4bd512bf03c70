package tensor

// GELU applies x * Phi(x) to each value, Phi being the normal distribution's, within 1e-6 of exact
// (Hendrycks and Gimpel 2016, not the tanh form).
func GELU(x []float32) {
	if len(x) > 0 {
		active.gelu(first(x), len(x))
	}
}

// Softmax replaces x by exp(scale*x) / sum exp(scale*x). scale must not be negative.
func Softmax(x []float32, scale float32) {
	if len(x) > 0 {
		active.softmax(first(x), len(x), scale)
	}
}

// zeros stand in for a residual that there is none of.
var zeros [8192]float32

// AddNorm sets dst to the layer norm of x+residual: to mean 0 and variance 1, then times gamma plus
// beta. residual may be nil, dst may be x or residual.
func AddNorm(dst, x, residual, gamma, beta []float32, eps float32) {
	n := len(dst)
	if n == 0 {
		return
	}
	x, gamma, beta = x[:n], gamma[:n], beta[:n]
	switch {
	case residual != nil:
		residual = residual[:n]
	case n <= len(zeros): // the kernels add while they sum, and are ten times as fast as plain Go
		residual = zeros[:n]
	}
	active.norm(first(dst), first(x), first(residual), first(gamma), first(beta), n, eps)
}

// Dot is the dot product of two vectors of one length.
func Dot(a, b []float32) float32 {
	b = b[:len(a)]
	if len(a) == 0 {
		return 0
	}
	return active.dot(first(a), first(b), len(a))
}

// Dots sets dst[i] to the dot product of q with the i-th of len(dst) vectors that lie one after the
// other in vectors.
func Dots(dst, q, vectors []float32) {
	n := len(q)
	_ = vectors[:len(dst)*n]
	if n == 0 {
		clear(dst)
		return
	}
	for i := range dst {
		dst[i] = active.dot(first(q), at(first(vectors), i*n), n)
	}
}

// DotInt8 is the exact dot product of two int8 vectors of one length, which must be under 131,072.
func DotInt8(a, b []int8) int32 {
	b = b[:len(a)]
	if len(a) == 0 {
		return 0
	}
	return active.dotInt8(first(a), first(b), len(a))
}

// DotsInt8 is [Dots] for int8 vectors; the results are exact.
func DotsInt8(dst []int32, q, vectors []int8) {
	n := len(q)
	_ = vectors[:len(dst)*n]
	if n == 0 {
		clear(dst)
		return
	}
	for i := range dst {
		dst[i] = active.dotInt8(first(q), at(first(vectors), i*n), n)
	}
}

// Axpy adds a*x to dst.
func Axpy(dst, x []float32, a float32) {
	x = x[:len(dst)]
	if len(dst) > 0 {
		active.axpy(first(dst), first(x), len(dst), a)
	}
}

// Dequantise sets dst to scale*x, x holding int8 values.
func Dequantise(dst []float32, x []int8, scale float32) {
	x = x[:len(dst)]
	if len(dst) > 0 {
		active.dequant(first(dst), first(x), len(dst), scale)
	}
}
