package llm

import "context"

// Open selects a model as cfg says.
func Open(ctx context.Context, cfg Config) (Selected, error) {
	return Selected{Model: NewExtractive(cfg.Encoder), Provider: ExtractiveAnswer, Name: "extractive"}, ctx.Err()
}
