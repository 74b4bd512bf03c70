package ingest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"docent/chunker"
	"docent/ingest/clean"
	"docent/retriever"
)

// work is one file on its way into a collection.
type work struct {
	*Pipeline
	collection string
	item       Item
	settings   Settings
	stamp      string // what the document was made with; see settingsKey
	progress   func(Progress)
	report     reporter
	parsed     checkpoint
}

func (p *Pipeline) newWork(ctx context.Context, collection string, it Item, progress func(Progress)) (*work, error) {
	settings, err := ReadSettings(ctx, p.store, collection)
	if err != nil {
		return nil, err
	}
	w := &work{Pipeline: p, collection: collection, item: it, settings: settings, progress: progress, stamp: p.settings}
	if f := settings.fingerprint(); f != "" {
		w.stamp += " " + f
	}
	return w, nil
}

// do takes the file from its bytes to a stored document, unless that is there already.
func (w *work) do(ctx context.Context) (Result, error) {
	it := &w.item
	if it.SHA256 == "" {
		limit := w.extractor.cfg.MaxBytes
		tooLarge := func(size int64) error {
			return tooLarge(it.Path, size, limit)
		}
		if st, err := os.Stat(it.File); err == nil && st.Size() > limit {
			w.report.Bytes = st.Size()
			return Result{}, tooLarge(st.Size())
		}
		// The sum comes first, by itself: a file that is as it was is not copied.
		sum, size, err := sumFile(ctx, it.File)
		if err != nil {
			return Result{}, &FileError{Name: it.Path, Err: err}
		}
		w.report.Bytes = size
		if size > limit { // it has grown meanwhile
			return Result{}, tooLarge(size)
		}
		if res, ok := w.unchanged(ctx, sum); ok {
			return res, nil
		}
		if size == 0 {
			return Result{}, &FileError{Name: it.Path, Err: ErrEmptyFile, Detail: "it has 0 bytes"}
		}
		if it.SHA256, it.Bytes, err = w.keep(ctx, it.File); err != nil {
			return Result{}, err
		}
	}
	w.report.SHA256, w.report.Bytes = it.SHA256, it.Bytes
	if res, ok := w.unchanged(ctx, it.SHA256); ok {
		return res, nil
	}
	if w.settings.Duplicates == "skip" {
		// Two files with the same bytes at once: the second waits, and finds the first one stored.
		unlock, err := w.paths.lock(ctx, w.collection+"\x00\x00"+it.SHA256)
		if err != nil {
			return Result{}, err
		}
		defer unlock()
		if res, ok, err := w.duplicate(ctx); ok || err != nil {
			return res, err
		}
	}
	return w.make(ctx)
}

func (w *work) unchanged(ctx context.Context, sum string) (Result, bool) {
	if w.item.Again {
		return Result{}, false
	}
	doc, err := w.store.DocumentByPath(ctx, w.collection, w.item.Path)
	if err != nil || doc.SHA256 != sum || doc.Metadata[settingsKey] != w.stamp || doc.Chunks == 0 && doc.DuplicateOf == "" {
		return Result{}, false
	}
	return Result{Path: w.item.Path, Status: Unchanged, DocumentID: doc.ID, Chunks: doc.Chunks, Warnings: doc.Warnings}, true
}

// failed keeps the report on a file that did not make it.
func (w *work) failed(ctx context.Context, err error) {
	w.report.enter("")
	w.report.Path, w.report.Status, w.report.Error = w.item.Path, Failed, plainError(err)
	if err := w.store.Catalog().PutReport(ctx, w.collection, w.item.Path, w.report.encode()); err != nil && !errors.Is(err, retriever.ErrNotFound) {
		w.cfg.Logger.ErrorContext(ctx, "the report on a file is not in the record", "path", w.item.Path, "error", err)
	}
}

