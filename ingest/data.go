package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"docent/chunker"
)

const (
	dataMaxDepth  = 1000      // objects and lists nested deeper are refused
	dataMaxValues = 2_000_000 // of YAML, whose aliases could multiply without end
	dataMaxYAML   = 4 << 20   // larger YAML and XML is read as text: their parsers hold it as a tree
	dataMaxXML    = 32 << 20
	dataLong      = 300 // bytes after which a value is a paragraph of its own
)

// outline writes structured data so that it can be read: the keys of the outer two levels that hold
// more than a value are headings, each record of a list is a paragraph of "key: value" lines, and what
// lies deeper is named by its path.
type outline struct {
	b      *docBuilder
	stack  []outlineFrame
	lines  strings.Builder
	values int
}

type outlineFrame struct {
	key     string
	array   bool
	own     bool // a heading or a record: paths begin anew below
	heading bool
	pending int      // level of the heading that a list gets once it holds more than plain values
	scalars []string // of an array
	size    int
}

func (o *outline) deep() error {
	if len(o.stack) >= dataMaxDepth {
		return parseError(ErrTooLarge, "its data nests more than %d deep", dataMaxDepth)
	}
	return nil
}

func (o *outline) flush() {
	o.b.add(chunker.Paragraph, 0, strings.TrimRight(o.lines.String(), "\n"))
	o.lines.Reset()
}

// begin opens an object or a list; key is "" in a list.
func (o *outline) begin(key string, array bool) error {
	if err := o.deep(); err != nil {
		return err
	}
	f := outlineFrame{key: key, array: array}
	n := len(o.stack)
	switch {
	case n == 0:
		f.own, f.heading = true, !array
	case o.stack[n-1].array && !array:
		o.flush()
		o.stack[n-1].emit(o)
		o.stack[n-1].announce(o)
		f.own = true
	case o.stack[n-1].heading && n <= 2 && key != "" && array:
		f.pending = n
	case o.stack[n-1].heading && n <= 2 && key != "":
		o.flush()
		o.b.add(chunker.Heading, n, key)
		f.own, f.heading = true, true
	}
	o.stack = append(o.stack, f)
	return nil
}

func (o *outline) end() {
	n := len(o.stack) - 1
	if n < 0 {
		return
	}
	o.stack[n].emit(o)
	if o.stack[n].own {
		o.flush()
	}
	o.stack = o.stack[:n]
}

// emit writes the plain values of a list that have gathered: short ones on a line, long ones as a list.
func (f *outlineFrame) emit(o *outline) {
	if len(f.scalars) == 0 {
		return
	}
	values := f.scalars
	f.scalars, f.size = nil, 0
	if label := o.label(""); label != "" && len(strings.Join(values, ", ")) <= dataLong {
		o.line(label + ": " + strings.Join(values, ", "))
		return
	}
	f.announce(o)
	o.flush()
	for _, v := range values {
		o.b.add(chunker.ListItem, 1, "- "+v)
	}
}

// announce writes the heading of a list that waits for one.
func (f *outlineFrame) announce(o *outline) {
	if f.pending > 0 {
		o.flush()
		o.b.add(chunker.Heading, f.pending, f.key)
		f.pending, f.own = 0, true
	}
}

// label is the path of a value below the last heading or record.
func (o *outline) label(key string) string {
	from := len(o.stack)
	for from > 0 && !o.stack[from-1].own {
		from--
	}
	var parts []string
	for _, f := range o.stack[from:] {
		if f.key != "" {
			parts = append(parts, f.key)
		}
	}
	if key != "" {
		parts = append(parts, key)
	}
	if len(parts) > 8 {
		parts = append([]string{"…"}, parts[len(parts)-8:]...)
	}
	return strings.Join(parts, ".")
}

func (o *outline) line(s string) {
	if o.lines.Len() > 4000 {
		o.flush()
	}
	o.lines.WriteString(s)
	o.lines.WriteByte('\n')
}

