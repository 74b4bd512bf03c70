package ingest

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
)

// rtfRef names a picture of a Rich Text file by where its format is stated, before its data.
func rtfRef(at int) string { return fmt.Sprintf("pict:%d", at) }

// rtfPicture returns the picture file that stands in a group of a Rich Text file: hexadecimal digits, or bytes as
// they are behind \bin, among control words and groups that tell of it.
func rtfPicture(in *input, ref string) ([]byte, error) {
	var at int
	if _, err := fmt.Sscanf(ref, "pict:%d", &at); err != nil {
		return nil, errNoPicture
	}
	src, err := in.textBytes()
	if err != nil {
		return nil, err
	}
	var digits []byte
	for depth := 0; at >= 0 && at < len(src) && depth >= 0; {
		switch c := src[at]; {
		case c == '{':
			depth++
			at++
		case c == '}':
			depth--
			at++
		case c == '\\':
			word := rtfWord(src[at:])
			at += len(word)
			if n, ok := bytes.CutPrefix(word, []byte(`\bin`)); ok {
				if size, err := strconv.Atoi(string(bytes.TrimSpace(n))); err == nil && depth == 0 {
					return cut(src, at, size), nil
				}
			}
		case depth == 0 && (c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'):
			digits = append(digits, c)
			at++
		default:
			at++
		}
	}
	data := make([]byte, len(digits)/2)
	if _, err := hex.Decode(data, digits[:len(digits)&^1]); err != nil || len(data) == 0 {
		return nil, errNoPicture
	}
	return data, nil
}

// rtfWord is the control word or symbol that b begins with, with its number and the blank after it.
func rtfWord(b []byte) []byte {
	at := 1
	for at < len(b) && (b[at]|0x20 >= 'a' && b[at]|0x20 <= 'z') {
		at++
	}
	if at == 1 { // a symbol
		return b[:min(2, len(b))]
	}
	if at < len(b) && b[at] == '-' {
		at++
	}
	for at < len(b) && b[at] >= '0' && b[at] <= '9' {
		at++
	}
	if at < len(b) && b[at] == ' ' {
		at++
	}
	return b[:at]
}
