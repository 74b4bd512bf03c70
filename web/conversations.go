package web

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"docent/chain"
	"docent/internal/catalog"
	"docent/retriever"
)

func (s *Server) conversationRoutes(r gin.IRoutes) {
	r.GET("/conversations", s.listConversations)
	r.GET("/conversations/:id", s.conversation)
	r.PATCH("/conversations/:id", s.renameConversation)
	r.DELETE("/conversations/:id", s.deleteConversation)
}

// messageData is what a message holds besides its text, as stored in catalog.Message.Data.
type messageData struct {
	Answer *chain.Answer    `json:"answer,omitempty"`
	Steps  []step           `json:"steps,omitempty"`
	Error  *failureBody     `json:"error,omitempty"`
	Style  string           `json:"style,omitempty"`
	Agent  bool             `json:"agent,omitempty"`
	Where  retriever.Filter `json:"where,omitzero"` // of the question
}

// A step is one event on the way to an answer that is kept with it.
type step struct {
	Type string `json:"type"` // tool_call, tool_result or reasoning
	Data any    `json:"data"`
}

type messageBody struct {
	ID        string    `json:"id"`
	Role      string    `json:"role"`
	Content   string    `json:"content"`
	CreatedAt time.Time `json:"created_at"`
	messageData
}

func newMessageBody(m catalog.Message) messageBody {
	b := messageBody{ID: m.ID, Role: m.Role, Content: m.Content, CreatedAt: m.CreatedAt}
	if len(m.Data) > 0 {
		_ = json.Unmarshal(m.Data, &b.messageData) // of a later release perhaps; its text still shows
	}
	return b
}

func (s *Server) listConversations(c *gin.Context) {
	limit, offset := 50, 0
	for name, v := range map[string]*int{"limit": &limit, "offset": &offset} {
		if text := c.Query(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 || name == "limit" && (n == 0 || n > 500) {
				s.fail(c, badRequest(name+" should be a number, at most 500 for limit"))
				return
			}
			*v = n
		}
	}
	all, err := s.cfg.Store.Catalog().Conversations(c.Request.Context(), limit, offset)
	if err != nil {
		s.fail(c, err)
		return
	}
	if all == nil {
		all = []catalog.Conversation{}
	}
	c.JSON(http.StatusOK, gin.H{"conversations": all})
}

func (s *Server) conversation(c *gin.Context) {
	db := s.cfg.Store.Catalog()
	conv, err := db.Conversation(c.Request.Context(), c.Param("id"))
	if err != nil {
		s.fail(c, err)
		return
	}
	messages, err := db.Messages(c.Request.Context(), conv.ID)
	if err != nil {
		s.fail(c, err)
		return
	}
	bodies := make([]messageBody, len(messages))
	for i, m := range messages {
		bodies[i] = newMessageBody(m)
	}
	c.JSON(http.StatusOK, struct {
		catalog.Conversation
		Messages []messageBody `json:"messages"`
	}{conv, bodies})
}

func (s *Server) renameConversation(c *gin.Context) {
	var in struct {
		Title string `json:"title"`
	}
	if !s.decode(c, &in) {
		return
	}
	title := strings.Join(strings.Fields(in.Title), " ")
	if title == "" || utf8.RuneCountInString(title) > 200 {
		s.fail(c, badRequest("the title should have 1 to 200 characters"))
		return
	}
	db := s.cfg.Store.Catalog()
	if err := db.RenameConversation(c.Request.Context(), c.Param("id"), title); err != nil {
		s.fail(c, err)
		return
	}
	conv, err := db.Conversation(c.Request.Context(), c.Param("id"))
	if err != nil {
		s.fail(c, err)
		return
	}
	c.JSON(http.StatusOK, conv)
}

func (s *Server) deleteConversation(c *gin.Context) {
	if err := s.cfg.Store.Catalog().DeleteConversation(c.Request.Context(), c.Param("id")); err != nil {
		s.fail(c, err)
		return
	}
	c.Status(http.StatusNoContent)
}

// titleOf is the title of a conversation that begins with question.
func titleOf(question string) string {
	const most = 60
	title := strings.Join(strings.Fields(question), " ")
	if utf8.RuneCountInString(title) <= most {
		return title
	}
	r := []rune(title)[:most]
	short := string(r)
	// At the last space, if that does not lose much; Chinese has none.
	if i := strings.LastIndexByte(short, ' '); i > len(short)*2/3 {
		short = short[:i]
	}
	return strings.TrimRight(short, " ,，、;；:：") + "…"
}

// history pairs the questions of a conversation with their answers, oldest first, the newest turns only.
// A question that got no word of an answer is left out; one whose answer broke off is not, as the next
// question may well be about it.
func history(messages []catalog.Message, turns int) []chain.Turn {
	var out []chain.Turn
	question := ""
	for _, m := range messages {
		switch m.Role {
		case catalog.User:
			question = m.Content
		case catalog.Assistant:
			if question != "" && strings.TrimSpace(m.Content) != "" {
				out = append(out, chain.Turn{Question: question, Answer: m.Content})
			}
			question = ""
		}
	}
	if len(out) > turns {
		out = out[len(out)-turns:]
	}
	return out
}
