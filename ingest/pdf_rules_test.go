package ingest

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"docent/chunker"
)

func across(at, from, to float64) pdfRule { return pdfRule{at: at, from: from, to: to} }
func down(at, from, to float64) pdfRule   { return pdfRule{upright: true, at: at, from: from, to: to} }

func TestPDFJoinRules(t *testing.T) {
	tests := []struct {
		name         string
		in           []pdfRule
		across, down []pdfRule
	}{
		{"nothing", nil, nil, nil},
		{"pieces", []pdfRule{across(10, 0, 50), across(10, 51, 100), across(10, 102, 150)}, []pdfRule{across(10, 0, 150)}, nil},
		{"apart", []pdfRule{across(10, 0, 50), across(10, 60, 100)}, []pdfRule{across(10, 0, 50), across(10, 60, 100)}, nil},
		{"double", []pdfRule{down(10, 0, 50), down(11, 0, 50)}, nil, []pdfRule{down(10.5, 0, 50)}},
		{"crumbs", []pdfRule{across(10, 0, 3), down(5, 0, 4)}, nil, nil},
		{"both", []pdfRule{down(5, 0, 40), across(10, 0, 30)}, []pdfRule{across(10, 0, 30)}, []pdfRule{down(5, 0, 40)}},
		{"too many", slices.Repeat([]pdfRule{across(10, 0, 30)}, pdfMaxRules+1), nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, d := pdfJoinRules(tt.in)
			if diff := cmp.Diff(tt.across, a, cmp.AllowUnexported(pdfRule{})); diff != "" {
				t.Errorf("across (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.down, d, cmp.AllowUnexported(pdfRule{})); diff != "" {
				t.Errorf("down (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPDFGrids(t *testing.T) {
	frame := []pdfRule{across(0, 0, 100), across(20, 0, 100), across(40, 0, 100), down(0, 0, 40), down(100, 0, 40)}
	tests := []struct {
		name  string
		rules []pdfRule
		xs    []float64
		ys    []float64
		cells []int
	}{
		{"whole", append([]pdfRule{down(50, 0, 40)}, frame...), []float64{0, 50, 100}, []float64{0, 20, 40}, []int{0, 1, 2, 3}},
		{"first row over both columns", append([]pdfRule{down(50, 20, 40)}, frame...), []float64{0, 50, 100}, []float64{0, 20, 40}, []int{0, 0, 2, 3}},
		{"first column over both rows", []pdfRule{across(0, 0, 100), across(40, 0, 100), across(20, 50, 100), down(0, 0, 40), down(50, 0, 40), down(100, 0, 40)},
			[]float64{0, 50, 100}, []float64{0, 20, 40}, []int{0, 1, 0, 3}},
		{"open sides", []pdfRule{across(0, 0, 100), across(20, 0, 100), across(40, 0, 100), down(50, 0, 40)}, []float64{0, 50, 100}, []float64{0, 20, 40}, []int{0, 1, 2, 3}},
		{"lines that do not meet", []pdfRule{across(0, 0, 100), across(20, 0, 100), down(150, 0, 40)}, nil, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, d := pdfJoinRules(tt.rules)
			grids := pdfGrids(a, d)
			if tt.xs == nil {
				if len(grids) > 0 {
					t.Fatalf("got %v, want none", grids[0])
				}
				return
			}
			if len(grids) != 1 {
				t.Fatalf("got %d grids, want 1", len(grids))
			}
			g := grids[0]
			if !cmp.Equal(g.xs, tt.xs) || !cmp.Equal(g.ys, tt.ys) || !cmp.Equal(g.cells, tt.cells) {
				t.Errorf("got %v × %v, cells %v; want %v × %v, %v", g.xs, g.ys, g.cells, tt.xs, tt.ys, tt.cells)
			}
		})
	}
}

// FuzzPDFGrid draws lines and letters anywhere: whatever tables come of it, all letters must come out,
// and the bounds must hold.
func FuzzPDFGrid(f *testing.F) {
	grid := []byte{}
	for i := byte(0); i < 4; i++ {
		grid = append(grid, 0, i*30, 0, 90, 1, i*30, 0, 90)
	}
	for i := byte(0); i < 9; i++ {
		grid = append(grid, 2, 5+i%3*30, 10+i/3*30, 4)
	}
	f.Add(grid)
	f.Add([]byte{0, 10, 0, 200, 0, 30, 0, 200, 0, 60, 0, 200, 2, 5, 15, 3, 2, 90, 15, 3, 2, 5, 40, 3, 2, 90, 40, 3})
	f.Add([]byte{2, 1, 1, 20, 2, 60, 1, 20, 2, 1, 14, 20, 2, 60, 14, 20, 2, 1, 28, 20, 2, 60, 28, 20, 3, 0, 2, 9})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 8000 {
			return
		}
		start := time.Now()
		pg := &pdfPage{width: 600, height: 600}
		want := 0
		for i := 0; i+4 <= len(data); i += 4 {
			a, b, c := float64(data[i+1])*2, float64(data[i+2])*2, float64(data[i+3])*2
			switch data[i] % 4 {
			case 0:
				pg.addRule(b, a, b+c, a+1)
			case 1:
				pg.addRule(a, b, a+1, b+c)
			case 2:
				x := a
				for k := range int(data[i+3]) % 40 {
					// No two alike in one place: those are taken for bold print.
					pg.chars = append(pg.chars, pdfChar{r: 'a' + rune((i+k)%26), x0: float32(x), x1: float32(x + 5), y0: float32(b), y1: float32(b + 10), size: 10})
					x += 5.2
				}
				pg.chars = append(pg.chars, pdfChar{r: '\n'})
			case 3:
				pg.addPath([][2]float64{{a, b}, {a + 4, b}, {a + 4, b + 4}, {a, b + 4}}, false, c > 100)
			}
		}
		across, down := pdfJoinRules(pg.rules)
		grids := pdfTableGrids(pg, across, down)
		for _, g := range grids {
			if len(g.cells) != g.cols()*g.rows() || !slices.IsSorted(g.xs) || !slices.IsSorted(g.ys) {
				t.Fatalf("grid %v", g)
			}
			for i, p := range g.cells {
				if p < 0 || p > i || g.cells[p] != p {
					t.Fatalf("cell %d belongs to %d", i, p)
				}
			}
			if p, ok := g.place(math.NaN(), 1); ok {
				t.Fatalf("nowhere is in cell %d", p)
			}
		}
		segs := pdfSegments(pg, grids)
		for _, s := range segs {
			want += s.runes
		}
		pdfDrawnBullets(segs, pg.dots)
		paras := pdfParas(segs, pdfFreeRules(across, down), 10)
		pages := [][]pdfPara{paras, pdfParas(pdfSegments(pg, grids), nil, 10)}
		pdfJoinTables(pages)
		got := 0
		for _, p := range paras {
			if p.kind == chunker.Table && strings.Count(p.text, "\n") < 1 {
				t.Errorf("table %q", p.text)
			}
			for _, r := range p.text {
				if unicode.IsLetter(r) {
					got++
				}
			}
		}
		if got < want {
			t.Errorf("%d letters came out of %d:\n%v", got, want, paras)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		if got > 70*want {
			t.Errorf("%d letters came out of %d", got, want)
		}
	})
}
