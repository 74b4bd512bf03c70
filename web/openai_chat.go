package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/tmc/langchaingo/llms"

	"docent/chain"
	"docent/internal/llm"
)

// chatCompletion answers with the language model itself, or from a collection's documents.
func (s *Server) chatCompletion(c *gin.Context) {
	var in chatRequest
	if !s.decodeUpTo(c, &in, maxCompletionBody) {
		return
	}
	if collection, ok := strings.CutPrefix(in.Model, documentsPrefix); ok {
		s.completeFromDocuments(c, &in, collection)
		return
	}
	model := s.cfg.Model(c.Request.Context())
	if in.Model == "" || !model.writes() || in.Model != model.Name {
		s.fail(c, s.noModel(c.Request.Context(), in.Model))
		return
	}
	if err := s.complete(c, &in, model); err != nil {
		s.fail(c, err)
	}
}

// complete answers with the language model. An error is one that no reply has been begun for.
func (s *Server) complete(c *gin.Context, in *chatRequest, model Model) error {
	if err := in.check(); err != nil {
		return err
	}
	if model.Provider == llm.Ollama && in.usesTools() {
		return badParam("tools", "cannot be passed on to Ollama by its own protocol; start docent with --model-provider openai and Ollama's address with /v1")
	}
	local, err := in.local()
	if err != nil {
		return err
	}
	messages, err := in.messages(model.Provider)
	if err != nil {
		return err
	}
	w := s.newCompletion(in)
	w.perChoice = model.Provider == llm.Local
	ctx, cancel := context.WithCancel(c.Request.Context())
	defer cancel()
	if !in.Stream {
		if model.Provider == llm.Local && in.LogProbs {
			local.Deltas = func(d llm.Delta) error {
				w.probs[d.Choice] = append(w.probs[d.Choice], d.LogProbs...)
				return nil
			}
		}
		resp, err := model.LLM.GenerateContent(ctx, messages, append(in.options(model.Provider), llm.WithLocal(local))...)
		if err != nil {
			return err
		}
		c.JSON(http.StatusOK, w.whole(resp))
		return nil
	}
	deltas := make(chan llm.Delta)
	local.Deltas = func(d llm.Delta) error {
		select {
		case deltas <- d:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var resp *llms.ContentResponse
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("language model panicked: %v\n%s", p, debug.Stack())
			}
		}()
		resp, err = model.LLM.GenerateContent(ctx, messages, append(in.options(model.Provider), llm.WithLocal(local))...)
	}()
	stream := &lateStream{c: c}
	defer stream.close()
	failed := s.forward(ctx, stream, deltas, done, w.piece)
	cancel()
	<-done
	switch {
	case failed != nil || c.Request.Context().Err() != nil: // the reader is gone
		return nil
	case err != nil && !stream.begun():
		return err
	case err != nil:
		s.failStream(c, stream, err)
		return nil
	}
	for _, piece := range w.last(resp) {
		if stream.send(piece) != nil {
			return nil
		}
	}
	_ = stream.end()
	return nil
}

