package main

import "fmt"

func (g *gen) gelu() {
	g.text("gelu", "x *float32, n int", 16, `x = x/2 * (1 + erf(x/sqrt 2)), erf as an odd over an even polynomial (see erf in Go).`)
	body := func(r string) {
		g.ops(r, fmt.Sprintf(`
			VMULPS %s, v0, v1
			VMINPS %s, v1, v1
			VMAXPS %s, v1, v1
			VMULPS v1, v1, v2
			VMOVUPS %s, v3
			VMOVUPS %s, v4`, c("sqrtHalf"), c("four"), c("minusFour"), c("p0"), c("q0")))
		for i := 1; i <= 6; i++ {
			g.op(r, fmt.Sprintf("VFMADD213PS p%d<>(SB), v2, v3", i))
			if i <= 4 {
				g.op(r, fmt.Sprintf("VFMADD213PS q%d<>(SB), v2, v4", i))
			}
		}
		g.ops(r, fmt.Sprintf(`
			VMULPS v1, v3, v3
			VDIVPS v4, v3, v3
			VMULPS %s, v0, v5
			VFMADD213PS v5, v5, v3`, c("half")))
	}
	g.ops("", "MOVQ x+0(FP), AX\nMOVQ n+8(FP), CX")
	g.loop(g.n, map[string]int{"AX": 4}, func() {
		g.op(g.reg, "VMOVUPS (AX), v0")
		body(g.reg)
		g.op(g.reg, "VMOVUPS v3, (AX)")
	}, nil, func() {
		g.op("X", "VMOVSS (AX), v0")
		body("X")
		g.op("X", "VMOVSS v3, (AX)")
	})
	g.finish()
}

// exp sets v3 to exp of v0. It takes v0 to v3.
func (g *gen) exp(r string) {
	g.ops(r, fmt.Sprintf(`
		VMAXPS %s, v0, v0
		VMULPS %s, v0, v1
		VCVTPS2DQ v1, v2
		VCVTDQ2PS v2, v1
		VFNMADD231PS %s, v1, v0
		VFNMADD231PS %s, v1, v0
		VMOVUPS %s, v3`, c("expMin"), c("log2e"), c("ln2hi"), c("ln2lo"), c("e0")))
	for i := 1; i <= 5; i++ {
		g.op(r, fmt.Sprintf("VFMADD213PS e%d<>(SB), v0, v3", i))
	}
	g.ops(r, fmt.Sprintf(`
		VMULPS v0, v3, v3
		VFMADD213PS v0, v0, v3
		VADDPS %s, v3, v3
		VPADDD %s, v2, v2
		VPSLLD $23, v2, v2
		VMULPS v2, v3, v3`, c("one"), c("bias127")))
}

func (g *gen) expSum() {
	g.text("expSum", "x *float32, n int, top, scale float32) (sum float32", 28, `x = exp((x-top)*scale), and their sum. x = m*ln 2 + r, exp(x) = 2^m * p(r) (see exp in Go).`)
	body := func(r string) {
		g.ops(r, "VSUBPS v8, v0, v0\nVMULPS v9, v0, v0")
		g.exp(r)
	}
	g.ops("", "MOVQ x+0(FP), AX\nMOVQ n+8(FP), CX")
	g.ops(g.reg, "VBROADCASTSS top+16(FP), v8\nVBROADCASTSS scale+20(FP), v9\nVXORPS v7, v7, v7")
	g.loop(g.n, map[string]int{"AX": 4}, func() {
		g.op(g.reg, "VMOVUPS (AX), v0")
		body(g.reg)
		g.ops(g.reg, "VADDPS v3, v7, v7\nVMOVUPS v3, (AX)")
	}, func() { g.reduce(7, "ADD") }, func() {
		g.op("X", "VMOVSS (AX), v0")
		body("X")
		g.ops("X", "VADDSS v3, v7, v7\nVMOVSS v3, (AX)")
	})
	g.finish("MOVSS X7, sum+24(FP)")
}

