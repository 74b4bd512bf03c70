package ingest_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"docent/ingest"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// drawRow places the lines of a row's cells, from the top, at x positions.
func drawRow(y, step int, xs []int, cells ...string) string {
	var b strings.Builder
	for c, cell := range cells {
		for i, line := range strings.Split(cell, "\n") {
			if line != "" {
				b.WriteString(pdfLine(10, xs[c], y-step*i, line))
			}
		}
	}
	return b.String()
}

func stroke(x0, y0, x1, y1 int) string { return fmt.Sprintf("%d %d m %d %d l S\n", x0, y0, x1, y1) }

// bar is a line drawn as browsers do: a filled box, in pieces.
func bar(x0, y0, x1, y1 int) string {
	if y0 == y1 {
		mid := (x0 + x1) / 2
		return fmt.Sprintf("%d %d %d 1 re f %d %d %d 1 re f\n", x0, y0, mid-x0, mid+1, y0, x1-mid-1)
	}
	return fmt.Sprintf("%d %d 1 %d re f\n", x0, y1, y0-y1)
}

func drawGrid(line func(x0, y0, x1, y1 int) string, xs, ys []int) string {
	var b strings.Builder
	for _, x := range xs {
		b.WriteString(line(x, ys[0], x, ys[len(ys)-1]))
	}
	for _, y := range ys {
		b.WriteString(line(xs[0], y, xs[len(xs)-1], y))
	}
	return b.String()
}