func (o *outline) scalar(key, value string) error {
	value = strings.TrimSpace(value)
	if value == "" || o.b.tooLong {
		return nil
	}
	if strings.HasPrefix(value, "<") && htmlSigns(value) > 0 {
		value = strings.TrimSpace(htmlTokensText(value))
	}
	if n := len(o.stack); n > 0 && o.stack[n-1].array {
		f := &o.stack[n-1]
		f.scalars = append(f.scalars, strings.Join(strings.Fields(value), " "))
		if f.size += len(value); f.size > 64<<10 {
			f.emit(o)
		}
		return nil
	}
	label := o.label(key)
	if len(value) > dataLong && (len(value) > 4*dataLong || strings.Contains(value, "\n")) {
		o.flush()
		if label != "" {
			value = label + ": " + value
		}
		for para := range strings.SplitSeq(value, "\n\n") {
			o.b.add(chunker.Paragraph, 0, para)
		}
		return nil
	}
	if label == "" {
		o.line(value)
		return nil
	}
	o.line(label + ": " + strings.ReplaceAll(value, "\n", " "))
	return nil
}

// parseData reads JSON, JSON lines, YAML and XML. What breaks the rules of its format is read as text.
func parseData(p *parser, in *input, f form) (*Document, error) {
	raw, err := in.textBytes()
	if err != nil {
		return nil, err
	}
	text, enc := decodeText(raw, "")
	raw = nil
	b := newDocBuilder(f.format, in.cfg.MaxText)
	if enc != "utf-8" {
		b.meta("encoding", enc)
	}
	o := &outline{b: b}
	title := ""
	switch f.format {
	case "json":
		err = o.json(in, text)
	case "jsonl":
		err = o.jsonLines(in, text)
	case "yaml":
		err = o.yaml(in, text)
	case "xml":
		title, err = o.xml(in, text)
	}
	o.flush()
	if _, stop := errors.AsType[*FileError](err); stop {
		return nil, err
	}
	if cerr := in.ctx.Err(); cerr != nil {
		return nil, cerr
	}
	if err != nil {
		b = newDocBuilder(f.format, in.cfg.MaxText)
		b.warn("it was read as text: " + err.Error())
		addCode(b, text)
	}
	return b.finish(in.name, title)
}

func (o *outline) json(in *input, text string) error {
	d := json.NewDecoder(strings.NewReader(text))
	if err := jsonCheck(text); err != nil {
		if _, stop := errors.AsType[*FileError](err); stop {
			return err
		}
		// Lines of JSON often go by the name of JSON.
		if first, _, many := strings.Cut(strings.TrimSpace(text), "\n"); many && json.Valid([]byte(first)) {
			return o.jsonLines(in, text)
		}
		return err
	}
	return o.jsonValue(in, d)
}

