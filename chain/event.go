package chain

// An Event is one thing that happens while an answer is made. The set is closed: Status, Sources,
// Token, Reasoning, ToolCall, ToolResult and Done. Both the question-answering chain and the agent
// speak it, and the web API sends each as a server-sent event named by Type.
type Event interface {
	Type() string
}

// Status says which stage has begun.
type Status struct {
	Stage string `json:"stage"`           // "rewriting", "searching", "generating", "thinking"
	Query string `json:"query,omitempty"` // the query as it is searched, on "searching"
}

// Sources lists the passages the answer may rest on, before its first token.
type Sources struct {
	Passages []Passage `json:"passages"`
}

// Token is the next piece of the answer's text.
type Token struct {
	Text string `json:"text"`
}

// Reasoning is the next piece of the model's thinking, never part of the answer.
type Reasoning struct {
	Text string `json:"text"`
}

// ToolCall says that the agent calls a tool.
type ToolCall struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Input string `json:"input"`
}

// ToolResult is what a tool returned. Error is set when the tool failed.
type ToolResult struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Output string `json:"output"`
	Error  string `json:"error,omitempty"`
}

// Done is the last event. Its answer is checked: Text may differ from the tokens streamed, in that
// citation markers that point nowhere have been taken out.
type Done struct {
	Answer Answer `json:"answer"`
}

func (Status) Type() string     { return "status" }
func (Sources) Type() string    { return "sources" }
func (Token) Type() string      { return "token" }
func (Reasoning) Type() string  { return "reasoning" }
func (ToolCall) Type() string   { return "tool_call" }
func (ToolResult) Type() string { return "tool_result" }
func (Done) Type() string       { return "done" }
