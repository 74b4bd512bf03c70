package web

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"docent/agent"
	"docent/chain"
	"docent/ingest"
	"docent/internal/catalog"
	"docent/internal/llm"
	"docent/retriever"
)

func (s *Server) askRoutes(r gin.IRoutes) { r.POST("/ask", s.ask) }

const (
	maxQuestion  = 8000     // bytes
	historyTurns = 10       // of the conversation, passed on with a question
	maxStepBytes = 16 << 10 // of one step, as stored
	maxSteps     = 200      // stored with one message
	saveTimeout  = 5 * time.Second
)

type askBody struct {
	Collection     string           `json:"collection"`
	Question       string           `json:"question"`
	ConversationID string           `json:"conversation_id"`
	Style          string           `json:"style"`
	Agent          bool             `json:"agent"`
	Where          retriever.Filter `json:"where"`
	Choices        []string         `json:"choices"`
	Scoring        chain.Scoring    `json:"scoring"`
	Adapter        string           `json:"adapter"`
	Retrieval      json.RawMessage  `json:"retrieval"` // settings of retriever.Settings for this question
	Stream         *bool            `json:"stream"`    // nil means true
}

// askReply is the answer to a question with "stream": false.
type askReply struct {
	ConversationID string    `json:"conversation_id"`
	MessageID      string    `json:"message_id"`
	Indexing       *Indexing `json:"indexing,omitempty"`
	chain.Answer
}

// startedEvent and sourcesEvent are the two events that say more than chain's.
type startedEvent struct {
	ConversationID string `json:"conversation_id"`
	MessageID      string `json:"message_id"`
}

type sourcesEvent struct {
	Passages []chain.Passage `json:"passages"`
	Indexing *Indexing       `json:"indexing,omitempty"`
}

// ask answers a question, streaming what happens on the way. The question is in the conversation before
// work on it begins, the answer, or as much of it as there is, once work has ended, however it ended.
func (s *Server) ask(c *gin.Context) {
	var in askBody
	if !s.decode(c, &in) {
		return
	}
	model := s.cfg.Model(c.Request.Context())
	question := chain.Question{Text: strings.TrimSpace(in.Question), Style: in.Style, Where: in.Where, Choices: in.Choices, Scoring: in.Scoring, Adapter: in.Adapter}
	switch {
	case in.Agent && !s.hasAgent(model):
		s.fail(c, agent.ErrNoModel)
		return
	case in.Agent && (len(in.Choices) > 0 || in.Adapter != ""):
		s.fail(c, badRequest("the agent takes no choices and no adapter; leave them out"))
		return
	}
	if err := s.checkQuestion(model, question); err != nil {
		s.fail(c, err)
		return
	}
	// A stream could say so in its error event only, without a status that clients look at.
	if err := llm.Busy(model.LLM); err != nil {
		s.fail(c, err)
		return
	}
	in.Question = question.Text

	db := s.cfg.Store.Catalog()
	if in.ConversationID != "" {
		conv, err := db.Conversation(c.Request.Context(), in.ConversationID)
		if err != nil {
			s.fail(c, err)
			return
		}
		if in.Collection == "" {
			in.Collection = conv.Collection
		}
		if in.Collection != conv.Collection {
			s.fail(c, badRequest(fmt.Sprintf("the conversation is about the collection %q; begin a new one to ask %q", conv.Collection, in.Collection)))
			return
		}
		messages, err := db.Messages(c.Request.Context(), conv.ID)
		if err != nil {
			s.fail(c, err)
			return
		}
		question.History = history(messages, historyTurns)
	}
	if in.Collection == "" {
		s.fail(c, badRequest("the collection is missing"))
		return
	}
	if _, err := s.cfg.Store.Collection(c.Request.Context(), in.Collection); err != nil {
		s.fail(c, err)
		return
	}
	if len(in.Retrieval) > 0 {
		var err error
		question.Search, err = s.searchOptions(c.Request.Context(), in.Collection, func(v *ingest.Settings) error {
			return v.Merge(fmt.Appendf(nil, `{"retrieval":%s}`, in.Retrieval))
		})
		if err != nil {
			s.fail(c, err)
			return
		}
	}
	indexing, err := s.indexing(c.Request.Context(), in.Collection)
	if err != nil {
		s.fail(c, err)
		return
	}

	// What is known to be impossible is said before anything is written down.
	ctx, cancel := context.WithCancel(c.Request.Context())
	defer cancel()
	var events iter.Seq2[chain.Event, error]
	if in.Agent {
		events = s.cfg.Agent(ctx, in.Collection, question)
	} else {
		events = s.cfg.Ask(ctx, in.Collection, question)
	}
	if in.ConversationID == "" {
		conv, err := db.CreateConversation(c.Request.Context(), catalog.Conversation{Collection: in.Collection, Title: titleOf(in.Question)})
		if err != nil {
			s.fail(c, err)
			return
		}
		in.ConversationID = conv.ID
	}
	if _, err := db.AddMessage(c.Request.Context(), catalog.Message{ConversationID: in.ConversationID, Role: catalog.User, Content: in.Question}); err != nil {
		s.fail(c, err)
		return
	}

	a := &asked{in: in, messageID: uuid.NewString(), indexing: indexing}
	if in.Stream == nil || *in.Stream {
		s.streamAnswer(c, ctx, cancel, a, events)
		return
	}
	for event, err := range events {
		if err != nil {
			a.fail(err)
			break
		}
		a.note(event)
	}
	a.end(ctx)
	s.save(c, a)
	if a.err != nil {
		s.fail(c, a.err)
		return
	}
	c.JSON(http.StatusOK, askReply{in.ConversationID, a.messageID, indexing, *a.answer})
}

