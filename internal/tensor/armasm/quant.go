package main

import (
	"fmt"
	"strings"
)

// The kernels for quantised weights: tile kernels, and products of weights that are floats. tensor/qpanel.go has the
// layouts.

// Places in a row's 32 activations and in 32 values of a panel.
const (
	rowScale, rowSum       = 32, 48
	rowSize, blockSize     = 64, 768
	blockScale, blockLeast = 512, 640
)

// tile describes what differs between the tile kernels: their sums of products.
type tile struct {
	name string
	rows int
	ints func(r, k int) int // registers of row r's integer sums
	each int                // integer registers of a row
	// sums adds the products of quads from up to to; finish leaves the sums of columns 0 to 3 and 4 to 7 in the two
	// registers it returns.
	sums   func(g *gen, n, from, to int)
	finish func(g *gen, r int) (lo, hi int)
}

var dotTile = tile{
	name: "Dot", rows: 4, each: 2,
	ints: func(r, k int) int { return 24 + 2*r + k },
}

// plainTile's products of bytes have 16 bits, of which two can be added without overflow: weights are bytes, and
// activations from -127 to 127.
var plainTile = tile{
	name: "", rows: 3, each: 4,
	ints: func(r, k int) int { return []int{22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 14, 15}[4*r+k] },
}

func init() {
	dotTile.sums = func(g *gen, n, from, to int) {
		for i := from; i < to; i++ {
			g.p("\tFMOVQ %d(R4), F8\n\tFMOVQ %d(R4), F9", 64*i, 64*i+16)
			for r := range n {
				g.sdotLane(dotTile.ints(r, 0), 8, 2*r+i/4, i%4)
				g.sdotLane(dotTile.ints(r, 1), 9, 2*r+i/4, i%4)
			}
		}
	}
	dotTile.finish = func(_ *gen, r int) (lo, hi int) { return dotTile.ints(r, 0), dotTile.ints(r, 1) }
	plainTile.sums = func(g *gen, n, from, to int) {
		for i := from; i < to; i += 2 {
			g.p("\tFMOVQ %d(R4), F8\n\tFMOVQ %d(R4), F9\n\tFMOVQ %d(R4), F6\n\tFMOVQ %d(R4), F7", 64*i, 64*i+16, 64*i+64, 64*i+80)
			for r := range n {
				g.dupLane(12, 2*r+i/4, i%4)
				g.dupLane(13, 2*r+i/4, i%4+1)
				for v := range 2 {
					g.v("smull", 10, 8+v, 12)
					g.v("smlal", 10, 6+v, 13)
					g.v("smull2", 11, 8+v, 12)
					g.v("smlal2", 11, 6+v, 13)
					g.v("sadalp", plainTile.ints(r, 2*v), 10)
					g.v("sadalp", plainTile.ints(r, 2*v+1), 11)
				}
			}
		}
	}
	plainTile.finish = func(g *gen, r int) (lo, hi int) {
		lo, hi = plainTile.ints(r, 0), plainTile.ints(r, 2)
		g.v("addp", lo, lo, plainTile.ints(r, 1))
		g.v("addp", hi, hi, plainTile.ints(r, 3))
		return lo, hi
	}
}

