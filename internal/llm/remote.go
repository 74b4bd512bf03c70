package llm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"runtime/debug"
	"strings"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/openai"
)

// remote is a langchaingo client made safe. Against what was read in langchaingo v0.1.14:
//
//   - the OpenAI client writes tool-call deltas, as JSON, into the stream of the answer's text; remote
//     keeps them out, and joins calls that a server repeats its type in;
//   - both clients report a cancelled or broken stream as a complete, shorter reply, and the Ollama
//     client as an empty one; remote returns the error;
//   - both hide the server's URL and words when a request fails; remote returns them;
//   - replies without choices, and null ones, make them panic; remote returns ErrEmptyReply;
//   - the Ollama client refuses messages of several text parts and of tools; remote joins and words them.
type remote struct {
	inner    llms.Model
	provider string // OpenAI or Ollama
	url      string
	legacy   bool // the server wants max_tokens, not max_completion_tokens
}

var _ llms.Model = (*remote)(nil)

// Call implements llms.Model.
func (m *remote) Call(ctx context.Context, prompt string, options ...llms.CallOption) (string, error) {
	return llms.GenerateFromSinglePrompt(ctx, m, prompt, options...)
}

// GenerateContent implements llms.Model.
func (m *remote) GenerateContent(ctx context.Context, messages []llms.MessageContent, options ...llms.CallOption) (resp *llms.ContentResponse, err error) {
	var opts llms.CallOptions
	for _, o := range options {
		o(&opts)
	}
	local := localOptions(&opts)
	if _, ok := opts.Metadata[localKey]; ok {
		opts.Metadata = maps.Clone(opts.Metadata)
		delete(opts.Metadata, localKey)
	}
	x := &exchange{}
	if x.members, x.options, err = m.members(&opts, local); err != nil {
		return nil, err
	}
	if m.legacy {
		openai.WithLegacyMaxTokensField()(&opts)
	}
	if local.Deltas != nil {
		inDeltas(&opts, local.Deltas)
	}
	streaming := opts.StreamingFunc != nil || opts.StreamingReasoningFunc != nil
	m.guardStream(&opts, x, ctx)
	ctx = context.WithValue(ctx, exchangeKey{}, x)

	defer func() {
		if p := recover(); p != nil {
			resp, err = nil, fmt.Errorf("%w: %s: langchaingo's client panicked: %v\n%s", ErrEmptyReply, m.url, p, debug.Stack())
		}
	}()
	resp, err = m.inner.GenerateContent(ctx, m.plain(messages), llms.WithOptions(opts))
	if cerr := ctx.Err(); cerr != nil {
		return nil, cerr
	}
	if seen := x.failure(); seen != nil {
		return nil, seen
	}
	if err != nil {
		return nil, fmt.Errorf("model server %s: %w", m.url, err)
	}
	if streaming && !x.complete {
		return nil, fmt.Errorf("%w: %s", ErrBrokenOff, m.url)
	}
	choices := resp.Choices[:0]
	for _, c := range resp.Choices {
		if c != nil {
			joinToolCalls(c)
			if c.ReasoningContent == "" {
				c.ReasoningContent = x.thinking.String()
			}
			if c.GenerationInfo == nil {
				c.GenerationInfo = map[string]any{}
			}
			choices = append(choices, c)
		}
	}
	resp.Choices = choices
	if len(choices) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrEmptyReply, m.url)
	}
	if local.Deltas != nil {
		for i, c := range choices[0].ToolCalls {
			if err := local.Deltas(Delta{Call: &CallDelta{Index: i, ID: c.ID, Name: c.FunctionCall.Name, Arguments: c.FunctionCall.Arguments}}); err != nil {
				return nil, err
			}
		}
	}
	return resp, nil
}

