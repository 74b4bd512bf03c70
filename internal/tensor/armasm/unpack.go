package main

// Unpacking of each type, four rows of weights at a time. tensor/qsplit.go says how they are kept.

// bytesOf are constants of bytes, in vectors.
var bytesOf = []struct {
	name   string
	lo, hi uint64
}{
	{"spread", 0x0404040400000000, 0x0c0c0c0c08080808}, // the first byte of each dword, four times
	{"bits", 0x0804020108040201, 0x0804020108040201},
	{"bits4", 0x8040201080402010, 0x8040201080402010},
	{"iq4", 0xf6eaddcfbfad9881, 0x7159453526190d01},
}

func (g *gen) loadBytes(name string, r int) {
	for i, b := range bytesOf {
		if b.name == name {
			g.p("\tMOVD $bytes<>(SB), R17\n\tFMOVQ %d(R17), F%d", 16*i, r)
			return
		}
	}
	panic("no constant " + name)
}

// unpack writes the unpacking of a type whose blocks have so many values in so many bytes. begin sets registers that
// body, which does a block of four rows, keeps.
func (g *gen) unpack(typ string, values, size int, doc string, begin, body func()) {
	g.text("unpack"+typ, "dst *qblock, w *byte, stride, blocks, ahead int", 40, doc+`
		R8 to R11: four rows of weights; R0: dst; R3: blocks left; R4: rows left; R12: ahead.`)
	g.lines(`
		MOVD dst+0(FP), R5
		MOVD w+8(FP), R6
		MOVD stride+16(FP), R2
		MOVD ahead+32(FP), R12
		MOVD $16, R4`)
	if begin != nil {
		begin()
	}
	g.p("rows:\n\tMOVD R5, R0\n\tMOVD blocks+24(FP), R3\n\tMOVD R6, R8")
	for r := 1; r < 4; r++ {
		g.p("\tADD R2, R%d, R%d", 7+r, 8+r)
	}
	g.p("\tADD R2, R11, R6\n\tPCALIGN $16\nblock:")
	for r := range 4 {
		g.p("\tADD R12, R%d, R13", 8+r)
		for line := 0; line < size; line += 64 {
			g.p("\tPRFM %d(R13), PLDL2KEEP", line)
		}
	}
	body()
	for r := range 4 {
		g.p("\tADD $%d, R%d", size, 8+r)
	}
	g.p("\tADD $%d, R0\n\tSUBS $1, R3\n\tBNE block", values/32*blockSize)
	g.p("\tADD $16, R5\n\tSUBS $4, R4\n\tBNE rows\n\tRET")
}

// turn loads 16 bytes at an offset of each row: dword c of every row is in v<r+c>. V28 to V31 are scratch.
func (g *gen) turn(off, r int) {
	for z := range 4 {
		g.p("\tFMOVQ %d(R%d), F%d", off, 8+z, r+z)
	}
	g.v("trn1", 28, r, r+1)
	g.v("trn2", 29, r, r+1)
	g.v("trn1", 30, r+2, r+3)
	g.v("trn2", 31, r+2, r+3)
	g.v("trn1d", r, 28, 30)
	g.v("trn1d", r+1, 29, 31)
	g.v("trn2d", r+2, 28, 30)
	g.v("trn2d", r+3, 29, 31)
}

// column sets v<r> to the dword at an offset of each row.
func (g *gen) column(off, r int) {
	for z := range 4 {
		g.p("\tMOVWU %d(R%d), R13\n\tVMOV R13, V%d.S[%d]", off, 8+z, r, z)
	}
}

// halves sets v<r> to the f16 at an offset of each row.
func (g *gen) halves(off, r int) {
	for z := range 4 {
		g.p("\tMOVHU %d(R%d), R13\n\tVMOV R13, V%d.H[%d]", off, 8+z, r, z)
	}
	g.v("fcvtl", r, r)
}

// scaleAndLeast sets v<r> and v<r+1> to the two f16 at an offset of each row.
func (g *gen) scaleAndLeast(off, r int) {
	g.halves(off, r)
	g.halves(off+2, r+1)
}

// quad stores v<r> as the c-th four of the values of block b.
func (g *gen) quad(r, b, c int) { g.p("\tFMOVQ F%d, %d(R0)", r, blockSize*b+64*c) }

