package web_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"docent/internal/llm"
	"docent/internal/llm/llmtest"
	"docent/web"
)

// slow is a random model whose answers take some milliseconds for a token, and hardly ever end.
func slow(t testing.TB, cfg llm.Config) *llm.LocalModel {
	t.Helper()
	m, err := llm.OpenFile(llmtest.Random(t, filepath.Join(t.TempDir(), "slow.gguf")), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// idle waits until the model answers nobody.
func idle(t testing.TB, m *llm.LocalModel) llm.Status {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		s := m.Status()
		if s.Requests.Running == 0 && s.Requests.Waiting == 0 && s.Requests.Held == 0 {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("somebody is still answered: %+v", s.Requests)
		}
	}
}

// read reads a stream until so many pieces of text have come.
func read(t testing.TB, body io.Reader, pieces int) {
	t.Helper()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"content":"`) && !strings.Contains(lines.Text(), `"content":""`) || strings.HasPrefix(lines.Text(), `data: {"text":`) {
			if pieces--; pieces == 0 {
				return
			}
		}
	}
	t.Fatalf("the stream ended with %d pieces to come: %v", pieces, lines.Err())
}

// TestDisconnect: once the connection of a client is gone, the model computes at most the step that it was at. The
// server's own notice of it is what counts: how many steps were made by then is noted in the request's context.
func TestDisconnect(t *testing.T) {
	m := slow(t, llm.Config{ContextTokens: 4096})
	var server *httptest.Server
	var atEnd chan int64
	h := filled(t, speaks(m))
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			context.AfterFunc(r.Context(), func() { atEnd <- m.Status().Requests.Steps })
		}
		h.Config.Handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	for _, tt := range []struct {
		name, path, body string
		pieces           int // read before the connection is closed; 0: it is closed while nothing has come
	}{
		{"completion, stream", "/v1/chat/completions", `{"model":"tiny","messages":[{"role":"user","content":"Hello"}],"stream":true,"temperature":0}`, 5},
		{"completion, three at once", "/v1/chat/completions", `{"model":"tiny","messages":[{"role":"user","content":"Hello"}],"stream":true,"n":3,"seed":1}`, 5},
		{"completion, in one", "/v1/chat/completions", `{"model":"tiny","messages":[{"role":"user","content":"Hello"}],"temperature":0}`, 0},
		{"documents, stream", "/v1/chat/completions", `{"model":"docent/docs","messages":[{"role":"user","content":"How many days of annual leave are there?"}],"stream":true,"max_tokens":1000}`, 5},
		{"documents, in one", "/v1/chat/completions", `{"model":"docent/docs","messages":[{"role":"user","content":"How many days of annual leave are there?"}],"max_tokens":1000}`, 0},
		{"ask, stream", "/api/ask", `{"collection":"docs","question":"How many days of annual leave are there?"}`, 5},
		{"ask, in one", "/api/ask", `{"collection":"docs","question":"How many days of annual leave are there?","stream":false}`, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := idle(t, m).Requests.Steps
			atEnd = make(chan int64, 1)
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", tt.path, len(tt.body), tt.body)
			if tt.pieces > 0 {
				read(t, conn, tt.pieces)
			} else {
				for deadline := time.Now().Add(30 * time.Second); m.Status().Requests.Steps < before+5; time.Sleep(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatal("the model has not begun")
					}
				}
			}
			conn.Close()
			seen := <-atEnd
			if after := idle(t, m).Requests.Steps; after > seen+1 {
				t.Errorf("%d steps after the client had left", after-seen)
			} else if after-before > 300 {
				t.Errorf("%d steps for a client that left early", after-before)
			}
		})
	}
}

