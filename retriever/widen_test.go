package retriever_test

import (
	"strings"
	"testing"

	"docent/chunker"
	"docent/retriever"
)

func TestNeighbours(t *testing.T) { eachStore(t, testNeighbours) }

func testNeighbours(t *testing.T, at place) {
	s := at.open(t, words)
	create(t, s, "c")
	mustPut(t, s, "c", "a", "one pump\ntwo oil\nthree leave\nfour salary\nfive wing\n")
	mustPut(t, s, "c", "b", "other text\npump again\n")
	hits := search(t, s, "c", "leave", retriever.WithMode(retriever.Keyword), retriever.Neighbours(1))
	if len(hits) != 1 || hits[0].Chunk.Text != "two oil\nthree leave\nfour salary\n" || hits[0].Chunk.Start != 9 {
		t.Errorf("%+v", hits)
	}
	// Two hits side by side become one, and another document makes up for it.
	hits = search(t, s, "c", "oil leave pump", retriever.WithMode(retriever.Keyword), retriever.Neighbours(1), retriever.TopK(2))
	if len(hits) != 2 || hits[0].Document.ID == hits[1].Document.ID {
		t.Errorf("%+v", hits)
	}
}

// What is found is small, what is read is the passage around it, once.
func TestReadRange(t *testing.T) { eachStore(t, testReadRange) }

func testReadRange(t *testing.T, at place) {
	s := at.open(t, words)
	create(t, s, "c")
	text := "The pump needs oil. It is old.\nThe wing bends. 年假有二十天。\n"
	var chunks []chunker.Chunk
	for _, part := range []string{"The pump needs oil.", "It is old.", "The wing bends.", "年假有二十天。"} {
		at := strings.Index(text, part)
		c := chunker.Chunk{Text: part, Start: at, End: at + len(part), ReadEnd: 30, Labels: []string{"table 1"}}
		if at > 30 {
			c.ReadStart, c.ReadEnd = 31, len(text)-1
		}
		chunks = append(chunks, c)
	}
	vectors, err := s.Vectors(t.Context(), "c", chunks, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "c", retriever.Document{Path: "a"}, chunker.Document{Text: text}, chunks, vectors); err != nil {
		t.Fatal(err)
	}
	for _, mode := range modes {
		hits := search(t, s, "c", "pump old wing", retriever.WithMode(mode), retriever.TopK(4))
		if len(hits) != 2 || len(hits[0].Chunk.Labels) != 1 {
			t.Fatalf("%s: %+v", mode, hits)
		}
		for _, h := range hits {
			if text[h.Chunk.Start:h.Chunk.End] != h.Chunk.Text || h.Chunk.Text != "The pump needs oil. It is old." && h.Chunk.Text != "The wing bends. 年假有二十天。" {
				t.Errorf("%s: read %q", mode, h.Chunk.Text)
			}
		}
	}
}
