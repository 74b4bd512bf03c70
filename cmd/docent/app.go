package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"docent/chain"
	"docent/chunker"
	"docent/ingest"
	"docent/internal/llm"
	"docent/internal/models"
	"docent/retriever"
)

// parseWorker is the hidden command that reads untrusted files in a process of its own.
const parseWorker = "parse-worker"

// app is what the commands share: the global flags, the streams and how the parts are built.
type app struct {
	globals
	stdin          io.Reader
	stdout, stderr io.Writer
	log            *slog.Logger
}

func newApp(g globals, stdin io.Reader, stdout, stderr io.Writer) *app {
	level := slog.LevelWarn
	if g.Verbose {
		level = slog.LevelDebug
	}
	return &app{
		globals: g, stdin: stdin, stdout: stdout, stderr: stderr,
		log: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level})),
	}
}

// isTerminal tells whether a person reads w.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// printJSON writes v as one line.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// notice tells the person something that is no error.
func (a *app) notice(format string, args ...any) {
	fmt.Fprintf(a.stderr, format+"\n", args...)
}

// library is an open data directory with what is needed to fill and search it.
type library struct {
	store    *retriever.Store
	encoder  encoder                            // nil: keyword only
	reranker func() (retriever.Reranker, error) // nil: none
}

func (l *library) Close() error { return l.store.Close() }

// open opens the data directory.
func (a *app) open(ctx context.Context) (*library, error) {
	dir, err := a.dataDir()
	if err != nil {
		return nil, err
	}
	return a.openAt(ctx, dir)
}

func (a *app) openAt(ctx context.Context, dir string) (*library, error) {
	enc, err := a.encoder(ctx, a.Encoder)
	if err != nil {
		return nil, err
	}
	reranker, err := a.reranker(a.Reranker)
	if err != nil {
		return nil, err
	}
	l, err := a.openWith(ctx, dir, enc)
	if err != nil {
		return nil, err
	}
	l.reranker = reranker
	return l, nil
}

// openExported opens an exported collection.
func (a *app) openExported(ctx context.Context, path string) (*library, error) {
	enc, err := a.encoder(ctx, a.Encoder)
	if err != nil {
		return nil, err
	}
	reranker, err := a.reranker(a.Reranker)
	if err != nil {
		return nil, err
	}
	cfg := retriever.Config{Logger: a.log}
	if enc != nil {
		cfg.Encoder = enc
	}
	store, err := retriever.OpenExported(ctx, os.DirFS(filepath.Dir(path)), filepath.Base(path), cfg)
	if err != nil {
		return nil, err
	}
	return &library{store: store, encoder: enc, reranker: reranker}, nil
}

// openRecord opens the data directory for what needs no encoder: to list and to remove.
func (a *app) openRecord(ctx context.Context) (*library, error) {
	dir, err := a.dataDir()
	if err != nil {
		return nil, err
	}
	return a.openWith(ctx, dir, nil)
}

func (a *app) openWith(ctx context.Context, dir string, enc encoder, earlier ...retriever.Encoder) (*library, error) {
	cfg := retriever.Config{Dir: dir, Store: a.Store, Earlier: earlier, Logger: a.log}
	if enc != nil {
		cfg.Encoder = enc
	}
	store, err := retriever.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &library{store: store, encoder: enc}, nil
}

// collection returns the named collection, or an error that lists those that are there.
func (l *library) collection(ctx context.Context, name string) (retriever.Collection, error) {
	c, err := l.store.Collection(ctx, name)
	if !errors.Is(err, retriever.ErrNotFound) {
		return c, err
	}
	all, listErr := l.store.Collections(ctx)
	if listErr != nil {
		return c, err
	}
	if len(all) == 0 {
		return c, fmt.Errorf("collection %q: there is none yet; make it with: docent ingest -c %s PATH", name, name)
	}
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.Name
	}
	return c, fmt.Errorf("collection %q is not there; there are: %s", name, strings.Join(names, ", "))
}

