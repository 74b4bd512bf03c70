// Package llm finds the language model that answers, and stands behind langchaingo's llms.Model.
//
// [Open] selects one: a GGUF file that is computed in this process, a server that speaks the OpenAI
// protocol, Ollama, or, where there is none, the [Extractive] answerer, which quotes sentences of the
// passages instead of writing. Remote models go through langchaingo's own clients, wrapped so that their
// weak spots do not show: see remote.go. Package engine computes local ones.
//
//	sel, err := llm.Open(ctx, llm.Config{Provider: llm.Auto, Encoder: enc})
//	if err != nil { … }
//	reply, err := sel.Model.GenerateContent(ctx, messages)
//
// Models are safe for concurrent use.
package llm

import (
	"context"
	"log/slog"
	"time"

	"github.com/tmc/langchaingo/llms"

	"docent/internal/llm/engine"
)

// The providers that Config.Provider names.
const (
	Auto             = "auto"       // what is configured, else an installed file, else a running Ollama, else extractive
	Local            = "local"      // a GGUF file, computed in this process
	OpenAI           = "openai"     // any server with an OpenAI-compatible API
	Ollama           = "ollama"     // Ollama's own API
	ExtractiveAnswer = "extractive" // no model: quotes the passages
)

// Encoder embeds text; docent's embed.Encoder is one. An encoder that also has a method
// Languages() []string, with ISO 639-1 codes, is asked only about text in those languages.
type Encoder interface {
	EmbedDocuments(ctx context.Context, texts []string) ([][]float32, error)
	EmbedQuery(ctx context.Context, text string) ([]float32, error)
}

// Config says which model to open.
type Config struct {
	Provider string // Auto, Local, OpenAI, Ollama or ExtractiveAnswer; "" means Auto

	// BaseURL of the model server: "http://localhost:8000/v1" for an OpenAI-compatible one (the "/v1"
	// may be left out), "http://localhost:11434" for Ollama. "" means the provider's own default:
	// api.openai.com when an APIKey is set, and for Ollama $OLLAMA_HOST or 127.0.0.1:11434.
	BaseURL string
	Model   string // "" means the first that the server offers, or the newest file in ModelDir; FILE.gguf is a local model
	APIKey  string // may be "" for local servers

	Encoder Encoder // for the extractive answerer; nil means keyword evidence only

	ModelDir    string // folder of installed .gguf files; "" means none
	MemoryLimit int64  // bytes that a local model may need; 0 means nine tenths of the machine's, negative none
	Threads     int    // of a local model; 0 means one for each processor

	// Adapters are LoRA files for a local model, FILE or FILE=SCALE. The first is used unless a request
	// chooses otherwise, by LocalOptions.
	Adapters []string

	// How a local model serves several callers: how many at once (0 means 8), how many more may wait before others
	// get a BusyError (0 means 256, negative any number), how many tokens it keeps for all of them (0 means two
	// context windows, or one where memory is short), and in which form.
	Parallel    int
	Queue       int
	CacheTokens int
	CacheType   engine.CacheType

	// ContextTokens is the window of a local model and what is asked of Ollama, which otherwise cuts long
	// prompts silently; 0 means 8192.
	ContextTokens int

	ProbeTimeout time.Duration // to find out whether a server is there; 0 means 3 s (auto's Ollama probe: 500 ms)
	StartTimeout time.Duration // until a reply begins, a model may be loading; 0 means 5 min
	IdleTimeout  time.Duration // between two pieces of a reply; 0 means 2 min
	Retries      int           // of 429 and 5xx replies before any text has come; 0 means 3, negative none

	Logger *slog.Logger // nil discards
}

// Selected is the model that Open chose.
type Selected struct {
	Model    llms.Model // *Extractive when Provider is ExtractiveAnswer, *LocalModel when it is Local; never nil
	Provider string     // Local, OpenAI, Ollama or ExtractiveAnswer
	Name     string     // of the model, as the server calls it; "extractive" for the answerer
	URL      string     // of the server; a local model's file; empty for the answerer
	Notice   string     // one line for the user when it is not what they asked for; else empty
}
