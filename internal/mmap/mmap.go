// Package mmap reads model files by mapping them into memory, and by reading them where the system
// keeps a mapped file from being replaced (see [Mapped]).
//
//	f, err := mmap.Open("model.safetensors")
//	if err != nil { … }
//	defer f.Close()
//	header := f.Data[:8]
//
// Pages come from the disk as they are touched, are shared with other processes, and go when memory is
// short. A file that is cut short while it is mapped ends the process (SIGBUS) when the part is touched;
// installed models are replaced by renaming, which leaves the mapping whole.
package mmap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"unsafe"
)

// Mapped tells whether files are mapped here; else Data is a copy of the file.
const Mapped = mapped

// ErrNotRegular is wrapped when what a path names is no regular file.
var ErrNotRegular = errors.New("not a regular file")

// A File is the content of a file. Data must not be changed, nor used once the file is closed.
type File struct {
	Data  []byte
	close func() error
}

// Open maps a regular file.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the mapping stays
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, ErrNotRegular
	case info.Size() > math.MaxInt:
		return nil, fmt.Errorf("%d bytes are more than this machine can address", info.Size())
	case info.Size() == 0: // nothing to map
		return &File{}, nil
	}
	data, unmap, err := read(f, int(info.Size()))
	if err != nil {
		return nil, err
	}
	return &File{Data: data, close: unmap}, nil
}

// Release says that nothing of the file will be read for a while: its pages no longer count as this
// process's memory until they are touched again.
func (f *File) Release() {
	if len(f.Data) > 0 {
		release(f.Data)
	}
}

// WriteTo writes the content, and releases it as it goes, so that a large file is never in memory whole.
func (f *File) WriteTo(w io.Writer) (n int64, err error) {
	const step = 4 << 20 // a multiple of any size of pages
	for part := range slices.Chunk(f.Data, step) {
		m, err := w.Write(part)
		n += int64(m)
		if err != nil {
			return n, err
		}
		release(part)
	}
	return n, nil
}

// Close lets go of the file. It may be called again.
func (f *File) Close() error {
	if f.close == nil {
		return nil
	}
	unmap := f.close
	f.close, f.Data = nil, nil
	return unmap()
}

// Float32s reads little-endian float32 values in place; ok is false where they do not lie on a border
// of 4 bytes, or the machine has the other order of bytes.
func Float32s(data []byte) (values []float32, ok bool) {
	if len(data) == 0 {
		return []float32{}, true
	}
	at := unsafe.Pointer(unsafe.SliceData(data))
	if uintptr(at)%4 != 0 || len(data)%4 != 0 || binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, false
	}
	return unsafe.Slice((*float32)(at), len(data)/4), true
}
