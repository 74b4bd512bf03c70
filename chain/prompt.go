package chain

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/tmc/langchaingo/llms"
	"gopkg.in/yaml.v3"

	"docent/internal/prose"
	"docent/retriever"
)

//go:embed templates/*.yaml
var builtinTemplates embed.FS

// The prompt styles that are built in.
const (
	StylePlain             = "plain"
	StyleExamples          = "examples"           // worked examples in the context
	StyleReasoning         = "reasoning"          // thinks first, apart from the answer
	StyleExamplesReasoning = "examples+reasoning" // both
)

// promptFile is a prompt style as a YAML file writes it; docs/prompts.md describes the fields.
type promptFile struct {
	Name      string          `yaml:"name"`
	Language  string          `yaml:"language"`
	Extends   string          `yaml:"extends"`
	System    string          `yaml:"system"`
	Passage   string          `yaml:"passage"`
	User      string          `yaml:"user"`
	Reasoning *bool           `yaml:"reasoning"`
	Examples  []promptExample `yaml:"examples"`

	file string // where it came from
}

type promptExample struct {
	Question string   `yaml:"question"`
	Passages []string `yaml:"passages"`
	Thought  string   `yaml:"thought"`
	Answer   string   `yaml:"answer"`
}

// style is a prompt style ready for use.
type style struct {
	name, language        string
	reasoning             bool
	system, passage, user *template.Template
	examples              []llms.MessageContent // rendered: question and answer in turn
}

// What the templates are given.
type (
	systemData  struct{ Decline string } // the sentence that says that there is no answer
	passageData struct {
		N, Page, LastPage     int // pages are 0 where the source has none
		Source, Section, Lead string
		Text                  string
	}
	userData struct {
		Question string
		Passages []string // each rendered by the passage template
	}
)

type styleKey struct{ name, language string }

// promptSet holds the styles by name and language.
type promptSet map[styleKey]*style

// names lists the styles, sorted.
func (p promptSet) names() []string {
	set := map[string]bool{}
	for k := range p {
		set[k.name] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// find returns the style in language, else in English, else in any.
func (p promptSet) find(name, language string) (*style, bool) {
	for _, lang := range []string{language, "en"} {
		if s, ok := p[styleKey{name, lang}]; ok {
			return s, true
		}
	}
	var langs []string
	for k := range p {
		if k.name == name {
			langs = append(langs, k.language)
		}
	}
	if len(langs) == 0 {
		return nil, false
	}
	slices.Sort(langs)
	return p[styleKey{name, langs[0]}], true
}

// loadPrompts reads the built-in styles and, over them, those of dir.
func loadPrompts(dir string) (promptSet, error) {
	files := map[styleKey]*promptFile{}
	if err := readPrompts(files, builtinTemplates, "templates", ""); err != nil {
		return nil, err
	}
	if dir != "" {
		if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("prompt folder: %w", err)
		}
		if err := readPrompts(files, os.DirFS(dir), ".", dir); err != nil {
			return nil, err
		}
	}
	set := promptSet{}
	for _, k := range slices.SortedFunc(maps.Keys(files), func(a, b styleKey) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.language, b.language))
	}) {
		s, err := compilePrompt(files, k)
		if err != nil {
			return nil, err
		}
		set[k] = s
	}
	return set, nil
}

