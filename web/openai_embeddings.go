package web

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"

	"github.com/gin-gonic/gin"
)

const maxEmbeddings = 2048 // texts of a request

// embeddingRequest is the body of POST /v1/embeddings.
type embeddingRequest struct {
	Model          string          `json:"model"`
	Input          json.RawMessage `json:"input"`
	EncodingFormat string          `json:"encoding_format"`
	Dimensions     *int            `json:"dimensions"`
	InputType      string          `json:"input_type"` // "document", the default, or "query": models that tell them apart have a prompt for each
	Truncate       *bool           `json:"truncate"`   // nil means true: what the encoder does not read of a text is cut off
}

// embedding is a vector, as numbers or as little-endian float32 in base64.
type embedding struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"`
}

// embeddings embeds texts.
func (s *Server) embeddings(c *gin.Context) {
	var in embeddingRequest
	if !s.decodeUpTo(c, &in, maxCompletionBody) {
		return
	}
	e := s.cfg.Encoder
	if e == nil || e.Embedder == nil || in.Model != e.Name {
		s.fail(c, s.noModel(c.Request.Context(), in.Model))
		return
	}
	input, err := in.texts(e)
	if err != nil {
		s.fail(c, err)
		return
	}
	tokens := 0
	for i, text := range input {
		n := len(e.Embedder.TokenStarts(nil, text))
		if n > e.MaxTokens && in.Truncate != nil && !*in.Truncate {
			s.fail(c, &paramError{"input", "context_length_exceeded", badRequest(fmt.Sprintf("text %d has %d tokens, and the encoder reads %d", i, n, e.MaxTokens))})
			return
		}
		tokens += min(n, e.MaxTokens)
	}
	var vectors [][]float32
	if in.InputType == "query" {
		for _, text := range input {
			v, err := e.Embedder.EmbedQuery(c.Request.Context(), text)
			if err != nil {
				s.fail(c, err)
				return
			}
			vectors = append(vectors, v)
		}
	} else if vectors, err = e.Embedder.EmbedDocuments(c.Request.Context(), input); err != nil {
		s.fail(c, err)
		return
	}
	data := make([]embedding, len(vectors))
	for i, v := range vectors {
		data[i] = embedding{"embedding", i, v}
		if in.EncodingFormat == "base64" {
			raw := make([]byte, 0, 4*len(v))
			for _, x := range v {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
			}
			data[i].Embedding = base64.StdEncoding.EncodeToString(raw)
		}
	}
	c.JSON(http.StatusOK, gin.H{"object": "list", "model": in.Model, "data": data, "usage": gin.H{"prompt_tokens": tokens, "total_tokens": tokens}})
}

// texts checks a request and reads its texts.
func (r *embeddingRequest) texts(e *Encoder) (texts, error) {
	var input texts
	switch err := json.Unmarshal(r.Input, &input); {
	case len(r.Input) == 0:
		return nil, badParam("input", "is missing")
	case err != nil:
		return nil, badParam("input", "want a text or a list of texts; lists of tokens are not read, as every model has its own")
	case len(input) == 0 || len(input) > maxEmbeddings:
		return nil, badParam("input", "has %d texts, want 1 to %d", len(input), maxEmbeddings)
	case r.EncodingFormat != "" && r.EncodingFormat != "float" && r.EncodingFormat != "base64":
		return nil, badParam("encoding_format", "is %s, want float or base64", quoteShort(r.EncodingFormat))
	case r.Dimensions != nil && *r.Dimensions != e.Dim:
		return nil, badParam("dimensions", "is %d, and the encoder's vectors have %d", *r.Dimensions, e.Dim)
	case r.InputType != "" && r.InputType != "query" && r.InputType != "document":
		return nil, badParam("input_type", "is %s, want query or document", quoteShort(r.InputType))
	}
	for i, text := range input {
		if text == "" {
			return nil, badParam("input", "text %d is empty", i)
		}
	}
	return input, nil
}
