package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"anyproxy/config"
)

// known is the error of a name in -dump-provider that no provider has.
func (f *validateFlags) known(c *config.Config) error {
	var names []string
	for _, p := range c.Providers {
		names = append(names, p.Name)
	}
	for _, name := range f.dump {
		if !slices.Contains(names, name) {
			return fmt.Errorf("-dump-provider %q: there are %s", name, strings.Join(names, ", "))
		}
	}
	return nil
}

// dump prints what providers answer when they are asked for their models, each
// answer as it came, and nothing else.
func (v *validation) dump(ctx context.Context, names []string) int {
	if err := v.open(ctx); err != nil {
		return v.failed(err)
	}
	out := v.errw.screen(v.out)
	var list []config.Provider
	for _, p := range v.doc.Config.Providers {
		if slices.Contains(names, p.Name) {
			list = append(list, p)
		}
	}
	var failed []string
	for _, a := range pollAll(ctx, v.instances, list, newProgress(v.errw.raw)) {
		for _, payload := range a.list.Payloads {
			if _, err := io.WriteString(out, strings.TrimRight(string(payload), "\r\n")+"\n"); err != nil {
				return v.failed(err)
			}
		}
		if len(a.list.Payloads) == 0 {
			failed = append(failed, fmt.Sprintf("provider %s: %s", a.provider.Name, a.Error))
		}
	}
	if len(failed) > 0 {
		return v.failed(errors.New(strings.Join(failed, "; ")))
	}
	return exitDone
}
