// Package beir measures retrieval on folders in the BEIR layout: corpus.jsonl, queries.jsonl and
// qrels/test.tsv (Thakur et al. 2021, "BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of
// Information Retrieval Models").
//
//	set, err := beir.Load("data/cranfield")
//	err = set.Index(ctx, store, "cranfield", splitter, nil)
//	report, err := set.Evaluate(ctx, store, "cranfield", beir.Options{Mode: retriever.Hybrid})
package beir

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
}

// A Dataset is a corpus and its questions, in the order of the files.
type Dataset struct {
	Name      string // of the folder
	Documents []Document
	Queries   []Query
}

// Load reads a folder. Judgements of unknown queries and grades of 0 or less are passed over.
func Load(dir string) (*Dataset, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	d := &Dataset{Name: filepath.Base(abs)}
	if d.Documents, err = readLines[Document](filepath.Join(dir, "corpus.jsonl")); err != nil {
		return nil, err
	}
	if d.Queries, err = readLines[Query](filepath.Join(dir, "queries.jsonl")); err != nil {
		return nil, err
	}
	return d, d.judge(filepath.Join(dir, "qrels", "test.tsv"))
}

func readLines[T any](path string) ([]T, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("evaluation set: %w", err)
	}
	defer f.Close()
	var all []T
	dec := json.NewDecoder(bufio.NewReaderSize(f, 1<<20))
	for {
		var one T
		err := dec.Decode(&one)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: entry %d: %w", path, len(all)+1, err)
		}
		all = append(all, one)
	}
}

func (d *Dataset) judge(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("evaluation set: %w", err)
	}
	defer f.Close()
	byID := make(map[string]*Query, len(d.Queries))
	for i := range d.Queries {
		d.Queries[i].Relevant = make(map[string]int)
		byID[d.Queries[i].ID] = &d.Queries[i]
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if n == 1 || strings.TrimSpace(lines.Text()) == "" {
			continue // the header
		}
		fields := strings.Split(strings.TrimRight(lines.Text(), "\r"), "\t")
		if len(fields) != 3 {
			return fmt.Errorf("%s: line %d: %d fields, want query-id, corpus-id and score", path, n, len(fields))
		}
		grade, err := strconv.Atoi(strings.TrimSpace(fields[2]))
		if err != nil {
			return fmt.Errorf("%s: line %d: score %q is not a whole number", path, n, fields[2])
		}
		if q := byID[fields[0]]; q != nil && grade > 0 {
			q.Relevant[fields[1]] = grade
		}
	}
	return lines.Err()
}
