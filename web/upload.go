package web

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/unicode/norm"

	"docent/ingest"
	"docent/internal/catalog"
)

// Bounds of one upload request.
const (
	maxParts     = 10000
	maxPathBytes = 1024
	maxNameBytes = 255
)

var errPartTooLarge = errors.New("file too large")

// limitedReader fails, rather than ends, past n bytes.
type limitedReader struct {
	r io.Reader
	n int64
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.n < 0 {
		return 0, errPartTooLarge
	}
	if int64(len(p)) > l.n+1 {
		p = p[:l.n+1]
	}
	n, err := l.r.Read(p)
	if l.n -= int64(n); l.n < 0 {
		return n, errPartTooLarge
	}
	return n, err
}

// refusal is a file of an upload that was not taken.
type refusal struct {
	Path  string      `json:"path"`
	Error failureBody `json:"error"`

	status int
}

// upload streams the files of a multipart body to the store, one after the other, and queues each as
// soon as it is there. Every file is answered: with a job, or under "refused" with the reason. When all
// are refused the reply is the first one's error.
func (s *Server) upload(c *gin.Context) {
	name := c.Param("name")
	if _, err := s.cfg.Store.Collection(c.Request.Context(), name); err != nil {
		s.fail(c, err)
		return
	}
	reader, err := c.Request.MultipartReader()
	if err != nil {
		s.fail(c, badRequest("send the files as a form (multipart/form-data), each in a part named \"file\""))
		return
	}
	jobs, refused := []catalog.Job{}, []refusal{}
	parts := 0
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			message := "the upload broke off before a file was complete; send it again"
			if len(jobs) > 0 {
				message = fmt.Sprintf("the upload broke off after %d of its files; those are being taken in, send the rest again", len(jobs))
			}
			s.fail(c, badRequest(message))
			return
		}
		raw, isFile := partFileName(part)
		if part.FormName() != "file" || !isFile {
			part.Close()
			continue
		}
		if parts++; parts > maxParts {
			s.fail(c, &apiError{http.StatusRequestEntityTooLarge, codeTooLarge, fmt.Sprintf("more than %d files in one request; send them in several", maxParts), nil})
			return
		}
		path := cleanPath(raw)
		added, err := s.take(c, name, path, part)
		if err != nil {
			if c.Request.Context().Err() != nil {
				return // nobody is there to read a reply
			}
			e := explain(err)
			if e.status >= 500 { // the store's trouble, not this file's
				s.fail(c, e)
				return
			}
			refused = append(refused, refusal{path, failureBody{Code: e.code, Message: e.message}, e.status})
			if e.code == codeTooLarge {
				discard(part, 4*s.cfg.MaxUploadBytes)
			}
		}
		jobs = append(jobs, added...)
		part.Close()
	}
	switch {
	case parts == 0:
		s.fail(c, badRequest("there is no file in the upload; each should be in a part named \"file\" with a file name"))
	case len(jobs) == 0:
		first := refused[0]
		c.AbortWithStatusJSON(first.status, gin.H{"error": first.Error, "refused": refused})
	case len(refused) > 0:
		c.JSON(http.StatusAccepted, gin.H{"jobs": jobs, "refused": refused})
	default:
		c.JSON(http.StatusAccepted, gin.H{"jobs": jobs})
	}
}

// take stores one file and queues it.
func (s *Server) take(c *gin.Context, collection, path string, r io.Reader) ([]catalog.Job, error) {
	sum, size, err := s.cfg.Store.PutFile(c.Request.Context(), &limitedReader{r, s.cfg.MaxUploadBytes})
	switch {
	case errors.Is(err, errPartTooLarge):
		return nil, &apiError{http.StatusRequestEntityTooLarge, codeTooLarge,
			fmt.Sprintf("%q is larger than this server takes (%s a file)", path, byteSize(s.cfg.MaxUploadBytes)), nil}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, multipart.ErrMessageTooLarge):
		return nil, badRequest(fmt.Sprintf("%q broke off before its end; nothing of it was kept, send it again", path))
	case err != nil:
		return nil, err
	case size == 0:
		return nil, badRequest(fmt.Sprintf("%q is empty", path))
	}
	return s.cfg.Pipeline.Enqueue(c.Request.Context(), collection, []ingest.Item{{Path: path, SHA256: sum, Bytes: size}})
}

// partFileName is the file name of a part as it was sent; multipart.Part.FileName drops its folders.
func partFileName(part *multipart.Part) (string, bool) {
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	name, ok := params["filename"]
	return name, err == nil && ok
}

// cleanPath turns the name a client sent into one that can be shown, recorded and saved under anywhere:
// relative, with forward slashes, without "..", drives, control characters and marks that reverse the
// direction of writing. A name that holds nothing else is "upload".
func cleanPath(name string) string {
	if !utf8.ValidString(name) { // tools on Chinese Windows send names in its own encoding
		if decoded, err := simplifiedchinese.GB18030.NewDecoder().String(name); err == nil {
			name = decoded
		}
		name = strings.ToValidUTF8(name, "_")
	}
	name = norm.NFC.String(name) // macOS sends letters and accents apart
	name = strings.ReplaceAll(name, `\`, "/")
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r) || r == '\ufeff' || r == '\ufffd' {
			return -1
		}
		return r
	}, name)
	var segments []string
	for i, seg := range strings.Split(name, "/") {
		seg = strings.TrimSpace(seg)
		if i == 0 && len(seg) == 2 && seg[1] == ':' {
			continue // C:
		}
		if strings.Trim(seg, ". ") == "" {
			continue // "", ".", ".." and their longer cousins
		}
		segments = append(segments, shortenName(seg))
	}
	// The innermost folders tell more than the outermost.
	for len(segments) > 1 && len(strings.Join(segments, "/")) > maxPathBytes {
		segments = segments[1:]
	}
	if len(segments) == 0 {
		return "upload"
	}
	return strings.Join(segments, "/")
}

// shortenName cuts a file name to maxNameBytes, its extension kept.
func shortenName(name string) string {
	if len(name) <= maxNameBytes {
		return name
	}
	ext := path.Ext(name)
	if len(ext) > 20 {
		ext = ""
	}
	stem := name[:maxNameBytes-len(ext)]
	for stem != "" && !utf8.ValidString(stem) {
		stem = stem[:len(stem)-1]
	}
	return strings.TrimSpace(stem) + ext
}

// byteSize writes n for people.
func byteSize(n int64) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<20:
		return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.4g KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
