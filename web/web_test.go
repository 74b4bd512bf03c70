package web_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"docent/agent"
	"docent/chain"
	"docent/chunker"
	"docent/ingest"
	"docent/internal/catalog"
	"docent/internal/llm"
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

func TestResources(t *testing.T) {
	h := filled(t)
	docs, err := h.store.Documents(t.Context(), "docs")
	if err != nil || len(docs) != 1 {
		t.Fatalf("%v, %v", docs, err)
	}
	id := docs[0].ID
	conv, err := h.store.Catalog().CreateConversation(t.Context(), catalog.Conversation{Collection: "docs", Title: "First"})
	if err != nil {
		t.Fatal(err)
	}
	job := h.settle(t, "docs")[0].ID
	h.run(t, []scenario{
		{"health", "GET", "/api/health", nil, nil, 200, []string{`"status":"ok"`, `"version":"test"`}, nil},
		{"info", "GET", "/api/info", nil, nil, 200, []string{`"encoder":null`, `"provider":"extractive"`, `"max_upload_bytes":1048576`, `"sample":true`, `"styles":["plain","reasoning"]`, `"agent":false`, `"ocr":false`}, nil},
		{"status", "GET", "/api/status", nil, nil, 200, []string{`"model":null`, `"found":[]`}, nil},
		{"collections", "GET", "/api/collections", nil, nil, 200, []string{`"name":"docs"`, `"documents":1`, `"created_at":"`}, []string{"indexing"}},
		{"create", "POST", "/api/collections", `{"name":" 手册 "}`, nil, 201, []string{`"name":"手册"`}, nil},
		{"settings", "GET", "/api/collections/docs/settings", nil, nil, 200, []string{`"ocr":"auto"`, `"private":{"email":"leave"`, `"key":"private.email"`, `"values":["leave","mask","refuse"]`}, nil},
		{"change a setting", "PATCH", "/api/collections/docs/settings", `{"private":{"email":"mask"}}`, nil, 200, []string{`"private":{"email":"mask","phone":"leave"`}, nil},
		{"a setting that is not there", "PATCH", "/api/collections/docs/settings", `{"colour":"red"}`, nil, 400, []string{`"code":"bad_request"`, "colour"}, nil},
		{"a value that cannot be", "PATCH", "/api/collections/docs/settings", `{"ocr":"perhaps"}`, nil, 400, []string{"ocr should be auto or off"}, nil},
		{"settings of no collection", "GET", "/api/collections/nope/settings", nil, nil, 404, nil, nil},
		{"report", "GET", "/api/collections/docs/report?path=" + url.QueryEscape(docs[0].Path), nil, nil, 200, []string{`"status":"ingested"`, `"stages":[{"stage":"parsing"`}, nil},
		{"read anew", "POST", "/api/documents/" + id + "/reingest", `{"ocr":"all"}`, nil, 202, []string{`"path":"` + docs[0].Path}, nil},
		{"read anew, oddly", "POST", "/api/documents/" + id + "/reingest", `{"ocr":"maybe"}`, nil, 400, nil, nil},
		{"read nothing anew", "POST", "/api/documents/nope/reingest", `{}`, nil, 404, nil, nil},
		{"password for a job that is done", "POST", "/api/jobs/" + job + "/password", `{"password":"x"}`, nil, 409, nil, nil},
		{"no password", "POST", "/api/jobs/" + job + "/password", `{}`, nil, 400, nil, nil},
		{"password for no job", "POST", "/api/jobs/nope/password", `{"password":"x"}`, nil, 404, nil, nil},
		{"report on nothing", "GET", "/api/collections/docs/report", nil, nil, 400, []string{"path"}, nil},
		{"report on no file", "GET", "/api/collections/docs/report?path=nope", nil, nil, 404, []string{`"code":"not_found"`}, nil},
		{"create again", "POST", "/api/collections", `{"name":"手册"}`, nil, 409, []string{`"code":"exists"`}, nil},
		{"create without a name", "POST", "/api/collections", `{}`, nil, 400, []string{`"code":"bad_request"`}, nil},
		{"create with a bad name", "POST", "/api/collections", `{"name":"../etc"}`, nil, 400, []string{`"code":"bad_request"`}, nil},
		{"create, malformed", "POST", "/api/collections", `{"name":`, nil, 400, []string{"not the JSON object"}, nil},
		{"create, empty body", "POST", "/api/collections", "", nil, 400, []string{"the body is empty"}, nil},
		{"create, wrong type", "POST", "/api/collections", `{"name":7}`, nil, 400, []string{"name", "string"}, nil},
		{"create, two objects", "POST", "/api/collections", `{"name":"x"}{}`, nil, 400, nil, nil},
		{"create, huge body", "POST", "/api/collections", `{"name":"` + strings.Repeat("x", 2<<20) + `"}`, nil, 413, []string{`"code":"too_large"`}, nil},
		{"chinese name in the path", "GET", "/api/collections/%E6%89%8B%E5%86%8C/documents", nil, nil, 200, []string{`"documents":[]`}, nil},
		{"delete collection", "DELETE", "/api/collections/%E6%89%8B%E5%86%8C", nil, nil, 204, nil, nil},
		{"delete it again", "DELETE", "/api/collections/%E6%89%8B%E5%86%8C", nil, nil, 404, []string{`"code":"not_found"`}, nil},
		{"documents", "GET", "/api/collections/docs/documents", nil, nil, 200, []string{`"path":"handbook.md"`, id}, []string{"docent.settings"}},
		{"documents of an unknown collection", "GET", "/api/collections/nope/documents", nil, nil, 404, []string{`"code":"not_found"`, "nope"}, nil},
		{"jobs of an unknown collection", "GET", "/api/collections/nope/jobs", nil, nil, 404, nil, nil},
		{"events of an unknown collection", "GET", "/api/collections/nope/events", nil, nil, 404, nil, nil},
		{"jobs", "GET", "/api/collections/docs/jobs", nil, nil, 200, []string{`"state":"done"`, `"status":"ingested"`, `"path":"handbook.md"`}, nil},
		{"retry what is done", "POST", "/api/jobs/" + job + "/retry", nil, nil, 409, []string{`"code":"conflict"`}, nil},
		{"cancel what is done", "POST", "/api/jobs/" + job + "/cancel", nil, nil, 200, []string{`"state":"done"`}, nil},
		{"cancel an unknown job", "POST", "/api/jobs/nope/cancel", nil, nil, 404, []string{`"code":"not_found"`}, nil},
		{"retry an unknown job", "POST", "/api/jobs/nope/retry", nil, nil, 404, nil, nil},
		{"search", "GET", "/api/collections/docs/search?q=annual+leave&k=3", nil, nil, 200, []string{`"hits":[{`, "25 days", `"keyword_rank":1`, `"headings":[`}, []string{"docent.settings"}},
		{"search in chinese", "GET", "/api/collections/docs/search?q=%E5%B9%B4%E5%81%87", nil, nil, 200, []string{"二十五天"}, nil},
		{"search without words", "GET", "/api/collections/docs/search?q=+", nil, nil, 400, []string{"missing"}, nil},
		{"search for nothing there", "GET", "/api/collections/docs/search?q=xylophone", nil, nil, 200, []string{`"hits":[]`}, nil},
		{"search with a filter", "GET", "/api/collections/docs/search?q=annual+leave&where=path+prefix+zzz", nil, nil, 200, []string{`"hits":[]`}, nil},
		{"search with a filter that fits", "GET", "/api/collections/docs/search?q=annual+leave&where=bytes+%3E+10", nil, nil, 200, []string{"25 days"}, nil},
		{"search, bad filter", "GET", "/api/collections/docs/search?q=x&where=path+%3D", nil, nil, 400, []string{"at character 7"}, nil},
		{"search, bad k", "GET", "/api/collections/docs/search?q=x&k=1000000", nil, nil, 400, []string{"1 to 100"}, nil},
		{"search, bad mode", "GET", "/api/collections/docs/search?q=x&mode=psychic", nil, nil, 400, []string{"psychic"}, nil},
		{"search by meaning without an encoder", "GET", "/api/collections/docs/search?q=x&mode=dense", nil, nil, 409, []string{`"code":"conflict"`}, nil},
		{"search with a setting", "GET", "/api/collections/docs/search?q=annual+leave&per_document=1&rerank=cross-encoder", nil, nil, 200, []string{"25 days", `"notes":["searched without rerank: no reranker`}, nil},
		{"search, bad setting", "GET", "/api/collections/docs/search?q=x&hops=many", nil, nil, 400, []string{"retrieval.hops", "whole number"}, nil},
		{"search, unknown setting", "GET", "/api/collections/docs/search?q=x&colour=red", nil, nil, 400, []string{"retrieval.colour"}, nil},
		{"search an unknown collection", "GET", "/api/collections/nope/search?q=x", nil, nil, 404, nil, nil},
		{"document", "GET", "/api/documents/" + id, nil, nil, 200, []string{`"path":"handbook.md"`}, []string{"docent.settings"}},
		{"document, unknown", "GET", "/api/documents/nope", nil, nil, 404, []string{`"code":"not_found"`}, nil},
		{"content", "GET", "/api/documents/" + id + "/content", nil, nil, 200, []string{`"text":"`, `"kind":"heading"`, `"pages":[]`}, nil},
		{"content, unknown", "GET", "/api/documents/nope/content", nil, nil, 404, nil, nil},
		{"original, unknown", "GET", "/api/documents/nope/original", nil, nil, 404, nil, nil},
		{"conversations", "GET", "/api/conversations", nil, nil, 200, []string{`"title":"First"`}, nil},
		{"conversations, bad limit", "GET", "/api/conversations?limit=x", nil, nil, 400, nil, nil},
		{"conversation", "GET", "/api/conversations/" + conv.ID, nil, nil, 200, []string{`"messages":[]`, `"collection":"docs"`}, nil},
		{"rename", "PATCH", "/api/conversations/" + conv.ID, `{"title":" 二  度 "}`, nil, 200, []string{`"title":"二 度"`}, nil},
		{"rename to nothing", "PATCH", "/api/conversations/" + conv.ID, `{"title":" "}`, nil, 400, nil, nil},
		{"rename, unknown", "PATCH", "/api/conversations/nope", `{"title":"x"}`, nil, 404, nil, nil},
		{"delete conversation", "DELETE", "/api/conversations/" + conv.ID, nil, nil, 204, nil, nil},
		{"deleted conversation", "GET", "/api/conversations/" + conv.ID, nil, nil, 404, nil, nil},
		{"unknown route", "GET", "/api/nope", nil, nil, 404, []string{`"code":"not_found"`}, nil},
		{"wrong method", "PUT", "/api/collections", `{}`, nil, 405, []string{`"error"`}, nil},
		{"wrong method on the page", "POST", "/", `{}`, nil, 405, nil, nil},
		{"delete document", "DELETE", "/api/documents/" + id, nil, nil, 204, nil, nil},
		{"deleted document", "GET", "/api/documents/" + id, nil, nil, 404, nil, nil},
	})
}

