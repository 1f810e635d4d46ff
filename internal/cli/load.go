package cli

import (
	"errors"
	"fmt"
	"strings"

	"anyproxy/config"
)

// fromEnvironment names the configuration that stands in for a file.
const fromEnvironment = "environment"

// loadConfig reads the configuration that the flags name, or makes the one that
// stands in for it.
func loadConfig(f flags, getenv func(string) string) (*config.Document, error) {
	if f.config == "" {
		doc, err := parseText(fromEnvironment, configFromKeys(getenv), getenv)
		return f.override(doc), err
	}
	doc, err := config.Load(f.config, getenv)
	if err != nil {
		return nil, hinted(err, "name a configuration file that exists with -config FILE, or leave it out to use the keys in the environment")
	}
	return f.override(doc), nil
}

// parseText reads a configuration that is no file.
func parseText(name, text string, getenv func(string) string) (*config.Document, error) {
	c, warnings, err := config.Parse(name, []byte(text), getenv)
	doc := &config.Document{Name: name, Config: c, Warnings: warnings}
	if err != nil && !errors.As(err, &doc.Problems) {
		return nil, err
	}
	return doc, nil
}

// explain turns the problems of a configuration into one error that lists them
// all, nil when there are none. hint is for those of a file.
func explain(doc *config.Document, hint string) error {
	if len(doc.Problems) == 0 {
		return nil
	}
	if doc.Name == fromEnvironment {
		hint = "correct or unset the variables that are named"
	}
	return hinted(fmt.Errorf("%s has %s%s", doc.Name, count(len(doc.Problems), "problem"), listed(doc.Problems)), hint)
}

// soundConfig reads the configuration of a command that only looks at it: file,
// or with "" the keys in the environment. One with problems is an error.
func soundConfig(file string, getenv func(string) string) (*config.Document, error) {
	doc, err := loadConfig(flags{config: file}, getenv)
	if err != nil {
		return nil, err
	}
	return doc, explain(doc, "anyproxy validate tells all that is wrong with it")
}

// listed is one line for each problem, and its excerpt below it.
func listed(problems config.Problems) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "\n  %s", p.String())
		if p.Excerpt != "" {
			b.WriteString("\n" + indent(p.Excerpt, "    "))
		}
	}
	return b.String()
}
