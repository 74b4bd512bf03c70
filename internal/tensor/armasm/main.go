// Command armasm writes the arm64 kernels of package tensor: kernels_arm64.s and, for quantised weights,
// q_arm64.s. Run it from that package's folder, by go generate.
//
// Go's assembler lacks most vector arithmetic of arm64, so instructions are encoded here, as the Arm
// Architecture Reference Manual gives them (C7.2), with their text beside them.
package main

import (
	"bytes"
	"fmt"
	"log"
	"math"
	"os"
	"strings"
)

type gen struct{ bytes.Buffer }

func (g *gen) p(format string, args ...any) { fmt.Fprintf(g, format+"\n", args...) }

// lines writes instructions that the assembler knows, one a line.
func (g *gen) lines(text string) {
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(l); l != "" {
			g.p("\t%s", l)
		}
	}
}

// three are instructions of a destination and two sources: their bits without registers, and how the
// registers are written.
var three = map[string]struct {
	bits uint32
	form string
}{
	"fadd": {0x4e20d400, "v%d.4s, v%d.4s, v%d.4s"}, "fsub": {0x4ea0d400, "v%d.4s, v%d.4s, v%d.4s"},
	"fmul": {0x6e20dc00, "v%d.4s, v%d.4s, v%d.4s"}, "fdiv": {0x6e20fc00, "v%d.4s, v%d.4s, v%d.4s"},
	"fmax": {0x4e20f400, "v%d.4s, v%d.4s, v%d.4s"}, "fmin": {0x4ea0f400, "v%d.4s, v%d.4s, v%d.4s"},
	"fmla": {0x4e20cc00, "v%d.4s, v%d.4s, v%d.4s"}, "fmls": {0x4ea0cc00, "v%d.4s, v%d.4s, v%d.4s"},
	"faddp": {0x6e20d400, "v%d.4s, v%d.4s, v%d.4s"}, "add": {0x4ea08400, "v%d.4s, v%d.4s, v%d.4s"},
	"eor": {0x6e201c00, "v%d.16b, v%d.16b, v%d.16b"}, "smull": {0x0e20c000, "v%d.8h, v%d.8b, v%d.8b"},
	"smull2": {0x4e20c000, "v%d.8h, v%d.16b, v%d.16b"}, "smlal": {0x0e208000, "v%d.8h, v%d.8b, v%d.8b"},
	"smlal2": {0x4e208000, "v%d.8h, v%d.16b, v%d.16b"}, "addp": {0x4ea0bc00, "v%d.4s, v%d.4s, v%d.4s"},
	"and": {0x4e201c00, "v%d.16b, v%d.16b, v%d.16b"}, "orr": {0x4ea01c00, "v%d.16b, v%d.16b, v%d.16b"},
	"sub": {0x6ea08400, "v%d.4s, v%d.4s, v%d.4s"}, "cmtst": {0x4e208c00, "v%d.16b, v%d.16b, v%d.16b"},
	"trn1": {0x4e802800, "v%d.4s, v%d.4s, v%d.4s"}, "trn2": {0x4e806800, "v%d.4s, v%d.4s, v%d.4s"},
}

// two are instructions of a destination and one source.
var two = map[string]struct {
	bits uint32
	form string
}{
	"fcvtns": {0x4e21a800, "v%d.4s, v%d.4s"}, "fcvtzs": {0x4ea1b800, "v%d.4s, v%d.4s"},
	"scvtf": {0x4e21d800, "v%d.4s, v%d.4s"}, "sadalp": {0x4e606800, "v%d.4s, v%d.8h"},
	"sshll": {0x0f08a400, "v%d.8h, v%d.8b, #0"}, "sshll2": {0x4f08a400, "v%d.8h, v%d.16b, #0"},
	"xtn": {0x0e612800, "v%d.4h, v%d.4s"}, "xtn2": {0x4e612800, "v%d.8h, v%d.4s"},
	"addv": {0x4eb1b800, "s%d, v%d.4s"}, "fmaxv": {0x6e30f800, "s%d, v%d.4s"}, "fminv": {0x6eb0f800, "s%d, v%d.4s"},
	"mov": {0x4ea01c00, "v%d.16b, v%d.16b"}, "dup": {0x4e040400, "v%d.4s, v%d.s[0]"},
	"fneg": {0x6ea0f800, "v%d.4s, v%d.4s"}, "fcvtl": {0x0e217800, "v%d.4s, v%d.4h"}, "fcvtl2": {0x4e217800, "v%d.4s, v%d.8h"},
	"fabs": {0x4ea0f800, "v%d.4s, v%d.4s"}, "fcvtn": {0x0e216800, "v%d.4h, v%d.4s"}, "fcvtn2": {0x4e216800, "v%d.8h, v%d.4s"},
	"shll": {0x2e613800, "v%d.4s, v%d.4h, #16"}, "shll2": {0x6e613800, "v%d.4s, v%d.8h, #16"},
}

