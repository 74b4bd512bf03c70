package main

import (
	"fmt"
	"slices"
)

// Unpacking: 16 bytes of each of 16 rows at a time are loaded, a row to a lane, and turned so that a
// vector has four bytes of each row. That is done before values are taken out of the bytes, so a
// vector of bytes with two values each is turned once for both.
//
// AX, BX, SI, R8: rows 0, 4, 8, 12; CX, DX: stride and 3*stride; R9 to R12: what is
// prefetched, ahead bytes from them; DI: dst; R13: blocks left. With AVX2 the rows are done in two passes of 8.

var bases = []string{"AX", "BX", "SI", "R8"}
var nextBases = []string{"R9", "R10", "R11", "R12"}
var strides = []string{"", "(CX*1)", "(CX*2)", "(DX*1)"}

// unpacker is a pass over a block. Where it multiplies, values do not go to memory but are multiplied at once with
// a row of activations.
type unpacker struct {
	*gen
	pass       int
	multiplies bool // by VNNI
	framed     bool // scales and minima go to a frame: see rower
	loads      func()
}

// multiply writes the kernel that multiplies one row of activations with a panel of a type whose blocks have 32 values
// and no minima. It takes the steps of unpacking and of the tile kernel, in the order that gives the same results.
func (g *gen) multiply(typ string, size int, body func(u *unpacker)) {
	g.text("qrow"+typ, "blocks int, a *qrow, w *byte, stride, ahead int, c *float32", 48, `
		As unpack`+typ+` and qtile32. DI: a; v31, v10: integer sums; v29: results.`)
	g.p(`
		MOVQ blocks+0(FP), R13
		MOVQ a+8(FP), DI
		MOVQ w+16(FP), AX
		MOVQ stride+24(FP), CX
		MOVQ ahead+32(FP), R9`)
	g.panel()
	g.p("VPXORD v29, v29, v29")
	g.block(size, func() {
		g.p("VPBROADCASTD 36(DI), v31\nVPXORD v10, v10, v10")
		body(&unpacker{gen: g, multiplies: true})
	}, 64)
	g.p(`
		MOVQ c+40(FP), DI
		VMOVUPS v29, (DI)
		VZEROUPPER
		RET`)
}

func (g *gen) unpack(typ string, values, size int, doc string, body func(u *unpacker)) {
	g.text("unpack"+typ, "dst *qblock, w *byte, stride, blocks, ahead int", 40, doc)
	g.p(`
		MOVQ dst+0(FP), DI
		MOVQ w+8(FP), AX
		MOVQ stride+16(FP), CX
		MOVQ blocks+24(FP), R13
		MOVQ ahead+32(FP), R9`)
	g.panel()
	g.block(size, func() {
		for pass := range 4 / g.lanes {
			body(&unpacker{gen: g, pass: pass})
		}
	}, values/32*768)
	g.p("VZEROUPPER\nRET")
	if g.vnni() && slices.Contains(multiplied, typ) {
		g.multiply(typ, size, body)
	}
}

// multiplied are the types with a kernel of their own for one row of activations.
var multiplied = []string{"Q8_0", "Q4_0", "Q5_0", "IQ4_NL"}

// panel sets the registers for the rows of a panel, and constants.
func (g *gen) panel() {
	g.p(`
		LEAQ (CX)(CX*2), DX
		LEAQ (AX)(CX*4), BX
		LEAQ (AX)(CX*8), SI
		LEAQ (BX)(CX*8), R8
		LEAQ (R9)(BX*1), R10
		LEAQ (R9)(SI*1), R11
		LEAQ (R9)(R8*1), R12
		ADDQ AX, R9`)
	if g.vnni() {
		g.p("VMOVDQU64 x0f<>(SB), v30")
	}
}

// block does the same for each block, and moves DI on.
func (g *gen) block(size int, do func(), step int) {
	g.p("PCALIGN $32\nblock:")
	if size < 64 {
		g.p("TESTQ $1, R13\nJNZ fetched")
	}
	for line := 0; line < size; line += 64 {
		for r := range 16 {
			g.p("PREFETCHT1 %d(%s)%s", line, nextBases[r/4], strides[r%4])
		}
	}
	if size < 64 {
		g.p("fetched:")
	}
	do()
	for _, r := range append(bases, nextBases...) {
		g.p("ADDQ $%d, %s", size, r)
	}
	g.p("ADDQ $%d, DI\nDECQ R13\nJNZ block", step)
}

