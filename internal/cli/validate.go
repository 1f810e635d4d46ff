package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"anyproxy/config"
	"anyproxy/internal/logging"
)

func validateCommand() command {
	return command{
		name: "validate", about: "check a configuration file",
		usage: `anyproxy validate checks a configuration file without a network and says all that is wrong with it.

Usage: anyproxy validate [-config FILE]

Exit codes: 0 nothing is wrong with it, 1 something is, 2 called wrongly.

`,
		prepare: func(c *call, set *flag.FlagSet) func(context.Context) int {
			path := addConfigFlag(c, set)
			return func(context.Context) int {
				if err := checkConfig(path.file(), c.getenv, c.out, c.errw); err != nil {
					return c.failed(err)
				}
				return exitDone
			}
		},
	}
}

// checkConfig says what a start would say of the configuration alone.
func checkConfig(path string, getenv func(string) string, out io.Writer, errw *stderr) error {
	doc, err := loadConfig(flags{config: path}, getenv)
	if err != nil {
		return err
	}
	errw.hideThoseOf(doc.Config, getenv)
	for _, w := range doc.Warnings {
		fmt.Fprintf(errw, "anyproxy: warning: %s\n", strings.TrimPrefix(listed(config.Problems{w}), "\n  "))
	}
	if err := explain(doc, "example.config.yaml explains every key"); err != nil {
		return err
	}
	for _, w := range append(inertWarning(doc.Config), unpriced(doc.Config)...) {
		fmt.Fprintf(errw, "anyproxy: warning: %s\n", w)
	}
	fmt.Fprintf(logging.Clean(out), "%s is in order: %s, %s\n", doc.Name, count(len(doc.Config.Providers), "provider"), count(len(doc.Config.Models), "model"))
	return nil
}
