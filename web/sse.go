package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// writeTimeout is how long a reader of a stream may take to accept an event before it counts as gone.
const writeTimeout = 30 * time.Second

// An eventStream writes server-sent events, each flushed at once. It is for one goroutine.
type eventStream struct {
	w  gin.ResponseWriter
	rc *http.ResponseController
}

// openStream sends the headers of an event stream.
func openStream(c *gin.Context) *eventStream {
	h := c.Writer.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	e := &eventStream{c.Writer, http.NewResponseController(c.Writer)}
	c.Status(http.StatusOK)
	c.Writer.WriteHeaderNow()
	c.Writer.Flush()
	return e
}

// send writes one event. JSON has no raw line breaks, so that its data is one line.
func (e *eventStream) send(event string, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode event %s: %w", event, err)
	}
	return e.write("event: %s\ndata: %s\n\n", event, raw)
}

// beat writes a comment, which keeps proxies from closing an idle stream and tells whether the reader
// is still there.
func (e *eventStream) beat() error { return e.write(": still here\n\n") }

// close lifts the deadline of the last write, as the connection may serve other requests.
func (e *eventStream) close() { _ = e.rc.SetWriteDeadline(time.Time{}) }

func (e *eventStream) write(format string, args ...any) error {
	_ = e.rc.SetWriteDeadline(time.Now().Add(writeTimeout)) // recorders in tests have none
	if _, err := fmt.Fprintf(e.w, format, args...); err != nil {
		return err
	}
	return e.rc.Flush()
}
