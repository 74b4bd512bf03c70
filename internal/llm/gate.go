package llm

import (
	"fmt"
	"sync"
	"time"

	"github.com/tmc/langchaingo/llms"
)

// A BusyError refuses a call because as many as Config.Queue allows wait already.
type BusyError struct {
	Calls int           // that are computed or wait
	After time.Duration // about when a place may be free, in whole seconds, from 1 to 60
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("the language model has %d calls to answer and takes no more: try again in %s", e.Calls, e.After)
}

// gate counts the calls of a model.
type gate struct {
	mu     sync.Mutex
	limit  int // 0: none
	inside int
	took   time.Duration // of the last calls, on average, waiting included
}

// enter counts a call, whose end leave tells, or refuses it.
func (g *gate) enter() (leave func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.full(); err != nil {
		return nil, err
	}
	g.inside++
	start := time.Now()
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.inside--
		g.took += (time.Since(start) - g.took) / 4
	}, nil
}

// full is what a call would be refused with; the caller holds the lock.
func (g *gate) full() error {
	if g.limit == 0 || g.inside < g.limit {
		return nil
	}
	// Little's law: calls that take so long, so many at once, end so often.
	after := (g.took / time.Duration(g.inside)).Round(time.Second)
	return &BusyError{g.inside, min(max(after, time.Second), time.Minute)}
}

// Busy is the [BusyError] that a call of a model would get now; nil where it would be taken, or where that is not
// known before, as of models on servers.
func Busy(m llms.Model) error {
	l, ok := m.(*LocalModel)
	if !ok {
		return nil
	}
	l.gate.mu.Lock()
	defer l.gate.mu.Unlock()
	return l.gate.full()
}
