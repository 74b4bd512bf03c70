package ingest

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
)

// The parent and a worker talk in frames: four bytes of length, big endian, then JSON. The first
// frame is the parserConfig, each further one a parseRequest that is answered by a workerReply.

type workerReply struct {
	Document *Document `json:"document,omitempty"`
	Unread   []int     `json:"unread,omitempty"`   // Document.unread
	Pictures []picture `json:"pictures,omitempty"` // Document.pictures
	Picture  []byte    `json:"picture,omitempty"`  // PNG, for parseRequest.Picture
	Failed   bool      `json:"failed,omitempty"`
	Kind     string    `json:"kind,omitempty"` // of fileErrorKinds
	Error    string    `json:"error,omitempty"`
	// Retire says that the process is not clean any more (a parser was abandoned in a loop, or memory
	// is held) and is to be replaced.
	Retire bool `json:"retire,omitempty"`
}

func writeFrame(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(body) > 1<<31-1 {
		return fmt.Errorf("frame of %d bytes", len(body))
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err = w.Write(body)
	return err
}

func readFrame(r io.Reader, limit int64, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := int64(binary.BigEndian.Uint32(head[:]))
	if n > limit {
		return fmt.Errorf("frame of %d bytes, the limit is %d", n, limit)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

// Worker reads files on behalf of an [Extractor] in another process until in ends or ctx is done. A
// program that is named in ExtractorConfig.Worker calls it with its standard input and output, and
// writes nothing else to its output.
func Worker(ctx context.Context, in io.Reader, out io.Writer) error {
	r := bufio.NewReader(in)
	var cfg parserConfig
	if err := readFrame(r, 1<<20, &cfg); err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return fmt.Errorf("parse worker: %w", err)
	}
	cfg.Isolated = true
	if cfg.MemoryMiB > 0 {
		limitOwnMemory(cfg.MemoryMiB)
		debug.SetMemoryLimit(int64(cfg.MemoryMiB) << 20 * 3 / 4)
	}
	p := newParser(cfg)
	w := bufio.NewWriter(out)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	requests := make(chan parseRequest)
	go func() {
		for {
			var req parseRequest
			if err := readFrame(r, 1<<20, &req); err != nil {
				cancel(err)
				return
			}
			select {
			case requests <- req:
			case <-ctx.Done():
				return
			}
		}
	}()
	replies := make(chan workerReply, 1)
	for {
		select {
		case req := <-requests:
			go func() {
				reply, err := p.answer(ctx, req)
				if err != nil {
					reply.Failed = true
					reply.Kind, reply.Error = wireError(err)
				}
				reply.Retire = p.unclean.Load()
				replies <- reply
			}()
			// The parent's end is noticed while a file is being read too: whoever called Worker then
			// leaves, and the parser with it.
			select {
			case reply := <-replies:
				if err := writeFrame(w, reply); err != nil {
					return fmt.Errorf("parse worker: %w", err)
				}
				if err := w.Flush(); err != nil {
					return fmt.Errorf("parse worker: %w", err)
				}
			case <-ctx.Done():
			}
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			if err := context.Cause(ctx); !errors.Is(err, io.EOF) {
				return fmt.Errorf("parse worker: %w", err)
			}
			return nil
		}
	}
}

func wireError(err error) (kind, detail string) {
	fe, ok := errors.AsType[*FileError](err)
	if !ok {
		return "", err.Error()
	}
	for k, sentinel := range fileErrorKinds {
		if errors.Is(fe.Err, sentinel) {
			return k, fe.Detail
		}
	}
	return "", fe.Err.Error() + ": " + fe.Detail
}

// workerPool keeps worker processes for reuse.
type workerPool struct {
	cfg   ExtractorConfig
	slots chan struct{}

	mu     sync.Mutex
	idle   []*workerProcess
	all    map[*workerProcess]bool
	closed bool
}

func newWorkerPool(cfg ExtractorConfig) *workerPool {
	return &workerPool{cfg: cfg, slots: make(chan struct{}, cfg.Workers), all: map[*workerProcess]bool{}}
}

func (p *workerPool) close() error {
	p.mu.Lock()
	p.closed = true
	var busy []*workerProcess
	idle := p.idle
	for w := range p.all {
		if !slices.Contains(idle, w) {
			busy = append(busy, w)
		}
	}
	p.idle = nil
	p.mu.Unlock()
	for _, w := range busy {
		w.kill()
	}
	for _, w := range idle {
		w.leave()
	}
	return nil
}

var errPoolClosed = errors.New("the extractor is closed")

func (p *workerPool) take() (*workerProcess, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errPoolClosed
	}
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return w, nil
	}
	p.mu.Unlock()
	w, err := startWorker(p.cfg)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		go w.kill()
		return nil, errPoolClosed
	}
	p.all[w] = true
	return w, nil
}

// put takes a worker back, or ends it.
func (p *workerPool) put(w *workerProcess, good bool) {
	p.mu.Lock()
	if good && !p.closed {
		p.idle = append(p.idle, w)
		p.mu.Unlock()
		return
	}
	delete(p.all, w)
	p.mu.Unlock()
	w.kill()
}

func (p *workerPool) do(ctx context.Context, req parseRequest) (workerReply, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return workerReply{}, ctx.Err()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.cfg.Timeout, parseError(ErrTimeout, "the limit is %v", p.cfg.Timeout))
	defer cancel()
	reply, err := p.once(ctx, req)
	if errors.Is(err, ErrCrashed) && ctx.Err() == nil {
		// Either the file is bad for one of two engines, or the process was lost for another reason.
		p.cfg.Logger.Warn("parse worker lost", "file", req.Name, "error", err)
		req.Careful = true
		reply, err = p.once(ctx, req)
	}
	if err != nil && ctx.Err() != nil {
		return workerReply{}, context.Cause(ctx)
	}
	return reply, err
}

