package llm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/tmc/langchaingo/llms"

	"docent/internal/llm/engine"
	"docent/internal/llm/gguf"
)

// isModelFile reports whether a model's name is that of a file.
func isModelFile(name string) bool { return strings.EqualFold(filepath.Ext(name), ".gguf") }

var laterPart = regexp.MustCompile(`-\d{5}-of-\d{5}\.gguf$`)

// InstalledModels lists the language models of a folder and of the folders in it, as "docent models pull"
// installs them, the newest first, by path. Of a split model it lists the first part. Encoders and
// rerankers are left out; a file that cannot be read is not, so that opening it says why. A folder that is
// not there has none.
func InstalledModels(dir string) ([]string, error) {
	if dir == "" {
		return nil, nil
	}
	type installed struct {
		path string
		info fs.FileInfo
	}
	var found []installed
	var look func(dir string, deeper bool) error
	look = func(dir string, deeper bool) error {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := e.Name()
			path := filepath.Join(dir, name)
			if e.IsDir() && deeper && !strings.HasPrefix(name, ".") { // what is hidden is half fetched
				if err := look(path, false); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				continue
			}
			if !isModelFile(name) || laterPart.MatchString(name) && !strings.Contains(name, "-00001-of-") {
				continue
			}
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				if p, err := gguf.PurposeOf(path); err == nil && p != gguf.Language {
					continue
				}
				found = append(found, installed{path, info})
			}
		}
		return nil
	}
	if err := look(dir, true); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b installed) int {
		return cmp.Or(b.info.ModTime().Compare(a.info.ModTime()), cmp.Compare(a.path, b.path))
	})
	var paths []string
	for _, f := range found {
		paths = append(paths, f.path)
	}
	return paths, nil
}

