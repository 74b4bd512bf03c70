// Command asm writes the amd64 kernels of package tensor: kernels_amd64.s. Run it from that package's
// folder, by go generate.
//
// One description serves AVX2 and AVX-512: the instructions are mostly the same and the registers
// differ. Labels and register plans are the generator's; what each kernel does is said in the text it
// puts before it.
package main

import (
	"bytes"
	"fmt"
	"log"
	"math"
	"os"
	"strings"
)

type gen struct {
	bytes.Buffer
	isa  string // "AVX2" or "AVX512"
	reg  string // "Y" or "Z"
	n    int    // float32 lanes
	name string
}

func (g *gen) p(format string, args ...any) { fmt.Fprintf(g, format+"\n", args...) }

// op writes one instruction. In operands v0, v1, ... are vector registers of class r.
func (g *gen) op(r, text string) {
	f := strings.Fields(text)
	for i, a := range f {
		a, comma := strings.CutSuffix(a, ",")
		if len(a) > 1 && a[0] == 'v' && a[1] >= '0' && a[1] <= '9' {
			a = r + a[1:]
		}
		if comma {
			a += ","
		}
		f[i] = a
	}
	g.p("\t%s %s", f[0], strings.Join(f[1:], " "))
}

func (g *gen) ops(r string, lines string) {
	for l := range strings.Lines(lines) {
		if l = strings.TrimSpace(l); l != "" {
			g.op(r, l)
		}
	}
}

// consts are replicated over a vector, so that they serve as memory operands of any width.
var consts = []struct {
	name string
	bits uint32
}{
	{"sqrtHalf", math.Float32bits(math.Sqrt2 / 2)}, {"four", math.Float32bits(4)}, {"minusFour", math.Float32bits(-4)},
	{"half", math.Float32bits(0.5)}, {"one", math.Float32bits(1)},
	{"p0", math.Float32bits(-2.72614225801306e-10)}, {"p1", math.Float32bits(2.77068142495902e-08)},
	{"p2", math.Float32bits(-2.10102402082508e-06)}, {"p3", math.Float32bits(-5.69250639462346e-05)},
	{"p4", math.Float32bits(-7.34990630326855e-04)}, {"p5", math.Float32bits(-2.95459980854025e-03)},
	{"p6", math.Float32bits(-1.60960333262415e-02)},
	{"q0", math.Float32bits(-1.45660718464996e-05)}, {"q1", math.Float32bits(-2.13374055278905e-04)},
	{"q2", math.Float32bits(-1.68282697438203e-03)}, {"q3", math.Float32bits(-7.37332916720468e-03)},
	{"q4", math.Float32bits(-1.42647390514189e-02)},
	{"expMin", math.Float32bits(-87)}, {"expMax", math.Float32bits(88)}, {"log2e", math.Float32bits(math.Log2E)},
	{"ln2hi", math.Float32bits(0.693359375)}, {"ln2lo", math.Float32bits(-2.12194440e-4)},
	{"e0", math.Float32bits(1.9875691500e-4)}, {"e1", math.Float32bits(1.3981999507e-3)},
	{"e2", math.Float32bits(8.3334519073e-3)}, {"e3", math.Float32bits(4.1665795894e-2)},
	{"e4", math.Float32bits(1.6666665459e-1)}, {"e5", math.Float32bits(5.0000001201e-1)},
	{"upper", 0xffff0000}, {"bit", 1}, {"below", 0x7fff}, {"quiet", 0x7fc00000},
	{"bias127", 127}, {"minusInf", math.Float32bits(float32(math.Inf(-1)))},
}

func constants(g *gen) {
	for _, c := range consts {
		for i := range 8 {
			g.p("DATA %s<>+%d(SB)/8, $0x%016x", c.name, i*8, uint64(c.bits)<<32|uint64(c.bits))
		}
		g.p("GLOBL %s<>(SB), RODATA|NOPTR, $64", c.name)
	}
}

func (g *gen) text(name, args string, size int, doc string) {
	g.name = name + g.isa
	g.p("\n// func %s(%s)\n//", g.name, args)
	for l := range strings.Lines(strings.TrimSpace(doc)) {
		g.p("// %s", strings.TrimSpace(l))
	}
	g.p("TEXT ·%s(SB), NOSPLIT, $0-%d", g.name, size)
}

// rowAddr is the address of row r of a at a byte offset: five rows to a base register, by multiples of
// the stride (CX) and three times the stride (DX).
func rowAddr(r, off int) string {
	base := []string{"AX", "BX", "SI"}[r/5]
	idx := []string{"", "(CX*1)", "(CX*2)", "(DX*1)", "(CX*4)"}[r%5]
	if off == 0 {
		return fmt.Sprintf("(%s)%s", base, idx)
	}
	return fmt.Sprintf("%d(%s)%s", off, base, idx)
}

func (g *gen) advance(rows, bytes int) {
	for b := 0; b*5 < rows; b++ {
		g.p("\tADDQ $%d, %s", bytes, []string{"AX", "BX", "SI"}[b])
	}
}

