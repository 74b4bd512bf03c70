package ingest

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

const (
	gitIgnoreFile    = ".gitignore"
	docentIgnoreFile = ".docentignore"
	maxIgnoreFile    = 1 << 20 // bytes of a file of patterns that are read
)

// An ignoreRule is one line of a file of patterns, see gitignore(5).
type ignoreRule struct {
	segments []string // for matchSegments
	negated  bool     // what it matches is taken after all
	folders  bool     // it matches folders only
}

// parseIgnore reads a file of patterns. Lines that can match nothing are left out.
func parseIgnore(data []byte) []ignoreRule {
	var rules []ignoreRule
	sc := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	sc.Buffer(nil, maxIgnoreFile+1)
	for sc.Scan() {
		if r, ok := parseIgnoreLine(sc.Text()); ok {
			rules = append(rules, r)
		}
	}
	return rules
}

func parseIgnoreLine(line string) (r ignoreRule, ok bool) {
	line = strings.TrimSuffix(line, "\r")
	for strings.HasSuffix(line, " ") && !endsEscaped(line[:len(line)-1]) {
		line = line[:len(line)-1]
	}
	if line == "" || line[0] == '#' {
		return r, false
	}
	if line[0] == '!' {
		r.negated, line = true, line[1:]
	}
	if strings.HasSuffix(line, "/") && !endsEscaped(line[:len(line)-1]) {
		r.folders, line = true, line[:len(line)-1]
	}
	if line == "" {
		return r, false
	}
	if !strings.Contains(line, "/") {
		seg, ok := pathPattern(strings.ReplaceAll(line, "**", "*"))
		r.segments = []string{"**", seg}
		return r, ok
	}
	for seg := range strings.SplitSeq(strings.TrimPrefix(line, "/"), "/") {
		if seg, ok = pathPattern(seg); !ok {
			return r, false
		}
		r.segments = append(r.segments, seg)
	}
	if r.segments[len(r.segments)-1] == "**" {
		r.segments = append(r.segments, "*") // what is in the folder, not the folder
	}
	return r, true
}

