package main

import (
	"fmt"
	"slices"
)

// The AVX2 kernels for one row of activations. They unpack the weights of 8 rows and multiply them at once. Values stay
// without a sign where their type allows it: products then need no signs turned, and up to eight of them fit into a sum of
// 16 bits. What makes values signed is taken off the whole sum, which is brought to the multiple that the unpacked
// blocks have, so that results are the same bits as through these.
//
// AX, BX: rows 0 and 4; CX, DX: stride and 3*stride; DI: a; R13: blocks left; v15: results; R8: the frame of a block of
// 256 values, where its scales, minima and sums wait for their turn; R9: what is prefetched. The rows lie one after the
// other, so as much as a block of all of them is fetched in the order of memory, some lines with each load: every line once, which
// is also what the processor's own fetching ahead is made for.

// What the frame holds, in slots of a vector.
const (
	scaleSlots   = 0
	minimumSlots = 16
	sumSlots     = 32
	slots        = 48
)

// rower is an unpacker that multiplies by AVX2.
type rower struct {
	*unpacker
	held   []string // constants, in v14 and those before it
	minima bool
	halves int // scales for each 32 values
}

// k is a constant as an operand: the register that holds it, or its place in memory.
func (r *rower) k(name string) string {
	if i := slices.Index(r.held, name); i >= 0 {
		return fmt.Sprintf("v%d", 14-i)
	}
	return c(name)
}

// slot is the address of what the frame holds for half h of sub-block b.
func slot(kind, b, h int) string { return fmt.Sprintf("%d(R8)", 32*(kind+2*b+h)) }

func (g *gen) row(typ string, values, size int, held []string, body func(r *rower)) {
	frame := 0
	if values > 32 {
		frame = 32 * (slots + 1)
	}
	g.framed("qrow"+typ, "blocks int, a *qrow, w *byte, stride, ahead int, c *float32", frame, 48,
		"As unpack"+typ+" and the tile, for 8 rows of weights.")
	g.p(`
		MOVQ blocks+0(FP), R13
		MOVQ a+8(FP), DI
		MOVQ w+16(FP), AX
		MOVQ stride+24(FP), CX
		MOVQ ahead+32(FP), R9
		LEAQ (CX)(CX*2), DX
		LEAQ (AX)(CX*4), BX
		ADDQ AX, R9
		VXORPS v15, v15, v15`)
	if frame > 0 {
		g.p("LEAQ 31(SP), R8\nANDQ $-32, R8")
	}
	for i, name := range held {
		g.p("VMOVDQU %s, v%d", c(name), 14-i)
	}
	g.p("PCALIGN $32\nblock:")
	unpack := func(g *gen, loads func()) {
		body(&rower{unpacker: &unpacker{gen: g, framed: true, loads: loads}, held: held, halves: 1})
	}
	loads := 0
	unpack(&gen{isa: g.isa, lanes: g.lanes}, func() { loads++ })
	lines, done, at := (8*size+63)/64, 0, 0
	unpack(g, func() {
		for at++; done < lines*at/loads; done++ {
			g.p("PREFETCHT1 %d(R9)", 64*done)
		}
	})
	g.p(`
		ADDQ $%[1]d, AX
		ADDQ $%[1]d, BX
		ADDQ $%[2]d, R9
		ADDQ $%[3]d, DI
		DECQ R13
		JNZ block`, size, 8*size, values/32*64)
	g.p(`
		MOVQ c+40(FP), DI
		VMOVUPS v15, (DI)
		VZEROUPPER
		RET`)
}

// products adds those of four values of v<w>, which have no sign, and of the activations at an offset to the 16-bit
// sums v<acc>, or begins them. v6 is scratch.
func (r *rower) products(w, at, acc int, begin bool) {
	r.p("VPBROADCASTD %d(DI), v6", at)
	if begin {
		r.p("VPMADDUBSW v6, v%d, v%d", w, acc)
		return
	}
	r.p("VPMADDUBSW v6, v%[1]d, v6\nVPADDW v6, v%[2]d, v%[2]d", w, acc)
}

