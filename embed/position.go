package embed

import "math"

// rotary holds the turns of the first positions: cosine and sine for each pair of a head's values, of
// which the first lies in the lower half and the second at the same place in the upper.
type rotary struct {
	half     int
	cos, sin []float32 // positions times half
}

// newRotary rounds to float32 where the reference implementations do: at position 8000 a float32 angle
// is off by up to 2e-4, and a model expects just that.
func newRotary(positions, size int, base float64) *rotary {
	r := &rotary{half: size / 2}
	r.cos = make([]float32, positions*r.half)
	r.sin = make([]float32, positions*r.half)
	for i := range r.half {
		freq := 1 / float32(math.Pow(base, float64(float32(2*i)/float32(size))))
		for p := range positions {
			angle := float64(float32(p) * freq)
			r.cos[p*r.half+i], r.sin[p*r.half+i] = float32(math.Cos(angle)), float32(math.Sin(angle))
		}
	}
	return r
}

// turn rotates one head of n rows that lie stride apart, the first being position 0.
func (r *rotary) turn(x []float32, stride, n int) {
	for p := range n {
		cos, sin := r.cos[p*r.half:(p+1)*r.half], r.sin[p*r.half:(p+1)*r.half]
		row := x[p*stride:][:2*r.half]
		lower, upper := row[:r.half], row[r.half:]
		for i, a := range lower {
			b := upper[i]
			lower[i], upper[i] = a*cos[i]-b*sin[i], b*cos[i]+a*sin[i]
		}
	}
}

// A distance table has, for one head, what is added to the score of a key by its distance from the
// query, from -(n-1) to n-1; distances returns the part of it for the keys from lo on.
type distances []float32

func (d distances) from(query, lo int) []float32 { return d[len(d)/2+lo-query:] }

// alibi returns the distance tables of heads for n positions: minus the distance times a slope, slopes
// falling geometrically from head to head. A number of heads that is no power of two takes the slopes of
// the next lower one, and then every other one of the next higher (Press et al. 2021, in their code).
func alibi(heads, n int) []distances {
	var slopes []float64
	power := 1
	for power*2 <= heads {
		power *= 2
	}
	for i := range power {
		slopes = append(slopes, math.Pow(2, -8*float64(i+1)/float64(power)))
	}
	for i := 0; len(slopes) < heads; i += 2 {
		slopes = append(slopes, math.Pow(2, -8*float64(i+1)/float64(2*power)))
	}
	out := make([]distances, heads)
	for h := range out {
		out[h] = make(distances, 2*n-1)
		for i := range out[h] {
			out[h][i] = -float32(slopes[h]) * float32(max(i-(n-1), n-1-i))
		}
	}
	return out
}

// relativeBuckets returns the distance tables of heads for n positions from a learnt table of count
// buckets by heads. Half of the buckets are for keys after the query. Of each half, one half are single
// distances, and the others grow logarithmically up to 128 (Raffel et al. 2020, section 2.1).
func relativeBuckets(table []float32, count, heads, n int) []distances {
	const farthest = 128
	half := count / 2
	exact := half / 2
	out := make([]distances, heads)
	for h := range out {
		out[h] = make(distances, 2*n-1)
	}
	for i := range 2*n - 1 {
		bucket, far := 0, i-(n-1)
		if far > 0 {
			bucket = half
		} else {
			far = -far
		}
		if far < exact {
			bucket += far
		} else {
			// In float32, as the reference does, for the sake of the borders.
			log := float32(math.Log(float64(float32(far)/float32(exact)))) / float32(math.Log(float64(farthest)/float64(exact)))
			bucket += min(exact+int(log*float32(half-exact)), half-1)
		}
		for h := range out {
			out[h][i] = table[bucket*heads+h]
		}
	}
	return out
}
