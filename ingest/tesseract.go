package ingest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// TesseractConfig says how the program Tesseract is run. The zero value works where it is installed.
type TesseractConfig struct {
	Command   string        // empty means "tesseract" in the PATH
	Languages string        // such as "eng+chi_sim"; empty means those two and chi_tra, as far as they are installed
	Timeout   time.Duration // of a page; 0 means one minute
	MemoryMiB int           // address space of the program, on Linux; 0 means 2048
	DPI       int           // of the pictures; 0 means 300
}

// Tesseract recognises text with the program of that name (https://github.com/tesseract-ocr/tesseract),
// one process a page, on one thread, with limits on time, memory and output. It is safe for concurrent
// use.
type Tesseract struct {
	cfg     TesseractConfig
	name    string
	command string
	mode    string // of page segmentation
}

var _ Recognizer = (*Tesseract)(nil)

// ErrNoTesseract is returned by NewTesseract when the program, or a language pack that was asked for, is
// not there.
var ErrNoTesseract = errors.New("tesseract cannot be used")

const (
	maxTesseractOutput = 32 << 20
	// What Tesseract is less sure of, in percent, is left out: marks without a letter or digit, which are
	// specks; words; and pages, by the word in the middle.
	minMarkConfidence = 40
	minWordConfidence = 10
	minPageConfidence = 45
)

// NewTesseract finds the program and its languages. It returns an error that wraps ErrNoTesseract when
// it cannot be used.
func NewTesseract(ctx context.Context, cfg TesseractConfig) (*Tesseract, error) {
	if cfg.Command == "" {
		cfg.Command = "tesseract"
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = time.Minute
	}
	if cfg.MemoryMiB <= 0 {
		cfg.MemoryMiB = 2048
	}
	if cfg.DPI <= 0 {
		cfg.DPI = defaultOCRDPI
	}
	path, err := exec.LookPath(cfg.Command)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is not installed", ErrNoTesseract, cfg.Command)
	}
	t := &Tesseract{cfg: cfg, command: path}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := t.run(ctx, nil, "--list-langs")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoTesseract, err)
	}
	// A title, and then a line a language.
	installed := strings.Fields(string(out[bytes.IndexByte(out, '\n')+1:]))
	if cfg.Languages == "" {
		var have []string
		for _, l := range []string{"eng", "chi_sim", "chi_tra"} {
			if slices.Contains(installed, l) {
				have = append(have, l)
			}
		}
		t.cfg.Languages = strings.Join(have, "+")
	}
	if t.cfg.Languages == "" {
		return nil, fmt.Errorf("%w: neither eng nor chi_sim is among its languages (%s); install a language pack, or name languages that are there", ErrNoTesseract, strings.Join(installed, ", "))
	}
	for l := range strings.SplitSeq(t.cfg.Languages, "+") {
		if !slices.Contains(installed, l) {
			return nil, fmt.Errorf("%w: language %q is not installed; there are %s", ErrNoTesseract, l, strings.Join(installed, ", "))
		}
	}
	t.mode = "3"
	if slices.Contains(installed, "osd") {
		t.mode = "1" // turns pages that lie on their side
	}
	t.name = "tesseract"
	if out, err := t.run(ctx, nil, "--version"); err == nil {
		first, _, _ := strings.Cut(string(out), "\n")
		if _, version, ok := strings.Cut(strings.TrimSpace(first), " "); ok {
			t.name += " " + version
		}
	}
	t.name += " (" + t.cfg.Languages + ")"
	return t, nil
}

// Name is such as "tesseract 5.3.0 (eng+chi_sim)".
func (t *Tesseract) Name() string { return t.name }

// Recognize implements [Recognizer].
func (t *Tesseract) Recognize(ctx context.Context, png []byte) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, t.cfg.Timeout, parseError(ErrTimeout, "text recognition took more than %v for a page", t.cfg.Timeout))
	defer cancel()
	out, err := t.run(ctx, png, "stdin", "stdout", "-l", t.cfg.Languages, "--psm", t.mode, "--dpi", strconv.Itoa(t.cfg.DPI), "tsv")
	if err != nil {
		return "", err
	}
	return readTSV(out)
}

// run starts the program with its limits and returns what it prints.
func (t *Tesseract) run(ctx context.Context, stdin []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, t.command, args...)
	isolateProcess(cmd)
	cmd.Cancel = func() error { return killProcess(cmd) }
	cmd.WaitDelay = 2 * time.Second
	cmd.Env = append(os.Environ(), "OMP_THREAD_LIMIT=1") // pages go side by side
	cmd.Stdin = bytes.NewReader(stdin)
	out := &boundedBuffer{limit: maxTesseractOutput}
	said := &tailWriter{limit: 4 << 10}
	cmd.Stdout, cmd.Stderr = out, said
	err := cmd.Start()
	if err == nil {
		limitMemory(cmd.Process.Pid, t.cfg.MemoryMiB)
		err = cmd.Wait()
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case out.over:
		return nil, fmt.Errorf("%s printed more than %s", t.cfg.Command, byteSize(maxTesseractOutput))
	case err != nil:
		if line := lastLine(said.String()); line != "" {
			return nil, fmt.Errorf("%s: %w: %s", t.cfg.Command, err, line)
		}
		return nil, fmt.Errorf("%s: %w", t.cfg.Command, err)
	}
	return out.buf.Bytes(), nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// boundedBuffer refuses what is over its limit, which ends the program that writes to it.
type boundedBuffer struct {
	buf   bytes.Buffer // not embedded: its ReadFrom would pass by Write
	limit int
	over  bool
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.buf.Len()+len(p) > b.limit {
		b.over = true
		return 0, io.ErrShortBuffer
	}
	return b.buf.Write(p)
}

// readTSV puts the words of Tesseract's TSV output together: a row a word, with the numbers of its
// block, paragraph and line, and how sure it is of it.
func readTSV(out []byte) (string, error) {
	rows := bufio.NewScanner(bytes.NewReader(out))
	rows.Buffer(nil, 1<<20)
	if !rows.Scan() || !strings.HasPrefix(rows.Text(), "level\tpage_num\t") {
		return "", errors.New("what tesseract printed is not the table that was asked for")
	}
	var paragraphs []string
	var paragraph, line string
	var lastLine, lastPar string
	var sure []float64
	flushLine := func() {
		paragraph = joinLines(paragraph, unspaceCJK(line))
		line = ""
	}
	flush := func() {
		flushLine()
		if paragraph != "" {
			paragraphs = append(paragraphs, paragraph)
		}
		paragraph = ""
	}
	for rows.Scan() {
		f := strings.SplitN(strings.ToValidUTF8(rows.Text(), ""), "\t", 12)
		if len(f) < 12 || f[0] != "5" {
			continue
		}
		confidence, err := strconv.ParseFloat(f[10], 64)
		word := strings.TrimSpace(f[11])
		if err != nil || word == "" {
			continue
		}
		sure = append(sure, confidence)
		if confidence < minWordConfidence || confidence < minMarkConfidence && !strings.ContainsFunc(word, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
			continue
		}
		if par := f[2] + "/" + f[3]; par != lastPar {
			flush()
			lastPar, lastLine = par, f[4]
		} else if f[4] != lastLine {
			flushLine()
			lastLine = f[4]
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if err := rows.Err(); err != nil {
		return "", fmt.Errorf("what tesseract printed cannot be read: %w", err)
	}
	flush()
	if len(sure) == 0 {
		return "", nil
	}
	slices.Sort(sure)
	if sure[len(sure)/2] < minPageConfidence {
		return "", nil
	}
	return strings.Join(paragraphs, "\n\n"), nil
}
