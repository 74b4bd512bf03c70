package llm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tmc/langchaingo/llms"

	"docent/internal/llm"
)

// server speaks the wire format of a model server; paths it does not name are 404.
func server(t *testing.T, routes map[string]http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h, ok := routes[r.URL.Path]; ok {
			h(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }
}

// sse sends each line as an event, flushed.
func sse(events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range events {
			fmt.Fprintf(w, "data: %s\n\n", e)
			w.(http.Flusher).Flush()
		}
	}
}

func ndjson(lines ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, l := range lines {
			io.WriteString(w, l+"\n")
			w.(http.Flusher).Flush()
		}
	}
}

const (
	models = `{"object":"list","data":[{"id":"text-embedding-x"},{"id":"small"},{"id":"large"}]}`
	tags   = `{"models":[{"name":"nomic-embed-text:latest","details":{"families":["nomic-bert"]}},{"name":"qwen3:4b","details":{"families":["qwen3"]}}]}`
)

// nowhere is an address that refuses connections.
func nowhere(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

func TestOpen(t *testing.T) {
	down := nowhere(t)
	openAI := server(t, map[string]http.HandlerFunc{"/v1/models": says(models)})
	locked := server(t, map[string]http.HandlerFunc{"/v1/models": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(401)
		io.WriteString(w, `{"error":{"message":"bad key"}}`)
	}})
	unlisted := server(t, nil)
	ollama := server(t, map[string]http.HandlerFunc{"/api/tags": says(tags)})
	barren := server(t, map[string]http.HandlerFunc{"/api/tags": says(`{"models":[]}`)})
	type want struct {
		provider, name, url string
		notice, err         string // fragments
	}
	for _, c := range []struct {
		name   string
		cfg    llm.Config
		ollama string // what $OLLAMA_HOST says
		want   want
	}{
		{"extractive", llm.Config{Provider: llm.ExtractiveAnswer}, down, want{provider: llm.ExtractiveAnswer, name: "extractive"}},
		{"openai without /v1", llm.Config{Provider: llm.OpenAI, BaseURL: openAI + "/"}, down, want{provider: llm.OpenAI, name: "small", url: openAI + "/v1"}},
		{"openai named", llm.Config{Provider: llm.OpenAI, BaseURL: openAI + "/v1", Model: "mine"}, down, want{provider: llm.OpenAI, name: "mine", url: openAI + "/v1"}},
		{"openai without a list", llm.Config{Provider: llm.OpenAI, BaseURL: unlisted + "/v1", Model: "m"}, down, want{provider: llm.OpenAI, name: "m", url: unlisted + "/v1"}},
		{"openai without a list or name", llm.Config{Provider: llm.OpenAI, BaseURL: unlisted}, down, want{err: "--model"}},
		{"openai down", llm.Config{Provider: llm.OpenAI, BaseURL: down}, down, want{err: down}},
		{"openai locked", llm.Config{Provider: llm.OpenAI, BaseURL: locked}, down, want{err: "bad key (check the API key)"}},
		{"openai nowhere", llm.Config{Provider: llm.OpenAI}, down, want{err: "--model-url"}},
		{"bad URL", llm.Config{Provider: llm.OpenAI, BaseURL: "localhost:8000"}, down, want{err: `"localhost:8000"`}},
		{"unknown provider", llm.Config{Provider: "x"}, down, want{err: `"x"`}},
		{"ollama", llm.Config{Provider: llm.Ollama, BaseURL: ollama}, down, want{provider: llm.Ollama, name: "qwen3:4b", url: ollama}},
		{"ollama by environment", llm.Config{Provider: llm.Ollama}, ollama, want{provider: llm.Ollama, name: "qwen3:4b", url: ollama}},
		{"ollama lacks it", llm.Config{Provider: llm.Ollama, BaseURL: ollama, Model: "gemma"}, down, want{err: "ollama pull gemma"}},
		{"ollama without models", llm.Config{Provider: llm.Ollama, BaseURL: barren}, down, want{err: "ollama pull"}},
		{"ollama down", llm.Config{Provider: llm.Ollama, BaseURL: down}, down, want{err: down}},
		{"auto, nothing", llm.Config{}, down, want{provider: llm.ExtractiveAnswer, name: "extractive"}},
		{"auto, ollama runs", llm.Config{Provider: llm.Auto}, ollama, want{provider: llm.Ollama, name: "qwen3:4b", url: ollama}},
		{"auto, ollama barren", llm.Config{Provider: llm.Auto}, barren, want{provider: llm.ExtractiveAnswer, name: "extractive", notice: "ollama pull"}},
		{"auto, configured", llm.Config{Provider: llm.Auto, BaseURL: openAI}, ollama, want{provider: llm.OpenAI, name: "small", url: openAI + "/v1"}},
		{"auto, configured to ollama", llm.Config{Provider: llm.Auto, BaseURL: ollama}, down, want{provider: llm.Ollama, name: "qwen3:4b", url: ollama}},
		{"auto, configured down", llm.Config{Provider: llm.Auto, BaseURL: down}, down, want{provider: llm.ExtractiveAnswer, name: "extractive", notice: down}},
		{"auto, configured down, ollama runs", llm.Config{Provider: llm.Auto, BaseURL: down, Model: "big"}, ollama, want{provider: llm.Ollama, name: "qwen3:4b", url: ollama, notice: down}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("OLLAMA_HOST", strings.TrimPrefix(c.ollama, "http://"))
			t.Setenv("OPENAI_API_KEY", "must not be used")
			sel, err := llm.Open(t.Context(), c.cfg)
			if c.want.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.want.err) {
					t.Fatalf("error %v, want one with %q", err, c.want.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := want{provider: sel.Provider, name: sel.Name, url: sel.URL}
			if c.want.notice != "" && strings.Contains(sel.Notice, c.want.notice) {
				got.notice = c.want.notice
			} else {
				got.notice = sel.Notice
			}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if sel.Model == nil {
				t.Error("no model")
			}
		})
	}
	_, err := llm.Open(t.Context(), llm.Config{Provider: llm.OpenAI, BaseURL: down})
	if !errors.Is(err, llm.ErrUnreachable) {
		t.Errorf("error %v is not ErrUnreachable", err)
	}
}

