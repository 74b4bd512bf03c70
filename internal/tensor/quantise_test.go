package tensor_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"docent/internal/tensor"
)

// TestQuantiseGolden compares with ggml, by scripts/golden_llm.py: the simple types' bytes, and the errors of
// those whose scales are searched for.
func TestQuantiseGolden(t *testing.T) {
	data, err := os.ReadFile("testdata/rounded.bin")
	if err != nil {
		t.Fatal(err)
	}
	const n = 1024
	x := make([]float32, n)
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	data = data[4*n:]
	for _, kind := range []tensor.QType{tensor.QF16, tensor.QBF16, tensor.Q8_0, tensor.Q4_0, tensor.Q5_0, tensor.Q4_K, tensor.Q5_K, tensor.Q6_K} {
		t.Run(kind.String(), func(t *testing.T) {
			values, size := kind.Block()
			want := data[:n/values*size]
			data = data[len(want):]
			got := make([]byte, len(want))
			tensor.Quantise(kind, got, x)
			same := bytes.Equal(got, want)
			ours, theirs := lost(kind, got, x), lost(kind, want, x)
			t.Logf("same bytes: %v; root mean square error %.3g, ggml's %.3g", same, ours, theirs)
			switch kind {
			case tensor.Q4_K, tensor.Q5_K, tensor.Q6_K:
				if ours > 1.02*theirs {
					t.Errorf("root mean square error %g, ggml's is %g", ours, theirs)
				}
			default:
				if !same {
					t.Error("the bytes are not ggml's")
				}
			}
		})
	}
	if len(data) != 0 {
		t.Errorf("%d bytes are left", len(data))
	}
}

// lost is the root mean square error of values in a type.
func lost(kind tensor.QType, b []byte, x []float32) float64 {
	back := make([]float32, len(x))
	tensor.DequantiseBlocks(kind, back, b)
	sum := 0.0
	for i := range x {
		sum += float64(x[i]-back[i]) * float64(x[i]-back[i])
	}
	return math.Sqrt(sum / float64(len(x)))
}

// TestQuantiseExtremes: values that leave no room for a scale come back near enough, and never as no number.
func TestQuantiseExtremes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	fill := map[string]func(i int) float32{
		"zeros": func(int) float32 { return 0 }, "one value": func(int) float32 { return 0.3 }, "negative": func(int) float32 { return -2 },
		"tiny": func(i int) float32 { return float32(i) * 1e-30 }, "large": func(i int) float32 { return float32(i%7-3) * 2e4 },
		"one outlier": func(i int) float32 {
			if i == 100 {
				return 50
			}
			return rng.Float32() - 0.5
		},
	}
	bound := map[tensor.QType]float64{tensor.QF16: 1e-3, tensor.QBF16: 1e-2, tensor.Q8_0: 1e-2, tensor.Q4_0: 0.13, tensor.Q5_0: 0.07, tensor.Q4_K: 0.1, tensor.Q5_K: 0.06, tensor.Q6_K: 0.05}
	for name, f := range fill {
		x, far := make([]float32, 256), 0.0
		for i := range x {
			x[i] = f(i)
			far = max(far, math.Abs(float64(x[i])))
		}
		for kind, b := range bound {
			values, size := kind.Block()
			raw, back := make([]byte, len(x)/values*size), make([]float32, len(x))
			tensor.Quantise(kind, raw, x)
			tensor.DequantiseBlocks(kind, back, raw)
			for i := range x {
				if e := math.Abs(float64(back[i] - x[i])); !(e <= b*far+1e-7) {
					t.Errorf("%s in %s: value %d is %g, comes back as %g", name, kind, i, x[i], back[i])
					break
				}
			}
		}
	}
}

func BenchmarkQuantise(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, 1<<14)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	for _, kind := range []tensor.QType{tensor.QF16, tensor.Q8_0, tensor.Q4_0, tensor.Q4_K, tensor.Q6_K} {
		b.Run(kind.String(), func(b *testing.B) {
			values, size := kind.Block()
			out := make([]byte, len(x)/values*size)
			b.SetBytes(int64(4 * len(x)))
			for b.Loop() {
				tensor.Quantise(kind, out, x)
			}
		})
	}
}
