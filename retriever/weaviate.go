package retriever

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"docent/internal/catalog"
	"docent/internal/keyword"
	"docent/internal/weaviate"
)

// weaviateEngine searches in a Weaviate cluster. Each collection has a class there, with an object for each
// chunk: its id and document, by which it is filtered; its terms, which Weaviate ranks by the BM25 of package
// keyword; its vector.
//
// The record and the cluster change one after the other, in an order in which nothing is missed. The objects
// of a document's new version are written while the record still has the old one; then the record changes,
// and notes in the same transaction (the outbox) that the old version's objects are to be removed, and which
// of the new some replica may lack. Removing, and writing again until every replica has all, is done behind by
// settle, by this process or, after a crash, another. A view reads the record as of one moment and drops what
// it finds that the record does not have then; objects are removed only once views of before are over.
//
// While some replica may lack chunks, because a node is away or has come back, searches ask as many nodes as
// it takes for one of them to have everything.
type weaviateEngine struct {
	db       *catalog.DB
	client   *weaviate.Client
	settings weaviateSettings
	log      *slog.Logger
	wake     chan struct{} // something is pending

	ctx        context.Context // of background; ends with close
	cancel     context.CancelFunc
	background sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	known    map[string]bool           // classes that the cluster has
	building map[string]*weaviateBuild // by collection
	next     map[string]*nextClass     // by collection

	settling sync.Mutex        // held by settle
	seen     map[any]time.Time // when what is pending was first seen, by id or name
	looked   time.Time         // when the sweep last read, as lookedAt, the id of the last chunk
	lookedAt int64
}

// weaviateFormat changes with every change of what an object has.
const weaviateFormat = 2

// weaviateSettings are the parameters of a weaviate:// address.
type weaviateSettings struct {
	weaviate.Config
	catalog  string // postgres://… or empty
	nodes    int    // of the cluster
	replicas int
	shards   int
	quantise bool
	format   string // of the classes
}

// isWeaviate says whether the address of a store is one of Weaviate.
func isWeaviate(address string) bool { return strings.HasPrefix(address, "weaviate://") }

// parseWeaviate reads the address weaviate://host:port,host:port/?parameters:
//
//	catalog=URL   the record is in that Postgres (the URL escaped); without it in the data directory
//	replicas=N    of each chunk; 3, or as many as there are nodes
//	shards=N      of a collection; 1 where every node has a replica of each, else as many as there are nodes
//	nodes=N       of the cluster, where the addresses are not those of all of them
//	quantise=true keeps vectors at 8 bits each dimension in memory
//	tls=true      speaks HTTPS
//
// replicas, shards and quantise are those of collections made from then on. The API key is in
// $DOCENT_WEAVIATE_KEY.
func parseWeaviate(address string) (*weaviateSettings, error) {
	s := new(weaviateSettings)
	bad := func(format string, args ...any) (*weaviateSettings, error) {
		return nil, fmt.Errorf("open store: %w: %s; want weaviate://host:port,host:port,host:port/?catalog=postgres://…", ErrUnknownStore, fmt.Sprintf(format, args...))
	}
	rest := strings.TrimPrefix(address, "weaviate://")
	hosts, query, _ := strings.Cut(rest, "?")
	for host := range strings.SplitSeq(strings.TrimSuffix(hosts, "/"), ",") {
		if strings.Contains(host, "@") {
			return bad("there is a user name (the API key goes in $DOCENT_WEAVIATE_KEY) where host:port is wanted")
		}
		if host == "" || strings.Contains(host, "/") {
			return bad("%q is not host:port", host)
		}
		s.Addresses = append(s.Addresses, host)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return bad("its parameters cannot be read")
	}
	s.nodes = len(s.Addresses)
	for key, v := range values {
		switch key {
		case "catalog":
			if s.catalog = v[0]; s.catalog != "" && !catalog.IsPostgres(s.catalog) {
				return bad("the catalog is not postgres://…")
			}
		case "replicas", "shards", "nodes":
			n, err := strconv.Atoi(v[0])
			if err != nil || n < 1 || n > 1000 {
				return bad("%s=%s is not a number from 1 to 1000", key, v[0])
			}
			*map[string]*int{"replicas": &s.replicas, "shards": &s.shards, "nodes": &s.nodes}[key] = n
		case "tls", "quantise":
			on, err := strconv.ParseBool(v[0])
			if err != nil {
				return bad("%s=%s is not true or false", key, v[0])
			}
			*map[string]*bool{"tls": &s.TLS, "quantise": &s.quantise}[key] = on
		default:
			return bad("there is no parameter %q; there are catalog, replicas, shards, nodes, quantise and tls", key)
		}
	}
	if s.replicas == 0 {
		s.replicas = min(3, s.nodes)
	}
	if s.replicas > s.nodes {
		return bad("%d replicas do not fit on %d nodes", s.replicas, s.nodes)
	}
	if s.shards == 0 && s.replicas == s.nodes {
		s.shards = 1 // more would be searched one by one on every node
	}
	s.Key = os.Getenv("DOCENT_WEAVIATE_KEY")
	s.format = fmt.Sprintf("%d/%d", weaviateFormat, keyword.Version)
	return s, nil
}

