package ingest

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gabriel-vasile/mimetype"
)

// input is a file on its way through a parser.
type input struct {
	ctx      context.Context
	file     io.ReaderAt
	size     int64
	name     string
	url      string // where it was fetched from; empty for a file
	password string
	careful  bool
	whole    bool // of web pages everything is wanted
	// recognize says that the caller reads the pages that are left without text, in pictures of them.
	recognize bool
	cfg       parserConfig
	depth     int      // how many files it lies within
	nested    *nesting // shared by all files within the outermost one
	find      *finding // a picture in a file within this one is looked for, and no text; nil else
}

// head returns up to n bytes from the start of the file.
func (in *input) head(n int) ([]byte, error) {
	buf := make([]byte, min(int64(n), in.size))
	got, err := in.file.ReadAt(buf, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	return buf[:got], nil
}

// textBytes reads a file that is text, refusing one that cannot fit the limit on text.
func (in *input) textBytes() ([]byte, error) {
	limit := in.cfg.MaxText
	if limit <= 0 {
		limit = defaultMaxText
	}
	if in.size > limit {
		return nil, parseError(ErrTooLarge, "it is text of %s, the limit is %s; split it, or raise --max-text", byteSize(in.size), byteSize(limit))
	}
	b := make([]byte, in.size) // in one piece: ReadAll would hold it twice while it grows
	n, err := io.ReadFull(io.NewSectionReader(in.file, 0, in.size), b)
	if err == io.EOF || err == io.ErrUnexpectedEOF { // the file has become shorter
		err = nil
	}
	return b[:n], err
}

func (in *input) ext() string { return strings.ToLower(filepath.Ext(in.name)) }

// form is what a file was found to be.
type form struct {
	format string // a key of parsers, or something else when it cannot be read
	what   string // in words, with no article: "PDF document"
	mime   string
}

// parsers holds one function per format.
var parsers map[string]func(*parser, *input, form) (*Document, error)

func init() {
	parsers = map[string]func(*parser, *input, form) (*Document, error){
		"pdf":      parsePDF,
		"docx":     parseDOCX,
		"pptx":     parsePPTX,
		"xlsx":     parseXLSX,
		"odt":      parseODF,
		"ods":      parseODF,
		"odp":      parseODF,
		"epub":     parseEPUB,
		"eml":      parseEML,
		"mbox":     parseMbox,
		"mhtml":    parseMHTML,
		"rtf":      parseRTF,
		"ipynb":    parseNotebook,
		"srt":      parseSubtitles,
		"vtt":      parseSubtitles,
		"json":     parseData,
		"jsonl":    parseData,
		"yaml":     parseData,
		"xml":      parseData,
		"rst":      parseMarkup,
		"asciidoc": parseMarkup,
		"latex":    parseMarkup,
		"doc":      parseDOC,
		"xls":      parseXLS,
		"ppt":      parsePPT,
		"msg":      parseMSG,
		"zip":      parseArchive,
		"tar":      parseArchive,
		"gz":       parseArchive,
		"bz2":      parseArchive,
		"markdown": parseMarkdown,
		"html":     parseHTML,
		"text":     parseText,
		"csv":      parseCSV,
		"code":     parseText,
		"png":      parsePicture,
		"jpeg":     parsePicture,
		"gif":      parsePicture,
		"tiff":     parsePicture,
		"webp":     parsePicture,
		"bmp":      parsePicture,

		"encrypted office": parseEncryptedOffice,
	}
}

const supportedFormats = "PDF, DOCX, PPTX, XLSX, OpenDocument (ODT, ODS, ODP), the older DOC, PPT and XLS, RTF, EPUB, mail (EML, MBOX, MSG), " +
	"web pages (HTML, MHTML), Markdown, reStructuredText, AsciiDoc, LaTeX, plain text in any encoding, CSV and TSV, JSON, JSON lines, YAML, XML, " +
	"Jupyter notebooks, subtitles (SRT, VTT), source code, pictures with text in them, and ZIP, TAR, GZIP and BZIP2 archives of these"

const sniffBytes = 64 << 10

// detect tells a file's format by its content; the extension decides only among formats that are
// all plain text.
func detect(in *input) (form, error) {
	head, err := in.head(sniffBytes)
	if err != nil {
		return form{}, err
	}
	if len(head) == 0 {
		return form{}, parseError(ErrEmptyFile, "it has 0 bytes")
	}
	switch {
	case bytes.Contains(head[:min(1024, len(head))], []byte("%PDF-")) && !startsLikeMarkup(head):
		return form{format: "pdf", what: "PDF document"}, nil
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return detectZip(in)
	case bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
		return detectOLE(in, head)
	case bytes.HasPrefix(head, []byte(`{\rtf`)):
		return form{format: "rtf", what: "RTF document"}, nil
	}
	if f, ok := detectPicture(head); ok {
		return f, nil
	}
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b\x08")):
		return form{format: "gz", what: "GZIP archive"}, nil
	case bytes.HasPrefix(head, []byte("BZh")) && len(head) > 10 && string(head[4:10]) == "1AY&SY":
		return form{format: "bz2", what: "BZIP2 archive"}, nil
	case isTar(head):
		return form{format: "tar", what: "TAR archive"}, nil
	}
	mime := mimetype.Detect(head[:min(3072, len(head))])
	if !looksLikeText(head) {
		if in.ext() == ".pdf" || bytes.Contains(head, []byte(" 0 obj")) && bytes.Contains(head, []byte("/Type")) {
			return form{format: "pdf", what: "PDF document without its header"}, nil
		}
		what := mime.String()
		if what == "application/octet-stream" || strings.HasPrefix(what, "text/") {
			what = "binary data of an unknown kind"
		}
		return form{format: "binary", what: what, mime: mime.String()}, nil
	}
	if bytes.Contains(head, []byte(" 0 obj")) && bytes.Contains(head, []byte("endobj")) && in.ext() == ".pdf" {
		return form{format: "pdf", what: "PDF document without its header"}, nil
	}
	return detectText(in, head), nil
}

