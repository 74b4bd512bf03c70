package main

// fold adds the lanes of Y<r> up and stores the sum at addr.
func (g *gen) fold(r int, addr string) {
	g.p(`
		VEXTRACTF128 $1, Y%[1]d, X13
		VADDPS X13, X%[1]d, X%[1]d
		VPERMILPS $0x4e, X%[1]d, X13
		VADDPS X13, X%[1]d, X%[1]d
		VPERMILPS $0xb1, X%[1]d, X13
		VADDPS X13, X%[1]d, X%[1]d
		VMOVSS X%[1]d, %[2]s`, r, addr)
}

func (g *gen) floats(name, doc string, load func(off int, r int)) {
	g.text(name, "dst *float32, w *byte, rows, stride, n int, x *float32", 48, doc)
	g.p(`
		MOVQ dst+0(FP), DI
		MOVQ w+8(FP), SI
		MOVQ rows+16(FP), R8
		MOVQ stride+24(FP), R9
		MOVQ n+32(FP), R10
		MOVQ x+40(FP), R11
		row:
		LEAQ (SI)(R9*1), R13
		VXORPS v0, v0, v0
		VXORPS v1, v1, v1
		VXORPS v2, v2, v2
		VXORPS v3, v3, v3
		MOVQ R11, AX
		MOVQ R10, R15
		SHRQ $5, R15
		PCALIGN $32
		block:`)
	for i := range 4 {
		load(16*i, 4+i)
		g.p("VFMADD231PS %d(AX), v%d, v%d", 32*i, 4+i, i)
	}
	g.p(`
		ADDQ $64, SI
		ADDQ $128, AX
		DECQ R15
		JNZ block
		VADDPS v1, v0, v0
		VADDPS v3, v2, v2
		VADDPS v2, v0, v0`)
	g.fold(0, "(DI)")
	g.p(`
		MOVQ R13, SI
		ADDQ $4, DI
		DECQ R8
		JNZ row
		VZEROUPPER
		RET`)
}

// round: see qrow.set for what it does.
func (g *gen) round() {
	g.text("round", "dst *qrow, src *float32, blocks int", 24, `
		A block: the largest of 32 values by size, in every lane of Y4, gives the scale, Y5, and its inverse,
		Y6, which are zero together where one of them is no positive number. The rounded values, Y0 to Y3, are
		packed to bytes and summed.`)
	g.p(`
		MOVQ dst+0(FP), DI
		MOVQ src+8(FP), SI
		MOVQ blocks+16(FP), CX
		VXORPS v15, v15, v15
		VMOVUPS largest<>(SB), v14
		VMOVDQU spread8<>(SB), v13
		VBROADCASTSS one<>(SB), v12
		block:
		VMOVUPS (SI), v0
		VMOVUPS 32(SI), v1
		VMOVUPS 64(SI), v2
		VMOVUPS 96(SI), v3
		VMOVUPS absolute<>(SB), v7
		VANDPS v7, v0, v4
		VANDPS v7, v1, v5
		VANDPS v7, v2, v6
		VANDPS v7, v3, v7
		VMAXPS v5, v4, v4
		VMAXPS v7, v6, v6
		VMAXPS v6, v4, v4
		VPERM2F128 $1, v4, v4, v5
		VMAXPS v5, v4, v4
		VPERMILPS $0x4e, v4, v5
		VMAXPS v5, v4, v4
		VPERMILPS $0xb1, v4, v5
		VMAXPS v5, v4, v4
		VDIVPS f127<>(SB), v4, v5
		VDIVPS v5, v12, v6
		VCMPPS $2, v14, v5, v7
		VCMPPS $1, v5, v15, v8
		VANDPS v8, v7, v7
		VCMPPS $2, v14, v6, v8
		VANDPS v8, v7, v7
		VANDPS v7, v5, v5
		VANDPS v7, v6, v6`)
	for i := range 4 {
		g.p("VMULPS v6, v%[1]d, v%[1]d\nVANDPS v7, v%[1]d, v%[1]d\nVCVTPS2DQ v%[1]d, v%[1]d", i)
	}
	g.p(`
		VPADDD v1, v0, v7
		VPADDD v3, v2, v8
		VPHADDD v8, v7, v7
		VPHADDD v7, v7, v7
		VEXTRACTI128 $1, v7, X8
		VPADDD X8, X7, X7
		VPSHUFD $0xb1, X7, X8
		VPADDD X8, X7, X8
		VCVTDQ2PS X7, X9
		VMULPS X5, X9, X9
		VCVTDQ2PS X8, X10
		VMULPS X5, X10, X10
		VPSLLD $7, X7, X7
		VPSLLD $7, X8, X8
		VPSUBD X7, X15, X7
		VPSUBD X8, X15, X8
		VPACKSSDW v1, v0, v0
		VPACKSSDW v3, v2, v2
		VPACKSSWB v2, v0, v0
		VPERMD v0, v13, v0
		VMOVDQU v0, (DI)
		VMOVSS X5, 32(DI)
		VMOVD X8, 36(DI)
		VMOVQ X7, 40(DI)
		VMOVSS X10, 48(DI)
		VMOVQ X9, 52(DI)
		ADDQ $128, SI
		ADDQ $64, DI
		DECQ CX
		JNZ block
		VZEROUPPER
		RET`)
}
