package ingest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"io"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"docent/chunker"
)

// A picture is one within a document that has text of its own. What is written on it is put before the block
// it comes before.
type picture struct {
	Ref   string `json:"ref"`            // how parser.pictureOf finds it in the file
	Block int    `json:"block"`          // index of the block after it
	Page  int    `json:"page,omitempty"` // number of the page it is on; 0 when there are none
	Same  string `json:"same,omitempty"` // equal for equal pictures, where it is known
	// Heading is put before the text, if there is any, at Level: the name of a file that is but a picture.
	Heading string `json:"heading,omitempty"`
	Level   int    `json:"level,omitempty"`
	// Sheet says that it is a page of a file within the file.
	Sheet bool `json:"sheet,omitempty"`
	// File and FilePage say which page of which file of Document.NeedsOCRIn it is; an empty File none.
	File     string `json:"file,omitempty"`
	FilePage int    `json:"file_page,omitempty"`
	Garbled  bool   `json:"garbled,omitempty"` // the page has text, which was left out
}

const (
	maxPictures = 200 // of a document
	// Smaller pictures, in pixels, are icons, rules and logos.
	leastPictureWidth  = 160
	leastPictureHeight = 48
)

// picture notes a picture where the builder stands. One that is shown again and again, such as a logo, is
// noted once.
func (b *docBuilder) picture(ref string) {
	if ref != "" {
		b.pictureIn(picture{Ref: ref})
	}
}

// pictureIn notes a picture where the builder stands, with what else is known of it.
func (b *docBuilder) pictureIn(p picture) {
	limit, n := maxPictures, 0
	if p.Sheet {
		limit = maxOCRPages
	}
	for _, o := range b.doc.pictures {
		if o.Ref == p.Ref || p.Same != "" && o.Same == p.Same {
			b.doc.filePageRead(p.File, p.FilePage) // with the other
			return
		}
		if o.Sheet == p.Sheet {
			n++
		}
	}
	if n >= limit {
		b.doc.morePictures++
		return
	}
	if n := len(b.doc.Pages); n > 0 {
		p.Page = b.doc.Pages[n-1].Number
	}
	p.Block = len(b.doc.Blocks)
	b.doc.pictures = append(b.doc.pictures, p)
}

// movePictures puts those that come after the last block before it, which is about to go on on another page.
func (b *docBuilder) movePictures() {
	for i := len(b.doc.pictures) - 1; i >= 0 && b.doc.pictures[i].Block == len(b.doc.Blocks); i-- {
		b.doc.pictures[i].Block--
	}
}

// dataPicture is the ref of a picture that stands in the text of a page as a data URI (RFC 2397), or empty for
// one that does not.
func dataPicture(src string) string {
	if len(src) < 11 || !strings.EqualFold(src[:11], "data:image/") {
		return ""
	}
	sum := sha256.Sum256([]byte(src))
	return "data:" + hex.EncodeToString(sum[:8])
}

// pictureOf returns the picture with that ref as a grey PNG file, or nil when nothing is to be seen on it. Pages
// are drawn at dpi dots an inch.
func (p *parser) pictureOf(in *input, ref string, dpi int) ([]byte, error) {
	f, err := detect(in)
	if err != nil {
		return nil, err
	}
	var data []byte
	switch {
	case f.format == "pdf":
		return p.pdfPictureOf(in, ref, dpi)
	case f.format == "encrypted office":
		within, err := in.decrypted()
		if err != nil {
			return nil, err
		}
		return p.pictureOf(within, ref, dpi)
	case pictureFormats[f.format]:
		var number int
		if _, err := fmt.Sscanf(ref, "page:%d", &number); err != nil {
			return nil, errNoPicture
		}
		return frameOf(in, f, number)
	case containers[f.format]:
		return p.memberPicture(in, f, ref, dpi)
	case f.format == "mhtml":
		return p.mhtmlPicture(in, ref, dpi)
	case f.format == "doc", f.format == "ppt", f.format == "xls":
		data, err = artPictureOf(in, ref)
	case f.format == "rtf":
		data, err = rtfPicture(in, ref)
	case f.format == "ipynb":
		data, err = notebookPicture(in, ref)
	case strings.HasPrefix(ref, "data:"):
		data, err = dataOf(in, ref)
	default:
		var pk *packed
		if pk, err = openPacked(in); err == nil {
			data, err = pk.bytes(ref)
		}
	}
	if err != nil {
		return nil, err
	}
	return pictureData(data, ref)
}

// pictureData is a picture that comes as a file as a grey PNG file, or nil when nothing is to be seen on it.
func pictureData(data []byte, ref string) ([]byte, error) {
	cfg, _, err := image.DecodeConfig(bytes.NewReader(data))
	switch {
	case err != nil: // of a kind that is not known, such as EMF
		return nil, nil
	case cfg.Width < leastPictureWidth || cfg.Height < leastPictureHeight:
		return nil, nil
	case int64(cfg.Width)*int64(cfg.Height) > maxDecoded:
		return nil, parseError(ErrTooLarge, "the picture %s has %d × %d pixels", ref, cfg.Width, cfg.Height)
	}
	img, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, parseError(ErrDamaged, "the picture %s cannot be read: %v", ref, err)
	}
	return greyPNG(img, true)
}

// dataOf finds a data URI of a page, or of Markdown, again.
func dataOf(in *input, ref string) ([]byte, error) {
	raw, err := in.textBytes()
	if err != nil {
		return nil, err
	}
	text, _ := decodeText(raw, "")
	data, err := pageData(text, ref)
	if errors.Is(err, errNoPicture) {
		data, err = markdownData(text, ref)
	}
	return data, err
}

