package llm

import (
	"encoding/json"
	"strings"
)

// A Delta is a piece of a reply as it is written.
type Delta struct {
	Choice        int // which of N choices, from 0
	Thought, Text string
	Call          *CallDelta  // nil: the piece belongs to no call
	LogProbs      []TokenProb // of the tokens of Text, where LocalOptions.LogProbs asks for them
}

// A CallDelta is a piece of a call of a tool.
type CallDelta struct {
	Index     int    // among the calls of its choice, from 0
	ID, Name  string // in the first piece of a call only
	Arguments string // what comes next of its JSON object, which is compact
}

// sentCall is a call of which something has been given.
type sentCall struct {
	id        string
	arguments int // bytes of them
}

// progress gives what has become known of calls since it was last asked.
func (p *replyParser) progress() []CallDelta {
	var out []CallDelta
	give := func(i int, id, name, arguments string) {
		d := CallDelta{Index: i}
		if i == len(p.sent) {
			p.sent = append(p.sent, sentCall{id: id})
			d.ID, d.Name = id, name
		}
		s := &p.sent[i]
		d.Arguments = arguments[s.arguments:]
		if s.arguments = len(arguments); d.Name != "" || d.Arguments != "" {
			out = append(out, d)
		}
	}
	for i := max(0, len(p.sent)-1); i < len(p.calls); i++ {
		give(i, p.calls[i].ID, p.calls[i].Name, p.calls[i].Arguments)
	}
	if !p.sure || p.state != replyCall {
		return out
	}
	for i, c := range begunCalls(p.held) {
		if i += len(p.calls); !p.tools.knows(c.name) || p.tools.single && i > 0 {
			break
		}
		give(i, newCallID(), c.name, c.arguments)
	}
	return out
}

// begunCall is a call whose name is known, with what has come of its arguments.
type begunCall struct{ name, arguments string }

// begunCalls reads calls, of which the last may not be whole.
func begunCalls(text string) []begunCall {
	var out []begunCall
	for {
		text = strings.TrimLeft(text, " \t\r\n[,;")
		if !strings.HasPrefix(text, "{") {
			return out
		}
		c, rest, whole := readCall(text[1:])
		if c.name != "" {
			out = append(out, c)
		}
		if !whole {
			return out
		}
		text = rest
	}
}

// readCall reads the members of an object. It stops at one that is not whole, other than the arguments.
func readCall(text string) (c begunCall, rest string, whole bool) {
	for {
		text = strings.TrimLeft(text, " \t\r\n,")
		if rest, ok := strings.CutPrefix(text, "}"); ok {
			return c, rest, true
		}
		key, after, ok := firstString(text)
		if !ok {
			return c, "", false
		}
		if text, ok = strings.CutPrefix(strings.TrimLeft(after, " \t\r\n"), ":"); !ok {
			return c, "", false
		}
		text = strings.TrimLeft(text, " \t\r\n")
		switch {
		case key == "name":
			if c.name, text, ok = firstString(text); !ok {
				return c, "", false
			}
		case (key == "arguments" || key == "parameters") && strings.HasPrefix(text, "{"):
			n, ended := 0, false
			if c.arguments, n, ended = compactPrefix(text); !ended {
				return c, "", false
			}
			text = text[n:]
		default:
			if _, text, ok = firstValue(text); !ok {
				return c, "", false
			}
		}
	}
}

func firstString(text string) (value, rest string, ok bool) {
	raw, rest, ok := firstValue(text)
	return value, rest, ok && json.Unmarshal(raw, &value) == nil
}

// compactPrefix is what json.Compact makes of the object that text begins with, or of as much of it as there is, and
// how long that is in text.
func compactPrefix(text string) (compact string, n int, whole bool) {
	var b strings.Builder
	depth, quoted, escaped := 0, false, false
	for i := range len(text) {
		switch c := text[i]; {
		case quoted:
			quoted, escaped = escaped || c != '"', !escaped && c == '\\'
			b.WriteByte(c)
		case c == ' ', c == '\t', c == '\r', c == '\n':
		default:
			switch b.WriteByte(c); c {
			case '"':
				quoted = true
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return b.String(), i + 1, true
				}
			}
		}
	}
	return b.String(), len(text), false
}
