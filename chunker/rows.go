package chunker

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// labelsIn names what the span holds of tables and figures; headings is the path above it.
func (f *finisher) labelsIn(s span, headings []string) []string {
	var labels []string
	for i := s.lap; i < s.to; {
		block := f.atoms[i].block
		first, last := int32(-1), int32(-1) // the lines of its rows
		for ; i < s.to && f.atoms[i].block == block; i++ {
			if a := f.atoms[i]; a.kind == tableRow {
				if first < 0 {
					first = a.line
				}
				last = a.last
			}
		}
		label := f.labels[block]
		if blk := f.blocks[block]; blk.Kind == Table {
			rows := ""
			if first >= 0 {
				toEnd := i == len(f.atoms) || f.atoms[i].block != block
				rows = rowsLabel(f.doc.Text, blk, int(first), int(last), toEnd)
			}
			if n := len(headings); n > 0 && label == blk.Name && label == headings[n-1] || len(blk.Rows) > 0 && f.tables == 1 && label == "table 1" {
				label = ""
			}
			if label != "" && rows != "" {
				label += ", "
			}
			label += rows
		}
		if label != "" && !slices.Contains(labels, label) {
			labels = append(labels, label)
		}
	}
	return labels
}

// maxRanges is how many ranges of rows a label lists before it says no more than from where to where they go.
const maxRanges = 6

// rowsLabel is "rows 3-5, 9" for the lines first to last of a table's text. It is empty where the source has
// no numbers and the lines are all of the table; toEnd tells that they go to its end.
func rowsLabel(text string, blk Block, first, last int, toEnd bool) string {
	marks := blk.Rows
	if len(marks) == 0 {
		head := strings.Count(text[blk.Start:tableHeadEnd(text, blk)], "\n")
		if first == head && toEnd {
			return ""
		}
		marks = []RowNumber{{Line: head, Number: 1}}
	}
	var ranges []rowRange
	i := max(0, sort.Search(len(marks), func(i int) bool { return marks[i].Line > first })-1)
	for ; i < len(marks) && marks[i].Line <= last; i++ {
		m := marks[i]
		from, to := max(first, m.Line), last
		if i+1 < len(marks) {
			to = min(to, marks[i+1].Line-1)
		}
		ranges = append(ranges, rowRange{m.Number + from - m.Line, m.Number + to - m.Line})
	}
	if len(ranges) > maxRanges {
		return fmt.Sprintf("rows %d to %d", ranges[0].first, ranges[len(ranges)-1].last)
	}
	return rowRanges(ranges)
}

type rowRange struct{ first, last int }

func rowRanges(ranges []rowRange) string {
	if len(ranges) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("rows ")
	if len(ranges) == 1 && ranges[0].first == ranges[0].last {
		b.Reset()
		b.WriteString("row ")
	}
	for i, r := range ranges {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Itoa(r.first))
		if r.last > r.first {
			b.WriteString("-" + strconv.Itoa(r.last))
		}
	}
	return b.String()
}

// rowsAt matches a label that tells rows.
var rowsAt = regexp.MustCompile(`^(.*, )?rows? ([0-9]+(?:-[0-9]+)?(?:, [0-9]+(?:-[0-9]+)?)*)$`)

// LabelsAt are the chunk's labels for bytes start to end of the document, a part of the chunk: where it holds
// rows of one table, those of the part alone.
func (c Chunk) LabelsAt(start, end int) []string {
	start, end = start-c.Start, end-c.Start
	at := slices.IndexFunc(c.Labels, rowsAt.MatchString)
	if at < 0 || start < 0 || start >= end || end > len(c.Text) || slices.ContainsFunc(c.Labels[at+1:], rowsAt.MatchString) {
		return c.Labels
	}
	m := rowsAt.FindStringSubmatch(c.Labels[at])
	var ranges []rowRange
	rows, n, pos := 0, 0, 0 // rows in all; the one on the line at hand, and where that begins
	for part := range strings.SplitSeq(m[2], ", ") {
		from, to, ok := strings.Cut(part, "-")
		r := rowRange{}
		r.first, _ = strconv.Atoi(from)
		if r.last = r.first; ok {
			r.last, _ = strconv.Atoi(to)
		}
		rows += r.last - r.first + 1
		ranges = append(ranges, r)
	}
	touched := rowRange{-1, -1}
	for line := range strings.Lines(c.Text) {
		from := pos
		pos += len(line)
		switch row := strings.TrimSpace(line); {
		case row == "":
			continue
		case strings.Contains(row, "-") && strings.Trim(row, "|-: ") == "": // what was above is text and the header
			n, touched = 0, rowRange{-1, -1}
			continue
		}
		if from < end && start < pos && n < rows {
			if touched.first < 0 {
				touched.first = n
			}
			touched.last = n
		}
		n++
	}
	labels := slices.Clone(c.Labels)
	if touched.first < 0 {
		return labels
	}
	var kept []rowRange
	for _, r := range ranges {
		size := r.last - r.first + 1
		if touched.first < size && touched.last >= 0 {
			kept = append(kept, rowRange{r.first + max(touched.first, 0), r.first + min(touched.last, size-1)})
		}
		touched.first, touched.last = touched.first-size, touched.last-size
	}
	labels[at] = m[1] + rowRanges(kept)
	return labels
}