// mulF32: the tile of sums stays in registers, two vectors to a row. For each k the two vectors of the
// panel are loaded, then each row's value is broadcast and multiplied into its two sums.
func (g *gen) mulF32(mr int) {
	g.text("mulF32", "mr, k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, bias *float32", 72, fmt.Sprintf(`
		c[i][j] = bias[j] + sum a[i][k]*b[k][j] for i < mr <= %d and the %d columns of a panel.
		Sums: %s0 to %s%d, two to a row. Panel: %s%d, %s%d. Broadcast values: the next two.
		AX, BX, SI: rows 0, 5, 10 of a; CX, DX: lda and 3*lda; DI: b; R8: ldb; R9: k left.
		Four k to a round, then one.`, mr, 2*g.n, g.reg, g.reg, 2*mr-1, g.reg, 2*mr, g.reg, 2*mr+1))
	g.mulProlog()
	g.ops("", `
		MOVQ ldb+40(FP), R8
		SHLQ $2, R8
		SHLQ $2, CX
		SHLQ $2, R10`)
	g.mulBases()
	g.dispatch(mr, func(rows int, done string) {
		b0, b1 := 2*mr, 2*mr+1
		step := func(off int) {
			g.op(g.reg, fmt.Sprintf("VMOVUPS (DI), v%d", b0))
			g.op(g.reg, fmt.Sprintf("VMOVUPS %d(DI), v%d", 4*g.n, b1))
			g.ahead(8 * g.n)
			for r := range rows {
				x := 2*mr + 2 + r%2
				g.op(g.reg, fmt.Sprintf("VBROADCASTSS %s, v%d", rowAddr(r, off), x))
				g.op(g.reg, fmt.Sprintf("VFMADD231PS v%d, v%d, v%d", b0, x, 2*r))
				g.op(g.reg, fmt.Sprintf("VFMADD231PS v%d, v%d, v%d", b1, x, 2*r+1))
			}
			g.p("\tADDQ R8, DI")
		}
		g.rounds(rows, done, step)
	})
	g.storeSums(mr, 64)
}

// storeSums adds the bias, whose address is an argument, and writes the tile, row by row.
func (g *gen) storeSums(mr, biasArg int) {
	g.p("done:")
	g.op(g.reg, fmt.Sprintf("VXORPS v%d, v%d, v%d", 2*mr, 2*mr, 2*mr))
	g.op(g.reg, fmt.Sprintf("VXORPS v%d, v%d, v%d", 2*mr+1, 2*mr+1, 2*mr+1))
	g.ops("", fmt.Sprintf(`
		MOVQ bias+%d(FP), R12
		TESTQ R12, R12
		JZ store`, biasArg))
	g.op(g.reg, fmt.Sprintf("VMOVUPS (R12), v%d", 2*mr))
	g.op(g.reg, fmt.Sprintf("VMOVUPS %d(R12), v%d", 4*g.n, 2*mr+1))
	g.p("store:")
	for r := range mr {
		for h := range 2 {
			g.op(g.reg, fmt.Sprintf("VADDPS v%d, v%d, v%d", 2*mr+h, 2*r+h, 2*r+h))
			g.op(g.reg, fmt.Sprintf("VMOVUPS v%d, %d(R11)", 2*r+h, h*4*g.n))
		}
		if r+1 < mr {
			g.ops("", `
				ADDQ R10, R11
				DECQ R13
				JZ ret`)
		}
	}
	g.p("ret:\n\tVZEROUPPER\n\tRET")
}

// evex writes an instruction of the AVX512-BF16 extension, which Go's assembler does not know: 512 bits
// wide, registers only, prefix F3, map 0F38. d is the destination, s and t are the sources in the order
// of Intel's manual (EVEX.vvvv and ModRM:r/m).
func (g *gen) evex(opcode, d, s, t int, text string) {
	not := func(x, bit int) int { return x>>bit&1 ^ 1 }
	p0 := not(d, 3)<<7 | not(t, 4)<<6 | not(t, 3)<<5 | not(d, 4)<<4 | 2
	p1 := (^s&15)<<3 | 4 | 2
	p2 := 0x40 | not(s, 4)<<3
	g.p("\tLONG $0x%02x%02x%02x62; WORD $0x%02x%02x // %s", p2, p1, p0, 0xc0|d&7<<3|t&7, opcode, text)
}

// mulBF16 is mulF32 with two values at each position.
func (g *gen) mulBF16(mr int) {
	g.text("mulBF16", "mr, k int, a *uint16, lda int, b *uint16, c *float32, ldc int, bias *float32", 64, `
		c[i][j] = bias[j] + sum a[i][k]*b[k][j] for bfloat16, two k to a position: VDPBF16PS adds the product of
		the second and then that of the first to a float32, rounding each time to nearest even, subnormals as 0.
		Registers as in mulF32; R9 counts pairs of inputs.`)
	g.mulProlog()
	g.ops("", `
		SHLQ $2, R10
		SHLQ $1, CX
		SHRQ $1, R9`)
	g.mulBases()
	b0, b1 := 2*mr, 2*mr+1
	g.dispatch(mr, func(rows int, done string) {
		g.rounds(rows, done, func(off int) {
			g.op(g.reg, fmt.Sprintf("VMOVUPS (DI), v%d", b0))
			g.op(g.reg, fmt.Sprintf("VMOVUPS 64(DI), v%d", b1))
			g.ahead(128)
			for r := range rows {
				x := 2*mr + 2 + r%2
				g.op(g.reg, fmt.Sprintf("VBROADCASTSS %s, v%d", rowAddr(r, off), x))
				for h := range 2 {
					g.evex(0x52, 2*r+h, x, b0+h, fmt.Sprintf("VDPBF16PS Z%d, Z%d, Z%d", b0+h, x, 2*r+h))
				}
			}
			g.p("\tADDQ $128, DI")
		})
	})
	g.storeSums(mr, 56)
}

