package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/tools"

	"docent/chain"
	"docent/internal/prose"
)

// maxObservation bounds what a model is shown of a tool's output, in bytes.
const maxObservation = 12 << 10

// sameCallLimit is how often one call may be asked for before the run is made to answer.
const sameCallLimit = 3

// A run is one goal being worked on.
type run struct {
	a        *Agent
	goal     string
	history  []chain.Turn
	chinese  bool
	tools    []tools.Tool // bound to this run
	names    []string
	passages *Passages
	events   chan<- chain.Event

	messages []llms.MessageContent
	prefix   int  // messages up to the goal, this included
	native   bool // the model server takes tool definitions
	asked    map[string]int
	answers  map[string]string // the result of each call made
	found    []string          // what each call came to, for the forced answer
	calls    int
	shown    int // passages announced
	thoughts string
	usage    chain.Usage
}

func (a *Agent) newRun(goal string, history []chain.Turn) *run {
	r := &run{a: a, goal: strings.TrimSpace(goal), history: history, chinese: prose.IsChinese(goal), passages: &Passages{},
		native: len(a.cfg.Tools) > 0, asked: map[string]int{}, answers: map[string]string{}}
	for _, t := range a.cfg.Tools {
		if b, ok := t.(Binder); ok {
			t = b.Bind(r.passages)
		}
		r.tools = append(r.tools, t)
	}
	r.names = toolNames(r.tools)
	return r
}

