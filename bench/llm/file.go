package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"docent/internal/llm/gguf"
)

// shape is that of a model; all three have tied embeddings.
type shape struct {
	arch                              string
	layers, dim, ff, heads, kv, vocab int
	bias                              bool
	base                              float32 // of the rotary positions
}

var shapes = map[string]shape{
	"smollm2-135m": {"llama", 30, 576, 1536, 9, 3, 49152, false, 100000},
	"qwen2.5-0.5b": {"qwen2", 24, 896, 4864, 14, 2, 151936, true, 1000000},
	"llama-3.2-1b": {"llama", 16, 2048, 8192, 32, 8, 128256, false, 500000},
}

// cache is the bytes of the keys and values of so many tokens, in halves.
func (s shape) cache(tokens int) int64 {
	return int64(tokens * s.layers * s.kv * s.dim / s.heads * 2 * 2)
}

var (
	shapeNames = []string{"smollm2-135m", "qwen2.5-0.5b", "llama-3.2-1b"}
	kinds      = []string{"Q8_0", "Q4_0", "Q4_K_M"}
)

// typeOf chooses a tensor's type as llama.cpp's quantize does: in Q4_K_M files some matrices have six bits,
// the embeddings, being the output too, stay wider, and rows that are not whole blocks of 256 fall back.
func typeOf(kind, name string, layer, layers, k int) gguf.Type {
	t := map[string]gguf.Type{"Q8_0": gguf.Q8_0, "Q4_0": gguf.Q4_0, "Q4_K_M": gguf.Q4_K}[kind]
	switch more := layer < layers/8 || layer >= 7*layers/8 || (layer-layers/8)%3 == 2; {
	case name == "token_embd" && kind != "Q8_0", kind == "Q4_K_M" && more && (name == "attn_v" || name == "ffn_down"):
		t = gguf.Q6_K
	}
	if k%256 != 0 {
		switch t {
		case gguf.Q4_K:
			return gguf.Q5_0
		case gguf.Q6_K:
			return gguf.Q8_0
		}
	}
	return t
}

// model makes a file with random weights of a usual size, unless it is there, and returns its path and how
// many bytes of weights an answer's token takes.
func model(dir, name, kind string) (path string, weights int64, err error) {
	sh, ok := shapes[name]
	if !ok || !slices.Contains(kinds, kind) {
		return "", 0, fmt.Errorf("shape %q, type %q: want one of %v and of %v", name, kind, shapeNames, kinds)
	}
	head := sh.dim / sh.heads
	var tensors []gguf.Tensor
	layer := 0
	matrix := func(name string, k, n int) {
		prefix := ""
		if name != "token_embd" {
			prefix = fmt.Sprintf("blk.%d.", layer)
		}
		t := gguf.Tensor{Name: prefix + name + ".weight", Type: typeOf(kind, name, layer, sh.layers, k), Shape: []int{k, n}}
		values, size := t.Type.Block()
		weights += int64(t.Values() / values * size)
		tensors = append(tensors, t)
	}
	vector := func(name string, n int) {
		tensors = append(tensors, gguf.Tensor{Name: name, Type: gguf.F32, Shape: []int{n}})
	}
	matrix("token_embd", sh.dim, sh.vocab)
	vector("output_norm.weight", sh.dim)
	for layer = range sh.layers {
		b := fmt.Sprintf("blk.%d.", layer)
		vector(b+"attn_norm.weight", sh.dim)
		matrix("attn_q", sh.dim, sh.dim)
		matrix("attn_k", sh.dim, sh.kv*head)
		matrix("attn_v", sh.dim, sh.kv*head)
		if sh.bias {
			vector(b+"attn_q.bias", sh.dim)
			vector(b+"attn_k.bias", sh.kv*head)
			vector(b+"attn_v.bias", sh.kv*head)
		}
		matrix("attn_output", sh.dim, sh.dim)
		vector(b+"ffn_norm.weight", sh.dim)
		matrix("ffn_gate", sh.dim, sh.ff)
		matrix("ffn_up", sh.dim, sh.ff)
		matrix("ffn_down", sh.ff, sh.dim)
	}
	path = filepath.Join(dir, "bench-"+name+"-"+kind+".gguf")
	if _, err := os.Stat(path); err == nil {
		return path, weights, nil
	}
	meta := []gguf.KeyValue{
		{Key: "general.architecture", Value: sh.arch}, {Key: "general.name", Value: name},
		{Key: sh.arch + ".block_count", Value: uint32(sh.layers)}, {Key: sh.arch + ".context_length", Value: uint32(8192)},
		{Key: sh.arch + ".embedding_length", Value: uint32(sh.dim)}, {Key: sh.arch + ".feed_forward_length", Value: uint32(sh.ff)},
		{Key: sh.arch + ".attention.head_count", Value: uint32(sh.heads)}, {Key: sh.arch + ".attention.head_count_kv", Value: uint32(sh.kv)},
		{Key: sh.arch + ".rope.dimension_count", Value: uint32(head)}, {Key: sh.arch + ".rope.freq_base", Value: sh.base},
		{Key: sh.arch + ".attention.layer_norm_rms_epsilon", Value: float32(1e-5)}, {Key: sh.arch + ".vocab_size", Value: uint32(sh.vocab)},
	}
	meta = append(meta, vocabulary(sh.vocab)...)
	f, err := os.CreateTemp(dir, "bench-*.tmp")
	if err != nil {
		return "", 0, err
	}
	defer os.Remove(f.Name())
	rng := rand.New(rand.NewPCG(1, 1))
	err = gguf.Write(f, meta, tensors, func(w io.Writer, t gguf.Tensor) error { return random(w, t, rng) })
	if err := errors.Join(err, f.Close()); err != nil {
		return "", 0, err
	}
	return path, weights, os.Rename(f.Name(), path)
}

