package retriever

import (
	"context"
	"errors"
	"slices"

	"docent/internal/catalog"
)

// Neighbours shows a reader n chunks more on each side of a hit, within its document. Hits that then share
// text become one, in the place of the better.
func Neighbours(n int) SearchOption { return func(c *searchConfig) { c.neighbours = max(0, n) } }

// widen makes each hit's chunk the passage that a reader is to see: as the splitter has said
// (chunker.Chunk.ReadStart), and with the neighbours that are asked for. A hit whose passage touches that of a
// better one is joined with it. Context, headings, pages and labels stay those of the chunk that was found. Where the
// document's text is damaged, the chunks that were found, which are not, stay as they are.
func (s *Store) widen(ctx context.Context, record catalog.Reader, hits []Hit, neighbours int) ([]Hit, error) {
	if neighbours == 0 && !slices.ContainsFunc(hits, func(h Hit) bool { return h.Chunk.ReadEnd > 0 }) {
		return hits, nil
	}
	var wide []Hit
	var of [][]Hit // of each, the hits that became it
	for _, h := range hits {
		start, end := h.Chunk.Start, h.Chunk.End
		if h.Chunk.ReadEnd > 0 {
			start, end = min(start, h.Chunk.ReadStart), max(end, h.Chunk.ReadEnd)
		}
		if neighbours > 0 {
			chunks, err := record.Chunks(ctx, h.Document.ID)
			if err = s.sound(err); err != nil {
				return nil, err
			}
			for i, c := range chunks {
				if c.ID == h.ChunkID {
					start = min(start, chunks[max(0, i-neighbours)].Start)
					end = max(end, chunks[min(len(chunks)-1, i+neighbours)].End)
				}
			}
		}
		found := h
		h.Chunk.ReadStart, h.Chunk.ReadEnd = start, end
		i := slices.IndexFunc(wide, func(o Hit) bool {
			return o.Document.ID == h.Document.ID && start < o.Chunk.ReadEnd && o.Chunk.ReadStart < end
		})
		if i < 0 {
			wide, of = append(wide, h), append(of, []Hit{found})
			continue
		}
		o := &wide[i].Chunk
		o.ReadStart, o.ReadEnd = min(o.ReadStart, start), max(o.ReadEnd, end)
		of[i] = append(of[i], found)
	}
	out := make([]Hit, 0, len(hits))
	for i, h := range wide {
		c := &h.Chunk
		if c.ReadStart != c.Start || c.ReadEnd != c.End {
			text, err := record.Passage(ctx, h.Document.ID, c.ReadStart, c.ReadEnd)
			damaged := errors.Is(err, ErrCorrupt)
			switch err = s.sound(err); {
			case errors.Is(err, ErrNotFound): // the document has gone meanwhile
			case err != nil:
				return nil, err
			case damaged:
				for _, h := range of[i] {
					h.Chunk.ReadStart, h.Chunk.ReadEnd = 0, 0
					out = append(out, h)
				}
				continue
			default:
				c.Text, c.Start, c.End = text, c.ReadStart, c.ReadEnd
			}
		}
		c.ReadStart, c.ReadEnd = 0, 0
		out = append(out, h)
	}
	return out, nil
}
