package llm

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"docent/internal/llm/engine"
	"docent/internal/llm/grammar"
)

var (
	// ErrUnreachable is wrapped when no connection to the model server can be made.
	ErrUnreachable = errors.New("model server unreachable")
	// ErrTimeout is wrapped when a reply does not begin, or does not go on, in time.
	ErrTimeout = errors.New("model server timed out")
	// ErrEmptyReply is wrapped when a server replies without a message.
	ErrEmptyReply = errors.New("model server sent no message")
	// ErrBrokenOff is wrapped when the stream of a reply ends before the reply does.
	ErrBrokenOff = errors.New("model server broke the reply off")
	// ErrNoModel is wrapped when a server offers no model, or not the one asked for.
	ErrNoModel = errors.New("no such model")
)

// An OptionError refuses a call because the model cannot do what an option asks for.
type OptionError struct {
	Option string // as the OpenAI protocol calls it, or llama.cpp's server
	Reason string
}

func (e *OptionError) Error() string { return e.Option + ": " + e.Reason }

// IsRequestError reports whether a local model refused a call for what was asked of it: an option that cannot be, a form
// that is none, or messages that its chat template does not take.
func IsRequestError(err error) bool {
	for _, of := range []error{
		engine.ErrOption, engine.ErrTemplate, engine.ErrContext, errToolChoice, errMessage,
		grammar.ErrSyntax, grammar.ErrUnsupported, grammar.ErrTooLarge, grammar.ErrEmpty, grammar.ErrAmbiguous, grammar.ErrDeadEnd,
	} {
		if errors.Is(err, of) {
			return true
		}
	}
	return false
}

// A StatusError is a reply of the model server that is an error.
type StatusError struct {
	URL        string
	Code       int           // HTTP status; 200 when the error came inside a reply that had begun
	Message    string        // as the server says it, at most 500 bytes
	RetryAfter time.Duration // 0 when it does not say
}

func (e *StatusError) Error() string {
	status := ""
	if e.Code != http.StatusOK {
		status = fmt.Sprintf(": %d %s", e.Code, http.StatusText(e.Code))
	}
	s := "model server " + e.URL + status
	if e.Message != "" {
		s += ": " + e.Message
	}
	switch e.Code {
	case http.StatusUnauthorized, http.StatusForbidden:
		s += " (check the API key)"
	case http.StatusTooManyRequests:
		if e.RetryAfter > 0 {
			s += fmt.Sprintf(" (try again in %s)", e.RetryAfter.Round(time.Second))
		}
	}
	return s
}

var overflow = regexp.MustCompile(`(?i)context[ _-]?(length|window|size)|maximum context|too many (input )?tokens|prompt is too long|exceeds? the (available|maximum)|input (is )?too long|exceed_context_size`)

// IsContextOverflow reports whether err is the refusal of a prompt that is longer than the model's
// context window.
func IsContextOverflow(err error) bool {
	if errors.Is(err, engine.ErrContext) {
		return true
	}
	var s *StatusError
	return errors.As(err, &s) && s.Code >= 200 && s.Code != http.StatusTooManyRequests && overflow.MatchString(s.Message)
}
