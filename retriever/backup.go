package retriever

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"docent/internal/bundle"
	"docent/internal/catalog"
)

var (
	// ErrNotBundle: a file that is no backup, or no exported collection.
	ErrNotBundle = bundle.ErrNotBundle
	// ErrDamaged: a backup or an exported collection is not what was written.
	ErrDamaged = bundle.ErrDamaged
	// ErrNewerBundle: a later release wrote the backup or the exported collection.
	ErrNewerBundle = bundle.ErrNewer
	// ErrNotEmpty: the data directory that a backup is to be restored to holds something.
	ErrNotEmpty = errors.New("data directory is not empty")
	// ErrReadOnly: the store was opened from an exported collection.
	ErrReadOnly = errors.New("this knowledge base is read-only")
)

// A Bundle says what a backup or an exported collection holds.
type Bundle = bundle.Manifest

const (
	recordName = "docent.db"
	filesDir   = "files"
	sharedDir  = "shared-files" // of files that were read, where the record is in Postgres
	copiesDir  = "earlier"      // copies of the record from before its migrations
	indexDir   = "index"

	tempDirPrefix = "copying-" // of a directory for the time of a backup
)

// Backup writes the data directory dir as one file to w: the record as of one moment, all it knows of, and
// the files it names. Whoever has the directory open may go on changing it; what was acknowledged before the
// call is in the backup. Indexes, which are made anew, and models are left out. progress, unless nil, is
// called with the bytes written so far.
func Backup(ctx context.Context, dir string, w io.Writer, progress func(written int64)) (Bundle, error) {
	temp, err := copyDir(ctx, dir)
	if err != nil {
		return Bundle{}, fmt.Errorf("back up %s: %w", dir, err)
	}
	defer os.RemoveAll(temp)
	m := Bundle{Kind: bundle.Backup, Created: time.Now().UTC()}
	files, err := describe(ctx, filepath.Join(temp, recordName), &m)
	if err != nil {
		return Bundle{}, fmt.Errorf("back up %s: %w", dir, err)
	}
	return m, writeBundle(ctx, w, m, temp, files, settingsFiles(dir), progress)
}

// removeStrayCopies removes what backups, updates and repairs that were interrupted have left.
func (s *Store) removeStrayCopies() {
	if s.lock != nil { // nobody else is at it
		for _, pattern := range []string{recordName + ".part*", filepath.Join(copiesDir, "*.part*")} {
			stray, _ := filepath.Glob(filepath.Join(s.dir, pattern))
			for _, file := range stray {
				_ = os.Remove(file)
			}
		}
	}
	stray, _ := filepath.Glob(filepath.Join(s.dir, tempDirPrefix+"*"))
	for _, dir := range stray {
		// A backup may be running beside this process; what is old is of one that is not.
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > 24*time.Hour {
			_ = os.RemoveAll(dir)
		}
	}
}

// copyDir makes a directory within dir that holds its record, and its files by further names, as of one
// moment.
func copyDir(ctx context.Context, dir string) (temp string, err error) {
	if _, err := os.Stat(filepath.Join(dir, recordName)); err != nil {
		return "", err
	}
	if temp, err = os.MkdirTemp(dir, tempDirPrefix); err != nil {
		return "", catalog.Explain(err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(temp)
		}
	}()
	return temp, catalog.CopyFile(ctx, filepath.Join(dir, recordName), filepath.Join(temp, recordName), func() error {
		stored, err := filepath.Glob(filepath.Join(dir, filesDir, "*", "*"))
		if err != nil {
			return err
		}
		for _, from := range stored {
			to := storedPath(temp, filepath.Base(from))
			if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
				return err
			}
			if err := os.Link(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) { // one that no document names goes at any time
				return err
			}
		}
		return nil
	})
}

// describe counts what a copy of a record holds, tells what of it is damaged, and lists its files. It also brings the copy's schema up to
// date, and takes out what only the store has that was copied.
func describe(ctx context.Context, record string, m *Bundle) (files []string, err error) {
	db, err := catalog.Open(ctx, record, nil)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if err := db.ForgetSearchClasses(ctx); err != nil { // they stay those of the store that was copied
		return nil, err
	}
	all, err := db.Collections(ctx)
	if err != nil {
		return nil, err
	}
	m.Documents, m.Chunks = 0, 0
	for _, c := range all {
		m.Documents += c.Documents
		m.Chunks += c.Chunks
	}
	damaged, err := db.DamagedRows(ctx, true)
	if err != nil {
		return nil, err
	}
	for _, row := range damaged {
		m.Damaged = append(m.Damaged, row.What)
	}
	if files, err = db.Files(ctx); err != nil {
		return nil, err
	}
	return files, db.Close()
}

