package retriever

import "slices"

// A Note tells of a part that a search did without.
type Note struct {
	Part string // as Settings names it: "queries", "hyde" or "rerank"
	Err  error  // why
}

// String says it in English.
func (n Note) String() string { return "searched without " + n.Part + ": " + n.Err.Error() }

// OnNote calls f, within Search, for each part that the search did without. Without it notes are logged.
func OnNote(f func(Note)) SearchOption { return func(c *searchConfig) { c.onNote = f } }

// without makes a search tell that it lacks a part.
func without(n Note) SearchOption {
	return func(c *searchConfig) { c.notes = append(slices.Clip(c.notes), n) }
}

// note tells a note.
func (s *Store) note(cfg searchConfig, n Note) {
	if cfg.onNote != nil {
		cfg.onNote(n)
		return
	}
	s.log.Warn("searched without a part", "part", n.Part, "error", n.Err)
}
