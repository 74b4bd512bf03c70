package llm

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tmc/langchaingo/llms"

	"docent/internal/llm/engine"
)

// NoAdapter is the name under which a request chooses the model as it is.
const NoAdapter = "none"

// namedAdapter is an adapter of a local model.
type namedAdapter struct {
	name string
	*engine.Adapter
}

// loadAdapters loads those of Config.Adapters.
func (l *LocalModel) loadAdapters(list []string) error {
	for _, spec := range list {
		path, scale := spec, 1.0
		if i := strings.LastIndexByte(spec, '='); i > 0 {
			if x, err := strconv.ParseFloat(spec[i+1:], 32); err == nil {
				path, scale = spec[:i], x
			}
		}
		a, err := l.engine.LoadAdapter(path, float32(scale))
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		for _, other := range l.adapters {
			if other.name == name {
				return fmt.Errorf("adapter %s: another one is called %s too: rename one of the files", path, name)
			}
		}
		l.adapters = append(l.adapters, namedAdapter{name, a})
		l.log.Info("adapter loaded", "file", path, "scale", scale, "memory", a.Bytes())
	}
	return nil
}

// Adaptable is a model with LoRA adapters that a request can choose among. *LocalModel is one.
type Adaptable interface {
	llms.Model

	// Adapters are the names that WithAdapter takes besides [NoAdapter]; the first is used by default.
	Adapters() []string
	// WithAdapter is the same model, sharing everything, whose calls use an adapter.
	WithAdapter(name string) (llms.Model, error)
}

var _ Adaptable = (*LocalModel)(nil)

// Adapters implements [Adaptable].
func (l *LocalModel) Adapters() []string {
	names := []string{}
	for _, a := range l.adapters {
		names = append(names, a.name)
	}
	return names
}

// WithAdapter implements [Adaptable]. The model that it returns ends with l and need not be closed.
func (l *LocalModel) WithAdapter(name string) (llms.Model, error) {
	if _, err := l.Adapter(name); err != nil {
		return nil, err
	}
	adapted := *l
	adapted.adapter = name
	return &adapted, nil
}

// Adapter finds one of [Config].Adapters by its name; empty means the one of [LocalModel.WithAdapter] or else the
// first, nil where there are none.
func (l *LocalModel) Adapter(name string) (*engine.Adapter, error) {
	switch name = cmp.Or(name, l.adapter); {
	case name == NoAdapter, name == "" && len(l.adapters) == 0:
		return nil, nil
	case name == "":
		return l.adapters[0].Adapter, nil
	}
	for _, a := range l.adapters {
		if a.name == name {
			return a.Adapter, nil
		}
	}
	return nil, &OptionError{"adapter", fmt.Sprintf("there is no %q (loaded are: %s, or %s for none)", name, strings.Join(l.Adapters(), ", "), NoAdapter)}
}
