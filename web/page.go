package web

import (
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strings"

	"github.com/gin-gonic/gin"
)

// Types of the page's files. The system's own table is not asked: on Windows it is the registry, which
// may say text/plain for JavaScript.
var pageTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8", ".json": "application/json", ".map": "application/json", ".svg": "image/svg+xml",
	".png": "image/png", ".ico": "image/x-icon", ".webp": "image/webp", ".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf",
	".wasm": "application/wasm", ".txt": "text/plain; charset=utf-8", ".webmanifest": "application/manifest+json",
	".bcmap": "application/octet-stream", ".pfb": "application/octet-stream", ".icc": "application/octet-stream", ".ftl": "text/plain; charset=utf-8",
}

// hashedRE recognises names that change with their content: assets/index-BxY3k2_1.js
var hashedRE = regexp.MustCompile(`^assets/.*[-.][A-Za-z0-9_-]{8,}\.[a-z0-9]+$`)

// page serves the built page. Addresses that name no file are the page's own to read.
func (s *Server) page(c *gin.Context) {
	name := strings.TrimPrefix(path.Clean("/"+c.Request.URL.Path), "/")
	if name == "api" || strings.HasPrefix(name, "api/") || isOpenAI("/"+name) {
		s.fail(c, &apiError{http.StatusNotFound, codeNotFound, "there is no " + quoteShort(c.Request.URL.Path), nil})
		return
	}
	if c.Request.Method != http.MethodGet && c.Request.Method != http.MethodHead {
		s.fail(c, &apiError{http.StatusMethodNotAllowed, codeBadRequest, c.Request.Method + " is not possible here", nil})
		return
	}
	if s.cfg.UI == nil {
		placeholder(c)
		return
	}
	if name == "" {
		name = "index.html"
	}
	info, err := fs.Stat(s.cfg.UI, name)
	if err != nil || info.IsDir() || strings.HasPrefix(path.Base(name), ".") {
		if ext := path.Ext(name); ext != "" && pageTypes[ext] != "" && name != "index.html" {
			s.fail(c, &apiError{http.StatusNotFound, codeNotFound, "there is no " + quoteShort(c.Request.URL.Path), nil})
			return
		}
		name = "index.html"
		if _, err := fs.Stat(s.cfg.UI, name); err != nil {
			placeholder(c)
			return
		}
	}
	data, err := fs.ReadFile(s.cfg.UI, name)
	if err != nil {
		s.fail(c, err)
		return
	}
	kind := pageTypes[path.Ext(name)]
	if kind == "" {
		kind = "application/octet-stream"
	}
	if hashedRE.MatchString(name) {
		c.Header("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		c.Header("Cache-Control", "no-cache")
	}
	c.Data(http.StatusOK, kind, data)
}

const placeholderPage = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>docent</title>
<style>body{font:16px/1.6 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem;color-scheme:light dark}</style>
<h1>docent is running</h1>
<p>This binary was built without its page. Build it, and docent again, with</p>
<pre>make ui &amp;&amp; make run</pre>
<p>The API is ready at <a href="/api/info">/api/info</a>.</p>
<hr>
<p lang="zh">docent 正在运行，但此程序构建时没有包含网页界面。请运行 <code>make ui &amp;&amp; make run</code>。</p>
</html>
`

// placeholder stands in for a page that was not built.
func placeholder(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.Data(http.StatusOK, "text/html; charset=utf-8", []byte(placeholderPage))
}

// attachment is a Content-Disposition header that saves under name.
func attachment(name string) string {
	var ascii strings.Builder
	for _, r := range name {
		if r < 0x20 || r > 0x7e || strings.ContainsRune(`"\%;/`, r) {
			r = '_'
		}
		ascii.WriteRune(r)
	}
	var encoded strings.Builder
	for i := range len(name) {
		b := name[i]
		if b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("!#$&+-.^_`|~", b) >= 0 {
			encoded.WriteByte(b)
		} else {
			const hex = "0123456789ABCDEF"
			encoded.Write([]byte{'%', hex[b>>4], hex[b&15]})
		}
	}
	return `attachment; filename="` + ascii.String() + `"; filename*=UTF-8''` + encoded.String()
}
