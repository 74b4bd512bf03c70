package ingest

type pdfiumEngine struct{}

func newPDFiumEngine(dir string, interruptible bool) *pdfiumEngine { return &pdfiumEngine{} }
func (e *pdfiumEngine) close() error                               { return nil }
