package embed

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/tmc/langchaingo/embeddings"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"docent/chunker"
	"docent/internal/ollamahost"
)

// The kinds of server that RemoteConfig.Provider names.
const (
	OpenAI = "openai" // any server with an OpenAI-compatible /v1/embeddings
	Ollama = "ollama" // Ollama's own API
)

var (
	// ErrServer: the server of a Remote cannot be reached, refuses, or stays busy. The error is, or
	// wraps, a *ServerError where it answered.
	ErrServer = errors.New("embedding server")
	// ErrReply: the server's reply is not the vectors that were asked for.
	ErrReply = errors.New("embedding server's reply is wrong")
)

// A ServerError is what an embedding server answered in place of vectors.
type ServerError struct {
	URL        string
	Code       int           // HTTP status
	Message    string        // the server's own, cut to a few hundred bytes; may be empty
	RetryAfter time.Duration // that the server asked for; 0 for none
}

// Error says where, what, and what to do.
func (e *ServerError) Error() string {
	text := fmt.Sprintf("%s: %d %s", e.URL, e.Code, http.StatusText(e.Code))
	if e.Message != "" {
		text += ": " + e.Message
	}
	switch e.Code {
	case http.StatusUnauthorized, http.StatusForbidden:
		text += " (check the key: --encoder-key or DOCENT_ENCODER_KEY)"
	case http.StatusNotFound:
		text += " (check the address and the model's name)"
	case http.StatusTooManyRequests:
		text += " (set a lower rate with --encoder-rate, or try again later: what was embedded is not embedded again)"
	}
	return text
}

// Is makes a ServerError an ErrServer.
func (e *ServerError) Is(target error) bool { return target == ErrServer }

// RemoteConfig says which server embeds, with which model.
type RemoteConfig struct {
	Provider string // OpenAI or Ollama; required
	Model    string // its name on the server; required

	// URL of the server: "http://localhost:8000/v1" for an OpenAI-compatible one (a missing path means
	// "/v1"), "http://localhost:11434" for Ollama. "" means api.openai.com, and for Ollama $OLLAMA_HOST
	// or 127.0.0.1:11434.
	URL string
	Key string // sent as a bearer token; "" sends none

	Dim               int           // of the vectors; 0 asks the server. An OpenAI server is asked to give this many
	MaxTokens         int           // tokens of a text, about; 0 means 512. What is over is cut off
	BatchSize         int           // texts a request; 0 means 64. Halved by itself where a server takes fewer
	Concurrency       int           // requests at a time; 0 means 2
	RequestsPerMinute int           // 0 means no limit
	Timeout           time.Duration // of one request; 0 means 2 min, a model may have to be loaded
	Retries           int           // of a request that met a busy or silent server; 0 means 6, negative none
	MaxWait           time.Duration // a server that asks for a longer pause gets its error shown; 0 means 2 min

	// Prefixes go before questions and passages; nil means those that the model's authors prescribe,
	// known by the model's name for E5, BGE, Nomic, Mixedbread and Snowflake.
	Prefixes *Prefixes

	Client *http.Client // nil means one of its own
	Logger *slog.Logger // nil discards
}

// Prefixes are what a model was trained to see before a text.
type Prefixes struct{ Query, Passage string }

// Remote is an encoder on a server. It is safe for concurrent use.
//
// It speaks HTTP by itself: langchaingo's OpenAI client drops the index by which vectors belong to
// texts, the status and Retry-After, and its Ollama client makes a request for each text.
type Remote struct {
	cfg         RemoteConfig
	url         string // of the requests
	fingerprint string
	dim         int
	languages   []string
	prefixes    Prefixes
	batch       atomic.Int64
	slots       chan struct{}
	limit       *rate.Limiter // nil for none
	backoff     time.Duration

	mu    sync.Mutex
	pause time.Time // until when the server wants no requests
}

var (
	_ embeddings.Embedder = (*Remote)(nil)
	_ chunker.Tokenizer   = (*Remote)(nil)
)

const (
	openAIURL = "https://api.openai.com/v1"
	// maxBackoff is the longest pause before a retry that no server has asked for.
	maxBackoff = 30 * time.Second
	// probeRetries is how often the first request is repeated: who has the address wrong should know soon.
	probeRetries = 2
	// maxMessage is how much of a server's message is shown, in bytes.
	maxMessage = 300
)

