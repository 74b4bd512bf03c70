package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tmc/langchaingo/llms"

	"docent/chain"
	"docent/ingest"
	"docent/internal/llm"
	"docent/retriever"
)

// A whereFlag is a filter as it is typed.
type whereFlag struct{ retriever.Filter }

func (w *whereFlag) UnmarshalText(text []byte) (err error) {
	w.Filter, err = retriever.ParseFilter(string(text))
	return err
}

// retrievalFlags change how a collection is searched, for one command.
type retrievalFlags struct {
	Where  whereFlag `placeholder:"FILTER" help:"Search only documents that fit, such as: team = sales and updated > 2026-01."`
	Set    []string  `placeholder:"KEY=VALUE" sep:"none" help:"Search otherwise than the settings of the collection say, such as per_document=2; may be given several times. 'docent collections show' lists them, with 'retrieval.' before each."`
	Mode   string    `enum:"dense,keyword,hybrid," default:"" placeholder:"MODE" help:"dense, keyword or hybrid; short for --set mode=MODE."`
	Fusion string    `enum:"score,scaled,rank," default:"" placeholder:"FUSION" help:"score, scaled or rank; short for --set fusion=FUSION."`
	Hops   int       `placeholder:"N" help:"Short for --set hops=N."`
}

// change makes the changes to the settings of a collection.
func (f retrievalFlags) change(s *ingest.Settings) error {
	pairs := f.Set
	if f.Mode != "" {
		pairs = append(pairs, "mode="+f.Mode)
	}
	if f.Fusion != "" {
		pairs = append(pairs, "fusion="+f.Fusion)
	}
	if f.Hops != 0 {
		pairs = append(pairs, "hops="+strconv.Itoa(f.Hops))
	}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("--set %q: want key=value, such as hops=2", pair)
		}
		key = "retrieval." + strings.TrimPrefix(strings.TrimSpace(key), "retrieval.")
		if err := s.Set(key, strings.TrimSpace(value)); err != nil {
			return fmt.Errorf("--set %s: %w", pair, err)
		}
	}
	return nil
}

// retrieval is how a collection is searched: as its settings say, but for what the flags change.
func (l *library) retrieval(ctx context.Context, collection string, flags retrievalFlags) (retriever.Settings, error) {
	s, err := ingest.ReadSettings(ctx, l.store, collection)
	if err != nil {
		return retriever.Settings{}, err
	}
	err = flags.change(&s)
	return s.Retrieval, err
}

// parts are what the settings of a collection can name. model is asked where they name a language model.
func (l *library) parts(model func(context.Context) (llm.Selected, error)) retriever.Parts {
	parts := chain.Parts(func(ctx context.Context) (llms.Model, error) {
		sel, err := model(ctx)
		if err == nil && sel.Provider == llm.ExtractiveAnswer {
			err = retriever.ErrNoModel
		}
		return sel.Model, err
	})
	parts.CrossEncoder = l.reranker
	return parts
}

// settled is a function that returns a model that is open.
func settled(sel llm.Selected) func(context.Context) (llm.Selected, error) {
	return func(context.Context) (llm.Selected, error) { return sel, nil }
}

// searchFunc searches a collection as retrieval says, and more, which goes before.
func (l *library) searchFunc(collection string, sel llm.Selected, flags retrievalFlags, more ...retriever.SearchOption) chain.SearchFunc {
	return func(ctx context.Context, query string, k int, opts ...retriever.SearchOption) ([]retriever.Hit, error) {
		settings, err := l.retrieval(ctx, collection, flags)
		if err != nil {
			return nil, err
		}
		search, err := settings.Options(l.parts(settled(sel)))
		if err != nil {
			return nil, err
		}
		search = append(search, retriever.TopK(k), retriever.Where(flags.Where.Filter))
		return l.store.Search(ctx, collection, query, slices.Concat(search, more, opts)...)
	}
}
