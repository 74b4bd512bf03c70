package engine_test

import (
	"path/filepath"
	"runtime"
	"testing"

	"docent/internal/llm/engine"
	"docent/internal/llm/llmtest"
)

// TestMemoryOfContext: beside keys and values, reading a prompt and writing on allocates in proportion to the context at
// most. A square of scores would be 64 MiB for the longest one here, a row of them for each of a step's tokens 8 MiB.
func TestMemoryOfContext(t *testing.T) {
	path := llmtest.Letters(t, filepath.Join(t.TempDir(), "long.gguf"), "llama-q8_0", llmtest.ContextLength(8192))
	for _, threads := range []int{1, 2} {
		beside := func(tokens int) int64 {
			m := open(t, path, engine.Config{Context: tokens + 16, Threads: threads})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			generate(t, m, prompt(1, tokens), engine.Options{MaxTokens: 8, IgnoreEnd: true, NoGuesses: true})
			runtime.ReadMemStats(&after)
			return int64(after.TotalAlloc-before.TotalAlloc) - m.CacheSize(tokens+7)
		}
		const n, slack = 1024, 256 << 10
		one, two, four := beside(n), beside(2*n), beside(4*n)
		t.Logf("%d threads: %d KiB beside the cache for %d tokens, %d KiB for twice, %d KiB for four times as many", threads, one>>10, n, two>>10, four>>10)
		if four-two > 2*(two-one)+slack {
			t.Errorf("%d threads: the second doubling of the context takes %d bytes, the first %d", threads, four-two, two-one)
		}
		if perToken := (four - one) / (3 * n); perToken > 1024 {
			t.Errorf("%d threads: a token more takes %d bytes beside its keys and values", threads, perToken)
		}
	}
}
