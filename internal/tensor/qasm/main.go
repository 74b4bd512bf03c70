// Command qasm writes the amd64 kernels for quantised weights of package tensor: q_amd64.s. Run it from
// that package's folder, by go generate.
//
// Vectors are 256 bits wide throughout: a block of 32 values fills one, and one row after the other the
// kernels wait for memory, not for arithmetic; so they ask for lines 2 KB ahead, which the processor's own
// prefetcher, starting anew on every page, does not always do. The AVX2 and the VNNI kernels differ in one step, the
// sums of four products of bytes.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"strings"
)

type gen struct {
	bytes.Buffer
	isa string
}

func (g *gen) p(lines string) {
	for l := range strings.Lines(lines) {
		l = strings.TrimSpace(l)
		switch {
		case l == "":
		case strings.HasSuffix(l, ":"):
			fmt.Fprintln(g, l)
		case strings.HasPrefix(l, "DOT "):
			// DOT unsigned, signed, sum
			f := strings.Split(strings.TrimPrefix(l, "DOT "), ", ")
			if g.isa == "VNNI" {
				fmt.Fprintf(g, "\tVPDPBUSD %s, %s, %s\n", f[1], f[0], f[2])
			} else {
				fmt.Fprintf(g, "\tVPMADDUBSW %s, %s, %s\n", f[1], f[0], f[0])
				fmt.Fprintf(g, "\tVPMADDWD ones<>(SB), %s, %s\n", f[0], f[0])
				fmt.Fprintf(g, "\tVPADDD %s, %s, %s\n", f[0], f[2], f[2])
			}
		default:
			fmt.Fprintf(g, "\t%s\n", l)
		}
	}
}

func (g *gen) text(name, doc string) {
	fmt.Fprintf(g, "\n// func %s%s(dst *float32, w *byte, rows, stride, n int, v *qargs)\n//\n", name, g.isa)
	for l := range strings.Lines(strings.TrimSpace(doc)) {
		fmt.Fprintf(g, "// %s\n", strings.TrimSpace(l))
	}
	fmt.Fprintf(g, "TEXT ·%s%s(SB), NOSPLIT, $0-48\n", name, g.isa)
	g.p(`
		MOVQ dst+0(FP), DI
		MOVQ w+8(FP), SI
		MOVQ rows+16(FP), R8
		MOVQ stride+24(FP), R9
		MOVQ n+32(FP), R10
		MOVQ v+40(FP), R11`)
}

// fold adds the lanes of Y<r> up and stores the sum at addr.
func (g *gen) fold(r int, addr string) {
	g.p(fmt.Sprintf(`
		VEXTRACTF128 $1, Y%[1]d, X13
		VADDPS X13, X%[1]d, X%[1]d
		VPERMILPS $0x4e, X%[1]d, X13
		VADDPS X13, X%[1]d, X%[1]d
		VPERMILPS $0xb1, X%[1]d, X13
		VADDPS X13, X%[1]d, X%[1]d
		VMOVSS X%[1]d, %[2]s`, r, addr))
}

// pairs runs block over the blocks of 32 of two rows at a time, at SI and BX, with sums in Y0 and Y1.
// A last odd row is computed twice.
func (g *gen) pairs(size int, setup, block func()) {
	setup()
	g.p(`
		SHRQ $5, R10
		pair:
		MOVQ SI, BX
		MOVQ DI, R12
		CMPQ R8, $1
		JEQ both
		ADDQ R9, BX
		ADDQ $4, R12
		both:
		LEAQ (BX)(R9*1), R13
		VXORPS Y0, Y0, Y0
		VXORPS Y1, Y1, Y1
		MOVQ 8(R11), AX
		MOVQ 16(R11), CX
		MOVQ 24(R11), DX
		MOVQ R10, R15
		PCALIGN $32
		block:`)
	block()
	g.p(fmt.Sprintf(`
		ADDQ $%[1]d, SI
		ADDQ $%[1]d, BX
		ADDQ $32, AX
		ADDQ $4, CX
		ADDQ $4, DX
		DECQ R15
		JNZ block`, size))
	g.fold(0, "(DI)")
	g.fold(1, "(R12)")
	g.p(`
		MOVQ R13, SI
		ADDQ $8, DI
		SUBQ $2, R8
		JGT pair
		VZEROUPPER
		RET`)
}

