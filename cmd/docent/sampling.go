package main

import (
	"fmt"
	"os"

	"github.com/tmc/langchaingo/llms"

	"docent/internal/llm"
	"docent/internal/llm/engine"
	"docent/internal/llm/grammar"
)

// samplingFlags say how tokens are chosen. Commands set the defaults that they differ in, in the tag of the field: set:"temperature=…",
// and topk, topp and minp. What a server is not asked for by default has the default 0, which changes nothing.
type samplingFlags struct {
	Temperature float64           `default:"${temperature}" placeholder:"T" group:"Sampling" help:"0 takes the likeliest token each time."`
	TopK        int               `default:"${topk}" placeholder:"K" group:"Sampling" help:"Choose among the likeliest K; 0 means all."`
	TopP        float64           `default:"${topp}" placeholder:"P" group:"Sampling" help:"Choose among the likeliest that together reach P."`
	MinP        float64           `default:"${minp}" placeholder:"P" group:"Sampling" help:"Leave out what is less than P times as likely as the likeliest."`
	Bias        map[int32]float32 `name:"logit-bias" placeholder:"TOKEN=X" group:"Sampling" help:"What is added to the logit of a token, by its number; may be given several times."`
	Typical     float64           `default:"0" placeholder:"P" group:"Sampling" help:"Choose among those of nearly the expected surprise that together reach P; 0 or 1 means all."`
	Mirostat    int               `default:"0" placeholder:"N" group:"Sampling" help:"Keep the surprise even, by version 1 or 2 of Mirostat; 0 means not to."`
	MirostatTau float64           `default:"0" placeholder:"BITS" group:"Sampling" help:"The surprise that Mirostat keeps; 0 means 5."`
	MirostatEta float64           `default:"0" placeholder:"X" group:"Sampling" help:"How fast Mirostat corrects it; 0 means 0.1."`
	Repeat      float64           `default:"0" placeholder:"R" group:"Sampling" help:"Penalty for tokens that came lately; 0 or 1 means none."`
	Presence    float64           `default:"0" placeholder:"X" group:"Sampling" help:"What tokens that came lately lose; 0 means nothing."`
	Frequency   float64           `default:"0" placeholder:"X" group:"Sampling" help:"What they lose for each time they came; 0 means nothing."`
	RepeatLast  int               `default:"0" placeholder:"N" group:"Sampling" help:"How many of the last tokens the penalties look at; 0 means 64."`
	Seed        uint64            `placeholder:"N" group:"Sampling" help:"With one seed the answer is always the same."`
}

// sampling are the flags as the engine takes them.
func (s samplingFlags) sampling() engine.Sampling {
	return engine.Sampling{
		Temperature: s.Temperature, TopK: s.TopK, TopP: s.TopP, MinP: s.MinP, Bias: s.Bias, Typical: s.Typical,
		Mirostat: s.Mirostat, MirostatTau: s.MirostatTau, MirostatEta: s.MirostatEta,
		Repeat: s.Repeat, Presence: s.Presence, Frequency: s.Frequency, RepeatLast: s.RepeatLast, Seed: s.Seed,
	}
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

// callOptions ask a model behind langchaingo's interface for the same, but for the seed, and for the form.
func callOptions(s samplingFlags, f formFlags) ([]llms.CallOption, error) {
	o := llm.LocalOptions{
		MinP: s.MinP, Bias: s.Bias, Typical: s.Typical, Mirostat: s.Mirostat, MirostatTau: s.MirostatTau, MirostatEta: s.MirostatEta,
		RepeatLast: s.RepeatLast, Regex: f.Regex,
	}
	source, err := f.source()
	if err != nil {
		return nil, err
	}
	if f.Schema != "" {
		o.Schema = source
	} else {
		o.Grammar = string(source)
	}
	return []llms.CallOption{
		llms.WithTemperature(s.Temperature), llms.WithTopP(s.TopP), llms.WithTopK(s.TopK), llms.WithRepetitionPenalty(s.Repeat),
		llms.WithPresencePenalty(s.Presence), llms.WithFrequencyPenalty(s.Frequency),
		func(opts *llms.CallOptions) {
			opts.JSONMode = f.AsJSON
			llm.WithLocal(o)(opts)
		},
	}, nil
}
