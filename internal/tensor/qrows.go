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
	for i, v := range x {
		dst[i] = v * scale * gamma[i]
	}
}

// SwiGLU sets gate to gate*sigmoid(gate)*up (Shazeer 2020).
func SwiGLU(gate, up []float32) {
	up = up[:len(gate)]
	for i, g := range gate {
		gate[i] = g * sigmoid(g) * up[i]
	}
}

// GeGLU sets gate to GELU(gate)*up with the tanh form of GELU.
func GeGLU(gate, up []float32) {
	up = up[:len(gate)]
	for i, g := range gate {
		gate[i] = geluTanh(g) * up[i]
	}
}

// GELUTanh applies the tanh form of GELU to each value.
func GELUTanh(x []float32) {
	for i, v := range x {
		x[i] = geluTanh(v)
	}
}

// geluTanh is x/2*(1+tanh(u)), which is x*sigmoid(2u).
func geluTanh(x float32) float32 {
	const c = 0.7978845608028654 // sqrt(2/pi)
	return x * sigmoid(2*c*(x+0.044715*x*x*x))
}

func sigmoid(x float32) float32 {
	if x >= 0 {
		return 1 / (1 + exp(-x))
	}
	e := exp(x)
	return e / (1 + e)
}