func (g *gen) q8_0() {
	g.text("qdotQ8_0", `Two rows at a time. A block: the bytes of the weights without their signs times the activations
		with the weights' signs; the sums of four times both scales are added to Y0 and Y1.
		SI, BX: the rows' blocks; AX: activations; CX: their scales; R15: blocks left.`)
	g.pairs(34, func() {}, func() {
		g.p(`
			PREFETCHT0 2048(SI)
			PREFETCHT0 2048(BX)
			VBROADCASTSS (CX), Y2
			VMOVDQU (AX), Y3`)
		for i, w := range []string{"SI", "BX"} {
			g.p(fmt.Sprintf(`
				VPBROADCASTW (%[1]s), X%[2]d
				VCVTPH2PS X%[2]d, Y%[2]d
				VMULPS Y2, Y%[2]d, Y%[2]d
				VMOVDQU 2(%[1]s), Y%[3]d
				VPABSB Y%[3]d, Y%[4]d
				VPSIGNB Y%[3]d, Y3, Y%[3]d
				VPXOR Y%[5]d, Y%[5]d, Y%[5]d
				DOT Y%[4]d, Y%[3]d, Y%[5]d
				VCVTDQ2PS Y%[5]d, Y%[5]d
				VFMADD231PS Y%[2]d, Y%[5]d, Y%[6]d`, w, 4+4*i, 5+4*i, 6+4*i, 7+4*i, i))
		}
	})
}

func (g *gen) q4_0() {
	g.text("qdotQ4_0", `Two rows at a time. A block: 16 bytes become 32 values of 0 to 15, which are multiplied with the
		activations; the sum begins at -8 times the activations' own, in one lane.
		SI, BX: the rows' blocks; AX: activations; CX: their scales; DX: their sums times -8.`)
	g.pairs(18, func() { g.p("VMOVDQU nibble<>(SB), Y12") }, func() {
		g.p(`
			PREFETCHT0 2048(SI)
			PREFETCHT0 2048(BX)
			VBROADCASTSS (CX), Y2
			VMOVDQU (AX), Y3`)
		for i, w := range []string{"SI", "BX"} {
			g.p(fmt.Sprintf(`
				VPBROADCASTW (%[1]s), X%[2]d
				VCVTPH2PS X%[2]d, Y%[2]d
				VMULPS Y2, Y%[2]d, Y%[2]d
				VMOVDQU 2(%[1]s), X%[3]d
				VPSRLW $4, X%[3]d, X%[4]d
				VINSERTI128 $1, X%[4]d, Y%[3]d, Y%[3]d
				VPAND Y12, Y%[3]d, Y%[3]d
				VMOVD (DX), X%[5]d
				DOT Y%[3]d, Y3, Y%[5]d
				VCVTDQ2PS Y%[5]d, Y%[5]d
				VFMADD231PS Y%[2]d, Y%[5]d, Y%[6]d`, w, 4+4*i, 5+4*i, 6+4*i, 7+4*i, i))
		}
	})
}

// rows runs block over the blocks of 256 of one row at a time, at SI, with sums in Y0 and Y1.
func (g *gen) rows(size int, setup string, ptrs string, step string, block func()) {
	g.p(setup)
	g.p(`
		SHRQ $8, R10
		row:
		LEAQ (SI)(R9*1), R13
		VXORPS Y0, Y0, Y0
		VXORPS Y1, Y1, Y1
		MOVQ 8(R11), AX`)
	g.p(ptrs)
	g.p(`
		MOVQ R10, R15
		PCALIGN $32
		block:`)
	for line := 0; line < size; line += 64 {
		g.p(fmt.Sprintf("PREFETCHT0 %d(SI)", 2048+line))
	}
	block()
	g.p(fmt.Sprintf(`
		ADDQ $%d, SI
		ADDQ $256, AX`, size))
	g.p(step)
	g.p(`
		DECQ R15
		JNZ block
		VADDPS Y1, Y0, Y0`)
	g.fold(0, "(DI)")
	g.p(`
		MOVQ R13, SI
		ADDQ $4, DI
		DECQ R8
		JNZ row
		VZEROUPPER
		RET`)
}