func (g *gen) swish() {
	g.text("swish", "x *float32, n int, a, b float32", 24, `x = x * sigmoid(x*(a + b*x*x)) = x / (1 + exp(-x*(a + b*x*x))), the exponent at most 88. x is kept in
		v4.`)
	body := func(r string) {
		g.ops(r, fmt.Sprintf(`
			VMULPS v4, v4, v0
			VMULPS v9, v0, v0
			VADDPS v8, v0, v0
			VMULPS v4, v0, v0
			VSUBPS v0, v7, v0
			VMINPS %s, v0, v0`, c("expMax")))
		g.exp(r)
		g.ops(r, fmt.Sprintf("VADDPS %s, v3, v3\nVDIVPS v3, v4, v3", c("one")))
	}
	g.ops("", "MOVQ x+0(FP), AX\nMOVQ n+8(FP), CX")
	g.ops(g.reg, "VBROADCASTSS a+16(FP), v8\nVBROADCASTSS b+20(FP), v9\nVXORPS v7, v7, v7")
	g.loop(g.n, map[string]int{"AX": 4}, func() {
		g.op(g.reg, "VMOVUPS (AX), v4")
		body(g.reg)
		g.op(g.reg, "VMOVUPS v3, (AX)")
	}, nil, func() {
		g.op("X", "VMOVSS (AX), v4")
		body("X")
		g.op("X", "VMOVSS v3, (AX)")
	})
	g.finish()
}

func (g *gen) maxOf() {
	g.text("maxOf", "x *float32, n int) (top float32", 20, `The largest value, -Inf for none.`)
	g.ops("", "MOVQ x+0(FP), AX\nMOVQ n+8(FP), CX")
	g.op(g.reg, "VMOVUPS "+c("minusInf")+", v0")
	g.loop(g.n, map[string]int{"AX": 4}, func() { g.op(g.reg, "VMAXPS (AX), v0, v0") },
		func() { g.reduce(0, "MAX") }, func() { g.op("X", "VMAXSS (AX), v0, v0") })
	g.finish("MOVSS X0, top+16(FP)")
}

func (g *gen) minMax() {
	g.text("minMax", "x *float32, n int) (lo, hi float32", 24, `The smallest and largest of the values and 0.`)
	g.ops("", "MOVQ x+0(FP), AX\nMOVQ n+8(FP), CX")
	g.ops(g.reg, "VXORPS v0, v0, v0\nVXORPS v1, v1, v1")
	g.loop(g.n, map[string]int{"AX": 4}, func() { g.ops(g.reg, "VMOVUPS (AX), v2\nVMINPS v2, v0, v0\nVMAXPS v2, v1, v1") },
		func() { g.reduce(0, "MIN"); g.reduce(1, "MAX") },
		func() { g.ops("X", "VMOVSS (AX), v2\nVMINSS v2, v0, v0\nVMAXSS v2, v1, v1") })
	g.finish("MOVSS X0, lo+16(FP)", "MOVSS X1, hi+20(FP)")
}

func (g *gen) scaleBy() {
	g.text("scaleBy", "x *float32, n int, a float32", 20, `x = a*x.`)
	g.ops("", "MOVQ x+0(FP), AX\nMOVQ n+8(FP), CX")
	g.op(g.reg, "VBROADCASTSS a+16(FP), v1")
	g.loop(g.n, map[string]int{"AX": 4}, func() { g.ops(g.reg, "VMULPS (AX), v1, v0\nVMOVUPS v0, (AX)") },
		nil, func() { g.ops("X", "VMULSS (AX), v1, v0\nVMOVSS v0, (AX)") })
	g.finish()
}

func (g *gen) times() {
	g.text("times", "dst, x, y *float32, n int", 32, `dst = x*y, value by value.`)
	g.ops("", "MOVQ dst+0(FP), AX\nMOVQ x+8(FP), BX\nMOVQ y+16(FP), SI\nMOVQ n+24(FP), CX")
	g.loop(g.n, map[string]int{"AX": 4, "BX": 4, "SI": 4}, func() { g.ops(g.reg, "VMOVUPS (BX), v0\nVMULPS (SI), v0, v0\nVMOVUPS v0, (AX)") },
		nil, func() { g.ops("X", "VMOVSS (BX), v0\nVMULSS (SI), v0, v0\nVMOVSS v0, (AX)") })
	g.finish()
}

func (g *gen) axpy() {
	g.text("axpy", "dst, x *float32, n int, a float32", 28, `dst = dst + a*x.`)
	g.ops("", "MOVQ dst+0(FP), AX\nMOVQ x+8(FP), BX\nMOVQ n+16(FP), CX")
	g.op(g.reg, "VBROADCASTSS a+24(FP), v1")
	g.loop(g.n, map[string]int{"AX": 4, "BX": 4}, func() { g.ops(g.reg, "VMOVUPS (AX), v0\nVFMADD231PS (BX), v1, v0\nVMOVUPS v0, (AX)") },
		nil, func() { g.ops("X", "VMOVSS (AX), v0\nVFMADD231SS (BX), v1, v0\nVMOVSS v0, (AX)") })
	g.finish()
}