// special are those whose text follows no rule above.
var special = map[string]struct {
	bits uint32
	form string
}{
	"addb": {0x4e208400, "add v%d.16b, v%d.16b, v%d.16b"}, "subb": {0x6e208400, "sub v%d.16b, v%d.16b, v%d.16b"},
	"trn1d": {0x4ec02800, "trn1 v%d.2d, v%d.2d, v%d.2d"}, "trn2d": {0x4ec06800, "trn2 v%d.2d, v%d.2d, v%d.2d"},
	"positive": {0x6ea0c800, "fcmge v%d.4s, v%d.4s, #0.0"}, "bsl": {0x6e601c00, "bsl v%d.16b, v%d.16b, v%d.16b"},
	"tbl":  {0x4e000000, "tbl v%d.16b, {v%d.16b}, v%d.16b"},
	"xtn8": {0x0e212800, "xtn v%d.8b, v%d.8h"}, "widen": {0x0f10a400, "sshll v%d.4s, v%d.4h, #0"},
	"widen2": {0x4f10a400, "sshll2 v%d.4s, v%d.8h, #0"}, "shl23": {0x4f375400, "shl v%d.4s, v%d.4s, #23"},
}

// v writes a vector instruction: its name and the numbers of its registers.
func (g *gen) v(name string, r ...int) {
	if i, ok := three[name]; ok {
		g.word(i.bits|uint32(r[0]|r[1]<<5|r[2]<<16), name+" "+i.form, r...)
		return
	}
	if i, ok := special[name]; ok {
		bits := i.bits | uint32(r[0]|r[1]<<5)
		if len(r) == 3 {
			bits |= uint32(r[2] << 16)
		}
		g.word(bits, i.form, r...)
		return
	}
	i, ok := two[name]
	if !ok {
		log.Fatal("unknown instruction ", name)
	}
	bits := i.bits | uint32(r[0]|r[1]<<5)
	if name == "mov" { // orr with both sources the same
		bits |= uint32(r[1] << 16)
	}
	g.word(bits, name+" "+i.form, r...)
}

func (g *gen) word(bits uint32, form string, r ...int) {
	args := make([]any, len(r))
	for i, n := range r {
		args[i] = n
	}
	g.p("\tWORD $0x%08x // "+form, append([]any{bits}, args...)...)
}

// movi sets all bytes of a register.
func (g *gen) movi(d, value int) {
	g.word(0x4f00e400|uint32(d)|uint32(value&31)<<5|uint32(value>>5)<<16, "movi v%d.16b, #%d", d, value)
}

// Multiplications by lane i of m.

func (g *gen) fmlaLane(d, n, m, i int) {
	g.word(0x4f801000|uint32(d|n<<5|m<<16|i&1<<21|i>>1<<11), "fmla v%d.4s, v%d.4s, v%d.s[%d]", d, n, m, i)
}

func (g *gen) sdotLane(d, n, m, i int) {
	g.word(0x4f80e000|uint32(d|n<<5|m<<16|i&1<<21|i>>1<<11), "sdot v%d.4s, v%d.16b, v%d.4b[%d]", d, n, m, i)
}

// smlalLane takes the lower four of n's lanes, or the upper. m is below 16.
func (g *gen) smlalLane(upper bool, d, n, m, i int) {
	bits := uint32(d | n<<5 | m<<16 | i&1<<20 | i>>1&1<<21 | i>>2<<11)
	if upper {
		g.word(0x4f402000|bits, "smlal2 v%d.4s, v%d.8h, v%d.h[%d]", d, n, m, i)
		return
	}
	g.word(0x0f402000|bits, "smlal v%d.4s, v%d.4h, v%d.h[%d]", d, n, m, i)
}

