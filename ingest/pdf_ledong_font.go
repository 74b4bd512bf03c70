package ingest

import (
	"strings"

	"github.com/ledongthuc/pdf"
)

func ledongPlainFont(f pdf.Value) bool {
	unicode := f.Key("ToUnicode").Kind() == pdf.Stream
	switch f.Key("Subtype").Name() {
	case "Type0":
		return f.Key("Encoding").Name() == "Identity-H" && unicode
	case "Type1", "TrueType", "MMType1":
	default:
		return false
	}
	if f.Key("Widths").Len() == 0 {
		return false
	}
	symbolic := f.Key("FontDescriptor").Key("Flags").Int64()&4 != 0
	switch enc := f.Key("Encoding"); enc.Kind() {
	case pdf.Name:
		return (enc.Name() == "WinAnsiEncoding" || enc.Name() == "MacRomanEncoding") && (!symbolic || !unicode)
	case pdf.Null:
		return unicode
	case pdf.Dict:
		if unicode || enc.Key("BaseEncoding").Kind() != pdf.Null {
			return false
		}
		diffs := enc.Key("Differences")
		for i := range diffs.Len() {
			if v := diffs.Index(i); v.Kind() == pdf.Name && !ledongNames[v.Name()] {
				return false
			}
		}
		return diffs.Len() > 0
	}
	return false
}

// ledongFont decodes the codes of a font and knows how wide they are, in thousandths of its size.
type ledongFont struct {
	enc        pdf.TextEncoding
	wide       bool // codes of two bytes
	widths     map[int]float64
	missing    float64
	bold, mono bool
	text       map[int]string
}

func newLedongFont(page pdf.Page, name string) *ledongFont {
	pf := page.Font(name)
	f := &ledongFont{enc: pf.Encoder(), widths: map[int]float64{}, text: map[int]string{}}
	low := strings.ToLower(pf.BaseFont())
	f.bold = strings.Contains(low, "bold") || strings.Contains(low, "black") || strings.Contains(low, "demi") || strings.Contains(low, "cmbx") || strings.HasSuffix(low, "-medi")
	f.mono = strings.Contains(low, "mono") || strings.Contains(low, "courier") || strings.Contains(low, "cmtt")
	if pf.V.Key("Subtype").Name() != "Type0" {
		first := pf.FirstChar()
		for i, w := range pf.Widths() {
			f.widths[first+i] = w
		}
		f.missing = pf.V.Key("FontDescriptor").Key("MissingWidth").Float64()
		return f
	}
	f.wide, f.missing = true, 1000
	under := pf.V.Key("DescendantFonts").Index(0)
	if dw := under.Key("DW"); dw.Kind() != pdf.Null {
		f.missing = dw.Float64()
	}
	// "c [w1 w2 …]" gives widths from code c on, "c1 c2 w" one for a range.
	w := under.Key("W")
	n := min(w.Len(), 1<<16)
	for i := 0; i+1 < n; {
		from := int(w.Index(i).Int64())
		if list := w.Index(i + 1); list.Kind() == pdf.Array {
			for j := range min(list.Len(), 1<<16) {
				f.widths[from+j] = list.Index(j).Float64()
			}
			i += 2
			continue
		}
		to, width := int(w.Index(i+1).Int64()), w.Index(i+2).Float64()
		for c := from; c <= to && c-from < 1<<16; c++ {
			f.widths[c] = width
		}
		i += 3
	}
	return f
}

func (f *ledongFont) decode(code int, raw string) (string, float64) {
	s, ok := f.text[code]
	if !ok {
		s = f.enc.Decode(raw)
		f.text[code] = s
	}
	if w, ok := f.widths[code]; ok {
		return s, w
	}
	return s, f.missing
}

// ledongNames are glyph names that every reader agrees on.
var ledongNames = func() map[string]bool {
	m := map[string]bool{".notdef": true}
	for n := range strings.FieldsSeq(`space exclam quotedbl numbersign dollar percent ampersand quotesingle quoteright quoteleft parenleft parenright
		asterisk plus comma hyphen period slash zero one two three four five six seven eight nine colon semicolon less equal greater question at
		bracketleft backslash bracketright asciicircum underscore grave braceleft bar braceright asciitilde fi fl endash emdash bullet
		quotedblleft quotedblright ellipsis dagger daggerdbl section copyright registered trademark degree
		adieresis odieresis udieresis Adieresis Odieresis Udieresis germandbls eacute egrave ecircumflex agrave aacute acircumflex ccedilla
		iacute icircumflex oacute ocircumflex uacute ugrave ntilde`) {
		m[n] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		m[string(c)], m[string(c-32)] = true, true
	}
	return m
}()
