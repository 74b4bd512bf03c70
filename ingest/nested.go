package ingest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

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
		return parseError(ErrTooLarge, "it unpacks to more than %s (a bomb?); unpack it yourself, or raise --max-unpacked", byteSize(n.max))
	}
	return nil
}

// containers are the formats of files that hold files of any format.
var containers = map[string]bool{"zip": true, "tar": true, "gz": true, "bz2": true, "eml": true, "mbox": true, "msg": true}

// A finding is the search for a picture in a file within another. The parser of the outer one runs as ever, but
// what it would include is passed over until the wanted file comes, in which the picture is then looked for.
// So a file is counted by the same code that counted it when the picture was noted.
type finding struct {
	member int // as docBuilder.members counts; 0 for the only file in one that is but compressed
	ref    string
	dpi    int

	found bool
	data  []byte
	err   error
}

// errFound ends the reading of the outer file.
var errFound = errors.New("found")

func memberRef(member int, ref string) string { return fmt.Sprintf("in:%d:%s", member, ref) }

// memberPicture returns a picture of a file within a container.
func (p *parser) memberPicture(in *input, f form, ref string, dpi int) ([]byte, error) {
	find := &finding{ref: ref, dpi: dpi}
	if rest, ok := strings.CutPrefix(ref, "in:"); ok {
		number, rest, _ := strings.Cut(rest, ":")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 {
			return nil, errNoPicture
		}
		find.member, find.ref = n, rest
	}
	outer := *in
	outer.find, outer.recognize = find, true
	if _, err := parsers[f.format](p, &outer, f); !find.found {
		return nil, cmp.Or(err, errNoPicture)
	}
	return find.data, find.err
}

// look looks for the picture in a file that was come by.
func (f *finding) look(p *parser, within *input) error {
	within.find, within.recognize = nil, true
	f.found = true
	f.data, f.err = p.pictureOf(within, f.ref, f.dpi)
	return errFound
}

// passOver counts a file within this one, and tells whether it need not be read.
func (in *input) passOver(b *docBuilder) bool {
	b.members++
	return in.find != nil && in.find.member != b.members
}

// include reads a file found within another and appends what it says under a heading with its name.
// One that cannot be read costs a warning; a limit on the whole ends the reading.
func (p *parser) include(b *docBuilder, in *input, name string, file *spool, level int) error {
	if err := in.ctx.Err(); err != nil {
		return err
	}
	if file.size == 0 {
		return nil
	}
	if in.depth+1 >= nestedMaxDepth {
		b.warn(fmt.Sprintf("%s was not read: files lie within files more than %d deep", name, nestedMaxDepth))
		return nil
	}
	if in.nested.files--; in.nested.files < 0 {
		return in.nested.refuse("it holds more than %d files; unpack it yourself", nestedMaxFiles)
	}
	doc, err := p.parseWithin(in, name, file)
	if err != nil {
		if in.nested.left < 0 || in.ctx.Err() != nil || errors.Is(err, errFound) {
			return err
		}
		scanned := errors.Is(err, ErrNoText) && file.startsWith("%PDF-")
		if errors.Is(err, ErrEmptyFile) || errors.Is(err, ErrNoText) && !scanned {
			return nil
		}
		b.warn(nameError(name, err).Error())
		if scanned {
			b.doc.NeedsOCRIn = append(b.doc.NeedsOCRIn, FilePages{Name: name})
		}
		return nil
	}
	if !in.recognize {
		doc.Warnings = append(doc.Warnings, unreadNotes(doc, false)...)
	}
	if pictureFormats[doc.Format] {
		sum := sha256.New()
		if _, err := io.Copy(sum, file.reader()); err == nil {
			doc.Metadata = map[string]string{pictureSum: hex.EncodeToString(sum.Sum(nil)[:8])}
		}
	}
	b.include(name, doc, level)
	return nil
}

// pictureSum is the metadata of a picture within a file that tells it from others.
const pictureSum = "sum"