// scale and least store v<r> as the scales or minima of half h of block b.
func (g *gen) scale(r, b, h int) { g.p("\tFMOVQ F%d, %d(R0)", r, blockSize*b+blockScale+64*h) }
func (g *gen) least(r, b, h int) { g.p("\tFMOVQ F%d, %d(R0)", r, blockSize*b+blockLeast+64*h) }

// number sets v<dst> to byte n of v<src>'s dwords as float32 times v<by>. V27 has 255 in each dword.
func (g *gen) number(n, src, dst, by int) {
	if n > 0 {
		g.ushr(32, dst, src, 8*n)
		src = dst
	}
	if n < 3 {
		g.v("and", dst, src, 27)
	}
	g.v("scvtf", dst, dst)
	g.v("fmul", dst, dst, by)
}

// nibbles stores the low and the high halves of v<r>'s bytes, without v<off> where that is not 0; v<mask> has 15s.
func (g *gen) nibbles(r, mask, off int, lowBlock, lowAt, highBlock, highAt int) {
	g.v("and", 16, r, mask)
	g.ushr(8, 17, r, 4)
	if off > 0 {
		g.v("subb", 16, 16, off)
		g.v("subb", 17, 17, off)
	}
	g.quad(16, lowBlock, lowAt)
	g.quad(17, highBlock, highAt)
}

