package safetensors

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

func file(header string, data ...byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func TestRead(t *testing.T) {
	f, err := Parse(file(`{"__metadata__":{"name":"x"},
		"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},
		"b":{"dtype":"F16","shape":[2],"data_offsets":[8,12]},
		"c":{"dtype":"BF16","shape":[1],"data_offsets":[12,14]},
		"d":{"dtype":"I8","shape":[2],"data_offsets":[14,16]},
		"e":{"dtype":"F32","shape":[0],"data_offsets":[16,16]}}`,
		0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0x00, 0x3c, 0x01, 0x00, 0x80, 0xbf, 0xff, 0x7f))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Names(); !slices.Equal(got, []string{"a", "b", "c", "d", "e"}) || f.Metadata["name"] != "x" {
		t.Errorf("names %v, metadata %v", got, f.Metadata)
	}
	for name, c := range map[string]struct {
		shape []int
		want  []float32
	}{
		"a": {[]int{2, 1}, []float32{1, -2}}, "b": {[]int{2}, []float32{1, 1.0 / (1 << 24)}},
		"c": {[]int{1}, []float32{-1}}, "e": {[]int{0}, []float32{}},
	} {
		if got, err := f.Float32(name, c.shape...); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, %v; want %v", name, got, err, c.want)
		}
	}
	if got, err := f.Int8("d", 2); err != nil || !slices.Equal(got, []byte{255, 127}) {
		t.Errorf("d: got %v, %v", got, err)
	}
	for name, err := range map[string]error{
		"shape": second(f.Float32("a", 2)), "type": second(f.Float32("d", 2)), "int8 type": second(f.Int8("a", 2, 1)),
	} {
		if err == nil {
			t.Errorf("wrong %s: no error", name)
		}
	}
	if _, err := f.Float32("zz", 1); !errors.Is(err, ErrMissing) {
		t.Errorf("missing: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestRefused(t *testing.T) {
	huge := binary.LittleEndian.AppendUint64(nil, math.MaxUint64)
	for name, c := range map[string]struct {
		data []byte
		want string // in the error
	}{
		"empty":               {nil, "too short"},
		"short":               {[]byte{1, 2, 3}, "too short"},
		"header of exbibytes": {append(huge, '{', '}'), "claims"},
		"header past the end": {file("{}")[:9], "claims"},
		"not JSON":            {file("nope"), "header"},
		"array":               {file("[]"), "header"},
		"no type":             {file(`{"w":{"shape":[1],"data_offsets":[0,4]}}`, 0, 0, 0, 0), `"w"`},
		"offsets past data":   {file(`{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 0, 0, 0, 0), `"w"`},
		"negative offset":     {file(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}`, 0, 0, 0, 0), `"w"`},
		"backward offsets":    {file(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 0, 0, 0, 0), `"w"`},
		"one offset":          {file(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[0]}}`, 0, 0, 0, 0), `"w"`},
		"size unlike shape":   {file(`{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 0, 0, 0, 0), "needs 8 bytes"},
		"shape overflows":     {file(`{"w":{"dtype":"F32","shape":[2147483647,2147483647,2147483647],"data_offsets":[0,4]}}`, 0, 0, 0, 0), "shape"},
		"negative shape":      {file(`{"w":{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}}`, 0, 0, 0, 0), "shape"},
		"overlap":             {file(`{"a":{"dtype":"I8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"I8","shape":[2],"data_offsets":[2,4]}}`, 0, 0, 0, 0), "overlap"},
	} {
		if _, err := Parse(c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	for name, bits := range map[string]uint32{"NaN": 0x7fc00000, "infinity": 0xff800000} {
		f, err := Parse(file(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, binary.LittleEndian.AppendUint32(nil, bits)...))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Float32("w", 1); err == nil || !strings.Contains(err.Error(), `"w"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFloat16(t *testing.T) {
	for h, want := range map[uint16]float32{
		0: 0, 0x3c00: 1, 0xc000: -2, 0x7bff: 65504, 0x0400: 1.0 / 16384, 0x0001: 1.0 / (1 << 24), 0x3555: 0.33325195,
		0x7c00: float32(math.Inf(1)), 0xfc00: float32(math.Inf(-1)),
	} {
		if got := Float16(h); got != want {
			t.Errorf("%#04x: got %v, want %v", h, got, want)
		}
	}
	if x := Float16(0x7e00); x == x {
		t.Error("NaN is a number")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(file(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 0, 0, 128, 63))
	f.Add(file(`{"__metadata__":{"a":"b"},"w":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}}`, 1, 2))
	f.Add(file("{}"))
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		if err != nil {
			return
		}
		total := 0
		for _, name := range s.Names() {
			info, ok := s.Tensor(name)
			if !ok {
				t.Fatalf("%q is listed and not there", name)
			}
			n := 1
			for _, d := range info.Shape {
				n *= d
			}
			if v, err := s.Float32(name, info.Shape...); err == nil && len(v) != n {
				t.Fatalf("%q: %d values for shape %v", name, len(v), info.Shape)
			}
			if v, err := s.Int8(name, info.Shape...); err == nil {
				total += len(v)
			}
		}
		if total > len(data) {
			t.Fatalf("%d bytes of tensors in a file of %d", total, len(data))
		}
	})
}
