package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"

	"docent/internal/mmap"
)

// ErrFormat is wrapped when a file is not what the format says.
var ErrFormat = errors.New("not a valid GGUF file")

// Bounds on what a file may hold; real ones stay far below.
const (
	maxTensors  = 1 << 18
	maxKeys     = 1 << 16
	maxKey      = 1<<16 - 1 // the format's own limit, in bytes
	maxName     = 512       // bytes of a tensor's name
	maxString   = 64 << 20  // bytes; chat templates are tens of KB
	maxElements = 1 << 24   // of an array; the largest vocabularies have under 2^19 entries
	maxDims     = 4
	maxParts    = 512
	maxAlign    = 1 << 20
)

// Tensor is one entry of the table of tensors.
type Tensor struct {
	Name  string
	Type  Type
	Shape []int // the first is the one whose values lie together: a matrix of n rows of k values is [k n]
	Data  []byte
}

// Values is the number of the tensor's values.
func (t Tensor) Values() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// File is an open model.
type File struct {
	Version int
	Tensors []Tensor // in the order of the file; parts one after the other

	keys   []string
	meta   map[string]any
	byName map[string]int
	files  []*mmap.File
	size   int64
}

// Open opens a file, and with it the other parts of a split model, of which any may be named.
func Open(path string) (*File, error) { return open(path, openOne) }

// Describe is Open without the tensors' data, which is nil: it reads no more than the metadata and the
// table of tensors, and leaves no file open.
func Describe(path string) (*File, error) { return open(path, describeOne) }

func open(path string, one func(string) (*File, error)) (*File, error) {
	f, err := one(path)
	if err != nil {
		return nil, fmt.Errorf("open model %s: %w", path, err)
	}
	count, _ := f.Uint("split.count")
	if count <= 1 {
		return f, nil
	}
	f.Close()
	if f, err = openParts(path, count, one); err != nil {
		return nil, fmt.Errorf("open model %s: %w", path, err)
	}
	return f, nil
}

