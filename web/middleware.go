package web

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

const requestIDKey = "request_id"

var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestID gives every request an id, the caller's own where it sent a sane one, and sends it back.
func (s *Server) requestID(c *gin.Context) {
	id := c.GetHeader("X-Request-Id")
	if !saneRequestID.MatchString(id) {
		id = uuid.NewString()
	}
	c.Set(requestIDKey, id)
	c.Header("X-Request-Id", id)
}

// logRequest logs each request once, without its body or query, which may hold questions.
func (s *Server) logRequest(c *gin.Context) {
	start := time.Now()
	c.Next()
	route := c.FullPath()
	if route == "" {
		route = "page"
	}
	s.log.InfoContext(c.Request.Context(), "request", "request_id", c.GetString(requestIDKey), "method", c.Request.Method, "route", route,
		"status", c.Writer.Status(), "bytes", c.Writer.Size(), "took", time.Since(start).Round(time.Microsecond))
}

// recover turns a panic of a handler into a reply.
func (s *Server) recover(c *gin.Context) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(p)
		}
		s.log.ErrorContext(c.Request.Context(), "handler panicked", "request_id", c.GetString(requestIDKey), "panic", p, "stack", string(debug.Stack()))
		if c.Writer.Written() {
			c.Abort()
			return
		}
		s.fail(c, &apiError{http.StatusInternalServerError, codeInternal, "something went wrong in the server; its log says what", nil})
	}()
	c.Next()
}

// contentPolicy lets the page load nothing but its own files. Styles may be inline, as highlighted code
// and formulas need; workers and WebAssembly are for reading PDF files.
const contentPolicy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// secure sets the headers that keep a browser from being used against its owner.
func (s *Server) secure(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
}

func noStore(c *gin.Context) { c.Header("Cache-Control", "no-store") }

// guard refuses requests that a web page of another site made the browser send. A page cannot set the
// Host header, and a name that was made to point here (DNS rebinding) is not one of ours; its Origin
// header names the site that it came from.
func (s *Server) guard(c *gin.Context) {
	r := c.Request
	if !s.servesHost(hostname(r.Host)) {
		s.fail(c, &apiError{http.StatusForbidden, codeForbidden,
			"this server does not serve the host name " + quoteShort(r.Host) + "; if it should, start it with --host and that name", nil})
		return
	}
	if !strings.HasPrefix(r.URL.Path, "/api/") && !isOpenAI(r.URL.Path) {
		return // the page and its files hold nothing private and change nothing
	}
	if origin := r.Header.Get("Origin"); origin != "" && !s.ownOrigin(origin, r.Host) {
		s.fail(c, &apiError{http.StatusForbidden, codeForbidden, "requests from the site " + quoteShort(origin) + " are refused", nil})
		return
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site": // same-site is another port of this machine
		opened := r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate"
		if !opened && r.Header.Get("Origin") == "" {
			s.fail(c, &apiError{http.StatusForbidden, codeForbidden, "requests from other sites are refused", nil})
		}
	}
}

func quoteShort(s string) string {
	if len(s) > 100 {
		s = strings.ToValidUTF8(s[:100], "") + "…"
	}
	return `"` + s + `"`
}

// hostname is a Host header without its port, in lower case.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// servesHost allows addresses, since rebinding needs a name, and the names that are ours.
func (s *Server) servesHost(host string) bool {
	if s.hosts["*"] || s.hosts[host] || strings.HasSuffix(host, ".localhost") {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// ownOrigin accepts the origin that the request was sent to, and names given in the configuration, for
// proxies that change the Host header.
func (s *Server) ownOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return false // "null" and extensions too
	}
	if strings.EqualFold(u.Host, host) {
		return true
	}
	for _, h := range s.cfg.Hosts {
		if h != "*" && strings.EqualFold(strings.TrimSpace(h), u.Hostname()) {
			return true
		}
	}
	return false
}