// findModel is the file that cfg names: a path, or an installed one by its name with or without .gguf;
// without a name the newest installed one.
func findModel(cfg Config) (string, error) {
	if cfg.Model == "" {
		installed, err := InstalledModels(cfg.ModelDir)
		if err != nil {
			return "", err
		}
		if len(installed) == 0 {
			return "", fmt.Errorf("%w: no .gguf file is in %s: put one there, or name one with --model FILE.gguf", ErrNoModel, cmp.Or(cfg.ModelDir, "the folder of models"))
		}
		return installed[0], nil
	}
	tried := []string{cfg.Model}
	if cfg.ModelDir != "" && filepath.Base(cfg.Model) == cfg.Model {
		tried = append(tried, filepath.Join(cfg.ModelDir, cfg.Model), filepath.Join(cfg.ModelDir, cfg.Model+".gguf"))
		installed, err := InstalledModels(cfg.ModelDir)
		if err != nil {
			return "", err
		}
		for _, path := range installed { // in a folder of that name, or by its own
			if filepath.Dir(path) == filepath.Join(cfg.ModelDir, cfg.Model) || strings.TrimSuffix(filepath.Base(path), ".gguf") == strings.TrimSuffix(cfg.Model, ".gguf") {
				tried = append(tried, path)
			}
		}
	}
	for _, path := range tried {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: there is no file %s", ErrNoModel, strings.Join(tried, ", nor "))
}

func openLocal(cfg Config) (Selected, error) {
	path, err := findModel(cfg)
	if err != nil {
		return Selected{}, err
	}
	m, err := OpenFile(path, cfg)
	if err != nil {
		return Selected{}, err
	}
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	return Selected{Model: m, Provider: Local, Name: name, URL: path}, nil
}

// LocalModel is a GGUF file that is computed in this process. Calls queue, first come, first served. It
// is safe for concurrent use.
type LocalModel struct {
	engine *engine.Model
	path   string
	log    *slog.Logger
}

var _ llms.Model = (*LocalModel)(nil)

// OpenFile opens a GGUF file. Of cfg it takes ContextTokens, MemoryLimit, Threads and Logger.
func OpenFile(path string, cfg Config) (*LocalModel, error) {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	limit := cfg.MemoryLimit
	if limit == 0 {
		limit = systemMemory() / 10 * 9
	}
	m, err := engine.Open(path, engine.Config{Context: cmp.Or(cfg.ContextTokens, 8192), Memory: max(0, limit), Threads: cfg.Threads, Logger: log})
	if err != nil {
		return nil, err
	}
	info := m.Info()
	log.Info("model opened", "file", path, "architecture", info.Architecture, "parameters", info.Parameters, "context", m.Context(), "memory", m.Memory().Total())
	return &LocalModel{engine: m, path: path, log: log}, nil
}

// Close waits for the reply in progress and lets go of the file.
func (l *LocalModel) Close() error { return l.engine.Close() }

// Engine is what computes the model.
func (l *LocalModel) Engine() *engine.Model { return l.engine }

// Call implements llms.Model.
func (l *LocalModel) Call(ctx context.Context, prompt string, options ...llms.CallOption) (string, error) {
	return llms.GenerateFromSinglePrompt(ctx, l, prompt, options...)
}

// GenerateContent implements llms.Model. It honours the options for temperature, top-k, top-p, seed,
// repetition penalty, stop words, the number of tokens and streaming. One reply is made; tools are refused
// with ErrTools. GenerationInfo holds PromptTokens, CompletionTokens, TotalTokens and CachedTokens, the
// part of the prompt that was known from the call before.
func (l *LocalModel) GenerateContent(ctx context.Context, messages []llms.MessageContent, options ...llms.CallOption) (*llms.ContentResponse, error) {
	var opts llms.CallOptions
	for _, o := range options {
		o(&opts)
	}
	if len(opts.Tools) > 0 || len(opts.Functions) > 0 {
		return nil, ErrTools // who asked can describe the tools in words instead
	}
	turns, err := turnsOf(messages)
	if err != nil {
		return nil, err
	}
	prompt, err := l.engine.Chat(turns)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", l.path, err)
	}
	var text strings.Builder
	res, err := l.engine.Generate(ctx, prompt, engine.Options{
		Sampling: engine.Sampling{
			Temperature: opts.Temperature, TopK: opts.TopK, TopP: opts.TopP, Repeat: opts.RepetitionPenalty, Seed: uint64(opts.Seed),
		},
		MaxTokens: opts.MaxTokens, Stop: opts.StopWords,
	}, func(piece string) error {
		text.WriteString(piece)
		if opts.StreamingFunc != nil {
			return opts.StreamingFunc(ctx, []byte(piece))
		}
		return nil
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("model %s: %w", l.path, err)
	}
	l.log.Debug("model replied", "prompt", res.Prompt, "reused", res.Reused, "completion", res.Completion, "prompt_time", res.PromptTime, "time", res.Time)
	return &llms.ContentResponse{Choices: []*llms.ContentChoice{{
		Content: text.String(), StopReason: res.Reason,
		GenerationInfo: map[string]any{
			"PromptTokens": res.Prompt, "CompletionTokens": res.Completion, "TotalTokens": res.Prompt + res.Completion,
			"CachedTokens": res.Reused,
		},
	}}}, nil
}

// turnsOf words messages as turns of text; neighbours of one role become one turn, as templates want.
func turnsOf(messages []llms.MessageContent) ([]engine.Message, error) {
	var turns []engine.Message
	for _, msg := range messages {
		role := "user"
		switch msg.Role {
		case llms.ChatMessageTypeSystem:
			role = "system"
		case llms.ChatMessageTypeAI:
			role = "assistant"
		}
		var parts []string
		for _, p := range msg.Parts {
			switch p := p.(type) {
			case llms.TextContent:
				parts = append(parts, p.Text)
			case llms.ToolCall:
				if p.FunctionCall != nil {
					parts = append(parts, fmt.Sprintf("Call of %s: %s", p.FunctionCall.Name, p.FunctionCall.Arguments))
				}
			case llms.ToolCallResponse:
				parts = append(parts, fmt.Sprintf("Result of %s: %s", p.Name, p.Content))
			default:
				return nil, fmt.Errorf("local models read text only, not %T", p)
			}
		}
		text := strings.Join(parts, "\n\n")
		if n := len(turns); n > 0 && turns[n-1].Role == role {
			turns[n-1].Content += "\n\n" + text
			continue
		}
		turns = append(turns, engine.Message{Role: role, Content: text})
	}
	return turns, nil
}
