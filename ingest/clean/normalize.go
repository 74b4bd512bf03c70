package clean

import (
	"golang.org/x/text/unicode/norm"

	"docent/chunker"
)

// normalize brings the text into normal form KC (Unicode Standard Annex 15), piece by piece, so that
// ranges can follow. changed is the number of pieces, each a character with its
// marks, that were replaced.
func normalize(doc chunker.Document) (out chunker.Document, changed int) {
	var edits []Edit
	text := doc.Text
	at := norm.NFKC.QuickSpanString(text)
	var it norm.Iter
	it.InitString(norm.NFKC, text[at:])
	for !it.Done() {
		start := at + it.Pos()
		piece := it.Next()
		end := at + it.Pos()
		if text[start:end] == string(piece) {
			continue
		}
		if end > start { // else more of what the character before stands for
			changed++
		}
		if n := len(edits); n > 0 && edits[n-1].End == start {
			edits[n-1].End, edits[n-1].New = end, edits[n-1].New+string(piece)
			continue
		}
		edits = append(edits, Edit{start, end, string(piece)})
	}
	return Apply(doc, edits), changed
}
