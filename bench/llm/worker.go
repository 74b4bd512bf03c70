package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	"docent/internal/llm/engine"
)

// serve is docent's side of a comparison: it reads commands, one a line, and answers with how many seconds
// each took. The peer understands the same.
//
//	prefill N SEED          reads N tokens
//	decode CONTEXT N        reads a context, which may be known already, then writes N tokens: these are timed
//	concurrent K N SEED     K requests at once read 32 tokens each, not shared, and write N
//	first N SEED M SEED2    the time to the first token of a prompt of N tokens of one seed and M of another
//
// With a profile, that file gets where processor time goes, from the second command on.
func serve(path string, threads int, profile string) error {
	m, err := engine.Open(path, engine.Config{Threads: threads, Context: contextTokens, CacheTokens: 2 * contextTokens, Parallel: 8})
	if err != nil {
		return err
	}
	defer m.Close()
	out := json.NewEncoder(os.Stdout)
	in := bufio.NewScanner(os.Stdin)
	for n := 0; in.Scan(); n++ {
		if n == 1 && profile != "" {
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
		seconds, err := execute(m, in.Text())
		if err != nil {
			return fmt.Errorf("%s: %w", in.Text(), err)
		}
		if err := out.Encode(map[string]float64{"seconds": seconds}); err != nil {
			return err
		}
	}
	return in.Err()
}

func execute(m *engine.Model, command string) (float64, error) {
	var op string
	var arg [4]int
	if _, err := fmt.Sscan(command, &op, &arg[0], &arg[1], &arg[2], &arg[3]); err != nil && err != io.EOF && err.Error() != "unexpected newline" {
		return 0, err
	}
	generate := func(prompt []int32, tokens int, emit func()) (engine.Result, error) {
		return m.GenerateIDs(context.Background(), prompt, engine.Options{MaxTokens: tokens, NoGuesses: true}, func(int32) (bool, error) {
			emit()
			return true, nil
		})
	}
	nothing := func() {}
	switch op {
	case "prefill":
		start := time.Now()
		_, err := generate(prompt(arg[0], arg[1]), 1, nothing)
		return time.Since(start).Seconds(), err
	case "decode":
		// The first token comes with the prompt.
		res, err := generate(prompt(arg[0], 1), arg[1]+1, nothing)
		return res.Time.Seconds(), err
	case "concurrent":
		var wait sync.WaitGroup
		errs := make([]error, arg[0])
		start := time.Now()
		for i := range arg[0] {
			wait.Go(func() { _, errs[i] = generate(prompt(32, arg[2]+i), arg[1], nothing) })
		}
		wait.Wait()
		i := slices.IndexFunc(errs, func(err error) bool { return err != nil })
		if i >= 0 {
			return 0, errs[i]
		}
		return time.Since(start).Seconds(), nil
	case "first":
		start, seconds := time.Now(), 0.0
		_, err := generate(append(prompt(arg[0], arg[1]), prompt(arg[2], arg[3])...), 1, func() { seconds = time.Since(start).Seconds() })
		return seconds, err
	}
	return 0, fmt.Errorf("not a command")
}

// prompt is n tokens that depend on the seed.
func prompt(n, seed int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(300 + (i*7919+seed*104729+i*i%97*seed)%40000)
	}
	return ids
}
