package main

import "fmt"

// floats multiplies rows of float weights with up to most rows of values; a sum has 32 lanes, each of
// every 32nd product, so the result is the same whatever the number of rows and the width of vectors. The
// two rows of weights that AVX-512 has registers for are the last one twice where their number is odd.
//
// SI, BX: rows of weights; R9: their stride; AX, CX, DX: x and one and three times its stride; DI, R12:
// results; R10: theirs; R8: rows left; R13: 32nds left.
func (g *gen) floats(typ string, size int, load func(addr string, r int)) {
	w, most := g.lanes/2, 2+g.lanes/2
	each := 8 / g.lanes // vectors of a sum
	g.text("qdot"+typ, "dst *float32, ldd int, w *byte, rows, stride, n int, x *float32, ldx, m int", 72,
		fmt.Sprintf("n is a multiple of 32, m at most %d.", most))
	g.p(`
		MOVQ dst+0(FP), DI
		MOVQ ldd+8(FP), R10
		MOVQ w+16(FP), SI
		MOVQ rows+24(FP), R8
		MOVQ stride+32(FP), R9
		MOVQ ldx+56(FP), CX
		SHLQ $2, R10
		SHLQ $2, CX
		LEAQ (CX)(CX*2), DX
		row:
		MOVQ x+48(FP), AX
		MOVQ n+40(FP), R13
		SHRQ $5, R13
		MOVQ m+64(FP), R11
		MOVQ SI, BX
		MOVQ DI, R12`)
	if w == 2 {
		g.p("CMPQ R8, $1\nJEQ both\nADDQ R9, BX\nADDQ $4, R12\nboth:")
	}
	for m := most; m > 1; m-- {
		g.p("CMPQ R11, $%d\nJEQ m%d", m, m)
	}
	for m := 1; m <= most; m++ {
		g.p("m%d:", m)
		sum := func(r, i, v int) int { return (r*w+i)*each + v }
		for r := range m * w * each {
			g.p("VXORPS v%[1]d, v%[1]d, v%[1]d", r)
		}
		g.p("PCALIGN $32\nblock%d:", m)
		weights := m * w * each
		for i, base := range []string{"SI", "BX"}[:w] {
			for v := range each {
				load(fmt.Sprintf("%d(%s)", v*size*4*g.lanes, base), weights+i*each+v)
			}
			g.p("PREFETCHT0 2048(%s)\nADDQ $%d, %s", base, 32*size, base)
		}
		for r := range m {
			for v := range each {
				x := fmt.Sprintf("%d(AX)%s", 16*g.lanes*v, []string{"", "(CX*1)", "(CX*2)", "(DX*1)"}[r])
				if w == 2 {
					g.p("VMOVUPS %s, v31", x)
					x = "v31"
				}
				for i := range w {
					g.p("VFMADD231PS %s, v%d, v%d", x, weights+i*each+v, sum(r, i, v))
				}
			}
		}
		g.p("ADDQ $128, AX\nDECQ R13\nJNZ block%d", m)
		for r := range m {
			for i, dst := range []string{"DI", "R12"}[:w] {
				a := sum(r, i, 0)
				if each == 2 {
					g.p(`
						VEXTRACTF64X4 $1, Z%[1]d, Y30
						VADDPS Y30, Y%[1]d, Y%[1]d
						VEXTRACTF64X4 $1, Z%[2]d, Y30
						VADDPS Y30, Y%[2]d, Y%[2]d
						VADDPS Y%[2]d, Y%[1]d, Y%[1]d`, a, a+1)
				} else {
					g.p("VADDPS Y%[2]d, Y%[1]d, Y%[1]d\nVADDPS Y%[4]d, Y%[3]d, Y%[3]d\nVADDPS Y%[3]d, Y%[1]d, Y%[1]d", a, a+1, a+2, a+3)
				}
				scratch := map[int]int{2: 15, 4: 30}[g.lanes]
				g.p(`
					VEXTRACTF%[4]s $1, Y%[1]d, X%[2]d
					VADDPS X%[2]d, X%[1]d, X%[1]d
					VPERMILPS $0x4e, X%[1]d, X%[2]d
					VADDPS X%[2]d, X%[1]d, X%[1]d
					VPERMILPS $0xb1, X%[1]d, X%[2]d
					VADDPS X%[2]d, X%[1]d, X%[1]d
					VMOVSS X%[1]d, (%[3]s)
					ADDQ R10, %[3]s`, a, scratch, dst, map[int]string{2: "128", 4: "32X4"}[g.lanes])
			}
		}
		g.p("MOVQ $%d, R11\nJMP next", m)
	}
	g.p(`
		next:
		IMULQ R10, R11
		SUBQ R11, DI
		LEAQ (SI)(R9*1), SI`)
	g.p(`
		MOVQ n+40(FP), R13
		IMULQ $%d, R13
		SUBQ R13, SI`, size)
	if w == 2 {
		g.p("ADDQ R9, SI")
	}
	g.p(`
		ADDQ $%d, DI
		SUBQ $%d, R8
		JGT row
		VZEROUPPER
		RET`, 4*w, w)
}

