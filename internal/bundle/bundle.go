// Package bundle reads and writes the files that docent's data travels in: a zip whose last entry,
// manifest.json, names every other with its size and SHA-256. Entries are not compressed: most of them are
// vectors and files that are compressed already.
package bundle

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"
)

var (
	// ErrNotBundle is wrapped when a file is no bundle of this program.
	ErrNotBundle = errors.New("not a docent file")
	// ErrDamaged is wrapped when a bundle is not what was written.
	ErrDamaged = errors.New("file is damaged")
	// ErrNewer is wrapped for a bundle that a later release wrote.
	ErrNewer = errors.New("file was written by a later release")
)

// The kinds of bundle.
const (
	Backup     = "backup"     // a data directory
	Collection = "collection" // one collection
)

const (
	manifestName = "manifest.json"
	format       = 1
	maxManifest  = 256 << 20
)

// A Manifest says what a bundle holds.
type Manifest struct {
	Docent     string    `json:"docent"` // "bundle"
	Format     int       `json:"format"`
	Kind       string    `json:"kind"`
	Created    time.Time `json:"created"`
	Collection string    `json:"collection,omitempty"`
	Encoder    string    `json:"encoder,omitempty"` // fingerprint
	Documents  int       `json:"documents"`
	Chunks     int       `json:"chunks"`
	Damaged    []string  `json:"damaged,omitempty"` // what of the record was not what had been written to it
	Entries    []Entry   `json:"entries"`
}

// An Entry is one file in a bundle.
type Entry struct {
	Name   string `json:"name"` // with slashes
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// A Writer makes a bundle.
type Writer struct {
	ctx      context.Context
	zip      *zip.Writer
	manifest Manifest
	progress func(n int64)
}

// NewWriter begins a bundle; of m the kind and what describes the content are taken. progress, unless nil,
// is called with the number of bytes written since the last call. When ctx ends, adding fails with its error.
func NewWriter(ctx context.Context, w io.Writer, m Manifest, progress func(n int64)) *Writer {
	m.Docent, m.Format, m.Entries = "bundle", format, nil
	if progress == nil {
		progress = func(int64) {}
	}
	return &Writer{ctx: ctx, zip: zip.NewWriter(w), manifest: m, progress: progress}
}

// Add copies r into the bundle as an entry.
func (w *Writer) Add(name string, r io.Reader) error {
	if !fs.ValidPath(name) || name == manifestName {
		return fmt.Errorf("bundle: entry cannot be named %q", name)
	}
	out, err := w.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store, Modified: w.manifest.Created})
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, sum, counter(w.progress)), reader{w.ctx, r})
	if err != nil {
		return err
	}
	w.manifest.Entries = append(w.manifest.Entries, Entry{name, n, hex.EncodeToString(sum.Sum(nil))})
	return nil
}

// Close writes the manifest and ends the bundle.
func (w *Writer) Close() error {
	out, err := w.zip.CreateHeader(&zip.FileHeader{Name: manifestName, Method: zip.Deflate, Modified: w.manifest.Created})
	if err != nil {
		return err
	}
	e := json.NewEncoder(out)
	e.SetIndent("", " ")
	if err := e.Encode(w.manifest); err != nil {
		return err
	}
	return w.zip.Close()
}

// A Reader reads a bundle. It is safe for concurrent use.
type Reader struct {
	Manifest Manifest
	files    map[string]*zip.File
	sums     map[string]Entry
}

// NewReader opens a bundle of the kind. Nothing but the manifest is checked yet: see Reader.Open.
func NewReader(r io.ReaderAt, size int64, kind string) (*Reader, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		if errors.Is(err, zip.ErrFormat) {
			return nil, fmt.Errorf("%w: it is no zip, or it is cut short", ErrNotBundle)
		}
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	b := &Reader{files: make(map[string]*zip.File), sums: make(map[string]Entry)}
	for _, f := range z.File {
		b.files[f.Name] = f
	}
	f := b.files[manifestName]
	if f == nil {
		return nil, fmt.Errorf("%w: it has no %s", ErrNotBundle, manifestName)
	}
	m, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, manifestName, err)
	}
	defer m.Close()
	if err := json.NewDecoder(io.LimitReader(m, maxManifest)).Decode(&b.Manifest); err != nil || b.Manifest.Docent != "bundle" {
		return nil, fmt.Errorf("%w: its %s is not one", ErrNotBundle, manifestName)
	}
	switch {
	case b.Manifest.Format > format:
		return nil, fmt.Errorf("%w: its format is %d, this program knows up to %d; update the program", ErrNewer, b.Manifest.Format, format)
	case b.Manifest.Kind != kind:
		return nil, fmt.Errorf("%w: it holds a %s, not a %s", ErrNotBundle, b.Manifest.Kind, kind)
	}
	for _, e := range b.Manifest.Entries {
		if !fs.ValidPath(e.Name) || strings.Contains(e.Name, `\`) || path.Base(e.Name) == "." {
			return nil, fmt.Errorf("%w: it names an entry %q", ErrDamaged, e.Name)
		}
		f := b.files[e.Name]
		if f == nil || f.UncompressedSize64 != uint64(e.Size) {
			return nil, fmt.Errorf("%w: entry %q is missing or of another size", ErrDamaged, e.Name)
		}
		b.sums[e.Name] = e
	}
	return b, nil
}

// Open opens an entry of the manifest. Reading it to the end returns ErrDamaged instead of io.EOF when it
// does not match its checksum.
func (b *Reader) Open(name string) (io.ReadCloser, error) {
	e, ok := b.sums[name]
	if !ok {
		return nil, fmt.Errorf("%w: entry %q is missing", ErrDamaged, name)
	}
	r, err := b.files[name].Open()
	if err != nil {
		return nil, fmt.Errorf("%w: entry %q: %w", ErrDamaged, name, err)
	}
	return &verified{r: io.LimitReader(r, e.Size+1), close: r.Close, entry: e, sum: sha256.New()}, nil
}

// verified checks an entry as it is read.
type verified struct {
	r     io.Reader
	close func() error
	entry Entry
	sum   hash.Hash
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.sum.Write(p[:n])
	if err == nil {
		return n, nil
	}
	if err != io.EOF || hex.EncodeToString(v.sum.Sum(nil)) != v.entry.SHA256 {
		return n, fmt.Errorf("%w: entry %q does not match its checksum", ErrDamaged, v.entry.Name)
	}
	return n, io.EOF
}

func (v *verified) Close() error { return v.close() }

// counter is a writer that tells how much goes through.
type counter func(n int64)

func (c counter) Write(p []byte) (int, error) { c(int64(len(p))); return len(p), nil }

// reader ends with its context.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
