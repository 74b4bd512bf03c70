package retriever

// MergeEarly makes indexes be merged, and saved, when they are as small as a test's, until it is undone.
func MergeEarly(chunks int) (undo func()) {
	merge, save := mergeFrom, saveFrom
	mergeFrom, saveFrom = chunks, 2*chunks
	return func() { mergeFrom, saveFrom = merge, save }
}

// WaitForMerges returns when no index is being merged.
func (s *Store) WaitForMerges() { s.engine.(*embedded).background.Wait() }

// SavedPath is where the index of a collection is saved.
func (s *Store) SavedPath(collection string) string {
	return s.engine.(*embedded).savedPath(collection)
}

// ExactBelow changes from how many chunks on a search in Postgres follows the index, until it is undone.
func ExactBelow(chunks int) (undo func()) {
	before := exactBelow
	exactBelow = chunks
	return func() { exactBelow = before }
}
