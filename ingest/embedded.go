package ingest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"image"
	"io"
	"net/url"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"docent/chunker"
)

// A picture is one within a document that has text of its own. What is written on it is put before the block
// it comes before.
type picture struct {
	Ref   string `json:"ref"`            // how parser.embedded finds it in the file
	Block int    `json:"block"`          // index of the block after it
	Page  int    `json:"page,omitempty"` // number of the page it is on; 0 when there are none
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
	if ref == "" || len(b.doc.pictures) >= maxPictures {
		return
	}
	for _, p := range b.doc.pictures {
		if p.Ref == ref {
			return
		}
	}
	page := 0
	if n := len(b.doc.Pages); n > 0 {
		page = b.doc.Pages[n-1].Number
	}
	b.doc.pictures = append(b.doc.pictures, picture{Ref: ref, Block: len(b.doc.Blocks), Page: page})
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

// embedded returns a picture of a document as a grey PNG file, or nil when nothing is to be seen on it.
func (p *parser) embedded(in *input, f form, ref string) ([]byte, error) {
	var data []byte
	var err error
	if strings.HasPrefix(ref, "data:") {
		data, err = dataOf(in, ref)
	} else {
		var pk *packed
		if pk, err = openPacked(in); err == nil {
			data, err = pk.bytes(ref)
		}
	}
	if err != nil {
		return nil, err
	}
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

// dataOf finds a data URI of a page again.
func dataOf(in *input, ref string) ([]byte, error) {
	raw, err := in.textBytes()
	if err != nil {
		return nil, err
	}
	text, _ := decodeText(raw, "")
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
	begin, end := make(map[int]int), make(map[int]int) // of what is on a page, by its number
	write := func(bl chunker.Block, sep, text string, page int) {
		if b.Len() > 0 {
			b.WriteString(sep)
		}
		start := b.Len()
		b.WriteString(text)
		bl.Start, bl.End = start, b.Len()
		blocks = append(blocks, bl)
		if _, ok := begin[page]; !ok {
			begin[page] = start
		}
		end[page] = bl.End
	}
	next, page := 0, 0 // the first picture that is not written, and the index of the page after the one at hand
	for i := 0; i <= len(old.Blocks); i++ {
		inserted := false
		for ; next < len(doc.pictures) && doc.pictures[next].Block <= i; next++ {
			for para := range strings.SplitSeq(texts[next], "\n\n") {
				if para = strings.TrimSpace(para); para != "" {
					write(chunker.Block{Kind: chunker.Paragraph}, "\n\n", para, doc.pictures[next].Page)
					inserted = true
				}
			}
		}
		if i == len(old.Blocks) {
			break
		}
		bl := old.Blocks[i]
		sep := "\n\n"
		if i > 0 && !inserted {
			sep = old.Text[old.Blocks[i-1].End:bl.Start]
		}
		number := 0
		for page < len(old.Pages) && old.Pages[page].Start <= bl.Start {
			page++
		}
		if page > 0 {
			number = old.Pages[page-1].Number
		}
		write(bl, sep, old.Text[bl.Start:bl.End], number)
		links = moveLinks(links, old.Links, bl, blocks[len(blocks)-1].Start)
	}
	doc.Text, doc.Blocks, doc.Links = b.String(), blocks, links
	at := 0
	for i, p := range old.Pages {
		if start, ok := begin[p.Number]; ok {
			at = start
		}
		doc.Pages[i].Start = at
		at = max(at, end[p.Number])
		doc.Pages[i].End = at
	}
}