func TestPDFTables(t *testing.T) {
	text := []int{65, 205, 345}
	wrapped := drawRow(700, 12, text, "Kind", "Length", "Pay") +
		drawRow(676, 12, text, "", "", "26 weeks at full") + drawRow(670, 12, text, "Maternity", "52 weeks") + drawRow(664, 12, text, "", "", "pay, then less") +
		drawRow(640, 12, text, "Leave at a birth or\nan adop-\ntion", "6 weeks", "Full pay")
	wrappedMD := "| Kind | Length | Pay |\n| --- | --- | --- |\n| Maternity | 52 weeks | 26 weeks at full pay, then less |\n| Leave at a birth or an adoption | 6 weeks | Full pay |"
	xs, ys := []int{60, 200, 340, 480}, []int{715, 690, 655, 608}
	prose := func(y, n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(pdfLine(10, 60, y-13*i, "This sentence runs on and on over the whole of the line, as sentences in"))
		}
		return b.String()
	}
	var storm strings.Builder // more lines, and objects, than a page may have to be searched for tables
	for i := range 100_000 {
		fmt.Fprintf(&storm, "%d %d m %d %d l S\n", i%600, i%790, (i*7)%600, i%790)
	}
	tests := []struct {
		name  string
		pages []string
		want  []string // tables
		holds string   // in the text
	}{
		{"ruled", []string{drawGrid(stroke, xs, ys) + wrapped}, []string{wrappedMD}, ""},
		{"ruled by boxes in pieces", []string{drawGrid(bar, xs, ys) + wrapped}, []string{wrappedMD}, ""},
		{"no outer sides", []string{drawGrid(stroke, xs[1:3], []int{715, 608}) + stroke(60, 690, 480, 690) + stroke(60, 655, 480, 655) + stroke(60, 715, 480, 715) + stroke(60, 608, 480, 608) + wrapped},
			[]string{wrappedMD}, ""},
		{"lines in another space", []string{"q .5 0 0 -.5 0 792 cm " + drawGrid(stroke, []int{120, 400, 680, 960}, []int{154, 204, 274, 368}) + "Q " + wrapped}, []string{wrappedMD}, ""},
		{"short cells", []string{drawGrid(stroke, xs, []int{715, 690, 665, 640}) +
			drawRow(700, 12, text, "Year", "Sold", "Kept") + drawRow(675, 12, text, "2025", "5", "6") + drawRow(650, 12, text, "2026", "7", "8")},
			[]string{"| Year | Sold | Kept |\n| --- | --- | --- |\n| 2025 | 5 | 6 |\n| 2026 | 7 | 8 |"}, ""},
		{"header over two columns", []string{stroke(60, 715, 480, 715) + stroke(60, 665, 480, 665) + stroke(60, 640, 480, 640) + stroke(60, 615, 480, 615) + stroke(200, 690, 480, 690) +
			stroke(60, 715, 60, 615) + stroke(200, 715, 200, 615) + stroke(480, 715, 480, 615) + stroke(340, 690, 340, 615) +
			pdfLine(10, 65, 675, "Place") + pdfLine(10, 260, 700, "Sales") + drawRow(675, 12, text, "", "2025", "2026") + drawRow(650, 12, text, "York", "5", "6") + drawRow(625, 12, text, "Hull", "7", "8")},
			[]string{"| Place | Sales 2025 | Sales 2026 |\n| --- | --- | --- |\n| York | 5 | 6 |\n| Hull | 7 | 8 |"}, ""},
		{"title row", []string{stroke(60, 740, 480, 740) + stroke(60, 740, 60, 715) + stroke(480, 740, 480, 715) + pdfLine(10, 65, 724, "Table 3: what is paid") + drawGrid(stroke, xs, ys) + wrapped},
			[]string{wrappedMD}, "Table 3: what is paid\n\n| Kind"},
		{"a line under each row", []string{stroke(60, 690, 480, 690) + stroke(60, 655, 480, 655) + stroke(60, 608, 480, 608) + wrapped + stroke(60, 580, 480, 580) + drawRow(590, 12, text, "Adoption", "52 weeks", "Full pay")},
			[]string{wrappedMD + "\n| Adoption | 52 weeks | Full pay |"}, ""},
		{"three lines", []string{stroke(60, 715, 480, 715) + stroke(60, 693, 480, 693) + stroke(60, 630, 480, 630) +
			drawRow(700, 12, text, "City", "Population", "Area") + drawRow(680, 12, text, "York", "210 000", "272") + drawRow(668, 12, text, "Hull", "267 000", "71") +
			drawRow(656, 12, text, "Lincoln", "103 000", "36") + drawRow(644, 12, text, "Bath", "94 000", "29")},
			[]string{"| City | Population | Area |\n| --- | --- | --- |\n| York | 210 000 | 272 |\n| Hull | 267 000 | 71 |\n| Lincoln | 103 000 | 36 |\n| Bath | 94 000 | 29 |"}, ""},
		{"upright lines and rows without lines", []string{drawGrid(stroke, xs, []int{715, 693, 630}) +
			drawRow(700, 12, text, "City", "Population", "Area") + drawRow(680, 12, text, "York\nHull\nLincoln\nBath", "210 000\n267 000\n103 000\n94 000", "272\n71\n36\n29")},
			[]string{"| City | Population | Area |\n| --- | --- | --- |\n| York | 210 000 | 272 |\n| Hull | 267 000 | 71 |\n| Lincoln | 103 000 | 36 |\n| Bath | 94 000 | 29 |"}, ""},
		{"no lines", []string{drawRow(700, 12, text, "City", "Population", "Note") + drawRow(685, 12, text, "York", "210 000", "walled, with a fine and large\nminster") + drawRow(658, 12, text, "Hull", "267 000", "port") + drawRow(643, 12, text, "Bath", "94 000", "springs")},
			[]string{"| City | Population | Note |\n| --- | --- | --- |\n| York | 210 000 | walled, with a fine and large minster |\n| Hull | 267 000 | port |\n| Bath | 94 000 | springs |"}, ""},
		{"no lines, a second line in each row", []string{drawRow(700, 12, text, "Title", "Days", "Rate") + drawRow(686, 12, text, "1", "Winter Tale\n(98 min)", "$150") + drawRow(660, 12, text, "2", "New Year\n(116 min)", "$300") + drawRow(634, 12, text, "3", "Spring\n(90 min)", "$200")},
			[]string{"| Title | Days | Rate |\n| --- | --- | --- |\n| 1 | Winter Tale (98 min) | $150 |\n| 2 | New Year (116 min) | $300 |\n| 3 | Spring (90 min) | $200 |"}, ""},
		{"no lines, close together", []string{drawRow(700, 12, []int{60, 101, 131}, "Part", "Price", "Left") + drawRow(685, 12, []int{60, 101, 131}, "Filter", "12.50", "40") + drawRow(670, 12, []int{60, 101, 131}, "Gasket", "13.10", "7") +
			drawRow(655, 12, []int{60, 101, 131}, "Washer", "3.10", "61") + drawRow(640, 12, []int{60, 101, 131}, "Valve", "22.00", "3") + drawRow(625, 12, []int{60, 101, 131}, "Socket", "11.75", "12")},
			[]string{"| Part | Price | Left |\n| --- | --- | --- |\n| Filter | 12.50 | 40 |\n| Gasket | 13.10 | 7 |\n| Washer | 3.10 | 61 |\n| Valve | 22.00 | 3 |\n| Socket | 11.75 | 12 |"}, ""},
		{"over a page's end", []string{
			prose(720, 6) + drawGrid(stroke, xs, []int{160, 135, 110}) + drawRow(145, 12, text, "Part", "Price", "Stock") + drawRow(120, 12, text, "Filter", "12", "40"),
			drawGrid(stroke, xs, []int{760, 735, 710}) + drawRow(745, 12, text, "Part", "Price", "Stock") + drawRow(720, 12, text, "Valve", "22", "3") + prose(650, 3)},
			[]string{"| Part | Price | Stock |\n| --- | --- | --- |\n| Filter | 12 | 40 |\n| Valve | 22 | 3 |"}, ""},
		{"over a page's end, header once", []string{
			prose(720, 6) + drawGrid(stroke, xs, []int{160, 135, 110}) + drawRow(145, 12, text, "Part", "Price", "Stock") + drawRow(120, 12, text, "Filter", "12", "40"),
			drawGrid(stroke, xs, []int{760, 735, 710}) + drawRow(745, 12, text, "Gasket", "3", "7") + drawRow(720, 12, text, "Valve", "22", "3") + prose(650, 3)},
			[]string{"| Part | Price | Stock |\n| --- | --- | --- |\n| Filter | 12 | 40 |\n| Gasket | 3 | 7 |\n| Valve | 22 | 3 |"}, ""},
		{"prose in a frame", []string{drawGrid(stroke, []int{50, 560}, []int{740, 640}) + prose(720, 5)}, nil, "on over the whole"},
		{"prose between lines", []string{stroke(60, 740, 480, 740) + prose(725, 3) + stroke(60, 690, 480, 690) + prose(675, 3) + stroke(60, 640, 480, 640) + prose(625, 2) + stroke(60, 600, 480, 600)}, nil, ""},
		{"words in boxes that overlap", []string{drawGrid(stroke, []int{60, 120, 180}, []int{740, 720, 700}) + drawGrid(stroke, []int{90, 150, 210}, []int{730, 710, 690}) + prose(722, 3)}, nil, ""},
		{"table of contents", []string{drawRow(700, 14, []int{60, 400}, "One ........\nTwo ........\nThree ........\nFour ........", "1\n4\n9\n16")}, nil, ""},
		{"listing with numbers", []string{drawRow(700, 14, []int{60, 90}, "1\n2\n3\n4\n5", "for i in range(10):\nif i is even then go on\nprint the number i\nand another line of it\nend")}, nil, ""},
		{"columns of text", []string{drawRow(700, 14, []int{60, 320}, "Wer reitet so late through night and wind\nIt is the father with his only child\nHe has the boy well in his tight arm\nHe holds him safely and keeps him warm",
			"My son why do you hide your face in fear\nDo you not see father the Erlking there\nthe king of elves with his crown and train\nMy son it is a wisp of the fog and rain")}, nil, "keeps him warm"},
		{"drawing of many lines", []string{storm.String() + pdfLine(10, 60, 700, "A map of the town")}, nil, "A map of the town"},
	}
	for _, cfg := range []struct {
		name string
		ingest.ExtractorConfig
	}{{"worker", ingest.ExtractorConfig{Worker: workerArgv(), Workers: 1}}, {"in process", ingest.ExtractorConfig{Workers: 1}}} {
		ex := newExtractor(t, cfg.ExtractorConfig)
		for _, tt := range tests {
			t.Run(cfg.name+"/"+tt.name, func(t *testing.T) {
				start := time.Now()
				doc, err := ex.Extract(context.Background(), ingest.File{Path: writeFile(t, "a.pdf", makePDF(tt.pages...))})
				if err != nil {
					t.Fatal(err)
				}
				checkDocument(t, tt.name, doc)
				var got []string
				for _, b := range blocksOf(doc) {
					if b.Kind == "table" {
						got = append(got, b.Text)
					}
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("tables (-want +got):\n%s\nof %q", diff, doc.Text)
				}
				if !strings.Contains(doc.Text, tt.holds) {
					t.Errorf("%q is not in %q", tt.holds, doc.Text)
				}
				if took := time.Since(start); took > 15*time.Second {
					t.Errorf("took %v", took)
				}
			})
		}
	}
}

// TestHandbook compares the sample handbook, which a browser printed, with what a person checked
// against its pages.
func TestHandbook(t *testing.T) {
	golden := filepath.Join("testdata", "employee-handbook.golden.md")
	for _, cfg := range []ingest.ExtractorConfig{{Worker: workerArgv(), Workers: 1}, {Workers: 1}} {
		ex := newExtractor(t, cfg)
		doc, err := ex.Extract(context.Background(), ingest.File{Path: filepath.Join("..", "examples", "corpus", "employee-handbook.pdf")})
		if err != nil {
			t.Fatal(err)
		}
		checkDocument(t, "handbook", doc)
		var b strings.Builder
		for _, bl := range blocksOf(doc) {
			if bl.Kind == "heading" {
				b.WriteString(strings.Repeat("#", bl.Level) + " ")
			}
			b.WriteString(bl.Text + "\n\n")
		}
		if *update {
			if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.ReplaceAll(string(want), "\r\n", "\n"), b.String()); diff != "" {
			t.Errorf("read by %s (-want +got):\n%s", doc.Metadata["engine"], diff)
		}
	}
}