// emit hands an event to the reader, or returns ctx's error when there is none any more.
func (r *run) emit(ctx context.Context, e chain.Event) error {
	select {
	case r.events <- e:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// work runs the loop. ctx is the reader's; the time budget is kept apart, since an answer is still due
// when that has run out.
func (r *run) work(ctx context.Context) error {
	if r.goal == "" {
		return errors.New("agent: the goal is empty")
	}
	cfg := &r.a.cfg
	// The last fifth of the time is for the answer.
	stepCtx, cancelSteps := context.WithTimeout(ctx, cfg.Timeout*4/5)
	defer cancelSteps()
	finalCtx, cancelFinal := context.WithTimeout(ctx, cfg.Timeout)
	defer cancelFinal()

	r.messages = append(r.messages, llms.TextParts(llms.ChatMessageTypeSystem, systemPrompt(r.chinese, toolList(r.tools), cfg.Instructions)))
	for _, t := range r.history {
		r.messages = append(r.messages, llms.TextParts(llms.ChatMessageTypeHuman, t.Question), llms.TextParts(llms.ChatMessageTypeAI, t.Answer))
	}
	r.messages = append(r.messages, llms.TextParts(llms.ChatMessageTypeHuman, r.goal))
	r.prefix = len(r.messages)

	lost, citeAsked := 0, false
	var uncited string
	for step := 1; step < cfg.MaxSteps; step++ {
		if err := r.emit(ctx, chain.Status{Stage: "thinking"}); err != nil {
			return err
		}
		reply, raw, g, err := r.ask(ctx, stepCtx, r.messages, true)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if stepCtx.Err() != nil { // out of time
				break
			}
			if uncited != "" {
				return r.deliver(ctx, uncited, "")
			}
			return r.modelFailed(ctx, err)
		}
		if err := r.think(ctx, reply.Thought); err != nil {
			return err
		}
		if len(reply.Calls) == 0 && reply.Answer != "" {
			_, citations := chain.Check(reply.Answer, r.goal, r.passages.All())
			if len(citations) == 0 && len(r.passages.All()) > 0 && !citeAsked && step < cfg.MaxSteps-1 {
				citeAsked, uncited = true, reply.Answer
				g.close()
				r.messages = append(r.messages, llms.TextParts(llms.ChatMessageTypeAI, reply.Answer),
					llms.TextParts(llms.ChatMessageTypeHuman, pick(r.chinese, nudgeCiteChinese, nudgeCiteEnglish)))
				continue
			}
			g.finish(reply.Answer)
			return r.deliver(ctx, reply.Answer, "")
		}
		g.close()
		if len(reply.Calls) == 0 {
			if lost++; lost >= 2 {
				break
			}
			if text := strings.TrimSpace(raw); text != "" {
				r.messages = append(r.messages, llms.TextParts(llms.ChatMessageTypeAI, cut(text, maxObservation)))
			}
			r.messages = append(r.messages, llms.TextParts(llms.ChatMessageTypeHuman, pick(r.chinese, nudgeFormatChinese, nudgeFormatEnglish)))
			continue
		}
		stuck, err := r.act(ctx, stepCtx, reply)
		if err != nil {
			return err
		}
		if stuck || stepCtx.Err() != nil {
			break
		}
	}
	if uncited != "" {
		return r.deliver(ctx, uncited, "")
	}
	return r.conclude(ctx, finalCtx)
}

// think shows a thought.
func (r *run) think(ctx context.Context, thought string) error {
	if thought == "" {
		return nil
	}
	r.thoughts = joinThought(r.thoughts, thought)
	return r.emit(ctx, chain.Reasoning{Text: thought + "\n"})
}

// act makes the calls of a reply and adds them, and what they returned, to the messages. stuck says
// that the model goes round in circles.
func (r *run) act(ctx, stepCtx context.Context, reply Reply) (stuck bool, err error) {
	native := reply.Calls[0].ID != ""
	var parts []llms.ContentPart
	if native && reply.Thought != "" {
		parts = append(parts, llms.TextPart(reply.Thought))
	}
	var results []llms.MessageContent
	var script strings.Builder // the calls in the text protocol, with what the model made up left out
	var observations []string
	for _, c := range reply.Calls {
		r.calls++
		id := c.ID
		if id == "" {
			id = fmt.Sprintf("call_%d", r.calls)
		}
		if err := r.emit(ctx, chain.ToolCall{ID: id, Name: c.Tool, Input: c.Input}); err != nil {
			return false, err
		}
		key := foldName(c.Tool) + "\x00" + strings.Join(strings.Fields(c.Input), " ")
		r.asked[key]++
		var output, failure string
		if earlier, made := r.answers[key]; made {
			output = pick(r.chinese, nudgeRepeatChinese, nudgeRepeatEnglish) + "\n" + shorten(earlier, 400)
			stuck = stuck || r.asked[key] >= sameCallLimit
		} else {
			output, failure = r.call(stepCtx, c)
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			if failure != "" {
				output = failure
			}
			r.answers[key] = output
			r.found = append(r.found, fmt.Sprintf("%s (%s):\n%s", c.Tool, shorten(c.Input, 200), output))
		}
		event := chain.ToolResult{ID: id, Name: c.Tool, Output: output, Error: failure}
		if failure != "" {
			event.Output = ""
		}
		if err := r.emit(ctx, event); err != nil {
			return false, err
		}
		if native {
			args, _ := json.Marshal(map[string]string{parameterName(r.tool(c.Tool)): c.Input})
			parts = append(parts, llms.ToolCall{ID: id, Type: "function", FunctionCall: &llms.FunctionCall{Name: c.Tool, Arguments: string(args)}})
			results = append(results, llms.MessageContent{Role: llms.ChatMessageTypeTool,
				Parts: []llms.ContentPart{llms.ToolCallResponse{ToolCallID: id, Name: c.Tool, Content: output}}})
		} else {
			if r.chinese {
				fmt.Fprintf(&script, "行动：%s\n行动输入：%s\n", c.Tool, c.Input)
			} else {
				fmt.Fprintf(&script, "Action: %s\nAction Input: %s\n", c.Tool, c.Input)
			}
			observations = append(observations, pick(r.chinese, "观察：", "Observation: ")+output)
		}
	}
	if all := r.passages.All(); len(all) > r.shown {
		r.shown = len(all)
		if err := r.emit(ctx, chain.Sources{Passages: all}); err != nil {
			return false, err
		}
	}
	if native {
		r.messages = append(r.messages, llms.MessageContent{Role: llms.ChatMessageTypeAI, Parts: parts})
		r.messages = append(r.messages, results...)
		return stuck, nil
	}
	thought := ""
	if reply.Thought != "" {
		thought = pick(r.chinese, "思考：", "Thought: ") + reply.Thought + "\n"
	}
	r.messages = append(r.messages, llms.TextParts(llms.ChatMessageTypeAI, thought+strings.TrimSpace(script.String())),
		llms.TextParts(llms.ChatMessageTypeHuman, strings.Join(observations, "\n\n")))
	return stuck, nil
}

func (r *run) tool(name string) tools.Tool {
	for _, t := range r.tools {
		if t.Name() == name {
			return t
		}
	}
	return nil
}

// call runs one tool. A failure is text for the model: what went wrong and what it can do.
func (r *run) call(ctx context.Context, c Call) (output, failure string) {
	t := r.tool(c.Tool)
	if t == nil {
		return "", fmt.Sprintf("There is no tool named %q. The tools are: %s.", shorten(c.Tool, 60), strings.Join(r.names, ", "))
	}
	type result struct {
		output string
		err    error
	}
	ctx, cancel := context.WithTimeout(ctx, r.a.cfg.ToolTimeout)
	defer cancel()
	done := make(chan result, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				r.a.log.Error("tool panicked", "tool", c.Tool, "panic", p)
				done <- result{err: errors.New("it broke on this input")}
			}
		}()
		out, err := t.Call(ctx, c.Input)
		done <- result{out, err}
	}()
	select {
	case res := <-done:
		if res.err != nil {
			if errors.Is(res.err, context.DeadlineExceeded) && ctx.Err() != nil {
				return "", fmt.Sprintf("%s took longer than %s and was stopped. Try a simpler input, or go on without it.", c.Tool, r.a.cfg.ToolTimeout)
			}
			return "", fmt.Sprintf("%s failed: %s", c.Tool, shorten(res.err.Error(), 400))
		}
		out, tooLong := res.output, len(res.output) > maxObservation
		out = strings.ToValidUTF8(strings.TrimSpace(cut(out, maxObservation)), "\uFFFD")
		switch {
		case tooLong:
			out += "\n… (cut)"
		case out == "":
			out = "(no output)"
		}
		return out, ""
	case <-ctx.Done():
		return "", fmt.Sprintf("%s took longer than %s and was stopped. Try a simpler input, or go on without it.", c.Tool, r.a.cfg.ToolTimeout)
	}
}

