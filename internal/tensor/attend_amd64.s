//go:build !noasm

// Conversions between float32 and halves, by F16C: 32 values to a round, then 8. n is a multiple of 8.
// DI: dst; SI: src; DX: what is fetched to the cache meanwhile; CX: values left.

#include "textflag.h"

DATA largestHalf<>+0(SB)/4, $0x477fe000 // 65504
GLOBL largestHalf<>(SB), RODATA|NOPTR, $4
DATA smallestHalf<>+0(SB)/4, $0xc77fe000
GLOBL smallestHalf<>(SB), RODATA|NOPTR, $4

// func widenHalvesF16C(dst *float32, src, next *uint16, n int)
TEXT ·widenHalvesF16C(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ next+16(FP), DX
	MOVQ n+24(FP), CX
	SUBQ $32, CX
	JL tail
loop:
	PREFETCHT1 (DX)
	VCVTPH2PS (SI), Y0
	VCVTPH2PS 16(SI), Y1
	VCVTPH2PS 32(SI), Y2
	VCVTPH2PS 48(SI), Y3
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	ADDQ $64, SI
	ADDQ $64, DX
	ADDQ $128, DI
	SUBQ $32, CX
	JGE loop
tail:
	ADDQ $32, CX
	JZ done
eight:
	VCVTPH2PS (SI), Y0
	VMOVUPS Y0, (DI)
	ADDQ $16, SI
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ eight
done:
	VZEROUPPER
	RET

// func narrowHalvesF16C(dst *uint16, src *float32, n int)
// The larger of a value that is no number and a bound is the value: it is the second operand of VMINPS and
// VMAXPS, which is what they return for those.
TEXT ·narrowHalvesF16C(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS largestHalf<>(SB), Y4
	VBROADCASTSS smallestHalf<>(SB), Y5
	TESTQ CX, CX
	JZ done
eight:
	VMOVUPS (SI), Y0
	VMINPS Y0, Y4, Y0
	VMAXPS Y0, Y5, Y0
	VCVTPS2PH $0, Y0, (DI)
	ADDQ $32, SI
	ADDQ $16, DI
	SUBQ $8, CX
	JNZ eight
done:
	VZEROUPPER
	RET
