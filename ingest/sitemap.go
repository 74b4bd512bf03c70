package ingest

import (
	"bufio"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
)

// The bounds of the sitemap protocol (sitemaps.org): 50 MiB and 50,000 addresses a file.
const (
	maxSitemapBytes = 50 << 20
	maxSitemapURLs  = 50_000
)

// A sitemap is what one file of a site's map lists.
type sitemap struct {
	pages []string
	maps  []string // further files, when it is an index
}

// parseSitemap reads a map or an index of maps, packed by gzip or not, in XML or with an address a line.
// What it has read before an error counts.
func parseSitemap(r io.Reader) (sitemap, error) {
	var m sitemap
	br := bufio.NewReader(r)
	if magic, _ := br.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(br)
		if err != nil {
			return m, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		br = bufio.NewReader(z)
	}
	limited := &io.LimitedReader{R: br, N: maxSitemapBytes}
	br = bufio.NewReader(limited)
	err := m.parse(br)
	if limited.N <= 0 {
		err = fmt.Errorf("%w: the limit of a sitemap is %s", ErrTooLarge, byteSize(maxSitemapBytes))
	}
	return m, err
}

func (m *sitemap) parse(br *bufio.Reader) error {
	head, _ := br.Peek(512)
	if !strings.Contains(string(head), "<") {
		sc := bufio.NewScanner(br)
		for sc.Scan() && len(m.pages) < maxSitemapURLs {
			m.add(&m.pages, sc.Text())
		}
		return sc.Err()
	}
	d := xml.NewDecoder(br)
	d.Strict = false
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // addresses are ASCII
	var path []string
	for len(m.pages)+len(m.maps) < maxSitemapURLs {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if path = append(path, t.Name.Local); len(path) > 16 {
				return fmt.Errorf("%w: its elements nest too deep", ErrDamaged)
			}
		case xml.EndElement:
			path = path[:max(len(path)-1, 0)]
		case xml.CharData:
			switch n := len(path); {
			case n < 2 || path[n-1] != "loc":
			case path[n-2] == "url":
				m.add(&m.pages, string(t))
			case path[n-2] == "sitemap":
				m.add(&m.maps, string(t))
			}
		}
	}
	return nil
}

func (m *sitemap) add(to *[]string, address string) {
	address = strings.TrimSpace(address)
	if u, err := url.Parse(address); err == nil && u.Host != "" && len(address) <= maxURL {
		*to = append(*to, address)
	}
}