// signedProducts are those of values with a sign, in 32 bits. v5 and v6 are scratch.
func (r *rower) signedProducts(w, at, acc int, begin bool) {
	r.p("VPABSB v%[1]d, v5\nVPBROADCASTD %[2]d(DI), v6\nVPSIGNB v%[1]d, v6, v6\nVPMADDUBSW v6, v5, v6", w, at)
	if begin {
		r.p("VPMADDWD %s, v6, v%d", r.k("ones16"), acc)
		return
	}
	r.p("VPMADDWD %[2]s, v6, v6\nVPADDD v6, v%[1]d, v%[1]d", acc, r.k("ones16"))
}

// wide makes 16-bit sums 32-bit ones.
func (r *rower) wide32(acc int) { r.p("VPMADDWD %[2]s, v%[1]d, v%[1]d", acc, r.k("ones16")) }

// float turns a sum of half h of sub-block b to float32. shift brings it to the multiple that the unpacked values
// have, which are 128<<shift off theirs without a sign; with 0 nothing is.
func (r *rower) float(acc, b, h, shift int) {
	if shift > 0 {
		r.p("VPSLLD $%[1]d, v%[2]d, v%[2]d\nVPBROADCASTD %[3]d(DI), v6\nVPADDD v6, v%[2]d, v%[2]d",
			shift, acc, 64*b+biasAt(r.halves, h))
	}
	r.p("VCVTDQ2PS v%[1]d, v%[1]d", acc)
}

// add adds what a sum, its scale and minimum make to the results. v6 is scratch.
func (r *rower) add(sum, scale, minimum string, b, h int) {
	r.p("VBROADCASTSS %d(DI), v6\nVMULPS %s, v6, v6", 64*b+32, scale)
	r.p("VFMADD231PS %s, v6, v15", sum)
	if r.minima {
		r.p("VBROADCASTSS %d(DI), v6\nVFMADD231PS %s, v6, v15", 64*b+sumAt(r.halves, h), minimum)
	}
}

// addSlots adds all that waits in the frame for sums of 16 values, in its order.
func (r *rower) addSlots() {
	for b := range 8 {
		for h := range 2 {
			r.add(slot(sumSlots, b, h), slot(scaleSlots, b, h), slot(minimumSlots, b, h), b, h)
		}
	}
}

// column16 sets v<dst> to the halves at an offset of each row, as float32.
func (r *rower) column16(off, dst int) {
	r.p("VPXOR X%[1]d, X%[1]d, X%[1]d", dst)
	for z := range 8 {
		r.p("VPINSRW $%d, %d(%s)%s, X%[5]d, X%[5]d", z, off, bases[z/4], strides[z%4], dst)
	}
	r.p("VCVTPH2PS X%[1]d, v%[1]d", dst)
}

// nibbles16 does with the low and then the high halves of 16 bytes of each row, in v0 to v3: they are in v4, and
// are values 4*i to 4*i+3 of low or high ones.
func (r *rower) nibbles16(do func(half, i int)) {
	for half := range 2 {
		for i := range 4 {
			src := i
			if half == 1 {
				r.p("VPSRLW $4, v%d, v4", i)
				src = 4
			}
			r.p("VPAND %s, v%d, v4", r.k("x0f"), src)
			do(half, i)
		}
	}
}

// bit adds bit n of each byte of v<src> to v4 as bit m. v5 is scratch.
func (r *rower) bit(src, n, m int) {
	r.p("VPAND %s, v%d, v5\nVPOR v5, v4, v4", r.k(fmt.Sprintf("x%02x", 1<<m)), r.shift(m-n, src, 5))
}

