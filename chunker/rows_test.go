package chunker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"docent/chunker"
)

// Every chunk of a long table tells its rows, by the numbers of the source where there are any.
func TestRows(t *testing.T) {
	var b strings.Builder
	b.WriteString("| part | stock |\n| --- | --- |")
	for i := range 100 {
		fmt.Fprintf(&b, "\n| ZX-%04d | %d |", i, i)
	}
	table := b.String()
	numbers := []chunker.RowNumber{{Line: 2, Number: 2}, {Line: 50, Number: 60}} // rows 50 to 59 were blank
	number := func(i int) int {
		if i >= 48 {
			return i + 12
		}
		return i + 2
	}
	for _, c := range []struct {
		name   string
		blocks []chunker.Block
		prefix string
		number func(i int) int
	}{
		{"numbered", []chunker.Block{{Kind: chunker.Table, End: len(table), Rows: numbers}}, "", number},
		{"sheet", []chunker.Block{{Kind: chunker.Table, End: len(table), Rows: numbers, Name: "Stock"}}, "Stock, ", number},
		{"plain", []chunker.Block{{Kind: chunker.Table, End: len(table)}}, "table 1, ", func(i int) int { return i + 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := chunker.NewRecursive(nil, chunker.RecursiveConfig{MaxTokens: 60})
			chunks := split(t, s, err, chunker.Document{Text: table, Blocks: c.blocks})
			if len(chunks) < 10 {
				t.Fatalf("%d chunks", len(chunks))
			}
			next := 0
			for _, k := range chunks {
				var rows []int
				for ; next < 100 && strings.Contains(k.Text, fmt.Sprintf("ZX-%04d", next)); next++ {
					rows = append(rows, next)
					at := strings.Index(k.Text, fmt.Sprintf("ZX-%04d", next)) + k.Start
					if want := []string{fmt.Sprintf("%srow %d", c.prefix, c.number(next))}; !slices.Equal(k.LabelsAt(at, at+7), want) {
						t.Errorf("row %d: labels %q, want %q", next, k.LabelsAt(at, at+7), want)
					}
				}
				first, last := c.number(rows[0]), c.number(rows[len(rows)-1])
				want := fmt.Sprintf("%srows %d-%d", c.prefix, first, last)
				if c.prefix != "table 1, " && first < 50 && last >= 60 {
					want = fmt.Sprintf("%srows %d-49, 60-%d", c.prefix, first, last)
				}
				if !slices.Equal(k.Labels, []string{want}) {
					t.Errorf("rows %d to %d: labels %q, want %q", rows[0], rows[len(rows)-1], k.Labels, want)
				}
				if !slices.Equal(k.LabelsAt(k.Start, k.End), k.Labels) {
					t.Errorf("all of the chunk: labels %q, want %q", k.LabelsAt(k.Start, k.End), k.Labels)
				}
			}
			if next != 100 {
				t.Errorf("the chunks hold %d rows, want 100", next)
			}
		})
	}
}

// A table is named as its sheet is, unless the heading above it is that already.
func TestRowsOfSheets(t *testing.T) {
	const text = "Stock\n\n| part |\n| --- |\n| a |\n| b |\n\nMore words.\n\n| part |\n| --- |\n| c |"
	first, second := strings.Index(text, "| part"), strings.LastIndex(text, "| part")
	doc := chunker.Document{Text: text, Blocks: []chunker.Block{
		{Kind: chunker.Heading, Level: 1, End: 5},
		{Kind: chunker.Table, Start: first, End: first + 27, Name: "Stock", Rows: []chunker.RowNumber{{Line: 2, Number: 2}, {Line: 3, Number: 9}}},
		{Kind: chunker.Table, Start: second, End: len(text), Name: "Prices", Rows: []chunker.RowNumber{{Line: 2, Number: 2}}},
	}}
	s, err := chunker.NewRecursive(nil, chunker.RecursiveConfig{})
	chunks := split(t, s, err, doc)
	if len(chunks) != 1 || !slices.Equal(chunks[0].Labels, []string{"rows 2, 9", "Prices, row 2"}) {
		t.Errorf("%+v", chunks)
	}
	at := strings.Index(text, "| b")
	if got := chunks[0].LabelsAt(at, at+3); !slices.Equal(got, chunks[0].Labels) { // two tables: not told apart
		t.Errorf("labels %q", got)
	}
}
