package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"unicode"

	"github.com/tmc/langchaingo/llms"
	"golang.org/x/term"

	"docent/chain"
	"docent/internal/llm"
)

type chatCmd struct {
	System        string   `placeholder:"TEXT" help:"What the model is told before the conversation."`
	N             int      `short:"n" default:"0" placeholder:"TOKENS" help:"The most tokens of an answer; 0 means until the context window is full."`
	Stop          []string `placeholder:"TEXT" sep:"none" help:"End an answer before this text; may be given several times."`
	Think         bool     `help:"Let models that can think before they answer do so, and show it."`
	samplingFlags `kong:"set='temperature=0.7',set='topk=0',set='topp=0.9',set='minp=0'"`
	formFlags
	modelFlags
}

const chatHelp = `/help          this list
/system TEXT   tell the model something before the conversation; without TEXT nothing
/reset         forget the conversation
/save FILE     write the conversation as Markdown, or as JSON where FILE ends in .json
/quit          end; so does ctrl-D

A line that ends in \ goes on in the next; """ on a line begins and ends several lines.
ctrl-C stops the answer; what has come of it stays in the conversation.`

// conversation is a chat with a model.
type conversation struct {
	*app
	cmd    *chatCmd
	model  llms.Model
	system string
	turns  []llms.MessageContent
	seed   int
	calls  []llms.CallOption // of every answer
}

