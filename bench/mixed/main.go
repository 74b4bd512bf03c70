// Command mixed measures how much of real documents of many kinds docent reads.
//
//	go run ./bench/mixed -dir DIR [-v]
//
// DIR holds expectations.json: a list of {"file", "must_contain": [...]}, files relative to DIR. Every file
// is read in a worker process, as the server does. A string is found when it is part of the text once both
// are in NFKC and without white space and invisible characters. It prints the share found by kind of file
// and in all, what is missing, and the time taken; it exits with 1 below -min, or when a worker is lost.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/unicode/norm"

	"docent/ingest"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "parse-worker" {
		if err := ingest.Worker(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	dir := flag.String("dir", "../shared/data/mixed-docs", "folder with expectations.json")
	workers := flag.Int("j", runtime.NumCPU(), "files read at once")
	least := flag.Float64("min", 99, "share of strings, in percent, that must be found")
	verbose := flag.Bool("v", false, "print a line per file")
	flag.Parse()
	if err := run(*dir, *workers, *least, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "mixed:", err)
		os.Exit(1)
	}
}

type expectation struct {
	File        string   `json:"file"`
	MustContain []string `json:"must_contain"`
}

type outcome struct {
	missing []string
	err     error
	took    time.Duration
	format  string
}

func run(dir string, workers int, least float64, verbose bool) error {
	raw, err := os.ReadFile(filepath.Join(dir, "expectations.json"))
	if err != nil {
		return err
	}
	var files []expectation
	if err := json.Unmarshal(raw, &files); err != nil {
		return fmt.Errorf("expectations.json: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ex, err := ingest.NewExtractor(ingest.ExtractorConfig{Worker: []string{self, "parse-worker"}, Workers: workers, Timeout: time.Minute})
	if err != nil {
		return err
	}
	defer ex.Close()
	start := time.Now()
	outcomes := make([]outcome, len(files))
	var wg sync.WaitGroup
	slots := make(chan struct{}, workers)
	for i, f := range files {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			began := time.Now()
			doc, err := ex.Extract(context.Background(), ingest.File{Path: filepath.Join(dir, f.File)})
			o := outcome{err: err, took: time.Since(began), missing: f.MustContain}
			if err == nil {
				o.missing, o.format = missing(doc.Text, f.MustContain), doc.Format
			}
			outcomes[i] = o
		})
	}
	wg.Wait()
	type count struct{ files, found, total int }
	kinds := map[string]*count{}
	var all count
	lost := 0
	for i, f := range files {
		o := outcomes[i]
		kind := strings.TrimPrefix(filepath.Ext(f.File), ".")
		if kinds[kind] == nil {
			kinds[kind] = &count{}
		}
		for _, c := range []*count{kinds[kind], &all} {
			c.files++
			c.total += len(f.MustContain)
			c.found += len(f.MustContain) - len(o.missing)
		}
		if errors.Is(o.err, ingest.ErrCrashed) || errors.Is(o.err, ingest.ErrTimeout) {
			lost++
		}
		switch {
		case o.err != nil:
			fmt.Printf("%s: %v\n", f.File, o.err)
		case verbose:
			fmt.Printf("%s: %s, %v\n", f.File, o.format, o.took.Round(time.Millisecond))
		}
		for _, m := range o.missing {
			fmt.Printf("%s: not found: %q\n", f.File, m)
		}
	}
	names := make([]string, 0, len(kinds))
	for k := range kinds {
		names = append(names, k)
	}
	slices.Sort(names)
	fmt.Printf("%-6s %6s %8s %8s\n", "kind", "files", "strings", "found")
	for _, k := range names {
		c := kinds[k]
		fmt.Printf("%-6s %6d %8d %8d\n", k, c.files, c.total, c.found)
	}
	share := 100 * float64(all.found) / float64(max(all.total, 1))
	fmt.Printf("%-6s %6d %8d %8d (%.1f %%) in %v\n", "all", all.files, all.total, all.found, share, time.Since(start).Round(10*time.Millisecond))
	if lost > 0 {
		return fmt.Errorf("%d files crashed a worker or ran out of time", lost)
	}
	if share < least {
		return fmt.Errorf("%.1f %% found, want %g %%", share, least)
	}
	return nil
}

func missing(text string, want []string) []string {
	text = comparable(strings.ReplaceAll(text, `\|`, "|")) // tables escape their bars
	var out []string
	for _, w := range want {
		if !strings.Contains(text, comparable(w)) {
			out = append(out, w)
		}
	}
	return out
}

// comparable drops what does not count: white space, invisible characters, compatibility forms.
func comparable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r <= ' ', r == 0x85, r == 0xa0, r == 0xad, r == 0x1680, r >= 0x2000 && r <= 0x200f, r >= 0x2028 && r <= 0x202f,
			r == 0x205f, r >= 0x2066 && r <= 0x2069, r == 0x3000, r == 0xfeff:
			return -1
		}
		return r
	}, norm.NFKC.String(s))
}
