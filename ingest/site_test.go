package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"docent/chunker"
	"docent/ingest"
)

// A site is a small web site on this machine. Its pages can change between two crawls.
type site struct {
	*httptest.Server
	mu       sync.Mutex
	pages    map[string]string // by path and query; gone when missing
	requests []string          // method-less: path, and "304" where that was the reply
}

func newSite(t testing.TB, pages map[string]string) *site {
	s := &site{pages: pages}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, ok := s.pages[r.URL.RequestURI()]
	line := r.URL.RequestURI()
	defer func() { s.requests = append(s.requests, line) }()
	body = strings.ReplaceAll(body, "HOST", s.URL)
	if to, isRedirect := strings.CutPrefix(body, "-> "); isRedirect {
		http.Redirect(w, r, to, http.StatusFound)
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	tag := fmt.Sprintf(`"%x"`, len(body)*31+strings.Count(body, "e"))
	if r.Header.Get("If-None-Match") == tag {
		line = "304 " + line
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("ETag", tag)
	switch {
	case strings.HasSuffix(r.URL.Path, ".txt"), strings.HasSuffix(r.URL.Path, ".md"):
		w.Header().Set("Content-Type", "text/plain")
	case strings.HasSuffix(r.URL.Path, ".xml"):
		w.Header().Set("Content-Type", "application/xml")
	case strings.HasSuffix(r.URL.Path, "/logo"):
		w.Header().Set("Content-Type", "image/png")
	default:
		w.Header().Set("Content-Type", "text/html")
	}
	fmt.Fprint(w, body)
}

// taken returns the requests since the last call, without robots.txt.
func (s *site) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := slices.DeleteFunc(s.requests, func(p string) bool { return strings.HasSuffix(p, "robots.txt") })
	s.requests = nil
	slices.Sort(got)
	return got
}

func (s *site) set(path, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pages[path] = body; body == "" {
		delete(s.pages, path)
	}
}

func article(title, more string) string {
	return fmt.Sprintf("<html><head><title>%s</title></head><body><h1>%s</h1><p>All there is to know of %s is written on this page.</p>%s</body></html>", title, title, title, more)
}

func harbour() map[string]string {
	return map[string]string{
		"/robots.txt": "User-agent: *\nDisallow: /private/\nSitemap: HOST/map.xml\n",
		"/map.xml":    "<urlset><url><loc>HOST/listed</loc></url><url><loc>https://elsewhere.example/</loc></url></urlset>",
		"/": article("harbour", `<a href="/dues#top">dues</a> <a href="/dues?utm_source=x">dues</a> <a href="moved">x</a> <a href="/private/x">x</a> <a rel="nofollow" href="/unfollowed">x</a>
			<a href="https://elsewhere.example/">x</a> <a href="/style.css">x</a> <a href="/logo">x</a> <a href="/tides.md">tides</a> <a href="/print?page=dues">print</a> <a href="/copy">c</a> <a href="/missing">m</a> <a href="/hidden">h</a> <a href="mailto:a@example.org">m</a>`),
		"/dues":            article("dues", `<link rel="canonical" href="/dues"><a href="/deep/1">deeper</a>`),
		"/print?page=dues": article("printed dues", `<link rel="canonical" href="/dues">`),
		"/copy":            "-> /tides.md",
		"/same":            "# Tides\n\nHigh at six.",
		"/tides.md":        "# Tides\n\nHigh at six.",
		"/moved":           "-> /berths",
		"/berths":          article("berths", ""),
		"/listed":          article("listed", `<a href="/deep/1">deeper</a>`),
		"/deep/1":          article("deep one", `<a href="/deep/2">deeper</a>`),
		"/deep/2":          article("deep two", ""),
		"/hidden":          article("hidden", `<meta name="robots" content="noindex">`),
		"/private/x":       article("private", ""),
		"/unfollowed":      article("unfollowed", ""),
		"/logo":            "png",
	}
}

// crawl takes a site into the bench's collection "c" and returns what became of each address, by path.
func (b *bench) crawl(t testing.TB, s *site, path string, opts ingest.SiteOptions) map[string]string {
	t.Helper()
	opts.Delay = time.Millisecond
	got := map[string]string{}
	short := func(u string) string { return strings.TrimPrefix(u, s.URL) }
	for page, err := range b.pipe.Site(t.Context(), "c", s.URL+path, opts, time.Now()) {
		if err != nil {
			t.Fatal(err)
		}
		state := page.Skipped
		switch {
		case errors.Is(page.Err, ingest.ErrGone):
			_, removed, err := b.pipe.Forget(t.Context(), "c", page)
			if err != nil {
				t.Fatal(err)
			}
			if state = "gone"; removed {
				state = "removed"
			}
		case page.Err != nil:
			t.Errorf("%s: %v", page.Address, page.Err)
		case page.Skipped == "":
			res, err := b.pipe.Ingest(t.Context(), "c", page.Item, nil)
			if err != nil {
				t.Error(err)
			}
			if state = res.Status; page.Path != page.Address {
				state += " as " + short(page.Path)
			}
		}
		got[short(page.Address)] = strings.ReplaceAll(state, s.URL, "")
	}
	return got
}

func siteBench(t testing.TB) *bench {
	b := newBench(t)
	b.pipe = newPipeline(t, b.store, chunker.RecursiveConfig{}, ingest.PipelineConfig{
		Fetcher: ingest.NewFetcher(ingest.FetchConfig{AllowHosts: []string{"127.0.0.1"}, Dir: t.TempDir(), Timeout: 5 * time.Second}),
	})
	return b
}

func TestSite(t *testing.T) {
	s, b := newSite(t, harbour()), siteBench(t)
	got := b.crawl(t, s, "/", ingest.SiteOptions{})
	want := map[string]string{
		"/": "ingested", "/dues": "ingested", "/moved": "ingested as /berths", "/private/x": "robots.txt asks crawlers to stay away",
		"/tides.md": "ingested", "/print?page=dues": "the same page as /dues", "/copy": "the same page as /tides.md", "/missing": "gone",
		"/hidden": "the page asks not to be indexed", "/logo": "a picture, a program or the like: image/png", "/listed": "ingested", "/deep/1": "ingested",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("first crawl: %s", d)
	}
	s.taken()

	// Nothing has changed: no body is sent, nothing is done.
	got = b.crawl(t, s, "/", ingest.SiteOptions{})
	for path, state := range got {
		if strings.HasPrefix(state, "ingested") {
			t.Errorf("again: %s is %s", path, state)
		}
	}
	if got := s.taken(); !slices.Contains(got, "304 /dues") || !slices.Contains(got, "304 /deep/1") || slices.Contains(got, "/dues") {
		t.Errorf("requests of the second crawl: %v", got)
	}

	// One page changes, one goes, one is no longer linked but there, one is linked anew.
	s.set("/dues", article("new dues", ""))
	s.set("/berths", "")
	s.set("/moved", "")
	s.set("/listed", article("listed", `<a href="/unfollowed">now followed</a>`))
	got = b.crawl(t, s, "/", ingest.SiteOptions{})
	for path, want := range map[string]string{"/dues": "ingested", "/moved": "removed", "/unfollowed": "ingested", "/": "unchanged", "/deep/1": ""} {
		if got[path] != want {
			t.Errorf("third crawl: %s is %q, want %q", path, got[path], want)
		}
	}
	var paths []string
	docs, err := b.store.Documents(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range docs {
		paths = append(paths, strings.TrimPrefix(d.Path, s.URL))
	}
	if d := cmp.Diff([]string{"/", "/deep/1", "/dues", "/listed", "/tides.md", "/unfollowed"}, paths); d != "" {
		t.Errorf("documents: %s", d)
	}
	// What is not linked any more is asked for all the same: when it is gone, its document goes.
	s.set("/deep/1", "")
	if got := b.crawl(t, s, "/", ingest.SiteOptions{}); got["/deep/1"] != "removed" {
		t.Errorf("fourth crawl: /deep/1 is %q", got["/deep/1"])
	}
}

func TestSiteLimits(t *testing.T) {
	endless := map[string]string{}
	for i := range 60 {
		endless[fmt.Sprintf("/a/%d", i)] = article(fmt.Sprintf("page %d", i), fmt.Sprintf(`<a href="/a/%d">x</a> <a href="/b/%d.html">y</a>`, i+1, i))
		endless[fmt.Sprintf("/b/%d.html", i)] = article(fmt.Sprintf("side %d", i), "")
	}
	s := newSite(t, endless)
	count := func(opts ingest.SiteOptions) (taken int) {
		for _, state := range siteBench(t).crawl(t, s, "/a/0", opts) {
			if state == "ingested" {
				taken++
			}
		}
		return taken
	}
	for _, tc := range []struct {
		name string
		opts ingest.SiteOptions
		want int
	}{
		{"depth", ingest.SiteOptions{Depth: 3, Pages: 100}, 7},
		{"pages", ingest.SiteOptions{Depth: 50, Pages: 20}, 20},
		{"include", ingest.SiteOptions{Depth: 5, Include: []string{"/a/**"}}, 6},
		{"exclude", ingest.SiteOptions{Depth: 5, Exclude: []string{"*.html"}}, 6},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := count(tc.opts); got != tc.want {
				t.Errorf("%d pages, want %d", got, tc.want)
			}
		})
	}
	b := siteBench(t)
	for _, opts := range []ingest.SiteOptions{{Depth: -1}, {Pages: 1e9}, {Include: []string{"[a"}}} {
		for _, err := range b.pipe.Site(t.Context(), "c", s.URL, opts, time.Now()) {
			if err == nil {
				t.Errorf("%+v is taken", opts)
			}
		}
	}
}

