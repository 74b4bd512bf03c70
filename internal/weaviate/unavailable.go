package weaviate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"docent/internal/catalog"
)

// ErrUnavailable: no node, or too few, could do what was asked of them for as long as the patience lasted. It is
// catalog.ErrUnavailable as well, so that whoever waits for a database waits for a cluster too.
var ErrUnavailable error = unavailable{}

type unavailable struct{}

func (unavailable) Error() string        { return "the Weaviate cluster does not answer" }
func (unavailable) Is(target error) bool { return target == catalog.ErrUnavailable }

// nobodyFor is how long a call is repeated while not one node accepts a connection: as long as it takes to start
// one that is there, not as long as it takes a cluster to mend itself.
const nobodyFor = 5 * time.Second

// attempts are those of one call. They are safe for concurrent use.
type attempts struct {
	what  string
	nodes []*node
	begun time.Time

	mu   sync.Mutex
	last map[*node]error
}

func (c *Client) attempts(what string) *attempts {
	return &attempts{what: what, nodes: c.nodes, begun: time.Now(), last: make(map[*node]error)}
}

// asks notes that a node is asked, which fails in time unless it is heard of again.
func (a *attempts) asks(n *node) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last[n] == nil {
		a.last[n] = context.DeadlineExceeded
	}
}

// failed notes how a node failed, for whoever has to mend it.
func (a *attempts) failed(n *node, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if was := a.last[n]; was != nil && errors.Is(err, context.Canceled) {
		return // it was not waited for any more
	}
	a.last[n] = err
}

// hopeless says whether no node has accepted a connection for long enough.
func (a *attempts) hopeless() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Since(a.begun) < nobodyFor {
		return false
	}
	for _, n := range a.nodes {
		op, ok := errors.AsType[*net.OpError](a.last[n])
		if !ok || op.Op != "dial" {
			return false
		}
	}
	return true
}

// givenUp is the error of the call: the addresses that were tried, what each said, and what to do.
func (a *attempts) givenUp() error {
	return fmt.Errorf("%s: %w: tried for %v: %s", a.what, ErrUnavailable, time.Since(a.begun).Round(100*time.Millisecond), a.tried())
}

// cut is the error of a call whose context ended.
func (a *attempts) cut(err error) error {
	a.mu.Lock()
	none := len(a.last) == 0
	a.mu.Unlock()
	if none || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%s: %w: %s", a.what, err, a.tried())
}

func (a *attempts) tried() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	said := make([]string, 0, len(a.nodes))
	for _, n := range a.nodes {
		said = append(said, n.address+" ("+reason(a.last[n])+")")
	}
	return strings.Join(said, ", ") + "; start the nodes that are away, or correct the addresses of the store (--store or $DOCENT_STORE)"
}

// reason is what an error of one node says besides its address.
func reason(err error) string {
	switch {
	case err == nil:
		return "not asked"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "no answer in time"
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.Err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		if op.Timeout() {
			return "no answer in time"
		}
		return op.Err.Error()
	}
	return err.Error()
}
