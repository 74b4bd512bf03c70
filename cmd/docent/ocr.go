package main

import (
	"cmp"
	"context"
	"errors"
	"os"

	"docent/ingest"
	"docent/internal/llm"
)

// ocrFlags say what reads pictures and scanned pages.
type ocrFlags struct {
	OCR          string `enum:"auto,tesseract,vision,off" default:"auto" env:"DOCENT_OCR" config:"ocr.engine" group:"Text recognition" help:"What reads pictures and scanned pages: ${enum}. 'auto' takes the vision model if one is named, else Tesseract if it is installed."`
	OCRCommand   string `name:"ocr-command" placeholder:"PATH" env:"DOCENT_OCR_COMMAND" config:"ocr.command" group:"Text recognition" help:"The program Tesseract; by default the one in the PATH."`
	OCRLanguages string `name:"ocr-languages" placeholder:"LIST" env:"DOCENT_OCR_LANGUAGES" config:"ocr.languages" group:"Text recognition" help:"Tesseract's languages, such as eng+chi_sim; by default those two and chi_tra, as far as they are installed."`
	OCRDPI       int    `name:"ocr-dpi" placeholder:"N" default:"300" env:"DOCENT_OCR_DPI" config:"ocr.dpi" group:"Text recognition" help:"How finely pages are drawn for it, in dots an inch."`
	VisionURL    string `name:"vision-url" placeholder:"URL" env:"DOCENT_VISION_URL" config:"vision.url" group:"Text recognition" help:"Address of an OpenAI-compatible server whose model takes pictures."`
	VisionModel  string `name:"vision-model" placeholder:"NAME" env:"DOCENT_VISION_MODEL" config:"vision.model" group:"Text recognition" help:"Name of the model; by default the first that the server offers."`
	VisionKey    string `name:"vision-key" placeholder:"KEY" env:"DOCENT_VISION_KEY" config:"vision.key" group:"Text recognition" help:"Key for the server."`
}

// recognizer is what reads pictures; nil when there is nothing, which is an error only where it was
// asked for by name.
func (a *app) recognizer(ctx context.Context) (ingest.Recognizer, error) {
	vision := a.VisionURL != "" || a.VisionModel != ""
	switch {
	case a.OCR == "off":
		return nil, nil
	case a.OCR == "vision" && !vision:
		return nil, errors.New("--ocr vision wants the model's server: name it with --vision-url")
	case a.OCR == "vision", a.OCR == "auto" && vision:
		sel, err := llm.Open(ctx, llm.Config{Provider: llm.OpenAI, BaseURL: a.VisionURL, Model: a.VisionModel, APIKey: a.VisionKey, Logger: a.log})
		if err != nil {
			return nil, err
		}
		return &ingest.VisionModel{Model: sel.Model, Label: sel.Name}, nil
	}
	t, err := ingest.NewTesseract(ctx, ingest.TesseractConfig{Command: a.OCRCommand, Languages: a.OCRLanguages, DPI: a.OCRDPI})
	asked := a.OCR == "tesseract" || cmp.Or(a.OCRCommand, a.OCRLanguages) != ""
	if errors.Is(err, ingest.ErrNoTesseract) && !asked {
		a.log.DebugContext(ctx, "no text recognition", "reason", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// extractor reads files in child processes of this binary. The caller closes it.
func (a *app) extractor(ctx context.Context, password string) (*ingest.Extractor, error) {
	recognizer, err := a.recognizer(ctx)
	if err != nil {
		return nil, err
	}
	cfg := ingest.ExtractorConfig{
		Password: password, Recognizer: recognizer, OCRDPI: a.OCRDPI, Logger: a.log, Timeout: a.ParseTime, MemoryMiB: a.ParseMemory,
		MaxBytes: int64(a.MaxFile) << 20, MaxText: int64(a.MaxText) << 20, MaxUnpacked: int64(a.MaxUnpacked) << 20,
	}
	if self, err := os.Executable(); err == nil {
		cfg.Worker = []string{self, parseWorker}
	}
	return ingest.NewExtractor(cfg)
}