func (g *gen) rows() {
	g.row("Q8_0", 32, 34, []string{"ones16"}, rowQ8_0)
	for _, t := range []struct {
		name   string
		fifths bool // after the scale and minimum
		minima bool
	}{{"Q4_0", false, false}, {"Q4_1", false, true}, {"Q5_0", true, false}, {"Q5_1", true, true}} {
		head, shift, times := 2, 4, "sixteenth"
		if t.minima {
			head, shift = 4, 0
		}
		values := head
		if t.fifths {
			values += 4
			if !t.minima {
				shift, times = 3, "eighth"
			}
		}
		g.row(t.name, 32, values+16, []string{"x0f", "bits", "x10"}, func(r *rower) {
			r.minima = t.minima
			if t.fifths {
				r.column(head, 0, 0)
				r.p("VMOVDQU v0, v10\nVPSRLD $4, v0, v11")
			}
			r.turn(values, 0)
			r.nibbles16(func(half, i int) {
				if t.fifths {
					r.fifthOf(4*half + i)
				}
				r.products(4, 16*half+4*i, 8+half, i == 0)
			})
			r.wide32(8)
			r.wide32(9)
			r.p("VPADDD v9, v8, v8")
			r.float(8, 0, 0, shift)
			r.column16(0, 0)
			if shift > 0 {
				r.p("VMULPS %s<>(SB), v0, v0", times)
			}
			if t.minima {
				r.column16(2, 1)
			}
			r.add("v8", "v0", "v1", 0, 0)
		})
	}
	g.row("IQ4_NL", 32, 18, []string{"x0f", "ones16"}, func(r *rower) {
		r.table(8)
		r.turn(2, 0)
		r.codes32(0)
		r.column16(0, 0)
		r.add("v12", "v0", "", 0, 0)
	})
	g.row("IQ4_XS", 256, 136, []string{"x0f", "ones16"}, func(r *rower) {
		r.table(8)
		r.scalesIQ4_XS()
		for b := range 8 {
			r.turn(8+16*b, 0)
			r.codes32(b)
			r.scaleIQ4_XS(b)
			r.add("v12", "v0", "", b, 0)
		}
	})
	g.row("Q4_K", 256, 144, []string{"x0f"}, rowQ4_K)
	g.row("Q5_K", 256, 176, []string{"x0f"}, rowQ5_K)
	g.row("Q6_K", 256, 210, []string{"x0f"}, rowQ6_K)
	g.row("Q3_K", 256, 110, []string{"x03", "x04"}, rowQ3_K)
	g.row("Q2_K", 256, 84, []string{"x03"}, func(r *rower) {
		r.halves, r.minima = 2, true
		r.scalesQ2_K()
		for piece := range 2 {
			r.pairs16(16, piece, func(b, i int) {})
		}
		r.addSlots()
	})
}

// rowQ8_0 adds products up along a row, and the sums of eight rows at the end: bytes need no unpacking, so turning
// them would cost more.
func rowQ8_0(r *rower) {
	r.p("VMOVDQU (DI), v13")
	for z := range 8 {
		r.loads()
		r.p(`
			VMOVDQU 2(%[1]s)%[2]s, v8
			VPABSB v8, v%[3]d
			VPSIGNB v8, v13, v8
			VPMADDUBSW v8, v%[3]d, v%[3]d
			VPMADDWD v14, v%[3]d, v%[3]d`, bases[z/4], strides[z%4], z)
	}
	r.p(`
		VPHADDD v1, v0, v0
		VPHADDD v3, v2, v2
		VPHADDD v2, v0, v0
		VPHADDD v5, v4, v4
		VPHADDD v7, v6, v6
		VPHADDD v6, v4, v4
		VPERM2I128 $0x20, v4, v0, v8
		VPERM2I128 $0x31, v4, v0, v9
		VPADDD v9, v8, v8`)
	r.float(8, 0, 0, 0)
	r.column16(0, 0)
	r.add("v8", "v0", "", 0, 0)
}

// fifthOf adds the fifth bits of values 4*n to 4*n+3 to v4: a byte of the dword in v10 or v11 is spread to the four,
// and each looks at its bit. v5 is scratch.
func (r *rower) fifthOf(n int) {
	r.p(`
		VPSHUFB byte%d<>(SB), v%d, v5
		VPAND %[3]s, v5, v5
		VPCMPEQB %[3]s, v5, v5
		VPAND %[4]s, v5, v5
		VPOR v5, v4, v4`, n/2, 10+n%2, r.k("bits"), r.k("x10"))
}

// codes32 sets v12 to the sum of sub-block b, whose codes are in v0 to v3 and stand for values by the table in v8.
func (r *rower) codes32(b int) {
	r.nibbles16(func(half, i int) {
		r.p("VPSHUFB v4, v8, v4")
		r.signedProducts(4, 64*b+16*half+4*i, 12, half+i == 0)
	})
	r.float(12, b, 0, 0)
}