// mulWide is mulF32 for weights in bfloat16, which are widened as they are loaded.
func (g *gen) mulWide(mr int) {
	g.text("mulWide", "mr, k int, a *float32, lda int, b *uint16, c *float32, ldc int, bias *float32", 64, fmt.Sprintf(`
		c[i][j] = bias[j] + sum a[i][k]*b[k][j] for float32 a and bfloat16 b. The %d columns of a panel lie 0, %d, 1,
		%d and so on, so that one load holds two vectors: a shift leaves the first, a mask the second.
		Registers as in mulF32.`, 2*g.n, g.n, g.n+1))
	g.mulProlog()
	g.ops("", `
		SHLQ $2, R10
		SHLQ $2, CX`)
	g.mulBases()
	b0, b1 := 2*mr, 2*mr+1
	g.dispatch(mr, func(rows int, done string) {
		g.rounds(rows, done, func(off int) {
			g.op(g.reg, fmt.Sprintf("VMOVUPS (DI), v%d", b1))
			g.op(g.reg, fmt.Sprintf("VPSLLD $16, v%d, v%d", b1, b0))
			g.op(g.reg, fmt.Sprintf("VANDPS upper<>(SB), v%d, v%d", b1, b1))
			g.ahead(4 * g.n)
			for r := range rows {
				x := 2*mr + 2 + r%2
				g.op(g.reg, fmt.Sprintf("VBROADCASTSS %s, v%d", rowAddr(r, off), x))
				g.op(g.reg, fmt.Sprintf("VFMADD231PS v%d, v%d, v%d", b0, x, 2*r))
				g.op(g.reg, fmt.Sprintf("VFMADD231PS v%d, v%d, v%d", b1, x, 2*r+1))
			}
			g.p("\tADDQ $%d, DI", 4*g.n)
		})
	})
	g.storeSums(mr, 56)
}

func (g *gen) roundWide() {
	g.text("roundWide", "dst, src *float32, n int", 24, fmt.Sprintf(`
		dst = src rounded to bfloat16, in float32, for n a multiple of %d: adds 7fff and the lowest bit that is kept,
		and clears what is not kept. NaN stays NaN.`, g.n))
	g.ops("", "MOVQ dst+0(FP), AX\nMOVQ src+8(FP), BX\nMOVQ n+16(FP), CX")
	g.p("loop:\n\tSUBQ $%d, CX\n\tJLT end", g.n)
	g.ops(g.reg, `
		VMOVUPS (BX), v0
		VPSRLD $16, v0, v1
		VANDPS bit<>(SB), v1, v1
		VPADDD v0, v1, v1
		VPADDD below<>(SB), v1, v1`)
	if g.isa == "AVX512" {
		g.p("\tVCMPPS $3, Z0, Z0, K1\n\tVORPS Z0, Z1, K1, Z1\n\tVORPS quiet<>(SB), Z1, K1, Z1")
	} else {
		g.p("\tVCMPPS $3, Y0, Y0, Y2\n\tVORPS Y2, Y1, Y1")
	}
	g.ops(g.reg, "VANDPS upper<>(SB), v1, v1\nVMOVUPS v1, (AX)")
	g.p("\tADDQ $%d, AX\n\tADDQ $%d, BX\n\tJMP loop\nend:", 4*g.n, 4*g.n)
	g.finish()
}

func (g *gen) roundBF16() {
	g.text("roundBF16", "dst *uint16, src *float32, n int", 24, `dst = src rounded to bfloat16, for n a multiple of 16.`)
	g.ops("", "MOVQ dst+0(FP), AX\nMOVQ src+8(FP), BX\nMOVQ n+16(FP), CX")
	g.p("loop:\n\tSUBQ $16, CX\n\tJLT end\n\tVMOVUPS (BX), Z0")
	g.evex(0x72, 1, 0, 0, "VCVTNEPS2BF16 Z0, Y1")
	g.p("\tVMOVDQU Y1, (AX)\n\tADDQ $32, AX\n\tADDQ $64, BX\n\tJMP loop\nend:")
	g.finish()
}

func (g *gen) mulProlog() {
	g.ops("", `
		MOVQ mr+0(FP), R13
		MOVQ k+8(FP), R9
		MOVQ a+16(FP), AX
		MOVQ lda+24(FP), CX
		MOVQ b+32(FP), DI`)
	if strings.HasPrefix(g.name, "mulF32") {
		g.ops("", `
			MOVQ c+48(FP), R11
			MOVQ ldc+56(FP), R10`)
	} else {
		g.ops("", `
			MOVQ c+40(FP), R11
			MOVQ ldc+48(FP), R10`)
	}
}

func (g *gen) mulBases() {
	g.ops("", `
		LEAQ (CX)(CX*2), DX
		LEAQ (CX)(CX*4), R12
		LEAQ (AX)(R12*1), BX
		LEAQ (BX)(R12*1), SI`)
}

// dispatch writes a body for each count of rows up to mr and the choice between them.
func (g *gen) dispatch(mr int, body func(rows int, done string)) {
	for r := mr; r > 1; r-- {
		g.p("\tCMPQ R13, $%d\n\tJEQ rows%d", r, r)
	}
	for r := 1; r <= mr; r++ {
		g.p("rows%d:", r)
		for i := range 2 * r {
			g.op(g.reg, fmt.Sprintf("VXORPS v%d, v%d, v%d", i, i, i))
		}
		body(r, "done")
	}
}

// ahead fetches what a position of the panel, of so many bytes, will be 2 kB on. The weights of a layer do
// not fit the second-level cache, and with few rows they are used faster than the processor fetches them of
// its own accord: 12 rows of MiniLM's matrices, 42 MB in float32, took twice as long without this (2.04 ms a core, and 4.4).
func (g *gen) ahead(bytes int) {
	for at := 0; at < bytes; at += 64 {
		g.p("\tPREFETCHT0 %d(DI)", 2048+at)
	}
}

