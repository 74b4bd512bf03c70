package llm

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tmc/langchaingo/llms/ollama"
	"github.com/tmc/langchaingo/llms/openai"

	"docent/internal/ollamahost"
)

const openAIURL = "https://api.openai.com/v1"

// Open selects a model as cfg says and makes sure that its server is there. A provider chosen by name
// that cannot be had is an error that names the URL and what to do; Auto falls back, down to the
// extractive answerer, and says so in Selected.Notice. Auto talks to no machine that cfg does not
// name, but for an Ollama at its own address.
func Open(ctx context.Context, cfg Config) (Selected, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.BaseURL = strings.TrimRight(strings.TrimSpace(cfg.BaseURL), "/")
	cfg.Model = strings.TrimSpace(cfg.Model)
	extractive := Selected{Model: NewExtractive(cfg.Encoder), Provider: ExtractiveAnswer, Name: ExtractiveAnswer}
	switch cfg.Provider {
	case ExtractiveAnswer:
		return extractive, nil
	case Local:
		return openLocal(cfg)
	case OpenAI:
		return openOpenAI(ctx, cfg)
	case Ollama:
		return openOllama(ctx, cfg)
	case Auto, "":
	default:
		return Selected{}, fmt.Errorf("model provider %q: want %s, %s, %s, %s or %s", cfg.Provider, Auto, Local, OpenAI, Ollama, ExtractiveAnswer)
	}
	if isModelFile(cfg.Model) && cfg.BaseURL == "" && cfg.APIKey == "" {
		return openLocal(cfg) // a file that was named and cannot be read is no reason to look elsewhere
	}

	var notices []string
	if cfg.BaseURL != "" || cfg.APIKey != "" {
		open := openOpenAI
		if isOllama(ctx, cfg) {
			open = openOllama
		}
		sel, err := open(ctx, cfg)
		if err == nil {
			return sel, nil
		}
		if ctx.Err() != nil {
			return Selected{}, ctx.Err()
		}
		cfg.Logger.Warn("configured language model cannot be used", "error", err)
		notices = append(notices, err.Error())
	}
	if sel, found, err := openInstalled(cfg); found {
		if err == nil {
			if len(notices) > 0 {
				sel.Notice = fmt.Sprintf("%s. Using the installed %s instead.", notices[0], sel.Name)
			}
			return sel, nil
		}
		cfg.Logger.Warn("installed language model cannot be used", "error", err)
		notices = append(notices, err.Error())
	}
	local := cfg
	local.BaseURL, local.APIKey = "", ""
	if local.ProbeTimeout == 0 {
		local.ProbeTimeout = 500 * time.Millisecond
	}
	sel, err := openOllama(ctx, local)
	if errors.Is(err, ErrNoModel) && cfg.Model != "" && cfg.BaseURL != "" {
		// The name was meant for the other server.
		local.Model = ""
		sel, err = openOllama(ctx, local)
	}
	switch {
	case err == nil:
		if len(notices) > 0 {
			sel.Notice = fmt.Sprintf("%s. Using Ollama's %s at %s instead.", notices[0], sel.Name, sel.URL)
		}
		return sel, nil
	case ctx.Err() != nil:
		return Selected{}, ctx.Err()
	case !errors.Is(err, ErrUnreachable) || cfg.Model != "" && len(notices) == 0:
		notices = append(notices, err.Error())
	}
	extractive.Notice = strings.Join(notices, "; ")
	return extractive, nil
}

// openInstalled opens the installed file that cfg names, or the newest; a name that is not that of a file
// is left to the servers.
func openInstalled(cfg Config) (sel Selected, found bool, err error) {
	if cfg.ModelDir == "" {
		return Selected{}, false, nil
	}
	if cfg.BaseURL != "" {
		cfg.Model = "" // the name was meant for the server
	}
	path, err := findModel(cfg)
	if errors.Is(err, ErrNoModel) {
		return Selected{}, false, nil
	}
	if err != nil {
		return Selected{}, true, err
	}
	cfg.Model = path
	sel, err = openLocal(cfg)
	return sel, true, err
}

func openOpenAI(ctx context.Context, cfg Config) (Selected, error) {
	base := cfg.BaseURL
	if base == "" {
		if cfg.APIKey == "" {
			return Selected{}, errors.New("model provider openai: name a server with --model-url (such as http://localhost:8000/v1), or set an API key for " + openAIURL)
		}
		base = openAIURL
	}
	u, err := serverURL(base)
	if err != nil {
		return Selected{}, err
	}
	base, offered, err := listOpenAI(ctx, cfg, u)
	if err != nil {
		return Selected{}, err
	}
	name := cfg.Model
	if name == "" {
		if len(offered) == 0 {
			return Selected{}, fmt.Errorf("%w: %s lists none: name one with --model", ErrNoModel, base)
		}
		name = offered[0]
	}
	inner, err := openai.New(
		openai.WithBaseURL(base), openai.WithModel(name), openai.WithHTTPClient(client(cfg)),
		// langchaingo refuses an empty key, and would take one from OPENAI_API_KEY and send it anywhere.
		openai.WithToken(cmp.Or(cfg.APIKey, "none")), openai.WithOrganization(""), openai.WithAPIType(openai.APITypeOpenAI),
	)
	if err != nil {
		return Selected{}, fmt.Errorf("open model %s at %s: %w", name, base, err)
	}
	m := &remote{inner: inner, provider: OpenAI, url: base, legacy: u.Hostname() != "api.openai.com"}
	return Selected{Model: m, Provider: OpenAI, Name: name, URL: base}, nil
}

