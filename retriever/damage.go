package retriever

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"docent/internal/catalog"
)

// Damage of the record is looked for when it is opened, beside its use, and in whatever is read of it.

// readAtOpen is the size in bytes up to which the rows of a record are all compared with their checksums when it is
// opened. Of a larger one it is those that all the others hang on; the others are compared beside its use, and each when
// it is read. Tests lower it.
var readAtOpen int64 = 32 << 20

// patrolShare is how much of a processor looking for damage takes beside the use of the record.
const patrolShare = .2

// Damage is what is known of damage to a store.
type Damage struct {
	File  string   `json:"-"`     // the record; empty for one in Postgres, which is not looked at
	Done  bool     `json:"done"`  // the record and the original files have been looked at since they were opened
	Found []string `json:"found"` // what is damaged; doctor --repair mends what can be mended
}

// maxDamage is how much damage is told; one that is everywhere needs no list.
const maxDamage = 100

// damageReport collects what is found.
type damageReport struct {
	log    *slog.Logger
	rest   bool // not all rows have been compared yet
	cancel context.CancelFunc
	looked sync.WaitGroup

	mu  sync.Mutex
	all Damage
}

// add tells of damage, once.
func (r *damageReport) add(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.all.Found, what) || len(r.all.Found) > maxDamage {
		return
	}
	if len(r.all.Found) == maxDamage {
		what = "more than this"
	}
	r.all.Found = append(r.all.Found, what)
	r.log.Warn("the store is damaged; docent doctor --repair mends what can be mended", "file", r.all.File, "damaged", what)
}

func (r *damageReport) done() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all.Done = true
}

func (r *damageReport) stop() {
	if r.cancel != nil {
		r.cancel()
	}
	r.looked.Wait()
}

// Damage returns what of the record is known to be not what was written. Passages and documents of that are not found,
// and nothing that is read is of it.
func (s *Store) Damage() Damage {
	s.damage.mu.Lock()
	defer s.damage.mu.Unlock()
	d := s.damage.all
	d.Found = append([]string{}, d.Found...)
	return d
}

// checkRows reports what of the record is not what was written; of a large one, it looks at the rows that the others hang
// on. Damage is no reason to refuse the rest.
func (s *Store) checkRows(ctx context.Context, record string) error {
	info, err := os.Stat(record)
	if err != nil {
		return err
	}
	s.damage.all.File = record
	all := info.Size() <= readAtOpen
	damaged, err := s.db.DamagedRows(ctx, all)
	s.report(damaged)
	s.damage.rest = !all
	return err
}

// patrol looks beside the use of the store at what opening it has not: the rest of a large record, and original files.
// There is no damage report of a record in Postgres.
func (s *Store) patrol(ctx context.Context) {
	if s.damage.all.File == "" {
		return
	}
	ctx, s.damage.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.damage.looked.Go(func() {
		var err error
		if s.damage.rest {
			err = s.db.Patrol(ctx, patrolShare, s.damage.add)
		}
		if err == nil {
			err = s.patrolFiles(ctx)
		}
		if err == nil {
			s.damage.done()
		} else if ctx.Err() == nil {
			s.log.Warn("looking for damage ended early", "error", err)
		}
	})
}

// patrolFiles reads the original files.
func (s *Store) patrolFiles(ctx context.Context) error {
	collections, err := s.Collections(ctx)
	if err != nil {
		return err
	}
	seen := map[string]bool{"": true} // documents that were put without their original
	for _, c := range collections {
		docs, err := s.Documents(ctx, c.Name)
		if err != nil {
			return err
		}
		for _, d := range docs {
			if seen[d.SHA256] {
				continue
			}
			seen[d.SHA256] = true
			start := time.Now()
			what, _, err := s.flawOfFile(ctx, d)
			if err != nil {
				return err
			}
			if what != "" {
				s.damage.add(what)
			}
			catalog.Rest(ctx, time.Since(start), patrolShare)
		}
	}
	return ctx.Err()
}

// flawOfFile says what is wrong with the original file of a document, "" when it is whole, and whether there was one to
// read.
func (s *Store) flawOfFile(ctx context.Context, d Document) (what string, read bool, err error) {
	sum, err := s.sumOfFile(ctx, d.SHA256)
	switch {
	case errors.Is(err, ErrNotFound):
		now, err := s.Document(ctx, d.ID)
		if err != nil || now.SHA256 != d.SHA256 {
			return "", false, nil // the document has gone meanwhile, or has another file
		}
		return fmt.Sprintf("the original of %q is gone from the data directory", d.Path), false, nil
	case err != nil:
		return "", false, err
	case sum != d.SHA256:
		return fmt.Sprintf("the original of %q is damaged: its bytes do not have its checksum", d.Path), true, nil
	}
	return "", true, nil
}

// sumOfFile returns the SHA-256, in hexadecimal, that a stored file has now.
func (s *Store) sumOfFile(ctx context.Context, name string) (string, error) {
	f, err := s.OpenFile(ctx, name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, contextReader{ctx, f})
	return hex.EncodeToString(sum.Sum(nil)), err
}

func (s *Store) report(damaged []catalog.DamagedRow) {
	for _, row := range damaged {
		s.damage.add(row.What + " does not match its checksum")
	}
}

// sound takes the damaged rows out of an error, having reported them, so that what is whole can be used.
func (s *Store) sound(err error) error {
	if damage, ok := errors.AsType[*catalog.DamageError](err); ok {
		s.report(damage.Rows)
		return nil
	}
	return err
}