// open returns a model on a server that replies to a chat with h.
func open(t *testing.T, provider string, h http.HandlerFunc, change ...func(*llm.Config)) llms.Model {
	t.Helper()
	url := server(t, map[string]http.HandlerFunc{
		"/v1/models": says(models), "/v1/chat/completions": h, "/api/tags": says(tags), "/api/chat": h,
	})
	cfg := llm.Config{Provider: provider, BaseURL: url}
	for _, f := range change {
		f(&cfg)
	}
	sel, err := llm.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return sel.Model
}

type reply struct {
	Content, Reasoning, Streamed, StreamedReasoning string
	Calls                                           []llms.FunctionCall
	Prompt, Completion                              int
}

func ask(ctx context.Context, m llms.Model, options ...llms.CallOption) (reply, error) {
	var r reply
	options = append(options,
		llms.WithStreamingFunc(func(_ context.Context, chunk []byte) error { r.Streamed += string(chunk); return nil }),
		llms.WithStreamingReasoningFunc(func(_ context.Context, thought, _ []byte) error { r.StreamedReasoning += string(thought); return nil }))
	resp, err := m.GenerateContent(ctx, []llms.MessageContent{
		llms.TextParts(llms.ChatMessageTypeSystem, "be brief"), llms.TextParts(llms.ChatMessageTypeHuman, "one", "two"),
	}, options...)
	if err != nil {
		return r, err
	}
	c := resp.Choices[0]
	r.Content, r.Reasoning = c.Content, c.ReasoningContent
	for _, call := range c.ToolCalls {
		r.Calls = append(r.Calls, *call.FunctionCall)
	}
	r.Prompt, _ = c.GenerationInfo["PromptTokens"].(int)
	r.Completion, _ = c.GenerationInfo["CompletionTokens"].(int)
	return r, nil
}

