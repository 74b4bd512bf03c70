package web

import (
	"context"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"docent/ingest"
	"docent/internal/catalog"
)

func (s *Server) jobRoutes(r gin.IRoutes) {
	r.GET("/collections/:name/jobs", s.listJobs)
	r.GET("/collections/:name/events", s.jobEvents)
	r.POST("/collections/:name/documents", s.upload)
	r.POST("/collections/:name/urls", s.addURL)
	r.POST("/collections/:name/sample", s.addSample)
	r.POST("/jobs/:id/cancel", s.changeJob(s.cfg.Pipeline.Cancel))
	r.POST("/jobs/:id/retry", s.changeJob(s.cfg.Pipeline.Retry))
}

// listedJobs bounds the jobs that one reply lists.
const listedJobs = 500

func (s *Server) listJobs(c *gin.Context) {
	name := c.Param("name")
	if _, err := s.cfg.Store.Collection(c.Request.Context(), name); err != nil {
		s.fail(c, err)
		return
	}
	jobs, err := s.cfg.Store.Catalog().Jobs(c.Request.Context(), name, listedJobs)
	if err != nil {
		s.fail(c, err)
		return
	}
	if jobs == nil {
		jobs = []catalog.Job{}
	}
	c.JSON(http.StatusOK, gin.H{"jobs": jobs})
}

func (s *Server) changeJob(change func(ctx context.Context, id string) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := change(c.Request.Context(), c.Param("id")); err != nil {
			s.fail(c, err)
			return
		}
		job, err := s.cfg.Store.Catalog().Job(c.Request.Context(), c.Param("id"))
		if err != nil {
			s.fail(c, err)
			return
		}
		c.JSON(http.StatusOK, job)
	}
}

// jobEvents streams every change of a collection's jobs, after the present state of the unfinished ones.
func (s *Server) jobEvents(c *gin.Context) {
	name := c.Param("name")
	if _, err := s.cfg.Store.Collection(c.Request.Context(), name); err != nil {
		s.fail(c, err)
		return
	}
	ctx, cancel := context.WithCancel(c.Request.Context())
	defer cancel()
	// Subscribed before the jobs are listed, so that no change falls in between.
	changes := make(chan catalog.Job)
	subscription := s.cfg.Pipeline.Subscribe(ctx, name)
	go func() {
		defer close(changes)
		for j := range subscription {
			select {
			case changes <- j:
			case <-ctx.Done():
				return
			}
		}
	}()
	jobs, err := s.cfg.Store.Catalog().Jobs(ctx, name, 0)
	if err != nil {
		s.fail(c, err)
		return
	}
	stream := openStream(c)
	defer stream.close()
	slices.Reverse(jobs) // in the order of work
	for _, j := range jobs {
		if j.State == catalog.Queued || j.State == catalog.Running {
			if stream.send("job", j) != nil {
				return
			}
		}
	}
	beat := time.NewTicker(s.cfg.Heartbeat)
	defer beat.Stop()
	for {
		var err error
		select {
		case j, ok := <-changes:
			if !ok {
				return
			}
			err = stream.send("job", j)
		case <-beat.C:
			err = stream.beat()
		case <-ctx.Done():
			return
		case <-s.closing:
			return
		}
		if err != nil {
			return
		}
	}
}

// addURL fetches a page or file and queues it.
func (s *Server) addURL(c *gin.Context) {
	var in struct {
		URL string `json:"url"`
	}
	if !s.decode(c, &in) {
		return
	}
	name := c.Param("name")
	if _, err := s.cfg.Store.Collection(c.Request.Context(), name); err != nil {
		s.fail(c, err)
		return
	}
	in.URL = strings.TrimSpace(in.URL)
	u, err := url.Parse(in.URL)
	switch {
	case s.cfg.Fetch == nil:
		s.fail(c, &apiError{http.StatusForbidden, codeForbidden, "this server does not fetch web pages", nil})
		return
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || len(in.URL) > 4096:
		s.fail(c, badRequest("that is not a web address; it should begin with http:// or https://"))
		return
	}
	item, err := s.cfg.Fetch(c.Request.Context(), in.URL)
	if err == nil {
		err = item.Err
	}
	if err != nil {
		if c.Request.Context().Err() != nil {
			s.fail(c, c.Request.Context().Err())
			return
		}
		// What went wrong with another server is what the reader needs to know.
		s.fail(c, badRequest(err.Error()))
		return
	}
	s.enqueue(c, name, []ingest.Item{item}, nil)
}

// addSample queues the files of the sample corpus.
func (s *Server) addSample(c *gin.Context) {
	name := c.Param("name")
	if _, err := s.cfg.Store.Collection(c.Request.Context(), name); err != nil {
		s.fail(c, err)
		return
	}
	if s.cfg.Sample == nil {
		s.fail(c, &apiError{http.StatusNotFound, codeNotFound, "this server holds no sample", nil})
		return
	}
	var items []ingest.Item
	err := fs.WalkDir(s.cfg.Sample, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		f, err := s.cfg.Sample.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		sum, size, err := s.cfg.Store.PutFile(c.Request.Context(), f)
		if err == nil {
			items = append(items, ingest.Item{Path: path, SHA256: sum, Bytes: size})
		}
		return err
	})
	if err != nil {
		s.fail(c, err)
		return
	}
	questions := s.cfg.SampleQuestions
	if questions == nil {
		questions = []string{}
	}
	s.enqueue(c, name, items, gin.H{"questions": questions})
}

// enqueue queues items and replies with their jobs and what else there is to say.
func (s *Server) enqueue(c *gin.Context, collection string, items []ingest.Item, more gin.H) {
	jobs, err := s.cfg.Pipeline.Enqueue(c.Request.Context(), collection, items)
	if err != nil {
		s.fail(c, err)
		return
	}
	if jobs == nil {
		jobs = []catalog.Job{}
	}
	body := gin.H{"jobs": jobs}
	for k, v := range more {
		body[k] = v
	}
	c.JSON(http.StatusAccepted, body)
}

// discard reads what is left of r, up to n bytes, so that a client that is still sending gets to read
// the reply.
func discard(r io.Reader, n int64) { _, _ = io.CopyN(io.Discard, r, n) }
