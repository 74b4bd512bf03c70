package retriever_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"docent/internal/pgtest"
	"docent/internal/weaviate"
	"docent/retriever"
)

func TestWeaviateAddress(t *testing.T) {
	for address, says := range map[string]string{
		"weaviate://":                              "host:port",
		"weaviate://a:1,/":                         "host:port",
		"weaviate://user:secret@a:1":               "host:port",
		"weaviate://a":                             "host:port",
		"weaviate://a:1/?catalog=sqlite:///x":      "catalog",
		"weaviate://a:1/?replicas=2":               "2 replicas do not fit on 1 nodes",
		"weaviate://a:1,b:1/?replicas=many":        "replicas=many",
		"weaviate://a:1/?tls=perhaps":              "tls=perhaps",
		"weaviate://a:1/?factor=3":                 `no parameter "factor"`,
		"weaviate://a:1/?catalog=%zz":              "parameters",
		"weaviate://a:1/?catalog=postgres:///none": "", // tries to connect
	} {
		s, err := retriever.Open(t.Context(), retriever.Config{Dir: t.TempDir(), Store: address})
		if err == nil {
			s.Close()
		}
		if err == nil || says != "" && (!errors.Is(err, retriever.ErrUnknownStore) || !strings.Contains(err.Error(), says)) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// objects are the chunks that the cluster has of a collection, known to the record or not.
func objects(t *testing.T, address, class string) map[int64]bool {
	t.Helper()
	hosts, _, _ := strings.Cut(strings.TrimPrefix(address, "weaviate://"), "/")
	c, err := weaviate.New(weaviate.Config{Addresses: strings.Split(hosts, ",")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	hits, err := c.Search(t.Context(), weaviate.Query{Class: class, Limit: weaviate.MaxHits}, 1)
	if err != nil {
		t.Fatal(err)
	}
	has := make(map[int64]bool, len(hits))
	for _, h := range hits {
		has[h.Chunk] = true
	}
	return has
}

// What a process leaves undone when it ends, the next one does: objects of versions that are gone are removed,
// and so are those of changes that never came to be.
func TestWeaviateSettles(t *testing.T) {
	at := place{dir: t.TempDir(), address: cluster(t)}
	s := at.open(t, words)
	create(t, s, "c", "gone")
	mustPut(t, s, "c", "kept", "one\ntwo\n")
	mustPut(t, s, "gone", "a", "lost\n")
	search(t, s, "c", "one")
	search(t, s, "gone", "lost")
	mustPut(t, s, "c", "changed", "three\nfour\nfive\n")
	mustPut(t, s, "c", "changed", "six\n")
	class, gone := retriever.WeaviateClass(t, s, "c"), retriever.WeaviateClass(t, s, "gone")
	if err := s.DeleteCollection(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	retriever.PutStray(t, s, "c", 1<<40, "two seven")
	if n := len(objects(t, at.address, class)); n != 7 {
		t.Fatalf("%d objects before, want 7", n)
	}
	for _, m := range modes {
		if hits := search(t, s, "c", "three two seven", retriever.WithMode(m)); len(hits) != 3 && m != retriever.Keyword || len(hits) == 0 {
			t.Errorf("%s: %v", m, found(hits))
		}
	}
	s.Close()

	s = at.open(t, words)
	retriever.Settle(t, s)
	if n := len(objects(t, at.address, class)); n != 3 {
		t.Errorf("%d objects are left, want 3", n)
	}
	if has, err := retriever.HasClass(t, s, gone); err != nil || has {
		t.Errorf("the class of a collection that was deleted is there: %v", err)
	}
	if v, err := s.Verify(t.Context(), "c"); err != nil || len(v.Problems) != 0 {
		t.Errorf("%+v, %v", v, err)
	}
}

// What the cluster has lost, or has otherwise, is told by Verify and made of the record again.
func TestWeaviateLosesClass(t *testing.T) {
	at := place{dir: t.TempDir(), address: cluster(t)}
	s := at.open(t, words)
	create(t, s, "c")
	mustPut(t, s, "c", "a", "one\ntwo\nthree\n")
	search(t, s, "c", "one")
	retriever.LoseObject(t, s, "c", 2)
	v, err := s.Verify(t.Context(), "c")
	if err != nil || len(v.Problems) != 2 || !strings.Contains(v.Problems[0].What, "not in the index") {
		t.Errorf("%+v, %v", v, err)
	}
	retriever.DropClass(t, s, "c")
	s.Close()
	s = at.open(t, words)
	mustPut(t, s, "c", "b", "four\n") // to a class that is not there
	for _, q := range []string{"two", "four"} {
		if hits := search(t, s, "c", q, retriever.WithMode(retriever.Keyword)); len(hits) != 1 {
			t.Errorf("%s: %v", q, found(hits))
		}
	}
	if v, err := s.Verify(t.Context(), "c"); err != nil || len(v.Problems) != 0 {
		t.Errorf("%+v, %v", v, err)
	}
}

// The record in Postgres, and two processes' stores on it and the cluster.
func TestWeaviateWithPostgres(t *testing.T) {
	at := place{dir: t.TempDir(), address: cluster(t) + "/?catalog=" + url.QueryEscape(pgtest.Database(t))}
	one, two := at.open(t, words), place{dir: t.TempDir(), address: at.address}.open(t, words)
	create(t, one, "c")
	mustPut(t, one, "c", "a", "one\n")
	mustPut(t, two, "c", "b", "two\n")
	mustPut(t, two, "c", "a", "three\n")
	for i, s := range []*retriever.Store{one, two} {
		for q, want := range map[string]int{"one": 0, "two": 1, "three": 1} {
			if hits := search(t, s, "c", q, retriever.WithMode(retriever.Keyword)); len(hits) != want {
				t.Errorf("store %d, %s: %v", i, q, found(hits))
			}
		}
	}
}

// A cluster whose nodes a test can kill.
type nodes struct{ dir, address string }

// startNodes starts a cluster of the test's own.
func startNodes(t *testing.T) nodes {
	t.Helper()
	cluster(t) // skips where there is no Weaviate
	dir, life := t.TempDir(), "900"
	if os.Getenv("DOCENT_TEST_NODE_KILLS") != "" {
		life = "7200"
	}
	out, err := exec.Command("../scripts/weaviate.sh", "start", dir, life).Output()
	if err != nil {
		t.Fatalf("scripts/weaviate.sh: %v", err)
	}
	t.Cleanup(func() { exec.Command("../scripts/weaviate.sh", "stop", dir).Run() })
	return nodes{dir, strings.TrimSpace(string(out))}
}

// kill ends a node as a power cut does.
func (n nodes) kill(t *testing.T, node int) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(n.dir, fmt.Sprintf("n%d", node), "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (n nodes) restart(t *testing.T, node int) {
	t.Helper()
	if out, err := exec.Command("../scripts/weaviate.sh", "node", n.dir, strconv.Itoa(node)).CombinedOutput(); err != nil {
		t.Fatalf("restart node %d: %v: %s", node, err, out)
	}
}

// Any one node of three can be killed while documents are stored, replaced, deleted and searched, and come
// back: no call fails, and nothing that was acknowledged is missed by any search.
func TestWeaviateNodeKilled(t *testing.T) {
	rounds, perPhase := 1, 25
	if v := os.Getenv("DOCENT_TEST_NODE_KILLS"); v != "" {
		var err error
		if rounds, err = strconv.Atoi(v); err != nil {
			t.Fatal("DOCENT_TEST_NODE_KILLS is not a number")
		}
		perPhase = 200
	} else {
		t.Log("one kill of each of two nodes; DOCENT_TEST_NODE_KILLS=10 go test -run NodeKilled ./retriever kills 20 while more is stored")
	}
	n := startNodes(t)
	at := place{dir: t.TempDir(), address: n.address}
	// Of so many dimensions that no two of thousands of words are near each other.
	s := at.open(t, wordEncoder{name: "words-512@1", dim: 512})
	create(t, s, "c")
	mustPut(t, s, "c", "first", "the first\n")
	search(t, s, "c", "first")

	var mu sync.Mutex
	has := make(map[string]int) // version of each document that is acknowledged, by path
	changing := ""
	text := func(path string, version int) string {
		return fmt.Sprintf("document %s says w%sv%d\nand more of w%s\n", path, path, version, path)
	}
	// check searches for a document, and complains when it is not found and nobody has changed it meanwhile.
	check := func(path string, version int, m retriever.Mode) {
		hits, err := s.Search(t.Context(), "c", fmt.Sprintf("w%sv%d", path, version), retriever.WithMode(m), retriever.TopK(3))
		if err != nil {
			t.Errorf("search: %v", err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if m == retriever.Dense || has[path] != version || changing == path {
			return // the index of vectors does not find everything
		}
		if len(hits) == 0 || hits[0].Document.Path != path {
			t.Errorf("%s search: document %s, version %d, is not found: %v", m, path, version, found(hits))
		}
	}

	var stop atomic.Bool
	var readers sync.WaitGroup
	defer readers.Wait()
	defer stop.Store(true)
	var searches atomic.Int64
	var slowest atomic.Int64
	for r := range 2 {
		readers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(r), 7))
			for !stop.Load() && !t.Failed() {
				mu.Lock()
				path, version := "", 0
				for path, version = range has { // any
					break
				}
				mu.Unlock()
				if path == "" {
					time.Sleep(time.Millisecond)
					continue
				}
				begun := time.Now()
				check(path, version, modes[rnd.IntN(len(modes))])
				searches.Add(1)
				slowest.Store(max(slowest.Load(), int64(time.Since(begun))))
			}
		})
	}
	next := 0
	write := func(count int) {
		t.Helper()
		begun := time.Now()
		longest := time.Duration(0)
		for range count {
			next++
			one := time.Now()
			path := strconv.Itoa(next)
			version := 1
			if next%5 == 0 { // an older one again
				path = strconv.Itoa(next - 3)
				version = has[path] + 1
			}
			mu.Lock()
			changing = path
			mu.Unlock()
			d, err := put(t.Context(), s, "c", retriever.Document{Path: path}, text(path, version))
			if err != nil {
				t.Fatalf("store: %v", err)
			}
			deleted := next%7 == 0
			if deleted {
				if err := s.DeleteDocument(t.Context(), d.ID); err != nil {
					t.Fatalf("delete: %v", err)
				}
			}
			mu.Lock()
			if has[path] = version; deleted {
				delete(has, path)
			}
			changing = ""
			mu.Unlock()
			longest = max(longest, time.Since(one))
			if t.Failed() {
				t.FailNow()
			}
		}
		t.Logf("%d documents in %v, the longest %v; %d searches, the longest %v", count, time.Since(begun).Round(time.Millisecond), longest.Round(time.Millisecond), searches.Load(), time.Duration(slowest.Load()).Round(time.Millisecond))
	}
	write(perPhase)
	for round := range rounds {
		for _, node := range []int{(2+round)%3 + 1, round%3 + 1} {
			n.kill(t, node)
			t.Logf("node %d is killed", node)
			write(perPhase)
			n.restart(t, node)
			t.Logf("node %d is back", node)
			write(perPhase)
			begun := time.Now()
			retriever.Written(t, s)
			t.Logf("every node has everything %v later", time.Since(begun).Round(time.Millisecond))
			write(1)
		}
	}
	stop.Store(true)
	readers.Wait()
	for path, version := range has {
		for _, m := range modes {
			check(path, version, m)
		}
	}
	v, err := s.Verify(t.Context(), "c")
	if err != nil || len(v.Problems) > 0 || v.Documents != len(has)+1 {
		t.Errorf("%d documents, want %d: %+v, %v", v.Documents, len(has)+1, v.Problems, err)
	}
	retriever.Settled(t, s)
	recorded, err := s.Catalog().ChunkIDs(t.Context(), "c")
	if err != nil || len(recorded) != v.Chunks {
		t.Fatalf("%d chunks are recorded, want %d: %v", len(recorded), v.Chunks, err)
	}
	slices.Sort(recorded)
	class := retriever.WeaviateClass(t, s, "c")
	for host := range strings.SplitSeq(strings.TrimPrefix(n.address, "weaviate://"), ",") {
		has := slices.Sorted(maps.Keys(objects(t, "weaviate://"+host, class)))
		if diff := cmp.Diff(recorded, has); diff != "" {
			t.Errorf("%s has other chunks than the record (-record +node):\n%s", host, diff)
		}
	}
}

// A reindex fills the next class before the record changes, so that at every moment there is one to be searched;
// what is removed, handed on or stored meanwhile is in it too.
func TestWeaviateReindexLetsSearch(t *testing.T) {
	at := place{dir: t.TempDir(), address: cluster(t) + "/?catalog=" + url.QueryEscape(pgtest.Database(t))}
	old := at.open(t, words)
	fill(t, old, "c", 20, 30)
	sum, _, err := old.PutFile(t.Context(), strings.NewReader("leave"))
	if err != nil {
		t.Fatal(err)
	}
	first, err := put(t.Context(), old, "c", retriever.Document{Path: "first", SHA256: sum}, "leave one\nleave two\n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.PutDuplicate(t.Context(), "c", retriever.Document{Path: "heir", SHA256: sum, DuplicateOf: first.ID}, retriever.Notes{}); err != nil {
		t.Fatal(err)
	}
	search(t, old, "c", "leave")

	s := place{dir: t.TempDir(), address: at.address}.open(t, others, words)
	class := retriever.WeaviateClass(t, s, "c")
	var reading sync.WaitGroup
	var stop atomic.Bool
	reading.Go(func() {
		for !stop.Load() && !t.Failed() {
			if !retriever.Searchable(t, s, "c") {
				t.Error("there is no class to be searched")
			}
			if hits := search(t, s, "c", "topic3x7", retriever.WithMode(retriever.Keyword), retriever.TopK(1)); len(hits) != 1 {
				t.Error("a passage is not found")
			}
		}
	})
	retriever.ReindexAround(t, s, "c", func() {
		if err := old.DeleteDocument(t.Context(), first.ID); err != nil {
			t.Error(err)
		}
		d, err := old.DocumentByPath(t.Context(), "c", "4.md")
		if err == nil {
			err = old.DeleteDocument(t.Context(), d.ID)
		}
		if err != nil {
			t.Error(err)
		}
		mustPut(t, old, "c", "late", "passage 9 of document 9 tells of topic9x9\n") // a text that has its vector
	})
	stop.Store(true)
	reading.Wait()
	if retriever.WeaviateClass(t, s, "c") == class {
		t.Error("the class is the old one")
	}
	if hits := search(t, s, "c", "leave", retriever.Where(retriever.Filter{Op: retriever.Equal, Field: "path", Values: []string{"heir"}})); len(hits) != 2 {
		t.Errorf("of what was handed on is found %v", found(hits))
	}
	if hits := search(t, s, "c", "topic9x9", retriever.WithMode(retriever.Keyword), retriever.TopK(2)); !slices.ContainsFunc(hits, func(h retriever.Hit) bool { return h.Document.Path == "late" }) {
		t.Errorf("what was stored meanwhile is not found beside its like, but %v", found(hits))
	}
	agrees(t, s, "c", 19*30+2+1)
}
