package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/philippgille/chromem-go"
	_ "modernc.org/sqlite"

	"docent/chunker"
	"docent/retriever"
)

// A task is one line to a worker: ask Count questions from From on, by Clients at a time.
type task struct {
	What    string `json:"what"` // dense, keyword, hybrid, half (of the documents), few (1 %), add
	From    int    `json:"from"`
	Count   int    `json:"count"`
	Clients int    `json:"clients"`
}

// A reply is one line from a worker.
type reply struct {
	Ready  float64   `json:"ready,omitempty"`  // seconds until it could be asked
	Build  float64   `json:"build,omitempty"`  // seconds of making the index
	MiB    float64   `json:"mib"`              // resident memory
	Millis []float64 `json:"millis,omitempty"` // of each question
	Total  float64   `json:"total"`            // seconds for all
	Found  [][]int64 `json:"found,omitempty"`  // chunks of each question, from 1
	Error  string    `json:"error,omitempty"`
}

// A finder answers questions; it returns chunks from 1 on.
type finder func(ctx context.Context, what string, question int) ([]int64, error)

// serve runs a worker: tasks on the standard input, replies on the standard output.
func serve(first reply, find finder) error {
	out := json.NewEncoder(os.Stdout)
	first.MiB = resident()
	if err := out.Encode(first); err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var t task
		if err := json.Unmarshal(in.Bytes(), &t); err != nil {
			return err
		}
		if err := out.Encode(run(t, find)); err != nil {
			return err
		}
	}
	return in.Err()
}

func run(t task, find finder) reply {
	r := reply{Millis: make([]float64, t.Count), Found: make([][]int64, t.Count)}
	var wg sync.WaitGroup
	var failed sync.Once
	next := make(chan int)
	began := time.Now()
	for range max(1, t.Clients) {
		wg.Go(func() {
			for i := range next {
				at := time.Now()
				found, err := find(context.Background(), t.What, (t.From+i)%questions)
				if err != nil {
					failed.Do(func() { r.Error = err.Error() })
				}
				r.Millis[i], r.Found[i] = float64(time.Since(at).Microseconds())/1000, found
			}
		})
	}
	for i := range t.Count {
		next <- i
	}
	close(next)
	wg.Wait()
	r.Total, r.MiB = time.Since(began).Seconds(), resident()
	return r
}

// resident is the process's memory, after what is garbage has been given back.
func resident() float64 {
	runtime.GC()
	debug.FreeOSMemory()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 64)
			return n / 1024
		}
	}
	return 0
}

const perDocument = 1000 // chunks

// place is where a store of docent lies: of one number of chunks in dir or, with an address, in Postgres or a Weaviate cluster.
type place struct {
	dir     string
	address string
	chunks  int
}

func (p place) path() string {
	if kind, _, ok := strings.Cut(p.address, "://"); ok {
		return file(p.dir, kind, p.chunks)
	}
	return file(p.dir, "store", p.chunks)
}

func (p place) open(ctx context.Context, a asked) (*retriever.Store, error) {
	return retriever.Open(ctx, retriever.Config{Dir: p.path(), Store: p.address, Encoder: encoder{a}})
}

// collection is named by its size: a database has several.
func (p place) collection() string { return fmt.Sprint("c", p.chunks) }

