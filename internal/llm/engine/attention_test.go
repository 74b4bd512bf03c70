package engine

import (
	"context"
	"math"
	"slices"
	"sync"
	"testing"
)

// Over a context of several segments an answer is the same with one worker and with several, alone and in
// company, and its logits are those of one segment, but for rounding.
func TestSegments(t *testing.T) {
	ctx := context.Background()
	for _, path := range []string{"testdata/llama-q8_0.gguf", "testdata/mistral-f16.gguf", "testdata/gemma2-f16.gguf"} {
		open := func(threads int) *Model {
			m, err := Open(path, Config{Threads: threads, Parallel: 4, CacheTokens: 512})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { m.Close() })
			return m
		}
		long := make([]int32, 110)
		for i := range long {
			long[i] = int32(3 + i*i%89)
		}
		logits := func(m *Model) [][]float32 {
			rows, err := m.Logits(ctx, long)
			if err != nil {
				t.Fatal(err)
			}
			return rows
		}
		answer := func(m *Model) (ids []int32) {
			_, err := m.GenerateIDs(ctx, long, Options{MaxTokens: 12, NoGuesses: true}, func(id int32) (bool, error) {
				ids = append(ids, id)
				return true, nil
			})
			if err != nil {
				t.Error(err)
			}
			return ids
		}
		one := logits(open(1))
		usual := segmentBlocks
		segmentBlocks = 1
		t.Cleanup(func() { segmentBlocks = usual })
		alone, several := open(1), open(3)
		many, shared := logits(alone), logits(several)
		for i := range one {
			if !slices.Equal(many[i], shared[i]) {
				t.Fatalf("%s: row %d differs with the number of workers", path, i)
			}
			for j, x := range one[i] {
				if math.Abs(float64(many[i][j]-x)) > 2e-3 { // rounding to 8 bits may go the other way
					t.Fatalf("%s: row %d, logit %d: %v in segments, %v at once", path, i, j, many[i][j], x)
				}
			}
		}
		want := answer(alone)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if got := answer(several); !slices.Equal(got, want) {
					t.Errorf("%s: %v, with one worker %v", path, got, want)
				}
			})
		}
		wg.Wait()
		segmentBlocks = usual
	}
}