func (g *gen) unpacks() {
	g.unpack("Q8_0", 32, 34, "Bytes as they are.", nil, func() {
		for piece := range 2 {
			g.turn(2+16*piece, 0)
			for i := range 4 {
				g.quad(i, 0, 4*piece+i)
			}
		}
		g.halves(0, 0)
		g.scale(0, 0, 0)
	})
	g.unpack("Q4_0", 32, 18, "8 is taken off each half of a byte. V24: 15s, V25: 8s.", func() {
		g.movi(24, 15)
		g.movi(25, 8)
	}, func() {
		g.turn(2, 0)
		for i := range 4 {
			g.nibbles(i, 24, 25, 0, i, 0, 4+i)
		}
		g.halves(0, 0)
		g.scale(0, 0, 0)
	})
	g.unpack("Q4_1", 32, 20, "V24: 15s.", func() { g.movi(24, 15) }, func() {
		g.turn(4, 0)
		for i := range 4 {
			g.nibbles(i, 24, 0, 0, i, 0, 4+i)
		}
		g.scaleAndLeast(0, 0)
		g.scale(0, 0, 0)
		g.least(1, 0, 0)
	})
	for _, t := range []struct {
		name      string
		size, off int
		least     bool
	}{{"Q5_0", 22, 2, false}, {"Q5_1", 24, 4, true}} {
		g.fives(t.name, t.size, t.off, t.least)
	}
	g.unpack("Q2_K", 256, 84, "V8, V9: the block's scale and minimum. V24: 15s, V25: 3s.", func() {
		g.movi(24, 15)
		g.movi(25, 3)
		g.movi32(27, 255)
	}, func() {
		g.scaleAndLeast(80, 8)
		g.v("fneg", 9, 9)
		g.turn(0, 0)
		for i := range 4 {
			g.ushr(8, 4+i, i, 4)
			g.v("and", i, i, 24)
		}
		for j := range 16 {
			g.number(j%4, j/4, 10, 8)
			g.scale(10, j/2, j%2)
			g.number(j%4, 4+j/4, 11, 9)
			g.least(11, j/2, j%2)
		}
		g.pairs(16, func(_, _, _ int) {})
	})
	g.unpack("Q3_K", 256, 110, `
		4 is taken off where the third bit is not set: with it as bit 2, off all. V12 to V15, V20 to V23: the third bits.
		V25: 3s; V7: 4s; V10, V11, V26: 15, 48 and 32 in each dword.`, func() {
		g.movi(25, 3)
		g.movi(7, 4)
		g.movi32(10, 15)
		g.movi32(11, 48)
		g.movi32(26, 32)
	}, func() {
		g.halves(108, 8)
		g.turn(96-4, 0) // V1, V2: low halves of 16 scales, V3: high pairs
		for j := range 16 {
			g.shift(32, 4, 1+j%8/4, 8*(j%4)+j/8*4)
			g.v("and", 4, 4, 10)
			g.shift(32, 5, 3, 8*(j%4)+j/4*2-4)
			g.v("and", 5, 5, 11)
			g.v("orr", 4, 4, 5)
			g.v("sub", 4, 4, 26)
			g.v("scvtf", 4, 4)
			g.v("fmul", 4, 4, 8)
			g.scale(4, j/2, j%2)
		}
		g.turn(0, 12)
		g.turn(16, 20)
		g.pairs(32, func(r, b, at int) {
			high := 12 + at
			if at >= 4 {
				high = 20 + at - 4
			}
			g.shift(8, 18, high, b-2)
			g.v("and", 18, 18, 7)
			g.v("orr", r, r, 18)
			g.v("subb", r, r, 7)
		})
	})
	g.unpack("Q4_K", 256, 144, "V24: 15s. V27: 255 in each dword.", func() { g.begin4K() }, func() {
		g.scalesK()
		for pair := range 4 {
			for piece := range 2 {
				g.turn(16+32*pair+16*piece, 0)
				for i := range 4 {
					g.nibbles(i, 24, 0, 2*pair, 4*piece+i, 2*pair+1, 4*piece+i)
				}
			}
		}
	})
	g.unpack("Q5_K", 256, 176, "As Q4_K. V4 to V7: the fifth bits of 16 values of each sub-block; V25: 16s.", func() {
		g.begin4K()
		g.movi(25, 16)
	}, func() {
		g.scalesK()
		for piece := range 2 {
			g.turn(16+16*piece, 4)
			for pair := range 4 {
				g.turn(48+32*pair+16*piece, 0)
				for i := range 4 {
					g.v("and", 16, i, 24)
					g.ushr(8, 17, i, 4)
					for h := range 2 {
						g.shift(8, 18, 4+i, 2*pair+h-4)
						g.v("and", 18, 18, 25)
						g.v("orr", 16+h, 16+h, 18)
						g.quad(16+h, 2*pair+h, 4*piece+i)
					}
				}
			}
		}
	})
	g.unpack("Q6_K", 256, 210, "V8: the block's scale; V4 to V7: high pairs of bits. V24: 15s, V25: 48s, V26: 32s.", func() {
		g.movi(24, 15)
		g.movi(25, 48)
		g.movi(26, 32)
	}, func() {
		g.halves(208, 8)
		g.turn(192, 0)
		for j := range 16 {
			g.shift(32, 9, j/4, j%4*8-24)
			g.sshr32(9, 9, 24)
			g.v("scvtf", 9, 9)
			g.v("fmul", 9, 9, 8)
			g.scale(9, j/2, j%2)
		}
		for h := range 2 {
			for piece := range 2 {
				g.turn(128+32*h+16*piece, 4)
				for low := range 2 {
					g.turn(64*h+32*low+16*piece, 0)
					for i := range 4 {
						for _, row := range []int{low, low + 2} {
							if row < 2 {
								g.v("and", 16, i, 24)
							} else {
								g.ushr(8, 16, i, 4)
							}
							g.shift(8, 17, 4+i, 2*row-4)
							g.v("and", 17, 17, 25)
							g.v("orr", 16, 16, 17)
							g.v("subb", 16, 16, 26)
							g.quad(16, 4*h+row, 4*piece+i)
						}
					}
				}
			}
		}
	})
	g.unpack("IQ4_NL", 32, 18, "V8: what the codes stand for. V24: 15s.", func() {
		g.loadBytes("iq4", 8)
		g.movi(24, 15)
	}, func() {
		g.turn(2, 0)
		g.codes(0)
		g.halves(0, 0)
		g.scale(0, 0, 0)
	})
	g.unpack("IQ4_XS", 256, 136, "As IQ4_NL. V9: the block's scale; V10, V11: low halves and high pairs of the 6-bit ones.", func() {
		g.loadBytes("iq4", 8)
		g.movi(24, 15)
		g.movi32(25, 15)
		g.movi32(26, 48)
		g.movi32(27, 32)
	}, func() {
		g.halves(0, 9)
		g.column(4, 10)
		g.column(0, 11)
		g.ushr(32, 11, 11, 16)
		for j := range 8 {
			g.shift(32, 12, 10, 4*j)
			g.v("and", 12, 12, 25)
			g.shift(32, 13, 11, 2*j-4)
			g.v("and", 13, 13, 26)
			g.v("orr", 12, 12, 13)
			g.v("sub", 12, 12, 27)
			g.v("scvtf", 12, 12)
			g.v("fmul", 12, 12, 9)
			g.scale(12, j, 0)
			g.turn(8+16*j, 0)
			g.codes(j)
		}
	})
}