func TestHostsAndOrigins(t *testing.T) {
	h := filled(t, func(c *web.Config) { c.Hosts = []string{"docs.example.org"} })
	post := func(name string, status int, header ...string) scenario {
		return scenario{name, "POST", "/api/collections", fmt.Sprintf(`{"name":%q}`, name), header, status, nil, nil}
	}
	refused := []string{`"code":"forbidden"`}
	h.run(t, []scenario{
		{"no origin", "GET", "/api/health", nil, nil, 200, nil, nil},
		{"localhost", "GET", "/api/health", nil, []string{"Host", "localhost:8420"}, 200, nil, nil},
		{"sub.localhost", "GET", "/api/health", nil, []string{"Host", "docent.localhost"}, 200, nil, nil},
		{"ipv6", "GET", "/api/health", nil, []string{"Host", "[::1]:8420"}, 200, nil, nil},
		{"lan address", "GET", "/api/health", nil, []string{"Host", "192.168.1.7:8420"}, 200, nil, nil},
		{"configured", "GET", "/api/health", nil, []string{"Host", "Docs.Example.org"}, 200, nil, nil},
		{"rebound name", "GET", "/api/health", nil, []string{"Host", "evil.example"}, 403, refused, nil},
		{"rebound name on the page", "GET", "/", nil, []string{"Host", "evil.example:8420"}, 403, refused, nil},
		{"name that begins like ours", "GET", "/api/health", nil, []string{"Host", "localhost.evil.example"}, 403, refused, nil},
		{"name that looks like an address", "GET", "/api/health", nil, []string{"Host", "127.0.0.1.evil.example"}, 403, refused, nil},
		post("own origin", 201, "Host", "localhost:8420", "Origin", "http://localhost:8420"),
		post("proxied origin", 201, "Host", "127.0.0.1:8420", "Origin", "https://docs.example.org"),
		{"other site", "POST", "/api/collections", `{"name":"x"}`, []string{"Origin", "https://evil.example"}, 403, refused, nil},
		{"other port", "POST", "/api/collections", `{"name":"x"}`, []string{"Host", "localhost:8420", "Origin", "http://localhost:3000"}, 403, refused, nil},
		{"null origin", "POST", "/api/collections", `{"name":"x"}`, []string{"Origin", "null"}, 403, refused, nil},
		{"reading from another site", "GET", "/api/collections", nil, []string{"Origin", "https://evil.example"}, 403, refused, nil},
		{"image of another site", "GET", "/api/collections", nil, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403, refused, nil},
		{"link from another site", "GET", "/api/health", nil, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 200, nil, nil},
		{"own page", "GET", "/api/health", nil, []string{"Sec-Fetch-Site", "same-origin"}, 200, nil, nil},
	})
	resp := h.send(t, t.Context(), "GET", "/", nil)
	resp.Body.Close()
	for header, want := range map[string]string{
		"Content-Security-Policy": "frame-ancestors 'none'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
	} {
		if got := resp.Header.Get(header); !strings.Contains(got, want) {
			t.Errorf("%s is %q", header, got)
		}
	}
	if resp.Header.Get("X-Request-Id") == "" {
		t.Error("no request id")
	}
	resp = h.send(t, t.Context(), "GET", "/api/health", nil, "X-Request-Id", "mine-1")
	resp.Body.Close()
	if got := resp.Header.Get("X-Request-Id"); got != "mine-1" {
		t.Errorf("request id %q", got)
	}
}