// consts lie in vectors one after the other.
var consts = []struct {
	name  string
	value float32
}{
	{"sqrtHalf", math.Sqrt2 / 2}, {"four", 4}, {"minusFour", -4}, {"half", 0.5},
	{"p0", -2.72614225801306e-10}, {"p1", 2.77068142495902e-08}, {"p2", -2.10102402082508e-06}, {"p3", -5.69250639462346e-05},
	{"p4", -7.34990630326855e-04}, {"p5", -2.95459980854025e-03}, {"p6", -1.60960333262415e-02},
	{"q0", -1.45660718464996e-05}, {"q1", -2.13374055278905e-04}, {"q2", -1.68282697438203e-03}, {"q3", -7.37332916720468e-03},
	{"q4", -1.42647390514189e-02},
	{"expMin", -87}, {"log2e", math.Log2E}, {"ln2hi", 0.693359375}, {"ln2lo", -2.12194440e-4},
	{"e0", 1.9875691500e-4}, {"e1", 1.3981999507e-3}, {"e2", 8.3334519073e-3}, {"e3", 4.1665795894e-2},
	{"e4", 1.6666665459e-1}, {"e5", 5.0000001201e-1}, {"one", 1}, {"bias127", math.Float32frombits(127)}, {"offset", 128},
	{"largestHalf", 65504}, {"smallestHalf", -65504},
}

// load puts constants into registers from first on and returns where each is.
func (g *gen) load(first int, names ...string) map[string]int {
	at := map[string]int{}
	g.p("\tMOVD $constants<>(SB), R17")
	for i, name := range names {
		for j, c := range consts {
			if c.name == name {
				g.p("\tFMOVQ %d(R17), F%d", 16*j, first+i)
				at[name] = first + i
			}
		}
	}
	return at
}

func (g *gen) text(name, args string, size int, doc string) {
	g.p("\n// func %sNEON(%s)\n//", name, args)
	for l := range strings.Lines(strings.TrimSpace(doc)) {
		g.p("// %s", strings.TrimSpace(l))
	}
	g.p("TEXT ·%sNEON(SB), NOSPLIT, $0-%d", name, size)
}

const rows = 8 // of a tile, of 8 columns

// product describes what differs between the matrix products.
type product struct {
	load4, load1 func(r int) // a's next four positions, or one, of row r to register r
	weights      func()      // a position of the panel to V8 and V9
	add          func(r, lane int)
}

// mul writes the loops: the tile of sums is in V16 to V31, two registers to a row.
func (g *gen) mul(p product) {
	g.p("\tMOVD R2, R8")
	for r := 1; r < rows; r++ {
		g.p("\tADD R3, R%d, R%d", 7+r, 8+r)
	}
	for r := rows; r > 1; r-- {
		g.p("\tCMP $%d, R0\n\tBEQ rows%d", r, r)
	}
	for n := 1; n <= rows; n++ {
		g.p("rows%d:", n)
		for i := range 2 * n {
			g.movi(16+i, 0)
		}
		g.p("\tSUBS $4, R1\n\tBLT tail%d\n\tPCALIGN $16\nloop%d:", n, n)
		for r := range n {
			p.load4(r)
		}
		for lane := range 4 {
			p.weights()
			for r := range n {
				p.add(r, lane)
			}
		}
		g.p("\tSUBS $4, R1\n\tBGE loop%d\ntail%d:\n\tADDS $4, R1\n\tBEQ done\none%d:", n, n, n)
		for r := range n {
			p.load1(r)
		}
		p.weights()
		for r := range n {
			p.add(r, 0)
		}
		g.p("\tSUBS $1, R1\n\tBNE one%d\n\tB done", n)
	}
	g.p("done:")
}

func (g *gen) nextRow(r int) {
	g.p("\tFMOVQ F%d, (R6)\n\tFMOVQ F%d, 16(R6)", 16+2*r, 17+2*r)
	if r+1 < rows {
		g.p("\tADD R7, R6\n\tSUBS $1, R0\n\tBEQ ret")
	}
}

