package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"docent/chain"
	"docent/ingest"
	"docent/internal/llm"
	"docent/retriever"
)

// fromDocuments is what /api/ask tells of an answer beside its text and its citations.
type fromDocuments struct {
	Answer   string          `json:"answer,omitempty"` // the checked answer, where it is not what was streamed
	Passages []chain.Passage `json:"passages"`
	Declined bool            `json:"declined,omitempty"`
	Notice   string          `json:"notice,omitempty"`
	Query    string          `json:"query,omitempty"`
	Dropped  int             `json:"dropped,omitempty"`
	Indexing *Indexing       `json:"indexing,omitempty"`
	Model    string          `json:"model"` // that wrote it
}

// completeFromDocuments answers from a collection. Nothing of it is kept in a conversation: the client keeps its own.
func (s *Server) completeFromDocuments(c *gin.Context, in *chatRequest, collection string) {
	ctx, cancel := context.WithCancel(c.Request.Context())
	defer cancel()
	question, indexing, err := s.questionOf(ctx, in, collection)
	if err != nil {
		s.fail(c, err)
		return
	}
	events := s.cfg.Ask(ctx, collection, question)
	w := s.newCompletion(in)
	if !in.Stream {
		for event, err := range events {
			if err != nil {
				s.fail(c, err)
				return
			}
			if done, ok := event.(chain.Done); ok {
				c.JSON(http.StatusOK, w.answer(&done.Answer, indexing))
				return
			}
		}
		s.fail(c, errNoResult)
		return
	}
	items := pump(ctx, events)
	stream := &lateStream{c: c}
	defer stream.close()
	answer, err := s.forwardAnswer(ctx, stream, items, w)
	cancel()
	for range items { // the model and the search have seen the cancel
	}
	var gone *readerGone
	switch {
	case errors.As(err, &gone) || c.Request.Context().Err() != nil:
	case err != nil && !stream.begun():
		s.fail(c, err)
	case err != nil:
		s.failStream(c, stream, err)
	default:
		for _, piece := range w.lastOfAnswer(answer, indexing) {
			if stream.send(piece) != nil {
				return
			}
		}
		_ = stream.end()
	}
}

var errNoResult = errors.New("the answer ended without a result")

// readerGone wraps the error of a write to who does not read any more.
type readerGone struct{ error }

