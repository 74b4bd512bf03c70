package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"docent/internal/catalog"
	"docent/retriever"
)

// ErrFolder is returned for a folder that cannot be watched, or may not be.
var ErrFolder = errors.New("the folder cannot be watched")

// WatchConfig tunes how folders are watched. The zero value works.
type WatchConfig struct {
	// Debounce is how long a folder must be quiet, and a file as it is, before it is read; 0 means 1 s.
	Debounce time.Duration
	// Poll is the time between two looks at the whole folder, whether or not the system tells of
	// changes: network drives do not. 0 means 10 s. A folder that takes long to look at is looked at
	// more seldom.
	Poll time.Duration
	// PollOnly does without the system's notices.
	PollOnly bool
	// Roots are the folders in which a Watcher lets folders be watched.
	Roots []string
	// Logger gets a record when a folder cannot be watched as it should; nil discards.
	Logger *slog.Logger
}

func (c WatchConfig) withDefaults() WatchConfig {
	if c.Debounce <= 0 {
		c.Debounce = time.Second
	}
	if c.Poll <= 0 {
		c.Poll = 10 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Watching is a watched folder and how it is doing.
type Watching struct {
	catalog.Watch
	Files     int       `json:"files"`               // that are kept in step
	Notices   bool      `json:"notices"`             // the system tells of changes; else they are looked for
	CheckedAt time.Time `json:"checked_at,omitzero"` // of the last look at the whole folder
	Error     string    `json:"error,omitempty"`     // why the last look failed
	Skipped   int       `json:"skipped"`             // entries passed over
}

// Changes are what differs between a folder and the documents made of it.
type Changes struct {
	Changed []Item               // new files, and those whose bytes differ
	Gone    []retriever.Document // whose file is gone
}

// Follow keeps a collection in step with a folder until ctx ends: it calls sync with what has changed,
// first since the folder was last read, whenever that was. A folder that is gone for a while, such as a
// drive that is not mounted, empties nothing. Symbolic links out of the folder are not followed. status,
// unless nil, is called after each look at the folder. Of several processes that share a record one follows
// a folder, and another when that one ends.
//
// Follow returns sync's error, or nil when ctx ends. Both functions are called from one goroutine.
func (p *Pipeline) Follow(ctx context.Context, w catalog.Watch, cfg WatchConfig, sync func(context.Context, Changes) error, status func(Watching)) error {
	cfg = cfg.withDefaults()
	return p.alone(ctx, leaseOfWatch(w.Collection, w.Folder), func(ctx context.Context) error { return p.follow(ctx, w, cfg, sync, status) })
}

func (p *Pipeline) follow(ctx context.Context, w catalog.Watch, cfg WatchConfig, sync func(context.Context, Changes) error, status func(Watching)) error {
	f := &follower{p: p, watch: w, cfg: cfg, seen: map[string]fileState{}}
	if !cfg.PollOnly {
		var err error
		if f.notices, err = fsnotify.NewWatcher(); err != nil {
			cfg.Logger.WarnContext(ctx, "the system tells of no changes; folders are looked at now and then", "error", err)
		} else {
			defer f.notices.Close()
		}
	}
	for {
		start := time.Now()
		changes, again, err := f.look(ctx)
		took := time.Since(start)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil && len(changes.Changed)+len(changes.Gone) > 0 {
			if err := sync(ctx, changes); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
		}
		if status != nil {
			status(f.status(err))
		}
		// Looking takes a twentieth of the time at most.
		wait := max(cfg.Poll, 20*took)
		if again {
			wait = max(cfg.Debounce, took)
		}
		if !f.wait(ctx, wait) {
			return nil
		}
	}
}

// A follower is what Follow knows of its folder.
type follower struct {
	p       *Pipeline
	watch   catalog.Watch
	cfg     WatchConfig
	notices *fsnotify.Watcher // nil: none are to be had
	seen    map[string]fileState
	looked  bool
	skipped int
}

// fileState is what tells that a file has changed.
type fileState struct {
	size    int64
	changed time.Time
	taken   bool // handed on, or found to be as the document
}

// look compares the folder with what is known of it. again asks for another look soon: a file was being
// written to.
func (f *follower) look(ctx context.Context) (c Changes, again bool, err error) {
	l, err := List(f.watch.Folder, ListOptions{Include: f.watch.Include, Exclude: f.watch.Exclude})
	if err != nil {
		return c, false, err
	}
	if st, err := os.Stat(f.watch.Folder); err != nil || !st.IsDir() {
		return c, false, fmt.Errorf("%w: %s is no folder", ErrFolder, f.watch.Folder)
	}
	f.listen(l)
	f.skipped = len(l.Skipped)
	present := make(map[string]bool, len(l.Items))
	for _, it := range l.Items {
		present[it.Path] = true
		if it.Err != nil {
			continue
		}
		st, err := os.Stat(it.File)
		if err != nil {
			continue // gone since; the next look sees it
		}
		now := fileState{size: st.Size(), changed: st.ModTime()}
		before, known := f.seen[it.Path]
		same := known && before.size == now.size && before.changed.Equal(now.changed)
		if same && before.taken {
			continue
		}
		// A file that changed just now may still be written to: it is read once it stays as it is.
		if !same && time.Since(now.changed).Abs() < f.cfg.Debounce {
			f.seen[it.Path] = now
			again = true
			continue
		}
		now.taken = true
		f.seen[it.Path] = now
		if now.size == 0 {
			continue
		}
		if sum, _, err := sumFile(ctx, it.File); err == nil {
			if f.p.holds(ctx, f.watch.Collection, it, sum) {
				continue
			}
		}
		if ctx.Err() != nil {
			return c, false, ctx.Err()
		}
		c.Changed = append(c.Changed, it)
	}
	// Documents are looked through at first, for what went while nobody looked, and when a file is missed.
	missed := !f.looked
	for path := range f.seen {
		if !present[path] {
			delete(f.seen, path)
			missed = true
		}
	}
	f.looked = true
	if missed {
		c.Gone, err = f.p.vanished(ctx, f.watch.Collection, l.Root)
	}
	return c, again, err
}

// vanished are the documents at or under root whose file is gone.
func (p *Pipeline) vanished(ctx context.Context, collection, root string) ([]retriever.Document, error) {
	docs, err := p.store.Documents(ctx, collection)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(docs, func(d retriever.Document) bool {
		if !filepath.IsAbs(d.Path) || !within(root, d.Path) {
			return true
		}
		_, err := os.Lstat(d.Path)
		return !errors.Is(err, fs.ErrNotExist)
	}), nil
}

// listen asks for notices of the folders listed. When there are more than the system can tell of, it
// does without.
func (f *follower) listen(l Listing) {
	if f.notices == nil {
		return
	}
	for _, dir := range l.Folders {
		err := f.notices.Add(dir) // of one that is listened to already: nothing
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.cfg.Logger.Warn("the system tells of no changes here; the folder is looked at now and then", "folder", dir, "error", err)
			f.notices.Close()
			f.notices = nil
			return
		}
	}
}

// wait returns true after d, or once notices have come and no more are coming; false when ctx ends.
func (f *follower) wait(ctx context.Context, d time.Duration) bool {
	var events chan fsnotify.Event
	var errs chan error
	if f.notices != nil {
		events, errs = f.notices.Events, f.notices.Errors
	}
	t := time.NewTimer(d)
	defer t.Stop()
	var latest time.Time // when the look is due although there is no quiet
	heard := func() {
		if latest.IsZero() {
			latest = time.Now().Add(10 * f.cfg.Debounce)
		}
		t.Reset(min(f.cfg.Debounce, max(time.Until(latest), 0)))
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-t.C:
			return true
		case e, ok := <-events:
			if !ok {
				events = nil
			} else if e.Op != fsnotify.Chmod {
				heard()
			}
		case _, ok := <-errs:
			if !ok {
				errs = nil
			} else {
				heard() // more notices than could be kept: the look finds what they were of
			}
		}
	}
}