// load loads 16 bytes at an offset of each row, row 4*l+z to lane l of v<r+z>.
func (u *unpacker) load(off, r int) {
	if u.loads != nil {
		u.loads()
	}
	for z := range 4 {
		for l := range u.lanes {
			addr := fmt.Sprintf("%d(%s)%s", off, bases[u.pass*u.lanes+l], strides[z])
			switch {
			case l == 0:
				u.p("VMOVDQU %s, X%d", addr, r+z)
			case u.vnni():
				u.p("VINSERTI32X4 $%d, %s, v%[3]d, v%[3]d", l, addr, r+z)
			default:
				u.p("VINSERTI128 $%d, %s, v%[3]d, v%[3]d", l, addr, r+z)
			}
		}
	}
}

// turn loads 16 bytes at an offset of each row: dword c of every row is in v<r+c>. v<r+4> to v<r+7> are
// scratch.
func (u *unpacker) turn(off, r int) {
	u.load(off, r)
	u.transpose(r, r+4)
}

// spare is where the scratch of a turn to v<r> is: after it, or, of 16 registers, at the beginning.
func (u *unpacker) spare(r int) int {
	if u.vnni() || r+8 <= 16 {
		return r + 4
	}
	return 0
}

// transpose turns the dwords of v<r> to v<r+3>, in each lane of 128 bits. v<tmp> to v<tmp+3> are scratch.
func (u *unpacker) transpose(r, tmp int) {
	u.p(`
		VPUNPCKLDQ v%[2]d, v%[1]d, v%[5]d
		VPUNPCKHDQ v%[2]d, v%[1]d, v%[6]d
		VPUNPCKLDQ v%[4]d, v%[3]d, v%[7]d
		VPUNPCKHDQ v%[4]d, v%[3]d, v%[8]d
		VPUNPCKLQDQ v%[7]d, v%[5]d, v%[1]d
		VPUNPCKHQDQ v%[7]d, v%[5]d, v%[2]d
		VPUNPCKLQDQ v%[8]d, v%[6]d, v%[3]d
		VPUNPCKHQDQ v%[8]d, v%[6]d, v%[4]d`, r, r+1, r+2, r+3, tmp, tmp+1, tmp+2, tmp+3)
}

// turn32 turns 32 bytes at an offset of each row and calls do for each four of them: their register and
// which they are. AVX-512 loads them at once, two rows to a vector, and sorts the lanes at the end. It takes
// v0 to v7, or v16 to v27.
func (u *unpacker) turn32(off int, do func(r, at int)) {
	if !u.vnni() {
		for piece := range 2 {
			u.turn(off+16*piece, 0)
			for i := range 4 {
				do(i, 4*piece+i)
			}
		}
		return
	}
	for half := range 2 {
		r := 16 + 4*half
		for z := range 4 {
			u.p("VMOVDQU64 %[1]d(%[2]s)%[3]s, Y%[5]d\nVINSERTI64X4 $1, %[1]d(%[4]s)%[3]s, v%[5]d, v%[5]d",
				off, bases[2*half], strides[z], bases[2*half+1], r+z)
		}
		u.transpose(r, 24)
	}
	for i := range 4 {
		u.p("VSHUFI32X4 $0xdd, v%[2]d, v%[1]d, v%[3]d\nVSHUFI32X4 $0x88, v%[2]d, v%[1]d, v%[1]d", 16+i, 20+i, 24+i)
	}
	for i := range 4 {
		do(16+i, i)
	}
	for i := range 4 {
		do(24+i, 4+i)
	}
}

// column sets v<r> to one of the dwords alone. v<r+1> to v<r+3> are scratch.
func (u *unpacker) column(off, dword, r int) {
	u.load(off, r)
	u.p(`
		VPUNPCK%[1]sDQ v%[4]d, v%[3]d, v%[3]d
		VPUNPCK%[1]sDQ v%[6]d, v%[5]d, v%[5]d
		VPUNPCK%[2]sQDQ v%[5]d, v%[3]d, v%[3]d`, []string{"L", "H"}[dword/2], []string{"L", "H"}[dword%2], r, r+1, r+2, r+3)
}

