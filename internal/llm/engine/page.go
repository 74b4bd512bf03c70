package engine

import (
	"fmt"
	"math"
	"strings"

	"docent/internal/tensor"
)

// CacheType is how keys and values are kept.
type CacheType uint8

// The types of cache, with ggml's names.
const (
	CacheF16  CacheType = iota // half precision
	CacheQ8_0                  // int8 with a scale for each 32 values of a head: half the memory of F16
	CacheF32                   // as computed, for comparisons
)

var cacheTypes = []string{"f16", "q8_0", "f32"}

func (t CacheType) String() string {
	if int(t) < len(cacheTypes) {
		return cacheTypes[t]
	}
	return fmt.Sprintf("cache type %d", uint8(t))
}

// UnmarshalText reads f16, q8_0 or f32.
func (t *CacheType) UnmarshalText(text []byte) error {
	for i, name := range cacheTypes {
		if strings.EqualFold(string(text), name) {
			*t = CacheType(i)
			return nil
		}
	}
	return fmt.Errorf("cache type %q: want %s", text, strings.Join(cacheTypes, ", "))
}

const (
	blockTokens = 32 // of a block of the cache; whole panels of the products at every level
	scaleGroup  = 32 // values of a head that share a scale in Q8_0
)

// layout is how the keys and values of a block of tokens lie, which all layers' heads have after one another:
// keys with the tokens of one dimension side by side, as the product with queries reads them, and values with
// the dimensions of one token side by side.
type layout struct {
	kind              CacheType
	layers, heads, hd int
}

func (y layout) groups() int { return (y.hd + scaleGroup - 1) / scaleGroup }

// values is the number of keys, or of values, of a head in a block.
func (y layout) values() int { return blockTokens * y.hd }

func (y layout) scales() int { return blockTokens * y.groups() }

// padded is the width of a head's values where they are multiplied: whole panels.
func (y layout) padded() int { return (y.hd + blockTokens - 1) / blockTokens * blockTokens }

// bytes of a block.
func (y layout) bytes() int64 {
	n := int64(2 * y.layers * y.heads)
	switch y.kind {
	case CacheQ8_0:
		return n * int64(y.values()+4*y.scales())
	case CacheF32:
		return 4 * n * int64(y.values())
	}
	return 2 * n * int64(y.values())
}

// page is the memory of a block.
type page struct {
	f32    []float32
	f16    []uint16
	i8     []int8
	scales []float32
}

func (y layout) newPage() page {
	n := 2 * y.layers * y.heads
	switch y.kind {
	case CacheQ8_0:
		return page{i8: make([]int8, n*y.values()), scales: make([]float32, n*y.scales())}
	case CacheF32:
		return page{f32: make([]float32, n*y.values())}
	}
	return page{f16: make([]uint16, n*y.values())}
}

// clear sets all to zero: what lies behind a sequence's end is multiplied by zero, and must be finite.
func (p *page) clear() {
	clear(p.f32)
	clear(p.f16)
	clear(p.i8)
	clear(p.scales)
}

func (p *page) copy(from *page) {
	copy(p.f32, from.f32)
	copy(p.f16, from.f16)
	copy(p.i8, from.i8)
	copy(p.scales, from.scales)
}

// part is which of a page's runs of keys, or of values, are those of a head of a layer.
func (y layout) part(layer, head int) (keys, values int) {
	i := 2 * (layer*y.heads + head)
	return i, i + 1
}

// put keeps a token's key and value of a head. tmp is for hd halves.
func (y layout) put(p *page, layer, head, slot int, key, value []float32, tmp []uint16) {
	k, v := y.part(layer, head)
	k, v = k*y.values(), v*y.values()
	switch y.kind {
	case CacheF32:
		for d, x := range key {
			p.f32[k+d*blockTokens+slot] = x
		}
		copy(p.f32[v+slot*y.hd:], value)
	case CacheF16:
		tensor.NarrowHalves(tmp, key)
		for d, h := range tmp[:y.hd] {
			p.f16[k+d*blockTokens+slot] = h
		}
		tensor.NarrowHalves(p.f16[v+slot*y.hd:], value)
	case CacheQ8_0:
		ks, vs := y.part(layer, head)
		ks, vs = ks*y.scales(), vs*y.scales()
		var q [scaleGroup]int8
		for g := range y.groups() {
			part := key[g*scaleGroup : min(y.hd, (g+1)*scaleGroup)]
			p.scales[ks+g*blockTokens+slot] = eighths(q[:], part)
			for i, x := range q[:len(part)] {
				p.i8[k+(g*scaleGroup+i)*blockTokens+slot] = x
			}
			part = value[g*scaleGroup : min(y.hd, (g+1)*scaleGroup)]
			p.scales[vs+slot*y.groups()+g] = eighths(p.i8[v+slot*y.hd+g*scaleGroup:], part)
		}
	}
}

