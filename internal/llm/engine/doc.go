// Package engine computes decoder-only language models from GGUF files.
//
//	m, err := engine.Open("SmolLM2-135M-Instruct-Q8_0.gguf", engine.Config{})
//	if err != nil { … }
//	defer m.Close()
//	for tok, err := range m.Generate(ctx, m.Encode("Once upon a time"), engine.Options{MaxTokens: 64}) { … }
//
// Weights stay in the file's mapping, in its quantised form. A prompt is computed many tokens at a time
// in float32; a token of the answer is computed with activations rounded to 8 bits, as llama.cpp does,
// unless Config.Exact is set. Attention looks at blocks of 32 queries, so its memory does not grow with
// the square of the context.
//
// One sequence is computed at a time; calls queue, first come, first served. The cache of keys and
// values of the last sequence is kept, and a prompt that begins like it does not compute that part
// again. A [Model] is safe for concurrent use.
package engine