func TestGenerate(t *testing.T) {
	tool := llms.WithTools([]llms.Tool{{Type: "function", Function: &llms.FunctionDefinition{Name: "search", Parameters: map[string]any{"type": "object"}}}})
	for _, c := range []struct {
		name, provider string
		handler        http.HandlerFunc
		options        []llms.CallOption
		want           reply
		err            error
		fragment       string
	}{
		{"openai", llm.OpenAI, sse(
			`{"choices":[{"delta":{"role":"assistant","reasoning_content":"hm"}}]}`,
			`{"choices":[{"delta":{"content":"Twenty"}}]}`, `{"choices":[{"delta":{"content":" days"}}]}`,
			`{"choices":[{"delta":{},"finish_reason":"stop"}]}`,
			`{"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":2}}`, `[DONE]`,
		), nil, reply{"Twenty days", "hm", "Twenty days", "hm", nil, 11, 2}, nil, ""},
		{"openai tool deltas stay out of the text", llm.OpenAI, sse(
			`{"choices":[{"delta":{"content":"Let me look. "}}]}`,
			`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"search","arguments":""}}]}}]}`,
			`{"choices":[{"delta":{"tool_calls":[{"index":0,"type":"function","function":{"arguments":"{\"q\":"}}]}}]}`,
			`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}`,
			`{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}`, `[DONE]`,
		), []llms.CallOption{tool}, reply{"Let me look. ", "", "Let me look. ", "", []llms.FunctionCall{{Name: "search", Arguments: `{"q":1}`}}, 0, 0}, nil, ""},
		{"openai error in the stream", llm.OpenAI, sse(`{"choices":[{"delta":{"content":"Tw"}}]}`, `{"error":{"message":"out of memory"}}`), nil, reply{}, nil, "out of memory"},
		{"openai broken off", llm.OpenAI, sse(`{"choices":[{"delta":{"content":"Tw"}}]}`), nil, reply{}, llm.ErrBrokenOff, ""},
		{"openai cut", llm.OpenAI, func(w http.ResponseWriter, r *http.Request) {
			sse(`{"choices":[{"delta":{"content":"Tw"}}]}`)(w, r)
			panic(http.ErrAbortHandler)
		}, nil, reply{}, llm.ErrBrokenOff, ""},
		{"openai 400", llm.OpenAI, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			io.WriteString(w, `{"error":{"message":"This model's maximum context length is 2048 tokens"}}`)
		}, nil, reply{}, nil, "maximum context length"},
		{"openai html", llm.OpenAI, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(403)
			io.WriteString(w, `<html>no</html>`)
		}, nil, reply{}, nil, "403"},
		{"ollama", llm.Ollama, ndjson(
			`{"message":{"role":"assistant","content":"","thinking":"hm"},"done":false}`,
			`{"message":{"role":"assistant","content":"Twenty"},"done":false}`, `{"message":{"role":"assistant","content":" days"},"done":false}`,
			`{"message":{"role":"assistant","content":""},"done":true,"prompt_eval_count":7,"eval_count":3}`,
		), nil, reply{"Twenty days", "hm", "Twenty days", "hm", nil, 7, 3}, nil, ""},
		{"ollama error in the stream", llm.Ollama, ndjson(`{"error":"model runner has stopped"}`), nil, reply{}, nil, "model runner has stopped"},
		{"ollama broken off", llm.Ollama, ndjson(`{"message":{"content":"Tw"},"done":false}`), nil, reply{}, llm.ErrBrokenOff, ""},
		{"ollama 404", llm.Ollama, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			io.WriteString(w, `{"error":"model \"x\" not found"}`)
		}, nil, reply{}, nil, `model "x" not found`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ask(t.Context(), open(t, c.provider, c.handler), c.options...)
			if c.err != nil || c.fragment != "" {
				if err == nil || c.err != nil && !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.fragment) || !strings.Contains(err.Error(), "127.0.0.1") {
					t.Fatalf("error %v, want %v with %q and the URL", err, c.err, c.fragment)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestGenerateWithoutStream(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want string
		err  error
	}{
		"ok":          {`{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}`, "hi", nil},
		"no choices":  {`{"choices":[]}`, "", nil},
		"null choice": {`{"choices":[null]}`, "", llm.ErrEmptyReply},
		"null call":   {`{"choices":[{"message":{},"finish_reason":"function_call"}]}`, "", llm.ErrEmptyReply},
	} {
		t.Run(name, func(t *testing.T) {
			m := open(t, llm.OpenAI, says(c.body))
			got, err := llms.GenerateFromSinglePrompt(t.Context(), m, "hello")
			if c.want == "" {
				if err == nil || c.err != nil && !errors.Is(err, c.err) {
					t.Fatalf("error %v, want %v", err, c.err)
				}
				return
			}
			if err != nil || got != c.want {
				t.Fatalf("got %q, %v", got, err)
			}
		})
	}
}

// What goes over the wire: no key that was not given, one text a message, Ollama's context window.
func TestRequest(t *testing.T) {
	for _, provider := range []string{llm.OpenAI, llm.Ollama} {
		t.Run(provider, func(t *testing.T) {
			t.Setenv("OPENAI_API_KEY", "secret")
			t.Setenv("OPENAI_ORGANIZATION", "org")
			var header http.Header
			var body map[string]any
			m := open(t, provider, func(w http.ResponseWriter, r *http.Request) {
				header = r.Header.Clone()
				json.NewDecoder(r.Body).Decode(&body)
				if provider == llm.OpenAI {
					sse(`{"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}`, `[DONE]`)(w, r)
				} else {
					ndjson(`{"message":{"content":"x"},"done":true}`)(w, r)
				}
			}, func(c *llm.Config) { c.ContextTokens = 6000 })
			if _, err := ask(t.Context(), m, llms.WithMaxTokens(99)); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(fmt.Sprint(header), "secret") || header.Get("OpenAI-Organization") != "" {
				t.Errorf("headers leak the environment: %v", header)
			}
			messages, _ := json.Marshal(body["messages"])
			if !strings.Contains(string(messages), `"one\ntwo"`) {
				t.Errorf("messages %s", messages)
			}
			if provider == llm.OpenAI && body["max_tokens"] != 99.0 {
				t.Errorf("max_tokens %v", body["max_tokens"])
			}
			if o, _ := body["options"].(map[string]any); provider == llm.Ollama && (o["num_ctx"] != 6000.0 || o["num_predict"] != 99.0) {
				t.Errorf("options %v", o)
			}
		})
	}
}

