package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"strings"
	"time"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/tools"

	"docent/chain"
)

// ErrNoModel is what New returns when there is no language model: quoting sentences needs none, but
// deciding on steps does.
var ErrNoModel = errors.New("the agent needs a language model: start Ollama, or point docent at any OpenAI-compatible server")

// Config builds an Agent.
type Config struct {
	Model     llms.Model   // required; must be a language model, not docent's extractive answerer
	ModelName string       // as reported in Answer.Model; "" means "unknown"
	Tools     []tools.Tool // names must be distinct; none means that the model answers from what it knows

	MaxSteps    int           // calls of the model in one run, the answering one included; 0 means 8, at least 2
	Timeout     time.Duration // of one run; 0 means 10 minutes
	ToolTimeout time.Duration // of one call of a tool; 0 means 30 s

	ContextTokens int     // the model's context window; the oldest observations are shortened to fit; 0 means 8192
	AnswerTokens  int     // of one reply of the model; 0 means 1024
	Temperature   float64 // 0 means 0: the likeliest words

	// Instructions is added to the built-in system prompt, such as the house's tone; "" adds nothing.
	Instructions string

	Logger *slog.Logger // nil discards
}

// An Agent reaches goals with its tools. It is safe for concurrent use when its model and tools are;
// each run numbers the passages it finds on its own.
type Agent struct {
	cfg Config
	log *slog.Logger
}

// New checks cfg and returns the agent. It returns ErrNoModel when cfg.Model is nil.
func New(cfg Config) (*Agent, error) {
	if cfg.Model == nil {
		return nil, ErrNoModel
	}
	if cfg.ModelName == "" {
		cfg.ModelName = "unknown"
	}
	if cfg.MaxSteps == 0 {
		cfg.MaxSteps = 8
	}
	cfg.MaxSteps = max(cfg.MaxSteps, 2)
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Minute
	}
	if cfg.ToolTimeout <= 0 {
		cfg.ToolTimeout = 30 * time.Second
	}
	if cfg.ContextTokens <= 0 {
		cfg.ContextTokens = 8192
	}
	if cfg.AnswerTokens <= 0 {
		cfg.AnswerTokens = 1024
	}
	cfg.AnswerTokens = min(cfg.AnswerTokens, cfg.ContextTokens/2)
	cfg.Tools = append([]tools.Tool(nil), cfg.Tools...)
	seen := map[string]bool{}
	for _, t := range cfg.Tools {
		if t == nil {
			return nil, errors.New("agent: a tool is nil")
		}
		key := foldName(t.Name())
		if key == "" {
			return nil, fmt.Errorf("agent: a %T has no name", t)
		}
		if seen[key] {
			return nil, fmt.Errorf("agent: two tools are named %q", t.Name())
		}
		seen[key] = true
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return &Agent{cfg: cfg, log: log}, nil
}

// Stream works towards goal and yields what happens: Status "thinking" before each call of the model,
// Reasoning, ToolCall and ToolResult in pairs, Sources whenever passages were found (all of the run so
// far), Token for the answer's text, and Done last. Text streamed as Token before a ToolCall turned out
// to be thinking; Done's answer is what counts.
//
// history holds the earlier turns of the conversation, oldest first. An error ends the stream: ctx's
// when it is cancelled, the model's when it fails before anything was found. Breaking out of the loop,
// or cancelling ctx, cancels the model and the tool at work; Stream does not wait for one that takes
// no notice.
func (a *Agent) Stream(ctx context.Context, goal string, history ...chain.Turn) iter.Seq2[chain.Event, error] {
	return func(yield func(chain.Event, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		r := a.newRun(goal, history)
		events := make(chan chain.Event)
		failed := make(chan error, 1)
		r.events = events
		go func() {
			defer close(events)
			// A panic in here is ours or the model's; either way it must not take the process down.
			defer func() {
				if p := recover(); p != nil {
					a.log.Error("agent run panicked", "panic", p)
					failed <- fmt.Errorf("agent: internal error: %v", p)
				}
			}()
			if err := r.work(ctx); err != nil {
				failed <- err
			}
		}()
		for event := range events {
			if !yield(event, nil) {
				cancel()
				for range events { // the run sees the cancel and closes
				}
				return
			}
		}
		select {
		case err := <-failed:
			yield(nil, err)
		default:
		}
	}
}

// Run is Stream without the events.
func (a *Agent) Run(ctx context.Context, goal string, history ...chain.Turn) (*chain.Answer, error) {
	for event, err := range a.Stream(ctx, goal, history...) {
		if err != nil {
			return nil, err
		}
		if done, ok := event.(chain.Done); ok {
			return &done.Answer, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, errors.New("agent: the run ended without an answer")
}

// toolList describes the tools for the prompt, one a line.
func toolList(ts []tools.Tool) string {
	var b strings.Builder
	for _, t := range ts {
		fmt.Fprintf(&b, "- %s: %s\n", t.Name(), strings.Join(strings.Fields(t.Description()), " "))
	}
	return b.String()
}

func toolNames(ts []tools.Tool) []string {
	names := make([]string, len(ts))
	for i, t := range ts {
		names[i] = t.Name()
	}
	return names
}
