// Package retriever keeps documents and finds the passages that answer a question.
//
// A [Store] is a data directory. SQLite is the record in it: documents, their chunks, vectors, jobs and
// conversations, durable once a method has returned. Two indexes in memory, filled from the record at
// first use, do the finding: one compares vectors, which chromem-go holds (dense), and one matches words by
// BM25 (keyword; English is stemmed, Chinese matched by characters and pairs of them). The default, hybrid,
// joins both. Those of a large collection are saved beside the record, as a copy that a start need not make
// again. A document changes all at once: a search sees its old version or its new one.
//
//	store, err := retriever.Open(ctx, retriever.Config{Dir: "data", Encoder: encoder})
//	defer store.Close()
//	_, err = store.CreateCollection(ctx, "handbook")
//	chunks, err := splitter.Split(ctx, content)
//	vectors, err := store.Vectors(ctx, "handbook", chunks, nil)
//	_, err = store.Put(ctx, "handbook", retriever.Document{Path: "leave.md"}, content, chunks, vectors)
//	hits, err := store.Search(ctx, "handbook", "how many days of leave?", retriever.TopK(5))
//
// A Store is safe for concurrent use; one process at a time has a data directory open.
package retriever
