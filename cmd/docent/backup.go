package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/schollz/progressbar/v3"

	"docent/retriever"
)

type backupCmd struct {
	File  string `arg:"" help:"The file to write."`
	Force bool   `help:"Replace the file when it is there."`
}

// errOwnBackup is why docent neither backs up nor restores a store of Postgres.
var errOwnBackup = errors.New("the store is in Postgres, which has programs for that: pg_dump and pg_restore")

func (c *backupCmd) Run(ctx context.Context, a *app) error {
	if a.Store != "" {
		return fmt.Errorf("back up: %w", errOwnBackup)
	}
	dir, err := a.dataDir()
	if err != nil {
		return err
	}
	// The data directory is not opened: a server may be at work in it.
	m, size, err := a.writeFile(c.File, c.Force, func(w io.Writer, progress func(int64)) (retriever.Bundle, error) {
		return retriever.Backup(ctx, dir, w, progress)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("back up: there is no data in %s", dir)
	}
	if err != nil {
		return err
	}
	if n := len(m.Damaged); n > 0 {
		a.log.Warn("the record is damaged, and so is the backup; docent doctor --repair mends what can be mended", "rows", n, "damaged", m.Damaged[0])
	}
	return a.printBundle("backed up to", c.File, m, size)
}

type restoreCmd struct {
	File string `arg:"" help:"A file that docent backup wrote."`
}

func (c *restoreCmd) Run(ctx context.Context, a *app) error {
	if a.Store != "" {
		return fmt.Errorf("restore: %w", errOwnBackup)
	}
	dir, err := a.dataDir()
	if err != nil {
		return err
	}
	f, size, err := openSized(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	m, err := retriever.Restore(ctx, f, size, dir, a.bytesProgress("restoring", size))
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	return a.printBundle("restored to", dir, m, size)
}

type collectionsExportCmd struct {
	Name  string `arg:"" help:"The collection."`
	File  string `arg:"" help:"The file to write."`
	Force bool   `help:"Replace the file when it is there."`
}

func (c *collectionsExportCmd) Run(ctx context.Context, a *app) error {
	l, err := a.openRecord(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	if _, err := l.collection(ctx, c.Name); err != nil {
		return err
	}
	m, size, err := a.writeFile(c.File, c.Force, func(w io.Writer, progress func(int64)) (retriever.Bundle, error) {
		return l.store.Export(ctx, c.Name, w, progress)
	})
	if err != nil {
		return err
	}
	return a.printBundle("exported to", c.File, m, size)
}

type collectionsImportCmd struct {
	File string `arg:"" help:"A file that docent collections export wrote."`
	As   string `placeholder:"NAME" help:"Its name here; by default the one it had."`
}

func (c *collectionsImportCmd) Run(ctx context.Context, a *app) error {
	f, size, err := openSized(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	l, err := a.openRecord(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	col, err := l.store.Import(ctx, f, size, c.As, a.bytesProgress("importing", size))
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if a.JSON {
		return a.printJSON(col)
	}
	_, err = fmt.Fprintf(a.stdout, "imported %s: %s, %s\n", col.Name, count(col.Documents, "document"), count(col.Chunks, "chunk"))
	return err
}

// writeFile writes a file that appears whole or not at all.
func (a *app) writeFile(path string, force bool, write func(w io.Writer, progress func(int64)) (retriever.Bundle, error)) (m retriever.Bundle, size int64, err error) {
	if _, err := os.Stat(path); err == nil && !force {
		return m, 0, fmt.Errorf("%s is there already; --force replaces it", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return m, 0, err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if m, err = write(f, a.bytesProgress("writing", -1)); err != nil {
		return m, 0, err
	}
	if err = f.Sync(); err != nil {
		return m, 0, err
	}
	if size, err = f.Seek(0, io.SeekCurrent); err != nil {
		return m, 0, err
	}
	if err = f.Close(); err != nil {
		return m, 0, err
	}
	return m, size, os.Rename(f.Name(), path)
}

func openSized(path string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", path)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// bytesProgress returns a function that shows how many bytes are done, on a terminal; -1 means that their
// number is not known.
func (a *app) bytesProgress(what string, total int64) func(done int64) {
	if a.JSON || !isTerminal(a.stderr) {
		return nil
	}
	bar := progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(a.stderr),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(true),
		progressbar.OptionSetWidth(24),
		progressbar.OptionClearOnFinish(),
	)
	return func(done int64) { _ = bar.Set64(done) }
}

func (a *app) printBundle(what, where string, m retriever.Bundle, size int64) error {
	if a.JSON {
		return a.printJSON(struct {
			File      string `json:"file"`
			Bytes     int64  `json:"bytes"`
			Documents int    `json:"documents"`
			Chunks    int    `json:"chunks"`
		}{where, size, m.Documents, m.Chunks})
	}
	_, err := fmt.Fprintf(a.stdout, "%s %s: %s, %s, %.1f MB\n", what, where, count(m.Documents, "document"), count(m.Chunks, "chunk"), float64(size)/1e6)
	return err
}
