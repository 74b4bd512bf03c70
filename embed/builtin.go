package embed

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"unsafe"

	"docent/internal/tensor/safetensors"
)

//go:generate python3 ../scripts/convert_minilm.py

//go:embed builtin/model.safetensors
var builtinWeights string // not []byte and not through an embed.FS: both would copy 23 MB

//go:embed builtin/*.json builtin/1_Pooling/config.json builtin/vocab.txt builtin/SHA256SUMS
var builtinFiles embed.FS

// BuiltinNotice says where the built-in model comes from, its licence and how it was changed.
//
//go:embed builtin/NOTICE
var BuiltinNotice string

// BuiltinLicence is the licence of the built-in model.
//
//go:embed builtin/LICENSE
var BuiltinLicence string

// New returns the encoder that model names: "" or "builtin" for [Builtin], else the path of a checkpoint
// folder or .gguf file, as [Load] reads it. With options the built-in model is loaded anew. For an
// encoder on a server see [NewRemote].
func New(model string, opts ...Option) (*Encoder, error) {
	switch {
	case model != "" && model != "builtin":
		return Load(model, opts...)
	case len(opts) == 0:
		return Builtin()
	}
	e, err := loadBuiltin(opts)
	if err != nil {
		return nil, fmt.Errorf("load built-in encoder: %w", err)
	}
	return e, nil
}

// Builtin is the encoder compiled into the program: all-MiniLM-L6-v2 with int8 weights, English, 384
// dimensions, 254 tokens a text. It is loaded on the first call, in some 50 ms, and shared.
func Builtin() (*Encoder, error) { return builtin() }

var builtin = sync.OnceValues(func() (*Encoder, error) {
	e, err := loadBuiltin(nil)
	if err != nil {
		return nil, fmt.Errorf("load built-in encoder: %w", err)
	}
	return e, nil
})

func loadBuiltin(opts []Option) (*Encoder, error) {
	dir, err := fs.Sub(builtinFiles, "builtin")
	if err != nil {
		return nil, err
	}
	weights, err := safetensors.Parse(unsafe.Slice(unsafe.StringData(builtinWeights), len(builtinWeights)))
	if err != nil {
		return nil, err
	}
	c, err := readCheckpoint(dir, weights, weights.Metadata, "", false)
	if err != nil {
		return nil, err
	}
	e, err := newEncoder(c, opts)
	if err != nil {
		return nil, err
	}
	sums, err := fs.ReadFile(dir, "SHA256SUMS")
	if err != nil {
		return nil, err
	}
	sum, _, _ := strings.Cut(string(sums), "  model.safetensors")
	if len(sum) != 64 {
		return nil, fmt.Errorf("SHA256SUMS does not start with model.safetensors")
	}
	e.setFingerprint(sum[:8])
	return e, nil
}