// endsEscaped reports whether the character after s is escaped.
func endsEscaped(s string) bool {
	return (len(s)-len(strings.TrimRight(s, `\`)))%2 == 1
}

// classes are the named classes of POSIX as ranges.
var classes = map[string]string{
	"alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z", "space": " \t\n\r\f\v", "blank": " \t", "xdigit": "0-9a-fA-F",
	"punct": `!-/:-@\[-` + "`{-~", "cntrl": "\x00-\x1f\x7f", "graph": "!-~", "print": " -~",
}

// pathPattern rewrites a pattern of git for path.Match, which knows no "[!a]", no named classes, and no
// "]" and "-" that stand for themselves. It reports false for a pattern that is malformed, which
// matches nothing.
func pathPattern(p string) (string, bool) {
	var sb strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == '\\' && i+1 < len(p) {
			sb.WriteString(p[i : i+2])
			i++
			continue
		}
		if p[i] != '[' {
			sb.WriteByte(p[i])
			continue
		}
		sb.WriteByte('[')
		i++
		if i < len(p) && (p[i] == '!' || p[i] == '^') {
			sb.WriteByte('^')
			i++
		}
		for first := true; ; first = false {
			if i >= len(p) {
				return "", false
			}
			if p[i] == ']' && !first {
				sb.WriteByte(']')
				break
			}
			if name, _, ok := strings.Cut(p[i:], ":]"); ok && strings.HasPrefix(name, "[:") {
				ranges, ok := classes[name[2:]]
				if !ok {
					return "", false
				}
				sb.WriteString(ranges)
				i += len(name) + 2
				continue
			}
			isRange := !first && p[i] == '-' && i+1 < len(p) && p[i+1] != ']'
			if strings.IndexByte(`]-[^`, p[i]) >= 0 && !isRange {
				sb.WriteByte('\\')
			}
			if p[i] == '\\' && i+1 < len(p) {
				sb.WriteByte(p[i])
				i++
			}
			sb.WriteByte(p[i])
			i++
		}
	}
	_, err := path.Match(sb.String(), "")
	return sb.String(), err == nil
}

// An ignoreScope is what the files of patterns in one folder say of what lies below it.
type ignoreScope struct {
	parent *ignoreScope // of the folder around it; nil at the top
	dir    string
	git    []ignoreRule // of .gitignore; only in a working tree
	docent []ignoreRule
	tree   *gitTree // the working tree it belongs to
}

// A gitTree is a working tree of Git.
type gitTree struct {
	root string
	more [][]ignoreRule // info/exclude and the user's own, in the order of precedence
}

// newIgnoreScope returns the scope of the folder dir, for which those of the folders around it count as
// far as they belong to the same working tree.
func newIgnoreScope(dir string) *ignoreScope {
	var above []string // from dir upwards
	for at := dir; ; at = filepath.Dir(at) {
		above = append(above, at)
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			break
		}
		if filepath.Dir(at) == at {
			above = above[:1] // no working tree
			break
		}
	}
	var s *ignoreScope
	for i := len(above) - 1; i >= 0; i-- {
		s = s.enter(above[i])
	}
	return s
}

// enter returns the scope of a folder within that of s; s may be nil.
func (s *ignoreScope) enter(dir string) *ignoreScope {
	in := &ignoreScope{parent: s, dir: dir, docent: readIgnore(filepath.Join(dir, docentIgnoreFile))}
	if s != nil {
		in.tree = s.tree
	}
	if git := filepath.Join(dir, ".git"); exists(git) {
		in.tree = openGitTree(dir, git)
	}
	if in.tree != nil {
		in.git = readIgnore(filepath.Join(dir, gitIgnoreFile))
	}
	return in
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// readIgnore reads a file of patterns. As git does, it follows no link that lies in the tree.
func readIgnore(name string) []ignoreRule {
	st, err := os.Lstat(name)
	if err != nil || !st.Mode().IsRegular() {
		return nil
	}
	return parseIgnore(readHead(name, maxIgnoreFile))
}

// readHead is the first n bytes of a file; nothing when it cannot be read.
func readHead(name string, n int64) []byte {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	data, _ := io.ReadAll(io.LimitReader(f, n))
	return data
}

// ignores says which file tells to pass over the entry at, which lies in the folder of s; "" when none.
// The folders that at lies in are not looked at again: what is in an ignored one is never asked for.
func (s *ignoreScope) ignores(at string, isDir bool) string {
	for in := s; in != nil; in = in.parent {
		if ignored, ok := decide(in.docent, in.dir, at, isDir); ok {
			return reason(ignored, docentIgnoreFile)
		}
	}
	if s.tree == nil {
		return ""
	}
	for in := s; in != nil && in.tree == s.tree; in = in.parent {
		if ignored, ok := decide(in.git, in.dir, at, isDir); ok {
			return reason(ignored, gitIgnoreFile)
		}
	}
	for _, rules := range s.tree.more {
		if ignored, ok := decide(rules, s.tree.root, at, isDir); ok {
			return reason(ignored, "the excludes of git")
		}
	}
	return ""
}

func reason(ignored bool, file string) string {
	if ignored {
		return "ignored by " + file
	}
	return ""
}

// decide finds the last rule that matches.
func decide(rules []ignoreRule, dir, at string, isDir bool) (ignored, ok bool) {
	if len(rules) == 0 {
		return false, false
	}
	rel, err := filepath.Rel(dir, at)
	if err != nil {
		return false, false
	}
	name := strings.Split(filepath.ToSlash(rel), "/")
	for i := len(rules) - 1; i >= 0; i-- {
		r := rules[i]
		if (isDir || !r.folders) && matchSegments(r.segments, name, false) {
			return !r.negated, true
		}
	}
	return false, false
}

// openGitTree reads what counts in a whole working tree: info/exclude of the repository, then the file
// that core.excludesFile names, by default ~/.config/git/ignore.
func openGitTree(root, git string) *gitTree {
	t := &gitTree{root: root}
	if st, err := os.Stat(git); err == nil && !st.IsDir() { // a linked working tree or a submodule
		line := strings.TrimSpace(string(readHead(git, 4096)))
		if dir, ok := strings.CutPrefix(line, "gitdir: "); ok {
			if git = dir; !filepath.IsAbs(git) {
				git = filepath.Join(root, git)
			}
			if common := strings.TrimSpace(string(readHead(filepath.Join(git, "commondir"), 4096))); common != "" {
				if !filepath.IsAbs(common) {
					common = filepath.Join(git, common)
				}
				git = common
			}
		}
	}
	t.more = append(t.more, readIgnore(filepath.Join(git, "info", "exclude")))
	home, _ := os.UserHomeDir()
	settings := os.Getenv("XDG_CONFIG_HOME")
	if settings == "" {
		settings = filepath.Join(home, ".config")
	}
	excludes := filepath.Join(settings, "git", "ignore")
	for _, file := range []string{filepath.Join(settings, "git", "config"), filepath.Join(home, ".gitconfig"), filepath.Join(git, "config")} {
		if name := excludesFile(readHead(file, maxIgnoreFile)); name != "" {
			excludes = name
		}
	}
	if rest, ok := strings.CutPrefix(excludes, "~/"); ok {
		excludes = filepath.Join(home, rest)
	}
	t.more = append(t.more, parseIgnore(readHead(excludes, maxIgnoreFile)))
	return t
}

// excludesFile finds core.excludesFile in a settings file of git.
func excludesFile(data []byte) (name string) {
	inCore := false
	for line := range strings.SplitSeq(string(data), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			inCore = strings.HasPrefix(strings.ToLower(strings.ReplaceAll(line, " ", "")), "[core]")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if inCore && ok && strings.EqualFold(strings.TrimSpace(key), "excludesFile") {
			name = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return name
}
