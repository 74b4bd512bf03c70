package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/transform"
)

var (
	// ErrAddress is returned by Fetch for a URL that is not fetched: of another scheme than http and
	// https, with a user name or password, or that leads, directly or by a redirect, to an address
	// inside: loopback, private, link-local, reserved.
	ErrAddress = errors.New("address refused")
	// ErrFetch is returned by Fetch when the server does not answer or answers with an error.
	ErrFetch = errors.New("cannot fetch")
	// ErrGone is the ErrFetch of a page that the server says is not there: it answers 404 or 410.
	ErrGone = fmt.Errorf("%w: the page is not there", ErrFetch)
)

// FetchConfig says how documents are fetched from the web. The zero value is safe for addresses that
// anyone may enter.
type FetchConfig struct {
	// AllowPrivate also fetches from addresses that are not public, and from any port: for an intranet
	// whose users are trusted. Proxy settings of the environment apply then, and only then.
	AllowPrivate bool
	// AllowHosts are names that are connected to wherever they lead, on any port: the servers of an
	// intranet that may be fetched from although other addresses inside may not. "*.example.org" stands
	// for all names below example.org.
	AllowHosts []string
	// MaxBytes is the largest document fetched; 0 means 100 MiB.
	MaxBytes int64
	// Timeout bounds one fetch with all its redirects; 0 means one minute.
	Timeout time.Duration
	// Dir is where fetched bytes wait to be read; empty means the system's folder for temporary files.
	Dir string
	// UserAgent is what servers are told, and the name by which robots.txt addresses the crawl; empty
	// means "docent".
	UserAgent string
	// Resolver looks up names; nil means the system's.
	Resolver *net.Resolver
	// Logger gets a debug record for each fetch; nil discards.
	Logger *slog.Logger
}

const (
	defaultFetchBytes   = 100 << 20
	defaultFetchTimeout = time.Minute
	maxRedirects        = 8
)

// A Fetcher fetches documents from the web. It is safe for concurrent use.
type Fetcher struct {
	cfg    FetchConfig
	client *http.Client
}

// NewFetcher returns a Fetcher.
func NewFetcher(cfg FetchConfig) *Fetcher {
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = defaultFetchBytes
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultFetchTimeout
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "docent"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	guard := &addressGuard{open: cfg.AllowPrivate, hosts: slices.Clone(cfg.AllowHosts), resolver: cfg.Resolver}
	return &Fetcher{cfg: cfg, client: guard.client(cfg.Timeout)}
}

// Fetch is [Fetcher.Fetch] of the zero FetchConfig.
func Fetch(ctx context.Context, address string) (Item, error) {
	return NewFetcher(FetchConfig{}).Fetch(ctx, address)
}

// IsURL reports whether a name given by a user is an address to fetch rather than a file.
func IsURL(name string) bool {
	scheme, _, ok := strings.Cut(name, "://")
	return ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

// Validators are what a server said of a page, to ask it later whether the page has changed (RFC 9110,
// section 8.8).
type Validators struct {
	ETag         string
	LastModified string
}

// A Fetched is a document from the web.
type Fetched struct {
	Item
	Validators
	// URL is where it came from in the end, after redirects, without a fragment.
	URL string
	// ContentType is the media type the server gives, in lower case and without parameters.
	ContentType string
	// Unchanged says that the page is as the validators know it; then there is no File.
	Unchanged bool
	// robotsTag is the X-Robots-Tag of the reply.
	robotsTag string
}

// Fetch gets a document from the web into a temporary file, which Ingest and Enqueue remove. The Item's
// Path is the address without its fragment, its Name what the server calls the document. Text whose
// encoding the server names, and which is another than UTF-8, is stored as UTF-8 with a byte order mark:
// the server's word counts before the document's own. Errors are ErrAddress, ErrFetch, ErrGone,
// ErrTooLarge, and the context's.
func (f *Fetcher) Fetch(ctx context.Context, address string) (Item, error) {
	got, err := f.FetchIf(ctx, address, Validators{})
	return got.Item, err
}

// FetchIf is Fetch unless the page is as it was when the server gave out v.
func (f *Fetcher) FetchIf(ctx context.Context, address string, v Validators) (Fetched, error) {
	got, err := f.fetch(ctx, address, v, nil)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return Fetched{}, fmt.Errorf("fetch %s: %w", redacted(address), err)
	}
	return got, nil
}

// fetch also asks wanted, unless nil, about the head of the reply before it reads the rest.
func (f *Fetcher) fetch(ctx context.Context, address string, v Validators, wanted func(*http.Response) error) (got Fetched, err error) {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil {
		return got, fmt.Errorf("%w: it is not a URL", ErrAddress)
	}
	if err := checkURL(u); err != nil {
		return got, err
	}
	u.Fragment, u.RawFragment = "", ""
	resp, err := f.get(ctx, u, v)
	if err != nil {
		return got, err
	}
	defer resp.Body.Close()
	final := *resp.Request.URL
	final.Fragment, final.RawFragment = "", ""
	kind, params, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	got = Fetched{
		Item: Item{Path: u.String()}, URL: final.String(), ContentType: kind, robotsTag: strings.Join(resp.Header.Values("X-Robots-Tag"), ","),
		Validators: Validators{ETag: resp.Header.Get("ETag"), LastModified: resp.Header.Get("Last-Modified")},
	}
	switch {
	case resp.StatusCode == http.StatusNotModified && v != Validators{}:
		got.Unchanged, got.Validators = true, v
		return got, nil
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		return got, fmt.Errorf("%w: the server answers %s", ErrGone, resp.Status)
	case resp.StatusCode != http.StatusOK:
		return got, &statusError{resp.StatusCode, resp.Status, retryAfter(resp)}
	}
	if wanted != nil {
		if err := wanted(resp); err != nil {
			return got, err
		}
	}
	got.Name = fetchedName(resp)
	got.File, got.Bytes, err = f.save(resp, charsetReader(resp.Body, kind, params["charset"]))
	got.Temporary = true
	return got, err
}

