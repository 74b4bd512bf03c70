package web

import (
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"

	"github.com/tmc/langchaingo/llms"

	"docent/internal/llm"
	"docent/retriever"
)

const (
	maxN           = 16 // choices
	maxStops       = 16
	maxTopLogProbs = 20
)

// chatRequest is the body of POST /v1/chat/completions: the protocol's own members, those of llama.cpp's server, and
// those of /api/ask. Members that are not here are passed over, as other servers do.
type chatRequest struct {
	Model    string        `json:"model"`
	Messages []chatMessage `json:"messages"`

	Stream        bool `json:"stream"`
	StreamOptions *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`

	Temperature         *float64           `json:"temperature"`
	TopP                *float64           `json:"top_p"`
	MaxTokens           *int               `json:"max_tokens"`
	MaxCompletionTokens *int               `json:"max_completion_tokens"`
	Stop                texts              `json:"stop"`
	Seed                *int               `json:"seed"`
	N                   *int               `json:"n"`
	PresencePenalty     float64            `json:"presence_penalty"`
	FrequencyPenalty    float64            `json:"frequency_penalty"`
	LogitBias           map[string]float32 `json:"logit_bias"`
	LogProbs            bool               `json:"logprobs"`
	TopLogProbs         *int               `json:"top_logprobs"`
	ReasoningEffort     string             `json:"reasoning_effort"`

	ResponseFormat *struct {
		Type       string `json:"type"`
		JSONSchema *struct {
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	} `json:"response_format"`

	Tools             []chatTool      `json:"tools"`
	ToolChoice        any             `json:"tool_choice"`
	ParallelToolCalls *bool           `json:"parallel_tool_calls"`
	Functions         json.RawMessage `json:"functions"`
	FunctionCall      json.RawMessage `json:"function_call"`
	Modalities        []string        `json:"modalities"`
	Audio             json.RawMessage `json:"audio"`
	WebSearch         json.RawMessage `json:"web_search_options"`

	// As llama.cpp's server and vLLM call them.
	TopK              int      `json:"top_k"`
	MinP              float64  `json:"min_p"`
	Typical           float64  `json:"typical_p"`
	RepetitionPenalty *float64 `json:"repetition_penalty"`
	RepeatPenalty     *float64 `json:"repeat_penalty"`
	RepeatLast        int      `json:"repeat_last_n"`
	Mirostat          int      `json:"mirostat"`
	MirostatTau       float64  `json:"mirostat_tau"`
	MirostatEta       float64  `json:"mirostat_eta"`
	Grammar           string   `json:"grammar"`
	Regex             string   `json:"regex"`
	Adapter           string   `json:"adapter"`

	// As in /api/ask, for answers from documents.
	Style     string           `json:"style"`
	Where     retriever.Filter `json:"where"`
	Retrieval json.RawMessage  `json:"retrieval"`
}

// chatMessage is a turn of the conversation.
type chatMessage struct {
	Role       string     `json:"role"`
	Content    content    `json:"content"`
	ToolCalls  []toolCall `json:"tool_calls"`
	ToolCallID string     `json:"tool_call_id"`
}

// content is a text, or parts.
type content []contentPart

type contentPart struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Refusal  string `json:"refusal"`
	ImageURL struct {
		URL    string `json:"url"`
		Detail string `json:"detail"`
	} `json:"image_url"`
}

func (c *content) UnmarshalJSON(raw []byte) error {
	var text *string
	if json.Unmarshal(raw, &text) == nil {
		if text != nil {
			*c = content{{Type: "text", Text: *text}}
		}
		return nil
	}
	return json.Unmarshal(raw, (*[]contentPart)(c))
}

// text joins the parts that are text. ok is false where there are others.
func (c content) text() (text string, ok bool) {
	var b strings.Builder
	for _, p := range c {
		if p.Type != "text" {
			return "", false
		}
		b.WriteString(p.Text)
	}
	return b.String(), true
}

// texts is a text, or a list of them.
type texts []string

func (t *texts) UnmarshalJSON(raw []byte) error {
	var one *string
	if json.Unmarshal(raw, &one) == nil {
		if one != nil {
			*t = texts{*one}
		}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(t))
}

type chatTool struct {
	Type     string `json:"type"`
	Function struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
		Strict      bool            `json:"strict"`
	} `json:"function"`
}

func (r *chatRequest) n() int {
	if r.N == nil {
		return 1
	}
	return *r.N
}

// maxTokens is 0 for as many as there is room for.
func (r *chatRequest) maxTokens() int {
	for _, n := range []*int{r.MaxCompletionTokens, r.MaxTokens} {
		if n != nil {
			return *n
		}
	}
	return 0
}

// usesTools reports whether a tool may be called.
func (r *chatRequest) usesTools() bool { return len(r.Tools) > 0 && r.ToolChoice != "none" }

func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// check refuses what no model here can do.
func (r *chatRequest) check() error {
	switch {
	case len(r.Messages) == 0:
		return badParam("messages", "there are none")
	case r.N != nil && (*r.N < 1 || *r.N > maxN):
		return badParam("n", "is %d, want 1 to %d", *r.N, maxN)
	case r.maxTokens() < 0 || r.MaxTokens != nil && *r.MaxTokens < 1 || r.MaxCompletionTokens != nil && *r.MaxCompletionTokens < 1:
		return badParam("max_tokens", "want 1 or more; left out, the answer may fill the context window")
	case len(r.Stop) > maxStops:
		return badParam("stop", "there are %d texts, want at most %d", len(r.Stop), maxStops)
	case r.Temperature != nil && *r.Temperature < 0:
		return badParam("temperature", "is %v, want 0 or more", *r.Temperature)
	case r.TopP != nil && (*r.TopP <= 0 || *r.TopP > 1):
		return badParam("top_p", "is %v, want more than 0, at most 1", *r.TopP)
	case r.TopLogProbs != nil && *r.TopLogProbs != 0 && !r.LogProbs:
		return badParam("top_logprobs", "needs logprobs to be true")
	case r.TopLogProbs != nil && (*r.TopLogProbs < 0 || *r.TopLogProbs > maxTopLogProbs):
		return badParam("top_logprobs", "is %d, want 0 to %d", *r.TopLogProbs, maxTopLogProbs)
	case given(r.Functions), given(r.FunctionCall):
		return badParam("functions", "is the old way: use tools and tool_choice")
	case given(r.Audio), len(r.Modalities) > 1, len(r.Modalities) == 1 && r.Modalities[0] != "text":
		return badParam("modalities", "the models here write text only")
	case given(r.WebSearch):
		return badParam("web_search_options", "the models here do not search the web")
	}
	for i, t := range r.Tools {
		if t.Type != "function" || t.Function.Name == "" {
			return badParam("tools", "tool %d is not a function with a name", i)
		}
	}
	if f := r.ResponseFormat; f != nil {
		switch {
		case f.Type == "text", f.Type == "json_object":
		case f.Type == "json_schema" && f.JSONSchema != nil && given(f.JSONSchema.Schema):
		case f.Type == "json_schema":
			return badParam("response_format", "json_schema.schema is missing")
		default:
			return badParam("response_format", "type is %s, want text, json_object or json_schema", quoteShort(f.Type))
		}
	}
	return nil
}

// local are the options that langchaingo has no names for.
func (r *chatRequest) local() (llm.LocalOptions, error) {
	o := llm.LocalOptions{
		MinP: r.MinP, Typical: r.Typical, RepeatLast: r.RepeatLast, Mirostat: r.Mirostat, MirostatTau: r.MirostatTau, MirostatEta: r.MirostatEta,
		Grammar: r.Grammar, Regex: r.Regex, Adapter: r.Adapter,
		OneCall: r.ParallelToolCalls != nil && !*r.ParallelToolCalls, OwnTemperature: r.Temperature == nil,
	}
	if r.LogProbs {
		o.LogProbs = -1
		if r.TopLogProbs != nil && *r.TopLogProbs > 0 {
			o.LogProbs = *r.TopLogProbs
		}
	}
	if f := r.ResponseFormat; f != nil && f.Type == "json_schema" {
		o.Schema = f.JSONSchema.Schema
	}
	for token, b := range r.LogitBias {
		id, err := strconv.ParseInt(token, 10, 32)
		if err != nil || id < 0 {
			return o, badParam("logit_bias", "%s is not the number of a token", quoteShort(token))
		}
		if b < -100 || b > 100 {
			return o, badParam("logit_bias", "of token %d is %v, want -100 to 100", id, b)
		}
		if o.Bias == nil {
			o.Bias = map[int32]float32{}
		}
		o.Bias[int32(id)] = b
	}
	return o, nil
}

// sampling are the options that say how tokens are chosen, and how many.
func (r *chatRequest) sampling(provider string) []llms.CallOption {
	opts := []llms.CallOption{
		llms.WithPresencePenalty(r.PresencePenalty), llms.WithFrequencyPenalty(r.FrequencyPenalty), llms.WithStopWords(r.Stop),
		llms.WithTopK(max(0, r.TopK)),
	}
	if r.Temperature != nil {
		opts = append(opts, llms.WithTemperature(*r.Temperature))
	}
	if r.TopP != nil && *r.TopP < 1 {
		opts = append(opts, llms.WithTopP(*r.TopP))
	}
	for _, p := range []*float64{r.RepeatPenalty, r.RepetitionPenalty} {
		if p != nil {
			opts = append(opts, llms.WithRepetitionPenalty(*p))
		}
	}
	if n := r.maxTokens(); n > 0 {
		opts = append(opts, llms.WithMaxTokens(n))
	}
	switch {
	case r.Seed != nil:
		opts = append(opts, llms.WithSeed(*r.Seed))
	case provider == llm.Local:
		opts = append(opts, llms.WithSeed(int(rand.Int32())))
	}
	return opts
}

// options are those of a call of the language model itself.
func (r *chatRequest) options(provider string) []llms.CallOption {
	opts := r.sampling(provider)
	if r.Temperature == nil && provider == llm.Local {
		opts = append(opts, llms.WithTemperature(1)) // as the protocol has it
	}
	if r.n() > 1 {
		opts = append(opts, llms.WithN(r.n()))
	}
	if f := r.ResponseFormat; f != nil && f.Type == "json_object" {
		opts = append(opts, llms.WithJSONMode())
	}
	if len(r.Tools) > 0 {
		tools := make([]llms.Tool, len(r.Tools))
		for i, t := range r.Tools {
			f := &llms.FunctionDefinition{Name: t.Function.Name, Description: t.Function.Description, Strict: t.Function.Strict}
			if given(t.Function.Parameters) {
				f.Parameters = t.Function.Parameters
			}
			tools[i] = llms.Tool{Type: "function", Function: f}
		}
		opts = append(opts, llms.WithTools(tools))
	}
	if r.ToolChoice != nil {
		opts = append(opts, llms.WithToolChoice(r.ToolChoice))
	}
	switch r.ReasoningEffort {
	case "", "none":
	case "low", "minimal":
		opts = append(opts, llms.WithThinkingMode(llms.ThinkingModeLow))
	case "high", "xhigh":
		opts = append(opts, llms.WithThinkingMode(llms.ThinkingModeHigh))
	default:
		opts = append(opts, llms.WithThinkingMode(llms.ThinkingModeMedium))
	}
	return opts
}

// messages are the turns in langchaingo's words.
func (r *chatRequest) messages(provider string) ([]llms.MessageContent, error) {
	called := map[string]string{} // names of tools by the ids of their calls
	var out []llms.MessageContent
	for i, m := range r.Messages {
		turn := llms.MessageContent{}
		switch m.Role {
		case "system", "developer":
			turn.Role = llms.ChatMessageTypeSystem
		case "user":
			turn.Role = llms.ChatMessageTypeHuman
		case "assistant":
			turn.Role = llms.ChatMessageTypeAI
		case "tool":
			text, ok := m.Content.text()
			if !ok {
				return nil, badParam("messages", "message %d: the result of a tool is text", i)
			}
			turn.Role = llms.ChatMessageTypeTool
			turn.Parts = []llms.ContentPart{llms.ToolCallResponse{ToolCallID: m.ToolCallID, Name: called[m.ToolCallID], Content: text}}
			out = append(out, turn)
			continue
		default:
			return nil, badParam("messages", "message %d: role is %s, want system, developer, user, assistant or tool", i, quoteShort(m.Role))
		}
		for _, p := range m.Content {
			part, err := p.part(provider)
			if err != nil {
				return nil, badParam("messages", "message %d: %v", i, err)
			}
			turn.Parts = append(turn.Parts, part)
		}
		for _, t := range m.ToolCalls {
			called[t.ID] = t.Function.Name
			turn.Parts = append(turn.Parts, llms.ToolCall{ID: t.ID, Type: "function", FunctionCall: &llms.FunctionCall{Name: t.Function.Name, Arguments: t.Function.Arguments}})
		}
		if len(turn.Parts) == 0 {
			turn.Parts = []llms.ContentPart{llms.TextContent{}}
		}
		out = append(out, turn)
	}
	return out, nil
}

var dataURL = regexp.MustCompile(`^data:(image/[a-z+.-]+);base64,`)

// part is a part in langchaingo's words. Ollama takes pictures as bytes, other servers by their addresses, which may
// be data: ones; models that are computed here take none.
func (p contentPart) part(provider string) (llms.ContentPart, error) {
	switch p.Type {
	case "text":
		return llms.TextContent{Text: p.Text}, nil
	case "refusal":
		return llms.TextContent{Text: p.Refusal}, nil
	case "image_url":
		switch provider {
		case llm.OpenAI:
			return llms.ImageURLContent{URL: p.ImageURL.URL, Detail: p.ImageURL.Detail}, nil
		case llm.Ollama:
			if m := dataURL.FindStringSubmatch(p.ImageURL.URL); m != nil {
				if data, err := base64.StdEncoding.DecodeString(p.ImageURL.URL[len(m[0]):]); err == nil {
					return llms.BinaryContent{MIMEType: m[1], Data: data}, nil
				}
			}
			return nil, badRequest("Ollama takes pictures as data:image/…;base64, URLs only")
		}
		return nil, badRequest("this model reads text only, no pictures")
	}
	return nil, badRequest("a part of type " + quoteShort(p.Type) + " is not read; want text or image_url")
}
