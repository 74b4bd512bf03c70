// Command extractive measures the answerer that works without a language model: of questions whose
// passage is among the eight retrieved, how often a sentence it picks holds the answer, and how often
// it declines, where it should (the passages hold no answer) and where it should not.
//
//	go run ./bench/extractive -data ../shared/data
//	go run ./bench/extractive -data ../shared/data -dump features.jsonl && python3 bench/extractive/fit.py features.jsonl
//
// Retrieval is plain BM25 over titles and texts. "no gold" takes the right passage out of the eight, so
// that nothing should be quoted; the true unanswerable questions are those of SQuAD 2, written to look
// answerable by the passage they are asked of.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"docent/internal/llm"
	"docent/internal/prose"
)

type entry struct {
	ID      string   `json:"_id"`
	Title   string   `json:"title"`
	Text    string   `json:"text"`
	Answers []string `json:"answers"`

	Unanswerable bool `json:"unanswerable"`
}

func main() {
	log.SetFlags(0)
	data := flag.String("data", "../shared/data", "folder of the collections")
	sets := flag.String("sets", "squad2-public,xquad-en,xquad-zh,drcd-dev", "collections, comma separated")
	limit := flag.Int("n", 0, "questions a collection, drawn with a fixed seed; 0 means all")
	dump := flag.String("dump", "", "file to write every candidate and its evidence to, as JSON lines")
	keywords := flag.Bool("keywords", false, "leave the encoder out")
	flag.Parse()

	var enc llm.Encoder
	if !*keywords {
		enc = builtin()
	}
	x := llm.NewExtractive(enc)
	var out *json.Encoder
	if *dump != "" {
		f, err := os.Create(*dump)
		if err != nil {
			log.Fatal(err)
		}
		w := bufio.NewWriter(f)
		defer func() {
			if err := cmp.Or(w.Flush(), f.Close()); err != nil {
				log.Fatal(err)
			}
		}()
		out = json.NewEncoder(w)
	}
	fmt.Println("| collection | questions, right passage in 8 | answer in a picked sentence | in the first | wrongly declined | no gold: declined | unanswerable: declined | p50 ms | p95 ms |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|")
	for name := range strings.SplitSeq(*sets, ",") {
		measure(x, filepath.Join(*data, name), *limit, out)
	}
}

func measure(x *llm.Extractive, dir string, limit int, dump *json.Encoder) {
	ctx := context.Background()
	corpus, queries := load(dir, "corpus.jsonl"), load(dir, "queries.jsonl")
	answers := map[string][]string{}
	unanswerable := map[string]bool{}
	for _, a := range load(dir, "answers.jsonl") {
		answers[a.ID] = a.Answers
		unanswerable[a.ID] = a.Unanswerable
	}
	gold := qrels(dir)
	index := newBM25(corpus)
	if limit > 0 && limit < len(queries) {
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(queries), func(i, j int) { queries[i], queries[j] = queries[j], queries[i] })
		queries = queries[:limit]
	}
	var asked, held, first, silent, without, withoutSilent, trick, trickSilent int
	var took []time.Duration
	for _, q := range queries {
		top := index.search(q.Text, 9)
		var passages []llm.Passage
		right := -1
		for i, d := range top[:min(8, len(top))] {
			if gold[q.ID][corpus[d].ID] {
				right = i
			}
			passages = append(passages, llm.Passage{Text: corpus[d].Text, Context: corpus[d].Title})
		}
		if len(passages) == 0 || !unanswerable[q.ID] && (right < 0 || len(answers[q.ID]) == 0) {
			continue // nothing retrieved, or no answer on record to look for
		}
		start := time.Now()
		picked, err := x.SelectFrom(ctx, q.Text, passages)
		if err != nil {
			log.Fatal(err)
		}
		took = append(took, time.Since(start))
		if dump != nil {
			ranked, err := x.Rank(ctx, q.Text, passages)
			if err != nil {
				log.Fatal(err)
			}
			for _, c := range ranked {
				text := passages[c.Passage].Text[c.Start:c.End]
				dump.Encode(map[string]any{"set": filepath.Base(dir), "q": q.ID, "question": q.Text, "text": text, "passage": c.Passage,
					"features": c.Features, "score": c.Score, "answerable": !unanswerable[q.ID], "gold": c.Passage == right,
					"label": c.Passage == right && holds(text, answers[q.ID])})
			}
		}
		if unanswerable[q.ID] {
			trick++
			if len(picked) == 0 {
				trickSilent++
			}
			continue
		}
		asked++
		if len(picked) == 0 {
			silent++
		}
		for i, s := range picked {
			if holds(passages[s.Passage].Text[s.Start:s.End], answers[q.ID]) {
				held++
				if i == 0 {
					first++
				} else if holds(passages[picked[0].Passage].Text[picked[0].Start:picked[0].End], answers[q.ID]) {
					first++
				}
				break
			}
		}
		rest := slices.Delete(slices.Clone(passages), right, right+1)
		if len(top) > 8 {
			rest = append(rest, llm.Passage{Text: corpus[top[8]].Text, Context: corpus[top[8]].Title})
		}
		picked, err = x.SelectFrom(ctx, q.Text, rest)
		if err != nil {
			log.Fatal(err)
		}
		without++
		if len(picked) == 0 {
			withoutSilent++
		}
	}
	slices.Sort(took)
	tricked := "–"
	if trick > 0 {
		tricked = fmt.Sprintf("%.3f of %d", share(trickSilent, trick), trick)
	}
	fmt.Printf("| %s | %d | %.3f | %.3f | %.3f | %.3f | %s | %.1f | %.1f |\n", filepath.Base(dir), asked, share(held, asked),
		share(first, asked), share(silent, asked), share(withoutSilent, without), tricked,
		ms(took[len(took)/2]), ms(took[len(took)*95/100]))
}