// duplicate records the file as one of another with the same bytes, if there is one.
func (w *work) duplicate(ctx context.Context) (Result, bool, error) {
	of, err := w.store.Catalog().Original(ctx, w.collection, w.item.SHA256, w.item.Path)
	if errors.Is(err, retriever.ErrNotFound) {
		return Result{}, false, nil
	}
	if err != nil {
		return Result{}, false, err
	}
	doc := retriever.Document(of)
	doc.ID, doc.Path, doc.DuplicateOf = "", w.item.Path, of.ID
	doc.Metadata[settingsKey] = w.stamp
	r := &w.report
	r.enter("")
	r.Path, r.Status, r.DuplicateOf = w.item.Path, Duplicate, of.Path
	r.Format, r.Pages, r.Language, r.Warnings = of.Format, of.Pages, of.Language, of.Warnings
	if original, err := ReadReport(ctx, w.store, w.collection, of.Path); err == nil {
		r.Characters = original.Characters
	}
	put, err := w.store.PutDuplicate(ctx, w.collection, doc, retriever.Notes{Report: r.encode(), Claim: w.item.claim})
	if errors.Is(err, retriever.ErrNotFound) { // gone meanwhile
		return Result{}, false, nil
	}
	if err != nil {
		return Result{}, false, err
	}
	return Result{Status: Duplicate, DocumentID: put.ID, Warnings: put.Warnings}, true, nil
}

// enter begins a stage, for those who watch and for the report.
func (w *work) enter(stage string, total int) {
	w.report.enter(stage)
	w.progress(Progress{Stage: stage, Total: total})
}

// make takes stored bytes through all stages. It reads the stored copy: the record then says what was
// read, whatever happens to the original meanwhile.
func (w *work) make(ctx context.Context) (Result, error) {
	doc, err := w.read(ctx)
	if err != nil {
		return Result{}, err
	}
	w.enter(StageCleaning, 0)
	notes, err := w.clean(ctx, doc)
	if err != nil {
		return Result{}, err
	}

	w.enter(StageChunking, 0)
	chunks, err := w.cut(ctx, doc.Document)
	if err != nil {
		return Result{}, fmt.Errorf("cut into chunks: %w", err)
	}
	if len(chunks) == 0 {
		return Result{}, &FileError{Name: w.item.Path, Err: ErrNoText, Detail: w.report.whyEmpty()}
	}
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}

	if err := w.embedding.Acquire(ctx, 1); err != nil {
		return Result{}, err
	}
	defer w.embedding.Release(1)
	w.enter(StageEmbedding, len(chunks))
	vectors, err := w.store.Vectors(ctx, w.collection, chunks, func(done int) {
		w.progress(Progress{Stage: StageEmbedding, Done: done, Total: len(chunks)})
	})
	if err != nil {
		return Result{}, err
	}
	if vectors != nil && len(vectors) != len(chunks) {
		return Result{}, fmt.Errorf("%w: %d for %d chunks", retriever.ErrInvalidVector, len(vectors), len(chunks))
	}

	w.enter(StageStoring, len(chunks))
	return w.put(ctx, doc, chunks, vectors, notes)
}

// read extracts the text of the stored copy.
func (w *work) read(ctx context.Context) (*Document, error) {
	f, err := w.store.OpenFile(ctx, w.item.SHA256)
	if err != nil {
		return nil, err
	}
	stored := f.Name()
	if st, err := f.Stat(); err == nil {
		w.item.Bytes, w.report.Bytes = st.Size(), st.Size()
	}
	f.Close()
	name := w.item.Name
	if name == "" {
		name = nameOf(w.item.Path)
	}
	ocr := w.item.OCR
	if w.settings.OCR == "off" {
		ocr = OCROff
	}
	from := ""
	if IsURL(w.item.Path) {
		from = w.item.Path
	}
	doc, err := w.parse(ctx, File{Path: stored, Name: name, URL: from, Password: w.item.Password, OCR: ocr, KeepBoilerplate: w.settings.Boilerplate == "keep", OnOCR: func(done, total int) {
		w.report.enter(StageOCR)
		w.progress(Progress{Stage: StageOCR, Done: done, Total: total})
	}})
	if err != nil {
		return nil, err
	}
	w.report.read(doc)
	return doc, nil
}

