package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

type embedCmd struct {
	Model string `placeholder:"NAME" help:"As --encoder: 'builtin', a folder, or a folder's name in models/ of the data directory."`
	Query bool   `help:"Embed the lines as questions instead of passages; some models tell them apart."`
}

// embedBatch is how many lines are embedded together; a line that is waited for at a terminal goes at once.
const embedBatch = 64

// maxLine bounds a line of input, in bytes; the encoder reads a few hundred tokens of it.
const maxLine = 16 << 20

func (c *embedCmd) Run(ctx context.Context, a *app) error {
	name := c.Model
	if name == "" {
		name = a.Encoder
	}
	enc, err := a.encoder(ctx, name)
	if err != nil {
		return err
	}
	if enc == nil {
		return errors.New("encoder \"none\" makes no vectors; leave --encoder out for the built-in one")
	}
	embed := enc.EmbedDocuments
	if c.Query {
		embed = func(ctx context.Context, lines []string) ([][]float32, error) {
			rows := make([][]float32, len(lines))
			for i, l := range lines {
				if rows[i], err = enc.EmbedQuery(ctx, l); err != nil {
					return nil, err
				}
			}
			return rows, nil
		}
	}
	in := bufio.NewReaderSize(a.stdin, 64<<10)
	out := bufio.NewWriter(a.stdout)
	var batch []string
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		rows, err := embed(ctx, batch)
		if err != nil {
			return err
		}
		batch = batch[:0]
		for _, row := range rows {
			b, err := json.Marshal(row)
			if err != nil {
				return err
			}
			if _, err := out.Write(append(b, '\n')); err != nil {
				return err
			}
		}
		return out.Flush()
	}
	// Reading waits for whoever writes; a goroutine does it, so that ctrl-C need not.
	lines := make(chan inputLine)
	go readLines(ctx, in, lines)
	for n := 1; ; n++ {
		var l inputLine
		select {
		case l = <-lines:
		case <-ctx.Done():
			return ctx.Err()
		}
		if l.err != nil && l.err != io.EOF {
			return fmt.Errorf("read line %d: %w", n, l.err)
		}
		if len(l.text) > maxLine {
			return fmt.Errorf("line %d has %d bytes, the limit is %d", n, len(l.text), maxLine)
		}
		if l.text != "" {
			text := strings.TrimSuffix(strings.TrimSuffix(l.text, "\n"), "\r")
			if !utf8.ValidString(text) {
				return fmt.Errorf("line %d is not UTF-8; convert it first, for example with iconv", n)
			}
			batch = append(batch, text)
		}
		if len(batch) == embedBatch || l.last {
			if err := flush(); err != nil {
				return err
			}
		}
		if l.err == io.EOF {
			return nil
		}
	}
}

type inputLine struct {
	text string // with its line feed; empty at the end of the input
	err  error
	last bool // nothing more has come yet: whoever writes may wait for an answer
}

func readLines(ctx context.Context, in *bufio.Reader, out chan<- inputLine) {
	for {
		text, err := in.ReadString('\n')
		select {
		case out <- inputLine{text: text, err: err, last: err != nil || in.Buffered() == 0}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}
