package embed

import (
	"math"
	"runtime"
	"sync"
	"unsafe"
)

// quantiseRows rounds n rows of k weights to int8 with a scale for each row. The scale is symmetric; of
// 21 clipping points from 80 % to 100 % of the row's largest weight it takes the one with the least
// squared error, as scripts/convert_minilm.py does for the built-in model. That script also shifts
// scales between activations and weights (SmoothQuant) and spreads the errors of rounding (GPTQ), for
// which it runs texts through the model; this does not.
func quantiseRows(w []float32, n, k int) (values []byte, scales []float32) {
	values, scales = make([]byte, n*k), make([]float32, n)
	var wg sync.WaitGroup
	workers := min(runtime.GOMAXPROCS(0), n)
	for i := range workers {
		wg.Go(func() {
			for r := n * i / workers; r < n*(i+1)/workers; r++ {
				scales[r] = quantiseRow(values[r*k:(r+1)*k], w[r*k:(r+1)*k])
			}
		})
	}
	wg.Wait()
	return values, scales
}

func quantiseRow(dst []byte, w []float32) float32 {
	top := float32(1e-12)
	for _, x := range w {
		top = max(top, x, -x)
	}
	best, scale := float32(math.Inf(1)), float32(0)
	for part := range 21 {
		s := top * (0.8 + 0.01*float32(part)) / 127
		inv, sum := 1/s, float32(0)
		for _, x := range w {
			d := roundInt8(x*inv)*s - x
			sum += d * d
		}
		if sum < best {
			best, scale = sum, s
		}
	}
	inv := 1 / scale
	for i, x := range w {
		dst[i] = byte(int8(roundInt8(x * inv)))
	}
	return scale
}

// roundInt8 rounds to the nearest integer from -127 to 127, halves to even. Adding 1.5*2^23 leaves no
// bits for a fraction.
func roundInt8(x float32) float32 {
	const magic = 3 << 22
	return float32(min(max(x, -127), 127)+magic) - magic
}

// signed reads bytes as the signed values they hold.
func signed(b []byte) []int8 {
	return unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(b))), len(b))
}
