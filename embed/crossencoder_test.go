package embed

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type crossGolden struct {
	Query, Passage string
	IDs            []int32
	Score          float64
}

func crossRows(t *testing.T, dir string) []crossGolden {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []crossGolden
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestCrossEncodersAgainstTransformers(t *testing.T) {
	dirs, err := filepath.Glob("testdata/cross-*")
	if err != nil || len(dirs) < 6 {
		t.Fatalf("%d checkpoints, %v", len(dirs), err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			c, err := LoadCrossEncoder(dir)
			if err != nil {
				t.Fatal(err)
			}
			largest := 0.0
			for _, r := range crossRows(t, dir) {
				var s scratch
				c.pair(&s, c.tok.Append(nil, r.Query, c.maxText), r.Passage)
				if !slices.Equal(s.ids, r.IDs) {
					t.Errorf("%.20q, %.20q: ids\n got %v\nwant %v", r.Query, r.Passage, s.ids, r.IDs)
				}
				got, err := c.Score(context.Background(), r.Query, []string{"cat", r.Passage})
				if err != nil {
					t.Fatal(err)
				}
				d := math.Abs(float64(got[1]) - r.Score)
				if largest = max(largest, d); !(d <= 1e-5) {
					t.Errorf("%.20q, %.20q: score %v, want %v", r.Query, r.Passage, got[1], r.Score)
				}
			}
			t.Logf("%s: largest difference of a score %.2g", c.Info().Architecture, largest)
		})
	}
}

func TestCrossEncoderManyPassages(t *testing.T) {
	c, err := LoadCrossEncoder("testdata/cross-bert", Int8())
	if err != nil {
		t.Fatal(err)
	}
	if c.Name() != "cross-bert-int8" || !strings.HasPrefix(c.Fingerprint(), "cross-bert-int8@") || c.Info().Precision != "int8" || c.MaxTokens() != 127 {
		t.Errorf("%+v", c.Info())
	}
	ctx := context.Background()
	passages := english(100, 30)
	all, err := c.Score(ctx, "hello world", passages)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		one, err := c.Score(ctx, "hello world", passages[i:i+1])
		if err != nil || one[0] != all[i] {
			t.Errorf("passage %d: %v alone, %v among others; %v", i, one, all[i], err)
		}
	}
	if none, err := c.Score(ctx, "hello", nil); err != nil || len(none) != 0 {
		t.Errorf("no passages: %v, %v", none, err)
	}
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(ctx)
	cancel(cause)
	if _, err := c.Score(ctx, "hello", passages); !errors.Is(err, cause) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestShares(t *testing.T) {
	for _, c := range []struct{ a, b, limit, wantA, wantB int }{
		{3, 4, 7, 3, 4}, {3, 5, 7, 3, 4}, {5, 3, 7, 4, 3}, {4, 4, 7, 3, 4}, {5, 4, 7, 4, 3},
		{0, 9, 7, 0, 7}, {9, 0, 7, 7, 0}, {9, 9, 8, 4, 4}, {4, 9, 8, 4, 4},
	} {
		if a, b := shares(c.a, c.b, c.limit); a != c.wantA || b != c.wantB {
			t.Errorf("%d and %d to %d: %d and %d, want %d and %d", c.a, c.b, c.limit, a, b, c.wantA, c.wantB)
		}
	}
}

func TestCrossEncoderRefused(t *testing.T) {
	for name, c := range map[string]struct {
		good, file string
		edit       func([]byte) []byte
		want       string
	}{
		"labels":     {"cross-bert", "config.json", replace(`"LABEL_0"`, `"no", "1": "yes"`), "2 labels"},
		"score":      {"cross-xlm-roberta", "config.json", replace("linear.Identity", "activation.Softmax"), "Softmax"},
		"pooling":    {"cross-modernbert", "config.json", replace(`"mean"`, `"sum"`), "classifier_pooling"},
		"activation": {"cross-modernbert", "config.json", replace(`"classifier_activation": "gelu"`, `"classifier_activation": "erf"`), "erf"},
		"no head":    {"tiny-f32-mean", "config.json", replace("{", "{ "), "pooler.dense"},
		"family":     {"tiny-jina", "config.json", replace("{", "{ "), "Jina"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := broken(t, filepath.Join("testdata", c.good), c.file, c.edit)
			if _, err := LoadCrossEncoder(dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}
