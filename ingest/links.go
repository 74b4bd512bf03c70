package ingest

import (
	"io"
	"net/url"
	"path"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// A pageLook is what a page of the web says of itself.
type pageLook struct {
	links     []*url.URL
	canonical *url.URL // nil when the page names none
	noIndex   bool
}

// maxFollowed is how many links of one page are followed.
const maxFollowed = 5000

// lookAt reads HTML, or what is taken for it, from base; robotsTag is the X-Robots-Tag of the reply.
// Links that ask not to be followed are left out.
func lookAt(r io.Reader, base *url.URL, robotsTag string) (l pageLook) {
	noFollow := false
	directives := func(s string) {
		for d := range strings.SplitSeq(strings.ToLower(s), ",") {
			// "docent: noindex" is for one crawler, "noindex" for all.
			if _, after, ok := strings.Cut(d, ":"); ok {
				d = after
			}
			switch strings.TrimSpace(d) {
			case "noindex":
				l.noIndex = true
			case "nofollow":
				noFollow = true
			case "none":
				l.noIndex, noFollow = true, true
			}
		}
	}
	directives(robotsTag)
	add := func(ref string) {
		if u, err := base.Parse(strings.TrimSpace(ref)); err == nil && len(l.links) < maxFollowed {
			l.links = append(l.links, u)
		}
	}
	z := html.NewTokenizer(r)
	z.SetMaxBuf(1 << 20)
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		t := z.Token()
		a := func(key string) string {
			for _, at := range t.Attr {
				if at.Key == key {
					return at.Val
				}
			}
			return ""
		}
		rel := strings.Fields(strings.ToLower(a("rel")))
		switch t.DataAtom {
		case atom.Base:
			if u, err := base.Parse(a("href")); err == nil && a("href") != "" {
				base = u
			}
		case atom.Meta:
			switch strings.ToLower(a("name")) {
			case "robots", "docent":
				directives(a("content"))
			}
			if strings.EqualFold(a("http-equiv"), "refresh") {
				if _, ref, ok := strings.Cut(strings.ToLower(a("content")), "url="); ok {
					start := len(a("content")) - len(ref)
					add(strings.Trim(a("content")[start:], `'" `))
				}
			}
		case atom.Link:
			if slices.Contains(rel, "canonical") && l.canonical == nil && a("href") != "" {
				if u, err := base.Parse(a("href")); err == nil && checkURL(u) == nil {
					l.canonical = normalURL(u)
				}
			} else if slices.Contains(rel, "next") || slices.Contains(rel, "prev") {
				add(a("href"))
			}
		case atom.A, atom.Area:
			if a("href") != "" && !slices.Contains(rel, "nofollow") {
				add(a("href"))
			}
		case atom.Frame, atom.Iframe:
			if a("src") != "" {
				add(a("src"))
			}
		}
	}
	if noFollow {
		l.links = nil
	}
	return l
}

// trackers are parameters that change nothing about a page.
var trackers = map[string]bool{"gclid": true, "fbclid": true, "msclkid": true, "dclid": true, "yclid": true, "igshid": true, "mc_cid": true, "mc_eid": true, "spm": true, "phpsessid": true, "jsessionid": true}

// normalURL is u in the spelling by which pages are told apart (RFC 3986, section 6.2): scheme and host
// in lower case, without default port, fragment, dot segments and the parameters of trackers.
func normalURL(u *url.URL) *url.URL {
	n := *u
	n.Fragment, n.RawFragment, n.ForceQuery = "", "", false
	n.Scheme, n.Host = strings.ToLower(n.Scheme), strings.ToLower(n.Host)
	if p := n.Port(); n.Scheme == "http" && p == "80" || n.Scheme == "https" && p == "443" || strings.HasSuffix(n.Host, ":") {
		n.Host = strings.TrimSuffix(n.Host, ":"+p)
	}
	if n.Path == "" {
		n.Path = "/"
	} else if n.Opaque == "" && n.RawPath == "" {
		if cleaned := path.Clean(n.Path); strings.HasPrefix(cleaned, "/") {
			if strings.HasSuffix(n.Path, "/") && cleaned != "/" {
				cleaned += "/"
			}
			n.Path = cleaned
		}
	}
	if n.RawQuery != "" {
		n.RawQuery = strings.Join(slices.DeleteFunc(strings.Split(n.RawQuery, "&"), func(p string) bool {
			key, _, _ := strings.Cut(strings.ToLower(p), "=")
			return p == "" || trackers[key] || strings.HasPrefix(key, "utm_")
		}), "&")
	}
	return &n
}
