package ingest

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/tmc/langchaingo/llms"
)

// VisionModel recognises text with a language model that takes pictures, such as one on a server that
// speaks the OpenAI protocol. Model must be set. It is as safe for concurrent use as Model.
type VisionModel struct {
	Model   llms.Model
	Label   string        // for Name; empty means "vision model"
	Timeout time.Duration // of a page; 0 means three minutes
}

var _ Recognizer = (*VisionModel)(nil)

const visionPrompt = `Write down all text in this picture of a page, exactly as it is printed, in reading order.
Keep the language; do not translate, correct, summarise or explain. Put a blank line between paragraphs.
Write tables as Markdown tables. If there is no text, answer only with: NO TEXT`

// Name implements [Recognizer].
func (v *VisionModel) Name() string {
	if v.Label == "" {
		return "vision model"
	}
	return v.Label
}

// Recognize implements [Recognizer].
func (v *VisionModel) Recognize(ctx context.Context, png []byte) (string, error) {
	timeout := v.Timeout
	if timeout <= 0 {
		timeout = 3 * time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, parseError(ErrTimeout, "text recognition took more than %v for a page", timeout))
	defer cancel()
	reply, err := v.Model.GenerateContent(ctx, []llms.MessageContent{{
		Role: llms.ChatMessageTypeHuman,
		Parts: []llms.ContentPart{
			llms.TextContent{Text: visionPrompt},
			// As an address that holds the picture: the one form that all OpenAI-compatible servers take.
			llms.ImageURLContent{URL: "data:image/png;base64," + base64.StdEncoding.EncodeToString(png)},
		},
	}}, llms.WithTemperature(0), llms.WithMaxTokens(4096))
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", fmt.Errorf("%s: %w", v.Name(), err)
	}
	if len(reply.Choices) == 0 {
		return "", fmt.Errorf("%s: an empty reply", v.Name())
	}
	text := strings.TrimSpace(reply.Choices[0].Content)
	if strings.Trim(text, ". ") == "NO TEXT" {
		return "", nil
	}
	// Some models put the text into a code block whatever they are told.
	if inner, ok := strings.CutPrefix(text, "```"); ok {
		if _, body, ok := strings.Cut(inner, "\n"); ok {
			text = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(body), "```"))
		}
	}
	return text, nil
}
