// Command llm measures the language model engine: tokens a second read (prefill) and written (decode),
// on a file of a real model's shape with random weights, which it makes. With -peer it runs another
// program on the same file in turn, so that both meet the same machine.
//
//	go run ./bench/llm -type Q8_0
//	npm i --prefix /tmp/peer node-llama-cpp@3.22.1 @node-llama-cpp/linux-x64@3.22.1 --omit=optional --ignore-scripts
//	cp bench/llm/peer.mjs /tmp/peer && go run ./bench/llm -type Q8_0 -peer "node /tmp/peer/peer.mjs"
//
// The peer gets FILE THREADS PREFILL DECODE as arguments and prints a line of JSON like {"prefill": 1.5,
// "decode": 2.5}, in tokens a second.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"docent/internal/llm/engine"
	"docent/internal/llm/gguf"
	"docent/internal/tensor"
)

// shape is that of a llama model.
type shape struct{ layers, dim, ff, heads, kv, vocab int }

var shapes = map[string]shape{
	"smollm2-135m": {30, 576, 1536, 9, 3, 49152},
	"llama-3.2-1b": {16, 2048, 8192, 32, 8, 128256},
}

// speed is in tokens a second.
type speed struct {
	Prefill float64 `json:"prefill"`
	Decode  float64 `json:"decode"`
}

func main() {
	log.SetFlags(0)
	name := flag.String("shape", "smollm2-135m", "smollm2-135m or llama-3.2-1b")
	kind := flag.String("type", "Q8_0", "Q8_0 or Q4_0")
	dir := flag.String("dir", os.TempDir(), "where the model file is made")
	prefill := flag.Int("prefill", 512, "tokens of the prompt")
	decode := flag.Int("decode", 64, "tokens of the answer, which begins after 128")
	rounds := flag.Int("rounds", 5, "how often")
	threads := flag.Int("threads", runtime.GOMAXPROCS(0), "of both programs")
	peer := flag.String("peer", "", "command to compare with")
	flag.Parse()

	path, err := file(*dir, *name, *kind)
	if err != nil {
		log.Fatal(err)
	}
	ours, theirs := []speed{}, []speed{}
	for range *rounds {
		s, err := run(path, *threads, *prefill, *decode)
		if err != nil {
			log.Fatal(err)
		}
		ours = append(ours, s)
		fmt.Printf("docent  prefill %7.1f  decode %6.1f tokens/s\n", s.Prefill, s.Decode)
		if *peer == "" {
			continue
		}
		args := append(strings.Fields(*peer), path, strconv.Itoa(*threads), strconv.Itoa(*prefill), strconv.Itoa(*decode))
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			log.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &s); err != nil {
			log.Fatalf("peer: %v: %s", err, out)
		}
		theirs = append(theirs, s)
		fmt.Printf("peer    prefill %7.1f  decode %6.1f tokens/s\n", s.Prefill, s.Decode)
	}
	p, d := median(ours)
	fmt.Printf("%s %s, %d threads, %s: docent's medians: prefill %.1f, decode %.1f tokens/s", *name, *kind, *threads, tensor.Level(), p, d)
	if len(theirs) > 0 {
		pp, dd := median(theirs)
		fmt.Printf("; peer's: %.1f, %.1f; ratios %.2f, %.2f", pp, dd, p/pp, d/dd)
	}
	fmt.Println()
}

func median(s []speed) (prefill, decode float64) {
	mid := func(of func(speed) float64) float64 {
		x := make([]float64, len(s))
		for i := range s {
			x[i] = of(s[i])
		}
		slices.SortFunc(x, cmp.Compare[float64])
		return x[len(x)/2]
	}
	return mid(func(s speed) float64 { return s.Prefill }), mid(func(s speed) float64 { return s.Decode })
}

func run(path string, threads, prefill, decode int) (speed, error) {
	m, err := engine.Open(path, engine.Config{Threads: threads, Context: 2048})
	if err != nil {
		return speed{}, err
	}
	defer m.Close()
	prompt := func(n, seed int) []int32 {
		ids := make([]int32, n)
		for i := range ids {
			ids[i] = int32(300 + (i*7919+seed*104729)%10000)
		}
		return ids
	}
	goOn := func(int32) (bool, error) { return true, nil }
	var s speed
	ctx := context.Background()
	if _, err := m.GenerateIDs(ctx, prompt(16, 1), engine.Options{MaxTokens: 4}, goOn); err != nil { // pages in
		return s, err
	}
	res, err := m.GenerateIDs(ctx, prompt(prefill, 2), engine.Options{MaxTokens: 1}, goOn)
	if err != nil {
		return s, err
	}
	s.Prefill = float64(prefill) / res.PromptTime.Seconds()
	// The first token comes with the prompt.
	res, err = m.GenerateIDs(ctx, prompt(128, 3), engine.Options{MaxTokens: decode + 1}, goOn)
	if err != nil {
		return s, err
	}
	s.Decode = float64(decode) / res.Time.Seconds()
	return s, nil
}