func openOne(path string) (*File, error) {
	m, err := mmap.Open(path)
	if errors.Is(err, mmap.ErrNotRegular) {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if err != nil {
		return nil, err
	}
	f, err := Parse(m.Data)
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	f.files = append(f.files, m)
	return f, nil
}

var partName = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`)

// openParts opens the parts whose names the number of path stands in. Names are made by counting, so a
// file cannot lead in a circle.
func openParts(path string, count uint64, one func(string) (*File, error)) (_ *File, err error) {
	m := partName.FindStringSubmatch(path)
	if m == nil {
		return nil, fmt.Errorf("%w: it says it is one of %d parts, but is not named NAME-00001-of-%05d.gguf", ErrFormat, count, count)
	}
	if n, _ := strconv.Atoi(m[3]); uint64(n) != count || count > maxParts {
		return nil, fmt.Errorf("%w: the name says %s parts, the file %d", ErrFormat, m[3], count)
	}
	var all *File
	defer func() {
		if err != nil && all != nil {
			all.Close()
		}
	}()
	for i := range int(count) {
		name := fmt.Sprintf("%s-%05d-of-%05d.gguf", m[1], i+1, count)
		f, err := one(name)
		if err != nil {
			return nil, fmt.Errorf("part %d of %d: %w", i+1, count, err)
		}
		no, _ := f.Uint("split.no")
		if n, _ := f.Uint("split.count"); n != count || no != uint64(i) {
			f.Close()
			return nil, fmt.Errorf("part %d of %d: %w: it says it is number %d of %d", i+1, count, ErrFormat, no+1, n)
		}
		if all == nil {
			all = f
			continue
		}
		all.files = append(all.files, f.files...)
		all.size += f.size
		for _, t := range f.Tensors {
			if _, ok := all.byName[t.Name]; ok {
				return nil, fmt.Errorf("part %d of %d: %w: tensor %q is in an earlier part", i+1, count, ErrFormat, t.Name)
			}
			all.byName[t.Name] = len(all.Tensors)
			all.Tensors = append(all.Tensors, t)
		}
	}
	if n, ok := all.Uint("split.tensors.count"); ok && n != uint64(len(all.Tensors)) {
		return nil, fmt.Errorf("%w: the parts hold %d tensors, not %d", ErrFormat, len(all.Tensors), n)
	}
	return all, nil
}

// Close lets go of the file. Tensors' data must not be used after it.
func (f *File) Close() error {
	var errs []error
	for _, m := range f.files {
		errs = append(errs, m.Close())
	}
	f.files = nil
	return errors.Join(errs...)
}

// WriteTo writes the bytes of the file, or of its parts one after the other.
func (f *File) WriteTo(w io.Writer) (n int64, err error) {
	for _, m := range f.files {
		k, err := m.WriteTo(w)
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Release lets go of the memory of what was read of the file; it is read again when it is needed.
func (f *File) Release() {
	for _, m := range f.files {
		m.Release()
	}
}

// Bytes is the size of the file, or of all its parts.
func (f *File) Bytes() int64 { return f.size }

// Tensor finds a tensor by its name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.byName[name]
	if !ok {
		return Tensor{}, false
	}
	return f.Tensors[i], true
}

// Keys are the names of the metadata, in the order of the file.
func (f *File) Keys() []string { return slices.Clone(f.keys) }

// Value is a metadata value: an unsigned or signed integer or a float of the width it was written in,
// a bool, a string, or a slice of one of these. Slices must not be changed.
func (f *File) Value(key string) (any, bool) {
	v, ok := f.meta[key]
	return v, ok
}

// String is a text of the metadata.
func (f *File) String(key string) (string, bool) {
	s, ok := f.meta[key].(string)
	return s, ok
}

// Bool is a truth value of the metadata.
func (f *File) Bool(key string) (value, ok bool) {
	value, ok = f.meta[key].(bool)
	return value, ok
}

// Uint is an integer of the metadata of any width that is not negative.
func (f *File) Uint(key string) (uint64, bool) {
	n, ok := integer(f.meta[key])
	return uint64(n), ok && n >= 0
}

// Float is a number of the metadata, integers too.
func (f *File) Float(key string) (float64, bool) {
	switch v := f.meta[key].(type) {
	case float32:
		return float64(v), true
	case float64:
		return v, true
	default:
		n, ok := integer(v)
		return float64(n), ok
	}
}

// Strings is a list of texts of the metadata. It must not be changed.
func (f *File) Strings(key string) ([]string, bool) {
	s, ok := f.meta[key].([]string)
	return s, ok
}

// Ints is a list of integers of the metadata, of any width.
func (f *File) Ints(key string) ([]int64, bool) {
	switch v := f.meta[key].(type) {
	case []uint8:
		return widen(v), true
	case []int8:
		return widen(v), true
	case []uint16:
		return widen(v), true
	case []int16:
		return widen(v), true
	case []uint32:
		return widen(v), true
	case []int32:
		return widen(v), true
	case []uint64:
		return widen(v), true
	case []int64:
		return slices.Clone(v), true
	case []bool:
		out := make([]int64, len(v))
		for i, b := range v {
			if b {
				out[i] = 1
			}
		}
		return out, true
	}
	return nil, false
}

// Floats is a list of numbers of the metadata.
func (f *File) Floats(key string) ([]float32, bool) {
	switch v := f.meta[key].(type) {
	case []float32:
		return slices.Clone(v), true
	case []float64:
		out := make([]float32, len(v))
		for i, x := range v {
			out[i] = float32(x)
		}
		return out, true
	}
	ints, ok := f.Ints(key)
	if !ok {
		return nil, false
	}
	out := make([]float32, len(ints))
	for i, x := range ints {
		out[i] = float32(x)
	}
	return out, true
}

func widen[T uint8 | int8 | uint16 | int16 | uint32 | int32 | uint64](v []T) []int64 {
	out := make([]int64, len(v))
	for i, x := range v {
		out[i] = int64(x)
	}
	return out
}

func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case uint8:
		return int64(v), true
	case int8:
		return int64(v), true
	case uint16:
		return int64(v), true
	case int16:
		return int64(v), true
	case uint32:
		return int64(v), true
	case int32:
		return int64(v), true
	case uint64:
		return int64(v), v <= math.MaxInt64
	case int64:
		return v, true
	}
	return 0, false
}

// Parse reads a file that is in memory; tensors' data lies in it.
func Parse(data []byte) (*File, error) {
	r := &reader{data: data, size: len(data)}
	f, err := r.file()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	f.size = int64(len(data))
	return f, nil
}

// reader walks over a file from front to back. Its methods return errShort at the end of the file, and
// errMore where the data ends before it.
type reader struct {
	data []byte // the file, or its beginning
	size int    // of the file
	at   int
	stop func(key string) bool // nil: read all; else what comes with the first key that it wants is not read
}

var (
	errShort = errors.New("it ends too early")
	errMore  = errors.New("more of the file is needed")
)

func (r *reader) left() int { return r.size - r.at }

func (r *reader) take(n int) ([]byte, error) {
	if n > r.left() {
		return nil, errShort
	}
	if n > len(r.data)-r.at {
		return nil, errMore
	}
	b := r.data[r.at : r.at+n]
	r.at += n
	return b, nil
}

func (r *reader) u32() (uint32, error) {
	b, err := r.take(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (r *reader) u64() (uint64, error) {
	b, err := r.take(8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// text copies a string, since the mapping goes away.
func (r *reader) text(limit int) (string, error) {
	n, err := r.u64()
	if err != nil {
		return "", err
	}
	if n > uint64(limit) {
		return "", fmt.Errorf("a string of %d bytes at offset %d, the limit is %d", n, r.at-8, limit)
	}
	b, err := r.take(int(n))
	return string(b), err
}

func (r *reader) file() (*File, error) {
	magic, err := r.take(4)
	if err != nil || string(magic) != "GGUF" {
		return nil, errors.New("it does not begin with GGUF")
	}
	version, err := r.u32()
	if err != nil {
		return nil, err
	}
	switch {
	case version == 2 || version == 3:
	case version&0xffff == 0 && version != 0:
		return nil, errors.New("it is big-endian")
	default:
		return nil, fmt.Errorf("version %d, want 2 or 3", version)
	}
	tensors, err := r.u64()
	if err != nil {
		return nil, err
	}
	keys, err := r.u64()
	if err != nil {
		return nil, err
	}
	// The least that a tensor or a key takes bounds how many the rest of the file can hold.
	if tensors > maxTensors || int(tensors) > r.left()/(8+4+8+4+8) {
		return nil, fmt.Errorf("%d tensors do not fit", tensors)
	}
	if keys > maxKeys || int(keys) > r.left()/(8+4+1) {
		return nil, fmt.Errorf("%d keys do not fit", keys)
	}
	f := &File{Version: int(version), meta: make(map[string]any, keys), byName: make(map[string]int, tensors)}
	for range keys {
		key, err := r.text(maxKey)
		if err != nil {
			return nil, fmt.Errorf("metadata: %w", err)
		}
		if _, ok := f.meta[key]; ok {
			return nil, fmt.Errorf("metadata: %q is there twice", key)
		}
		if r.stop != nil && r.stop(key) {
			return f, nil
		}
		kind, err := r.u32()
		if err != nil {
			return nil, fmt.Errorf("metadata %q: %w", key, err)
		}
		if f.meta[key], err = r.value(kind); err != nil {
			return nil, fmt.Errorf("metadata %q: %w", key, err)
		}
		f.keys = append(f.keys, key)
	}
	if err := r.tensors(f, int(tensors)); err != nil {
		return nil, err
	}
	return f, nil
}

// The kinds of metadata values.
const (
	kindUint8 uint32 = iota
	kindInt8
	kindUint16
	kindInt16
	kindUint32
	kindInt32
	kindFloat32
	kindBool
	kindString
	kindArray
	kindUint64
	kindInt64
	kindFloat64
)

var kindSize = [...]int{1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8} // the least, for strings and arrays

func (r *reader) value(kind uint32) (any, error) {
	switch kind {
	case kindString:
		return r.text(maxString)
	case kindArray:
		return r.array()
	}
	if kind >= uint32(len(kindSize)) {
		return nil, fmt.Errorf("a value of kind %d", kind)
	}
	b, err := r.take(kindSize[kind])
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	switch kind {
	case kindUint8:
		return b[0], nil
	case kindInt8:
		return int8(b[0]), nil
	case kindBool:
		return b[0] != 0, nil
	case kindUint16:
		return le.Uint16(b), nil
	case kindInt16:
		return int16(le.Uint16(b)), nil
	case kindUint32:
		return le.Uint32(b), nil
	case kindInt32:
		return int32(le.Uint32(b)), nil
	case kindFloat32:
		return math.Float32frombits(le.Uint32(b)), nil
	case kindUint64:
		return le.Uint64(b), nil
	case kindInt64:
		return int64(le.Uint64(b)), nil
	}
	return math.Float64frombits(le.Uint64(b)), nil
}

func (r *reader) array() (any, error) {
	kind, err := r.u32()
	if err != nil {
		return nil, err
	}
	n64, err := r.u64()
	if err != nil {
		return nil, err
	}
	if kind == kindArray {
		return nil, errors.New("an array of arrays")
	}
	if kind >= uint32(len(kindSize)) {
		return nil, fmt.Errorf("an array of kind %d", kind)
	}
	if n64 > maxElements || int(n64) > r.left()/kindSize[kind] {
		return nil, fmt.Errorf("an array of %d elements does not fit", n64)
	}
	n := int(n64)
	if kind == kindString {
		out := make([]string, n)
		for i := range out {
			if out[i], err = r.text(maxString); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	b, err := r.take(n * kindSize[kind])
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	switch kind {
	case kindUint8:
		return slices.Clone(b), nil
	case kindInt8:
		return each(n, func(i int) int8 { return int8(b[i]) }), nil
	case kindBool:
		return each(n, func(i int) bool { return b[i] != 0 }), nil
	case kindUint16:
		return each(n, func(i int) uint16 { return le.Uint16(b[2*i:]) }), nil
	case kindInt16:
		return each(n, func(i int) int16 { return int16(le.Uint16(b[2*i:])) }), nil
	case kindUint32:
		return each(n, func(i int) uint32 { return le.Uint32(b[4*i:]) }), nil
	case kindInt32:
		return each(n, func(i int) int32 { return int32(le.Uint32(b[4*i:])) }), nil
	case kindFloat32:
		return each(n, func(i int) float32 { return math.Float32frombits(le.Uint32(b[4*i:])) }), nil
	case kindUint64:
		return each(n, func(i int) uint64 { return le.Uint64(b[8*i:]) }), nil
	case kindInt64:
		return each(n, func(i int) int64 { return int64(le.Uint64(b[8*i:])) }), nil
	}
	return each(n, func(i int) float64 { return math.Float64frombits(le.Uint64(b[8*i:])) }), nil
}

func each[T any](n int, at func(int) T) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = at(i)
	}
	return out
}

type span struct {
	from, to uint64
	name     string
}

func (r *reader) tensors(f *File, count int) error {
	align := uint64(32)
	if _, ok := f.meta["general.alignment"]; ok {
		a, ok := f.Uint("general.alignment")
		if !ok || a < 8 || a > maxAlign || a&(a-1) != 0 {
			return fmt.Errorf("alignment %v: want a power of two from 8 to %d", f.meta["general.alignment"], maxAlign)
		}
		align = a
	}
	spans := make([]span, 0, count)
	for range count {
		t, offset, err := r.tensor()
		if err != nil {
			return err
		}
		if _, ok := f.byName[t.Name]; ok {
			return fmt.Errorf("tensor %q is there twice", t.Name)
		}
		values, bytes := t.Type.Block()
		if values == 0 {
			return fmt.Errorf("tensor %q has %s, which is not known", t.Name, t.Type)
		}
		if t.Shape[0]%values != 0 {
			return fmt.Errorf("tensor %q: rows of %d values, %s wants a multiple of %d", t.Name, t.Shape[0], t.Type, values)
		}
		if offset%align != 0 {
			return fmt.Errorf("tensor %q: offset %d is not a multiple of %d", t.Name, offset, align)
		}
		size := uint64(t.Values()/values) * uint64(bytes)
		spans = append(spans, span{offset, offset + size, t.Name})
		f.byName[t.Name] = len(f.Tensors)
		f.Tensors = append(f.Tensors, t)
	}
	if count == 0 {
		return nil
	}
	start := (uint64(r.at) + align - 1) &^ (align - 1)
	total := uint64(r.size)
	if start > total {
		return errShort
	}
	total -= start
	for i, s := range spans {
		// Sizes are under 2^62 and offsets are checked alone first, so that sums do not wrap around.
		if s.from > total || s.to < s.from || s.to > total {
			return fmt.Errorf("tensor %q: bytes %d to %d of %d", s.name, s.from, s.to, total)
		}
		if len(r.data) == r.size {
			f.Tensors[i].Data = r.data[start+s.from : start+s.to : start+s.to]
		}
	}
	slices.SortFunc(spans, func(a, b span) int {
		switch {
		case a.from < b.from:
			return -1
		case a.from > b.from:
			return 1
		}
		return 0
	})
	for i := 1; i < len(spans); i++ {
		if spans[i].from < spans[i-1].to {
			return fmt.Errorf("tensors %q and %q overlap", spans[i-1].name, spans[i].name)
		}
	}
	return nil
}

func (r *reader) tensor() (t Tensor, offset uint64, err error) {
	if t.Name, err = r.text(maxName); err != nil {
		return t, 0, fmt.Errorf("tensors: %w", err)
	}
	dims, err := r.u32()
	if err != nil {
		return t, 0, fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	if dims < 1 || dims > maxDims {
		return t, 0, fmt.Errorf("tensor %q has %d dimensions", t.Name, dims)
	}
	values := uint64(1)
	for range dims {
		d, err := r.u64()
		if err != nil {
			return t, 0, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		if d == 0 || d > 1<<40 || values > (1<<44)/d {
			return t, 0, fmt.Errorf("tensor %q: a dimension of %d", t.Name, d)
		}
		values *= d
		t.Shape = append(t.Shape, int(d))
	}
	kind, err := r.u32()
	if err != nil {
		return t, 0, fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	t.Type = Type(kind)
	if offset, err = r.u64(); err != nil {
		return t, 0, fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	return t, offset, nil
}

// Metadata returns a copy of all the metadata.
func (f *File) Metadata() map[string]any { return maps.Clone(f.meta) }
