package models

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// DefaultEndpoint is the hub that is asked unless another is named.
const DefaultEndpoint = "https://huggingface.co"

// A Hub speaks the protocol of Hugging Face's hub and its mirrors. Its fields must not change once it is
// in use; the zero value is the hub that $HF_ENDPOINT and $HF_TOKEN name. It is safe for concurrent use.
type Hub struct {
	Endpoint    string        // "" means $HF_ENDPOINT, else DefaultEndpoint
	Token       string        // "" means $HF_TOKEN; sent to Endpoint only
	Client      *http.Client  // nil means one of its own
	Connections int           // for one large file; 0 means 4
	Segment     int64         // bytes of a large file that one request asks for; 0 means 32 MiB
	Retries     int           // of a request without any progress; 0 means 6, negative none
	Stall       time.Duration // a connection that is silent for so long is given up; 0 means 1 min
	MaxWait     time.Duration // a hub that asks for a longer pause gets its error shown; 0 means 2 min
	Logger      *slog.Logger  // nil discards

	backoff time.Duration // 0 means 500 ms
}

// A Listing is what a repository holds at one commit.
type Listing struct {
	Repo     string
	Revision string
	Commit   string
	Licence  string // as the card names it; may be empty
	Files    []RemoteFile
}

// A RemoteFile is a file of a repository. One of the checksums is set.
type RemoteFile struct {
	Path    string
	Size    int64
	SHA256  string // of large files
	GitSHA1 string // of a git blob: of small files
}

// A HubError is what a hub answered in place of a file.
type HubError struct {
	URL        string
	Code       int
	Message    string
	RetryAfter time.Duration

	sentinel error
	hint     string
}

func (e *HubError) Error() string {
	text := fmt.Sprintf("%s: %d %s", e.URL, e.Code, http.StatusText(e.Code))
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.hint != "" {
		text += " (" + e.hint + ")"
	}
	return text
}

// Is makes it the sentinel of its status, and an ErrHub.
func (e *HubError) Is(target error) bool { return target == ErrHub || target == e.sentinel }

// later wraps the failure of a request that may go well another time.
type later struct{ error }

func (e later) Unwrap() error { return e.error }

const (
	maxListing   = 32 << 20 // bytes of a repository's list of files
	maxListFiles = 20000
	maxModelSize = 1 << 42 // bytes of a file
)