// vocabulary is one of made-up words, since other programs want one.
func vocabulary(n int) []gguf.KeyValue {
	var tokens []string
	for r := rune(0x21); len(tokens) < 256; r++ {
		if r < 0x7f || r >= 0xa1 && r != 0xad && r < 0x144 {
			tokens = append(tokens, string(r))
		}
	}
	for i := len(tokens); i < n; i++ {
		tokens = append(tokens, fmt.Sprintf("w%d", i))
	}
	tokens[256] = "ab"
	types := slices.Repeat([]int32{1}, n)
	types[n-1] = 3
	return []gguf.KeyValue{
		{Key: "tokenizer.ggml.model", Value: "gpt2"}, {Key: "tokenizer.ggml.pre", Value: "smollm"}, {Key: "tokenizer.ggml.tokens", Value: tokens},
		{Key: "tokenizer.ggml.token_type", Value: types}, {Key: "tokenizer.ggml.merges", Value: []string{"a b"}},
		{Key: "tokenizer.ggml.bos_token_id", Value: uint32(n - 1)}, {Key: "tokenizer.ggml.eos_token_id", Value: uint32(n - 1)},
	}
}

// halves are where a block has its f16 scale and minimum, and the scale that gives values a spread of about
// 0.02.
var halves = map[gguf.Type]struct {
	at    []int
	scale uint16
}{
	gguf.Q8_0: {[]int{0}, 0x0900}, gguf.Q4_0: {[]int{0}, 0x1c00}, gguf.Q5_0: {[]int{0}, 0x1800},
	gguf.Q4_K: {[]int{0, 2}, 0x0900}, gguf.Q6_K: {[]int{208}, 0x0010},
}

func random(w io.Writer, t gguf.Tensor, rng *rand.Rand) error {
	values, size := t.Type.Block()
	data := make([]byte, t.Values()/values*size, t.Values()/values*size+8)
	if t.Type == gguf.F32 {
		for i := 0; i < len(data); i += 4 {
			binary.LittleEndian.PutUint32(data[i:], 0x3f800000) // 1
		}
	} else {
		for i := 0; i < len(data); i += 8 {
			binary.LittleEndian.PutUint64(data[i:i+8], rng.Uint64())
		}
		h := halves[t.Type]
		for b := 0; b < len(data); b += size {
			for _, at := range h.at {
				binary.LittleEndian.PutUint16(data[b+at:], h.scale)
			}
		}
	}
	_, err := w.Write(data)
	return err
}
