// Package weaviate is a client of a Weaviate cluster, as far as a search engine of chunks needs one: classes,
// objects with a vector and properties, nearest vectors, BM25, counts. It speaks JSON over HTTP and
// GraphQL, and follows release 1.35.
//
//	c, err := weaviate.New(weaviate.Config{Addresses: []string{"10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"}})
//	full, err := c.Put(ctx, "Docent_1", objects, 3)
//	hits, err := c.Search(ctx, weaviate.Query{Class: "Docent_1", Vector: v, Limit: 10}, 1)
//
// Every call can be repeated without harm, so every call is: a node that does not answer, answers late or
// says that it cannot is left for another, and tried again later, until Config.Patience is over.
package weaviate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config says where the nodes of a cluster are.
type Config struct {
	Addresses []string      // host:port of the client API of each node; at least one
	TLS       bool          // speak HTTPS
	Key       string        // API key; empty for a cluster that lets anybody in
	Patience  time.Duration // how long a call is repeated before it fails; 0 means a minute
}

const (
	defaultPatience = time.Minute
	// firstTry is how long the first try of a call may take, each further one twice as long as the last. A
	// node whose neighbour has just died can hold a write for a minute; another answers at once.
	firstTry = 4 * time.Second
	// schemaTry is that of changes of the schema: one that is broken off can leave a node with an old one.
	schemaTry = 30 * time.Second
	// avoid is how long a node that failed is asked only when no other is left.
	avoid = 3 * time.Second
	// maxReply bounds a reply, in bytes.
	maxReply = 256 << 20
)

// ErrNoClass: there is no class of that name.
var ErrNoClass = errors.New("there is no such class")

// A Client speaks to a cluster. It is safe for concurrent use.
type Client struct {
	nodes    []*node
	http     *http.Client
	key      string
	patience time.Duration
	next     atomic.Uint32 // whose turn it is

	mostlyUntil atomic.Int64 // no write is tried at every replica until then, in Unix nanoseconds
}

type node struct {
	address, url string

	mu    sync.Mutex
	until time.Time // avoided until then
}

func (n *node) failed() {
	n.mu.Lock()
	n.until = time.Now().Add(avoid)
	n.mu.Unlock()
}

func (n *node) worked() {
	n.mu.Lock()
	n.until = time.Time{}
	n.mu.Unlock()
}

func (n *node) avoided() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Now().Before(n.until)
}

// New returns a client. It asks nothing of the cluster yet.
func New(cfg Config) (*Client, error) {
	if len(cfg.Addresses) == 0 {
		return nil, errors.New("weaviate: no address is given")
	}
	c := &Client{key: cfg.Key, patience: cfg.Patience}
	if c.patience == 0 {
		c.patience = defaultPatience
	}
	scheme := "http://"
	if cfg.TLS {
		scheme = "https://"
	}
	for _, a := range cfg.Addresses {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return nil, fmt.Errorf("weaviate: address %q: want host:port", a)
		}
		c.nodes = append(c.nodes, &node{address: a, url: scheme + a})
	}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     90 * time.Second,
	}}
	return c, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Addresses is how many nodes the client knows.
func (c *Client) Addresses() int { return len(c.nodes) }

// order returns the nodes in the order in which to ask them: by turns, those that failed of late last.
func (c *Client) order() []*node {
	first := int(c.next.Add(1)) % len(c.nodes)
	all := slices.Concat(c.nodes[first:], c.nodes[:first])
	slices.SortStableFunc(all, func(a, b *node) int {
		switch x, y := a.avoided(), b.avoided(); {
		case x == y:
			return 0
		case y:
			return -1
		}
		return 1
	})
	return all
}

// A refusal is an answer that another try would not change.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// patiently calls fn with one node after the other until it returns nil or a refusal, or patience ends. The
// first call may take as long as limit.
func (c *Client) patiently(ctx context.Context, what string, limit time.Duration, fn func(ctx context.Context, n *node) error) error {
	tried := c.attempts(what)
	deadline := tried.begun.Add(c.patience)
	first, pause := limit, 50*time.Millisecond
	for {
		for _, n := range c.order() {
			try, cancel := context.WithTimeout(ctx, min(limit, max(time.Until(deadline), first)))
			err := fn(try, n)
			cancel()
			if err == nil {
				n.worked()
				return nil
			}
			tried.failed(n, err)
			if ctx.Err() != nil {
				return tried.cut(ctx.Err())
			}
			if r, ok := errors.AsType[refusal](err); ok {
				return fmt.Errorf("%s: %s: %w", what, n.address, r.error)
			}
			n.failed()
			limit *= 2
		}
		if !time.Now().Add(pause).Before(deadline) || tried.hopeless() {
			return tried.givenUp()
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return tried.cut(ctx.Err())
		}
		pause = min(2*pause, 2*time.Second)
	}
}

// call sends one request to one node and reads the answer into reply, unless that is nil.
func (c *Client) call(ctx context.Context, n *node, method, path string, body, reply any) error {
	var sent io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return refusal{err}
		}
		sent = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, n.url+path, sent)
	if err != nil {
		return refusal{err}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxReply))
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		err := fmt.Errorf("it answers %s: %s", res.Status, message(data))
		switch {
		case res.StatusCode == http.StatusNotFound:
			return refusal{fmt.Errorf("%w: %w", ErrNoClass, err)}
		case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden:
			return refusal{fmt.Errorf("%w (give the API key in $DOCENT_WEAVIATE_KEY)", err)}
		}
		// Of the other 4xx some pass: 422 is also what a class gives that a node has not heard of yet.
		return err
	}
	if reply == nil {
		return nil
	}
	if err := json.Unmarshal(data, reply); err != nil {
		return fmt.Errorf("not an answer of Weaviate: %w", err)
	}
	return nil
}

// message is what an error reply says, short.
func message(data []byte) string {
	var body struct {
		Message string
		Error   []struct{ Message string }
	}
	text := string(data)
	if json.Unmarshal(data, &body) == nil {
		switch {
		case len(body.Error) > 0:
			text = body.Error[0].Message
		case body.Message != "":
			text = body.Message
		}
	}
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return text
}

// alive asks a node how many nodes of the cluster it thinks healthy, itself included.
func (c *Client) alive(ctx context.Context, n *node) (int, error) {
	var reply struct{ Nodes []struct{ Status string } }
	if err := c.call(ctx, n, http.MethodGet, "/v1/nodes", nil, &reply); err != nil {
		return 0, err
	}
	count := 0
	for _, x := range reply.Nodes {
		if x.Status == "HEALTHY" {
			count++
		}
	}
	return count, nil
}

// Nodes is how many nodes of the cluster are healthy.
func (c *Client) Nodes(ctx context.Context) (count int, err error) {
	err = c.patiently(ctx, "ask for the nodes", firstTry, func(ctx context.Context, n *node) (err error) {
		count, err = c.alive(ctx, n)
		return err
	})
	return count, err
}
