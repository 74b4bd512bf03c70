package retriever_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"

	"docent/retriever"
)

// simPaths is how many paths a collection can have.
const simPaths = 14

var (
	simCollections = []string{"a", "b"}
	simWords       = strings.Fields("pump oil leave salary engine wing boundary café rule 年假 员工 设备")
	simEncoders    = []wordEncoder{words, {name: "words@2", dim: 48}}
)

type simKind int

const (
	simPut       simKind = iota
	simDuplicate         // of another path, if that has its own content
	simDelete
	simDrop // the collection
	simCreate
	simReindex // the collection, for the encoder at hand
	simQuery
)

type simOp struct {
	step             int
	kind             simKind
	collection, path string
	other            string // path that a duplicate is of, one of few, so that some have several
	text             string
	word             string
}

// simOpAt is the operation of a step.
func simOpAt(seed uint64, step int) simOp {
	rnd := rand.New(rand.NewPCG(seed, uint64(step)))
	op := simOp{step: step, collection: simCollections[rnd.IntN(2)], path: fmt.Sprintf("p%02d", rnd.IntN(simPaths)), other: fmt.Sprintf("p%02d", rnd.IntN(4)), word: simWords[rnd.IntN(len(simWords))]}
	switch n := rnd.IntN(1000); {
	case n < 360:
		op.kind = simPut
	case n < 520:
		op.kind = simDuplicate
	case n < 680:
		op.kind = simDelete
	case n < 690:
		op.kind = simDrop
	case n < 720:
		op.kind = simCreate
	case n < 730:
		op.kind = simReindex
	default:
		op.kind = simQuery
	}
	// Texts come again, so that documents share bytes and chunks share vectors.
	rnd = rand.New(rand.NewPCG(seed, 1<<40+uint64(rnd.IntN(60))))
	var sb strings.Builder
	for range 1 + rnd.IntN(6) {
		for range 1 + rnd.IntN(5) {
			sb.WriteString(simWords[rnd.IntN(len(simWords))] + " ")
		}
		sb.WriteString("\n")
	}
	op.text = sb.String()
	return op
}

// do performs the operation, of whose result it expects nothing: only that it is none of the errors that an
// operation cannot meet.
func (op simOp) do(ctx context.Context, s *retriever.Store) error {
	var err error
	switch op.kind {
	case simPut:
		var sum string
		if sum, _, err = s.PutFile(ctx, strings.NewReader(op.text)); err == nil {
			_, err = put(ctx, s, op.collection, retriever.Document{Path: op.path, SHA256: sum}, op.text)
		}
	case simDuplicate:
		of, found := s.DocumentByPath(ctx, op.collection, op.other)
		if found != nil || of.DuplicateOf != "" || op.path == op.other {
			return nil
		}
		// The bytes are there: they are put again, as by somebody who does not know it.
		content, err := s.Content(ctx, of.ID)
		if err != nil {
			return err
		}
		if _, _, err := s.PutFile(ctx, strings.NewReader(content.Text)); err != nil {
			return err
		}
		_, err = s.PutDuplicate(ctx, op.collection, retriever.Document{Path: op.path, SHA256: of.SHA256, DuplicateOf: of.ID})
		return err
	case simDelete:
		d, found := s.DocumentByPath(ctx, op.collection, op.path)
		if found != nil {
			return nil
		}
		err = s.DeleteDocument(ctx, d.ID)
	case simDrop:
		err = s.DeleteCollection(ctx, op.collection)
	case simCreate:
		_, err = s.CreateCollection(ctx, op.collection)
	case simReindex:
		_, err = s.Reindex(ctx, op.collection, nil)
	case simQuery:
		_, err = s.Search(ctx, op.collection, op.word, retriever.WithMode(retriever.Keyword))
	}
	if errors.Is(err, retriever.ErrNotFound) || errors.Is(err, retriever.ErrExists) || errors.Is(err, retriever.ErrEncoderMismatch) {
		err = nil
	}
	return err
}

// A simDocument is what the model knows of a document.
type simDocument struct {
	text  string
	of    string // path of the document it is a duplicate of
	added int    // step at which its path came
}

type simCollection struct {
	encoder   int // place in simEncoders; of no meaning without documents
	documents map[string]simDocument
}

type simModel map[string]*simCollection

func (m simModel) clone() simModel {
	c := simModel{}
	for name, col := range m {
		c[name] = &simCollection{col.encoder, maps.Clone(col.documents)}
	}
	return c
}

// apply does to the model what an operation does to a store of the encoder.
func (m simModel) apply(op simOp, encoder int) {
	c := m[op.collection]
	if c == nil {
		if op.kind == simCreate {
			m[op.collection] = &simCollection{encoder, map[string]simDocument{}}
		}
		return
	}
	old, there := c.documents[op.path]
	added := op.step
	if there {
		added = old.added
	}
	switch op.kind {
	case simPut:
		if len(c.documents) == 0 {
			c.encoder = encoder
		}
		if c.encoder != encoder {
			return
		}
		if there && old.text != op.text {
			c.promote(op.path)
		}
		c.documents[op.path] = simDocument{text: op.text, added: added}
	case simDuplicate:
		of, ok := c.documents[op.other]
		if !ok || of.of != "" || op.path == op.other {
			return
		}
		if there {
			c.promote(op.path)
		}
		c.documents[op.path] = simDocument{text: of.text, of: op.other, added: added}
	case simDelete:
		c.promote(op.path)
		delete(c.documents, op.path)
	case simDrop:
		delete(m, op.collection)
	case simReindex:
		c.encoder = encoder
	}
}

// promote gives what a document has to the oldest of its duplicates.
func (c *simCollection) promote(path string) {
	heir := ""
	for p, d := range c.documents {
		if d.of == path && (heir == "" || d.added < c.documents[heir].added) {
			heir = p
		}
	}
	for p, d := range c.documents {
		if d.of == path {
			if d.of = heir; p == heir {
				d.of = ""
			}
			c.documents[p] = d
		}
	}
}

type simChunk struct{ path, text string }

// chunks are those of the documents that have their own.
func (c *simCollection) chunks() []simChunk {
	var all []simChunk
	for path, d := range c.documents {
		if d.of == "" {
			for line := range strings.Lines(d.text) {
				all = append(all, simChunk{path, line})
			}
		}
	}
	return all
}

// listed is the model's part that the list of documents shows.
func (m simModel) listed() map[string]string {
	l := map[string]string{}
	for name, c := range m {
		l[name] = ""
		for path, d := range c.documents {
			sum := sha256.Sum256([]byte(d.text))
			chunks := strings.Count(d.text, "\n")
			if d.of != "" {
				chunks = 0
			}
			l[name+"/"+path] = fmt.Sprintf("%s of %q, %d chunks, %s", hex.EncodeToString(sum[:4]), d.of, chunks, simEncoders[c.encoder].name)
		}
	}
	return l
}
