package tensor

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// rowKernel multiplies activations with a panel of weights by the kernel for one row, by the panel's tile, and by the
// tile in plain Go; values and data are read over and over.
func rowKernel(typ QType, blocks int, data []byte, x []float32) (one, tile, plain [qpanel]float32) {
	f, kern := qformats[typ], quantKernels()
	w := make([]byte, qpanel*blocks*f.bytes)
	for i := range w {
		w[i] = data[i%len(data)] + byte(i/len(data))
	}
	n := blocks * f.values / 32
	a := make([]qrow, n)
	for b := range a {
		var v [32]float32
		for i := range v {
			v[i] = x[(32*b+i)%len(x)]
		}
		a[b].set(&v)
	}
	how := qhow(0)
	if f.minimum {
		how = qminimum
	}
	kernel := kern.one[typ]
	for r := 0; r < qpanel; r += kernel.rows {
		kernel.mul(blocks, first(a), first(w[r*blocks*f.bytes:]), blocks*f.bytes, 0, first(one[r:]))
	}
	panel := make([]qblock, n)
	kern.unpack[typ](first(panel), first(w), blocks*f.bytes, blocks, 0)
	kern.tile[f.tile()](1, n, first(a), 64*n, first(panel), first(tile[:]), qpanel, how)
	unpackGeneric(f, first(panel), first(w), blocks*f.bytes, blocks)
	qgeneric.tile[f.tile()](1, n, first(a), 64*n, first(panel), first(plain[:]), qpanel, how)
	return one, tile, plain
}

// sameRow wants the bits of the tile from the kernel for one row, and about the same as in plain Go.
func sameRow(t *testing.T, typ QType, blocks int, data []byte, x []float32) {
	t.Helper()
	one, tile, plain := rowKernel(typ, blocks, data, x)
	size := 0.0
	for _, v := range plain {
		size = max(size, math.Abs(float64(v)))
	}
	for r := range one {
		odd := tile[r]-tile[r] != 0 // no finite number
		if math.Float32bits(one[r]) != math.Float32bits(tile[r]) && !(odd && one[r]-one[r] != 0) {
			t.Fatalf("%s %s, %d blocks: row %d is %g, by the tile %g", active.name, typ, blocks, r, one[r], tile[r])
		}
		if d := math.Abs(float64(one[r]) - float64(plain[r])); !odd && d > 1e-3*size+1e-6 {
			t.Fatalf("%s %s, %d blocks: row %d is %g, in plain Go %g", active.name, typ, blocks, r, one[r], plain[r])
		}
	}
}

// TestRowKernels: the kernels for one row give what the panels give, to the last bit: for random weights and for each of
// the bytes that make values largest or smallest, where sums of 16 bits are nearest to their limits.
func TestRowKernels(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(15, 16))
		level := func(v float32) []float32 { return slices.Repeat([]float32{v}, 32) }
		for typ := range quantKernels().one {
			for _, blocks := range []int{1, 2, 7} {
				for name, x := range map[string][]float32{
					"random": randomVector(rng, 2048), "top": level(3), "bottom": level(-3), "tiny": level(1e-30), "none": level(0),
				} {
					t.Run(fmt.Sprintf("%s/%d/%s", typ, blocks, name), func(t *testing.T) {
						data := randomBlocks(rng, typ, qpanel*qformats[typ].values*blocks)
						sameRow(t, typ, blocks, data, x)
						for _, fill := range []byte{0xff, 0x80, 0x7f, 0x00} {
							extreme := bytes.Repeat([]byte{fill}, len(data))
							for b := 0; b < len(data); b += qformats[typ].bytes {
								for _, at := range scalePlaces[typ] {
									copy(extreme[b+at:b+at+2], data[b+at:])
								}
							}
							sameRow(t, typ, blocks, extreme, x)
						}
					})
				}
			}
		}
	})
}

// FuzzRowKernels is the same for any bytes.
func FuzzRowKernels(f *testing.F) {
	rng := rand.New(rand.NewPCG(17, 18))
	for i, typ := range goldenTypes {
		f.Add(uint8(i), uint8(i), randomBlocks(rng, typ, 256), []byte("activations"))
	}
	f.Fuzz(func(t *testing.T, which, count uint8, data, numbers []byte) {
		typ := goldenTypes[int(which)%len(goldenTypes)]
		if len(data) == 0 {
			return
		}
		in := bytesAs{data: numbers}
		x := in.floats(256)
		saved := active
		defer func() { active = saved }()
		for _, active = range available() {
			if quantKernels().one[typ].mul == nil {
				continue
			}
			one, tile, _ := rowKernel(typ, 1+int(count%4), data, x)
			for r := range one {
				if math.Float32bits(one[r]) != math.Float32bits(tile[r]) && !(one[r]-one[r] != 0 && tile[r]-tile[r] != 0) {
					t.Fatalf("%s %s: row %d is %g, by the tile %g", active.name, typ, r, one[r], tile[r])
				}
			}
		}
	})
}
