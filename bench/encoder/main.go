// Command encoder is docent's part of the comparison that compare.py runs: it loads one encoder, says
// what it loaded on a line of standard output, and then, for each line of standard input that names a
// workload of the texts file, embeds that workload's texts once and answers with the seconds it took,
// by the clock and of processor time.
//
//	go build -o /tmp/bench-encoder ./bench/encoder
//	/tmp/bench-encoder -texts texts.json -model builtin
//	python bench/encoder/compare.py -h
//
// The workloads "peak-f32" and "peak-int8" multiply matrices that stay in the first-level cache, on all
// cores: the most that the kernels of package tensor reach on the machine.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"

	"docent/embed"
	"docent/internal/tensor"
)

type answer struct {
	Wall float64 `json:"wall"`           // seconds
	CPU  float64 `json:"cpu"`            // seconds of all threads
	Ops  float64 `json:"ops,omitempty"`  // multiplications and additions, of the peak workloads
	Head any     `json:"head,omitempty"` // the first vector's first values, to see that all compute one thing
}

func main() {
	log.SetFlags(0)
	texts := flag.String("texts", "", "JSON file: an object of workloads, each a list of texts")
	model := flag.String("model", "builtin", "a checkpoint's folder, or builtin")
	bf16 := flag.Bool("bf16", false, "round a float32 checkpoint to bfloat16")
	profile := flag.String("cpuprofile", "", "write a CPU profile of the runs to this file")
	flag.Parse()
	if err := run(*texts, *model, *bf16, *profile); err != nil {
		log.Fatal(err)
	}
}

func run(texts, model string, bf16 bool, profile string) error {
	data, err := os.ReadFile(texts)
	if err != nil {
		return err
	}
	var workloads map[string][]string
	if err := json.Unmarshal(data, &workloads); err != nil {
		return fmt.Errorf("%s: %w", texts, err)
	}
	var opts []embed.Option
	if bf16 {
		opts = append(opts, embed.BF16())
	}
	enc, err := embed.New(model, opts...)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(map[string]any{"model": enc.Name(), "kernels": tensor.Level(), "threads": runtime.GOMAXPROCS(0), "go": runtime.Version()}); err != nil {
		return err
	}
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	ctx := context.Background()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var a answer
		wall, cpu := time.Now(), processTime()
		switch name := lines.Text(); name {
		case "peak-f32":
			a.Ops = peak(mulF32)
		case "peak-int8":
			a.Ops = peak(mulInt8)
		default:
			list, ok := workloads[name]
			if !ok {
				return fmt.Errorf("%s has no workload %q", texts, name)
			}
			vectors, err := enc.EmbedDocuments(ctx, list)
			if err != nil {
				return err
			}
			a.Head = vectors[0][:4]
		}
		a.CPU, a.Wall = (processTime() - cpu).Seconds(), time.Since(wall).Seconds()
		if err := out.Encode(a); err != nil {
			return err
		}
	}
	return lines.Err()
}

// peak runs a multiplication for some 20 ms on every core and returns the operations done.
func peak(mul func() (once func(), ops float64)) float64 {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		total float64
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			once, ops := mul()
			n := 0
			for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); n++ {
				once()
			}
			mu.Lock()
			defer mu.Unlock()
			total += float64(n) * ops
		})
	}
	wg.Wait()
	return total
}

// The shapes: as many rows as several tiles have, one panel of weights, 16 kB of it.

func mulF32() (func(), float64) {
	const m, n, k = 56, 32, 128
	w, x, dst := tensor.PackF32(make([]float32, n*k), n, k), make([]float32, m*k), make([]float32, m*n)
	return func() {
		for range 50 {
			w.Mul(dst, n, x, k, m, nil, 0, w.Panels())
		}
	}, 50 * 2 * m * n * k
}

func mulInt8() (func(), float64) {
	const m, n, k = 56, 32, 512
	w, dst := tensor.PackInt8(make([]byte, n*k), make([]float32, n), nil, n, k), make([]float32, m*n)
	var q tensor.Quantised
	q.Set(make([]float32, m*k), k, m, k, nil)
	return func() {
		for range 50 {
			w.Mul(dst, n, &q, 0, w.Panels())
		}
	}, 50 * 2 * m * n * k
}