// listOpenAI finds the API's root, since people leave the "/v1" out, and the models it offers. Servers
// without a list are taken as they are.
func listOpenAI(ctx context.Context, cfg Config, u *url.URL) (base string, offered []string, err error) {
	base = u.String()
	roots := []string{base}
	if !strings.HasSuffix(u.Path, "/v1") {
		roots = []string{base + "/v1", base}
		if u.Path != "" {
			slices.Reverse(roots)
		}
	}
	for _, root := range roots {
		var list struct {
			Data []struct {
				ID string `json:"id"`
			} `json:"data"`
		}
		err := get(ctx, cfg, root+"/models", &list)
		var status *StatusError
		switch {
		case err == nil && list.Data != nil:
			for _, m := range list.Data {
				if !embeds(m.ID) {
					offered = append(offered, m.ID)
				}
			}
			return root, offered, nil
		case err == nil, errors.As(err, &status) && status.Code != http.StatusUnauthorized && status.Code != http.StatusForbidden:
		default:
			return "", nil, err
		}
	}
	return roots[0], nil, nil
}

func openOllama(ctx context.Context, cfg Config) (Selected, error) {
	base := cfg.BaseURL
	if base == "" {
		base = ollamahost.URL()
	}
	u, err := serverURL(strings.TrimSuffix(base, "/v1"))
	if err != nil {
		return Selected{}, err
	}
	base = u.String()
	var list struct {
		Models []struct {
			Name    string `json:"name"`
			Details struct {
				Families []string `json:"families"`
			} `json:"details"`
		} `json:"models"`
	}
	if err := get(ctx, cfg, base+"/api/tags", &list); err != nil {
		return Selected{}, err
	}
	var names []string
	for _, m := range list.Models {
		if !embeds(m.Name) && !slices.ContainsFunc(m.Details.Families, func(f string) bool { return strings.Contains(f, "bert") }) {
			names = append(names, m.Name)
		}
	}
	name := cfg.Model
	switch {
	case name == "" && len(names) == 0:
		return Selected{}, fmt.Errorf("%w: Ollama at %s has none: run \"ollama pull qwen3:4b\" or name another", ErrNoModel, base)
	case name == "":
		name = names[0]
	case !slices.ContainsFunc(list.Models, func(m struct {
		Name    string `json:"name"`
		Details struct {
			Families []string `json:"families"`
		} `json:"details"`
	}) bool {
		return m.Name == name || m.Name == name+":latest"
	}):
		have := "none"
		if len(names) > 0 {
			have = strings.Join(names[:min(5, len(names))], ", ")
		}
		return Selected{}, fmt.Errorf("%w: Ollama at %s does not have %q (it has %s): run \"ollama pull %s\"", ErrNoModel, base, name, have, name)
	}
	inner, err := ollama.New(ollama.WithServerURL(base), ollama.WithModel(name), ollama.WithHTTPClient(client(cfg)),
		// Without it Ollama cuts the prompt to its own default (2,048 or 4,096 tokens), and says nothing.
		ollama.WithRunnerNumCtx(cmp.Or(cfg.ContextTokens, 8192)))
	if err != nil {
		return Selected{}, fmt.Errorf("open model %s at %s: %w", name, base, err)
	}
	return Selected{Model: &remote{inner: inner, provider: Ollama, url: base}, Provider: Ollama, Name: name, URL: base}, nil
}

// isOllama reports whether the configured server is Ollama and not asked for its OpenAI side.
func isOllama(ctx context.Context, cfg Config) bool {
	if cfg.BaseURL == "" || strings.HasSuffix(cfg.BaseURL, "/v1") {
		return false
	}
	var version struct {
		Models *json.RawMessage `json:"models"`
	}
	return get(ctx, cfg, cfg.BaseURL+"/api/tags", &version) == nil && version.Models != nil
}

func serverURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("model URL %q: want one such as http://localhost:8000/v1", raw)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

// embeds reports whether a model's name says that it makes vectors, not text.
func embeds(name string) bool {
	name = strings.ToLower(name)
	for _, s := range []string{"embed", "bge-", "all-minilm", "e5-", "rerank", "whisper", "tts-", "dall-e"} {
		if strings.Contains(name, s) {
			return true
		}
	}
	return false
}

// get asks the server for a small JSON document, to find out whether it is there.
func get(ctx context.Context, cfg Config, address string, into any) error {
	timeout := cmp.Or(cfg.ProbeTimeout, 3*time.Second)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("model URL %q: %w", address, err)
	}
	if cfg.APIKey != "" {
		req.Header.Set("Authorization", "Bearer "+cfg.APIKey)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no reply within %s", timeout)
		}
		return fmt.Errorf("%w: %s: %w: start the server there, or set --model-url to where it listens", ErrUnreachable, req.URL.Redacted(), err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnreachable, req.URL.Redacted(), err)
	}
	if resp.StatusCode >= 300 {
		return &StatusError{URL: req.URL.Redacted(), Code: resp.StatusCode, Message: errorMessage(body)}
	}
	if err := json.Unmarshal(body, into); err != nil {
		return &StatusError{URL: req.URL.Redacted(), Code: http.StatusOK, Message: "the reply is not the JSON of a model server"}
	}
	return nil
}

func client(cfg Config) *http.Client {
	retries := cfg.Retries
	if retries == 0 {
		retries = 3
	}
	return &http.Client{Transport: &transport{
		base:      http.DefaultTransport,
		startTime: cmp.Or(cfg.StartTimeout, 5*time.Minute),
		idleTime:  cmp.Or(cfg.IdleTimeout, 2*time.Minute),
		retries:   max(0, retries),
		log:       cfg.Logger,
		backoff:   500 * time.Millisecond,
	}}
}
