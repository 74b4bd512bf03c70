package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// SiteOptions bound the crawl of a site. The zero value works.
type SiteOptions struct {
	// Depth is how many links away from the first page is gone; 0 means 2. Pages of the sitemap count as
	// one link away.
	Depth int `json:"depth,omitempty"`
	// Pages is how many pages and files are fetched at most; 0 means 200.
	Pages int `json:"pages,omitempty"`
	// Include and Exclude are patterns of paths such as "/docs/**" or "*.pdf"; see [Patterns]. The first
	// page is fetched whatever they say.
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	// Delay is the time between two requests; 0 means a quarter of a second. A longer Crawl-delay of the
	// site's robots.txt counts, up to half a minute.
	Delay time.Duration `json:"delay,omitempty"`
	// NoSitemap passes over the site's sitemap.
	NoSitemap bool `json:"no_sitemap,omitempty"`
}

const (
	defaultSiteDepth = 2
	defaultSitePages = 200
	defaultSiteDelay = 250 * time.Millisecond
	maxSiteDelay     = 30 * time.Second
	maxSiteDepth     = 50
	maxSitePages     = 100_000

	maxURL      = 2048     // bytes of an address that is followed
	maxFrontier = 50_000   // addresses that wait
	maxSitemaps = 50       // files
	maxLinkPage = 16 << 20 // bytes of a page that are searched for links
	tries       = 3        // of a page whose server is busy
)

func (o SiteOptions) withDefaults() SiteOptions {
	if o.Depth <= 0 {
		o.Depth = defaultSiteDepth
	}
	if o.Pages <= 0 {
		o.Pages = defaultSitePages
	}
	if o.Delay <= 0 {
		o.Delay = defaultSiteDelay
	}
	return o
}

// Check returns an error that names the fix when the options cannot be followed.
func (o SiteOptions) Check() error {
	switch {
	case o.Depth < 0 || o.Depth > maxSiteDepth:
		return fmt.Errorf("depth is %d, want 1 to %d", o.Depth, maxSiteDepth)
	case o.Pages < 0 || o.Pages > maxSitePages:
		return fmt.Errorf("pages is %d, want 1 to %d", o.Pages, maxSitePages)
	case o.Delay < 0 || o.Delay > time.Hour:
		return fmt.Errorf("delay is %v, want at most an hour", o.Delay)
	}
	_, err := NewPatterns(o.Include, o.Exclude)
	return err
}

// KnownPage is what an earlier crawl left of a page.
type KnownPage struct {
	Validators
	// Open gives the page's bytes, for its links.
	Open func() (io.ReadCloser, error)
	// Fresh says that the page need not be asked for again.
	Fresh bool
}

// A SitePage is an address of a site that a crawl has dealt with. Exactly one of Fetched.File,
// Fetched.Unchanged, Err and Skipped is set.
type SitePage struct {
	Fetched
	// Address is where the crawl went. Fetched.Path is the address the page is recorded by: that of its
	// own <link rel="canonical"> when it is on the same site, else where redirects led.
	Address string
	Depth   int
	SHA256  string // of Fetched.File
	Skipped string // why the page is not recorded
	Err     error  // without the address
	// Left is how many addresses wait.
	Left int
}

// Crawl goes through a site, beginning with the page at address: page by page, in the order of their
// distance from it, one request at a time. It stays on the page's host, keeps to robots.txt (RFC 9309),
// reads sitemap.xml, and passes over what is recorded elsewhere: redirects, canonical addresses and pages
// of the same bytes are given once. known, unless nil, tells what is kept of a page since an earlier crawl.
//
// The sequence ends with an error when the crawl cannot begin; what goes wrong with a page is in its Err.
// The caller removes the File of each page; Ingest and Enqueue do.
func (f *Fetcher) Crawl(ctx context.Context, address string, opts SiteOptions, known func(address string) (KnownPage, bool)) iter.Seq2[SitePage, error] {
	return func(yield func(SitePage, error) bool) {
		c, err := f.newCrawl(address, opts)
		if err != nil {
			yield(SitePage{}, fmt.Errorf("crawl %s: %w", redacted(address), err))
			return
		}
		if known != nil {
			c.known = known
		}
		c.run(ctx, yield)
	}
}

// A crawl is one walk through a site.
type crawl struct {
	f        *Fetcher
	opts     SiteOptions
	patterns *Patterns
	known    func(string) (KnownPage, bool)

	start    *url.URL
	hosts    map[string]bool // of the site: as named, and where its first page leads
	robots   map[string]robots
	last     time.Time // of the last request
	frontier []target
	seen     map[string]bool   // addresses that wait or were dealt with
	recorded map[string]bool   // by the address of the record
	bodies   map[string]string // by sum: the address of the record
	fetched  int
}

type target struct {
	url   *url.URL
	depth int
}

