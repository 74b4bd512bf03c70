package agent

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// A gate decides, while a reply is being written, which of its text is the answer and may be shown at
// once. Text after a final-answer label goes out as it comes. Text without any label is held until it
// is long enough to be an answer and not a remark before a tool call. Thoughts, calls, made-up
// observations and JSON never go out. ParseReply has the last word when the reply is complete.
type gate struct {
	mu     sync.Mutex
	closed bool
	show   func(text string)

	text    strings.Builder
	state   gateState
	from    int // where in text the answer begins
	shown   int // up to where text has gone out
	emitted strings.Builder
}

type gateState int

const (
	gateUndecided gateState = iota
	gateAnswer              // after a final-answer label, or plain text long enough
	gateSilent              // a call, or scratchpad: nothing more goes out
)

// plainRunes is how much unlabelled text is an answer: remarks before a call are shorter.
const plainRunes = 300

// holdRunes is how much of a line's beginning is held back, as it may turn out to be a label.
const holdRunes = 28

// write takes the next piece of the reply. After close it does nothing.
func (g *gate) write(chunk string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.state == gateSilent || g.text.Len() > maxReply {
		return
	}
	g.text.WriteString(chunk)
	if g.state == gateUndecided {
		g.decide()
	}
	if g.state == gateAnswer {
		g.flow()
	}
}

// decide looks for the first label or markup that settles what the reply is.
func (g *gate) decide() {
	text := g.text.String()
	base := 0
	// Thinking between tags comes first, if at all; nothing is settled before it ends.
	if trimmed := strings.TrimLeft(text, " \t\r\n"); strings.HasPrefix(trimmed, "<") {
		lower := strings.ToLower(trimmed[:min(len(trimmed), 12)])
		for _, tag := range []string{"<think>", "<thinking>", "<thought>", "<reasoning>"} {
			if strings.HasPrefix(lower, tag) {
				end := thinkTailRE.FindStringIndex(text)
				if end == nil {
					return
				}
				base = end[1]
			} else if strings.HasPrefix(tag, lower) {
				return // the tag is still being written
			}
		}
		if base == 0 {
			g.state = gateSilent // <tool_call> and the like
			return
		}
	}
	view := text[base:]
	if toolTagRE.MatchString(view) || functionRE.MatchString(view) || invokeRE.MatchString(view) {
		g.state = gateSilent
		return
	}
	_, secs := sections(view)
	for _, s := range secs {
		switch s.kind {
		case labelFinal:
			g.state, g.from = gateAnswer, base+s.end
			g.shown = g.from
			return
		case labelAction:
			g.state = gateSilent
			return
		case labelThought:
			if inlineCallRE.MatchString(s.body) {
				g.state = gateSilent
				return
			}
			if m := inlineFinalRE.FindStringIndex(s.body); m != nil {
				g.state, g.from = gateAnswer, base+s.end+m[1]
				g.shown = g.from
				return
			}
		}
	}
	plain := strings.TrimLeft(view, " \t\r\n")
	if len(secs) == 0 && !strings.HasPrefix(plain, "{") && !strings.HasPrefix(plain, "[") && !strings.HasPrefix(plain, "```") &&
		!strings.Contains(plain, "{\"") && utf8.RuneCountInString(plain) >= plainRunes {
		g.state, g.from = gateAnswer, len(text)-len(plain)
		g.shown = g.from
	}
}

// flow shows what is safe of the text that has come.
func (g *gate) flow() {
	for {
		text := g.text.String()
		rest := text[g.shown:]
		if g.shown == g.from {
			trimmed := strings.TrimLeft(rest, " \t\r\n")
			g.shown += len(rest) - len(trimmed)
			g.from = g.shown
			rest = trimmed
		}
		if rest == "" {
			return
		}
		atLineStart := g.shown == g.from || text[g.shown-1] == '\n'
		line, _, complete := strings.Cut(rest, "\n")
		if atLineStart {
			if !complete && utf8.RuneCountInString(line) < holdRunes {
				return
			}
			if m := labelRE.FindStringSubmatchIndex(line); m != nil && m[0] == 0 && m[2*labelRE.SubexpIndex("final")] < 0 {
				g.state = gateSilent
				return
			}
			t := strings.TrimSpace(line)
			if strings.HasPrefix(t, "{") || strings.HasPrefix(t, "```json") || strings.HasPrefix(t, "```") && !complete {
				g.state = gateSilent
				return
			}
		}
		out := line
		if complete {
			out = rest[:len(line)+1]
		}
		if i := strings.IndexAny(out, "<[`\""); i >= 0 {
			// Markup, control tokens and citation markers are shown whole or not at all.
			if i > 0 {
				out = out[:i]
			} else {
				switch c := out[0]; {
				case c == '<' && (toolTagRE.MatchString(rest) || functionRE.MatchString(rest) || invokeRE.MatchString(rest) || controlRE.FindStringIndex(rest) != nil):
					g.state = gateSilent
					return
				case c == '[' && strings.HasPrefix(strings.ToUpper(rest), "[TOOL_CALL"):
					g.state = gateSilent
					return
				case (c == '<' || c == '[') && !complete && len(out) < 24 && !strings.ContainsAny(out, ">]"):
					return
				}
				_, size := utf8.DecodeRuneInString(out)
				end := size
				if j := strings.IndexAny(out[size:], "<[`\""); j >= 0 {
					end = size + j
				} else {
					end = len(out)
				}
				out = out[:end]
			}
		}
		// A rune cut in two by the stream waits for its other half.
		for len(out) > 0 && !complete {
			r, size := utf8.DecodeLastRuneInString(out)
			if r != utf8.RuneError || size != 1 || len(rest) != len(out) {
				break
			}
			out = out[:len(out)-1]
			if len(rest)-len(out) >= utf8.UTFMax {
				break
			}
			rest = rest[:len(out)]
		}
		if out == "" {
			return
		}
		g.shown += len(out)
		g.emitted.WriteString(out)
		g.show(out)
	}
}

// close stops the gate; what is written later is dropped.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// finish shows what is still missing of the answer that the complete reply turned out to hold.
func (g *gate) finish(answer string) {
	g.close()
	if answer == "" {
		return
	}
	if rest, ok := strings.CutPrefix(answer, g.emitted.String()); ok && rest != "" {
		g.show(rest)
	}
}
