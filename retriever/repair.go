package retriever

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"docent/internal/catalog"
)

// A Repair is a damage that was found, and what was done about it.
type Repair = catalog.Repair

// damagedDir begins the name of the folder that RepairDir keeps damaged files in.
const damagedDir = "damaged-"

// checkRecord returns ErrCorrupt when opening the record of a data directory would lose something without a
// word: it is gone or empty beside files that it should name, or damaged in a way that SQLite passes over.
func checkRecord(dir string) error {
	path := filepath.Join(dir, recordName)
	info, err := os.Stat(path)
	if err == nil && info.Size() > 0 {
		return catalog.CheckFile(path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	what := "is empty"
	if err != nil {
		what = "is gone"
	}
	for _, pattern := range []string{filepath.Join(filesDir, "*", "*"), filepath.Join(indexDir, "*"), recordName + "-wal"} {
		if left, _ := filepath.Glob(filepath.Join(dir, pattern)); len(left) > 0 {
			return fmt.Errorf("%s: %w: it %s, but %s is there", path, ErrCorrupt, what, left[0])
		}
	}
	return nil
}

// RepairDir mends the record of a data directory that nobody has open, so that Open takes it, and recovers
// what can be read of one that is damaged. Nothing is thrown away: damaged files, and originals that no
// document names any more, are kept in a folder "damaged-DATE" in the directory. What is wrong within
// collections is left to Store.Verify. It returns ErrLocked while another process has the directory open.
func RepairDir(ctx context.Context, dir string, log *slog.Logger) ([]Repair, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	defer lock.release()
	keep := filepath.Join(dir, damagedDir+time.Now().UTC().Format("20060102T150405Z"))
	path := filepath.Join(dir, recordName)
	var r catalog.Repairs
	info, err := os.Stat(path)
	if err == nil && info.Size() > 0 {
		if r, err = catalog.RepairFile(ctx, path, keep); err != nil {
			return r.All, err
		}
	} else if damage := checkRecord(dir); damage != nil {
		if !errors.Is(damage, ErrCorrupt) {
			return nil, damage
		}
		r.Lost = true
		done := "an empty one was made"
		if copies, _ := filepath.Glob(filepath.Join(dir, copiesDir, "*.db")); len(copies) > 0 {
			done += "; an earlier state of it is " + copies[len(copies)-1]
		}
		r.All = append(r.All, Repair{What: damage.Error(), Done: done})
		// The log belongs to a file that is not there.
		for _, suffix := range []string{"-wal", "-shm"} {
			if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return r.All, err
			}
		}
	}
	db, err := catalog.Open(ctx, path, log)
	if err != nil {
		return r.All, err
	}
	if r.Lost {
		// They may have chunks that the record has lost, under ids that are unknown now.
		if err := os.RemoveAll(filepath.Join(dir, indexDir)); err != nil {
			return r.All, errors.Join(err, db.Close())
		}
		kept, keepErr := keepUnnamed(ctx, dir, filepath.Join(keep, filesDir), db)
		if err = keepErr; kept > 0 {
			r.All = append(r.All, Repair{
				What: fmt.Sprintf("%d original files belong to no document any more", kept),
				Done: fmt.Sprintf("they were moved to %s; ingest them again with: docent ingest -c NAME %[1]s", filepath.Join(keep, filesDir)),
			})
		}
	}
	return r.All, errors.Join(err, db.Close())
}

// keepUnnamed moves the stored files that nothing in the record names to a folder: Open would remove them.
func keepUnnamed(ctx context.Context, dir, to string, db *catalog.DB) (int, error) {
	stored, err := filepath.Glob(filepath.Join(dir, filesDir, "*", "*"))
	if err != nil {
		return 0, err
	}
	n := 0
	for _, from := range stored {
		sum := filepath.Base(from)
		if !validSum(sum) {
			continue
		}
		needed, err := db.FileNeeded(ctx, sum)
		if err != nil {
			return n, err
		}
		if needed {
			continue
		}
		if err := os.MkdirAll(to, 0o700); err != nil {
			return n, err
		}
		if err := os.Rename(from, filepath.Join(to, sum)); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// DiscardIndex removes what is kept of a collection to search it, which the next search makes anew of the
// record. It returns ErrNotFound for an unknown collection.
func (s *Store) DiscardIndex(ctx context.Context, collection string) error {
	if _, err := s.Collection(ctx, collection); err != nil {
		return err
	}
	return s.engine.discard(ctx, collection)
}
