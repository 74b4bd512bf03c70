package gguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// KeyValue is an entry of the metadata. Value is one of the types that [File.Value] returns.
type KeyValue struct {
	Key   string
	Value any
}

// Write writes a file of version 3 with tensors in the given order. A tensor with nil Data is asked of
// fill, which writes its bytes to w; so that models need not lie in memory.
func Write(w io.Writer, meta []KeyValue, tensors []Tensor, fill func(w io.Writer, t Tensor) error) error {
	const align = 32
	out := &writer{w: bufio.NewWriterSize(w, 1<<20)}
	out.raw([]byte("GGUF"))
	out.put(uint32(3), uint64(len(tensors)), uint64(len(meta)))
	for _, kv := range meta {
		out.text(kv.Key)
		if err := out.value(kv.Value); err != nil {
			return fmt.Errorf("metadata %q: %w", kv.Key, err)
		}
	}
	offset := 0
	sizes := make([]int, len(tensors))
	for i, t := range tensors {
		values, bytes := t.Type.Block()
		if values == 0 || len(t.Shape) == 0 || t.Shape[0]%values != 0 {
			return fmt.Errorf("tensor %q: shape %v does not fit %s", t.Name, t.Shape, t.Type)
		}
		sizes[i] = t.Values() / values * bytes
		if t.Data != nil && len(t.Data) != sizes[i] {
			return fmt.Errorf("tensor %q: %d bytes, want %d", t.Name, len(t.Data), sizes[i])
		}
		out.text(t.Name)
		out.put(uint32(len(t.Shape)))
		for _, d := range t.Shape {
			out.put(uint64(d))
		}
		out.put(uint32(t.Type), uint64(offset))
		offset += (sizes[i] + align - 1) / align * align
	}
	out.pad(align)
	for i, t := range tensors {
		before := out.n
		if t.Data != nil {
			out.raw(t.Data)
		} else if err := fill(out, t); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		if out.err == nil && out.n-before != sizes[i] {
			return fmt.Errorf("tensor %q: %d bytes were written, want %d", t.Name, out.n-before, sizes[i])
		}
		out.pad(align)
	}
	if out.err != nil {
		return out.err
	}
	return out.w.Flush()
}

type writer struct {
	w   *bufio.Writer
	n   int
	err error
}

// Write implements io.Writer.
func (o *writer) Write(b []byte) (int, error) {
	o.raw(b)
	return len(b), o.err
}

func (o *writer) raw(b []byte) {
	if o.err == nil {
		_, o.err = o.w.Write(b)
	}
	o.n += len(b)
}

func (o *writer) pad(align int) {
	if r := o.n % align; r != 0 {
		o.raw(make([]byte, align-r))
	}
}

func (o *writer) text(s string) {
	o.put(uint64(len(s)))
	o.raw([]byte(s))
}

func (o *writer) put(values ...any) {
	var b []byte
	for _, v := range values {
		b, _ = binary.Append(b, binary.LittleEndian, v)
	}
	o.raw(b)
}

func (o *writer) value(v any) error {
	if kind, ok := kindOf(v); ok {
		o.put(kind)
		switch v := v.(type) {
		case string:
			o.text(v)
		case float32:
			o.put(math.Float32bits(v))
		default:
			o.put(v)
		}
		return nil
	}
	list := func(kind uint32, n int) { o.put(kindArray, kind, uint64(n)) }
	switch v := v.(type) {
	case []string:
		list(kindString, len(v))
		for _, s := range v {
			o.text(s)
		}
	case []uint8:
		list(kindUint8, len(v))
		o.raw(v)
	case []float32:
		list(kindFloat32, len(v))
		o.put(v)
	case []int32:
		list(kindInt32, len(v))
		o.put(v)
	case []uint32:
		list(kindUint32, len(v))
		o.put(v)
	case []bool:
		list(kindBool, len(v))
		o.put(v)
	default:
		return fmt.Errorf("a %T cannot be written", v)
	}
	return nil
}

func kindOf(v any) (uint32, bool) {
	switch v.(type) {
	case uint8:
		return kindUint8, true
	case int8:
		return kindInt8, true
	case uint16:
		return kindUint16, true
	case int16:
		return kindInt16, true
	case uint32:
		return kindUint32, true
	case int32:
		return kindInt32, true
	case float32:
		return kindFloat32, true
	case bool:
		return kindBool, true
	case string:
		return kindString, true
	case uint64:
		return kindUint64, true
	case int64:
		return kindInt64, true
	case float64:
		return kindFloat64, true
	}
	return 0, false
}
