// Command agree compares greedy continuations with llama.cpp's: of each golden file of the engine, 64 tokens
// after its prompt.
//
//	npm i --prefix /tmp/peer node-llama-cpp@3.22.1 @node-llama-cpp/linux-x64@3.22.1 --omit=optional --ignore-scripts
//	cp bench/llm/agree/peer.mjs /tmp/peer && go run ./bench/llm/agree -peer "node /tmp/peer/peer.mjs"
//
// llama.cpp does not run files without a vocabulary, so both read a copy that has one of as many tokens and,
// since llama.cpp knows of none in a file of the architecture llama, no sliding window there; the weights stay
// as they are. docent answers twice, with activations in float32 (exact) and as by default. Where the answers
// part, it prints how far the two tokens' logits are from each other in docent.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"docent/internal/llm/engine"
	"docent/internal/llm/gguf"
)

func main() {
	log.SetFlags(0)
	peer := flag.String("peer", "", "command that runs peer.mjs; required")
	data := flag.String("data", "internal/llm/engine/testdata", "folder of golden files")
	flag.Parse()
	if *peer == "" {
		log.Fatal("-peer is missing: it runs llama.cpp, as the comment of this command tells")
	}
	if err := run(strings.Fields(*peer), *data); err != nil {
		log.Fatal(err)
	}
}

func run(peer []string, data string) error {
	dir, err := os.MkdirTemp("", "agree")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	paths, err := filepath.Glob(filepath.Join(data, "*.golden"))
	if err != nil {
		return err
	}
	same, total := 0, 0
	for _, path := range paths {
		if strings.HasSuffix(path, ".lora.golden") || strings.HasPrefix(filepath.Base(path), "t5") {
			continue // the peer does not run encoders
		}
		file := filepath.Join(dir, strings.TrimSuffix(filepath.Base(path), ".golden")+".gguf")
		if err := withVocabulary(file, strings.TrimSuffix(path, ".golden")+".gguf"); err != nil {
			return err
		}
		prompt, steps, err := readPrompt(path)
		if err != nil {
			return err
		}
		theirs, err := continueWithPeer(peer, file, prompt, steps)
		if err != nil {
			return err
		}
		total++
		agreed := true
		for _, exact := range []bool{true, false} {
			verdict, err := compare(file, prompt, theirs, exact)
			if err != nil {
				return err
			}
			agreed = agreed && verdict == ""
			mode := "by default"
			if exact {
				mode = "exact"
			}
			if verdict != "" {
				fmt.Printf("%-20s %s: %s\n", strings.TrimSuffix(filepath.Base(file), ".gguf"), mode, verdict)
			}
		}
		if agreed {
			same++
			fmt.Printf("%-20s the same %d tokens\n", strings.TrimSuffix(filepath.Base(file), ".gguf"), len(theirs))
		}
		os.Remove(file)
	}
	fmt.Printf("%d of %d files: the same tokens as llama.cpp, exact and by default\n", same, total)
	return nil
}

// continueWithPeer runs llama.cpp; each file has a process of its own, since llama.cpp ends it where it refuses a file.
func continueWithPeer(peer []string, file string, prompt []int32, steps int) ([]int32, error) {
	request, err := json.Marshal(map[string]any{"file": file, "prompt": prompt, "steps": steps})
	if err != nil {
		return nil, err
	}
	var out, stderr strings.Builder
	cmd := exec.Command(peer[0], peer[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(string(request)+"\n"), &out, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: llama.cpp: %w: %s", file, err, reason(stderr.String()))
	}
	var tokens []int32
	if err := json.Unmarshal([]byte(out.String()), &tokens); err != nil {
		return nil, fmt.Errorf("%s: llama.cpp: %w: %s", file, err, reason(stderr.String()))
	}
	return tokens, nil
}

// compare says where docent's answer and theirs part, or nothing if they do not.
func compare(file string, prompt, theirs []int32, exact bool) (string, error) {
	ctx := context.Background()
	m, err := engine.Open(file, engine.Config{Exact: exact, Cache: engine.CacheF32, Threads: 2})
	if err != nil {
		return "", err
	}
	defer m.Close()
	var ours []int32
	if _, err := m.GenerateIDs(ctx, prompt, engine.Options{MaxTokens: len(theirs), IgnoreEnd: true}, func(id int32) (bool, error) {
		ours = append(ours, id)
		return true, nil
	}); err != nil {
		return "", err
	}
	if slices.Equal(ours, theirs) {
		return "", nil
	}
	at := 0
	for at < min(len(ours), len(theirs)) && ours[at] == theirs[at] {
		at++
	}
	if at == len(ours) || at == len(theirs) {
		return fmt.Sprintf("%d and %d tokens", len(ours), len(theirs)), nil
	}
	logits, err := m.Next(ctx, append(slices.Clone(prompt), ours[:at]...))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("the same up to token %d, where docent's %d and llama.cpp's %d are %.4f apart", at, ours[at], theirs[at], logits[ours[at]]-logits[theirs[at]]), nil
}

// reason is the line of what a program said that tells most.
func reason(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for _, line := range lines {
		if strings.Contains(line, "rror") {
			return line
		}
	}
	return lines[len(lines)-1]
}

// readPrompt reads the beginning of a golden file.
func readPrompt(path string) (prompt []int32, steps int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	var head [3]uint32
	if err := binary.Read(in, binary.LittleEndian, &head); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	if head[0] > 1<<16 {
		return nil, 0, fmt.Errorf("%s: a prompt of %d tokens", path, head[0])
	}
	prompt = make([]int32, head[0])
	if err := binary.Read(in, binary.LittleEndian, prompt); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	return prompt, int(head[1]), nil
}

// withVocabulary copies a model, without the window that llama.cpp knows nothing of, and gives it a
// vocabulary of made-up words.
func withVocabulary(dst, src string) (err error) {
	f, err := gguf.Open(src)
	if err != nil {
		return err
	}
	defer f.Close()
	embeds, ok := f.Tensor("token_embd.weight")
	if !ok || len(embeds.Shape) != 2 {
		return fmt.Errorf("%s: there are no embeddings", src)
	}
	tokens := []string{"<unk>", "<s>", "</s>", "a", "b", "ab", "<|endoftext|>"}
	types := []int32{2, 3, 3, 1, 1, 1, 3}
	for i := len(tokens); i < embeds.Shape[1]; i++ {
		tokens, types = append(tokens, fmt.Sprintf("w%d", i)), append(types, 1)
	}
	var meta []gguf.KeyValue
	for _, key := range f.Keys() {
		if !strings.HasPrefix(key, "tokenizer.") && key != "llama.attention.sliding_window" {
			v, _ := f.Value(key)
			meta = append(meta, gguf.KeyValue{Key: key, Value: v})
		}
	}
	meta = append(meta, []gguf.KeyValue{
		{Key: "tokenizer.ggml.model", Value: "gpt2"}, {Key: "tokenizer.ggml.tokens", Value: tokens},
		{Key: "tokenizer.ggml.merges", Value: []string{"a b"}}, {Key: "tokenizer.ggml.token_type", Value: types},
		{Key: "tokenizer.ggml.bos_token_id", Value: uint32(1)}, {Key: "tokenizer.ggml.eos_token_id", Value: uint32(2)},
	}...)
	out, err := os.Create(dst)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	return gguf.Write(out, meta, f.Tensors, func(io.Writer, gguf.Tensor) error { return errors.New("a tensor has no data") })
}
