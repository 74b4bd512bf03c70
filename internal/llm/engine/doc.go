// Package engine computes language models from GGUF files: decoders, and T5.
//
//	m, err := engine.Open("SmolLM2-135M-Instruct-Q8_0.gguf", engine.Config{})
//	if err != nil { … }
//	defer m.Close()
//	for tok, err := range m.Generate(ctx, m.Encode("Once upon a time"), engine.Options{MaxTokens: 64}) { … }
//
// Weights stay in the file's mapping, in its quantised form, and are multiplied with activations rounded to
// 8 bits, as llama.cpp does, or with Config.Exact in float32.
//
// Requests are served together. One goroutine computes steps; a step has rows of one or many sequences, the next
// tokens of answers and parts of prompts alike, and requests join and leave between steps. What comes out for a
// row does not depend on the others, to the last bit, so an answer is the same alone and in company.
//
// Keys and values lie in blocks of 32 tokens, of which a sequence holds a table. Blocks are shared by sequences
// that begin alike and kept as long as there is room, so that a system prompt and the earlier turns of a
// conversation are computed once. Requests for which there is no memory wait, first come, first served; one that
// runs out of it while others that came before need theirs is computed again later. Attention goes through blocks
// with a running softmax, so its memory does not grow with the context.
//
// A [Model] is safe for concurrent use.
package engine
