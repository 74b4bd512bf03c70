package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"docent/ingest"
	"docent/internal/catalog"
)

func (s *Server) sourceRoutes(r gin.IRoutes) {
	r.POST("/collections/:name/urls", s.addURL)
	r.POST("/collections/:name/sites", s.addSite)
	r.GET("/collections/:name/watches", s.listWatches)
	r.POST("/collections/:name/watches", s.addWatch)
	r.DELETE("/watches/:id", s.removeWatch)
}

// webAddress checks an address that somebody has typed. It replies and returns false when it is none.
func (s *Server) webAddress(c *gin.Context, typed string) (ingest.Item, bool) {
	if typed = strings.TrimSpace(typed); !ingest.IsURL(typed) || len(typed) > 4096 {
		s.fail(c, badRequest("that is not a web address; it should begin with http:// or https://"))
		return ingest.Item{}, false
	}
	item, err := ingest.WebItem(typed)
	if err != nil {
		s.fail(c, badRequest(err.Error()))
		return item, false
	}
	return item, true
}

// addURL queues a page or file of the web, to be fetched when its turn comes.
func (s *Server) addURL(c *gin.Context) {
	var in struct {
		URL string `json:"url"`
	}
	if !s.decode(c, &in) {
		return
	}
	if item, ok := s.webAddress(c, in.URL); ok {
		s.enqueue(c, c.Param("name"), []ingest.Item{item}, nil)
	}
}

// addSite queues the crawl of a site.
func (s *Server) addSite(c *gin.Context) {
	var in struct {
		URL     string   `json:"url"`
		Depth   int      `json:"depth"`
		Pages   int      `json:"pages"`
		Include []string `json:"include"`
		Exclude []string `json:"exclude"`
	}
	if !s.decode(c, &in) {
		return
	}
	item, ok := s.webAddress(c, in.URL)
	if !ok {
		return
	}
	job, err := s.cfg.Pipeline.EnqueueSite(c.Request.Context(), c.Param("name"), item.Path,
		ingest.SiteOptions{Depth: in.Depth, Pages: in.Pages, Include: in.Include, Exclude: in.Exclude})
	if err != nil {
		s.fail(c, err)
		return
	}
	c.JSON(http.StatusAccepted, gin.H{"jobs": []catalog.Job{job}})
}

func (s *Server) listWatches(c *gin.Context) {
	name := c.Param("name")
	if _, err := s.cfg.Store.Collection(c.Request.Context(), name); err != nil {
		s.fail(c, err)
		return
	}
	watches := []ingest.Watching{}
	if s.cfg.Watcher != nil {
		found, err := s.cfg.Watcher.List(c.Request.Context(), name)
		if err != nil {
			s.fail(c, err)
			return
		}
		watches = append(watches, found...)
	}
	c.JSON(http.StatusOK, gin.H{"watches": watches, "possible": s.cfg.Watcher != nil})
}

func (s *Server) addWatch(c *gin.Context) {
	var in struct {
		Folder  string   `json:"folder"`
		Include []string `json:"include"`
		Exclude []string `json:"exclude"`
	}
	if !s.decode(c, &in) || !s.watches(c) {
		return
	}
	w, err := s.cfg.Watcher.Add(c.Request.Context(), catalog.Watch{
		Collection: c.Param("name"), Folder: strings.TrimSpace(in.Folder), Include: in.Include, Exclude: in.Exclude,
	})
	if errors.Is(err, ingest.ErrFolder) {
		err = badRequest(err.Error())
	}
	if err != nil {
		s.fail(c, err)
		return
	}
	c.JSON(http.StatusCreated, w)
}

func (s *Server) removeWatch(c *gin.Context) {
	if !s.watches(c) {
		return
	}
	if err := s.cfg.Watcher.Remove(c.Request.Context(), c.Param("id")); err != nil {
		s.fail(c, err)
		return
	}
	c.Status(http.StatusNoContent)
}

// watches replies and returns false when this server watches no folders.
func (s *Server) watches(c *gin.Context) bool {
	if s.cfg.Watcher == nil {
		s.fail(c, &apiError{http.StatusForbidden, codeForbidden, "this server watches no folders; start it with --watch-root DIR", nil})
		return false
	}
	return true
}
