package ingest

import (
	"context"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ledongthuc/pdf"
)

// ledongDoc is a document open in ledongthuc/pdf. The library panics on broken files, loops on some
// and may ask for any amount of memory, so it runs only in a process that may be lost, within a time
// of its own; once that is over the document is left to the other engine.
type ledongDoc struct {
	r     *pdf.Reader
	pages int
	left  time.Duration // of the time it may take
	gone  *atomic.Bool  // set when a call was abandoned
}

const (
	ledongTime     = 4 * time.Second
	ledongMaxBytes = 64 << 20
)

// guarded runs fn, which may panic or never return, and reports whether it did neither.
func (d *ledongDoc) guarded(ctx context.Context, fn func()) bool {
	if d.left <= 0 {
		return false
	}
	start := time.Now()
	done := make(chan bool, 1)
	go func() {
		ok := false
		defer func() {
			_ = recover()
			done <- ok
		}()
		fn()
		ok = true
	}()
	timer := time.NewTimer(d.left)
	defer timer.Stop()
	select {
	case ok := <-done:
		d.left -= time.Since(start)
		return ok
	case <-timer.C:
	case <-ctx.Done():
	}
	d.left = 0
	d.gone.Store(true)
	return false
}

// openLedong opens a document that needs no password, or returns nil.
func openLedong(ctx context.Context, f io.ReaderAt, size int64, gone *atomic.Bool) *ledongDoc {
	if size > ledongMaxBytes {
		return nil
	}
	d := &ledongDoc{left: ledongTime, gone: gone}
	opened := false
	ok := d.guarded(ctx, func() {
		r, err := pdf.NewReader(f, size)
		if err != nil || r.Trailer().Key("Encrypt").Kind() != pdf.Null {
			return
		}
		n := r.NumPage()
		if n < 1 || n > pdfMaxPages {
			return
		}
		d.r, d.pages, opened = r, n, true
	})
	if !ok || !opened {
		return nil
	}
	return d
}

// page reads a page. plain tells that nothing on it is known to come out wrong; nil that it cannot be
// read at all.
func (d *ledongDoc) page(ctx context.Context, index int) (pg *pdfPage, plain bool) {
	var out *pdfPage
	var good bool
	ok := d.guarded(ctx, func() {
		p := d.r.Page(index + 1)
		if p.V.IsNull() {
			return
		}
		good = ledongPlain(p)
		box := ledongInherited(p, "CropBox")
		if box.Len() != 4 {
			box = ledongInherited(p, "MediaBox")
		}
		if box.Len() != 4 {
			return
		}
		x0, y0, x1, y1 := box.Index(0).Float64(), box.Index(1).Float64(), box.Index(2).Float64(), box.Index(3).Float64()
		pg := &pdfPage{engine: "ledongthuc", width: x1 - x0, height: y1 - y0}
		if pg.width <= 0 || pg.height <= 0 {
			return
		}
		var last *pdfChar
		for _, t := range p.Content().Text {
			r := firstRune(t.S)
			switch {
			case t.S == "" || r == '\n':
				continue // the library puts one after every TJ operator
			case t.FontSize <= 0 || t.FontSize > 2000:
				good = false
				continue
			case r < ' ':
				r = '\ufffd'
			}
			size := float32(t.FontSize)
			c := pdfChar{r: r, size: size, x0: float32(t.X - x0), x1: float32(t.X - x0 + t.W), y0: float32(y1-t.Y) - 0.8*size, y1: float32(y1-t.Y) + 0.2*size}
			low := strings.ToLower(t.Font)
			c.bold = strings.Contains(low, "bold") || strings.Contains(low, "black") || strings.Contains(low, "cmbx")
			c.mono = strings.Contains(low, "mono") || strings.Contains(low, "courier") || strings.Contains(low, "cmtt")
			if t.W <= 0 && r != ' ' {
				good = false // without widths there is no telling words apart
			}
			if last != nil && last.r != ' ' && r != ' ' && abs32(c.y1-last.y1) < 0.5*size && c.x0-last.x1 > 0.17*size {
				pg.chars = append(pg.chars, pdfChar{r: ' '})
			}
			pg.chars = append(pg.chars, c)
			last = &pg.chars[len(pg.chars)-1]
		}
		out = pg
	})
	if !ok {
		return nil, false
	}
	return out, good
}

func ledongInherited(p pdf.Page, key string) pdf.Value {
	v := p.V
	for range 32 {
		if x := v.Key(key); x.Kind() != pdf.Null {
			return x
		}
		if v = v.Key("Parent"); v.Kind() != pdf.Dict {
			break
		}
	}
	return pdf.Value{}
}

// ledongPlain tells whether a page uses only what the library reads right: no turned page, no forms
// drawn into it, nothing drawn over it, and only fonts whose codes and widths it knows. It passes over
// ToUnicode where a font has an encoding of its own, over widths of composite and of standard fonts,
// and over all but three of the predefined encodings.
func ledongPlain(p pdf.Page) bool {
	if ledongInherited(p, "Rotate").Int64()%360 != 0 {
		return false
	}
	annots := p.V.Key("Annots")
	for i := range annots.Len() {
		if annots.Index(i).Key("Subtype").Name() != "Link" {
			return false
		}
	}
	res := ledongInherited(p, "Resources")
	objects := res.Key("XObject")
	for _, k := range objects.Keys() {
		if objects.Key(k).Key("Subtype").Name() != "Image" {
			return false
		}
	}
	fonts := res.Key("Font")
	for _, k := range fonts.Keys() {
		if !ledongPlainFont(fonts.Key(k)) {
			return false
		}
	}
	return len(fonts.Keys()) > 0
}

func ledongPlainFont(f pdf.Value) bool {
	switch f.Key("Subtype").Name() {
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
		return (enc.Name() == "WinAnsiEncoding" || enc.Name() == "MacRomanEncoding") && (!symbolic || f.Key("ToUnicode").Kind() == pdf.Null)
	case pdf.Null:
		return f.Key("ToUnicode").Kind() == pdf.Stream
	case pdf.Dict:
		if f.Key("ToUnicode").Kind() != pdf.Null || enc.Key("BaseEncoding").Kind() != pdf.Null {
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

// metadata and outline are read like PDFium's.
func (d *ledongDoc) metadata(ctx context.Context) map[string]string {
	m := map[string]string{}
	d.guarded(ctx, func() {
		info := d.r.Trailer().Key("Info")
		for _, k := range []string{"Title", "Author", "Subject", "Keywords", "Creator", "CreationDate", "ModDate"} {
			if v := info.Key(k); v.Kind() == pdf.String {
				m[k] = v.Text()
			}
		}
	})
	return m
}

func (d *ledongDoc) outline(ctx context.Context) (items []outlineItem) {
	var walk func(v pdf.Value, level int)
	walk = func(v pdf.Value, level int) {
		for c := v.Key("First"); c.Kind() == pdf.Dict && len(items) < 5000; c = c.Key("Next") {
			items = append(items, outlineItem{title: c.Key("Title").Text(), level: level})
			if level < 6 {
				walk(c, level+1)
			}
		}
	}
	d.guarded(ctx, func() { walk(d.r.Trailer().Key("Root").Key("Outlines"), 1) })
	return items
}

// labelled tells whether the document names its pages, which is left to the other engine.
func (d *ledongDoc) labelled(ctx context.Context) (has bool) {
	d.guarded(ctx, func() { has = d.r.Trailer().Key("Root").Key("PageLabels").Kind() != pdf.Null })
	return has
}
