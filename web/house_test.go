package web_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"docent/chain"
	"docent/chunker"
	"docent/ingest"
	"docent/internal/catalog"
	"docent/retriever"
	"docent/web"
)

const handbook = `# Employee handbook

## Annual leave

Every employee gets 25 days of paid annual leave in a calendar year. Unused leave of up to 5 days may be carried over to March.

## Travel

Trips over 300 kilometres are booked in second class. Receipts are handed in within 30 days.

## 年假

员工每年享有二十五天带薪年假。未使用的年假最多可结转五天。
`

// house is a server over a real store, pipeline and chain, without a language model.
type house struct {
	*httptest.Server
	store    *retriever.Store
	pipeline *ingest.Pipeline
	dir      string
}

type option func(*web.Config)

func newHouse(t testing.TB, opts ...option) *house {
	t.Helper()
	dir := t.TempDir()
	store, err := retriever.Open(t.Context(), retriever.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	ex, err := ingest.NewExtractor(ingest.ExtractorConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ex.Close() })
	split, err := chunker.NewRecursive(nil, chunker.RecursiveConfig{})
	if err != nil {
		t.Fatal(err)
	}
	p := ingest.NewPipeline(store, ex, split, ingest.PipelineConfig{Fetcher: ingest.NewFetcher(ingest.FetchConfig{AllowHosts: []string{"127.0.0.1"}})})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	cfg := web.Config{
		Store: store, Pipeline: p, Version: "test", Styles: []string{"plain", "reasoning"}, MaxUploadBytes: 1 << 20,
		Sample: fstest.MapFS{"handbook.md": {Data: []byte(handbook)}, "manual.txt": {Data: []byte("Hold the red button for ten seconds to reset the pump.")}},
		Ask: func(ctx context.Context, collection string, q chain.Question) iter.Seq2[chain.Event, error] {
			qa, err := chain.NewQA(chain.Config{Search: func(ctx context.Context, query string, k int, opts ...retriever.SearchOption) ([]retriever.Hit, error) {
				return store.Search(ctx, collection, query, append(opts, retriever.TopK(k))...)
			}})
			if err != nil {
				return func(yield func(chain.Event, error) bool) { yield(nil, err) }
			}
			return qa.Stream(ctx, q)
		},
		SampleQuestions: []string{"How many days of leave are there?"},
	}
	for _, o := range opts {
		o(&cfg)
	}
	srv, err := web.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{httptest.NewServer(srv.Handler()), store, p, dir}
	t.Cleanup(h.Close)
	return h
}

// do sends a request and returns its status and body. A body that is not a reader is sent as JSON.
func (h *house) do(t testing.TB, method, path string, body any, header ...string) (int, string) {
	t.Helper()
	resp := h.send(t, t.Context(), method, path, body, header...)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, string(raw)
}

func (h *house) send(t testing.TB, ctx context.Context, method, path string, body any, header ...string) *http.Response {
	t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case io.Reader:
		r = b
	case string:
		r = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		r = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, h.URL+path, r)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	resp, err := h.Client().Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp
}

type file struct{ name, text string }

// form is a multipart body of files, and its content type.
func form(t testing.TB, files ...file) (io.Reader, string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range files {
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name="file"; filename="%s"`, f.name)}})
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(part, f.text)
	}
	w.Close()
	return &b, w.FormDataContentType()
}

func (h *house) upload(t testing.TB, collection string, files ...file) (int, string) {
	t.Helper()
	body, kind := form(t, files...)
	return h.do(t, "POST", "/api/collections/"+collection+"/documents", body, "Content-Type", kind)
}

// settle waits until no job of the collection is under way.
func (h *house) settle(t testing.TB, collection string) []catalog.Job {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		jobs, err := h.store.Catalog().Jobs(t.Context(), collection, 0)
		if err != nil {
			t.Fatal(err)
		}
		busy := false
		for _, j := range jobs {
			busy = busy || j.State == catalog.Queued || j.State == catalog.Running
		}
		if !busy {
			return jobs
		}
	}
	t.Fatal("jobs do not end")
	return nil
}

// filled is a collection "docs" that holds the handbook.
func filled(t testing.TB, opts ...option) *house {
	t.Helper()
	h := newHouse(t, opts...)
	if _, err := h.store.CreateCollection(t.Context(), "docs"); err != nil {
		t.Fatal(err)
	}
	if status, body := h.upload(t, "docs", file{"handbook.md", handbook}); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, body)
	}
	for _, j := range h.settle(t, "docs") {
		if j.State != catalog.Done {
			t.Fatalf("job %+v", j)
		}
	}
	return h
}

type event struct {
	name string
	data string
}

// readEvents reads server-sent events until the stream ends or stop says so.
func readEvents(r io.Reader, stop func(event) bool) []event {
	var out []event
	var e event
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<22)
	for sc.Scan() {
		line := sc.Text()
		switch {
		case strings.HasPrefix(line, "event: "):
			e.name = line[len("event: "):]
		case strings.HasPrefix(line, "data: "):
			e.data = line[len("data: "):]
		case strings.HasPrefix(line, ":"):
			out = append(out, event{name: ":"})
		case line == "" && e.name != "":
			out = append(out, e)
			if stop != nil && stop(e) {
				return out
			}
			e = event{}
		}
	}
	return out
}

func names(events []event) string {
	var out []string
	for _, e := range events {
		if n := len(out); n == 0 || out[n-1] != e.name {
			out = append(out, e.name)
		}
	}
	return strings.Join(out, " ")
}

// scripted answers with events given beforehand.
func scripted(events ...any) web.AskFunc {
	return func(ctx context.Context, _ string, _ chain.Question) iter.Seq2[chain.Event, error] {
		return func(yield func(chain.Event, error) bool) {
			for _, e := range events {
				switch e := e.(type) {
				case chain.Event:
					if !yield(e, nil) {
						return
					}
				case error:
					yield(nil, e)
					return
				case time.Duration:
					select {
					case <-time.After(e):
					case <-ctx.Done():
						yield(nil, ctx.Err())
						return
					}
				case func(context.Context):
					e(ctx)
				}
			}
		}
	}
}

// scenario is one request and what is wanted of the reply.
type scenario struct {
	name    string
	method  string
	path    string
	body    any
	header  []string
	status  int
	want    []string
	notWant []string
}

func (h *house) run(t *testing.T, scenarios []scenario) {
	t.Helper()
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			status, body := h.do(t, s.method, s.path, s.body, s.header...)
			if status != s.status {
				t.Errorf("status %d, want %d: %.500s", status, s.status, body)
			}
			for _, w := range s.want {
				if !strings.Contains(body, w) {
					t.Errorf("no %q in %.800s", w, body)
				}
			}
			for _, w := range s.notWant {
				if strings.Contains(body, w) {
					t.Errorf("%q in %.800s", w, body)
				}
			}
		})
	}
}
