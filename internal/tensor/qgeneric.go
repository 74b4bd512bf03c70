package tensor

import "unsafe"

// The meaning of the kernels for quantised weights, in plain Go.

var qgeneric = qkernels{rows: 8, tile: [3]qtile{tileGeneric32, tileGeneric32, tileGeneric16}, round: roundGeneric}

func ptr[T any](p *T) unsafe.Pointer { return unsafe.Pointer(p) }

func unpackGeneric(f *qformat, dst *qblock, w *byte, stride, blocks int) {
	var q [256]int8
	var scale, minimum [16]float32
	for r := range qpanel {
		src := unsafe.Slice(at(w, r*stride), blocks*f.bytes)
		for b := range blocks {
			f.split(src[b*f.bytes:(b+1)*f.bytes], &q, &scale, &minimum)
			for j := range f.values / 32 {
				out := at(dst, b*f.values/32+j)
				for i, v := range q[32*j : 32*j+32] {
					out.q[i/4][r][i%4] = v
				}
				for h := range 32 / f.group {
					g := 32/f.group*j + h
					out.scale[h][r], out.minimum[h][r] = scale[g], minimum[g]
				}
			}
		}
	}
}

func tileGeneric32(rows, blocks int, a *qrow, lda int, w *qblock, c *float32, ldc int, how qhow) {
	tileGeneric(rows, blocks, a, lda, w, c, ldc, how, 1)
}

func tileGeneric16(rows, blocks int, a *qrow, lda int, w *qblock, c *float32, ldc int, how qhow) {
	tileGeneric(rows, blocks, a, lda, w, c, ldc, how, 2)
}

func tileGeneric(rows, blocks int, a *qrow, lda int, w *qblock, c *float32, ldc int, how qhow, halves int) {
	for r := range rows {
		c := (*[qpanel]float32)(ptr(at(c, r*ldc)))
		if how&qadd == 0 {
			*c = [qpanel]float32{}
		}
		for b := range blocks {
			x, w := (*qrow)(unsafe.Add(ptr(a), r*lda+64*b)), at(w, b)
			for h := range halves {
				sum := x.sum
				if halves == 2 {
					sum = x.sum16[h]
				}
				var s [qpanel]int32
				for i := 8 / halves * h; i < 8/halves*(h+1); i++ {
					q0, q1, q2, q3 := int32(x.q[4*i]), int32(x.q[4*i+1]), int32(x.q[4*i+2]), int32(x.q[4*i+3])
					for j := range s {
						v := &w.q[i][j]
						s[j] += q0*int32(v[0]) + q1*int32(v[1]) + q2*int32(v[2]) + q3*int32(v[3])
					}
				}
				for j, v := range s {
					c[j] += float32(float32(w.scale[h][j]*x.scale) * float32(v))
				}
				if how&qminimum != 0 {
					for j := range c {
						c[j] += float32(w.minimum[h][j] * sum)
					}
				}
			}
		}
	}
}