func (p *workerPool) once(ctx context.Context, req parseRequest) (workerReply, error) {
	w, err := p.take()
	if err != nil {
		return workerReply{}, err
	}
	type result struct {
		reply workerReply
		err   error
	}
	done := make(chan result, 1)
	go func() {
		var res result
		if res.err = writeFrame(w.in, req); res.err == nil {
			res.err = readFrame(w.out, p.cfg.MaxText*8+1<<20, &res.reply)
		}
		done <- res
	}()
	stopWatch := w.watchMemory(p.cfg.MemoryMiB)
	defer stopWatch()
	select {
	case <-ctx.Done():
		p.put(w, false)
		<-done
		return workerReply{}, context.Cause(ctx)
	case res := <-done:
		if res.err != nil {
			p.put(w, false)
			if ctx.Err() != nil {
				return workerReply{}, context.Cause(ctx)
			}
			return workerReply{}, parseError(ErrCrashed, "%s", w.obituary(p.cfg.MemoryMiB))
		}
		p.put(w, !res.reply.Retire)
		if res.reply.Failed {
			if sentinel, ok := fileErrorKinds[res.reply.Kind]; ok {
				return workerReply{}, &FileError{Err: sentinel, Detail: res.reply.Error}
			}
			return workerReply{}, errors.New(res.reply.Error)
		}
		return res.reply, nil
	}
}

// workerProcess is a child that runs Worker.
type workerProcess struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	errors *tailWriter
	ended  chan struct{}
	once   sync.Once
	over   bool // memory seen above the limit; guarded by overMu
	overMu sync.Mutex
}

func startWorker(cfg ExtractorConfig) (*workerProcess, error) {
	w := &workerProcess{errors: &tailWriter{limit: 8 << 10}, ended: make(chan struct{})}
	w.cmd = exec.Command(cfg.Worker[0], cfg.Worker[1:]...)
	w.cmd.Stderr = w.errors
	w.cmd.Env = append(os.Environ(), "GOTRACEBACK=single")
	isolateProcess(w.cmd)
	in, err := w.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start parse worker: %w", err)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start parse worker: %w", err)
	}
	w.in, w.out = in, bufio.NewReaderSize(out, 64<<10)
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start parse worker: %w", err)
	}
	pc := parserConfig{CacheDir: cfg.CacheDir, MaxText: cfg.MaxText, MaxUnpacked: cfg.MaxUnpacked, MemoryMiB: cfg.MemoryMiB}
	if err := writeFrame(w.in, pc); err != nil {
		w.kill()
		return nil, fmt.Errorf("start parse worker: %w: %s", err, w.errors.String())
	}
	return w, nil
}

// leave lets a process that has nothing to do end by itself, for a moment.
func (w *workerProcess) leave() {
	w.in.Close()
	timer := time.AfterFunc(time.Second, func() { _ = w.cmd.Process.Kill() })
	defer timer.Stop()
	w.once.Do(func() {
		_ = w.cmd.Wait()
		close(w.ended)
	})
	<-w.ended
}

// kill ends the process and waits for it.
func (w *workerProcess) kill() {
	w.once.Do(func() {
		w.in.Close()
		_ = w.cmd.Process.Kill()
		_ = w.cmd.Wait()
		close(w.ended)
	})
	<-w.ended
}

// watchMemory ends the process when it holds more memory than it may, on systems where it cannot
// limit itself.
func (w *workerProcess) watchMemory(limitMiB int) (stop func()) {
	if selfLimiting || limitMiB <= 0 {
		return func() {}
	}
	quit := make(chan struct{})
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				if rss := residentMemory(w.cmd.Process.Pid); rss > int64(limitMiB+128)<<20 {
					w.overMu.Lock()
					w.over = true
					w.overMu.Unlock()
					_ = w.cmd.Process.Kill()
					return
				}
			}
		}
	}()
	return func() { close(quit) }
}

// obituary says in words why a process that is gone ended.
func (w *workerProcess) obituary(limitMiB int) string {
	tail := w.errors.String()
	w.overMu.Lock()
	over := w.over
	w.overMu.Unlock()
	switch {
	case over, containsAny(tail, "out of memory", "cannot allocate memory", "makeslice",
		// The stack of a new thread is memory too, of which a program that is linked with cgo takes 8 MiB.
		"pthread_create failed", "failed to create new OS thread"):
		return fmt.Sprintf("out of memory (limit %d MiB); raise --parse-memory", limitMiB)
	case containsAny(tail, "stack overflow", "goroutine stack exceeds"):
		return "nested too deeply"
	}
	for line := range strings.Lines(tail) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") || strings.HasPrefix(line, "runtime:") {
			return line
		}
	}
	if w.cmd.ProcessState != nil {
		return w.cmd.ProcessState.String()
	}
	return "its process is gone"
}

func containsAny(s string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(s, part) })
}

// tailWriter keeps the first bytes of what a process says before it ends: that is where Go puts the
// reason.
type tailWriter struct {
	mu    sync.Mutex
	buf   []byte
	limit int
}

func (t *tailWriter) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := t.limit - len(t.buf); room > 0 {
		t.buf = append(t.buf, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

func (t *tailWriter) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
