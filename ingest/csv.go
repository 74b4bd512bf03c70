package ingest

import (
	"iter"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"docent/chunker"
)

// parseCSV reads a table of delimited values. The delimiter, the quotes and the header row are found
// by content; rows may be of any length.
func parseCSV(p *parser, in *input, f form) (*Document, error) {
	raw, err := in.textBytes()
	if err != nil {
		return nil, err
	}
	text, enc := decodeText(raw, "")
	raw = nil
	b := newDocBuilder("csv", in.cfg.MaxText)
	if enc != "utf-8" {
		b.meta("encoding", enc)
	}
	text = strings.TrimLeft(text, "\ufeff")
	lines := strings.TrimLeft(text, "\r\n")
	blank := strings.Count(text[:len(text)-len(lines)], "\n") // rows too, to a spreadsheet program
	text = lines
	delim := rune(0)
	if rest, ok := strings.CutPrefix(text, "sep="); ok && len(rest) > 1 { // what Excel writes for itself
		line, after, _ := strings.Cut(rest, "\n")
		if line = strings.TrimRight(line, "\r"); len(line) == 1 {
			delim, text = rune(line[0]), after
		}
	}
	if strings.IndexByte(text[:min(len(text), sniffBytes)], '\n') < 0 {
		text = strings.ReplaceAll(text, "\r", "\n") // line ends of old Macs
	}
	if delim == 0 {
		delim = csvDelimiter(text, in.ext())
	}
	rows := csvRows(text, delim)
	if csvRunaway(text, delim) {
		rows = csvPlainRows(text, delim)
		b.warn("its quotes do not match; each line was taken as a row")
	}
	addTable(b, "", func(yield func(int, []string) bool) {
		n := 0
		for number, row := range rows {
			if n++; n%1000 == 0 && in.ctx.Err() != nil {
				return
			}
			if !yield(blank+number, row) {
				return
			}
		}
	}, true)
	if err := in.ctx.Err(); err != nil {
		return nil, err
	}
	return b.finish(in.name, "")
}

// csvScanner reads rows of delimited values (RFC 4180), forgiving as encoding/csv is with LazyQuotes: a
// quote within a field stands for itself. Unlike that package it takes no memory for fields beyond
// tableMaxColumns, which nobody reads: a line of millions of them is then no more than its bytes.
type csvScanner struct {
	text  string
	delim rune
	stops string // what ends a field without quotes
	at    int
	line  int // of at, from 0

	row              []string // valid until the next call of scan
	number           int      // of row, from 1; blank lines count
	first, last, end int      // the lines where the row's first field and its last one begin, and its last one ends
}

func newCSVScanner(text string, delim rune) *csvScanner {
	text = strings.TrimSuffix(text, "\r") // as encoding/csv does, at the end of the text alone
	return &csvScanner{text: text, delim: delim, stops: string(delim) + "\n"}
}

// scan reads the next row; blank lines are passed over.
func (s *csvScanner) scan() bool {
	for s.at < len(s.text) {
		if n := lineEnd(s.text[s.at:]); n > 0 {
			s.at, s.line, s.number = s.at+n, s.line+1, s.number+1
			continue
		}
		s.row, s.first, s.number = s.row[:0], s.line, s.number+1
		for {
			s.last = s.line
			field, more := s.field()
			if len(s.row) < tableMaxColumns {
				s.row = append(s.row, field)
			}
			if !more {
				return true
			}
		}
	}
	return false
}

// lineEnd is the length of the line end that s begins with, 0 when it begins with none.
func lineEnd(s string) int {
	switch {
	case strings.HasPrefix(s, "\n"):
		return 1
	case strings.HasPrefix(s, "\r\n"):
		return 2
	}
	return 0
}

