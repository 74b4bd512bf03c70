package models

import (
	"cmp"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// A download is one file on its way: bytes in PATH.part, and in PATH.part.json how far each segment of
// it has come. Both survive an interruption.
type download struct {
	hub     *Hub
	url     string
	file    RemoteFile
	path    string // where it ends
	advance func(n int64)

	mu       sync.Mutex
	segments []*segment
}

// segment is the bytes from Begin to End, of which Done are there.
type segment struct{ Begin, End, Done int64 }

// journal is the content of PATH.part.json.
type journal struct {
	Size     int64
	Checksum string
	Segments []*segment
}

// saveEvery is how often the journal is written: what a kill can cost.
const saveEvery = time.Second

// errNoRanges: the server sends files only whole.
var errNoRanges = errors.New("the server sends no ranges")

func (f RemoteFile) checksum() string { return cmp.Or(f.SHA256, f.GitSHA1) }

// fetch brings the file, whose size and checksum are known, to path, and returns its SHA-256. advance is
// told of the bytes that come, less those that turn out wrong; it is called by several goroutines.
func (h *Hub) fetch(ctx context.Context, l Listing, f RemoteFile, path string, advance func(n int64)) (File, error) {
	address, err := h.address(l.Repo, "resolve", l.Commit, f.Path)
	if err != nil {
		return File{}, err
	}
	d := &download{hub: h, url: address, file: f, path: path, advance: advance}
	if f.Size > maxModelSize {
		return File{}, fmt.Errorf("%w: %s claims %d bytes", ErrUnsafe, f.Path, f.Size)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return File{}, err
	}
	if _, err := os.Stat(path); err == nil { // a former run has it
		if sum, err := d.verify(ctx, path); err == nil {
			advance(f.Size)
			return File{f.Path, f.Size, sum}, nil
		} else if ctx.Err() != nil {
			return File{}, ctx.Err()
		}
		if err := os.Remove(path); err != nil {
			return File{}, err
		}
	}
	for attempt := 0; ; attempt++ {
		if err := d.transfer(ctx); err != nil {
			return File{}, fmt.Errorf("%s: %w", f.Path, err)
		}
		sum, err := d.verify(ctx, path+".part")
		if err == nil {
			os.Remove(path + ".part.json")
			if err := os.Rename(path+".part", path); err != nil {
				return File{}, err
			}
			return File{f.Path, f.Size, sum}, nil
		}
		if !errors.Is(err, ErrChecksum) {
			return File{}, err
		}
		// Nobody knows which bytes are wrong, so all go. Once more: a part may be left of a run that ended
		// badly, or a proxy have mixed something in.
		d.advance(-f.Size)
		d.forget()
		if attempt > 0 {
			return File{}, fmt.Errorf("%w; what came from %s was thrown away: the hub, or a mirror of it, changes files", err, address)
		}
		h.log().Warn("what came is not the file, fetching it again", "file", f.Path, "error", err)
	}
}

func (d *download) forget() {
	os.Remove(d.path + ".part")
	os.Remove(d.path + ".part.json")
}

// verify compares a file with the checksum of the list.
func (d *download) verify(ctx context.Context, path string) (sha string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	var git hash.Hash = sha1.New() // what git calls a blob
	fmt.Fprintf(git, "blob %d\x00", d.file.Size)
	var w io.Writer = sum
	if d.file.SHA256 == "" {
		w = io.MultiWriter(sum, git)
	}
	n, err := copyContext(ctx, w, f, nil)
	if err != nil {
		return "", err
	}
	got := hex.EncodeToString(sum.Sum(nil))
	have := got
	if d.file.SHA256 == "" {
		have = hex.EncodeToString(git.Sum(nil))
	}
	if n != d.file.Size || have != d.file.checksum() {
		return "", fmt.Errorf("%w: %s: %d bytes with %s, the hub lists %d with %s", ErrChecksum, d.file.Path, n, have, d.file.Size, d.file.checksum())
	}
	return got, nil
}

// transfer brings all bytes of the file to PATH.part.
func (d *download) transfer(ctx context.Context) (err error) {
	part, err := os.OpenFile(d.path+".part", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, part.Close()) }()
	d.resume(part)
	if err := part.Truncate(d.file.Size); err != nil {
		return err
	}
	err = d.inSegments(ctx, part)
	if errors.Is(err, errNoRanges) {
		d.hub.log().Info("the server sends files only whole; an interruption starts this one afresh", "file", d.file.Path)
		err = d.hub.retry(ctx, func(ctx context.Context) (bool, error) { return false, d.whole(ctx, part) })
	}
	if err != nil {
		return err
	}
	return part.Sync()
}

