// Package gguf reads and writes GGUF files, the format that llama.cpp and its kin keep models in:
// typed metadata, a table of tensors and the tensors' bytes.
//
//	f, err := gguf.Open("SmolLM2-135M-Instruct-Q8_0.gguf") // any part of a split model opens all
//	if err != nil { … }
//	defer f.Close()
//	arch, _ := f.String("general.architecture")
//	t, ok := f.Tensor("token_embd.weight") // t.Data lies in the file's mapping
//
// Versions 2 and 3 are read, little-endian. Files are mapped into memory where the system can do that
// and read whole elsewhere. A file is input from anywhere: every count, length and offset in it is
// checked against what is there before it is used, so that a small file cannot claim much memory, and
// what does not hold is an error that wraps [ErrFormat].
//
// A [File] is read-only and safe for concurrent use until it is closed; Tensor.Data must not be used
// after that.
package gguf
