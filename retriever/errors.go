package retriever

import (
	"errors"
	"fmt"
	"strings"

	"docent/internal/catalog"
	"docent/internal/weaviate"
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
	// ErrUnavailable: the server of the database, or of the search engine, cannot be reached.
	ErrUnavailable = catalog.ErrUnavailable
	// ErrEngineUnavailable: the nodes of the cluster that searches cannot be reached, or too few. It is ErrUnavailable
	// as well.
	ErrEngineUnavailable = weaviate.ErrUnavailable
	// ErrInvalidName: a collection name, document path or search mode that cannot be used.
	ErrInvalidName = errors.New("invalid name")
	// ErrEncoderMismatch: the collection's vectors are of another encoder than the store was opened
	// with. Keyword search still works, and Reindex mends it.
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
	// ErrReindexing: another call of Reindex works on the collection.
	ErrReindexing = errors.New("collection is being reindexed")
	// ErrUnknownStore: an address of a store of no known kind.
	ErrUnknownStore = errors.New("unknown kind of store")
	// ErrClosed: the store has been closed.
	ErrClosed = errors.New("store is closed")
)

// mismatch is the error of a collection whose vectors are of another encoder than the open one. It offers
// the command that mends it, and what to do to keep the collection as it is.
func mismatch(collection, has, open string) error {
	name := open // without what tells its weights apart
	if i := strings.LastIndexByte(open, '@'); i > 0 {
		name = open[:i]
	}
	mend := fmt.Sprintf("docent --encoder %s reindex -c %q", name, collection)
	switch {
	case open == "":
		return fmt.Errorf("collection %q: %w: its vectors are of %q and the store is open without an encoder; open it with that one, search by keyword, or take its vectors away with: docent --encoder none reindex -c %q",
			collection, ErrEncoderMismatch, has, collection)
	case has == "":
		return fmt.Errorf("collection %q: %w: it was filled without an encoder and the store is open with %q; to give it vectors run: %s",
			collection, ErrEncoderMismatch, open, mend)
	}
	return fmt.Errorf("collection %q: %w: its vectors are of %q and the store is open with %q; open it with the first, or make it one of the second with: %s",
		collection, ErrEncoderMismatch, has, open, mend)
}
