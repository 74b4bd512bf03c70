// Command docent answers questions about your own documents, from the command line or in a web page,
// and shows where each statement comes from.
//
//	docent serve                         # the page, on http://127.0.0.1:8420
//	docent ingest handbook/              # or from the command line
//	docent ask "How many days of leave do I get?"
//
// docs/commands.md describes every command. This package only wires the public packages together:
// whatever the command does, a program that imports them can do.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"docent/ingest"
	"docent/internal/config"
)

// cli is the grammar of the command line.
type cli struct {
	globals

	Serve        serveCmd        `cmd:"" help:"Serve the web page and the HTTP API."`
	Ingest       ingestCmd       `cmd:"" help:"Add files, folders or web addresses to a collection."`
	Watch        watchCmd        `cmd:"" help:"Keep folders in step with a collection until stopped."`
	Ask          askCmd          `cmd:"" help:"Answer a question from the documents, with citations."`
	Generate     generateCmd     `cmd:"" help:"Let a model file write, without documents."`
	Chat         chatCmd         `cmd:"" help:"Talk with a language model in the terminal, without documents."`
	Perplexity   perplexityCmd   `cmd:"" help:"Measure how well a model file foretells a text."`
	Search       searchCmd       `cmd:"" help:"List the passages that fit a question best."`
	Agent        agentCmd        `cmd:"" help:"Work towards a goal in steps: search, calculate, answer. Needs a language model."`
	Collections  collectionsCmd  `cmd:"" help:"List, create or remove collections."`
	Documents    documentsCmd    `cmd:"" help:"List the documents of a collection."`
	Rm           rmCmd           `cmd:"" help:"Remove documents from a collection."`
	Extract      extractCmd      `cmd:"" help:"Print the text that a file yields."`
	Chunk        chunkCmd        `cmd:"" help:"Print the chunks that a file is cut into."`
	Embed        embedCmd        `cmd:"" help:"Turn the lines of the standard input into vectors."`
	Eval         evalCmd         `cmd:"" help:"Measure retrieval on a folder in BEIR layout."`
	Models       modelsCmd       `cmd:"" help:"List, fetch, check or remove models."`
	Reindex      reindexCmd      `cmd:"" help:"Give collections the vectors of another encoder."`
	Backup       backupCmd       `cmd:"" help:"Write everything to one file, also while a server is at work."`
	Restore      restoreCmd      `cmd:"" help:"Make a data directory of a backup."`
	MigrateStore migrateStoreCmd `cmd:"" help:"Copy everything to another kind of store."`
	Doctor       doctorCmd       `cmd:"" help:"Check what docent needs to run, and say what is missing."`
	Version      versionCmd      `cmd:"" help:"Print the version."`
}

// globals are the flags of every command.
type globals struct {
	Data   string `placeholder:"DIR" env:"DOCENT_DATA" help:"Where everything is kept; by default the user's data directory."`
	Config string `placeholder:"FILE" env:"DOCENT_CONFIG" help:"The settings file; by default config.yaml in the data directory."`
	Store  string `placeholder:"URL" env:"DOCENT_STORE" config:"store" help:"Where documents are kept and searched, when not in the data directory: postgres://user@host/database, which any number of docent processes share, or weaviate://host:port,host:port, a cluster that searches (docs/weaviate.md). With Postgres the data directory holds models and settings, and copies that can go."`
	JSON   bool   `name:"json" help:"Print JSON for machines on the standard output."`
	encoderFlags
	rerankerFlags
	ocrFlags
	limitFlags
	Verbose     bool        `short:"v" help:"Log what happens, on the standard error."`
	ShowVersion versionFlag `name:"version" help:"Print the version and quit."`
}

const (
	exitFailed = 1
	exitUsage  = 2
)

// errReported ends a command whose failures have been printed already.
var errReported = errors.New("not everything was done")

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	// What a parent of the same binary starts to read untrusted files; it reads no settings.
	if len(args) == 1 && args[0] == parseWorker {
		if err := ingest.Worker(context.Background(), stdin, stdout); err != nil {
			fmt.Fprintln(stderr, err)
			return exitFailed
		}
		return 0
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second ctrl-C ends the process at once

	var c cli
	code := -1
	parser, err := kong.New(&c,
		kong.Name("docent"),
		kong.Description("Answers questions about your own documents and shows where each statement comes from."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(stdout, stderr),
		kong.Exit(func(n int) { code = n; panic(exited{}) }),
		kong.Vars{"version": versionLine()},
	)
	if err != nil {
		fmt.Fprintln(stderr, "docent:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	kctx, err := parse(parser, args)
	if code >= 0 { // --help and --version
		return code
	}
	if err != nil {
		fmt.Fprintf(stderr, "docent: %v\n", err)
		if perr, ok := errors.AsType[*kong.ParseError](err); ok {
			fmt.Fprintf(stderr, "Run \"%s --help\" for the flags and arguments.\n", usageOf(perr.Context))
		}
		return exitUsage
	}

	os.Args = withoutSecrets(os.Args) // the data directory's lock file says which command holds it
	a := newApp(c.globals, stdin, stdout, stderr)
	kctx.BindTo(ctx, (*context.Context)(nil))
	err = kctx.Run(a)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errReported):
		return exitFailed
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "docent: stopped")
		return 128 + int(syscall.SIGINT)
	}
	fmt.Fprintf(stderr, "docent: %v\n", explain(err, a))
	return exitFailed
}

// withoutSecrets returns the arguments with the values of keys and passwords taken out.
func withoutSecrets(args []string) []string {
	out := slices.Clone(args)
	for i, arg := range out {
		for _, flag := range []string{"--model-key", "--encoder-key", "--vision-key", "--password"} {
			if strings.HasPrefix(arg, flag+"=") {
				out[i] = flag + "=…"
			} else if arg == flag && i+1 < len(out) {
				out[i+1] = "…"
			}
		}
	}
	return out
}

// exited carries the end that kong asks for through its callers.
type exited struct{}

func parse(parser *kong.Kong, args []string) (kctx *kong.Context, err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(exited); !ok {
				panic(r)
			}
		}
	}()
	return parser.Parse(args)
}

// usageOf is the command that was being parsed, for "Run … --help".
func usageOf(ctx *kong.Context) string {
	name := "docent"
	if ctx != nil {
		if n := ctx.Selected(); n != nil {
			name += " " + strings.TrimSpace(n.Path())
		}
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(name, "docent docent", "docent")), " ")
}

// BeforeResolve reads the settings file, whose place the flags tell.
func (c *cli) BeforeResolve(ctx *kong.Context) error {
	var g globals
	for _, f := range ctx.Model.Flags {
		switch v, _ := ctx.FlagValue(f).(string); f.Name {
		case "data":
			g.Data = v
		case "config":
			g.Config = v
		}
	}
	path, required := g.Config, true
	if path == "" {
		dir, err := g.dataDir()
		if err != nil {
			return nil // the command says so, if it needs one
		}
		path, required = filepath.Join(dir, config.File), false
	}
	r, err := config.Load(path, required, ctx.Model)
	if err != nil {
		return err
	}
	ctx.AddResolver(r)
	return nil
}

// dataDir is the data directory as an absolute path.
func (g globals) dataDir() (string, error) {
	if g.Data != "" {
		return filepath.Abs(g.Data)
	}
	return config.DataDir()
}
