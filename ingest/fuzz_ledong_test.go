package ingest

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"unicode/utf8"
)

// FuzzLedong feeds the first PDF engine, guarded as it is in a worker.
func FuzzLedong(f *testing.F) {
	f.Add([]byte("%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[2 0 R]/Count 1>>\nendobj\nxref\n0 3\n0000000000 65535 f \n0000000009 00000 n \n0000000054 00000 n \ntrailer\n<</Size 3/Root 1 0 R>>\nstartxref\n106\n%%EOF\n"))
	if dir := os.Getenv("DOCENT_TESTDATA"); dir != "" {
		for _, name := range []string{"pdfjs__issue3205r.pdf", "pdfbox__pdfbox__src__test__resources__input__hello3.pdf"} {
			if b, err := os.ReadFile(filepath.Join(dir, "pdfs", name)); err == nil {
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var gone atomic.Bool
		ctx := context.Background()
		d := openLedong(ctx, bytes.NewReader(data), int64(len(data)), &gone)
		if d == nil {
			return
		}
		for i := range min(d.pages, 3) {
			pg, _ := d.page(ctx, i)
			if pg == nil {
				continue
			}
			if q := pdfQuality(pg); q < 0 || q > 1 {
				t.Errorf("quality %v", q)
			}
			for _, s := range pdfSegments(pg, nil) {
				if s.text == "" || !utf8.ValidString(s.text) {
					t.Errorf("segment %q", s.text)
				}
			}
		}
	})
}