// pageData finds a data URI in the pictures of HTML.
func pageData(text, ref string) ([]byte, error) {
	z := html.NewTokenizer(strings.NewReader(text))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if z.Err() == io.EOF {
				return nil, errNoPicture
			}
			return nil, z.Err()
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			if t.DataAtom != atom.Img {
				continue
			}
			for _, a := range t.Attr {
				if a.Key == "src" && dataPicture(strings.TrimSpace(a.Val)) == ref {
					return decodeDataURI(strings.TrimSpace(a.Val))
				}
			}
		}
	}
}

func decodeDataURI(uri string) ([]byte, error) {
	head, body, ok := strings.Cut(uri, ",")
	if !ok {
		return nil, errNoPicture
	}
	body, err := url.PathUnescape(body)
	if err != nil {
		return nil, errNoPicture
	}
	if !strings.HasSuffix(strings.ToLower(head), ";base64") {
		return []byte(body), nil
	}
	body = strings.TrimRight(strings.Join(strings.Fields(body), ""), "=")
	data, err := base64.RawStdEncoding.DecodeString(body)
	if err != nil {
		return nil, parseError(ErrDamaged, "a picture in the page cannot be decoded: %v", err)
	}
	return data, nil
}

// insertPictures puts the texts of the document's pictures, one for each, where the pictures are. Empty ones
// leave no trace.
func insertPictures(doc *Document, texts []string) {
	old := doc.Document
	var b strings.Builder
	var blocks []chunker.Block
	var links []chunker.Link
	type span struct{ start, end int }
	moved := make([]span, len(old.Blocks)) // of the old blocks
	read := make(map[int]span)             // of what was read, by page
	write := func(bl chunker.Block, sep, text string) span {
		if b.Len() > 0 {
			b.WriteString(sep)
		}
		bl.Start = b.Len()
		b.WriteString(text)
		bl.End = b.Len()
		blocks = append(blocks, bl)
		return span{bl.Start, bl.End}
	}
	heading := ""
	insert := func(p picture, text string, page int) bool {
		first := len(blocks)
		for para := range strings.SplitSeq(text, "\n\n") {
			if para = strings.TrimSpace(para); para == "" {
				continue
			}
			if p.Heading != "" && p.Heading != heading {
				write(chunker.Block{Kind: chunker.Heading, Level: p.Level}, "\n\n", p.Heading)
				heading = p.Heading
			}
			write(chunker.Block{Kind: chunker.Paragraph}, "\n\n", para)
		}
		if len(blocks) == first {
			return false
		}
		s := span{blocks[first].Start, b.Len()}
		if before, ok := read[page]; ok {
			s.start = before.start
		}
		read[page] = s
		return true
	}
	next := 0 // the first picture that is not written
	for i := 0; i <= len(old.Blocks); i++ {
		inserted := false
		for ; next < len(doc.pictures) && doc.pictures[next].Block <= i; next++ {
			from, to := pagesBetween(old, i)
			p := doc.pictures[next]
			inserted = insert(p, texts[next], min(max(p.Page, from), to)) || inserted
		}
		if i == len(old.Blocks) {
			break
		}
		bl := old.Blocks[i]
		sep := "\n\n"
		if i > 0 && !inserted {
			sep = old.Text[old.Blocks[i-1].End:bl.Start]
		}
		moved[i] = write(bl, sep, old.Text[bl.Start:bl.End])
		links = moveLinks(links, old.Links, bl, moved[i].start)
	}
	doc.Text, doc.Blocks, doc.Links = b.String(), blocks, links
	at := 0
	for i, p := range old.Pages {
		s := span{at, at}
		// The blocks that are on it, in part or whole.
		first, _ := slices.BinarySearchFunc(old.Blocks, p.Start, func(b chunker.Block, at int) int { return cmp.Compare(b.End, at+1) })
		last, _ := slices.BinarySearchFunc(old.Blocks, p.End, func(b chunker.Block, at int) int { return cmp.Compare(b.Start, at) })
		if p.Start < p.End && first < last {
			s.start = moved[first].start + max(0, p.Start-old.Blocks[first].Start)
			s.end = moved[last-1].start + min(p.End, old.Blocks[last-1].End) - old.Blocks[last-1].Start
		}
		if r, ok := read[p.Number]; ok {
			if s.start == s.end {
				s = r
			}
			s.start, s.end = min(s.start, r.start), max(s.end, r.end)
			doc.PagesWithoutText = slices.DeleteFunc(doc.PagesWithoutText, func(n int) bool { return n == p.Number })
		}
		s.start = max(s.start, at)
		s.end = max(s.end, s.start)
		doc.Pages[i].Start, doc.Pages[i].End = s.start, s.end
		at = s.end
	}
}

// pagesBetween are the numbers of the pages on which block i-1 ends and block i begins; those of the first and
// the last page beside the first and the last block, and 0 of a document without pages.
func pagesBetween(doc chunker.Document, i int) (from, to int) {
	if len(doc.Pages) == 0 {
		return 0, 0
	}
	from, to = doc.Pages[0].Number, doc.Pages[len(doc.Pages)-1].Number
	for _, p := range doc.Pages {
		if i > 0 && p.Start < doc.Blocks[i-1].End {
			from = p.Number
		}
	}
	if i < len(doc.Blocks) {
		for _, p := range doc.Pages {
			if p.Start <= doc.Blocks[i].Start {
				to = p.Number
			}
		}
	}
	return from, max(from, to)
}
