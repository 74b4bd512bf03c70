package ingest

import (
	"bytes"
	"io"
	"os"
)

// spoolMemory is how much of an unpacked file is held in memory; the whole of a larger one goes to a file.
const spoolMemory = 8 << 20

// A spool holds the bytes of a file that was unpacked from another, in memory or in a temporary file without a
// name, so that an archive costs no more memory than the parser of what is in it.
type spool struct {
	io.ReaderAt
	size int64
	file *os.File // nil: in memory
}

func spooled(data []byte) *spool {
	return &spool{ReaderAt: bytes.NewReader(data), size: int64(len(data))}
}

// newSpool takes all of r. On an error of r's it also returns what came before it. The caller calls close.
func newSpool(r io.Reader) (*spool, error) {
	var head bytes.Buffer
	if _, err := io.CopyN(&head, r, spoolMemory); err != nil {
		if err == io.EOF {
			err = nil
		}
		return spooled(head.Bytes()), err
	}
	f, err := os.CreateTemp("", "docent-unpacked-*")
	if err != nil {
		return spooled(nil), err
	}
	_ = os.Remove(f.Name()) // where a file that is open can be removed; else close does it
	s := &spool{ReaderAt: f, file: f}
	s.size, err = io.Copy(f, io.MultiReader(&head, r))
	return s, err
}

func (s *spool) close() {
	if s.file != nil {
		s.file.Close()
		_ = os.Remove(s.file.Name())
	}
}

// startsWith tells whether the file begins with magic.
func (s *spool) startsWith(magic string) bool {
	head := make([]byte, len(magic))
	n, _ := s.ReadAt(head, 0)
	return string(head[:n]) == magic
}

// reader reads it from its beginning.
func (s *spool) reader() io.Reader { return io.NewSectionReader(s, 0, s.size) }