// resume reads the journal, or plans the segments of a file that is begun.
func (d *download) resume(part *os.File) {
	info, statErr := part.Stat()
	var j journal
	data, err := readSmall(d.path+".part.json", 16<<20)
	if err == nil {
		err = json.Unmarshal(data, &j)
	}
	if err == nil && statErr == nil && info.Size() == d.file.Size && j.Size == d.file.Size && j.Checksum == d.file.checksum() && covers(j.Segments, d.file.Size) {
		d.segments = j.Segments
		for _, s := range d.segments {
			d.advance(s.Done)
		}
		return
	}
	d.segments = nil
	size := cmp.Or(d.hub.Segment, 32<<20)
	for at := int64(0); at < d.file.Size; at += size {
		d.segments = append(d.segments, &segment{Begin: at, End: min(at+size, d.file.Size)})
	}
}

// covers tells whether the segments are the file from begin to end, none further than it can be.
func covers(segments []*segment, size int64) bool {
	at := int64(0)
	for _, s := range segments {
		if s == nil || s.Begin != at || s.End <= s.Begin || s.Done < 0 || s.Done > s.End-s.Begin {
			return false
		}
		at = s.End
	}
	return at == size
}

func (d *download) save() error {
	d.mu.Lock()
	data, err := json.Marshal(journal{d.file.Size, d.file.checksum(), d.segments})
	d.mu.Unlock()
	if err != nil {
		return err
	}
	tmp := d.path + ".part.json.tmp"
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, d.path+".part.json")
}

// inSegments fetches what the segments lack, several at a time.
func (d *download) inSegments(ctx context.Context, part *os.File) error {
	saved := make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		tick := time.NewTicker(saveEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if err := d.save(); err != nil {
					d.hub.log().Warn("the state of the download is not kept", "error", err)
				}
			case <-stop:
				saved <- d.save()
				return
			}
		}
	}()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(cmp.Or(d.hub.Connections, 4), 1))
	for _, s := range d.segments {
		if s.Done == s.End-s.Begin || gctx.Err() != nil {
			continue
		}
		g.Go(func() error {
			return d.hub.retry(gctx, func(ctx context.Context) (bool, error) {
				before := s.Done
				err := d.rangeOf(ctx, part, s)
				return s.Done > before, err
			})
		})
	}
	err := g.Wait()
	close(stop)
	if serr := <-saved; err == nil {
		err = serr
	}
	if errors.Is(err, errNoRanges) {
		for _, s := range d.segments {
			d.advance(-s.Done)
			s.Done = 0
		}
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// rangeOf fetches the rest of a segment.
func (d *download) rangeOf(ctx context.Context, part *os.File, s *segment) error {
	from := s.Begin + s.Done
	whole := len(d.segments) == 1 && from == 0
	resp, done, err := d.open(ctx, func(r *http.Request) {
		if !whole {
			r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, s.End-1))
		}
	})
	if err != nil {
		return err
	}
	defer done()
	switch resp.StatusCode {
	case http.StatusOK:
		if !whole {
			return errNoRanges
		}
		if err := d.sameSize(resp.ContentLength); err != nil {
			return err
		}
	case http.StatusPartialContent:
		begin, total, ok := contentRange(resp.Header.Get("Content-Range"))
		if !ok || begin != from {
			return later{fmt.Errorf("%w: %s: asked for bytes from %d, the reply is of %q", ErrHub, d.url, from, resp.Header.Get("Content-Range"))}
		}
		if err := d.sameSize(total); err != nil {
			return err
		}
	default:
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		return d.hub.refused(d.url, resp, body)
	}
	return d.copy(part, resp.Body, from, s.End, func(n int64) {
		d.mu.Lock()
		s.Done += n
		d.mu.Unlock()
		d.advance(n)
	})
}

