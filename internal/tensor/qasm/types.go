package main

import "fmt"

// unpacks writes the unpacking of each type; tensor/qsplit.go says how they are kept.
func (g *gen) unpacks() {
	g.unpack("Q8_0", 32, 34, "Bytes as they are; the scale's dword comes from another turn.", func(u *unpacker) {
		u.turn32(2, func(r, at int) { u.signed(r, 0, at) })
		u.column(0, 0, 0)
		u.half(false, 0, 0)
		u.scale(0, 0, 0)
	})
	g.unpack("Q4_0", 32, 18, `
		A value q-8 is a nibble with its top bit turned over; in the upper half of a byte that is 16*(q-8), and
		with 128 added the nibble as it was. So the values are 16 times too large and the scales as much smaller.
		AVX2 puts the nibble lower: see top.`, func(u *unpacker) {
		top := u.top(32)
		u.turn(2, 0)
		for i := range 4 {
			for h, shift := range []int{top - 3, top - 7} {
				r := u.shift(shift, i, 4+i)
				u.logic("AND", bits(4, top), r, 4+i)
				u.quad(4+i, 0, 4*h+i)
			}
		}
		u.column(0, 0, 0)
		u.half(false, 0, 0)
		u.p("VMULPS sixteenth<>(SB), v0, v0")
		u.scale(0, 0, 0)
	})
	g.unpack("Q4_K", 256, 144, `
		The first turn is of the scale and minimum and the 12 bytes of 6-bit ones, which come to lie as four to
		a dword: scales in v10 and v12, minima in v11 and v13.`, func(u *unpacker) {
		u.scalesK()
		for pair := range 4 {
			u.turn32(16+32*pair, func(r, at int) {
				u.p("VPSRLW $4, v%d, v15", r)
				u.nibbles(r, 2*pair, at)
				u.nibbles(15, 2*pair+1, at)
			})
		}
	})
	g.unpack("Q6_K", 256, 210, `
		The low halves and high pairs of bits are put together as bits 2 to 7 of a byte: with 128 added that
		is 4*(q-32), so the scales are 4 times smaller. AVX2 puts them lower: see top. v8 to v11: high pairs.`, func(u *unpacker) {
		top := u.top(16)
		u.scalesQ6_K()
		for h := range 2 {
			for piece := range 2 {
				u.turn(128+32*h+16*piece, 8)
				for low := range 2 {
					u.turn(64*h+32*low+16*piece, 0)
					for i := range 4 {
						for _, row := range []int{low, low + 2} {
							u.logic("AND", bits(4, top-2), u.shift(top-5-row/2*4, i, 4), 4)
							u.addBits(u.shift(top-1-2*row, 8+i, 5), bits(2, top), 5, 4)
							u.quad(4, 4*h+row, 4*piece+i)
						}
					}
				}
			}
		}
	})
	g.unpack("Q4_1", 32, 20, "The scale and minimum are a dword.", func(u *unpacker) {
		u.turn(4, 0)
		for i := range 4 {
			u.p("VPSRLW $4, v%d, v%d", i, 4+i)
			u.nibbles(i, 0, i)
			u.nibbles(4+i, 0, 4+i)
		}
		u.scaleAndMinimum(0)
	})
	g.unpack("Q5_0", 32, 22, `
		v12, v13: the dword of fifth bits, plain and shifted by four. With the fifth bit on top and 128 added, a
		value's five bits are 8*(q-16), so the scales are 8 times smaller. AVX2 puts them lower: see top.`, func(u *unpacker) {
		top := u.top(32)
		u.fifths(2)
		u.turn(6, 0)
		for i := range 4 {
			for h, shift := range []int{top - 4, top - 8} {
				r := u.shift(shift, i, 4+i)
				u.logic("AND", bits(4, top-1), r, 4+i)
				u.fifth(4*h+i, fmt.Sprintf("to%02x", 1<<top), 4+i)
				u.quad(4+i, 0, 4*h+i)
			}
		}
		u.column(0, 0, 0)
		u.half(false, 0, 0)
		u.p("VMULPS eighth<>(SB), v0, v0")
		u.scale(0, 0, 0)
	})
	g.unpack("Q5_1", 32, 24, "As Q4_1, with the fifth bits added.", func(u *unpacker) {
		u.fifths(4)
		u.turn(8, 0)
		for i := range 4 {
			u.p("VPSRLW $4, v%d, v%d", i, 4+i)
			for h, r := range []int{i, 4 + i} {
				u.logic("AND", c("x0f"), r, r)
				u.fifth(4*h+i, "to10", r)
				u.signed(r, 0, 4*h+i)
			}
		}
		u.scaleAndMinimum(0)
	})
	g.unpack("Q5_K", 256, 176, "As Q4_K. v8 to v11: the fifth bits of 16 values of each pair of sub-blocks.", func(u *unpacker) {
		u.scalesK()
		for piece := range 2 {
			u.turn(16+16*piece, 8)
			for pair := range 4 {
				u.turn(48+32*pair+16*piece, 0)
				for i := range 4 {
					u.p("VPSRLW $4, v%d, v5", i)
					for h, r := range []int{i, 5} {
						u.logic("AND", c("x0f"), r, r)
						u.addBits(u.shift(4-(2*pair+h), 8+i, 4), bits(1, 4), 4, r)
						u.signed(r, 2*pair+h, 4*piece+i)
					}
				}
			}
		}
	})
	g.unpack("Q2_K", 256, 84, "v8, v9: the block's scale and minimum.", func(u *unpacker) {
		u.scalesQ2_K()
		u.pairs(16, func(r, b, at int) { u.signed(r, b, at) })
	})
	g.unpack("Q3_K", 256, 110, `
		The third bit, the sign, goes on top of the two low ones: with 128 added that is 32*(q-4), so the scales are
		32 times smaller. AVX2 puts them lower: see top. v12 to v15: third bits of 16 values of each sub-block.`, func(u *unpacker) {
		top := u.top(16)
		u.scalesQ3_K()
		for piece := range 2 {
			u.load(16*piece, 12)
			u.transpose(12, u.spare(12))
			u.sixteen(32, piece, func(r, b, at int) {
				u.shift(top-2, r, r)
				u.addBits(u.shift(top-b, 12+at%4, 6), bits(1, top), 6, r)
				u.quad(r, b, at)
			})
		}
	})
	g.unpack("IQ4_NL", 32, 18, "The codes' values are looked up. v8: the table.", func(u *unpacker) {
		u.table(8)
		u.turn(2, 0)
		u.codes(0)
		u.column(0, 0, 0)
		u.half(false, 0, 0)
		u.scale(0, 0, 0)
	})
	g.unpack("IQ4_XS", 256, 136, "As IQ4_NL.", func(u *unpacker) {
		u.table(8)
		u.scalesIQ4_XS()
		for j := range 8 {
			u.scaleIQ4_XS(j)
			u.scale(0, j, 0)
			u.turn(8+16*j, 0)
			u.codes(j)
		}
	})
}

