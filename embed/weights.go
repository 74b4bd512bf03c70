package embed

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"docent/internal/mmap"
	"docent/internal/tensor/safetensors"
)

// tensors is where weights come from: safetensors, in one file or several, or a GGUF file. What it
// returns may lie in the file and must not be changed.
type tensors interface {
	Tensor(name string) (safetensors.Tensor, bool)
	Float32(name string, shape ...int) ([]float32, error)
	Int8(name string, shape ...int) ([]byte, error)
}

// mappedTensors are weights whose files are mapped into memory.
type mappedTensors interface {
	tensors
	digest() string // the first 8 hex digits of the SHA-256 of the weights
	release()       // lets pages go that were read; they come back when they are needed
	Close()
}

// weights are the mapped files of a checkpoint folder.
type weights struct {
	names    []string // of the files
	files    []*mmap.File
	parts    map[string]*safetensors.File // by file
	where    map[string]string            // file by tensor; nil when there is one file
	metadata map[string]string
}

const (
	weightsFile  = "model.safetensors"
	weightsIndex = "model.safetensors.index.json"
	maxShards    = 1000
)

// openWeights opens model.safetensors, or else the files that model.safetensors.index.json names.
func openWeights(dir string) (*weights, error) {
	w := &weights{parts: map[string]*safetensors.File{}}
	err := w.open(dir)
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

func (w *weights) open(dir string) error {
	err := w.add(dir, weightsFile)
	if err == nil {
		w.metadata = w.parts[weightsFile].Metadata
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var index struct {
		Map map[string]string `json:"weight_map"`
	}
	found, jsonErr := readJSON(os.DirFS(dir), weightsIndex, &index)
	switch {
	case jsonErr != nil:
		return jsonErr
	case !found:
		return fmt.Errorf("neither %s nor %s: %w", weightsFile, weightsIndex, fs.ErrNotExist)
	}
	w.where = index.Map
	names := slices.Compact(slices.Sorted(maps.Values(index.Map)))
	if len(names) == 0 || len(names) > maxShards {
		return fmt.Errorf("%s names %d files, want 1 to %d", weightsIndex, len(names), maxShards)
	}
	for _, name := range names {
		if !filepath.IsLocal(name) || filepath.Base(name) != name {
			return fmt.Errorf("%s: file %q is not in the folder", weightsIndex, name)
		}
		if err := w.add(dir, name); err != nil {
			return err
		}
	}
	for _, tensor := range slices.Sorted(maps.Keys(w.where)) {
		if _, ok := w.parts[w.where[tensor]].Tensor(tensor); !ok {
			return fmt.Errorf("%s: tensor %q is not in %s", weightsIndex, tensor, w.where[tensor])
		}
	}
	return nil
}

func (w *weights) add(dir, name string) error {
	f, err := mmap.Open(filepath.Join(dir, name))
	if errors.Is(err, mmap.ErrNotRegular) {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err != nil {
		return err
	}
	w.files, w.names = append(w.files, f), append(w.names, name)
	if w.parts[name], err = safetensors.Parse(f.Data); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (w *weights) Close() {
	for _, f := range w.files {
		f.Close()
	}
}

func (w *weights) release() {
	for _, f := range w.files {
		f.Release()
	}
}

// part is the file with a tensor; any file for a tensor that is in none, which it then reports.
func (w *weights) part(tensor string) (*safetensors.File, string) {
	name := w.names[0]
	if w.where != nil && w.where[tensor] != "" {
		name = w.where[tensor]
	}
	return w.parts[name], name
}

func (w *weights) Tensor(name string) (safetensors.Tensor, bool) {
	f, _ := w.part(name)
	return f.Tensor(name)
}

func (w *weights) Float32(name string, shape ...int) ([]float32, error) {
	f, file := w.part(name)
	v, err := f.Float32(name, shape...)
	if err != nil {
		err = fmt.Errorf("%s: %w", file, err)
	}
	return v, err
}

func (w *weights) Int8(name string, shape ...int) ([]byte, error) {
	f, file := w.part(name)
	v, err := f.Int8(name, shape...)
	if err != nil {
		err = fmt.Errorf("%s: %w", file, err)
	}
	return v, err
}

// digest reads the files one after the other by name.
func (w *weights) digest() string {
	sum := sha256.New()
	for _, f := range w.files {
		f.WriteTo(sum) // which cannot fail
	}
	return hex.EncodeToString(sum.Sum(nil))[:8]
}
