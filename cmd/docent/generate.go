package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tmc/langchaingo/llms"

	"docent/chain"
	"docent/internal/llm"
	"docent/internal/llm/engine"
	"docent/internal/llm/grammar"
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

	samplingFlags
	formFlags

	LogProbs int  `name:"logprobs" placeholder:"N" help:"With --json, tell how likely each token was, and the N likeliest at its place."`
	Stats    bool `help:"Say on the standard error how fast it went."`
}

// samplingFlags say how tokens are chosen.
type samplingFlags struct {
	Temperature float64           `default:"0" placeholder:"T" group:"Sampling" help:"0 takes the likeliest token each time."`
	TopK        int               `default:"40" placeholder:"K" group:"Sampling" help:"Choose among the likeliest K; 0 means all."`
	TopP        float64           `default:"0.95" placeholder:"P" group:"Sampling" help:"Choose among the likeliest that together reach P."`
	MinP        float64           `default:"0.05" placeholder:"P" group:"Sampling" help:"Leave out what is less than P times as likely as the likeliest."`
	Bias        map[int32]float32 `name:"logit-bias" placeholder:"TOKEN=X" group:"Sampling" help:"What is added to the logit of a token, by its number; may be given several times."`
	Typical     float64           `default:"1" placeholder:"P" group:"Sampling" help:"Choose among those of nearly the expected surprise that together reach P; 1 means all."`
	Mirostat    int               `default:"0" placeholder:"N" group:"Sampling" help:"Keep the surprise even, by version 1 or 2 of Mirostat; 0 means not to."`
	MirostatTau float64           `default:"5" placeholder:"BITS" group:"Sampling" help:"The surprise that Mirostat keeps."`
	MirostatEta float64           `default:"0.1" placeholder:"X" group:"Sampling" help:"How fast Mirostat corrects it."`
	Repeat      float64           `default:"1" placeholder:"R" group:"Sampling" help:"Penalty for tokens that came lately; 1 means none."`
	Presence    float64           `default:"0" placeholder:"X" group:"Sampling" help:"What tokens that came lately lose; 0 means nothing."`
	Frequency   float64           `default:"0" placeholder:"X" group:"Sampling" help:"What they lose for each time they came; 0 means nothing."`
	RepeatLast  int               `default:"64" placeholder:"N" group:"Sampling" help:"How many of the last tokens the penalties look at."`
	Seed        uint64            `placeholder:"N" group:"Sampling" help:"With one seed the answer is always the same."`
}

func (s samplingFlags) sampling() engine.Sampling {
	return engine.Sampling{Bias: s.Bias, RepeatLast: s.RepeatLast, MirostatTau: s.MirostatTau, MirostatEta: s.MirostatEta, Temperature: s.Temperature, TopK: s.TopK, TopP: s.TopP, MinP: s.MinP, Typical: s.Typical, Mirostat: s.Mirostat,
		Repeat: s.Repeat, Presence: s.Presence, Frequency: s.Frequency, Seed: s.Seed}
}

// formFlags hold the answer to a form.
type formFlags struct {
	AsJSON  bool   `name:"as-json" xor:"form" group:"Form of the answer" help:"Hold the answer to a JSON object."`
	Schema  string `placeholder:"FILE" type:"existingfile" xor:"form" group:"Form of the answer" help:"Hold the answer to JSON that this schema accepts."`
	Grammar string `placeholder:"FILE" type:"existingfile" xor:"form" group:"Form of the answer" help:"Hold the answer to this grammar, in llama.cpp's notation (GBNF)."`
	Regex   string `placeholder:"EXPR" xor:"form" group:"Form of the answer" help:"Hold the answer to this regular expression, in Go's syntax."`
}

// source is what the file of --schema or --grammar holds; nil for neither.
func (f formFlags) source() ([]byte, error) {
	if path := f.Schema + f.Grammar; path != "" {
		return os.ReadFile(path)
	}
	return nil, nil
}

// grammar is the form that the flags ask for; nil for none.
func (f formFlags) grammar() (g *grammar.Grammar, err error) {
	source, err := f.source()
	if err != nil {
		return nil, err
	}
	switch {
	case f.AsJSON:
		return grammar.JSON(true), nil
	case f.Schema != "":
		g, err = grammar.Schema(source)
	case f.Grammar != "":
		g, err = grammar.GBNF(string(source))
	case f.Regex != "":
		if g, err = grammar.Regex(f.Regex); err != nil {
			return nil, fmt.Errorf("--regex: %w", err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Schema+f.Grammar, err)
	}
	return g, nil
}

// callOption asks a model behind langchaingo's interface for the form, and for min-p.
func (f formFlags) callOption(minP float64) (llms.CallOption, error) {
	o := llm.LocalOptions{Regex: f.Regex, MinP: minP}
	source, err := f.source()
	if err != nil {
		return nil, err
	}
	if f.Schema != "" {
		o.Schema = source
	} else {
		o.Grammar = string(source)
	}
	return func(opts *llms.CallOptions) {
		opts.JSONMode = f.AsJSON
		llm.WithLocal(o)(opts)
	}, nil
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
		return err
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