// checkQuestion refuses what is known to be impossible.
func (s *Server) checkQuestion(model Model, q chain.Question) error {
	switch {
	case q.Text == "":
		return badRequest("the question is empty")
	case len(q.Text) > maxQuestion:
		return badRequest(fmt.Sprintf("the question is longer than %d bytes", maxQuestion))
	case q.Style != "" && len(s.cfg.Styles) > 0 && !slices.Contains(s.cfg.Styles, q.Style):
		return badRequest(fmt.Sprintf("there is no style %s; there are: %s", quoteShort(q.Style), strings.Join(s.cfg.Styles, ", ")))
	case len(q.Choices) > 0 && model.Provider == llm.ExtractiveAnswer:
		return fmt.Errorf("%w: there is no language model to choose", chain.ErrChoices)
	case q.Adapter != "" && q.Adapter != llm.NoAdapter && !slices.Contains(model.Adapters, q.Adapter):
		return fmt.Errorf("%w %s; there are: %s", chain.ErrUnknownAdapter, quoteShort(q.Adapter), strings.Join(append([]string{llm.NoAdapter}, model.Adapters...), ", "))
	}
	if len(q.Choices) > 0 {
		if err := chain.CheckChoices(q.Choices); err != nil {
			return err
		}
		if err := q.Scoring.Check(); err != nil {
			return err
		}
	}
	_, err := q.Where.Matches(retriever.Document{})
	return err
}

// item is an event, or the error that ends them.
type item struct {
	event chain.Event
	err   error
}

