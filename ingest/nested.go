package ingest

import (
	"bytes"
	"errors"
	"fmt"

	"docent/chunker"
)

const (
	nestedMaxDepth = 5    // files within files within files
	nestedMaxFiles = 5000 // read from one file, at all depths
)

// nesting is what a file and all files found within it may use together.
type nesting struct {
	files int
	left  int64 // bytes that may still be unpacked
	max   int64
}

func newNesting(cfg parserConfig) *nesting {
	limit := cfg.MaxUnpacked
	if limit <= 0 {
		limit = defaultMaxUnpacked
	}
	return &nesting{files: nestedMaxFiles, left: limit, max: limit}
}

// refuse is the error for what goes over the limit on all of it, and ends the reading of all of it.
func (n *nesting) refuse(format string, args ...any) error {
	n.left = -1
	return parseError(ErrTooLarge, format, args...)
}

// take counts n bytes of a file found within another.
func (n *nesting) take(size int64) error {
	if n.left -= size; n.left < 0 {
		return parseError(ErrTooLarge, "it unpacks to more than %s (a bomb?); unpack it yourself, or raise the limit", byteSize(n.max))
	}
	return nil
}

// include reads a file found within another and appends what it says under a heading with its name.
// One that cannot be read costs a warning; a limit on the whole ends the reading.
func (p *parser) include(b *docBuilder, in *input, name string, data []byte, level int) error {
	if err := in.ctx.Err(); err != nil {
		return err
	}
	if len(data) == 0 {
		return nil
	}
	if in.depth+1 >= nestedMaxDepth {
		b.warn(fmt.Sprintf("%s was not read: files lie within files more than %d deep", name, nestedMaxDepth))
		return nil
	}
	if in.nested.files--; in.nested.files < 0 {
		return in.nested.refuse("it holds more than %d files; unpack it yourself", nestedMaxFiles)
	}
	doc, err := p.parseWithin(in, name, data)
	if err != nil {
		if in.nested.left < 0 || in.ctx.Err() != nil {
			return err
		}
		if errors.Is(err, ErrEmptyFile) || errors.Is(err, ErrNoText) {
			return nil
		}
		b.warn(nameError(name, err).Error())
		return nil
	}
	b.include(name, doc, level)
	return nil
}

func (p *parser) parseWithin(in *input, name string, data []byte) (doc *Document, err error) {
	defer func() {
		if r := recover(); r != nil {
			doc, err = nil, parseError(ErrCrashed, "%v (%s)", r, panicPlace())
		}
	}()
	within := *in
	within.url = ""
	within.file, within.size, within.name, within.depth = bytes.NewReader(data), int64(len(data)), name, in.depth+1
	return p.parseInput(&within)
}

// include appends the blocks of another document, and their links, under a heading. Its pages are not this
// document's.
func (b *docBuilder) include(name string, doc *Document, level int) {
	b.add(chunker.Heading, level, name)
	for _, bl := range doc.Blocks {
		l := bl.Level
		if bl.Kind == chunker.Heading {
			l = min(l+level, 6)
		}
		before := len(b.doc.Blocks)
		b.add(bl.Kind, l, doc.Text[bl.Start:bl.End])
		if len(b.doc.Blocks) > before {
			b.doc.Blocks[before].Name, b.doc.Blocks[before].Rows = bl.Name, bl.Rows
			b.doc.Links = moveLinks(b.doc.Links, doc.Links, bl, b.doc.Blocks[before].Start)
		}
	}
	for _, w := range doc.Warnings {
		b.warn(name + ": " + w)
	}
}
