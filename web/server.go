package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/tmc/langchaingo/llms"

	"docent/chain"
	"docent/ingest"
	"docent/internal/catalog"
	"docent/internal/llm"
	"docent/retriever"
)

// An AskFunc answers a question from a collection, as chain.QA's Stream does.
type AskFunc func(ctx context.Context, collection string, q chain.Question) iter.Seq2[chain.Event, error]

// An AgentFunc works towards a goal with the agent's tools over a collection, as agent.Agent's Stream
// does. Without a language model it yields agent.ErrNoModel.
type AgentFunc func(ctx context.Context, collection string, goal chain.Question) iter.Seq2[chain.Event, error]

// A Pipeline takes files into collections. *ingest.Pipeline is one.
type Pipeline interface {
	// Recognizes tells whether there is something that reads pictures and scanned pages.
	Recognizes() bool
	Enqueue(ctx context.Context, collection string, items []ingest.Item) ([]catalog.Job, error)
	EnqueueSite(ctx context.Context, collection, address string, opts ingest.SiteOptions) (catalog.Job, error)
	Cancel(ctx context.Context, jobID string) error
	Pause(ctx context.Context, jobID string) error
	Resume(ctx context.Context, jobID string) error
	Retry(ctx context.Context, jobID string) error
	RetryFailed(ctx context.Context, collection string) (int, error)
	PauseQueue(ctx context.Context) error
	ResumeQueue(ctx context.Context) error
	Flow(collection string) ingest.Flow
	Subscribe(ctx context.Context, collection string) iter.Seq[catalog.Job]
}

// A Watcher keeps folders in step with collections. *ingest.Watcher is one.
type Watcher interface {
	Add(ctx context.Context, w catalog.Watch) (catalog.Watch, error)
	List(ctx context.Context, collection string) ([]ingest.Watching, error)
	Remove(ctx context.Context, id string) error
}

// Encoder says which encoder the store was opened with.
type Encoder struct {
	Name      string `json:"name"`
	Dim       int    `json:"dim"`
	MaxTokens int    `json:"max_tokens"`

	Embedder Embedder `json:"-"` // nil: not offered over HTTP
}

// An Embedder embeds text; docent's encoders are.
type Embedder interface {
	EmbedDocuments(ctx context.Context, texts []string) ([][]float32, error)
	EmbedQuery(ctx context.Context, text string) ([]float32, error)
	// TokenStarts appends the offset of each token of text to dst.
	TokenStarts(dst []int, text string) []int
}

// Model says which language model answers.
type Model struct {
	Provider string `json:"provider"` // local, openai, ollama or extractive
	Name     string `json:"name"`
	Notice   string `json:"notice,omitempty"` // one line for the reader when it is not what was asked for

	Adapters []string `json:"adapters,omitempty"` // that a question may name

	LLM llms.Model `json:"-"` // what answers to its name over the OpenAI protocol; nil: nothing
}

// writes reports whether there is a language model that a request can name.
func (m Model) writes() bool { return m.LLM != nil && m.Provider != llm.ExtractiveAnswer }

// Config builds a Server.
type Config struct {
	Store    *retriever.Store // required
	Pipeline Pipeline         // required; its Run is the caller's
	Ask      AskFunc          // required
	Agent    AgentFunc        // nil means that there is no agent

	// Watcher keeps folders of this machine in step with collections; nil means that none are watched.
	Watcher Watcher

	Parts retriever.Parts // what the retrieval settings of a collection can name

	UI              fs.FS    // the built page; without an index.html a placeholder says how to build it
	Sample          fs.FS    // the sample corpus; nil means that none is offered
	SampleQuestions []string // to try on it

	Version string
	Encoder *Encoder // nil: keyword search only

	// Model says which language model answers now. It is called for each request, so that one may come up later; nil
	// means that there is none.
	Model func(ctx context.Context) Model

	// ModelStatus says what a language model that runs in this process is doing; nil, or false, where there is none.
	ModelStatus func() (llm.Status, bool)

	Styles []string // prompt styles that a question may name; empty means that any is passed on

	MaxUploadBytes int64 // of one file; 0 means 512 MiB

	// Hosts are the names, without port, under which the server may be reached besides localhost, this
	// machine's own name and plain addresses. "*" means any, which gives up the guard against DNS
	// rebinding.
	Hosts []string

	Heartbeat time.Duration // between comments on an idle event stream; 0 means 15 s
	Logger    *slog.Logger  // nil discards
}