// rounds runs step for R9 positions, four to a round; a position is four bytes of a.
func (g *gen) rounds(rows int, done string, step func(off int)) {
	g.ops("", fmt.Sprintf(`
		SUBQ $4, R9
		JLT tail%d`, rows))
	g.p("\tPCALIGN $32\nloop%d:", rows)
	for u := range 4 {
		step(4 * u)
	}
	g.advance(rows, 16)
	g.ops("", fmt.Sprintf(`
		SUBQ $4, R9
		JGE loop%d`, rows))
	g.p("tail%d:", rows)
	g.ops("", fmt.Sprintf(`
		ADDQ $4, R9
		JZ %s`, done))
	g.p("one%d:", rows)
	step(0)
	g.advance(rows, 4)
	g.ops("", fmt.Sprintf(`
		DECQ R9
		JNZ one%d
		JMP %s`, rows, done))
}

func (g *gen) mulInt8(mr int) {
	how := `Activations are bytes, weights signed bytes in fours of one column: VPDPBUSD adds the four
		products to a 32-bit sum.`
	if g.isa == "AVX2" {
		how = `Activations are 16 bits, weights signed bytes in pairs of one column, widened as they are
		loaded: VPMADDWD adds two products without loss, where VPMADDUBSW would saturate.`
	}
	g.text("mulInt8", "mr, k int, a *byte, lda int, b *int8, c *float32, ldc int, rows *rowScale, cols *float32", 72, fmt.Sprintf(`
		c[i][j] = rows[i].scale*(scale[j]*sum a[i][k]*b[k][j]) + (rows[i].shift*sums[j] + bias[j]).
		%s
		Registers as in mulF32; R9 counts groups of inputs. cols: scale, sums, bias.`, how))
	g.mulProlog()
	group := 4
	if g.isa == "AVX2" {
		group = 2
	}
	g.ops("", fmt.Sprintf(`
		SHLQ $2, R10
		SHRQ $%d, R9`, map[int]int{2: 1, 4: 2}[group]))
	g.mulBases()
	b0, b1 := 2*mr, 2*mr+1
	g.dispatch(mr, func(rows int, done string) {
		g.rounds(rows, done, func(off int) {
			if g.isa == "AVX512" {
				g.op(g.reg, fmt.Sprintf("VMOVDQU32 (DI), v%d", b0))
				g.op(g.reg, fmt.Sprintf("VMOVDQU32 64(DI), v%d", b1))
				g.ahead(128)
				for r := range rows {
					x := 2*mr + 2 + r%2
					g.op(g.reg, fmt.Sprintf("VPBROADCASTD %s, v%d", rowAddr(r, off), x))
					g.op(g.reg, fmt.Sprintf("VPDPBUSD v%d, v%d, v%d", b0, x, 2*r))
					g.op(g.reg, fmt.Sprintf("VPDPBUSD v%d, v%d, v%d", b1, x, 2*r+1))
				}
				g.p("\tADDQ $128, DI")
				return
			}
			g.op(g.reg, fmt.Sprintf("VPMOVSXBW (DI), v%d", b0))
			g.op(g.reg, fmt.Sprintf("VPMOVSXBW 16(DI), v%d", b1))
			for r := range rows {
				x, t := 2*mr+2, 2*mr+3
				g.op(g.reg, fmt.Sprintf("VPBROADCASTD %s, v%d", rowAddr(r, off), x))
				g.op(g.reg, fmt.Sprintf("VPMADDWD v%d, v%d, v%d", b0, x, t))
				g.op(g.reg, fmt.Sprintf("VPADDD v%d, v%d, v%d", t, 2*r, 2*r))
				g.op(g.reg, fmt.Sprintf("VPMADDWD v%d, v%d, v%d", b1, x, t))
				g.op(g.reg, fmt.Sprintf("VPADDD v%d, v%d, v%d", t, 2*r+1, 2*r+1))
			}
			g.p("\tADDQ $32, DI")
		})
	})
	g.ops("", `
		done:
		MOVQ rows+56(FP), R12
		MOVQ cols+64(FP), DX`)
	w := 4 * g.n
	for r := range mr {
		for h := range 2 {
			acc := 2*r + h
			t, u := 2*mr, 2*mr+1
			g.op(g.reg, fmt.Sprintf("VBROADCASTSS %d(R12), v%d", 8*r+4, t))
			g.op(g.reg, fmt.Sprintf("VMOVUPS %d(DX), v%d", 4*w+h*w, u))
			g.op(g.reg, fmt.Sprintf("VFMADD231PS %d(DX), v%d, v%d", 2*w+h*w, t, u))
			g.op(g.reg, fmt.Sprintf("VCVTDQ2PS v%d, v%d", acc, acc))
			g.op(g.reg, fmt.Sprintf("VMULPS %d(DX), v%d, v%d", h*w, acc, acc))
			g.op(g.reg, fmt.Sprintf("VBROADCASTSS %d(R12), v%d", 8*r, t))
			g.op(g.reg, fmt.Sprintf("VFMADD213PS v%d, v%d, v%d", u, t, acc))
			g.op(g.reg, fmt.Sprintf("VMOVUPS v%d, %d(R11)", acc, h*w))
		}
		if r+1 < mr {
			g.ops("", `
				ADDQ R10, R11
				DECQ R13
				JZ ret`)
		}
	}
	g.p("ret:\n\tVZEROUPPER\n\tRET")
}

