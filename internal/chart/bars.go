// Package chart draws grouped bars with intervals as an SVG that a browser or a README shows in light and
// in dark. It needs no script and no font but the reader's own.
//
//	err := chart.Bars{Title: "nDCG@10", Groups: []string{"cranfield"}, Series: series}.WriteSVG(file)
package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode"
)

// Bars are values side by side: a group on the axis for each name in Groups, with a bar for each series.
type Bars struct {
	Title  string
	Axis   string // what the values are
	Groups []string
	Series []Series
}

// A Series is what one colour stands for.
type Series struct {
	Name string
	Bars []Bar // one a group; those past its end are missing
}

// A Bar is a value with the interval it is known to lie in. A value that is not a finite number is no bar,
// and so is such a bound no interval.
type Bar struct{ Value, Low, High float64 }

// Sizes in user units, which are pixels where nothing scales the picture.
const (
	barWidth   = 14.0
	groupGap   = 22.0
	plotHeight = 300.0
	leftMargin = 64.0
	rightEdge  = 20.0
	lineHeight = 18.0
	fontSize   = 12.0
	minWidth   = 640.0
	whisker    = 3.0 // half the width of an interval's ends
)

// palette has a colour for light and one for dark a series; past its end it begins anew. Neighbours differ in
// lightness as well as in hue, for readers who see few colours.
var palette = [][2]string{
	{"#1f5fa8", "#6aa9f0"},
	{"#e08a1e", "#f2b25c"},
	{"#1d7f5f", "#57c7a1"},
	{"#b04a8f", "#e494cb"},
	{"#5b6470", "#b3bcc8"},
	{"#b3382c", "#f08a7e"},
	{"#7a9e1f", "#b9d967"},
	{"#4b3fa0", "#a79cf0"},
}

// WriteSVG draws the bars.
func (b Bars) WriteSVG(w io.Writer) error {
	d := b.layOut()
	d.frame()
	for i, series := range b.Series {
		for g := range b.Groups {
			if g < len(series.Bars) {
				d.bar(i, g, series.Bars[g])
			}
		}
	}
	d.out.WriteString("</svg>\n")
	_, err := w.Write(d.out.Bytes())
	return err
}

// A drawing is the picture while it is made.
type drawing struct {
	Bars
	out           bytes.Buffer
	group         float64 // the width of one, its gap included
	width, height float64
	top           float64 // of the plot
	low, high     float64 // the values at its ends
	step          float64 // between its ticks
	legend        [][]int // series by line
}

func (b Bars) layOut() *drawing {
	d := &drawing{Bars: b, group: float64(max(len(b.Series), 1))*barWidth + groupGap}
	for _, g := range b.Groups {
		d.group = math.Max(d.group, textWidth(g)+12)
	}
	d.width = math.Max(minWidth, leftMargin+d.group*float64(len(b.Groups))+rightEdge)
	d.group = (d.width - leftMargin - rightEdge) / float64(max(len(b.Groups), 1))
	x := leftMargin
	for i, s := range b.Series {
		wide := legendWidth(s.Name)
		if len(d.legend) == 0 || x+wide > d.width {
			d.legend, x = append(d.legend, nil), leftMargin
		}
		d.legend[len(d.legend)-1] = append(d.legend[len(d.legend)-1], i)
		x += wide
	}
	d.top = 46 + lineHeight*float64(len(d.legend))
	d.height = d.top + plotHeight + 34
	d.scale()
	return d
}

// scale takes in 0 and every value, with ticks at 1, 2 or 5 times a power of ten.
func (d *drawing) scale() {
	for _, s := range d.Series {
		for _, b := range s.Bars {
			for _, v := range []float64{b.Value, b.Low, b.High} {
				if finite(v) && finite(b.Value) {
					d.low, d.high = math.Min(d.low, v), math.Max(d.high, v)
				}
			}
		}
	}
	if d.low == d.high {
		d.high = 1
	}
	rough := (d.high - d.low) / 5
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	d.step = 10 * power
	for _, m := range []float64{1, 2, 5} {
		if m*power >= rough*(1-1e-9) {
			d.step = m * power
			break
		}
	}
	d.low, d.high = math.Floor(d.low/d.step+1e-9)*d.step, math.Ceil(d.high/d.step-1e-9)*d.step
}

func (d *drawing) y(v float64) float64 { return d.top + plotHeight*(d.high-v)/(d.high-d.low) }