func TestRetry(t *testing.T) {
	for _, c := range []struct {
		name   string
		fails  int32
		status int
		after  string
		calls  int32
		ok     bool
	}{
		{"429 with Retry-After", 1, 429, "0.05", 2, true},
		{"503", 1, 503, "", 2, true},
		{"too often", 9, 503, "0.01", 3, false},
		{"come back tomorrow", 1, 429, "86400", 1, false},
		{"not a passing fault", 1, 400, "", 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			m := open(t, llm.OpenAI, func(w http.ResponseWriter, r *http.Request) {
				if calls.Add(1) <= c.fails {
					w.Header().Set("Retry-After", c.after)
					w.WriteHeader(c.status)
					io.WriteString(w, `{"error":{"message":"not now"}}`)
					return
				}
				if b, _ := io.ReadAll(r.Body); !strings.Contains(string(b), "be brief") {
					t.Error("the retry has lost its body")
				}
				sse(`{"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}`)(w, r)
			}, func(c *llm.Config) { c.Retries = 2 })
			_, err := ask(t.Context(), m)
			if (err == nil) != c.ok || calls.Load() != c.calls {
				t.Errorf("error %v after %d calls, want %d", err, calls.Load(), c.calls)
			}
			var status *llm.StatusError
			if !c.ok && (!errors.As(err, &status) || status.Code != c.status) {
				t.Errorf("error %v is no StatusError %d", err, c.status)
			}
		})
	}
}

// A cancelled call returns at once, with the context's error, and the server sees it.
func TestCancel(t *testing.T) {
	for _, provider := range []string{llm.OpenAI, llm.Ollama} {
		for _, when := range []string{"before the reply", "within it"} {
			t.Run(provider+" "+when, func(t *testing.T) {
				t.Parallel()
				gone := make(chan struct{})
				begun := make(chan struct{})
				m := open(t, provider, func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					if when == "within it" {
						if provider == llm.OpenAI {
							sse(`{"choices":[{"delta":{"content":"x"}}]}`)(w, r)
						} else {
							ndjson(`{"message":{"content":"x"},"done":false}`)(w, r)
						}
					}
					close(begun)
					<-r.Context().Done()
					close(gone)
				})
				ctx, cancel := context.WithCancel(t.Context())
				go func() { <-begun; time.Sleep(20 * time.Millisecond); cancel() }()
				_, err := ask(ctx, m)
				if !errors.Is(err, context.Canceled) {
					t.Errorf("error %v, want context.Canceled", err)
				}
				select {
				case <-gone:
				case <-time.After(time.Second):
					t.Error("the server was not told")
				}
			})
		}
	}
}

func TestSilence(t *testing.T) {
	for _, provider := range []string{llm.OpenAI, llm.Ollama} {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			m := open(t, provider, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				if provider == llm.OpenAI {
					sse(`{"choices":[{"delta":{"content":"x"}}]}`)(w, r)
				} else {
					ndjson(`{"message":{"content":"x"},"done":false}`)(w, r)
				}
				<-r.Context().Done()
			}, func(c *llm.Config) { c.IdleTimeout = 50 * time.Millisecond })
			if _, err := ask(t.Context(), m); !errors.Is(err, llm.ErrTimeout) {
				t.Errorf("error %v, want ErrTimeout", err)
			}
			m = open(t, provider, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
			}, func(c *llm.Config) { c.StartTimeout = 50 * time.Millisecond })
			if _, err := ask(t.Context(), m); !errors.Is(err, llm.ErrTimeout) {
				t.Errorf("error %v, want ErrTimeout", err)
			}
		})
	}
}

func TestIsContextOverflow(t *testing.T) {
	for message, want := range map[string]bool{
		"This model's maximum context length is 4096 tokens": true,
		"the request exceeds the available context size":     true,
		"prompt is too long":                                 true,
		"invalid api key":                                    false,
	} {
		if got := llm.IsContextOverflow(fmt.Errorf("x: %w", &llm.StatusError{Code: 400, Message: message})); got != want {
			t.Errorf("%q: %v", message, got)
		}
	}
}
