// Package ollamahost knows where Ollama listens, for the language models and the encoders it serves.
package ollamahost

import (
	"cmp"
	"net"
	"net/url"
	"os"
	"strings"
)

const local = "http://127.0.0.1:11434"

// URL is where Ollama listens, as its own $OLLAMA_HOST says.
func URL() string {
	host := strings.TrimRight(os.Getenv("OLLAMA_HOST"), "/")
	if host == "" {
		return local
	}
	if !strings.Contains(host, "://") {
		host = "http://" + host
	}
	u, err := url.Parse(host)
	if err != nil || u.Hostname() == "" {
		return local
	}
	name, port := u.Hostname(), cmp.Or(u.Port(), "11434")
	if ip := net.ParseIP(name); ip != nil && ip.IsUnspecified() {
		name = "127.0.0.1" // what it listens on is not where one calls
	}
	u.Host = net.JoinHostPort(name, port)
	return u.String()
}
