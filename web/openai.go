package web

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"docent/chain"
	"docent/internal/llm"
	"docent/retriever"
)

// The OpenAI protocol, as docs/openai.md describes it. A collection is a model that answers from its documents, and
// the language model and the encoder are models under their own names.

// documentsPrefix comes before the name of a collection.
const documentsPrefix = "docent/"

const maxCompletionBody = 16 << 20 // messages may hold pictures

func (s *Server) openAIRoutes(r gin.IRoutes) {
	r.GET("/models", s.listModels)
	r.GET("/models/*id", s.showModel)
	r.POST("/chat/completions", s.chatCompletion)
	r.POST("/embeddings", s.embeddings)
}

// modelObject is one model in the protocol's words.
type modelObject struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

// models are what a request can name.
func (s *Server) models(ctx context.Context) ([]modelObject, error) {
	collections, err := s.cfg.Store.Collections(ctx)
	if err != nil {
		return nil, err
	}
	var out []modelObject
	add := func(id string, created time.Time) {
		out = append(out, modelObject{id, "model", created.Unix(), "docent"})
	}
	for _, c := range collections {
		add(documentsPrefix+c.Name, c.CreatedAt)
	}
	if m := s.cfg.Model(ctx); m.writes() {
		add(m.Name, s.began)
	}
	if e := s.cfg.Encoder; e != nil && e.Embedder != nil {
		add(e.Name, s.began)
	}
	return out, nil
}

func (s *Server) listModels(c *gin.Context) {
	all, err := s.models(c.Request.Context())
	if err != nil {
		s.fail(c, err)
		return
	}
	c.JSON(http.StatusOK, gin.H{"object": "list", "data": all})
}

func (s *Server) showModel(c *gin.Context) {
	id := strings.TrimPrefix(c.Param("id"), "/")
	all, err := s.models(c.Request.Context())
	if err != nil {
		s.fail(c, err)
		return
	}
	i := slices.IndexFunc(all, func(m modelObject) bool { return m.ID == id })
	if i < 0 {
		s.fail(c, s.noModel(c.Request.Context(), id))
		return
	}
	c.JSON(http.StatusOK, all[i])
}

// noModel says which models there are.
func (s *Server) noModel(ctx context.Context, id string) error {
	if id == "" {
		return &paramError{"model", "", badRequest("the model is missing; GET /v1/models lists them")}
	}
	message := "there is no model " + quoteShort(id)
	if all, err := s.models(ctx); err == nil {
		names := make([]string, len(all))
		for i, m := range all {
			names[i] = m.ID
		}
		if more := len(names) - 10; more > 0 {
			names = append(names[:10], fmt.Sprintf("%d more", more))
		}
		message += "; there are: " + strings.Join(names, ", ")
	}
	return &paramError{"model", "model_not_found", &apiError{http.StatusNotFound, codeNotFound, message, nil}}
}

// A paramError is an error about a member of a request, in the words of the OpenAI protocol.
type paramError struct {
	param string
	code  string // "" for none
	err   *apiError
}

func (e *paramError) Error() string { return e.err.Error() }
func (e *paramError) Unwrap() error { return e.err }

// badParam refuses a request because of one of its members.
func badParam(param, format string, args ...any) *paramError {
	return &paramError{param, "", badRequest(param + ": " + fmt.Sprintf(format, args...))}
}

// openAIError is an error as clients of the protocol expect it.
type openAIError struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