// fifths loads the dword of fifth bits at an offset.
func (u *unpacker) fifths(off int) {
	u.column(off, 0, 12)
	u.p("VPSRLD $4, v12, v13")
}

// fifth adds the fifth bits of values 4*n to 4*n+3 to v<r>. A byte of the dword is spread to the four, each
// takes its bit, and the table turns the bit to what is wanted.
func (u *unpacker) fifth(n int, table string, r int) {
	u.p("VPSHUFB byte%d<>(SB), v%d, v14", n/2, 12+n%2)
	u.logic("AND", c("bits"), 14, 14)
	u.p("VMOVDQU%s %s, v15\nVPSHUFB v14, v15, v14", u.wide(), c(table))
	u.logic("OR", "v14", r, r)
}

// scaleAndMinimum stores those that are a dword at the block's begin.
func (u *unpacker) scaleAndMinimum(off int) {
	u.column(off, 0, 0)
	u.half(false, 0, 1)
	u.scale(1, 0, 0)
	u.half(true, 0, 1)
	u.minimum(1, 0, 0)
}

// pairs takes the 2-bit values of Q2_K and Q3_K out of 64 bytes.
func (u *unpacker) pairs(off int, store func(r, b, at int)) {
	for piece := range 2 {
		u.sixteen(off, piece, store)
	}
}

// sixteen is pairs for half of each 32 values. It takes v0 to v7.
func (u *unpacker) sixteen(off, piece int, store func(r, b, at int)) {
	for h := range 2 {
		u.turn(off+32*h+16*piece, 0)
		for i := range 4 {
			for row := range 4 {
				if row > 0 {
					u.p("VPSRLW $%d, v%d, v5", 2*row, i)
					u.logic("AND", c("x03"), 5, 5)
				} else {
					u.logic("AND", c("x03"), i, 5)
				}
				store(5, 4*h+row, 4*piece+i)
			}
		}
	}
}

func (u *unpacker) table(r int) {
	name := "iq4"
	if u.vnni() {
		name = "iq4biased"
	}
	u.p("VMOVDQU%s %s, v%d", u.wide(), c(name), r)
}

// codes stores what the codes in v0 to v3 stand for, by the table in v8.
func (u *unpacker) codes(b int) {
	for i := range 4 {
		u.p("VPSRLW $4, v%d, v%d", i, 4+i)
		for h, r := range []int{i, 4 + i} {
			u.logic("AND", c("x0f"), r, r)
			u.p("VPSHUFB v%[1]d, v8, v%[1]d", r)
			u.quad(r, b, 4*h+i)
		}
	}
}