func (f *follower) status(err error) Watching {
	w := Watching{Watch: f.watch, Files: len(f.seen), Notices: f.notices != nil, CheckedAt: time.Now(), Skipped: f.skipped}
	if err != nil {
		w.Error = err.Error()
	}
	return w
}

// A Watcher keeps folders in step with collections through a pipeline's queue. The folders are in the
// record: after a start it goes on with them. It is safe for concurrent use.
type Watcher struct {
	p   *Pipeline
	cfg WatchConfig

	mu      sync.Mutex
	ctx     context.Context // of Run; nil before
	wg      sync.WaitGroup
	cancels map[string]context.CancelFunc
	states  map[string]Watching
}

// NewWatcher returns a Watcher that follows nothing before Run.
func NewWatcher(p *Pipeline, cfg WatchConfig) *Watcher {
	return &Watcher{p: p, cfg: cfg.withDefaults(), cancels: map[string]context.CancelFunc{}, states: map[string]Watching{}}
}

// Run follows the folders of the record, and those that are added, until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	w.mu.Lock() // so that one that is added meanwhile is either in the record or begun by Add
	all, err := w.p.store.Catalog().Watches(ctx, "")
	if err != nil {
		w.mu.Unlock()
		return err
	}
	w.ctx = ctx
	for _, one := range all {
		w.start(one)
	}
	w.mu.Unlock()
	for sleep(ctx, w.cfg.Poll) == nil {
		if w.p.store.Catalog().Shared() {
			w.takeOver(ctx)
		}
	}
	w.mu.Lock()
	w.ctx = nil // nothing is started any more
	w.mu.Unlock()
	w.wg.Wait()
	return nil
}

