package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"docent/internal/catalog"
)

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