// write writes the kernel whose weights have one scale and minimum for 32 values, or for each half of them.
func (t *tile) write(g *gen, halves int) {
	g.text(fmt.Sprintf("qtile%d%s", 32/halves, t.name), "rows, blocks int, a *qrow, lda int, w *qblock, c *float32, ldc int, how qhow", 64, fmt.Sprintf(`
		c = c + scale_w*scale_a*(integer product) + minimum*sum_a, in that order, for %d values at a time of up to %d rows of
		activations and half of a panel's rows of weights.
		V0 to V5 or V7: activations; V16 on: c, two to a row; the integer sums after them; V6 to V13: weights, scales and
		scratch. R8 to R11: rows of a; R4: w; R5, R6: c and its stride; R7: how.`, 32/halves, t.rows))
	g.lines(`
		MOVD rows+0(FP), R0
		MOVD blocks+8(FP), R1
		MOVD a+16(FP), R2
		MOVD lda+24(FP), R3
		MOVD w+32(FP), R4
		MOVD c+40(FP), R5
		MOVD ldc+48(FP), R6
		MOVD how+56(FP), R7
		LSL $2, R6
		MOVD R2, R8`)
	for r := 1; r < t.rows; r++ {
		g.p("\tADD R3, R%d, R%d", 7+r, 8+r)
	}
	for n := t.rows; n > 1; n-- {
		g.p("\tCMP $%d, R0\n\tBEQ rows%d", n, n)
	}
	for n := 1; n <= t.rows; n++ {
		g.p("rows%d:", n)
		for i := range 2 * n {
			g.movi(16+i, 0)
		}
		g.p("\tTBZ $0, R7, loop%d\n\tMOVD R5, R12", n)
		for r := range n {
			g.p("\tFMOVQ (R12), F%d\n\tFMOVQ 16(R12), F%d\n\tADD R6, R12", 16+2*r, 17+2*r)
		}
		g.p("\tPCALIGN $16\nloop%d:", n)
		for r := range n {
			g.p("\tFMOVQ (R%d), F%d\n\tFMOVQ 16(R%d), F%d", 8+r, 2*r, 8+r, 2*r+1)
		}
		for h := range halves {
			t.half(g, n, h, halves)
		}
		for r := range n {
			g.p("\tADD $%d, R%d", rowSize, 8+r)
		}
		g.p("\tADD $%d, R4\n\tSUBS $1, R1\n\tBNE loop%d", blockSize, n)
		for r := range n {
			g.p("\tFMOVQ F%d, (R5)\n\tFMOVQ F%d, 16(R5)\n\tADD R6, R5", 16+2*r, 17+2*r)
		}
		g.p("\tRET")
	}
}

// half adds what values of one scale give.
func (t *tile) half(g *gen, n, h, halves int) {
	for r := range n {
		for k := range t.each {
			g.movi(t.ints(r, k), 0)
		}
	}
	t.sums(g, n, 8/halves*h, 8/halves*(h+1))
	g.p("\tFMOVQ %d(R4), F10\n\tFMOVQ %d(R4), F11", blockScale+64*h, blockScale+64*h+16)
	for r := range n {
		g.p("\tFMOVQ %d(R%d), F12", rowScale, 8+r)
		for k, sum := range pair(t.finish(g, r)) {
			g.v("scvtf", sum, sum)
			g.fmulLane(13, 10+k, 12, 0)
			g.v("fmla", 16+2*r+k, 13, sum)
		}
	}
	skip := fmt.Sprintf("plain%d%d", n, h)
	g.p("\tTBZ $1, R7, %s\n\tFMOVQ %d(R4), F10\n\tFMOVQ %d(R4), F11", skip, blockLeast+64*h, blockLeast+64*h+16)
	lane := 0
	if halves == 2 {
		lane = 1 + h
	}
	for r := range n {
		g.p("\tFMOVQ %d(R%d), F12", rowSum, 8+r)
		g.fmlaLane(16+2*r, 10, 12, lane)
		g.fmlaLane(17+2*r, 11, 12, lane)
	}
	g.p("%s:", skip)
}

func pair(a, b int) [2]int { return [2]int{a, b} }

// Shifts of bytes or dwords.

func (g *gen) ushr(width, d, n, shift int) {
	g.word(0x6f000400|uint32(2*width-shift)<<16|uint32(d|n<<5), lanes("ushr", width, shift), d, n)
}

func (g *gen) shl(width, d, n, shift int) {
	g.word(0x4f005400|uint32(width+shift)<<16|uint32(d|n<<5), lanes("shl", width, shift), d, n)
}

// shift shifts to the right, or to the left where right is less than 0.
func (g *gen) shift(width, d, n, right int) {
	switch {
	case right < 0:
		g.shl(width, d, n, -right)
	case right == 0:
		g.v("mov", d, n)
	default:
		g.ushr(width, d, n, right)
	}
}

func (g *gen) sshr32(d, n, shift int) {
	g.word(0x4f000400|uint32(64-shift)<<16|uint32(d|n<<5), lanes("sshr", 32, shift), d, n)
}

func lanes(name string, width, shift int) string {
	return strings.ReplaceAll(fmt.Sprintf("%s v%%d.X, v%%d.X, #%d", name, shift), "X", map[int]string{8: "16b", 32: "4s"}[width])
}

// movi32 sets all dwords of a register.
func (g *gen) movi32(d, value int) {
	g.word(0x4f000400|uint32(d)|uint32(value&31)<<5|uint32(value>>5)<<16, "movi v%d.4s, #%d", d, value)
}

