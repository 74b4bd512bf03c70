package retriever

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"docent/chunker"
	"docent/internal/catalog"
	"docent/internal/keyword"
)

// A Document is what is known of a stored document, without its text.
type Document struct {
	ID         string            `json:"id"`
	Collection string            `json:"collection"`
	Path       string            `json:"path"` // its name within the collection, as shown and cited
	Title      string            `json:"title"`
	Format     string            `json:"format"`
	Language   string            `json:"language"` // ISO 639-1; empty when unknown
	SHA256     string            `json:"sha256"`   // of its file, as PutFile returned it; empty when none is kept
	Bytes      int64             `json:"bytes"`
	Pages      int               `json:"pages"`
	Chunks     int               `json:"chunks"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	Warnings   []string          `json:"warnings,omitempty"`
	AddedAt    time.Time         `json:"added_at"`
	UpdatedAt  time.Time         `json:"updated_at"`
	// DuplicateOf is the id of a document with the same bytes, whose passages stand for this one too;
	// empty when it has its own. See Store.PutDuplicate.
	DuplicateOf string `json:"duplicate_of,omitempty"`
}

// Notes go into the record with a document: a report on how it was made, as JSON, and what finds
// documents that are nearly the same.
type Notes = catalog.Notes

// embedBatch is how many texts go to the encoder at a time. The encoder cuts batches of its own; this only has to
// be large enough to keep it busy.
const embedBatch = 64

// progressEncoder is an Encoder that tells while it works on a batch how many of its texts are done.
type progressEncoder interface {
	EmbedDocumentsProgress(ctx context.Context, texts []string, progress func(done int)) ([][]float32, error)
}

// Vectors returns one unit-length vector a chunk, of its IndexText, by the store's encoder. A vector
// that is already stored for the same text and encoder, in any collection, is reused. progress, unless
// nil, is called with the number of chunks done so far. It returns nil when the store has no encoder
// and the collection no vectors, and ErrEncoderMismatch when the two differ.
func (s *Store) Vectors(ctx context.Context, collection string, chunks []chunker.Chunk, progress func(done int)) ([][]float32, error) {
	if err := s.writable(ctx, collection); err != nil {
		return nil, err
	}
	if s.encoder == nil {
		return nil, nil
	}
	known, err := s.embed(ctx, chunks, progress)
	if err != nil {
		return nil, err
	}
	vectors := make([][]float32, len(chunks))
	for i, c := range chunks {
		vectors[i] = known[catalog.HashText(c.IndexText())]
	}
	return vectors, nil
}

// embed returns the vectors of the chunks by the hash of their text. Those that the encoder has made
// before are not made again; when it fails, or ctx ends, those it has made until then are kept in the
// record, so that they are not made again either: some encoders ask for money.
func (s *Store) embed(ctx context.Context, chunks []chunker.Chunk, progress func(done int)) (known map[catalog.Hash][]float32, err error) {
	hashes := make([]catalog.Hash, len(chunks))
	for i, c := range chunks {
		hashes[i] = catalog.HashText(c.IndexText())
	}
	known, err = s.db.VectorsByHash(ctx, s.fingerprint(), hashes)
	if err != nil {
		return nil, err
	}
	made := make(map[catalog.Hash][]float32)
	defer func() {
		if err == nil || len(made) == 0 {
			return
		}
		if serr := s.db.SpareVectors(context.WithoutCancel(ctx), s.fingerprint(), made); serr != nil {
			s.log.Warn("vectors made before the failure are lost", "count", len(made), "error", serr)
		}
	}()
	done := 0
	var batch []int // chunks whose text goes to the encoder, each text once
	report := func() {
		if progress != nil {
			progress(done)
		}
	}
	encode := func() error {
		if len(batch) == 0 {
			return nil
		}
		texts := make([]string, len(batch))
		for i, c := range batch {
			texts[i] = chunks[c].IndexText()
		}
		var vectors [][]float32
		var err error
		if e, ok := s.encoder.(progressEncoder); ok && progress != nil {
			vectors, err = e.EmbedDocumentsProgress(ctx, texts, func(n int) { progress(done + n) })
		} else {
			vectors, err = s.encoder.EmbedDocuments(ctx, texts)
		}
		if err != nil {
			return fmt.Errorf("embed: %w", err)
		}
		if len(vectors) != len(texts) {
			return fmt.Errorf("embed: %w: %s returned %d vectors for %d texts", ErrInvalidVector, s.fingerprint(), len(vectors), len(texts))
		}
		for i, c := range batch {
			if err := normalise(vectors[i], s.dim()); err != nil {
				return fmt.Errorf("embed: %s: %w", s.fingerprint(), err)
			}
			made[hashes[c]] = vectors[i]
		}
		done += len(batch)
		batch = batch[:0]
		return nil
	}
	waiting := make(map[catalog.Hash]bool)
	for i, h := range hashes {
		if checkVector(known[h], s.dim()) == nil || waiting[h] { // a damaged one is made again
			done++
			continue
		}
		waiting[h] = true
		batch = append(batch, i)
		if len(batch) < embedBatch {
			continue
		}
		if err := encode(); err != nil {
			return nil, err
		}
		report()
	}
	if err := encode(); err != nil {
		return nil, err
	}
	report()
	maps.Copy(known, made)
	return known, nil
}

// writable returns ErrEncoderMismatch unless the store's encoder is the collection's. An empty
// collection takes the store's encoder.
func (s *Store) writable(ctx context.Context, collection string) error {
	if s.readOnly {
		return ErrReadOnly
	}
	has, _, err := s.engine.encoder(ctx, collection)
	if err != nil {
		return err
	}
	if has == s.fingerprint() {
		return nil
	}
	taken, err := s.db.SetEncoder(ctx, collection, s.fingerprint(), s.dim())
	if err != nil {
		return err
	}
	if !taken {
		return mismatch(collection, has, s.fingerprint())
	}
	return s.engine.discard(ctx, collection)
}

// normalise scales v to unit length, in place.
func normalise(v []float32, dim int) error {
	n, err := norm(v, dim)
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%w: it is all zero", ErrInvalidVector)
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / n)
	}
	return nil
}

func norm(v []float32, dim int) (float64, error) {
	if len(v) != dim {
		return 0, fmt.Errorf("%w: it has %d values, want %d", ErrInvalidVector, len(v), dim)
	}
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		return 0, fmt.Errorf("%w: a value is not a finite number", ErrInvalidVector)
	}
	return math.Sqrt(sum), nil
}

// checkVector returns ErrInvalidVector unless v is of unit length, give or take rounding.
func checkVector(v []float32, dim int) error {
	n, err := norm(v, dim)
	if err != nil {
		return err
	}
	if math.Abs(n-1) > 1e-3 {
		return fmt.Errorf("%w: its length is %.4g, want 1", ErrInvalidVector, n)
	}
	return nil
}

// Put stores a document in place of the one of the same path, whose ID it keeps, and returns it as
// stored. vectors are those of the chunks, as Vectors returns them. When Put returns nil the document
// is durable and found by every later search; until then searches find the old version, whole. After an
// error nothing has changed. At most one set of notes can be given.
//
// It returns ErrNotFound for an unknown collection, ErrInvalidName for an empty path, ErrInvalidChunk,
// ErrInvalidVector, ErrEncoderMismatch, and ErrStorageFull.
func (s *Store) Put(ctx context.Context, collection string, doc Document, content chunker.Document, chunks []chunker.Chunk, vectors [][]float32, notes ...Notes) (Document, error) {
	if doc.Path == "" || !utf8.ValidString(doc.Path) {
		return Document{}, fmt.Errorf("document path %q: %w: it is empty or not UTF-8", doc.Path, ErrInvalidName)
	}
	if !utf8.ValidString(content.Text) {
		return Document{}, fmt.Errorf("document %q: its text is not UTF-8", doc.Path)
	}
	if err := s.writable(ctx, collection); err != nil {
		return Document{}, err
	}
	encoder, dim := s.fingerprint(), s.dim()
	if encoder == "" && vectors != nil {
		return Document{}, fmt.Errorf("document %q: %w: the store has no encoder", doc.Path, ErrInvalidVector)
	}
	if encoder != "" && len(vectors) != len(chunks) {
		return Document{}, fmt.Errorf("document %q: %w: %d vectors for %d chunks", doc.Path, ErrInvalidVector, len(vectors), len(chunks))
	}
	rows := make([]catalog.Chunk, len(chunks))
	words := make([]keyword.Terms, len(chunks))
	for i, c := range chunks {
		if c.Start < 0 || c.End > len(content.Text) || c.Start > c.End || content.Text[c.Start:c.End] != c.Text {
			return Document{}, fmt.Errorf("document %q: %w: chunk %d is not bytes %d to %d of the text", doc.Path, ErrInvalidChunk, i, c.Start, c.End)
		}
		rows[i].Chunk = c
		if encoder != "" {
			if err := checkVector(vectors[i], dim); err != nil {
				return Document{}, fmt.Errorf("document %q, chunk %d: %w", doc.Path, i, err)
			}
			rows[i].Vector = vectors[i]
		}
		words[i] = keyword.Analyze(c.Context, c.Text)
		if i%256 == 0 && ctx.Err() != nil {
			return Document{}, ctx.Err()
		}
	}
	doc.Collection = collection
	doc.Metadata = withoutZeros(doc.Metadata)
	change, err := s.db.PutDocument(ctx, catalog.Document(doc), content, rows, encoder, dim, first(notes))
	if err != nil {
		return Document{}, fmt.Errorf("store %q: %w", doc.Path, err)
	}
	defer change.Rollback()
	if err := s.engine.apply(ctx, collection, edit{change, chunks, words, vectors}); err != nil {
		return Document{}, fmt.Errorf("store %q: %w", doc.Path, err)
	}
	if doc.SHA256 != "" {
		s.files.used(ctx, doc.SHA256)
	}
	s.files.collect(ctx, change.Files)
	return Document(change.Document), nil
}

// PutDuplicate records a document that has the bytes of the one with the id doc.DuplicateOf, in place of
// the one of the same path. It gets no passages: those of the other stand for it too, and pass to it, or
// to another duplicate, when the other is deleted or gets other bytes. It returns ErrNotFound when the
// other is gone or has other bytes by now.
func (s *Store) PutDuplicate(ctx context.Context, collection string, doc Document, notes ...Notes) (Document, error) {
	if s.readOnly {
		return Document{}, ErrReadOnly
	}
	doc.Collection = collection
	doc.Metadata = withoutZeros(doc.Metadata)
	change, err := s.db.PutDuplicate(ctx, catalog.Document(doc), first(notes))
	if err != nil {
		return Document{}, fmt.Errorf("store %q: %w", doc.Path, err)
	}
	defer change.Rollback()
	if err := s.engine.apply(ctx, collection, edit{Change: change}); err != nil {
		return Document{}, fmt.Errorf("store %q: %w", doc.Path, err)
	}
	s.files.used(ctx, doc.SHA256)
	s.files.collect(ctx, change.Files)
	return Document(change.Document), nil
}

// withoutZeros returns metadata with a space in the place of each zero byte, which files bring along and
// Postgres does not take.
func withoutZeros(metadata map[string]string) map[string]string {
	clean := make(map[string]string, len(metadata))
	for key, value := range metadata {
		clean[strings.ReplaceAll(key, "\x00", " ")] = strings.ReplaceAll(value, "\x00", " ")
	}
	return clean
}

func first[T any](s []T) (v T) {
	if len(s) > 0 {
		v = s[0]
	}
	return v
}

// Documents returns the documents of a collection, by path, or ErrNotFound for an unknown collection.
func (s *Store) Documents(ctx context.Context, collection string) ([]Document, error) {
	found, err := s.db.Documents(ctx, collection)
	if err == nil && len(found) == 0 {
		_, err = s.db.Collection(ctx, collection)
	}
	if err != nil {
		return nil, err
	}
	docs := make([]Document, len(found))
	for i, d := range found {
		docs[i] = Document(d)
	}
	return docs, nil
}

// Document returns one document, or ErrNotFound.
func (s *Store) Document(ctx context.Context, id string) (Document, error) {
	d, err := s.db.Document(ctx, id)
	return Document(d), err
}

// DocumentByPath returns the document of a collection with that path, or ErrNotFound.
func (s *Store) DocumentByPath(ctx context.Context, collection, path string) (Document, error) {
	d, err := s.db.DocumentByPath(ctx, collection, path)
	return Document(d), err
}

// Content returns the extracted text and structure of a document, or ErrNotFound.
func (s *Store) Content(ctx context.Context, id string) (chunker.Document, error) {
	return s.db.Content(ctx, id)
}

// DeleteDocument removes a document and, when nothing else refers to it, its file. It returns
// ErrNotFound when there is none.
func (s *Store) DeleteDocument(ctx context.Context, id string) error {
	if s.readOnly {
		return ErrReadOnly
	}
	change, err := s.db.DeleteDocument(ctx, id)
	if err != nil {
		return err
	}
	defer change.Rollback()
	if err := s.engine.apply(ctx, change.Document.Collection, edit{Change: change}); err != nil {
		return fmt.Errorf("delete %q: %w", change.Document.Path, err)
	}
	s.files.collect(ctx, change.Files)
	return nil
}
