package tensor

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
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

// scalePlaces is where in a block its halves are.
var scalePlaces = map[QType][]int{Q4_0: {0}, Q4_1: {0, 2}, Q5_0: {0}, Q5_1: {0, 2}, Q8_0: {0}, Q2_K: {80, 82}, Q3_K: {108},
	Q4_K: {0, 2}, Q5_K: {0, 2}, Q6_K: {208}, IQ4_NL: {0}, IQ4_XS: {0}, QF16: {0}}

// randomBlocks are weights of a type with scales that are numbers of a usual size.
func randomBlocks(rng *rand.Rand, t QType, n int) []byte {
	values, size := t.Block()
	data := make([]byte, n/values*size)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	for b := 0; b < len(data); b += size {
		for _, at := range scalePlaces[t] {
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

// rowsOf rounds n rows of x.
func rowsOf(x []float32, n, k int, exact bool) *QRows {
	r := new(QRows)
	r.Set(x, n, k, exact)
	r.Round(0, n)
	return r
}

// TestQMatrixMul compares every kernel with a plain product of dequantised weights and what the
// activations were rounded to, in float64: only the rounding of float32 sums may differ.
func TestQMatrixMul(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 2))
		for _, typ := range append([]QType{QF32}, goldenTypes...) {
			for _, k := range []int{32, 64, 96, 256, 768, 2304, 40} {
				values, _ := typ.Block()
				if k%values != 0 {
					continue
				}
				for _, s := range []struct{ m, n int }{{1, 1}, {1, 70}, {3, 16}, {13, 33}} {
					for _, exact := range []bool{false, true} {
						testQMatrixMul(t, rng, typ, s.m, s.n, k, exact)
					}
				}
			}
		}
	})
}