func (g *gen) mulF32() {
	g.text("mulF32", "mr, k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, bias *float32", 72, `
		c[i][j] = bias[j] + sum a[i][k]*b[k][j] for i < mr <= 8 and the 8 columns of a panel.
		Sums: V16 to V31, two to a row. V0 to V7: four k of each row. V8, V9: panel.
		R8 to R15: rows of a; R4, R5: b and its stride; R6, R7: c and its stride. Four k to a round, then one.`)
	g.lines(`
		MOVD mr+0(FP), R0
		MOVD k+8(FP), R1
		MOVD a+16(FP), R2
		MOVD lda+24(FP), R3
		MOVD b+32(FP), R4
		MOVD ldb+40(FP), R5
		MOVD c+48(FP), R6
		MOVD ldc+56(FP), R7
		LSL $2, R3
		LSL $2, R5
		LSL $2, R7`)
	g.mul(product{
		load4:   func(r int) { g.p("\tFMOVQ.P 16(R%d), F%d", 8+r, r) },
		load1:   func(r int) { g.p("\tFMOVS.P 4(R%d), F%d", 8+r, r) },
		weights: func() { g.p("\tFMOVQ (R4), F8\n\tFMOVQ 16(R4), F9\n\tADD R5, R4") },
		add: func(r, lane int) {
			g.fmlaLane(16+2*r, 8, r, lane)
			g.fmlaLane(17+2*r, 9, r, lane)
		},
	})
	g.movi(8, 0)
	g.movi(9, 0)
	g.p("\tMOVD bias+64(FP), R17\n\tCBZ R17, store\n\tFMOVQ (R17), F8\n\tFMOVQ 16(R17), F9\nstore:")
	for r := range rows {
		g.v("fadd", 16+2*r, 16+2*r, 8)
		g.v("fadd", 17+2*r, 17+2*r, 9)
		g.nextRow(r)
	}
	g.p("ret:\n\tRET")
}

// mulInt8 with dot products (the extension FEAT_DotProd) or without.
func (g *gen) mulInt8(dot bool) {
	name, doc := "mulInt8", `Activations are 16 bits, weights signed bytes, widened as they are loaded: SMLAL adds products
		to 32-bit sums.`
	if dot {
		name, doc = "mulInt8Dot", `Activations are bytes, weights signed bytes in fours of one column. SDOT wants both signed, so 128 is
		taken from the activations, and 128 times the scale added to the shift.`
	}
	g.text(name, "mr, k int, a *byte, lda int, b *int8, c *float32, ldc int, rows *rowScale, cols *float32", 72, `
		c[i][j] = rows[i].scale*(scale[j]*sum a[i][k]*b[k][j]) + (rows[i].shift*sums[j] + bias[j]).
		`+doc+`
		Registers as in mulF32; R1 counts positions of a. cols: scale, sums, bias.`)
	g.lines(`
		MOVD mr+0(FP), R0
		MOVD k+8(FP), R1
		MOVD a+16(FP), R2
		MOVD lda+24(FP), R3
		MOVD b+32(FP), R4
		MOVD c+40(FP), R6
		MOVD ldc+48(FP), R7
		LSL $2, R7`)
	if dot {
		g.p("\tLSR $2, R1")
		g.movi(15, 128)
		g.mul(product{
			load4: func(r int) {
				g.p("\tFMOVQ.P 16(R%d), F%d", 8+r, r)
				g.v("eor", r, r, 15)
			},
			load1: func(r int) {
				g.p("\tFMOVS.P 4(R%d), F%d", 8+r, r)
				g.v("eor", r, r, 15)
			},
			weights: func() { g.p("\tFMOVQ.P 16(R4), F8\n\tFMOVQ.P 16(R4), F9") },
			add: func(r, lane int) {
				g.sdotLane(16+2*r, 8, r, lane)
				g.sdotLane(17+2*r, 9, r, lane)
			},
		})
	} else {
		g.mul(product{
			load4: func(r int) { g.p("\tFMOVD.P 8(R%d), F%d", 8+r, r) },
			load1: func(r int) { g.p("\tMOVHU.P 2(R%d), R16\n\tFMOVS R16, F%d", 8+r, r) },
			weights: func() {
				g.p("\tFMOVD.P 8(R4), F8")
				g.v("sshll", 8, 8)
			},
			add: func(r, lane int) {
				g.smlalLane(false, 16+2*r, 8, r, lane)
				g.smlalLane(true, 17+2*r, 8, r, lane)
			},
		})
	}
	g.lines(`
		MOVD rows+56(FP), R16
		MOVD cols+64(FP), R17
		FMOVQ (R17), F2
		FMOVQ 16(R17), F3
		FMOVQ 32(R17), F4
		FMOVQ 48(R17), F5
		FMOVQ 64(R17), F6
		FMOVQ 80(R17), F7`)
	if dot {
		g.load(15, "offset")
	}
	for r := range rows {
		g.p("\tFMOVS.P 4(R16), F0\n\tFMOVS.P 4(R16), F1")
		g.v("dup", 0, 0)
		g.v("dup", 1, 1)
		if dot {
			g.v("fmla", 1, 0, 15)
		}
		for h := range 2 {
			acc, t := 16+2*r+h, 8+h
			g.v("scvtf", acc, acc)
			g.v("fmul", acc, acc, 2+h)
			g.v("mov", t, 6+h)
			g.v("fmla", t, 1, 4+h)
			g.v("fmla", t, 0, acc)
			g.v("mov", acc, t)
		}
		g.nextRow(r)
	}
	g.p("ret:\n\tRET")
}

