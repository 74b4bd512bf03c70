// Package ui holds the built web page. `make ui` builds it into dist; without that the folder is empty
// but for its placeholder file, and the server shows how to build it.
package ui

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// FS returns the files of the page; index.html is missing when it was not built.
func FS() fs.FS {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		panic("ui: " + err.Error()) // "dist" is a valid path
	}
	return sub
}
