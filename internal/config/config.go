// Package config finds where docent keeps its data and reads the settings file there.
//
// The file is YAML. Each of its keys stands for a command-line flag that carries a `config:"key"` tag;
// dots in the tag are levels in the file:
//
//	model:
//	  provider: openai
//	  url: http://localhost:8000/v1
//
// A flag on the command line wins over an environment variable, which wins over the file.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"gopkg.in/yaml.v3"
)

// File is the name of the settings file in the data directory.
const File = "config.yaml"

// DataDir returns the folder that docent keeps its data in unless told otherwise: docent in
// $XDG_DATA_HOME or ~/.local/share, on macOS in ~/Library/Application Support, on Windows in
// %LocalAppData%.
func DataDir() (string, error) {
	return dataDir(runtime.GOOS, os.Getenv, os.UserHomeDir)
}

func dataDir(goos string, getenv func(string) string, home func() (string, error)) (string, error) {
	var base string
	switch goos {
	case "windows":
		base = getenv("LocalAppData")
	case "darwin":
	default:
		// The specification says to ignore a relative path.
		if d := getenv("XDG_DATA_HOME"); filepath.IsAbs(d) {
			base = d
		}
	}
	if base == "" {
		h, err := home()
		if err != nil {
			return "", fmt.Errorf("find a data directory: %w; name one with --data or DOCENT_DATA", err)
		}
		switch goos {
		case "windows":
			base = filepath.Join(h, "AppData", "Local")
		case "darwin":
			base = filepath.Join(h, "Library", "Application Support")
		default:
			base = filepath.Join(h, ".local", "share")
		}
	}
	return filepath.Join(base, "docent"), nil
}

// Load reads the settings file at path for the flags of app. A file that is not there is an error
// only when required. An unknown key, or one that stands twice, is an error that names it.
func Load(path string, required bool, app *kong.Application) (kong.Resolver, error) {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !required:
		return &resolver{}, nil
	case err != nil:
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	values, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("read the settings: %s: %w", path, err)
	}
	known := Keys(app)
	for key := range values {
		if !slices.Contains(known, key) {
			return nil, fmt.Errorf("read the settings: %s: unknown key %q; known are %s", path, key, strings.Join(known, ", "))
		}
	}
	return &resolver{path: path, values: values}, nil
}

// Keys lists the keys a settings file for app may hold, sorted.
func Keys(app *kong.Application) []string {
	var keys []string
	_ = kong.Visit(app, func(n kong.Visitable, next kong.Next) error {
		if f, ok := n.(*kong.Flag); ok {
			if key := f.Tag.Get("config"); key != "" && !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
		return next(nil)
	})
	slices.Sort(keys)
	return keys
}

// parse flattens a YAML file into dotted keys and the text of their values.
func parse(data []byte) (map[string]string, error) {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, err
	}
	values := map[string]string{}
	var walk func(prefix string, n *yaml.Node) error
	walk = func(prefix string, n *yaml.Node) error {
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				key := n.Content[i].Value
				if prefix != "" {
					key = prefix + "." + key
				}
				if err := walk(key, n.Content[i+1]); err != nil {
					return err
				}
			}
		case yaml.ScalarNode:
			switch {
			case prefix == "" && n.Tag == "!!null":
				return nil // comments only
			case prefix == "":
				return fmt.Errorf("line %d: want keys and values, such as %q", n.Line, "model: {name: qwen3}")
			}
			if _, twice := values[prefix]; twice {
				return fmt.Errorf("line %d: key %q stands twice", n.Line, prefix)
			}
			if n.Tag != "!!null" {
				values[prefix] = n.Value
			}
		default:
			return fmt.Errorf("line %d: key %q wants one value", n.Line, prefix)
		}
		return nil
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	return values, walk("", doc.Content[0])
}

type resolver struct {
	path   string
	values map[string]string
}

// Validate does nothing: Load has checked the keys.
func (r *resolver) Validate(*kong.Application) error { return nil }

func (r *resolver) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	value, ok := r.values[flag.Tag.Get("config")]
	if !ok {
		return nil, nil
	}
	for _, env := range flag.Envs {
		if _, set := os.LookupEnv(env); set {
			return nil, nil // kong asks resolvers after the environment; here the environment wins
		}
	}
	return value, nil
}