// half turns the f16 in the low or high halves of v<r>'s dwords to float32.
func (u *unpacker) half(high bool, r, dst int) {
	if high {
		u.p("VPSRLD $16, v%d, v%d", r, dst)
	}
	switch {
	case u.vnni():
		if high {
			r = dst
		}
		u.p("VPMOVDW v%d, Y%d\nVCVTPH2PS Y%[2]d, v%[2]d", r, dst)
	default:
		if !high {
			u.logic("AND", c("low16"), r, dst)
		}
		u.p("VPACKUSDW v%[1]d, v%[1]d, v%[1]d\nVPERMQ $0x08, v%[1]d, v%[1]d\nVCVTPH2PS X%[1]d, v%[1]d", dst)
	}
}

// quad stores v<r> as the c-th four of the values of block b.
func (u *unpacker) quad(r, b, c int) {
	if u.multiplies {
		u.p("VPDPBUSD.BCST %d(DI), v%d, v%d", 4*c, r, []int{31, 10}[c%2])
		return
	}
	u.p("VMOVDQU%s v%d, %d(DI)", u.wide(), r, 768*b+64*c+32*u.pass)
}

func (u *unpacker) wide() string {
	if u.vnni() {
		return "64"
	}
	return ""
}

// signed stores signed bytes.
func (u *unpacker) signed(r, b, at int) {
	if u.vnni() {
		u.logic("XOR", c("x80"), r, r)
	}
	u.quad(r, b, at)
}

// top is where the top bit of values stands that are kept with a multiple of 2 added instead of a sign: AVX-512 keeps
// all types so, with 128; AVX2 types of few bits and without minima, so that products add up in 16 bits, and the tile
// brings their sum to where 128 would have it. The scales are the same.
func (u *unpacker) top(group int) int {
	switch {
	case u.vnni():
		return 7
	case group == 32:
		return 4
	}
	return 5
}

// bits is a constant whose bytes have that many bits, the highest of them at top.
func bits(n, top int) string { return c(fmt.Sprintf("x%02x", (1<<n-1)<<(top+1-n))) }

// shift shifts the words of v<src> to the left, or right if n is negative, and returns where they are then: in v<dst>,
// or still in v<src>.
func (u *unpacker) shift(n, src, dst int) int {
	switch {
	case n > 0:
		u.p("VPSLLW $%d, v%d, v%d", n, src, dst)
	case n < 0:
		u.p("VPSRLW $%d, v%d, v%d", -n, src, dst)
	default:
		return src
	}
	return dst
}

// nibbles stores the low halves of v<r>'s bytes.
func (u *unpacker) nibbles(r, b, at int) {
	if u.vnni() {
		u.p("VPTERNLOGD $0x6a, x80<>(SB), v30, v%d", r) // (r & 15) ^ 128
	} else {
		u.logic("AND", c("x0f"), r, r)
	}
	u.quad(r, b, at)
}

// addBits sets v<r> to v<r> | v<x> & mask. v<tmp> is scratch, and may be v<x>.
func (u *unpacker) addBits(x int, mask string, tmp, r int) {
	if u.vnni() {
		u.p("VPTERNLOGD $0xf8, %s, v%d, v%d", mask, x, r)
		return
	}
	u.logic("AND", mask, x, tmp)
	u.logic("OR", fmt.Sprintf("v%d", tmp), r, r)
}

// scale and minimum store v<r> as those of half h of block b; scale comes after the block's values.
func (u *unpacker) scale(r, b, h int) {
	if u.multiplies {
		u.p("VPADDD v10, v31, v31\nVCVTDQ2PS v31, v31\nVMULPS.BCST 32(DI), v%d, v28\nVFMADD231PS v28, v31, v29", r)
		return
	}
	if u.framed {
		u.p("VMOVUPS v%d, %s", r, slot(scaleSlots, b, h))
		return
	}
	u.p("VMOVUPS v%d, %d(DI)", r, 768*b+512+64*h+32*u.pass)
}

func (u *unpacker) minimum(r, b, h int) {
	if u.framed {
		u.p("VMOVUPS v%d, %s", r, slot(minimumSlots, b, h))
		return
	}
	u.p("VMOVUPS v%d, %d(DI)", r, 768*b+640+64*h+32*u.pass)
}

// byteOf sets v<dst> to byte n of v<r>'s dwords as float32, after what is to be done with it.
func (u *unpacker) byteOf(n, r, dst int, before ...func()) {
	if n > 0 {
		u.p("VPSRLD $%d, v%d, v%d", 8*n, r, dst)
		r = dst
	}
	if n < 3 {
		u.logic("AND", c("low8"), r, dst)
	}
	for _, do := range before {
		do()
	}
	u.p("VCVTDQ2PS v%[1]d, v%[1]d", dst)
}