func TestUpload(t *testing.T) {
	h := newHouse(t)
	if _, err := h.store.CreateCollection(t.Context(), "docs"); err != nil {
		t.Fatal(err)
	}
	paths := func(body string) []string {
		var reply struct {
			Jobs []catalog.Job `json:"jobs"`
		}
		if err := json.Unmarshal([]byte(body), &reply); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		var out []string
		for _, j := range reply.Jobs {
			out = append(out, j.Path)
		}
		return out
	}
	for sent, want := range map[string]string{
		"plain.md":                             "plain.md",
		"folder/sub/a.md":                      "folder/sub/a.md",
		"../../etc/passwd":                     "etc/passwd",
		"/etc/shadow":                          "etc/shadow",
		`C:\\Users\\me\\b.md`:                  "Users/me/b.md",
		"....//....//c.md":                     "c.md",
		"a/./b/../d.md":                        "a/b/d.md",
		"员工手册.md":                              "员工手册.md",
		"e\u0301.md":                           "é.md",
		"rtl\u202egpj.md":                      "rtlgpj.md",
		"..":                                   "upload",
		strings.Repeat("x", 400) + ".md":       strings.Repeat("x", 252) + ".md",
		strings.Repeat("深", 200) + ".md":       strings.Repeat("深", 84) + ".md",
		"\xd4\xb1\xb9\xa4\xca\xd6\xb2\xe1.txt": "员工手册.txt",
	} {
		status, body := h.upload(t, "docs", file{sent, "Some text about " + want + "."})
		if status != http.StatusAccepted {
			t.Errorf("%q: %d %s", sent, status, body)
			continue
		}
		if got := paths(body); len(got) != 1 || got[0] != want {
			t.Errorf("%q became %q, want %q", sent, got, want)
		}
	}
	h.settle(t, "docs")

	status, body := h.upload(t, "docs", file{"empty.md", ""})
	if status != 400 || !strings.Contains(body, `"bad_request"`) || !strings.Contains(body, "is empty") {
		t.Errorf("empty: %d %s", status, body)
	}
	status, body = h.upload(t, "docs", file{"big.txt", strings.Repeat("big ", 1<<19)})
	if status != 413 || !strings.Contains(body, `"too_large"`) || !strings.Contains(body, "1 MiB") {
		t.Errorf("big: %d %s", status, body)
	}
	status, body = h.upload(t, "docs", file{"ok1.md", "fine"}, file{"empty.md", ""}, file{"big.txt", strings.Repeat("big ", 1<<19)}, file{"ok2.md", "fine too"})
	if got := paths(body); status != 202 || fmt.Sprint(got) != "[ok1.md ok2.md]" || !strings.Contains(body, `"refused":[{"path":"empty.md"`) || !strings.Contains(body, `{"path":"big.txt"`) {
		t.Errorf("mixed: %d %s", status, body)
	}
	status, body = h.upload(t, "nope", file{"a.md", "x"})
	if status != 404 {
		t.Errorf("unknown collection: %d %s", status, body)
	}
	status, body = h.upload(t, "docs")
	if status != 400 || !strings.Contains(body, "no file") {
		t.Errorf("no files: %d %s", status, body)
	}
	status, body = h.do(t, "POST", "/api/collections/docs/documents", "plain", "Content-Type", "text/plain")
	if status != 400 || !strings.Contains(body, "multipart") {
		t.Errorf("no form: %d %s", status, body)
	}
	full, kind := form(t, file{"good.md", "good"}, file{"cut.md", strings.Repeat("cut ", 1000)})
	raw, _ := io.ReadAll(full)
	status, body = h.do(t, "POST", "/api/collections/docs/documents", bytes.NewReader(raw[:len(raw)-500]), "Content-Type", kind)
	if status != 202 && status != 400 || !strings.Contains(body, "broke off") {
		t.Errorf("cut short: %d %s", status, body)
	}
	h.settle(t, "docs")
	docs, err := h.store.Documents(t.Context(), "docs")
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string]bool{}
	for _, d := range docs {
		stored[d.Path] = true
	}
	for _, bad := range []string{"empty.md", "big.txt", "cut.md"} {
		if stored[bad] {
			t.Errorf("%s was stored", bad)
		}
	}
	if !stored["good.md"] || !stored["ok2.md"] {
		t.Errorf("good files are missing in %v", stored)
	}
	// An unreadable file fails by name and can be tried again; the others are not touched by it.
	if status, body := h.upload(t, "docs", file{"broken.pdf", "%PDF-1.7 this is no PDF"}); status != 202 {
		t.Errorf("broken: %d %s", status, body)
	}
	jobs := h.settle(t, "docs")
	if jobs[0].Path != "broken.pdf" || jobs[0].State != catalog.Failed || jobs[0].Error == "" {
		t.Errorf("broken: %+v", jobs[0])
	}
	if status, body := h.do(t, "POST", "/api/jobs/"+jobs[0].ID+"/retry", nil); status != 200 || !strings.Contains(body, jobs[0].ID) {
		t.Errorf("retry: %d %s", status, body)
	}
	h.settle(t, "docs")
}