// scalesK stores the scales and minima of Q4_K and Q5_K.
func (u *unpacker) scalesK() {
	u.turn(0, 0)
	u.half(false, 0, 8)
	u.half(true, 0, 9)
	u.p("VMULPS minus1<>(SB), v9, v9")
	u.logic("AND", c("x3f"), 1, 10)
	u.logic("AND", c("x3f"), 2, 11)
	u.logic("AND", c("x0f"), 3, 12)
	u.p("VPSRLW $4, v3, v3")
	u.logic("AND", c("x0f"), 3, 13)
	u.p("VPSRLW $2, v1, v1\nVPSRLW $2, v2, v2")
	u.addBits(1, bits(2, 5), 1, 12)
	u.addBits(2, bits(2, 5), 2, 13)
	for j := range 8 {
		u.byteOf(j%4, 10+j/4*2, 0)
		u.p("VMULPS v8, v0, v0")
		u.scale(0, j, 0)
		u.byteOf(j%4, 11+j/4*2, 1)
		u.p("VMULPS v9, v1, v1")
		u.minimum(1, j, 0)
	}
}

// scalesQ6_K, scalesQ3_K and scalesQ2_K store the scales, and minima, of 16 values each. They take v0 to v9.
func (u *unpacker) scalesQ6_K() {
	u.column(194, 3, 0)
	u.half(true, 0, 8)
	u.p("VMULPS quarter<>(SB), v8, v8")
	u.turn(192, 0)
	for j := range 16 {
		u.p("VPSLLD $%d, v%d, v4\nVPSRAD $24, v4, v4\nVCVTDQ2PS v4, v4\nVMULPS v8, v4, v4", 24-j%4*8, j/4)
		u.scale(4, j/2, j%2)
	}
}

func (u *unpacker) scalesQ3_K() {
	u.column(94, 3, 0)
	u.half(true, 0, 8)
	u.p("VMULPS of32<>(SB), v8, v8")
	u.turn(92, 0) // v1, v2: low halves of 16 scales, v3: high pairs
	for j := range 16 {
		low, shift := 1+j%8/4, 8*(j%4)+j/8*4
		u.p("VPSRLD $%d, v%d, v4", shift, low)
		u.logic("AND", c("low4"), 4, 4)
		if shift := 8*(j%4) + j/4*2 - 4; shift < 0 {
			u.p("VPSLLD $%d, v3, v5", -shift)
		} else {
			u.p("VPSRLD $%d, v3, v5", shift)
		}
		u.logic("AND", c("low30"), 5, 5)
		u.logic("OR", "v5", 4, 4)
		u.p("VPSUBD int32<>(SB), v4, v4\nVCVTDQ2PS v4, v4\nVMULPS v8, v4, v4")
		u.scale(4, j/2, j%2)
	}
}

func (u *unpacker) scalesQ2_K() {
	u.column(68, 3, 0)
	u.half(false, 0, 8)
	u.half(true, 0, 9)
	u.p("VMULPS minus1<>(SB), v9, v9")
	u.turn(0, 0)
	for j := range 16 {
		u.byteOf(j%4, j/4, 4, func() {
			u.p("VPSRLD $4, v4, v5")
			u.logic("AND", c("low4"), 4, 4)
		})
		u.p("VMULPS v8, v4, v4\nVCVTDQ2PS v5, v5\nVMULPS v9, v5, v5")
		u.scale(4, j/2, j%2)
		u.minimum(5, j/2, j%2)
	}
}

// scalesIQ4_XS prepares for scaleIQ4_XS: v9 is the block's scale; v10, v11 the low halves and high pairs of the 6-bit ones.
func (u *unpacker) scalesIQ4_XS() {
	u.turn(0, 0)
	u.half(false, 0, 9)
	u.p("VMOVDQU%[1]s v1, v10\nVPSRLD $16, v0, v11", u.wide())
}

// scaleIQ4_XS sets v0 to the scale of sub-block j. v1 is scratch.
func (u *unpacker) scaleIQ4_XS(j int) {
	if j > 0 {
		u.p("VPSRLD $%d, v10, v0", 4*j)
		u.logic("AND", c("low4"), 0, 0)
	} else {
		u.logic("AND", c("low4"), 10, 0)
	}
	if shift := 2*j - 4; shift < 0 {
		u.p("VPSLLD $%d, v11, v1", -shift)
	} else {
		u.p("VPSRLD $%d, v11, v1", shift)
	}
	u.logic("AND", c("low30"), 1, 1)
	u.logic("OR", "v1", 0, 0)
	u.p("VPSUBD int32<>(SB), v0, v0\nVCVTDQ2PS v0, v0\nVMULPS v9, v0, v0")
}