// ask calls the model once, streaming what is surely answer, and reads its reply. The gate is returned
// for the rest of the answer. ctx is the reader's, callCtx bounds the call.
func (r *run) ask(ctx, callCtx context.Context, messages []llms.MessageContent, withTools bool) (Reply, string, *gate, error) {
	for {
		g := &gate{show: func(text string) { _ = r.emit(ctx, chain.Token{Text: text}) }}
		streamed := false
		opts := []llms.CallOption{
			llms.WithTemperature(r.a.cfg.Temperature), llms.WithMaxTokens(r.a.cfg.AnswerTokens),
			llms.WithStreamingFunc(func(_ context.Context, chunk []byte) error {
				if err := callCtx.Err(); err != nil {
					return err
				}
				if len(chunk) > 0 && !isToolDelta(chunk) {
					streamed = true
					g.write(string(chunk))
				}
				return nil
			}),
		}
		tooled := withTools && r.native
		if tooled {
			opts = append(opts, llms.WithTools(definitions(r.tools)))
		}
		resp, err := r.generate(callCtx, r.fit(messages), opts)
		if err != nil {
			g.close()
			if callCtx.Err() != nil {
				return Reply{}, "", g, callCtx.Err()
			}
			// Servers without tool calling refuse the definitions. Only text is asked for from then on.
			if tooled && !streamed && len(r.found) == 0 && refusesTools(err) {
				r.a.log.Debug("model server refuses tool definitions; using the text protocol", "error", err)
				r.native = false
				continue
			}
			return Reply{}, "", g, err
		}
		if len(resp.Choices) == 0 || resp.Choices[0] == nil {
			return Reply{}, "", g, nil
		}
		choice := resp.Choices[0]
		r.usage.Add(choice)
		reply := r.read(choice)
		if choice.ReasoningContent != "" {
			reply.Thought = joinThought(choice.ReasoningContent, reply.Thought)
		}
		return reply, choice.Content, g, nil
	}
}

