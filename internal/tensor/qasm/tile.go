package main

import "fmt"

// row is the address of row r of the activations at a byte offset: five rows to a base register, by
// multiples of the stride (CX) and three times the stride (DX).
func row(r, off int) string {
	return fmt.Sprintf("%d(%s)%s", off, []string{"AX", "BX", "SI"}[r/5],
		[]string{"", "(CX*1)", "(CX*2)", "(DX*1)", "(CX*4)"}[r%5])
}

const tileArgs = "rows, blocks int, a *qrow, lda int, w *qblock, c *float32, ldc int, how qhow"

func (g *gen) tileStart() {
	g.p(`
		MOVQ rows+0(FP), R13
		MOVQ blocks+8(FP), R9
		MOVQ a+16(FP), AX
		MOVQ lda+24(FP), CX
		MOVQ w+32(FP), DI
		MOVQ c+40(FP), R11
		MOVQ ldc+48(FP), R10
		MOVQ how+56(FP), R8
		SHLQ $2, R10
		LEAQ (CX)(CX*2), DX
		LEAQ (CX)(CX*4), R12
		LEAQ (AX)(R12*1), BX
		LEAQ (BX)(R12*1), SI`)
}

func (g *gen) advance(rows int) {
	for b := 0; b*5 < rows; b++ {
		g.p("ADDQ $64, %s", []string{"AX", "BX", "SI"}[b])
	}
	g.p("ADDQ $768, DI")
}

// tileVNNI: for each block, the integer sums of all rows, begun at what takes the weights' 128 off, then
// their conversion and one fused multiply-add.
func (g *gen) tileVNNI(name string, halves int) {
	const most = 12
	g.text(name, tileArgs, 64, `
		Integer sums: Z0 to Z11, one to a row; results: Z12 to Z23. Weights: Z24, Z25; scales: Z26; minima: Z27.
		AX, BX, SI: rows 0, 5, 10 of a; CX, DX: lda and 3*lda; DI: w; R9: blocks left; R8: how.`)
	g.tileStart()
	for r := most; r > 1; r-- {
		g.p("CMPQ R13, $%d\nJEQ rows%d", r, r)
	}
	for rows := 1; rows <= most; rows++ {
		g.p("rows%d:", rows)
		for r := range rows {
			g.p("VPXORD v%[1]d, v%[1]d, v%[1]d", most+r)
		}
		g.p("TESTQ $1, R8\nJZ block%d\nMOVQ R11, R12", rows)
		for r := range rows {
			g.p("VMOVUPS (R12), v%d\nADDQ R10, R12", most+r)
		}
		g.p("PCALIGN $32\nblock%d:", rows)
		for h := range halves {
			for r := range rows {
				off := 36
				if halves == 2 {
					off = 40 + 4*h
				}
				g.p("VPBROADCASTD %s, v%d", row(r, off), r)
			}
			for i := range 8 / halves {
				i += 8 / halves * h
				w := 24 + i%2
				g.p("VMOVDQU32 %d(DI), v%d", 64*i, w)
				for r := range rows {
					g.p("VPDPBUSD.BCST %s, v%d, v%d", row(r, 4*i), w, r)
				}
			}
			g.p("VMOVUPS %d(DI), v26", 512+64*h)
			for r := range rows {
				g.p("VCVTDQ2PS v%[1]d, v%[1]d\nVMULPS.BCST %[2]s, v26, v%[3]d\nVFMADD231PS v%[3]d, v%[1]d, v%[4]d", r, row(r, 32), 28+r%4, most+r)
			}
			g.p("TESTQ $2, R8\nJZ plain%d_%d\nVMOVUPS %d(DI), v27", rows, h, 640+64*h)
			for r := range rows {
				g.p("VFMADD231PS.BCST %s, v27, v%d", row(r, sumAt(halves, h)), most+r)
			}
			g.p("plain%d_%d:", rows, h)
		}
		g.advance(rows)
		g.p("DECQ R9\nJNZ block%d\nJMP store", rows)
	}
	g.tileEnd(most)
}

// tileAVX2 computes half of a panel, 8 of its rows of weights. Products of bytes are summed in pairs to
// 16 bits, which is exact where one factor has no sign: the weights without theirs times the activations
// with the weights'.
func (g *gen) tileAVX2(name string, halves int) {
	const most = 4
	g.text(name, tileArgs, 64, `
		Integer sums: Y0 to Y3, one to a row; results: Y4 to Y7. Weights: Y8, without signs: Y9; Y11: ones.
		AX, CX, DX: row 0 of a, lda and 3*lda; DI: w; R9: blocks left; R8: how.`)
	g.tileStart()
	g.p("VMOVDQU ones16<>(SB), v11")
	for r := most; r > 1; r-- {
		g.p("CMPQ R13, $%d\nJEQ rows%d", r, r)
	}
	for rows := 1; rows <= most; rows++ {
		g.p("rows%d:", rows)
		for r := range rows {
			g.p("VXORPS v%[1]d, v%[1]d, v%[1]d", most+r)
		}
		g.p("TESTQ $1, R8\nJZ block%d\nMOVQ R11, R12", rows)
		for r := range rows {
			g.p("VMOVUPS (R12), v%d\nADDQ R10, R12", most+r)
		}
		g.p("PCALIGN $32\nblock%d:", rows)
		for h := range halves {
			for r := range rows {
				g.p("VPXOR v%[1]d, v%[1]d, v%[1]d", r)
			}
			for i := range 8 / halves {
				i += 8 / halves * h
				g.p("VMOVDQU %d(DI), v8\nVPABSB v8, v9", 64*i)
				for r := range rows {
					g.p(`
						VPBROADCASTD %s, v10
						VPSIGNB v8, v10, v10
						VPMADDUBSW v10, v9, v10
						VPMADDWD v11, v10, v10
						VPADDD v10, v%[2]d, v%[2]d`, row(r, 4*i), r)
				}
			}
			g.p("VMOVUPS %d(DI), v8", 512+64*h)
			for r := range rows {
				g.p("VCVTDQ2PS v%[1]d, v%[1]d\nVBROADCASTSS %[2]s, v9\nVMULPS v9, v8, v9\nVFMADD231PS v9, v%[1]d, v%[3]d", r, row(r, 32), most+r)
			}
			g.p("TESTQ $2, R8\nJZ plain%d_%d\nVMOVUPS %d(DI), v8", rows, h, 640+64*h)
			for r := range rows {
				g.p("VBROADCASTSS %s, v9\nVFMADD231PS v9, v8, v%d", row(r, sumAt(halves, h)), most+r)
			}
			g.p("plain%d_%d:", rows, h)
		}
		g.advance(rows)
		g.p("DECQ R9\nJNZ block%d\nJMP store", rows)
	}
	g.tileEnd(most)
}

// sumAt is where the activations' scaled sum stands, of all 32 or of half h.
func sumAt(halves, h int) int {
	if halves == 2 {
		return 52 + 4*h
	}
	return 48
}

func (g *gen) tileEnd(most int) {
	g.p("store:")
	for r := range most {
		g.p("VMOVUPS v%d, (R11)", most+r)
		if r+1 < most {
			g.p("ADDQ R10, R11\nDECQ R13\nJZ end")
		}
	}
	g.p("end:\nVZEROUPPER\nRET")
}
