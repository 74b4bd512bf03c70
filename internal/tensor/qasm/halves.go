package main

import "fmt"

// halves multiplies up to three rows of float32 with rows of 32 halves, widened as they are read: as mulF32, which
// adds up in the same order, does with widened ones.
//
// AX: a; CX: lda; SI: b; R8: ldb; DX: what is fetched to the cache; DI: c; R10: ldc; R9: k left. Sums: v0 to v11, four
// to a row; values of a: v12 to v14.
func (g *gen) halves() {
	const most = 3
	g.text("mulHalves", "mr, k int, a *float32, lda int, b, next *uint16, ldb int, c *float32, ldc, add int", 80,
		"c[i][j] = sum a[i][k]*b[k][j], added to c where add is not 0, for i < mr <= 3 and 32 columns.")
	g.p(`
		MOVQ mr+0(FP), R13
		MOVQ k+8(FP), R9
		MOVQ a+16(FP), AX
		MOVQ lda+24(FP), CX
		MOVQ b+32(FP), SI
		MOVQ next+40(FP), DX
		MOVQ ldb+48(FP), R8
		MOVQ c+56(FP), DI
		MOVQ ldc+64(FP), R10
		MOVQ add+72(FP), R11
		SHLQ $2, CX
		SHLQ $1, R8
		SHLQ $2, R10
		CMPQ R13, $3
		JEQ rows3
		CMPQ R13, $2
		JEQ rows2`)
	at := func(r, v int) string {
		return fmt.Sprintf("%d(DI)%s", 32*v, []string{"", "(R10*1)", "(R10*2)"}[r])
	}
	for rows := 1; rows <= most; rows++ {
		g.p("rows%d:", rows)
		for i := range 4 * rows {
			g.p("VXORPS v%[1]d, v%[1]d, v%[1]d", i)
		}
		g.p("TESTQ R11, R11\nJZ block%d", rows)
		for i := range 4 * rows {
			g.p("VMOVUPS %s, v%d", at(i/4, i%4), i)
		}
		g.p("PCALIGN $32\nblock%d:\nPREFETCHT1 (DX)", rows)
		for r := range rows {
			g.p("VBROADCASTSS (AX)%s, v%d", []string{"", "(CX*1)", "(CX*2)"}[r], 12+r)
		}
		for v := range 4 {
			g.p("VCVTPH2PS %d(SI), v15", 16*v)
			for r := range rows {
				g.p("VFMADD231PS v15, v%d, v%d", 12+r, 4*r+v)
			}
		}
		g.p("ADDQ $4, AX\nADDQ R8, SI\nADDQ R8, DX\nDECQ R9\nJNZ block%d", rows)
		for i := range 4 * rows {
			g.p("VMOVUPS v%d, %s", i, at(i/4, i%4))
		}
		g.p("VZEROUPPER\nRET")
	}
}
