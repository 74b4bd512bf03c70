// Package beir measures retrieval, and the answers made of it, on folders in the BEIR layout:
// corpus.jsonl, queries.jsonl and qrels/test.tsv (Thakur et al. 2021, "BEIR: A Heterogeneous Benchmark for
// Zero-shot Evaluation of Information Retrieval Models"), and answers.jsonl where answers are known.
//
//	set, err := beir.Load("data/cranfield")
//	err = set.Index(ctx, store, "cranfield", splitter, nil)
//	report, err := set.Evaluate(ctx, store, "cranfield", beir.Options{Search: options})
package beir

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Document is one entry of a corpus.
type Document struct {
	ID    string `json:"_id"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

// A Query is a question with the documents judged relevant to it.
type Query struct {
	ID       string         `json:"_id"`
	Text     string         `json:"text"`
	Relevant map[string]int `json:"-"` // document id to grade, above 0; empty when nothing was judged
	Expected *Expected      `json:"-"` // nil when the set has no answer to it
}

// Expected is the answer that a question should have, an entry of answers.jsonl.
type Expected struct {
	ID      string     `json:"_id"`
	Answers []string   `json:"answers"`       // any of them will do; empty when they are not told
	Groups  [][]string `json:"answer_groups"` // one of each is needed for a full answer; empty means one of Answers
	// Unanswerable says that the corpus does not answer the question, and that it should be refused.
	Unanswerable bool `json:"unanswerable"`
}

// A Dataset is a corpus and its questions, in the order of the files.
type Dataset struct {
	Name       string // of the folder
	Documents  []Document
	Queries    []Query
	HasAnswers bool // there is an answers.jsonl
}

// Load reads a folder. Judgements and answers of unknown queries, and grades of 0 or less, are passed over.
// An error names the file, and the line of it that cannot be read.
func Load(dir string) (*Dataset, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	d := &Dataset{Name: filepath.Base(abs)}
	if d.Documents, err = readLines(filepath.Join(dir, "corpus.jsonl"), func(d Document) string { return d.ID }); err != nil {
		return nil, err
	}
	if d.Queries, err = readLines(filepath.Join(dir, "queries.jsonl"), func(q Query) string { return q.ID }); err != nil {
		return nil, err
	}
	byID := make(map[string]*Query, len(d.Queries))
	for i := range d.Queries {
		byID[d.Queries[i].ID] = &d.Queries[i]
	}
	if err := judge(filepath.Join(dir, "qrels", "test.tsv"), byID); err != nil {
		return nil, err
	}
	answers, err := readLines(filepath.Join(dir, "answers.jsonl"), func(e Expected) string { return e.ID })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d, nil
	case err != nil:
		return nil, err
	}
	d.HasAnswers = true
	for i := range answers {
		if q := byID[answers[i].ID]; q != nil {
			q.Expected = &answers[i]
		}
	}
	return d, nil
}

// Sample keeps n of the queries, drawn with a fixed seed and in their order; all when n is 0 or more than
// there are. Those that nothing is known of, neither a judgement nor an answer, are left out first.
func (d *Dataset) Sample(n int) {
	if n <= 0 {
		return
	}
	d.Queries = slices.DeleteFunc(d.Queries, func(q Query) bool { return len(q.Relevant) == 0 && q.Expected == nil })
	if len(d.Queries) <= n {
		return
	}
	kept := rand.New(rand.NewPCG(1, 2)).Perm(len(d.Queries))[:n]
	slices.Sort(kept)
	for i, k := range kept {
		d.Queries[i] = d.Queries[k]
	}
	d.Queries = d.Queries[:n]
}

// readLines reads a file of one JSON object a line, each with an id of its own.
func readLines[T any](path string, id func(T) string) ([]T, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("evaluation set: %w", err)
	}
	defer f.Close()
	var all []T
	seen := make(map[string]int)
	lines := bufio.NewReaderSize(f, 1<<20)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s: line %d: %w", path, n, err)
		}
		if text := strings.TrimSpace(string(line)); text != "" {
			var one T
			if err := json.Unmarshal([]byte(text), &one); err != nil {
				return nil, fmt.Errorf("%s: line %d: want one JSON object: %w", path, n, err)
			}
			switch before, ok := seen[id(one)]; {
			case id(one) == "":
				return nil, fmt.Errorf("%s: line %d: it has no \"_id\"", path, n)
			case ok:
				return nil, fmt.Errorf("%s: line %d: \"_id\" %q stands in line %d already", path, n, id(one), before)
			}
			seen[id(one)] = n
			all = append(all, one)
		}
		if err != nil {
			return all, nil
		}
	}
}

// judge reads the judgements, a table with a header.
func judge(path string, queries map[string]*Query) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("evaluation set: %w", err)
	}
	defer f.Close()
	for _, q := range queries {
		q.Relevant = make(map[string]int)
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	n := 0
	for lines.Scan() {
		n++
		text := strings.TrimRight(lines.Text(), "\r")
		if n == 1 || strings.TrimSpace(text) == "" {
			continue // the header
		}
		fields := strings.Split(text, "\t")
		if len(fields) != 3 {
			return fmt.Errorf("%s: line %d: %d fields, want query-id, corpus-id and score", path, n, len(fields))
		}
		grade, err := strconv.Atoi(strings.TrimSpace(fields[2]))
		if err != nil {
			return fmt.Errorf("%s: line %d: score %q is not a whole number", path, n, fields[2])
		}
		if q := queries[fields[0]]; q != nil && grade > 0 {
			q.Relevant[fields[1]] = grade
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: line %d: %w", path, n+1, err)
	}
	return nil
}
