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
				g.p("VPBROADCASTD %s, v%d", row(r, biasAt(halves, h)), r)
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
func (g *gen) tileAVX2(name string) {
	g.halfPanel(name, "Integer sums: Y0 to Y3, one to a row. Weights: Y8, without signs: Y9.", func(rows int) {
		for r := range rows {
			g.p("VPXOR v%[1]d, v%[1]d, v%[1]d", r)
		}
		for i := range 8 {
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
		g.p("VMOVUPS 512(DI), v8")
		for r := range rows {
			g.addSum(r, r)
		}
	})
}

// tileFewBits is tileAVX2 for the weights that unpacker.top says have no sign: as many products of them as fit are summed
// in 16 bits. Without minima the sums are brought to the multiple that AVX-512's have, and what makes values signed is
// taken off.
func (g *gen) tileFewBits(name string, halves int) {
	fit, shift := 4, 3
	if halves == 2 {
		fit, shift = 2, 2
	}
	g.halfPanel(name, "Sums of 16 bits: Y0 to Y3, one to a row; of 32: Y12 to Y15. Weights: Y8.", func(rows int) {
		for h := range halves {
			for n := range 8 / halves {
				i := 8/halves*h + n
				g.p("VMOVDQU %d(DI), v8", 64*i)
				for r := range rows {
					if n%fit == 0 {
						g.p("VPBROADCASTD %s, v9\nVPMADDUBSW v9, v8, v%d", row(r, 4*i), r)
					} else {
						g.p("VPBROADCASTD %s, v9\nVPMADDUBSW v9, v8, v9\nVPADDW v9, v%[2]d, v%[2]d", row(r, 4*i), r)
					}
					switch {
					case n%fit < fit-1:
					case n < fit:
						g.p("VPMADDWD v11, v%d, v%d", r, 12+r)
					default:
						g.p("VPMADDWD v11, v%[1]d, v%[1]d\nVPADDD v%[1]d, v%[2]d, v%[2]d", r, 12+r)
					}
				}
			}
			g.p("VMOVUPS %d(DI), v8\nTESTQ $2, R8\nJZ plain%d_%d\nVMOVUPS %d(DI), v10", 512+64*h, rows, h, 640+64*h)
			for r := range rows {
				g.addSum(12+r, r)
				g.p("VBROADCASTSS %s, v9\nVFMADD231PS v9, v10, v%d", row(r, sumAt(halves, h)), resultAVX2+r)
			}
			g.p("JMP next%d_%d\nplain%[1]d_%[2]d:", rows, h)
			for r := range rows {
				g.p("VPSLLD $%[1]d, v%[2]d, v%[2]d\nVPBROADCASTD %[3]s, v9\nVPADDD v9, v%[2]d, v%[2]d", shift, 12+r, row(r, biasAt(halves, h)))
				g.addSum(12+r, r)
			}
			g.p("next%d_%d:", rows, h)
		}
	})
}

const resultAVX2 = 4 // the register of the first row's results

// addSum adds an integer sum times the scales in v8 to the results of row r. v9 is scratch.
func (g *gen) addSum(sum, r int) {
	g.p("VCVTDQ2PS v%[1]d, v%[1]d\nVBROADCASTSS %[2]s, v9\nVMULPS v9, v8, v9\nVFMADD231PS v9, v%[1]d, v%[3]d",
		sum, row(r, 32), resultAVX2+r)
}

// halfPanel is a tile kernel of AVX2 around what it does with a block.
func (g *gen) halfPanel(name, doc string, block func(rows int)) {
	const most = 4
	g.text(name, tileArgs, 64, doc+`
		Results: Y4 to Y7; Y11: ones.
		AX, CX, DX: row 0 of a, lda and 3*lda; DI: w; R9: blocks left; R8: how.`)
	g.tileStart()
	g.p("VMOVDQU ones16<>(SB), v11")
	for r := most; r > 1; r-- {
		g.p("CMPQ R13, $%d\nJEQ rows%d", r, r)
	}
	for rows := 1; rows <= most; rows++ {
		g.p("rows%d:", rows)
		for r := range rows {
			g.p("VXORPS v%[1]d, v%[1]d, v%[1]d", resultAVX2+r)
		}
		g.p("TESTQ $1, R8\nJZ block%d\nMOVQ R11, R12", rows)
		for r := range rows {
			g.p("VMOVUPS (R12), v%d\nADDQ R10, R12", resultAVX2+r)
		}
		g.p("PCALIGN $32\nblock%d:", rows)
		block(rows)
		g.advance(rows)
		g.p("DECQ R9\nJNZ block%d\nJMP store", rows)
	}
	g.tileEnd(most)
}

// biasAt is where the activations' bias stands, for all 32 or for half h.
func biasAt(halves, h int) int {
	if halves == 2 {
		return 40 + 4*h
	}
	return 36
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
