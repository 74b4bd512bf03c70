package ingest_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/simplifiedchinese"

	"docent/ingest"
)

func gbk(t testing.TB, s string) []byte {
	t.Helper()
	b, err := simplifiedchinese.GBK.NewEncoder().Bytes([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func tarred(t testing.TB, files ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for i := 0; i+1 < len(files); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// mailWith is a message with one attachment.
func mailWith(name string, data []byte) []byte {
	return fmt.Appendf(nil, "From: a@example.com\r\nTo: b@example.com\r\nSubject: Files\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n"+
		"--B\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n--B\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=%q\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n--B--\r\n",
		name, base64.StdEncoding.EncodeToString(data))
}

func TestExtractMoreFormats(t *testing.T) {
	mailHead := block{"paragraph", 0, "From: a@example.com\nTo: b@example.com"}
	tests := []struct {
		name, file, format, title string
		data                      []byte
		want                      []block
	}{
		{"csv", "a.csv", "csv", "a", []byte("name,price\n\"Smith, J.\",12.50\n\"two\nlines\",3\n"),
			[]block{{"table", 0, "| name | price |\n| --- | --- |\n| Smith, J. | 12.50 |\n| two lines | 3 |"}}},
		{"csv with semicolons in GBK", "a.csv", "csv", "a", gbk(t, "名称;价格\n滤芯;12,5\n水泵;40,0\n阀门;7,5\n"),
			[]block{{"table", 0, "| 名称 | 价格 |\n| --- | --- |\n| 滤芯 | 12,5 |\n| 水泵 | 40,0 |\n| 阀门 | 7,5 |"}}},
		{"tsv, ragged", "a.tsv", "csv", "a", []byte("a\tb\nx\ny\tz\tmore\n"),
			[]block{{"table", 0, "| a | b | |\n| --- | --- | --- |\n| x | | |\n| y | z | more |"}}},
		{"csv without a header", "a.csv", "csv", "a", []byte("1,2.5,x\n2,3.5,y\n3,4.5,z\n"),
			[]block{{"table", 0, "| A | B | C |\n| --- | --- | --- |\n| 1 | 2.5 | x |\n| 2 | 3.5 | y |\n| 3 | 4.5 | z |"}}},
		{"csv with a title above", "a.csv", "csv", "a", []byte("Sales of 2024,,\nregion,units,sum\nnorth,1,2\nsouth,3,4\n"),
			[]block{{"paragraph", 0, "Sales of 2024"}, {"table", 0, "| region | units | sum |\n| --- | --- | --- |\n| north | 1 | 2 |\n| south | 3 | 4 |"}}},
		{"csv with a quote that never closes", "a.csv", "csv", "a", []byte("size,name\n5\",bolt\n\"6,nut\n7,nut\n" + strings.Repeat("8,nut\n", 601)),
			[]block{{"table", 0, "| size | name |\n| --- | --- |\n| 5 | bolt |\n| 6 | nut |\n| 7 | nut |" + strings.Repeat("\n| 8 | nut |", 601)}}},
		{"rtf", "a.rtf", "rtf", "Plan", []byte(`{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset134 SimSun;}}{\stylesheet{\s1 heading 1;}}{\info{\title Plan}{\author Ann}}` +
			`\pard\s1 Head\par\pard caf\'e9 \u8364?5 \f1\'c4\'e3\'ba\'c3\f0\par{\pict\wmetafile8 0102}{\*\unknown lost}` +
			`\pard{\pntext\bullet\tab}one\par{\pntext 2.\tab}two\par\trowd\cellx1\cellx2\pard\intbl a\cell b\cell\row\trowd\intbl c\cell d\cell\row\pard end{\footnote note}\par}`),
			[]block{{"heading", 1, "Head"}, {"paragraph", 0, "café €5 你好"}, {"list_item", 1, "- one"}, {"list_item", 1, "2. two"},
				{"table", 0, "| a | b |\n| --- | --- |\n| c | d |"}, {"paragraph", 0, "end[1]"}, {"paragraph", 0, "[1] note"}}},
		{"mail with an attachment", "a.eml", "eml", "Files", mailWith("prices.csv", []byte("part,price\nnut,1\n")),
			[]block{{"heading", 1, "Files"}, mailHead, {"paragraph", 0, "See below."}, {"heading", 2, "prices.csv"}, {"table", 0, "| part | price |\n| --- | --- |\n| nut | 1 |"}}},
		{"mailbox", "box", "mbox", "box", []byte("From a@example.com Mon Jan  1 00:00:00 2024\nFrom: a@example.com\nTo: b@example.com\nSubject: One\n\nfirst\n\n>From here\n\nFrom b@example.com Tue Jan  2 00:00:00 2024\nFrom: a@example.com\nTo: b@example.com\nSubject: Two\n\nsecond\n"),
			[]block{{"heading", 1, "One"}, mailHead, {"paragraph", 0, "first"}, {"paragraph", 0, "From here"}, {"heading", 1, "Two"}, mailHead, {"paragraph", 0, "second"}}},
		{"saved web page", "a.mhtml", "mhtml", "Page", []byte("From: <Saved by Blink>\r\nSnapshot-Content-Location: https://example.com/\r\nSubject: Page\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; type=\"text/html\"; boundary=\"B\"\r\n\r\n" +
			"--B\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<html><head><title>Page</title></head><body><h1 class=3D\"x\">Page</h1><p>Text.</p></body></html>\r\n--B--\r\n"),
			[]block{{"heading", 1, "Page"}, {"paragraph", 0, "Text."}}},
		{"notebook", "a.ipynb", "ipynb", "Study", []byte(`{"cells":[{"cell_type":"markdown","source":["# Study\n","\n","Some *text*."]},{"cell_type":"code","source":"print(1)","outputs":[{"output_type":"stream","text":["1\n"]},{"output_type":"display_data","data":{"image/png":"AAAA","text/plain":["<Figure>"]}}]}],"metadata":{},"nbformat":4,"nbformat_minor":5}`),
			[]block{{"heading", 1, "Study"}, {"paragraph", 0, "Some text."}, {"code", 0, "print(1)"}, {"code", 0, "1"}, {"code", 0, "<Figure>"}}},
		{"srt", "a.txt", "srt", "a", []byte("1\r\n00:00:01,000 --> 00:00:02,000\r\n<i>Hello</i> there,\r\n\r\n2\r\n00:00:02,100 --> 00:00:03,000\r\nfriend.\r\n\r\n3\r\n00:01:00,000 --> 00:01:01,000\r\nLater.\r\n"),
			[]block{{"paragraph", 0, "Hello there, friend."}, {"paragraph", 0, "Later."}}},
		{"vtt", "a.vtt", "vtt", "a", []byte("WEBVTT\nKind: captions\n\nNOTE no speech\nat all\n\nintro\n00:01.000 --> 00:02.000 align:start\n<v Ann>你好，\n\n00:02.000 --> 00:03.000\n<v Ann>世界。\n\n00:03.000 --> 00:04.000\n<v Bob>Hi &amp; bye.\n"),
			[]block{{"paragraph", 0, "Ann: 你好，世界。"}, {"paragraph", 0, "Bob: Hi & bye."}}},
		{"json", "a.json", "json", "limits", []byte(`{"name":"docent","limits":{"files":10,"tags":["a","b"]},"people":[{"name":"Ann","address":{"city":"Bonn"}},{"name":"Bob","x":null}]}`),
			[]block{{"paragraph", 0, "name: docent"}, {"heading", 1, "limits"}, {"paragraph", 0, "files: 10\ntags: a, b"}, {"heading", 1, "people"}, {"paragraph", 0, "name: Ann\naddress.city: Bonn"}, {"paragraph", 0, "name: Bob"}}},
		{"json that is none", "a.json", "json", "a", []byte("// a comment\n{\"a\": 1}\n"), []block{{"code", 0, "// a comment\n{\"a\": 1}"}}},
		{"json lines", "a.txt", "jsonl", "a", []byte("{\"q\":\"one\",\"a\":1}\n{\"q\":\"two\",\"a\":2}\n"), []block{{"paragraph", 0, "q: one\na: 1"}, {"paragraph", 0, "q: two\na: 2"}}},
		{"yaml", "a.yaml", "yaml", "server", []byte("# who listens\nserver: &s\n  port: 80 # tcp\n  hosts: [a, b]\ncopy:\n  <<: *s\n---\nnext: true\n"),
			[]block{{"paragraph", 0, "# who listens"}, {"heading", 1, "server"}, {"paragraph", 0, "port: 80\nhosts: a, b"}, {"heading", 1, "copy"}, {"paragraph", 0, "port: 80\nhosts: a, b"}, {"paragraph", 0, "next: true"}}},
		{"xml", "a.xml", "xml", "a", []byte(`<?xml version="1.0" encoding="UTF-8"?><parts><part id="7"><name>Nut</name><price currency="EUR">1</price></part><part id="8"><name>Bolt</name></part></parts>`),
			[]block{{"paragraph", 0, "id: 7\nname: Nut\nprice: 1 (currency=EUR)"}, {"paragraph", 0, "id: 8\nname: Bolt"}}},
		{"xml of prose", "a.bin", "xml", "Guide", []byte(`<?xml version="1.0"?><article><title>Guide</title><section><title>Start</title><para>Press <b>go</b> now.</para><programlisting>a
b</programlisting></section></article>`),
			[]block{{"heading", 1, "Guide"}, {"heading", 2, "Start"}, {"paragraph", 0, "Press go now."}, {"code", 0, "a\nb"}}},
		{"restructuredtext", "a.rst", "rst", "Title", []byte("=====\nTitle\n=====\n\nSome *words* with ``code`` and `a link <https://example.com>`_.\n\nPart\n----\n\n- one\n- two\n  more\n\n  1. deep\n\n.. code-block:: go\n   :linenos:\n\n   x := 1\n     y\n\n.. note:: Take care.\n\n.. comment\n\nExample::\n\n    run it\n\n===== =====\nA     B\n===== =====\n1     2\n===== =====\n\n+---+---+\n| a | b |\n+===+===+\n| c | d |\n+---+---+\n"),
			[]block{{"heading", 1, "Title"}, {"paragraph", 0, "Some words with code and a link."}, {"heading", 2, "Part"}, {"list_item", 1, "- one"}, {"list_item", 1, "- two more"}, {"list_item", 2, "1. deep"},
				{"code", 0, "x := 1\n  y"}, {"paragraph", 0, "Note: Take care."}, {"paragraph", 0, "Example:"}, {"code", 0, "run it"}, {"table", 0, "| A | B |\n| --- | --- |\n| 1 | 2 |"}, {"table", 0, "| a | b |\n| --- | --- |\n| c | d |"}}},
		{"asciidoc", "a.adoc", "asciidoc", "Title", []byte("= Title\nAnn Author\n:version: 2\n\nRelease {version} is *bold* and https://example.com[linked].\n\n== Part\n\n* one\n** two\n. first\n\n[source,go]\n----\nx := 1\n----\n\n// no text\nNOTE: Take care.\n\nTerm:: what it is\n\n|===\n|A |B\n\n|1 |2\n|===\n\n////\nhidden\n////\n"),
			[]block{{"heading", 1, "Title"}, {"paragraph", 0, "Release 2 is bold and linked."}, {"heading", 2, "Part"}, {"list_item", 1, "- one"}, {"list_item", 2, "- two"}, {"list_item", 1, "1. first"},
				{"code", 0, "x := 1"}, {"paragraph", 0, "NOTE: Take care."}, {"paragraph", 0, "Term: what it is"}, {"table", 0, "| A | B |\n| --- | --- |\n| 1 | 2 |"}}},
		{"latex", "a.tex", "latex", "On Things", []byte("\\documentclass{article}\n\\usepackage[utf8]{inputenc}\n\\title{On \\emph{Things}}\n\\begin{document}\n\\maketitle\n\\section{First}\\label{s}\nCaf\\'e costs 5\\,\\% more~\\cite{x}, see \\textbf{this \\textit{one}}. % gone\n\n\\begin{enumerate}\n\\item one\n\\item two\n\\end{enumerate}\n\\begin{tabular}{l|r}\na & b \\\\ \\hline\nc & d\n\\end{tabular}\n\\begin{verbatim}\n x = 1\n\\end{verbatim}\n\\[ a^2 \\]\nEnd\\footnote{A note.}\n\\end{document}\n"),
			[]block{{"heading", 1, "On Things"}, {"heading", 2, "First"}, {"paragraph", 0, "Café costs 5 % more , see this one."}, {"list_item", 1, "1. one"}, {"list_item", 1, "2. two"}, {"table", 0, "| a | b |\n| --- | --- |\n| c | d |"},
				{"code", 0, " x = 1"}, {"code", 0, "a^2"}, {"paragraph", 0, "End (A note.)"}}},
		{"zip", "a.zip", "zip", "docs/readme.md", zipped(t, "docs/readme.md", "# Read me\n\nText.", "../../etc/passwd.txt", "root", "x/.git/config", "no", "pic.png", "no", "in.zip", string(zipped(t, "deep.txt", "down here"))),
			[]block{{"heading", 1, "docs/readme.md"}, {"heading", 2, "Read me"}, {"paragraph", 0, "Text."}, {"heading", 1, "etc/passwd.txt"}, {"paragraph", 0, "root"},
				{"heading", 1, "in.zip"}, {"heading", 2, "deep.txt"}, {"paragraph", 0, "down here"}}},
		{"tar.gz", "a.tar.gz", "gz", "a.txt", gzipped(t, tarred(t, "a.txt", "one", "b/c.md", "## Two\n\nthree")),
			[]block{{"heading", 1, "a.txt"}, {"paragraph", 0, "one"}, {"heading", 1, "b/c.md"}, {"heading", 3, "Two"}, {"paragraph", 0, "three"}}},
		{"gz of one file", "notes.md.gz", "markdown", "Notes", gzipped(t, []byte("# Notes\n\nText.")), []block{{"heading", 1, "Notes"}, {"paragraph", 0, "Text."}}},
	}
	ex := newExtractor(t, ingest.ExtractorConfig{CacheDir: t.TempDir()})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc, err := ex.Extract(context.Background(), ingest.File{Path: writeFile(t, tt.file, tt.data)})
			if err != nil {
				t.Fatal(err)
			}
			checkDocument(t, tt.file, doc)
			if doc.Format != tt.format || doc.Title != tt.title {
				t.Errorf("format %q title %q, want %q %q", doc.Format, doc.Title, tt.format, tt.title)
			}
			if diff := cmp.Diff(tt.want, blocksOf(doc)); diff != "" {
				t.Errorf("blocks (-want +got):\n%s", diff)
			}
		})
	}
}

// A plain text is called by its first line where that can be nothing but a title, else by its file.
func TestPlainTextTitles(t *testing.T) {
	ex := newExtractor(t, ingest.ExtractorConfig{CacheDir: t.TempDir()})
	for _, c := range []struct{ text, want string }{
		{"Rules of travel\n\nTrains come first.\n", "Rules of travel"},
		{"Rules of travel\n===============\nTrains come first.\n\nSo do trams.\n", "notes"},
		{"Rules of travel\n===============\n\nTrains come first.\n", "Rules of travel"},
		{"年假规定\n\n员工每年有十五天年假。\n", "年假规定"},
		{"Trains come first.\n\nThen come buses.\n", "notes"},
		{"Dear Ann,\n\nthe trains come first.\n", "notes"},
		{"Rules of travel\nTrains come first.\n\nThen come buses.\n", "notes"},
		{"Rules of travel\n", "notes"},
		{"第一章 出行\n\n先坐火车。\n\n第二章 住宿\n\n住旅馆。\n", "notes"},
		{"Trains come first.\n\nChapter 1\n\nThen come buses.\n", "notes"},
		{strings.Repeat("long ", 20) + "\n\nTrains come first.\n", "notes"},
	} {
		doc, err := ex.Extract(t.Context(), ingest.File{Path: writeFile(t, "notes.txt", []byte(c.text))})
		if err != nil || doc.Format != "text" || doc.Title != c.want {
			t.Errorf("%q: title %q of %s, %v; want %q", c.text, doc.Title, doc.Format, err, c.want)
		}
	}
}
