package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// A decodeStep is one of the decoders of tokenizer.json.
type decodeStep struct {
	kind     decodeKind
	from, to string
	count    int
}

type decodeKind int

const (
	decodeBytes    decodeKind = iota // ByteLevel
	decodeFallback                   // <0x0A>
	decodeReplace                    // from to to, in each token
	decodeFirst                      // without from at the start of the first token
	decodeStrip                      // up to count times from at the start of the text
	decodeJoin                       // a space before a token, but from at its start joins it to the one before
	decodeSuffix                     // from at the end of a token is a space between it and the next
	decodeClean                      // no space before punctuation
)

// Decode is the text of ids. Special tokens are left out unless keepSpecial is set, as are ids that
// the vocabulary does not have. Bytes that are not UTF-8 become U+FFFD, one for each maximal
// ill-formed part; after a byte-fallback run that is ill-formed somewhere Hugging Face's library
// writes U+FFFD for each byte of the run, here its well-formed characters stay.
func (p *Pipeline) Decode(ids []int32, keepSpecial bool) string {
	d := p.NewDecoder(keepSpecial)
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(d.Next(id))
	}
	b.WriteString(d.Flush())
	return b.String()
}

// A Decoder turns ids into text as they come. What it returns, put together, is what
// [Pipeline.Decode] makes of all of them: a character whose bytes are spread over several tokens comes
// with the last of them. It is for one goroutine.
type Decoder struct {
	p           *Pipeline
	keepSpecial bool
	started     bool // a token was read
	strip       int
	gap         bool // decodeSuffix owes a space
	held        []byte
	out         []byte
}

// NewDecoder starts decoding a sequence. Special tokens are left out unless keepSpecial is set.
func (p *Pipeline) NewDecoder(keepSpecial bool) *Decoder {
	d := &Decoder{p: p, keepSpecial: keepSpecial}
	for _, s := range p.decode {
		if s.kind == decodeStrip {
			d.strip = s.count
		}
	}
	return d
}

// Next is the text that id completes, possibly none.
func (d *Decoder) Next(id int32) string {
	token := d.p.Token(id)
	if token == "" || d.p.special[id] && !d.keepSpecial {
		return ""
	}
	if text, ok := d.p.written[id]; ok {
		token = text
	}
	raw, gap := false, d.gap
	d.gap = false
	for _, s := range d.p.decode {
		switch s.kind {
		case decodeBytes:
			if b, ok := rawBytes(token); ok {
				token = b
			}
			raw = true
		case decodeFallback:
			if b, ok := byteToken(token); ok {
				token, raw = string([]byte{b}), true
			}
		case decodeReplace:
			if !raw {
				token = strings.ReplaceAll(token, s.from, s.to)
			}
		case decodeFirst:
			if !d.started {
				token = strings.TrimPrefix(token, s.from)
			}
		case decodeJoin:
			if t, ok := strings.CutPrefix(token, s.from); ok && d.started {
				token = t
			} else if d.started {
				token = " " + token
			}
		case decodeSuffix:
			if gap {
				token = " " + token
			}
			if s.from != "" && strings.HasSuffix(token, s.from) {
				d.gap = true
			}
			token = strings.ReplaceAll(strings.TrimSuffix(token, s.from), s.from, " ")
		case decodeClean:
			token = cleanUp.Replace(token)
		}
	}
	d.started = true
	d.out = d.out[:0]
	if !raw && len(d.held) > 0 {
		d.drain(true)
	}
	d.held = append(d.held, token...)
	d.drain(!raw)
	return d.stripped()
}

var cleanUp = strings.NewReplacer(" .", ".", " ?", "?", " !", "!", " ,", ",", " ' ", "'", " n't", "n't", " 'm", "'m", " do not", " don't",
	" 's", "'s", " 've", "'ve", " 're", "'re")

// Flush is the text of what is held back, at the end.
func (d *Decoder) Flush() string {
	d.out = d.out[:0]
	d.drain(true)
	return d.stripped()
}

// stripped is d.out without the spaces at the start of the text that the decoder takes off.
func (d *Decoder) stripped() string {
	out := string(d.out)
	for _, s := range d.p.decode {
		if s.kind == decodeStrip && s.from != "" {
			for d.strip > 0 && out != "" {
				rest, ok := strings.CutPrefix(out, s.from)
				if !ok {
					d.strip = 0
					break
				}
				out = rest
				d.strip--
			}
		}
	}
	return out
}

// drain moves whole characters from d.held to d.out, under all also what can no longer become one.
func (d *Decoder) drain(all bool) {
	b := d.held
	for len(b) > 0 {
		if !all && !utf8.FullRune(b) {
			break
		}
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n <= 1 {
			n = 1
			for n < len(b) && !utf8.FullRune(b[:n]) {
				n++
			}
			if n > 1 && utf8.FullRune(b[:n]) {
				n--
			}
			d.out = append(d.out, "\uFFFD"...)
		} else {
			d.out = append(d.out, b[:n]...)
		}
		b = b[n:]
	}
	d.held = append(d.held[:0], b...)
}

// byteToken is the byte of a token like <0x0A>.
func byteToken(token string) (byte, bool) {
	if len(token) != 6 || token[:3] != "<0x" || token[5] != '>' {
		return 0, false
	}
	hi, ok1 := hexDigit(token[3])
	lo, ok2 := hexDigit(token[4])
	return hi<<4 | lo, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}
