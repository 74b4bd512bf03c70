// Package embed turns text into vectors with encoders of the BERT family, in Go, without cgo.
//
// [Builtin] is all-MiniLM-L6-v2, compiled into the program; [Load] reads any checkpoint folder in the
// layout of Hugging Face and sentence-transformers, or a GGUF file:
//
//	enc, err := embed.Builtin()
//	vectors, err := enc.EmbedDocuments(ctx, []string{"Refunds take five days.", "Opening hours"})
//	query, err := enc.EmbedQuery(ctx, "when do I get my money back?")
//	score := tensor.Dot(query, vectors[0]) // vectors have length 1, so this is the cosine
//
// BERT, DistilBERT, RoBERTa, XLM-RoBERTa, MPNet, ALBERT, ModernBERT, nomic-bert and Jina v2 are one
// graph with the differences in a table, see [Architectures]. Pooling, length and prompts come from the
// checkpoint; [Int8], [Dims] and [Prompts] change how it is loaded, and [Encoder.Info] tells what is in
// force. [LoadCrossEncoder] reads a reranker, which scores passages against a query.
//
// An [Encoder] is safe for concurrent use. Concurrent calls share one set of workers, as many as
// GOMAXPROCS was when the encoder was loaded, and one bounded set of buffers. Texts are packed one
// after the other without padding, so a batch costs what its tokens cost. Text past MaxTokens is cut,
// not refused; split long documents with package chunker first.
package embed