func (g *gen) q4_k() {
	g.text("qdotQ4_K", `A block of 256: the 12 bytes of scales and minima are unpacked in registers to 8 of each. The
		scales, times the block's and the activations', stand in Y2 and are spread one at a time by VPERMPS;
		the minima are taken off against the activations' sums in one step.
		SI: blocks; AX: activations; CX: their scales; DX: their sums times the scale.
		Y8 to Y11 and Y14, Y15: indices; BX, R12, R14, BP are scratch.`)
	g.rows(144, `
		VMOVDQU nibble<>(SB), Y12
		`, `
		MOVQ 16(R11), CX
		MOVQ 32(R11), DX`, `
		ADDQ $32, CX
		ADDQ $32, DX`, func() {
		g.p(`
			MOVL 4(SI), BX
			MOVL 12(SI), R12
			MOVL BX, R14
			SHRL $2, R14
			ANDL $0x30303030, R14
			ANDL $0x3f3f3f3f, BX
			ANDL $0x0f0f0f0f, R12
			ORL R14, R12
			SHLQ $32, R12
			ORQ BX, R12
			VMOVQ R12, X2
			MOVL 8(SI), BX
			MOVL 12(SI), R12
			MOVL BX, R14
			SHRL $2, R14
			ANDL $0x30303030, R14
			ANDL $0x3f3f3f3f, BX
			SHRL $4, R12
			ANDL $0x0f0f0f0f, R12
			ORL R14, R12
			SHLQ $32, R12
			ORQ BX, R12
			VMOVQ R12, X3
			VPMOVZXBD X2, Y2
			VCVTDQ2PS Y2, Y2
			VPBROADCASTW (SI), X4
			VCVTPH2PS X4, Y4
			VMULPS Y4, Y2, Y2
			VMULPS (CX), Y2, Y2
			VPMOVZXBD X3, Y3
			VCVTDQ2PS Y3, Y3
			VPBROADCASTW 2(SI), X4
			VCVTPH2PS X4, Y4
			VMULPS Y4, Y3, Y3
			VFNMADD231PS (DX), Y3, Y0`)
		for j := range 4 {
			g.p(fmt.Sprintf(`
				VMOVDQU %[1]d(SI), Y3
				VPSRLW $4, Y3, Y4
				VPAND Y12, Y3, Y3
				VPAND Y12, Y4, Y4
				VMOVDQU %[2]d(AX), Y5
				VMOVDQU %[3]d(AX), Y6
				VPXOR Y7, Y7, Y7
				VPXOR Y8, Y8, Y8
				DOT Y3, Y5, Y7
				DOT Y4, Y6, Y8
				VCVTDQ2PS Y7, Y7
				VCVTDQ2PS Y8, Y8
				VMOVDQU spread<>+%[4]d(SB), Y9
				VMOVDQU spread<>+%[5]d(SB), Y10
				VPERMPS Y2, Y9, Y9
				VPERMPS Y2, Y10, Y10
				VFMADD231PS Y9, Y7, Y0
				VFMADD231PS Y10, Y8, Y1`, 16+32*j, 64*j, 64*j+32, 64*j, 64*j+32))
		}
	})
}

func (g *gen) q6_k() {
	g.text("qdotQ6_K", `A block of 256 in two halves of 128: 4 times 32 values of 0 to 63 are put together from low halves
		and high pairs of bits. Each 16 have a scale: in a half 8 of them stand in Y2, times the block's; times
		the activations' they stand in Y3 and are spread two at a time. The 32 that is to be taken off every
		value is taken off against the activations' sums.
		SI: blocks; AX: activations; CX: their scales for each 16; DX: 32 times their sums for each 16.`)
	g.rows(210, `
		VMOVDQU nibble<>(SB), Y12
		VMOVDQU pair<>(SB), Y11`, `
		MOVQ 40(R11), CX
		MOVQ 48(R11), DX`, `
		ADDQ $64, CX
		ADDQ $64, DX`, func() {
		for h := range 2 {
			g.p(fmt.Sprintf(`
				VPMOVSXBD %[1]d(SI), Y2
				VCVTDQ2PS Y2, Y2
				VPBROADCASTW 208(SI), X4
				VCVTPH2PS X4, Y4
				VMULPS Y4, Y2, Y2
				VFNMADD231PS %[2]d(DX), Y2, Y0
				VMULPS %[2]d(CX), Y2, Y3
				VMOVDQU %[3]d(SI), Y4`, 192+8*h, 32*h, 128+32*h)) // Y4: high pairs
			for i := range 4 {
				shift := []string{"VPSLLW $4, Y4, Y5", "VPSLLW $2, Y4, Y5", "VMOVDQA Y4, Y5", "VPSRLW $2, Y4, Y5"}[i]
				g.p(shift)
				g.p(fmt.Sprintf(`
					VPAND Y11, Y5, Y5
					VMOVDQU %d(SI), Y6`, 64*h+i%2*32))
				if i >= 2 {
					g.p("VPSRLW $4, Y6, Y6")
				}
				g.p(fmt.Sprintf(`
					VPAND Y12, Y6, Y6
					VPOR Y5, Y6, Y6
					VMOVDQU %[1]d(AX), Y5
					VPXOR Y7, Y7, Y7
					DOT Y6, Y5, Y7
					VCVTDQ2PS Y7, Y7
					VMOVDQU twos<>+%[2]d(SB), Y8
					VPERMPS Y3, Y8, Y8
					VFMADD231PS Y8, Y7, Y%[3]d`, 128*h+32*i, 32*i, i%2))
			}
		}
	})
}