func (f *Fetcher) newCrawl(address string, opts SiteOptions) (*crawl, error) {
	if err := opts.Check(); err != nil {
		return nil, err
	}
	patterns, err := NewPatterns(opts.Include, opts.Exclude)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil {
		return nil, fmt.Errorf("%w: it is not a URL", ErrAddress)
	}
	if err := checkURL(u); err != nil {
		return nil, err
	}
	u = normalURL(u)
	return &crawl{
		f: f, opts: opts.withDefaults(), patterns: patterns, start: u, known: func(string) (KnownPage, bool) { return KnownPage{}, false },
		hosts: map[string]bool{u.Host: true}, robots: map[string]robots{}, frontier: []target{{u, 0}}, seen: map[string]bool{u.String(): true},
		recorded: map[string]bool{}, bodies: map[string]string{},
	}, nil
}

func (c *crawl) run(ctx context.Context, yield func(SitePage, error) bool) {
	for len(c.frontier) > 0 && c.fetched < c.opts.Pages {
		t := c.frontier[0]
		c.frontier = c.frontier[1:]
		page, links := c.visit(ctx, t)
		if ctx.Err() != nil {
			if page.File != "" {
				os.Remove(page.File)
			}
			yield(SitePage{}, ctx.Err())
			return
		}
		if t.depth < c.opts.Depth {
			for _, l := range links {
				c.add(l, t.depth+1)
			}
		}
		if t.depth == 0 && !c.opts.NoSitemap && page.Err == nil {
			c.addSitemaps(ctx)
		}
		page.Left = len(c.frontier)
		if !yield(page, nil) {
			return
		}
	}
}

// add puts an address in line.
func (c *crawl) add(u *url.URL, depth int) {
	u = normalURL(u)
	key := u.String()
	switch {
	case c.seen[key] || len(key) > maxURL || len(c.frontier) >= maxFrontier || checkURL(u) != nil || !c.hosts[u.Host]:
		return
	case webFurniture[strings.ToLower(path.Ext(u.Path))] || textless(path.Base(u.Path)) != "":
		return
	case !c.patterns.Match(u.Path):
		return
	}
	c.seen[key] = true
	c.frontier = append(c.frontier, target{u, depth})
}

// webFurniture are the extensions of what pages are made of.
var webFurniture = map[string]bool{".css": true, ".js": true, ".mjs": true, ".map": true, ".rss": true, ".atom": true, ".webmanifest": true}

// errFurniture says that a reply is no document.
var errFurniture = errors.New("no document")

// visit fetches a page and finds its links.
func (c *crawl) visit(ctx context.Context, t target) (page SitePage, links []*url.URL) {
	page = SitePage{Address: t.url.String(), Depth: t.depth}
	page.Path, page.URL = page.Address, page.Address
	rules, err := c.rules(ctx, t.url)
	if err != nil {
		page.Err = err
		return page, nil
	}
	if !rules.allows(t.url) {
		page.Skipped = "robots.txt asks crawlers to stay away"
		return page, nil
	}
	kept, isKnown := c.known(page.Address)
	got := Fetched{Item: page.Item, URL: page.Address, Validators: kept.Validators, Unchanged: true}
	if !isKnown || !kept.Fresh {
		c.fetched++
		if got, err = c.fetch(ctx, t.url, rules, kept.Validators); err != nil {
			if errors.Is(err, errFurniture) {
				page.Skipped = "a picture, a program or the like: " + got.ContentType
				return page, nil
			}
			page.Err = err
			return page, nil
		}
	}
	page.Fetched = got
	page.Path = got.URL
	if final, err := url.Parse(got.URL); err == nil && !c.follows(final, t, &page) {
		return page, nil
	}
	look := c.look(&page, kept)
	if look.canonical != nil && c.hosts[look.canonical.Host] {
		page.Path = look.canonical.String()
	}
	switch {
	case look.noIndex:
		page.skip("the page asks not to be indexed")
	case c.recorded[page.Path]:
		page.skip("the same page as " + page.Path)
	case page.SHA256 != "" && c.bodies[page.SHA256] != "":
		page.skip("the same bytes as " + c.bodies[page.SHA256])
	default:
		c.recorded[page.Path] = true
		if page.SHA256 != "" {
			c.bodies[page.SHA256] = page.Path
		}
	}
	return page, look.links
}

// skip turns a fetched page into one that is not recorded.
func (p *SitePage) skip(why string) {
	if p.File != "" {
		os.Remove(p.File)
	}
	p.File, p.Temporary, p.Unchanged, p.Skipped = "", false, false, why
}

// follows judges where redirects led.
func (c *crawl) follows(final *url.URL, t target, page *SitePage) bool {
	final = normalURL(final)
	if t.depth == 0 {
		c.hosts[final.Host] = true // example.org that sends to www.example.org
	}
	if !c.hosts[final.Host] {
		page.skip("it leads to another site, " + final.Host)
		return false
	}
	page.Path = final.String()
	c.seen[page.Path] = true
	return true
}