// guardStream puts itself between the client and the caller's streaming functions.
func (m *remote) guardStream(opts *llms.CallOptions, x *exchange, ctx context.Context) {
	text, reasoning := opts.StreamingFunc, opts.StreamingReasoningFunc
	if text == nil && reasoning == nil {
		return
	}
	tools := len(opts.Tools)+len(opts.Functions) > 0
	opts.StreamingFunc, opts.StreamingReasoningFunc = nil, nil
	pass := func(ctx context.Context, thought, chunk []byte) error {
		if tools && isToolDelta(chunk) {
			chunk = nil
		}
		if reasoning != nil && len(thought)+len(chunk) > 0 {
			if err := reasoning(ctx, thought, chunk); err != nil {
				return err
			}
		}
		if text != nil && len(chunk) > 0 {
			return text(ctx, chunk)
		}
		return nil
	}
	if m.provider == Ollama {
		opts.StreamingFunc = func(ctx context.Context, chunk []byte) error { return pass(ctx, nil, chunk) }
		if reasoning != nil {
			x.reasoning = func(piece string) error { return reasoning(ctx, []byte(piece), nil) }
		}
		return
	}
	opts.StreamingReasoningFunc = pass
}

// isToolDelta reports whether a chunk is what langchaingo makes of a tool-call delta: the encoding of
// its own structs, which a model that writes JSON would have to hit byte for byte in one chunk.
func isToolDelta(chunk []byte) bool {
	type function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	}
	type call struct {
		ID       string   `json:"id,omitempty"`
		Type     string   `json:"type"`
		Function function `json:"function,omitempty"`
	}
	same := func(v any) bool {
		if json.Unmarshal(chunk, v) != nil {
			return false
		}
		b, err := json.Marshal(v)
		return err == nil && bytes.Equal(b, chunk)
	}
	switch {
	case bytes.HasPrefix(chunk, []byte(`[{`)):
		return same(&[]call{})
	case bytes.HasPrefix(chunk, []byte(`{"name":`)):
		return same(&function{})
	}
	return false
}

// joinToolCalls mends the calls of servers that repeat "type" in every delta, which langchaingo takes
// for calls of their own: those without name and id continue the one before.
func joinToolCalls(c *llms.ContentChoice) {
	calls := c.ToolCalls[:0]
	for _, t := range c.ToolCalls {
		if t.FunctionCall == nil {
			continue
		}
		if n := len(calls); n > 0 && t.FunctionCall.Name == "" && (t.ID == "" || t.ID == calls[n-1].ID) {
			calls[n-1].FunctionCall.Arguments += t.FunctionCall.Arguments
			continue
		}
		calls = append(calls, t)
	}
	c.ToolCalls = calls
	if len(calls) > 0 {
		c.FuncCall = calls[0].FunctionCall
	}
}

// plain rewrites messages as the client can take them.
func (m *remote) plain(messages []llms.MessageContent) []llms.MessageContent {
	out := make([]llms.MessageContent, 0, len(messages))
	for _, msg := range messages {
		if m.provider == Ollama {
			msg = wordTools(msg)
		}
		var texts []string
		var others []llms.ContentPart
		for _, p := range msg.Parts {
			if t, ok := p.(llms.TextContent); ok {
				texts = append(texts, t.Text)
			} else {
				others = append(others, p)
			}
		}
		if len(texts) > 1 {
			msg.Parts = append([]llms.ContentPart{llms.TextContent{Text: strings.Join(texts, "\n")}}, others...)
		}
		out = append(out, msg)
	}
	return out
}

// wordTools says in words what Ollama's client has no parts for.
func wordTools(msg llms.MessageContent) llms.MessageContent {
	parts := make([]llms.ContentPart, len(msg.Parts))
	for i, p := range msg.Parts {
		switch p := p.(type) {
		case llms.ToolCall:
			if p.FunctionCall != nil {
				parts[i] = llms.TextContent{Text: "Call of tool " + p.FunctionCall.Name + ": " + p.FunctionCall.Arguments}
			} else {
				parts[i] = llms.TextContent{}
			}
		case llms.ToolCallResponse:
			parts[i] = llms.TextContent{Text: "Tool " + p.Name + " returned: " + p.Content}
		default:
			parts[i] = p
		}
	}
	msg.Parts = parts
	if msg.Role == llms.ChatMessageTypeTool || msg.Role == llms.ChatMessageTypeFunction {
		msg.Role = llms.ChatMessageTypeHuman
	}
	return msg
}
