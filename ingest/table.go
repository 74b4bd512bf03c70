package ingest

import "strings"

// markdownTable writes rows as a GitHub-flavoured Markdown table whose first row is the header. Rows
// without any text are left out, short rows are filled up; columns empty throughout are dropped.
func markdownTable(rows [][]string) string {
	width := 0
	kept := rows[:0:0]
	for _, r := range rows {
		empty := true
		for i, c := range r {
			if strings.TrimSpace(c) != "" {
				empty = false
				width = max(width, i+1)
			}
		}
		if !empty {
			kept = append(kept, r)
		}
	}
	if width == 0 {
		return ""
	}
	used := make([]bool, width)
	for _, r := range kept {
		for i := range min(width, len(r)) {
			used[i] = used[i] || strings.TrimSpace(r[i]) != ""
		}
	}
	var b strings.Builder
	for i, r := range kept {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteByte('|')
		for c := range width {
			if !used[c] {
				continue
			}
			cell := ""
			if c < len(r) {
				cell = tableCell(r[c])
			}
			b.WriteByte(' ')
			b.WriteString(cell)
			if cell != "" {
				b.WriteByte(' ')
			}
			b.WriteByte('|')
		}
		if i == 0 {
			b.WriteString("\n|")
			for c := range width {
				if used[c] {
					b.WriteString(" --- |")
				}
			}
		}
	}
	return b.String()
}

// tableCell fits a cell's text on one line.
func tableCell(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.ReplaceAll(s, "|", `\|`)
}
