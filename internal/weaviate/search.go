package weaviate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxHits is the most hits that a search returns (QUERY_MAXIMUM_RESULTS of a server).
const MaxHits = 10_000

// searchPatience is how long a search is repeated at most: somebody waits for it.
const searchPatience = 20 * time.Second

// hedge is how long one node is waited for before another is asked as well.
const hedge = time.Second

// A Query asks for the chunks of a class: those nearest to Vector, else those that have the most of Terms,
// else any.
type Query struct {
	Class   string
	Vector  []float32 // of unit length
	Terms   string    // separated by spaces, as often as they weigh
	Where   *Where    // nil lets all through
	Limit   int       // at most MaxHits
	Objects bool      // return the document, terms and vector too
}

// A Where lets a search find only some chunks.
type Where struct {
	Chunks    []int64  // with these ids, unless nil
	Documents []string // of these documents, unless nil
	Not       bool     // not of these documents
	From, To  int64    // with ids in this range, unless To is 0
}

// A Hit is a chunk that a search found.
type Hit struct {
	Object
	Score    float64   // BM25, of a query with Terms
	Distance float64   // 1 - cosine, of a query with Vector
	Updated  time.Time // when it was written, by the cluster's clock
}

// graphQL writes the query.
func (q Query) graphQL() string {
	var args []string
	switch {
	case q.Vector != nil:
		v := make([]byte, 0, 12*len(q.Vector))
		for i, x := range q.Vector {
			if i > 0 {
				v = append(v, ',')
			}
			v = strconv.AppendFloat(v, float64(x), 'g', -1, 32)
		}
		args = append(args, "nearVector:{vector:["+string(v)+"]}")
	case q.Terms != "":
		args = append(args, `bm25:{query:`+quote(q.Terms)+`,properties:["terms"]}`)
	}
	if q.Where != nil {
		args = append(args, "where:"+q.Where.graphQL())
	}
	fields := "_additional{id score distance lastUpdateTimeUnix}"
	if q.Objects {
		fields = "document terms _additional{id vector}"
	}
	args = append(args, "limit:"+strconv.Itoa(min(q.Limit, MaxHits)))
	return "{Get{" + q.Class + "(" + strings.Join(args, ",") + "){" + fields + "}}}"
}

func (w Where) graphQL() string {
	var all []string
	if w.Chunks != nil {
		all = append(all, `{path:["chunk"],operator:ContainsAny,valueInt:`+quote(w.Chunks)+`}`)
	}
	if w.Documents != nil {
		operator := "ContainsAny"
		if w.Not {
			operator = "ContainsNone"
		}
		all = append(all, `{path:["document"],operator:`+operator+`,valueText:`+quote(w.Documents)+`}`)
	}
	if w.To != 0 {
		all = append(all, fmt.Sprintf(`{path:["chunk"],operator:GreaterThanEqual,valueInt:%d}`, w.From), fmt.Sprintf(`{path:["chunk"],operator:LessThanEqual,valueInt:%d}`, w.To))
	}
	if len(all) == 1 {
		return all[0]
	}
	return `{operator:And,operands:[` + strings.Join(all, ",") + `]}`
}

// quote writes strings, numbers and lists of them as JSON does, which is how GraphQL does.
func quote(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic("weaviate: " + err.Error()) // strings and numbers always are
	}
	return string(data)
}

// Search returns the best hits, best first. It asks one node, and a further one when that fails or keeps it
// waiting; with ask above 1 it waits for the answers of that many nodes and joins them. A write that most
// replicas have is seen by Quorum of them.
func (c *Client) Search(ctx context.Context, q Query, ask int) ([]Hit, error) {
	text := q.graphQL()
	found := make(map[int64]Hit)
	err := c.askSeveral(ctx, "search "+q.Class, ask, func(ctx context.Context, n *node) ([]Hit, error) {
		var reply struct {
			Data struct {
				Get map[string][]struct {
					Document, Terms string
					Additional      struct {
						ID       string
						Score    string
						Distance float64
						Vector   []float32
						Updated  string `json:"lastUpdateTimeUnix"` // in milliseconds
					} `json:"_additional"`
				}
			}
		}
		if err := c.graphQL(ctx, n, text, &reply.Data); err != nil {
			return nil, err
		}
		rows := reply.Data.Get[q.Class]
		hits := make([]Hit, len(rows))
		for i, r := range rows {
			chunk, err := chunkOf(r.Additional.ID)
			if err != nil {
				return nil, fmt.Errorf("object %q: %w", r.Additional.ID, err)
			}
			hits[i] = Hit{Object: Object{Chunk: chunk, Document: r.Document, Terms: r.Terms, Vector: r.Additional.Vector}, Distance: r.Additional.Distance}
			if ms, err := strconv.ParseInt(r.Additional.Updated, 10, 64); err == nil {
				hits[i].Updated = time.UnixMilli(ms)
			}
			if r.Additional.Score != "" {
				score, err := strconv.ParseFloat(r.Additional.Score, 64)
				if err != nil {
					return nil, fmt.Errorf("score %q", r.Additional.Score)
				}
				hits[i].Score = score
			}
		}
		return hits, nil
	}, func(hits []Hit) {
		for _, h := range hits {
			if was, ok := found[h.Chunk]; !ok || h.Score > was.Score {
				found[h.Chunk] = h
			}
		}
	})
	if err != nil {
		return nil, err
	}
	hits := slices.SortedFunc(maps.Values(found), func(a, b Hit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Distance, b.Distance), cmp.Compare(a.Chunk, b.Chunk))
	})
	return hits[:min(len(hits), q.Limit)], nil
}

