// Package engine computes decoder-only language models from GGUF files.
//
//	m, err := engine.Open("SmolLM2-135M-Instruct-Q8_0.gguf", engine.Config{})
//	if err != nil { … }
//	defer m.Close()
//	for tok, err := range m.Generate(ctx, m.Encode("Once upon a time"), engine.Options{MaxTokens: 64}) { … }
//
// Weights stay in the file's mapping, in its quantised form, and are multiplied with activations rounded to
// 8 bits, as llama.cpp does, or with Config.Exact in float32. A step computes rows of one or many
// sequences, tokens of prompts and of answers alike; what comes out for a row does not depend on the
// others. Attention looks at blocks of 32 queries, so its memory does not grow with the square of the
// context.
//
// One sequence is computed at a time; calls queue, first come, first served. The cache of keys and
// values of the last sequence is kept, and a prompt that begins like it does not compute that part
// again. A [Model] is safe for concurrent use.
package engine
