package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"docent/chain"
	"docent/internal/catalog"
	"docent/retriever"
	"docent/web"
)

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