func TestOriginalIsAnAttachment(t *testing.T) {
	h := newHouse(t)
	if _, err := h.store.CreateCollection(t.Context(), "docs"); err != nil {
		t.Fatal(err)
	}
	page := "<html><body><h1>Rules</h1><p>Some rules are written here, and this sentence is one of them.</p><script>alert(1)</script></body></html>"
	h.upload(t, "docs", file{"x/规则\\\".html", page})
	h.settle(t, "docs")
	docs, err := h.store.Documents(t.Context(), "docs")
	if err != nil || len(docs) != 1 {
		t.Fatalf("%v %v", docs, err)
	}
	resp := h.send(t, t.Context(), "GET", "/api/documents/"+docs[0].ID+"/original", nil)
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	if string(raw) != page {
		t.Errorf("got %q", raw)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/octet-stream" {
		t.Errorf("type %q", got)
	}
	if got := resp.Header.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment; ") || !strings.Contains(got, "filename*=UTF-8''%E8%A7%84%E5%88%99") || strings.Count(got, `"`) != 2 {
		t.Errorf("disposition %q", got)
	}
	if got := resp.Header.Get("Content-Security-Policy"); !strings.Contains(got, "sandbox") {
		t.Errorf("policy %q", got)
	}
	part := h.send(t, t.Context(), "GET", "/api/documents/"+docs[0].ID+"/original", nil, "Range", "bytes=0-5")
	defer part.Body.Close()
	if raw, _ := io.ReadAll(part.Body); part.StatusCode != 206 || string(raw) != "<html>" {
		t.Errorf("range: %d %q", part.StatusCode, raw)
	}
}

func TestSampleAndJobEvents(t *testing.T) {
	h := newHouse(t)
	if _, err := h.store.CreateCollection(t.Context(), "docs"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	resp := h.send(t, ctx, "GET", "/api/collections/docs/events", nil)
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/event-stream") {
		t.Errorf("type %q", got)
	}
	status, body := h.do(t, "POST", "/api/collections/docs/sample", nil)
	if status != 202 || !strings.Contains(body, `"questions":["How many days`) || strings.Count(body, `"path"`) != 2 {
		t.Errorf("sample: %d %s", status, body)
	}
	done := map[string]bool{}
	events := readEvents(resp.Body, func(e event) bool {
		var j catalog.Job
		if err := json.Unmarshal([]byte(e.data), &j); err != nil {
			t.Errorf("%v: %s", err, e.data)
		}
		if j.State == catalog.Done {
			done[j.Path] = true
		}
		return len(done) == 2
	})
	// How far the queue is comes each second, should this take that long.
	events = slices.DeleteFunc(events, func(e event) bool { return e.name == "queue" })
	if !done["handbook.md"] || !done["manual.txt"] || names(events) != "job" {
		t.Errorf("done %v, events %s", done, names(events))
	}
	if status, body := h.do(t, "POST", "/api/collections/nope/sample", nil); status != 404 {
		t.Errorf("%d %s", status, body)
	}
}

func TestURL(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			fmt.Fprint(w, `<html><h1>Pumps</h1><p>A page about pumps.</p><a href="/valves.txt">valves</a>`)
		case "/valves.txt":
			fmt.Fprint(w, "A page about valves.")
		default:
			http.NotFound(w, r)
		}
	}))
	defer site.Close()
	h := newHouse(t)
	if _, err := h.store.CreateCollection(t.Context(), "docs"); err != nil {
		t.Fatal(err)
	}
	h.run(t, []scenario{
		{"page", "POST", "/api/collections/docs/urls", `{"url":" ` + site.URL + `/valves.txt#top "}`, nil, 202, []string{`"path":"` + site.URL + `/valves.txt"`, `"kind":"file"`}, nil},
		{"site", "POST", "/api/collections/docs/sites", `{"url":"` + site.URL + `","depth":1,"pages":5}`, nil, 202, []string{`"kind":"site"`}, nil},
		{"private", "POST", "/api/collections/docs/urls", `{"url":"http://[::1]/"}`, nil, 202, nil, nil},
		{"site too deep", "POST", "/api/collections/docs/sites", `{"url":"` + site.URL + `","depth":1000}`, nil, 400, []string{"depth is 1000"}, nil},
		{"file", "POST", "/api/collections/docs/urls", `{"url":"file:///etc/passwd"}`, nil, 400, []string{"http://"}, nil},
		{"credentials", "POST", "/api/collections/docs/urls", `{"url":"http://a:b@example.org/"}`, nil, 400, []string{"user name"}, []string{"a:b"}},
		{"nothing", "POST", "/api/collections/docs/urls", `{}`, nil, 400, nil, nil},
		{"unknown collection", "POST", "/api/collections/nope/urls", `{"url":"https://example.com"}`, nil, 404, nil, nil},
		{"unknown collection", "POST", "/api/collections/nope/sites", `{"url":"https://example.com"}`, nil, 404, nil, nil},
	})
	for range 2 { // the crawl ends, then its pages
		for _, j := range h.settle(t, "docs") {
			if private := strings.Contains(j.Path, "::1"); private != (j.State == catalog.Failed) || private && !strings.Contains(j.Error, "not public") {
				t.Errorf("%+v", j)
			}
		}
	}
	if docs, err := h.store.Documents(t.Context(), "docs"); err != nil || len(docs) != 2 {
		t.Errorf("%d documents, %v", len(docs), err)
	}
}

func TestQueueControl(t *testing.T) {
	h := filled(t)
	jobs, err := h.store.Catalog().Jobs(t.Context(), "docs", 1)
	if err != nil || len(jobs) == 0 {
		t.Fatal(err)
	}
	done := jobs[0].ID
	h.run(t, []scenario{
		{"pause the queue", "POST", "/api/queue/pause", "", nil, 200, []string{`{"paused":true}`}, nil},
		{"see it", "GET", "/api/collections/docs/queue", "", nil, 200, []string{`"paused":true`, `"files":`, `"stages":{}`}, nil},
		{"pause a job that is done", "POST", "/api/jobs/" + done + "/pause", "", nil, 409, []string{"conflict", "has ended"}, nil},
		{"pause no job", "POST", "/api/jobs/nope/pause", "", nil, 404, nil, nil},
		{"retry what failed", "POST", "/api/collections/docs/retry", "", nil, 200, []string{`{"retried":0}`}, nil},
		{"unknown collection", "POST", "/api/collections/nope/retry", "", nil, 404, nil, nil},
		{"unknown collection", "GET", "/api/collections/nope/queue", "", nil, 404, nil, nil},
		{"no watching", "POST", "/api/collections/docs/watches", `{"folder":"/etc"}`, nil, 403, []string{"--watch-root"}, nil},
		{"none watched", "GET", "/api/collections/docs/watches", "", nil, 200, []string{`"watches":[]`, `"possible":false`}, nil},
	})
	if status, body := h.upload(t, "docs", file{"later.md", "# Later\n\nWritten while the queue rests."}); status != 202 {
		t.Fatalf("%d %s", status, body)
	}
	jobs, err = h.store.Catalog().Jobs(t.Context(), "docs", 1)
	if err != nil || jobs[0].State != catalog.Queued {
		t.Fatalf("%+v, %v", jobs, err)
	}
	h.run(t, []scenario{
		{"pause a job", "POST", "/api/jobs/" + jobs[0].ID + "/pause", "", nil, 200, []string{`"state":"paused"`}, nil},
		{"resume the job", "POST", "/api/jobs/" + jobs[0].ID + "/resume", "", nil, 200, []string{`"state":"queued"`}, nil},
		{"resume the queue", "POST", "/api/queue/resume", "", nil, 200, []string{`{"paused":false}`}, nil},
	})
	for _, j := range h.settle(t, "docs") {
		if j.State != catalog.Done {
			t.Errorf("%+v", j)
		}
	}
}