// reduce folds v0 to a scalar in X0 with op ("ADD" or "MAX", "MIN"), using v1 as scratch.
func (g *gen) reduce(reg int, op string) {
	if g.isa == "AVX512" {
		g.p("\tVEXTRACTF64X4 $1, Z%d, Y15", reg)
		g.p("\tV%sPS Y15, Y%d, Y%d", op, reg, reg)
	}
	g.p("\tVEXTRACTF128 $1, Y%d, X15", reg)
	g.p("\tV%sPS X15, X%d, X%d", op, reg, reg)
	g.p("\tVPERMILPS $0x4e, X%d, X15", reg)
	g.p("\tV%sPS X15, X%d, X%d", op, reg, reg)
	g.p("\tVPERMILPS $0xb1, X%d, X15", reg)
	g.p("\tV%sPS X15, X%d, X%d", op, reg, reg)
}

// loop runs body over n values at the pointers, a vector at a time and then a value at a time. middle
// comes between.
func (g *gen) loop(unit int, ptrs map[string]int, body, middle func(), one func()) {
	g.p("\tSUBQ $%d, CX\n\tJLT small", unit)
	g.p("\tPCALIGN $32\nloop:")
	body()
	for _, p := range []string{"AX", "BX", "SI", "DI"} {
		if n, ok := ptrs[p]; ok {
			g.p("\tADDQ $%d, %s", n*unit, p)
		}
	}
	g.p("\tSUBQ $%d, CX\n\tJGE loop", unit)
	g.p("small:")
	if middle != nil {
		middle()
	}
	g.p("\tADDQ $%d, CX\n\tJZ end", unit)
	g.p("one:")
	one()
	for _, p := range []string{"AX", "BX", "SI", "DI"} {
		if n, ok := ptrs[p]; ok {
			g.p("\tADDQ $%d, %s", n, p)
		}
	}
	g.p("\tDECQ CX\n\tJNZ one")
	g.p("end:")
}

func (g *gen) finish(out ...string) {
	g.p("\tVZEROUPPER")
	for _, o := range out {
		g.p("\t%s", o)
	}
	g.p("\tRET")
}

func c(name string) string { return name + "<>(SB)" }

func (g *gen) gelu() {
	g.text("gelu", "x *float32, n int", 16, `x = x/2 * (1 + erf(x/sqrt 2)), erf as an odd over an even polynomial (see erf in Go).`)
	body := func(r string) {
		g.ops(r, fmt.Sprintf(`
			VMULPS %s, v0, v1
			VMINPS %s, v1, v1
			VMAXPS %s, v1, v1
			VMULPS v1, v1, v2
			VMOVUPS %s, v3
			VMOVUPS %s, v4`, c("sqrtHalf"), c("four"), c("minusFour"), c("p0"), c("q0")))
		for i := 1; i <= 6; i++ {
			g.op(r, fmt.Sprintf("VFMADD213PS p%d<>(SB), v2, v3", i))
			if i <= 4 {
				g.op(r, fmt.Sprintf("VFMADD213PS q%d<>(SB), v2, v4", i))
			}
		}
		g.ops(r, fmt.Sprintf(`
			VMULPS v1, v3, v3
			VDIVPS v4, v3, v3
			VMULPS %s, v0, v5
			VFMADD213PS v5, v5, v3`, c("half")))
	}
	g.ops("", "MOVQ x+0(FP), AX\nMOVQ n+8(FP), CX")
	g.loop(g.n, map[string]int{"AX": 4}, func() {
		g.op(g.reg, "VMOVUPS (AX), v0")
		body(g.reg)
		g.op(g.reg, "VMOVUPS v3, (AX)")
	}, nil, func() {
		g.op("X", "VMOVSS (AX), v0")
		body("X")
		g.op("X", "VMOVSS v3, (AX)")
	})
	g.finish()
}

// exp sets v3 to exp of v0. It takes v0 to v3.
func (g *gen) exp(r string) {
	g.ops(r, fmt.Sprintf(`
		VMAXPS %s, v0, v0
		VMULPS %s, v0, v1
		VCVTPS2DQ v1, v2
		VCVTDQ2PS v2, v1
		VFNMADD231PS %s, v1, v0
		VFNMADD231PS %s, v1, v0
		VMOVUPS %s, v3`, c("expMin"), c("log2e"), c("ln2hi"), c("ln2lo"), c("e0")))
	for i := 1; i <= 5; i++ {
		g.op(r, fmt.Sprintf("VFMADD213PS e%d<>(SB), v0, v3", i))
	}
	g.ops(r, fmt.Sprintf(`
		VMULPS v0, v3, v3
		VFMADD213PS v0, v0, v3
		VADDPS %s, v3, v3
		VPADDD %s, v2, v2
		VPSLLD $23, v2, v2
		VMULPS v2, v3, v3`, c("one"), c("bias127")))
}

func (g *gen) expSum() {
	g.text("expSum", "x *float32, n int, top, scale float32) (sum float32", 28, `x = exp((x-top)*scale), and their sum. x = m*ln 2 + r, exp(x) = 2^m * p(r) (see exp in Go).`)
	body := func(r string) {
		g.ops(r, "VSUBPS v8, v0, v0\nVMULPS v9, v0, v0")
		g.exp(r)
	}
	g.ops("", "MOVQ x+0(FP), AX\nMOVQ n+8(FP), CX")
	g.ops(g.reg, "VBROADCASTSS top+16(FP), v8\nVBROADCASTSS scale+20(FP), v9\nVXORPS v7, v7, v7")
	g.loop(g.n, map[string]int{"AX": 4}, func() {
		g.op(g.reg, "VMOVUPS (AX), v0")
		body(g.reg)
		g.ops(g.reg, "VADDPS v3, v7, v7\nVMOVUPS v3, (AX)")
	}, func() { g.reduce(7, "ADD") }, func() {
		g.op("X", "VMOVSS (AX), v0")
		body("X")
		g.ops("X", "VADDSS v3, v7, v7\nVMOVSS v3, (AX)")
	})
	g.finish("MOVSS X7, sum+24(FP)")
}

