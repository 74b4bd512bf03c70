package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"docent/internal/llm/convert"
)

type modelsConvertCmd struct {
	Type  string `default:"q8_0" placeholder:"TYPE" help:"f32, f16, bf16, q8_0, q4_0 or q4_k_m."`
	Out   string `placeholder:"FILE" help:"The file to write; by default NAME-TYPE.gguf in this folder."`
	Force bool   `help:"Write over a file that is there."`
	Dir   string `arg:"" help:"A checkpoint folder of Hugging Face's transformers: config.json, safetensors and a tokenizer."`
}

// convertedJSON is what --json prints.
type convertedJSON struct {
	Path    string  `json:"path"`
	Type    string  `json:"type"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

func (c *modelsConvertCmd) Run(ctx context.Context, a *app) error {
	kind, err := convert.ParseType(c.Type)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	if info, err := os.Stat(dir); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is a file: name the folder of the checkpoint", c.Dir)
	}
	out := c.Out
	if out == "" {
		out = filepath.Base(dir) + "-" + string(kind) + ".gguf"
	}
	progress, stop := a.byteBar(filepath.Base(out))
	start := time.Now()
	err = convert.Folder(ctx, dir, out, convert.Options{Type: kind, Overwrite: c.Force, Progress: progress})
	stop()
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: name another with --out, or replace it with --force", err)
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(out)
	if err != nil {
		return err
	}
	took := time.Since(start)
	if a.JSON {
		return a.printJSON(convertedJSON{out, string(kind), info.Size(), took.Seconds()})
	}
	fmt.Fprintf(a.stdout, "%s: %s, in %s\n", out, bytesText(info.Size()), took.Round(100*time.Millisecond))
	a.notice("Install it with: docent models import %s", out)
	return nil
}