func TestWatches(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	var watcher *ingest.Watcher
	h := newHouse(t, func(c *web.Config) {
		watcher = ingest.NewWatcher(c.Pipeline.(*ingest.Pipeline), ingest.WatchConfig{Roots: []string{root}, Debounce: 20 * time.Millisecond})
		c.Watcher = watcher
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- watcher.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	if _, err := h.store.CreateCollection(t.Context(), "docs"); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(root, "notes")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	body := func(folder string, more string) string {
		raw, _ := json.Marshal(folder)
		return `{"folder":` + string(raw) + more + `}`
	}
	h.run(t, []scenario{
		{"watch", "POST", "/api/collections/docs/watches", body(folder, `,"include":["*.md"]`), nil, 201, []string{`"include":["*.md"]`}, nil},
		{"twice", "POST", "/api/collections/docs/watches", body(folder, ""), nil, 409, []string{"exists"}, nil},
		{"outside", "POST", "/api/collections/docs/watches", body(outside, ""), nil, 400, []string{"--watch-root"}, nil},
		{"upwards", "POST", "/api/collections/docs/watches", body(root+"/../"+filepath.Base(outside), ""), nil, 400, nil, nil},
		{"relative", "POST", "/api/collections/docs/watches", `{"folder":"notes"}`, nil, 400, []string{"absolute"}, nil},
		{"missing", "POST", "/api/collections/docs/watches", body(filepath.Join(root, "nope"), ""), nil, 400, []string{"no folder"}, nil},
		{"bad pattern", "POST", "/api/collections/docs/watches", body(root, `,"include":["[a"]`), nil, 400, nil, nil},
		{"unknown collection", "POST", "/api/collections/nope/watches", body(root, ""), nil, 404, nil, nil},
	})
	if err := os.WriteFile(filepath.Join(folder, "a.md"), []byte("# A\n\nWatched words."), 0o644); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if docs, err := h.store.Documents(t.Context(), "docs"); err == nil && len(docs) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the file was not taken in")
		}
	}
	_, list := h.do(t, "GET", "/api/collections/docs/watches", nil)
	var got struct{ Watches []ingest.Watching }
	if err := json.Unmarshal([]byte(list), &got); err != nil || len(got.Watches) != 1 || got.Watches[0].Files != 1 {
		t.Fatalf("%s, %v", list, err)
	}
	h.run(t, []scenario{
		{"stop", "DELETE", "/api/watches/" + got.Watches[0].ID, "", nil, 204, nil, nil},
		{"stop again", "DELETE", "/api/watches/" + got.Watches[0].ID, "", nil, 404, nil, nil},
	})
}

func TestAskBadInput(t *testing.T) {
	h := filled(t)
	conv, err := h.store.Catalog().CreateConversation(t.Context(), catalog.Conversation{Collection: "docs", Title: "x"})
	if err != nil {
		t.Fatal(err)
	}
	h.run(t, []scenario{
		{"no body", "POST", "/api/ask", nil, nil, 400, nil, nil},
		{"malformed", "POST", "/api/ask", `{"question`, nil, 400, []string{`"bad_request"`}, nil},
		{"no question", "POST", "/api/ask", `{"collection":"docs"}`, nil, 400, []string{"question is empty"}, nil},
		{"blank question", "POST", "/api/ask", `{"collection":"docs","question":" \n"}`, nil, 400, nil, nil},
		{"long question", "POST", "/api/ask", map[string]any{"collection": "docs", "question": strings.Repeat("why ", 4000)}, nil, 400, []string{"longer than"}, nil},
		{"no collection", "POST", "/api/ask", `{"question":"x"}`, nil, 400, []string{"collection is missing"}, nil},
		{"unknown collection", "POST", "/api/ask", `{"collection":"nope","question":"x"}`, nil, 404, []string{"nope"}, nil},
		{"unknown conversation", "POST", "/api/ask", `{"collection":"docs","question":"x","conversation_id":"nope"}`, nil, 404, nil, nil},
		{"conversation of another collection", "POST", "/api/ask", map[string]any{"collection": "other", "question": "x", "conversation_id": conv.ID}, nil, 400, []string{"docs"}, nil},
		{"choices without a model", "POST", "/api/ask", `{"collection":"docs","question":"x","choices":["a","b"]}`, nil, 400, []string{"no language model"}, nil},
		{"unknown adapter", "POST", "/api/ask", `{"collection":"docs","question":"x","adapter":"legal"}`, nil, 400, []string{"legal", "there are: none"}, nil},
		{"unknown style", "POST", "/api/ask", `{"collection":"docs","question":"x","style":"haiku"}`, nil, 400, []string{"haiku", "plain, reasoning"}, nil},
		{"agent without a model", "POST", "/api/ask", `{"collection":"docs","question":"x","agent":true}`, nil, 503, []string{`"model_unavailable"`, "language model"}, nil},
		{"wrong method", "GET", "/api/ask", nil, nil, 405, nil, nil},
	})
	if all, err := h.store.Catalog().Conversations(t.Context(), 0, 0); err != nil || len(all) != 1 {
		t.Errorf("refused questions left conversations: %v, %v", all, err)
	}
}