func testQMatrixMul(t *testing.T, rng *rand.Rand, typ QType, m, n, k int, exact bool) {
	t.Helper()
	w, err := NewQMatrix(typ, n, k, randomBlocks(rng, typ, n*k))
	if err != nil {
		t.Fatal(err)
	}
	a := rowsOf(randomVector(rng, m*k), m, k, exact)
	x := append([]float32(nil), a.x...)
	if a.rounded && qformats[typ].group > 0 {
		for i := range x {
			b := a.blocks[i/32]
			x[i] = b.scale * float32(b.q[i%32])
		}
	}
	ldd := n + 3
	got := make([]float32, m*ldd)
	for i := range got {
		got[i] = 77
	}
	half := w.Panels() / 2
	var s QScratch
	w.Mul(got, ldd, a, half, w.Panels(), &s)
	w.Mul(got, ldd, a, 0, half, &s)
	row := make([]float32, k)
	top := make([]float64, m)
	for i, v := range x {
		top[i/k] = max(top[i/k], math.Abs(float64(v)))
	}
	for j := range n {
		w.Row(row, j)
		for i := range m {
			want, size := 0.0, 0.0
			for c, v := range row {
				p := float64(v) * float64(x[i*k+c])
				want, size = want+p, size+math.Abs(p)
			}
			// Minima are taken off as sums that can be larger than the result.
			if qformats[typ].minimum {
				size += maxAbs(row) * top[i] * math.Sqrt(float64(k))
			}
			if d := math.Abs(float64(got[i*ldd+j]) - want); d > 4e-6*size+1e-7 {
				t.Fatalf("%s %dx%dx%d exact=%v: [%d,%d] is %g, want %g (of %g)", typ, m, n, k, exact, i, j, got[i*ldd+j], want, size)
			}
		}
	}
	for i := range m {
		for j := n; j < ldd; j++ {
			if got[i*ldd+j] != 77 {
				t.Fatalf("%s %dx%dx%d: wrote past row %d", typ, m, n, k, i)
			}
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

// TestQMatrixMulAlone: a row's products are the same bits alone and among others, and with every
// processor's kernels.
func TestQMatrixMulAlone(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, typ := range append([]QType{QF32}, goldenTypes...) {
		const m, n, k = 29, 300, 1280
		w, err := NewQMatrix(typ, n, k, randomBlocks(rng, typ, n*k))
		if err != nil {
			t.Fatal(err)
		}
		x := randomVector(rng, m*k)
		var all []float32
		eachLevel(t, func(t *testing.T) {
			if active.name == "generic" {
				t.Skip("plain Go does not fuse multiplications with additions")
			}
			var s QScratch
			if all == nil {
				all = make([]float32, m*n)
				w.Mul(all, n, rowsOf(x, m, k, false), 0, w.Panels(), &s)
			}
			for _, part := range []int{1, 2, 8, m} {
				got := make([]float32, m*n)
				for i := 0; i < m; i += part {
					rows := min(part, m-i)
					w.Mul(got[i*n:], n, rowsOf(x[i*k:], rows, k, false), 0, w.Panels(), &s)
				}
				for i := range got {
					if got[i] != all[i] {
						t.Fatalf("%s: %d rows at a time: row %d, column %d: %g, among all %g", typ, part, i/n, i%n, got[i], all[i])
					}
				}
			}
		})
	}
}

// TestUnpack compares the unpacking of each type with plain Go, on random bytes.
func TestUnpack(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		kern := quantKernels()
		rng := rand.New(rand.NewPCG(7, 8))
		for typ, unpack := range kern.unpack {
			f := qformats[typ]
			const blocks = 3
			data := randomBlocks(rng, typ, 16*blocks*f.values)
			n := blocks * f.values / 32
			got, want := make([]qblock, n), make([]qblock, n)
			unpack(first(got), first(data), blocks*f.bytes, blocks, 0)
			unpackGeneric(f, first(want), first(data), blocks*f.bytes, blocks)
			for b := range n {
				sameBlock(t, typ, &got[b], &want[b])
			}
		}
	})
}

// TestQRowsRound: rounding is the same by every kernel, and what cannot be rounded to int8 does not
// become something else.
func TestQRowsRound(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	x := randomVector(rng, 32*40)
	for i := range x {
		x[i] *= float32(math.Exp(float64(i / 32)))
	}
	clear(x[:32])
	x = append(x, make([]float32, 96)...)
	x[32*40], x[32*41], x[32*41+1], x[32*42+5] = 1e-45, -3e38, 3e38, float32(math.Inf(1))
	want := make([]qrow, len(x)/32)
	roundGeneric(first(want), first(x), len(want))
	for _, b := range []int{0, 40, 42} {
		if want[b] != (qrow{}) {
			t.Errorf("block %d is not zero: %v", b, want[b])
		}
	}
	if q := want[41].q; q[0] != -127 || q[1] != 127 {
		t.Error(q)
	}
	eachLevel(t, func(t *testing.T) {
		for b, got := range rowsOf(x, 1, len(x), false).blocks {
			if got != want[b] {
				t.Errorf("block %d: %v, want %v", b, got, want[b])
			}
		}
	})
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

func BenchmarkQMatrixMul(b *testing.B) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, typ := range append([]QType{QF32}, goldenTypes...) {
		const n, k = 4096, 1536
		w, err := NewQMatrix(typ, n, k, randomBlocks(rng, typ, n*k))
		if err != nil {
			b.Fatal(err)
		}
		for _, m := range []int{1, 8, 256} {
			a := rowsOf(randomVector(rng, m*k), m, k, false)
			dst := make([]float32, m*n)
			var s QScratch
			b.Run(fmt.Sprintf("%s/%d", typ, m), func(b *testing.B) {
				if m == 1 {
					b.SetBytes(int64(w.Bytes()))
				}
				for b.Loop() {
					w.Mul(dst, n, a, 0, w.Panels(), &s)
				}
				b.ReportMetric(2*float64(m*n*k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gop/s")
			})
		}
	}
}

// FuzzUnpack: whatever the bytes of a block are, every kernel takes them apart as plain Go does.
func FuzzUnpack(f *testing.F) {
	rng := rand.New(rand.NewPCG(13, 14))
	for i, typ := range goldenTypes {
		f.Add(uint8(i), randomBlocks(rng, typ, 256))
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		typ := goldenTypes[int(which)%len(goldenTypes)]
		format := qformats[typ]
		if format.group == 0 || len(data) == 0 {
			return
		}
		w := make([]byte, qpanel*format.bytes)
		for i := range w {
			w[i] = data[i%len(data)] + byte(i/len(data))
		}
		n := format.values / 32
		saved := active
		defer func() { active = saved }()
		for _, active = range available() {
			kern := quantKernels()
			unpack := kern.unpack[typ]
			if unpack == nil {
				continue
			}
			got, want := make([]qblock, n), make([]qblock, n)
			unpack(first(got), first(w), format.bytes, 1, 0)
			unpackGeneric(format, first(want), first(w), format.bytes, 1)
			for b := range n {
				sameBlock(t, typ, &got[b], &want[b])
			}
		}
	})
}

// kept is what an integer of a block that the kernels unpacked stands for, in units of its scale.
func kept(f *qformat, q int8) int {
	switch {
	case active.vnni:
		return int(uint8(q)) - 128
	case !strings.HasPrefix(active.name, "avx") || f.minimum || f.whole:
		return int(q)
	case f.group == 16:
		return int(q)<<2 - 128
	}
	return int(q)<<3 - 128
}

// sameBlock compares the values that a block of the kernels and one of plain Go stand for: kernels may keep a multiple
// of the integers, and without a sign.
func sameBlock(t *testing.T, typ QType, got, want *qblock) {
	t.Helper()
	f := qformats[typ]
	differ := func(a, b float64) bool { return a != b && !(math.IsNaN(a) && math.IsNaN(b)) }
	for r := range qpanel {
		for i := range 32 {
			h := i / f.group
			is := float64(got.scale[h][r]) * float64(kept(f, got.q[i/4][r][i%4]))
			should := float64(want.scale[h][r]) * float64(want.q[i/4][r][i%4])
			if differ(is, should) {
				t.Fatalf("%s: row %d, value %d: %g, want %g", typ, r, i, is, should)
			}
			if f.minimum && differ(float64(got.minimum[h][r]), float64(want.minimum[h][r])) {
				t.Fatalf("%s: row %d, value %d: minimum %g, want %g", typ, r, i, got.minimum[h][r], want.minimum[h][r])
			}
		}
	}
}
