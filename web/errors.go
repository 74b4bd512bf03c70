package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"docent/agent"
	"docent/chain"
	"docent/ingest"
	"docent/internal/llm"
	"docent/retriever"
)

// The codes of error replies.
const (
	codeBadRequest  = "bad_request"
	codeNotFound    = "not_found"
	codeExists      = "exists"
	codeTooLarge    = "too_large"
	codeConflict    = "conflict"
	codeForbidden   = "forbidden"
	codeModel       = "model_unavailable"
	codeStorageFull = "storage_full"
	codeBusy        = "busy"
	codeCancelled   = "cancelled"
	codeInternal    = "internal"
)

// An apiError is an error as the client sees it. cause is for the log only.
type apiError struct {
	status  int
	code    string
	message string
	cause   error
}

func (e *apiError) Error() string { return e.message }
func (e *apiError) Unwrap() error { return e.cause }

// failureBody is an error in a reply, an event or a stored message.
type failureBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Retry   int    `json:"retry_after,omitempty"` // seconds until it may go well; as the header Retry-After says
}

func badRequest(message string) *apiError {
	return &apiError{http.StatusBadRequest, codeBadRequest, message, nil}
}

// explain turns any error into what the client is told. Errors of docent's own that were written for
// people pass as they are; the others are kept for the log.
func explain(err error) *apiError {
	var known *apiError
	if errors.As(err, &known) {
		return known
	}
	var status *llm.StatusError
	var file *ingest.FileError
	var option *llm.OptionError
	var busy *llm.BusyError
	public := func(httpStatus int, code string) *apiError { return &apiError{httpStatus, code, err.Error(), nil} }
	switch {
	case errors.Is(err, retriever.ErrNotFound):
		return public(http.StatusNotFound, codeNotFound)
	case errors.Is(err, retriever.ErrExists):
		return public(http.StatusConflict, codeExists)
	case errors.Is(err, retriever.ErrInvalidName), errors.Is(err, retriever.ErrInvalidFilter), errors.Is(err, ingest.ErrInvalidSetting):
		return public(http.StatusBadRequest, codeBadRequest)
	case errors.Is(err, retriever.ErrEncoderMismatch), errors.Is(err, retriever.ErrNoVectors), errors.Is(err, ingest.ErrNotEnded), errors.Is(err, ingest.ErrEnded):
		return public(http.StatusConflict, codeConflict)
	case errors.Is(err, retriever.ErrReadOnly):
		return public(http.StatusForbidden, codeForbidden)
	case errors.Is(err, retriever.ErrStorageFull):
		return &apiError{http.StatusInsufficientStorage, codeStorageFull, "the disk is full; nothing of this was kept. Make room and try again", err}
	case errors.Is(err, retriever.ErrEngineUnavailable):
		return &apiError{http.StatusServiceUnavailable, codeInternal, "the search engine cannot be reached; the server's log says where it was looked for", err}
	case errors.Is(err, retriever.ErrUnavailable):
		return &apiError{http.StatusServiceUnavailable, codeInternal, "the database cannot be reached; try again in a moment", err}
	case errors.Is(err, chain.ErrChoices), errors.Is(err, chain.ErrUnknownAdapter), errors.As(err, &option), llm.IsRequestError(err):
		return public(http.StatusBadRequest, codeBadRequest)
	case errors.As(err, &busy):
		return &apiError{http.StatusServiceUnavailable, codeBusy, busy.Error(), err}
	case errors.Is(err, chain.ErrNoChoice):
		return public(http.StatusBadGateway, codeModel)
	case errors.Is(err, agent.ErrNoModel):
		return public(http.StatusServiceUnavailable, codeModel)
	case errors.Is(err, llm.ErrUnreachable), errors.Is(err, llm.ErrTimeout), errors.Is(err, llm.ErrEmptyReply),
		errors.Is(err, llm.ErrBrokenOff), errors.Is(err, llm.ErrNoModel), errors.As(err, &status):
		return public(http.StatusBadGateway, codeModel)
	case errors.As(err, &file):
		return public(http.StatusBadRequest, codeBadRequest)
	case errors.Is(err, context.Canceled):
		return &apiError{499, codeCancelled, "stopped", nil}
	case errors.Is(err, retriever.ErrClosed):
		return &apiError{http.StatusServiceUnavailable, codeInternal, "the server is shutting down", err}
	}
	return &apiError{http.StatusInternalServerError, codeInternal, "something went wrong in the server; its log says what", err}
}

// fail replies with err and ends the request. Causes are logged here, once.
func (s *Server) fail(c *gin.Context, err error) {
	e := explain(err)
	s.logFailure(c, e)
	wait := retrySeconds(err)
	if wait > 0 {
		c.Header("Retry-After", strconv.Itoa(wait))
	}
	if isOpenAI(c.Request.URL.Path) {
		status, body := asOpenAI(err)
		c.AbortWithStatusJSON(status, gin.H{"error": body})
		return
	}
	c.AbortWithStatusJSON(e.status, gin.H{"error": failureBody{e.code, e.message, wait}})
}

func (s *Server) logFailure(c *gin.Context, e *apiError) {
	if e.cause != nil {
		s.log.ErrorContext(c.Request.Context(), "request failed", "request_id", c.GetString(requestIDKey), "code", e.code, "error", e.cause)
	}
}

// maxBody bounds JSON bodies.
const maxBody = 1 << 20

// decode reads a JSON body into v. It replies and returns false when it cannot.
func (s *Server) decode(c *gin.Context, v any) bool { return s.decodeUpTo(c, v, maxBody) }

func (s *Server) decodeUpTo(c *gin.Context, v any, most int64) bool {
	dec := json.NewDecoder(http.MaxBytesReader(c.Writer, c.Request.Body, most))
	err := dec.Decode(v)
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return true
		}
		if err == nil {
			err = errors.New("text follows")
		}
	}
	var tooLarge *http.MaxBytesError
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &tooLarge):
		s.fail(c, &apiError{http.StatusRequestEntityTooLarge, codeTooLarge, fmt.Sprintf("the body is larger than %d MiB", most>>20), nil})
	case errors.As(err, &wrongType):
		s.fail(c, badRequest("the body's \""+wrongType.Field+"\" should be a "+wrongType.Type.String()+", not a "+wrongType.Value))
	case errors.Is(err, io.EOF):
		s.fail(c, badRequest("the body is empty; it should be a JSON object"))
	default:
		s.fail(c, badRequest("the body is not the JSON object it should be: "+err.Error()))
	}
	return false
}
