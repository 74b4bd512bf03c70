package beir_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"docent/chunker"
	"docent/embed"
	"docent/internal/beir"
	"docent/internal/keyword"
	"docent/retriever"
)

func testdata(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("DOCENT_TESTDATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no evaluation data; point DOCENT_TESTDATA at a folder of BEIR sets")
	}
	return dir
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func small(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "small")
	write(t, dir, map[string]string{
		"corpus.jsonl": `{"_id":"1","title":"Leave","text":"Twenty days a year."}
{"_id":"2","title":"Pumps","text":"They need oil."}
`,
		"queries.jsonl":  `{"_id":"q1","text":"days of leave"}` + "\n" + `{"_id":"q2","text":"oil for a pump"}` + "\n" + `{"_id":"q3","text":"not judged"}`,
		"qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\t1\t1\r\nq2\t2\t2\nq2\t1\t0\nunknown\t1\t1\n",
	})
	return dir
}

func TestEvaluate(t *testing.T) {
	ctx := t.Context()
	set, err := beir.Load(small(t))
	if err != nil {
		t.Fatal(err)
	}
	store, err := retriever.Open(ctx, retriever.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.CreateCollection(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	split, err := chunker.NewRecursive(nil, chunker.RecursiveConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time finds all there
		if err := set.Index(ctx, store, "c", split, nil); err != nil {
			t.Fatal(err)
		}
	}
	r, err := set.Evaluate(ctx, store, "c", beir.Options{Search: []retriever.SearchOption{retriever.WithMode(retriever.Keyword), retriever.PerDocument(5)}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Judged != 2 || r.Documents != 2 || r.QPS <= 0 || r.P50 <= 0 || r.P99 < r.P50 {
		t.Errorf("report %+v", r)
	}
	if want := map[beir.Metric]float64{beir.NDCG10: 1, beir.Recall5: 1, beir.Recall10: 1, beir.MRR10: 1}; !maps.Equal(r.Metrics, want) {
		t.Errorf("metrics %v", r.Metrics)
	}
	if got := r.Results[1]; got.ID != "q2" || !slices.Equal(got.Relevant, []beir.Rank{{Document: "2", Grade: 2, Rank: 1}}) {
		t.Errorf("result %+v", got)
	}
}

func TestLoadErrors(t *testing.T) {
	for _, c := range []struct {
		name, file, text string
		want             string
	}{
		{"no folder", "", "", "corpus.jsonl"},
		{"cut off", "corpus.jsonl", `{"_id":"1"}` + "\n{", "corpus.jsonl: line 2"},
		{"two on a line", "queries.jsonl", "\n" + `{"_id":"1"} {"_id":"2"}`, "queries.jsonl: line 2"},
		{"no id", "corpus.jsonl", `{"_id":"1"}` + "\n" + `{"id":"2"}`, `corpus.jsonl: line 2: it has no "_id"`},
		{"an id twice", "queries.jsonl", `{"_id":"1"}` + "\n\n" + `{"_id":"1"}`, "queries.jsonl: line 3"},
		{"a field too few", "qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\t1\n", "test.tsv: line 2"},
		{"no grade", "qrels/test.tsv", "query-id\tcorpus-id\tscore\n\nq1\t1\thigh\n", `test.tsv: line 3: score "high"`},
		{"a long line", "qrels/test.tsv", "query-id\n" + strings.Repeat("x", 2<<20), "test.tsv: line 2"},
		{"answers no list", "answers.jsonl", `{"_id":"q1","answers":"20"}`, "answers.jsonl: line 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "none")
			if c.file != "" {
				dir = small(t)
				write(t, dir, map[string]string{c.file: c.text})
			}
			if _, err := beir.Load(dir); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(filepath.ToSlash(err.Error()), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(`{"_id":"1","title":"a","text":"b"}`, "query-id\tcorpus-id\tscore\n1\t1\t2\r\n", `{"_id":"1","answers":["x"],"answer_groups":[["x"]]}`)
	f.Add("{}\n", "\n\t\t\n", "")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, lines, judgements, answers string) {
		write(t, dir, map[string]string{"corpus.jsonl": lines, "queries.jsonl": lines, "qrels/test.tsv": judgements, "answers.jsonl": answers})
		set, err := beir.Load(dir)
		if err != nil {
			if !strings.Contains(err.Error(), ": line ") {
				t.Errorf("%v names no line", err)
			}
			return
		}
		for _, q := range set.Queries {
			for id, grade := range q.Relevant {
				if grade <= 0 {
					t.Errorf("document %q has grade %d", id, grade)
				}
			}
		}
		if set.Sample(1); len(set.Queries) > 1 {
			t.Error("a sample of 1 has more")
		}
	})
}

var sets = []struct {
	name  string
	plain float64 // nDCG@10 of BM25 without analysis
}{
	{"xquad-en", .9695}, {"xquad-zh", .9746}, {"squad2-public", .8893}, {"drcd-dev", .9717}, {"cranfield", .3437},
	{"hotpotqa-dev200", .7832}, {"musique-train100", .5591}, {"rgb-en-fact", .4997}, {"rgb-zh-fact", .5531},
}

// TestKeywordBars holds the keyword index to plain BM25 on every set.
func TestKeywordBars(t *testing.T) {
	data := testdata(t)
	split, err := chunker.NewRecursive(nil, chunker.RecursiveConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sets {
		t.Run(s.name, func(t *testing.T) {
			set, err := beir.Load(filepath.Join(data, s.name))
			if err != nil {
				t.Skip(err)
			}
			var p keyword.Part
			var document []string // by chunk
			for _, d := range set.Documents {
				chunks, err := split.Split(t.Context(), chunker.Document{Title: d.Title, Text: d.Text})
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range chunks {
					p.Add(keyword.Analyze(c.Context, c.Text))
					document = append(document, d.ID)
				}
			}
			sum, judged := 0.0, 0
			for _, q := range set.Queries {
				if len(q.Relevant) == 0 {
					continue
				}
				var ranked []string
				hits, _ := keyword.Index{&p}.Search(keyword.ParseQuery(q.Text), 60, keyword.Options{})
				for _, h := range hits {
					ranked = append(ranked, document[h.Number])
				}
				sum += beir.NDCG(ranked, q.Relevant, 10)
				judged++
			}
			if got := sum / float64(judged); got < s.plain {
				t.Errorf("keyword nDCG@10 is %.4f, below %.4f of plain BM25", got, s.plain)
			}
		})
	}
}

// TestModes prints the table of all sets and modes with the built-in encoder and holds hybrid search to
// its bars. Embedding takes minutes, so it runs when DOCENT_EVAL names a folder, which keeps the
// vectors for the next time.
func TestModes(t *testing.T) {
	dir := os.Getenv("DOCENT_EVAL")
	if dir == "" {
		t.Skip("slow; set DOCENT_EVAL to a folder for the vectors")
	}
	encoder, err := embed.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	evaluate(t, encoder, dir, []retriever.Mode{retriever.Keyword, retriever.Dense, retriever.Hybrid}, func(t *testing.T, plain float64, r map[retriever.Mode]float64) {
		keyword, dense, hybrid := r[retriever.Keyword], r[retriever.Dense], r[retriever.Hybrid]
		bar := max(keyword, dense)
		if plain > .95 || strings.Contains(t.Name(), "-zh") {
			bar = keyword - 0.002
		}
		if hybrid < bar {
			t.Errorf("hybrid nDCG@10 is %.4f, below %.4f", hybrid, bar)
		}
	})
}

func evaluate(t *testing.T, encoder *embed.Encoder, dir string, modes []retriever.Mode, check func(*testing.T, float64, map[retriever.Mode]float64)) {
	data, ctx := testdata(t), context.Background()
	cfg := retriever.Config{Dir: dir, Store: os.Getenv("DOCENT_EVAL_STORE")} // as docent --store
	var tokens chunker.Tokenizer
	if encoder != nil {
		cfg.Encoder, tokens = encoder, encoder
	}
	store, err := retriever.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	split, err := chunker.NewRecursive(tokens, chunker.RecursiveConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	fmt.Fprintln(&table, "| set | mode | nDCG@10 | Recall@5 | Recall@10 | MRR@10 | QPS | p50 ms | p99 ms |\n|---|---|---|---|---|---|---|---|---|")
	for _, s := range sets {
		t.Run(s.name, func(t *testing.T) {
			set, err := beir.Load(filepath.Join(data, s.name))
			if os.IsNotExist(err) {
				t.Skip("set is not there")
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := store.Collection(ctx, s.name); err != nil {
				if _, err := store.CreateCollection(ctx, s.name); err != nil {
					t.Fatal(err)
				}
			}
			if err := set.Index(ctx, store, s.name, split, nil); err != nil {
				t.Fatal(err)
			}
			ndcg := make(map[retriever.Mode]float64)
			for _, m := range modes {
				r, err := set.Evaluate(ctx, store, s.name, beir.Options{Search: []retriever.SearchOption{retriever.WithMode(m)}})
				if err != nil {
					t.Fatal(err)
				}
				ndcg[m] = r.Metrics[beir.NDCG10]
				fmt.Fprintf(&table, "| %s | %s | %.4f | %.4f | %.4f | %.4f | %.0f | %.2f | %.2f |\n", s.name, m, r.Metrics[beir.NDCG10], r.Metrics[beir.Recall5], r.Metrics[beir.Recall10], r.Metrics[beir.MRR10], r.QPS, r.P50, r.P99)
			}
			check(t, s.plain, ndcg)
		})
	}
	t.Log("\n" + table.String())
}
