package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"docent/ingest"
)

// The addresses below are never connected to: they are refused when the connection is about to be made.
func TestFetchRefuses(t *testing.T) {
	hits := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits++ }))
	defer server.Close()
	f := ingest.NewFetcher(ingest.FetchConfig{Dir: t.TempDir(), Timeout: 5 * time.Second})
	for _, address := range []string{
		server.URL,
		"http://127.0.0.1/", "http://localhost/", "http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://0.0.0.0/", "http://[::1]/", "http://[::]/",
		"http://[::ffff:127.0.0.1]/", "http://[::127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[fe80::1%25eth0]/", "http://[fe80::1]/", "http://[fd00::1]/", "http://[fec0::1]/",
		"http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.1.1/", "http://100.64.0.1/", "http://169.254.169.254/latest/meta-data/", "http://224.0.0.1/",
		"https://127.0.0.1/", "http://127.0.0.1:8080/", "http://127.0.0.1:22/",
		"file:///etc/passwd", "ftp://example.org/a", "gopher://example.org/", "javascript:alert(1)", "http://", "http:///path", "", "no url", "http://user:secret@example.org/", "http://%zz/",
	} {
		it, err := f.Fetch(t.Context(), address)
		if err == nil {
			t.Errorf("%s: fetched %+v", address, it)
			continue
		}
		// Names that only some resolvers read as numbers may fail to resolve instead.
		if !errors.Is(err, ingest.ErrAddress) && !(errors.Is(err, ingest.ErrFetch) && strings.Contains(address, "7")) {
			t.Errorf("%s: %v, want ErrAddress", address, err)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
	if hits > 0 {
		t.Errorf("the server on loopback was reached %d times", hits)
	}
}

func TestFetch(t *testing.T) {
	const page = "<html><head><title>Leave</title></head><body><h1>Leave</h1><p>Fifteen days of leave a year, to be asked for early.</p></body></html>"
	mux := http.NewServeMux()
	mux.HandleFunc("/leave", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, page)
	})
	mux.HandleFunc("/named", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Disposition", `attachment; filename="../../etc/leave.md"`)
		fmt.Fprint(w, "# Leave")
	})
	mux.Handle("/moved", http.RedirectHandler("/leave", http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	mux.Handle("/file", http.RedirectHandler("file:///etc/passwd", http.StatusFound))
	mux.Handle("/zone", http.RedirectHandler("http://[fe80::1%25eth0]/", http.StatusFound))
	mux.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush() // no Content-Length
		for range 64 {
			fmt.Fprint(w, strings.Repeat("x", 1024))
		}
	})
	mux.HandleFunc("/declared", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "1000000000") })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "begin")
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second):
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	dir := t.TempDir()
	f := ingest.NewFetcher(ingest.FetchConfig{AllowPrivate: true, MaxBytes: 16 << 10, Timeout: 500 * time.Millisecond, Dir: dir})
	for _, tc := range []struct {
		path, name, content string
		want                error
	}{
		{path: "/leave#part", name: "leave.html", content: page},
		{path: "/moved", name: "leave.html", content: page},
		{path: "/named", name: "leave.md", content: "# Leave"},
		{path: "/missing", want: ingest.ErrFetch},
		{path: "/loop", want: ingest.ErrFetch},
		{path: "/file", want: ingest.ErrAddress},
		{path: "/zone", want: ingest.ErrAddress},
		{path: "/large", want: ingest.ErrTooLarge},
		{path: "/declared", want: ingest.ErrTooLarge},
		{path: "/slow", want: ingest.ErrFetch},
	} {
		t.Run(tc.path[1:], func(t *testing.T) {
			it, err := f.Fetch(t.Context(), server.URL+tc.path)
			if tc.want != nil {
				if !errors.Is(err, tc.want) {
					t.Errorf("%+v, %v, want %v", it, err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer os.Remove(it.File)
			got, err := os.ReadFile(it.File)
			path, _, _ := strings.Cut(server.URL+tc.path, "#")
			if err != nil || string(got) != tc.content || it.Name != tc.name || it.Path != path || it.Bytes != int64(len(got)) || !it.Temporary {
				t.Errorf("%+v, %q, %v", it, got, err)
			}
		})
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%d temporary files left, %v", len(left), err)
	}
	t.Run("cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := f.Fetch(ctx, server.URL+"/leave"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("ingest", func(t *testing.T) {
		b := newBench(t)
		it, err := f.Fetch(t.Context(), server.URL+"/leave")
		if err != nil {
			t.Fatal(err)
		}
		res, err := b.pipe.Ingest(t.Context(), "c", it, nil)
		if err != nil || res.Status != ingest.Ingested {
			t.Fatalf("%+v, %v", res, err)
		}
		if doc, err := b.store.Document(t.Context(), res.DocumentID); err != nil || doc.Path != server.URL+"/leave" || doc.Format != "html" {
			t.Errorf("%+v, %v", doc, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%d temporary files left, %v", len(left), err)
		}
	})
}
