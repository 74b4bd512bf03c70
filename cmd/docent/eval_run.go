package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"docent/chain"
	"docent/chunker"
	"docent/internal/beir"
	"docent/internal/llm"
	"docent/retriever"
)

// An evalRun measures one configuration after the other. The store is opened anew where the encoder changes;
// what is loaded or cut once serves all.
type evalRun struct {
	*app
	dir         string // of the store
	answers     bool
	withVectors map[string]bool // by name of the encoder: some configuration searches by meaning
	encoders    map[string]encoder
	rerankers   map[string]func() (retriever.Reranker, error)
	models      map[string]llm.Selected
	collections map[string]string // by set, encoder and chunking
	library     *library
	opened      string // the name of the library's encoder
}

func (a *app) newEvalRun(c *evalCmd, configurations []evalConfig) (*evalRun, error) {
	dir, err := a.dataDir()
	if err != nil {
		return nil, err
	}
	r := &evalRun{
		app: a, dir: filepath.Join(dir, "eval"), answers: c.Answers,
		withVectors: map[string]bool{}, encoders: map[string]encoder{},
		rerankers: map[string]func() (retriever.Reranker, error){}, models: map[string]llm.Selected{}, collections: map[string]string{},
	}
	for _, config := range configurations {
		if config.settings.Retrieval.Mode != string(retriever.Keyword) {
			if config.encoder == "none" {
				return nil, fmt.Errorf("configuration %q: mode %s needs an encoder; leave --encoder out for the built-in one, or set mode=keyword", config.Name, config.settings.Retrieval.Mode)
			}
			r.withVectors[config.encoder] = true
		}
		// A wrong name is told before anything is measured.
		if r.rerankers[config.reranker], err = a.reranker(config.reranker); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *evalRun) close() error {
	if r.library == nil {
		return nil
	}
	return r.library.Close()
}

// measure evaluates a set in a configuration. Its report is complete when there is no error.
func (r *evalRun) measure(ctx context.Context, set *beir.Dataset, config evalConfig) (beir.Report, error) {
	if err := r.open(ctx, config.encoder); err != nil {
		return beir.Report{}, err
	}
	collection, err := r.index(ctx, set, config)
	if err != nil {
		return beir.Report{}, err
	}
	indexed, err := r.library.store.Collection(ctx, collection)
	if err != nil {
		return beir.Report{}, err
	}
	r.library.reranker = r.rerankers[config.reranker]
	search, err := config.settings.Retrieval.Options(r.library.parts(func(ctx context.Context) (llm.Selected, error) { return r.languageModel(ctx, config) }))
	if err != nil {
		return beir.Report{}, err
	}
	// A search that lacks a part would not be what is measured.
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	search = append(search, retriever.OnNote(func(n retriever.Note) { stop(fmt.Errorf("search without %s: %w", n.Part, n.Err)) }))
	o := beir.Options{Search: search, Progress: r.progress(set.Name + ", " + config.Name)}
	if r.answers && set.HasAnswers {
		if o.Ask, err = r.asker(ctx, collection, search, config); err != nil {
			return beir.Report{}, err
		}
	}
	report, err := set.Evaluate(ctx, r.library.store, collection, o)
	if err != nil {
		err = cmp.Or(context.Cause(ctx), err)
	}
	report.Configuration, report.Encoder, report.Chunks = config.Name, encoderName(r.library.encoder), indexed.Chunks
	return report, err
}

// open opens the store with an encoder, unless it is open with that.
func (r *evalRun) open(ctx context.Context, name string) (err error) {
	if r.library != nil && r.opened == name {
		return nil
	}
	enc, loaded := r.encoders[name]
	if !loaded {
		if enc, err = r.encoder(ctx, name); err != nil {
			return err
		}
		r.encoders[name] = enc
	}
	if err := r.close(); err != nil {
		return err
	}
	r.library = nil
	if !r.withVectors[name] {
		l, err := r.openWith(ctx, r.dir, nil)
		if err != nil {
			return err
		}
		l.encoder, r.library, r.opened = enc, l, name // it still measures chunks, and chooses sentences
		return nil
	}
	r.library, err = r.openWith(ctx, r.dir, enc)
	r.opened = name
	return err
}

// index returns the collection that holds the set's chunks as they are cut and embedded in this configuration.
// It is named by them, so that a run finds the vectors of the last one, and never those of another splitter or
// encoder.
func (r *evalRun) index(ctx context.Context, set *beir.Dataset, config evalConfig) (string, error) {
	key := fmt.Sprintf("%s %q %+v", set.Name, config.encoder, config.settings.Chunks)
	if collection, ok := r.collections[key]; ok {
		return collection, nil
	}
	split, err := splitter(r.library.encoder, config.settings.Chunks.Config())
	if err != nil {
		return "", err
	}
	collection, err := r.fill(ctx, set, split, config.encoder)
	if err == nil {
		r.collections[key] = collection
	}
	return collection, err
}

func (r *evalRun) fill(ctx context.Context, set *beir.Dataset, split chunker.Splitter, encoder string) (string, error) {
	fingerprint, err := set.Fingerprint(ctx, split)
	if err != nil {
		return "", err
	}
	store, collection := r.library.store, "eval-"+fingerprint
	if r.withVectors[encoder] {
		collection = fmt.Sprintf("eval-%x", sha256.Sum256([]byte(r.library.encoder.Fingerprint()+" "+fingerprint)))[:len("eval-")+16]
	}
	if _, err := store.Collection(ctx, collection); errors.Is(err, retriever.ErrNotFound) {
		if _, err := store.CreateCollection(ctx, collection); err != nil {
			return "", err
		}
	} else if err != nil {
		return "", err
	}
	return collection, set.Index(ctx, store, collection, split, r.progress("indexing "+set.Name))
}

// languageModel returns the model of a configuration, opened at its first use.
func (r *evalRun) languageModel(ctx context.Context, config evalConfig) (llm.Selected, error) {
	key := fmt.Sprintf("%q %q %q", config.model.ModelProvider, config.model.Model, config.encoder)
	sel, opened := r.models[key]
	if opened {
		return sel, nil
	}
	sel, err := llm.Open(ctx, r.llmConfig(config.model, r.library.encoder))
	if err == nil {
		r.models[key] = sel
	}
	return sel, err
}

// asker answers questions from the collection, searched as the configuration says.
func (r *evalRun) asker(ctx context.Context, collection string, search []retriever.SearchOption, config evalConfig) (beir.AskFunc, error) {
	sel, err := r.languageModel(ctx, config)
	if err != nil {
		return nil, err
	}
	qa, err := r.chain(r.library, sel, config.model, func(ctx context.Context, query string, k int, opts ...retriever.SearchOption) ([]retriever.Hit, error) {
		return r.library.store.Search(ctx, collection, query, slices.Concat(search, []retriever.SearchOption{retriever.TopK(k)}, opts)...)
	}, config.style)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, question string) (*chain.Answer, error) {
		return qa.Ask(ctx, chain.Question{Text: question})
	}, nil
}
