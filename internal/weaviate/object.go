package weaviate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// An Object is a chunk.
type Object struct {
	Chunk    int64  // id; there is one object of it in a class
	Document string // id
	Terms    string // separated by spaces, as often as they count
	Vector   []float32
}

// objectID is the id of a chunk's object. It follows from the chunk's, so that writing it again changes
// nothing. The chunk's id is in its second half. In the first are the bits of it in reverse order: by the first 16
// bits of an id Weaviate compares replicas, a 65,536th of the objects at a time.
func objectID(chunk int64) string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:], bits.Reverse64(uint64(chunk)))
	binary.BigEndian.PutUint64(id[8:], uint64(chunk))
	id[6], id[8] = 0x80, id[8]&0x3f|0x80 // version 8 of RFC 9562, whose meaning is ours
	return id.String()
}

// chunkOf returns the chunk of an object's id. The property that has it is for filters: GraphQL reads no numbers
// above 2^31.
func chunkOf(id string) (int64, error) {
	u, err := uuid.Parse(id)
	if err != nil {
		return 0, err
	}
	u[8] &= 0x3f
	return int64(binary.BigEndian.Uint64(u[8:])), nil
}

// A reach is at how many replicas a write has to arrive.
type reach string

const (
	everywhere reach = "ALL"
	mostly     reach = "QUORUM"
)

// PutBatch is how many objects a request writes, some hundred kilobytes; PutAtOnce is how many requests of one Put are
// under way at a time.
const (
	PutBatch  = 100
	PutAtOnce = 4
)

// Put writes objects. It returns nil when most replicas of each have it, and full when all do: when the
// nodes that the cluster had, before and after, are not fewer than nodes. ALL alone does not say that, since
// a node that has been away for some seconds does not count as one.
func (c *Client) Put(ctx context.Context, class string, objects []Object, nodes int) (full bool, err error) {
	var unknown atomic.Int32
	err = c.write(ctx, fmt.Sprintf("write %d chunks to %s", len(objects), class), nodes, &full, func(ctx context.Context, n *node, to reach) error {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(PutAtOnce)
		for batch := range slices.Chunk(objects, PutBatch) {
			g.Go(func() error {
				err := c.putBatch(ctx, n, class, batch, to)
				if errors.Is(err, ErrNoClass) && unknown.Add(1) > int32(3*len(c.nodes)) {
					return refusal{err}
				}
				return err
			})
		}
		return g.Wait()
	})
	return full, err
}

// putBatch writes objects by one request to one node.
func (c *Client) putBatch(ctx context.Context, n *node, class string, objects []Object, to reach) error {
	list := make([]object, len(objects))
	for i, o := range objects {
		list[i] = object{"class": class, "id": objectID(o.Chunk), "properties": object{"chunk": o.Chunk, "document": o.Document, "terms": o.Terms}}
		if o.Vector != nil {
			list[i]["vector"] = o.Vector
		}
	}
	var reply []struct {
		Result struct {
			Errors *struct {
				Error []struct{ Message string }
			}
		}
	}
	// The answer has the objects again; it cannot be had without.
	body := object{"objects": list, "fields": []string{"id"}}
	if err := c.call(ctx, n, http.MethodPost, "/v1/batch/objects?consistency_level="+string(to), body, &reply); err != nil {
		return err
	}
	if len(reply) != len(objects) {
		return fmt.Errorf("%d results for %d objects", len(reply), len(objects))
	}
	for i, r := range reply {
		if r.Result.Errors == nil || len(r.Result.Errors.Error) == 0 {
			continue
		}
		err := fmt.Errorf("chunk %d: %s", objects[i].Chunk, r.Result.Errors.Error[0].Message)
		if strings.Contains(err.Error(), "not found in schema") || strings.Contains(err.Error(), "could not find class") {
			err = fmt.Errorf("%w: %w", ErrNoClass, err) // or the node has not heard of it yet
		}
		return err
	}
	return nil
}

const (
	// everywhereTry is how long a write may take to reach every replica while a node does not answer: it waits for
	// one that has died, and is not known to have, much longer than it takes to write to the others. While all
	// answer it may take as long as a node goes on with a write.
	everywhereTry = 2 * time.Second
	writeTry      = 20 * time.Second
	// mostlyFor is how long further writes are not tried everywhere when one could not reach every replica.
	mostlyFor = 5 * time.Second
)