func startsLikeMarkup(head []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(head), []byte("<")) || bytes.HasPrefix(head, []byte("#"))
}

// detectZip tells the documents that are ZIP files apart by their members.
func detectZip(in *input) (form, error) {
	zr, err := zip.NewReader(in.file, in.size)
	if err != nil {
		return form{}, parseError(ErrDamaged, "it is a ZIP file or a document packed as one, such as DOCX, and cannot be opened: %v", err)
	}
	has := map[string]bool{}
	for i, f := range zr.File {
		has[strings.ToLower(strings.ReplaceAll(f.Name, `\`, "/"))] = true
		if i > 10000 {
			break
		}
	}
	under := func(prefix string) bool {
		for n := range has {
			if strings.HasPrefix(n, prefix) {
				return true
			}
		}
		return false
	}
	if has["mimetype"] {
		if b, err := zipMember(zr, "mimetype", 200); err == nil {
			switch m := strings.TrimSpace(string(b)); {
			case m == "application/epub+zip":
				return form{format: "epub", what: "EPUB book"}, nil
			case strings.HasPrefix(m, "application/vnd.oasis.opendocument.text"):
				return form{format: "odt", what: "OpenDocument text"}, nil
			case strings.HasPrefix(m, "application/vnd.oasis.opendocument.spreadsheet"):
				return form{format: "ods", what: "OpenDocument spreadsheet"}, nil
			case strings.HasPrefix(m, "application/vnd.oasis.opendocument.presentation"):
				return form{format: "odp", what: "OpenDocument presentation"}, nil
			}
		}
	}
	switch {
	case has["word/document.xml"], has["[content_types].xml"] && under("word/"):
		return form{format: "docx", what: "DOCX document"}, nil
	case has["ppt/presentation.xml"]:
		return form{format: "pptx", what: "PPTX presentation"}, nil
	case has["xl/workbook.xml"], has["xl/workbook.bin"]:
		return form{format: "xlsx", what: "XLSX workbook"}, nil
	case has["meta-inf/container.xml"] && under("oebps"):
		return form{format: "epub", what: "EPUB book"}, nil
	}
	return form{format: "zip", what: "ZIP archive"}, nil
}

// detectOLE tells what an OLE2 compound file holds by the names of its streams, UTF-16 in its directory.
func detectOLE(in *input, head []byte) (form, error) {
	buf := head
	if in.size > int64(len(head)) {
		if b, err := in.head(4 << 20); err == nil {
			buf = b
		}
	}
	name := func(s string) []byte {
		var b []byte
		for _, c := range []byte(s) {
			b = append(b, c, 0)
		}
		return b
	}
	switch {
	case bytes.Contains(buf, name("EncryptedPackage")):
		return form{format: "encrypted office", what: "encrypted Office document"}, nil
	case bytes.Contains(buf, name("WordDocument")):
		return form{format: "doc", what: "Word document of the old binary kind"}, nil
	case bytes.Contains(buf, name("PowerPoint Document")):
		return form{format: "ppt", what: "PowerPoint presentation of the old binary kind"}, nil
	case bytes.Contains(buf, name("Workbook")), bytes.Contains(buf, name("Book")):
		return form{format: "xls", what: "Excel workbook of the old binary kind"}, nil
	case bytes.Contains(buf, name("__substg1.0_")):
		return form{format: "msg", what: "Outlook message"}, nil
	}
	return form{format: "ole", what: "OLE compound file"}, nil
}

// looksLikeText tells text in any encoding from binary data.
func looksLikeText(head []byte) bool {
	if bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) || bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
		return true
	}
	if utf16Order(head) != nil {
		return true
	}
	zero, control := 0, 0
	for _, c := range head {
		switch {
		case c == 0:
			zero++
		case c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != '\v' && c != 0x1b && c != 0x08, c == 0x7f:
			control++
		}
	}
	if zero*1000 > len(head) || zero > 0 && len(head) < 1000 {
		return false
	}
	if validUTF8Prefix(head) {
		return control*20 <= len(head)
	}
	return control*100 <= len(head)
}

// validUTF8Prefix is utf8.Valid for the start of a file, which may end within a character.
func validUTF8Prefix(b []byte) bool {
	for i := 0; i < utf8.UTFMax; i++ {
		if utf8.Valid(b) {
			return true
		}
		if len(b) == 0 || len(b) < sniffBytes-utf8.UTFMax {
			return false
		}
		b = b[:len(b)-1]
	}
	return utf8.Valid(b)
}

var (
	markdownExts = []string{".md", ".markdown", ".mdown", ".mkd", ".mkdn", ".mdx", ".mdwn"}
	htmlExts     = []string{".html", ".htm", ".xhtml", ".shtml", ".xht"}
	textExts     = map[string]form{
		".json": {format: "json", what: "JSON data"}, ".geojson": {format: "json", what: "JSON data"}, ".jsonl": {format: "jsonl", what: "lines of JSON"}, ".ndjson": {format: "jsonl", what: "lines of JSON"},
		".yaml": {format: "yaml", what: "YAML data"}, ".yml": {format: "yaml", what: "YAML data"}, ".xml": {format: "xml", what: "XML document"}, ".rss": {format: "xml", what: "XML document"}, ".atom": {format: "xml", what: "XML document"},
		".rst": {format: "rst", what: "reStructuredText document"}, ".rest": {format: "rst", what: "reStructuredText document"}, ".adoc": {format: "asciidoc", what: "AsciiDoc document"}, ".asciidoc": {format: "asciidoc", what: "AsciiDoc document"},
		".tex": {format: "latex", what: "LaTeX document"}, ".ltx": {format: "latex", what: "LaTeX document"}, ".mbox": {format: "mbox", what: "mailbox"},
	}
	plainExts = []string{".txt", ".text", ".log", ".me", ".asc"}
	csvExts   = []string{".csv", ".tsv", ".tab"}
	codeExts  = []string{".go", ".py", ".js", ".ts", ".tsx", ".jsx", ".mjs", ".java", ".c", ".h", ".cc", ".cpp", ".hpp", ".cs", ".rb",
		".rs", ".php", ".swift", ".kt", ".scala", ".sh", ".bash", ".ps1", ".bat", ".sql", ".r", ".m", ".lua", ".pl", ".css", ".scss", ".less",
		".toml", ".ini", ".cfg", ".conf", ".xsl", ".xsd", ".svg", ".proto", ".vue",
		".gradle", ".cmake", ".mk", ".dockerfile", ".tf", ".s", ".asm", ".properties", ".env", ".diff", ".patch"}
)

func detectText(in *input, head []byte) form {
	text, _ := decodeText(head, "")
	if i := strings.LastIndexByte(text, '\n'); i > 0 && len(head) == sniffBytes {
		text = text[:i]
	}
	ext := in.ext()
	markup := htmlSigns(text)
	trimmed := strings.TrimSpace(text)
	switch {
	case strings.HasPrefix(trimmed, "WEBVTT"):
		return form{format: "vtt", what: "WebVTT subtitles"}
	case srtSigns(trimmed):
		return form{format: "srt", what: "SRT subtitles"}
	case strings.HasPrefix(text, "From ") && mailSigns(text[strings.IndexByte(text, '\n')+1:]):
		return form{format: "mbox", what: "mailbox"}
	case mailSigns(text) && (ext == ".mht" || ext == ".mhtml" || ext != ".eml" && strings.Contains(text, "Snapshot-Content-Location:")):
		return form{format: "mhtml", what: "saved web page"}
	}
	if f, ok := textExts[ext]; ok && !(f.format == "xml" && markup == 2) {
		switch {
		case f.format == "json" && jsonSigns(text, false) == "ipynb":
			return form{format: "ipynb", what: "Jupyter notebook"}
		case f.format == "mbox": // no mailbox by its content
			return form{format: "text", what: "plain text"}
		}
		return f
	}
	if s := jsonSigns(text, in.size < sniffBytes); s == "ipynb" || s != "" && (ext == "" || ext == ".txt" || ext == ".log" || ext == ".bin" || ext == ".data") {
		return form{format: s, what: "JSON data"}
	}
	if markup < 2 && strings.HasPrefix(trimmed, "<?xml") && !slices.Contains(codeExts, ext) && !slices.Contains(htmlExts, ext) {
		return form{format: "xml", what: "XML document"}
	}
	if strings.Contains(text, "\\begin{document}") && strings.Contains(text, "\\documentclass") && !slices.Contains(markdownExts, ext) && !slices.Contains(codeExts, ext) {
		return form{format: "latex", what: "LaTeX document"}
	}
	switch {
	case slices.Contains(codeExts, ext) && !(markup == 2 && ext != ".php" && ext != ".vue" && ext != ".js" && ext != ".jsx" && ext != ".tsx"):
		return form{format: "code", what: "source code or data"}
	case markup == 2, markup == 1 && slices.Contains(htmlExts, ext):
		return form{format: "html", what: "HTML page"}
	case slices.Contains(markdownExts, ext):
		return form{format: "markdown", what: "Markdown document"}
	case slices.Contains(csvExts, ext):
		return form{format: "csv", what: "table of comma-separated values"}
	case ext == ".eml" || mailSigns(text):
		return form{format: "eml", what: "mail message"}
	case (ext == "" || ext == ".txt" || ext == ".text") && csvSigns(text):
		return form{format: "csv", what: "table of comma-separated values"}
	case slices.Contains(plainExts, ext):
		return form{format: "text", what: "plain text"}
	case markup == 1:
		return form{format: "html", what: "HTML page"}
	case markdownSigns(text):
		return form{format: "markdown", what: "Markdown document"}
	}
	return form{format: "text", what: "plain text"}
}

// htmlSigns is 2 for a text that opens as an HTML page does, 1 for a fragment of HTML, else 0.
func htmlSigns(text string) int {
	s := strings.ToLower(strings.TrimSpace(text[:min(len(text), 8192)]))
	for {
		switch {
		case strings.HasPrefix(s, "<?xml"):
			if i := strings.Index(s, "?>"); i >= 0 {
				s = strings.TrimSpace(s[i+2:])
				continue
			}
		case strings.HasPrefix(s, "<!--"):
			if i := strings.Index(s, "-->"); i >= 0 {
				s = strings.TrimSpace(s[i+3:])
				continue
			}
		}
		break
	}
	for _, p := range []string{"<!doctype html", "<html", "<head", "<body"} {
		if strings.HasPrefix(s, p) {
			return 2
		}
	}
	if !strings.HasPrefix(s, "<") {
		return 0
	}
	closing := 0
	for _, t := range []string{"</p>", "</div>", "</table>", "</h1>", "</h2>", "</ul>", "</span>", "</a>", "</title>", "</script>", "</style>", "</body>", "</dl>", "<br"} {
		if strings.Contains(s, t) {
			closing++
		}
	}
	if closing >= 1 {
		return 1
	}
	return 0
}

// srtSigns tells subtitles by their first cue: its number, and its times.
func srtSigns(text string) bool {
	first, rest, _ := strings.Cut(strings.TrimPrefix(text, "\ufeff"), "\n")
	if _, err := strconv.Atoi(strings.TrimSpace(first)); err == nil {
		first, _, _ = strings.Cut(rest, "\n")
	}
	return subtitleTime.MatchString(first)
}

// markdownSigns tells Markdown without a name from prose: two different marks at least.
func markdownSigns(text string) bool {
	var heading, list, fence, link, table int
	for line := range strings.Lines(text) {
		t := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(t, "#") && strings.HasPrefix(strings.TrimLeft(t, "#"), " ") && len(t)-len(strings.TrimLeft(t, "#")) <= 6:
			heading++
		case strings.HasPrefix(t, "```"):
			fence++
		case strings.HasPrefix(t, "- ") || strings.HasPrefix(t, "* "):
			list++
		case strings.HasPrefix(t, "|") && strings.Contains(t, "---"):
			table++
		}
		if strings.Contains(t, "](") {
			link++
		}
	}
	kinds := 0
	for _, n := range []int{heading, list / 2, fence / 2, link, table} {
		if n > 0 {
			kinds++
		}
	}
	return heading > 0 && kinds >= 2
}

// csvSigns tells a table of delimited values without a name from prose: all of its first lines, four at
// least, have the same number of fields, three at least or two with tabs, and none is a sentence.
func csvSigns(text string) bool {
	lines := strings.SplitN(strings.TrimRight(text, "\r\n"), "\n", csvSignsLines+1)
	lines = lines[:min(len(lines), csvSignsLines)]
	if len(lines) < 4 {
		return false
	}
	for _, d := range []struct {
		delim  rune
		fields int
	}{{'\t', 2}, {',', 3}, {';', 3}, {'|', 3}} {
		fields, fits := 0, true
		for i, line := range lines {
			s := newCSVScanner(strings.TrimRight(line, "\r"), d.delim)
			if fits = s.scan() && !csvProse(s.row); i == 0 {
				fields = len(s.row)
			}
			if fits = fits && len(s.row) == fields && fields >= d.fields; !fits {
				break
			}
		}
		if fits {
			return true
		}
	}
	return false
}

// csvSignsLines is how many lines csvSigns looks at.
const csvSignsLines = 50

// csvProse tells a line of a text from a row: it ends a sentence, or has blanks behind its delimiters.
func csvProse(row []string) bool {
	last := strings.TrimSpace(row[len(row)-1])
	return strings.HasSuffix(last, ".") || strings.HasSuffix(last, "。") ||
		slices.ContainsFunc(row[1:], func(field string) bool { return strings.HasPrefix(field, " ") })
}

// mailSigns tells a mail message, or a page saved as one, by the header lines it opens with.
func mailSigns(text string) bool {
	known, lines := 0, 0
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			continue
		}
		k, _, ok := strings.Cut(line, ":")
		if !ok || strings.ContainsAny(k, " \t") {
			return false
		}
		switch strings.ToLower(k) {
		case "from", "to", "subject", "date", "mime-version", "received", "message-id", "return-path", "content-type", "delivered-to", "snapshot-content-location":
			known++
		}
		if lines++; lines > 200 {
			return false
		}
	}
	return known >= 3
}