func (g *gen) addSum() {
	g.text("addSum", "dst, x, y *float32, n int) (sum float32", 36, `dst = x + y, and the sum of it.`)
	g.ops("", "MOVQ dst+0(FP), AX\nMOVQ x+8(FP), BX\nMOVQ y+16(FP), SI\nMOVQ n+24(FP), CX")
	g.op(g.reg, "VXORPS v1, v1, v1")
	g.loop(g.n, map[string]int{"AX": 4, "BX": 4, "SI": 4},
		func() { g.ops(g.reg, "VMOVUPS (BX), v0\nVADDPS (SI), v0, v0\nVADDPS v0, v1, v1\nVMOVUPS v0, (AX)") },
		func() { g.reduce(1, "ADD") },
		func() { g.ops("X", "VMOVSS (BX), v0\nVADDSS (SI), v0, v0\nVADDSS v0, v1, v1\nVMOVSS v0, (AX)") })
	g.finish("MOVSS X1, sum+32(FP)")
}

func (g *gen) squares() {
	g.text("squares", "x *float32, n int, mean float32) (sum float32", 28, `The sum of (x-mean) squared.`)
	g.ops("", "MOVQ x+0(FP), AX\nMOVQ n+8(FP), CX")
	g.ops(g.reg, "VBROADCASTSS mean+16(FP), v2\nVXORPS v1, v1, v1")
	g.loop(g.n, map[string]int{"AX": 4},
		func() { g.ops(g.reg, "VMOVUPS (AX), v0\nVSUBPS v2, v0, v0\nVFMADD231PS v0, v0, v1") },
		func() { g.reduce(1, "ADD") },
		func() { g.ops("X", "VMOVSS (AX), v0\nVSUBSS v2, v0, v0\nVFMADD231SS v0, v0, v1") })
	g.finish("MOVSS X1, sum+24(FP)")
}

func (g *gen) affine() {
	g.text("affine", "x *float32, n int, mean, inv float32, gamma, beta *float32", 40, `x = (x-mean)*inv*gamma + beta.`)
	g.ops("", "MOVQ x+0(FP), AX\nMOVQ n+8(FP), CX\nMOVQ gamma+24(FP), BX\nMOVQ beta+32(FP), SI")
	g.ops(g.reg, "VBROADCASTSS mean+16(FP), v2\nVBROADCASTSS inv+20(FP), v3")
	g.loop(g.n, map[string]int{"AX": 4, "BX": 4, "SI": 4},
		func() {
			g.ops(g.reg, "VMOVUPS (AX), v0\nVSUBPS v2, v0, v0\nVMULPS v3, v0, v0\nVMOVUPS (BX), v1\nVFMADD213PS (SI), v1, v0\nVMOVUPS v0, (AX)")
		}, nil,
		func() {
			g.ops("X", "VMOVSS (AX), v0\nVSUBSS v2, v0, v0\nVMULSS v3, v0, v0\nVMOVSS (BX), v1\nVFMADD213SS (SI), v1, v0\nVMOVSS v0, (AX)")
		})
	g.finish()
}

func (g *gen) quantRow() {
	doc := `dst = (src-lo)*inv + 1/2, cut to an integer below 256, a byte each.`
	if g.isa == "AVX2" {
		doc = `dst = (src-lo)*inv + 1/2, cut to an integer below 256, 16 bits each.`
	}
	g.text("quantRow", "dst *byte, src *float32, n int, lo, inv float32", 32, doc)
	g.ops("", "MOVQ dst+0(FP), AX\nMOVQ src+8(FP), BX\nMOVQ n+16(FP), CX")
	g.ops(g.reg, "VBROADCASTSS lo+24(FP), v2\nVBROADCASTSS inv+28(FP), v3\nVMOVUPS half<>(SB), v4")
	vec := func(src string, to int) {
		g.ops(g.reg, fmt.Sprintf("VMOVUPS %s, v%d\nVSUBPS v2, v%d, v%d\nVMULPS v3, v%d, v%d\nVADDPS v4, v%d, v%d\nVCVTTPS2DQ v%d, v%d",
			src, to, to, to, to, to, to, to, to, to))
	}
	one := "VMOVSS (BX), v0\nVSUBSS v2, v0, v0\nVMULSS v3, v0, v0\nVADDSS v4, v0, v0\nVCVTTSS2SI v0, DX"
	if g.isa == "AVX512" {
		g.loop(16, map[string]int{"AX": 1, "BX": 4}, func() {
			vec("(BX)", 0)
			g.op(g.reg, "VPMOVDB v0, (AX)")
		}, nil, func() { g.ops("X", one+"\nMOVB DX, (AX)") })
	} else {
		g.loop(16, map[string]int{"AX": 2, "BX": 4}, func() {
			vec("(BX)", 0)
			vec("32(BX)", 1)
			g.ops(g.reg, "VPACKUSDW v1, v0, v0\nVPERMQ $0xd8, v0, v0\nVMOVDQU v0, (AX)")
		}, nil, func() { g.ops("X", one+"\nMOVW DX, (AX)") })
	}
	g.finish()
}

