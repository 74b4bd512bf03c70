package retriever

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"docent/internal/catalog"
)

// unusedGrace is how long a file just stored is kept although nothing refers to it yet: the time
// between PutFile and the job or document that names it.
const unusedGrace = time.Hour

// A fileStore keeps the original files under their SHA-256: dir/ab/abcdef….
type fileStore struct {
	dir string
	db  *catalog.DB
	log *slog.Logger

	mu    sync.Mutex
	fresh map[string]freshFile // stored by this process, not yet seen in a document
}

type freshFile struct {
	uses  int
	until time.Time
}

const tempPrefix = "incoming-"

// openFiles also clears away what an earlier process left half written or unreferenced.
func openFiles(ctx context.Context, dir string, db *catalog.DB, log *slog.Logger) (*fileStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, catalog.Explain(err)
	}
	f := &fileStore{dir: dir, db: db, log: log, fresh: make(map[string]freshFile)}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !e.IsDir() {
			if strings.HasPrefix(e.Name(), tempPrefix) {
				os.Remove(path)
			}
			continue
		}
		stored, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		names := make([]string, 0, len(stored))
		for _, s := range stored {
			names = append(names, s.Name())
		}
		f.collect(ctx, names)
	}
	return f, nil
}

func (f *fileStore) path(sum string) string { return filepath.Join(f.dir, sum[:2], sum) }

func validSum(sum string) bool {
	if len(sum) != 2*sha256.Size || strings.ToLower(sum) != sum {
		return false
	}
	_, err := hex.DecodeString(sum)
	return err == nil
}

func (f *fileStore) put(ctx context.Context, r io.Reader) (sum string, size int64, err error) {
	temp, err := os.CreateTemp(f.dir, tempPrefix)
	if err != nil {
		return "", 0, catalog.Explain(err)
	}
	defer func() {
		if err != nil {
			temp.Close()
			os.Remove(temp.Name())
			err = catalog.Explain(err)
		}
	}()
	hash := sha256.New()
	if size, err = io.Copy(io.MultiWriter(temp, hash), contextReader{ctx, r}); err != nil {
		return "", 0, err
	}
	if err = temp.Sync(); err != nil {
		return "", 0, err
	}
	if err = temp.Close(); err != nil {
		return "", 0, err
	}
	sum = hex.EncodeToString(hash.Sum(nil))
	path := f.path(sum)

	f.mu.Lock()
	defer f.mu.Unlock()
	if err = os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", 0, err
	}
	// Over an existing file of the same content too: it may be damaged, the new one is not.
	if err = os.Rename(temp.Name(), path); err != nil {
		return "", 0, err
	}
	if err = syncDir(filepath.Dir(path)); err != nil {
		return "", 0, err
	}
	if err = syncDir(f.dir); err != nil {
		return "", 0, err
	}
	f.fresh[sum] = freshFile{uses: f.fresh[sum].uses + 1, until: time.Now().Add(unusedGrace)}
	return sum, size, nil
}

// used says that a document now refers to the file.
func (f *fileStore) used(sum string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fresh, ok := f.fresh[sum]; ok && fresh.uses > 1 {
		fresh.uses--
		f.fresh[sum] = fresh
	} else {
		delete(f.fresh, sum)
	}
}

// collect removes those of the files that nothing refers to. What cannot be removed is left to the next
// start.
func (f *fileStore) collect(ctx context.Context, sums []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, sum := range sums {
		if fresh, ok := f.fresh[sum]; ok && time.Now().Before(fresh.until) || !validSum(sum) {
			continue
		}
		needed, err := f.db.FileNeeded(ctx, sum)
		if err == nil && !needed {
			if err = os.Remove(f.path(sum)); os.IsNotExist(err) {
				err = nil
			}
			os.Remove(filepath.Dir(f.path(sum))) // goes when it is empty
		}
		if err != nil {
			f.log.WarnContext(ctx, "an unused file stays until the next start", "sha256", sum, "error", err)
		}
	}
}

// syncDir makes a rename in dir durable. Windows has no such call; NTFS journals renames.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// PutFile stores the bytes of a file and returns their SHA-256 in hexadecimal, by which OpenFile finds
// them. They are durable when it returns, and are kept as long as a document, or a job that is not done
// or cancelled, names them; for an hour until then. It returns ErrStorageFull when the disk is full.
func (s *Store) PutFile(ctx context.Context, r io.Reader) (sha256 string, size int64, err error) {
	if s.readOnly {
		return "", 0, ErrReadOnly
	}
	sha256, size, err = s.files.put(ctx, r)
	if err != nil {
		return "", 0, fmt.Errorf("store file: %w", err)
	}
	return sha256, size, nil
}

// OpenFile opens a stored file for reading, or returns ErrNotFound. The caller closes it.
func (s *Store) OpenFile(sha256 string) (*os.File, error) {
	if !validSum(sha256) {
		return nil, fmt.Errorf("file %q: %w", sha256, ErrNotFound)
	}
	f, err := os.Open(s.files.path(sha256))
	if os.IsNotExist(err) {
		return nil, fmt.Errorf("file %q: %w", sha256, ErrNotFound)
	}
	return f, err
}
