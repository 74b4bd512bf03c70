package llm

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/tmc/langchaingo/llms"
	"golang.org/x/sync/errgroup"

	"docent/internal/llm/engine"
	"docent/internal/llm/grammar"
)

// LocalModel is a GGUF file that is computed in this process. It is safe for concurrent use.
type LocalModel struct {
	engine   *engine.Model
	path     string
	log      *slog.Logger
	grammars *grammars
	gate     *gate

	adapters []namedAdapter
	adapter  string // of a call that names none; "" means the first
}

// grammars are those of the last calls, by what they were made of, so that their masks are kept.
type grammars struct {
	mu    sync.Mutex
	known map[string]*grammar.Grammar
}

var _ llms.ReasoningModel = (*LocalModel)(nil)

// OpenFile opens a GGUF file. Of cfg it takes ContextTokens, Parallel, Queue, CacheTokens, CacheType, MemoryLimit,
// Threads, Adapters and Logger.
func OpenFile(path string, cfg Config) (*LocalModel, error) {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	limit := cfg.MemoryLimit
	if limit == 0 {
		limit = systemMemory() / 10 * 9
	}
	m, err := engine.Open(path, engine.Config{
		Context: cmp.Or(cfg.ContextTokens, 8192), Parallel: cfg.Parallel, CacheTokens: cfg.CacheTokens, Cache: cfg.CacheType,
		Memory: max(0, limit), Threads: cfg.Threads, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	info := m.Info()
	log.Info("model opened", "file", path, "architecture", info.Architecture, "parameters", info.Parameters, "context", m.Context(), "memory", m.Memory().Total())
	l := &LocalModel{engine: m, path: path, log: log, grammars: &grammars{known: map[string]*grammar.Grammar{}}, gate: &gate{}}
	if cfg.Queue >= 0 {
		l.gate.limit = cmp.Or(max(0, cfg.Parallel), 8) + cmp.Or(cfg.Queue, 256)
	}
	if err := l.loadAdapters(cfg.Adapters); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close waits for the replies in progress and lets go of the file.
func (l *LocalModel) Close() error { return l.engine.Close() }

// Status is what a local model is doing and the memory that it needs.
type Status struct {
	Context  int           `json:"context"` // tokens of the longest prompt and answer together
	Adapters []string      `json:"adapters"`
	Memory   engine.Memory `json:"memory"` // bytes
	Requests engine.Stats  `json:"requests"`
}

// Status says what the model is doing.
func (l *LocalModel) Status() Status {
	return Status{l.engine.Context(), l.Adapters(), l.engine.Memory(), l.engine.Stats()}
}

// Engine is what computes the model.
func (l *LocalModel) Engine() *engine.Model { return l.engine }

// SupportsReasoning implements llms.ReasoningModel: the model's own template knows of thinking.
func (l *LocalModel) SupportsReasoning() bool {
	source, own := l.engine.Template()
	return own && strings.Contains(source, "<think>")
}

// Call implements llms.Model.
func (l *LocalModel) Call(ctx context.Context, prompt string, options ...llms.CallOption) (string, error) {
	return llms.GenerateFromSinglePrompt(ctx, l, prompt, options...)
}

// GenerateContent implements llms.Model. It honours temperature, top-k, top-p, seed, the three penalties,
// stop words, MaxTokens, MinLength and MaxLength (in tokens, of the answer), N or CandidateCount, streaming
// (of the first of several choices), JSON mode, the MIME type application/json, tools and the choice among
// them, thinking, and [LocalOptions]. A choice's GenerationInfo holds PromptTokens, CompletionTokens,
// TotalTokens and CachedTokens, the part of the prompt that was known from calls before, and LogProbs,
// a slice of [TokenProb], where they were asked for. StopReason is "stop", "length" or "tool_calls".
//
// A model that need not think does so where a thinking mode asks for it; thoughts go to ReasoningContent and
// to StreamingReasoningFunc, never into the answer. Calls of tools go to ToolCalls, never
// into the stream. Their arguments are held to the tools' schemas where ToolChoice asks for a call, and in
// the ways of calling that have a clear beginning.
func (l *LocalModel) GenerateContent(ctx context.Context, messages []llms.MessageContent, options ...llms.CallOption) (*llms.ContentResponse, error) {
	var opts llms.CallOptions
	for _, o := range options {
		o(&opts)
	}
	leave, err := l.gate.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	resp, err := l.generate(ctx, messages, &opts)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("model %s: %w", l.path, err)
	}
	return resp, nil
}

func (l *LocalModel) generate(ctx context.Context, messages []llms.MessageContent, opts *llms.CallOptions) (*llms.ContentResponse, error) {
	local := localOptions(opts)
	turns, err := turnsOf(messages)
	if err != nil {
		return nil, err
	}
	calls, err := l.toolsOf(opts)
	if err != nil {
		return nil, err
	}
	thinking := llms.GetThinkingConfig(opts)
	think := thinking != nil && thinking.Mode != llms.ThinkingModeNone
	form, err := l.formOf(opts, local, calls)
	if err != nil {
		return nil, err
	}
	// A thought has no form; only where calls may come among text there is room for one.
	strict := form != nil && (calls == nil || calls.never || calls.must || local.form())
	prompt, err := l.prompt(turns, calls, think && !strict, strict)
	if err != nil {
		return nil, err
	}
	adapter, err := l.Adapter(local.Adapter)
	if err != nil {
		return nil, err
	}
	sampling := local.sampling()
	sampling.Temperature, sampling.TopK, sampling.TopP = opts.Temperature, opts.TopK, opts.TopP
	sampling.Repeat, sampling.Presence, sampling.Frequency = opts.RepetitionPenalty, opts.PresencePenalty, opts.FrequencyPenalty
	n := max(1, opts.N, opts.CandidateCount)
	if n > maxChoices {
		return nil, fmt.Errorf("%w: %d choices, want at most %d", engine.ErrOption, n, maxChoices)
	}
	choices := make([]*llms.ContentChoice, n)
	group, ctx := errgroup.WithContext(ctx)
	begun := make(chan struct{}) // the first has computed the prompt, which the others then need not
	begin := sync.OnceFunc(func() { close(begun) })
	var turn sync.Mutex // of local.Deltas
	for i := range n {
		group.Go(func() error {
			if i > 0 {
				select {
				case <-begun:
				case <-ctx.Done():
					return ctx.Err()
				}
			} else {
				defer begin()
			}
			s := sampling
			s.Seed = uint64(opts.Seed + i)
			call := engine.Options{Sampling: s, Adapter: adapter, MaxTokens: cmp.Or(opts.MaxTokens, opts.MaxLength), MinTokens: opts.MinLength, Stop: opts.StopWords}
			if form != nil {
				var err error
				if call.Constraint, err = l.engine.Constrain(form); err != nil {
					return err
				}
			}
			out := sink{deltas: local.Deltas, turn: &turn, choice: i}
			if i == 0 {
				out.stream, out.begin = streamOf(opts), begin
			}
			choice, err := l.reply(ctx, prompt, call, calls, out)
			choices[i] = choice
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return &llms.ContentResponse{Choices: choices}, nil
}

const maxChoices = 64

// sink is where the pieces of a choice go.
type sink struct {
	stream func(ctx context.Context, thought, text []byte) error // nil: nowhere
	begin  func()                                                // called when the first piece comes; may be nil
	deltas func(Delta) error                                     // nil: nowhere
	turn   *sync.Mutex
	choice int
}

func (s *sink) send(ctx context.Context, d Delta) error {
	if s.begin != nil {
		s.begin()
	}
	if s.stream != nil {
		if err := s.stream(ctx, []byte(d.Thought), []byte(d.Text)); err != nil {
			return err
		}
	}
	if s.deltas == nil || d.Thought == "" && d.Text == "" && d.Call == nil {
		return nil
	}
	d.Choice = s.choice
	s.turn.Lock()
	defer s.turn.Unlock()
	return s.deltas(d)
}

// streamOf hands out pieces of thoughts and of the answer as the options say.
func streamOf(opts *llms.CallOptions) func(ctx context.Context, thought, text []byte) error {
	return func(ctx context.Context, thought, text []byte) error {
		if opts.StreamingReasoningFunc != nil && len(thought)+len(text) > 0 {
			if err := opts.StreamingReasoningFunc(ctx, thought, text); err != nil {
				return err
			}
		}
		if opts.StreamingFunc != nil && len(text) > 0 {
			return opts.StreamingFunc(ctx, text)
		}
		return nil
	}
}

// reply makes one choice.
func (l *LocalModel) reply(ctx context.Context, prompt prompt, opts engine.Options, calls *toolUse, out sink) (*llms.ContentChoice, error) {
	parser := newReplyParser(calls, prompt.thinking)
	parser.sure = opts.Constraint != nil && out.deltas != nil
	if prompt.begun != "" {
		parser.add(prompt.begun)
	}
	var thoughts, text strings.Builder
	var probs []TokenProb // of tokens whose text is still to come
	if out.deltas != nil && opts.LogProbs != 0 {
		opts.Observe = func(p engine.TokenProb) { probs = append(probs, l.TokenProbs([]engine.TokenProb{p})...) }
	}
	pass := func(before replyState, thought, piece string) error {
		thoughts.WriteString(thought)
		text.WriteString(piece)
		if before == replyThought || before == replyCall {
			probs = nil
		}
		d := Delta{Thought: thought, Text: piece}
		if piece != "" {
			d.LogProbs, probs = probs, nil
		}
		if err := out.send(ctx, d); err != nil || out.deltas == nil {
			return err
		}
		for _, c := range parser.progress() {
			if err := out.send(ctx, Delta{Call: &c}); err != nil {
				return err
			}
		}
		return nil
	}
	res, err := l.engine.Generate(ctx, prompt.ids, opts, func(piece string) error {
		before := parser.state
		thought, piece := parser.add(piece)
		return pass(before, thought, piece)
	})
	if err != nil {
		return nil, err
	}
	before := parser.state
	thought, rest, found := parser.finish()
	if err := pass(before, thought, rest); err != nil {
		return nil, err
	}
	l.log.Debug("model replied", "prompt", res.Prompt, "reused", res.Reused, "completion", res.Completion, "tool_calls", len(found),
		"prompt_time", res.PromptTime, "time", res.Time)
	choice := &llms.ContentChoice{
		Content: text.String(), ReasoningContent: strings.TrimSpace(thoughts.String()), StopReason: res.Reason,
		GenerationInfo: map[string]any{
			"PromptTokens": res.Prompt, "CompletionTokens": res.Completion, "TotalTokens": res.Prompt + res.Completion,
			"CachedTokens": res.Reused,
		},
	}
	if opts.LogProbs != 0 {
		choice.GenerationInfo["LogProbs"] = l.TokenProbs(res.LogProbs)
	}
	for _, c := range found {
		choice.ToolCalls = append(choice.ToolCalls, llms.ToolCall{ID: c.ID, Type: "function", FunctionCall: &llms.FunctionCall{Name: c.Name, Arguments: c.Arguments}})
	}
	if len(choice.ToolCalls) > 0 {
		choice.FuncCall = choice.ToolCalls[0].FunctionCall
		if res.Reason == "stop" {
			choice.StopReason = "tool_calls"
		}
	}
	return choice, nil
}

// prompt is what the engine continues.
type prompt struct {
	ids      []int32
	begun    string // the beginning of the answer, which the prompt has already
	thinking bool   // the answer begins within a thought
}

// prompt words the turns. Where the answer has a strict form, a thought that the template begins is ended.
func (l *LocalModel) prompt(turns []engine.Message, calls *toolUse, think, strict bool) (prompt, error) {
	opts := engine.ChatOptions{Think: think}
	if l.engine.TemplateTools() {
		if calls != nil && !calls.never {
			opts.Tools = calls.tools
		}
	} else {
		turns = wordTurns(turns, calls)
	}
	ids, err := l.engine.Chat(turns, opts)
	if errors.Is(err, engine.ErrTemplate) { // Llama 3's takes one call a turn
		if apart := oneCallEach(turns); len(apart) > len(turns) {
			ids, err = l.engine.Chat(apart, opts)
		}
	}
	if err != nil {
		return prompt{}, err
	}
	p := prompt{ids: ids}
	mark := ""
	if end := l.engine.Decode(ids[max(0, len(ids)-8):]); strings.HasSuffix(strings.TrimSpace(end), thoughtOpen) {
		p.thinking = !strict
		if strict {
			mark = "\n" + thoughtClose + "\n\n"
		}
	}
	if calls != nil && calls.must {
		p.begun = calls.style.open
	}
	if mark += p.begun; mark != "" {
		marker, err := l.engine.Marker(mark)
		if err != nil {
			return prompt{}, err
		}
		p.ids = append(p.ids, marker...)
	}
	return p, nil
}

// turnsOf words messages as turns; neighbours of one role become one turn, as templates want.
func turnsOf(messages []llms.MessageContent) ([]engine.Message, error) {
	var turns []engine.Message
	add := func(m engine.Message) {
		if n := len(turns); n > 0 && turns[n-1].Role == m.Role && m.Role != "tool" {
			last := &turns[n-1]
			if last.Content != "" && m.Content != "" {
				last.Content += "\n\n"
			}
			last.Content += m.Content
			last.ToolCalls = append(last.ToolCalls, m.ToolCalls...)
			return
		}
		turns = append(turns, m)
	}
	for _, msg := range messages {
		turn := engine.Message{Role: "user"}
		switch msg.Role {
		case llms.ChatMessageTypeSystem:
			turn.Role = "system"
		case llms.ChatMessageTypeAI:
			turn.Role = "assistant"
		}
		var texts []string
		var results []engine.Message
		for _, p := range msg.Parts {
			switch p := p.(type) {
			case llms.TextContent:
				texts = append(texts, p.Text)
			case llms.ToolCall:
				if p.FunctionCall == nil {
					continue
				}
				arguments := strings.TrimSpace(p.FunctionCall.Arguments)
				if !json.Valid([]byte(arguments)) || !strings.HasPrefix(arguments, "{") {
					b, _ := json.Marshal(map[string]string{"input": arguments}) // of a tool that takes text
					arguments = string(b)
				}
				turn.ToolCalls = append(turn.ToolCalls, engine.ToolCall{ID: callID(p.ID), Name: p.FunctionCall.Name, Arguments: arguments})
			case llms.ToolCallResponse:
				results = append(results, engine.Message{Role: "tool", CallID: callID(p.ToolCallID), Name: p.Name, Content: p.Content})
			default:
				return nil, fmt.Errorf("%w: local models read text only, not %T", errMessage, p)
			}
		}
		turn.Content = strings.Join(texts, "\n\n")
		if msg.Role == llms.ChatMessageTypeTool && len(results) == 0 {
			turn.Role = "tool"
		}
		if turn.Content != "" || len(turn.ToolCalls) > 0 || len(results) == 0 {
			add(turn)
		}
		for _, r := range results {
			add(r)
		}
	}
	return turns, nil
}

// TokenProbs spells what the engine says of tokens.
func (l *LocalModel) TokenProbs(of []engine.TokenProb) []TokenProb {
	var out []TokenProb
	for _, p := range of {
		out = append(out, TokenProb{Token: l.engine.Piece(p.ID), LogProb: p.LogProb, Top: l.TokenProbs(p.Top)})
	}
	return out
}

// formOf is the grammar that the answer is held to; nil for none.
func (l *LocalModel) formOf(opts *llms.CallOptions, local LocalOptions, calls *toolUse) (*grammar.Grammar, error) {
	type source struct {
		key   string
		parse func() (*grammar.Grammar, error)
	}
	var of []source
	if local.Schema != nil {
		of = append(of, source{"schema " + string(local.Schema), func() (*grammar.Grammar, error) { return grammar.Schema(local.Schema) }})
	}
	if local.Grammar != "" {
		of = append(of, source{"grammar " + local.Grammar, func() (*grammar.Grammar, error) { return grammar.GBNF(local.Grammar) }})
	}
	if local.Regex != "" {
		of = append(of, source{"regex " + local.Regex, func() (*grammar.Grammar, error) { return grammar.Regex(local.Regex) }})
	}
	if len(of) == 0 && (opts.JSONMode || opts.ResponseMIMEType == "application/json") && (calls == nil || calls.never) {
		of = append(of, source{"json " + fmt.Sprint(opts.JSONMode), func() (*grammar.Grammar, error) { return grammar.JSON(opts.JSONMode), nil }})
	}
	if len(of) > 1 || len(of) == 1 && calls != nil && calls.must {
		return nil, fmt.Errorf("%w: an answer has one form: a schema, a grammar, a regular expression or a call of a tool", engine.ErrOption)
	}
	if len(of) == 0 && calls != nil && !calls.never {
		key, parse := calls.form(l.log)
		if parse != nil {
			of = append(of, source{key, parse})
		}
	}
	if len(of) == 0 {
		return nil, nil
	}
	l.grammars.mu.Lock()
	defer l.grammars.mu.Unlock()
	if g, ok := l.grammars.known[of[0].key]; ok {
		return g, nil
	}
	g, err := of[0].parse()
	if err != nil {
		kind, _, _ := strings.Cut(of[0].key, " ")
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	if len(l.grammars.known) >= 16 {
		clear(l.grammars.known)
	}
	l.grammars.known[of[0].key] = g
	return g, nil
}

var (
	errToolChoice = errors.New("tool choice")
	errMessage    = errors.New("message")
)

// toolsOf are the tools of a call and how they may be used; nil for none.
func (l *LocalModel) toolsOf(opts *llms.CallOptions) (*toolUse, error) {
	u := &toolUse{style: l.style(), single: localOptions(opts).OneCall}
	functions := slices.Clone(opts.Functions)
	for _, t := range opts.Tools {
		if t.Function != nil {
			functions = append(functions, *t.Function)
		}
	}
	for _, f := range functions {
		if f.Name == "" {
			return nil, errors.New("a tool has no name")
		}
		parameters := json.RawMessage(`{"type": "object", "properties": {}}`)
		if f.Parameters != nil {
			b, err := json.Marshal(f.Parameters)
			if err != nil {
				return nil, fmt.Errorf("the parameters of tool %s: %w", f.Name, err)
			}
			parameters = b
		}
		u.tools = append(u.tools, engine.Tool{Name: f.Name, Description: f.Description, Parameters: parameters})
	}
	name := ""
	switch c := opts.ToolChoice.(type) {
	case nil:
		u.never = opts.FunctionCallBehavior == llms.FunctionCallBehaviorNone
	case string:
		switch c {
		case "auto", "":
		case "none":
			u.never = true
		case "required", "any":
			u.must = true
		default:
			name = c
		}
	case llms.ToolChoice:
		if c.Function != nil {
			name = c.Function.Name
		}
	case *llms.ToolChoice:
		if c != nil && c.Function != nil {
			name = c.Function.Name
		}
	default: // as it comes over HTTP
		b, err := json.Marshal(c)
		var choice llms.ToolChoice
		if err != nil || json.Unmarshal(b, &choice) != nil || choice.Function == nil {
			return nil, fmt.Errorf("%w: want auto, none, required or a function, not %v", errToolChoice, c)
		}
		name = choice.Function.Name
	}
	if len(u.tools) == 0 {
		if u.must || name != "" {
			return nil, fmt.Errorf("%w: a call is asked for, and there are no tools", errToolChoice)
		}
		return nil, nil
	}
	if name != "" {
		i := slices.IndexFunc(u.tools, func(t engine.Tool) bool { return t.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("%w: there is no tool %q", errToolChoice, name)
		}
		u.must, u.only = true, name
	}
	return u, nil
}
