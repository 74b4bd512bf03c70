// Package convert makes GGUF files of checkpoints of Hugging Face's transformers.
//
//	err := convert.Folder(ctx, "Qwen2.5-0.5B-Instruct", "qwen2.5-0.5b-q4_k_m.gguf", convert.Options{Type: convert.Q4_K_M})
//
// A checkpoint is a folder with config.json, safetensors (one file, or several with or without an index) and a
// tokenizer. Tensors are read, rounded and written a part at a time, so that memory does not grow with the model.
// The file appears only when it is whole.
//
// Names of tensors and metadata, the order of rotated values and the types that a mixture gives to its tensors
// are llama.cpp's.
package convert
