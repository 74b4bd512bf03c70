package ingest

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// parseArchive reads the files packed in a ZIP, TAR or GZIP file, each under a heading with its name.
// Nothing is written to disk, so that a member's name is a name and never a place.
func parseArchive(p *parser, in *input, f form) (*Document, error) {
	b := newDocBuilder(f.format, in.cfg.MaxText)
	a := &archiveReader{p: p, in: in, b: b}
	var err error
	switch f.format {
	case "zip":
		err = a.zip()
	case "tar":
		err = a.tar(io.NewSectionReader(in.file, 0, in.size))
	case "gz", "bz2":
		var doc *Document
		if doc, err = a.stream(f.format); doc != nil || err != nil {
			return doc, err
		}
	}
	if err != nil {
		return nil, err
	}
	if a.skipped > 0 {
		b.warn(fmt.Sprintf("%d files in it hold no text that can be read", a.skipped))
	}
	return b.finish(in.name, "")
}

type archiveReader struct {
	p       *parser
	in      *input
	b       *docBuilder
	skipped int
}

// member reads one packed file of the stated size, which is not trusted.
func (a *archiveReader) member(name string, r io.Reader) error {
	if strings.HasSuffix(name, "/") {
		return nil
	}
	clean := archiveName(name)
	base := path.Base(clean)
	for part := range strings.SplitSeq(path.Dir(clean), "/") {
		if furnitureFolders[part] {
			return nil
		}
	}
	if clean == "" || hidden(base) {
		return nil
	}
	if textless(base) != "" && !(a.in.recognize && isPicture(base)) {
		a.skipped++
		return nil
	}
	if a.in.passOver(a.b) {
		return nil
	}
	file, err := a.read(r)
	defer file.close()
	if err != nil {
		if errors.Is(err, ErrTooLarge) {
			return err
		}
		a.b.warn(fmt.Sprintf("%s cannot be unpacked: %v", clean, err))
		return nil
	}
	return a.p.include(a.b, a.in, clean, file, 1)
}

// read takes all of r within what may still be unpacked. The caller closes what it returns, also with an error.
func (a *archiveReader) read(r io.Reader) (*spool, error) {
	n := a.in.nested
	file, err := newSpool(io.LimitReader(r, n.left+1))
	if e := n.take(file.size); e != nil {
		return file, e
	}
	return file, err
}

