package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"strings"

	"github.com/jhillyerd/enmime/v2"
	"golang.org/x/net/html"

	"docent/chunker"
)

const (
	mailMaxParts   = 1000
	mailMaxDepth   = 20       // parts within parts
	mailMaxMessage = 64 << 20 // of one message of a mailbox
)

// parseEML reads a mail message: subject, people and date, its text (the plain one where there are two
// of the same) and its attachments, each by the reader of its own format.
func parseEML(p *parser, in *input, f form) (*Document, error) {
	raw, err := in.textBytes()
	if err != nil {
		return nil, err
	}
	b := newDocBuilder("eml", in.cfg.MaxText)
	m := &mailReader{p: p, in: in, b: b}
	subject, err := m.message(raw)
	if err != nil {
		return nil, err
	}
	return b.finish(in.name, subject)
}

// parseMbox reads the messages of a mailbox one after the other, each under its subject.
func parseMbox(p *parser, in *input, f form) (*Document, error) {
	b := newDocBuilder("mbox", in.cfg.MaxText)
	r := bufio.NewReaderSize(io.NewSectionReader(in.file, 0, in.size), 64<<10)
	var msg []byte
	messages, broken := 0, 0
	end := func() error {
		if len(bytes.TrimSpace(msg)) == 0 {
			return nil
		}
		messages++
		m := &mailReader{p: p, in: in, b: b}
		_, err := m.message(msg)
		if errors.Is(err, ErrDamaged) {
			broken++
			err = nil
		}
		msg = msg[:0]
		return err
	}
	blank := true // the line before was
	for {
		line, err := r.ReadSlice('\n')
		whole := err != bufio.ErrBufferFull
		if blank && bytes.HasPrefix(line, []byte("From ")) {
			if err := end(); err != nil {
				return nil, err
			}
			if b.tooLong {
				break
			}
		} else {
			quoted := bytes.TrimLeft(line, ">")
			if len(quoted) < len(line) && bytes.HasPrefix(quoted, []byte("From ")) {
				line = line[1:]
			}
			if len(msg)+len(line) > mailMaxMessage {
				return nil, parseError(ErrTooLarge, "its message %d has more than %s", messages+1, byteSize(mailMaxMessage))
			}
			msg = append(msg, line...)
		}
		blank = whole && len(bytes.TrimRight(line, "\r\n")) == 0
		if err == io.EOF {
			break
		}
		if err != nil && whole {
			return nil, err
		}
	}
	if err := end(); err != nil {
		return nil, err
	}
	if broken > 0 {
		b.warn(fmt.Sprintf("%d of %d messages cannot be read", broken, messages))
	}
	b.meta("messages", fmt.Sprint(messages))
	return b.finish(in.name, strings.TrimSuffix(in.name, ".mbox"))
}

// readMail takes a message apart.
func readMail(raw []byte) (*enmime.Part, error) {
	// Each level of nesting is a level of recursion and of readers over readers.
	if n := bytes.Count(bytes.ToLower(raw), []byte("boundary=")); n > mailMaxParts {
		return nil, parseError(ErrTooLarge, "it states %d groups of parts, the limit is %d", n, mailMaxParts)
	}
	parser := enmime.NewParser(enmime.SkipMalformedParts(true), enmime.DisableCharacterDetection(true), enmime.MaxStoredPartErrors(10),
		enmime.MultipartWOBoundaryAsSinglePart(true), enmime.SetReadPartErrorPolicy(func(*enmime.Part, error) bool { return true }))
	root, err := parser.ReadParts(bytes.NewReader(raw))
	if err != nil {
		return nil, parseError(ErrDamaged, "it is no mail message that can be read: %v", err)
	}
	return root, nil
}

type mailReader struct {
	p        *parser
	in       *input
	b        *docBuilder
	parts    int
	attached []string // named only
	pictures []string // that are pictures or scans, and named too
	err      error    // a limit that ends the reading
}

// message writes one message and returns its subject.
func (m *mailReader) message(raw []byte) (string, error) {
	root, err := readMail(raw)
	if err != nil {
		return "", err
	}
	header := func(key string) string {
		v := root.Header.Get(key)
		if d := mailWords(v); d != "" {
			v = d
		}
		if s, _ := decodeText([]byte(v), ""); s != "" {
			v = s
		}
		return strings.Join(strings.Fields(v), " ")
	}
	subject := header("Subject")
	m.b.add(chunker.Heading, 1, subject)
	var lines []string
	for _, k := range []string{"From", "To", "Cc", "Date"} {
		if v := header(k); v != "" {
			lines = append(lines, k+": "+v)
		}
	}
	m.b.add(chunker.Paragraph, 0, strings.Join(lines, "\n"))
	if m.b.doc.Format == "eml" {
		m.b.meta("author", header("From"))
		m.b.meta("to", header("To"))
		m.b.meta("message_id", strings.Trim(header("Message-Id"), "<>"))
		if t, err := mail.ParseDate(root.Header.Get("Date")); err == nil {
			m.b.meta("created", t.Format("2006-01-02"))
		}
	}
	m.part(root, 0)
	m.nameAttached()
	return subject, m.err
}

