package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"github.com/tmc/langchaingo/tools"
	"golang.org/x/sync/errgroup"

	"docent/agent"
	"docent/chain"
	"docent/examples"
	"docent/ingest"
	"docent/internal/llm"
	"docent/retriever"
	"docent/web"
	"docent/web/ui"
)

type serveCmd struct {
	Addr      string   `default:"127.0.0.1:8420" placeholder:"HOST:PORT" env:"DOCENT_ADDR" config:"serve.addr" help:"Where to listen; ${default} unless told."`
	Host      []string `placeholder:"NAME" help:"A further name under which browsers may reach the server."`
	Open      bool     `help:"Open the page in the browser."`
	KB        string   `name:"kb" placeholder:"FILE" type:"existingfile" help:"Serve an exported collection instead of the data directory; its documents cannot be changed, and conversations last until the end."`
	Reindex   bool     `help:"Give collections of another encoder the vectors of this one, in the background; the old ones answer meanwhile."`
	Style     string   `placeholder:"NAME" config:"style" help:"Prompt style of questions that name none: plain, examples, reasoning or examples+reasoning."`
	WatchRoot []string `placeholder:"DIR" env:"DOCENT_WATCH_ROOTS" config:"serve.watch_roots" help:"Let the page watch folders in this one: files that come, change or go there do so in the collection."`
	fetchFlags
	modelFlags
}