// each writes a loop over n values, unit at a time, of which there are whole ones.
func (g *gen) each(unit int, body func()) {
	g.p("\tCBZ R3, end\n\tPCALIGN $16\nloop:")
	body()
	g.p("\tSUBS $%d, R3\n\tBNE loop\nend:", unit)
}

func (g *gen) args(list ...string) {
	offset := 0
	for i, a := range list {
		g.p("\tMOVD %s+%d(FP), R%d", a, offset, i)
		offset += 8
	}
	g.p("\tMOVD n+%d(FP), R3", offset)
}

// spread puts a float32 argument into all lanes.
func (g *gen) spread(arg string, offset, to int) {
	g.p("\tFMOVS %s+%d(FP), F%d", arg, offset, to)
	g.v("dup", to, to)
}

func (g *gen) sum(to int) {
	g.v("faddp", to, to, to)
	g.v("faddp", to, to, to)
}

func (g *gen) gelu() {
	g.text("gelu", "x *float32, n int", 16, `x = x/2 * (1 + erf(x/sqrt 2)), erf as an odd over an even polynomial (see erf in Go).`)
	g.args("x")
	c := g.load(16, "sqrtHalf", "four", "minusFour", "half", "p0", "p1", "p2", "p3", "p4", "p5", "p6", "q0", "q1", "q2", "q3", "q4")
	horner := func(letter string, last, a, b int) int { // value in one of a and b, of v2
		g.v("mov", a, c[letter+"0"])
		for i := 1; i <= last; i++ {
			g.v("mov", b, c[fmt.Sprint(letter, i)])
			g.v("fmla", b, a, 2)
			a, b = b, a
		}
		return a
	}
	g.each(4, func() {
		g.p("\tFMOVQ (R0), F0")
		g.v("fmul", 1, 0, c["sqrtHalf"])
		g.v("fmin", 1, 1, c["four"])
		g.v("fmax", 1, 1, c["minusFour"])
		g.v("fmul", 2, 1, 1)
		p, q := horner("p", 6, 3, 4), horner("q", 4, 5, 6)
		g.v("fmul", p, p, 1)
		g.v("fdiv", p, p, q)
		g.v("fmul", 7, 0, c["half"])
		g.v("mov", 0, 7)
		g.v("fmla", 0, 7, p)
		g.p("\tFMOVQ.P F0, 16(R0)")
	})
	g.p("\tRET")
}

