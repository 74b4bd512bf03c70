// Package sections reads and writes files of named, checksummed sections that can be used where they lie,
// mapped into memory: the values of an array are in the file as this machine's memory has them.
//
//	w, err := sections.Create(ctx, "index.bin")
//	err = sections.Write(w, "lengths", lengths)
//	err = w.Commit()
//	…
//	f, err := sections.Open("index.bin")
//	lengths, err := sections.Array[uint32](f, "lengths")
//
// Layout: the sections, each on a border of 64 bytes; a table of a JSON array of their names, offsets,
// sizes and CRC-32C; and 24 bytes at the end: the table's size, its CRC-32C, a number that tells the byte
// order, and the letters "docsects". A file appears whole or not at all: it is written under another name
// and renamed.
package sections

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sync/errgroup"

	"docent/internal/mmap"
)

// ErrDamaged is wrapped when a file is not what was written, or was written by a machine of another byte
// order.
var ErrDamaged = errors.New("file is damaged")

const (
	align     = 64
	magic     = "docsects"
	trailer   = 8 + 4 + 4 + len(magic)
	byteOrder = 0x01020304
	maxTable  = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// entry is a section in the table.
type entry struct {
	Name   string `json:"name"`
	Offset int64  `json:"offset"`
	Size   int64  `json:"size"`
	CRC    uint32 `json:"crc"`
}

// A Writer makes a file, or a block of memory, of sections. It is not safe for concurrent use.
type Writer struct {
	ctx     context.Context // ends the writing
	path    string
	file    *os.File // nil when memory is written
	memory  *bytes.Buffer
	out     *bufio.Writer
	at      int64
	entries []entry
	done    bool
}

// Create begins a file at path. Whatever is there stays until Commit. When ctx ends, writing fails with its
// error.
func Create(ctx context.Context, path string) (*Writer, error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return nil, err
	}
	return &Writer{ctx: ctx, path: path, file: f, out: bufio.NewWriterSize(f, 1<<20)}, nil
}

// InMemory begins a block of memory.
func InMemory(ctx context.Context) *Writer {
	b := new(bytes.Buffer)
	return &Writer{ctx: ctx, memory: b, out: bufio.NewWriterSize(b, 1<<16)}
}

// Begin starts a section; what is written until the next Begin, or the end, is in it.
func (w *Writer) Begin(name string) error {
	if pad := (align - w.at%align) % align; pad > 0 {
		var zeros [align]byte
		if _, err := w.out.Write(zeros[:pad]); err != nil {
			return err
		}
		w.at += pad
	}
	w.entries = append(w.entries, entry{Name: name, Offset: w.at})
	return nil
}

// Write implements io.Writer, for the section at hand.
func (w *Writer) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.out.Write(p)
	e := &w.entries[len(w.entries)-1]
	e.Size += int64(n)
	e.CRC = crc32.Update(e.CRC, castagnoli, p[:n])
	w.at += int64(n)
	return n, err
}

func (w *Writer) finish() error {
	table, err := json.Marshal(w.entries)
	if err != nil {
		return err
	}
	if err := w.Begin(""); err != nil {
		return err
	}
	end := binary.LittleEndian.AppendUint64(table, uint64(len(table)))
	end = binary.LittleEndian.AppendUint32(end, crc32.Checksum(table, castagnoli))
	end = binary.NativeEndian.AppendUint32(end, byteOrder)
	if _, err := w.Write(append(end, magic...)); err != nil {
		return err
	}
	return w.out.Flush()
}

// Commit makes the file durable and puts it in its place.
func (w *Writer) Commit() error {
	if err := w.finish(); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	if err := w.file.Close(); err != nil {
		return err
	}
	w.done = true
	if err := os.Rename(w.file.Name(), w.path); err != nil {
		os.Remove(w.file.Name())
		return err
	}
	return nil
}

// File returns the block of memory as a file.
func (w *Writer) File() (*File, error) {
	if err := w.finish(); err != nil {
		return nil, err
	}
	// A slice of words, so that it begins on a border that suits every number.
	words := make([]uint64, (w.memory.Len()+7)/8)
	data := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), w.memory.Len())
	copy(data, w.memory.Bytes())
	return parse(data)
}

// Discard removes what was written unless it has been committed.
func (w *Writer) Discard() {
	if w.file != nil && !w.done {
		w.file.Close()
		os.Remove(w.file.Name())
	}
}

// A File is an open file of sections. It is safe for concurrent use.
type File struct {
	data    []byte
	entries []entry
	mapped  *mmap.File // nil when it is in memory
}