// clean changes doc as the settings say and returns what is kept of it beside its text.
func (w *work) clean(ctx context.Context, doc *Document) (notes retriever.Notes, err error) {
	r := &w.report
	doc.Document, r.Cleaning, err = clean.Document(doc.Document, w.settings.Settings)
	if err != nil {
		return notes, err
	}
	if n := len(r.Cleaning.Dropped); n > 0 {
		doc.Language = language(doc.Text)
	}
	r.read(doc)
	if w.settings.NearDuplicates == "off" {
		return notes, nil
	}
	sig, ok := clean.Sign(doc.Text)
	if !ok {
		return notes, nil
	}
	if notes, err = notesOf(sig); err != nil {
		return notes, err
	}
	if r.NearDuplicates, err = nearDuplicates(ctx, w.store, w.collection, w.item.Path, sig); err != nil {
		return notes, err
	}
	if len(r.NearDuplicates) > 0 && w.settings.NearDuplicates == "refuse" {
		n := r.NearDuplicates[0]
		return notes, &FileError{Name: w.item.Path, Err: ErrNearDuplicate, Detail: fmt.Sprintf("%d %% of it is in %q", int(100*n.Similarity), n.Path)}
	}
	return notes, nil
}

// notesOf is what finds a document by its signature.
func notesOf(sig clean.Signature) (notes retriever.Notes, err error) {
	notes.Bands = sig.Bands()
	notes.MinHash, err = sig.MarshalBinary()
	return notes, err
}

// fileNames lists the files for people; of very many it names the first.
func fileNames(files []FilePages) string {
	const most = 5
	var names []string
	for _, f := range files[:min(len(files), most)] {
		names = append(names, f.Name)
	}
	if n := len(files) - most; n > 0 {
		names = append(names, fmt.Sprintf("… (%d more)", n))
	}
	return strings.Join(names, ", ")
}

// put stores the document.
func (w *work) put(ctx context.Context, doc *Document, chunks []chunker.Chunk, vectors [][]float32, notes retriever.Notes) (Result, error) {
	record := retriever.Document{
		Path: w.item.Path, Title: doc.Title, Format: doc.Format, Language: doc.Language, SHA256: w.item.SHA256, Bytes: w.item.Bytes,
		Pages: len(doc.Pages), Warnings: doc.Warnings, Metadata: make(map[string]string, len(doc.Metadata)+2),
	}
	for k, v := range doc.Metadata {
		record.Metadata[k] = v
	}
	record.Metadata[settingsKey] = w.stamp
	if len(doc.PagesWithoutText) > 0 {
		record.Metadata["pages_without_text"] = Ranges(doc.PagesWithoutText)
	}
	if len(doc.NeedsOCR) > 0 {
		record.Metadata["needs_ocr"] = Ranges(doc.NeedsOCR)
	}
	if names := fileNames(doc.NeedsOCRIn); names != "" {
		record.Metadata["needs_ocr_in"] = names
	}
	r := &w.report
	r.Path, r.Status, r.Chunks = w.item.Path, r.stored(), len(chunks)
	notes.Report, notes.Claim = r.encode(), w.item.claim
	put, err := w.store.Put(ctx, w.collection, record, doc.Document, chunks, vectors, notes)
	if err != nil {
		return Result{}, err
	}
	if put.Chunks != len(chunks) {
		return Result{}, fmt.Errorf("%d of %d chunks were stored", put.Chunks, len(chunks))
	}
	r.enter("") // the report that is stored already lacks only how long that took
	if err := w.store.Catalog().PutReport(ctx, w.collection, w.item.Path, r.encode()); err != nil {
		w.cfg.Logger.WarnContext(ctx, "the time of the last stage is not in the report", "path", w.item.Path, "error", err)
	}
	w.progress(Progress{Stage: StageStoring, Done: len(chunks), Total: len(chunks)})
	return Result{Status: r.Status, DocumentID: put.ID, Chunks: put.Chunks, Warnings: put.Warnings}, nil
}
