package retriever

import (
	"errors"
	"fmt"

	"docent/internal/catalog"
)

var (
	// ErrNotFound: no collection, document or file has that name, id or path.
	ErrNotFound = catalog.ErrNotFound
	// ErrExists: a collection of that name exists.
	ErrExists = catalog.ErrExists
	// ErrCorrupt: the record, or a part of it, is damaged. The error names the file or document.
	ErrCorrupt = catalog.ErrCorrupt
	// ErrNewerSchema: the data directory was written by a later release.
	ErrNewerSchema = catalog.ErrNewerSchema
	// ErrStorageFull: there is no room left on the disk. Nothing of the change was kept.
	ErrStorageFull = catalog.ErrDiskFull
	// ErrInvalidName: a collection name, document path or search mode that cannot be used.
	ErrInvalidName = errors.New("invalid name")
	// ErrEncoderMismatch: the collection's vectors are of another encoder than the store was opened
	// with. Keyword search still works.
	ErrEncoderMismatch = catalog.ErrEncoder
	// ErrNoVectors: a dense search of a collection that has none, because it was filled without an
	// encoder.
	ErrNoVectors = errors.New("collection has no vectors")
	// ErrLocked: another process, or another Store of this one, has the data directory open.
	ErrLocked = errors.New("data directory in use")
	// ErrInvalidVector: a vector of the wrong length, not of unit length, or with a value that is not a
	// number.
	ErrInvalidVector = errors.New("invalid vector")
	// ErrInvalidChunk: a chunk that is not the piece of its document that its range says.
	ErrInvalidChunk = errors.New("invalid chunk")
	// ErrClosed: the store has been closed.
	ErrClosed = errors.New("store is closed")
)

func mismatch(collection, has, open string) error {
	if open == "" {
		return fmt.Errorf("collection %q: %w: its vectors are of %q and the store is open without an encoder", collection, ErrEncoderMismatch, has)
	}
	if has == "" {
		return fmt.Errorf("collection %q: %w: it was filled without an encoder and the store is open with %q; ingest it into a new collection to search by meaning", collection, ErrEncoderMismatch, open)
	}
	return fmt.Errorf("collection %q: %w: its vectors are of %q and the store is open with %q", collection, ErrEncoderMismatch, has, open)
}
