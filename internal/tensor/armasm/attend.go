package main

import "fmt"

// exponents are the constants of exp.
var exponents = []string{"expMin", "log2e", "ln2hi", "ln2lo", "e0", "e1", "e2", "e3", "e4", "e5", "one", "bias127"}

// exp returns the register of exp of V0: with V0 = m*ln 2 + r it is 2^m * p(r) (see exp in Go). It takes V0 to V4.
func (g *gen) exp(c map[string]int) int {
	g.v("fmax", 0, 0, c["expMin"])
	g.v("fmul", 1, 0, c["log2e"])
	g.v("fcvtns", 2, 1)
	g.v("scvtf", 1, 2)
	g.v("fmls", 0, 1, c["ln2hi"])
	g.v("fmls", 0, 1, c["ln2lo"])
	a, b := 3, 4
	g.v("mov", a, c["e0"])
	for i := 1; i <= 5; i++ {
		g.v("mov", b, c[fmt.Sprint("e", i)])
		g.v("fmla", b, a, 0)
		a, b = b, a
	}
	g.v("fmul", a, a, 0)
	g.v("mov", b, 0)
	g.v("fmla", b, a, 0)
	g.v("fadd", b, b, c["one"])
	g.v("add", 2, 2, c["bias127"])
	g.v("shl23", 2, 2)
	g.v("fmul", b, b, 2)
	return b
}

func (g *gen) expSum() {
	g.text("expSum", "x *float32, n int, top, scale float32) (sum float32", 28, `x = exp((x-top)*scale), and their sum.`)
	g.args("x")
	g.spread("top", 16, 8)
	g.spread("scale", 20, 9)
	c := g.load(16, exponents...)
	g.movi(7, 0)
	g.each(4, func() {
		g.p("\tFMOVQ (R0), F0")
		g.v("fsub", 0, 0, 8)
		g.v("fmul", 0, 0, 9)
		r := g.exp(c)
		g.v("fadd", 7, 7, r)
		g.p("\tFMOVQ.P F%d, 16(R0)", r)
	})
	g.sum(7)
	g.p("\tFMOVS F7, sum+24(FP)\n\tRET")
}

// attention writes what only language models need.
func (g *gen) attention() {
	g.text("swish", "x *float32, n int, a, b float32", 24, `
		x = x*sigmoid(t), t = x*(a+b*x*x). With e = exp(-|t|) the sigmoid is 1/(1+e) where t is positive, else e/(1+e).`)
	g.args("x")
	g.spread("a", 16, 8)
	g.spread("b", 20, 9)
	c := g.load(16, exponents...)
	g.each(4, func() {
		g.p("\tFMOVQ (R0), F10")
		g.v("fmul", 11, 10, 10)
		g.v("mov", 12, 8)
		g.v("fmla", 12, 11, 9)
		g.v("fmul", 11, 10, 12)
		g.v("fabs", 0, 11)
		g.v("fneg", 0, 0)
		e := g.exp(c)
		g.v("fadd", 5, e, c["one"])
		g.v("positive", 6, 11)
		g.v("bsl", 6, c["one"], e)
		g.v("fdiv", 6, 6, 5)
		g.v("fmul", 10, 10, 6)
		g.p("\tFMOVQ.P F10, 16(R0)")
	})
	g.p("\tRET")

	g.text("widenHalves", "dst *float32, src, next *uint16, n int", 32, `dst = src, 8 halves at a time. As much of next is fetched to the cache.`)
	g.args("dst", "src", "next")
	g.each(8, func() {
		g.p("\tFMOVQ.P 16(R1), F0\n\tPRFM (R2), PLDL1KEEP\n\tADD $16, R2")
		g.v("fcvtl", 1, 0)
		g.v("fcvtl2", 2, 0)
		g.p("\tFMOVQ.P F1, 16(R0)\n\tFMOVQ.P F2, 16(R0)")
	})
	g.p("\tRET")

	g.text("narrowHalves", "dst *uint16, src *float32, n int", 24, `dst = src, 8 values at a time; what is too large becomes the largest half.`)
	g.args("dst", "src")
	c = g.load(16, "largestHalf", "smallestHalf")
	g.each(8, func() {
		for i := range 2 {
			g.p("\tFMOVQ.P 16(R1), F%d", i)
			g.v("fmin", i, i, c["largestHalf"])
			g.v("fmax", i, i, c["smallestHalf"])
		}
		g.v("fcvtn", 2, 0)
		g.v("fcvtn2", 2, 1)
		g.p("\tFMOVQ.P F2, 16(R0)")
	})
	g.p("\tRET")
}
