package engine

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"
)

// Message is one turn of a conversation.
type Message struct {
	Role      string // "system", "user", "assistant" or "tool"
	Content   string
	ToolCalls []ToolCall // of an assistant's turn
	CallID    string     // of a tool's turn: the call that it answers
	Name      string     // of a tool's turn: the tool
}

// ToolCall is a model's request to call a function.
type ToolCall struct {
	ID        string
	Name      string
	Arguments string // a JSON object
}

// Tool is a function that a model may ask for.
type Tool struct {
	Name        string
	Description string
	Parameters  json.RawMessage // a JSON schema; none means no parameters
}

// ChatOptions says what a prompt tells besides the messages.
type ChatOptions struct {
	Tools []Tool
	Think bool // lets models that can think before they answer do so
}

// ErrTemplate is wrapped when a model's chat template cannot be used or refuses the messages.
var ErrTemplate = errors.New("chat template")

// Bounds of a template, which comes with the model's file and is no more trusted than it.
const (
	maxTemplate = 256 << 10 // bytes of source
	maxRendered = 16 << 20  // bytes
	maxRange    = 100_000   // numbers of a range()
	renderTime  = 10 * time.Second
)

// template turns messages into a prompt, as the file's Jinja source says.
type template struct {
	source string
	own    bool // it is the file's
	jinja  *exec.Template
	tools  bool // it tells the model of tools, and shows calls and their results

	mu    sync.Mutex
	order atomic.Pointer[keyOrder] // of what is being rendered
}

// chatML is what most models without a template of their own were tuned with.
const chatML = `{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`

// plainTurns is for models that were not tuned for conversation.
const plainTurns = `{% for m in messages %}{% if m.role == 'user' %}Question: {{ m.content }}

{% elif m.role == 'assistant' %}Answer: {{ m.content }}

{% else %}{{ m.content }}

{% endif %}{% endfor %}{% if add_generation_prompt %}Answer:{% endif %}`

func (m *Model) readTemplate() error {
	if m.vocab == nil {
		return nil
	}
	source, own := m.file.String("tokenizer.chat_template")
	if own = own && source != ""; !own {
		source = plainTurns
		switch _, ok := m.vocab.control["<|im_start|>"]; {
		case m.t5 != nil: // was trained for tasks, not for turns
			source = `{% for message in messages %}{{ message.content }}{% if not loop.last %} {% endif %}{% endfor %}` + m.vocab.name(m.vocab.eos)
		case ok:
			source = chatML
		}
	}
	err := m.useTemplate(source, own)
	if err != nil {
		// The model can still continue texts.
		m.cfg.Logger.Warn("the model's chat template cannot be read; a plain one is used", "error", err)
		err = m.useTemplate(plainTurns, false)
	}
	return err
}

// useTemplate makes source the template; own says that it is the file's.
func (m *Model) useTemplate(source string, own bool) error {
	t, err := parseTemplate(source)
	if err != nil {
		return err
	}
	t.own = own
	m.tmpl = t
	t.tools = own && strings.Contains(source, "tool") && m.showsTools()
	return nil
}

// showsTools tries whether the template writes tools, calls and results.
func (m *Model) showsTools() bool {
	const tool, argument, result = "tool_that_is_tried", "argument_that_is_tried", "result_that_is_tried"
	call := Message{Role: "assistant", ToolCalls: []ToolCall{{ID: "abcdefghi", Name: tool, Arguments: `{"x": "` + argument + `"}`}}}
	ask := Message{Role: "user", Content: "x"}
	text, _, err := m.render([]Message{ask, call, {Role: "tool", CallID: "abcdefghi", Name: tool, Content: result}}, ChatOptions{})
	if err != nil || !strings.Contains(text, argument) || !strings.Contains(text, result) {
		return false
	}
	text, _, err = m.render([]Message{ask}, ChatOptions{Tools: []Tool{{Name: tool, Parameters: json.RawMessage(`{"type": "object", "properties": {}}`)}}})
	return err == nil && strings.Contains(text, tool)
}

// Template is the source of the chat template in use, and whether it is the file's own.
func (m *Model) Template() (source string, own bool) {
	if m.tmpl == nil {
		return "", false
	}
	return m.tmpl.source, m.tmpl.own
}

// TemplateTools reports whether the chat template tells the model of tools. Messages with tool calls and
// results can then be given to [Model.Chat] as they are.
func (m *Model) TemplateTools() bool { return m.tmpl != nil && m.tmpl.tools }

