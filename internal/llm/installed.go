package llm

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"docent/internal/llm/gguf"
)

// isModelFile reports whether a model's name is that of a file.
func isModelFile(name string) bool { return strings.EqualFold(filepath.Ext(name), ".gguf") }

var laterPart = regexp.MustCompile(`-\d{5}-of-\d{5}\.gguf$`)

// InstalledModels lists the language models of a folder and of the folders in it, as "docent models pull"
// installs them, the newest first, by path. Of a split model it lists the first part. Encoders and
// rerankers are left out; a file that cannot be read is not, so that opening it says why. A folder that is
// not there has none.
func InstalledModels(dir string) ([]string, error) {
	if dir == "" {
		return nil, nil
	}
	type installed struct {
		path string
		info fs.FileInfo
	}
	var found []installed
	var look func(dir string, deeper bool) error
	look = func(dir string, deeper bool) error {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := e.Name()
			path := filepath.Join(dir, name)
			if e.IsDir() && deeper && !strings.HasPrefix(name, ".") { // what is hidden is half fetched
				if err := look(path, false); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				continue
			}
			if !isModelFile(name) || laterPart.MatchString(name) && !strings.Contains(name, "-00001-of-") {
				continue
			}
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				if p, err := gguf.PurposeOf(path); err == nil && p != gguf.Language {
					continue
				}
				found = append(found, installed{path, info})
			}
		}
		return nil
	}
	if err := look(dir, true); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b installed) int {
		return cmp.Or(b.info.ModTime().Compare(a.info.ModTime()), cmp.Compare(a.path, b.path))
	})
	var paths []string
	for _, f := range found {
		paths = append(paths, f.path)
	}
	return paths, nil
}

// findModel is the file that cfg names: a path, or an installed one by its name with or without .gguf;
// without a name the newest installed one.
func findModel(cfg Config) (string, error) {
	if cfg.Model == "" {
		installed, err := InstalledModels(cfg.ModelDir)
		if err != nil {
			return "", err
		}
		if len(installed) == 0 {
			return "", fmt.Errorf("%w: no .gguf file is in %s: put one there, or name one with --model FILE.gguf", ErrNoModel, cmp.Or(cfg.ModelDir, "the folder of models"))
		}
		return installed[0], nil
	}
	tried := []string{cfg.Model}
	if cfg.ModelDir != "" && filepath.Base(cfg.Model) == cfg.Model {
		tried = append(tried, filepath.Join(cfg.ModelDir, cfg.Model), filepath.Join(cfg.ModelDir, cfg.Model+".gguf"))
		installed, err := InstalledModels(cfg.ModelDir)
		if err != nil {
			return "", err
		}
		for _, path := range installed { // in a folder of that name, or by its own
			if filepath.Dir(path) == filepath.Join(cfg.ModelDir, cfg.Model) || strings.TrimSuffix(filepath.Base(path), ".gguf") == strings.TrimSuffix(cfg.Model, ".gguf") {
				tried = append(tried, path)
			}
		}
	}
	for _, path := range tried {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: there is no file %s", ErrNoModel, strings.Join(tried, ", nor "))
}

func openLocal(cfg Config) (Selected, error) {
	path, err := findModel(cfg)
	if err != nil {
		return Selected{}, err
	}
	m, err := OpenFile(path, cfg)
	if err != nil {
		return Selected{}, err
	}
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	return Selected{Model: m, Provider: Local, Name: name, URL: path}, nil
}
