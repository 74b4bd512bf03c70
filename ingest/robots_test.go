package ingest

import (
	"bytes"
	"compress/gzip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRobots(t *testing.T) {
	// From RFC 9309: the examples of section 5.1 and 5.2, the matches of section 2.2.2 and 2.2.3.
	const simple = `User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot
`
	const longest = "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n"
	for _, tc := range []struct {
		name, file, agent, page string
		want                    bool
	}{
		{"all others", simple, "docent", "/example/a.html", false},
		{"all others, elsewhere", simple, "docent", "/a.html", true},
		{"all others, allowed", simple, "docent", "/publications/a.html", true},
		{"end of the path", simple, "docent", "/a/b.gif", false},
		{"not the end of the path", simple, "docent", "/a/b.gif?x=1", true},
		{"named", simple, "FooBot", "/other", false},
		{"named, longest match", simple, "foobot", "/example/page.html", true},
		{"two names, one group", simple, "barbot", "/example/page.html", false},
		{"two names, one group", simple, "bazbot", "/example/page.html", false},
		{"a group without rules", simple, "quxbot", "/example/page.html", true},
		{"longest match", longest, "foobot", "/example/page/disallowed.gif", false},
		{"longest match allows", longest, "foobot", "/example/page/other.gif", true},
		{"two groups of one name are one", "User-agent: docent\nDisallow: /a\n\nUser-agent: x\nDisallow: /\n\nUser-agent: docent\nDisallow: /b", "docent", "/b", false},
		{"two groups of one name are one", "User-agent: docent\nDisallow: /a\n\nUser-agent: docent\nDisallow: /b", "docent", "/a", false},
		{"as long: allow", "User-agent: *\nDisallow: /a\nAllow: /a", "docent", "/a", true},
		{"everything but", "User-agent: *\nAllow: /$\nDisallow: /", "docent", "/", true},
		{"everything but", "User-agent: *\nAllow: /$\nDisallow: /", "docent", "/a", false},
		{"a star in the middle", "User-agent: *\nDisallow: /a/*/c", "docent", "/a/b/b/c/d", false},
		{"a star in the middle", "User-agent: *\nDisallow: /a/*/c$", "docent", "/a/b/c/d", true},
		{"a star that ends", "User-agent: *\nDisallow: /fish*", "docent", "/fishheads", false},
		{"case counts", "User-agent: *\nDisallow: /fish", "docent", "/Fish.asp", true},
		{"percent-encoding", "User-agent: *\nDisallow: /foo/bar/ツ", "docent", "/foo/bar/%E3%83%84", false},
		{"percent-encoding", "User-agent: *\nDisallow: /foo/bar/%E3%83%84", "docent", "/foo/bar/ツ", false},
		{"percent-encoding", "User-agent: *\nDisallow: /foo/bar/%62%61%7A", "docent", "/foo/bar/baz", false},
		{"query", "User-agent: *\nDisallow: /*?print=", "docent", "/a?print=1", false},
		{"nothing forbidden", "User-agent: *\nDisallow:", "docent", "/a", true},
		{"a comment and a mark", "\ufeff# x\nUser-agent: * # all\nDisallow: /a # no", "docent", "/a", false},
		{"old line ends", "User-agent: *\rDisallow: /a\r", "docent", "/a", false},
		{"not understood", "<html>\nDisallow: /", "docent", "/a", true},
		{"the file itself", "User-agent: *\nDisallow: /", "docent", "/robots.txt", true},
		{"empty", "", "docent", "/a", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u, err := url.Parse("https://example.org" + tc.page)
			if err != nil {
				t.Fatal(err)
			}
			if got := parseRobots([]byte(tc.file), tc.agent).allows(u); got != tc.want {
				t.Errorf("%s: %v, want %v", tc.page, got, tc.want)
			}
		})
	}
	r := parseRobots([]byte("Sitemap: https://example.org/a.xml\nUser-agent: docent\nCrawl-delay: 2.5\nSitemap: https://example.org/b.xml\n"), "docent")
	if r.delay != 2500*time.Millisecond || !cmp.Equal(r.sitemaps, []string{"https://example.org/a.xml", "https://example.org/b.xml"}) {
		t.Errorf("%+v", r)
	}
}

func FuzzRobots(f *testing.F) {
	f.Add([]byte("User-agent: *\nDisallow: /a*b$\nAllow: /%E3%83%84\nCrawl-delay: 1\nSitemap: x"), "/a/b?c")
	f.Fuzz(func(t *testing.T, file []byte, page string) {
		r := parseRobots(file, "docent")
		for _, rule := range r.rules {
			if again := uniform(rule.pattern); again != rule.pattern {
				t.Errorf("%q becomes %q", rule.pattern, again)
			}
		}
		r.allows(&url.URL{Scheme: "https", Host: "example.org", Path: page})
	})
}