// A crawl that was cut off asks for none of its pages again.
func TestSiteGoesOn(t *testing.T) {
	s, b := newSite(t, harbour()), siteBench(t)
	since := time.Now().Add(-time.Second)
	n := 0
	for page, err := range b.pipe.Site(t.Context(), "c", s.URL+"/", ingest.SiteOptions{Delay: time.Millisecond}, since) {
		if err != nil {
			t.Fatal(err)
		}
		if page.File != "" {
			if _, err := b.pipe.Ingest(t.Context(), "c", page.Item, nil); err != nil {
				t.Fatal(err)
			}
		}
		if n++; n == 4 {
			break
		}
	}
	before := s.taken()
	for _, err := range b.pipe.Site(t.Context(), "c", s.URL+"/", ingest.SiteOptions{Delay: time.Millisecond}, since) {
		if err != nil {
			t.Fatal(err)
		}
	}
	after := s.taken()
	if slices.Contains(after, "/") || !slices.Contains(before, "/") || !slices.Contains(after, "/deep/1") {
		t.Errorf("before %v, after %v", before, after)
	}
}

// A busy server is asked again, one that fails is not crawled around its robots.txt.
func TestSiteManners(t *testing.T) {
	var mu sync.Mutex
	var times []time.Time
	busy, broken := true, false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.URL.Path == "/robots.txt" && broken:
			http.Error(w, "down", http.StatusInternalServerError)
		case r.URL.Path == "/robots.txt":
			fmt.Fprint(w, "User-agent: docent\nCrawl-delay: 0.3\n")
		case r.URL.Path == "/busy" && busy:
			busy = false
			w.Header().Set("Retry-After", "1")
			http.Error(w, "busy", http.StatusServiceUnavailable)
		case r.Header.Get("User-Agent") != "docent":
			t.Errorf("user agent %q", r.Header.Get("User-Agent"))
		default:
			times = append(times, time.Now())
			fmt.Fprint(w, `<html><a href="/busy">a</a><a href="/b">b</a>`+r.URL.Path)
		}
	}))
	defer server.Close()
	f := ingest.NewFetcher(ingest.FetchConfig{AllowPrivate: true, Dir: t.TempDir()})
	walk := func() (errs, pages int) {
		for page, err := range f.Crawl(t.Context(), server.URL, ingest.SiteOptions{Delay: time.Millisecond, NoSitemap: true}, nil) {
			if err != nil {
				t.Fatal(err)
			}
			if page.Err != nil {
				errs++
			} else {
				pages++
			}
		}
		return errs, pages
	}
	if errs, pages := walk(); errs != 0 || pages != 3 {
		t.Errorf("%d errors, %d pages", errs, pages)
	}
	for i := 1; i < len(times); i++ {
		if gap := times[i].Sub(times[i-1]); gap < 250*time.Millisecond {
			t.Errorf("%v between two requests, robots.txt asks for 300 ms", gap)
		}
	}
	broken = true
	if errs, pages := walk(); errs != 1 || pages != 0 {
		t.Errorf("robots.txt cannot be had: %d errors, %d pages", errs, pages)
	}
}

