package ingest

import (
	"encoding/binary"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/html"

	"docent/chunker"
)

// parseMSG reads an Outlook message ([MS-OXMSG]): subject, people and date, its text and its attachments.
func parseMSG(p *parser, in *input, f form) (*Document, error) {
	o, err := openOLE(in, func(name string) bool {
		return strings.HasPrefix(path.Base(name), "__substg1.0_") || name == "__properties_version1.0"
	})
	if err != nil {
		return nil, err
	}
	b := newDocBuilder("msg", in.cfg.MaxText)
	prop := func(dir, tag string) string {
		if v := o.streams[path.Join(dir, "__substg1.0_"+tag+"001F")]; v != nil {
			return strings.TrimRight(utf16Text(v), "\x00")
		}
		s, _ := decodeText(o.streams[path.Join(dir, "__substg1.0_"+tag+"001E")], "")
		return strings.TrimRight(s, "\x00")
	}
	subject := prop("", "0037")
	b.add(chunker.Heading, 1, subject)
	from := prop("", "0C1A")
	address := prop("", "5D01")
	if address == "" {
		address = prop("", "0C1F")
	}
	if strings.Contains(address, "@") && address != from {
		from = strings.TrimSpace(from + " <" + address + ">")
	}
	var lines []string
	add := func(key, v string) {
		if v = strings.Join(strings.Fields(v), " "); v != "" {
			lines = append(lines, key+": "+v)
		}
	}
	add("From", from)
	add("To", prop("", "0E04"))
	add("Cc", prop("", "0E03"))
	sent := oleMessageTime(o.streams["__properties_version1.0"])
	if !sent.IsZero() {
		add("Date", sent.Format(time.RFC1123Z))
		b.meta("created", sent.Format("2006-01-02"))
	}
	b.meta("author", from)
	b.add(chunker.Paragraph, 0, strings.Join(lines, "\n"))
	if body := prop("", "1000"); strings.TrimSpace(body) != "" {
		addPlainText(b, body, false)
	} else {
		page := prop("", "1013")
		if raw := o.streams["__substg1.0_10130102"]; raw != nil {
			page, _ = decodeText(raw, "")
		}
		if root, err := html.Parse(strings.NewReader(page)); err == nil && page != "" {
			w := &htmlWalker{b: b, everything: true}
			w.block(root, htmlState{})
			w.flush()
		}
	}
	m := &mailReader{p: p, in: in, b: b}
	var dirs []string
	for _, name := range o.order {
		if dir, _, ok := strings.Cut(name, "/"); ok && strings.HasPrefix(dir, "__attach_version1.0_") && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	for _, dir := range dirs[:min(len(dirs), mailMaxParts)] {
		name := prop(dir, "3707")
		if name == "" {
			name = prop(dir, "3704")
		}
		if name == "" {
			name = "attachment"
		}
		m.attachment(archiveName(name), o.streams[dir+"/__substg1.0_37010102"], false)
		if m.err != nil {
			return nil, m.err
		}
	}
	m.nameAttached()
	return b.finish(in.name, subject)
}

// oleMessageTime is when the message was sent, by the table of its properties of fixed size.
func oleMessageTime(props []byte) time.Time {
	for at := 32; at+16 <= len(props); at += 16 {
		if tag := u32(props, at); tag == 0x00390040 || tag == 0x0e060040 {
			ticks := binary.LittleEndian.Uint64(props[at+8:]) // of 100 ns since 1601
			if ticks > 116444736000000000 && ticks < 1<<62 {
				return time.Unix(int64(ticks/10_000_000)-11644473600, 0).UTC()
			}
		}
	}
	return time.Time{}
}