// forwardAnswer sends the pieces of an answer as they come, and returns it.
func (s *Server) forwardAnswer(ctx context.Context, stream *lateStream, items <-chan item, w *completionWriter) (*chain.Answer, error) {
	beat := time.NewTicker(s.cfg.Heartbeat)
	defer beat.Stop()
	for {
		var pieces []completion
		select {
		case it, ok := <-items:
			switch {
			case !ok:
				return nil, errNoResult
			case it.err != nil:
				return nil, it.err
			}
			switch e := it.event.(type) {
			case chain.Token:
				w.text.WriteString(e.Text)
				pieces = w.piece(llm.Delta{Text: e.Text})
			case chain.Reasoning:
				pieces = w.piece(llm.Delta{Thought: e.Text})
			case chain.Done:
				return &e.Answer, nil
			}
		case <-beat.C:
			if err := stream.beat(); err != nil {
				return nil, &readerGone{err}
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		for _, p := range pieces {
			if err := stream.send(p); err != nil {
				return nil, &readerGone{err}
			}
		}
	}
}

// questionOf checks a request to answer from a collection's documents.
func (s *Server) questionOf(ctx context.Context, in *chatRequest, collection string) (chain.Question, *Indexing, error) {
	q := chain.Question{Where: in.Where, Style: in.Style, Adapter: in.Adapter}
	if _, err := s.cfg.Store.Collection(ctx, collection); errors.Is(err, retriever.ErrNotFound) || errors.Is(err, retriever.ErrInvalidName) {
		return q, nil, s.noModel(ctx, in.Model)
	} else if err != nil {
		return q, nil, err
	}
	if err := in.check(); err != nil {
		return q, nil, err
	}
	cannot := func(param string) error {
		return badParam(param, "an answer from documents takes none; leave it out, or name the language model itself")
	}
	switch {
	case in.usesTools():
		return q, nil, cannot("tools")
	case in.n() > 1:
		return q, nil, cannot("n")
	case in.LogProbs:
		return q, nil, cannot("logprobs")
	case in.ResponseFormat != nil && in.ResponseFormat.Type != "text":
		return q, nil, cannot("response_format")
	case in.Grammar != "":
		return q, nil, cannot("grammar")
	case in.Regex != "":
		return q, nil, cannot("regex")
	}
	if err := takeTurns(&q, in.Messages); err != nil {
		return q, nil, err
	}
	model := s.cfg.Model(ctx)
	if err := s.checkQuestion(model, q); err != nil {
		return q, nil, err
	}
	if model.writes() {
		local, err := in.local()
		if err != nil {
			return q, nil, err
		}
		local.Adapter, local.OwnTemperature = "", false
		q.Options = append(in.sampling(model.Provider), llm.WithLocal(local))
	}
	if given(in.Retrieval) {
		var err error
		q.Search, err = s.searchOptions(ctx, collection, func(v *ingest.Settings) error {
			return v.Merge(fmt.Appendf(nil, `{"retrieval":%s}`, in.Retrieval))
		})
		if err != nil {
			return q, nil, err
		}
	}
	indexing, err := s.indexing(ctx, collection)
	return q, indexing, err
}

// takeTurns makes a question of the last turn, and a conversation of those before it. What the system is told are
// instructions to the model, beside docent's own.
func takeTurns(q *chain.Question, messages []chatMessage) error {
	var asked []string // not answered yet
	for i, m := range messages {
		text, ok := m.Content.text()
		switch {
		case !ok:
			return badParam("messages", "message %d: an answer from documents is to a question in text", i)
		case m.Role == "system" || m.Role == "developer":
			q.Instructions = strings.TrimSpace(q.Instructions + "\n\n" + text)
		case m.Role == "user":
			asked = append(asked, text)
		case m.Role == "assistant" && len(m.ToolCalls) == 0:
			if len(asked) > 0 { // else a greeting
				q.History = append(q.History, chain.Turn{Question: strings.Join(asked, "\n"), Answer: text})
			}
			asked = nil
		default:
			return badParam("messages", "message %d: an answer from documents takes turns of system, user and assistant, without calls of tools", i)
		}
	}
	if len(asked) == 0 {
		return badParam("messages", "the last one must be the user's, with the question")
	}
	q.Text = strings.TrimSpace(strings.Join(asked, "\n"))
	q.History = q.History[max(0, len(q.History)-historyTurns):]
	return nil
}

// answer is the reply in one.
func (w *completionWriter) answer(a *chain.Answer, indexing *Indexing) completion {
	out := w.head
	out.Object, out.Usage, out.Citations, out.Documents = "chat.completion", usageOf(a.Usage), &a.Citations, documentsOf(a, indexing)
	out.Choices = []choice{{Message: &message{Role: "assistant", Content: &a.Text, Reasoning: a.Reasoning}, FinishReason: reasonOf(a)}}
	return out
}

// lastOfAnswer are the pieces after the last of the text: the citations, and the usage.
func (w *completionWriter) lastOfAnswer(a *chain.Answer, indexing *Indexing) []completion {
	out := w.begin(0)
	streamed := w.text.String()
	if rest, ok := strings.CutPrefix(a.Text, streamed); ok && rest != "" {
		out = append(out, w.piece(llm.Delta{Text: rest})...)
		streamed = a.Text
	}
	end := w.chunk(choice{Delta: &message{}, FinishReason: reasonOf(a)})
	end.Citations, end.Documents = &a.Citations, documentsOf(a, indexing)
	if a.Text != streamed {
		end.Documents.Answer = a.Text
	}
	out = append(out, end)
	if end.Usage != nil {
		last := w.chunk()
		last.Usage = usageOf(a.Usage)
		out = append(out, last)
	}
	return out
}

func documentsOf(a *chain.Answer, indexing *Indexing) *fromDocuments {
	return &fromDocuments{Passages: a.Passages, Declined: a.Declined, Notice: a.Notice, Query: a.Query, Dropped: a.Dropped, Indexing: indexing, Model: a.Model}
}

func reasonOf(a *chain.Answer) *string {
	reason := "stop"
	if a.Truncated {
		reason = "length"
	}
	return &reason
}