func storedPath(dir, sum string) string { return pathOf(filepath.Join(dir, filesDir), sum) }

// writeBundle writes the record and the files of dir, and further files by their paths.
func writeBundle(ctx context.Context, w io.Writer, m Bundle, dir string, files []string, others map[string]string, progress func(int64)) error {
	var written int64
	b := bundle.NewWriter(ctx, w, m, func(n int64) {
		written += n
		if progress != nil {
			progress(written)
		}
	})
	add := func(name, from string) error {
		f, err := os.Open(from)
		if err != nil {
			return err
		}
		defer f.Close()
		return b.Add(name, f)
	}
	if err := add(recordName, filepath.Join(dir, recordName)); err != nil {
		return err
	}
	for _, sum := range files {
		if !validSum(sum) {
			return fmt.Errorf("%w: it names a file %q", ErrCorrupt, sum)
		}
		if err := add(path.Join(filesDir, sum[:2], sum), storedPath(dir, sum)); err != nil {
			return err
		}
	}
	for name, from := range others {
		if err := add(name, from); err != nil {
			return err
		}
	}
	return b.Close()
}

// settingsFiles are what people put into a data directory: the settings file and prompts.
func settingsFiles(dir string) map[string]string {
	files := make(map[string]string)
	for _, pattern := range []string{"config.yaml", "prompts/*"} {
		found, _ := fs.Glob(os.DirFS(dir), pattern)
		for _, name := range found {
			from := filepath.Join(dir, filepath.FromSlash(name))
			if info, err := os.Stat(from); err == nil && info.Mode().IsRegular() {
				files[name] = from
			}
		}
	}
	return files
}

// Restore makes the data directory dir of a backup. It checks every byte, and the directory appears whole or
// not at all. It returns ErrNotEmpty when dir holds anything, ErrNotBundle, ErrDamaged or ErrNewerBundle.
func Restore(ctx context.Context, r io.ReaderAt, size int64, dir string, progress func(written int64)) (Bundle, error) {
	b, err := bundle.NewReader(r, size, bundle.Backup)
	if err != nil {
		return Bundle{}, err
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return Bundle{}, fmt.Errorf("restore to %s: %w; name another, or move it away", dir, ErrNotEmpty)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return Bundle{}, err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".restoring-")
	if err != nil {
		return Bundle{}, err
	}
	defer os.RemoveAll(temp)
	if err := unpack(ctx, b, temp, progress); err != nil {
		return Bundle{}, err
	}
	db, err := catalog.Open(ctx, filepath.Join(temp, recordName), nil)
	if err != nil {
		return Bundle{}, err
	}
	if err := db.Close(); err != nil {
		return Bundle{}, err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Bundle{}, err
	}
	return b.Manifest, os.Rename(temp, dir)
}

// unpack writes the entries of a bundle to a folder.
func unpack(ctx context.Context, b *bundle.Reader, dir string, progress func(int64)) error {
	var written int64
	for _, e := range b.Manifest.Entries {
		to := filepath.Join(dir, filepath.FromSlash(e.Name))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return catalog.Explain(err)
		}
		if err := unpackOne(ctx, b, e.Name, to); err != nil {
			return catalog.Explain(err)
		}
		if written += e.Size; progress != nil {
			progress(written)
		}
	}
	return nil
}

func unpackOne(ctx context.Context, b *bundle.Reader, name, to string) error {
	r, err := b.Open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, contextReader{ctx, r})
	return errors.Join(err, f.Sync(), f.Close())
}

// Export writes a collection as one file to w: documents, chunks, vectors, the encoder's fingerprint and the
// files it was made of, as of one moment. Import and OpenExported read it. progress, unless nil, is called with
// the bytes written so far.
func (s *Store) Export(ctx context.Context, collection string, w io.Writer, progress func(written int64)) (Bundle, error) {
	c, err := s.Collection(ctx, collection)
	if err != nil {
		return Bundle{}, err
	}
	temp, err := os.MkdirTemp(s.dir, tempDirPrefix)
	if err != nil {
		return Bundle{}, catalog.Explain(err)
	}
	defer os.RemoveAll(temp)
	record := filepath.Join(temp, recordName)
	if err := s.copyCollection(ctx, collection, temp, record); err != nil {
		return Bundle{}, fmt.Errorf("export %q: %w", collection, err)
	}
	m := Bundle{Kind: bundle.Collection, Created: time.Now().UTC(), Collection: collection, Encoder: c.Encoder}
	files, err := describe(ctx, record, &m)
	if err != nil {
		return Bundle{}, err
	}
	for _, sum := range files {
		if err := s.linkFile(ctx, sum, temp); err != nil {
			return Bundle{}, fmt.Errorf("export %q: a document changed meanwhile: %w; export it again", collection, err)
		}
	}
	return m, writeBundle(ctx, w, m, temp, files, nil, progress)
}

