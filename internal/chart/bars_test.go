package chart_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"docent/internal/chart"
)

// draw returns the picture and its texts, in order; it fails for one that is not well-formed XML.
func draw(t *testing.T, b chart.Bars) (svg string, texts []string, rects int) {
	t.Helper()
	var out bytes.Buffer
	if err := b.WriteSVG(&out); err != nil {
		t.Fatal(err)
	}
	svg = out.String()
	d := xml.NewDecoder(strings.NewReader(svg))
	in := ""
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return svg, texts, rects
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if in = token.Name.Local; in == "rect" {
				rects++
			}
			for _, a := range token.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("<%s %s=%q>", in, a.Name.Local, a.Value)
				}
			}
		case xml.CharData:
			if in == "text" || in == "title" {
				texts = append(texts, string(token))
			}
			in = ""
		}
	}
}

func TestBars(t *testing.T) {
	svg, texts, rects := draw(t, chart.Bars{
		Title: "nDCG@10 <by> \"set\" & more", Axis: "nDCG@10",
		Groups: []string{"cranfield", "</text><script>", "中文"},
		Series: []chart.Series{
			{"keyword", []chart.Bar{{0.3617, 0.33, 0.40}, {0.5, 0.4, 0.6}, {0.9, 0.8, 1}}},
			{"a&b\x00", []chart.Bar{{0.4178, math.NaN(), math.NaN()}, {math.NaN(), 0, 0}}},
		},
	})
	all := strings.Join(texts, "\n")
	for _, want := range []string{"nDCG@10 <by> \"set\" & more", "</text><script>", "中文", "keyword", "a&b\uFFFD", "cranfield, keyword: 0.3617 (0.3300 to 0.4000)", "0.0", "0.8", "1.0"} {
		if !strings.Contains(all, want) {
			t.Errorf("it does not say %q:\n%s", want, all)
		}
	}
	// The paper, two of the legend, and four bars: one value is not a number and one is missing.
	if rects != 1+2+4 {
		t.Errorf("%d rectangles", rects)
	}
	if n := strings.Count(svg, `class="interval"`); n != 3 {
		t.Errorf("%d intervals", n)
	}
	if strings.Contains(svg, "<script") || !strings.Contains(svg, "prefers-color-scheme:dark") {
		t.Errorf("unescaped, or light only:\n%s", svg)
	}
}

func TestBarsOfNothing(t *testing.T) {
	for _, b := range []chart.Bars{
		{},
		{Title: "no series", Groups: []string{"a"}},
		{Series: []chart.Series{{Name: "no group", Bars: []chart.Bar{{Value: 1}}}}},
		{Groups: []string{"zero"}, Series: []chart.Series{{Bars: []chart.Bar{{}}}}},
		{Groups: []string{"below"}, Series: []chart.Series{{Bars: []chart.Bar{{-0.02, -0.1, 0.03}}}}},
	} {
		draw(t, b)
	}
}

func FuzzBars(f *testing.F) {
	f.Add("title", "name", 0.5, 0.4, 0.6)
	f.Add("<&>", "\xff", -1e9, math.Inf(1), 1e-300)
	f.Fuzz(func(t *testing.T, title, name string, value, low, high float64) {
		draw(t, chart.Bars{Title: title, Axis: name, Groups: []string{name, title}, Series: []chart.Series{
			{Name: name, Bars: []chart.Bar{{value, low, high}, {low, high, value}}},
		}})
	})
}