func (g *gen) small() {
	g.text("maxOf", "x *float32, n int) (top float32", 20, `The largest of at least four values.`)
	g.args("x")
	g.p("\tFMOVQ (R0), F0")
	g.each(4, func() {
		g.p("\tFMOVQ.P 16(R0), F1")
		g.v("fmax", 0, 0, 1)
	})
	g.v("fmaxv", 0, 0)
	g.p("\tFMOVS F0, top+16(FP)\n\tRET")

	g.text("minMax", "x *float32, n int) (lo, hi float32", 24, `The smallest and largest of the values and 0.`)
	g.args("x")
	g.movi(0, 0)
	g.movi(1, 0)
	g.each(4, func() {
		g.p("\tFMOVQ.P 16(R0), F2")
		g.v("fmin", 0, 0, 2)
		g.v("fmax", 1, 1, 2)
	})
	g.v("fminv", 0, 0)
	g.v("fmaxv", 1, 1)
	g.p("\tFMOVS F0, lo+16(FP)\n\tFMOVS F1, hi+20(FP)\n\tRET")

	g.text("scaleBy", "x *float32, n int, a float32", 20, `x = a*x.`)
	g.args("x")
	g.spread("a", 16, 1)
	g.each(4, func() {
		g.p("\tFMOVQ (R0), F0")
		g.v("fmul", 0, 0, 1)
		g.p("\tFMOVQ.P F0, 16(R0)")
	})
	g.p("\tRET")

	g.text("times", "dst, x, y *float32, n int", 32, `dst = x*y, value by value.`)
	g.args("dst", "x", "y")
	g.each(4, func() {
		g.p("\tFMOVQ.P 16(R1), F0\n\tFMOVQ.P 16(R2), F1")
		g.v("fmul", 0, 0, 1)
		g.p("\tFMOVQ.P F0, 16(R0)")
	})
	g.p("\tRET")

	g.text("axpy", "dst, x *float32, n int, a float32", 28, `dst = dst + a*x.`)
	g.args("dst", "x")
	g.spread("a", 24, 2)
	g.each(4, func() {
		g.p("\tFMOVQ (R0), F0\n\tFMOVQ.P 16(R1), F1")
		g.v("fmla", 0, 1, 2)
		g.p("\tFMOVQ.P F0, 16(R0)")
	})
	g.p("\tRET")

	g.text("addSum", "dst, x, y *float32, n int) (sum float32", 36, `dst = x + y, and the sum of it.`)
	g.args("dst", "x", "y")
	g.movi(2, 0)
	g.each(4, func() {
		g.p("\tFMOVQ.P 16(R1), F0\n\tFMOVQ.P 16(R2), F1")
		g.v("fadd", 0, 0, 1)
		g.v("fadd", 2, 2, 0)
		g.p("\tFMOVQ.P F0, 16(R0)")
	})
	g.sum(2)
	g.p("\tFMOVS F2, sum+32(FP)\n\tRET")

	g.text("squares", "x *float32, n int, mean float32) (sum float32", 28, `The sum of (x-mean) squared.`)
	g.args("x")
	g.spread("mean", 16, 2)
	g.movi(1, 0)
	g.each(4, func() {
		g.p("\tFMOVQ.P 16(R0), F0")
		g.v("fsub", 0, 0, 2)
		g.v("fmla", 1, 0, 0)
	})
	g.sum(1)
	g.p("\tFMOVS F1, sum+24(FP)\n\tRET")

	g.text("affine", "x, gamma, beta *float32, n int, mean, inv float32", 40, `x = (x-mean)*inv*gamma + beta.`)
	g.args("x", "gamma", "beta")
	g.spread("mean", 32, 4)
	g.spread("inv", 36, 5)
	g.each(4, func() {
		g.p("\tFMOVQ (R0), F0\n\tFMOVQ.P 16(R1), F1\n\tFMOVQ.P 16(R2), F2")
		g.v("fsub", 0, 0, 4)
		g.v("fmul", 0, 0, 5)
		g.v("fmla", 2, 0, 1)
		g.p("\tFMOVQ.P F2, 16(R0)")
	})
	g.p("\tRET")

	g.text("dot", "a, b *float32, n int) (sum float32", 28, `The dot product of 16 values at a time, in four partial sums.`)
	g.args("a", "b")
	for i := range 4 {
		g.movi(i, 0)
	}
	g.each(16, func() {
		for i := range 4 {
			g.p("\tFMOVQ.P 16(R0), F%d\n\tFMOVQ.P 16(R1), F%d", 4+i, 16+i)
			g.v("fmla", i, 4+i, 16+i)
		}
	})
	g.v("fadd", 0, 0, 1)
	g.v("fadd", 2, 2, 3)
	g.v("fadd", 0, 0, 2)
	g.sum(0)
	g.p("\tFMOVS F0, sum+24(FP)\n\tRET")

	g.text("dotInt8", "a, b *int8, n int) (sum int32", 28, `The exact dot product of 16 values at a time: 16-bit products, added in pairs to 32 bits.`)
	g.args("a", "b")
	g.movi(0, 0)
	g.movi(1, 0)
	g.each(16, func() {
		g.p("\tFMOVQ.P 16(R0), F2\n\tFMOVQ.P 16(R1), F3")
		g.v("smull", 4, 2, 3)
		g.v("smull2", 5, 2, 3)
		g.v("sadalp", 0, 4)
		g.v("sadalp", 1, 5)
	})
	g.v("add", 0, 0, 1)
	g.v("addv", 0, 0)
	g.p("\tFMOVS F0, sum+24(FP)\n\tRET")

	g.text("dequant", "dst *float32, x *int8, n int, scale float32", 28, `dst = scale*x, 8 at a time.`)
	g.args("dst", "x")
	g.spread("scale", 24, 3)
	g.each(8, func() {
		g.p("\tFMOVD.P 8(R1), F0")
		g.v("sshll", 0, 0)
		g.v("widen", 1, 0)
		g.v("widen2", 2, 0)
		for i := 1; i <= 2; i++ {
			g.v("scvtf", i, i)
			g.v("fmul", i, i, 3)
			g.p("\tFMOVQ.P F%d, 16(R0)", i)
		}
	})
	g.p("\tRET")

	for _, bytes := range []bool{true, false} {
		name, width := "quantRow16", "16 bits"
		if bytes {
			name, width = "quantRow8", "a byte"
		}
		g.text(name, "dst *byte, src *float32, n int, lo, inv float32", 32, `dst = (src-lo)*inv + 1/2, cut to an integer below 256, `+width+` each, 8 at a time.`)
		g.args("dst", "src")
		g.spread("lo", 24, 2)
		g.spread("inv", 28, 3)
		c := g.load(16, "half")
		g.each(8, func() {
			for i := range 2 {
				g.p("\tFMOVQ.P 16(R1), F%d", i)
				g.v("fsub", i, i, 2)
				g.v("fmul", i, i, 3)
				g.v("fadd", i, i, c["half"])
				g.v("fcvtzs", i, i)
			}
			g.v("xtn", 4, 0)
			g.v("xtn2", 4, 1)
			if bytes {
				g.v("xtn8", 4, 4)
				g.p("\tFMOVD.P F4, 8(R0)")
			} else {
				g.p("\tFMOVQ.P F4, 16(R0)")
			}
		})
		g.p("\tRET")
	}
}

