package catalog

import (
	"context"
	"encoding/json"
	"math"
	"time"
)

// A Conversation is a thread of questions and answers over a collection. It outlives its collection.
type Conversation struct {
	ID         string    `json:"id"`
	Collection string    `json:"collection"`
	Title      string    `json:"title"`
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"` // when its newest message was added or it was renamed
}

// The roles of a message.
const (
	User      = "user"
	Assistant = "assistant"
)

// A Message is one turn of a conversation.
type Message struct {
	ID             string          `json:"id"`
	ConversationID string          `json:"conversation_id"`
	Role           string          `json:"role"` // User or Assistant
	Content        string          `json:"content"`
	Data           json.RawMessage `json:"data,omitempty"` // the answer with its citations and steps; opaque here
	CreatedAt      time.Time       `json:"created_at"`
}

func scanConversation(s scanner) (Conversation, error) {
	var c Conversation
	var created, updated int64
	err := s.Scan(&c.ID, &c.Collection, &c.Title, &created, &updated)
	c.CreatedAt, c.UpdatedAt = fromMicro(created), fromMicro(updated)
	return c, err
}

const conversationColumns = `id, collection, title, created_at, updated_at`

// CreateConversation stores a new conversation and returns it with the ID and the times that were
// empty filled in. It returns ErrExists when the ID is taken.
func (d *DB) CreateConversation(ctx context.Context, c Conversation) (Conversation, error) {
	if c.ID == "" {
		c.ID = newID()
	}
	if c.CreatedAt.IsZero() {
		c.CreatedAt = now()
	}
	if c.UpdatedAt.IsZero() {
		c.UpdatedAt = c.CreatedAt
	}
	_, err := d.exec(ctx, `INSERT INTO conversations (`+conversationColumns+`) VALUES (?,?,?,?,?)`,
		c.ID, c.Collection, c.Title, toMicro(c.CreatedAt), toMicro(c.UpdatedAt))
	return c, Explain(err)
}

// Conversations returns conversations, the one used last first, skipping offset of them; all when
// limit is 0 or less.
func (d *DB) Conversations(ctx context.Context, limit, offset int) ([]Conversation, error) {
	if limit <= 0 {
		limit = math.MaxInt
	}
	rows, err := d.read.query(ctx, `SELECT `+conversationColumns+` FROM conversations ORDER BY updated_at DESC, id DESC LIMIT ? OFFSET ?`, limit, max(offset, 0))
	return collect(rows, err, scanConversation)
}

// Conversation returns one conversation, or ErrNotFound.
func (d *DB) Conversation(ctx context.Context, id string) (Conversation, error) {
	c, err := scanConversation(d.read.queryRow(ctx, `SELECT `+conversationColumns+` FROM conversations WHERE id = ?`, id))
	return c, found(err, "conversation", id)
}

// RenameConversation gives a conversation another title. It returns ErrNotFound when there is none.
func (d *DB) RenameConversation(ctx context.Context, id, title string) error {
	res, err := d.exec(ctx, `UPDATE conversations SET title = ?, updated_at = ? WHERE id = ?`, title, toMicro(now()), id)
	return changed(res, err, "conversation", id)
}

// DeleteConversation removes a conversation and its messages. It returns ErrNotFound when there is
// none.
func (d *DB) DeleteConversation(ctx context.Context, id string) error {
	res, err := d.exec(ctx, `DELETE FROM conversations WHERE id = ?`, id)
	return changed(res, err, "conversation", id)
}

// AddMessage appends a message to its conversation and returns it with the ID and the time that were
// empty filled in. It returns ErrNotFound when there is no such conversation.
func (d *DB) AddMessage(ctx context.Context, m Message) (Message, error) {
	if m.ID == "" {
		m.ID = newID()
	}
	if m.CreatedAt.IsZero() {
		m.CreatedAt = now()
	}
	err := d.update(ctx, func(tx *transaction) error {
		res, err := tx.exec(ctx, `UPDATE conversations SET updated_at = ? WHERE id = ?`, toMicro(m.CreatedAt), m.ConversationID)
		if err := changed(res, err, "conversation", m.ConversationID); err != nil {
			return err
		}
		_, err = tx.exec(ctx, `INSERT INTO messages (id, conversation_id, role, content, data, created_at) VALUES (?,?,?,?,?,?)`,
			m.ID, m.ConversationID, m.Role, m.Content, string(m.Data), toMicro(m.CreatedAt))
		return err
	})
	return m, err
}

// Messages returns the messages of a conversation in the order they were added, none for an unknown
// conversation.
func (d *DB) Messages(ctx context.Context, conversationID string) ([]Message, error) {
	rows, err := d.read.query(ctx, `SELECT id, conversation_id, role, content, data, created_at FROM messages WHERE conversation_id = ? ORDER BY seq`, conversationID)
	return collect(rows, err, func(s scanner) (Message, error) {
		var m Message
		var data string
		var created int64
		err := s.Scan(&m.ID, &m.ConversationID, &m.Role, &m.Content, &data, &created)
		if data != "" {
			m.Data = json.RawMessage(data)
		}
		m.CreatedAt = fromMicro(created)
		return m, err
	})
}

// Setting returns the value stored under key, or ErrNotFound.
func (d *DB) Setting(ctx context.Context, key string) (string, error) {
	var value string
	err := d.read.queryRow(ctx, `SELECT value FROM settings WHERE key = ?`, key).Scan(&value)
	return value, found(err, "setting", key)
}

// SetSetting stores value under key.
func (d *DB) SetSetting(ctx context.Context, key, value string) error {
	_, err := d.exec(ctx, `INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
	return Explain(err)
}