func (c *chatCmd) Run(ctx context.Context, a *app) error {
	sel, err := llm.Open(ctx, a.llmConfig(c.modelFlags, nil))
	if err != nil {
		return err
	}
	if sel.Provider == llm.ExtractiveAnswer {
		why := "no language model is installed or configured"
		if sel.Notice != "" {
			why = sel.Notice
		}
		return fmt.Errorf("a chat needs a language model: %s; name a file with --model FILE.gguf or a server with --model-url", why)
	}
	if m, ok := sel.Model.(*llm.LocalModel); ok {
		defer m.Close()
	}
	if sel.Notice != "" {
		a.notice("%s", sel.Notice)
	}
	calls, err := callOptions(c.samplingFlags, c.formFlags)
	if err != nil {
		return err
	}
	calls = append(calls, llms.WithMaxTokens(c.N), llms.WithStopWords(c.Stop))
	v := &conversation{app: a, cmd: c, model: sel.Model, system: c.System, seed: int(c.Seed), calls: calls}
	in, err := a.newLineReader()
	if err != nil {
		return err
	}
	defer in.Close()
	if in.terminal() {
		fmt.Fprintf(a.stdout, "%s. /help lists the commands, ctrl-D ends.\n", sel.Name)
	}
	// An interrupt ends an answer, not the program, so the context that ends with it is left behind.
	ctx = context.WithoutCancel(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	for {
		text, err := in.message(signals)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if strings.HasPrefix(text, "/") && !strings.Contains(text, "\n") {
			if quit := v.command(text); quit {
				return nil
			}
			continue
		}
		ended, err := v.answer(ctx, signals, text)
		if err != nil {
			if !in.terminal() {
				return err
			}
			a.notice("%v", explain(err, a))
		}
		if ended {
			return nil
		}
	}
}

// command does what a line that begins with / asks for.
func (v *conversation) command(line string) (quit bool) {
	name, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch name {
	case "/quit", "/exit", "/bye":
		return true
	case "/help", "/?":
		fmt.Fprintln(v.stdout, chatHelp)
	case "/reset":
		v.turns = nil
		v.notice("The conversation is forgotten.")
	case "/system":
		v.system = rest
		if rest == "" {
			v.notice("The model is told nothing before the conversation.")
		} else {
			v.notice("The model is told so from now on.")
		}
	case "/save":
		if rest == "" {
			v.notice("Where to? /save FILE")
			break
		}
		if err := v.save(rest); err != nil {
			v.notice("%v", err)
		} else {
			v.notice("Saved in %s.", rest)
		}
	default:
		v.notice("There is no %s; /help lists the commands.", name)
	}
	return false
}

// answer asks the model and prints what comes. ended says that the program was told to end.
func (v *conversation) answer(ctx context.Context, signals <-chan os.Signal, text string) (ended bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	stopped := make(chan os.Signal, 1)
	go func() {
		select {
		case s := <-signals:
			stopped <- s
			cancel()
		case <-done:
		}
	}()
	v.turns = append(v.turns, llms.TextParts(llms.ChatMessageTypeHuman, text))
	var said strings.Builder
	dim := false
	write := func(s string, thought bool) error {
		if v.JSON {
			return nil
		}
		if isTerminal(v.stdout) && thought != dim {
			dim = thought
			code := "\x1b[0m"
			if thought {
				code = "\x1b[2m"
			}
			if _, err := io.WriteString(v.stdout, code); err != nil {
				return err
			}
		}
		_, err := io.WriteString(v.stdout, printable(s))
		return err
	}
	options := append(slices.Clone(v.calls), llms.WithSeed(v.seed),
		llms.WithStreamingFunc(func(_ context.Context, b []byte) error {
			said.Write(b)
			return write(string(b), false)
		}))
	if v.cmd.Think {
		options = append(options, llms.WithThinkingMode(llms.ThinkingModeMedium), llms.WithStreamingReasoningFunc(func(_ context.Context, thought, _ []byte) error {
			return write(string(thought), true)
		}))
	}
	v.seed++
	resp, err := v.model.GenerateContent(ctx, v.messages(), options...)
	for err != nil && llm.IsContextOverflow(err) && len(v.turns) > 2 {
		v.turns = v.turns[2:]
		v.notice("The conversation no longer fits; its beginning is left out.")
		resp, err = v.model.GenerateContent(ctx, v.messages(), options...)
	}
	if dim {
		_ = write("", false)
	}
	var by os.Signal
	select {
	case by = <-stopped:
	default:
	}
	switch {
	case by != nil && errors.Is(err, context.Canceled):
		err = nil
		if !v.JSON {
			fmt.Fprintln(v.stdout, " …")
		}
	case err != nil:
		v.turns = v.turns[:len(v.turns)-1]
		return by == syscall.SIGTERM, err
	case v.JSON:
		var usage chain.Usage
		usage.Add(resp.Choices[0])
		err = v.printJSON(map[string]any{"role": "assistant", "content": resp.Choices[0].Content, "reasoning": resp.Choices[0].ReasoningContent, "stop_reason": resp.Choices[0].StopReason, "usage": usage})
	default:
		_, err = fmt.Fprintln(v.stdout)
	}
	v.turns = append(v.turns, llms.TextParts(llms.ChatMessageTypeAI, said.String()))
	return by == syscall.SIGTERM, err
}

func (v *conversation) messages() []llms.MessageContent {
	if v.system == "" {
		return v.turns
	}
	return append([]llms.MessageContent{llms.TextParts(llms.ChatMessageTypeSystem, v.system)}, v.turns...)
}

// printable takes out what could change the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}

// save writes the conversation to a file.
func (v *conversation) save(path string) error {
	type turn struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	roles := map[llms.ChatMessageType]string{llms.ChatMessageTypeSystem: "system", llms.ChatMessageTypeHuman: "user", llms.ChatMessageTypeAI: "assistant"}
	turns := []turn{}
	var b strings.Builder
	for _, m := range v.messages() {
		text, _ := m.Parts[0].(llms.TextContent)
		turns = append(turns, turn{roles[m.Role], text.Text})
		fmt.Fprintf(&b, "## %s\n\n%s\n\n", roles[m.Role], text.Text)
	}
	data := []byte(b.String())
	if strings.HasSuffix(path, ".json") {
		var err error
		if data, err = json.MarshalIndent(turns, "", "  "); err != nil {
			return err
		}
		data = append(data, '\n')
	}
	return os.WriteFile(path, data, 0o600)
}

// lineReader reads what a person or a program types.
type lineReader struct {
	term  *term.Terminal // nil where it is no terminal
	fd    int
	plain *bufio.Reader
	lines chan line
}

type line struct {
	text   string
	pasted bool
	err    error
}

func (a *app) newLineReader() (*lineReader, error) {
	f, ok := a.stdin.(*os.File)
	if !ok || !isTerminal(a.stdin) || !isTerminal(a.stdout) {
		return &lineReader{plain: bufio.NewReader(a.stdin), lines: make(chan line, 1)}, nil
	}
	r := &lineReader{fd: int(f.Fd()), lines: make(chan line, 1)}
	r.term = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{interrupts{a.stdin}, a.stdout}, "> ")
	r.term.SetBracketedPasteMode(true)
	return r, nil
}

