//go:build !unix

package mmap

import (
	"io"
	"os"
)

const mapped = false

// read reads the whole file. Windows can map files too, but then keeps them from being replaced and
// removed while they are mapped.
func read(f *os.File, size int) ([]byte, func() error, error) {
	data := make([]byte, size)
	_, err := io.ReadFull(f, data)
	return data, func() error { return nil }, err
}

func release([]byte) {}
