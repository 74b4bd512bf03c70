package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"docent/internal/llm"
	"docent/internal/llm/engine"
	"docent/internal/models"
)

type generateCmd struct {
	Model       string   `required:"" placeholder:"FILE" help:"A .gguf file, or the name of one in models/ of the data directory."`
	Prompt      string   `placeholder:"TEXT" help:"What the model is told; by default the standard input."`
	System      string   `placeholder:"TEXT" help:"What comes before it as the system's turn."`
	Raw         bool     `help:"Continue the text as it is, without the model's chat template."`
	N           int      `short:"n" default:"256" placeholder:"TOKENS" help:"The most tokens of the answer; 0 means until the context window is full."`
	Temperature float64  `default:"0" placeholder:"T" help:"0 takes the likeliest token each time."`
	TopK        int      `default:"40" placeholder:"K" help:"Choose among the likeliest K; 0 means all."`
	TopP        float64  `default:"0.95" placeholder:"P" help:"Choose among the likeliest that together reach P."`
	MinP        float64  `default:"0.05" placeholder:"P" help:"Leave out what is less than P times as likely as the likeliest."`
	Repeat      float64  `default:"1" placeholder:"R" help:"Penalty for tokens that came lately; 1 means none."`
	Seed        uint64   `placeholder:"N" help:"With one seed the answer is always the same."`
	Stop        []string `placeholder:"TEXT" sep:"none" help:"End before this text; may be given several times."`
	Context     int      `placeholder:"TOKENS" help:"The context window; 0 means 8192, or what the model was trained for where that is less."`
	Threads     int      `placeholder:"N" help:"0 means one for each processor."`
	Memory      int64    `placeholder:"MIB" help:"Refuse a model that needs more; 0 means nine tenths of the machine's."`
}

// generationJSON is what --json prints.
type generationJSON struct {
	Model            string  `json:"model"`
	Text             string  `json:"text"`
	StopReason       string  `json:"stop_reason"` // "stop" or "length"
	PromptTokens     int     `json:"prompt_tokens"`
	CompletionTokens int     `json:"completion_tokens"`
	LoadSeconds      float64 `json:"load_seconds"`
	PromptSeconds    float64 `json:"prompt_seconds"`
	Seconds          float64 `json:"seconds"` // after the prompt
}

func (c *generateCmd) Run(ctx context.Context, a *app) error {
	prompt := c.Prompt
	if prompt == "" {
		data, err := io.ReadAll(io.LimitReader(a.stdin, 16<<20))
		if err != nil {
			return fmt.Errorf("read the prompt: %w", err)
		}
		prompt = string(data)
	}
	if strings.TrimSpace(prompt) == "" {
		return errors.New("there is no prompt: give one with --prompt or on the standard input")
	}
	cfg := llm.Config{
		Provider: llm.Local, Model: c.Model, ContextTokens: c.Context, Threads: c.Threads, MemoryLimit: c.Memory << 20, Logger: a.log,
	}
	if dir, err := a.dataDir(); err == nil {
		cfg.ModelDir = filepath.Join(dir, models.Folder)
	}
	start := time.Now()
	sel, err := llm.Open(ctx, cfg)
	if err != nil {
		return err
	}
	local, ok := sel.Model.(*llm.LocalModel)
	if !ok {
		return fmt.Errorf("model %s is not a file", c.Model)
	}
	defer local.Close()
	load := time.Since(start)

	m := local.Engine()
	var ids []int32
	if c.Raw {
		ids, err = m.Encode(c.System + prompt)
	} else {
		var turns []engine.Message
		if c.System != "" {
			turns = append(turns, engine.Message{Role: "system", Content: c.System})
		}
		ids, err = m.Chat(append(turns, engine.Message{Role: "user", Content: prompt}), engine.ChatOptions{})
	}
	if err != nil {
		return err
	}
	var text strings.Builder
	res, err := m.Generate(ctx, ids, engine.Options{
		Sampling:  engine.Sampling{Temperature: c.Temperature, TopK: c.TopK, TopP: c.TopP, MinP: c.MinP, Repeat: c.Repeat, Seed: c.Seed},
		MaxTokens: c.N, Stop: c.Stop,
	}, func(piece string) error {
		text.WriteString(piece)
		if a.JSON {
			return nil
		}
		_, err := io.WriteString(a.stdout, piece)
		return err
	})
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(generationJSON{
			Model: sel.Name, Text: text.String(), StopReason: res.Reason, PromptTokens: res.Prompt, CompletionTokens: res.Completion,
			LoadSeconds: load.Seconds(), PromptSeconds: res.PromptTime.Seconds(), Seconds: res.Time.Seconds(),
		})
	}
	fmt.Fprintln(a.stdout)
	if a.Verbose {
		a.notice("%d tokens read at %.1f/s, %d written at %.1f/s", res.Prompt, float64(res.Prompt)/res.PromptTime.Seconds(),
			res.Completion, float64(res.Completion)/res.Time.Seconds())
	}
	return nil
}
