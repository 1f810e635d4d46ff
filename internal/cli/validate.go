package cli

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"anyproxy/config"
	"anyproxy/providers"
	"anyproxy/providers/credential"
	"anyproxy/proxy"
)

func validateCommand() command {
	return command{
		name: "validate", about: "check a configuration file",
		usage: validateUsage,
		prepare: func(c *call, set *flag.FlagSet) func(context.Context) int {
			f := validateFlags{config: addConfigFlag(c, set)}
			set.BoolVar(&f.offline, "offline", false, "check the file alone; ask nobody")
			set.StringVar(&f.write, "write", "", "set the contexts that the providers state, in `FILE`")
			set.BoolVar(&f.probe, "probe", false, "send a tiny request to each target; tells the cost and asks first")
			set.Func("dump-provider", "print what provider `NAME` answers when asked for its models; repeatable", func(name string) error {
				f.dump = append(f.dump, name)
				return nil
			})
			set.BoolVar(&f.yes, "yes", false, "do what would be asked for first")
			set.BoolVar(&f.json, "json", false, "one JSON document instead of tables; docs/validate.md describes it")
			return func(ctx context.Context) int { return f.run(ctx, c) }
		},
	}
}

const validateUsage = `anyproxy validate says all that is wrong with a configuration, and what its
providers say of the models in it.

  anyproxy validate                     check config.yaml, ask its providers
  anyproxy validate -write config.yaml  set the contexts that they state
  anyproxy validate -probe              send a tiny request to each target
  anyproxy validate -offline            check the file alone
  anyproxy validate -json | jq .valid   for programs

What is wrong with the file is told before anybody is asked. Then each provider
is asked for its list of models, for 3 seconds. One that cannot be reached is a
warning, with -write and -probe an error.

Usage: anyproxy validate [-config FILE] [-write FILE] [-probe] [-yes] [-json]
       anyproxy validate [-config FILE] -offline [-json]
       anyproxy validate [-config FILE] -dump-provider NAME...

Exit codes: 0 nothing is wrong, 1 something is, 2 called wrongly.

`

// validateFlags are the command line of validate.
type validateFlags struct {
	config  *configFlag
	write   string // "" = nothing is written
	probe   bool
	dump    []string // names of providers
	yes     bool
	offline bool
	json    bool
}

// run is the command: 0 when nothing is wrong, also beside warnings, 1 when
// something is, 2 when the call was wrong.
func (f *validateFlags) run(ctx context.Context, c *call) int {
	m := validateCommand()
	v := &validation{call: c}
	if f.probe && !f.yes {
		talk, end := newInterview(ctx, c)
		if talk == nil {
			return c.misused(&m, errors.New("-probe costs money, and there is no terminal to ask on; -yes agrees to it"))
		}
		defer end()
		v.talk = talk
	}
	file, err := f.sense()
	if err != nil {
		return c.misused(&m, err)
	}
	defer v.close()
	err = v.check(file)
	if err == nil && len(f.dump) > 0 {
		if err = f.known(v.doc.Config); err != nil {
			return c.misused(&m, err)
		}
		return v.dump(ctx, f.dump)
	}
	if err == nil && !f.offline {
		err = v.ask(ctx)
	}
	refused := v.refusedKeys()
	if err == nil && f.write != "" && refused == nil {
		err = v.write(f.write)
	}
	if err == nil && f.probe { // the others all the same
		err = v.probe(ctx)
	}
	return v.conclude(f, bothFailures(refused, err))
}

// bothFailures tells of two in one line, with the first one's hint; nil is none.
func bothFailures(a, b error) error {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	return fmt.Errorf("%w; %w", a, b)
}

// sense is the file to check, "" for the keys in the environment. The error is
// that of a call that makes none.
func (f *validateFlags) sense() (file string, err error) {
	alone := func(name string, others ...bool) error {
		if slices.Contains(others, true) {
			return fmt.Errorf("%s stands alone, beside -config", name)
		}
		return nil
	}
	switch {
	case len(f.dump) > 0:
		err = alone("-dump-provider", f.write != "", f.probe, f.yes, f.offline, f.json)
	case f.offline && f.write != "":
		err = errors.New("-write sets what providers say, and -offline asks none")
	case f.offline && f.probe:
		err = errors.New("-probe asks providers, and -offline asks none")
	}
	if err != nil {
		return "", err
	}
	file = f.config.file()
	if f.write == "" {
		return file, nil
	}
	return f.source(file)
}

// source is the file to read where one is to be written.
func (f *validateFlags) source(file string) (string, error) {
	there, err := os.Stat(f.write)
	switch {
	case err != nil && file == "":
		return "", errors.New("there is no file to set contexts in; name one with -config FILE")
	case err != nil: // a new one
		return file, nil
	case !f.config.given: // what is to be written is what is meant
		return f.write, nil
	}
	if read, err := os.Stat(file); err == nil && !os.SameFile(read, there) && !f.yes {
		return "", fmt.Errorf("%s is another file than the configuration; -yes replaces it", f.write)
	}
	return file, nil
}

// validation is one run of validate.
type validation struct {
	*call
	doc      *config.Document
	warnings []string  // without the words before them
	asked    []*polled // nil = nobody was
	targets  []target
	built    *built
	vault    *credential.Vault
	talk     *interview // nil = all is agreed to
	probes   []probe
	written  string // the file with the contexts that are stated, "" = none was written
}