// archiveName is a member's name as shown: no drive, no root and no way up. It is decoded first: in GBK and
// Big5 a backslash may be half of a character.
func archiveName(name string) string {
	name, _ = decodeText([]byte(name), "")
	name = strings.ReplaceAll(name, `\`, "/")
	if len(name) > 1 && name[1] == ':' {
		name = name[2:]
	}
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	return strings.Join(strings.Fields(cleanText(name, false)), " ")
}

func (a *archiveReader) zip() error {
	zr, err := zip.NewReader(a.in.file, a.in.size)
	if err != nil {
		return parseError(ErrDamaged, "it cannot be unpacked: %v", err)
	}
	if len(zr.File) > 10*nestedMaxFiles {
		return a.in.nested.refuse("it holds %d entries, the limit is %d; unpack it yourself", len(zr.File), 10*nestedMaxFiles)
	}
	plain := uint64(0)
	for _, f := range zr.File {
		if plain += min(f.UncompressedSize64, 1<<62); plain > uint64(a.in.nested.left) {
			return a.in.nested.refuse("it unpacks to more than the limit of %s, all that lies in it counted (a bomb?); unpack it yourself, or raise --max-unpacked", byteSize(a.in.nested.max))
		}
	}
	if err := a.overlap(zr); err != nil {
		return err
	}
	names := zipNames(zr.File)
	for i, f := range zr.File {
		if f.Flags&1 != 0 {
			return parseError(ErrPassword, "the archive is encrypted; unpack it yourself")
		}
		if f.FileInfo().IsDir() || !f.Mode().IsRegular() {
			continue
		}
		rc, err := f.Open()
		if err != nil {
			a.b.warn(fmt.Sprintf("%s cannot be unpacked: %v", archiveName(names[i]), err))
			continue
		}
		err = a.member(names[i], rc)
		rc.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// overlap refuses members that share their bytes: all of them would unpack the same data, which makes a
// bomb of a small file.
func (a *archiveReader) overlap(zr *zip.Reader) error {
	type span struct{ from, to int64 }
	var spans []span
	for _, f := range zr.File {
		from, err := f.DataOffset()
		if err != nil || f.CompressedSize64 == 0 {
			continue
		}
		spans = append(spans, span{from, from + int64(min(f.CompressedSize64, 1<<62-1))})
	}
	slices.SortFunc(spans, func(x, y span) int { return cmp.Compare(x.from, y.from) })
	for i := 1; i < len(spans); i++ {
		if spans[i].from < spans[i-1].to {
			return a.in.nested.refuse("its members overlap (a ZIP bomb)")
		}
	}
	return nil
}

func (a *archiveReader) tar(r io.Reader) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			if a.b.text.Len() > 0 {
				a.b.warn(fmt.Sprintf("the archive breaks off: %v", err))
				return nil
			}
			return parseError(ErrDamaged, "it cannot be unpacked: %v", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue // links lead elsewhere; nothing is followed
		}
		if h.Size > a.in.nested.left {
			return a.in.nested.refuse("its file %s has %s, the limit on all of it is %s", archiveName(h.Name), byteSize(h.Size), byteSize(a.in.nested.max))
		}
		if err := a.member(h.Name, tr); err != nil {
			return err
		}
	}
}

// stream reads a file packed on its own: a TAR archive, or one file, which is then the document.
func (a *archiveReader) stream(format string) (*Document, error) {
	src := bufio.NewReader(io.NewSectionReader(a.in.file, 0, a.in.size))
	name := strings.TrimSuffix(a.in.name, path.Ext(a.in.name))
	var r io.Reader = bzip2.NewReader(src)
	if format == "gz" {
		zr, err := gzip.NewReader(src)
		if err != nil {
			return nil, parseError(ErrDamaged, "it cannot be unpacked: %v", err)
		}
		defer zr.Close()
		r = zr
	}
	if e := strings.ToLower(path.Ext(a.in.name)); e == ".tgz" || e == ".tbz" || e == ".tbz2" {
		name += ".tar"
	}
	head := bufio.NewReaderSize(r, 1024)
	if start, _ := head.Peek(512); isTar(start) {
		// The packed archive counts against the same limit as its members do.
		return nil, a.tar(head)
	}
	file, err := a.read(head)
	defer file.close()
	if errors.Is(err, ErrTooLarge) {
		return nil, err
	}
	if err != nil && file.size == 0 {
		return nil, parseError(ErrDamaged, "it cannot be unpacked: %v", err)
	}
	if a.in.depth+1 >= nestedMaxDepth {
		return nil, parseError(ErrTooLarge, "files lie within files more than %d deep", nestedMaxDepth)
	}
	doc, perr := a.p.parseWithin(a.in, name, file)
	if perr != nil {
		return nil, perr
	}
	if err != nil {
		doc.Warnings = append(doc.Warnings, fmt.Sprintf("the file breaks off: %v", err))
	}
	return doc, nil
}

// isTar knows the header block of a TAR file by its checksum.
func isTar(b []byte) bool {
	if len(b) < 512 || b[0] == 0 {
		return false
	}
	sum := 0
	for i, c := range b[:512] {
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum += int(c)
	}
	stated := 0
	for _, c := range bytes.Trim(b[148:156], " \x00") {
		if c < '0' || c > '7' {
			return false
		}
		stated = stated*8 + int(c-'0')
	}
	return stated == sum
}