func (g *gen) swish() {
	g.text("swish", "x *float32, n int, a, b float32", 24, `x = x * sigmoid(x*(a + b*x*x)) = x / (1 + exp(-x*(a + b*x*x))), the exponent at most 88. x is kept in
		v4.`)
	body := func(r string) {
		g.ops(r, fmt.Sprintf(`
			VMULPS v4, v4, v0
			VMULPS v9, v0, v0
			VADDPS v8, v0, v0
			VMULPS v4, v0, v0
			VSUBPS v0, v7, v0
			VMINPS %s, v0, v0`, c("expMax")))
		g.exp(r)
		g.ops(r, fmt.Sprintf("VADDPS %s, v3, v3\nVDIVPS v3, v4, v3", c("one")))
	}
	g.ops("", "MOVQ x+0(FP), AX\nMOVQ n+8(FP), CX")
	g.ops(g.reg, "VBROADCASTSS a+16(FP), v8\nVBROADCASTSS b+20(FP), v9\nVXORPS v7, v7, v7")
	g.loop(g.n, map[string]int{"AX": 4}, func() {
		g.op(g.reg, "VMOVUPS (AX), v4")
		body(g.reg)
		g.op(g.reg, "VMOVUPS v3, (AX)")
	}, nil, func() {
		g.op("X", "VMOVSS (AX), v4")
		body("X")
		g.op("X", "VMOVSS v3, (AX)")
	})
	g.finish()
}

func (g *gen) maxOf() {
	g.text("maxOf", "x *float32, n int) (top float32", 20, `The largest value, -Inf for none.`)
	g.ops("", "MOVQ x+0(FP), AX\nMOVQ n+8(FP), CX")
	g.op(g.reg, "VMOVUPS "+c("minusInf")+", v0")
	g.loop(g.n, map[string]int{"AX": 4}, func() { g.op(g.reg, "VMAXPS (AX), v0, v0") },
		func() { g.reduce(0, "MAX") }, func() { g.op("X", "VMAXSS (AX), v0, v0") })
	g.finish("MOVSS X0, top+16(FP)")
}

func (g *gen) minMax() {
	g.text("minMax", "x *float32, n int) (lo, hi float32", 24, `The smallest and largest of the values and 0.`)
	g.ops("", "MOVQ x+0(FP), AX\nMOVQ n+8(FP), CX")
	g.ops(g.reg, "VXORPS v0, v0, v0\nVXORPS v1, v1, v1")
	g.loop(g.n, map[string]int{"AX": 4}, func() { g.ops(g.reg, "VMOVUPS (AX), v2\nVMINPS v2, v0, v0\nVMAXPS v2, v1, v1") },
		func() { g.reduce(0, "MIN"); g.reduce(1, "MAX") },
		func() { g.ops("X", "VMOVSS (AX), v2\nVMINSS v2, v0, v0\nVMAXSS v2, v1, v1") })
	g.finish("MOVSS X0, lo+16(FP)", "MOVSS X1, hi+20(FP)")
}

func (g *gen) scaleBy() {
	g.text("scaleBy", "x *float32, n int, a float32", 20, `x = a*x.`)
	g.ops("", "MOVQ x+0(FP), AX\nMOVQ n+8(FP), CX")
	g.op(g.reg, "VBROADCASTSS a+16(FP), v1")
	g.loop(g.n, map[string]int{"AX": 4}, func() { g.ops(g.reg, "VMULPS (AX), v1, v0\nVMOVUPS v0, (AX)") },
		nil, func() { g.ops("X", "VMULSS (AX), v1, v0\nVMOVSS v0, (AX)") })
	g.finish()
}

func (g *gen) times() {
	g.text("times", "dst, x, y *float32, n int", 32, `dst = x*y, value by value.`)
	g.ops("", "MOVQ dst+0(FP), AX\nMOVQ x+8(FP), BX\nMOVQ y+16(FP), SI\nMOVQ n+24(FP), CX")
	g.loop(g.n, map[string]int{"AX": 4, "BX": 4, "SI": 4}, func() { g.ops(g.reg, "VMOVUPS (BX), v0\nVMULPS (SI), v0, v0\nVMOVUPS v0, (AX)") },
		nil, func() { g.ops("X", "VMOVSS (BX), v0\nVMULSS (SI), v0, v0\nVMOVSS v0, (AX)") })
	g.finish()
}

func (g *gen) axpy() {
	g.text("axpy", "dst, x *float32, n int, a float32", 28, `dst = dst + a*x.`)
	g.ops("", "MOVQ dst+0(FP), AX\nMOVQ x+8(FP), BX\nMOVQ n+16(FP), CX")
	g.op(g.reg, "VBROADCASTSS a+24(FP), v1")
	g.loop(g.n, map[string]int{"AX": 4, "BX": 4}, func() { g.ops(g.reg, "VMOVUPS (AX), v0\nVFMADD231PS (BX), v1, v0\nVMOVUPS v0, (AX)") },
		nil, func() { g.ops("X", "VMOVSS (AX), v0\nVFMADD231SS (BX), v1, v0\nVMOVSS v0, (AX)") })
	g.finish()
}

