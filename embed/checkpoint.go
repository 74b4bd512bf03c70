package embed

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"docent/internal/tokenizer"
)

// A checkpoint is what a model's files say, whatever their format.
type checkpoint struct {
	name      string
	languages []string
	cfg       *modelConfig
	tok       tokenizer.Tokenizer
	weights   tensors
}

// A mappedCheckpoint is one on the disk.
type mappedCheckpoint struct {
	checkpoint
	files mappedTensors
}

// openCheckpoint opens a checkpoint folder, a .gguf file, or a folder with one. cross is for
// cross-encoders, which have no pooling, prompts or further layers.
func openCheckpoint(path string, cross bool) (*mappedCheckpoint, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	name, file := filepath.Base(path), path
	if info.IsDir() {
		if file, err = ggufIn(path); err != nil {
			return nil, err
		}
	} else {
		name = strings.TrimSuffix(name, filepath.Ext(name))
	}
	if file != "" {
		return openGGUF(file, name, cross)
	}
	w, err := openWeights(path)
	if err != nil {
		return nil, err
	}
	c, err := readCheckpoint(os.DirFS(path), w, w.metadata, name, cross)
	if err != nil {
		w.Close()
		return nil, err
	}
	return &mappedCheckpoint{*c, w}, nil
}

// ggufIn finds the .gguf file of a folder that has no safetensors, or the first part of one; "" where
// there is none.
func ggufIn(dir string) (string, error) {
	for _, name := range []string{weightsFile, weightsIndex} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return "", nil
		}
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.gguf")) // sorted
	if err != nil || len(found) == 0 {
		return "", err
	}
	if len(found) > 1 && !strings.Contains(found[0], "-00001-of-") {
		return "", fmt.Errorf("%d .gguf files; name the one to load", len(found))
	}
	return found[0], nil
}

// readCheckpoint reads the files of a folder beside its weights. Their metadata may say the model's name
// and languages.
func readCheckpoint(dir fs.FS, weights tensors, metadata map[string]string, name string, cross bool) (*checkpoint, error) {
	c := &checkpoint{name: name, weights: weights, languages: readLanguages(dir)}
	if metadata["name"] != "" {
		c.name = metadata["name"]
	}
	if metadata["languages"] != "" {
		c.languages = strings.Split(metadata["languages"], ",")
	}
	var err error
	if !cross {
		c.cfg, err = readConfig(dir)
	} else if c.cfg, err = readModelConfig(dir); err == nil {
		err = c.cfg.limit(dir, 0)
	}
	if err != nil {
		return nil, err
	}
	if c.tok, err = tokenizer.Load(dir); err != nil {
		return nil, err
	}
	return c, c.check()
}

// check tells whether the model has an embedding for each token.
func (c *checkpoint) check() error {
	if c.tok.Size() > c.cfg.Vocab {
		return fmt.Errorf("the tokenizer has %d tokens, the model's vocab_size is %d", c.tok.Size(), c.cfg.Vocab)
	}
	return nil
}
