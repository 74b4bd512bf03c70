package ingest

import (
	"archive/zip"
	"errors"
	"io"
	"path"
	"strings"
)

// packed is a document that is a ZIP file of XML parts, read within a limit on what it unpacks to.
type packed struct {
	zr   *zip.Reader
	left int64
	max  int64
}

func openPacked(in *input) (*packed, error) {
	zr, err := zip.NewReader(in.file, in.size)
	if err != nil {
		return nil, parseError(ErrDamaged, "it cannot be unpacked: %v", err)
	}
	limit := in.cfg.MaxUnpacked
	if limit <= 0 {
		limit = defaultMaxUnpacked
	}
	return &packed{zr: zr, left: limit, max: limit}, nil
}

var errNoPart = errors.New("no such part")

// open opens one part, and counts what is read of it.
func (p *packed) open(name string) (*countedReader, error) {
	name = strings.TrimPrefix(name, "/")
	for _, f := range p.zr.File {
		if !strings.EqualFold(strings.TrimPrefix(strings.ReplaceAll(f.Name, `\`, "/"), "/"), name) {
			continue
		}
		// More than a thousand to one is no document: XML packs a hundredfold at best.
		if f.UncompressedSize64 > 1<<20 && f.UncompressedSize64 > 1000*(f.CompressedSize64+1) || f.UncompressedSize64 > uint64(p.left) {
			return nil, parseError(ErrTooLarge, "its part %s unpacks from %s to %s, the limit is %s in all (a ZIP bomb?); if not, raise --max-unpacked", f.Name, byteSize(int64(min(f.CompressedSize64, 1<<62))), byteSize(int64(min(f.UncompressedSize64, 1<<62))), byteSize(p.max))
		}
		rc, err := f.Open()
		if err != nil {
			return nil, parseError(ErrDamaged, "its part %s cannot be unpacked: %v", f.Name, err)
		}
		return &countedReader{r: rc, name: f.Name, left: p.left}, nil
	}
	return nil, errNoPart
}

// done closes a part, and says what went wrong with it.
func (p *packed) done(c *countedReader, err error) error {
	c.r.Close()
	p.left = c.left
	if c.over {
		return parseError(ErrTooLarge, "it unpacks to more than %s (a ZIP bomb?)", byteSize(p.max))
	}
	if err != nil {
		if _, ok := errors.AsType[*FileError](err); ok {
			return err
		}
		return parseError(ErrDamaged, "its part %s: %v", c.name, err)
	}
	return nil
}

// tree reads one part as XML.
func (p *packed) tree(name string) (*docxNode, error) {
	c, err := p.open(name)
	if err != nil {
		return nil, err
	}
	root, err := parseXMLTree(c)
	return root, p.done(c, err)
}

// bytes reads one part as it is.
func (p *packed) bytes(name string) ([]byte, error) {
	c, err := p.open(name)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(c)
	return raw, p.done(c, err)
}

type countedReader struct {
	r    io.ReadCloser
	name string
	left int64
	over bool
}

func (c *countedReader) Read(b []byte) (int, error) {
	if c.left <= 0 {
		c.over = true
		return 0, errors.New("limit reached")
	}
	n, err := c.r.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	return n, err
}

// relations reads a part's relations: id to target, as a name within the package.
func (p *packed) relations(part string) map[string]docxRelation {
	dir, base := path.Split(part)
	root, err := p.tree(dir + "_rels/" + base + ".rels")
	if err != nil {
		return nil
	}
	m := map[string]docxRelation{}
	if rels := root.child("Relationships"); rels != nil {
		for _, r := range rels.kids {
			target := r.attr["Target"]
			external := r.attr["TargetMode"] == "External"
			if !external {
				if strings.HasPrefix(target, "/") {
					target = strings.TrimPrefix(target, "/")
				} else {
					target = path.Join(dir, target)
				}
			}
			kind := r.attr["Type"]
			m[r.attr["Id"]] = docxRelation{target, kind[strings.LastIndexByte(kind, '/')+1:], external}
		}
	}
	return m
}

type docxRelation struct {
	target, kind string
	external     bool
}

// picture is the name of the part that holds a picture, or empty where the relation is none.
func (r docxRelation) picture() string {
	if r.external || r.kind != "image" {
		return ""
	}
	return r.target
}

// core reads the properties that all Office documents keep in one place and returns the title.
func (p *packed) core(b *docBuilder) string {
	root, err := p.tree("docProps/core.xml")
	if err != nil {
		return ""
	}
	props := root.child("coreProperties")
	if props == nil {
		return ""
	}
	for _, kv := range [][2]string{{"creator", "author"}, {"subject", "subject"}, {"keywords", "keywords"}, {"description", "description"}} {
		b.meta(kv[1], props.child(kv[0]).content())
	}
	for _, k := range []string{"created", "modified"} {
		if v := props.child(k).content(); len(v) >= 10 {
			b.meta(k, v[:10])
		}
	}
	return props.child("title").content()
}
