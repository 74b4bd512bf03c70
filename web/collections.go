package web

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"docent/ingest"
	"docent/internal/catalog"
	"docent/internal/llm"
	"docent/retriever"
)

func (s *Server) infoRoutes(r gin.IRoutes) {
	r.GET("/health", s.health)
	r.GET("/info", s.info)
	r.GET("/status", s.status)
}

func (s *Server) health(c *gin.Context) {
	c.JSON(http.StatusOK, gin.H{"status": "ok", "version": s.cfg.Version})
}

func (s *Server) info(c *gin.Context) {
	styles := s.cfg.Styles
	if styles == nil {
		styles = []string{}
	}
	model := s.cfg.Model(c.Request.Context())
	c.JSON(http.StatusOK, gin.H{
		"version": s.cfg.Version, "encoder": s.cfg.Encoder, "model": model, "styles": styles,
		"agent": s.hasAgent(model), "max_upload_bytes": s.cfg.MaxUploadBytes, "sample": s.cfg.Sample != nil, "ocr": s.cfg.Pipeline.Recognizes(),
	})
}

// status says what the server is busy with, and what of the record is damaged. model is null where none runs in the
// server itself.
func (s *Server) status(c *gin.Context) {
	var model *llm.Status
	if s.cfg.ModelStatus != nil {
		if now, ok := s.cfg.ModelStatus(); ok {
			model = &now
		}
	}
	c.JSON(http.StatusOK, gin.H{"model": model, "record": s.cfg.Store.Damage()})
}

// hasAgent tells whether there is an agent and a language model for it.
func (s *Server) hasAgent(model Model) bool {
	return s.cfg.Agent != nil && model.Provider != llm.ExtractiveAnswer
}

func (s *Server) collectionRoutes(r gin.IRoutes) {
	r.GET("/collections", s.listCollections)
	r.POST("/collections", s.createCollection)
	r.DELETE("/collections/:name", s.deleteCollection)
	r.GET("/collections/:name/search", s.search)
}

// Indexing says how far the present batch of jobs is.
type Indexing struct {
	Done  int `json:"done"`
	Total int `json:"total"`
}

type collectionBody struct {
	retriever.Collection
	Indexing *Indexing `json:"indexing,omitempty"`
}

func (s *Server) listCollections(c *gin.Context) {
	all, err := s.cfg.Store.Collections(c.Request.Context())
	if err != nil {
		s.fail(c, err)
		return
	}
	bodies := make([]collectionBody, len(all))
	for i, col := range all {
		indexing, err := s.indexing(c.Request.Context(), col.Name)
		if err != nil {
			s.fail(c, err)
			return
		}
		bodies[i] = collectionBody{col, indexing}
	}
	c.JSON(http.StatusOK, gin.H{"collections": bodies})
}

func (s *Server) createCollection(c *gin.Context) {
	var in struct {
		Name string `json:"name"`
	}
	if !s.decode(c, &in) {
		return
	}
	col, err := s.cfg.Store.CreateCollection(c.Request.Context(), strings.TrimSpace(in.Name))
	if err != nil {
		s.fail(c, err)
		return
	}
	c.JSON(http.StatusCreated, collectionBody{col, nil})
}

func (s *Server) deleteCollection(c *gin.Context) {
	if err := s.cfg.Store.DeleteCollection(c.Request.Context(), c.Param("name")); err != nil {
		s.fail(c, err)
		return
	}
	c.Status(http.StatusNoContent)
}

// indexingJobs bounds the jobs looked at to find the present batch.
const indexingJobs = 2000

// indexing counts the jobs of a collection's present batch: those added since the queue was last empty.
// It is nil when none is queued or running: a paused one is nothing that an answer could wait for.
func (s *Server) indexing(ctx context.Context, collection string) (*Indexing, error) {
	jobs, err := s.cfg.Store.Catalog().Jobs(ctx, collection, indexingJobs)
	if err != nil {
		return nil, err
	}
	unfinished := func(j catalog.Job) bool { return j.State == catalog.Queued || j.State == catalog.Running }
	if !slices.ContainsFunc(jobs, unfinished) {
		return nil, nil
	}
	slices.Reverse(jobs) // oldest first
	first, busyUntil := 0, time.Time{}
	for i, j := range jobs {
		if i > 0 && busyUntil.Before(j.CreatedAt) {
			first = i
		}
		if unfinished(j) {
			break // whatever comes after is the same batch
		}
		if j.UpdatedAt.After(busyUntil) {
			busyUntil = j.UpdatedAt
		}
	}
	n := &Indexing{Total: len(jobs) - first}
	for _, j := range jobs[first:] {
		if !unfinished(j) {
			n.Done++
		}
	}
	return n, nil
}

func (s *Server) search(c *gin.Context) {
	k := 10
	if text := c.Query("k"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			s.fail(c, badRequest("k should be a number from 1 to 100"))
			return
		}
		k = n
	}
	where, err := retriever.ParseFilter(c.Query("where"))
	if err != nil {
		s.fail(c, err)
		return
	}
	query := strings.TrimSpace(c.Query("q"))
	if query == "" {
		s.fail(c, badRequest("q, the question or keywords, is missing"))
		return
	}
	if len(query) > maxQuestion {
		s.fail(c, badRequest("the query is longer than "+strconv.Itoa(maxQuestion)+" bytes"))
		return
	}
	opts, err := s.searchOptions(c.Request.Context(), c.Param("name"), func(v *ingest.Settings) error {
		for key, values := range c.Request.URL.Query() {
			if key == "q" || key == "k" || key == "where" {
				continue
			}
			if err := v.Set("retrieval."+key, values[0]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.fail(c, err)
		return
	}
	notes := []string{}
	opts = append(opts, retriever.TopK(k), retriever.Where(where), retriever.OnNote(func(n retriever.Note) { notes = append(notes, n.String()) }))
	hits, err := s.cfg.Store.Search(c.Request.Context(), c.Param("name"), query, opts...)
	if err != nil {
		s.fail(c, err)
		return
	}
	if hits == nil {
		hits = []retriever.Hit{}
	}
	for i := range hits {
		hits[i].Document = public(hits[i].Document)
	}
	c.JSON(http.StatusOK, gin.H{"hits": hits, "notes": notes})
}
