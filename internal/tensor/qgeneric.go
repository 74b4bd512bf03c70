package tensor

import "unsafe"

// The meaning of the kernels for quantised weights, in plain Go. Products within a block are exact
// integers; scales are float32.

func qgeneric(t QType, k int) qkernel {
	switch t {
	case QF32:
		return qdotF32
	case Q8_0:
		return qdotQ8_0
	case Q4_0:
		return qdotQ4_0
	case Q4_K:
		return qdotQ4_K
	case Q6_K:
		return qdotQ6_K
	}
	return nil
}

func qdotQ8_0(dst *float32, w *byte, rows, stride, n int, v *qargs) {
	for r := range rows {
		row := unsafe.Slice(at(w, r*stride), stride)
		sum := float32(0)
		for b := range n / 32 {
			block, q := row[34*b:34*b+34], unsafe.Slice(at(v.q, 32*b), 32)
			var s0, s1 int32
			for i := 0; i < 32; i += 2 {
				s0 += int32(int8(block[2+i])) * int32(q[i])
				s1 += int32(int8(block[3+i])) * int32(q[i+1])
			}
			sum += half(block) * *at(v.scale, b) * float32(s0+s1)
		}
		*at(dst, r) = sum
	}
}

func qdotQ4_0(dst *float32, w *byte, rows, stride, n int, v *qargs) {
	for r := range rows {
		row := unsafe.Slice(at(w, r*stride), stride)
		sum := float32(0)
		for b := range n / 32 {
			block, q := row[18*b:18*b+18], unsafe.Slice(at(v.q, 32*b), 32)
			s := *at(v.sum8, b)
			for i, c := range block[2:] {
				s += int32(c&15)*int32(q[i]) + int32(c>>4)*int32(q[16+i])
			}
			sum += half(block) * *at(v.scale, b) * float32(s)
		}
		*at(dst, r) = sum
	}
}

func qdotQ4_K(dst *float32, w *byte, rows, stride, n int, v *qargs) {
	for r := range rows {
		row := unsafe.Slice(at(w, r*stride), stride)
		sum := float32(0)
		for b := range n / 256 {
			block := row[144*b : 144*b+144]
			d, dmin := half(block), half(block[2:])
			for j := range 8 {
				sc, m := scaleMin(block[4:16], j)
				q, shift := unsafe.Slice(at(v.q, 256*b+32*j), 32), j&1*4
				s := int32(0)
				for i, c := range block[16+j/2*32:][:32] {
					s += int32(c>>shift&15) * int32(q[i])
				}
				sum += d*sc**at(v.scale, 8*b+j)*float32(s) - dmin*m**at(v.sums, 8*b+j)
			}
		}
		*at(dst, r) = sum
	}
}

func qdotQ6_K(dst *float32, w *byte, rows, stride, n int, v *qargs) {
	for r := range rows {
		row := unsafe.Slice(at(w, r*stride), stride)
		sum := float32(0)
		for b := range n / 256 {
			block := row[210*b : 210*b+210]
			d := half(block[208:])
			for j := range 16 {
				g := j / 2
				low, high := block[g/4*64+g%2*32+j%2*16:][:16], block[128+g/4*32+j%2*16:][:16]
				ls, hs := g%4/2*4, g%4*2
				q := unsafe.Slice(at(v.q, 256*b+16*j), 16)
				s := int32(0)
				for i, c := range low {
					s += int32(c>>ls&15|high[i]>>hs&3<<4) * int32(q[i])
				}
				sum += d * float32(int8(block[192+j])) * (*at(v.half, 16*b+j)*float32(s) - *at(v.sum32, 16*b+j))
			}
		}
		*at(dst, r) = sum
	}
}
