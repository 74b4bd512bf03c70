package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"docent/ingest"
	"docent/internal/beir"
	"docent/internal/llm"
)

// An evalConfig is a configuration to be measured.
type evalConfig struct {
	beir.Configuration
	encoder, reranker, style string
	model                    modelFlags
	settings                 ingest.Settings
}

// configurations are those of --compare, each with what --set says of all; one when there is no --compare.
func (c *evalCmd) configurations(a *app) ([]evalConfig, error) {
	texts := c.Compare
	if len(texts) == 0 {
		texts = []string{cmp.Or(strings.Join(c.Set, " "), "defaults")}
	}
	var all []evalConfig
	for _, text := range texts {
		// A name ends in a colon; one within a value, as in encoder=openai:MODEL, ends none.
		name, pairs, ok := strings.Cut(text, ":")
		if !ok && !strings.Contains(text, "=") {
			ok = true
		}
		if !ok || strings.Contains(name, "=") {
			name, pairs = text, text
		}
		config := evalConfig{
			Configuration: beir.Configuration{Name: strings.TrimSpace(name), Settings: map[string]string{}},
			encoder:       a.Encoder, reranker: a.Reranker, model: c.modelFlags, settings: ingest.DefaultSettings(),
		}
		switch {
		case config.Name == "":
			return nil, fmt.Errorf("--compare %q: it has no name", text)
		case slices.ContainsFunc(all, func(c evalConfig) bool { return c.Name == config.Name }):
			return nil, fmt.Errorf("--compare %q: there is another configuration of that name", text)
		}
		for _, pair := range c.Set {
			if err := config.set(pair); err != nil {
				return nil, fmt.Errorf("--set %s: %w", pair, err)
			}
		}
		for _, pair := range strings.Fields(pairs) {
			if err := config.set(pair); err != nil {
				return nil, fmt.Errorf("--compare %q: %w", text, err)
			}
		}
		all = append(all, config)
	}
	return all, nil
}

// set changes what key=value says.
func (c *evalConfig) set(pair string) error {
	key, value, ok := strings.Cut(pair, "=")
	if !ok {
		return fmt.Errorf("%q: want key=value, such as hops=2", pair)
	}
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	others := map[string]func(){
		"encoder":  func() { c.encoder = value },
		"reranker": func() { c.reranker = value },
		"style":    func() { c.style = value },
		"model": func() {
			if c.model.Model = value; value == llm.ExtractiveAnswer {
				c.model.Model, c.model.ModelProvider = "", value
			}
		},
	}
	if change, ok := others[key]; ok {
		change()
	} else {
		known := evalKeys()
		full := key
		if !strings.Contains(key, ".") {
			full = retrievalPrefix + key
		}
		if !slices.Contains(known, full) {
			for i := range known {
				known[i] = strings.TrimPrefix(known[i], retrievalPrefix)
			}
			return fmt.Errorf("there is no %q to measure; there are %s", key, strings.Join(append(known, slices.Sorted(maps.Keys(others))...), ", "))
		}
		if err := c.settings.Set(full, value); err != nil {
			return err
		}
		if c.settings.Chunks.Context == "model" {
			return fmt.Errorf("%s=%s asks a language model for every chunk, and is not measured here", key, value)
		}
		key = strings.TrimPrefix(full, retrievalPrefix)
	}
	c.Settings[key] = value
	return nil
}

const retrievalPrefix = "retrieval."

// evalKeys are the settings of a collection that show in a set: of its files there are none.
func evalKeys() []string {
	var keys []string
	for _, s := range ingest.DefaultSettings().List() {
		if strings.HasPrefix(s.Key, retrievalPrefix) || strings.HasPrefix(s.Key, "chunks.") {
			keys = append(keys, s.Key)
		}
	}
	return keys
}
