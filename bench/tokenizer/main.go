// Command tokenizer compares the speed of docent's tokenizers with Hugging Face's Rust library, each on
// one thread, in turns on the same texts with the same tokenizer.json files. Figures are of processor
// time, and both sides are called once for each text; the numbers of tokens must be equal.
//
//	go run ./bench/tokenizer -python python3 -texts ../shared/data
//
// Python needs tokenizers and sentencepiece. The tokenizers, of 32,000 entries, are trained on the texts
// first, which takes a minute; -dir keeps them.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"docent/internal/tokenizer"
)

var families = []string{"wordpiece", "gpt2", "llama3", "qwen2", "llama2", "unigram", "xlmr"}

func main() {
	log.SetFlags(0)
	python := flag.String("python", "python3", "interpreter with tokenizers and sentencepiece")
	data := flag.String("texts", "../shared/data", "folder of BEIR collections")
	dir := flag.String("dir", "", "folder for the trained tokenizers; empty means a temporary one")
	rounds := flag.Int("rounds", 5, "rounds; figures are medians")
	only := flag.String("family", "", "measure only this one")
	flag.Parse()
	if err := run(*python, *data, *dir, *only, *rounds); err != nil {
		log.Fatal(err)
	}
}

func run(python, data, dir, only string, rounds int) error {
	texts := map[string][]string{}
	for name, collections := range map[string][]string{"english": {"squad2-public", "hotpotqa-dev200"}, "chinese": {"drcd-dev", "xquad-zh"}} {
		for _, c := range collections {
			list, err := corpus(filepath.Join(data, c, "corpus.jsonl"))
			if err != nil {
				return err
			}
			texts[name] = append(texts[name], list...)
		}
	}
	if dir == "" {
		temp, err := os.MkdirTemp("", "docent-bench-tokenizer-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temp)
		dir = temp
	}
	file := filepath.Join(dir, "texts.json.tmp")
	encoded, err := json.Marshal(texts)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, encoded, 0o644); err != nil {
		return err
	}
	const script = "bench/tokenizer/huggingface.py"
	if _, err := os.Stat(filepath.Join(dir, "wordpiece.json")); err != nil {
		train := exec.Command(python, script, "train", file, dir)
		train.Stderr = os.Stderr
		if err := train.Run(); err != nil {
			return fmt.Errorf("train: %w", err)
		}
	}
	serve := exec.Command(python, script, "serve", file, dir)
	serve.Stderr = os.Stderr
	in, err := serve.StdinPipe()
	if err != nil {
		return err
	}
	out, err := serve.StdoutPipe()
	if err != nil {
		return err
	}
	if err := serve.Start(); err != nil {
		return err
	}
	defer func() {
		in.Close()
		serve.Wait()
	}()
	answers := bufio.NewReader(out)
	if _, err := answers.ReadString('\n'); err != nil {
		return err
	}
	fmt.Printf("%-10s %-8s %12s %12s %8s\n", "family", "text", "docent MB/s", "rust MB/s", "ratio")
	for _, family := range families {
		if only != "" && only != family {
			continue
		}
		f, err := os.ReadFile(filepath.Join(dir, family+".json"))
		if err != nil {
			return err
		}
		tok, err := tokenizer.ParseJSON(f)
		if err != nil {
			return fmt.Errorf("%s: %w", family, err)
		}
		for _, name := range []string{"english", "chinese"} {
			size := 0
			for _, t := range texts[name] {
				size += len(t)
			}
			var ours, theirs []float64
			for round := range rounds + 1 {
				start := cpuTime()
				n := 0
				var tokens []tokenizer.Token
				for _, t := range texts[name] {
					tokens = tok.Append(tokens[:0], t, -1)
					n += len(tokens)
				}
				mine := (cpuTime() - start).Seconds()
				fmt.Fprintln(in, family, name)
				var seconds float64
				var count int
				if _, err := fmt.Fscanln(answers, &seconds, &count); err != nil {
					return err
				}
				if count != n {
					return fmt.Errorf("%s, %s: %d tokens, the Rust library has %d", family, name, n, count)
				}
				if round > 0 { // the first warms up
					ours, theirs = append(ours, mine), append(theirs, seconds)
				}
			}
			a, b := median(ours), median(theirs)
			fmt.Printf("%-10s %-8s %12.1f %12.1f %8.1f\n", family, name, float64(size)/a/1e6, float64(size)/b/1e6, b/a)
		}
	}
	return nil
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

func corpus(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var texts []string
	for d := json.NewDecoder(f); d.More(); {
		var doc struct{ Title, Text string }
		if err := d.Decode(&doc); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		texts = append(texts, strings.TrimSpace(doc.Title+"\n"+doc.Text))
	}
	return texts, nil
}
