package cli

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"strings"
)

// What a build knows of itself that is made where Go finds no repository, such
// as from a source archive: -ldflags "-X anyproxy/internal/cli.version=v1.2.3
// -X anyproxy/internal/cli.commit=… -X anyproxy/internal/cli.date=…". What is
// empty comes from the build information.
var version, commit, date string

// Version is what this build calls itself, "dev" where nothing is known.
func Version() string { return thisOrigin().version }

// origin is what a program was made from. All but version may be empty.
type origin struct {
	version  string // the tag, or a pseudo-version of the commit
	commit   string // in full
	modified bool   // files differed from the commit
	date     string // of the commit, RFC 3339
	made     string // by which Go, for which system
}

// thisOrigin is that of the running program.
func thisOrigin() origin {
	info, _ := debug.ReadBuildInfo()
	o := originOf(info)
	return origin{cmp.Or(version, o.version), cmp.Or(commit, o.commit), o.modified, cmp.Or(date, o.date), o.made}
}

// originOf reads what the go command has noted; info may be nil.
func originOf(info *debug.BuildInfo) origin {
	o := origin{version: "dev"}
	if info == nil {
		return o
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		o.version = v
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	o.commit, o.date, o.modified = settings["vcs.revision"], settings["vcs.time"], settings["vcs.modified"] == "true"
	o.made = info.GoVersion
	if os := settings["GOOS"]; os != "" {
		o.made += " " + os + "/" + settings["GOARCH"]
	}
	return o
}

// String is one line: the version, and in brackets what else is known.
func (o origin) String() string {
	var known []string
	if o.commit != "" {
		known = append(known, fmt.Sprintf("commit %.12s", o.commit))
	}
	if o.modified {
		known = append(known, "modified")
	}
	for _, s := range []string{o.date, o.made} {
		if s != "" {
			known = append(known, s)
		}
	}
	if len(known) == 0 {
		return o.version
	}
	return o.version + " (" + strings.Join(known, ", ") + ")"
}
