package chain

import (
	"context"
	"fmt"
	"strings"

	"github.com/tmc/langchaingo/chains"
	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/memory"
	"github.com/tmc/langchaingo/schema"
)

var _ chains.Chain = (*QA)(nil)

// The keys of QA as a chains.Chain.
const (
	QueryKey  = "query"  // in: the question, a string
	TextKey   = "text"   // out: the answer's text, a string
	AnswerKey = "answer" // out: the whole Answer, with its citations
)

// Call implements chains.Chain: use chains.Call, chains.Run or chains.Predict, which see to the memory.
//
// The values of the memory are taken as the conversation so far, be they messages or langchaingo's
// "Human: …\nAI: …" text. Since there are two outputs, a ConversationBuffer must be told which to keep:
//
//	memory.NewConversationBuffer(memory.WithInputKey(chain.QueryKey), memory.WithOutputKey(chain.TextKey))
//
// Options such as chains.WithMaxTokens go to the model; chains.WithStreamingFunc receives the answer's
// text, without the reasoning.
func (q *QA) Call(ctx context.Context, inputs map[string]any, options ...chains.ChainCallOption) (map[string]any, error) {
	text, ok := inputs[QueryKey].(string)
	if !ok {
		return nil, fmt.Errorf("chain: input %q is %T, want a string", QueryKey, inputs[QueryKey])
	}
	var opts llms.CallOptions
	calls := chains.GetLLMCallOptions(options...)
	for _, o := range calls {
		o(&opts)
	}
	question := Question{Text: text}
	for _, key := range q.GetMemory().MemoryVariables(ctx) {
		question.History = append(question.History, turns(inputs[key])...)
	}
	for e, err := range q.stream(ctx, question, calls) {
		if err != nil {
			return nil, err
		}
		switch e := e.(type) {
		case Token:
			if opts.StreamingFunc != nil {
				if err := opts.StreamingFunc(ctx, []byte(e.Text)); err != nil {
					return nil, err
				}
			}
		case Done:
			return map[string]any{TextKey: e.Answer.Text, AnswerKey: e.Answer}, nil
		}
	}
	return nil, ctx.Err()
}

// GetMemory implements chains.Chain.
func (q *QA) GetMemory() schema.Memory {
	if q.cfg.Memory == nil {
		return memory.NewSimple()
	}
	return q.cfg.Memory
}

// GetInputKeys implements chains.Chain.
func (q *QA) GetInputKeys() []string { return []string{QueryKey} }

// GetOutputKeys implements chains.Chain. AnswerKey is returned beside it; naming one key alone lets
// chains.Run and chains.Predict be used.
func (q *QA) GetOutputKeys() []string { return []string{TextKey} }

// turns reads the value of a memory.
func turns(value any) []Turn {
	var out []Turn
	add := func(human bool, text string) {
		switch {
		case human:
			out = append(out, Turn{Question: text})
		case len(out) > 0:
			out[len(out)-1].Answer = strings.TrimPrefix(out[len(out)-1].Answer+"\n"+text, "\n")
		}
	}
	switch v := value.(type) {
	case []llms.ChatMessage:
		for _, m := range v {
			switch m.GetType() {
			case llms.ChatMessageTypeHuman, llms.ChatMessageTypeGeneric:
				add(true, m.GetContent())
			case llms.ChatMessageTypeAI:
				add(false, m.GetContent())
			}
		}
	case string:
		human := true
		for line := range strings.Lines(v) {
			line = strings.TrimRight(line, "\n")
			switch {
			case strings.HasPrefix(line, "Human: "):
				human = true
				add(true, strings.TrimPrefix(line, "Human: "))
			case strings.HasPrefix(line, "AI: "):
				human = false
				add(false, strings.TrimPrefix(line, "AI: "))
			case len(out) > 0 && human:
				out[len(out)-1].Question += "\n" + line
			case len(out) > 0:
				out[len(out)-1].Answer += "\n" + line
			}
		}
	}
	return out
}