func (g *gen) allFloats() {
	g.floats("F32", 4, func(addr string, r int) { g.p("VMOVUPS %s, v%d", addr, r) })
	g.floats("F16", 2, func(addr string, r int) { g.p("VCVTPH2PS %s, v%d", addr, r) })
	g.floats("BF16", 2, func(addr string, r int) {
		g.p("VPMOVZXWD %s, v%d\nVPSLLD $16, v%d, v%d", addr, r, r, r)
	})
}

// round: see qrow.set for what it does.
func (g *gen) round() {
	g.text("round", "dst *qrow, src *float32, blocks int", 24, `
		A block: the largest of 32 values by size, in every lane of Y4, gives the scale, Y5, and its inverse,
		Y6, which are zero together where one of them is no positive number. The rounded values, Y0 to Y3, are
		packed to bytes and summed.`)
	g.p(`
		MOVQ dst+0(FP), DI
		MOVQ src+8(FP), SI
		MOVQ blocks+16(FP), CX
		VXORPS v15, v15, v15
		VMOVUPS largest<>(SB), v14
		VMOVDQU spread8<>(SB), v13
		VBROADCASTSS one<>(SB), v12
		block:
		VMOVUPS (SI), v0
		VMOVUPS 32(SI), v1
		VMOVUPS 64(SI), v2
		VMOVUPS 96(SI), v3
		VMOVUPS absolute<>(SB), v7
		VANDPS v7, v0, v4
		VANDPS v7, v1, v5
		VANDPS v7, v2, v6
		VANDPS v7, v3, v7
		VMAXPS v5, v4, v4
		VMAXPS v7, v6, v6
		VMAXPS v6, v4, v4
		VPERM2F128 $1, v4, v4, v5
		VMAXPS v5, v4, v4
		VPERMILPS $0x4e, v4, v5
		VMAXPS v5, v4, v4
		VPERMILPS $0xb1, v4, v5
		VMAXPS v5, v4, v4
		VDIVPS f127<>(SB), v4, v5
		VDIVPS v5, v12, v6
		VCMPPS $2, v14, v5, v7
		VCMPPS $1, v5, v15, v8
		VANDPS v8, v7, v7
		VCMPPS $2, v14, v6, v8
		VANDPS v8, v7, v7
		VANDPS v7, v5, v5
		VANDPS v7, v6, v6`)
	for i := range 4 {
		g.p("VMULPS v6, v%[1]d, v%[1]d\nVANDPS v7, v%[1]d, v%[1]d\nVCVTPS2DQ v%[1]d, v%[1]d", i)
	}
	g.p(`
		VPADDD v1, v0, v7
		VPADDD v3, v2, v8
		VPHADDD v8, v7, v7
		VPHADDD v7, v7, v7
		VEXTRACTI128 $1, v7, X8
		VPADDD X8, X7, X7
		VPSHUFD $0xb1, X7, X8
		VPADDD X8, X7, X8
		VCVTDQ2PS X7, X9
		VMULPS X5, X9, X9
		VCVTDQ2PS X8, X10
		VMULPS X5, X10, X10
		VPSLLD $7, X7, X7
		VPSLLD $7, X8, X8
		VPSUBD X7, X15, X7
		VPSUBD X8, X15, X8
		VPACKSSDW v1, v0, v0
		VPACKSSDW v3, v2, v2
		VPACKSSWB v2, v0, v0
		VPERMD v0, v13, v0
		VMOVDQU v0, (DI)
		VMOVSS X5, 32(DI)
		VMOVD X8, 36(DI)
		VMOVQ X7, 40(DI)
		VMOVSS X10, 48(DI)
		VMOVQ X9, 52(DI)
		ADDQ $128, SI
		ADDQ $64, DI
		DECQ CX
		JNZ block
		VZEROUPPER
		RET`)
}
