package sections

// combine returns the CRC-32C of a text from those of its two parts, the second n bytes long: the first is
// moved over n zero bytes, which is a product of polynomials over GF(2), and added (the method of zlib's
// crc32_combine).
func combine(first, second uint32, n int64) uint32 {
	// shift[k] is the operator that appends 2^k zero bits; row i is what bit i becomes.
	var op, square [32]uint32
	op[0] = 0x82f63b78 // Castagnoli's polynomial, reflected: one zero bit
	for i := 1; i < 32; i++ {
		op[i] = 1 << (i - 1)
	}
	times := func(m *[32]uint32, v uint32) uint32 {
		var sum uint32
		for i := 0; v != 0; i, v = i+1, v>>1 {
			if v&1 != 0 {
				sum ^= m[i]
			}
		}
		return sum
	}
	twice := func() {
		for i := range op {
			square[i] = times(&op, op[i])
		}
		op = square
	}
	for range 3 {
		twice() // one zero byte
	}
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			first = times(&op, first)
		}
		twice()
	}
	return first ^ second
}