// A Server is docent over HTTP. It is safe for concurrent use.
type Server struct {
	cfg     Config
	log     *slog.Logger
	hosts   map[string]bool
	handler http.Handler
	began   time.Time
	closing chan struct{} // closed when the server begins to shut down
}

// New checks cfg and returns the server, which serves nothing yet.
func New(cfg Config) (*Server, error) {
	switch {
	case cfg.Store == nil:
		return nil, errors.New("web: no store is given")
	case cfg.Pipeline == nil:
		return nil, errors.New("web: no pipeline is given")
	case cfg.Ask == nil:
		return nil, errors.New("web: no function to answer questions is given")
	}
	if cfg.MaxUploadBytes <= 0 {
		cfg.MaxUploadBytes = 512 << 20
	}
	if cfg.Model == nil {
		cfg.Model = func(context.Context) Model { return Model{Provider: llm.ExtractiveAnswer, Name: llm.ExtractiveAnswer} }
	}
	if cfg.Heartbeat <= 0 {
		cfg.Heartbeat = 15 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, log: cfg.Logger, hosts: map[string]bool{"localhost": true}, began: time.Now(), closing: make(chan struct{})}
	if name, err := os.Hostname(); err == nil && name != "" {
		name = strings.ToLower(name)
		s.hosts[name], s.hosts[name+".local"] = true, true
	}
	for _, h := range cfg.Hosts {
		s.hosts[strings.ToLower(strings.TrimSuffix(strings.TrimSpace(h), "."))] = true
	}
	s.handler = s.routes()
	return s, nil
}

// Handler returns the server as an http.Handler, for tests and for programs with a server of their own.
func (s *Server) Handler() http.Handler { return s.handler }

func (s *Server) routes() http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.HandleMethodNotAllowed = true
	r.RedirectTrailingSlash = false
	r.RedirectFixedPath = false
	_ = r.SetTrustedProxies(nil)
	r.Use(s.requestID, s.logRequest, s.recover, s.secure, s.guard)
	api := r.Group("/api", noStore)
	s.infoRoutes(api)
	s.collectionRoutes(api)
	s.settingsRoutes(api)
	s.documentRoutes(api)
	s.jobRoutes(api)
	s.sourceRoutes(api)
	s.askRoutes(api)
	s.conversationRoutes(api)
	s.openAIRoutes(r.Group("/v1", noStore))
	r.NoMethod(func(c *gin.Context) {
		s.fail(c, &apiError{http.StatusMethodNotAllowed, codeBadRequest, c.Request.Method + " is not possible here", nil})
	})
	r.NoRoute(s.page)
	return r
}

// ListenAndServe serves on addr until ctx ends, then lets answers under way finish for a few seconds.
// A port that is taken is an error that names it.
func (s *Server) ListenAndServe(ctx context.Context, addr string) error {
	l, err := Listen(ctx, addr)
	if err != nil {
		return err
	}
	return s.Serve(ctx, l)
}

// Listen opens addr. An address in use is an error that says what to do about it.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	const windowsInUse = syscall.Errno(10048) // WSAEADDRINUSE
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, windowsInUse):
		host, port, _ := net.SplitHostPort(addr)
		next := "another port"
		if n, convErr := strconv.Atoi(port); convErr == nil && n < 65535 {
			next = net.JoinHostPort(host, strconv.Itoa(n+1))
		}
		return nil, fmt.Errorf("port %s is in use by another program, perhaps another docent: stop that one, or choose another port with --addr %s: %w", port, next, err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("address %s may not be opened by this user: choose a port above 1023 with --addr: %w", addr, err)
	}
	return nil, fmt.Errorf("address %s cannot be opened: choose another with --addr: %w", addr, err)
}

// shutdownGrace is how long answers under way may go on once the server is asked to stop.
const shutdownGrace = 5 * time.Second

// Serve serves on l, which it closes, until ctx ends. It returns nil after a shutdown.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	srv := &http.Server{
		Handler:           s.handler,
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	close(s.closing) // job streams end at once
	grace, stop := context.WithTimeout(base, shutdownGrace)
	defer stop()
	err := srv.Shutdown(grace)
	if err != nil {
		cancel() // answers still under way are cut, and what they hold is saved
		last, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer stop()
		if err = srv.Shutdown(last); err != nil {
			srv.Close()
		}
	}
	<-failed
	return nil
}
