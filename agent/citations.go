package agent

import (
	"regexp"
	"strconv"

	"docent/chain"
)

var markRE = regexp.MustCompile(`\[(\d{1,3})\]`)

// resolve drops citation markers that point nowhere.
func resolve(text string, passages []chain.Passage) (string, []chain.Citation) {
	cites := []chain.Citation{}
	seen := map[int]bool{}
	out := markRE.ReplaceAllStringFunc(text, func(s string) string {
		n, _ := strconv.Atoi(s[1 : len(s)-1])
		if n < 1 || n > len(passages) {
			return ""
		}
		if !seen[n] {
			seen[n] = true
			p := passages[n-1]
			cites = append(cites, chain.Citation{N: n, ChunkID: p.ChunkID, DocumentID: p.DocumentID, Document: p.Document, Path: p.Path, Page: p.Page, Headings: p.Headings, Start: p.Start, End: p.End, Quote: p.Text})
		}
		return s
	})
	return out, cites
}
