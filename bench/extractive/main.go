// Command extractive measures the answerer that works without a language model: of questions whose
// passage is among the eight retrieved, how often it quotes that passage, how often a sentence it picks
// holds the answer, and how often it declines, where it should (the passages hold no answer) and where
// it should not.
//
//	go run ./bench/extractive -data ../shared/data
//	go run ./bench/extractive -data ../shared/data -n 500 -dump features.jsonl && python3 bench/extractive/fit.py features.jsonl
//
// Collections are chunked, embedded and searched as docent does it. Four kinds of questions should be
// declined: "without" takes the right passages out of what is retrieved; "elsewhere" asks the question of
// a collection about other things; "unanswerable" are those of SQuAD 2, written to look answerable by
// the passage they are asked of. The sample corpus and its questions are a report: nothing is fitted to
// them.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"docent/chunker"
	"docent/embed"
	"docent/examples"
	"docent/ingest"
	"docent/internal/beir"
	"docent/internal/llm"
	"docent/internal/prose"
	"docent/retriever"
)

// elsewhere is the collection, by language, that knows nothing of the questions of the others.
var elsewhere = map[string]string{"en": "rgb-en-fact", "zh": "rgb-zh-fact"}

const topK = 8

type bench struct {
	data  string
	store *retriever.Store
	enc   *embed.Encoder
	split *chunker.Recursive
	x     *llm.Extractive
	dump  *json.Encoder
}

func main() {
	log.SetFlags(0)
	data := flag.String("data", "../shared/data", "folder of the collections")
	sets := flag.String("sets", "squad2-public,xquad-en,hotpotqa-dev200,xquad-zh,drcd-dev,sample", "collections, comma separated; sample is the sample corpus")
	limit := flag.Int("n", 0, "questions a collection, drawn with a fixed seed; 0 means all")
	dump := flag.String("dump", "", "file to write every candidate and its evidence to, as JSON lines")
	keywords := flag.Bool("keywords", false, "leave the encoder out of the answerer (not of the search)")
	work := flag.String("work", "", "folder to keep the embedded collections in; empty means a temporary one")
	flag.Parse()
	if err := run(*data, *sets, *dump, *work, *limit, *keywords); err != nil {
		log.Fatal(err)
	}
}