// copyCollection makes a record of one collection, and links the files of its documents to dir, so that they
// are there although a document is removed meanwhile.
func (s *Store) copyCollection(ctx context.Context, collection, dir, record string) error {
	docs, err := s.db.Documents(ctx, collection)
	if err != nil {
		return err
	}
	for _, d := range docs {
		if d.SHA256 == "" {
			continue
		}
		if err := s.linkFile(ctx, d.SHA256, dir); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	db, err := catalog.Open(ctx, record, nil)
	if err != nil {
		return err
	}
	_, err = db.ImportCollection(ctx, s.db, collection, collection)
	return errors.Join(err, db.Close())
}

// linkFile gives a stored file a further name, in the folder files of dir, unless it has it.
func (s *Store) linkFile(ctx context.Context, sum, dir string) error {
	to := storedPath(dir, sum)
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	f, err := s.OpenFile(ctx, sum)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return catalog.Explain(err)
	}
	return os.Link(f.Name(), to)
}

// Import makes a collection of an exported one, under its own name when name is empty. Nothing is embedded:
// the collection keeps the vectors and the encoder it was exported with. It appears whole or not at all. It
// returns ErrExists when the name is taken, ErrNotBundle, ErrDamaged or ErrNewerBundle.
func (s *Store) Import(ctx context.Context, r io.ReaderAt, size int64, name string, progress func(read int64)) (Collection, error) {
	if s.readOnly {
		return Collection{}, ErrReadOnly
	}
	b, err := bundle.NewReader(r, size, bundle.Collection)
	if err != nil {
		return Collection{}, err
	}
	if name == "" {
		name = b.Manifest.Collection
	}
	if err := checkName(name); err != nil {
		return Collection{}, err
	}
	if _, err := s.Collection(ctx, name); err == nil {
		return Collection{}, fmt.Errorf("collection %q: %w; import it under another name", name, ErrExists)
	}
	temp, err := os.MkdirTemp("", "docent-import-")
	if err != nil {
		return Collection{}, err
	}
	defer os.RemoveAll(temp)
	record := filepath.Join(temp, recordName)
	if err := unpackOne(ctx, b, recordName, record); err != nil {
		return Collection{}, err
	}
	other, err := catalog.Open(ctx, record, nil)
	if err != nil {
		return Collection{}, err
	}
	defer other.Close()
	var done int64
	for _, e := range b.Manifest.Entries {
		done += e.Size
		if dir, sum := path.Split(e.Name); strings.HasPrefix(dir, filesDir+"/") {
			if err := s.importFile(ctx, b, e.Name, sum); err != nil {
				return Collection{}, err
			}
		}
		if progress != nil {
			progress(done)
		}
	}
	c, err := s.db.ImportCollection(ctx, other, b.Manifest.Collection, name)
	if err != nil {
		return Collection{}, err
	}
	for _, e := range b.Manifest.Entries {
		s.files.used(ctx, path.Base(e.Name))
	}
	return Collection(c), nil
}

func (s *Store) importFile(ctx context.Context, b *bundle.Reader, name, sum string) error {
	r, err := b.Open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	got, _, err := s.PutFile(ctx, r)
	if err == nil && got != sum {
		err = fmt.Errorf("%w: the file %s has other bytes", ErrDamaged, sum)
	}
	return err
}

// OpenExported opens the exported collection that is the file name of fsys, such as an embed.FS or
// os.DirFS, to be searched: documents cannot be changed, which returns ErrReadOnly. What else the store
// records, such as conversations, is gone when it is closed. The file is copied to a temporary directory.
func OpenExported(ctx context.Context, fsys fs.FS, name string, cfg Config) (*Store, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	r, ok := f.(io.ReaderAt)
	if !ok {
		return nil, fmt.Errorf("open %s: its file system does not read from the middle of a file", name)
	}
	b, err := bundle.NewReader(r, info.Size(), bundle.Collection)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	if cfg.Dir, err = os.MkdirTemp("", "docent-kb-"); err != nil {
		return nil, err
	}
	if err = unpack(ctx, b, cfg.Dir, nil); err != nil {
		os.RemoveAll(cfg.Dir)
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	s, err := Open(ctx, cfg)
	if err != nil {
		os.RemoveAll(cfg.Dir)
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	s.readOnly = true
	s.log.Debug("exported collection opened", slog.String("file", name), slog.String("collection", b.Manifest.Collection))
	return s, nil
}