// get asks for a page.
func (f *Fetcher) get(ctx context.Context, u *url.URL, v Validators) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	req.Header.Set("User-Agent", f.cfg.UserAgent)
	req.Header.Set("Accept", "text/html,application/xhtml+xml,application/pdf,text/*;q=0.9,*/*;q=0.8")
	if v.ETag != "" {
		req.Header.Set("If-None-Match", v.ETag)
	}
	if v.LastModified != "" {
		req.Header.Set("If-Modified-Since", v.LastModified)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, explainFetch(err, f.cfg.Timeout)
	}
	f.cfg.Logger.DebugContext(ctx, "fetched", "host", u.Host, "status", resp.StatusCode)
	return resp, nil
}

// A statusError is an ErrFetch by the status of the reply.
type statusError struct {
	code  int
	text  string
	after time.Duration // when the server wants to be asked again; 0 when it does not say
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%v: the server answers %s", ErrFetch, e.text)
}
func (e *statusError) Unwrap() error { return ErrFetch }

func retryAfter(resp *http.Response) time.Duration {
	value := resp.Header.Get("Retry-After")
	if d, err := time.ParseDuration(value + "s"); err == nil {
		return max(d, 0)
	}
	if t, err := http.ParseTime(value); err == nil {
		return max(time.Until(t), 0)
	}
	return 0
}

// save writes the body to a temporary file.
func (f *Fetcher) save(resp *http.Response, body io.Reader) (name string, n int64, err error) {
	over := fmt.Errorf("%w: the limit is %s; raise --max-file", ErrTooLarge, byteSize(f.cfg.MaxBytes))
	if resp.ContentLength > f.cfg.MaxBytes {
		return "", 0, over
	}
	file, err := os.CreateTemp(f.cfg.Dir, "docent-fetch-*")
	if err != nil {
		return "", 0, err
	}
	defer func() {
		if cerr := file.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			os.Remove(file.Name())
		}
	}()
	n, err = io.Copy(file, io.LimitReader(body, f.cfg.MaxBytes+1))
	if err != nil {
		return "", 0, explainFetch(err, f.cfg.Timeout)
	}
	if n > f.cfg.MaxBytes {
		return "", 0, over
	}
	return file.Name(), n, nil
}

// charsetReader turns text of a named encoding into UTF-8 that begins with a byte order mark, which
// outranks what the text says of itself (WHATWG Encoding, section 6.1). Anything else passes.
func charsetReader(body io.Reader, kind, charset string) io.Reader {
	switch kind {
	case "text/html", "application/xhtml+xml", "text/plain", "text/markdown", "text/csv":
	default:
		return body
	}
	enc, err := htmlindex.Get(charset)
	if err != nil {
		return body
	}
	if name, err := htmlindex.Name(enc); err != nil || name == "utf-8" || name == "replacement" || strings.HasPrefix(name, "utf-16") {
		return body // UTF-16 has marks of its own
	}
	return io.MultiReader(strings.NewReader("\ufeff"), transform.NewReader(body, enc.NewDecoder()))
}

// redacted is an address fit for a message: without what it holds of a password.
func redacted(address string) string {
	if u, err := url.Parse(address); err == nil {
		return u.Redacted()
	}
	return fmt.Sprintf("%q", address)
}

// fetchedName is what the server calls the document: by Content-Disposition, or the last part of the
// address it came from, with the extension that the Content-Type tells.
func fetchedName(resp *http.Response) string {
	if _, params, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition")); err == nil {
		if name, err := CleanName(params["filename"]); err == nil {
			return path.Base(name)
		}
	}
	name := urlName(resp.Request.URL)
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return name
	}
	want := extensions[kind]
	if want == "" || strings.EqualFold(path.Ext(name), want) || kind == "text/plain" && path.Ext(name) != "" {
		return name
	}
	return name + want
}

// extensions of the media types that say more than the name of a page does.
var extensions = map[string]string{
	"text/html": ".html", "application/xhtml+xml": ".html", "application/pdf": ".pdf", "text/markdown": ".md", "text/plain": ".txt",
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
}

func urlName(u *url.URL) string {
	name, err := CleanName(path.Base(u.Path))
	if err != nil {
		return u.Hostname()
	}
	return name
}

// nameOf is the name that hints at the format of what is recorded by a path or an address.
func nameOf(recorded string) string {
	if IsURL(recorded) {
		if u, err := url.Parse(recorded); err == nil {
			return urlName(u)
		}
	}
	return recorded
}