func run(data, sets, dump, work string, limit int, keywords bool) (err error) {
	ctx := context.Background()
	b := &bench{data: data}
	if work == "" {
		if work, err = os.MkdirTemp("", "docent-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(work)
	}
	if b.enc, err = embed.Builtin(); err != nil {
		return err
	}
	if b.store, err = retriever.Open(ctx, retriever.Config{Dir: work, Encoder: b.enc}); err != nil {
		return err
	}
	defer b.store.Close()
	if b.split, err = chunker.NewRecursive(b.enc, chunker.RecursiveConfig{}); err != nil {
		return err
	}
	b.x = llm.NewExtractive(b.enc)
	if keywords {
		b.x = llm.NewExtractive(nil)
	}
	if dump != "" {
		f, err := os.Create(dump)
		if err != nil {
			return err
		}
		w := bufio.NewWriter(f)
		defer func() { err = errors.Join(err, w.Flush(), f.Close()) }()
		b.dump = json.NewEncoder(w)
	}
	fmt.Println("| collection | questions, right passage in 8 | it is quoted | answer in a picked sentence | in the first | wrongly declined | declined: without | elsewhere | unanswerable | p50 ms | p95 ms |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|")
	for name := range strings.SplitSeq(sets, ",") {
		if err := b.measure(ctx, name, limit); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// A question is one of a collection, with what answers it.
type question struct {
	id, text     string
	documents    map[string]bool // that answer it, by path
	answers      []string        // none on record: any passage of the documents is right
	unanswerable bool
}

func (b *bench) measure(ctx context.Context, name string, limit int) error {
	questions, err := b.questions(name)
	if err != nil {
		return err
	}
	if limit > 0 && limit < len(questions) {
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(questions), func(i, j int) { questions[i], questions[j] = questions[j], questions[i] })
		questions = questions[:limit]
	}
	if err := b.fill(ctx, name); err != nil {
		return err
	}
	other := elsewhere[prose.Language(questions[0].text)]
	if err := b.fill(ctx, other); err != nil {
		return err
	}
	var quoted, held, first, declined, without, apart, tricked rate
	var took []time.Duration
	for _, q := range questions {
		// As many again stand in for those that are taken out.
		hits, err := b.store.Search(ctx, name, q.text, retriever.TopK(2*topK))
		if err != nil {
			return err
		}
		isRight := func(h retriever.Hit) bool {
			return q.documents[h.Document.Path] && (len(q.answers) == 0 || holds(h.Chunk.Text, q.answers))
		}
		top := hits[:min(topK, len(hits))]
		if !q.unanswerable && !slices.ContainsFunc(top, isRight) {
			continue
		}
		start := time.Now()
		picked, err := b.x.SelectFrom(ctx, q.text, passages(top))
		if err != nil {
			return err
		}
		took = append(took, time.Since(start))
		if q.unanswerable {
			tricked.add(len(picked) == 0)
			if err := b.record(ctx, name, "unanswerable", q, top, isRight); err != nil {
				return err
			}
			continue
		}
		declined.add(len(picked) == 0)
		quoted.add(slices.ContainsFunc(picked, func(s llm.Sentence) bool { return isRight(top[s.Passage]) }))
		if len(q.answers) > 0 {
			says := func(s llm.Sentence) bool {
				return isRight(top[s.Passage]) && holds(top[s.Passage].Chunk.Text[s.Start:s.End], q.answers)
			}
			held.add(slices.ContainsFunc(picked, says))
			first.add(len(picked) > 0 && says(picked[0]))
		}
		if err := b.record(ctx, name, "right", q, top, isRight); err != nil {
			return err
		}
		rest := slices.DeleteFunc(slices.Clone(hits), func(h retriever.Hit) bool { return q.documents[h.Document.Path] })
		rest = rest[:min(topK, len(rest))]
		far, err := b.store.Search(ctx, other, q.text, retriever.TopK(topK))
		if err != nil {
			return err
		}
		for _, c := range []struct {
			name string
			hits []retriever.Hit
			rate *rate
		}{{"without", rest, &without}, {"elsewhere", far, &apart}} {
			picked, err := b.x.SelectFrom(ctx, q.text, passages(c.hits))
			if err != nil {
				return err
			}
			c.rate.add(len(picked) == 0)
			if err := b.record(ctx, name, c.name, q, c.hits, func(retriever.Hit) bool { return false }); err != nil {
				return err
			}
		}
	}
	slices.Sort(took)
	if len(took) == 0 {
		return errors.New("no question has its passage among those found")
	}
	fmt.Printf("| %s | %d | %s | %s | %s | %s | %s | %s | %s | %.1f | %.1f |\n", name, declined.of, quoted, held, first, declined,
		without, apart, tricked, ms(took[len(took)/2]), ms(took[len(took)*95/100]))
	return nil
}

// record writes the evidence for every sentence of one case.
func (b *bench) record(ctx context.Context, set, kind string, q question, hits []retriever.Hit, isRight func(retriever.Hit) bool) error {
	if b.dump == nil {
		return nil
	}
	type sentence struct {
		Passage  int          `json:"passage"`
		Text     string       `json:"text"`
		Right    bool         `json:"right"`  // its passage holds the answer
		Answer   bool         `json:"answer"` // it holds the answer itself
		Score    float64      `json:"score"`
		Features llm.Features `json:"features"`
	}
	ranked, err := b.x.Rank(ctx, q.text, passages(hits))
	if err != nil {
		return err
	}
	out := make([]sentence, len(ranked))
	for i, c := range ranked {
		text := hits[c.Passage].Chunk.Text[c.Start:c.End]
		right := isRight(hits[c.Passage])
		out[i] = sentence{c.Passage, text, right, right && len(q.answers) > 0 && holds(text, q.answers), c.Score, c.Features}
	}
	return b.dump.Encode(map[string]any{"set": set, "kind": kind, "id": q.id, "question": q.text, "answers": len(q.answers), "sentences": out})
}

// passages are the hits as the chain hands them over.
func passages(hits []retriever.Hit) []llm.Passage {
	out := make([]llm.Passage, len(hits))
	for i, h := range hits {
		out[i] = llm.Passage{Text: h.Chunk.Text, Similarity: h.DenseScore,
			Context: cmp.Or(h.Chunk.Context, strings.Join(append([]string{h.Document.Title}, h.Chunk.Headings...), "\n"))}
	}
	return out
}

// A rate counts how often something is so.
type rate struct{ n, of int }

func (r *rate) add(yes bool) {
	r.of++
	if yes {
		r.n++
	}
}

func (r rate) String() string {
	if r.of == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3f", float64(r.n)/float64(r.of))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// holds reports whether text has one of the answers, white space and case aside.
func holds(text string, answers []string) bool {
	text = fold(text)
	return slices.ContainsFunc(answers, func(a string) bool { return strings.Contains(text, fold(a)) })
}

func fold(s string) string {
	return strings.ToLower(norm.NFKC.String(strings.Join(strings.Fields(s), " ")))
}

func (b *bench) questions(name string) ([]question, error) {
	var out []question
	if name == "sample" {
		for _, q := range examples.Questions() {
			out = append(out, question{id: q.ID, text: q.Question, documents: map[string]bool{q.Document: true}, answers: []string{q.Expected}})
		}
		return out, nil
	}
	set, err := beir.Load(filepath.Join(b.data, name))
	if err != nil {
		return nil, err
	}
	for _, q := range set.Queries {
		if q.Expected == nil {
			continue
		}
		right := map[string]bool{}
		for id := range q.Relevant {
			right[id] = true
		}
		out = append(out, question{id: q.ID, text: q.Text, documents: right, answers: q.Expected.Answers, unanswerable: q.Expected.Unanswerable})
	}
	return out, nil
}

// fill makes the collection of that name, unless it is there.
func (b *bench) fill(ctx context.Context, name string) error {
	if _, err := b.store.Collection(ctx, name); !errors.Is(err, retriever.ErrNotFound) {
		return err
	}
	if _, err := b.store.CreateCollection(ctx, name); err != nil {
		return err
	}
	if name == "sample" {
		return b.ingest(ctx, name)
	}
	set, err := beir.Load(filepath.Join(b.data, name))
	if err != nil {
		return err
	}
	return set.Index(ctx, b.store, name, b.split, nil)
}

// ingest reads the sample corpus as a user's folder is read.
func (b *bench) ingest(ctx context.Context, name string) error {
	ex, err := ingest.NewExtractor(ingest.ExtractorConfig{})
	if err != nil {
		return err
	}
	defer ex.Close()
	dir, err := os.MkdirTemp("", "docent-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, examples.FS()); err != nil {
		return err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	p := ingest.NewPipeline(b.store, ex, b.split, ingest.PipelineConfig{})
	for _, f := range files {
		if _, err := p.Ingest(ctx, name, ingest.Item{Path: f.Name(), File: filepath.Join(dir, f.Name())}, nil); err != nil {
			return err
		}
	}
	return nil
}
