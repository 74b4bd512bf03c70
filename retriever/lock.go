package retriever

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"

	"docent/internal/catalog"
)

// A dirLock is the hold on a data directory. The system gives it up when the process ends, however it
// ends; the file stays and says who held it last.
type dirLock struct {
	flock *flock.Flock
}

func lockDir(dir string) (*dirLock, error) {
	path := filepath.Join(dir, "lock")
	l := flock.New(path, flock.SetPermissions(0o600))
	ok, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !ok {
		// Unreadable on Windows while it is held; then the holder stays unnamed.
		holder, _ := os.ReadFile(path)
		l.Close()
		if h := strings.TrimSpace(string(holder)); h != "" {
			return nil, fmt.Errorf("%w: %s is held by %s; end it, or use another data directory", ErrLocked, dir, strings.ReplaceAll(h, "\n", ": "))
		}
		return nil, fmt.Errorf("%w: %s is held by another process; end it, or use another data directory", ErrLocked, dir)
	}
	// For the reader of the error above only, so a failure to write does not matter.
	args := slices.Clone(os.Args)
	for i, arg := range args {
		if strings.Contains(arg, "://") {
			args[i] = catalog.Redacted(arg)
		}
	}
	_ = os.WriteFile(path, fmt.Appendf(nil, "process %d\n%s\n", os.Getpid(), strings.Join(args, " ")), 0o600)
	return &dirLock{flock: l}, nil
}

func (l *dirLock) release() error { return l.flock.Close() }