func (g *gen) addSum() {
	g.text("addSum", "dst, x, y *float32, n int) (sum float32", 36, `dst = x + y, and the sum of it.`)
	g.ops("", "MOVQ dst+0(FP), AX\nMOVQ x+8(FP), BX\nMOVQ y+16(FP), SI\nMOVQ n+24(FP), CX")
	g.op(g.reg, "VXORPS v1, v1, v1")
	g.loop(g.n, map[string]int{"AX": 4, "BX": 4, "SI": 4},
		func() { g.ops(g.reg, "VMOVUPS (BX), v0\nVADDPS (SI), v0, v0\nVADDPS v0, v1, v1\nVMOVUPS v0, (AX)") },
		func() { g.reduce(1, "ADD") },
		func() { g.ops("X", "VMOVSS (BX), v0\nVADDSS (SI), v0, v0\nVADDSS v0, v1, v1\nVMOVSS v0, (AX)") })
	g.finish("MOVSS X1, sum+32(FP)")
}

func (g *gen) squares() {
	g.text("squares", "x *float32, n int, mean float32) (sum float32", 28, `The sum of (x-mean) squared.`)
	g.ops("", "MOVQ x+0(FP), AX\nMOVQ n+8(FP), CX")
	g.ops(g.reg, "VBROADCASTSS mean+16(FP), v2\nVXORPS v1, v1, v1")
	g.loop(g.n, map[string]int{"AX": 4},
		func() { g.ops(g.reg, "VMOVUPS (AX), v0\nVSUBPS v2, v0, v0\nVFMADD231PS v0, v0, v1") },
		func() { g.reduce(1, "ADD") },
		func() { g.ops("X", "VMOVSS (AX), v0\nVSUBSS v2, v0, v0\nVFMADD231SS v0, v0, v1") })
	g.finish("MOVSS X1, sum+24(FP)")
}

func (g *gen) affine() {
	g.text("affine", "x *float32, n int, mean, inv float32, gamma, beta *float32", 40, `x = (x-mean)*inv*gamma + beta.`)
	g.ops("", "MOVQ x+0(FP), AX\nMOVQ n+8(FP), CX\nMOVQ gamma+24(FP), BX\nMOVQ beta+32(FP), SI")
	g.ops(g.reg, "VBROADCASTSS mean+16(FP), v2\nVBROADCASTSS inv+20(FP), v3")
	g.loop(g.n, map[string]int{"AX": 4, "BX": 4, "SI": 4},
		func() {
			g.ops(g.reg, "VMOVUPS (AX), v0\nVSUBPS v2, v0, v0\nVMULPS v3, v0, v0\nVMOVUPS (BX), v1\nVFMADD213PS (SI), v1, v0\nVMOVUPS v0, (AX)")
		}, nil,
		func() {
			g.ops("X", "VMOVSS (AX), v0\nVSUBSS v2, v0, v0\nVMULSS v3, v0, v0\nVMOVSS (BX), v1\nVFMADD213SS (SI), v1, v0\nVMOVSS v0, (AX)")
		})
	g.finish()
}

func (g *gen) quantRow() {
	doc := `dst = (src-lo)*inv + 1/2, cut to an integer below 256, a byte each.`
	if g.isa == "AVX2" {
		doc = `dst = (src-lo)*inv + 1/2, cut to an integer below 256, 16 bits each.`
	}
	g.text("quantRow", "dst *byte, src *float32, n int, lo, inv float32", 32, doc)
	g.ops("", "MOVQ dst+0(FP), AX\nMOVQ src+8(FP), BX\nMOVQ n+16(FP), CX")
	g.ops(g.reg, "VBROADCASTSS lo+24(FP), v2\nVBROADCASTSS inv+28(FP), v3\nVMOVUPS half<>(SB), v4")
	vec := func(src string, to int) {
		g.ops(g.reg, fmt.Sprintf("VMOVUPS %s, v%d\nVSUBPS v2, v%d, v%d\nVMULPS v3, v%d, v%d\nVADDPS v4, v%d, v%d\nVCVTTPS2DQ v%d, v%d",
			src, to, to, to, to, to, to, to, to, to))
	}
	one := "VMOVSS (BX), v0\nVSUBSS v2, v0, v0\nVMULSS v3, v0, v0\nVADDSS v4, v0, v0\nVCVTTSS2SI v0, DX"
	if g.isa == "AVX512" {
		g.loop(16, map[string]int{"AX": 1, "BX": 4}, func() {
			vec("(BX)", 0)
			g.op(g.reg, "VPMOVDB v0, (AX)")
		}, nil, func() { g.ops("X", one+"\nMOVB DX, (AX)") })
	} else {
		g.loop(16, map[string]int{"AX": 2, "BX": 4}, func() {
			vec("(BX)", 0)
			vec("32(BX)", 1)
			g.ops(g.reg, "VPACKUSDW v1, v0, v0\nVPERMQ $0xd8, v0, v0\nVMOVDQU v0, (AX)")
		}, nil, func() { g.ops("X", one+"\nMOVW DX, (AX)") })
	}
	g.finish()
}