// frame draws all but the bars.
func (d *drawing) frame() {
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img" font-family="system-ui, sans-serif" font-size="%.0f">`+"\n",
		d.width, d.height, d.width, d.height, fontSize)
	d.printf("<title>%s</title>\n", escape(d.Title))
	d.style()
	d.printf(`<rect class="paper" width="%.0f" height="%.0f"/>`+"\n", d.width, d.height)
	d.printf(`<text class="ink" x="%.0f" y="24" font-size="16" font-weight="600">%s</text>`+"\n", leftMargin, escape(d.Title))
	for n, line := range d.legend {
		x, y := leftMargin, 34+lineHeight*float64(n)
		for _, i := range line {
			d.printf(`<rect class="s%d" x="%.1f" y="%.1f" width="11" height="11" rx="2"/><text class="ink" x="%.1f" y="%.1f">%s</text>`+"\n",
				i%len(palette), x, y+2, x+16, y+12, escape(d.Series[i].Name))
			x += legendWidth(d.Series[i].Name)
		}
	}
	decimals := max(0, -int(math.Floor(math.Log10(d.step)+1e-9)))
	for n := range int(math.Round((d.high-d.low)/d.step)) + 1 {
		v := d.low + float64(n)*d.step
		class := "grid"
		if math.Abs(v) < d.step/2 {
			class, v = "zero", 0
		}
		d.printf(`<path class="%s" d="M%.1f %.1fH%.1f"/><text class="soft" x="%.1f" y="%.1f" text-anchor="end">%.*f</text>`+"\n",
			class, leftMargin, d.y(v), d.width-rightEdge, leftMargin-8, d.y(v)+4, decimals, v)
	}
	middle := d.top + plotHeight/2
	d.printf(`<text class="soft" transform="translate(18 %.1f) rotate(-90)" text-anchor="middle">%s</text>`+"\n", middle, escape(d.Axis))
	for g, name := range d.Groups {
		d.printf(`<text class="ink" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n",
			leftMargin+d.group*(float64(g)+0.5), d.top+plotHeight+20, escape(name))
	}
}

// style has the colours of a light page, and in their stead those of a dark one where the reader has that.
func (d *drawing) style() {
	var light, dark strings.Builder
	for i := range min(len(d.Series), len(palette)) {
		fmt.Fprintf(&light, ".s%d{fill:%s}", i, palette[i][0])
		fmt.Fprintf(&dark, ".s%d{fill:%s}", i, palette[i][1])
	}
	d.printf("<style>.paper{fill:#fff}.ink{fill:#1d2329}.soft{fill:#59636e}.grid{stroke:#e3e7eb}.zero{stroke:#59636e}.interval{stroke:#1d2329;fill:none}.halo{stroke:#fff;stroke-width:3;stroke-opacity:.7;fill:none}%s\n", light.String())
	d.printf("@media (prefers-color-scheme:dark){.paper{fill:#14181d}.ink{fill:#e6eaee}.soft{fill:#9aa5b1}.grid{stroke:#2a3138}.zero{stroke:#9aa5b1}.interval{stroke:#e6eaee}.halo{stroke:#14181d}%s}</style>\n", dark.String())
}

func (d *drawing) bar(series, group int, b Bar) {
	if !finite(b.Value) {
		return
	}
	x := leftMargin + d.group*(float64(group)+0.5) + (float64(series)-float64(len(d.Series))/2)*barWidth
	top, bottom := d.y(math.Max(b.Value, 0)), d.y(math.Min(b.Value, 0))
	tip := fmt.Sprintf("%s, %s: %.4f", d.Groups[group], d.Series[series].Name, b.Value)
	interval := ""
	if finite(b.Low) && finite(b.High) {
		tip += fmt.Sprintf(" (%.4f to %.4f)", b.Low, b.High)
		middle := x + barWidth/2
		path := fmt.Sprintf("M%.1f %.1fV%.1fM%.1f %.1fH%.1fM%.1f %.1fH%.1f",
			middle, d.y(b.Low), d.y(b.High), middle-whisker, d.y(b.Low), middle+whisker, middle-whisker, d.y(b.High), middle+whisker)
		interval = fmt.Sprintf(`<path class="halo" d="%s"/><path class="interval" d="%s"/>`, path, path) // seen on the bar too
	}
	d.printf(`<g><title>%s</title><rect class="s%d" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>%s</g>`+"\n",
		escape(tip), series%len(palette), x+1, top, barWidth-2, bottom-top, interval)
}

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(&d.out, format, args...) }

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func legendWidth(name string) float64 { return textWidth(name) + 36 }

// textWidth is a guess at the width of a text, since the reader's font is not known: generous, so that
// names do not run into each other.
func textWidth(s string) float64 {
	var w float64
	for _, r := range s {
		if unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) {
			w += fontSize
		} else {
			w += fontSize * 0.58
		}
	}
	return w
}

// escape makes a name text of an XML document; characters that XML cannot have become U+FFFD.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder returns no error
	return b.String()
}
