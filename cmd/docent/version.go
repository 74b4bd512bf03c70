package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

type versionFlag bool

// BeforeReset prints the version before anything else can go wrong.
func (versionFlag) BeforeReset(app *kong.Kong, vars kong.Vars) error {
	fmt.Fprintln(app.Stdout, vars["version"])
	app.Exit(0)
	return nil
}

type versionCmd struct{}

func (versionCmd) Run(a *app) error {
	if a.JSON {
		return a.printJSON(buildInfo())
	}
	fmt.Fprintln(a.stdout, versionLine())
	return nil
}

type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// buildInfo is what the Go toolchain wrote into the binary. Version is "devel" for a build from a
// tree without a tag.
func buildInfo() build {
	b := build{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	modified := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	if modified && b.Revision != "" {
		b.Revision += "+changes"
	}
	return b
}

func versionLine() string {
	b := buildInfo()
	line := "docent " + b.Version
	if b.Revision != "" {
		line += " (" + b.Revision[:min(12, len(b.Revision))]
		if b.Time != "" {
			line += ", " + b.Time
		}
		line += ")"
	}
	return line + ", " + b.Go + ", " + b.Platform
}