var (
	repoPattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9._-]{1,96}$`)
	commitPattern = regexp.MustCompile(`^[0-9a-f]{40,64}$`)
	sha256Pattern = regexp.MustCompile(`^[0-9a-f]{64}$`)
	sha1Pattern   = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// checkRepo returns ErrName unless repo is OWNER/NAME.
func checkRepo(repo string) error {
	if !repoPattern.MatchString(repo) || strings.Contains(repo, "..") || strings.HasSuffix(repo, ".") {
		return fmt.Errorf("%w: repository %q: want OWNER/NAME, such as BAAI/bge-small-zh-v1.5, or a name that docent models list --known shows", ErrName, repo)
	}
	return nil
}

func (h *Hub) endpoint() (*url.URL, error) {
	raw := cmp.Or(h.Endpoint, os.Getenv("HF_ENDPOINT"), DefaultEndpoint)
	u, err := url.Parse(strings.TrimRight(raw, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%w: endpoint %q: want an address such as %s (HF_ENDPOINT)", ErrHub, raw, DefaultEndpoint)
	}
	return u, nil
}

// address builds a URL below the endpoint from path elements.
func (h *Hub) address(elem ...string) (string, error) {
	u, err := h.endpoint()
	if err != nil {
		return "", err
	}
	for i := range elem {
		parts := strings.Split(elem[i], "/")
		for j := range parts {
			parts[j] = url.PathEscape(parts[j])
		}
		elem[i] = strings.Join(parts, "/")
	}
	return strings.TrimRight(u.String(), "/") + "/" + strings.Join(elem, "/"), nil
}

func (h *Hub) log() *slog.Logger {
	if h.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return h.Logger
}

// client follows redirects, as hubs send files from elsewhere, but never from https to http. Go's client
// keeps the token from other hosts.
func (h *Hub) client() *http.Client {
	c := http.Client{Transport: http.DefaultTransport}
	if h.Client != nil {
		c = *h.Client
	}
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errors.New("more than 10 redirects")
		}
		if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
			return fmt.Errorf("redirected from https to %s", req.URL.Redacted())
		}
		return nil
	}
	return &c
}

func (h *Hub) request(ctx context.Context, method, address string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "docent")
	req.Header.Set("Accept-Encoding", "identity") // lengths are those of the file
	if token := cmp.Or(h.Token, os.Getenv("HF_TOKEN")); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, nil
}

// Files lists a repository at a revision: a branch, tag or commit; "" means main. It returns ErrNotFound,
// ErrAccess, ErrUnsafe or ErrHub.
func (h *Hub) Files(ctx context.Context, repo, revision string) (Listing, error) {
	if err := checkRepo(repo); err != nil {
		return Listing{}, err
	}
	revision = cmp.Or(revision, "main")
	u, err := h.endpoint()
	if err != nil {
		return Listing{}, err
	}
	// A revision is one path element even where it has slashes, as in refs/pr/1.
	address := strings.TrimRight(u.String(), "/") + "/api/models/" + repo + "/revision/" + url.PathEscape(revision) + "?blobs=true"
	var info struct {
		SHA      string
		CardData json.RawMessage
		Siblings []struct {
			Name   string `json:"rfilename"`
			Size   *int64
			BlobID string
			LFS    *struct {
				SHA256, OID string
				Size        int64
			}
		}
	}
	err = h.retry(ctx, func(ctx context.Context) (bool, error) {
		body, err := h.get(ctx, address, maxListing)
		if err != nil {
			return false, err
		}
		if err := json.Unmarshal(body, &info); err != nil {
			return false, fmt.Errorf("%w: %s: the list of files is not JSON: %w", ErrHub, address, err)
		}
		return true, nil
	})
	if err != nil {
		return Listing{}, fmt.Errorf("%s at %q: %w", repo, revision, err)
	}
	l := Listing{Repo: repo, Revision: revision, Commit: info.SHA, Licence: cardLicence(info.CardData)}
	if !commitPattern.MatchString(l.Commit) {
		return Listing{}, fmt.Errorf("%w: %s names no commit", ErrHub, address)
	}
	if len(info.Siblings) > maxListFiles {
		return Listing{}, fmt.Errorf("%w: %s lists %d files", ErrUnsafe, address, len(info.Siblings))
	}
	for _, s := range info.Siblings {
		f := RemoteFile{Path: s.Name, Size: -1}
		if s.Size != nil {
			f.Size = *s.Size
		}
		if s.LFS != nil {
			f.SHA256 = strings.TrimPrefix(cmp.Or(s.LFS.SHA256, s.LFS.OID), "sha256:")
			f.Size = s.LFS.Size
		} else {
			f.GitSHA1 = s.BlobID
		}
		if !sha256Pattern.MatchString(f.SHA256) {
			f.SHA256 = ""
		}
		if !sha1Pattern.MatchString(f.GitSHA1) {
			f.GitSHA1 = ""
		}
		l.Files = append(l.Files, f)
	}
	return l, nil
}

// cardLicence reads the licence of a model card: a name or a list of them.
func cardLicence(card json.RawMessage) string {
	var one struct{ License string }
	var many struct{ License []string }
	switch {
	case json.Unmarshal(card, &one) == nil:
		return clean(one.License, 100)
	case json.Unmarshal(card, &many) == nil:
		return clean(strings.Join(many.License, ", "), 100)
	}
	return ""
}

// complete asks for the size and checksum of a file whose list has none, as some mirrors' lists do.
func (h *Hub) complete(ctx context.Context, l Listing, f RemoteFile) (RemoteFile, error) {
	if f.Size >= 0 && (f.SHA256 != "" || f.GitSHA1 != "") {
		return f, nil
	}
	address, err := h.address(l.Repo, "resolve", l.Commit, f.Path)
	if err != nil {
		return f, err
	}
	err = h.retry(ctx, func(ctx context.Context) (bool, error) {
		return false, h.head(ctx, address, &f)
	})
	if err != nil {
		return f, fmt.Errorf("%s: %w", f.Path, err)
	}
	if f.Size < 0 || f.SHA256 == "" && f.GitSHA1 == "" {
		return f, fmt.Errorf("%w: %s: the hub gives no size or checksum for it, so that it could not be verified", ErrHub, address)
	}
	return f, nil
}

func (h *Hub) head(ctx context.Context, address string, f *RemoteFile) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(h.Stall, time.Minute))
	defer cancel()
	client := h.client()
	// The hub's own reply tells of the file; where it sends us to knows its storage only.
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if req.URL.Host != via[0].URL.Host || len(via) >= 10 {
			return http.ErrUseLastResponse
		}
		return nil
	}
	req, err := h.request(ctx, http.MethodHead, address)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return h.unreachable(ctx, address, err)
	}
	resp.Body.Close()
	if resp.StatusCode >= 400 {
		return h.refused(address, resp, nil)
	}
	size := cmp.Or(resp.Header.Get("X-Linked-Size"), resp.Header.Get("Content-Length"))
	if n, err := strconv.ParseInt(size, 10, 64); err == nil && n >= 0 && f.Size < 0 {
		f.Size = n
	}
	switch tag := strings.Trim(strings.TrimPrefix(cmp.Or(resp.Header.Get("X-Linked-Etag"), resp.Header.Get("ETag")), "W/"), `"`); {
	case sha256Pattern.MatchString(tag):
		f.SHA256 = tag
	case sha1Pattern.MatchString(tag):
		f.GitSHA1 = tag
	}
	return nil
}