func (v *validation) warn(format string, args ...any) {
	v.warnings = append(v.warnings, fmt.Sprintf(format, args...))
}

// check says what a start would say of the file alone.
func (v *validation) check(path string) (err error) {
	if v.doc, err = loadConfig(flags{config: path}, v.getenv); err != nil {
		return err
	}
	v.errw.hideThoseOf(v.doc.Config, v.getenv)
	for _, w := range v.doc.Warnings {
		v.warn("%s", strings.TrimPrefix(listed(config.Problems{w}), "\n  "))
	}
	if err := explain(v.doc, "example.config.yaml explains every key"); err != nil {
		return err
	}
	v.warnings = append(v.warnings, append(inertWarning(v.doc.Config), unpriced(v.doc.Config)...)...)
	return nil
}

// ask has the providers say which models they have, and judges the targets by
// that. Its error is one for which a start would fail too.
func (v *validation) ask(ctx context.Context) error {
	if err := v.open(ctx); err != nil {
		return err
	}
	v.warnings = append(v.warnings, v.built.warnings...)
	v.asked = pollAll(ctx, v.instances, v.doc.Config.Providers, newProgress(v.errw.raw))
	v.targets = judge(v.doc.Config, v.asked, v.built.instances)
	v.warnOfAnswers()
	v.warnings = append(v.warnings, mixedTiers(v.doc.Config)...)
	return nil
}

// open makes the providers with their keys, as a start does.
func (v *validation) open(ctx context.Context) error {
	v.vault = credential.NewVault(credential.Options{Getenv: v.getenv, Hide: v.errw.hide})
	v.built = newBuilt(v.vault)
	w := proxy.Wiring{Config: v.doc.Config, Providers: map[string]providers.Provider{}}
	if err := v.built.fill(ctx, &w, &built{}, v.getenv); err != nil {
		return hinted(fmt.Errorf("%s: %w", v.doc.Name, err), "a start would fail for the same reason")
	}
	v.errw.hide(v.built.secrets...)
	for _, p := range v.doc.Config.Providers {
		for n, key := range p.APIKey.Pool {
			alone := p
			alone.APIKey = key
			i, err := v.built.instance(ctx, v.doc.Config, alone, nil, v.getenv)
			if err != nil {
				return fmt.Errorf("provider %s: %w", p.Name, err)
			}
			v.built.instances[keyOf(p.Name, n)] = i
		}
	}
	return nil
}

// keyOf names a provider that has but one key of the pool. No provider of a file
// has such a name.
func keyOf(provider string, n int) string { return fmt.Sprintf("%s/%d", provider, n) }

// instances are what a provider is asked with, one for each of its keys.
func (v *validation) instances(p *config.Provider) (all []*instance) {
	for n := range p.APIKey.Pool {
		all = append(all, v.built.instances[keyOf(p.Name, n)])
	}
	if all == nil {
		all = append(all, v.built.instances[p.Name])
	}
	return all
}

// close gives up what open has made.
func (v *validation) close() {
	if v.vault != nil {
		v.built.close(nil)
		v.vault.Close()
	}
}

// refusedKeys is the error of the keys that their providers refuse.
func (v *validation) refusedKeys() error {
	var refused []string
	for _, a := range v.asked {
		if a.State == listRefused {
			refused = append(refused, fmt.Sprintf("provider %s refuses its key: %s", a.provider.Name, a.Error))
		}
	}
	if len(refused) == 0 {
		return nil
	}
	return hinted(errors.New(strings.Join(refused, "; ")), "set another apiKey, or look whether this one has expired")
}

// conclude tells what was found and returns the exit code.
func (v *validation) conclude(f *validateFlags, failed error) int {
	var report strings.Builder
	if f.json {
		if err := v.writeJSON(&report, failed); err != nil {
			return v.failed(err)
		}
	} else {
		for _, w := range v.warnings {
			fmt.Fprintf(v.errw, "anyproxy: warning: %s\n", w)
		}
		if failed == nil || v.asked != nil {
			v.writeText(f, &report, failed)
		}
	}
	if _, err := io.WriteString(v.errw.screen(v.out), report.String()); err != nil && failed == nil {
		failed = err
	}
	if failed == nil {
		return exitDone
	}
	complain(v.errw, failed)
	return exitFailed
}

// writeText is the report for a person.
func (v *validation) writeText(f *validateFlags, out io.Writer, failed error) {
	c := v.doc.Config
	verdict := " is in order"
	if failed != nil {
		verdict = ""
	}
	fmt.Fprintf(out, "%s%s: %s, %s\n", v.doc.Name, verdict, count(len(c.Providers), "provider"), count(len(c.Models), "model"))
	if v.asked != nil {
		v.writeTables(out)
	}
	if v.probes != nil {
		v.writeProbes(out)
	}
	switch {
	case failed != nil || f.write == "":
	case v.written != "":
		fmt.Fprintf(out, "\nwrote %s\n", v.written)
	default:
		fmt.Fprintf(out, "\n%s is left alone: its contexts are those that are stated\n", f.write)
	}
}