func (g *gen) dot() {
	g.text("dot", "a, b *float32, n int) (sum float32", 28, `The dot product, in four partial sums of a vector each while there is enough.`)
	g.ops("", "MOVQ a+0(FP), AX\nMOVQ b+8(FP), BX\nMOVQ n+16(FP), CX")
	for i := range 4 {
		g.op(g.reg, fmt.Sprintf("VXORPS v%d, v%d, v%d", i, i, i))
	}
	w := 4 * g.n
	g.p("\tSUBQ $%d, CX\n\tJLT four", 4*g.n)
	g.p("\tPCALIGN $32\nwide:")
	for i := range 4 {
		g.ops(g.reg, fmt.Sprintf("VMOVUPS %d(AX), v%d\nVFMADD231PS %d(BX), v%d, v%d", i*w, 4+i, i*w, 4+i, i))
	}
	g.p("\tADDQ $%d, AX\n\tADDQ $%d, BX\n\tSUBQ $%d, CX\n\tJGE wide", 4*w, 4*w, 4*g.n)
	g.p("four:\n\tADDQ $%d, CX", 4*g.n)
	g.ops(g.reg, "VADDPS v1, v0, v0\nVADDPS v3, v2, v2\nVADDPS v2, v0, v0")
	g.loop(g.n, map[string]int{"AX": 4, "BX": 4}, func() { g.ops(g.reg, "VMOVUPS (AX), v1\nVFMADD231PS (BX), v1, v0") },
		func() { g.reduce(0, "ADD") }, func() { g.ops("X", "VMOVSS (AX), v1\nVFMADD231SS (BX), v1, v0") })
	g.finish("MOVSS X0, sum+24(FP)")
}

func (g *gen) dotInt8() {
	g.text("dotInt8", "a, b *int8, n int) (sum int32", 28, `The exact dot product: values widened to 16 bits, products added in pairs to 32.`)
	g.ops("", "MOVQ a+0(FP), AX\nMOVQ b+8(FP), BX\nMOVQ n+16(FP), CX\nXORQ R8, R8")
	xor := "VPXOR"
	if g.isa == "AVX512" {
		xor = "VPXORD"
	}
	g.ops(g.reg, xor+" v0, v0, v0\n"+xor+" v1, v1, v1")
	half := 2 * g.n // values in a widened vector
	g.loop(2*half, map[string]int{"AX": 1, "BX": 1}, func() {
		g.ops(g.reg, fmt.Sprintf(`
			VPMOVSXBW (AX), v2
			VPMOVSXBW (BX), v3
			VPMOVSXBW %d(AX), v4
			VPMOVSXBW %d(BX), v5
			VPMADDWD v3, v2, v2
			VPMADDWD v5, v4, v4
			VPADDD v2, v0, v0
			VPADDD v4, v1, v1`, half, half))
	}, func() {
		g.op(g.reg, "VPADDD v1, v0, v0")
		if g.isa == "AVX512" {
			g.p("\tVEXTRACTI64X4 $1, Z0, Y1\n\tVPADDD Y1, Y0, Y0")
		}
		g.ops("X", "VEXTRACTI128 $1, Y0, X1\nVPADDD v1, v0, v0\nVPSHUFD $0x4e, v0, v1\nVPADDD v1, v0, v0\nVPSHUFD $0xb1, v0, v1\nVPADDD v1, v0, v0\nVMOVD v0, R8")
	}, func() { g.ops("", "MOVBLSX (AX), DX\nMOVBLSX (BX), SI\nIMULL SI, DX\nADDL DX, R8") })
	g.finish("MOVL R8, sum+24(FP)")
}

func (g *gen) dequant() {
	g.text("dequant", "dst *float32, x *int8, n int, scale float32", 28, `dst = scale*x.`)
	g.ops("", "MOVQ dst+0(FP), AX\nMOVQ x+8(FP), BX\nMOVQ n+16(FP), CX")
	g.op(g.reg, "VBROADCASTSS scale+24(FP), v1")
	g.loop(g.n, map[string]int{"AX": 4, "BX": 1},
		func() { g.ops(g.reg, "VPMOVSXBD (BX), v0\nVCVTDQ2PS v0, v0\nVMULPS v1, v0, v0\nVMOVUPS v0, (AX)") },
		nil, func() {
			g.ops("X", "MOVBLSX (BX), DX\nVMOVD DX, v0\nVCVTDQ2PS v0, v0\nVMULSS v1, v0, v0\nVMOVSS v0, (AX)")
		})
	g.finish()
}

func main() {
	log.SetFlags(0)
	g := &gen{}
	g.p("// Code generated by go run ./asm. DO NOT EDIT.\n")
	g.p("//go:build !noasm\n")
	g.p(`// The kernels of kernels_amd64.go: AVX2 with FMA, and AVX-512 (F, BW, VL, DQ; VNNI for mulInt8,
// BF16 for mulBF16 and roundBF16). The
// meaning of each is its plain Go twin in kernels_generic.go. Pointers may be unaligned. Loops run a
// vector at a time and then a value at a time; sums are folded to one lane between the two.
`)
	g.p("#include \"textflag.h\"\n")
	constants(g)
	for _, isa := range []gen{{isa: "AVX2", reg: "Y", n: 8}, {isa: "AVX512", reg: "Z", n: 16}} {
		g.isa, g.reg, g.n = isa.isa, isa.reg, isa.n
		mr := map[string]int{"AVX2": 6, "AVX512": 14}[g.isa]
		g.mulF32(mr)
		g.mulWide(mr)
		g.roundWide()
		if g.isa == "AVX512" {
			g.mulBF16(mr)
			g.roundBF16()
		}
		g.mulInt8(mr)
		for _, f := range []func(){g.gelu, g.expSum, g.swish, g.maxOf, g.minMax, g.scaleBy, g.times, g.axpy, g.addSum, g.squares, g.affine, g.quantRow, g.dot, g.dotInt8, g.dequant} {
			f()
		}
	}
	g.p(`
// func processorVendor() (first uint32)
//
// The first four letters of what CPUID calls the maker.
TEXT ·processorVendor(SB), NOSPLIT, $0-4
	XORL AX, AX
	XORL CX, CX
	CPUID
	MOVL BX, first+0(FP)
	RET`)
	if err := os.WriteFile("kernels_amd64.s", g.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
}
