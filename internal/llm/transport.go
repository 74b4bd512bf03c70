package llm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxRetryWait is the longest pause before a retry; a server that asks for more gets its error shown.
const maxRetryWait = 30 * time.Second

// transport carries langchaingo's requests. Its clients hide the cause of a failed request, do not
// retry, wait for ever for a silent server, and (Ollama's) take a broken stream for the end of a reply;
// transport sees the wire, retries, keeps time, and notes what happened in the exchange of the request's
// context.
type transport struct {
	base                http.RoundTripper
	startTime, idleTime time.Duration
	retries             int
	log                 *slog.Logger
	backoff             time.Duration // before the first retry, doubled for each further one
}

// An exchange is what the wire showed of one call.
type exchange struct {
	mu        sync.Mutex
	err       error           // the first that happened
	complete  bool            // the reply said that it ended
	thinking  strings.Builder // Ollama's message.thinking, which its client drops
	reasoning func(piece string) error

	// What is put into the request's body, and into its "options": see remote.members.
	members, options map[string]any
}

type exchangeKey struct{}

func (x *exchange) fail(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err == nil {
		x.err = err
	}
}

func (x *exchange) failure() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.err
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	x, _ := req.Context().Value(exchangeKey{}).(*exchange)
	if x == nil {
		x = &exchange{}
	}
	req, err := x.fill(req)
	if err != nil {
		x.fail(err)
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		resp, err := t.once(req, x)
		if err != nil {
			x.fail(err)
			return nil, err
		}
		if resp.StatusCode < 400 {
			return resp, nil
		}
		head, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		resp.Body.Close()
		failed := &StatusError{URL: req.URL.Redacted(), Code: resp.StatusCode, Message: errorMessage(head), RetryAfter: retryAfter(resp.Header)}
		again := resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented
		wait := failed.RetryAfter
		if wait == 0 {
			wait = t.backoff << attempt
			wait += time.Duration(rand.Int64N(int64(wait)/2 + 1))
		}
		if !again || attempt >= t.retries || wait > maxRetryWait || req.Body != nil && req.GetBody == nil {
			x.fail(failed)
			resp.Body = io.NopCloser(bytes.NewReader(head))
			return resp, nil
		}
		t.log.Info("model server is busy, trying again", "url", failed.URL, "status", failed.Code, "wait", wait)
		select {
		case <-time.After(wait):
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
}

// fill puts the exchange's members into the body of a request.
func (x *exchange) fill(req *http.Request) (*http.Request, error) {
	if len(x.members)+len(x.options) == 0 || req.Body == nil {
		return req, nil
	}
	defer req.Body.Close()
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	if raw, err = withMembers(raw, x.members); err != nil {
		return nil, err
	}
	if len(x.options) > 0 {
		var body map[string]json.RawMessage
		if err := json.Unmarshal(raw, &body); err != nil {
			return nil, err
		}
		options, err := withMembers(body["options"], x.options)
		if err != nil {
			return nil, err
		}
		if raw, err = withMembers(raw, map[string]any{"options": json.RawMessage(options)}); err != nil {
			return nil, err
		}
	}
	req = req.Clone(req.Context())
	req.ContentLength = int64(len(raw))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
	req.Body, err = req.GetBody()
	return req, err
}

// withMembers sets members of a JSON object, or takes out those that are nil.
func withMembers(object []byte, members map[string]any) ([]byte, error) {
	of := map[string]any{}
	if len(object) > 0 {
		dec := json.NewDecoder(bytes.NewReader(object))
		dec.UseNumber()
		if err := dec.Decode(&of); err != nil {
			return nil, fmt.Errorf("request to the model server: %w", err)
		}
	}
	for name, v := range members {
		if v == nil {
			delete(of, name)
		} else {
			of[name] = v
		}
	}
	return json.Marshal(of)
}

// once sends the request one time and minds the clock.
func (t *transport) once(req *http.Request, x *exchange) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	r := req.Clone(ctx)
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			cancel(nil)
			return nil, err
		}
		r.Body = body
	}
	late := fmt.Errorf("%w: %s sent no reply within %s", ErrTimeout, req.URL.Redacted(), t.startTime)
	timer := time.AfterFunc(t.startTime, func() { cancel(late) })
	resp, err := t.base.RoundTrip(r)
	timer.Stop()
	if err != nil {
		defer cancel(nil)
		if cause := context.Cause(ctx); cause != nil && errors.Is(cause, ErrTimeout) {
			return nil, cause
		}
		if req.Context().Err() != nil {
			return nil, req.Context().Err()
		}
		return nil, fmt.Errorf("%w: %s: %w", ErrUnreachable, req.URL.Redacted(), err)
	}
	idle := fmt.Errorf("%w: %s sent nothing for %s", ErrTimeout, req.URL.Redacted(), t.idleTime)
	resp.Body = &watched{body: resp.Body, x: x, url: req.URL.Redacted(), ctx: ctx, cancel: cancel, idle: idle, limit: t.idleTime, refused: resp.StatusCode >= 400}
	return resp, nil
}

