package embed

import (
	"math"

	"docent/internal/tensor"
)

// activations are the functions that config.json may name between the two halves of the feed-forward
// part. Only the exact GELU, which nearly all encoders have, is in assembly.
var activations = map[string]func([]float32){
	"gelu": tensor.GELU, "gelu_python": tensor.GELU,
	"gelu_new": geluTanh, "gelu_pytorch_tanh": geluTanh, "gelu_fast": geluTanh,
	"relu": relu,
	"silu": silu, "swish": silu, "swiglu": silu,
	"geglu": tensor.GELU, "reglu": relu,
	"tanh": tanh,
}

// geluTanh is the approximation of GELU by tanh (Hendrycks and Gimpel 2016, section 2).
func geluTanh(x []float32) {
	const root = 0.7978845608028654 // of 2/pi
	for i, v := range x {
		u := float64(v)
		x[i] = float32(0.5 * u * (1 + math.Tanh(root*(u+0.044715*u*u*u))))
	}
}

func silu(x []float32) {
	for i, v := range x {
		x[i] = v / (1 + float32(math.Exp(float64(-v))))
	}
}

func relu(x []float32) {
	for i, v := range x {
		x[i] = max(v, 0)
	}
}

func tanh(x []float32) {
	for i, v := range x {
		x[i] = float32(math.Tanh(float64(v)))
	}
}