// jsonCheck tells whether text is one JSON value, and how deep it may nest.
func jsonCheck(text string) error {
	depth, inString, escaped := 0, false, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case escaped:
			escaped = false
		case inString && c == '\\':
			escaped = true
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > dataMaxDepth {
				return parseError(ErrTooLarge, "its data nests more than %d deep", dataMaxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	if !json.Valid([]byte(text)) {
		return errors.New("it is not valid JSON")
	}
	return nil
}

func (o *outline) jsonValue(in *input, d *json.Decoder) error {
	d.UseNumber()
	key, haveKey := "", false
	base := len(o.stack)
	for n := 0; ; n++ {
		if n&0xfff == 0 && in.ctx.Err() != nil {
			return in.ctx.Err()
		}
		tok, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		inObject := len(o.stack) > base && !o.stack[len(o.stack)-1].array
		if s, ok := tok.(string); ok && inObject && !haveKey {
			key, haveKey = s, true
			continue
		}
		k := key
		if delim, ok := tok.(json.Delim); ok && (delim == '}' || delim == ']') {
			o.end()
		} else {
			key, haveKey = "", false
			switch v := tok.(type) {
			case json.Delim:
				err = o.begin(k, v == '[')
			case string:
				err = o.scalar(k, v)
			case json.Number:
				err = o.scalar(k, v.String())
			case bool:
				err = o.scalar(k, map[bool]string{true: "true", false: "false"}[v])
			}
			if err != nil {
				return err
			}
		}
		if len(o.stack) == base || o.b.tooLong {
			return nil
		}
	}
}

func (o *outline) jsonLines(in *input, text string) error {
	if err := o.begin("", true); err != nil {
		return err
	}
	bad, good := 0, 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if err := jsonCheck(line); err != nil {
			if _, stop := errors.AsType[*FileError](err); stop {
				return err
			}
			bad++
			if bad > 10 && good == 0 {
				return err
			}
			continue
		}
		good++
		if err := o.jsonValue(in, json.NewDecoder(strings.NewReader(line))); err != nil {
			return err
		}
	}
	o.end()
	if bad > 0 {
		if good == 0 {
			return errors.New("it is not valid JSON")
		}
		o.b.warn("some lines are not valid JSON and were left out")
	}
	return nil
}

func (o *outline) yaml(in *input, text string) error {
	if len(text) > dataMaxYAML {
		return errors.New("it is too large to be taken apart")
	}
	// The parser recurses with indentation and brackets.
	for line := range strings.Lines(text) {
		if n := strings.Count(line, "[") + strings.Count(line, "{") + strings.Count(line, "- "); n > dataMaxDepth && len(strings.TrimLeft(line, "[{- ")) < len(line)-dataMaxDepth {
			return parseError(ErrTooLarge, "its data nests more than %d deep", dataMaxDepth)
		}
	}
	d := yaml.NewDecoder(strings.NewReader(text))
	for {
		var doc yaml.Node
		err := d.Decode(&doc)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := o.yamlNode(in, "", &doc, 0); err != nil {
			return err
		}
		o.flush()
	}
}

func (o *outline) yamlNode(in *input, key string, n *yaml.Node, depth int) error {
	if depth > dataMaxDepth {
		return parseError(ErrTooLarge, "its data nests more than %d deep", dataMaxDepth)
	}
	if o.values++; o.values > dataMaxValues {
		return parseError(ErrTooLarge, "it holds more than %d values (aliases that multiply?)", dataMaxValues)
	}
	if o.values&0xfff == 0 && in.ctx.Err() != nil {
		return in.ctx.Err()
	}
	if o.b.tooLong {
		return nil
	}
	switch n.Kind {
	case yaml.DocumentNode:
		for _, c := range n.Content {
			if err := o.yamlNode(in, "", c, depth+1); err != nil {
				return err
			}
		}
	case yaml.AliasNode:
		return o.yamlNode(in, key, n.Alias, depth+1)
	case yaml.MappingNode:
		if key != "<<" {
			if err := o.begin(key, false); err != nil {
				return err
			}
			defer o.end()
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			for c := range strings.Lines(k.HeadComment) {
				if c = strings.TrimSpace(strings.TrimLeft(c, "# ")); c != "" && !(len(o.stack) > 0 && o.stack[len(o.stack)-1].array) {
					o.line("# " + c)
				}
			}
			if err := o.yamlNode(in, k.Value, v, depth+1); err != nil {
				return err
			}
		}
	case yaml.SequenceNode:
		if err := o.begin(key, true); err != nil {
			return err
		}
		defer o.end()
		for _, c := range n.Content {
			if err := o.yamlNode(in, "", c, depth+1); err != nil {
				return err
			}
		}
	case yaml.ScalarNode:
		if n.Tag == "!!null" || n.Tag == "!!binary" {
			return nil
		}
		return o.scalar(key, n.Value)
	}
	return nil
}

// xml writes the elements of a document: those of text alone as values, those of text and elements
// mixed as paragraphs, and repeated ones as records. It returns the first title.
func (o *outline) xml(in *input, text string) (string, error) {
	if len(text) > dataMaxXML {
		return "", errors.New("it is too large to be taken apart")
	}
	// The text is UTF-8 by now, whatever its declaration says.
	if rest, ok := strings.CutPrefix(strings.TrimSpace(text), "<?xml"); ok {
		if _, body, ok := strings.Cut(rest, "?>"); ok {
			text = body
		}
	}
	root, err := parseXMLTree(strings.NewReader(text))
	if err != nil {
		return "", err
	}
	title := ""
	for _, k := range root.kids {
		if k.name != "" {
			if err := o.xmlNode(in, k, false, 0, &title); err != nil {
				return "", err
			}
		}
	}
	return title, nil
}

var (
	xmlHeads = map[string]bool{"title": true, "head": true, "heading": true, "caption": true}
	xmlParas = map[string]bool{"p": true, "para": true, "simpara": true, "paragraph": true, "note": true, "remark": true, "ab": true, "lg": true}
	xmlCodes = map[string]bool{"programlisting": true, "screen": true, "code": true, "pre": true, "literallayout": true, "codeblock": true}
)

func (o *outline) xmlNode(in *input, n *docxNode, repeated bool, depth int, title *string) error {
	if o.b.tooLong {
		return nil
	}
	if o.values++; o.values&0xfff == 0 && in.ctx.Err() != nil {
		return in.ctx.Err()
	}
	elements, words := map[string]int{}, false
	for _, k := range n.kids {
		if k.name != "" {
			elements[k.name]++
		} else if strings.TrimSpace(k.text) != "" {
			words = true
		}
	}
	if words || len(elements) == 0 || xmlParas[n.name] {
		text := n.content()
		if !xmlCodes[n.name] {
			text = strings.Join(strings.Fields(text), " ")
		}
		switch {
		case text == "":
			for _, v := range xmlAttributes(n) {
				if err := o.scalar(n.name, v); err != nil {
					return err
				}
			}
			return nil
		case xmlHeads[n.name] && utf8.RuneCountInString(text) <= 200:
			o.flush()
			o.b.add(chunker.Heading, min(max(depth, 1), 6), text)
			if *title == "" {
				*title = text
			}
			return nil
		case xmlCodes[n.name] && strings.Contains(text, "\n"):
			o.flush()
			o.b.add(chunker.Code, 0, text)
			return nil
		case words && len(elements) > 0, xmlParas[n.name]:
			o.flush()
			o.b.add(chunker.Paragraph, 0, text)
			return nil
		}
		if a := xmlAttributes(n); len(a) > 0 {
			text += " (" + strings.Join(a, ", ") + ")"
		}
		return o.scalar(n.name, text)
	}
	// An element is a record where its like stand beside it; its name then says nothing new.
	if err := o.deep(); err != nil {
		return err
	}
	f := outlineFrame{key: n.name}
	switch {
	case depth == 0:
		f.own = true
	case repeated:
		o.flush()
		f.own = true
	}
	o.stack = append(o.stack, f)
	for _, a := range xmlAttributes(n) {
		k, v, _ := strings.Cut(a, "=")
		if err := o.scalar(k, v); err != nil {
			return err
		}
	}
	for _, k := range n.kids {
		if k.name != "" {
			if err := o.xmlNode(in, k, elements[k.name] > 1, depth+1, title); err != nil {
				return err
			}
		}
	}
	o.end()
	return nil
}

// xmlAttributes are the attributes that say something to a reader, in the order of their names.
func xmlAttributes(n *docxNode) []string {
	var out []string
	for k, v := range n.attr {
		if v = strings.TrimSpace(v); v == "" || k == "schemaLocation" || strings.HasPrefix(v, "http://www.w3.org/") || k == "xmlns" || k == "space" {
			continue
		}
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

// jsonSigns tells JSON without a name from text: "json", "jsonl", "ipynb" or "".
func jsonSigns(text string, whole bool) string {
	s := strings.TrimSpace(text)
	if s == "" || s[0] != '{' && s[0] != '[' {
		return ""
	}
	if strings.Contains(s, `"nbformat"`) && strings.Contains(s, `"cells"`) {
		return "ipynb"
	}
	first, _, many := strings.Cut(s, "\n")
	if first = strings.TrimSpace(first); many && s[0] == '{' && json.Valid([]byte(first)) {
		return "jsonl"
	}
	if whole {
		if json.Valid([]byte(s)) {
			return "json"
		}
		return ""
	}
	// The start of a long file: it must go on as JSON for as far as it can be seen.
	d := json.NewDecoder(bytes.NewReader([]byte(s)))
	for n := 0; ; n++ {
		if _, err := d.Token(); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || n > 50 {
				return "json"
			}
			return ""
		}
	}
}