func (g *gen) floats(name, doc string, load func(off int, r int)) {
	g.text(name, doc)
	g.p(`
		row:
		LEAQ (SI)(R9*1), R13
		VXORPS Y0, Y0, Y0
		VXORPS Y1, Y1, Y1
		VXORPS Y2, Y2, Y2
		VXORPS Y3, Y3, Y3
		MOVQ (R11), AX
		MOVQ R10, R15
		SHRQ $5, R15
		PCALIGN $32
		block:`)
	for i := range 4 {
		load(16*i, 4+i)
		g.p(fmt.Sprintf("VFMADD231PS %d(AX), Y%d, Y%d", 32*i, 4+i, i))
	}
	g.p(`
		ADDQ $64, SI
		ADDQ $128, AX
		DECQ R15
		JNZ block
		VADDPS Y1, Y0, Y0
		VADDPS Y3, Y2, Y2
		VADDPS Y2, Y0, Y0`)
	g.fold(0, "(DI)")
	g.p(`
		MOVQ R13, SI
		ADDQ $4, DI
		DECQ R8
		JNZ row
		VZEROUPPER
		RET`)
}

func main() {
	g := &gen{isa: "AVX2"}
	g.WriteString("// Code generated by qasm. DO NOT EDIT.\n\n//go:build !noasm\n\n#include \"textflag.h\"\n\n")
	data := func(name string, values ...uint64) {
		for i, v := range values {
			fmt.Fprintf(g, "DATA %s<>+%d(SB)/8, $0x%016x\n", name, 8*i, v)
		}
		fmt.Fprintf(g, "GLOBL %s<>(SB), RODATA|NOPTR, $%d\n", name, 8*len(values))
	}
	same := func(v uint64, n int) (out []uint64) {
		for range n {
			out = append(out, v)
		}
		return out
	}
	data("ones", same(0x0001000100010001, 4)...)
	data("nibble", same(0x0f0f0f0f0f0f0f0f, 4)...)
	data("pair", same(0x3030303030303030, 4)...)
	var spread, twos []uint64
	for i := range uint64(8) {
		spread = append(spread, same(i<<32|i, 4)...)
	}
	for i := range uint64(8) {
		twos = append(twos, same(i<<32|i, 2)...)
	}
	data("spread", spread...)
	data("twos", twos...)
	for _, isa := range []string{"AVX2", "VNNI"} {
		g.isa = isa
		g.q8_0()
		g.q4_0()
		g.q4_k()
		g.q6_k()
	}
	g.isa = "AVX2"
	g.floats("qdotF16", "n is a multiple of 32. SI: weights; AX: activations; sums in Y0 to Y3.", func(off, r int) {
		g.p(fmt.Sprintf("VCVTPH2PS %d(SI), Y%d", off, r))
	})
	g.floats("qdotBF16", "As qdotF16; a bfloat16 is the upper half of a float32.", func(off, r int) {
		g.p(fmt.Sprintf("VPMOVZXWD %d(SI), Y%d\nVPSLLD $16, Y%d, Y%d", off, r, r, r))
	})
	if err := os.WriteFile("q_amd64.s", g.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
}
