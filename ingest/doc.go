// Package ingest turns files into documents, and documents into what a store can answer from.
//
// An [Extractor] reads one file: it tells the format by content, parses it where it cannot hurt (a
// child process with a limit on memory and time), and gives back a [Document]: clean text with its
// headings, paragraphs, lists, tables, code and pages as byte ranges.
//
//	ex, err := ingest.NewExtractor(ingest.ExtractorConfig{
//		Worker:   []string{os.Args[0], "parse-worker"}, // a command that calls ingest.Worker
//		CacheDir: cacheDir,
//	})
//	…
//	defer ex.Close()
//	doc, err := ex.Extract(ctx, ingest.File{Path: "handbook.pdf"})
//
// Files are untrusted. With ExtractorConfig.Worker set, a file that makes a parser panic, loop or ask
// for all memory ends one child process and yields an error that names the file; the next file gets
// a new child. Without it files are parsed in this process, and PDF is then read by PDFium in
// WebAssembly alone, whose memory is bounded.
package ingest