// build fills a store, once.
func (p place) build(ctx context.Context) (seconds float64, err error) {
	path, chunks, c := p.path(), p.chunks, p.collection()
	done := path + ".built"
	if data, err := os.ReadFile(done); err == nil {
		return strconv.ParseFloat(string(data), 64)
	}
	if err := os.RemoveAll(path); err != nil {
		return 0, err
	}
	s, err := p.open(ctx, questionsOf())
	if err != nil {
		return 0, err
	}
	defer s.Close()
	has, err := s.Collection(ctx, c)
	switch {
	case errors.Is(err, retriever.ErrNotFound):
		_, err = s.CreateCollection(ctx, c)
	case err == nil && has.Chunks%perDocument != 0:
		err = fmt.Errorf("the collection %s is of something else", c)
	}
	if err != nil {
		return 0, err
	}
	say := texts(chunkSeed)
	var text strings.Builder
	var cut []chunker.Chunk
	var vs [][]float32
	var spent time.Duration
	err = vectors(chunkSeed, chunks, func(i int, v []float32) error {
		line := say(words)
		cut = append(cut, chunker.Chunk{Text: line, Start: text.Len(), End: text.Len() + len(line)})
		text.WriteString(line)
		vs = append(vs, v)
		if len(cut) < perDocument && i < chunks-1 {
			return nil
		}
		n := i / perDocument
		if (n+1)*perDocument <= has.Chunks { // stored by a run that was interrupted
			text.Reset()
			cut, vs = nil, nil
			return nil
		}
		began := time.Now()
		doc := retriever.Document{Path: fmt.Sprint(n), Metadata: map[string]string{"half": fmt.Sprint(n % 2), "few": fmt.Sprint(n % 100)}}
		_, err := s.Put(ctx, c, doc, chunker.Document{Text: text.String()}, cut, vs)
		spent += time.Since(began)
		text.Reset()
		cut, vs = nil, nil
		if n%100 == 99 {
			fmt.Fprintf(os.Stderr, "%d chunks, %.0f s\n", i+1, spent.Seconds())
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if _, err := s.Search(ctx, c, "q1 the", retriever.TopK(1)); err != nil { // makes the indexes
		return 0, err
	}
	if err := s.Close(); err != nil {
		return 0, err
	}
	spent += time.Since(began)
	return spent.Seconds(), os.WriteFile(done, fmt.Appendf(nil, "%.1f", spent.Seconds()), 0o600)
}

// serve answers from the store as it is, so that its start is a cold one.
func (p place) serve(ctx context.Context) error {
	c := p.collection()
	began := time.Now()
	a := questionsOf()
	prepared := time.Since(began)
	s, err := p.open(ctx, a)
	if err != nil {
		return err
	}
	defer s.Close()
	// What an earlier run added has the questions' own vectors, and would be found first.
	if d, err := s.DocumentByPath(ctx, c, "added"); err == nil {
		if err := s.DeleteDocument(ctx, d.ID); err != nil {
			return err
		}
	}
	added := 0
	find := func(ctx context.Context, what string, i int) ([]int64, error) {
		opts := []retriever.SearchOption{retriever.TopK(10)}
		switch what {
		case "dense", "keyword", "hybrid":
			opts = append(opts, retriever.WithMode(retriever.Mode(what)))
		case "half", "few":
			opts = append(opts, retriever.WithMode(retriever.Dense), retriever.WithMetadata(what, "0"))
		case "add":
			added++
			say := texts(uint64(added) + 100)
			var text strings.Builder
			var cut []chunker.Chunk
			var vs [][]float32
			for j := range perDocument {
				line := say(words)
				cut = append(cut, chunker.Chunk{Text: line, Start: text.Len(), End: text.Len() + len(line)})
				text.WriteString(line)
				vs = append(vs, a.vector[j%questions])
			}
			_, err := s.Put(ctx, c, retriever.Document{Path: "added"}, chunker.Document{Text: text.String()}, cut, vs)
			return nil, err
		}
		hits, err := s.Search(ctx, c, a.text[i], opts...)
		found := make([]int64, len(hits))
		for i, h := range hits {
			found[i] = h.ChunkID
		}
		return found, err
	}
	if _, err := find(ctx, "hybrid", 0); err != nil {
		return err
	}
	return serve(reply{Ready: (time.Since(began) - prepared).Seconds()}, find)
}

// serveChromem answers from chromem-go alone, with ids and no content.
func serveChromem(ctx context.Context, _ string, chunks int) error {
	a := questionsOf()
	began := time.Now()
	c, err := chromem.NewDB().CreateCollection("c", nil, func(context.Context, string) ([]float32, error) { return nil, fmt.Errorf("no vector") })
	if err != nil {
		return err
	}
	if err := vectors(chunkSeed, chunks, func(i int, v []float32) error {
		n := i / perDocument
		return c.AddDocument(ctx, chromem.Document{ID: strconv.Itoa(i + 1), Embedding: v, Metadata: map[string]string{"half": fmt.Sprint(n % 2), "few": fmt.Sprint(n % 100)}})
	}); err != nil {
		return err
	}
	return serve(reply{Build: time.Since(began).Seconds()}, func(ctx context.Context, what string, i int) ([]int64, error) {
		var where map[string]string
		if what == "half" || what == "few" {
			where = map[string]string{what: "0"}
		}
		hits, err := c.QueryEmbedding(ctx, a.vector[i], 10, where, nil)
		found := make([]int64, len(hits))
		for i, h := range hits {
			found[i], _ = strconv.ParseInt(h.ID, 10, 64)
		}
		return found, err
	})
}

// serveFTS5 answers from SQLite's full-text index.
func serveFTS5(ctx context.Context, dir string, chunks int) error {
	a := questionsOf()
	path := file(dir, "fts5", chunks)
	_, err := os.Stat(path + ".built")
	built := err == nil
	if !built {
		os.Remove(path)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer db.Close()
	began := time.Now()
	if !built {
		if _, err := db.ExecContext(ctx, `CREATE VIRTUAL TABLE t USING fts5(text, tokenize = 'porter')`); err != nil {
			return err
		}
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		say := texts(chunkSeed)
		for range chunks {
			if _, err := tx.ExecContext(ctx, `INSERT INTO t (text) VALUES (?)`, say(words)); err != nil {
				return err
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		if err := os.WriteFile(path+".built", nil, 0o600); err != nil {
			return err
		}
	}
	return serve(reply{Build: time.Since(began).Seconds()}, func(ctx context.Context, _ string, i int) ([]int64, error) {
		rows, err := db.QueryContext(ctx, `SELECT rowid FROM t WHERE t MATCH ? ORDER BY bm25(t) LIMIT 10`, strings.Join(strings.Fields(a.text[i])[1:], " OR "))
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		var found []int64
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				return nil, err
			}
			found = append(found, id)
		}
		return found, rows.Err()
	})
}