// asOpenAI words an error for the protocol, with its status.
func asOpenAI(err error) (status int, body openAIError) {
	e := explain(err)
	param, code := "", ""
	var about *paramError
	var option *llm.OptionError
	var server *llm.StatusError
	status = e.status
	switch {
	case errors.As(err, &about):
		param, code = about.param, about.code
	case llm.IsContextOverflow(err):
		status, param, code = http.StatusBadRequest, "messages", "context_length_exceeded"
	case errors.As(err, &option):
		param = option.Option
	case errors.As(err, &server):
		// What the model's server says to a request, it says to who made that.
		switch server.Code {
		case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusTooManyRequests:
			status = server.Code
		}
	case errors.Is(err, retriever.ErrNotFound):
		param, code = "model", "model_not_found"
	case status >= 500:
		code = e.code
	}
	body = openAIError{Message: e.message, Type: "server_error"}
	switch {
	case status == http.StatusForbidden:
		body.Type = "permission_error"
	case status == http.StatusTooManyRequests:
		body.Type, code = "rate_limit_error", "rate_limit_exceeded"
	case status < 500:
		body.Type = "invalid_request_error"
	}
	if param != "" {
		body.Param = &param
	}
	if code != "" {
		body.Code = &code
	}
	return status, body
}

// retrySeconds is when to come again after an error, as the header Retry-After says it; 0 where that is not known.
func retrySeconds(err error) int {
	var busy *llm.BusyError
	var server *llm.StatusError
	switch {
	case errors.As(err, &busy):
		return int(math.Ceil(busy.After.Seconds()))
	case errors.As(err, &server) && server.RetryAfter > 0:
		return int(math.Ceil(server.RetryAfter.Seconds()))
	}
	return 0
}

// isOpenAI reports whether a request speaks the OpenAI protocol.
func isOpenAI(path string) bool { return path == "/v1" || strings.HasPrefix(path, "/v1/") }

// usage counts tokens in the protocol's words.
type usage struct {
	Prompt     int            `json:"prompt_tokens"`
	Completion int            `json:"completion_tokens"`
	Total      int            `json:"total_tokens"`
	PromptOf   map[string]int `json:"prompt_tokens_details,omitempty"`
}

func usageOf(u chain.Usage) usage {
	return usage{Prompt: u.PromptTokens, Completion: u.CompletionTokens, Total: u.PromptTokens + u.CompletionTokens}
}

// completion is a reply, or with Delta in its choices a piece of a stream.
type completion struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	Usage   any      `json:"usage,omitempty"` // usage, or null in pieces of a stream whose last tells it

	// Of an answer from documents.
	Citations *[]chain.Citation `json:"citations,omitempty"`
	Documents *fromDocuments    `json:"docent,omitempty"`
}

// choice is one of the replies that were asked for.
type choice struct {
	Index        int       `json:"index"`
	Message      *message  `json:"message,omitempty"`
	Delta        *message  `json:"delta,omitempty"`
	LogProbs     *logProbs `json:"logprobs"`
	FinishReason *string   `json:"finish_reason"`
}

// message is what a model says, or a piece of it.
type message struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content,omitempty"`
	Reasoning string     `json:"reasoning_content,omitempty"`
	ToolCalls []toolCall `json:"tool_calls,omitempty"`
}

// toolCall is a call of a tool, or a piece of one.
type toolCall struct {
	Index    *int         `json:"index,omitempty"` // in pieces
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"`
	Function functionCall `json:"function"`
}

type functionCall struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

// logProbs tells how likely the tokens of a reply were.
type logProbs struct {
	Content []tokenProb `json:"content"`
}

type tokenProb struct {
	Token   string      `json:"token"`
	LogProb float64     `json:"logprob"`
	Bytes   []int       `json:"bytes"`
	Top     []tokenProb `json:"top_logprobs,omitempty"`
}

func tokenProbs(of []llm.TokenProb) []tokenProb {
	out := []tokenProb{}
	for _, p := range of {
		bytes := make([]int, len(p.Token))
		for i := range len(p.Token) {
			bytes[i] = int(p.Token[i])
		}
		out = append(out, tokenProb{Token: p.Token, LogProb: max(p.LogProb, -9999), Bytes: bytes})
		if len(p.Top) > 0 {
			out[len(out)-1].Top = tokenProbs(p.Top)
		}
	}
	return out
}
