package main

import (
	"sync"
	"time"

	"docent/internal/tensor"
)

// bandwidth is how many bytes a second the threads together read from a buffer of a size, the best of
// some rounds: what an answer's token, which needs every weight once, can be held against.
func bandwidth(size int64, threads int) float64 {
	part := int(size) / 4 / threads
	data := make([]float32, part*threads)
	for i := 0; i < len(data); i += 1024 {
		data[i] = 1 // so that the pages are not one and the same
	}
	best := 0.0
	for range 5 {
		start := time.Now()
		var wait sync.WaitGroup
		for t := range threads {
			wait.Go(func() {
				const piece = 4096
				for x := data[t*part : (t+1)*part]; len(x) >= piece; x = x[piece:] {
					tensor.Dot(x[:piece], x[:piece])
				}
			})
		}
		wait.Wait()
		best = max(best, float64(4*len(data))/time.Since(start).Seconds())
	}
	return best
}
