package llm

import (
	"bytes"
	"encoding/json"
	"strings"

	"docent/internal/llm/engine"
)

// replyParser takes what a model writes apart, as it comes: thoughts, text for the reader, calls of tools.
// What it gives does not depend on where the text was cut.
type replyParser struct {
	tools *toolUse // nil: everything but thoughts is text
	state replyState
	held  string // not yet decided
	end   string // what ends a call whose beginning was read
	said  bool   // text has been given
	trim  bool   // blanks before more text are left out
	bare  bool   // what is held may be a call without marks
	sure  bool   // calls are held to their form, so that one is given before its end
	calls []engine.ToolCall
	sent  []sentCall // of calls, the last perhaps not among them yet
}

type replyState int

const (
	replyStart replyState = iota // a thought may begin
	replyThought
	replyText
	replyCall // until end, or the reply's end
)

const (
	thoughtOpen  = "<think>"
	thoughtClose = "</think>"
	fenceOpen    = "```json"
	fenceClose   = "```"
	pythonTag    = "<|python_tag|>"
)

func newReplyParser(tools *toolUse, thinking bool) *replyParser {
	p := &replyParser{tools: tools}
	if tools != nil && tools.never {
		p.tools = nil
	}
	if thinking {
		p.state = replyThought
	}
	return p
}

// marks are what begins a call, each with what ends it.
func (p *replyParser) marks() map[string]string {
	if p.tools == nil {
		return nil
	}
	m := map[string]string{hermes.open: hermes.close, mistral.open: "", pythonTag: ""}
	if p.tools.style.name == plain.name {
		m[fenceOpen] = fenceClose
	}
	return m
}

// add takes a piece and gives what is decided by it.
func (p *replyParser) add(piece string) (thought, text string) {
	p.held += piece
	for {
		t, x, again := p.step()
		thought += t
		text += x
		if !again {
			return thought, text
		}
	}
}

// step decides on what is held; again says that there may be more to decide.
func (p *replyParser) step() (thought, text string, again bool) {
	switch p.state {
	case replyStart:
		rest := strings.TrimLeft(p.held, " \t\r\n")
		if rest == "" || len(rest) < len(thoughtOpen) && strings.HasPrefix(thoughtOpen, rest) {
			return "", "", false
		}
		if after, ok := strings.CutPrefix(rest, thoughtOpen); ok {
			p.held, p.state = after, replyThought
			return "", "", true
		}
		p.state = replyText
		return "", "", true
	case replyThought:
		if before, after, ok := strings.Cut(p.held, thoughtClose); ok {
			p.held, p.state, p.trim = after, replyText, true
			return before, "", true
		}
		keep := overlap(p.held, thoughtClose)
		thought, p.held = p.held[:len(p.held)-keep], p.held[len(p.held)-keep:]
		return thought, "", false
	case replyText:
		return p.stepText()
	}
	if p.bare && !mayBeCall(strings.TrimLeft(p.held, " \t\r\n")) {
		p.state, p.bare = replyText, false
		return "", "", true
	}
	if p.end == "" {
		return "", "", false
	}
	at := strings.Index(p.held, p.end)
	if at < 0 {
		return "", "", false
	}
	body := p.held[:at]
	p.held, p.state, p.trim = p.held[at+len(p.end):], replyText, true
	if !p.take(body, false) { // it was no call
		mark := fenceOpen
		if p.end == hermes.close {
			mark = hermes.open
		}
		p.said, p.trim = true, false
		return "", mark + body + p.end, true
	}
	return "", "", true
}

func (p *replyParser) stepText() (thought, text string, again bool) {
	if p.trim {
		if p.held = strings.TrimLeft(p.held, " \t\r\n"); p.held == "" {
			return "", "", false
		}
	}
	// An answer that begins as an object may be a call without marks.
	if p.tools != nil && !p.said {
		rest := strings.TrimLeft(p.held, " \t\r\n")
		for mark := range p.marks() {
			if len(rest) < len(mark) && strings.HasPrefix(mark, rest) {
				return "", "", false
			}
		}
		switch {
		case (rest[0] == '{' || rest[0] == '[') && mayBeCall(rest):
			p.state, p.end, p.bare = replyCall, "", true
			return "", "", false
		}
	}
	at, mark, end := -1, "", ""
	keep := 0
	for open, close := range p.marks() {
		if i := strings.Index(p.held, open); i >= 0 && (at < 0 || i < at) {
			at, mark, end = i, open, close
		}
		keep = max(keep, overlap(p.held, open))
	}
	if at >= 0 {
		text = strings.TrimRight(p.held[:at], " \t\r\n")
		p.held, p.state, p.end = p.held[at+len(mark):], replyCall, end
		p.said = p.said || text != ""
		return "", text, true
	}
	if p.tools != nil { // blanks before a call are no text
		body := p.held[:len(p.held)-keep]
		keep = len(p.held) - len(strings.TrimRight(body, " \t\r\n"))
	}
	text, p.held = p.held[:len(p.held)-keep], p.held[len(p.held)-keep:]
	if text != "" {
		p.said, p.trim = true, false
	}
	return "", text, false
}