// TestAskForReal asks the real chain, which quotes, over the real store.
func TestAskForReal(t *testing.T) {
	h := filled(t)
	resp := h.send(t, t.Context(), "POST", "/api/ask", `{"collection":"docs","question":"How many days of annual leave do employees get?"}`)
	defer resp.Body.Close()
	events := readEvents(resp.Body, nil)
	got := names(events)
	if !strings.HasPrefix(got, "started ") || !strings.HasSuffix(got, " done") || !strings.Contains(got, "sources") || !strings.Contains(got, "token") {
		t.Fatalf("events %s", got)
	}
	var started struct {
		ConversationID string `json:"conversation_id"`
		MessageID      string `json:"message_id"`
	}
	if err := json.Unmarshal([]byte(events[0].data), &started); err != nil {
		t.Fatal(err)
	}
	var done struct{ Answer chain.Answer }
	if err := json.Unmarshal([]byte(events[len(events)-1].data), &done); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(done.Answer.Text, "25 days") || len(done.Answer.Citations) == 0 || done.Answer.Citations[0].Path != "handbook.md" {
		t.Errorf("answer %+v", done.Answer)
	}

	status, body := h.do(t, "GET", "/api/conversations/"+started.ConversationID, nil)
	var conv struct {
		Title    string
		Messages []struct {
			ID, Role, Content string
			Answer            *chain.Answer
		}
	}
	if err := json.Unmarshal([]byte(body), &conv); err != nil || status != 200 {
		t.Fatalf("%d %v %s", status, err, body)
	}
	if conv.Title != "How many days of annual leave do employees get?" || len(conv.Messages) != 2 || conv.Messages[0].Role != "user" ||
		conv.Messages[1].ID != started.MessageID || conv.Messages[1].Content != done.Answer.Text || conv.Messages[1].Answer == nil {
		t.Errorf("conversation %s", body)
	}

	// In the same conversation, in one piece, in Chinese.
	status, body = h.do(t, "POST", "/api/ask", map[string]any{"question": "员工每年有多少天年假？", "conversation_id": started.ConversationID, "stream": false})
	var reply struct {
		ConversationID string `json:"conversation_id"`
		MessageID      string `json:"message_id"`
		chain.Answer
	}
	if err := json.Unmarshal([]byte(body), &reply); err != nil || status != 200 {
		t.Fatalf("%d %v %s", status, err, body)
	}
	if reply.ConversationID != started.ConversationID || !strings.Contains(reply.Text, "二十五天") || len(reply.Citations) == 0 {
		t.Errorf("reply %s", body)
	}
}

func TestAskEvents(t *testing.T) {
	passage := chain.Passage{N: 1, DocumentID: "d", Document: "D", Path: "d.md", Text: "text"}
	answer := chain.Answer{Text: "The answer [1].", Citations: []chain.Citation{{N: 1}}, Passages: []chain.Passage{passage}, Model: "m"}
	tests := []struct {
		name    string
		script  []any
		events  string
		message []string // in the stored message
	}{
		{"answer", []any{chain.Status{Stage: "searching", Query: "q"}, chain.Sources{Passages: []chain.Passage{passage}}, chain.Token{Text: "The "}, chain.Token{Text: "answer"}, chain.Done{Answer: answer}},
			"started status sources token done", []string{`"content":"The answer [1]."`, `"answer":{"answer":"The answer [1]."`}},
		{"steps", []any{chain.Status{Stage: "thinking"}, chain.Reasoning{Text: "I "}, chain.Reasoning{Text: "think"}, chain.Token{Text: "remark"}, chain.ToolCall{ID: "1", Name: "calculator", Input: "1+1"}, chain.ToolResult{ID: "1", Name: "calculator", Output: "2"}, chain.Done{Answer: answer}},
			"started status reasoning token tool_call tool_result done", []string{`"steps":[{"type":"reasoning","data":{"text":"I think"}},{"type":"tool_call","data":{"id":"1","input":"1+1","name":"calculator"}},{"type":"tool_result"`}},
		{"model fails", []any{chain.Token{Text: "half an ans"}, fmt.Errorf("ask: %w", llm.ErrUnreachable)},
			"started token error", []string{`"content":"half an ans"`, `"error":{"code":"model_unavailable","message":"ask: model server unreachable"}`}},
		{"internal error stays inside", []any{errors.New("secret path /home/x")}, "started error", []string{`"code":"internal"`}},
		{"ends without an answer", []any{chain.Token{Text: "x"}}, "started token error", []string{`"code":"internal"`}},
		{"panics", []any{chain.Token{Text: "x"}, func(context.Context) { panic("secret path") }}, "started token error", []string{`"code":"internal"`}},
		{"heartbeat", []any{120 * time.Millisecond, chain.Done{Answer: answer}}, "started : done", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := filled(t, func(c *web.Config) { c.Ask = scripted(tt.script...); c.Heartbeat = 50 * time.Millisecond })
			resp := h.send(t, t.Context(), "POST", "/api/ask", `{"collection":"docs","question":"x"}`)
			defer resp.Body.Close()
			events := readEvents(resp.Body, nil)
			if got := names(events); got != tt.events {
				t.Errorf("events %q, want %q", got, tt.events)
			}
			for _, e := range events {
				if strings.Contains(e.data, "secret") {
					t.Errorf("%s says %s", e.name, e.data)
				}
			}
			var started struct {
				ID string `json:"conversation_id"`
			}
			if err := json.Unmarshal([]byte(events[0].data), &started); err != nil {
				t.Fatal(err)
			}
			_, body := h.do(t, "GET", "/api/conversations/"+started.ID, nil)
			for _, w := range tt.message {
				if !strings.Contains(body, w) {
					t.Errorf("no %s in %s", w, body)
				}
			}
		})
	}
}

// TestAskStreams: an event reaches the reader before the next one is made.
func TestAskStreams(t *testing.T) {
	seen := make(chan struct{})
	h := filled(t, func(c *web.Config) {
		c.Ask = scripted(chain.Token{Text: "first"}, func(ctx context.Context) {
			select {
			case <-seen:
			case <-time.After(5 * time.Second):
				t.Error("the first token was not seen before the last was made")
			}
		}, chain.Done{Answer: chain.Answer{Text: "first last"}})
	})
	resp := h.send(t, t.Context(), "POST", "/api/ask", `{"collection":"docs","question":"x"}`)
	defer resp.Body.Close()
	readEvents(resp.Body, func(e event) bool {
		if e.name == "token" {
			close(seen)
		}
		return false
	})
}

