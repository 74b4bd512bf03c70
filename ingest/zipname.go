package ingest

import (
	"archive/zip"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"unicode/utf8"
)

// zipNames returns the names of a ZIP file's members as text, by their place. A name is UTF-8 where it is
// valid as such, whatever its flag says, or where an extra field repeats it in UTF-8 (APPNOTE 4.6.9). All
// others were written in the code page of one machine: it is told from all of them together, for one name
// is often too short.
func zipNames(files []*zip.File) []string {
	names := make([]string, len(files))
	var bytes strings.Builder
	var at []int
	for i, f := range files {
		switch text, ok := unicodePath(f); {
		case ok:
			names[i] = text
		case utf8.ValidString(f.Name):
			names[i] = f.Name
		default:
			bytes.WriteString(f.Name)
			bytes.WriteByte('\n')
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return names
	}
	text, _ := decodeText([]byte(bytes.String()), "")
	lines := strings.Split(text, "\n")
	for n, i := range at {
		if len(lines) == len(at)+1 {
			names[i] = lines[n]
		} else { // a name holds a line end
			names[i], _ = decodeText([]byte(files[i].Name), "")
		}
	}
	return names
}

// unicodePath is the name in a member's Info-ZIP Unicode Path extra field, if that was made for the name that
// the member has.
func unicodePath(f *zip.File) (string, bool) {
	const id, head = 0x7075, 5 // a version, and the checksum of the name it was made for
	for extra := f.Extra; len(extra) >= 4; {
		kind, size := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		if extra = extra[4:]; size > len(extra) {
			break
		}
		field := extra[:size]
		extra = extra[size:]
		if kind == id && size > head && field[0] == 1 && binary.LittleEndian.Uint32(field[1:]) == crc32.ChecksumIEEE([]byte(f.Name)) {
			return string(field[head:]), utf8.Valid(field[head:])
		}
	}
	return "", false
}