// Open maps a file and checks it. It returns ErrDamaged, with the file's name, when a checksum or the
// layout is wrong.
func Open(path string) (*File, error) {
	m, err := mmap.Open(path)
	if err != nil {
		return nil, err
	}
	f, err := parse(m.Data)
	if err != nil {
		m.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f.mapped = m
	return f, nil
}

func parse(data []byte) (*File, error) {
	damaged := func(why string) (*File, error) { return nil, fmt.Errorf("%w: %s", ErrDamaged, why) }
	end := len(data) - trailer
	if end < 0 || string(data[len(data)-len(magic):]) != magic {
		return damaged("it does not end as it should")
	}
	size := binary.LittleEndian.Uint64(data[end:])
	if binary.NativeEndian.Uint32(data[end+12:]) != byteOrder {
		return damaged("it is of a machine with another byte order")
	}
	if size > maxTable || size > uint64(end) {
		return damaged("its table has an impossible size")
	}
	table := data[end-int(size) : end]
	if crc32.Checksum(table, castagnoli) != binary.LittleEndian.Uint32(data[end+8:]) {
		return damaged("its table does not match its checksum")
	}
	f := &File{data: data}
	if err := json.Unmarshal(table, &f.entries); err != nil {
		return damaged("its table is not JSON")
	}
	limit := int64(end) - int64(size)
	for _, e := range f.entries {
		if e.Offset < 0 || e.Size < 0 || e.Offset%align != 0 || e.Offset > limit || e.Size > limit-e.Offset {
			return damaged(fmt.Sprintf("section %q is not inside it", e.Name))
		}
	}
	return f, f.verify()
}

// verify checks the sections in pieces, on all processors.
func (f *File) verify() error {
	const piece = 64 << 20
	type part struct{ section, from, to int }
	var parts []part
	for i, e := range f.entries {
		for at := 0; at < int(e.Size); at += piece {
			parts = append(parts, part{i, at, min(int(e.Size), at+piece)})
		}
	}
	sums := make([]uint32, len(parts))
	var next atomic.Int64
	var g errgroup.Group
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(parts) {
					return nil
				}
				p := parts[i]
				sums[i] = crc32.Checksum(f.bytes(f.entries[p.section])[p.from:p.to], castagnoli)
			}
		})
	}
	_ = g.Wait()
	whole := make([]uint32, len(f.entries))
	for i, p := range parts {
		if p.from == 0 {
			whole[p.section] = sums[i]
		} else {
			whole[p.section] = combine(whole[p.section], sums[i], int64(p.to-p.from))
		}
	}
	for i, e := range f.entries {
		if whole[i] != e.CRC {
			return fmt.Errorf("%w: section %q does not match its checksum", ErrDamaged, e.Name)
		}
	}
	return nil
}

func (f *File) bytes(e entry) []byte { return f.data[e.Offset : e.Offset+e.Size : e.Offset+e.Size] }

// Bytes returns a section; it is read-only and gone after Close.
func (f *File) Bytes(name string) ([]byte, error) {
	i := slices.IndexFunc(f.entries, func(e entry) bool { return e.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("%w: section %q is missing", ErrDamaged, name)
	}
	return f.bytes(f.entries[i]), nil
}

// Close lets go of the file. No section may be in use.
func (f *File) Close() error {
	if f.mapped == nil {
		return nil
	}
	return f.mapped.Close()
}

// Release says that nothing of the file will be read for a while: what is mapped no longer counts as this
// process's memory until it is touched again.
func (f *File) Release() {
	if f.mapped != nil {
		f.mapped.Release()
	}
}

// A Number is what arrays hold.
type Number interface {
	~int8 | ~uint8 | ~uint16 | ~uint32 | ~int64 | ~uint64 | ~float32
}

// Array returns a section as an array; it is read-only and gone after Close.
func Array[T Number](f *File, name string) ([]T, error) {
	data, err := f.Bytes(name)
	if err != nil {
		return nil, err
	}
	size := int(unsafe.Sizeof(*new(T)))
	if len(data)%size != 0 {
		return nil, fmt.Errorf("%w: section %q has %d bytes, which are no values of %d", ErrDamaged, name, len(data), size)
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(data))), len(data)/size), nil
}

// Write writes a section of an array's values.
func Write[T Number](w *Writer, name string, values []T) error {
	if err := w.Begin(name); err != nil {
		return err
	}
	return Append(w, values)
}

// Append adds values to the section at hand.
func Append[T Number](w io.Writer, values []T) error {
	size := int(unsafe.Sizeof(*new(T)))
	_, err := w.Write(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*size))
	return err
}
