package ingest

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"

	"golang.org/x/net/html"

	"docent/chunker"
)

// parseEML reads a mail message: subject, people and date, its text (the plain one where there are two
// of the same) and the text of attachments that are text themselves. Other attachments are named.
func parseEML(p *parser, in *input, f form) (*Document, error) {
	raw, err := in.textBytes()
	if err != nil {
		return nil, err
	}
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil, parseError(ErrDamaged, "its header cannot be read: %v", err)
	}
	b := newDocBuilder("eml", in.cfg.MaxText)
	words := &mime.WordDecoder{CharsetReader: func(label string, r io.Reader) (io.Reader, error) { return xmlCharset(label, r) }}
	header := func(key string) string {
		v := msg.Header.Get(key)
		if d, err := words.DecodeHeader(v); err == nil {
			v = d
		} else if s, _ := decodeText([]byte(v), ""); s != "" {
			v = s
		}
		return strings.Join(strings.Fields(v), " ")
	}
	subject := header("Subject")
	b.add(chunker.Heading, 1, subject)
	var lines []string
	for _, k := range []string{"From", "To", "Cc", "Date"} {
		if v := header(k); v != "" {
			lines = append(lines, k+": "+v)
		}
	}
	b.add(chunker.Paragraph, 0, strings.Join(lines, "\n"))
	b.meta("author", header("From"))
	if t, err := msg.Header.Date(); err == nil {
		b.meta("created", t.Format("2006-01-02"))
	}
	m := &mailReader{b: b, words: words, parts: 1000}
	m.part(msg.Header.Get("Content-Type"), msg.Header.Get("Content-Transfer-Encoding"), msg.Header.Get("Content-Disposition"), msg.Body, 0)
	if len(m.attached) > 0 {
		b.add(chunker.Paragraph, 0, "Attachments: "+strings.Join(m.attached, ", "))
		b.warn("attachments were not read: " + strings.Join(m.attached, ", "))
	}
	return b.finish(in.name, subject)
}

type mailReader struct {
	b        *docBuilder
	words    *mime.WordDecoder
	parts    int // how many more are read
	attached []string
}

// part writes one part of a message, and tells whether it held text.
func (m *mailReader) part(contentType, encoding, disposition string, body io.Reader, depth int) bool {
	if m.parts--; m.parts < 0 || depth > 20 {
		return false
	}
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil && kind == "" {
		kind = "text/plain"
	}
	_, dparams, _ := mime.ParseMediaType(disposition)
	name := dparams["filename"]
	if name == "" {
		name = params["name"]
	}
	if d, err := m.words.DecodeHeader(name); err == nil {
		name = d
	}
	if strings.HasPrefix(kind, "multipart/") && params["boundary"] != "" {
		return m.multi(kind, multipart.NewReader(body, params["boundary"]), depth)
	}
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, &base64Lines{body})
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	// A broken encoding still leaves what came before.
	data, _ := io.ReadAll(body)
	switch {
	case kind == "message/rfc822":
		inner, err := mail.ReadMessage(bytes.NewReader(data))
		if err != nil {
			return false
		}
		if s, err := m.words.DecodeHeader(inner.Header.Get("Subject")); err == nil {
			m.b.add(chunker.Heading, 2, s)
		}
		return m.part(inner.Header.Get("Content-Type"), inner.Header.Get("Content-Transfer-Encoding"), "", inner.Body, depth+1)
	case kind == "text/html":
		text, _ := decodeText(data, params["charset"])
		root, err := html.Parse(strings.NewReader(text))
		if err != nil {
			addPlainText(m.b, htmlTokensText(text), false)
			return true
		}
		w := &htmlWalker{b: m.b, everything: true}
		w.block(root, htmlState{})
		w.flush()
		return true
	case strings.HasPrefix(kind, "text/"):
		text, _ := decodeText(data, params["charset"])
		if name != "" {
			m.b.add(chunker.Heading, 2, name)
		}
		addPlainText(m.b, text, false)
		return true
	}
	if name == "" {
		name = kind
	}
	m.attached = append(m.attached, name)
	return false
}

func (m *mailReader) multi(kind string, r *multipart.Reader, depth int) bool {
	type held struct {
		contentType, encoding, disposition string
		data                               []byte
	}
	var parts []held
	for len(parts) < 1000 {
		p, err := r.NextRawPart()
		if err != nil {
			break
		}
		data, _ := io.ReadAll(p)
		parts = append(parts, held{p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p.Header.Get("Content-Disposition"), data})
	}
	text := false
	for _, p := range parts {
		if kind == "multipart/alternative" && text {
			break // the same once more
		}
		if m.part(p.contentType, p.encoding, p.disposition, bytes.NewReader(p.data), depth+1) {
			text = true
		}
	}
	return text
}

// base64Lines drops what is between the lines of base64.
type base64Lines struct{ r io.Reader }

func (l *base64Lines) Read(p []byte) (int, error) {
	for {
		n, err := l.r.Read(p)
		kept := 0
		for _, c := range p[:n] {
			if c > ' ' {
				p[kept] = c
				kept++
			}
		}
		if kept > 0 || err != nil || n == 0 {
			return kept, err
		}
	}
}