// generate calls the model in a goroutine of its own, so that one that ignores its context does not
// hold up the run, and turns a panic into an error.
func (r *run) generate(ctx context.Context, messages []llms.MessageContent, opts []llms.CallOption) (*llms.ContentResponse, error) {
	type result struct {
		resp *llms.ContentResponse
		err  error
	}
	done := make(chan result, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- result{err: fmt.Errorf("model panicked: %v", p)}
			}
		}()
		resp, err := r.a.cfg.Model.GenerateContent(ctx, messages, opts...)
		if err == nil && resp == nil {
			err = errors.New("model returned nothing")
		}
		done <- result{resp, err}
	}()
	select {
	case res := <-done:
		return res.resp, res.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// read takes the model's own tool calls if it made any, else parses its text.
func (r *run) read(choice *llms.ContentChoice) Reply {
	var made []llms.ToolCall
	for _, tc := range choice.ToolCalls {
		if tc.FunctionCall == nil {
			continue
		}
		// Fragments of arguments that a streaming client took for calls of their own belong to the call
		// before them.
		if tc.FunctionCall.Name == "" {
			if n := len(made); n > 0 {
				f := *made[n-1].FunctionCall
				f.Arguments += tc.FunctionCall.Arguments
				made[n-1].FunctionCall = &f
			}
			continue
		}
		made = append(made, tc)
	}
	if len(made) == 0 && choice.FuncCall != nil && choice.FuncCall.Name != "" {
		made = append(made, llms.ToolCall{FunctionCall: choice.FuncCall})
	}
	if len(made) == 0 {
		return ParseReply(choice.Content, r.names)
	}
	p := parser{tools: r.names}
	var reply Reply
	ids := map[string]bool{}
	for _, tc := range made[:min(len(made), maxCalls)] {
		tool, _ := p.known(tc.FunctionCall.Name)
		id := tc.ID
		if id == "" || ids[id] { // a reply must carry the id of its call, once
			id = fmt.Sprintf("call_%d", r.calls+len(reply.Calls)+1)
		}
		ids[id] = true
		if isFinalName(tool) && r.tool(tool) == nil {
			return Reply{Answer: p.cleanAnswer(unwrapInput(tc.FunctionCall.Arguments))}
		}
		reply.Calls = append(reply.Calls, Call{ID: id, Tool: tool, Input: unwrapInput(tc.FunctionCall.Arguments)})
	}
	text, thought := p.splitThinking(choice.Content)
	reply.Thought = joinThought(thought, stripLabels(controlRE.ReplaceAllString(toolTagRE.ReplaceAllString(text, ""), "")))
	return reply
}

// conclude makes the model answer from what was found, without tools and in a fresh prompt, which any
// server takes; failing that it answers itself.
func (r *run) conclude(ctx, finalCtx context.Context) error {
	if err := r.emit(ctx, chain.Status{Stage: "generating"}); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(r.goal)
	b.WriteString(pick(r.chinese, "\n\n已找到的信息：\n\n", "\n\nFound so far:\n\n"))
	if len(r.found) == 0 {
		b.WriteString(pick(r.chinese, "（无）", "(nothing)"))
	}
	// The newest findings matter most when they do not all fit.
	budget := r.a.cfg.ContextTokens - r.a.cfg.AnswerTokens - estimateTokens(r.goal) - 400
	first := len(r.found)
	for first > 0 && budget > 0 {
		if budget -= estimateTokens(r.found[first-1]); budget < 0 && first < len(r.found) {
			break
		}
		first--
	}
	b.WriteString(strings.Join(r.found[first:], "\n\n"))
	messages := []llms.MessageContent{
		llms.TextParts(llms.ChatMessageTypeSystem, pick(r.chinese, finalChinese, finalEnglish)),
		llms.TextParts(llms.ChatMessageTypeHuman, b.String()),
	}
	reply, _, g, err := r.ask(ctx, finalCtx, messages, false)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return r.modelFailed(ctx, err)
	}
	if err := r.think(ctx, reply.Thought); err != nil {
		return err
	}
	if len(reply.Calls) == 0 && reply.Answer != "" {
		g.finish(reply.Answer)
		return r.deliver(ctx, reply.Answer, "")
	}
	g.close()
	return r.deliver(ctx, r.fallback(), pick(r.chinese,
		"模型未能在步数预算内给出可用的回答；以下是已找到的内容。",
		"The model gave no usable answer within its budget of steps; this is what had been found."))
}

// modelFailed ends a run whose model broke off: with what was found if there is anything, else with
// the model's error.
func (r *run) modelFailed(ctx context.Context, err error) error {
	if len(r.found) == 0 {
		return fmt.Errorf("agent: %w", err)
	}
	r.a.log.Warn("model failed during an agent run; answering from what was found", "error", err)
	return r.deliver(ctx, r.fallback(), pick(r.chinese,
		"模型在运行中出错；以下是已找到的内容。",
		"The model failed on the way; this is what had been found."))
}

// fallback is an answer without a model: the best passages found, else the last result.
func (r *run) fallback() string {
	var b strings.Builder
	if all := r.passages.All(); len(all) > 0 {
		b.WriteString(pick(r.chinese, "未能完成推理。文档中最相关的内容：\n", "I could not finish working this out. What the documents say about it:\n"))
		for _, p := range all[:min(3, len(all))] {
			fmt.Fprintf(&b, "\n- %s [%d]", shorten(p.Text, 240), p.N)
		}
		return b.String()
	}
	if n := len(r.found); n > 0 {
		return pick(r.chinese, "未能完成推理。最后得到的结果是 ", "I could not finish working this out. The last result was ") + shorten(r.found[n-1], 300)
	}
	return pick(r.chinese, "未能得出答案。", "I could not reach an answer.")
}

