package ingest_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"

	"docent/ingest"
)

// TestZipNames reads names that programs wrote in the code page of their machine, without saying which.
func TestZipNames(t *testing.T) {
	encode := func(enc encoding.Encoding, names ...string) (out []string) {
		for _, n := range names {
			raw, err := enc.NewEncoder().String(n)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, raw)
		}
		return out
	}
	unicodePath := func(raw, name string) []byte {
		field := append([]byte{1}, binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(raw)))...)
		field = append(field, name...)
		return append(binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, 0x7075), uint16(len(field))), field...)
	}
	for _, tt := range []struct {
		name  string
		raw   []string
		extra []byte // of the first
		want  []string
	}{
		{"gbk", encode(simplifiedchinese.GBK, "制度/年假规定.txt", "制度/报销.txt"), nil, []string{"制度/年假规定.txt", "制度/报销.txt"}},
		{"gbk, one short name", encode(simplifiedchinese.GBK, "说明.txt"), nil, []string{"说明.txt"}},
		{"gb18030", encode(simplifiedchinese.GB18030, "生僻字𠮷.txt", "说明.txt"), nil, []string{"生僻字𠮷.txt", "说明.txt"}},
		{"big5", encode(traditionalchinese.Big5, "制度/年假規定.txt", "說明.txt"), nil, []string{"制度/年假規定.txt", "說明.txt"}},
		{"big5, backslashes within characters", encode(traditionalchinese.Big5, "功能/許可.txt", "成功.txt"), nil, []string{"功能/許可.txt", "成功.txt"}},
		{"utf-8 without the flag", []string{"说明/请读.txt"}, nil, []string{"说明/请读.txt"}},
		{"unicode path", []string{"\x90\xe0\x96\xbe.txt", "plain.txt"}, unicodePath("\x90\xe0\x96\xbe.txt", "説明.txt"), []string{"説明.txt", "plain.txt"}},
		{"unicode path of another name", encode(simplifiedchinese.GBK, "说明.txt"), unicodePath("other.txt", "wrong.txt"), []string{"说明.txt"}},
		{"unicode path cut off", []string{"plain.txt"}, []byte("\x75\x70\xff\xff\x01"), []string{"plain.txt"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var buf bytes.Buffer
			zw := zip.NewWriter(&buf)
			for i, n := range tt.raw {
				h := &zip.FileHeader{Name: n, NonUTF8: true}
				if i == 0 {
					h.Extra = tt.extra
				}
				w, err := zw.CreateHeader(h)
				if err != nil {
					t.Fatal(err)
				}
				w.Write([]byte("text"))
			}
			if err := zw.Close(); err != nil {
				t.Fatal(err)
			}
			ex := newExtractor(t, ingest.ExtractorConfig{})
			doc, err := ex.Extract(t.Context(), ingest.File{Path: writeFile(t, "a.zip", buf.Bytes())})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, b := range doc.Blocks {
				if b.Kind == "heading" {
					got = append(got, doc.Text[b.Start:b.End])
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
