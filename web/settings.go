package web

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/gin-gonic/gin"

	"docent/ingest"
	"docent/retriever"
)

func (s *Server) settingsRoutes(r gin.IRoutes) {
	r.GET("/collections/:name/settings", s.settings)
	r.PATCH("/collections/:name/settings", s.changeSettings)
}

// searchOptions are how a collection is searched: as its settings say, but for what change, if there is one,
// makes of them for this search.
func (s *Server) searchOptions(ctx context.Context, collection string, change func(*ingest.Settings) error) ([]retriever.SearchOption, error) {
	v, err := ingest.ReadSettings(ctx, s.cfg.Store, collection)
	if err == nil && change != nil {
		err = change(&v)
	}
	if err != nil {
		return nil, err
	}
	return v.Retrieval.Options(s.cfg.Parts)
}

// settingsBody is the settings as an object, and each described for whoever shows them.
func settingsBody(v ingest.Settings) gin.H {
	return gin.H{"settings": v, "fields": v.List()}
}

func (s *Server) settings(c *gin.Context) {
	v, err := ingest.ReadSettings(c.Request.Context(), s.cfg.Store, c.Param("name"))
	if err != nil {
		s.fail(c, err)
		return
	}
	c.JSON(http.StatusOK, settingsBody(v))
}

// changeSettings sets the fields that the body has. Documents that are there already keep what was made
// of them until their files are ingested again.
func (s *Server) changeSettings(c *gin.Context) {
	var patch json.RawMessage
	if !s.decode(c, &patch) {
		return
	}
	v, err := ingest.ChangeSettings(c.Request.Context(), s.cfg.Store, c.Param("name"), func(v *ingest.Settings) error { return v.Merge(patch) })
	if err != nil {
		s.fail(c, err)
		return
	}
	c.JSON(http.StatusOK, settingsBody(v))
}