func rowQ4_K(r *rower) {
	r.minima = true
	r.scalesK()
	for pair := range 4 {
		for piece := range 2 {
			r.turn(16+32*pair+16*piece, 0)
			r.nibbles16(func(half, i int) {
				r.products(4, 64*(2*pair+half)+16*piece+4*i, 8+half, piece+i == 0)
			})
		}
		for half := range 2 {
			b := 2*pair + half
			r.wide32(8 + half)
			r.float(8+half, b, 0, 0)
			r.add(fmt.Sprintf("v%d", 8+half), slot(scaleSlots, b, 0), slot(minimumSlots, b, 0), b, 0)
		}
	}
}

// rowQ5_K goes through the first halves of all sub-blocks, and then through the others: v8 to v11 are their fifth bits.
func rowQ5_K(r *rower) {
	r.minima = true
	r.scalesK()
	for piece := range 2 {
		r.load(16+16*piece, 8)
		r.transpose(8, 0)
		for pair := range 4 {
			r.turn(48+32*pair+16*piece, 0)
			r.nibbles16(func(half, i int) {
				b := 2*pair + half
				r.bit(8+i, b, 4)
				r.products(4, 64*b+16*piece+4*i, 12+half, i == 0)
			})
			for half := range 2 {
				b, acc := 2*pair+half, 12+half
				r.wide32(acc)
				if piece == 0 {
					r.p("VMOVDQU v%d, %s", acc, slot(sumSlots, b, 0))
					continue
				}
				r.p("VPADDD %[1]s, v%[2]d, v%[2]d", slot(sumSlots, b, 0), acc)
				r.float(acc, b, 0, 0)
				r.add(fmt.Sprintf("v%d", acc), slot(scaleSlots, b, 0), slot(minimumSlots, b, 0), b, 0)
			}
		}
	}
}

// rowQ6_K: v8 to v11 are the high pairs of bits. Two products of six bits fit into a sum of 16.
func rowQ6_K(r *rower) {
	r.halves = 2
	r.scalesQ6_K()
	for h := range 2 {
		for piece := range 2 {
			r.load(128+32*h+16*piece, 8)
			r.transpose(8, 0)
			for low := range 2 {
				r.turn(64*h+32*low+16*piece, 0)
				r.p("VMOVDQU x30<>(SB), v7")
				r.nibbles16(func(half, i int) {
					b := 4*h + low + 2*half
					r.p("VPAND v7, v%d, v5\nVPOR v5, v4, v4", r.shift(4-2*(low+2*half), 8+i, 5))
					r.products(4, 64*b+16*piece+4*i, 12+i/2, i%2 == 0)
					if i < 3 {
						return
					}
					r.wide32(12)
					r.wide32(13)
					r.p("VPADDD v13, v12, v12")
					r.float(12, b, piece, 2)
					r.p("VMOVUPS v12, %s", slot(sumSlots, b, piece))
				})
			}
		}
	}
	r.addSlots()
}

// rowQ3_K: v8 to v11 are the third bits of half of each sub-block.
func rowQ3_K(r *rower) {
	r.halves = 2
	r.scalesQ3_K()
	for piece := range 2 {
		r.load(16*piece, 8)
		r.transpose(8, 0)
		r.pairs16(32, piece, func(b, i int) { r.bit(8+i, b, 2) })
	}
	r.addSlots()
}

// pairs16 sums one half of each sub-block of 2-bit values up, after what more makes of those in v4. A value with a
// third bit is 4 off.
func (r *rower) pairs16(off, piece int, more func(b, i int)) {
	for h := range 2 {
		r.turn(off+32*h+16*piece, 0)
		for n := range 4 {
			b := 4*h + n
			for i := range 4 {
				src := i
				if n > 0 {
					r.p("VPSRLW $%d, v%d, v4", 2*n, i)
					src = 4
				}
				r.p("VPAND %s, v%d, v4", r.k("x03"), src)
				more(b, i)
				r.products(4, 64*b+16*piece+4*i, 12, i == 0)
			}
			r.wide32(12)
			shift := 5
			if r.minima {
				shift = 0
			}
			r.float(12, b, piece, shift)
			r.p("VMOVUPS v12, %s", slot(sumSlots, b, piece))
		}
	}
}