// deliver checks the answer's citations and ends the run with it.
func (r *run) deliver(ctx context.Context, text, notice string) error {
	passages := r.passages.All()
	checked, citations := chain.Check(text, r.goal, passages)
	return r.emit(ctx, chain.Done{Answer: chain.Answer{
		Text: checked, Citations: citations, Passages: passages, Reasoning: r.thoughts, Notice: notice,
		Declined: len(citations) == 0 && notice != "" && len(r.found) == 0,
		Model:    r.a.cfg.ModelName, Usage: r.usage,
	}})
}

// fit returns messages shortened to the model's context: the oldest turns of the history go first,
// then the oldest observations are cut down to their beginnings.
func (r *run) fit(messages []llms.MessageContent) []llms.MessageContent {
	budget := r.a.cfg.ContextTokens - r.a.cfg.AnswerTokens
	total := 0
	for _, m := range messages {
		total += messageTokens(m)
	}
	if total <= budget || len(messages) < r.prefix {
		return messages
	}
	out := append([]llms.MessageContent(nil), messages...)
	first := 1
	for ; first+1 < r.prefix && total > budget; first += 2 {
		total -= messageTokens(out[first]) + messageTokens(out[first+1])
	}
	for i := r.prefix; i < len(out)-1 && total > budget; i++ {
		before := messageTokens(out[i])
		out[i] = shortenMessage(out[i], 300)
		total += messageTokens(out[i]) - before
	}
	return append(out[:1:1], out[first:]...)
}

func messageTokens(m llms.MessageContent) int {
	n := 4
	for _, p := range m.Parts {
		switch p := p.(type) {
		case llms.TextContent:
			n += estimateTokens(p.Text)
		case llms.ToolCallResponse:
			n += estimateTokens(p.Content)
		case llms.ToolCall:
			if p.FunctionCall != nil {
				n += estimateTokens(p.FunctionCall.Arguments) + 8
			}
		}
	}
	return n
}

func shortenMessage(m llms.MessageContent, runes int) llms.MessageContent {
	parts := make([]llms.ContentPart, len(m.Parts))
	for i, p := range m.Parts {
		switch p := p.(type) {
		case llms.TextContent:
			parts[i] = llms.TextPart(shorten(p.Text, runes))
		case llms.ToolCallResponse:
			p.Content = shorten(p.Content, runes)
			parts[i] = p
		default:
			parts[i] = p
		}
	}
	return llms.MessageContent{Role: m.Role, Parts: parts}
}

// parametered is a tool that describes its input with a JSON schema of one string property.
type parametered interface{ Parameters() any }

func definitions(ts []tools.Tool) []llms.Tool {
	out := make([]llms.Tool, len(ts))
	for i, t := range ts {
		var parameters any = stringParameter("input", "the tool's input")
		if p, ok := t.(parametered); ok {
			parameters = p.Parameters()
		}
		out[i] = llms.Tool{Type: "function", Function: &llms.FunctionDefinition{Name: t.Name(), Description: t.Description(), Parameters: parameters}}
	}
	return out
}

// parameterName is the property under which a tool's input is given to and shown to the model.
func parameterName(t tools.Tool) string {
	if p, ok := t.(parametered); ok {
		if schema, ok := p.Parameters().(map[string]any); ok {
			if required, ok := schema["required"].([]string); ok && len(required) == 1 {
				return required[0]
			}
		}
	}
	return "input"
}

// isToolDelta recognises the raw JSON of tool calls that langchaingo's OpenAI client sends through the
// same callback as the answer's text.
func isToolDelta(chunk []byte) bool {
	chunk = bytes.TrimSpace(chunk)
	switch {
	case bytes.HasPrefix(chunk, []byte("[{")):
		var calls []struct {
			Function *json.RawMessage `json:"function"`
		}
		return json.Unmarshal(chunk, &calls) == nil && len(calls) > 0 && calls[0].Function != nil
	case bytes.HasPrefix(chunk, []byte(`{"name":`)), bytes.HasPrefix(chunk, []byte(`{"arguments":`)):
		var call map[string]json.RawMessage
		if json.Unmarshal(chunk, &call) != nil {
			return false
		}
		_, ok := call["arguments"]
		return ok
	}
	return false
}

// refusesTools recognises a server's word that it, or the model, cannot do tool calls.
func refusesTools(err error) bool {
	s := strings.ToLower(err.Error())
	return strings.Contains(s, "tool") || strings.Contains(s, "function") || strings.Contains(s, "400") ||
		strings.Contains(s, "422") || strings.Contains(s, "501") || strings.Contains(s, "bad request")
}
