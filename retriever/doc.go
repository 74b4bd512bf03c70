// Package retriever keeps documents and finds the passages that answer a question.
//
// A [Store] joins a record, which has everything, with a search engine, whose content is made of the record
// and can be made of it again. The record is SQLite in a data directory, or Postgres: documents, their chunks,
// vectors, jobs and conversations, durable once a method has returned. The engine finds chunks by their vectors
// (dense) and by their words (keyword: BM25; English is stemmed, Chinese matched by characters and pairs of
// them); the default, hybrid, joins both. There are three: two indexes in memory, with chromem-go, beside
// SQLite, which are saved for large collections so that a start need not make them again; pgvector, beside a
// record in Postgres; and a Weaviate cluster. A document changes all at once: a search sees its old version or
// its new one. All stores keep one contract, and give the same passages the same scores.
//
//	store, err := retriever.Open(ctx, retriever.Config{Dir: "data", Encoder: encoder})
//	defer store.Close()
//	_, err = store.CreateCollection(ctx, "handbook")
//	chunks, err := splitter.Split(ctx, content)
//	vectors, err := store.Vectors(ctx, "handbook", chunks, nil)
//	_, err = store.Put(ctx, "handbook", retriever.Document{Path: "leave.md"}, content, chunks, vectors)
//	hits, err := store.Search(ctx, "handbook", "how many days of leave?", retriever.TopK(5))
//
// A Store is safe for concurrent use; one process at a time has a data directory open, any number a database
// of Postgres.
package retriever
