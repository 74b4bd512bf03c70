package main

import (
	"fmt"
	"sync"

	"docent/embed"
	"docent/internal/models"
	"docent/retriever"
)

// rerankerFlags say what puts the best hits in order.
type rerankerFlags struct {
	Reranker string `placeholder:"NAME" env:"DOCENT_RERANKER" config:"reranker" help:"A cross-encoder that puts the best hits of a search in order: an installed model ('docent models list'), or a folder or .gguf file with its checkpoint. Without it, hits stay as the search ranks them."`
}

// reranker finds the files of the reranker at once, so that a wrong name is told before anything is
// done, and returns what loads it, when it is first needed; nil for none.
func (a *app) reranker(name string) (func() (retriever.Reranker, error), error) {
	if name == "" || name == "none" {
		return nil, nil
	}
	path, err := a.modelPath(models.RerankerModel, name)
	if err != nil {
		return nil, fmt.Errorf("%w; see: docent models list", err)
	}
	return sync.OnceValues(func() (retriever.Reranker, error) {
		c, err := embed.LoadCrossEncoder(path)
		if err != nil {
			return nil, err // and not c, which would be an interface that is not nil
		}
		a.log.Debug("reranker loaded", "name", c.Name(), "architecture", c.Info().Architecture)
		return c, nil
	}), nil
}