// forward sends what comes until done is closed or the reader leaves, which is an error, and comments in between.
func (s *Server) forward(ctx context.Context, stream *lateStream, deltas <-chan llm.Delta, done <-chan struct{}, piece func(llm.Delta) []completion) error {
	beat := time.NewTicker(s.cfg.Heartbeat)
	defer beat.Stop()
	for {
		select {
		case d := <-deltas:
			for _, p := range piece(d) {
				if err := stream.send(p); err != nil {
					return err
				}
			}
		case <-beat.C:
			if err := stream.beat(); err != nil {
				return err
			}
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// failStream ends a stream that has begun with an error.
func (s *Server) failStream(c *gin.Context, stream *lateStream, err error) {
	s.logFailure(c, explain(err))
	_, body := asOpenAI(err)
	_ = stream.send(gin.H{"error": body})
}

// lateStream is an event stream in the protocol's way, which begins with what is sent first: until then the reply may
// still be an error with a status of its own.
type lateStream struct {
	c      *gin.Context
	events *eventStream
}

func (l *lateStream) begun() bool { return l.events != nil }

func (l *lateStream) begin() *eventStream {
	if l.events == nil {
		l.events = openStream(l.c)
	}
	return l.events
}

func (l *lateStream) send(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return l.begin().write("data: %s\n\n", raw)
}

func (l *lateStream) beat() error { return l.begin().beat() }

// end tells that the stream is whole.
func (l *lateStream) end() error { return l.begin().write("data: [DONE]\n\n") }

func (l *lateStream) close() {
	if l.events != nil {
		l.events.close()
	}
}

// completionWriter words a reply.
type completionWriter struct {
	in        *chatRequest
	head      completion
	perChoice bool // each choice counts its own tokens

	begun []bool // choices of which something was sent
	said  []bool // that had text
	calls []int  // how many calls were sent of them
	probs [][]llm.TokenProb
	text  strings.Builder // what was sent of an answer from documents
}

func (s *Server) newCompletion(in *chatRequest) *completionWriter {
	n := in.n()
	return &completionWriter{
		in: in, head: completion{ID: "chatcmpl-" + strings.ReplaceAll(uuid.NewString(), "-", ""), Created: time.Now().Unix(), Model: in.Model},
		begun: make([]bool, n), said: make([]bool, n), calls: make([]int, n), probs: make([][]llm.TokenProb, n),
	}
}

// whole is the reply in one.
func (w *completionWriter) whole(resp *llms.ContentResponse) completion {
	out := w.head
	out.Object, out.Usage = "chat.completion", w.usage(resp)
	for i, r := range resp.Choices {
		m := &message{Role: "assistant", Reasoning: r.ReasoningContent, ToolCalls: callsOf(r)}
		if r.Content != "" || len(m.ToolCalls) == 0 {
			m.Content = &r.Content
		}
		choice := choice{Index: i, Message: m, FinishReason: finishReason(r)}
		if w.in.LogProbs && i < len(w.probs) {
			choice.LogProbs = &logProbs{tokenProbs(w.probs[i])}
		}
		out.Choices = append(out.Choices, choice)
	}
	return out
}

// chunk is a piece of a stream.
func (w *completionWriter) chunk(choices ...choice) completion {
	out := w.head
	out.Object, out.Choices = "chat.completion.chunk", append([]choice{}, choices...)
	if w.in.StreamOptions != nil && w.in.StreamOptions.IncludeUsage {
		out.Usage = json.RawMessage("null")
	}
	return out
}

// begin is the first piece of a choice.
func (w *completionWriter) begin(i int) []completion {
	if w.begun[i] {
		return nil
	}
	w.begun[i] = true
	empty := ""
	return []completion{w.chunk(choice{Index: i, Delta: &message{Role: "assistant", Content: &empty}})}
}

// piece words a delta.
func (w *completionWriter) piece(d llm.Delta) []completion {
	if d.Choice >= len(w.begun) {
		return nil
	}
	out := w.begin(d.Choice)
	m := &message{Reasoning: d.Thought}
	one := choice{Index: d.Choice, Delta: m}
	if d.Text != "" {
		w.said[d.Choice] = true
		m.Content = &d.Text
		if w.in.LogProbs {
			one.LogProbs = &logProbs{tokenProbs(d.LogProbs)}
		}
	}
	if t := d.Call; t != nil {
		call := toolCall{Index: &t.Index, ID: t.ID, Function: functionCall{t.Name, t.Arguments}}
		if t.ID != "" {
			call.Type = "function"
		}
		m.ToolCalls = []toolCall{call}
		w.calls[d.Choice] = max(w.calls[d.Choice], t.Index+1)
	}
	return append(out, w.chunk(one))
}

// last are the pieces after all deltas: what a model that does not stream has said, why the choices ended, the usage.
func (w *completionWriter) last(resp *llms.ContentResponse) []completion {
	var out []completion
	for i, r := range resp.Choices[:min(len(resp.Choices), len(w.begun))] {
		out = append(out, w.begin(i)...)
		if !w.said[i] && r.Content != "" {
			out = append(out, w.piece(llm.Delta{Choice: i, Thought: r.ReasoningContent, Text: r.Content})...)
		}
		for j, t := range callsOf(r) {
			if j >= w.calls[i] {
				out = append(out, w.piece(llm.Delta{Choice: i, Call: &llm.CallDelta{Index: j, ID: t.ID, Name: t.Function.Name, Arguments: t.Function.Arguments}})...)
			}
		}
		out = append(out, w.chunk(choice{Index: i, Delta: &message{}, FinishReason: finishReason(r)}))
	}
	if w.in.StreamOptions != nil && w.in.StreamOptions.IncludeUsage {
		end := w.chunk()
		end.Usage = w.usage(resp)
		out = append(out, end)
	}
	return out
}

// usage counts the tokens of all choices, and of the prompt once.
func (w *completionWriter) usage(resp *llms.ContentResponse) usage {
	var of chain.Usage
	for i, r := range resp.Choices {
		if i == 0 || w.perChoice {
			prompt := of.PromptTokens
			if of.Add(r); i > 0 {
				of.PromptTokens = prompt
			}
		}
	}
	u := usageOf(of)
	if len(resp.Choices) > 0 {
		for _, key := range []string{"CachedTokens", "PromptCachedTokens"} {
			if n, ok := resp.Choices[0].GenerationInfo[key].(int); ok && n > 0 {
				u.PromptOf = map[string]int{"cached_tokens": n}
			}
		}
	}
	return u
}

func callsOf(r *llms.ContentChoice) []toolCall {
	var out []toolCall
	for _, t := range r.ToolCalls {
		if t.FunctionCall != nil {
			out = append(out, toolCall{ID: t.ID, Type: "function", Function: functionCall{t.FunctionCall.Name, t.FunctionCall.Arguments}})
		}
	}
	return out
}

// finishReason is why a choice ended, in the protocol's words.
func finishReason(r *llms.ContentChoice) *string {
	reason := r.StopReason
	switch {
	case reason == "stop" && len(r.ToolCalls) > 0:
		reason = "tool_calls"
	case reason == "" && len(r.ToolCalls) > 0:
		reason = "tool_calls"
	case reason == "":
		reason = "stop"
	}
	return &reason
}