// fives is the unpacking of Q5_0, whose values have 16 taken off, and of Q5_1, which has minima.
func (g *gen) fives(name string, size, off int, least bool) {
	g.unpack(name, 32, size, `
		V12: the dword of fifth bits. A byte of it is spread to four, of which each looks at its bit. V18: 16s, V19: 15s,
		V20 to V23: where bytes 0 to 3 are spread from; V24, V25: the bits of a byte's lower and upper half.`, func() {
		g.movi(18, 16)
		g.movi(19, 15)
		g.loadBytes("spread", 20)
		for n := 1; n < 4; n++ {
			g.movi(26, n)
			g.v("addb", 20+n, 20, 26)
		}
		g.loadBytes("bits", 24)
		g.loadBytes("bits4", 25)
	}, func() {
		g.column(off, 12)
		g.turn(off+4, 0)
		for i := range 4 {
			g.v("and", 16, i, 19)
			g.ushr(8, 17, i, 4)
			for h := range 2 {
				g.v("tbl", 13, 12, 20+i/2+2*h)
				g.v("cmtst", 13, 13, 24+i%2)
				g.v("and", 13, 13, 18)
				g.v("orr", 16+h, 16+h, 13)
				if !least {
					g.v("subb", 16+h, 16+h, 18)
				}
				g.quad(16+h, 0, 4*h+i)
			}
		}
		g.halves(0, 0)
		g.scale(0, 0, 0)
		if least {
			g.halves(2, 1)
			g.least(1, 0, 0)
		}
	})
}

// pairs takes the 2-bit values of Q2_K and Q3_K out of 64 bytes at an offset, and stores them after change. V25 has 3s.
func (g *gen) pairs(off int, change func(r, b, at int)) {
	for piece := range 2 {
		for h := range 2 {
			g.turn(off+32*h+16*piece, 0)
			for i := range 4 {
				for row := range 4 {
					src := i
					if row > 0 {
						g.ushr(8, 16, i, 2*row)
						src = 16
					}
					if row < 3 {
						g.v("and", 16, src, 25)
					}
					change(16, 4*h+row, 4*piece+i)
					g.quad(16, 4*h+row, 4*piece+i)
				}
			}
		}
	}
}

// codes stores what the codes in V0 to V3 stand for.
func (g *gen) codes(b int) {
	for i := range 4 {
		g.v("and", 16, i, 24)
		g.ushr(8, 17, i, 4)
		for h := range 2 {
			g.v("tbl", 16+h, 8, 16+h)
			g.quad(16+h, b, 4*h+i)
		}
	}
}

func (g *gen) begin4K() {
	g.movi(24, 15)
	g.movi32(27, 255)
	g.movi(20, 63)
	g.movi(21, 48)
}

// scalesK stores the scales and minima of Q4_K and Q5_K: those of 6 bits come to lie as four to a dword, scales in
// V10 and V12, minima in V11 and V13. V20: 63s, V21: 48s, V24: 15s.
func (g *gen) scalesK() {
	g.scaleAndLeast(0, 8)
	g.v("fneg", 9, 9)
	g.turn(0, 0)
	g.v("and", 10, 1, 20)
	g.v("and", 11, 2, 20)
	g.v("and", 12, 3, 24)
	g.ushr(8, 13, 3, 4)
	for i := range 2 {
		g.ushr(8, 1+i, 1+i, 2)
		g.v("and", 1+i, 1+i, 21)
		g.v("orr", 12+i, 12+i, 1+i)
	}
	for j := range 8 {
		g.number(j%4, 10+j/4*2, 14, 8)
		g.scale(14, j, 0)
		g.number(j%4, 11+j/4*2, 15, 9)
		g.least(15, j, 0)
	}
}
