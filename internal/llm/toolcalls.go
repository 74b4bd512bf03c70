package llm

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"docent/internal/llm/engine"
	"docent/internal/llm/grammar"
)

// toolStyle is how a model writes its calls.
type toolStyle struct {
	name      string
	open      string // what begins a call
	close     string // what ends one
	arguments string // the member that holds them
	list      bool   // one call is a list of calls
}

// The ways of calling that are in use.
var (
	hermes  = toolStyle{name: "hermes", open: "<tool_call>", close: "</tool_call>", arguments: "arguments"}
	mistral = toolStyle{name: "mistral", open: "[TOOL_CALLS]", arguments: "arguments", list: true}
	llama   = toolStyle{name: "llama", arguments: "parameters"}
	plain   = toolStyle{name: "plain", arguments: "arguments"}
)

// style is the model's, as its template shows. A model whose template knows no tools is told of them in
// words, in Hermes's way.
func (l *LocalModel) style() toolStyle {
	source, _ := l.engine.Template()
	switch {
	case !l.engine.TemplateTools() || strings.Contains(source, hermes.open):
		return hermes
	case strings.Contains(source, mistral.open):
		return mistral
	case strings.Contains(source, `"parameters": `) || strings.Contains(source, "ipython"):
		return llama
	}
	return plain
}

// toolUse is what a call may do with tools.
type toolUse struct {
	style  toolStyle
	tools  []engine.Tool
	never  bool   // they may not be called
	must   bool   // one must be
	only   string // this one; empty for any
	single bool   // at most one call
}

// knows reports whether a tool may be called by this name.
func (u *toolUse) knows(name string) bool {
	return slices.ContainsFunc(u.tools, func(t engine.Tool) bool { return t.Name == name })
}

// form is the grammar that answers are held to, with a key for it; none where calls have no clear beginning.
func (u *toolUse) form(log *slog.Logger) (key string, parse func() (*grammar.Grammar, error)) {
	free := u.style.close != "" && u.style.open != ""
	if !u.must && !free {
		return "", nil
	}
	described, _ := json.Marshal(u.tools)
	key = fmt.Sprintf("tools %s %t %t %s %s", u.style.name, u.must, u.single, u.only, described)
	atMost := func(n int) int {
		if u.single {
			return 1
		}
		return n
	}
	return key, func() (*grammar.Grammar, error) {
		var calls []grammar.Expr
		for _, t := range u.tools {
			if u.only != "" && t.Name != u.only {
				continue
			}
			arguments, err := grammar.SchemaExpr(t.Parameters)
			if err == nil {
				_, err = grammar.Compile(arguments)
			}
			if err != nil {
				log.Warn("a tool's parameters cannot be kept to; its arguments are any JSON object", "tool", t.Name, "error", err)
				arguments = grammar.AnyJSON(true)
			}
			calls = append(calls, grammar.Object("name", grammar.JSONString(t.Name), u.style.arguments, arguments))
		}
		call := grammar.Or(calls...)
		if u.style.list {
			call = grammar.Seq(grammar.Blank(), grammar.Literal("["), call, grammar.Literal("]"))
		}
		call = grammar.Seq(grammar.Blank(), call)
		switch {
		case u.must && free: // the prompt has the first mark
			more := grammar.Seq(grammar.Blank(), grammar.Literal(u.style.open), call, grammar.Blank(), grammar.Literal(u.style.close))
			return grammar.Compile(grammar.Seq(call, grammar.Blank(), grammar.Literal(u.style.close), grammar.Repeat(more, 0, atMost(8)-1)))
		case u.must:
			return grammar.Compile(call)
		}
		one := grammar.Seq(grammar.Until(u.style.open), call, grammar.Blank(), grammar.Literal(u.style.close))
		return grammar.Compile(grammar.Seq(grammar.Repeat(one, 0, atMost(-1)), grammar.Avoid(u.style.open)))
	}
}

