package retriever

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tmc/langchaingo/embeddings"

	"docent/internal/catalog"
)

// An Encoder turns text into vectors. *embed.Encoder is one.
type Encoder interface {
	embeddings.Embedder
	// Fingerprint names the encoder and its weights: vectors of equal fingerprints are comparable.
	Fingerprint() string
	// Dim is the length of its vectors.
	Dim() int
	// Languages lists the ISO 639-1 codes of the languages it understands; empty means any.
	Languages() []string
}

// Config says which store to open, and how.
type Config struct {
	Dir     string       // created where it is missing; required
	Store   string       // postgres://… to keep the record in Postgres, and search there with pgvector; weaviate://… to search there; empty: in Dir
	Encoder Encoder      // of new vectors and of questions; nil means keyword search only
	Earlier []Encoder    // of collections that are still to be reindexed; they only embed questions
	Logger  *slog.Logger // nil discards
	Dense   *DensePart   // searches by meaning in place of the vectors in Dir; nil: those. Not with a Store

	copying bool // by Migrate, which may find a part of its copy
}

// A Store is open documents, in a data directory or in Postgres. It is safe for concurrent use.
type Store struct {
	dir     string
	encoder Encoder
	asking  map[string]Encoder // by fingerprint: encoder and those of before it
	log     *slog.Logger
	lock    *dirLock // nil where the record is shared
	db      *catalog.DB
	files   originals

	engine engine
	damage damageReport

	mu         sync.Mutex
	closed     bool
	reindexing map[string]bool // collections that a call of Reindex works on

	readOnly bool // opened by OpenExported, in a directory that goes with it
}

// Open opens a store. It returns ErrLocked, with the holder's process id and command, while another process
// has the data directory open, unless the store is in Postgres, which any number of processes share;
// ErrCorrupt when the record is damaged, which RepairDir mends; ErrNewerSchema when a later release wrote it;
// ErrUnknownStore; ErrUnfinished for a copy that Migrate has not finished.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Dir == "" {
		return nil, errors.New("open store: no data directory is given")
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", catalog.Explain(err))
	}
	if cfg.Dense != nil && cfg.Store != "" {
		return nil, fmt.Errorf("open store %s: a dense part of its own goes with a data directory only", catalog.Redacted(cfg.Store))
	}
	s := &Store{dir: cfg.Dir, encoder: cfg.Encoder, log: log, asking: make(map[string]Encoder), reindexing: make(map[string]bool)}
	s.damage.log = log
	for _, e := range append(slices.Clone(cfg.Earlier), cfg.Encoder) {
		if e != nil {
			s.asking[e.Fingerprint()] = e
		}
	}
	address := cfg.Store
	var cluster *weaviateSettings
	var err error
	if isWeaviate(address) {
		if cluster, err = parseWeaviate(address); err != nil {
			return nil, err
		}
		address = cluster.catalog
	}
	switch {
	case catalog.IsPostgres(address):
		err = s.openShared(ctx, address)
	case address == "":
		err = s.openLocal(ctx)
	default:
		err = fmt.Errorf("open store %s: %w: want postgres://…, weaviate://… or none", catalog.Redacted(cfg.Store), ErrUnknownStore)
	}
	if err == nil && !cfg.copying {
		err = s.refuseUnfinished(ctx)
	}
	if err == nil {
		err = s.openEngine(ctx, cluster, cfg.Dense)
	}
	if err != nil {
		return nil, errors.Join(err, s.release())
	}
	s.removeStrayCopies()
	s.patrol(ctx)
	return s, nil
}

// refuseUnfinished keeps a part of a copy from being taken for the whole.
func (s *Store) refuseUnfinished(ctx context.Context) error {
	from, err := s.db.Transferring(ctx)
	if err == nil && from != "" {
		err = fmt.Errorf("open store %s: %w of %s; finish it with docent migrate-store, or remove it", s.db.Path(), ErrUnfinished, from)
	}
	return err
}

// openEngine opens what searches: the cluster, or what goes with the record.
func (s *Store) openEngine(ctx context.Context, cluster *weaviateSettings, dense *DensePart) (err error) {
	if cluster != nil {
		e, err := openWeaviate(ctx, *cluster, s.db, s.log)
		if err != nil {
			return fmt.Errorf("open store: %w: %w", ErrUnknownStore, err)
		}
		s.engine = e
		return nil
	}
	// A cluster that was used before does not hear of what is changed now.
	if err := s.db.GiveUpSearchClass(ctx, ""); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	if s.db.Postgres() != nil {
		if s.engine, err = openPGEngine(ctx, s.db, s.log); err != nil {
			return fmt.Errorf("open store: %w", err)
		}
		return nil
	}
	e := newEmbedded(ctx, filepath.Join(s.dir, indexDir), s.db, s.log)
	s.engine = e
	if dense != nil {
		s.engine = newDenseEngine(e, *dense)
	}
	return nil
}

