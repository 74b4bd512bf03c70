package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gofrs/flock"
)

// PullConfig says what to fetch.
type PullConfig struct {
	Repo     string   // OWNER/NAME; required
	Revision string   // branch, tag or commit; "" means main
	Name     string   // to install it by; "" means the repository's, without the owner
	Files    []string // which .gguf file of several: its name, a pattern or a part of it such as "q4_k_m"
	Replace  bool     // a model of the name
	Hub      *Hub     // nil means the zero Hub

	// Progress, unless nil, is told the bytes that are there and those of all files; now and then from
	// several goroutines, one at a time.
	Progress func(done, total int64)
}

// Pull fetches a model from a hub: what describes it, its tokenizer and its safetensors, or one .gguf
// file. Every file is checked against the hub's SHA-256 or git checksum before the model appears. When
// it fails or ctx ends, what has come is kept, and the next Pull goes on from there.
func (s *Store) Pull(ctx context.Context, cfg PullConfig) (Model, error) {
	h := cfg.Hub
	if h == nil {
		h = &Hub{}
	}
	if err := checkRepo(cfg.Repo); err != nil {
		return Model{}, err
	}
	name := cfg.Name
	if name == "" {
		name = path.Base(cfg.Repo)
	}
	if err := s.free(name, cfg.Replace); err != nil {
		return Model{}, err
	}
	m, err := s.pull(ctx, h, cfg, name)
	if err != nil {
		return Model{}, fmt.Errorf("pull %s: %w", cfg.Repo, err)
	}
	return m, nil
}

func (s *Store) pull(ctx context.Context, h *Hub, cfg PullConfig, name string) (Model, error) {
	l, err := h.Files(ctx, cfg.Repo, cfg.Revision)
	if err != nil {
		return Model{}, err
	}
	files, err := l.choose(cfg.Files)
	if err != nil {
		return Model{}, err
	}
	var total int64
	for i := range files {
		if files[i], err = h.complete(ctx, l, files[i]); err != nil {
			return Model{}, err
		}
		total += files[i].Size
	}

	key := sha256.Sum256([]byte(l.Repo + "\x00" + strings.Join(cfg.Files, "\x00")))
	dir := filepath.Join(s.dir, partialName, fmt.Sprintf("%s@%.12s-%s", name, l.Commit, hex.EncodeToString(key[:4])))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Model{}, err
	}
	lock := flock.New(dir + ".lock")
	if ok, err := lock.TryLock(); err != nil {
		return Model{}, err
	} else if !ok {
		return Model{}, fmt.Errorf("%w: another process fetches it", ErrBusy)
	}
	defer func() {
		lock.Close()
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			os.Remove(dir + ".lock")
		}
	}()

	var mu sync.Mutex
	var done int64
	advance := func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		done += n
		if cfg.Progress != nil {
			cfg.Progress(done, total)
		}
	}
	base, _ := h.address(l.Repo)
	m := Manifest{Source: base, Repo: l.Repo, Revision: l.Revision, Commit: l.Commit, Licence: l.Licence}
	// One after the other: a large file uses several connections by itself.
	for _, f := range files {
		got, err := h.fetch(ctx, l, f, filepath.Join(dir, filepath.FromSlash(f.Path)), advance)
		if err != nil {
			return Model{}, err
		}
		m.Files = append(m.Files, got)
	}
	if err := onlyThese(dir, m.Files); err != nil {
		return Model{}, err
	}
	return s.install(dir, name, m, cfg.Replace)
}

// choose picks the files to install.
func (l Listing) choose(patterns []string) ([]RemoteFile, error) {
	byPath := make(map[string]RemoteFile, len(l.Files))
	var names []string
	for _, f := range l.Files {
		byPath[f.Path] = f
		names = append(names, f.Path)
	}
	picked, err := choose(names, patterns)
	if err != nil {
		return nil, err
	}
	files := make([]RemoteFile, len(picked))
	folded := make(map[string]bool)
	for i, name := range picked {
		if err := checkPath(name); err != nil {
			return nil, err
		}
		if low := strings.ToLower(name); folded[low] || name == manifestName {
			return nil, fmt.Errorf("%w: file %q stands twice", ErrUnsafe, name)
		} else {
			folded[low] = true
		}
		files[i] = byPath[name]
	}
	return files, nil
}

// onlyThese removes from dir what is not among the files: a part of another choice of them.
func onlyThese(dir string, files []File) error {
	keep := make(map[string]bool)
	for _, f := range files {
		keep[f.Path] = true
	}
	return filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err == nil && !keep[filepath.ToSlash(rel)] {
			err = os.Remove(p)
		}
		return err
	})
}