func (g *gen) dupLane(d, n, i int) {
	g.word(0x4e040400|uint32(d|n<<5|i<<19), "dup v%d.4s, v%d.s[%d]", d, n, i)
}

func (g *gen) fmulLane(d, n, m, i int) {
	g.word(0x4f809000|uint32(d|n<<5|m<<16|i&1<<21|i>>1<<11), "fmul v%d.4s, v%d.4s, v%d.s[%d]", d, n, m, i)
}

// floatDots are the products of weights that are floats, as they are kept.
func (g *gen) floatDots() {
	for _, t := range []struct {
		name string
		size int
		load func() // 16 values to V0 to V3
	}{
		{"F32", 4, func() {
			for i := range 4 {
				g.p("\tFMOVQ.P 16(R12), F%d", i)
			}
		}},
		{"F16", 2, func() { g.widened("fcvtl", "fcvtl2") }},
		{"BF16", 2, func() { g.widened("shll", "shll2") }},
	} {
		g.floatDot(t.name, t.load)
	}
}

func (g *gen) widened(low, high string) {
	g.p("\tFMOVQ.P 16(R12), F1\n\tFMOVQ.P 16(R12), F3")
	for i := 0; i < 4; i += 2 {
		g.v(low, i, i+1)
		g.v(high, i+1, i+1)
	}
}

const dotRows = 4 // of activations

func (g *gen) floatDot(name string, load func()) {
	g.text("qdot"+name, "dst *float32, ldd int, w *byte, rows, stride, n int, x *float32, ldx, m int", 72, `
		The products of rows of weights with up to four rows of activations, 16 values at a time, in 16 partial sums each,
		which are added in the same order for any number of rows.
		R0, R1: dst and its stride; R2, R3, R4: w, rows left, stride; R5: values; R6, R7: x and its stride. V16 on: sums.`)
	g.lines(`
		MOVD dst+0(FP), R0
		MOVD ldd+8(FP), R1
		MOVD w+16(FP), R2
		MOVD rows+24(FP), R3
		MOVD stride+32(FP), R4
		MOVD n+40(FP), R5
		MOVD x+48(FP), R6
		MOVD ldx+56(FP), R7
		MOVD m+64(FP), R17
		LSL $2, R1
		LSL $2, R7`)
	for m := dotRows; m > 1; m-- {
		g.p("\tCMP $%d, R17\n\tBEQ m%d", m, m)
	}
	for m := 1; m <= dotRows; m++ {
		g.p("m%d:\n\tMOVD R6, R8\n\tMOVD R2, R12\n\tMOVD R5, R13", m)
		for r := 1; r < m; r++ {
			g.p("\tADD R7, R%d, R%d", 7+r, 8+r)
		}
		for i := range 4 * m {
			g.movi(16+i, 0)
		}
		g.p("\tPCALIGN $16\nloop%d:", m)
		load()
		for r := range m {
			for i := range 4 {
				g.p("\tFMOVQ.P 16(R%d), F%d", 8+r, 4+i)
			}
			for i := range 4 {
				g.v("fmla", 16+4*r+i, i, 4+i)
			}
		}
		g.p("\tSUBS $16, R13\n\tBNE loop%d\n\tMOVD R0, R14", m)
		for r := range m {
			s := 16 + 4*r
			g.v("fadd", s, s, s+1)
			g.v("fadd", s+2, s+2, s+3)
			g.v("fadd", s, s, s+2)
			g.sum(s)
			g.p("\tFMOVS F%d, (R14)\n\tADD R1, R14", s)
		}
		g.p("\tADD $4, R0\n\tADD R4, R2\n\tSUBS $1, R3\n\tBNE m%d\n\tRET", m)
	}
}

// quantised writes q_arm64.s.
func (g *gen) quantised() {
	for i, b := range bytesOf {
		g.p("DATA bytes<>+%d(SB)/8, $0x%016x // %s\nDATA bytes<>+%d(SB)/8, $0x%016x", 16*i, b.lo, b.name, 16*i+8, b.hi)
	}
	g.p("GLOBL bytes<>(SB), RODATA|NOPTR, $%d", 16*len(bytesOf))
	for _, t := range []*tile{&dotTile, &plainTile} {
		t.write(g, 1)
		t.write(g, 2)
	}
	g.unpacks()
	g.floatDots()
}