// openLocal opens the record and the files in the data directory, for this process alone.
func (s *Store) openLocal(ctx context.Context) (err error) {
	if s.lock, err = lockDir(s.dir); err != nil {
		return err
	}
	if err = checkRecord(s.dir); err != nil {
		return err
	}
	record := filepath.Join(s.dir, recordName)
	if err = catalog.Upgrade(ctx, record, filepath.Join(s.dir, copiesDir), s.log); err != nil {
		return err
	}
	if s.db, err = catalog.Open(ctx, record, s.log); err != nil {
		return err
	}
	if err = s.checkRows(ctx, record); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	if err = s.db.EndLeases(ctx); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	if s.files, err = openLocalFiles(ctx, filepath.Join(s.dir, filesDir), s.db, s.log); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	return nil
}

// openShared opens a database of Postgres, where all is that other processes need. The data directory, which
// other processes may have open too, holds copies of files that were read.
func (s *Store) openShared(ctx context.Context, address string) (err error) {
	if s.db, err = catalog.OpenPostgres(ctx, address, s.log); err != nil {
		return err
	}
	if s.files, err = openSharedFiles(ctx, filepath.Join(s.dir, sharedDir), s.db, s.log); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	return nil
}

// release gives up what was opened.
func (s *Store) release() error {
	var errs []error
	s.damage.stop()
	if s.engine != nil {
		errs = append(errs, s.engine.close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	return errors.Join(errs...)
}

// Close ends the use of the store. Calls that are under way may fail.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	err := s.release()
	if s.readOnly {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// Catalog returns the record, for jobs and conversations. Collections and documents are changed through
// the Store only.
func (s *Store) Catalog() *catalog.DB { return s.db }

// Dir returns the data directory.
func (s *Store) Dir() string { return s.dir }

// fingerprint names the store's encoder; it is empty without one.
func (s *Store) fingerprint() string {
	if s.encoder == nil {
		return ""
	}
	return s.encoder.Fingerprint()
}

func (s *Store) dim() int {
	if s.encoder == nil {
		return 0
	}
	return s.encoder.Dim()
}

// A Collection is a set of documents that are searched together.
type Collection struct {
	Name      string    `json:"name"`
	Encoder   string    `json:"encoder"` // fingerprint of the encoder of its vectors; empty when keyword-only
	Dim       int       `json:"dim"`     // of its vectors; 0 when keyword-only
	Documents int       `json:"documents"`
	Chunks    int       `json:"chunks"`
	CreatedAt time.Time `json:"created_at"`
}

// maxName is the longest collection name, in characters.
const maxName = 100

// checkName returns ErrInvalidName unless name can be a collection's: letters, digits, spaces and
// ._- of any script, neither beginning nor ending with a space or dot.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("collection name: %w: it is empty", ErrInvalidName)
	case !utf8.ValidString(name):
		return fmt.Errorf("collection name %q: %w: it is not UTF-8", name, ErrInvalidName)
	case utf8.RuneCountInString(name) > maxName:
		return fmt.Errorf("collection name %.20q…: %w: it is longer than %d characters", name, ErrInvalidName, maxName)
	case strings.Trim(name, " .") != name:
		return fmt.Errorf("collection name %q: %w: it begins or ends with a space or dot", name, ErrInvalidName)
	}
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune(" ._-", r) {
			return fmt.Errorf("collection name %q: %w: %q is not a letter, digit, space, dot, dash or underscore", name, ErrInvalidName, r)
		}
	}
	return nil
}

// CreateCollection makes an empty collection for the store's encoder. It returns ErrInvalidName or
// ErrExists.
func (s *Store) CreateCollection(ctx context.Context, name string) (Collection, error) {
	if s.readOnly {
		return Collection{}, ErrReadOnly
	}
	if err := checkName(name); err != nil {
		return Collection{}, err
	}
	c, err := s.db.CreateCollection(ctx, name, s.fingerprint(), s.dim())
	return Collection(c), err
}

// Collection returns one collection, or ErrNotFound.
func (s *Store) Collection(ctx context.Context, name string) (Collection, error) {
	c, err := s.db.Collection(ctx, name)
	return Collection(c), err
}

// Collections returns all collections, by name.
func (s *Store) Collections(ctx context.Context) ([]Collection, error) {
	found, err := s.db.Collections(ctx)
	all := make([]Collection, len(found))
	for i, c := range found {
		all[i] = Collection(c)
	}
	return all, err
}

// DeleteCollection removes a collection with its documents, jobs and files. It returns ErrNotFound when
// there is none.
func (s *Store) DeleteCollection(ctx context.Context, name string) error {
	if s.readOnly {
		return ErrReadOnly
	}
	change, err := s.db.DeleteCollection(ctx, name)
	if err != nil {
		return err
	}
	defer change.Rollback()
	if err := s.engine.replace(ctx, name, change); err != nil {
		return fmt.Errorf("delete collection %q: %w", name, err)
	}
	s.files.collect(ctx, change.Files)
	return nil
}