// get reads a small reply whole.
func (h *Hub) get(ctx context.Context, address string, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*cmp.Or(h.Stall, time.Minute))
	defer cancel()
	req, err := h.request(ctx, http.MethodGet, address)
	if err != nil {
		return nil, err
	}
	resp, err := h.client().Do(req)
	if err != nil {
		return nil, h.unreachable(ctx, address, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if resp.StatusCode != http.StatusOK {
		return nil, h.refused(address, resp, body)
	}
	if err != nil {
		return nil, later{fmt.Errorf("%w: %s: the reply broke off: %w", ErrHub, address, err)}
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("%w: %s: the reply is over %d MiB", ErrUnsafe, address, limit>>20)
	}
	return body, nil
}

func (h *Hub) unreachable(ctx context.Context, address string, err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	u, _ := url.Parse(address)
	return later{fmt.Errorf("%w: %s cannot be reached: %w (HF_ENDPOINT names a mirror)", ErrHub, u.Redacted(), err)}
}

// refused makes an error of a reply that is none of what was asked for.
func (h *Hub) refused(address string, resp *http.Response, body []byte) error {
	e := &HubError{URL: address, Code: resp.StatusCode, Message: hubMessage(resp.Header, body), RetryAfter: retryAfter(resp.Header)}
	token := "set HF_TOKEN"
	if cmp.Or(h.Token, os.Getenv("HF_TOKEN")) != "" {
		token = "the token in HF_TOKEN does not reach it"
	}
	switch code := resp.Header.Get("X-Error-Code"); {
	case code == "GatedRepo":
		e.sentinel, e.hint = ErrAccess, "its owner asks for consent: give it on the model's page, and "+token
	case code == "RepoNotFound" || code == "" && resp.StatusCode == http.StatusNotFound:
		e.sentinel, e.hint = ErrNotFound, "check OWNER/NAME and the revision; if it is private, "+token
	case code == "RevisionNotFound":
		e.sentinel, e.hint = ErrNotFound, "the repository has no such revision"
	case code == "EntryNotFound":
		e.sentinel, e.hint = ErrNotFound, "the repository has no such file"
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		e.sentinel, e.hint = ErrAccess, "there is no such repository, or it is private: "+token
	case resp.StatusCode == http.StatusTooManyRequests:
		e.hint = "the hub limits how much it sends; what has come is kept, so run the same command again later"
		return later{e}
	case resp.StatusCode == http.StatusRequestTimeout || resp.StatusCode >= 500:
		return later{e}
	}
	return e
}

func hubMessage(header http.Header, body []byte) string {
	var m struct{ Error string }
	text := header.Get("X-Error-Message")
	if text == "" && json.Unmarshal(body, &m) == nil {
		text = m.Error
	}
	return clean(text, 300)
}

// clean makes a line of at most n bytes of text that came from elsewhere.
func clean(text string, n int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > n {
		text = strings.ToValidUTF8(text[:n], "") + "…"
	}
	return text
}

func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.ParseFloat(v, 64); err == nil && s > 0 {
		return time.Duration(min(s, 86400) * float64(time.Second))
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// retry runs a request until it goes well, is refused for good, or has failed too often since it last
// got any further.
func (h *Hub) retry(ctx context.Context, once func(context.Context) (progress bool, err error)) error {
	retries := cmp.Or(h.Retries, 6)
	for attempt := 0; ; attempt++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		progress, err := once(ctx)
		if ctx.Err() != nil && err != nil {
			return ctx.Err()
		}
		again, ok := errors.AsType[later](err)
		if !ok {
			return err
		}
		if progress {
			attempt = 0
		}
		wait := min(cmp.Or(h.backoff, 500*time.Millisecond)<<min(attempt, 16), 30*time.Second)
		wait += time.Duration(rand.Int64N(int64(wait)/2 + 1))
		if busy, ok := errors.AsType[*HubError](err); ok && busy.RetryAfter > 0 {
			if wait = busy.RetryAfter; wait > cmp.Or(h.MaxWait, 2*time.Minute) {
				return fmt.Errorf("%w; it asks to wait %s", again.error, wait.Round(time.Second))
			}
		}
		if attempt >= retries {
			return fmt.Errorf("%w (tried %d times)", again.error, attempt+1)
		}
		h.log().Info("the model hub does not deliver, trying again", "wait", wait.Round(time.Millisecond), "error", again.error)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
