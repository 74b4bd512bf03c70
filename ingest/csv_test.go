package ingest

import (
	"encoding/csv"
	"slices"
	"strings"
	"testing"
)

// FuzzCSV holds the scanner to encoding/csv with LazyQuotes, which reads the same rows.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{
		"a,b\n1,2\n", "a,\"b\nc\",d\r\n\r\n\"x\"\"y\",z", "\"never, closed\n1,2", "a \"quoted\" word,\"in\"side\",\"\"", ",,\n\n,", "\"a\"\r", "a\r\rb,c\r\n", "\"a\"\r\n\"b\r\nc\"", "名,称\n值,\"一,二\"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := csv.NewReader(strings.NewReader(text))
		r.LazyQuotes, r.FieldsPerRecord = true, -1
		want, err := r.ReadAll()
		if err != nil {
			return
		}
		s := newCSVScanner(text, ',')
		for i := 0; s.scan(); i++ {
			if s.first > s.last || s.last > s.end || s.end > strings.Count(text, "\n") {
				t.Fatalf("row %d of %q: lines %d, %d, %d", i, text, s.first, s.last, s.end)
			}
			if i >= len(want) || !slices.Equal(s.row, want[i][:min(len(want[i]), tableMaxColumns)]) {
				t.Fatalf("row %d of %q is %q, want %q", i, text, s.row, want)
			}
			if i == len(want)-1 && s.scan() {
				t.Fatalf("%q has more rows than %q", text, want)
			}
		}
		rows, before := 0, 0
		for number := range csvRows(text, ',') {
			if rows++; number <= before || number > strings.Count(text, "\n")+1 {
				t.Fatalf("row %d of %q has number %d, after %d", rows, text, number, before)
			}
			before = number
		}
		if rows != len(want) {
			t.Fatalf("%q has %d rows, want %d", text, rows, len(want))
		}
	})
}

// TestCSVWide reads a line of five million fields in little more memory than its own.
func TestCSVWide(t *testing.T) {
	text := strings.Repeat("a,", 5<<20)
	allocated := testing.AllocsPerRun(1, func() {
		for _, row := range csvRows(text, ',') {
			if len(row) != tableMaxColumns {
				t.Errorf("%d fields, want %d", len(row), tableMaxColumns)
			}
		}
	})
	if allocated > 100 {
		t.Errorf("%v allocations", allocated)
	}
}
