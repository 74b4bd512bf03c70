// Command retrieval measures docent's search beside plain chromem-go, FAISS (flat), hnswlib and SQLite's
// FTS5, in interleaved rounds on the same vectors and texts: time, recall, building and memory.
//
//	go run ./bench/retrieval -chunks 100000 -python python3
//
// See the README beside it.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

func main() {
	log.SetFlags(0)
	dir := flag.String("dir", filepath.Join(os.TempDir(), "docent-bench-retrieval"), "where stores and vectors are kept between runs; about 6 kB a chunk")
	chunks := flag.Int("chunks", 100_000, "in the collection")
	rounds := flag.Int("rounds", 5, "of each measurement, engines taking turns")
	count := flag.Int("count", 40, "questions a round")
	python := flag.String("python", "", "an interpreter with faiss-cpu, hnswlib and numpy; without one these are left out")
	engines := flag.String("engines", "docent,chromem,faiss,hnswlib,fts5", "which take part; postgres and weaviate are others")
	postgres := flag.String("postgres", os.Getenv("DOCENT_TEST_POSTGRES"), "a database for the engine postgres: docent's store there")
	cluster := flag.String("weaviate", os.Getenv("DOCENT_TEST_WEAVIATE"), "a cluster for the engine weaviate: docent's store there, its record in -dir")
	worker := flag.String("worker", "", "be one of the engines; for the program's own use")
	flag.Parse()

	ctx := context.Background()
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		log.Fatal(err)
	}
	var err error
	places := map[string]place{"docent": {*dir, "", *chunks}, "postgres": {*dir, *postgres, *chunks}, "weaviate": {*dir, *cluster, *chunks}}
	switch *worker {
	case "docent", "postgres", "weaviate":
		err = places[*worker].serve(ctx)
	case "chromem":
		err = serveChromem(ctx, *dir, *chunks)
	case "fts5":
		err = serveFTS5(ctx, *dir, *chunks)
	default:
		err = drive(ctx, *dir, places, *chunks, *rounds, *count, *python, strings.Split(*engines, ","))
	}
	if err != nil {
		log.Fatal(err)
	}
}

// engine is a worker process.
type engine struct {
	name  string
	in    io.WriteCloser
	out   *bufio.Reader
	cmd   *exec.Cmd
	first reply
}

func start(name string, args ...string) (*engine, error) {
	e := &engine{name: name, cmd: exec.Command(args[0], args[1:]...)}
	e.cmd.Stderr = os.Stderr
	var err error
	if e.in, err = e.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	e.out = bufio.NewReader(out)
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	e.first, err = e.read()
	return e, err
}

func (e *engine) read() (r reply, err error) {
	line, err := e.out.ReadBytes('\n')
	if err != nil {
		return r, fmt.Errorf("%s: %w", e.name, err)
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("%s: %w: %s", e.name, err, line)
	}
	if r.Error != "" {
		return r, fmt.Errorf("%s: %s", e.name, r.Error)
	}
	return r, nil
}

func (e *engine) do(t task) (reply, error) {
	if err := json.NewEncoder(e.in).Encode(t); err != nil {
		return reply{}, err
	}
	return e.read()
}

func (e *engine) stop() {
	e.in.Close()
	_ = e.cmd.Wait()
}

// measure is one measurement of one engine over all rounds.
type measure struct {
	engine  *engine
	task    task
	label   string
	millis  []float64
	seconds float64
	found   map[int][]int64 // by question
	mib     float64
}

func (m *measure) round(r, count int) error {
	m.task.From, m.task.Count = r*count, count
	got, err := m.engine.do(m.task)
	if err != nil {
		return err
	}
	m.millis = append(m.millis, got.Millis...)
	m.seconds += got.Total
	m.mib = got.MiB
	for i, f := range got.Found {
		m.found[(m.task.From+i)%questions] = f
	}
	return nil
}

func (m *measure) quantile(q float64) float64 {
	s := slices.Sorted(slices.Values(m.millis))
	return s[min(len(s)-1, int(q*float64(len(s))))]
}

func (m *measure) rate() float64 { return float64(len(m.millis)) / m.seconds }

