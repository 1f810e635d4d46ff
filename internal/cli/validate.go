package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"anyproxy/config"
)

const validateUsage = `anyproxy validate checks a configuration file without a network and says all that is wrong with it.

Usage: anyproxy validate [-config FILE]

`

// validate checks a configuration: 0 when nothing is wrong with it, 1 when
// something is, 2 when the call was wrong.
func validate(args []string, getenv func(string) string, out, errw io.Writer) int {
	set := flag.NewFlagSet("anyproxy validate", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	path := set.String("config", "", "configuration `FILE` (env CONFIG_PATH; default config.yaml if it exists, else the keys in the environment)")
	err := set.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(errw, validateUsage)
		set.SetOutput(errw)
		set.PrintDefaults()
		return exitDone
	}
	named := false
	set.Visit(func(*flag.Flag) { named = true })
	switch {
	case err != nil:
	case set.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", set.Arg(0))
	case named && *path == "":
		err = errors.New("-config is empty")
	case !named:
		*path = usualConfig(getenv)
	}
	if err != nil {
		complain(errw, hinted(err, "anyproxy validate -config FILE"))
		return exitUsage
	}
	if err := checkConfig(*path, getenv, out, errw); err != nil {
		complain(errw, err)
		return exitFailed
	}
	return exitDone
}

// checkConfig says what a start would say of the configuration alone.
func checkConfig(path string, getenv func(string) string, out, errw io.Writer) error {
	doc, err := loadConfig(flags{config: path}, getenv)
	if err != nil {
		return err
	}
	for _, w := range doc.Warnings {
		fmt.Fprintf(errw, "anyproxy: warning: %s\n", strings.TrimPrefix(listed(config.Problems{w}), "\n  "))
	}
	if err := explain(doc, "example.config.yaml explains every key"); err != nil {
		return err
	}
	for _, w := range append(inertWarning(doc.Config), unpriced(doc.Config)...) {
		fmt.Fprintf(errw, "anyproxy: warning: %s\n", w)
	}
	fmt.Fprintf(out, "%s is in order: %s, %s\n", doc.Name, count(len(doc.Config.Providers), "provider"), count(len(doc.Config.Models), "model"))
	return nil
}