var (
	styleName     = regexp.MustCompile(`^[a-z0-9][a-z0-9+_-]{0,63}$`)
	styleLanguage = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]+)*$`)
)

func readPrompts(into map[styleKey]*promptFile, fsys fs.FS, dir, shown string) error {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return fmt.Errorf("prompt folder %s: %w", cmp.Or(shown, dir), err)
	}
	seen := map[styleKey]string{}
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if e.IsDir() || ext != ".yaml" && ext != ".yml" {
			continue
		}
		name := filepath.Join(cmp.Or(shown, dir), e.Name())
		b, err := fs.ReadFile(fsys, cmp.Or(strings.TrimPrefix(dir+"/", "./"), "")+e.Name())
		if err != nil {
			return fmt.Errorf("prompt file: %w", err)
		}
		f := &promptFile{file: name}
		d := yaml.NewDecoder(strings.NewReader(string(b)))
		d.KnownFields(true)
		if err := d.Decode(f); err != nil {
			return fmt.Errorf("prompt file %s: %w", name, err)
		}
		if !styleName.MatchString(f.Name) {
			return fmt.Errorf("prompt file %s: name: %q: want small letters, digits, +, - and _", name, f.Name)
		}
		f.Language = cmp.Or(f.Language, "en")
		if !styleLanguage.MatchString(f.Language) {
			return fmt.Errorf("prompt file %s: language: %q: want a code such as en or zh", name, f.Language)
		}
		k := styleKey{f.Name, f.Language}
		if other, ok := seen[k]; ok {
			return fmt.Errorf("prompt file %s: name: style %q in %q is also defined by %s", name, f.Name, f.Language, other)
		}
		seen[k] = name
		// A user's "plain" may extend the built-in "plain".
		if base, ok := into[k]; ok && f.Extends == f.Name {
			merged := inherit(*f, *base)
			merged.Extends = base.Extends
			f = &merged
		}
		into[k] = f
	}
	return nil
}

// inherit fills what f leaves out from base.
func inherit(f, base promptFile) promptFile {
	f.System = cmp.Or(f.System, base.System)
	f.Passage = cmp.Or(f.Passage, base.Passage)
	f.User = cmp.Or(f.User, base.User)
	if f.Reasoning == nil {
		f.Reasoning = base.Reasoning
	}
	if f.Examples == nil {
		f.Examples = base.Examples
	}
	return f
}

func compilePrompt(files map[styleKey]*promptFile, k styleKey) (*style, error) {
	f := *files[k]
	fail := func(field, format string, args ...any) error {
		return fmt.Errorf("prompt file %s: %s: %w", f.file, field, fmt.Errorf(format, args...))
	}
	for seen := map[string]bool{f.Name: true}; f.Extends != ""; {
		base, ok := files[styleKey{f.Extends, f.Language}]
		if !ok {
			base, ok = files[styleKey{f.Extends, "en"}]
		}
		if !ok {
			return nil, fail("extends", "there is no style %q", f.Extends)
		}
		if seen[base.Name] {
			return nil, fail("extends", "style %q extends itself", f.Name)
		}
		seen[base.Name] = true
		f = inherit(f, *base)
		f.Extends = base.Extends
	}
	s := &style{name: f.Name, language: f.Language, reasoning: f.Reasoning != nil && *f.Reasoning}
	for _, t := range []struct {
		field, text string
		into        **template.Template
	}{{"system", f.System, &s.system}, {"passage", f.Passage, &s.passage}, {"user", f.User, &s.user}} {
		if strings.TrimSpace(t.text) == "" {
			return nil, fail(t.field, "is missing")
		}
		parsed, err := template.New(t.field).Option("missingkey=error").Parse(strings.TrimRight(t.text, "\n"))
		if err != nil {
			return nil, fail(t.field, "%w", err)
		}
		*t.into = parsed
	}
	// Try each with marked values: a template that loses the question would go unnoticed for long.
	if _, err := render(s.system, systemData{Decline: declineText(f.Language)}); err != nil {
		return nil, fail("system", "%w", err)
	}
	p, err := render(s.passage, passageData{N: 7654, Source: "source", Text: "passage text"})
	switch {
	case err != nil:
		return nil, fail("passage", "%w", err)
	case !strings.Contains(p, "passage text"):
		return nil, fail("passage", "does not use {{.Text}}")
	case !strings.Contains(p, "7654"):
		return nil, fail("passage", "does not use {{.N}}")
	}
	u, err := render(s.user, userData{Question: "the question", Passages: []string{"passage one", "passage two"}})
	switch {
	case err != nil:
		return nil, fail("user", "%w", err)
	case !strings.Contains(u, "the question"):
		return nil, fail("user", "does not use {{.Question}}")
	case !strings.Contains(u, "passage one") || !strings.Contains(u, "passage two"):
		return nil, fail("user", "does not use {{range .Passages}}{{.}}{{end}}")
	}
	for i, e := range f.Examples {
		field := fmt.Sprintf("examples[%d]", i)
		if e.Question == "" || e.Answer == "" {
			return nil, fail(field, "needs a question and an answer")
		}
		answer, err := template.New(field).Option("missingkey=error").Parse(e.Answer)
		if err != nil {
			return nil, fail(field+".answer", "%w", err)
		}
		reply, err := render(answer, systemData{Decline: declineText(f.Language)})
		if err != nil {
			return nil, fail(field+".answer", "%w", err)
		}
		for _, m := range markers(reply) {
			if m.n < 1 || m.n > len(e.Passages) {
				return nil, fail(field+".answer", "cites [%d], but there are %d passages", m.n, len(e.Passages))
			}
		}
		if s.reasoning && e.Thought != "" {
			reply = "<think>" + e.Thought + "</think>\n" + reply
		}
		var ps []source
		for j, text := range e.Passages {
			ps = append(ps, source{Passage: Passage{N: j + 1, Document: fmt.Sprintf("example-%d", j+1), Text: text}})
		}
		ask, err := s.ask(e.Question, ps)
		if err != nil {
			return nil, fail(field, "%w", err)
		}
		s.examples = append(s.examples, llms.TextParts(llms.ChatMessageTypeHuman, ask), llms.TextParts(llms.ChatMessageTypeAI, reply))
	}
	return s, nil
}

func render(t *template.Template, data any) (string, error) {
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		var e template.ExecError
		if errors.As(err, &e) {
			return "", e.Err
		}
		return "", err
	}
	return b.String(), nil
}

// source is a passage and what its reader would miss beside it.
type source struct {
	Passage
	lead    string // such as the header row of a table that was split
	context string // as it was indexed

	similarity float64 // with what was searched, by the encoder; 0 when that was not asked
}

// section is where in its document a passage stands.
func (p Passage) section() string {
	parts := p.Labels
	if len(p.Headings) > 0 {
		parts = append([]string{strings.Join(p.Headings, " > ")}, parts...)
	}
	return strings.Join(parts, ", ")
}

// one renders a passage. Its text and its names are data: see neutral.
func (s *style) one(p source) (string, error) {
	return render(s.passage, passageData{
		N: p.N, Page: p.Page, LastPage: p.LastPage,
		Source: attribute(cmp.Or(p.Document, p.Path)), Section: attribute(p.section()),
		Lead: neutral(p.lead), Text: neutral(p.Text),
	})
}

// ask renders the user's message.
func (s *style) ask(question string, passages []source) (string, error) {
	data := userData{Question: neutral(question)}
	for _, p := range passages {
		text, err := s.one(p)
		if err != nil {
			return "", err
		}
		data.Passages = append(data.Passages, text)
	}
	return render(s.user, data)
}

var (
	fenceTag   = regexp.MustCompile(`(?i)<(\s*/?\s*(?:passage|think|system|instructions?))`)
	controlTag = regexp.MustCompile(`<\|([^|<>\n]{1,60})\|>|\[(/?INST)\]|<<(/?SYS)>>|<(/?s)>|<(/?)(start_of_turn|end_of_turn|bos|eos)>`)
)

// neutral takes from text of documents what could close its fence or pass for a turn of the
// conversation: tags of ours, and the control tokens of chat templates, which some servers read in text.
// A reader sees the same words.
func neutral(text string) string {
	text = fenceTag.ReplaceAllString(text, "&lt;$1")
	return controlTag.ReplaceAllStringFunc(text, func(m string) string {
		return strings.NewReplacer("<", "&lt;", "[", "&#91;").Replace(m)
	})
}

// attribute makes text fit between the quotes of a fence's attribute.
func attribute(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return strings.NewReplacer(`"`, "'", "<", "‹", ">", "›").Replace(neutral(text))
}