// whole fetches a file that comes only in one piece.
func (d *download) whole(ctx context.Context, part *os.File) error {
	resp, done, err := d.open(ctx, func(*http.Request) {})
	if err != nil {
		return err
	}
	defer done()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		return d.hub.refused(d.url, resp, body)
	}
	if err := d.sameSize(resp.ContentLength); err != nil {
		return err
	}
	var came int64
	err = d.copy(part, resp.Body, 0, d.file.Size, func(n int64) { came += n; d.advance(n) })
	if err != nil {
		d.advance(-came)
	}
	return err
}

// sameSize compares a size that a reply claims, below 0 for none, with that of the list.
func (d *download) sameSize(claimed int64) error {
	if claimed >= 0 && claimed != d.file.Size {
		return fmt.Errorf("%w: %s: the server claims %d bytes, the hub lists %d", ErrHub, d.url, claimed, d.file.Size)
	}
	return nil
}

// open sends a request and watches over its reply; the caller calls done.
func (d *download) open(ctx context.Context, prepare func(*http.Request)) (resp *http.Response, done func(), err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stall := cmp.Or(d.hub.Stall, time.Minute)
	timer := time.AfterFunc(stall, func() { cancel(fmt.Errorf("nothing came for %s", stall)) })
	end := func() {
		timer.Stop()
		cancel(nil)
	}
	req, err := d.hub.request(ctx, http.MethodGet, d.url)
	if err != nil {
		end()
		return nil, nil, err
	}
	prepare(req)
	resp, err = d.hub.client().Do(req)
	if err != nil {
		err = d.hub.unreachable(ctx, d.url, err)
		end()
		return nil, nil, err
	}
	resp.Body = &watchedBody{resp.Body, timer, stall, ctx}
	return resp, func() {
		resp.Body.Close()
		end()
	}, nil
}

// watchedBody puts the timer back whenever bytes come.
type watchedBody struct {
	io.ReadCloser
	timer *time.Timer
	stall time.Duration
	ctx   context.Context
}

func (w *watchedBody) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if n > 0 {
		w.timer.Reset(w.stall)
	}
	if err != nil && err != io.EOF && w.ctx.Err() != nil {
		err = context.Cause(w.ctx)
	}
	return n, err
}

// copy writes the bytes from to end of the file, as they come. A body that is longer is cut: the
// checksum decides what it was.
func (d *download) copy(part *os.File, body io.Reader, from, end int64, came func(n int64)) error {
	buf := make([]byte, 256<<10)
	for at := from; at < end; {
		n, err := body.Read(buf[:min(int64(len(buf)), end-at)])
		if n > 0 {
			if _, werr := part.WriteAt(buf[:n], at); werr != nil {
				return werr
			}
			at += int64(n)
			came(int64(n))
		}
		if at == end {
			return nil
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return later{fmt.Errorf("%w: %s broke off at byte %d of %d: %w", ErrHub, d.url, at, d.file.Size, err)}
		}
	}
	return nil
}

// contentRange reads "bytes 0-9/100"; a total of "*" is -1.
func contentRange(v string) (begin, total int64, ok bool) {
	v, ok = strings.CutPrefix(v, "bytes ")
	span, size, ok2 := strings.Cut(v, "/")
	first, _, ok3 := strings.Cut(span, "-")
	begin, err := strconv.ParseInt(first, 10, 64)
	if !ok || !ok2 || !ok3 || err != nil {
		return 0, 0, false
	}
	if size == "*" {
		return begin, -1, true
	}
	total, err = strconv.ParseInt(size, 10, 64)
	return begin, total, err == nil
}