func TestSitemap(t *testing.T) {
	const pages = `<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
<url><loc> https://example.org/a?x=1&amp;y=2 </loc><image:image><image:loc>https://example.org/a.png</image:loc></image:image></url><url><loc>https://example.org/b</loc></url></urlset>`
	const index = `<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><sitemap><loc>https://example.org/1.xml.gz</loc></sitemap></sitemapindex>`
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write([]byte(pages))
	z.Close()
	two := []string{"https://example.org/a?x=1&y=2", "https://example.org/b"}
	for _, tc := range []struct {
		name, data string
		want       sitemap
		fails      bool
	}{
		{name: "pages", data: pages, want: sitemap{pages: two}},
		{name: "gzip", data: packed.String(), want: sitemap{pages: two}},
		{name: "index", data: index, want: sitemap{maps: []string{"https://example.org/1.xml.gz"}}},
		{name: "lines", data: "https://example.org/a?x=1&y=2\r\nno address\nhttps://example.org/b\n", want: sitemap{pages: two}},
		{name: "broken off", data: pages[:strings.LastIndex(pages, "</loc>")+6], want: sitemap{pages: two}, fails: true},
		{name: "deep", data: strings.Repeat("<a>", 1000), fails: true},
		{name: "laughs", data: `<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><urlset><url><loc>https://example.org/&b;</loc></url></urlset>`, want: sitemap{pages: []string{"https://example.org/&b;"}}},
		{name: "empty"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseSitemap(strings.NewReader(tc.data))
			if (err != nil) != tc.fails {
				t.Errorf("error %v", err)
			}
			if d := cmp.Diff(tc.want, got, cmp.AllowUnexported(sitemap{})); d != "" {
				t.Error(d)
			}
		})
	}
	t.Run("bomb", func(t *testing.T) {
		var bomb bytes.Buffer
		z, _ := gzip.NewWriterLevel(&bomb, gzip.BestSpeed)
		line := bytes.Repeat([]byte(" "), 1<<20)
		z.Write([]byte("<urlset>"))
		for range 60 {
			z.Write(line)
		}
		z.Close()
		if _, err := parseSitemap(&bomb); err == nil || !strings.Contains(err.Error(), "50 MiB") {
			t.Errorf("error %v", err)
		}
	})
}

func FuzzSitemap(f *testing.F) {
	f.Add([]byte("<urlset><url><loc>https://example.org/</loc></url></urlset>"))
	f.Add([]byte("https://example.org/\n"))
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, _ := parseSitemap(bytes.NewReader(data))
		if len(m.pages)+len(m.maps) > maxSitemapURLs {
			t.Errorf("%d pages, %d maps", len(m.pages), len(m.maps))
		}
	})
}

func FuzzLookAt(f *testing.F) {
	f.Add([]byte(`<base href="/x/"><link rel=canonical href="a"><meta name=robots content="noindex, nofollow"><a href="../b?utm_source=x#y">`), "none")
	f.Add([]byte(`<meta http-equiv=refresh content="0; URL='/c'"><iframe src=//d></iframe>`), "docent: noindex")
	base, _ := url.Parse("https://example.org/dir/page")
	f.Fuzz(func(t *testing.T, data []byte, tag string) {
		l := lookAt(bytes.NewReader(data), base, tag)
		for _, u := range l.links {
			n := normalURL(u)
			again := normalURL(n)
			if n.String() != again.String() {
				t.Errorf("%q becomes %q", n, again)
			}
		}
	})
}

func TestPatterns(t *testing.T) {
	for _, tc := range []struct {
		pattern, path string
		want          bool
	}{
		{"*.pdf", "/a/b.pdf", true}, {"*.pdf", "a.pdf", true}, {"*.pdf", "/a.pdf/b.md", true}, {"*.pdf", "/a.pdfx", false},
		{"/docs/**", "/docs/a/b", true}, {"/docs/**", "/docs", true}, {"/docs/**", "/documents/a", false}, {"/docs", "/docs/a", true}, {"docs/", "/docs/a", true},
		{"/a/*/c", "/a/b/c", true}, {"/a/*/c", "/a/b/b/c", false}, {"/a/**/c", "/a/b/b/c", true}, {"/a/**/c", "/a/c", true}, {"/**/x/**/y", "/q/x/r/s/y/z", true},
		{"drafts", "/a/drafts/b.md", true}, {"*.md, *.txt", "/a.txt", true}, {"年*", "/手册/年假.md", true},
	} {
		p, err := NewPatterns([]string{tc.pattern}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(tc.path); got != tc.want {
			t.Errorf("%q on %q: %v", tc.pattern, tc.path, got)
		}
		if p, _ = NewPatterns(nil, []string{tc.pattern}); p.Match(tc.path) == tc.want {
			t.Errorf("exclude %q on %q: %v", tc.pattern, tc.path, !tc.want)
		}
	}
	if _, err := NewPatterns([]string{"[a"}, nil); err == nil {
		t.Error("a pattern that is none")
	}
}

func FuzzIgnore(f *testing.F) {
	f.Add([]byte("# c\n*.log\n!keep\\ \n/a/**/b/\n[!a-z[:digit:]]\n\\!x\n[]a]\n"), "a/b/c.log")
	f.Fuzz(func(t *testing.T, file []byte, name string) {
		rules := parseIgnore(file)
		decide(rules, "/root", "/root/"+name, false)
		for _, r := range rules {
			if len(r.segments) == 0 {
				t.Error("a rule without a pattern")
			}
		}
	})
}