// declineText says that the documents hold no answer.
func declineText(language string) string {
	if language == "zh" {
		return "文档中没有这个问题的答案。"
	}
	return "The documents do not hold an answer to this question."
}

// noticeText says that no language model is installed, in the language of the question.
func noticeText(question string, declined bool) string {
	if prose.IsChinese(question) {
		said := "没有安装语言模型：以下是您的文档中最相符的句子。"
		if declined {
			said = "没有安装语言模型。"
		}
		return said + "要添加模型：用 --model-url 指定任何兼容 OpenAI 的服务器（例如 --model-url http://localhost:8000/v1），或者安装并运行 Ollama（https://ollama.com）。"
	}
	said := "No language model is installed: these are the sentences of your documents that fit best."
	if declined {
		said = "No language model is installed."
	}
	return said + " Add one: --model-url with the address of any OpenAI-compatible server (such as --model-url http://localhost:8000/v1), or install and run Ollama (https://ollama.com)."
}

// noteText tells of a part that the search did without.
func noteText(n retriever.Note, language string) string {
	if language != "zh" {
		return n.String()
	}
	part, ok := map[string]string{"rerank": "重新排序", "queries": "更多问题", "hyde": "假想的答案"}[n.Part]
	if !ok {
		part = n.Part
	}
	return "检索时没有使用“" + part + "”：" + n.Err.Error()
}
