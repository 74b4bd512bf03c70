package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"docent/agent"
	"docent/chain"
	"docent/internal/llm"
)

type askCmd struct {
	Collection string   `short:"c" xor:"from" placeholder:"NAME" help:"The collection; 'default' unless --docs is given."`
	Docs       string   `xor:"from" type:"path" placeholder:"DIR" help:"Answer from this folder or file, which is ingested first and kept up to date."`
	Choices    []string `placeholder:"A,B,C" help:"Answer with one of these, by how likely the language model finds each."`
	Scoring    string   `enum:"likelihood,token,byte,pmi" default:"likelihood" help:"How a .gguf model compares choices: ${enum}. 'token' and 'byte' even out their lengths, 'pmi' how much each is expected anyway."`
	Adapter    string   `placeholder:"NAME" help:"Which of several --lora adapters answers, by its file's name without .gguf, or 'none'."`
	Style      string   `placeholder:"NAME" config:"style" help:"Prompt style: plain, examples, reasoning or examples+reasoning."`
	retrievalFlags
	modelFlags
	Question []string `arg:"" help:"The question."`
}

func (c *askCmd) Run(ctx context.Context, a *app) error {
	question, err := oneText(c.Question, "question")
	if err != nil {
		return err
	}
	l, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	sel, err := llm.Open(ctx, a.llmConfig(c.modelFlags, l.encoder)) // before a long ingestion, since it may fail
	if err != nil {
		return err
	}
	collection := orDefault(c.Collection)
	incomplete := false
	if c.Docs != "" {
		if collection, incomplete, err = a.ingestFolder(ctx, l, c.Docs); err != nil {
			return err
		}
	} else if _, err := l.collection(ctx, collection); err != nil {
		return err
	}
	qa, err := a.qa(l, collection, sel, c.modelFlags, c.retrievalFlags, c.Style)
	if err != nil {
		return err
	}
	if err := a.answer(qa.Stream(ctx, chain.Question{Text: question, Choices: c.Choices, Scoring: chain.Scoring(c.Scoring), Adapter: c.Adapter})); err != nil {
		return err
	}
	if incomplete {
		return errReported
	}
	return nil
}

// ingestFolder keeps a collection of its own for a folder. A file that cannot be read does not stop
// the answer, but the command then does not count as done.
func (a *app) ingestFolder(ctx context.Context, l *library, dir string) (collection string, incomplete bool, err error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", false, err
	}
	if _, err := os.Stat(abs); err != nil {
		return "", false, fmt.Errorf("--docs %s: no such folder", dir)
	}
	collection = fmt.Sprintf("docs-%x", sha256.Sum256([]byte(abs)))[:len("docs-")+12]
	r := &ingestRun{app: a, collection: collection, prune: true, quiet: true}
	if err := r.do(ctx, l, []string{abs}); err != nil {
		return "", false, err
	}
	if r.counts["ingested"]+r.counts["partial"]+r.counts["unchanged"] == 0 {
		return "", false, fmt.Errorf("--docs %s: no file in it could be read", dir)
	}
	return collection, r.counts["failed"] > 0, nil
}

type agentCmd struct {
	Collection string `short:"c" default:"default" placeholder:"NAME" help:"The collection that is searched."`
	MaxSteps   int    `default:"8" placeholder:"N" config:"agent.max_steps" help:"The most calls of the model."`
	retrievalFlags
	modelFlags
	Goal []string `arg:"" help:"What is to be found out."`
}

func (c *agentCmd) Run(ctx context.Context, a *app) error {
	goal, err := oneText(c.Goal, "goal")
	if err != nil {
		return err
	}
	l, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	sel, err := llm.Open(ctx, a.llmConfig(c.modelFlags, l.encoder))
	if err != nil {
		return err
	}
	if sel.Provider == llm.ExtractiveAnswer {
		if sel.Notice != "" {
			return fmt.Errorf("%w\n%s", agent.ErrNoModel, sel.Notice)
		}
		return agent.ErrNoModel
	}
	if _, err := l.collection(ctx, c.Collection); err != nil {
		return err
	}
	ag, err := a.agent(l, c.Collection, sel, c.modelFlags, c.retrievalFlags, c.MaxSteps)
	if err != nil {
		return err
	}
	return a.answer(ag.Stream(ctx, goal))
}

// answer prints what a chain or an agent says: to a terminal as it comes, elsewhere once it is
// checked. Steps and thoughts go to the standard error.
func (a *app) answer(events iter.Seq2[chain.Event, error]) error {
	live := isTerminal(a.stdout) && !a.JSON
	var streamed strings.Builder
	endLine := func() {
		if streamed.Len() > 0 {
			fmt.Fprintln(a.stdout)
		}
	}
	for ev, err := range events {
		if err != nil {
			endLine()
			return err
		}
		switch ev := ev.(type) {
		case chain.Token:
			if live {
				fmt.Fprint(a.stdout, ev.Text)
				streamed.WriteString(ev.Text)
			}
		case chain.ToolCall:
			endLine()
			streamed.Reset()
			a.notice("> %s: %s", ev.Name, clip(strings.Join(strings.Fields(ev.Input), " "), 200))
		case chain.ToolResult:
			text := ev.Output
			if ev.Error != "" {
				text = "error: " + ev.Error
			}
			a.notice("< %s", clip(strings.Join(strings.Fields(text), " "), 200))
		case chain.Done:
			endLine()
			return a.printAnswer(ev.Answer, streamed.String())
		}
	}
	return errors.New("the answer ended before it was complete")
}

// citationJSON is a chain.Citation whose page is null, not absent, where the format has none.
type citationJSON struct {
	chain.Citation
	Page *int `json:"page"`
}

type answerJSON struct {
	chain.Answer
	Citations []citationJSON `json:"citations"`
}

func (a *app) printAnswer(ans chain.Answer, streamed string) error {
	if a.JSON {
		out := answerJSON{Answer: ans, Citations: []citationJSON{}}
		for _, c := range ans.Citations {
			cj := citationJSON{Citation: c}
			if c.Page > 0 {
				cj.Page = &c.Page
			}
			out.Citations = append(out.Citations, cj)
		}
		return a.printJSON(out)
	}
	switch text := strings.TrimSpace(ans.Text); {
	case streamed == "":
		fmt.Fprintln(a.stdout, text)
	case strings.TrimSpace(streamed) != text:
		fmt.Fprintf(a.stdout, "\nChecked answer:\n%s\n", text)
	}
	for _, c := range ans.Choices {
		a.notice("%5.1f %%  %s", 100*c.Probability, c.Text)
	}
	if len(ans.Citations) > 0 {
		fmt.Fprintln(a.stdout)
	}
	for _, c := range ans.Citations {
		fmt.Fprintf(a.stdout, "[%d] %s\n", c.N, place(shown(c.Path), c.Page, 0, c.Headings, c.Labels))
		if c.Quote != "" {
			fmt.Fprintf(a.stdout, "    %q\n", clip(strings.Join(strings.Fields(c.Quote), " "), 240))
		}
	}
	if ans.Notice != "" {
		a.notice("\n%s", ans.Notice)
	}
	return nil
}

func orDefault(collection string) string {
	if collection == "" {
		return defaultCollection
	}
	return collection
}