// look reads a page for what it says of itself and where it links.
func (c *crawl) look(page *SitePage, kept KnownPage) (l pageLook) {
	var body io.ReadCloser
	var err error
	switch {
	case page.File != "":
		body, err = os.Open(page.File)
	case kept.Open != nil:
		body, err = kept.Open()
	default:
		return l
	}
	if err != nil {
		return l
	}
	defer body.Close()
	sum := sha256.New()
	r := io.TeeReader(body, sum)
	base, err := url.Parse(page.URL)
	if err != nil {
		return l
	}
	l = lookAt(io.LimitReader(r, maxLinkPage), base, page.robotsTag)
	if page.File != "" {
		if _, err := io.Copy(io.Discard, r); err == nil {
			page.SHA256 = hex.EncodeToString(sum.Sum(nil))
		}
	}
	return l
}

// fetch asks for a page, again when the server is busy.
func (c *crawl) fetch(ctx context.Context, u *url.URL, rules robots, v Validators) (got Fetched, err error) {
	for try := 1; ; try++ {
		if err := c.pause(ctx, rules); err != nil {
			return got, err
		}
		got, err = c.f.fetch(ctx, u.String(), v, isDocument)
		busy, ok := errors.AsType[*statusError](err)
		if !ok || try == tries || busy.code != http.StatusTooManyRequests && busy.code != http.StatusServiceUnavailable {
			return got, err
		}
		if err := sleep(ctx, min(max(busy.after, time.Second), maxSiteDelay)); err != nil {
			return got, err
		}
	}
}

// isDocument judges by the media type whether a reply is worth reading.
func isDocument(resp *http.Response) error {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return nil
	}
	family, _, _ := strings.Cut(kind, "/")
	if slices.Contains([]string{"image", "audio", "video", "font"}, family) ||
		slices.Contains([]string{"text/css", "text/javascript", "application/javascript", "application/wasm", "application/x-msdownload", "application/rss+xml", "application/atom+xml"}, kind) {
		return errFurniture
	}
	return nil
}

// pause waits until the site may be asked again.
func (c *crawl) pause(ctx context.Context, rules robots) error {
	delay := max(c.opts.Delay, min(rules.delay, maxSiteDelay))
	if !c.last.IsZero() {
		if err := sleep(ctx, delay-time.Since(c.last)); err != nil {
			return err
		}
	}
	c.last = time.Now()
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rules returns what robots.txt says at the address. A site without one allows everything; one that
// cannot be reached, nothing (RFC 9309, section 2.3.1).
func (c *crawl) rules(ctx context.Context, u *url.URL) (robots, error) {
	origin := u.Scheme + "://" + u.Host
	if r, ok := c.robots[origin]; ok {
		return r, nil
	}
	if err := c.pause(ctx, robots{}); err != nil {
		return robots{}, err
	}
	var r robots
	body, err := c.f.read(ctx, origin+"/robots.txt", maxRobots)
	status, isStatus := errors.AsType[*statusError](err)
	switch {
	case err == nil:
		r = parseRobots(body, c.f.cfg.UserAgent)
	case errors.Is(err, ErrGone), isStatus && status.code >= 400 && status.code < 500 && status.code != http.StatusTooManyRequests:
	default:
		return r, fmt.Errorf("robots.txt of %s: %w", u.Host, err)
	}
	c.robots[origin] = r
	return r, nil
}

// read fetches a small file whole, up to limit bytes of it.
func (f *Fetcher) read(ctx context.Context, address string, limit int64) ([]byte, error) {
	got, err := f.fetch(ctx, address, Validators{}, nil)
	if err != nil {
		return nil, err
	}
	defer os.Remove(got.File)
	file, err := os.Open(got.File)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, limit))
}

// addSitemaps puts the pages of the site's map in line.
func (c *crawl) addSitemaps(ctx context.Context) {
	origin := c.start.Scheme + "://" + c.start.Host
	waiting := slices.Clone(c.robots[origin].sitemaps)
	if len(waiting) == 0 {
		waiting = []string{origin + "/sitemap.xml"}
	}
	seen := map[string]bool{}
	for len(waiting) > 0 && len(seen) < maxSitemaps && ctx.Err() == nil {
		u, err := c.start.Parse(waiting[0])
		waiting = waiting[1:]
		if err != nil || seen[u.String()] || !c.hosts[u.Host] || checkURL(u) != nil {
			continue
		}
		seen[u.String()] = true
		m, err := c.sitemap(ctx, u)
		if err != nil {
			c.f.cfg.Logger.DebugContext(ctx, "sitemap", "url", u.Redacted(), "error", err)
		}
		for _, p := range m.pages {
			if page, err := url.Parse(p); err == nil {
				c.add(page, 1)
			}
		}
		waiting = append(waiting, m.maps...)
	}
}

func (c *crawl) sitemap(ctx context.Context, u *url.URL) (sitemap, error) {
	if err := c.pause(ctx, c.robots[c.start.Scheme+"://"+c.start.Host]); err != nil {
		return sitemap{}, err
	}
	got, err := c.f.fetch(ctx, u.String(), Validators{}, nil)
	if err != nil {
		return sitemap{}, err
	}
	defer os.Remove(got.File)
	file, err := os.Open(got.File)
	if err != nil {
		return sitemap{}, err
	}
	defer file.Close()
	return parseSitemap(file)
}
