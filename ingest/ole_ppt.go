package ingest

import (
	"strings"

	"docent/chunker"
)

// Records of [MS-PPT] that lead to text.
const (
	pptUserEdit     = 4085
	pptPersist      = 6002
	pptSlideList    = 4080
	pptSlidePersist = 1011
	pptSlideAtom    = 1007
	pptTextHeader   = 3999
	pptTextChars    = 4000
	pptTextBytes    = 4008
	pptSlide        = 1006
	pptNotes        = 1008
)

// parsePPT reads a PowerPoint presentation of the binary kind: the text of its slides in their order, one
// page each, and the speaker's notes; and where its pictures are.
func parsePPT(p *parser, in *input, f form) (*Document, error) {
	o, err := openOLE(in, func(path string) bool {
		return path == "PowerPoint Document" || path == "Current User" || strings.HasSuffix(path, "SummaryInformation")
	})
	if err != nil {
		return nil, err
	}
	b := newDocBuilder("ppt", in.cfg.MaxText)
	title := o.summary(b)
	r := &pptReader{b: b, data: o.streams["PowerPoint Document"], persist: map[int]int{}}
	if u32(o.streams["Current User"], 12) == 0xf3d1c4df {
		return nil, errOLEEncrypted
	}
	document := r.directory(u32(o.streams["Current User"], 16))
	if slides := r.slides(document); len(slides) > 0 {
		notes, pictures := r.notes(document), artPlaces(document, 0)
		for i, s := range slides {
			if err := in.ctx.Err(); err != nil {
				return nil, err
			}
			b.startPage(i+1, "")
			before, shown := len(b.doc.Blocks), len(b.doc.pictures)
			r.text(s.outline, false)
			body, _, _ := r.record(s.at)
			r.text(body, false)
			for _, s := range artShapes(body) {
				if s.number <= len(pictures) && pictures[s.number-1].outside >= 0 {
					b.picture(artRef(artSlides, pictures[s.number-1].outside))
				}
			}
			walkArt(body, 0, 0, func(a artRecord) bool {
				if a.kind == pptSlideAtom {
					if at, ok := notes[u32(a.data, 16)]; ok && u32(a.data, 16) != 0 {
						n, _, _ := r.record(at)
						r.text(n, true)
					}
				}
				return true
			})
			if len(b.doc.Blocks) == before {
				b.doc.PagesWithoutText = append(b.doc.PagesWithoutText, i+1)
				if len(b.doc.pictures) > shown {
					b.doc.NeedsOCR = append(b.doc.NeedsOCR, i+1)
				}
			}
		}
	} else {
		b.warn("the order of its slides cannot be read; the text stands as it lies in the file")
		r.text(r.data, false)
	}
	return b.finish(in.name, title)
}

type pptReader struct {
	b       *docBuilder
	data    []byte
	persist map[int]int // offset of each object by its number
}

type pptSlideText struct {
	at      int
	outline []byte // the records of its placeholders' text
}

// record is the content of the record at an offset, its type and its instance.
func (r *pptReader) record(at int) ([]byte, int, int) {
	if at < 0 || at+8 > len(r.data) {
		return nil, 0, 0
	}
	return cut(r.data, at+8, u32(r.data, at+4)), u16(r.data, at+2), u16(r.data, at) >> 4
}

// directory follows the edits of the file, the last first, and returns the document container.
func (r *pptReader) directory(edit int) []byte {
	document := 0
	for range 1000 {
		body, kind, _ := r.record(edit)
		if kind != pptUserEdit {
			break
		}
		if document == 0 {
			document = u32(body, 16)
		}
		if dir, kind, _ := r.record(u32(body, 12)); kind == pptPersist {
			for at := 0; at+4 <= len(dir); {
				head := u32(dir, at)
				at += 4
				for i := range head >> 20 {
					if at+4 > len(dir) {
						break
					}
					if id := head&0xfffff + i; r.persist[id] == 0 {
						r.persist[id] = u32(dir, at)
					}
					at += 4
				}
			}
		}
		last := u32(body, 8)
		if last == 0 || last >= edit {
			break
		}
		edit = last
	}
	body, _, _ := r.record(r.persist[document])
	return body
}

// slides lists the slides of a document with the text of their placeholders.
func (r *pptReader) slides(document []byte) []pptSlideText {
	var out []pptSlideText
	walkArt(document, 0, artMaxDepth, func(a artRecord) bool {
		if a.kind != pptSlideList || a.instance != 0 {
			return false
		}
		list := a.data
		for at := 0; at+8 <= len(list); {
			kind, n := u16(list, at+2), u32(list, at+4)
			end := min(at+8+min(n, len(list)), len(list))
			if kind == pptSlidePersist {
				out = append(out, pptSlideText{at: r.persist[u32(list, at+8)]})
			} else if len(out) > 0 {
				out[len(out)-1].outline = append(out[len(out)-1].outline, list[at:end]...)
			}
			at = end
		}
		return false
	})
	return out
}

// notes maps the numbers of notes pages to their offsets.
func (r *pptReader) notes(document []byte) map[int]int {
	out := map[int]int{}
	walkArt(document, 0, artMaxDepth, func(a artRecord) bool {
		if a.kind == pptSlideList && a.instance == 2 {
			walkArt(a.data, 0, artMaxDepth, func(a artRecord) bool {
				if a.kind == pptSlidePersist {
					out[u32(a.data, 12)] = r.persist[u32(a.data, 0)]
				}
				return false
			})
		}
		return false
	})
	return out
}

// text writes the text atoms in a stretch of records.
func (r *pptReader) text(b []byte, notes bool) {
	kindOfText := 4
	walkArt(b, 0, 0, func(a artRecord) bool {
		text := ""
		switch a.kind {
		case pptTextHeader:
			kindOfText = u32(a.data, 0)
		case pptTextChars:
			text = utf16Text(a.data)
		case pptTextBytes:
			text = decodeCP1252(a.data)
		}
		if text == "" || r.b.tooLong {
			return true
		}
		text = strings.NewReplacer("\r", "\n", "\v", "\n").Replace(text)
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.TrimSpace(line); line == "" || line == "*" {
				continue
			}
			switch {
			case notes:
				r.b.add(chunker.Quote, 0, line)
			case kindOfText == 0 || kindOfText == 6:
				r.b.add(chunker.Heading, 1, line)
			default:
				r.b.add(chunker.Paragraph, 0, line)
			}
		}
		return true
	})
}