// interrupts makes ctrl-C clear the line that is being typed, which the terminal would take for the end.
type interrupts struct{ io.Reader }

// Read implements io.Reader.
func (r interrupts) Read(b []byte) (int, error) {
	const ctrlC, ctrlU = 3, 21
	n, err := r.Reader.Read(b)
	for i := range n {
		if b[i] == ctrlC {
			b[i] = ctrlU
		}
	}
	return n, err
}

func (r *lineReader) terminal() bool { return r.term != nil }

// Close leaves the terminal as it was found.
func (r *lineReader) Close() {
	if r.term != nil {
		r.term.SetBracketedPasteMode(false)
	}
}

// message reads a line, or several that belong together. A signal ends the input.
func (r *lineReader) message(signals <-chan os.Signal) (string, error) {
	var parts []string
	quoted := false
	for {
		l := r.next(signals, len(parts) > 0 || quoted)
		if l.err != nil {
			if len(parts) > 0 && errors.Is(l.err, io.EOF) {
				return strings.Join(parts, "\n"), nil
			}
			return "", l.err
		}
		switch text := strings.TrimRight(l.text, " \t\r"); {
		case text == `"""`:
			if quoted {
				return strings.Join(parts, "\n"), nil
			}
			quoted = true
			continue
		case quoted || l.pasted:
			parts = append(parts, l.text)
			continue
		case strings.HasSuffix(text, `\`):
			parts = append(parts, strings.TrimSuffix(text, `\`))
			continue
		}
		return strings.Join(append(parts, l.text), "\n"), nil
	}
}

func (r *lineReader) next(signals <-chan os.Signal, more bool) line {
	if r.term == nil {
		go func() {
			text, err := r.plain.ReadString('\n')
			if text != "" && errors.Is(err, io.EOF) {
				err = nil // a last line without an end
			}
			r.lines <- line{text: strings.TrimSuffix(text, "\n"), err: err}
		}()
		return r.wait(signals)
	}
	old, err := term.MakeRaw(r.fd)
	if err != nil {
		return line{err: fmt.Errorf("terminal: %w", err)}
	}
	defer func() { _ = term.Restore(r.fd, old) }()
	if width, height, err := term.GetSize(r.fd); err == nil {
		_ = r.term.SetSize(width, height)
	}
	r.term.SetPrompt("> ")
	if more {
		r.term.SetPrompt(". ")
	}
	go func() {
		text, err := r.term.ReadLine()
		pasted := errors.Is(err, term.ErrPasteIndicator)
		if pasted {
			err = nil
		}
		r.lines <- line{text, pasted, err}
	}()
	return r.wait(signals)
}

// wait is for a line, or a signal that ends the program: on a terminal a key is no signal while a line is
// typed, so an interrupt was meant for the answer before.
func (r *lineReader) wait(signals <-chan os.Signal) line {
	for {
		select {
		case l := <-r.lines:
			return l
		case s := <-signals:
			if r.term == nil || s != os.Interrupt {
				return line{err: io.EOF}
			}
		}
	}
}
