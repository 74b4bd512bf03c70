// Command pdf measures how well docent reads PDF files, against poppler's pdftotext.
//
//	go run ./bench/pdf -dir DIR [-v] [FILE...]
//
// For every .pdf in DIR it runs pdftotext and docent's own reader, in worker processes as the server
// does, and compares their tokens. A token is, after NFKC and case folding, one character of Chinese,
// Japanese or Korean, or a run of other letters, digits and underscores. F1 counts equal tokens
// regardless of order. It prints panics, hangs, the memory of the worst worker, the share of files
// with text in which text was found, and the mean and median F1, for all files and for CJK ones; and how
// many pages were left out as garbled, and with -v what pdftotext finds on each.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"docent/ingest"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "parse-worker" {
		err := ingest.Worker(context.Background(), os.Stdin, os.Stdout)
		reportPeak()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	dir := flag.String("dir", "../shared/data/pdfs", "folder of PDF files")
	cache := flag.String("cache", "", "cache folder of the PDF engine; empty is the user's")
	timeout := flag.Duration("timeout", 20*time.Second, "limit for one file")
	workers := flag.Int("j", runtime.NumCPU(), "files read at once")
	verbose := flag.Bool("v", false, "print a line per file")
	perFile := flag.Bool("mem", false, "a new worker for every file, to measure its memory alone (slow)")
	flag.Parse()
	if err := run(*dir, *cache, *timeout, *workers, *verbose, *perFile, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "pdf:", err)
		os.Exit(1)
	}
}

// A result is what came out for one file.
type result struct {
	name     string
	want     int // tokens of pdftotext; -1 when it failed
	cjk      bool
	got      int
	f1       float64
	err      error
	took     time.Duration
	engines  string
	missing  []string
	extra    []string
	warnings []string
	pages    int
	garbled  []string // a page each: its number, and what pdftotext finds on it
}

func run(dir, cache string, timeout time.Duration, workers int, verbose, perFile bool, only []string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.pdf"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no PDF files in %s", dir)
	}
	if _, err := exec.LookPath("pdftotext"); err != nil {
		return errors.New("pdftotext is not installed (Debian: poppler-utils)")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	peaks, err := os.MkdirTemp("", "pdf-peaks-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(peaks)
	os.Setenv("DOCENT_BENCH_PEAKS", peaks)
	cfg := ingest.ExtractorConfig{Worker: []string{self, "parse-worker"}, Workers: workers, Timeout: timeout, CacheDir: cache}
	shared, err := ingest.NewExtractor(cfg)
	if err != nil {
		return err
	}
	tokens := knownTokens(dir)
	results := make([]result, len(files))
	var wg sync.WaitGroup
	next := make(chan int)
	start := time.Now()
	for range workers {
		wg.Go(func() {
			for i := range next {
				ex := shared
				if perFile {
					ex, _ = ingest.NewExtractor(cfg)
				}
				results[i] = measure(ex, files[i], tokens)
				if perFile {
					ex.Close()
				}
			}
		})
	}
	for i, f := range files {
		if len(only) > 0 && !slices.ContainsFunc(only, func(o string) bool { return strings.Contains(f, o) }) {
			results[i].want = -2
			continue
		}
		next <- i
	}
	close(next)
	wg.Wait()
	took := time.Since(start)
	shared.Close()
	results = slices.DeleteFunc(results, func(r result) bool { return r.want == -2 })
	report(results, took, verbose, peaks)
	return nil
}

func knownTokens(dir string) map[string]*int {
	raw, err := os.ReadFile(filepath.Join(dir, "tokens.json"))
	if err != nil {
		return nil
	}
	var m map[string]*int
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	return m
}

func measure(ex *ingest.Extractor, file string, known map[string]*int) result {
	r := result{name: filepath.Base(file)}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "pdftotext", "-enc", "UTF-8", file, "-").Output()
	var want []string
	if err != nil {
		r.want = -1
	} else {
		want = tokenize(string(out))
		r.want = len(want)
	}
	if k, ok := known[r.name]; ok && k != nil && r.want >= 0 && *k != r.want {
		fmt.Fprintf(os.Stderr, "%s: %d tokens here, %d in tokens.json\n", r.name, r.want, *k)
	}
	cjk := 0
	for _, t := range want {
		if isCJKToken(t) {
			cjk++
		}
	}
	r.cjk = r.want > 0 && cjk*5 >= r.want
	began := time.Now()
	doc, err := ex.Extract(context.Background(), ingest.File{Path: file})
	r.took = time.Since(began)
	r.err = err
	var got []string
	if doc != nil {
		got = tokenize(doc.Text)
		r.engines = doc.Metadata["engine"]
		r.warnings = doc.Warnings
		r.pages = len(doc.Pages)
		for _, p := range doc.GarbledPages {
			r.garbled = append(r.garbled, garbledPage(ctx, file, p))
		}
	} else if errors.Is(err, ingest.ErrNoText) && strings.Contains(err.Error(), "garbled") {
		r.garbled = append(r.garbled, garbledPage(ctx, file, 1))
	}
	r.got = len(got)
	r.f1, r.missing, r.extra = f1(want, got)
	return r
}