// TestBusy: who comes when as many wait as may is told when to try again, and costs the others nothing.
func TestBusy(t *testing.T) {
	m := slow(t, llm.Config{ContextTokens: 32768, Parallel: 1, Queue: 1})
	h := filled(t, speaks(m))
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	var bodies []io.ReadCloser
	first := h.send(t, ctx, "POST", "/v1/chat/completions", `{"model":"tiny","messages":[{"role":"user","content":"a"}],"stream":true,"temperature":0,"max_tokens":30000}`)
	read(t, first.Body, 1)
	bodies = append(bodies, first.Body)
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		req, _ := http.NewRequestWithContext(ctx, "POST", h.URL+"/v1/chat/completions", strings.NewReader(`{"model":"tiny","messages":[{"role":"user","content":"b"}],"temperature":0,"max_tokens":30000}`))
		if resp, err := h.Client().Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	for deadline := time.Now().Add(20 * time.Second); m.Status().Requests.Waiting == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the second does not wait")
		}
	}
	for _, tt := range []struct{ path, body, says string }{
		{"/v1/chat/completions", `{"model":"tiny","messages":[{"role":"user","content":"c"}]}`, `"code":"busy"`},
		{"/v1/chat/completions", `{"model":"tiny","messages":[{"role":"user","content":"c"}],"stream":true}`, `"type":"server_error"`},
		{"/v1/chat/completions", `{"model":"docent/docs","messages":[{"role":"user","content":"days of leave?"}]}`, `"code":"busy"`},
		{"/api/ask", `{"collection":"docs","question":"days of leave?","stream":false}`, `"code":"busy"`},
		{"/api/ask", `{"collection":"docs","question":"days of leave?"}`, `"retry_after":`},
	} {
		resp := h.send(t, t.Context(), "POST", tt.path, tt.body)
		raw, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if wait, err := strconv.Atoi(resp.Header.Get("Retry-After")); resp.StatusCode != 503 || err != nil || wait < 1 || wait > 60 || !strings.Contains(string(raw), tt.says) {
			t.Errorf("%s: %d, Retry-After %q, %s", tt.path, resp.StatusCode, resp.Header.Get("Retry-After"), raw)
		}
	}
	leave()
	<-waiting
	for _, b := range bodies {
		b.Close()
	}
	idle(t, m)
	h.complete(t, `{"model":"tiny","messages":[{"role":"user","content":"d"}],"max_tokens":2}`)
}

// TestManyOverHTTP: 64 clients at once on a cache that holds two of their conversations all get what they get alone.
// Some leave in the middle. The race detector runs this too.
func TestManyOverHTTP(t *testing.T) {
	m := tiny(t, llm.Config{ContextTokens: 512, CacheTokens: 512, Parallel: 8})
	h := newHouse(t, speaks(m))
	body := func(i int) string {
		return fmt.Sprintf(`{"model":"tiny","messages":[{"role":"system","content":"%s"},{"role":"user","content":"Question %d?"}],"max_tokens":60,"seed":%d,"temperature":0.8}`, strings.Repeat("Be brief. ", 10), i%16, i%16+1)
	}
	var alone [16]string
	for i := range alone {
		alone[i] = h.complete(t, body(i)).text(0)
	}
	var all sync.WaitGroup
	var whole atomic.Int64
	for i := range 64 {
		all.Go(func() {
			switch {
			case i%8 == 7:
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				resp := h.send(t, ctx, "POST", "/v1/chat/completions", strings.TrimSuffix(body(i), "}")+`,"stream":true}`)
				defer resp.Body.Close()
				lines := bufio.NewScanner(resp.Body)
				for range i % 5 {
					lines.Scan()
				}
				return
			case i%2 == 0:
				if got := h.complete(t, body(i)).text(0); got != alone[i%16] {
					t.Errorf("client %d: %q, alone %q", i, got, alone[i%16])
				}
			default:
				if got, _ := h.stream(t, body(i)); got.text(0) != alone[i%16] {
					t.Errorf("client %d: %q as a stream, alone %q", i, got.text(0), alone[i%16])
				}
			}
			whole.Add(1)
		})
	}
	all.Wait()
	if s := idle(t, m); whole.Load() != 56 || s.Requests.Reused == 0 {
		t.Errorf("%d whole answers, %+v", whole.Load(), s.Requests)
	}
}

// TestModelComesUp: a server without a model answers with one as soon as there is one.
func TestModelComesUp(t *testing.T) {
	m := tiny(t, llm.Config{})
	var up atomic.Bool
	h := filled(t, func(c *web.Config) {
		c.Agent = web.AgentFunc(c.Ask)
		c.Model = func(context.Context) web.Model {
			if up.Load() {
				return web.Model{Provider: llm.Local, Name: "tiny", LLM: m}
			}
			return web.Model{Provider: llm.ExtractiveAnswer, Name: "extractive"}
		}
	})
	const agent, choices = `{"collection":"docs","question":"days of annual leave?","agent":true,"stream":false}`, `{"collection":"docs","question":"days of annual leave?","choices":["a","b"]}`
	h.run(t, []scenario{
		{"no agent", "POST", "/api/ask", agent, nil, 503, []string{"model_unavailable"}, nil},
		{"no choices", "POST", "/api/ask", choices, nil, 400, []string{"no language model"}, nil},
		{"none", "GET", "/v1/models/tiny", nil, nil, 404, nil, nil},
		{"info", "GET", "/api/info", nil, nil, 200, []string{`"agent":false`, `"provider":"extractive"`}, nil},
	})
	up.Store(true)
	h.run(t, []scenario{
		{"agent", "POST", "/api/ask", agent, nil, 200, []string{`"answer"`}, nil},
		{"one", "GET", "/v1/models/tiny", nil, nil, 200, nil, nil},
		{"info", "GET", "/api/info", nil, nil, 200, []string{`"agent":true`, `"name":"tiny"`}, nil},
	})
}