func openWeaviate(ctx context.Context, settings weaviateSettings, db *catalog.DB, log *slog.Logger) (*weaviateEngine, error) {
	client, err := weaviate.New(settings.Config)
	if err != nil {
		return nil, err
	}
	e := &weaviateEngine{db: db, client: client, settings: settings, log: log, wake: make(chan struct{}, 1),
		known: make(map[string]bool), building: make(map[string]*weaviateBuild), next: make(map[string]*nextClass), seen: make(map[any]time.Time)}
	e.ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	e.background.Go(e.settleAlways)
	return e, nil
}

func (e *weaviateEngine) close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.cancel()
	e.background.Wait()
	e.client.Close()
	return nil
}

func (e *weaviateEngine) encoder(ctx context.Context, collection string) (string, int, error) {
	if e.ctx.Err() != nil {
		return "", 0, ErrClosed
	}
	c, err := e.db.SearchClass(ctx, collection, e.settings.format)
	return c.Encoder, c.Dim, err
}

// apply writes what comes, commits, and leaves it to settle to remove what goes.
func (e *weaviateEngine) apply(ctx context.Context, collection string, change edit) error {
	c, err := change.SearchClass(ctx, collection, e.settings.format)
	if err != nil {
		return err
	}
	if c.Name == "" {
		if err := change.Commit(); err != nil {
			return err
		}
		e.build(collection) // so that the next document finds a class
		return nil
	}
	objects := make([]weaviate.Object, len(change.Added))
	for i, id := range change.Added {
		objects[i] = weaviate.Object{Chunk: id, Document: change.Document.ID, Terms: termsText(change.words[i])}
		if change.vectors != nil {
			objects[i].Vector = change.vectors[i]
		}
	}
	if change.Heir != "" {
		chunks, err := change.HeirChunks(ctx)
		if err != nil {
			return err
		}
		for _, k := range chunks {
			objects = append(objects, objectOf(k))
		}
	}
	has, err := e.has(ctx, c.Name)
	var lacking []int64
	if err == nil && has {
		lacking, err = e.put(ctx, c.Name, objects)
	}
	if err == nil && !has || errors.Is(err, weaviate.ErrNoClass) {
		// The cluster lost it, or is another one. What is searched is made anew of the record.
		e.forget(c.Name)
		if err := change.Commit(); err != nil {
			return err
		}
		return e.db.GiveUpSearchClass(ctx, c.Name)
	}
	if err == nil {
		err = change.PendSearch(ctx, c.Name, false, lacking)
	}
	if err == nil {
		err = change.PendSearch(ctx, c.Name, true, change.Removed)
	}
	if err == nil {
		err = change.Commit()
	}
	if len(lacking)+len(change.Removed) > 0 {
		e.wakeUp()
	}
	return err
}

// replace commits, with the class that was prepared. Without one the collection's next is made of the record.
func (e *weaviateEngine) replace(ctx context.Context, collection string, change *catalog.Change) error {
	swapped, err := e.swapNext(ctx, collection, change)
	if err == nil {
		err = change.Commit()
	}
	e.wakeUp()
	if err != nil || swapped {
		return err
	}
	if err := e.ready(ctx, collection); err != nil && !errors.Is(err, ErrNotFound) {
		e.log.WarnContext(ctx, "the collection is searched once it is in Weaviate", "collection", collection, "error", err)
	}
	return nil
}

func (e *weaviateEngine) discard(ctx context.Context, collection string) error {
	c, err := e.db.SearchClass(ctx, collection, e.settings.format)
	if err != nil || c.Name == "" {
		return err
	}
	defer e.wakeUp()
	return e.db.GiveUpSearchClass(ctx, c.Name)
}

// forget has the next view ask again whether the cluster has a class.
func (e *weaviateEngine) forget(class string) {
	e.mu.Lock()
	delete(e.known, class)
	e.mu.Unlock()
}

func (e *weaviateEngine) wakeUp() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}