// overlap is the length of the longest end of s that mark begins with.
func overlap(s, mark string) int {
	for n := min(len(s), len(mark)-1); n > 0; n-- {
		if strings.HasSuffix(s, mark[:n]) {
			return n
		}
	}
	return 0
}

// mayBeCall reports whether s can be the beginning of a call: an object, or a list of such, whose first
// member is one that calls begin with.
func mayBeCall(s string) bool {
	squeezed := strings.Join(strings.Fields(s[:min(len(s), 200)]), "")
	squeezed = strings.TrimPrefix(squeezed, "[")
	for _, begin := range []string{`{"name":`, `{"type":"function"`, `{"function":`, `{"tool":`} {
		n := min(len(begin), len(squeezed))
		if squeezed[:n] == begin[:n] {
			return true
		}
	}
	return false
}

// finish gives what is left when the reply has ended, and the calls.
func (p *replyParser) finish() (thought, text string, calls []engine.ToolCall) {
	held := p.held
	p.held = ""
	switch p.state {
	case replyThought:
		thought = held
	case replyCall:
		// Marks without an end, and calls that were cut short.
		if p.take(held, p.bare) {
			break
		}
		if len(p.sent) <= len(p.calls) {
			text = held
			break
		}
		// What of the call was given cannot be taken back.
		for _, c := range begunCalls(held)[:len(p.sent)-len(p.calls)] {
			p.calls = append(p.calls, engine.ToolCall{ID: p.sent[len(p.calls)].id, Name: c.name, Arguments: c.arguments})
		}
	case replyText, replyStart:
		if p.tools == nil || strings.TrimSpace(held) != "" {
			text = held
		}
	}
	return thought, text, p.calls
}

// take reads calls; known says that only names of tools count.
func (p *replyParser) take(body string, known bool) bool {
	calls := parseCalls(body)
	for _, c := range calls {
		if known && !p.tools.knows(c.Name) {
			return false
		}
	}
	for _, c := range calls {
		n := len(p.calls)
		if p.tools.single && n > 0 {
			break
		}
		if n < len(p.sent) {
			c.ID = p.sent[n].id
		}
		p.calls = append(p.calls, c)
	}
	return len(calls) > 0
}

// parseCalls reads the calls of a text: objects in a row, with ";", "," or blanks between them, or in lists;
// or Mistral's newer way, NAME[ARGS]{…}. It gives none where anything else is in the text.
func parseCalls(text string) []engine.ToolCall {
	var out []engine.ToolCall
	text = strings.TrimSpace(text)
	for text != "" {
		if text[0] != '{' && text[0] != '[' {
			at := strings.IndexByte(text, '{')
			if at < 0 {
				return nil
			}
			name := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text[:at]), "[ARGS]"))
			if name == "" || strings.ContainsAny(name, " \t\n\"") {
				return nil
			}
			arguments, rest, ok := firstValue(text[at:])
			if !ok {
				return nil
			}
			var compact bytes.Buffer
			_ = json.Compact(&compact, arguments) // it has been read
			out = append(out, engine.ToolCall{ID: newCallID(), Name: name, Arguments: compact.String()})
			text = rest
			continue
		}
		value, rest, ok := firstValue(text)
		if !ok {
			return nil
		}
		list := []json.RawMessage{value}
		if value[0] == '[' && json.Unmarshal(value, &list) != nil {
			return nil
		}
		for _, v := range list {
			c, ok := parseCall(v)
			if !ok {
				return nil
			}
			out = append(out, c)
		}
		text = rest
	}
	return out
}

func firstValue(text string) (value json.RawMessage, rest string, ok bool) {
	dec := json.NewDecoder(strings.NewReader(text))
	if dec.Decode(&value) != nil || len(value) == 0 {
		return nil, "", false
	}
	return value, strings.TrimLeft(text[dec.InputOffset():], " \t\r\n;,"), true
}

func parseCall(data json.RawMessage) (engine.ToolCall, bool) {
	var c struct {
		ID, Name                     string
		Function                     json.RawMessage
		Tool                         string
		Arguments, Parameters, Input json.RawMessage
	}
	if json.Unmarshal(data, &c) != nil {
		return engine.ToolCall{}, false
	}
	if len(c.Function) > 0 && c.Function[0] == '{' {
		inner, ok := parseCall(c.Function)
		if ok && c.ID != "" {
			inner.ID = c.ID
		}
		return inner, ok
	}
	name := c.Name
	if name == "" && json.Unmarshal(c.Function, &name) != nil {
		name = c.Tool
	}
	if name == "" {
		return engine.ToolCall{}, false
	}
	arguments := json.RawMessage("{}")
	for _, a := range []json.RawMessage{c.Arguments, c.Parameters, c.Input} {
		if len(a) > 0 && string(a) != "null" {
			arguments = a
			break
		}
	}
	var quoted string
	if arguments[0] == '"' && json.Unmarshal(arguments, &quoted) == nil && json.Valid([]byte(quoted)) {
		arguments = json.RawMessage(quoted)
	}
	var compact bytes.Buffer
	if len(arguments) == 0 || json.Compact(&compact, arguments) != nil || compact.Bytes()[0] != '{' {
		return engine.ToolCall{}, false
	}
	id := c.ID
	if id == "" {
		id = newCallID()
	}
	return engine.ToolCall{ID: id, Name: name, Arguments: compact.String()}, true
}