func (c *Client) tryEverywhere() bool { return time.Now().UnixNano() > c.mostlyUntil.Load() }

func (c *Client) everywhereFailed() { c.mostlyUntil.Store(time.Now().Add(mostlyFor).UnixNano()) }

// write does what fn does everywhere, or else mostly, by whichever node can, and says which it was.
func (c *Client) write(ctx context.Context, what string, nodes int, full *bool, fn func(ctx context.Context, n *node, to reach) error) error {
	limit := firstTry // of a write to most replicas
	return c.patiently(ctx, what, writeTry, func(ctx context.Context, n *node) error {
		*full = false
		toMost := func() error {
			try, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			limit *= 2
			return fn(try, n, mostly)
		}
		first, cancel := context.WithTimeout(ctx, firstTry)
		before, err := c.alive(first, n)
		cancel()
		if ctx.Err() != nil {
			return err
		}
		if err != nil {
			return toMost() // it waits for another that has just died
		}
		if 2*before <= nodes {
			return fmt.Errorf("it sees only %d of %d nodes", before, nodes)
		}
		if before >= nodes && c.tryEverywhere() {
			while, cancel := c.whileAllAnswer(ctx, nodes)
			err := fn(while, n, everywhere)
			cancel()
			if err == nil {
				last, cancel := context.WithTimeout(ctx, firstTry)
				defer cancel()
				after, err := c.alive(last, n)
				*full = err == nil && after >= nodes
				return nil
			}
			if _, refused := errors.AsType[refusal](err); refused || ctx.Err() != nil {
				return err
			}
			c.everywhereFailed()
		}
		return toMost()
	})
}

// whileAllAnswer returns a context that ends when, from everywhereTry on, some node does not answer. So it ends soon
// after one has died, but not because the nodes are busy; and a node that died and came back while a write went on,
// which every node would count before and after, is noticed. Where the client does not know all nodes, it just ends.
func (c *Client) whileAllAnswer(ctx context.Context, nodes int) (context.Context, context.CancelFunc) {
	if len(c.nodes) < nodes {
		return context.WithTimeout(ctx, everywhereTry)
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(everywhereTry):
			}
			if !c.allAnswer(ctx) {
				return
			}
		}
	}()
	return ctx, cancel
}

// allAnswer says whether each node that the client knows answers in time.
func (c *Client) allAnswer(ctx context.Context) bool {
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range c.nodes {
		g.Go(func() error {
			try, cancel := context.WithTimeout(ctx, everywhereTry)
			defer cancel()
			return c.call(try, n, http.MethodGet, "/v1/.well-known/live", nil, nil)
		})
	}
	return g.Wait() == nil
}

// Remove deletes the objects of the chunks from first to last. It returns full as Put does.
//
// A node deletes on every replica what its own replica finds, and one that was away lacks what others have. So
// where it is to be done everywhere, each node is asked.
func (c *Client) Remove(ctx context.Context, class string, first, last int64, nodes int) (full bool, err error) {
	err = c.write(ctx, fmt.Sprintf("remove chunks from %s", class), nodes, &full, func(ctx context.Context, n *node, to reach) error {
		asked := []*node{n}
		if to == everywhere {
			asked = c.nodes
		}
		for _, n := range asked {
			if err := c.removeFound(ctx, n, class, first, last, to); err != nil {
				return err
			}
		}
		return nil
	})
	return full, err
}

// removeFound deletes what the node's replica finds of the chunks from first to last.
func (c *Client) removeFound(ctx context.Context, n *node, class string, first, last int64, to reach) error {
	for { // at most 10,000 go at a time
		var reply struct {
			Results struct{ Matches, Failed int64 }
		}
		body := object{"match": object{"class": class, "where": chunksBetween(first, last)}, "output": "minimal"}
		if err := c.call(ctx, n, http.MethodDelete, "/v1/batch/objects?consistency_level="+string(to), body, &reply); err != nil {
			return err
		}
		if reply.Results.Failed > 0 {
			return fmt.Errorf("%d of %d chunks are not removed", reply.Results.Failed, reply.Results.Matches)
		}
		if reply.Results.Matches == 0 {
			return nil
		}
	}
}

func chunksBetween(first, last int64) object {
	return object{"operator": "And", "operands": []object{
		{"path": []string{"chunk"}, "operator": "GreaterThanEqual", "valueInt": first},
		{"path": []string{"chunk"}, "operator": "LessThanEqual", "valueInt": last},
	}}
}