func share(n, of int) float64    { return float64(n) / float64(max(1, of)) }
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
func fold(s string) string {
	return strings.ToLower(norm.NFKC.String(strings.Join(strings.Fields(s), " ")))
}
func holds(text string, answers []string) bool {
	text = fold(text)
	return slices.ContainsFunc(answers, func(a string) bool { return strings.Contains(text, fold(a)) })
}

func load(dir, name string) []entry {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	var out []entry
	d := json.NewDecoder(f)
	for d.More() {
		var e entry
		if err := d.Decode(&e); err != nil {
			log.Fatalf("%s/%s: %v", dir, name, err)
		}
		out = append(out, e)
	}
	return out
}

func qrels(dir string) map[string]map[string]bool {
	b, err := os.ReadFile(filepath.Join(dir, "qrels", "test.tsv"))
	if err != nil {
		log.Fatal(err)
	}
	out := map[string]map[string]bool{}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) == 3 && f[2] != "0" && f[2] != "score" {
			if out[f[0]] == nil {
				out[f[0]] = map[string]bool{}
			}
			out[f[0]][f[1]] = true
		}
	}
	return out
}

// bm25 is the plain ranking of Robertson & Zaragoza 2009 with k1 = 1.2 and b = 0.75.
type bm25 struct {
	postings map[string][][2]int
	length   []float64
	mean     float64
}

func newBM25(corpus []entry) *bm25 {
	x := &bm25{postings: map[string][][2]int{}}
	for i, e := range corpus {
		counts := map[string]int{}
		terms := prose.Terms(e.Title + "\n" + e.Text)
		for _, t := range terms {
			counts[t]++
		}
		for t, n := range counts {
			x.postings[t] = append(x.postings[t], [2]int{i, n})
		}
		x.length = append(x.length, float64(len(terms)))
		x.mean += float64(len(terms)) / float64(len(corpus))
	}
	return x
}

func (x *bm25) search(query string, k int) []int {
	scores := map[int]float64{}
	for _, t := range prose.QuestionTerms(query) {
		p := x.postings[t]
		idf := math.Log(1 + (float64(len(x.length)-len(p))+0.5)/(float64(len(p))+0.5))
		for _, d := range p {
			f := float64(d[1])
			scores[d[0]] += idf * f * 2.2 / (f + 1.2*(0.25+0.75*x.length[d[0]]/x.mean))
		}
	}
	out := make([]int, 0, len(scores))
	for d := range scores {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b int) int { return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(a, b)) })
	return out[:min(k, len(out))]
}
