// Command hugot is the part of knights-analytics/hugot's Go backend in the comparison that ../compare.py
// runs, by the protocol of ../main.go. It is a module of its own, so that docent's needs none of it.
//
//	hugot TEXTS.json MODEL_DIR
//
// The folder holds tokenizer.json, config.json and model.onnx, as compare.py lays them. Batches are of 32
// texts sorted by length, as the other engines have them.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/knights-analytics/hugot"
	"github.com/knights-analytics/hugot/pipelines"
)

const batch = 32

func main() {
	log.SetFlags(0)
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(texts, model string) error {
	data, err := os.ReadFile(texts)
	if err != nil {
		return err
	}
	var workloads map[string][]string
	if err := json.Unmarshal(data, &workloads); err != nil {
		return fmt.Errorf("%s: %w", texts, err)
	}
	session, err := hugot.NewGoSession()
	if err != nil {
		return err
	}
	defer session.Destroy()
	p, err := hugot.NewPipeline(session, hugot.FeatureExtractionConfig{ModelPath: model, Name: "encoder", OnnxFilename: "model.onnx",
		Options: []hugot.FeatureExtractionOption{pipelines.WithNormalization()}})
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(map[string]any{"model": "hugot", "version": version(), "threads": runtime.GOMAXPROCS(0), "go": runtime.Version()}); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		list := workloads[lines.Text()]
		wall, used := time.Now(), processTime()
		first, err := encode(p, list)
		if err != nil {
			return err
		}
		if err := out.Encode(map[string]any{"cpu": (processTime() - used).Seconds(), "wall": time.Since(wall).Seconds(), "head": first[:4]}); err != nil {
			return err
		}
	}
	return lines.Err()
}

// encode embeds texts and returns the vector of the first.
func encode(p *pipelines.FeatureExtractionPipeline, texts []string) (first []float32, err error) {
	order := make([]int, len(texts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(texts[b]) - len(texts[a]) })
	for part := range slices.Chunk(order, batch) {
		list := make([]string, len(part))
		for i, at := range part {
			list[i] = texts[at]
		}
		got, err := p.RunPipeline(list)
		if err != nil {
			return nil, err
		}
		if i := slices.Index(part, 0); i >= 0 {
			first = got.Embeddings[i]
		}
	}
	return first, nil
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/knights-analytics/hugot" {
			return "hugot " + m.Version
		}
	}
	return ""
}

// processTime is the processor time of all threads.
func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
