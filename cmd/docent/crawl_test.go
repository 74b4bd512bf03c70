package main_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A page that a site links to and that cannot be read does not fail the command; the page that was asked for
// does.
func TestCrawlExitCode(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/":
			fmt.Fprint(w, `<h1>Harbour</h1><p>It opens at six.</p><a href="/broken.pdf">dues</a> <a href="/tides">tides</a>`)
		case "/tides":
			fmt.Fprint(w, "<h1>Tides</h1><p>High water is at half past seven.</p>")
		case "/broken.pdf":
			w.Header().Set("Content-Type", "application/pdf")
			fmt.Fprint(w, "%PDF-1.4\nnothing of a PDF follows")
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer site.Close()
	h := newHome(t)
	r := h.run("ingest", "--private", "--crawl", site.URL+"/")
	if r.code != 0 || !strings.Contains(r.stderr, "2 ingested, 1 failed") || !strings.Contains(r.stderr, "broken.pdf") {
		t.Errorf("a broken page that is linked: exit %d, %s", r.code, r.stderr)
	}
	if r := h.run("ingest", "--private", "--crawl", site.URL+"/broken.pdf"); r.code != 1 {
		t.Errorf("a broken first page: exit %d, %s", r.code, r.stderr)
	}
}

// What is not fetched is refused with what would be done about it.
func TestAddressesRefused(t *testing.T) {
	h := newHome(t)
	h.fails(1, []string{"http://169.254.169.254/", "not public", "--allow-host", "file:// are not fetched, only http"},
		"ingest", "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd")
}
