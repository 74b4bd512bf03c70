package ingest

import (
	"archive/zip"
	"fmt"
	"io"
	"strings"
)

// zipMember returns the content of one member of a ZIP file, at most limit bytes of it.
func zipMember(zr *zip.Reader, name string, limit int64) ([]byte, error) {
	for _, f := range zr.File {
		if strings.EqualFold(strings.TrimPrefix(strings.ReplaceAll(f.Name, `\`, "/"), "/"), name) {
			rc, err := f.Open()
			if err != nil {
				return nil, err
			}
			defer rc.Close()
			return io.ReadAll(io.LimitReader(rc, limit))
		}
	}
	return nil, fmt.Errorf("%s: not in the file", name)
}
