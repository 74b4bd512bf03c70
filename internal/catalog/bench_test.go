package catalog_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"docent/chunker"
	"docent/internal/catalog"
)

// filled makes a database of documents of 20 passages of 60 words with vectors of 384 dimensions, and returns its size.
func filled(b *testing.B, documents int) (db *catalog.DB, ids []int64, size int64) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "docent.db")
	db, err := catalog.Open(b.Context(), path, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	if _, err := db.CreateCollection(b.Context(), "c", "e", 384); err != nil {
		b.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range documents {
		var text strings.Builder
		chunks := make([]catalog.Chunk, 20)
		for i := range chunks {
			chunks[i].Start = text.Len()
			for range 60 {
				fmt.Fprintf(&text, "w%d ", rnd.IntN(50_000))
			}
			chunks[i].End = text.Len()
			chunks[i].Text = text.String()[chunks[i].Start:]
			chunks[i].Vector = make([]float32, 384)
			for j := range chunks[i].Vector {
				chunks[i].Vector[j] = rnd.Float32()
			}
		}
		change, err := db.PutDocument(b.Context(), catalog.Document{Collection: "c", Path: fmt.Sprint(n)}, chunker.Document{Text: text.String()}, chunks, "e", 384, catalog.Notes{})
		if err == nil {
			err = change.Commit()
		}
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, change.Added...)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return db, ids, info.Size()
}

// How long looking for damage takes a byte of the database, without rests.
func BenchmarkPatrol(b *testing.B) {
	db, _, size := filled(b, 1000)
	b.SetBytes(size)
	for b.Loop() {
		if err := db.Patrol(b.Context(), 1, func(what string) { b.Error(what) }); err != nil {
			b.Fatal(err)
		}
	}
}

// What the comparison with checksums adds to fetching the ten passages of a search.
func BenchmarkChunksByID(b *testing.B) {
	db, ids, _ := filled(b, 200)
	for _, compared := range []bool{false, true} {
		b.Run(fmt.Sprintf("compared=%v", compared), func(b *testing.B) {
			reader := db.Reader
			if !compared {
				reader = catalog.Trusting(reader)
			}
			rnd := rand.New(rand.NewPCG(3, 4))
			for b.Loop() {
				var some []int64
				for range 10 {
					some = append(some, ids[rnd.IntN(len(ids))])
				}
				if _, err := reader.ChunksByID(b.Context(), some); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