func parseTemplate(source string) (t *template, err error) {
	if len(source) > maxTemplate {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTemplate, len(source), maxTemplate)
	}
	defer func() {
		if p := recover(); p != nil {
			t, err = nil, fmt.Errorf("%w: %v", ErrTemplate, p)
		}
	}()
	cfg := config.New()
	// As Hugging Face's library sets Jinja up.
	cfg.TrimBlocks, cfg.LeftStripBlocks = true, true
	// A loader of its own: the default one would let a template include files of this machine.
	loader, err := loaders.NewMemoryLoader(map[string]string{"/chat": source})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	globals := exec.EmptyContext().Update(builtins.GlobalFunctions).Update(builtins.GlobalVariables)
	globals.Set("range", boundedRange)
	globals.Set("raise_exception", func(_ *exec.Evaluator, args *exec.VarArgs) (any, error) {
		text := "the template refuses the messages"
		if len(args.Args) > 0 {
			text = args.Args[0].String()
		}
		return nil, errors.New(text)
	})
	globals.Set("strftime_now", func(_ *exec.Evaluator, args *exec.VarArgs) string {
		layout := "%Y-%m-%d"
		if len(args.Args) > 0 {
			layout = args.Args[0].String()
		}
		return strftime(time.Now(), layout)
	})
	t = &template{source: source}
	methods := builtins.Methods
	methods.Dict, methods.Str = exec.NewMethodSet(t.dictMethods()), exec.NewMethodSet(stringMethods())
	env := &exec.Environment{
		Context: globals, Filters: exec.NewFilterSet(map[string]exec.FilterFunction{}).Update(builtins.Filters), Tests: builtins.Tests,
		ControlStructures: builtins.ControlStructures, Methods: methods,
	}
	if err := errors.Join(env.Filters.Replace("tojson", t.toJSON), env.Filters.Replace("list", listFilter)); err != nil {
		return nil, err
	}
	t.jinja, err = exec.NewTemplate("/chat", cfg, loader, env)
	if err != nil {
		// The library puts the whole source into its errors.
		return nil, fmt.Errorf("%w: %s", ErrTemplate, tail(err.Error(), 300))
	}
	return t, nil
}

func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "…" + strings.ToValidUTF8(s[len(s)-n:], "")
}

// boundedRange is Jinja's range as a list that is bounded and needs no goroutine.
func boundedRange(_ *exec.Evaluator, args *exec.VarArgs) ([]int, error) {
	var n []int
	for _, a := range args.Args {
		if !a.IsInteger() {
			return nil, errors.New("range: want integers")
		}
		n = append(n, a.Integer())
	}
	start, stop, step := 0, 0, 1
	switch len(n) {
	case 1:
		stop = n[0]
	case 2:
		start, stop = n[0], n[1]
	case 3:
		start, stop, step = n[0], n[1], n[2]
	default:
		return nil, errors.New("range: want one to three integers")
	}
	if step == 0 {
		return nil, errors.New("range: the step is 0")
	}
	out := []int{}
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		if len(out) == maxRange {
			return nil, fmt.Errorf("range: over %d numbers", maxRange)
		}
		out = append(out, i)
	}
	return out, nil
}

var strftimeLayouts = strings.NewReplacer("%Y", "2006", "%m", "01", "%d", "02", "%B", "January", "%b", "Jan", "%H", "15",
	"%M", "04", "%S", "05", "%A", "Monday", "%a", "Mon", "%y", "06", "%%", "%")

func strftime(t time.Time, layout string) string { return t.Format(strftimeLayouts.Replace(layout)) }

// boundedWriter ends a template that writes without end.
type boundedWriter struct{ bytes.Buffer }

var errLong = fmt.Errorf("it writes more than %d MiB", maxRendered>>20)

// Write implements io.Writer.
func (w *boundedWriter) Write(b []byte) (int, error) {
	if w.Len()+len(b) > maxRendered {
		return 0, errLong
	}
	return w.Buffer.Write(b)
}

// WriteString implements io.StringWriter.
func (w *boundedWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

func (t *template) render(values map[string]any, order keyOrder) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.order.Store(&order)
	type outcome struct {
		text string
		err  error
	}
	done := make(chan outcome, 1)
	// A template cannot be stopped from outside; one that takes too long is left behind.
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- outcome{err: fmt.Errorf("%v", p)}
			}
		}()
		var w boundedWriter
		err := t.jinja.Execute(&w, exec.NewContext(values))
		done <- outcome{w.String(), err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			return "", fmt.Errorf("%w: %s", ErrTemplate, tail(o.err.Error(), 500))
		}
		return o.text, nil
	case <-time.After(renderTime):
		return "", fmt.Errorf("%w: it takes more than %s", ErrTemplate, renderTime)
	}
}