// file makes a model with random weights of a usual size, unless it is there.
func file(dir, name, kind string) (string, error) {
	sh, ok := shapes[name]
	if !ok {
		return "", fmt.Errorf("shape %q is not known", name)
	}
	typ, ok := map[string]gguf.Type{"Q8_0": gguf.Q8_0, "Q4_0": gguf.Q4_0}[kind]
	if !ok {
		return "", fmt.Errorf("type %q: want Q8_0 or Q4_0", kind)
	}
	path := filepath.Join(dir, "bench-"+name+"-"+kind+".gguf")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	head := sh.dim / sh.heads
	var tensors []gguf.Tensor
	add := func(name string, t gguf.Type, shape ...int) {
		tensors = append(tensors, gguf.Tensor{Name: name, Type: t, Shape: shape})
	}
	add("token_embd.weight", gguf.Q8_0, sh.dim, sh.vocab) // as llama.cpp's own Q4_0 files keep it wider
	add("output_norm.weight", gguf.F32, sh.dim)
	for i := range sh.layers {
		b := fmt.Sprintf("blk.%d.", i)
		add(b+"attn_norm.weight", gguf.F32, sh.dim)
		add(b+"attn_q.weight", typ, sh.dim, sh.dim)
		add(b+"attn_k.weight", typ, sh.dim, sh.kv*head)
		add(b+"attn_v.weight", typ, sh.dim, sh.kv*head)
		add(b+"attn_output.weight", typ, sh.dim, sh.dim)
		add(b+"ffn_norm.weight", gguf.F32, sh.dim)
		add(b+"ffn_gate.weight", typ, sh.dim, sh.ff)
		add(b+"ffn_up.weight", typ, sh.dim, sh.ff)
		add(b+"ffn_down.weight", typ, sh.ff, sh.dim)
	}
	meta := []gguf.KeyValue{
		{Key: "general.architecture", Value: "llama"}, {Key: "general.name", Value: name},
		{Key: "llama.block_count", Value: uint32(sh.layers)}, {Key: "llama.context_length", Value: uint32(8192)},
		{Key: "llama.embedding_length", Value: uint32(sh.dim)}, {Key: "llama.feed_forward_length", Value: uint32(sh.ff)},
		{Key: "llama.attention.head_count", Value: uint32(sh.heads)}, {Key: "llama.attention.head_count_kv", Value: uint32(sh.kv)},
		{Key: "llama.rope.dimension_count", Value: uint32(head)}, {Key: "llama.rope.freq_base", Value: float32(100000)},
		{Key: "llama.attention.layer_norm_rms_epsilon", Value: float32(1e-5)}, {Key: "llama.vocab_size", Value: uint32(sh.vocab)},
	}
	meta = append(meta, vocabulary(sh.vocab)...)
	f, err := os.CreateTemp(dir, "bench-*.tmp")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	rng := rand.New(rand.NewPCG(1, 1))
	err = gguf.Write(f, meta, tensors, func(w io.Writer, t gguf.Tensor) error { return random(w, t, rng) })
	if err := errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	return path, os.Rename(f.Name(), path)
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

func random(w io.Writer, t gguf.Tensor, rng *rand.Rand) error {
	values, size := t.Type.Block()
	data := make([]byte, t.Values()/values*size)
	for b := 0; b < len(data); b += size {
		block := data[b : b+size]
		if t.Type == gguf.F32 {
			copy(block, []byte{0, 0, 0x80, 0x3f}) // 1
			continue
		}
		for i := 2; i < size; i++ {
			block[i] = byte(rng.Uint32())
		}
		scale := uint16(0x0a00) // a spread of about 0.02
		if t.Type == gguf.Q4_0 {
			scale = 0x1c00
		}
		block[0], block[1] = byte(scale), byte(scale>>8)
	}
	_, err := w.Write(data)
	return err
}
