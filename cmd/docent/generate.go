package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/tmc/langchaingo/llms"

	"docent/chain"
	"docent/internal/llm"
	"docent/internal/llm/engine"
	"docent/internal/models"
)

type generateCmd struct {
	Model   string   `required:"" placeholder:"FILE" help:"A .gguf file, or the name of one in models/ of the data directory."`
	Prompt  string   `placeholder:"TEXT" help:"What the model is told; by default the standard input."`
	System  string   `placeholder:"TEXT" help:"What comes before it as the system's turn."`
	Raw     bool     `help:"Continue the text as it is, without the model's chat template."`
	N       int      `short:"n" default:"256" placeholder:"TOKENS" help:"The most tokens of the answer; 0 means until the context window is full."`
	Choices []string `xor:"form" placeholder:"A,B,C" help:"Answer with one of these, by how likely the model finds each as its reply; say in the prompt what there is to choose."`
	Scoring string   `enum:"likelihood,token,byte,pmi" default:"likelihood" help:"How choices are compared: ${enum}. 'token' and 'byte' even out their lengths, 'pmi' how much each is expected anyway."`
	Stop    []string `placeholder:"TEXT" sep:"none" help:"End before this text; may be given several times."`
	Lora    []string `placeholder:"FILE[=SCALE]" sep:"none" help:"A LoRA adapter for the model; of several the first is used."`
	Context int      `placeholder:"TOKENS" help:"The context window; 0 means 8192, or what the model was trained for where that is less."`
	Threads int      `placeholder:"N" help:"0 means one for each processor."`
	Memory  int64    `placeholder:"MIB" help:"Refuse a model that needs more; 0 means nine tenths of the machine's."`

	samplingFlags `kong:"set='temperature=0',set='topk=40',set='topp=0.95',set='minp=0.05'"`
	formFlags

	LogProbs int  `name:"logprobs" placeholder:"N" help:"With --json, tell how likely each token was, and the N likeliest at its place."`
	Stats    bool `help:"Say on the standard error how fast it went."`
}

// choose prints the likeliest choice, and with --json how likely each is.
func (c *generateCmd) choose(ctx context.Context, a *app, m llms.Model, prompt string) error {
	if c.Raw {
		return errors.New("--choices are replies to a message: leave --raw out")
	}
	var messages []llms.MessageContent
	if c.System != "" {
		messages = append(messages, llms.TextParts(llms.ChatMessageTypeSystem, c.System))
	}
	choices, usage, err := chain.Choose(ctx, m, append(messages, llms.TextParts(llms.ChatMessageTypeHuman, prompt)), c.Choices, chain.Scoring(c.Scoring))
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(map[string]any{"text": choices[0].Text, "choices": choices, "prompt_tokens": usage.PromptTokens, "completion_tokens": usage.CompletionTokens})
	}
	_, err = fmt.Fprintln(a.stdout, choices[0].Text)
	return err
}

// generationJSON is what --json prints.
type generationJSON struct {
	Model            string          `json:"model"`
	Text             string          `json:"text"`
	StopReason       string          `json:"stop_reason"` // "stop" or "length"
	PromptTokens     int             `json:"prompt_tokens"`
	CompletionTokens int             `json:"completion_tokens"`
	LoadSeconds      float64         `json:"load_seconds"`
	PromptSeconds    float64         `json:"prompt_seconds"`
	Seconds          float64         `json:"seconds"` // after the prompt
	LogProbs         []llm.TokenProb `json:"logprobs,omitempty"`
}

func (c *generateCmd) Run(ctx context.Context, a *app) error {
	form, err := c.grammar()
	if err != nil {
		return err
	}
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
		Provider: llm.Local, Model: c.Model, ContextTokens: c.Context, Threads: c.Threads, MemoryLimit: c.Memory << 20, Adapters: c.Lora, Logger: a.log,
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
	if len(c.Choices) > 0 {
		return c.choose(ctx, a, local, prompt)
	}
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
		return fmt.Errorf("%s: %w", c.Model, err)
	}
	opts := engine.Options{Sampling: c.sampling(), MaxTokens: c.N, Stop: c.Stop}
	opts.LogProbs = c.LogProbs
	if opts.Adapter, err = local.Adapter(""); err != nil {
		return err
	}
	if form != nil {
		if opts.Constraint, err = m.Constrain(form); err != nil {
			return err
		}
	}
	var text strings.Builder
	res, err := m.Generate(ctx, ids, opts, func(piece string) error {
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
		err = a.printJSON(generationJSON{
			Model: sel.Name, Text: text.String(), StopReason: res.Reason, PromptTokens: res.Prompt, CompletionTokens: res.Completion,
			LoadSeconds: load.Seconds(), PromptSeconds: res.PromptTime.Seconds(), Seconds: res.Time.Seconds(), LogProbs: local.TokenProbs(res.LogProbs),
		})
	} else {
		_, err = fmt.Fprintln(a.stdout)
	}
	if form != nil && res.Reason == "length" {
		a.notice("The answer was ended by -n before its form was complete.")
	}
	if c.Stats || a.Verbose {
		a.notice("%d tokens read at %.1f/s, %d of them known before; %d written at %.1f/s", res.Prompt, float64(res.Prompt-res.Reused)/res.PromptTime.Seconds(),
			res.Reused, res.Completion, float64(res.Completion)/res.Time.Seconds())
	}
	return err
}
