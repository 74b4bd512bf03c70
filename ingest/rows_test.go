package ingest_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"docent/chain"
	"docent/chunker"
	"docent/ingest"
	"docent/retriever"
)

// orders is a table of n rows below its header; row i is of order SO-(10000+7i).
func orders(n int) [][]string {
	rows := [][]string{{"order", "customer", "city", "amount", "status"}}
	cities := []string{"Berlin", "上海", "Lyon", "Oslo", "Porto"}
	states := []string{"paid", "open", "returned"}
	for i := range n {
		rows = append(rows, []string{
			fmt.Sprintf("SO-%d", 10000+7*i), fmt.Sprintf("Customer %c%d", 'A'+i%26, i%97), cities[i%5], fmt.Sprintf("%d.%02d", 10+i*13%977, i%100), states[i%3],
		})
	}
	return rows
}

// What a question about one row of a long table is answered with: the row, with its number in the file, and
// the header row beside it.
func TestRowsAreCited(t *testing.T) {
	ctx := t.Context()
	b := newBench(t)
	const n = 3500
	rows := orders(n)
	var csvText strings.Builder
	w := csv.NewWriter(&csvText)
	w.WriteAll(rows)
	book := excelize.NewFile()
	for i, row := range rows[:200] {
		at := i + 1
		if i > 100 { // a gap of nine blank rows
			at += 9
		}
		row[0] = "X" + row[0]
		if err := book.SetSheetRow("Sheet1", fmt.Sprintf("A%d", at), &row); err != nil {
			t.Fatal(err)
		}
	}
	if err := book.SetSheetName("Sheet1", "Archive"); err != nil {
		t.Fatal(err)
	}
	xlsx, err := book.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"orders.csv": csvText.String(), "archive.xlsx": xlsx.String()} {
		res, err := b.pipe.Ingest(ctx, "c", b.file(t, name, content), nil)
		if err != nil {
			t.Fatal(err)
		}
		chunks, err := b.store.Catalog().Chunks(ctx, res.DocumentID)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range chunks {
			if len(c.Labels) != 1 || !strings.HasPrefix(c.Labels[0], "row") || !strings.Contains(c.IndexText(), "| order | customer | city | amount | status |") && !strings.Contains(c.IndexText(), "| Xorder |") {
				t.Errorf("%s: labels %q of %q", name, c.Labels, c.IndexText())
			}
		}
	}

	qa, err := chain.NewQA(chain.Config{Search: func(ctx context.Context, query string, k int, opts ...retriever.SearchOption) ([]retriever.Hit, error) {
		return b.store.Search(ctx, "c", query, append(opts, retriever.TopK(k), retriever.WithMode(retriever.Keyword))...)
	}})
	if err != nil {
		t.Fatal(err)
	}
	look := func(order, want string) bool {
		answer, err := qa.Ask(ctx, chain.Question{Text: "What is the amount of order " + order + "?"})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range answer.Citations {
			if strings.Contains(c.Quote, order+" ") && slices.Equal(c.Labels, []string{want}) {
				return true
			}
		}
		t.Errorf("%s: %+v, want %s cited", order, answer.Citations, want)
		return false
	}
	for i := range 50 {
		row := i * n / 50
		look(fmt.Sprintf("SO-%d", 10000+7*row), fmt.Sprintf("row %d", row+2))
	}
	look("XSO-10007", "row 3")
	look(fmt.Sprintf("XSO-%d", 10000+7*150), "row 161")
}

// Blank lines are rows to a spreadsheet program, and so is each line of a file that begins with them.
func TestRowNumbersOfCSV(t *testing.T) {
	ex, err := ingest.NewExtractor(ingest.ExtractorConfig{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	b := &bench{dir: t.TempDir()}
	it := b.file(t, "a.csv", "\ufeff\n\nname,note\na,\"two\nlines\"\n\nb,x\nc,y\n")
	doc, err := ex.Extract(t.Context(), ingest.File{Path: it.File, Name: "a.csv"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []chunker.RowNumber{{Line: 2, Number: 4}, {Line: 3, Number: 6}}; len(doc.Blocks) != 1 || !slices.Equal(doc.Blocks[0].Rows, want) {
		t.Errorf("%+v, want rows %v", doc.Blocks, want)
	}
}