// takeOver starts and ends what other processes have added and removed.
func (w *Watcher) takeOver(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all, err := w.p.store.Catalog().Watches(ctx, "")
	if err != nil {
		return // the next time
	}
	there := map[string]bool{}
	for _, one := range all {
		there[one.ID] = true
		if _, known := w.states[one.ID]; !known {
			w.start(one)
		}
	}
	for id := range w.states {
		if !there[id] {
			w.end(id)
		}
	}
}

// end ends the work on a folder. The caller holds mu.
func (w *Watcher) end(id string) {
	if cancel := w.cancels[id]; cancel != nil {
		cancel()
	}
	delete(w.cancels, id)
	delete(w.states, id)
}

// start begins to follow a folder. The caller holds mu.
func (w *Watcher) start(one catalog.Watch) {
	if w.ctx == nil || w.ctx.Err() != nil {
		return // Run will
	}
	if !slices.ContainsFunc(w.cfg.Roots, func(root string) bool {
		abs, err := filepath.Abs(root)
		return err == nil && within(abs, one.Folder)
	}) {
		w.states[one.ID] = Watching{Error: w.outside(one.Folder).Error()} // the roots are others than they were
		return
	}
	ctx, cancel := context.WithCancel(w.ctx)
	w.cancels[one.ID] = cancel
	w.states[one.ID] = Watching{Watch: one}
	w.wg.Go(func() {
		defer cancel()
		for {
			err := w.p.Follow(ctx, one, w.cfg, func(ctx context.Context, c Changes) error { return w.p.keepInStep(ctx, one.Collection, c) }, func(s Watching) {
				w.mu.Lock()
				w.states[one.ID] = s
				w.mu.Unlock()
			})
			if err == nil || errors.Is(err, retriever.ErrNotFound) || errors.Is(err, retriever.ErrClosed) {
				return // the collection went, and the watch with it
			}
			w.cfg.Logger.WarnContext(ctx, "a watched folder is not in step", "folder", one.Folder, "error", err)
			w.mu.Lock()
			s := w.states[one.ID]
			s.Error = err.Error()
			w.states[one.ID] = s
			w.mu.Unlock()
			if sleep(ctx, w.cfg.Poll) != nil {
				return
			}
		}
	})
}