// parseWithin reads a file found within another, or looks for a picture in it.
func (p *parser) parseWithin(in *input, name string, file *spool) (doc *Document, err error) {
	defer func() {
		if r := recover(); r != nil {
			doc, err = nil, parseError(ErrCrashed, "%v (%s)", r, panicPlace())
		}
	}()
	within := *in
	within.url = ""
	within.file, within.size, within.name, within.depth = file, file.size, name, in.depth+1
	if in.find != nil {
		return nil, in.find.look(p, &within)
	}
	return p.parseInput(&within)
}

// include appends the blocks of another document, the last that was counted, and their links, under a heading.
// Its pages are not this document's. Those of them that are to be recognised become pictures.
func (b *docBuilder) include(name string, doc *Document, level int) {
	if doc.Text != "" {
		b.add(chunker.Heading, level, name)
	}
	b.doc.NeedsOCRIn = append(b.doc.NeedsOCRIn, doc.needsWithin(name)...)
	pictures := doc.allPictures()
	note := func(before int) {
		for len(pictures) > 0 && pictures[0].Block <= before {
			p := pictures[0]
			p.Ref = memberRef(b.members, p.Ref)
			if p.FilePage == 0 && slices.Contains(doc.NeedsOCR, p.Page) {
				p.FilePage = p.Page // a slide of pictures
			}
			if p.FilePage > 0 {
				p.File = fileWithin(name, p.File)
			}
			switch {
			case p.Heading != "":
				p.Heading, p.Level = name+" / "+p.Heading, level
			case doc.Text == "":
				p.Heading, p.Level = name, level
			}
			b.pictureIn(p)
			pictures = pictures[1:]
		}
	}
	for i, bl := range doc.Blocks {
		note(i)
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
	note(len(doc.Blocks))
	for _, w := range doc.Warnings {
		b.warn(name + ": " + w)
	}
}

// fileWithin is the name of a file in another, which has a name itself unless it is a message's own text.
func fileWithin(outer, inner string) string {
	if outer == "" || inner == "" {
		return outer + inner
	}
	return outer + " / " + inner
}

// needsWithin are the pages of a document within another, and of the files in it, that are not read yet.
func (d *Document) needsWithin(name string) []FilePages {
	var all []FilePages
	if len(d.NeedsOCR) > 0 {
		all = append(all, FilePages{Name: name, Pages: d.NeedsOCR})
	}
	for _, f := range d.NeedsOCRIn {
		all = append(all, FilePages{Name: fileWithin(name, f.Name), Pages: f.Pages})
	}
	return all
}

// filePageRead takes a page of a file within this one from those that are still to be read.
func (d *Document) filePageRead(file string, page int) {
	i := slices.IndexFunc(d.NeedsOCRIn, func(f FilePages) bool { return f.Name == file && slices.Contains(f.Pages, page) })
	if i < 0 {
		return
	}
	f := &d.NeedsOCRIn[i]
	if f.Pages = slices.DeleteFunc(slices.Clone(f.Pages), func(n int) bool { return n == page }); len(f.Pages) == 0 {
		d.NeedsOCRIn = slices.Delete(d.NeedsOCRIn, i, i+1)
	}
}

// allPictures are those of a document within another, the pages that are to be recognised among them, in their
// order.
func (d *Document) allPictures() []picture {
	all := slices.Clone(d.pictures)
	for _, p := range d.Pages {
		if !slices.Contains(d.unread, p.Number) || !slices.Contains(d.PagesWithoutText, p.Number) {
			continue
		}
		at, _ := slices.BinarySearchFunc(d.Blocks, p.Start, func(b chunker.Block, at int) int { return cmp.Compare(b.Start, at) })
		pic := picture{Ref: pageRef(p.Number), Block: at, Sheet: !pictureFormats[d.Format], FilePage: p.Number, Garbled: slices.Contains(d.GarbledPages, p.Number)}
		if sum := d.Metadata[pictureSum]; !pic.Sheet && sum != "" {
			pic.Same = fmt.Sprintf("%s/%d", sum, p.Number)
		}
		all = append(all, pic)
	}
	slices.SortStableFunc(all, func(a, b picture) int { return cmp.Compare(a.Block, b.Block) })
	return all
}