// eighths rounds x to int8 values with one scale, which it returns.
func eighths(dst []int8, x []float32) float32 {
	top := float32(0)
	for _, v := range x {
		top = max(top, float32(math.Abs(float64(v))))
	}
	scale := top / 127
	if !(scale > 0) || scale > math.MaxFloat32 {
		clear(dst[:len(x)])
		return 0
	}
	for i, v := range x {
		dst[i] = int8(math.RoundToEven(float64(v / scale)))
	}
	return scale
}

// keysOf are a head's keys in float32: hd rows of blockTokens. They are in buf or in the page. The same head's in
// the page next are fetched to the cache meanwhile.
func (y layout) keysOf(buf []float32, p, next *page, layer, head int) []float32 {
	part, _ := y.part(layer, head)
	at, n := part*y.values(), y.values()
	switch y.kind {
	case CacheF32:
		return p.f32[at : at+n]
	case CacheF16:
		tensor.WidenHalves(buf[:n], p.f16[at:], next.f16[at:])
	case CacheQ8_0:
		scales := p.scales[part*y.scales():]
		for d := range y.hd {
			row := buf[d*blockTokens : (d+1)*blockTokens]
			tensor.Dequantise(row, p.i8[at+d*blockTokens:][:blockTokens], 1)
			tensor.Times(row, row, scales[d/scaleGroup*blockTokens:][:blockTokens])
		}
	}
	return buf[:n]
}

// valuesOf sets dst to a head's values in float32: blockTokens rows of padded() values. Those in the page next are
// fetched meanwhile.
func (y layout) valuesOf(dst []float32, p, next *page, layer, head int) {
	_, part := y.part(layer, head)
	at, n, wide := part*y.values(), y.values(), y.padded()
	if y.kind == CacheF16 && wide == y.hd {
		tensor.WidenHalves(dst[:n], p.f16[at:], next.f16[at:])
		return
	}
	for t := range blockTokens {
		row := dst[t*wide : (t+1)*wide]
		from := at + t*y.hd
		switch y.kind {
		case CacheF32:
			copy(row, p.f32[from:from+y.hd])
		case CacheF16:
			tensor.WidenHalves(row[:y.hd], p.f16[from:], next.f16[from:])
		case CacheQ8_0:
			for g := range y.groups() {
				lo, hi := g*scaleGroup, min(y.hd, (g+1)*scaleGroup)
				tensor.Dequantise(row[lo:hi], p.i8[from+lo:from+hi], p.scales[part*y.scales()+t*y.groups()+g])
			}
		}
		clear(row[y.hd:])
	}
}

// direct tells whether keys and values are multiplied as they are kept, with that many rows of queries or weights. The
// results are the same bits as by way of float32.
func (y layout) direct(rows int) bool { return y.kind == CacheF16 && tensor.HasMulHalves(rows) }

// mulKeys sets rows of scores, spanTokens apart, to the products of rows of queries and a head's keys. buf is for these
// in float32.
func (y layout) mulKeys(scores, queries []float32, rows int, buf []float32, p, next *page, layer, head int) {
	if part, _ := y.part(layer, head); y.direct(rows) {
		at := part * y.values()
		tensor.MulHalves(scores, spanTokens, queries, y.hd, rows, p.f16[at:], next.f16[at:], blockTokens, blockTokens, y.hd, false)
		return
	}
	tensor.MulRows(scores, spanTokens, queries, y.hd, rows, y.keysOf(buf, p, next, layer, head), blockTokens, blockTokens, y.hd)
}

// mulValues sets rows of dst, or adds to them, to what rows of weights, spanTokens apart, make of a head's values, as
// many as whole panels have.
func (y layout) mulValues(dst, weights []float32, rows int, p, next *page, layer, head int, add bool) {
	_, part := y.part(layer, head)
	at := part * y.values()
	tensor.MulHalves(dst, y.hd, weights, spanTokens, rows, p.f16[at:], next.f16[at:], y.hd, y.hd, blockTokens, add)
}
