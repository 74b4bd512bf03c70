package ingest

import (
	"bufio"
	"bytes"
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxRobots is how much of a robots.txt is read, in bytes: the least that RFC 9309, section 2.5, asks for.
const maxRobots = 500 << 10

// robots is what a site's robots.txt tells one crawler (RFC 9309). The zero value allows everything.
type robots struct {
	rules    []robotsRule
	delay    time.Duration // Crawl-delay: a custom, not of the RFC
	sitemaps []string
}

type robotsRule struct {
	allow   bool
	pattern string // with percent-encoding made uniform; "*" and a "$" at the end are special
}

// parseRobots reads the groups that are meant for the agent: those that name it or, when none does, those
// for "*" (section 2.2.1). Lines it does not understand are passed over.
func parseRobots(data []byte, agent string) robots {
	agent = strings.ToLower(agent)
	var named, general robots
	var sitemaps []string
	isNamed := false            // some group names the agent
	var groups []*robots        // of the group being read
	inAgents, known := false, 0 // known: bitmask of the groups, so that none is in groups twice
	for line := range robotsLines(data) {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		key, value = strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value)
		switch key {
		case "user-agent":
			if !inAgents {
				groups, known, inAgents = nil, 0, true
			}
			switch name := strings.ToLower(value); {
			case name == agent && known&1 == 0:
				groups, known, isNamed = append(groups, &named), known|1, true
			case name == "*" && known&2 == 0:
				groups, known = append(groups, &general), known|2
			}
		case "allow", "disallow":
			inAgents = false
			if value == "" {
				continue // "Disallow:" alone forbids nothing
			}
			for _, g := range groups {
				g.rules = append(g.rules, robotsRule{key == "allow", uniform(value)})
			}
		case "crawl-delay":
			inAgents = false
			if s, err := strconv.ParseFloat(value, 64); err == nil && s > 0 && s < 1e6 {
				for _, g := range groups {
					g.delay = max(g.delay, time.Duration(s*float64(time.Second)))
				}
			}
		case "sitemap": // of no group
			sitemaps = append(sitemaps, value)
		}
	}
	r := general
	if isNamed {
		r = named
	}
	r.sitemaps = sitemaps
	// The longest pattern decides, and of two as long the one that allows (section 2.2.2).
	slices.SortStableFunc(r.rules, func(a, b robotsRule) int {
		if c := cmp.Compare(len(b.pattern), len(a.pattern)); c != 0 || a.allow == b.allow {
			return c
		}
		if a.allow {
			return -1
		}
		return 1
	})
	return r
}

// robotsLines yields the lines without comments and white space around them.
func robotsLines(data []byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		data := bytes.TrimPrefix(data[:min(len(data), maxRobots)], []byte("\ufeff"))
		sc := bufio.NewScanner(bytes.NewReader(bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))))
		sc.Buffer(nil, maxRobots+1)
		for sc.Scan() {
			line, _, _ := strings.Cut(sc.Text(), "#")
			if line = strings.TrimSpace(line); line != "" && !yield(line) {
				return
			}
		}
	}
}

// allows reports whether the page may be fetched.
func (r robots) allows(u *url.URL) bool {
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	path = uniform(path)
	if path == "/robots.txt" {
		return true
	}
	for _, rule := range r.rules {
		if robotsMatch(rule.pattern, path) {
			return rule.allow
		}
	}
	return true
}

// robotsMatch matches a pattern at the start of a path. It takes time in proportion to the product of
// their lengths at most.
func robotsMatch(pattern, path string) bool {
	pattern, anchored := strings.CutSuffix(pattern, "$")
	parts := strings.Split(pattern, "*")
	if !strings.HasPrefix(path, parts[0]) {
		return false
	}
	path = path[len(parts[0]):]
	if len(parts) == 1 {
		return !anchored || path == ""
	}
	for _, part := range parts[1 : len(parts)-1] { // the leftmost place leaves the most for the rest
		i := strings.Index(path, part)
		if i < 0 {
			return false
		}
		path = path[i+len(part):]
	}
	last := parts[len(parts)-1]
	if anchored {
		return strings.HasSuffix(path, last)
	}
	return strings.Contains(path, last)
}

// uniform spells each byte of a path one way: escaped unless it is an unreserved character, or a
// reserved one that was not escaped (section 2.2.2).
func uniform(path string) string {
	const hex = "0123456789ABCDEF"
	var sb strings.Builder
	for i := 0; i < len(path); i++ {
		b, escaped := path[i], false
		if b == '%' && i+2 < len(path) {
			if n, err := strconv.ParseUint(path[i+1:i+3], 16, 8); err == nil {
				b, escaped = byte(n), true
				i += 2
			}
		}
		unreserved := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("-._~", b) >= 0
		if unreserved || !escaped && b > ' ' && b < 0x7f {
			sb.WriteByte(b)
			continue
		}
		sb.WriteByte('%')
		sb.WriteByte(hex[b>>4])
		sb.WriteByte(hex[b&15])
	}
	return sb.String()
}