// nameAttached says which attachments there are besides those that were read.
func (m *mailReader) nameAttached() {
	if all := append(m.attached, m.pictures...); len(all) > 0 {
		m.b.add(chunker.Paragraph, 0, "Attachments: "+strings.Join(all, ", "))
	}
	if len(m.attached) > 0 {
		m.b.warn("attachments were not read: " + strings.Join(m.attached, ", "))
	}
}

// mailWords decodes the encoded words of a header.
func mailWords(v string) string {
	if !strings.Contains(v, "=?") {
		return v
	}
	words := mime.WordDecoder{CharsetReader: xmlCharset}
	d, err := words.DecodeHeader(v)
	if err != nil {
		return v
	}
	return d
}

// part writes one part, and tells whether it held text of the message.
func (m *mailReader) part(part *enmime.Part, depth int) bool {
	if m.parts++; m.parts > mailMaxParts || depth > mailMaxDepth || m.err != nil || m.b.tooLong {
		return false
	}
	if part.FirstChild != nil {
		text := false
		for c := part.FirstChild; c != nil; c = c.NextSibling {
			if part.ContentType == "multipart/alternative" && text {
				break // the same once more
			}
			text = m.part(c, depth+1) || text
		}
		return text
	}
	name := mailWords(part.FileName)
	switch {
	case part.ContentType == "message/rfc822":
		m.attachment("message.eml", part.Content, true)
		return false
	case part.Disposition == "attachment", name != "":
		if name == "" {
			name = strings.ReplaceAll(part.ContentType, "/", ".")
		}
		m.attachment(archiveName(name), part.Content, false)
		return false
	case part.ContentType == "text/html":
		text, _ := decodeText(part.Content, "")
		root, err := html.Parse(strings.NewReader(text))
		if err != nil {
			addPlainText(m.b, htmlTokensText(text), false)
			return true
		}
		before := len(m.b.doc.Blocks)
		w := &htmlWalker{b: m.b, everything: true, part: func(string) string { return "" }} // its pictures are parts of the message
		w.block(root, htmlState{})
		w.flush()
		return len(m.b.doc.Blocks) > before
	case strings.HasPrefix(part.ContentType, "image/"): // in the text, without a name
		m.attachment(strings.ReplaceAll(part.ContentType, "/", "."), part.Content, false)
		return false
	case strings.HasPrefix(part.ContentType, "text/"), part.ContentType == "":
		text, _ := decodeText(part.Content, "")
		addPlainText(m.b, text, false)
		return strings.TrimSpace(text) != ""
	}
	return false
}

// attachment reads a file that came with the message. A message within the message brings its own
// heading, the subject.
func (m *mailReader) attachment(name string, data []byte, message bool) {
	picture := m.in.recognize && isPicture(name)
	if textless(name) != "" && !picture {
		m.attached = append(m.attached, name)
		return
	}
	if m.in.passOver(m.b) {
		return
	}
	if m.in.nested.left < 0 {
		m.attached = append(m.attached, name)
		return
	}
	if err := m.in.nested.take(int64(len(data))); err != nil {
		m.b.warn(nameError(name, err).Error())
		m.attached = append(m.attached, name)
		return
	}
	if !message {
		before, pictures, warnings, unread := len(m.b.doc.Blocks), len(m.b.doc.pictures), len(m.b.doc.Warnings), len(m.b.doc.NeedsOCRIn)
		err := m.p.include(m.b, m.in, name, spooled(data), 2)
		switch {
		case errors.Is(err, errFound):
			m.err = err
		case m.in.ctx.Err() != nil:
			m.err = m.in.ctx.Err()
		case err != nil: // over a limit: the message itself is still worth having
			m.b.warn(nameError(name, err).Error())
			m.attached = append(m.attached, name)
		case picture, len(m.b.doc.NeedsOCRIn) > unread && len(m.b.doc.Blocks) == before:
			m.pictures = append(m.pictures, name)
		case len(m.b.doc.Blocks) == before && len(m.b.doc.pictures) == pictures:
			m.attached = append(m.attached, name)
			m.b.doc.Warnings = m.b.doc.Warnings[:warnings]
		}
		return
	}
	if m.in.depth+1 >= nestedMaxDepth {
		return
	}
	doc, err := m.p.parseWithin(m.in, name, spooled(data))
	switch {
	case err == nil:
		m.b.include("", doc, 1)
	case errors.Is(err, errFound):
		m.err = err
	default:
		m.b.warn(nameError(name, err).Error())
	}
}