// NewRemote returns the encoder that cfg names. It asks an Ollama server for the model's digest, and any
// server for the length of its vectors where that is not known, so it fails when there is no such server
// or model.
func NewRemote(ctx context.Context, cfg RemoteConfig) (*Remote, error) {
	r, err := newRemote(cfg)
	if err != nil {
		return nil, fmt.Errorf("encoder %s:%s: %w", cfg.Provider, cfg.Model, err)
	}
	if err := r.identify(ctx); err != nil {
		return nil, fmt.Errorf("encoder %s:%s: %w", cfg.Provider, cfg.Model, err)
	}
	return r, nil
}

func newRemote(cfg RemoteConfig) (*Remote, error) {
	r := &Remote{cfg: cfg, backoff: 500 * time.Millisecond}
	base := cfg.URL
	switch cfg.Provider {
	case OpenAI:
		base = cmp.Or(base, openAIURL)
	case Ollama:
		base = cmp.Or(base, ollamahost.URL())
	default:
		return nil, fmt.Errorf("unknown provider %q; want %s or %s", cfg.Provider, OpenAI, Ollama)
	}
	if strings.TrimSpace(cfg.Model) == "" {
		return nil, fmt.Errorf("no model is named; want %s:MODEL", cfg.Provider)
	}
	for _, n := range []int{cfg.Dim, cfg.MaxTokens, cfg.BatchSize, cfg.Concurrency, cfg.RequestsPerMinute} {
		if n < 0 {
			return nil, errors.New("a negative number in the settings")
		}
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("address %q: want one such as http://localhost:8000/v1", base)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	if cfg.Provider == OpenAI {
		u.Path = strings.TrimSuffix(cmp.Or(u.Path, "/v1"), "/embeddings") + "/embeddings"
	} else {
		u.Path = strings.TrimSuffix(u.Path, "/api") + "/api/embed"
	}
	r.url = u.String()
	if u.Hostname() == "api.openai.com" && cfg.Key == "" {
		return nil, errors.New("api.openai.com wants a key: --encoder-key, DOCENT_ENCODER_KEY or OPENAI_API_KEY; for another server set --encoder-url")
	}
	r.cfg.MaxTokens = cmp.Or(cfg.MaxTokens, 512)
	r.cfg.Timeout = cmp.Or(cfg.Timeout, 2*time.Minute)
	r.cfg.MaxWait = cmp.Or(cfg.MaxWait, 2*time.Minute)
	r.cfg.Retries = cmp.Or(cfg.Retries, 6)
	r.batch.Store(int64(cmp.Or(cfg.BatchSize, 64)))
	r.slots = make(chan struct{}, cmp.Or(cfg.Concurrency, 2))
	if cfg.RequestsPerMinute > 0 {
		r.limit = rate.NewLimiter(rate.Limit(float64(cfg.RequestsPerMinute)/60), 1)
	}
	if cfg.Client == nil {
		r.cfg.Client = &http.Client{}
	}
	if cfg.Logger == nil {
		r.cfg.Logger = slog.New(slog.DiscardHandler)
	}
	name, _, _ := strings.Cut(cfg.Model, ":") // without Ollama's tag
	known, languages := knownModel(name)
	r.prefixes, r.languages = Prefixes{Query: known.query, Passage: known.document}, languages
	if cfg.Prefixes != nil {
		r.prefixes = *cfg.Prefixes
	}
	return r, nil
}

// knownDims are the lengths of the vectors of OpenAI's own models, which need not be asked for.
var knownDims = map[string]int{"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}

// identify learns which model it is and how long its vectors are.
func (r *Remote) identify(ctx context.Context) error {
	var tag string
	if r.cfg.Provider == Ollama {
		digest, err := r.digest(ctx)
		if err != nil {
			return err
		}
		tag = digest[:min(8, len(digest))]
	}
	r.dim = r.cfg.Dim
	if r.dim == 0 && strings.HasPrefix(r.url, openAIURL) {
		r.dim = knownDims[r.cfg.Model]
	}
	if r.dim == 0 {
		rows, err := r.request(ctx, []string{"How long is a vector?"}, min(r.cfg.Retries, probeRetries))
		if err != nil {
			return err
		}
		r.dim = len(rows[0])
		if r.dim == 0 {
			return fmt.Errorf("%w: %s: a vector without values; is %q an embedding model?", ErrReply, r.url, r.cfg.Model)
		}
	}
	if tag == "" {
		tag = strconv.Itoa(r.dim)
	}
	if p := r.cfg.Prefixes; p != nil {
		sum := sha256.Sum256([]byte(p.Passage))
		tag += "+" + hex.EncodeToString(sum[:4])
	}
	r.fingerprint = r.Name() + "@" + tag
	return nil
}

// digest is how Ollama names the model's weights: what a tag stands for can change.
func (r *Remote) digest(ctx context.Context) (string, error) {
	address := strings.TrimSuffix(r.url, "/embed") + "/tags"
	var reply struct {
		Models []struct{ Name, Digest string }
	}
	if err := r.retry(ctx, min(r.cfg.Retries, probeRetries), func(ctx context.Context) error {
		return r.call(ctx, http.MethodGet, address, nil, 8<<20, &reply)
	}); err != nil {
		return "", err
	}
	names := make([]string, 0, len(reply.Models))
	for _, m := range reply.Models {
		if m.Name == r.cfg.Model || m.Name == r.cfg.Model+":latest" {
			if m.Digest == "" {
				return "", fmt.Errorf("%w: %s gives no digest for %s", ErrReply, address, m.Name)
			}
			return strings.TrimPrefix(m.Digest, "sha256:"), nil
		}
		names = append(names, m.Name)
	}
	has := "none"
	if len(names) > 0 {
		has = strings.Join(names, ", ")
	}
	return "", fmt.Errorf("%w: %s has no such model; run: ollama pull %s (it has: %s)", ErrServer, strings.TrimSuffix(r.url, "/api/embed"), r.cfg.Model, has)
}

// Name is the provider and model, such as "openai:text-embedding-3-small".
func (r *Remote) Name() string { return r.cfg.Provider + ":" + r.cfg.Model }

// Fingerprint is the name, "@", and for Ollama the first 8 hex digits of the model's digest, else the
// length of its vectors; explicit prefixes add a digest of the passages'. The address is no part of it:
// a model may move.
func (r *Remote) Fingerprint() string { return r.fingerprint }

// URL is where texts are sent.
func (r *Remote) URL() string { return r.url }

// Dim is the number of values of a vector.
func (r *Remote) Dim() int { return r.dim }

// MaxTokens is about how many tokens of a text are sent.
func (r *Remote) MaxTokens() int { return r.cfg.MaxTokens }

// Languages are the ISO 639-1 codes of the languages that the model is known to be limited to; empty
// otherwise.
func (r *Remote) Languages() []string { return slices.Clone(r.languages) }

// Prefixes are what goes before questions and passages.
func (r *Remote) Prefixes() Prefixes { return r.prefixes }

// TokenStarts implements chunker.Tokenizer by [chunker.Approximate]: the server keeps its vocabulary to
// itself.
func (r *Remote) TokenStarts(dst []int, text string) []int {
	return chunker.Approximate{}.TokenStarts(dst, text)
}

// EmbedQuery embeds a question.
func (r *Remote) EmbedQuery(ctx context.Context, text string) ([]float32, error) {
	rows, err := r.embed(ctx, r.prefixes.Query, []string{text})
	if err != nil {
		return nil, err
	}
	return rows[0], nil
}

// EmbedDocuments embeds passages: one vector of Dim values and length 1 for each, in order. A request
// that meets a busy server is repeated, not those that went well. Text past about MaxTokens is cut; an
// empty text, which servers refuse, is embedded as a full stop.
//
// The error is ErrServer, ErrReply or the end of ctx, and names the address.
func (r *Remote) EmbedDocuments(ctx context.Context, texts []string) ([][]float32, error) {
	return r.embed(ctx, r.prefixes.Passage, texts)
}

func (r *Remote) embed(ctx context.Context, prefix string, texts []string) ([][]float32, error) {
	inputs := make([]string, len(texts))
	for i, t := range texts {
		inputs[i] = prefix + r.cut(t)
	}
	out := make([][]float32, len(texts))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(cap(r.slots))
	for from := 0; from < len(inputs) && gctx.Err() == nil; {
		to := min(from+int(r.batch.Load()), len(inputs))
		begin := from
		g.Go(func() error { return r.fill(gctx, inputs[begin:to], out[begin:to], begin) })
		from = to
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("encoder %s: %w", r.Name(), err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return out, nil
}

// cut readies a text for the wire.
func (r *Remote) cut(text string) string {
	if len(text) > r.cfg.MaxTokens { // a token has a byte at least
		if starts := r.TokenStarts(nil, text); len(starts) > r.cfg.MaxTokens {
			text = text[:starts[r.cfg.MaxTokens]]
		}
	}
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	if strings.TrimSpace(text) == "" {
		return "."
	}
	return text
}

// fill embeds inputs into out; first is the number of the first of them. A request that is refused as
// too large, or for one bad text in it, is cut in two.
func (r *Remote) fill(ctx context.Context, inputs []string, out [][]float32, first int) error {
	rows, err := r.request(ctx, inputs, r.cfg.Retries)
	if refused, ok := errors.AsType[*ServerError](err); ok && len(inputs) > 1 {
		switch refused.Code {
		case http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
			// The server's limit, most likely; further requests respect it.
			for was := r.batch.Load(); was > int64(len(inputs)+1)/2; was = r.batch.Load() {
				if r.batch.CompareAndSwap(was, int64(len(inputs)+1)/2) {
					r.cfg.Logger.Info("embedding server takes fewer texts at a time", "url", r.url, "texts", (len(inputs)+1)/2)
				}
			}
			fallthrough
		case http.StatusBadRequest:
			half := (len(inputs) + 1) / 2
			if err := r.fill(ctx, inputs[:half], out[:half], first); err != nil {
				return err
			}
			return r.fill(ctx, inputs[half:], out[half:], first+half)
		}
	}
	if err != nil {
		if refused, ok := errors.AsType[*ServerError](err); ok && len(inputs) == 1 && refused.Code == http.StatusBadRequest {
			return fmt.Errorf("text %d of %d bytes: %w", first, len(inputs[0]), err)
		}
		return err
	}
	for i, v := range rows {
		if len(v) != r.dim {
			return fmt.Errorf("%w: %s: vector %d has %d values, %d were expected of %s", ErrReply, r.url, first+i, len(v), r.dim, r.fingerprint)
		}
		if !normalise(v) {
			return fmt.Errorf("%w: %s: vector %d is all zero or not of finite numbers", ErrReply, r.url, first+i)
		}
		out[i] = v
	}
	return nil
}

// request sends texts, again where the server is busy, and returns their vectors in order.
func (r *Remote) request(ctx context.Context, texts []string, retries int) (rows [][]float32, err error) {
	body := map[string]any{"model": r.cfg.Model, "input": texts}
	if r.cfg.Provider == OpenAI {
		body["encoding_format"] = "float"
		if r.cfg.Dim > 0 {
			body["dimensions"] = r.cfg.Dim
		}
	}
	payload, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	// A value is at most some 25 bytes, and no model has a hundred thousand of them.
	limit := int64(1<<20) + int64(len(texts))*(2<<20)
	err = r.retry(ctx, retries, func(ctx context.Context) error {
		if r.cfg.Provider == Ollama {
			var reply struct{ Embeddings [][]float32 }
			if err := r.call(ctx, http.MethodPost, r.url, payload, limit, &reply); err != nil {
				return err
			}
			rows = reply.Embeddings
		} else {
			var reply openAIReply
			if err := r.call(ctx, http.MethodPost, r.url, payload, limit, &reply); err != nil {
				return err
			}
			if rows, err = reply.inOrder(); err != nil {
				return fmt.Errorf("%w: %s: %w", ErrReply, r.url, err)
			}
		}
		if len(rows) != len(texts) {
			return fmt.Errorf("%w: %s: %d vectors for %d texts", ErrReply, r.url, len(rows), len(texts))
		}
		return nil
	})
	return rows, err
}

type openAIReply struct {
	Data []struct {
		Index     *int      `json:"index"`
		Embedding []float32 `json:"embedding"`
	} `json:"data"`
}

// inOrder returns the vectors in the order of the texts, which the indices tell; a server that sends
// none keeps the order.
func (o *openAIReply) inOrder() ([][]float32, error) {
	rows := make([][]float32, len(o.Data))
	seen := make([]bool, len(o.Data))
	indexed := 0
	for i, d := range o.Data {
		at := i
		if d.Index != nil {
			indexed++
			at = *d.Index
		}
		if at < 0 || at >= len(rows) || seen[at] {
			return nil, fmt.Errorf("index %d of %d vectors is out of range or stands twice", at, len(rows))
		}
		seen[at], rows[at] = true, d.Embedding
	}
	if indexed != 0 && indexed != len(o.Data) {
		return nil, errors.New("only some of the vectors have an index")
	}
	return rows, nil
}

// errLater wraps the failure of a request that may go well another time.
type errLater struct{ error }

func (e errLater) Unwrap() error { return e.error }

// retry runs one request until it goes well, is refused for good, or the retries are used up.
func (r *Remote) retry(ctx context.Context, retries int, once func(context.Context) error) error {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.slots }()
	for attempt := 0; ; attempt++ {
		if err := r.turn(ctx); err != nil {
			return err
		}
		err := r.timed(ctx, once)
		later, ok := errors.AsType[errLater](err)
		if !ok {
			return err
		}
		wait := min(r.backoff<<min(attempt, 16), maxBackoff)
		wait += time.Duration(rand.Int64N(int64(wait)/2 + 1))
		if busy, ok := errors.AsType[*ServerError](err); ok && busy.RetryAfter > 0 {
			wait = busy.RetryAfter
			if wait > r.cfg.MaxWait {
				return fmt.Errorf("%w; it asks to wait %s", later.error, wait.Round(time.Second))
			}
			r.mu.Lock() // no other request goes either
			r.pause = time.Now().Add(wait)
			r.mu.Unlock()
		}
		if attempt >= retries {
			return fmt.Errorf("%w (tried %d times)", later.error, attempt+1)
		}
		r.cfg.Logger.Info("embedding server is busy, trying again", "url", r.url, "wait", wait.Round(time.Millisecond), "error", later.error)
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// turn waits until a request may be sent.
func (r *Remote) turn(ctx context.Context) error {
	for {
		r.mu.Lock()
		wait := time.Until(r.pause)
		r.mu.Unlock()
		if wait <= 0 {
			break
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
	if r.limit == nil {
		return ctx.Err()
	}
	return r.limit.Wait(ctx)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Remote) timed(ctx context.Context, once func(context.Context) error) error {
	tctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	err := once(tctx)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case tctx.Err() != nil:
		return errLater{fmt.Errorf("%w: %s did not answer within %s", ErrServer, r.url, r.cfg.Timeout)}
	}
	return err
}

// call sends one request and decodes its reply.
func (r *Remote) call(ctx context.Context, method, address string, payload []byte, limit int64, reply any) error {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(payload))
	if err != nil {
		return err
	}
	if payload != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	if r.cfg.Key != "" {
		req.Header.Set("Authorization", "Bearer "+r.cfg.Key)
	}
	shown := req.URL.Redacted()
	resp, err := r.cfg.Client.Do(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err
		}
		hint := ""
		if r.cfg.Provider == Ollama {
			hint = "; is Ollama running?"
		}
		return errLater{fmt.Errorf("%w: %s cannot be reached: %w%s", ErrServer, shown, err, hint)}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		head, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		failed := &ServerError{URL: shown, Code: resp.StatusCode, Message: serverMessage(head), RetryAfter: retryAfter(resp.Header)}
		switch resp.StatusCode {
		case http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusInternalServerError,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return errLater{failed}
		}
		return failed
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return errLater{fmt.Errorf("%w: %s: the reply broke off: %w", ErrServer, shown, err)}
	}
	if int64(len(body)) > limit {
		return fmt.Errorf("%w: %s: it is over %d MiB", ErrReply, shown, limit>>20)
	}
	if err := json.Unmarshal(body, reply); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrReply, shown, err)
	}
	return nil
}

// serverMessage finds the message in the body of a refusal: {"error":{"message":…}}, {"error":…},
// {"message":…}, {"detail":…}, or text.
func serverMessage(body []byte) string {
	var m struct {
		Error   json.RawMessage
		Message string
		Detail  json.RawMessage
	}
	text := string(body)
	if json.Unmarshal(body, &m) == nil {
		var inner struct{ Message string }
		var plain string
		switch {
		case json.Unmarshal(m.Error, &inner) == nil && inner.Message != "":
			text = inner.Message
		case json.Unmarshal(m.Error, &plain) == nil && plain != "":
			text = plain
		case m.Message != "":
			text = m.Message
		case json.Unmarshal(m.Detail, &plain) == nil && plain != "":
			text = plain
		}
	} else if strings.HasPrefix(strings.TrimSpace(text), "<") {
		return "" // a proxy's page
	}
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " ")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}

// retryAfter reads Retry-After, in seconds or as a date, and OpenAI's retry-after-ms.
func retryAfter(h http.Header) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && ms > 0 {
		return time.Duration(min(ms, 86400e3) * float64(time.Millisecond))
	}
	v := h.Get("Retry-After")
	if s, err := strconv.ParseFloat(v, 64); err == nil && s > 0 {
		return time.Duration(min(s, 86400) * float64(time.Second))
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
