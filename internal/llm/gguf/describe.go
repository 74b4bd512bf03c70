package gguf

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
)

// firstRead is how much of a file is read at first, in bytes; all that comes before most vocabularies.
const firstRead = 64 << 10

func describeOne(path string) (*File, error) { return readHeader(path, nil) }

// readHeader reads a file's beginning, twice as much each time until it holds what is asked for. The
// tensors have no data.
func readHeader(path string, stop func(key string) bool) (*File, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: not a regular file", ErrFormat)
	}
	if info.Size() > math.MaxInt {
		return nil, fmt.Errorf("%d bytes are more than this machine can address", info.Size())
	}
	size := int(info.Size())
	var data []byte
	for want := firstRead; ; want *= 2 {
		have := len(data)
		data = append(data, make([]byte, min(want, size)-have)...)
		if _, err := io.ReadFull(in, data[have:]); err != nil {
			return nil, err
		}
		r := &reader{data: data, size: size, stop: stop}
		f, err := r.file()
		if errors.Is(err, errMore) {
			continue // which the last round, with the whole file, cannot say
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		f.size = info.Size()
		for i := range f.Tensors {
			f.Tensors[i].Data = nil
		}
		return f, nil
	}
}

// A Purpose is what a model is made for.
type Purpose string

// What models are made for.
const (
	Language Purpose = "language" // it continues text
	Encoder  Purpose = "encoder"  // it makes vectors
	Reranker Purpose = "reranker" // it scores a passage against a question
)

// PurposeOf tells what the model in a file is made for. It reads no further than the vocabulary, and of a
// split model only the part that is named, which should be the first.
func PurposeOf(path string) (Purpose, error) {
	f, err := readHeader(path, func(key string) bool { return strings.HasPrefix(key, "tokenizer.") })
	if err != nil {
		return "", fmt.Errorf("open model %s: %w", path, err)
	}
	return f.Purpose(), nil
}

// Purpose tells what the model is made for, by its architecture and by how it pools tokens: language
// models do not, those that were made encoders do.
func (f *File) Purpose() Purpose {
	arch, _ := f.String("general.architecture")
	pooling, _ := f.Uint(arch + ".pooling_type")
	switch {
	case pooling == poolingRank:
		return Reranker
	case pooling != 0 || strings.Contains(arch, "bert") || arch == "gemma-embedding" || arch == "t5encoder":
		return Encoder
	}
	return Language
}

const poolingRank = 4

// Pooling is how an encoder makes one vector of its tokens': "mean", "cls", "last" or "rank"; empty where
// the file does not say.
func (f *File) Pooling() string {
	arch, _ := f.String("general.architecture")
	n, _ := f.Uint(arch + ".pooling_type")
	return map[uint64]string{1: "mean", 2: "cls", 3: "last", poolingRank: "rank"}[n]
}
