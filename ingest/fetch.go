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
	"strings"
	"time"

	"github.com/doyensec/safeurl"
)

var (
	// ErrAddress is returned by Fetch for a URL that is not fetched: of another scheme than http and
	// https, with a user name or password, or that leads, directly or by a redirect, to an address
	// inside: loopback, private, link-local, reserved.
	ErrAddress = errors.New("address refused")
	// ErrFetch is returned by Fetch when the server does not answer or answers with an error.
	ErrFetch = errors.New("cannot fetch")
)

// FetchConfig says how documents are fetched from the web. The zero value is safe for addresses that
// anyone may enter.
type FetchConfig struct {
	// AllowPrivate also fetches from addresses that are not public, and from any port: for an intranet
	// whose users are trusted. Proxy settings of the environment apply then, and only then.
	AllowPrivate bool
	// MaxBytes is the largest document fetched; 0 means 100 MiB.
	MaxBytes int64
	// Timeout bounds one fetch with all its redirects; 0 means one minute.
	Timeout time.Duration
	// Dir is where fetched bytes wait to be read; empty means the system's folder for temporary files.
	Dir string
	// UserAgent is what servers are told; empty means "docent".
	UserAgent string
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
	client interface {
		Do(*http.Request) (*http.Response, error)
	}
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
	f := &Fetcher{cfg: cfg}
	if cfg.AllowPrivate {
		f.client = &http.Client{Timeout: cfg.Timeout, CheckRedirect: checkRedirect}
		return f
	}
	// safeurl judges the address at the moment of connecting, so neither a redirect nor a name that
	// resolves to another address the second time gets around it.
	f.client = safeurl.Client(safeurl.GetConfigBuilder().
		SetTimeout(cfg.Timeout).
		SetCheckRedirect(checkRedirect).
		SetAllowedSchemes("http", "https").
		SetAllowedPorts(80, 443, 8080, 8443).
		EnableIPv6(true).
		// What its own list lacks: addresses that embed IPv4 ones, and site-local ones.
		SetBlockedIPsCIDR("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "fec0::/10", "5f00::/16", "3fff::/20").
		Build())
	return f
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	return checkURL(req.URL)
}

// checkURL refuses what no client should be asked.
func checkURL(u *url.URL) error {
	host := u.Hostname()
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%w: its scheme is %q, want http or https", ErrAddress, u.Scheme)
	case host == "":
		return fmt.Errorf("%w: it names no host", ErrAddress)
	case u.User != nil:
		return fmt.Errorf("%w: it holds a user name", ErrAddress)
	case strings.Contains(host, "%"): // fe80::1%eth0: always an address inside, and safeurl panics on it
		return fmt.Errorf("%w: it names a network interface", ErrAddress)
	}
	return nil
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

// Fetch gets a document from the web into a temporary file, which Ingest and Enqueue remove. The Item's
// Path is the address without its fragment, its Name what the server calls the document. Errors are
// ErrAddress, ErrFetch, ErrTooLarge, and the context's.
func (f *Fetcher) Fetch(ctx context.Context, address string) (Item, error) {
	it, err := f.fetch(ctx, address)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return Item{}, fmt.Errorf("fetch %s: %w", redacted(address), err)
	}
	return it, nil
}

func (f *Fetcher) fetch(ctx context.Context, address string) (it Item, err error) {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil {
		return it, fmt.Errorf("%w: it is not a URL", ErrAddress)
	}
	if err := checkURL(u); err != nil {
		return it, err
	}
	u.Fragment, u.RawFragment = "", ""
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return it, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	req.Header.Set("User-Agent", f.cfg.UserAgent)
	req.Header.Set("Accept", "text/html,application/xhtml+xml,application/pdf,text/*;q=0.9,*/*;q=0.8")
	resp, err := f.client.Do(req)
	if err != nil {
		return it, explainFetch(err, f.cfg)
	}
	defer resp.Body.Close()
	f.cfg.Logger.DebugContext(ctx, "fetched", "host", u.Host, "status", resp.StatusCode)
	if resp.StatusCode != http.StatusOK {
		return it, fmt.Errorf("%w: the server answers %s", ErrFetch, resp.Status)
	}
	tooLarge := fmt.Errorf("%w: the limit is %s", ErrTooLarge, byteSize(f.cfg.MaxBytes))
	if resp.ContentLength > f.cfg.MaxBytes {
		return it, tooLarge
	}
	file, err := os.CreateTemp(f.cfg.Dir, "docent-fetch-*")
	if err != nil {
		return it, err
	}
	defer func() {
		if cerr := file.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			os.Remove(file.Name())
		}
	}()
	n, err := io.Copy(file, io.LimitReader(resp.Body, f.cfg.MaxBytes+1))
	if err != nil {
		return it, explainFetch(err, f.cfg)
	}
	if n > f.cfg.MaxBytes {
		return it, tooLarge
	}
	return Item{Path: u.String(), File: file.Name(), Name: fetchedName(resp), Bytes: n, Temporary: true}, nil
}

// explainFetch says in a user's words why a request failed.
func explainFetch(err error, cfg FetchConfig) error {
	if errors.Is(err, ErrAddress) {
		return unwrapURL(err)
	}
	if _, ok := errors.AsType[*safeurl.AllowedIPError](err); ok {
		return fmt.Errorf("%w: it leads to an address that is not public", ErrAddress)
	}
	if _, ok := errors.AsType[*safeurl.AllowedPortError](err); ok {
		return fmt.Errorf("%w: only the ports 80, 443, 8080 and 8443 are allowed", ErrAddress)
	}
	for _, is := range []bool{asType[*safeurl.AllowedSchemeError](err), asType[*safeurl.InvalidHostError](err),
		asType[*safeurl.AllowedHostError](err), asType[*safeurl.SendingCredentialsBlockedError](err), asType[*safeurl.IPv6BlockedError](err)} {
		if is {
			return fmt.Errorf("%w: %w", ErrAddress, unwrapURL(err))
		}
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return fmt.Errorf("%w: no complete answer within %v", ErrFetch, cfg.Timeout)
	}
	return fmt.Errorf("%w: %w", ErrFetch, unwrapURL(err))
}

func asType[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// unwrapURL drops the address that package http puts before its errors; it may hold secrets.
func unwrapURL(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err
	}
	return err
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
