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

// originals keep the original files under their SHA-256.
type originals interface {
	// put stores the bytes durably and keeps them for unusedGrace, whether a document comes for them or not.
	put(ctx context.Context, r io.Reader) (sum string, size int64, err error)
	// open returns a stored file, or ErrNotFound.
	open(ctx context.Context, sum string) (*os.File, error)
	// has says whether the file is stored.
	has(ctx context.Context, sum string) (bool, error)
	// used says that a document now refers to the file.
	used(ctx context.Context, sum string)
	// collect removes those of the files that nothing refers to, as far as it can.
	collect(ctx context.Context, sums []string)
}

// localFiles keeps them in the data directory: dir/ab/abcdef….
type localFiles struct {
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

// openLocalFiles also clears away what an earlier process left half written or unreferenced.
func openLocalFiles(ctx context.Context, dir string, db *catalog.DB, log *slog.Logger) (*localFiles, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, catalog.Explain(err)
	}
	f := &localFiles{dir: dir, db: db, log: log, fresh: make(map[string]freshFile)}
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

func (f *localFiles) path(sum string) string { return pathOf(f.dir, sum) }

func pathOf(dir, sum string) string { return filepath.Join(dir, sum[:2], sum) }

func validSum(sum string) bool {
	if len(sum) != 2*sha256.Size || strings.ToLower(sum) != sum {
		return false
	}
	_, err := hex.DecodeString(sum)
	return err == nil
}

func (f *localFiles) put(ctx context.Context, r io.Reader) (sum string, size int64, err error) {
	temp, sum, size, err := receive(ctx, f.dir, r)
	if err != nil {
		return "", 0, err
	}
	defer func() {
		if err != nil {
			os.Remove(temp)
			err = catalog.Explain(err)
		}
	}()
	path := f.path(sum)

	f.mu.Lock()
	defer f.mu.Unlock()
	if err = os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", 0, err
	}
	// Over an existing file of the same content too: it may be damaged, the new one is not.
	if err = os.Rename(temp, path); err != nil {
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

// receive writes bytes to a new file in dir, synced, and returns its path.
func receive(ctx context.Context, dir string, r io.Reader) (path, sum string, size int64, err error) {
	temp, err := os.CreateTemp(dir, tempPrefix)
	if err != nil {
		return "", "", 0, catalog.Explain(err)
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
		return "", "", 0, err
	}
	if err = temp.Sync(); err != nil {
		return "", "", 0, err
	}
	return temp.Name(), hex.EncodeToString(hash.Sum(nil)), size, temp.Close()
}

func (f *localFiles) open(_ context.Context, sum string) (*os.File, error) {
	file, err := os.Open(f.path(sum))
	if os.IsNotExist(err) {
		return nil, fmt.Errorf("file %q: %w", sum, ErrNotFound)
	}
	return file, err
}

func (f *localFiles) has(_ context.Context, sum string) (bool, error) {
	_, err := os.Stat(f.path(sum))
	if os.IsNotExist(err) {
		return false, nil
	}
	return err == nil, err
}

func (f *localFiles) used(_ context.Context, sum string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fresh, ok := f.fresh[sum]; ok && fresh.uses > 1 {
		fresh.uses--
		f.fresh[sum] = fresh
	} else {
		delete(f.fresh, sum)
	}
}

// What cannot be removed is left to the next start.
func (f *localFiles) collect(ctx context.Context, sums []string) {
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
func (s *Store) OpenFile(ctx context.Context, sha256 string) (*os.File, error) {
	if !validSum(sha256) {
		return nil, fmt.Errorf("file %q: %w", sha256, ErrNotFound)
	}
	return s.files.open(ctx, sha256)
}