func drive(ctx context.Context, dir string, places map[string]place, chunks, rounds, count int, python string, names []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	common := []string{"-dir", dir, "-postgres", places["postgres"].address, "-weaviate", places["weaviate"].address, "-chunks", strconv.Itoa(chunks)}
	has := func(name string) bool { return slices.Contains(names, name) }
	for name, p := range places {
		if !has(name) {
			continue
		}
		seconds, err := p.build(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("%s: %d chunks stored and indexed in %.1f s (vectors given), %s on the disk\n", name, chunks, seconds, size(p.path()))
	}
	engines := map[string]*engine{}
	for _, name := range names {
		args := append([]string{self, "-worker", name}, common...)
		if name == "faiss" || name == "hnswlib" {
			if python == "" {
				continue
			}
			v, q := file(dir, "vectors", chunks), file(dir, "questions", questions)
			if err := cmp.Or(writeVectors(v, chunkSeed, chunks), writeVectors(q, questionSeed, questions)); err != nil {
				return err
			}
			args = []string{python, filepath.Join("bench", "retrieval", "peers.py"), name, v, q}
		}
		e, err := start(name, args...)
		if err != nil {
			return err
		}
		defer e.stop()
		engines[name] = e
		switch {
		case e.first.Ready > 0:
			fmt.Printf("%s: first answer %.2f s after the start, %.0f MiB resident\n", name, e.first.Ready, e.first.MiB)
		default:
			fmt.Printf("%s: ready in %.1f s, %.0f MiB resident\n", name, e.first.Build, e.first.MiB)
		}
	}

	var all []*measure
	of := map[string]*measure{}
	add := func(name, what, label string, clients int) {
		if e := engines[name]; e != nil {
			m := &measure{engine: e, task: task{What: what, Clients: clients}, label: label, found: map[int][]int64{}}
			all = append(all, m)
			of[label] = m
		}
	}
	for _, name := range []string{"docent", "postgres", "weaviate", "chromem", "faiss", "hnswlib"} {
		add(name, "dense", name+" dense", 1)
		add(name, "dense", name+" dense, 8 clients", 8)
	}
	add("chromem", "half", "chromem dense, half of the documents", 1)
	for _, name := range []string{"docent", "postgres", "weaviate"} {
		add(name, "half", name+" dense, half of the documents", 1)
		add(name, "few", name+" dense, 1 % of the documents", 1)
		add(name, "keyword", name+" keyword", 1)
		add(name, "hybrid", name+" hybrid", 1)
		add(name, "hybrid", name+" hybrid, 8 clients", 8)
	}
	add("fts5", "keyword", "fts5 keyword", 1)
	for r := range rounds {
		for _, m := range all {
			if err := m.round(r, count); err != nil {
				return err
			}
		}
	}
	fmt.Printf("\n%s %s/%s, %d processors, %d rounds of %d questions\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), rounds, count)
	fmt.Printf("%-40s %9s %9s %9s %11s\n", "", "p50 ms", "p99 ms", "a second", "as exact")
	for _, m := range all {
		same := ""
		if exact := of["chromem dense"]; exact != nil && strings.HasSuffix(m.label, " dense") && m != exact {
			same = agreement(m, exact)
		}
		fmt.Printf("%-40s %9.2f %9.2f %9.1f %11s\n", m.label, m.quantile(.5), m.quantile(.99), m.rate(), same)
	}
	ratio := func(text, a, b string, of2 func(*measure) float64) {
		if of[a] != nil && of[b] != nil {
			fmt.Printf("%s: %.2f\n", text, of2(of[a])/of2(of[b]))
		}
	}
	p50 := func(m *measure) float64 { return m.quantile(.5) }
	fmt.Println()
	ratio("chromem's p50 over docent's", "chromem dense", "docent dense", p50)
	ratio("FAISS's p50 over docent's", "faiss dense", "docent dense", p50)
	ratio("docent's p50 with half of the documents over that with all", "docent dense, half of the documents", "docent dense", p50)
	ratio("docent's p50 with 1 % of the documents over that with all", "docent dense, 1 % of the documents", "docent dense", p50)
	ratio("docent's throughput with 8 clients over that with 1, dense", "docent dense, 8 clients", "docent dense", (*measure).rate)
	ratio("the same, hybrid", "docent hybrid, 8 clients", "docent hybrid", (*measure).rate)
	ratio("FTS5's p50 over docent's keyword", "fts5 keyword", "docent keyword", p50)
	for _, name := range []string{"docent", "postgres", "weaviate"} {
		m := of[name+" hybrid, 8 clients"]
		if m == nil {
			continue
		}
		fmt.Printf("%s: resident memory of docent at the end %.0f MiB\n", name, m.mib)
		r, err := m.engine.do(task{What: "add", Count: 3, Clients: 1})
		if err != nil {
			return err
		}
		fmt.Printf("%s: adding %d chunks in place of as many: %.0f ms (median of 3)\n", name, perDocument, slices.Sorted(slices.Values(r.Millis))[1])
	}
	return nil
}

// agreement is the share of questions whose ten chunks are those of exact.
func agreement(m, exact *measure) string {
	same, n := 0, 0
	for q, want := range exact.found {
		got, ok := m.found[q]
		if !ok {
			continue
		}
		n++
		a, b := slices.Clone(got), slices.Clone(want)
		slices.Sort(a)
		slices.Sort(b)
		if slices.Equal(a, b) {
			same++
		}
	}
	return fmt.Sprintf("%.1f %%", 100*float64(same)/float64(max(1, n)))
}

func size(dir string) string {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil {
			if info, err := d.Info(); err == nil && !d.IsDir() {
				sum += info.Size()
			}
		}
		return nil
	})
	return fmt.Sprintf("%.0f MiB", float64(sum)/(1<<20))
}
