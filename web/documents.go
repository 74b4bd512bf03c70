package web

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"docent/chunker"
	"docent/ingest"
	"docent/retriever"
)

func (s *Server) documentRoutes(r gin.IRoutes) {
	r.GET("/collections/:name/documents", s.listDocuments)
	r.GET("/collections/:name/report", s.report)
	r.GET("/documents/:id", s.document)
	r.GET("/documents/:id/content", s.content)
	r.GET("/documents/:id/original", s.original)
	r.POST("/documents/:id/reingest", s.reingest)
	r.DELETE("/documents/:id", s.deleteDocument)
}

// public is a document without the metadata that docent keeps for itself.
func public(d retriever.Document) retriever.Document {
	kept := make(map[string]string, len(d.Metadata))
	for k, v := range d.Metadata {
		if !strings.HasPrefix(k, "docent.") {
			kept[k] = v
		}
	}
	d.Metadata = kept
	return d
}

func (s *Server) listDocuments(c *gin.Context) {
	docs, err := s.cfg.Store.Documents(c.Request.Context(), c.Param("name"))
	if err != nil {
		s.fail(c, err)
		return
	}
	for i := range docs {
		docs[i] = public(docs[i])
	}
	if docs == nil {
		docs = []retriever.Document{}
	}
	c.JSON(http.StatusOK, gin.H{"documents": docs})
}

func (s *Server) document(c *gin.Context) {
	d, err := s.cfg.Store.Document(c.Request.Context(), c.Param("id"))
	if err != nil {
		s.fail(c, err)
		return
	}
	c.JSON(http.StatusOK, public(d))
}

// report tells what became of a file, which may have failed: so it goes by path, not by document.
func (s *Server) report(c *gin.Context) {
	path := c.Query("path")
	if path == "" {
		s.fail(c, badRequest("path, of the file whose report is wanted, is missing"))
		return
	}
	r, err := ingest.ReadReport(c.Request.Context(), s.cfg.Store, c.Param("name"), path)
	if err != nil {
		s.fail(c, err)
		return
	}
	c.JSON(http.StatusOK, r)
}

func (s *Server) content(c *gin.Context) {
	doc, err := s.cfg.Store.Content(c.Request.Context(), c.Param("id"))
	if err != nil {
		s.fail(c, err)
		return
	}
	if doc.Blocks == nil {
		doc.Blocks = []chunker.Block{}
	}
	if doc.Pages == nil {
		doc.Pages = []chunker.Page{}
	}
	if doc.Links == nil {
		doc.Links = []chunker.Link{}
	}
	c.JSON(http.StatusOK, gin.H{"title": doc.Title, "language": doc.Language, "text": doc.Text, "blocks": doc.Blocks, "pages": doc.Pages, "links": doc.Links})
}

// original gives a file back as it came. It is untrusted, and this is the origin of the page: it comes
// as an attachment, of a type that no browser runs, in a sandbox.
func (s *Server) original(c *gin.Context) {
	d, err := s.cfg.Store.Document(c.Request.Context(), c.Param("id"))
	if err != nil {
		s.fail(c, err)
		return
	}
	if d.SHA256 == "" {
		s.fail(c, &apiError{http.StatusNotFound, codeNotFound, fmt.Sprintf("the original file of %q is not kept", d.Path), nil})
		return
	}
	f, err := s.cfg.Store.OpenFile(c.Request.Context(), d.SHA256)
	if errors.Is(err, retriever.ErrNotFound) {
		s.fail(c, &apiError{http.StatusNotFound, codeNotFound, fmt.Sprintf("the original file of %q is gone", d.Path), err})
		return
	}
	if err != nil {
		s.fail(c, err)
		return
	}
	defer f.Close()
	name := path.Base(strings.ReplaceAll(d.Path, `\`, "/"))
	if name == "." || name == "/" {
		name = "document"
	}
	kind := "application/octet-stream"
	if d.Format == "pdf" {
		kind = "application/pdf" // read by the page's own viewer
	}
	h := c.Writer.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", attachment(name))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'")
	h.Set("Cache-Control", "private, no-cache")
	h.Set("ETag", `"`+d.SHA256+`"`)
	http.ServeContent(c.Writer, c.Request, "", time.Time{}, f)
}

// reingest reads the kept original anew: with the settings of now, and where it is asked for with text
// recognition of every page.
func (s *Server) reingest(c *gin.Context) {
	var in struct {
		OCR      string `json:"ocr"`
		Password string `json:"password"`
	}
	if !s.decode(c, &in) {
		return
	}
	if in.OCR != ingest.OCRAuto && in.OCR != ingest.OCROff && in.OCR != ingest.OCRAll {
		s.fail(c, badRequest(`ocr should be "", "off" or "all"`))
		return
	}
	d, err := s.cfg.Store.Document(c.Request.Context(), c.Param("id"))
	if err != nil {
		s.fail(c, err)
		return
	}
	if d.SHA256 == "" {
		s.fail(c, &apiError{http.StatusNotFound, codeNotFound, fmt.Sprintf("the original file of %q is not kept", d.Path), nil})
		return
	}
	s.enqueue(c, d.Collection, []ingest.Item{{Path: d.Path, SHA256: d.SHA256, Bytes: d.Bytes, OCR: in.OCR, Password: in.Password, Again: true}}, nil)
}

func (s *Server) deleteDocument(c *gin.Context) {
	if err := s.cfg.Store.DeleteDocument(c.Request.Context(), c.Param("id")); err != nil {
		s.fail(c, err)
		return
	}
	c.Status(http.StatusNoContent)
}