// fakeDNS answers each question for an address with the next of the answers; the last one stays.
func fakeDNS(t *testing.T, answers ...string) (*net.Resolver, func() int) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	var mu sync.Mutex
	asked := 0
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.Additionals = true, nil
			if q.Type == dnsmessage.TypeA {
				mu.Lock()
				ip := net.ParseIP(answers[min(asked, len(answers)-1)]).To4()
				asked++
				mu.Unlock()
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
					Body:   &dnsmessage.AResource{A: [4]byte(ip)},
				}}
			}
			if out, err := m.Pack(); err == nil {
				conn.WriteTo(out, from)
			}
		}
	}()
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	return r, func() int { mu.Lock(); defer mu.Unlock(); return asked }
}

// Names that lead inside are refused whatever they led to before, and whoever sends there.
func TestFetchRebinding(t *testing.T) {
	hits := 0
	var port string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Host, "wiki.corp.example") {
			switch r.URL.Path {
			case "/name":
				http.Redirect(w, r, "http://public.example:"+port+"/", http.StatusFound)
			case "/number":
				http.Redirect(w, r, "http://127.0.0.1:"+port+"/", http.StatusFound)
			case "/metadata":
				http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
			default:
				fmt.Fprint(w, "the wiki")
			}
			return
		}
		hits++
	}))
	defer server.Close()
	_, port, _ = net.SplitHostPort(server.Listener.Addr().String())
	resolver, asked := fakeDNS(t, "127.0.0.1")
	f := ingest.NewFetcher(ingest.FetchConfig{Resolver: resolver, AllowHosts: []string{"*.Corp.example"}, Dir: t.TempDir(), Timeout: 5 * time.Second})
	for _, address := range []string{"http://public.example:" + port, "http://public.example/", "http://wiki.corp.example:" + port + "/name",
		"http://wiki.corp.example:" + port + "/number", "http://wiki.corp.example:" + port + "/metadata", "http://corp.example:" + port + "/"} {
		if it, err := f.Fetch(t.Context(), address); !errors.Is(err, ingest.ErrAddress) || strings.Contains(err.Error(), "127.0.0.1:") && !strings.Contains(address, "127.0.0.1:") {
			t.Errorf("%s: %+v, %v, want ErrAddress without the address inside", address, it, err)
		}
	}
	it, err := f.Fetch(t.Context(), "http://wiki.corp.example:"+port+"/page")
	if err != nil {
		t.Fatalf("a host that is allowed: %v", err)
	}
	defer os.Remove(it.File)
	if text, err := os.ReadFile(it.File); string(text) != "the wiki" {
		t.Errorf("%q, %v", text, err)
	}
	if hits > 0 || asked() < 3 {
		t.Errorf("the server inside was reached %d times; %d names were asked for", hits, asked())
	}
	// The second answer counts as the first did: each connection is judged by where it goes.
	rebinding, _ := fakeDNS(t, "192.0.2.1", "10.0.0.1", "127.0.0.1")
	f = ingest.NewFetcher(ingest.FetchConfig{Resolver: rebinding, Dir: t.TempDir(), Timeout: 5 * time.Second})
	for range 4 {
		if _, err := f.Fetch(t.Context(), "http://flip.example:8080/"); !errors.Is(err, ingest.ErrAddress) {
			t.Errorf("got %v", err)
		}
	}
}

func TestFetchCharset(t *testing.T) {
	gbk := "<html><head><meta charset=\"iso-8859-1\"></head><body><h1>\xc4\xea\xbc\xd9\xb9\xe6\xb6\xa8</h1><p>\xc4\xea\xbc\xd9\xca\xae\xb0\xcb\xcc\xec</p>"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=GB2312")
		fmt.Fprint(w, gbk)
	}))
	defer server.Close()
	b := siteBench(t)
	f := ingest.NewFetcher(ingest.FetchConfig{AllowPrivate: true, Dir: t.TempDir()})
	it, err := f.Fetch(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	res, err := b.pipe.Ingest(t.Context(), "c", it, nil)
	if err != nil {
		t.Fatal(err)
	}
	if doc, err := b.store.Content(t.Context(), res.DocumentID); err != nil || !strings.Contains(doc.Text, "年假规定") || !strings.Contains(doc.Text, "年假十八天") {
		t.Errorf("%q, %v", doc.Text, err)
	}
}
