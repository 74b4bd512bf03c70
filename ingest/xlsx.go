package ingest

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/xuri/excelize/v2"

	"docent/chunker"
)

const (
	xlsxPartInMemory = 16 << 20 // larger parts wait in a temporary file
	xlsxComments     = 10_000   // of one sheet
)

// parseXLSX reads the sheets of a workbook, each as a heading and a table of what its cells show, and
// the comments on them.
func parseXLSX(p *parser, in *input, f form) (*Document, error) {
	pk, err := openPacked(in)
	if err != nil {
		return nil, err
	}
	total := uint64(0)
	for _, m := range pk.zr.File {
		if m.UncompressedSize64 > uint64(pk.max) {
			total = uint64(pk.max) + 1
			break
		}
		total += m.UncompressedSize64
	}
	if total > uint64(pk.max) {
		return nil, parseError(ErrTooLarge, "it states that it unpacks to more than the limit of %s (a ZIP bomb?)", byteSize(pk.max))
	}
	book, err := excelize.OpenReader(io.NewSectionReader(in.file, 0, in.size), excelize.Options{
		UnzipSizeLimit: pk.max, UnzipXMLSizeLimit: min(xlsxPartInMemory, pk.max), ShortDatePattern: "yyyy-mm-dd", LongDatePattern: "yyyy-mm-dd",
	})
	if err != nil {
		switch {
		case strings.Contains(err.Error(), "unzip size"):
			return nil, parseError(ErrTooLarge, "it unpacks to more than %s (a ZIP bomb?)", byteSize(pk.max))
		case errors.Is(err, excelize.ErrWorkbookPassword), errors.Is(err, excelize.ErrWorkbookFileFormat):
			return nil, parseError(ErrDamaged, "it is no workbook that can be opened: %v", err)
		}
		return nil, parseError(ErrDamaged, "%v", err)
	}
	defer book.Close()
	b := newDocBuilder("xlsx", in.cfg.MaxText)
	title := pk.core(b)
	sheets := xlsxSheets(pk)
	for _, sheet := range book.GetSheetList() {
		rows, err := xlsxRows(in, book, sheet)
		if _, stop := errors.AsType[*FileError](err); stop {
			return nil, err
		}
		if cerr := in.ctx.Err(); cerr != nil {
			return nil, cerr
		}
		if err != nil {
			b.warn(fmt.Sprintf("the sheet %q cannot be read to its end: %v", sheet, err))
		}
		for _, l := range sheets[sheet].links(pk) {
			// The rows ascend by their numbers.
			i, found := slices.BinarySearchFunc(rows, l.row, func(r sheetRow, n int) int { return r.number - n })
			if found && l.column <= len(rows[i].cells) {
				cell := &rows[i].cells[l.column-1]
				*cell = b.link(l.target, *cell)
			}
		}
		if len(rows) > 0 {
			b.add(chunker.Heading, 1, sheet)
			addTable(b, sheet, numbered(rows), true)
		}
		if in.recognize {
			for _, name := range sheets[sheet].pictures(pk) {
				p := picture{Ref: name}
				if len(rows) == 0 {
					p.Heading, p.Level = sheet, 1
				}
				b.pictureIn(p)
			}
		}
		comments, err := book.GetComments(sheet)
		if err != nil {
			continue
		}
		for _, c := range comments[:min(len(comments), xlsxComments)] {
			text := c.Text
			for _, run := range c.Paragraph {
				text += run.Text
			}
			b.add(chunker.Quote, 0, c.Cell+": "+text)
		}
	}
	return b.finish(in.name, title)
}

// A sheetRow is a row of a spreadsheet and its number there, from 1.
type sheetRow struct {
	number int
	cells  []string
}

func numbered(rows []sheetRow) iter.Seq2[int, []string] {
	return func(yield func(int, []string) bool) {
		for _, r := range rows {
			if !yield(r.number, r.cells) {
				return
			}
		}
	}
}

// xlsxRows are the rows of a sheet that hold something.
func xlsxRows(in *input, book *excelize.File, sheet string) ([]sheetRow, error) {
	it, err := book.Rows(sheet)
	if err != nil {
		return nil, nil // a chart on a sheet of its own
	}
	defer it.Close()
	limit := in.cfg.MaxText
	if limit <= 0 {
		limit = defaultMaxText
	}
	var rows []sheetRow
	size := int64(0)
	for n := 1; it.Next(); n++ {
		if n&0xff == 0 && in.ctx.Err() != nil {
			return nil, in.ctx.Err()
		}
		row, err := it.Columns()
		if err != nil {
			return rows, err
		}
		row = row[:min(len(row), tableMaxColumns)]
		for len(row) > 0 && strings.TrimSpace(row[len(row)-1]) == "" {
			row = row[:len(row)-1]
		}
		if len(row) == 0 {
			continue
		}
		for _, c := range row {
			size += int64(len(c)) + 3
		}
		if size > limit {
			return nil, parseError(ErrTooLarge, "its sheet %q holds more than %s of text; split it, or raise --max-text", sheet, byteSize(limit))
		}
		rows = append(rows, sheetRow{n, slices.Clip(row)})
	}
	return rows, it.Error()
}