// field reads a field and what ends it; more tells whether that was a delimiter.
func (s *csvScanner) field() (field string, more bool) {
	rest := s.text[s.at:]
	if !strings.HasPrefix(rest, `"`) {
		// One look for either, so that a row of many fields or a file of many rows takes linear time.
		n := strings.IndexAny(rest, s.stops)
		if n < 0 {
			s.at, s.end = len(s.text), s.line
			s.line++
			return rest, false
		}
		if rest[n] != '\n' {
			s.at, s.end = s.at+n+utf8.RuneLen(s.delim), s.line
			return rest[:n], true
		}
		s.at, s.end = min(s.at+n+1, len(s.text)), s.line
		s.line++
		return strings.TrimSuffix(rest[:n], "\r"), false
	}
	var b strings.Builder
	from := 1 // of what is not written to b yet
	write := func(to int) {
		part := rest[from:to]
		s.line += strings.Count(part, "\n")
		b.WriteString(strings.ReplaceAll(part, "\r\n", "\n"))
	}
	for i := 1; ; {
		n := strings.IndexByte(rest[i:], '"')
		if n < 0 { // never closed: to the end of the text
			end := len(rest)
			write(end)
			s.at, s.end = len(s.text), s.line
			return b.String(), false
		}
		i += n
		after := rest[i+1:]
		switch {
		case strings.HasPrefix(after, `"`):
			write(i + 1)
			i += 2
			from = i
			continue
		case after == "" || lineEnd(after) > 0:
			write(i)
			s.end = s.line
			s.at = min(s.at+i+1+max(1, lineEnd(after)), len(s.text))
			s.line++
			return b.String(), false
		}
		if r, n := utf8.DecodeRuneInString(after); r == s.delim {
			write(i)
			s.at, s.end = s.at+i+1+n, s.line
			return b.String(), true
		}
		i++ // a quote within
	}
}

// csvRows are the rows that hold something and their numbers, from 1.
func csvRows(text string, delim rune) iter.Seq2[int, []string] {
	return func(yield func(int, []string) bool) {
		for s := newCSVScanner(text, delim); s.scan(); {
			if !yield(s.number, s.row) {
				return
			}
		}
	}
}

// csvPlainRows takes quotes as any other character.
func csvPlainRows(text string, delim rune) iter.Seq2[int, []string] {
	return func(yield func(int, []string) bool) {
		number := 0
		for line := range strings.Lines(text) {
			row := strings.SplitN(strings.TrimRight(line, "\r\n"), string(delim), tableMaxColumns+1)
			row = row[:min(len(row), tableMaxColumns)]
			for i, c := range row {
				row[i] = strings.Trim(c, `"`)
			}
			if number++; !yield(number, row) {
				return
			}
		}
	}
}

// csvRunaway tells that a quote is never closed: a record then runs over hundreds of lines, or to the
// end of the file.
func csvRunaway(text string, delim rune) bool {
	line := 0
	for s := newCSVScanner(text, delim); s.scan(); line = s.first {
		if s.first-line > 500 {
			return true
		}
		// The last field of all, if it is long and quoted, must end as it began.
		if s.at >= len(text) {
			return s.end-s.last > 50 && !strings.HasSuffix(strings.TrimSpace(text), `"`)
		}
	}
	return false
}

// csvDelimiter picks the delimiter that splits the first rows into the same number of fields most
// often; text of one column has none, and tab is then as good as any.
func csvDelimiter(text, ext string) rune {
	sample := text
	if len(sample) > sniffBytes {
		sample = sample[:sniffBytes]
		if i := strings.LastIndexByte(sample, '\n'); i > 0 {
			sample = sample[:i]
		}
	}
	best, bestScore := '\t', 0.0
	for _, d := range []rune{',', ';', '\t', '|', ':'} {
		counts := map[int]int{}
		total := 0
		for _, row := range csvRows(sample, d) {
			counts[len(row)]++
			if total++; total >= 100 {
				break
			}
		}
		mode, times := 0, 0
		for n, c := range counts {
			if n > 1 && (c > times || c == times && n > mode) {
				mode, times = n, c
			}
		}
		if times == 0 {
			continue
		}
		share := float64(times) / float64(total)
		score := share * share * (1 + float64(min(mode, 50))/50)
		switch {
		case d == '\t' && (ext == ".tsv" || ext == ".tab"), d == ',' && ext == ".csv":
			score *= 1.2
		case d == ':':
			score *= 0.3 // times and addresses hold it too
		case d == '|':
			score *= 0.9
		}
		if share >= 0.4 && score > bestScore {
			best, bestScore = d, score
		}
	}
	return best
}

const (
	tableLook       = 30   // rows looked at for the header
	tableMaxColumns = 1024 // cells further right are dropped
)