// Counts returns how many objects of a class each node finds: those of its own replicas, where it has one of every
// shard.
func (c *Client) Counts(ctx context.Context, class string) ([]int, error) {
	counts := make([]int, 0, len(c.nodes))
	for _, n := range c.nodes {
		var reply struct {
			Aggregate map[string][]struct{ Meta struct{ Count int } }
		}
		query := "{Aggregate{" + class + "{meta{count}}}}"
		try, cancel := context.WithTimeout(ctx, firstTry)
		err := c.graphQL(try, n, query, &reply)
		cancel()
		if err == nil && len(reply.Aggregate[class]) != 1 {
			err = errors.New("no count")
		}
		if err != nil {
			return nil, fmt.Errorf("count the objects of %s: %s: %w", class, n.address, err)
		}
		counts = append(counts, reply.Aggregate[class][0].Meta.Count)
	}
	return counts, nil
}

// Quorum is how many nodes must be asked so that one of them has what most of replicas have.
func (c *Client) Quorum(replicas int) int {
	return max(1, len(c.nodes)-(replicas/2+1)+1)
}

func (c *Client) graphQL(ctx context.Context, n *node, query string, data any) error {
	reply := struct {
		Data   any
		Errors []struct{ Message string }
	}{Data: data}
	if err := c.call(ctx, n, http.MethodPost, "/v1/graphql", map[string]string{"query": query}, &reply); err != nil {
		return err
	}
	if len(reply.Errors) == 0 {
		return nil
	}
	err := errors.New(message([]byte(reply.Errors[0].Message)))
	if strings.Contains(err.Error(), "Cannot query field") || strings.Contains(err.Error(), "no graphql provider") {
		return fmt.Errorf("%w: %w", ErrNoClass, err) // or the node has not heard of it yet
	}
	return err
}

// askSeveral calls fn for one node after the other, also while it waits for those before, and take with each
// answer, until there were as many as wanted.
func (c *Client) askSeveral(ctx context.Context, what string, want int, fn func(context.Context, *node) ([]Hit, error), take func([]Hit)) error {
	type answer struct {
		hits []Hit
		err  error
	}
	tried := c.attempts(what)
	patience := min(c.patience, searchPatience)
	deadline := tried.begun.Add(patience)
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		round, cancel := context.WithTimeout(ctx, min(patience, 3*firstTry+pause))
		nodes := c.order()
		answers := make(chan answer, len(nodes))
		asked, answered, taken := 0, 0, 0
		var last error
		next := func() {
			if asked == len(nodes) {
				return
			}
			n := nodes[asked]
			asked++
			tried.asks(n)
			go func() {
				hits, err := fn(round, n)
				switch {
				case err == nil:
					n.worked()
				case round.Err() == nil || errors.Is(round.Err(), context.DeadlineExceeded):
					n.failed()
					tried.failed(n, err)
				}
				answers <- answer{hits, err}
			}()
		}
		for range min(want, len(nodes)) {
			next()
		}
		for taken < want && answered < len(nodes) && round.Err() == nil {
			late := time.NewTimer(hedge)
			select {
			case a := <-answers:
				answered++
				if a.err != nil {
					last = a.err
					next()
					break
				}
				take(a.hits)
				taken++
			case <-late.C:
				next()
			case <-round.Done():
			}
			late.Stop()
		}
		cancel()
		switch {
		case taken >= want:
			return nil
		case ctx.Err() != nil:
			return tried.cut(ctx.Err())
		}
		if r, ok := errors.AsType[refusal](last); ok {
			return fmt.Errorf("%s: %w", what, r.error)
		}
		if !time.Now().Add(pause).Before(deadline) || tried.hopeless() {
			if taken > 0 {
				return fmt.Errorf("%w; %d of %d answers that are needed came", tried.givenUp(), taken, want)
			}
			return tried.givenUp()
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return tried.cut(ctx.Err())
		}
	}
}
