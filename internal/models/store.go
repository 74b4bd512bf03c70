package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Folder is the name of the folder of models in a data directory.
const Folder = "models"

const (
	manifestName = "docent-model.json"
	partialName  = ".partial" // folder of what is being fetched
)

// A Store is a folder of installed models.
type Store struct{ dir string }

// Open returns the store in a folder, which is made when the first model comes.
func Open(dir string) *Store { return &Store{dir: dir} }

// Dir is the store's folder.
func (s *Store) Dir() string { return s.dir }

// A File is one file of a model.
type File struct {
	Path   string `json:"path"` // with slashes, within the model's folder
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// A Manifest says where a model came from and what it consists of.
type Manifest struct {
	Source      string    `json:"source"`             // address or path
	Repo        string    `json:"repo,omitempty"`     // on the hub
	Revision    string    `json:"revision,omitempty"` // as asked for
	Commit      string    `json:"commit,omitempty"`   // that it was
	Licence     string    `json:"licence,omitempty"`  // as the hub names it
	InstalledAt time.Time `json:"installed_at"`
	Files       []File    `json:"files"`
}

// A Model is an installed model.
type Model struct {
	Name     string    `json:"name"`
	Path     string    `json:"path"` // of its folder, or of a .gguf file put there by hand
	Bytes    int64     `json:"bytes"`
	Manifest *Manifest `json:"manifest,omitempty"` // nil when it was put there by hand
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// reservedNames are taken by docent or by Windows.
var reservedNames = regexp.MustCompile(`(?i)^(builtin|none|auto|con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$`)

// CheckName returns ErrName unless name can be a model's: letters, digits and ._-, at most 96 of them,
// the first a letter or digit.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrName)
	case len(name) > 96:
		return fmt.Errorf("%w %.20q…: it is longer than 96 characters", ErrName, name)
	case !namePattern.MatchString(name) || strings.HasSuffix(name, "."):
		return fmt.Errorf("%w %q: use letters, digits, dots, dashes and underscores, beginning with a letter or digit", ErrName, name)
	case reservedNames.MatchString(name):
		return fmt.Errorf("%w %q: the name is reserved", ErrName, name)
	}
	return nil
}

// List returns the installed models, by name.
func (s *Store) List() ([]Model, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return []Model{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list models: %w", err)
	}
	all := []Model{}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || !e.IsDir() && !isGGUF(name) {
			continue
		}
		m, err := s.Model(strings.TrimSuffix(name, ggufSuffix))
		if errors.Is(err, ErrName) || errors.Is(err, ErrNotFound) {
			continue // nothing of ours
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// Model returns one installed model, ErrNotFound or ErrName.
func (s *Store) Model(name string) (Model, error) {
	if err := CheckName(name); err != nil {
		return Model{}, err
	}
	m := Model{Name: name, Path: filepath.Join(s.dir, name)}
	info, err := os.Stat(m.Path)
	if errors.Is(err, fs.ErrNotExist) {
		m.Path += ggufSuffix
		info, err = os.Stat(m.Path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return Model{}, fmt.Errorf("%w: %q is not in %s; docent models list shows what is there", ErrNotFound, name, s.dir)
	}
	if err != nil {
		return Model{}, fmt.Errorf("model %q: %w", name, err)
	}
	if !info.IsDir() {
		m.Bytes = info.Size()
		return m, nil
	}
	err = filepath.WalkDir(m.Path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			m.Bytes += info.Size()
		}
		return err
	})
	if err != nil {
		return Model{}, fmt.Errorf("model %q: %w", name, err)
	}
	m.Manifest, err = readManifest(m.Path)
	if err != nil {
		return Model{}, fmt.Errorf("model %q: %w", name, err)
	}
	return m, nil
}

// readManifest returns nil where there is none.
func readManifest(dir string) (*Manifest, error) {
	data, err := readSmall(filepath.Join(dir, manifestName), 16<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", manifestName, err)
	}
	for _, f := range m.Files {
		if err := checkPath(f.Path); err != nil {
			return nil, fmt.Errorf("%s: %w", manifestName, err)
		}
	}
	return &m, nil
}

// readSmall reads a file that is no larger than limit.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is over %d bytes", filepath.Base(path), limit)
	}
	return data, err
}

// Remove deletes an installed model. It returns ErrNotFound when there is none.
func (s *Store) Remove(name string) error {
	m, err := s.Model(name)
	if err != nil {
		return err
	}
	// Out of sight first: half a model must not be found.
	gone, err := s.aside(name)
	if err != nil {
		return fmt.Errorf("remove model %q: %w", name, err)
	}
	if err := os.Rename(m.Path, gone); err != nil {
		return fmt.Errorf("remove model %q: %w", name, err)
	}
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("remove model %q: %w", name, err)
	}
	return nil
}

// aside returns a path in .partial that is not taken.
func (s *Store) aside(name string) (string, error) {
	dir := filepath.Join(s.dir, partialName)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	at, err := os.MkdirTemp(dir, name+".removed-")
	if err != nil {
		return "", err
	}
	return at, os.Remove(at)
}

