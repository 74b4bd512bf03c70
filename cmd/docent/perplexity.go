package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"docent/internal/llm"
)

type perplexityCmd struct {
	Text string `arg:"" type:"existingfile" placeholder:"FILE" help:"The text, in UTF-8."`
	modelFlags
}

// perplexityJSON is what --json prints.
type perplexityJSON struct {
	Model      string  `json:"model"`
	Perplexity float64 `json:"perplexity"`
	Tokens     int     `json:"tokens"` // that were foretold
	Context    int     `json:"context"`
	Seconds    float64 `json:"seconds"`
}

func (c *perplexityCmd) Run(ctx context.Context, a *app) error {
	text, err := os.ReadFile(c.Text)
	if err != nil {
		return err
	}
	cfg := a.llmConfig(c.modelFlags, nil)
	cfg.Provider = llm.Local
	sel, err := llm.Open(ctx, cfg)
	if err != nil {
		return err
	}
	local, ok := sel.Model.(*llm.LocalModel)
	if !ok {
		return fmt.Errorf("model %s is not a file", sel.Name)
	}
	defer local.Close()
	m := local.Engine()
	ids, err := m.Encode(string(text))
	if err != nil {
		return err
	}
	adapter, err := local.Adapter("")
	if err != nil {
		return err
	}
	start := time.Now()
	p, err := m.Perplexity(ctx, adapter, ids, m.First(), func(done, total int) {
		if a.Verbose {
			a.notice("%d of %d pieces", done, total)
		}
	})
	if err != nil {
		return fmt.Errorf("%s: %w", c.Text, err)
	}
	if a.JSON {
		return a.printJSON(perplexityJSON{Model: sel.Name, Perplexity: p.Value, Tokens: p.Tokens, Context: m.Context(), Seconds: time.Since(start).Seconds()})
	}
	_, err = fmt.Fprintf(a.stdout, "perplexity %.4f of %d tokens, in windows of %d (%s)\n", p.Value, p.Tokens, m.Context(), time.Since(start).Round(time.Second/10))
	return err
}
