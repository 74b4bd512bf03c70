package chunker

import (
	"regexp"
	"strings"
)

// A unit is a declaration in source code: a function, a class, a method. Start is the first line of the
// comments and annotations above it, decl the line that names it, and end the end of its body.
type unit struct {
	start, decl, end int // byte offsets into the document
	level            int // how many units enclose it
}

// declaration matches the line that begins a unit, in the languages that people keep code in: Go, Python,
// Ruby, JavaScript and TypeScript, Rust, Java, C#, Kotlin, Scala, Swift, PHP, Lua, C and C++, SQL and shell. It
// is no parser: what it takes wrongly for a declaration costs a cut in a slightly worse place.
var declaration = regexp.MustCompile(`^(?:` + strings.Join([]string{
	`(?:func|type)\s+[\w(]`,                  // Go
	`(?:async\s+)?(?:def|class|module)\s+\w`, // Python, Ruby
	`(?:export\s+)?(?:default\s+)?(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?(?:function\b|class\s+\w|interface\s+\w|enum\s+\w|namespace\s+\w)`,
	`(?:export\s+)?(?:const|let|var)\s+\w+\s*(?::[^=]+)?=\s*(?:async\s*)?(?:\([^)]*\)|\w+)\s*(?::[^=]+)?=>`,
	`(?:pub(?:\([^)]*\))?\s+)?(?:(?:async|unsafe|const|extern(?:\s+"[^"]*")?)\s+)*(?:fn|struct|enum|impl|trait|mod|union)\b`,
	`macro_rules!`,
	`(?:(?:public|private|protected|internal|static|final|abstract|virtual|override|sealed|partial|open|data|inline|suspend|synchronized|readonly|async|case|export|template\s*<[^>]*>)\s+)+[\w<>\[\],.?&*:\s]+[({]?`,
	`(?:fun|object|protocol|extension|record|trait|struct|namespace|union|sub|local\s+function)\s+\w`,
	`(?i:create|alter)\s+(?i:or\s+replace\s+)?(?i:table|view|function|procedure|trigger|index|type)\b`,
	`\w+\s*\(\)\s*\{`,             // shell
	`[\w.]+\s*<-\s*function\s*\(`, // R
	`[A-Za-z_][\w\s*&:<>,]*[\s*&]\**[\w:~]+\s*\([^;]*\)?\s*(?:const\s*)?\{?\s*$`, // C and C++
}, "|") + `)`)

// notDeclaration matches statements that look like one.
var notDeclaration = regexp.MustCompile(`^(?:return|if|else|for|while|switch|case|throw|delete|new|await|yield|using|import|package|goto|do|catch|print\w*)\b`)

// attached matches what belongs to the declaration below it: comments, annotations, attributes, decorators.
var attached = regexp.MustCompile(`^(?://|#|/\*|\*|--|@|\[[\w(]|"""|'''|template\s*<)`)

// closer matches a line that ends what an outer line began.
var closer = regexp.MustCompile(`^(?:[)}\]]|end\b|fi\b|done\b|esac\b)`)

// units finds the declarations of text[start:end]. A unit ends before the next line that is not indented more
// than its own, unless that closes it: that holds for languages with braces as for those with indentation.
func units(text string, start, end int) []unit {
	type line struct{ start, end, indent int }
	var lines []line
	for i := start; i < end; {
		stop := end
		if nl := strings.IndexByte(text[i:end], '\n'); nl >= 0 {
			stop = i + nl + 1
		}
		indent := 0
		for _, c := range []byte(text[i:stop]) {
			if c == '\t' {
				indent += 4
			} else if c == ' ' {
				indent++
			} else {
				break
			}
		}
		lines = append(lines, line{i, stop, indent})
		i = stop
	}
	content := func(l line) string { return strings.TrimSpace(text[l.start:l.end]) }
	var found []unit
	var open []int // units around the line, by place in found
	var indents []int
	for i, l := range lines {
		s := content(l)
		if s == "" {
			continue
		}
		for len(open) > 0 && l.indent <= indents[len(open)-1] {
			u := &found[open[len(open)-1]]
			if closer.MatchString(s) && l.indent == indents[len(open)-1] {
				u.end = l.end
				break
			}
			if strings.HasPrefix(s, "{") && l.indent == indents[len(open)-1] { // a brace on a line of its own
				u.end = l.end
				break
			}
			open, indents = open[:len(open)-1], indents[:len(indents)-1]
		}
		if len(open) > 0 {
			for _, o := range open {
				found[o].end = max(found[o].end, l.end)
			}
			if l.indent <= indents[len(indents)-1] {
				continue
			}
		}
		if !declaration.MatchString(s) || notDeclaration.MatchString(s) {
			continue
		}
		first := i
		for first > 0 && lines[first-1].indent == l.indent && attached.MatchString(content(lines[first-1])) {
			first--
		}
		found = append(found, unit{start: lines[first].start, decl: l.start, end: l.end, level: len(open)})
		open, indents = append(open, len(found)-1), append(indents, l.indent)
	}
	return found
}

// enclosing returns the lines that declare the units which a place in code lies inside, outermost first; a
// unit that begins there is not one.
func enclosing(text string, in []unit, at int) []string {
	var lines []string
	for _, u := range in {
		if u.decl < at && at < u.end {
			line, _, _ := strings.Cut(text[u.decl:u.end], "\n")
			lines = append(lines, strings.TrimSpace(strings.TrimRight(strings.TrimSpace(line), "{")))
		}
	}
	return lines
}