// watched is a reply's body under watch.
type watched struct {
	body   io.ReadCloser
	x      *exchange
	url    string
	ctx    context.Context
	cancel context.CancelCauseFunc
	idle   error
	limit  time.Duration
	line   []byte // the line being read
	long   bool   // it is too long to look at

	refused bool // the reply is an error, which RoundTrip reads
}

func (w *watched) Read(p []byte) (int, error) {
	timer := time.AfterFunc(w.limit, func() { w.cancel(w.idle) })
	n, err := w.body.Read(p)
	timer.Stop()
	if ferr := w.look(p[:n]); ferr != nil && err == nil {
		err = ferr
	}
	if err == io.EOF {
		w.endLine()
	}
	if err != nil && err != io.EOF {
		switch cause := context.Cause(w.ctx); {
		case errors.Is(cause, ErrTimeout):
			err = cause
		case cause != nil:
			err = cause
		default:
			err = fmt.Errorf("%w: %s: %w", ErrBrokenOff, w.url, err)
		}
		w.x.fail(err)
	}
	return n, err
}

func (w *watched) Close() error {
	w.cancel(nil)
	return w.body.Close()
}

// look reads the lines of a stream as they pass.
func (w *watched) look(p []byte) error {
	if w.refused {
		return nil
	}
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		piece := p
		if i >= 0 {
			piece = p[:i]
		}
		if len(w.line)+len(piece) > 1<<20 {
			w.long = true
			w.line = w.line[:0]
		} else if !w.long {
			w.line = append(w.line, piece...)
		}
		if i < 0 {
			return nil
		}
		if err := w.endLine(); err != nil {
			return err
		}
		p = p[i+1:]
	}
	return nil
}

func (w *watched) endLine() error {
	line := bytes.TrimSpace(w.line)
	w.line = w.line[:0]
	if w.long {
		w.long = false
		return nil
	}
	line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("data:")))
	if string(line) == "[DONE]" {
		w.x.complete = true
		return nil
	}
	if len(line) == 0 || line[0] != '{' {
		return nil
	}
	var frame struct {
		Error   json.RawMessage `json:"error"`
		Done    bool            `json:"done"`
		Choices []struct {
			FinishReason *string `json:"finish_reason"`
		} `json:"choices"`
		Message *struct {
			Thinking string `json:"thinking"`
		} `json:"message"`
	}
	if json.Unmarshal(line, &frame) != nil {
		return nil
	}
	if len(frame.Error) > 0 && string(frame.Error) != "null" {
		w.x.fail(&StatusError{URL: w.url, Code: http.StatusOK, Message: errorMessage(line)})
	}
	if frame.Done {
		w.x.complete = true
	}
	for _, c := range frame.Choices {
		if c.FinishReason != nil && *c.FinishReason != "" {
			w.x.complete = true
		}
	}
	if frame.Message != nil && frame.Message.Thinking != "" {
		w.x.thinking.WriteString(frame.Message.Thinking)
		if w.x.reasoning != nil {
			return w.x.reasoning(frame.Message.Thinking)
		}
	}
	return nil
}

// errorMessage digs the words out of the many shapes in which servers wrap them.
func errorMessage(body []byte) string {
	var shape struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	text := string(body)
	if json.Unmarshal(body, &shape) == nil {
		var inner struct {
			Message string `json:"message"`
		}
		var plain string
		switch {
		case json.Unmarshal(shape.Error, &plain) == nil && plain != "":
			text = plain
		case json.Unmarshal(shape.Error, &inner) == nil && inner.Message != "":
			text = inner.Message
		case shape.Message != "":
			text = shape.Message
		case len(shape.Detail) > 0:
			text = strings.Trim(string(shape.Detail), `"`)
		}
	}
	text = strings.ToValidUTF8(strings.Join(strings.Fields(text), " "), "\uFFFD")
	if len(text) > 500 {
		text = clip(text, 500) + "…"
	}
	return text
}

// retryAfter reads the header of that name, in seconds or as a date.
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
