package llm

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

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

// Adapter finds one of [Config].Adapters by its name; empty means the first, nil where there are none.
func (l *LocalModel) Adapter(name string) (*engine.Adapter, error) {
	switch {
	case name == NoAdapter, name == "" && len(l.adapters) == 0:
		return nil, nil
	case name == "":
		return l.adapters[0].Adapter, nil
	}
	var names []string
	for _, a := range l.adapters {
		if a.name == name {
			return a.Adapter, nil
		}
		names = append(names, a.name)
	}
	return nil, fmt.Errorf("there is no adapter %q (loaded are: %s, or %s for none)", name, strings.Join(names, ", "), NoAdapter)
}
