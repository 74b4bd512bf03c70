package engine

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string // "system", "user", "assistant" or "tool"
	Content string
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
	jinja *exec.Template
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
	source, _ := m.file.String("tokenizer.chat_template")
	if source == "" {
		source = plainTurns
		if _, ok := m.vocab.control["<|im_start|>"]; ok {
			source = chatML
		}
	}
	t, err := parseTemplate(source)
	if err != nil {
		// The model can still continue texts.
		m.cfg.Logger.Warn("the model's chat template cannot be read; a plain one is used", "error", err)
		if t, err = parseTemplate(plainTurns); err != nil {
			return err
		}
	}
	m.tmpl = t
	return nil
}

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
	env := &exec.Environment{
		Context: globals, Filters: builtins.Filters, Tests: builtins.Tests,
		ControlStructures: builtins.ControlStructures, Methods: builtins.Methods,
	}
	jinja, err := exec.NewTemplate("/chat", cfg, loader, env)
	if err != nil {
		// The library puts the whole source into its errors.
		return nil, fmt.Errorf("%w: %s", ErrTemplate, tail(err.Error(), 300))
	}
	return &template{jinja}, nil
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

func (t *template) render(values map[string]any) (string, error) {
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

// Chat is the prompt that asks for the next turn of a conversation. What the messages say is only ever
// text: special tokens written in them are cut like other words, and cannot end a turn.
func (m *Model) Chat(messages []Message) ([]int32, error) {
	if m.vocab == nil {
		return nil, fmt.Errorf("%w: the file has no tokenizer", ErrUnsupported)
	}
	guard, err := m.vocab.newGuard()
	if err != nil {
		return nil, err
	}
	turns := func(fold bool) []any {
		var out []any
		for i, msg := range messages {
			content := guard.hide(msg.Content)
			if fold && msg.Role == "system" {
				continue
			}
			if fold && i > 0 && messages[i-1].Role == "system" {
				content = guard.hide(messages[i-1].Content) + "\n\n" + content
			}
			out = append(out, map[string]any{"role": msg.Role, "content": content})
		}
		return out
	}
	values := map[string]any{
		"messages": turns(false), "add_generation_prompt": true, "tools": nil, "documents": nil,
		"bos_token": m.vocab.name(m.vocab.bos), "eos_token": m.vocab.name(m.vocab.eos), "enable_thinking": false,
	}
	text, err := m.tmpl.render(values)
	if err != nil && len(messages) > 1 && messages[0].Role == "system" {
		// Some templates (gemma's, early Mistral's) refuse a system turn: it then opens the first question.
		values["messages"] = turns(true)
		if folded, again := m.tmpl.render(values); again == nil {
			text, err = folded, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return m.encode(text, guard.restore())
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
