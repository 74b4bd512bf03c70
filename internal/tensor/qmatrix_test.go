package tensor

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"
)

var goldenTypes = []QType{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, QF16, QBF16}

// TestDequantiseGolden compares with the numpy code of the gguf package, by scripts/golden_llm.py.
func TestDequantiseGolden(t *testing.T) {
	golden, err := os.ReadFile("testdata/quants.bin")
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range goldenTypes {
		t.Run(typ.String(), func(t *testing.T) {
			values, bytes := typ.Block()
			size := 512 / values * bytes
			got := make([]float32, 512)
			DequantiseBlocks(typ, got, golden[:size])
			golden = golden[size:]
			for i, x := range got {
				want := math.Float32frombits(binary.LittleEndian.Uint32(golden[4*i:]))
				if x != want {
					t.Fatalf("value %d: %g, want %g", i, x, want)
				}
			}
			golden = golden[4*512:]
		})
	}
	if len(golden) != 0 {
		t.Errorf("%d bytes left", len(golden))
	}
}

// randomBlocks are weights of a type with scales that are numbers of a usual size.
func randomBlocks(rng *rand.Rand, t QType, n int) []byte {
	values, size := t.Block()
	data := make([]byte, n/values*size)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	places := map[QType][]int{Q4_0: {0}, Q4_1: {0, 2}, Q5_0: {0}, Q5_1: {0, 2}, Q8_0: {0}, Q2_K: {80, 82}, Q3_K: {108},
		Q4_K: {0, 2}, Q5_K: {0, 2}, Q6_K: {208}, IQ4_NL: {0}, IQ4_XS: {0}, QF16: {0}}
	for b := 0; b < len(data); b += size {
		for _, at := range places[t] {
			h := uint16(rng.Uint32()) & 0x8fff // exponents 0 to 3 of 31: up to 2^-11, and denormals
			binary.LittleEndian.PutUint16(data[b+at:], h|0x1000)
		}
		switch t {
		case QF32:
			binary.LittleEndian.PutUint32(data[b:], math.Float32bits(float32(rng.NormFloat64())))
		case QBF16:
			binary.LittleEndian.PutUint16(data[b:], uint16(math.Float32bits(float32(rng.NormFloat64()))>>16))
		}
	}
	return data
}

func randomVector(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

func forEachLevel(t *testing.T, f func(t *testing.T)) {
	before := active
	defer func() { active = before }()
	for _, k := range available() {
		active = k
		t.Run(k.name, f)
	}
}

// TestQMatrixMulVec compares every kernel with a plain product of dequantised weights and what the
// activations were rounded to, in float64: only the order of float32 sums may differ.
func TestQMatrixMulVec(t *testing.T) {
	forEachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 2))
		for _, typ := range append([]QType{QF32}, goldenTypes...) {
			for _, k := range []int{32, 64, 96, 256, 512, 768, 2048, 40} {
				values, _ := typ.Block()
				if k%values != 0 {
					continue
				}
				for _, n := range []int{1, 2, 3, 8} {
					for _, exact := range []bool{false, true} {
						testMulVec(t, rng, typ, n, k, exact)
					}
				}
			}
		}
	})
}

func testMulVec(t *testing.T, rng *rand.Rand, typ QType, n, k int, exact bool) {
	t.Helper()
	data := randomBlocks(rng, typ, n*k)
	m, err := NewQMatrix(typ, n, k, data)
	if err != nil {
		t.Fatal(err)
	}
	var v QVector
	x := randomVector(rng, k)
	v.Set(x, exact)
	want, size := make([]float64, n), make([]float64, n)
	row := make([]float32, k)
	rounded := !v.exact && qgeneric(typ, k) != nil && typ != QF32
	for i := range n {
		m.Row(row, i)
		for j, w := range row {
			a := float64(x[j])
			if rounded {
				a = float64(v.scale[j/32]) * float64(v.q[j])
			}
			want[i] += float64(w) * a
			size[i] += math.Abs(float64(w) * a)
		}
	}
	got := make([]float32, n+1)
	got[n] = 77
	m.MulVec(got[:n], &v, 0, n, make([]float32, k))
	if got[n] != 77 {
		t.Fatalf("%s %dx%d: wrote past the end", typ, n, k)
	}
	for i := range n {
		// Q4_K's minima and Q6_K's 32 are taken off as sums that can be larger than the result.
		if d := math.Abs(float64(got[i]) - want[i]); d > 4e-6*size[i]+1e-7 && d > 3e-6*math.Sqrt(float64(k))*maxAbs(row)*8 {
			t.Errorf("%s %dx%d exact=%v: row %d is %g, want %g (of %g)", typ, n, k, exact, i, got[i], want[i], size[i])
		}
	}
}

func maxAbs(x []float32) float64 {
	m := 0.0
	for _, v := range x {
		m = max(m, math.Abs(float64(v)))
	}
	return m
}

func TestQMatrixMul(t *testing.T) {
	forEachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(3, 4))
		for _, typ := range append([]QType{QF32}, goldenTypes...) {
			const n, k, rows = 37, 256, 5
			m, err := NewQMatrix(typ, n, k, randomBlocks(rng, typ, n*k))
			if err != nil {
				t.Fatal(err)
			}
			a, got := randomVector(rng, rows*k), make([]float32, rows*n)
			m.Mul(got, n, a, k, rows, 0, m.Panels(), make([]float32, m.MulScratch()))
			row := make([]float32, k)
			for j := range n {
				m.Row(row, j)
				for i := range rows {
					want, size := 0.0, 0.0
					for c, w := range row {
						p := float64(w) * float64(a[i*k+c])
						want, size = want+p, size+math.Abs(p)
					}
					if d := math.Abs(want - float64(got[i*n+j])); d > 2e-6*size+1e-9 {
						t.Fatalf("%s: row %d, column %d is %g, want %g", typ, i, j, got[i*n+j], want)
					}
				}
			}
		}
	})
}

// TestQVectorExtremes: values that cannot be rounded to eighths must not become something else.
func TestQVectorExtremes(t *testing.T) {
	x := make([]float32, 64)
	var v QVector
	v.Set(x, false)
	for _, q := range v.q {
		if q != 0 {
			t.Fatal("zeros are not kept")
		}
	}
	x[3], x[40], x[41] = 1e-45, -3e38, 3e38
	v.Set(x, false)
	if v.q[3] != 0 || v.q[40] != -127 || v.q[41] != 127 {
		t.Error(v.q)
	}
}

func TestNewQMatrixRefuses(t *testing.T) {
	for _, c := range []struct {
		typ         QType
		n, k, bytes int
	}{{99, 1, 32, 34}, {Q8_0, 1, 33, 34}, {Q8_0, 0, 32, 0}, {Q8_0, 2, 32, 34}, {Q8_0, 1 << 62, 32, 34}} {
		if _, err := NewQMatrix(c.typ, c.n, c.k, make([]byte, c.bytes)); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

func BenchmarkQMatrixMulVec(b *testing.B) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, typ := range []QType{QF16, Q8_0, Q4_0, Q4_K, Q6_K, Q5_K} {
		const n, k = 4096, 1536
		m, err := NewQMatrix(typ, n, k, randomBlocks(rng, typ, n*k))
		if err != nil {
			b.Fatal(err)
		}
		var v QVector
		v.Set(randomVector(rng, k), false)
		dst, scratch := make([]float32, n), make([]float32, k)
		b.Run(fmt.Sprint(typ), func(b *testing.B) {
			b.SetBytes(int64(m.Bytes()))
			for b.Loop() {
				m.MulVec(dst, &v, 0, n, scratch)
			}
		})
	}
}
