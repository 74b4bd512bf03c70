package main

import (
	"fmt"
	"strings"
)

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
		g.nextRow(r, mr)
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
		g.nextRow(r, mr)
	}
	g.p("ret:\n\tVZEROUPPER\n\tRET")
}

// nextRow goes on to the next row of the result, and returns after the last there is, where a tile of mr is not full.
func (g *gen) nextRow(r, mr int) {
	if r+1 < mr {
		g.ops("", `
			ADDQ R10, R11
			DECQ R13
			JZ ret`)
	}
}