// limitFlags bound what one file can cost. They are the fields of ingest.ExtractorConfig.
type limitFlags struct {
	MaxFile     int           `default:"512" placeholder:"MIB" config:"limits.file" group:"Limits" help:"The largest file that is read, in MiB."`
	MaxUnpacked int           `default:"256" placeholder:"MIB" config:"limits.unpacked" group:"Limits" help:"The most that an archive or a packed format may unpack to, in MiB, with all that lies within."`
	MaxText     int           `default:"64" placeholder:"MIB" config:"limits.text" group:"Limits" help:"The most text of one document, in MiB."`
	ParseMemory int           `default:"512" placeholder:"MIB" config:"limits.memory" group:"Limits" help:"The memory that reading a file may take, in MiB."`
	ParseTime   time.Duration `default:"2m" placeholder:"TIME" config:"limits.time" group:"Limits" help:"How long reading a file may take."`
}

// splitter cuts documents into chunks for enc; nil means an encoder that is not known.
func splitter(enc encoder, cfg chunker.Config) (chunker.Splitter, error) {
	if enc == nil {
		return chunker.New(nil, nil, cfg)
	}
	return chunker.New(enc, enc, cfg)
}

// pipeline fills l's store. model is asked only where a collection's settings want a language model. The caller
// closes the extractor.
func (a *app) pipeline(ctx context.Context, l *library, password string, fetch fetchFlags, model func(context.Context) (llm.Selected, error)) (*ingest.Pipeline, *ingest.Extractor, error) {
	ex, err := a.extractor(ctx, password)
	if err != nil {
		return nil, nil, err
	}
	split, err := splitter(l.encoder, chunker.Config{})
	if err != nil {
		ex.Close()
		return nil, nil, err
	}
	return ingest.NewPipeline(l.store, ex, split, ingest.PipelineConfig{
		Fetcher: a.fetcher(fetch), Logger: a.log,
		Splitter: func(cfg chunker.Config) (chunker.Splitter, error) { return splitter(l.encoder, cfg) },
		Situate: func(ctx context.Context, doc chunker.Document, c chunker.Chunk) (string, error) {
			sel, err := model(ctx)
			if err != nil {
				return "", err
			}
			if sel.Provider == llm.ExtractiveAnswer {
				return "", ingest.ErrNoModel
			}
			return ingest.Situate(sel.Model)(ctx, doc, c)
		},
	}), ex, nil
}

// model returns a function that opens the language model at its first call.
func (a *app) model(m modelFlags, enc encoder) func(context.Context) (llm.Selected, error) {
	var once sync.Once
	var sel llm.Selected
	var err error
	return func(ctx context.Context) (llm.Selected, error) {
		once.Do(func() { sel, err = llm.Open(ctx, a.llmConfig(m, enc)) })
		return sel, err
	}
}

// modelFlags choose the language model.
type modelFlags struct {
	ModelProvider string   `enum:"auto,local,openai,ollama,extractive" default:"auto" env:"DOCENT_MODEL_PROVIDER" config:"model.provider" group:"Language model" help:"${enum}. 'auto' takes what is configured, else an installed .gguf file, else a running Ollama, else quotes sentences without a model."`
	ModelURL      string   `name:"model-url" placeholder:"URL" env:"DOCENT_MODEL_URL" config:"model.url" group:"Language model" help:"Address of the model server, such as http://localhost:8000/v1."`
	Model         string   `placeholder:"NAME" env:"DOCENT_MODEL" config:"model.name" group:"Language model" help:"Name of the model, or a .gguf file, which is then run here; by default the newest installed one, or the first that the server offers."`
	ModelKey      string   `placeholder:"KEY" env:"DOCENT_MODEL_KEY" config:"model.key" group:"Language model" help:"Key for the model server. With --model-provider openai, OPENAI_API_KEY counts too."`
	ModelContext  int      `placeholder:"TOKENS" env:"DOCENT_MODEL_CONTEXT" config:"model.context" group:"Language model" help:"The model's context window; 0 means 8192."`
	ModelParallel int      `placeholder:"N" env:"DOCENT_MODEL_PARALLEL" config:"model.parallel" group:"Language model" help:"Of a .gguf file: how many are answered at once, others wait; 0 means 8."`
	ModelQueue    int      `placeholder:"N" env:"DOCENT_MODEL_QUEUE" config:"model.queue" group:"Language model" help:"Of a .gguf file: how many more may wait; others are told to try again later. 0 means 256, -1 any number."`
	ModelCache    string   `enum:"f16,q8_0,f32" default:"f16" env:"DOCENT_MODEL_CACHE" config:"model.cache" group:"Language model" help:"Of a .gguf file: how what it has read is kept, ${enum}. 'q8_0' takes about half the memory of 'f16'."`
	ModelKeep     int      `placeholder:"TOKENS" env:"DOCENT_MODEL_KEEP" config:"model.keep" group:"Language model" help:"Of a .gguf file: how many tokens are kept for all whom it answers; 0 means two context windows, or one where memory is short."`
	ModelMemory   int64    `placeholder:"MIB" env:"DOCENT_MODEL_MEMORY" config:"model.memory" group:"Language model" help:"Of a .gguf file: the most memory it may need; 0 means nine tenths of the machine's."`
	Lora          []string `placeholder:"FILE[=SCALE]" sep:"none" config:"model.lora" group:"Language model" help:"A LoRA adapter (.gguf) for a model that is run here; may be given several times, the first is used."`
	PromptDir     string   `placeholder:"DIR" env:"DOCENT_PROMPT_DIR" config:"prompts" group:"Language model" help:"Folder with prompt files that add to the built-in ones or replace them."`
}

