package ingest

import (
	"fmt"
	"path"
	"strings"
)

// Patterns choose files and pages by their path. The nil value chooses all.
//
// A pattern is made of segments between slashes, in which "*", "?" and "[a-z]" stand for characters as in
// [path.Match], and of "**", which stands for any number of segments. A pattern without a slash is tried
// on the last segment alone: "*.pdf". A pattern with one is tried on the whole path: "/docs/**". One that
// names a folder chooses all that lies in it.
type Patterns struct {
	include, exclude [][]string
}

// NewPatterns returns what chooses a path that some pattern of include matches, or any when there are
// none, and no pattern of exclude.
func NewPatterns(include, exclude []string) (*Patterns, error) {
	p := &Patterns{}
	for _, list := range []struct {
		from []string
		to   *[][]string
	}{{include, &p.include}, {exclude, &p.exclude}} {
		for _, s := range list.from {
			for s := range strings.SplitSeq(s, ",") {
				if s = strings.TrimSpace(s); s == "" {
					continue
				}
				segments := []string{"**"}
				if trimmed := strings.Trim(s, "/"); strings.Contains(s, "/") {
					segments = strings.Split(trimmed, "/")
				} else {
					segments = append(segments, s)
				}
				for _, seg := range segments {
					if _, err := path.Match(seg, ""); err != nil {
						return nil, fmt.Errorf("pattern %q: %w", s, err)
					}
				}
				*list.to = append(*list.to, segments)
			}
		}
	}
	return p, nil
}

// Match reports whether a path with forward slashes is chosen.
func (p *Patterns) Match(name string) bool {
	if p == nil || len(p.include)+len(p.exclude) == 0 {
		return true
	}
	segments := strings.Split(strings.Trim(name, "/"), "/")
	return (len(p.include) == 0 || anyMatch(p.include, segments)) && !anyMatch(p.exclude, segments)
}

func anyMatch(patterns [][]string, name []string) bool {
	for _, p := range patterns {
		if matchSegments(p, name, true) {
			return true
		}
	}
	return false
}

// matchSegments matches a path by segments. With within, a pattern that ends early has matched a folder
// that the path lies in.
func matchSegments(pattern, name []string, within bool) bool {
	// The last "**" passed is where to go on after a mismatch, as with "*" in a string: whatever an
	// earlier one would match, it can too.
	p, n, star, mark := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p == len(pattern) && within:
			return true
		case p < len(pattern) && pattern[p] == "**":
			star, mark = p, n
			p++
		case p < len(pattern) && segmentMatches(pattern[p], name[n]):
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == "**" {
		p++
	}
	return p == len(pattern)
}

func segmentMatches(pattern, segment string) bool {
	ok, _ := path.Match(pattern, segment)
	return ok
}
