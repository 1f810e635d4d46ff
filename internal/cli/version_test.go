package cli

import (
	"runtime/debug"
	"testing"
)

func TestWhatABuildSaysOfItself(t *testing.T) {
	settings := func(pairs ...string) (list []debug.BuildSetting) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, debug.BuildSetting{Key: pairs[i], Value: pairs[i+1]})
		}
		return list
	}
	const revision = "0123456789abcdef0123456789abcdef01234567"
	for name, c := range map[string]struct {
		info *debug.BuildInfo
		want string
	}{
		"nothing is known": {nil, "dev"},
		"a test":           {&debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "(devel)"}}, "dev (go1.26.8)"},
		"no repository": {&debug.BuildInfo{GoVersion: "go1.26.8", Settings: settings("GOOS", "linux", "GOARCH", "arm64")},
			"dev (go1.26.8 linux/arm64)"},
		"a tag": {&debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "v1.2.3"},
			Settings: settings("vcs.revision", revision, "vcs.time", "2026-11-26T16:25:18Z", "vcs.modified", "false", "GOOS", "darwin", "GOARCH", "arm64")},
			"v1.2.3 (commit 0123456789ab, 2026-11-26T16:25:18Z, go1.26.8 darwin/arm64)"},
		"changed since": {&debug.BuildInfo{Main: debug.Module{Version: "v1.2.4-0.20261126162518-0123456789ab+dirty"},
			Settings: settings("vcs.revision", revision, "vcs.modified", "true")},
			"v1.2.4-0.20261126162518-0123456789ab+dirty (commit 0123456789ab, modified)"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := originOf(c.info).String(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