func main() {
	log.SetFlags(0)
	write("kernels_arm64.s", `// The kernels of kernels_arm64.go. The meaning of each is its plain Go twin in kernels_generic.go. Pointers
// may be unaligned. The matrix products take any k; the others whole vectors, and Go does the rest of a row.
// Instructions that Go's assembler lacks are words with their text beside them.
`, func(g *gen) {
		for i, c := range consts {
			for half := range 2 {
				bits := uint64(math.Float32bits(c.value))
				g.p("DATA constants<>+%d(SB)/8, $0x%016x // %s", 16*i+8*half, bits<<32|bits, c.name)
			}
		}
		g.p("GLOBL constants<>(SB), RODATA|NOPTR, $%d", 16*len(consts))
		g.mulF32()
		g.mulInt8(true)
		g.mulInt8(false)
		g.gelu()
		g.expSum()
		g.small()
		g.attention()
	})
	write("q_arm64.s", `// The kernels of qkernels_arm64.go. The meaning of each is its plain Go twin in qgeneric.go. Pointers may be
// unaligned. Instructions that Go's assembler lacks are words with their text beside them.
`, (*gen).quantised)
}

func write(file, doc string, kernels func(*gen)) {
	g := &gen{}
	g.p("// Code generated by go run ./armasm. DO NOT EDIT.\n\n//go:build !noasm\n")
	g.p("%s\n#include \"textflag.h\"\n", doc)
	kernels(g)
	if err := os.WriteFile(file, g.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
}