func (g *gen) dot() {
	g.text("dot", "a, b *float32, n int) (sum float32", 28, `The dot product, in four partial sums of a vector each while there is enough.`)
	g.ops("", "MOVQ a+0(FP), AX\nMOVQ b+8(FP), BX\nMOVQ n+16(FP), CX")
	for i := range 4 {
		g.op(g.reg, fmt.Sprintf("VXORPS v%d, v%d, v%d", i, i, i))
	}
	w := 4 * g.n
	g.p("\tSUBQ $%d, CX\n\tJLT four", 4*g.n)
	g.p("\tPCALIGN $32\nwide:")
	for i := range 4 {
		g.ops(g.reg, fmt.Sprintf("VMOVUPS %d(AX), v%d\nVFMADD231PS %d(BX), v%d, v%d", i*w, 4+i, i*w, 4+i, i))
	}
	g.p("\tADDQ $%d, AX\n\tADDQ $%d, BX\n\tSUBQ $%d, CX\n\tJGE wide", 4*w, 4*w, 4*g.n)
	g.p("four:\n\tADDQ $%d, CX", 4*g.n)
	g.ops(g.reg, "VADDPS v1, v0, v0\nVADDPS v3, v2, v2\nVADDPS v2, v0, v0")
	g.loop(g.n, map[string]int{"AX": 4, "BX": 4}, func() { g.ops(g.reg, "VMOVUPS (AX), v1\nVFMADD231PS (BX), v1, v0") },
		func() { g.reduce(0, "ADD") }, func() { g.ops("X", "VMOVSS (AX), v1\nVFMADD231SS (BX), v1, v0") })
	g.finish("MOVSS X0, sum+24(FP)")
}

func (g *gen) dotInt8() {
	g.text("dotInt8", "a, b *int8, n int) (sum int32", 28, `The exact dot product: values widened to 16 bits, products added in pairs to 32.`)
	g.ops("", "MOVQ a+0(FP), AX\nMOVQ b+8(FP), BX\nMOVQ n+16(FP), CX\nXORQ R8, R8")
	xor := "VPXOR"
	if g.isa == "AVX512" {
		xor = "VPXORD"
	}
	g.ops(g.reg, xor+" v0, v0, v0\n"+xor+" v1, v1, v1")
	half := 2 * g.n // values in a widened vector
	g.loop(2*half, map[string]int{"AX": 1, "BX": 1}, func() {
		g.ops(g.reg, fmt.Sprintf(`
			VPMOVSXBW (AX), v2
			VPMOVSXBW (BX), v3
			VPMOVSXBW %d(AX), v4
			VPMOVSXBW %d(BX), v5
			VPMADDWD v3, v2, v2
			VPMADDWD v5, v4, v4
			VPADDD v2, v0, v0
			VPADDD v4, v1, v1`, half, half))
	}, func() {
		g.op(g.reg, "VPADDD v1, v0, v0")
		if g.isa == "AVX512" {
			g.p("\tVEXTRACTI64X4 $1, Z0, Y1\n\tVPADDD Y1, Y0, Y0")
		}
		g.ops("X", "VEXTRACTI128 $1, Y0, X1\nVPADDD v1, v0, v0\nVPSHUFD $0x4e, v0, v1\nVPADDD v1, v0, v0\nVPSHUFD $0xb1, v0, v1\nVPADDD v1, v0, v0\nVMOVD v0, R8")
	}, func() { g.ops("", "MOVBLSX (AX), DX\nMOVBLSX (BX), SI\nIMULL SI, DX\nADDL DX, R8") })
	g.finish("MOVL R8, sum+24(FP)")
}

func (g *gen) dequant() {
	g.text("dequant", "dst *float32, x *int8, n int, scale float32", 28, `dst = scale*x.`)
	g.ops("", "MOVQ dst+0(FP), AX\nMOVQ x+8(FP), BX\nMOVQ n+16(FP), CX")
	g.op(g.reg, "VBROADCASTSS scale+24(FP), v1")
	g.loop(g.n, map[string]int{"AX": 4, "BX": 1},
		func() { g.ops(g.reg, "VPMOVSXBD (BX), v0\nVCVTDQ2PS v0, v0\nVMULPS v1, v0, v0\nVMOVUPS v0, (AX)") },
		nil, func() {
			g.ops("X", "MOVBLSX (BX), DX\nVMOVD DX, v0\nVCVTDQ2PS v0, v0\nVMULSS v1, v0, v0\nVMOVSS v0, (AX)")
		})
	g.finish()
}