// TestAskCancel: closing the connection cancels the work within a second and keeps what was written.
func TestAskCancel(t *testing.T) {
	cancelled := make(chan time.Time, 1)
	h := filled(t, func(c *web.Config) {
		c.Ask = scripted(chain.Token{Text: "half an ans"}, func(ctx context.Context) {
			select {
			case <-ctx.Done():
				cancelled <- time.Now()
			case <-time.After(10 * time.Second):
			}
		}, chain.Done{Answer: chain.Answer{Text: "whole"}})
	})
	ctx, cancel := context.WithCancel(t.Context())
	resp := h.send(t, ctx, "POST", "/api/ask", `{"collection":"docs","question":"What is it?"}`)
	readEvents(resp.Body, func(e event) bool { return e.name == "token" })
	cancel()
	at := time.Now()
	resp.Body.Close()
	select {
	case when := <-cancelled:
		if d := when.Sub(at); d > time.Second {
			t.Errorf("cancelled after %v", d)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("not cancelled")
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		convs, err := h.store.Catalog().Conversations(t.Context(), 0, 0)
		if err != nil || len(convs) != 1 {
			t.Fatalf("%v %v", convs, err)
		}
		messages, err := h.store.Catalog().Messages(t.Context(), convs[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(messages) == 2 {
			if messages[1].Content != "half an ans" || !strings.Contains(string(messages[1].Data), `"code":"cancelled"`) {
				t.Errorf("kept %q %s", messages[1].Content, messages[1].Data)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("what was written is not kept")
		}
	}
}

func TestHistoryReachesTheChain(t *testing.T) {
	var got atomic.Value
	h := filled(t, func(c *web.Config) {
		c.Ask = func(_ context.Context, _ string, q chain.Question) iter.Seq2[chain.Event, error] {
			got.Store(q)
			return func(yield func(chain.Event, error) bool) {
				if strings.HasPrefix(q.Text, "fail") {
					yield(nil, errors.New("x"))
					return
				}
				yield(chain.Done{Answer: chain.Answer{Text: "re: " + q.Text}}, nil)
			}
		}
	})
	id := ""
	for _, q := range []string{"one", "fail", "two", "three"} {
		_, body := h.do(t, "POST", "/api/ask", map[string]any{"collection": "docs", "question": q, "conversation_id": id, "stream": false, "style": "reasoning"})
		var reply struct {
			ID string `json:"conversation_id"`
		}
		if err := json.Unmarshal([]byte(body), &reply); err != nil {
			t.Fatal(err)
		}
		if reply.ID != "" {
			id = reply.ID
		}
	}
	q := got.Load().(chain.Question)
	if q.Text != "three" || q.Style != "reasoning" || fmt.Sprint(q.History) != "[{one re: one} {two re: two}]" {
		t.Errorf("got %+v", q)
	}
}

func TestAgent(t *testing.T) {
	h := filled(t, func(c *web.Config) {
		c.Model = func(context.Context) web.Model {
			return web.Model{Provider: llm.OpenAI, Name: "m", Adapters: []string{"legal"}}
		}
		c.ModelStatus = func() (llm.Status, bool) { return llm.Status{Context: 64, Adapters: []string{"legal"}}, true }
		c.Agent = func(_ context.Context, collection string, goal chain.Question) iter.Seq2[chain.Event, error] {
			return func(yield func(chain.Event, error) bool) {
				if goal.Text == "none" {
					yield(nil, agent.ErrNoModel)
					return
				}
				yield(chain.Done{Answer: chain.Answer{Text: fmt.Sprintf("%s %s, %d, %d", collection, goal.Text, len(goal.Where.Values), len(goal.Search))}}, nil)
			}
		}
	})
	h.run(t, []scenario{
		{"goal", "POST", "/api/ask", `{"collection":"docs","question":"go","agent":true,"stream":false}`, nil, 200, []string{`"answer":"docs go, 0, 0"`}, nil},
		{"filter", "POST", "/api/ask", `{"collection":"docs","question":"go","agent":true,"stream":false,"where":"path = a","retrieval":{"hops":2}}`, nil, 200, []string{`"answer":"docs go, 1, `}, []string{"go, 1, 0"}},
		{"bad setting", "POST", "/api/ask", `{"collection":"docs","question":"go","retrieval":{"hops":"many"}}`, nil, 400, []string{"hops"}, nil},
		{"unknown setting", "POST", "/api/ask", `{"collection":"docs","question":"go","retrieval":{"colour":1}}`, nil, 400, []string{"colour"}, nil},
		{"no model", "POST", "/api/ask", `{"collection":"docs","question":"none","agent":true,"stream":false}`, nil, 503, []string{`"model_unavailable"`}, nil},
		{"info", "GET", "/api/info", nil, nil, 200, []string{`"agent":true`, `"adapters":["legal"]`}, nil},
		{"status", "GET", "/api/status", nil, nil, 200, []string{`"context":64`, `"waiting":0`, `"cache":0`}, nil},
		{"choices for the agent", "POST", "/api/ask", `{"collection":"docs","question":"go","agent":true,"choices":["a","b"]}`, nil, 400, []string{"agent"}, nil},
		{"one choice", "POST", "/api/ask", `{"collection":"docs","question":"go","choices":["a"]}`, nil, 400, []string{"want 2 to 64"}, nil},
	})
}

// longest is a reranker that puts the longest passages first.
type longest struct{}

func (longest) Score(_ context.Context, _ string, passages []string) ([]float32, error) {
	out := make([]float32, len(passages))
	for i, p := range passages {
		out[i] = float32(len(p))
	}
	return out, nil
}

// TestSearchParts: a search takes the parts that the server was given and the collection's settings name.
func TestSearchParts(t *testing.T) {
	h := filled(t, func(c *web.Config) {
		c.Parts.CrossEncoder = func() (retriever.Reranker, error) { return longest{}, nil }
	})
	search := func(query string) []retriever.Hit {
		t.Helper()
		status, body := h.do(t, "GET", "/api/collections/docs/search?q=annual+leave"+query, nil)
		var found struct{ Hits []retriever.Hit }
		if err := json.Unmarshal([]byte(body), &found); err != nil || status != 200 || len(found.Hits) == 0 {
			t.Fatalf("%d %s", status, body)
		}
		return found.Hits
	}
	reranked := func(hits []retriever.Hit) bool { return hits[0].Score == float64(len(hits[0].Chunk.IndexText())) }
	if hits := search(""); !reranked(hits) {
		t.Errorf("automatic: %+v", hits[0])
	}
	h.run(t, []scenario{{"settings", "PATCH", "/api/collections/docs/settings", `{"retrieval":{"rerank":"off"}}`, nil, 200, []string{`"rerank":"off"`}, nil}})
	if hits := search(""); reranked(hits) {
		t.Errorf("switched off: %+v", hits[0])
	}
	if hits := search("&rerank=cross-encoder"); !reranked(hits) {
		t.Errorf("for this search: %+v", hits[0])
	}
}

// TestIndexing: while files are being taken in, answers and the list of collections say so.
func TestIndexing(t *testing.T) {
	passage := chain.Passage{N: 1, Text: "x"}
	h := filled(t, func(c *web.Config) {
		c.Ask = scripted(chain.Sources{Passages: []chain.Passage{passage}}, chain.Done{Answer: chain.Answer{Text: "x"}})
	})
	// Two jobs of a batch, one ended, that no pipeline will touch.
	jobs := []catalog.Job{
		{Collection: "docs", Path: "a", State: catalog.Done},
		{Collection: "docs", Path: "b", State: catalog.Running},
	}
	time.Sleep(5 * time.Millisecond)
	if err := h.store.Catalog().AddJobs(t.Context(), jobs); err != nil {
		t.Fatal(err)
	}
	_, body := h.do(t, "POST", "/api/ask", `{"collection":"docs","question":"x"}`)
	if want := `"indexing":{"done":1,"total":2}`; !strings.Contains(body, want) {
		t.Errorf("no %s in %s", want, body)
	}
	_, body = h.do(t, "POST", "/api/ask", `{"collection":"docs","question":"x","stream":false}`)
	if want := `"indexing":{"done":1,"total":2}`; !strings.Contains(body, want) {
		t.Errorf("no %s in %s", want, body)
	}
	_, body = h.do(t, "GET", "/api/collections", nil)
	if want := `"indexing":{"done":1,"total":2}`; !strings.Contains(body, want) {
		t.Errorf("no %s in %s", want, body)
	}
	// The events stream begins with the unfinished one.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	resp := h.send(t, ctx, "GET", "/api/collections/docs/events", nil)
	defer resp.Body.Close()
	events := readEvents(resp.Body, func(event) bool { return true })
	if len(events) != 1 || !strings.Contains(events[0].data, `"path":"b"`) {
		t.Errorf("events %v", events)
	}
}

func TestConcurrentAsks(t *testing.T) {
	h := filled(t)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			status, body := h.do(t, "POST", "/api/ask", map[string]any{"collection": "docs", "question": "How many days of annual leave do employees get?", "stream": i%2 == 0})
			if status != 200 || !strings.Contains(body, "25 days") {
				t.Errorf("%d %.300s", status, body)
			}
			if i%3 == 0 {
				h.upload(t, "docs", file{fmt.Sprintf("%d.md", i), "Another text about pumps."})
			}
			h.do(t, "GET", "/api/collections", nil)
		})
	}
	wg.Wait()
	h.settle(t, "docs")
	if all, err := h.store.Catalog().Conversations(t.Context(), 0, 0); err != nil || len(all) != 12 {
		t.Errorf("%d conversations, %v", len(all), err)
	}
}

func TestPage(t *testing.T) {
	ui := fstest.MapFS{
		"index.html":                    {Data: []byte("<title>docent page</title>")},
		"assets/index-Bx3Yk2aZ.js":      {Data: []byte("js")},
		"assets/pdf.worker-Cx3Yk2a.mjs": {Data: []byte("mjs")},
		"theme.js":                      {Data: []byte("theme")},
		".gitkeep":                      {Data: []byte("")},
	}
	h := newHouse(t, func(c *web.Config) { c.UI = ui })
	for path, want := range map[string]struct {
		status            int
		body, kind, cache string
	}{
		"/":                                 {200, "docent page", "text/html", "no-cache"},
		"/c/docs/conversation/1":            {200, "docent page", "text/html", "no-cache"},
		"/v1.2":                             {200, "docent page", "text/html", "no-cache"},
		"/assets/index-Bx3Yk2aZ.js":         {200, "js", "text/javascript", "immutable"},
		"/assets/pdf.worker-Cx3Yk2a.mjs":    {200, "mjs", "text/javascript", "immutable"},
		"/theme.js":                         {200, "theme", "text/javascript", "no-cache"},
		"/assets/gone-00000000.js":          {404, "there is no", "application/json", ""},
		"/../../etc/passwd":                 {200, "docent page", "text/html", "no-cache"},
		"/.gitkeep":                         {200, "docent page", "text/html", "no-cache"},
		"/assets":                           {200, "docent page", "text/html", "no-cache"},
		"/%2e%2e/%2e%2e/etc/passwd.html%00": {404, "", "application/json", ""},
	} {
		resp := h.send(t, t.Context(), "GET", path, nil)
		raw, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if path == "/%2e%2e/%2e%2e/etc/passwd.html%00" {
			if strings.Contains(string(raw), "root:") {
				t.Error("a file outside was served")
			}
			continue
		}
		if resp.StatusCode != want.status || !strings.Contains(string(raw), want.body) || !strings.HasPrefix(resp.Header.Get("Content-Type"), want.kind) || !strings.Contains(resp.Header.Get("Cache-Control"), want.cache) {
			t.Errorf("%s: %d %q %v", path, resp.StatusCode, raw, resp.Header)
		}
	}
	for name, c := range map[string]option{"not built": func(c *web.Config) { c.UI = fstest.MapFS{".gitkeep": {}} }, "none": func(*web.Config) {}} {
		status, body := newHouse(t, c).do(t, "GET", "/", nil)
		if status != 200 || !strings.Contains(body, "make ui") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

func TestServe(t *testing.T) {
	started := make(chan struct{})
	h := filled(t)
	srv, err := web.New(web.Config{Store: h.store, Pipeline: h.pipeline, Ask: scripted(chain.Token{Text: "x"}, func(ctx context.Context) {
		close(started)
		time.Sleep(300 * time.Millisecond)
	}, chain.Done{Answer: chain.Answer{Text: "whole"}})})
	if err != nil {
		t.Fatal(err)
	}
	l, err := web.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	if _, err := web.Listen(t.Context(), addr); err == nil || !strings.Contains(err.Error(), "port "+port+" is in use") || !strings.Contains(err.Error(), "--addr") {
		t.Errorf("port in use: %v", err)
	}
	if _, err := web.Listen(t.Context(), "nonsense"); err == nil {
		t.Error("nonsense was listened on")
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, l) }()
	answered := make(chan string, 1)
	go func() {
		resp, err := http.Post("http://"+addr+"/api/ask", "application/json", strings.NewReader(`{"collection":"docs","question":"x"}`))
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		raw, _ := io.ReadAll(resp.Body)
		answered <- string(raw)
	}()
	// A stream of job events must not hold up the end.
	resp, err := http.Get("http://" + addr + "/api/collections/docs/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	<-started
	cancel()
	if body := <-answered; !strings.Contains(body, "event: done") {
		t.Errorf("the answer under way was cut: %s", body)
	}
	select {
	case err := <-served:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("does not stop")
	}
	if _, err := http.Get("http://" + addr + "/api/health"); err == nil {
		t.Error("still serves")
	}
}

func TestNewChecksItsConfig(t *testing.T) {
	if _, err := web.New(web.Config{}); err == nil {
		t.Error("an empty configuration was accepted")
	}
}