// llmConfig is how the flags are put to llm.Open, with the models that are installed.
func (a *app) llmConfig(m modelFlags, enc encoder) llm.Config {
	cfg := m.llmConfig(enc, a.log)
	if dir, err := a.dataDir(); err == nil {
		cfg.ModelDir = filepath.Join(dir, models.Folder)
	}
	return cfg
}

// llmConfig is how the flags are put to llm.Open. OPENAI_API_KEY is used only where OpenAI was asked
// for by name: a key that lies in the environment for another program must not make "auto" send
// documents to a cloud, nor travel to another server.
func (m modelFlags) llmConfig(enc encoder, log *slog.Logger) llm.Config {
	cfg := llm.Config{
		Provider: m.ModelProvider, BaseURL: m.ModelURL, Model: m.Model, APIKey: m.ModelKey,
		ContextTokens: m.ModelContext, Parallel: m.ModelParallel, Queue: m.ModelQueue, CacheTokens: m.ModelKeep, MemoryLimit: m.ModelMemory << 20, Adapters: m.Lora, Logger: log,
	}
	if m.ModelCache != "" {
		if err := cfg.CacheType.UnmarshalText([]byte(m.ModelCache)); err != nil {
			panic("docent: " + err.Error()) // the flag's enum holds others back
		}
	}
	if cfg.APIKey == "" {
		u, err := url.Parse(m.ModelURL)
		if m.ModelProvider == llm.OpenAI || err == nil && u.Hostname() == "api.openai.com" {
			cfg.APIKey = os.Getenv("OPENAI_API_KEY")
		}
	}
	if enc != nil {
		cfg.Encoder = enc
	}
	return cfg
}

// qa builds the chain that answers from a collection.
func (a *app) qa(l *library, collection string, sel llm.Selected, m modelFlags, r retrievalFlags, style string) (*chain.QA, error) {
	return a.chain(l, sel, m, l.searchFunc(collection, sel, r), style)
}

// chain builds the chain that answers from what search finds.
func (a *app) chain(l *library, sel llm.Selected, m modelFlags, search chain.SearchFunc, style string) (*chain.QA, error) {
	cfg := chain.Config{
		Model: sel.Model, ModelName: sel.Name, Notice: sel.Notice,
		Search: search, Style: style, PromptDir: m.PromptDir,
		ContextTokens: m.ModelContext, Logger: a.log,
	}
	if l.encoder != nil {
		cfg.Encoder = l.encoder
	}
	return chain.NewQA(cfg)
}

// explain adds to an error what a person at a terminal can do about it.
func explain(err error, a *app) error {
	switch {
	case errors.Is(err, retriever.ErrLocked):
		return fmt.Errorf("%w (--data names another)", err)
	case errors.Is(err, retriever.ErrCorrupt):
		return fmt.Errorf("%w\nTo mend what can be mended: docent doctor --repair", err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w\nCheck the permissions, or name another data directory with --data", err)
	}
	return err
}