// Add watches a folder from now on. It returns ErrFolder for what is no folder or lies outside the roots,
// and ErrExists of package retriever for one that the collection watches already.
func (w *Watcher) Add(ctx context.Context, one catalog.Watch) (catalog.Watch, error) {
	folder, err := w.check(one.Folder)
	if err != nil {
		return one, err
	}
	if _, err := NewPatterns(one.Include, one.Exclude); err != nil {
		return one, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	one.Folder = folder
	w.mu.Lock()
	defer w.mu.Unlock()
	if one, err = w.p.store.Catalog().AddWatch(ctx, one); err != nil {
		return one, err
	}
	w.start(one)
	return one, nil
}

// check returns the absolute path of a folder that may be watched.
func (w *Watcher) check(folder string) (string, error) {
	if !filepath.IsAbs(folder) {
		return "", fmt.Errorf("%w: %q is not an absolute path", ErrFolder, folder)
	}
	folder = filepath.Clean(folder)
	real, err := filepath.EvalSymlinks(folder)
	if err != nil || !isFolder(real) {
		return "", fmt.Errorf("%w: there is no folder %q on the server", ErrFolder, folder)
	}
	for _, root := range w.cfg.Roots {
		if abs, err := filepath.Abs(root); err == nil {
			if root, err := filepath.EvalSymlinks(abs); err == nil && within(root, real) {
				return folder, nil
			}
		}
	}
	return "", w.outside(folder)
}

func (w *Watcher) outside(folder string) error {
	return fmt.Errorf("%w: %q lies outside the folders that this server was told to offer (--watch-root)", ErrFolder, folder)
}

func isFolder(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.IsDir()
}

// List returns the watched folders of a collection and how they are doing.
func (w *Watcher) List(ctx context.Context, collection string) ([]Watching, error) {
	all, err := w.p.store.Catalog().Watches(ctx, collection)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]Watching, len(all))
	for i, one := range all {
		list[i] = w.states[one.ID]
		list[i].Watch = one
	}
	return list, nil
}

// Remove ends the watch of a folder; its documents stay. It returns ErrNotFound of package retriever when
// there is none.
func (w *Watcher) Remove(ctx context.Context, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.p.store.Catalog().DeleteWatch(ctx, id); err != nil {
		return err
	}
	w.end(id)
	return nil
}

// renameGrace is how long the documents of files that are gone wait for those that came at the same time:
// a file that was renamed then finds its vectors.
const renameGrace = 15 * time.Second

// keepInStep queues what changed and removes what is gone.
func (p *Pipeline) keepInStep(ctx context.Context, collection string, c Changes) error {
	jobs, err := p.Enqueue(ctx, collection, c.Changed)
	if err != nil {
		return err
	}
	if len(c.Gone) > 0 {
		p.await(ctx, jobs, renameGrace)
	}
	return p.RemoveGone(ctx, c.Gone, nil)
}

// RemoveGone deletes documents whose files are gone, unless a file has come back meanwhile, and calls
// removed, unless nil, for each.
func (p *Pipeline) RemoveGone(ctx context.Context, gone []retriever.Document, removed func(retriever.Document)) error {
	for _, d := range gone {
		if _, err := os.Lstat(d.Path); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := p.store.DeleteDocument(ctx, d.ID); err != nil && !errors.Is(err, retriever.ErrNotFound) {
			return fmt.Errorf("remove %s: %w", d.Path, err)
		}
		if removed != nil {
			removed(d)
		}
	}
	return nil
}

// await returns when the jobs have ended, or after the time given.
func (p *Pipeline) await(ctx context.Context, jobs []catalog.Job, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, j := range jobs {
		for {
			now, err := p.store.Catalog().Job(ctx, j.ID)
			if err != nil || ended(now) || now.State == catalog.Paused {
				break
			}
			if sleep(ctx, 50*time.Millisecond) != nil {
				return
			}
		}
	}
}