// addTable writes rows, by their numbers in the source, as the table of that name. Rows before the header that hold a single cell, such as the title
// of a sheet, become paragraphs. Columns and rows without text are left out. rows is run twice and may
// reuse the slice it yields. With guess, a first row that looks like data gets the letters of the
// columns for a header, so that it is not repeated as one.
func addTable(b *docBuilder, name string, rows iter.Seq2[int, []string], guess bool) {
	var used []bool
	var head [][]string
	for _, row := range rows {
		row = row[:min(len(row), tableMaxColumns)]
		empty := true
		for i, c := range row {
			if strings.TrimSpace(c) == "" {
				continue
			}
			empty = false
			for len(used) <= i {
				used = append(used, false)
			}
			used[i] = true
		}
		if !empty && len(head) < tableLook {
			head = append(head, append([]string(nil), row...))
		}
	}
	columns := 0
	for _, u := range used {
		if u {
			columns++
		}
	}
	if columns == 0 {
		return
	}
	titles := 0
	if columns > 2 {
		for titles < len(head)-1 && titles < 5 && filled(head[titles]) == 1 {
			titles++
		}
		if filled(head[titles]) < 2 {
			titles = 0
		}
	}
	for _, row := range head[:titles] {
		b.add(chunker.Paragraph, 0, strings.Join(row, " "))
	}
	var out strings.Builder
	write := func(row []string) {
		out.WriteByte('|')
		for i, u := range used {
			if !u {
				continue
			}
			out.WriteByte(' ')
			if i < len(row) {
				if cell := tableCell(row[i]); cell != "" {
					out.WriteString(cell)
					out.WriteByte(' ')
				}
			}
			out.WriteByte('|')
		}
	}
	rule := func() { out.WriteString("\n|" + strings.Repeat(" --- |", columns)) }
	if guess && !headerLike(head[titles:]) {
		letters := make([]string, len(used))
		for i := range letters {
			letters[i] = columnLetters(i)
		}
		write(letters)
		rule()
		out.WriteByte('\n')
	}
	n := 0
	headed := out.Len() > 0
	var numbers []chunker.RowNumber
	line, next := 2, -1 // of the text; the number of a row that goes on where the one before ended
	for number, row := range rows {
		if filled(row) == 0 {
			continue
		}
		if n++; n <= titles {
			continue
		}
		if n > titles+1 {
			out.WriteByte('\n')
		}
		write(row)
		if headed {
			if number > 0 && number != next {
				numbers = append(numbers, chunker.RowNumber{Line: line, Number: number})
			}
			line, next = line+1, number+1
		} else {
			rule()
			headed = true
		}
		if b.full(out.Len()) {
			return
		}
	}
	b.addTable(name, out.String(), numbers)
}

func filled(row []string) int {
	n := 0
	for _, c := range row {
		if strings.TrimSpace(c) != "" {
			n++
		}
	}
	return n
}

// headerLike tells a first row that names columns from one that is data like the others.
func headerLike(rows [][]string) bool {
	first := rows[0]
	if len(rows) == 1 {
		return true
	}
	seen := map[string]bool{}
	words := 0
	for i, c := range first {
		c = strings.TrimSpace(c)
		if c == "" {
			continue
		}
		if looksLikeValue(c) {
			// A year among names is a header; a number above numbers is not.
			same := 0
			for _, r := range rows[1:] {
				if i < len(r) && looksLikeValue(strings.TrimSpace(r[i])) {
					same++
				}
			}
			if same*2 > len(rows)-1 && !yearLike.MatchString(c) {
				return false
			}
			continue
		}
		words++
		seen[strings.ToLower(c)] = true
	}
	return words > 0 || filled(first) > 0 && yearLike.MatchString(strings.TrimSpace(strings.Join(first, "")))
}

var (
	yearLike  = regexp.MustCompile(`^(19|20)\d\d(年)?$`)
	dateLike  = regexp.MustCompile(`^\d{1,4}[-/.年]\d{1,2}([-/.月]\d{1,4}日?)?([ T]\d{1,2}:\d\d(:\d\d(\.\d+)?)?Z?)?$|^\d{1,2}:\d\d(:\d\d)?$`)
	emailLike = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[a-zA-Z]+$|^https?://`)
)

func looksLikeValue(s string) bool {
	s = withoutMarks(s)
	t := strings.NewReplacer(",", "", "%", "", "$", "", "€", "", "¥", "", "£", "", " ", "").Replace(s)
	if _, err := strconv.ParseFloat(t, 64); err == nil && t != "" {
		return !strings.EqualFold(t, "inf") && !strings.EqualFold(t, "nan")
	}
	return dateLike.MatchString(s) || emailLike.MatchString(s)
}

// columnLetters names a column as spreadsheets do: A, B, …, Z, AA.
func columnLetters(i int) string {
	s := ""
	for i++; i > 0; i = (i - 1) / 26 {
		s = string(rune('A'+(i-1)%26)) + s
	}
	return s
}