// Chat is the prompt that asks for the next turn of a conversation. What the messages and the tools say is
// only ever text: special tokens written in them are cut like other words, and cannot end a turn.
func (m *Model) Chat(messages []Message, opts ChatOptions) ([]int32, error) {
	if m.vocab == nil {
		return nil, errNoTokenizer
	}
	text, guard, err := m.render(messages, opts)
	if err != nil {
		return nil, err
	}
	return m.encode(text, guard.restore())
}

// render is the prompt as text, in which the guard hides what is not the template's.
func (m *Model) render(messages []Message, opts ChatOptions) (string, *guard, error) {
	guard, err := m.vocab.newGuard()
	if err != nil {
		return "", nil, err
	}
	order := keyOrder{}
	turns := func(fold bool) (jinjaList, error) {
		var out jinjaList
		for i, msg := range messages {
			content := guard.hide(msg.Content)
			if fold && msg.Role == "system" {
				continue
			}
			if fold && i > 0 && messages[i-1].Role == "system" {
				content = guard.hide(messages[i-1].Content) + "\n\n" + content
			}
			turn := map[string]any{"role": msg.Role, "content": content}
			if msg.Role == "tool" {
				turn["tool_call_id"], turn["name"] = guard.hide(msg.CallID), guard.hide(msg.Name)
			}
			var calls jinjaList
			for _, c := range msg.ToolCalls {
				arguments, err := order.read([]byte(c.Arguments), guard.hide)
				if _, isObject := arguments.(map[string]any); err != nil || !isObject {
					return nil, fmt.Errorf("%w: the arguments of a call of %s are no JSON object: %s", ErrTemplate, c.Name, tail(c.Arguments, 100))
				}
				function := order.object("name", guard.hide(c.Name), "arguments", arguments)
				calls = append(calls, order.object("id", guard.hide(c.ID), "type", "function", "function", function))
			}
			if calls != nil {
				turn["tool_calls"] = calls
			}
			out = append(out, turn)
		}
		return out, nil
	}
	var tools any
	if len(opts.Tools) > 0 {
		var list jinjaList
		for _, t := range opts.Tools {
			parameters, err := order.read(t.Parameters, guard.hide)
			if err != nil {
				return "", nil, fmt.Errorf("%w: the parameters of tool %s: %w", ErrTemplate, t.Name, err)
			}
			function := order.object("name", guard.hide(t.Name), "description", guard.hide(t.Description), "parameters", parameters)
			list = append(list, order.object("type", "function", "function", function))
		}
		tools = list
	}
	values := map[string]any{
		"add_generation_prompt": true, "tools": tools, "documents": nil,
		"bos_token": m.vocab.name(m.vocab.bos), "eos_token": m.vocab.name(m.vocab.eos), "enable_thinking": opts.Think,
	}
	if values["messages"], err = turns(false); err != nil {
		return "", nil, err
	}
	text, err := m.tmpl.render(values, order)
	if err != nil && len(messages) > 1 && messages[0].Role == "system" {
		// Some templates (gemma's, early Mistral's) refuse a system turn: it then opens the first question.
		folded, _ := turns(true)
		values["messages"] = folded
		if folded, again := m.tmpl.render(values, order); again == nil {
			text, err = folded, nil
		}
	}
	return text, guard, err
}

// guard keeps special tokens' names in untrusted text apart from those that a template writes: it
// replaces them by words that nobody can guess, and puts them back after the template's own have been
// read.
type guard struct {
	hidden *strings.Replacer
	back   *strings.Replacer
}

func (v *vocabulary) newGuard() (*guard, error) {
	var nonce [8]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, err
	}
	var to, from []string
	n := 0
	// Longest first within a first byte: strings.Replacer takes the first of its pairs that fits.
	for b := range 256 {
		for _, name := range v.special[byte(b)] {
			word := fmt.Sprintf("\ue000%x.%d\ue001", nonce, n)
			n++
			to, from = append(to, name, word), append(from, word, name)
		}
	}
	return &guard{strings.NewReplacer(to...), strings.NewReplacer(from...)}, nil
}

func (g *guard) hide(s string) string       { return g.hidden.Replace(s) }
func (g *guard) restore() *strings.Replacer { return g.back }
