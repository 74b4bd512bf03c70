package weaviate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"docent/internal/catalog"
)

// A faulty server does what a node of a cluster in trouble does. What a node in order does is tested with a
// real cluster, in package retriever.
func faulty(t *testing.T, handle http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func hangs(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body) // else the server does not see the client go
	<-r.Context().Done()
}

func answers(hits string, asked *atomic.Int32) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		fmt.Fprintf(w, `{"data":{"Get":{"C":[%s]}}}`, hits)
	}
}

// gone is an address where nothing listens.
func gone(t *testing.T) string {
	s := httptest.NewServer(nil)
	s.Close()
	return strings.TrimPrefix(s.URL, "http://")
}

func open(t *testing.T, patience time.Duration, addresses ...string) *Client {
	t.Helper()
	c, err := New(Config{Addresses: addresses, Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestSearchGoesOn(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault http.HandlerFunc // nil: nobody listens
	}{
		{"refuses", nil},
		{"hangs", hangs},
		{"fails", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }},
		{"cannot tell", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"data":{"Get":{"C":null}},"errors":[{"message":"shard is not ready"}]}`)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address := gone(t)
			if tt.fault != nil {
				address = faulty(t, tt.fault)
			}
			var asked atomic.Int32
			c := open(t, 10*time.Second, address, faulty(t, answers(`{"_additional":{"id":"00000000-0000-8000-8000-000000000007","score":"1.5"}}`, &asked)))
			for range 4 { // each node is asked first at times
				hits, err := c.Search(t.Context(), Query{Class: "C", Terms: "a", Limit: 3}, 1)
				if err != nil || len(hits) != 1 || hits[0].Chunk != 7 || hits[0].Score != 1.5 {
					t.Fatalf("got %v, %v", hits, err)
				}
			}
		})
	}
}

// A search that several have to answer joins what they have, and fails when too few answer.
func TestSearchAsksSeveral(t *testing.T) {
	var one, two atomic.Int32
	a := faulty(t, answers(`{"_additional":{"id":"00000000-0000-8000-8000-000000000001","distance":0.3}},{"_additional":{"id":"00000000-0000-8000-8000-000000000002","distance":0.5}}`, &one))
	b := faulty(t, answers(`{"_additional":{"id":"00000000-0000-8000-8000-000000000001","distance":0.3}},{"_additional":{"id":"00000000-0000-8000-8000-000000000003","distance":0.4}}`, &two))
	q := Query{Class: "C", Vector: []float32{1}, Limit: 2}
	for _, third := range []string{gone(t), faulty(t, hangs)} {
		c := open(t, 10*time.Second, a, third, b)
		if n := c.Quorum(3); n != 2 {
			t.Fatalf("%d of 3 nodes are asked, want 2", n)
		}
		for range 3 {
			hits, err := c.Search(t.Context(), q, 2)
			if err != nil || len(hits) != 2 || hits[0].Chunk != 1 || hits[1].Chunk != 3 {
				t.Fatalf("got %v, %v", hits, err)
			}
		}
	}
	if one.Load() == 0 || two.Load() == 0 {
		t.Errorf("asked %d and %d times", one.Load(), two.Load())
	}
	alone := open(t, 300*time.Millisecond, a, gone(t), gone(t))
	if _, err := alone.Search(t.Context(), q, 2); !errors.Is(err, ErrUnavailable) {
		t.Errorf("one of three answers: %v", err)
	}
}

// node answers as a node does that sees so many nodes, and writes only at the level QUORUM.
func writer(sees int, levels *[]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/nodes" {
			fmt.Fprintf(w, `{"nodes":[%s]}`, strings.TrimSuffix(strings.Repeat(`{"status":"HEALTHY"},`, sees), ","))
			return
		}
		level := r.URL.Query().Get("consistency_level")
		*levels = append(*levels, level)
		var body struct{ Objects []struct{ ID string } }
		json.NewDecoder(r.Body).Decode(&body)
		result := `{"result":{}}`
		if level == "ALL" {
			result = `{"result":{"errors":{"error":[{"message":"cannot reach enough replicas"}]}}}`
		}
		fmt.Fprintf(w, "[%s]", strings.TrimSuffix(strings.Repeat(result+",", len(body.Objects)), ","))
	}
}

func TestPutSaysWhatLacks(t *testing.T) {
	for _, tt := range []struct {
		sees   int
		levels string
		full   bool
		fails  bool
	}{
		{sees: 3, levels: "[ALL QUORUM]"}, // the node that died is still counted
		{sees: 2, levels: "[QUORUM]"},     // it is not any more
		{sees: 1, levels: "[]", fails: true},
	} {
		var levels []string
		c := open(t, 200*time.Millisecond, faulty(t, writer(tt.sees, &levels)))
		full, err := c.Put(t.Context(), "C", []Object{{Chunk: 1}, {Chunk: 2}}, 3)
		if full != tt.full || (err != nil) != tt.fails || fmt.Sprint(levels) != tt.levels {
			t.Errorf("of %d nodes seen: full %v, levels %v, %v", tt.sees, full, levels, err)
		}
	}
}

// Where nobody listens a call fails soon, and says where it tried and what to do.
func TestNobodyListens(t *testing.T) {
	addresses := []string{gone(t), gone(t), gone(t)}
	c := open(t, time.Minute, addresses...)
	for name, call := range map[string]func() error{
		"search": func() error { _, err := c.Search(t.Context(), Query{Class: "C", Limit: 1}, 1); return err },
		"put":    func() error { _, err := c.Put(t.Context(), "C", []Object{{Chunk: 1}}, 3); return err },
		"class":  func() error { _, err := c.HasClass(t.Context(), "C"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			err := call()
			if !errors.Is(err, ErrUnavailable) || !errors.Is(err, catalog.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			for _, says := range append(addresses, "connection refused", "--store") {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("the error does not say %q: %v", says, err)
				}
			}
			if took := time.Since(begun); took > 20*time.Second {
				t.Errorf("it took %v to give up", took)
			}
		})
	}
}

// A caller whose time ends is told who did not answer.
func TestDeadlineNamesNodes(t *testing.T) {
	address := gone(t)
	c := open(t, time.Minute, address)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Search(ctx, Query{Class: "C", Limit: 1}, 1); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), address) {
		t.Errorf("got %v", err)
	}
}

func TestCancelled(t *testing.T) {
	c := open(t, time.Minute, faulty(t, hangs), faulty(t, hangs))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if _, err := c.Search(ctx, Query{Class: "C", Limit: 1}, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("search: %v", err)
	}
	if _, err := c.Put(ctx, "C", []Object{{Chunk: 1}}, 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("put: %v", err)
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("it took %v to give up", took)
	}
}

func TestRefused(t *testing.T) {
	var asked atomic.Int32
	c := open(t, time.Minute, faulty(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	if _, err := c.Nodes(t.Context()); err == nil || !strings.Contains(err.Error(), "DOCENT_WEAVIATE_KEY") {
		t.Errorf("without a key: %v", err)
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
}

func TestObjectIDs(t *testing.T) {
	seen := make(map[string]int64)
	for _, chunk := range []int64{0, 1, 2, 1 << 31, 1<<62 - 1, 1 << 40} {
		id := objectID(chunk)
		if back, err := chunkOf(id); err != nil || back != chunk {
			t.Errorf("chunk %d is %s, which is %d, %v", chunk, id, back, err)
		}
		if was, ok := seen[id]; ok {
			t.Errorf("chunks %d and %d are both %s", was, chunk, id)
		}
		seen[id] = chunk
	}
}

// What is searched for cannot end the text it stands in.
func TestGraphQLQuotes(t *testing.T) {
	q := Query{Class: "C", Terms: `a"}) {x \` + "\n\u2028", Where: &Where{Documents: []string{`d"`}, Not: true}, Limit: 5}
	want := `{Get{C(bm25:{query:"a\"}) {x \\\n\u2028",properties:["terms"]},where:{path:["document"],operator:ContainsNone,valueText:["d\""]},limit:5){_additional{id score distance lastUpdateTimeUnix}}}}`
	if got := q.graphQL(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A write to every replica that takes long goes on while all nodes live, and is given up when one of them does not.
func TestPutWaitsForBusyNodes(t *testing.T) {
	var dead atomic.Bool
	var everywhereAsked, mostlyAsked atomic.Int32
	busy := func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v1/nodes":
			io.WriteString(w, `{"nodes":[{"status":"HEALTHY"},{"status":"HEALTHY"}]}`)
		case r.URL.Path == "/v1/.well-known/live":
		case r.URL.Query().Get("consistency_level") == string(mostly):
			mostlyAsked.Add(1)
			io.WriteString(w, `[{"result":{}}]`)
		default:
			everywhereAsked.Add(1)
			io.Copy(io.Discard, r.Body)
			select {
			case <-time.After(everywhereTry + time.Second):
				io.WriteString(w, `[{"result":{}}]`)
			case <-r.Context().Done():
			}
		}
	}
	other := func(w http.ResponseWriter, r *http.Request) {
		if dead.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		busy(w, r)
	}
	objects := []Object{{Chunk: 1, Document: "d", Terms: "a"}}
	full, err := open(t, time.Minute, faulty(t, busy), faulty(t, other)).Put(t.Context(), "C", objects, 2)
	if err != nil || !full || everywhereAsked.Load() != 1 || mostlyAsked.Load() != 0 {
		t.Errorf("all nodes are busy: full %v, %v; %d writes to all, %d to most", full, err, everywhereAsked.Load(), mostlyAsked.Load())
	}
	dead.Store(true)
	first := faulty(t, busy)
	c := open(t, time.Minute, first, faulty(t, other))
	c.next.Store(1) // the busy one is asked first
	full, err = c.Put(t.Context(), "C", objects, 2)
	if err != nil || full || everywhereAsked.Load() != 2 || mostlyAsked.Load() != 1 {
		t.Errorf("a node is dead: full %v, %v; %d writes to all, %d to most", full, err, everywhereAsked.Load(), mostlyAsked.Load())
	}
}
