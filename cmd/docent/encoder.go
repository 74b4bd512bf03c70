package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"docent/chunker"
	"docent/embed"
	"docent/internal/models"
	"docent/retriever"
)

// encoderFlags say where the encoder is when it is on a server.
type encoderFlags struct {
	Encoder     string `placeholder:"NAME" env:"DOCENT_ENCODER" config:"encoder" help:"The encoder: 'builtin', an installed model ('docent models list'), a folder with a BERT checkpoint, a .gguf file with one, each with '-bf16' or '-int8' after its name to load it so, 'openai:MODEL' or 'ollama:MODEL' on a server, or 'none' for keywords only."`
	EncoderURL  string `name:"encoder-url" placeholder:"URL" env:"DOCENT_ENCODER_URL" config:"encoder_server.url" help:"Address of the encoder's server, such as http://localhost:8000/v1."`
	EncoderKey  string `name:"encoder-key" placeholder:"KEY" env:"DOCENT_ENCODER_KEY" config:"encoder_server.key" help:"Key for the encoder's server."`
	EncoderDim  int    `name:"encoder-dim" placeholder:"N" env:"DOCENT_ENCODER_DIM" config:"encoder_server.dim" help:"Length of the vectors to ask the server for; by default the model's own."`
	EncoderRate int    `name:"encoder-rate" placeholder:"N" env:"DOCENT_ENCODER_RATE" config:"encoder_server.rate" help:"The most requests a minute to the encoder's server; 0 means no limit."`
}

// An encoder is what the commands need of one, local or on a server.
type encoder interface {
	retriever.Encoder
	chunker.Tokenizer
	Name() string
	MaxTokens() int
}

var (
	_ encoder = (*embed.Encoder)(nil)
	_ encoder = (*embed.Remote)(nil)
)

// encoder loads the encoder that name asks for; nil means that collections are keyword-only.
func (a *app) encoder(ctx context.Context, name string) (encoder, error) {
	switch provider, model, _ := strings.Cut(name, ":"); provider {
	case embed.OpenAI, embed.Ollama:
		return a.remoteEncoder(ctx, provider, model)
	}
	switch name {
	case "none":
		return nil, nil
	case "", "builtin":
		return asEncoder(embed.Builtin())
	}
	if e, err := embed.Builtin(); err == nil && e.Name() == name {
		return e, nil
	}
	path, err := a.modelPath(models.EncoderModel, name)
	for suffix, option := range precisions {
		if base, ok := strings.CutSuffix(name, suffix); ok && err != nil {
			if path, err := a.modelPath(models.EncoderModel, base); err == nil {
				return asEncoder(embed.Load(path, option))
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w; leave --encoder out for the built-in one, or see: docent models list", err)
	}
	return asEncoder(embed.Load(path))
}

// modelPath finds an encoder or a reranker: a path, or the name of an installed model.
func (a *app) modelPath(kind models.Kind, name string) (string, error) {
	path := name
	if _, err := os.Stat(path); err != nil && !strings.ContainsAny(name, `/\`) {
		if s, err := a.models(); err == nil {
			path = filepath.Join(s.Dir(), name)
			if m, err := s.Model(name); err == nil {
				path = m.Path
			}
		}
	}
	if _, err := os.Stat(path); err != nil {
		if m, ok := models.Known(name); ok && m.Kind == kind {
			return "", fmt.Errorf("%s %q is not installed; fetch it with: docent models pull %s", kind, name, name)
		}
		return "", fmt.Errorf("%s %q: no such folder or .gguf file, nor is there %s", kind, name, path)
	}
	return path, nil
}

// precisions are what a model's name may end in to be loaded so. The names of such encoders do, so a
// collection's encoder is found again by its fingerprint.
var precisions = map[string]embed.Option{"-int8": embed.Int8(), "-bf16": embed.BF16()}

// asEncoder keeps a nil pointer from becoming an interface that is not nil.
func asEncoder(e *embed.Encoder, err error) (encoder, error) {
	if err != nil {
		return nil, err
	}
	return e, nil
}

// remoteEncoder asks the server for the model. OPENAI_API_KEY goes to OpenAI only: a key that lies in
// the environment for another program must not travel to another server.
func (a *app) remoteEncoder(ctx context.Context, provider, model string) (encoder, error) {
	key := a.EncoderKey
	if provider == embed.OpenAI {
		u, err := url.Parse(a.EncoderURL)
		if a.EncoderURL == "" || err == nil && u.Hostname() == "api.openai.com" {
			key = cmp.Or(key, os.Getenv("OPENAI_API_KEY"))
		}
	}
	r, err := embed.NewRemote(ctx, embed.RemoteConfig{
		Provider: provider, Model: model, URL: a.EncoderURL, Key: key,
		Dim: a.EncoderDim, RequestsPerMinute: a.EncoderRate, Logger: a.log,
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// earlier loads the encoder that made a collection's vectors, by its fingerprint, where it is still to be
// had: the built-in one, or an installed model.
func (a *app) earlier(ctx context.Context, fingerprint string) (encoder, error) {
	i := strings.LastIndexByte(fingerprint, '@')
	if i < 0 {
		return nil, fmt.Errorf("%q is no fingerprint of an encoder", fingerprint)
	}
	e, err := a.encoder(ctx, fingerprint[:i])
	if err != nil {
		return nil, err
	}
	if e == nil || e.Fingerprint() != fingerprint {
		return nil, fmt.Errorf("encoder %q is not what it was when the vectors were made", fingerprint[:i])
	}
	return e, nil
}
