package web

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"reflect"
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
	r.POST("/collections/:name/sample", s.addSample)
	r.POST("/jobs/:id/cancel", s.changeJob(s.cfg.Pipeline.Cancel))
	r.POST("/jobs/:id/pause", s.changeJob(s.cfg.Pipeline.Pause))
	r.POST("/jobs/:id/resume", s.changeJob(s.cfg.Pipeline.Resume))
	r.POST("/jobs/:id/retry", s.changeJob(s.cfg.Pipeline.Retry))
	r.POST("/jobs/:id/password", s.unlock)
	r.GET("/collections/:name/queue", s.flow)
	r.POST("/collections/:name/retry", s.retryFailed)
	r.POST("/queue/pause", s.changeQueue(s.cfg.Pipeline.PauseQueue))
	r.POST("/queue/resume", s.changeQueue(s.cfg.Pipeline.ResumeQueue))
}

// unfinished reports whether something is still to become of a job.
func unfinished(j catalog.Job) bool {
	return j.State == catalog.Queued || j.State == catalog.Running || j.State == catalog.Paused
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

func (s *Server) flow(c *gin.Context) {
	name := c.Param("name")
	if _, err := s.cfg.Store.Collection(c.Request.Context(), name); err != nil {
		s.fail(c, err)
		return
	}
	c.JSON(http.StatusOK, s.cfg.Pipeline.Flow(name))
}

// retryFailed puts the failed jobs of a collection back into the queue.
func (s *Server) retryFailed(c *gin.Context) {
	n, err := s.cfg.Pipeline.RetryFailed(c.Request.Context(), c.Param("name"))
	if err != nil {
		s.fail(c, err)
		return
	}
	c.JSON(http.StatusOK, gin.H{"retried": n})
}

func (s *Server) changeQueue(change func(context.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := change(c.Request.Context()); err != nil {
			s.fail(c, err)
			return
		}
		c.JSON(http.StatusOK, gin.H{"paused": s.cfg.Pipeline.Flow("").Paused})
	}
}

// flowEvery is the time between two looks at how far a collection's batch is.
const flowEvery = time.Second

// jobEvents streams every change of a collection's jobs, after the present state of the unfinished ones,
// and how far the batch is, as that changes.
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
		if unfinished(j) {
			if stream.send("job", j) != nil {
				return
			}
		}
	}
	beat := time.NewTicker(s.cfg.Heartbeat)
	defer beat.Stop()
	look := time.NewTicker(flowEvery)
	defer look.Stop()
	var shown ingest.Flow
	for {
		var err error
		select {
		case <-look.C:
			if flow := s.cfg.Pipeline.Flow(name); !reflect.DeepEqual(flow, shown) {
				shown = flow
				err = stream.send("queue", flow)
			}
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

// unlock queues the file of a job that failed once more, with the password it asked for.
func (s *Server) unlock(c *gin.Context) {
	var in struct {
		Password string `json:"password"`
	}
	if !s.decode(c, &in) {
		return
	}
	if in.Password == "" {
		s.fail(c, badRequest("the password is missing"))
		return
	}
	j, err := s.cfg.Store.Catalog().Job(c.Request.Context(), c.Param("id"))
	if err != nil {
		s.fail(c, err)
		return
	}
	if j.State != catalog.Failed || j.SHA256 == "" {
		s.fail(c, fmt.Errorf("job %s is %s: %w", j.ID, j.State, ingest.ErrNotEnded))
		return
	}
	s.enqueue(c, j.Collection, []ingest.Item{{Path: j.Path, Name: j.Name, SHA256: j.SHA256, Bytes: j.Bytes, Password: in.Password}}, nil)
}
