package retriever

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"docent/internal/catalog"
)

// What was read is kept on the disk, to be read again: about so much, and for so long after it was used.
const (
	cacheBytes = 4 << 30
	cacheAge   = 7 * 24 * time.Hour
)

// sharedFiles keeps the original files in the record, where every process that shares it finds them, and
// what it has read in a folder: dir/ab/abcdef…. The folder may be that of several processes, and may go at
// any time.
type sharedFiles struct {
	dir string
	db  *catalog.DB
	log *slog.Logger

	mu    sync.Mutex
	read  int64     // bytes that came to the folder since it was trimmed
	swept time.Time // when all that nothing refers to was removed last
}

// openSharedFiles also clears away what is no longer referred to.
func openSharedFiles(ctx context.Context, dir string, db *catalog.DB, log *slog.Logger) (*sharedFiles, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, catalog.Explain(err)
	}
	f := &sharedFiles{dir: dir, db: db, log: log, swept: time.Now()}
	f.trim()
	return f, db.RemoveFiles(ctx, nil)
}

func (f *sharedFiles) put(ctx context.Context, r io.Reader) (sum string, size int64, err error) {
	temp, sum, size, err := receive(ctx, f.dir, r)
	if err != nil {
		return "", 0, err
	}
	defer os.Remove(temp)
	file, err := os.Open(temp)
	if err != nil {
		return "", 0, err
	}
	defer file.Close()
	if err := f.db.KeepFile(ctx, sum, size, file, unusedGrace); err != nil {
		return "", 0, err
	}
	file.Close()
	f.keep(temp, sum, size) // it will be read soon, mostly by this process
	return sum, size, nil
}

func (f *sharedFiles) open(ctx context.Context, sum string) (*os.File, error) {
	path := pathOf(f.dir, sum)
	if file, err := os.Open(path); err == nil {
		now := time.Now()
		_ = os.Chtimes(path, now, now) // when it was used last
		return file, nil
	}
	temp, err := os.CreateTemp(f.dir, tempPrefix)
	if err != nil {
		return nil, catalog.Explain(err)
	}
	defer os.Remove(temp.Name())
	hash := sha256.New()
	if err := f.db.ReadFile(ctx, sum, io.MultiWriter(temp, hash)); err != nil {
		temp.Close()
		return nil, catalog.Explain(err)
	}
	if hex.EncodeToString(hash.Sum(nil)) != sum {
		temp.Close()
		return nil, fmt.Errorf("file %s: %w: its bytes do not have its checksum", sum, ErrCorrupt)
	}
	info, err := temp.Stat()
	if err != nil {
		temp.Close()
		return nil, err
	}
	if err := temp.Close(); err != nil {
		return nil, catalog.Explain(err)
	}
	if !f.keep(temp.Name(), sum, info.Size()) {
		return nil, fmt.Errorf("file %s: it cannot be put into the folder %s", sum, f.dir)
	}
	return os.Open(path)
}

func (f *sharedFiles) has(ctx context.Context, sum string) (bool, error) {
	return f.db.HasFile(ctx, sum)
}

// keep moves a file into the folder.
func (f *sharedFiles) keep(temp, sum string, size int64) bool {
	path := pathOf(f.dir, sum)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		f.log.Warn("an original is not kept on the disk", "sha256", sum, "error", err)
		return false
	}
	f.mu.Lock()
	f.read += size
	full := f.read > cacheBytes/4
	if full {
		f.read = 0
	}
	f.mu.Unlock()
	if full {
		f.trim()
	}
	return true
}

// trim removes from the folder what is too old, and what was used longest ago until cacheBytes are left.
func (f *sharedFiles) trim() {
	type entry struct {
		path string
		info fs.FileInfo
	}
	var all []entry
	total := int64(0)
	_ = filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			all = append(all, entry{path, info})
			total += info.Size()
		}
		return nil
	})
	slices.SortFunc(all, func(a, b entry) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	for _, e := range all {
		if total <= cacheBytes && time.Since(e.info.ModTime()) < cacheAge {
			return
		}
		if os.Remove(e.path) == nil {
			total -= e.info.Size()
		}
	}
}

func (f *sharedFiles) used(ctx context.Context, sum string) {
	if err := f.db.FileUsed(ctx, sum); err != nil {
		f.log.WarnContext(ctx, "an original may stay for an hour after its document", "sha256", sum, "error", err)
	}
}

func (f *sharedFiles) collect(ctx context.Context, sums []string) {
	if len(sums) == 0 {
		return
	}
	f.mu.Lock()
	sweep := time.Since(f.swept) > unusedGrace
	if sweep {
		f.swept = time.Now()
	}
	f.mu.Unlock()
	which := sums
	if sweep {
		which = nil // all
	}
	err := f.db.RemoveFiles(ctx, which)
	for _, sum := range sums {
		if !validSum(sum) || err != nil {
			continue
		}
		var needed bool
		if needed, err = f.db.FileNeeded(ctx, sum); !needed {
			os.Remove(pathOf(f.dir, sum))
		}
	}
	if err != nil {
		f.log.WarnContext(ctx, "unused originals stay for now", "error", err)
	}
}