// sweep removes what killed processes have left in .partial, apart from downloads, which can be continued.
func (s *Store) sweep() {
	dir := filepath.Join(s.dir, partialName)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !strings.Contains(e.Name(), ".import-") && !strings.Contains(e.Name(), ".removed-") {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > 24*time.Hour {
			os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}

// Unfinished counts the downloads that were begun and not ended.
func (s *Store) Unfinished() int {
	n := 0
	entries, _ := os.ReadDir(filepath.Join(s.dir, partialName))
	for _, e := range entries {
		if e.IsDir() && strings.Contains(e.Name(), "@") {
			n++
		}
	}
	return n
}

// A Fault is what Verify found of one file.
type Fault struct {
	Path    string `json:"path"`
	Problem string `json:"problem"`
}

// Verify reads every file of a model again and compares it with its manifest. The faults are those
// files that are changed, missing or not part of the model. progress, unless nil, is called with the
// bytes read so far and in all. A model without a manifest has no checksums to compare: ErrNoManifest.
func (s *Store) Verify(ctx context.Context, name string, progress func(done, total int64)) ([]Fault, error) {
	m, err := s.Model(name)
	if err != nil {
		return nil, err
	}
	if m.Manifest == nil {
		return nil, fmt.Errorf("model %q: %w; to record them install it with: docent models import %s", name, ErrNoManifest, m.Path)
	}
	var total, done int64
	known := map[string]bool{manifestName: true}
	for _, f := range m.Manifest.Files {
		known[f.Path] = true
		total += f.Size
	}
	faults := []Fault{}
	for _, f := range m.Manifest.Files {
		sum, size, err := hashFile(ctx, filepath.Join(m.Path, filepath.FromSlash(f.Path)), func(n int64) {
			if progress != nil {
				progress(min(done+n, total), total)
			}
		})
		done += f.Size
		switch {
		case errors.Is(err, fs.ErrNotExist):
			faults = append(faults, Fault{f.Path, "is missing"})
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			faults = append(faults, Fault{f.Path, err.Error()})
		case size != f.Size:
			faults = append(faults, Fault{f.Path, fmt.Sprintf("has %d bytes, was installed with %d", size, f.Size)})
		case sum != f.SHA256:
			faults = append(faults, Fault{f.Path, fmt.Sprintf("has SHA-256 %s, was installed with %s", sum, f.SHA256)})
		}
	}
	err = filepath.WalkDir(m.Path, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(m.Path, path)
		if err == nil && !known[filepath.ToSlash(rel)] {
			faults = append(faults, Fault{filepath.ToSlash(rel), "was not installed with the model"})
		}
		return err
	})
	return faults, err
}

// ErrNoManifest: the model was put there by hand.
var ErrNoManifest = errors.New("there is no record of its checksums")

// hashFile returns a file's SHA-256 and size.
func hashFile(ctx context.Context, path string, progress func(n int64)) (sum string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	size, err = copyContext(ctx, h, f, progress)
	return hex.EncodeToString(h.Sum(nil)), size, err
}

// copyContext copies until the end or until ctx ends. progress, unless nil, gets the bytes so far.
func copyContext(ctx context.Context, w io.Writer, r io.Reader, progress func(n int64)) (int64, error) {
	buf := make([]byte, 1<<20)
	for n := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		k, err := r.Read(buf)
		if k > 0 {
			if _, werr := w.Write(buf[:k]); werr != nil {
				return n, werr
			}
			n += int64(k)
			if progress != nil {
				progress(n)
			}
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// install gives the folder tmp, whose files are complete and listed in m, its place. With replace a model
// of the name makes room.
func (s *Store) install(tmp, name string, m Manifest, replace bool) (Model, error) {
	slices.SortFunc(m.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	m.InstalledAt = time.Now().UTC().Truncate(time.Second)
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return Model{}, err
	}
	if err := writeSynced(filepath.Join(tmp, manifestName), append(data, '\n')); err != nil {
		return Model{}, fmt.Errorf("install model %q: %w", name, err)
	}
	if err := s.free(name, replace); err != nil {
		return Model{}, err
	}
	var gone string
	if old, err := s.Model(name); err == nil {
		if gone, err = s.aside(name); err == nil {
			err = os.Rename(old.Path, gone)
		}
		if err != nil {
			return Model{}, fmt.Errorf("replace model %q: %w", name, err)
		}
	}
	if err := os.Rename(tmp, filepath.Join(s.dir, name)); err != nil {
		return Model{}, fmt.Errorf("install model %q: %w", name, err)
	}
	syncDir(s.dir)
	s.sweep()
	if gone != "" {
		os.RemoveAll(gone)
	}
	return s.Model(name)
}

// free returns ErrExists when the name is taken and not to be replaced.
func (s *Store) free(name string, replace bool) error {
	if err := CheckName(name); err != nil {
		return err
	}
	_, err := s.Model(name)
	switch {
	case errors.Is(err, ErrNotFound) || replace:
		return nil
	case err == nil:
		return fmt.Errorf("%w: %q; choose another name with --name, replace it with --force, or remove it with: docent models rm %s", ErrExists, name, name)
	}
	return err
}

func writeSynced(path string, data []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDir makes a rename durable where the system lets a folder be synced.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		d.Close()
	}
}

// windowsNames match path elements that Windows takes for something else.
var windowsNames = regexp.MustCompile(`(?i)^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$|[<>:"|?*\\\x00-\x1f]|[. ]$`)

// checkPath returns ErrUnsafe unless path, with slashes, stays in the folder it is put in, on every
// system.
func checkPath(path string) error {
	if !fs.ValidPath(path) || path == "." || len(path) > 512 {
		return fmt.Errorf("%w: path %.100q", ErrUnsafe, path)
	}
	for part := range strings.SplitSeq(path, "/") {
		if windowsNames.MatchString(part) {
			return fmt.Errorf("%w: path %.100q", ErrUnsafe, path)
		}
	}
	return nil
}
