package retriever

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"docent/internal/dense"
	"docent/internal/keyword"
	"docent/internal/sections"
)

// A part is what is searched of consecutive chunks of a collection. The last part of an index is being
// filled; the others do not change, and may lie in a file (see save.go).
type part struct {
	ids       []int64  // of chunks, ascending
	document  []uint32 // by chunk: the place in documents
	documents []string // ids
	words     *keyword.Part
	vectors   *dense.Part // nil when keyword-only

	file  *sections.File // nil when the part is being filled
	saved bool           // file is on the disk
}

func newPart(dim int) (*part, error) {
	p := &part{words: new(keyword.Part)}
	if dim > 0 {
		var err error
		if p.vectors, err = dense.NewPart(dim); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *part) len() int { return len(p.ids) }

// add puts a chunk in. Its id is above those before, and its vector has passed checkVector.
func (p *part) add(id int64, document string, words keyword.Terms, vector []float32) error {
	if p.vectors != nil {
		if err := p.vectors.Add(id, vector); err != nil {
			return err
		}
	}
	p.words.Add(words)
	p.ids = append(p.ids, id)
	if n := len(p.documents); n == 0 || p.documents[n-1] != document { // chunks of a document follow each other
		p.documents = append(p.documents, document)
	}
	p.document = append(p.document, uint32(len(p.documents)-1))
	return nil
}

func (p *part) close() error {
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}

// partFormat changes with every change of what merge writes.
const partFormat = 1

// about says what a merged part is of.
type about struct {
	Format     int    `json:"format"`
	Analysis   int    `json:"analysis"` // keyword.Version
	Collection string `json:"collection"`
	Encoder    string `json:"encoder"`
	Dim        int    `json:"dim"`
}

// merge writes the chunks of parts that are live as one part, and returns the new number of each, or
// keyword.Gone. The parts must not change meanwhile.
func merge(w *sections.Writer, parts []*part, live func(number uint32) bool, what about) (to [][]uint32, err error) {
	var ids []int64
	var document []uint32
	var documents []string
	number := uint32(0)
	for _, p := range parts {
		at := make([]uint32, p.len())
		for i, id := range p.ids {
			at[i] = keyword.Gone
			if live(number) {
				at[i] = uint32(len(ids))
				ids = append(ids, id)
				if d := p.documents[p.document[i]]; len(documents) == 0 || documents[len(documents)-1] != d {
					documents = append(documents, d)
				}
				document = append(document, uint32(len(documents)-1))
			}
			number++
		}
		to = append(to, at)
	}
	header, err := json.Marshal(what)
	if err != nil {
		return nil, err
	}
	words, vectors := make([]*keyword.Part, len(parts)), make([]*dense.Part, len(parts))
	for i, p := range parts {
		words[i], vectors[i] = p.words, p.vectors
	}
	err = cmp.Or(
		sections.Write(w, "about", header),
		sections.Write(w, "ids", ids),
		sections.Write(w, "document", document),
		sections.Write(w, "documents", []byte(strings.Join(documents, "\n"))),
	)
	if err == nil {
		err = keyword.Merge(w, words, to)
	}
	if err == nil && what.Dim > 0 {
		err = dense.Merge(w, vectors, to)
	}
	return to, err
}

// openPart returns the part that merge wrote. It refuses one that is of something else than what.
func openPart(f *sections.File, what about) (*part, error) {
	header, err := f.Bytes("about")
	if err != nil {
		return nil, err
	}
	var has about
	if err := json.Unmarshal(header, &has); err != nil || has != what {
		return nil, fmt.Errorf("it is of %s, not of what is wanted", bytes.TrimSpace(header))
	}
	p := &part{file: f}
	var err1, err2, err3 error
	var documents []byte
	p.ids, err1 = sections.Array[int64](f, "ids")
	p.document, err2 = sections.Array[uint32](f, "document")
	documents, err3 = f.Bytes("documents")
	if err := cmp.Or(err1, err2, err3); err != nil {
		return nil, err
	}
	if len(documents) > 0 {
		p.documents = strings.Split(string(documents), "\n")
	}
	ascending := slices.IsSortedFunc(p.ids, func(a, b int64) int { return cmp.Or(cmp.Compare(a, b), 1) })
	for _, d := range p.document {
		ascending = ascending && int(d) < len(p.documents)
	}
	if !ascending || len(p.document) != len(p.ids) {
		return nil, fmt.Errorf("%w: its ids are not in order", sections.ErrDamaged)
	}
	if p.words, err = keyword.Open(f, len(p.ids)); err != nil {
		return nil, err
	}
	if what.Dim > 0 {
		p.vectors, err = dense.Open(f, what.Dim, p.ids)
	}
	return p, err
}