// pump makes events in a goroutine of their own, so that heartbeats flow, and a reader's leaving is seen, while a
// model thinks. The channel is closed after the last, or when ctx ends.
func pump(ctx context.Context, events iter.Seq2[chain.Event, error]) <-chan item {
	items := make(chan item)
	go func() {
		defer close(items)
		defer func() {
			if p := recover(); p != nil {
				select {
				case items <- item{err: fmt.Errorf("answering panicked: %v", p)}:
				case <-ctx.Done():
				}
			}
		}()
		for event, err := range events {
			select {
			case items <- item{event, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return items
}

// streamAnswer sends the events as they come.
func (s *Server) streamAnswer(c *gin.Context, ctx context.Context, cancel context.CancelFunc, a *asked, events iter.Seq2[chain.Event, error]) {
	items := pump(ctx, events)
	stream := openStream(c)
	defer stream.close()
	err := stream.send("started", startedEvent{a.in.ConversationID, a.messageID})
	beat := time.NewTicker(s.cfg.Heartbeat)
	defer beat.Stop()
	for open := true; open && err == nil; {
		select {
		case it, ok := <-items:
			switch {
			case !ok:
				open = false
			case it.err != nil:
				a.fail(it.err)
				open = false
			default:
				a.note(it.event)
				if sources, isSources := it.event.(chain.Sources); isSources {
					err = stream.send(sources.Type(), sourcesEvent{sources.Passages, a.indexing})
				} else if _, isDone := it.event.(chain.Done); !isDone {
					err = stream.send(it.event.Type(), it.event)
				}
			}
		case <-beat.C:
			err = stream.beat()
		case <-ctx.Done():
			open = false
		}
	}
	if err != nil { // the reader is gone
		cancel()
	}
	// Before the last event is sent, so that whoever has seen it finds it in the conversation.
	a.end(ctx)
	s.save(c, a)
	cancel()
	for range items { // the model and the search have seen the cancel
	}
	if err != nil || c.Request.Context().Err() != nil {
		return
	}
	if a.err != nil {
		s.logFailure(c, a.err)
		_ = stream.send("error", gin.H{"error": failureBody{a.err.code, a.err.message, retrySeconds(a.err)}})
		return
	}
	_ = stream.send("done", chain.Done{Answer: *a.answer})
}

// asked is a question being answered, and what is worth keeping of how.
type asked struct {
	in        askBody
	messageID string
	indexing  *Indexing

	text     strings.Builder // the answer as streamed
	steps    []step
	passages []chain.Passage
	answer   *chain.Answer
	err      *apiError
}

// note keeps what of an event belongs in the conversation.
func (a *asked) note(event chain.Event) {
	switch e := event.(type) {
	case chain.Status:
		a.text.Reset()
	case chain.Token:
		a.text.WriteString(e.Text)
	case chain.Sources:
		a.passages = e.Passages
	case chain.Reasoning:
		if n := len(a.steps); n > 0 && a.steps[n-1].Type == e.Type() {
			last := a.steps[n-1].Data.(chain.Reasoning)
			a.steps[n-1].Data = chain.Reasoning{Text: cutStep(last.Text + e.Text)}
			return
		}
		a.addStep(e.Type(), chain.Reasoning{Text: cutStep(e.Text)})
	case chain.ToolCall:
		a.text.Reset() // what was streamed turned out to be thinking
		e.Input = cutStep(e.Input)
		a.addStep(e.Type(), e)
	case chain.ToolResult:
		e.Output = cutStep(e.Output)
		a.addStep(e.Type(), e)
	case chain.Done:
		a.answer = &e.Answer
	}
}

func (a *asked) addStep(kind string, data any) {
	if len(a.steps) < maxSteps {
		a.steps = append(a.steps, step{kind, data})
	}
}

func cutStep(s string) string {
	if len(s) <= maxStepBytes {
		return s
	}
	s = s[:maxStepBytes]
	for s != "" {
		if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size > 1 {
			break
		}
		s = s[:len(s)-1]
	}
	return s + "…"
}

func (a *asked) fail(err error) { a.err = explain(err) }

// end settles how the answer ended.
func (a *asked) end(ctx context.Context) {
	switch {
	case a.answer != nil:
		a.err = nil
	case ctx.Err() != nil:
		a.err = explain(context.Canceled)
	case a.err == nil:
		a.err = explain(errNoResult)
	}
}

// save adds the answer, or what there is of it, to the conversation. The reader may be gone by now.
func (s *Server) save(c *gin.Context, a *asked) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request.Context()), saveTimeout)
	defer cancel()
	data := messageData{Steps: a.steps, Style: a.in.Style, Agent: a.in.Agent, Where: a.in.Where}
	content := strings.TrimSpace(a.text.String())
	if a.answer != nil {
		content, data.Answer = a.answer.Text, a.answer
	}
	if a.err != nil {
		data.Error = &failureBody{Code: a.err.code, Message: a.err.message}
	}
	raw, err := json.Marshal(data)
	if err == nil {
		_, err = s.cfg.Store.Catalog().AddMessage(ctx, catalog.Message{ID: a.messageID, ConversationID: a.in.ConversationID,
			Role: catalog.Assistant, Content: content, Data: raw})
	}
	if err != nil {
		// The reader still gets the answer; a conversation deleted meanwhile is no fault.
		s.log.WarnContext(ctx, "answer is not in its conversation", "request_id", c.GetString(requestIDKey), "conversation", a.in.ConversationID, "error", err)
	}
}