func (c *serveCmd) Run(ctx context.Context, a *app) error {
	level := slog.LevelInfo
	if a.Verbose {
		level = slog.LevelDebug
	}
	a.log = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))

	// The port first: that it is taken should not be found out after everything was loaded.
	listener, err := web.Listen(ctx, c.Addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	open := a.open
	switch {
	case c.KB != "" && c.Reindex:
		return errors.New("--reindex changes collections, and one served with --kb cannot be changed")
	case c.KB != "":
		open = func(ctx context.Context) (*library, error) { return a.openExported(ctx, c.KB) }
	case c.Reindex:
		open = a.openForReindex
	}
	l, err := open(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	sel, err := llm.Open(ctx, a.llmConfig(c.modelFlags, l.encoder))
	if err != nil {
		return err
	}
	model := &liveModel{cfg: a.llmConfig(c.modelFlags, l.encoder), log: a.log, sel: sel, checked: time.Now()}
	defer model.close()
	p, ex, err := a.pipeline(ctx, l, "", c.fetchFlags, func(ctx context.Context) (llm.Selected, error) { return model.get(ctx), nil })
	if err != nil {
		return err
	}
	defer ex.Close()
	cfg, err := c.config(a, l, p, model)
	if err != nil {
		return err
	}
	watcher := ingest.NewWatcher(p, ingest.WatchConfig{Roots: c.WatchRoot, Logger: a.log})
	if len(c.WatchRoot) > 0 {
		cfg.Watcher = watcher
	}
	srv, err := web.New(cfg)
	if err != nil {
		return err
	}

	url := pageURL(listener.Addr())
	a.log.Info("docent serves", "url", url, "data", l.store.Dir(), "record", l.store.Catalog().Path(), "model", sel.Name, "version", cfg.Version)
	if sel.Notice != "" {
		a.log.Warn(sel.Notice)
	}
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		a.log.Warn("this address is open to other machines and docent asks for no password: whoever reaches it can read, change and delete everything", "addr", tcp.String())
	}
	if a.JSON {
		err = a.printJSON(map[string]string{"url": url})
	} else {
		_, err = fmt.Fprintln(a.stdout, url)
	}
	if err != nil {
		return err
	}
	if c.Open {
		if err := openBrowser(url); err != nil {
			a.log.Warn("the browser cannot be started; open the address yourself", "url", url, "error", err)
		}
	}

	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return srv.Serve(gctx, listener) })
	if c.Reindex {
		g.Go(func() error {
			if err := l.reindexBehind(gctx, a.log); err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("reindex: %w", err)
			}
			return nil
		})
	}
	if cfg.Watcher != nil {
		g.Go(func() error { return watcher.Run(gctx) })
	}
	g.Go(func() error {
		if err := p.Run(gctx); err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("work on the queue: %w", err)
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	a.log.Info("docent has stopped")
	return nil
}

// config wires the rooms to the server.
func (c *serveCmd) config(a *app, l *library, p *ingest.Pipeline, model *liveModel) (web.Config, error) {
	sel := model.sel
	first, err := a.qa(l, defaultCollection, sel, c.modelFlags, retrievalFlags{}, c.Style) // finds faults of the prompt files now, not at the first question
	if err != nil {
		return web.Config{}, err
	}
	cfg := web.Config{
		Store: l.store, Pipeline: p,
		Ask: func(ctx context.Context, collection string, q chain.Question) iter.Seq2[chain.Event, error] {
			answers, err := a.qa(l, collection, model.get(ctx), c.modelFlags, retrievalFlags{}, c.Style)
			if err != nil {
				return failed(err)
			}
			return answers.Stream(ctx, q)
		},
		Agent: func(ctx context.Context, collection string, goal chain.Question) iter.Seq2[chain.Event, error] {
			sel := model.get(ctx)
			if sel.Provider == llm.ExtractiveAnswer {
				return failed(agent.ErrNoModel)
			}
			ag, err := a.agent(l, collection, sel, c.modelFlags, retrievalFlags{}, 0, append(goal.Search, retriever.Where(goal.Where))...)
			if err != nil {
				return failed(err)
			}
			return ag.Stream(ctx, goal.Text, goal.History...)
		},
		Parts: l.parts(func(ctx context.Context) (llm.Selected, error) { return model.get(ctx), nil }),
		UI:    ui.FS(), Sample: examples.FS(), SampleQuestions: sampleQuestions(),
		Version: buildInfo().Version, Styles: first.Styles(), Hosts: c.Host, MaxUploadBytes: int64(a.MaxFile) << 20, Logger: a.log,
		Model: func(ctx context.Context) web.Model {
			sel := model.get(ctx)
			m := web.Model{Provider: sel.Provider, Name: sel.Name, Notice: sel.Notice, LLM: sel.Model}
			if a, ok := sel.Model.(llm.Adaptable); ok {
				m.Adapters = a.Adapters()
			}
			return m
		},
		ModelStatus: func() (llm.Status, bool) {
			if local, ok := model.now().Model.(*llm.LocalModel); ok {
				return local.Status(), true
			}
			return llm.Status{}, false
		},
	}
	if l.encoder != nil {
		cfg.Encoder = &web.Encoder{Name: l.encoder.Name(), Dim: l.encoder.Dim(), MaxTokens: l.encoder.MaxTokens(), Embedder: l.encoder}
	}
	return cfg, nil
}

// A liveModel is the language model of a server. Where "auto" found none at the start, it looks again now and then:
// whoever reads that no model is installed may pull one, or start Ollama. A model that was found stays until the
// server ends.
type liveModel struct {
	cfg llm.Config
	log *slog.Logger

	looking sync.Mutex // held while a model is looked for, which others wait for
	checked time.Time  // under looking

	mu  sync.Mutex
	sel llm.Selected
}

// lookAgain is the time between two looks for a model.
const lookAgain = 5 * time.Second

// now is the model without another look.
func (m *liveModel) now() llm.Selected {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sel
}

// get is the model, after a look for one where there was none and the last look is some time ago.
func (m *liveModel) get(ctx context.Context) llm.Selected {
	missing := func() (llm.Selected, bool) {
		sel := m.now()
		return sel, m.cfg.Provider == llm.Auto && sel.Provider == llm.ExtractiveAnswer
	}
	if sel, ok := missing(); !ok {
		return sel
	}
	m.looking.Lock()
	defer m.looking.Unlock()
	sel, ok := missing()
	if !ok || time.Since(m.checked) < lookAgain {
		return sel
	}
	cfg := m.cfg
	cfg.ProbeTimeout, cfg.Logger = 500*time.Millisecond, nil // somebody waits for an answer
	// Whoever asked may leave meanwhile; what is found is for the others too.
	found, err := llm.Open(context.WithoutCancel(ctx), cfg)
	m.checked = time.Now()
	if err != nil {
		m.log.Warn("a look for a language model failed", "error", err)
		return sel
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if found.Provider != llm.ExtractiveAnswer {
		m.log.Info("a language model has come up", "model", found.Name, "url", found.URL)
	}
	m.sel = found
	return found
}

// close lets go of a model that is computed here, once its last answers have ended.
func (m *liveModel) close() {
	if local, ok := m.now().Model.(*llm.LocalModel); ok {
		if err := local.Close(); err != nil {
			m.log.Warn("closing the language model", "error", err)
		}
	}
}

// agent builds the agent that searches a collection.
func (a *app) agent(l *library, collection string, sel llm.Selected, m modelFlags, r retrievalFlags, maxSteps int, search ...retriever.SearchOption) (*agent.Agent, error) {
	return agent.New(agent.Config{
		Model: sel.Model, ModelName: sel.Name, MaxSteps: maxSteps, ContextTokens: m.ModelContext, Logger: a.log,
		Tools: []tools.Tool{agent.NewKnowledgeSearch(l.searchFunc(collection, sel, r, search...), 0), agent.Calculator{}},
	})
}

// failed is a stream that ends at once.
func failed(err error) iter.Seq2[chain.Event, error] {
	return func(yield func(chain.Event, error) bool) { yield(nil, err) }
}

// sampleQuestions are some of the sample corpus's, of each document and language in turn.
func sampleQuestions() []string {
	var out []string
	for i, q := range examples.Questions() {
		if i%5 == 0 {
			out = append(out, q.Question)
		}
	}
	return out
}

// pageURL is the address to open in a browser on this machine.
func pageURL(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return "http://" + addr.String()
	}
	host := tcp.IP.String()
	if tcp.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, fmt.Sprint(tcp.Port))
}

func openBrowser(url string) error {
	var cmd *exec.Cmd
	switch runtime.GOOS {
	case "windows":
		cmd = exec.Command("rundll32", "url.dll,FileProtocolHandler", url)
	case "darwin":
		cmd = exec.Command("open", url)
	default:
		cmd = exec.Command("xdg-open", url)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }()
	return nil
}
