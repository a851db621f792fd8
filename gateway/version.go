package main

import (
	"runtime"
	"runtime/debug"

	"pilewatch/gateway/app"
)

// release is the version that stands in deploy/CHANGELOG.md.
const release = "0.1.0"

// version is what the build says of itself.
func version() app.Version {
	v := app.Version{Version: release, Commit: "unknown", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	dirty := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "+changes"
			}
		}
	}
	v.Commit += dirty
	return v
}
