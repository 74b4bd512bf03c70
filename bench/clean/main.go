// Command clean measures the filters of docent/ingest/clean on real text and on text spoilt on purpose.
//
//	go run ./bench/clean -dir DIR [-v]
//	go run ./bench/clean -files DIR [-v]
//
// The second form reads the files of a folder and prints how many of their blocks would be dropped.
//
// DIR holds folders in BEIR layout. It prints, for each corpus: how many real passages the quality filter
// would drop, how many of the same passages are dropped after being spoilt in each of several ways, the
// distribution of the similarity of signatures between a passage and an edited copy, and between
// passages that differ, and how often each kind of private data is found. It exits with 1 when more than
// -max of the real passages would be dropped.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"

	"docent/ingest"
	"docent/ingest/clean"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "parse-worker" { // see judgeFiles
		if err := ingest.Worker(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	dir := flag.String("dir", "../shared/data", "folder of corpora")
	most := flag.Float64("max", 0.1, "share of real passages, in percent, that may be dropped")
	verbose := flag.Bool("v", false, "print the real passages that would be dropped")
	files := flag.String("files", "", "folder of files whose blocks are judged, instead of corpora")
	pairs := flag.Bool("pairs", false, "print the table of common letter pairs for quality.go, and end")
	flag.Parse()
	if *pairs {
		if err := printPairs(*dir); err != nil {
			fmt.Fprintln(os.Stderr, "clean:", err)
			os.Exit(1)
		}
		return
	}
	if *files != "" {
		if err := judgeFiles(*files, *verbose); err != nil {
			fmt.Fprintln(os.Stderr, "clean:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(*dir, *most, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "clean:", err)
		os.Exit(1)
	}
}

func run(dir string, most float64, verbose bool) error {
	files, err := filepath.Glob(filepath.Join(dir, "*", "corpus.jsonl"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no corpora in %s", dir)
	}
	dropped, total := 0, 0
	for _, file := range files {
		texts, err := read(file)
		if err != nil {
			return err
		}
		d := judge(filepath.Base(filepath.Dir(file)), texts, verbose)
		dropped, total = dropped+d, total+len(texts)
	}
	share := 100 * float64(dropped) / float64(total)
	fmt.Printf("real passages dropped: %d of %d (%.3f %%)\n", dropped, total, share)
	if share > most {
		return fmt.Errorf("%.3f %% of the real passages would be dropped, the limit is %g %%", share, most)
	}
	return nil
}

// printPairs counts pairs of letters within the words of English passages and prints, for each first
// letter, a bit for each second one that follows it in at least one pair of 4,000.
func printPairs(dir string) error {
	var count [26][26]int
	total := 0
	for _, name := range []string{"squad2-public", "hotpotqa-dev200", "cranfield"} {
		texts, err := read(filepath.Join(dir, name, "corpus.jsonl"))
		if err != nil {
			return err
		}
		for _, t := range texts {
			last := -1
			for _, r := range strings.ToLower(t) {
				letter := int(r - 'a')
				if letter < 0 || letter >= 26 {
					last = -1
					continue
				}
				if last >= 0 {
					count[last][letter]++
					total++
				}
				last = letter
			}
		}
	}
	all := 0
	for _, row := range count {
		mask := uint32(0)
		for b, n := range row {
			if n*4000 >= total {
				mask |= 1 << b
				all++
			}
		}
		fmt.Printf("%#07x, ", mask)
	}
	fmt.Printf("\n%d pairs\n", all)
	return nil
}

func read(file string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var texts []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var row struct{ Text string }
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return nil, err
		}
		if strings.TrimSpace(row.Text) != "" {
			texts = append(texts, row.Text)
		}
	}
	return texts, lines.Err()
}

func judge(name string, texts []string, verbose bool) (dropped int) {
	bytes := 0
	private := map[string]int{}
	start := time.Now()
	for _, t := range texts {
		bytes += len(t)
		if why := clean.Judge(t); why != "" {
			dropped++
			if verbose {
				fmt.Printf("  %s: %.300q\n", why, t)
			}
		}
	}
	judged := time.Since(start)
	start = time.Now()
	for _, t := range texts {
		for _, p := range clean.FindPrivate(t) {
			private[p.Kind]++
			if verbose {
				fmt.Printf("  %s: %q\n", p.Kind, t[p.Start:p.End])
			}
		}
	}
	searched := time.Since(start)
	mb := float64(bytes) / 1e6
	fmt.Printf("%s: %d passages, %.1f MB; dropped %d; private %v; judged at %.0f MB/s, searched for private data at %.0f MB/s\n",
		name, len(texts), mb, dropped, private, mb/judged.Seconds(), mb/searched.Seconds())
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range spoilers {
		n, of := 0, 0
		for _, t := range texts[:min(len(texts), 500)] {
			if spoilt := s.spoil(rng, t); spoilt != "" {
				of++
				if clean.Judge(spoilt) != "" {
					n++
				}
			}
		}
		if of > 0 {
			fmt.Printf("  %-28s %5.1f %% of %d found\n", s.name, 100*float64(n)/float64(of), of)
		}
	}
	near(rng, texts)
	return dropped
}

var spoilers = []struct {
	name  string
	spoil func(*rand.Rand, string) string
}{
	{"UTF-8 read as Windows-1252", func(_ *rand.Rand, t string) string {
		if plain(t) {
			return ""
		}
		s, err := charmap.Windows1252.NewDecoder().String(t)
		if err != nil {
			return ""
		}
		return s
	}},
	{"UTF-8 read as GBK", func(_ *rand.Rand, t string) string {
		if plain(t) {
			return ""
		}
		s, _ := simplifiedchinese.GB18030.NewDecoder().String(t)
		return s
	}},
	{"letters shuffled", func(rng *rand.Rand, t string) string {
		if !plain(t) {
			return ""
		}
		var letters []rune
		for _, r := range t {
			if r != ' ' {
				letters = append(letters, 'a'+rune(rng.IntN(26)))
			} else {
				letters = append(letters, r)
			}
		}
		return string(letters)
	}},
	{"marks as from a picture", func(rng *rand.Rand, t string) string {
		marks := []rune("|.,;:'\"~-_=+*/\\()[]{}<>!°§«»—il1 ")
		out := make([]rune, 0, 300)
		for range min(len([]rune(t)), 300) {
			out = append(out, marks[rng.IntN(len(marks))])
			if rng.IntN(3) == 0 {
				out = append(out, ' ')
			}
			if rng.IntN(12) == 0 {
				out = append(out, 'a'+rune(rng.IntN(26)))
			}
		}
		return string(out)
	}},
	{"list of links", func(rng *rand.Rand, t string) string {
		words := strings.Fields(t)
		var out []string
		for i := range min(len(words), 12) {
			out = append(out, words[i], fmt.Sprintf("https://www.shop%d.example.com/p/%d", rng.IntN(1000), rng.IntN(1e6)))
		}
		if len(out) < 12 {
			return ""
		}
		return strings.Join(out, " ")
	}},
}

func plain(t string) bool {
	high := 0
	for i := range len(t) {
		if t[i] >= 0x80 {
			high++
		}
	}
	return high*10 < len(t)
}

// near compares passages with copies of which one word (or character) in every n is another.
func near(rng *rand.Rand, texts []string) {
	var sigs []clean.Signature
	for _, t := range texts[:min(len(texts), 1000)] {
		if s, ok := clean.Sign(t); ok {
			sigs = append(sigs, s)
		}
	}
	for _, n := range []int{100, 50, 20} {
		var same []float64
		for _, t := range texts[:min(len(texts), 1000)] {
			a, ok := clean.Sign(t)
			if !ok {
				continue
			}
			b, _ := clean.Sign(edited(rng, t, n))
			same = append(same, a.Similarity(b))
		}
		slices.Sort(same)
		fmt.Printf("  one word in %-3d changed: similarity %.2f at least, %.2f median; found as near duplicate %.1f %%\n",
			n, same[0], same[len(same)/2], 100*above(same, clean.NearDuplicateFrom))
	}
	most, over := 0.0, 0
	for i := range sigs {
		for j := range i {
			s := sigs[i].Similarity(sigs[j])
			most = max(most, s)
			if s >= clean.NearDuplicateFrom {
				over++
			}
		}
	}
	fmt.Printf("  pairs of different passages: similarity %.2f at most; %d pairs of %d called near duplicates\n", most, over, len(sigs)*(len(sigs)-1)/2)
}

func above(sorted []float64, limit float64) float64 {
	i, _ := slices.BinarySearch(sorted, limit)
	return float64(len(sorted)-i) / float64(len(sorted))
}

func edited(rng *rand.Rand, t string, n int) string {
	if plain(t) {
		words := strings.Fields(t)
		for i := range words {
			if rng.IntN(n) == 0 {
				words[i] = fmt.Sprintf("changed%d", rng.IntN(1000))
			}
		}
		return strings.Join(words, " ")
	}
	out := []rune(t)
	for i := range out {
		if rng.IntN(n) == 0 {
			out[i] = 0x4e00 + rune(rng.IntN(5000))
		}
	}
	return string(out)
}