// garbledPage is what pdftotext finds on a page.
func garbledPage(ctx context.Context, file string, page int) string {
	out, _ := exec.CommandContext(ctx, "pdftotext", "-enc", "UTF-8", "-f", strconv.Itoa(page), "-l", strconv.Itoa(page), file, "-").Output()
	return fmt.Sprintf("page %d: %.300q", page, out)
}

func f1(want, got []string) (float64, []string, []string) {
	count := map[string]int{}
	for _, t := range want {
		count[t]++
	}
	same := 0
	var extra, missing []string
	for _, t := range got {
		if count[t] > 0 {
			count[t]--
			same++
		} else {
			extra = append(extra, t)
		}
	}
	for _, t := range want {
		if count[t] > 0 {
			count[t]--
			missing = append(missing, t)
		}
	}
	if len(want)+len(got) == 0 {
		return 1, nil, nil
	}
	return 2 * float64(same) / float64(len(want)+len(got)), missing, extra
}

var fold = cases.Fold()

func isCJKToken(t string) bool {
	for _, r := range t {
		return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul)
	}
	return false
}

func tokenize(s string) []string {
	s = fold.String(norm.NFKC.String(s))
	var out []string
	start := -1
	flush := func(end int) {
		if start >= 0 {
			out = append(out, s[start:end])
			start = -1
		}
	}
	for i, r := range s {
		switch {
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) || r == 0x30fc:
			flush(i)
			out = append(out, string(r))
		case r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r):
			if start < 0 {
				start = i
			}
		default:
			flush(i)
		}
	}
	flush(len(s))
	return out
}

func report(results []result, took time.Duration, verbose bool, peaks string) {
	var all, cjk []float64
	var withText, found, hangs, crashes, failed int
	slices.SortFunc(results, func(a, b result) int { return cmp.Compare(a.f1, b.f1) })
	engines := map[string]int{}
	pages, garbled := 0, 0
	for _, r := range results {
		pages, garbled = pages+r.pages, garbled+len(r.garbled)
		if verbose {
			for _, g := range r.garbled {
				fmt.Printf("garbled %s %s\n", r.name, g)
			}
		}
		if errors.Is(r.err, ingest.ErrTimeout) {
			hangs++
		}
		if errors.Is(r.err, ingest.ErrCrashed) {
			crashes++
		}
		if r.err != nil {
			failed++
		}
		engines[r.engines]++
		if r.want >= 5 {
			withText++
			if r.got > 0 {
				found++
			}
			all = append(all, r.f1)
			if r.cjk {
				cjk = append(cjk, r.f1)
			}
		}
		if verbose {
			fmt.Printf("%.3f want %d got %d %v %s cjk=%v %s err=%v\n", r.f1, r.want, r.got, r.took.Round(time.Millisecond), r.engines, r.cjk, r.name, r.err)
			if r.want >= 5 && r.f1 < 0.98 {
				fmt.Printf("      missing %.200q\n      extra   %.200q\n", r.missing, r.extra)
			}
		}
	}
	fmt.Printf("files %d in %v (%.1f a second); engines %v\n", len(results), took.Round(time.Millisecond), float64(len(results))/took.Seconds(), engines)
	fmt.Printf("panics %d, hangs %d, errors %d\n", crashes, hangs, failed)
	fmt.Printf("text found in %d of %d files with text (%.2f%%)\n", found, withText, 100*float64(found)/float64(max(1, withText)))
	fmt.Printf("garbled pages %d; pages with or without text %d\n", garbled, pages)
	fmt.Printf("token F1 mean %.4f median %.4f over %d files\n", mean(all), median(all), len(all))
	fmt.Printf("CJK mean %.4f over %d files\n", mean(cjk), len(cjk))
	if worst := worstPeak(peaks); worst > 0 {
		fmt.Printf("largest worker: %d MiB resident at its peak\n", worst)
	}
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(max(1, len(v)))
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// reportPeak leaves the peak of this worker's resident memory for the parent to read.
func reportPeak() {
	dir := os.Getenv("DOCENT_BENCH_PEAKS")
	raw, err := os.ReadFile("/proc/self/status")
	if dir == "" || err != nil {
		return
	}
	for line := range strings.Lines(string(raw)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			_ = os.WriteFile(filepath.Join(dir, strconv.Itoa(os.Getpid())), []byte(strings.Fields(v)[0]), 0o600)
		}
	}
}

func worstPeak(dir string) int {
	worst := 0
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		raw, _ := os.ReadFile(filepath.Join(dir, e.Name()))
		kib, _ := strconv.Atoi(string(raw))
		worst = max(worst, kib>>10)
	}
	return worst
}
