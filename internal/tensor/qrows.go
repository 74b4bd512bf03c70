package tensor

import "math"

// RMSNorm sets dst to x over its root mean square, times gamma (Zhang and Sennrich 2019). dst may be x.
func RMSNorm(dst, x, gamma []float32, eps float32) {
	if len(x) == 0 {
		return
	}
	dst, gamma = dst[:len(x)], gamma[:len(x)]
	mean := float64(active.dot(first(x), first(x), len(x))) / float64(len(x))
	scale := float32(1 / math.Sqrt(mean+float64(eps)))
	active.times(first(dst), first(x), first(gamma), len(x))
	Scale(dst, scale)
}

// SwiGLU sets gate to gate*sigmoid(gate)*up (Shazeer 2020).
func SwiGLU(gate, up []float32) {
	if up = up[:len(gate)]; len(gate) > 0 {
		attendKernel().swish(first(gate), len(gate), 1, 0)
		active.times(first(gate), first(gate), first(up), len(gate))
	}
}

// GeGLU sets gate to GELU(gate)*up with the tanh form of GELU.
func GeGLU(gate, up []float32) {
	if up = up[:len(gate)]; len(gate) > 0 {
		GELUTanh(gate)
		active.times(first(gate), first(gate), first(up), len(gate))
	}
}

// GELUTanh applies the tanh form of GELU to each value: x/2*(1+tanh(u)) with u = c*(x+0.044715*x^3), which
// is x*sigmoid(2u).
func GELUTanh(x []float32) {
	const c = 0.7978845608028654 // sqrt(2/pi)
	if len(x) > 0 {
		attendKernel().swish(first(x), len(x), 2*c, 2*c*0.044715)
	}
}

func swishGeneric(x *float32, n int, a, b float32) {
	for i := range n {
		p := at(x, i)
		*p *= sigmoid(*p * (a + b**p**p))
	}
}

func sigmoid(x float32) float32 {
	if x >= 0 {
		return 1 / (1 + exp(-x))
	}
	e := exp(x)
	return e / (1 + e)
}