// wordTurns says in words what a template has no place for: the tools, calls and their results.
func wordTurns(turns []engine.Message, u *toolUse) []engine.Message {
	var out []engine.Message
	add := func(role, text string) {
		if n := len(out); n > 0 && out[n-1].Role == role {
			out[n-1].Content += "\n" + text
			return
		}
		out = append(out, engine.Message{Role: role, Content: text})
	}
	if u != nil && !u.never {
		add("system", "")
		if len(turns) > 0 && turns[0].Role == "system" {
			out[0].Content = turns[0].Content + "\n\n"
			turns = turns[1:]
		}
		out[0].Content += toolWords(u)
	}
	for _, t := range turns {
		switch {
		case t.Role == "tool":
			add("user", "<tool_response>\n"+t.Content+"\n</tool_response>")
		case len(t.ToolCalls) > 0:
			text := t.Content
			for _, c := range t.ToolCalls {
				if text != "" {
					text += "\n"
				}
				text += fmt.Sprintf("%s\n%s\n%s", hermes.open, callJSON(c), hermes.close)
			}
			add("assistant", text)
		default:
			add(t.Role, t.Content)
		}
	}
	return out
}

// oneCallEach gives each call of a turn a turn of its own, its result after it.
func oneCallEach(turns []engine.Message) []engine.Message {
	var out []engine.Message
	for i := 0; i < len(turns); i++ {
		t := turns[i]
		if len(t.ToolCalls) < 2 {
			out = append(out, t)
			continue
		}
		results := i + 1
		for results < len(turns) && turns[results].Role == "tool" {
			results++
		}
		rest := slices.Clone(turns[i+1 : results])
		for j, c := range t.ToolCalls {
			one := t
			one.ToolCalls = []engine.ToolCall{c}
			if j > 0 {
				one.Content = ""
			}
			out = append(out, one)
			if k := slices.IndexFunc(rest, func(r engine.Message) bool { return r.CallID == c.ID }); k >= 0 {
				out = append(out, rest[k])
				rest = slices.Delete(rest, k, k+1)
			}
		}
		out = append(out, rest...)
		i = results - 1
	}
	return out
}

func callJSON(c engine.ToolCall) string {
	name, _ := json.Marshal(c.Name)
	return fmt.Sprintf(`{"name": %s, "arguments": %s}`, name, c.Arguments)
}

func toolWords(u *toolUse) string {
	var b strings.Builder
	b.WriteString("You can call functions. These are their signatures:\n<tools>\n")
	for _, t := range u.tools {
		var parameters bytes.Buffer
		if json.Compact(&parameters, t.Parameters) != nil {
			parameters.WriteString("{}")
		}
		name, _ := json.Marshal(t.Name)
		about, _ := json.Marshal(t.Description)
		fmt.Fprintf(&b, `{"name": %s, "description": %s, "parameters": %s}`+"\n", name, about, parameters.Bytes())
	}
	b.WriteString("</tools>\nTo call one, reply with a JSON object between tags, and nothing after it:\n" +
		hermes.open + "\n{\"name\": \"the function\", \"arguments\": {…}}\n" + hermes.close +
		"\nThe result then comes between <tool_response> tags. When you know enough, answer in words.")
	return b.String()
}

const idLetters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// newCallID is nine letters and digits, which is what Mistral's templates want.
func newCallID() string {
	b := make([]byte, 9)
	_, _ = rand.Read(b) // never fails
	for i := range b {
		b[i] = idLetters[int(b[i])%len(idLetters)]
	}
	return string(b)
}

// callID brings the id of a call to nine letters and digits, the same each time.
func callID(id string) string {
	plain := len(id) == 9
	for i := range len(id) {
		plain = plain && strings.IndexByte(idLetters, id[i]) >= 0
	}
	if plain {
		return id
	}
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	b := make([]byte, 9)
	for i := range b {
		b[i] = idLetters[h%uint64(len(idLetters))]
		h /= 61
	}
	return string(b)
}
