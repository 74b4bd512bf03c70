package clean

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"docent/chunker"
)

var digits = regexp.MustCompile(`[0-9]+`)

const (
	repeatedLineMax  = 120 // runes
	repeatedPagesMin = 3
	repeatedMin      = 4 // without pages
)

// repeatedLines finds the running headers and footers of printed pages: lines that stand at the top or
// foot of at least three pages and a third of all, or, in text that came without pages, lines that
// return at even distances. Numbers count as equal. Headings, tables and code are never taken.
func repeatedLines(doc chunker.Document) []judgement {
	var found []int
	if len(doc.Pages) >= repeatedPagesMin {
		found = repeatedOnPages(doc)
	} else if len(doc.Pages) == 0 {
		found = repeatedEvenly(doc)
	}
	slices.Sort(found)
	// What is most of a document is what the document says.
	dropped := 0
	for _, i := range found {
		dropped += doc.Blocks[i].End - doc.Blocks[i].Start
	}
	if dropped*4 > len(doc.Text) {
		return nil
	}
	bad := make([]judgement, len(found))
	for n, i := range found {
		bad[n] = judgement{i, "repeated line"}
	}
	return bad
}

// repeatable is the key by which lines are compared, or "" for a block that is not to be taken.
func repeatable(doc chunker.Document, i int) string {
	b := doc.Blocks[i]
	if b.Kind != chunker.Paragraph || b.End-b.Start > 4*repeatedLineMax {
		return ""
	}
	text := strings.TrimSpace(doc.Text[b.Start:b.End])
	if strings.Contains(text, "\n") || utf8.RuneCountInString(text) > repeatedLineMax {
		return ""
	}
	return digits.ReplaceAllString(text, "#")
}

func repeatedOnPages(doc chunker.Document) []int {
	on := map[string][]int{}
	page, last := 0, -1
	for i, b := range doc.Blocks {
		for page < len(doc.Pages)-1 && b.Start >= doc.Pages[page].End {
			page++
		}
		first := page != last
		last = page
		foot := i+1 == len(doc.Blocks) || doc.Blocks[i+1].Start >= doc.Pages[page].End
		if first == foot { // neither, or all there is on the page
			continue
		}
		if key := repeatable(doc, i); key != "" {
			if foot {
				key += "\x00"
			}
			on[key] = append(on[key], i)
		}
	}
	var found []int
	for _, blocks := range on {
		if len(blocks) >= repeatedPagesMin && len(blocks)*3 >= len(doc.Pages) {
			found = append(found, blocks...)
		}
	}
	return found
}

// repeatedEvenly finds lines at distances that are at least 15 blocks or 1,500 bytes in the middle and
// for nine tenths of them within half and twice that.
func repeatedEvenly(doc chunker.Document) []int {
	at := map[string][]int{}
	for i := range doc.Blocks {
		if key := repeatable(doc, i); key != "" {
			at[key] = append(at[key], i)
		}
	}
	var found []int
	for key, blocks := range at {
		if len(blocks) < repeatedMin || strings.Trim(key, "#., $%-") == "" && !numbersAscend(doc, blocks) {
			continue
		}
		gaps := make([]int, len(blocks)-1)
		for n := range gaps {
			gaps[n] = doc.Blocks[blocks[n+1]].Start - doc.Blocks[blocks[n]].Start
		}
		slices.Sort(gaps)
		middle := gaps[len(gaps)/2]
		even := 0
		for _, g := range gaps {
			if g*2 >= middle && g <= middle*2 {
				even++
			}
		}
		if middle >= 1500 && even*10 >= len(gaps)*9 {
			found = append(found, blocks...)
		}
	}
	return found
}

// numbersAscend tells page numbers from other numbers that stand alone.
func numbersAscend(doc chunker.Document, blocks []int) bool {
	last := ""
	for _, i := range blocks {
		n := strings.TrimLeft(digits.FindString(doc.Text[doc.Blocks[i].Start:doc.Blocks[i].End]), "0")
		if n == "" || len(n) < len(last) || len(n) == len(last) && n <= last {
			return false
		}
		last = n
	}
	return true
}
