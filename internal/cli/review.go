package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"anyproxy/config"
	"anyproxy/metrics"
	"anyproxy/proxy/routing"
)

// candidate is a file that can be applied, made ready, with what is shown of it.
type candidate struct {
	doc    *config.Document
	built  *built
	review *metrics.Review
}

// review makes a document ready and compares it with what runs. Where it cannot
// be used, or could not be read, the review of its problems comes instead.
func (p *program) review(ctx context.Context, doc *config.Document, err error) (c *candidate, problems *metrics.Review) {
	r := &metrics.Review{File: p.doc.Name, At: time.Now()}
	if err == nil {
		r.Hash, r.Problems = doc.Hash, problemsOf(doc.Problems)
	}
	var b *built
	if err == nil && len(r.Problems) == 0 {
		b, err = p.ready(ctx, doc.Config)
	}
	if err != nil {
		text := p.redact.String(err.Error())
		r.Problems = []metrics.Problem{{Reason: text, Text: text}}
	}
	if len(r.Problems) > 0 {
		return nil, r
	}
	p.errw.hide(b.secrets...)
	now := p.proxy.Snapshot(0)
	r.Changes = changesOf(config.Diff(p.doc.Config, doc.Config))
	r.Text = linesOf(config.TextDiff(p.doc, doc))
	r.Effect = effect(ctx, side{p.doc.Config, p.built.runtime.Shares}, side{doc.Config, b.runtime.Shares}, now)
	r.Effect.Restart = p.restart(r.Changes)
	r.Effect.Finishing = finishing(p.built, b, now)
	for _, w := range doc.Warnings {
		r.Effect.Warnings = append(r.Effect.Warnings, w.String())
	}
	for _, w := range b.warnings {
		if !slices.Contains(p.built.warnings, w) {
			r.Effect.Warnings = append(r.Effect.Warnings, w)
		}
	}
	return &candidate{doc, b, r}, nil
}

// ready builds a configuration beside the one that runs.
func (p *program) ready(ctx context.Context, c *config.Config) (*built, error) {
	if err := p.fits(c); err != nil {
		return nil, err
	}
	return build(ctx, c, p.built, p.state, p.vault, p.logger, p.getenv, p.now)
}

func problemsOf(problems config.Problems) (out []metrics.Problem) {
	for _, p := range problems {
		out = append(out, metrics.Problem{Line: p.Line, Col: p.Col, Key: p.Key, Reason: p.Reason, Excerpt: p.Excerpt, Text: p.String()})
	}
	return out
}

func changesOf(changes []config.Change) (out []metrics.Change) {
	for _, c := range changes {
		out = append(out, metrics.Change{Path: c.Path, Kind: metrics.ChangeKind(c.Kind), Old: c.Old, New: c.New, Secret: c.Secret})
	}
	return out
}

func linesOf(lines []config.Line) (out []metrics.TextLine) {
	for _, l := range lines {
		out = append(out, metrics.TextLine(l))
	}
	return out
}

// restart lists the changed keys that this run does not take over: it has its
// listener, its log and its state. What a flag overrides has no effect at the next start
// either.
func (p *program) restart(changes []metrics.Change) (keys []string) {
	for _, c := range changes {
		overridden := c.Path == "listen" && p.flags.listen != "" || c.Path == "log.file" && p.flags.logFile != ""
		fixed := c.Path == "listen" || strings.HasPrefix(c.Path, "tls.") || strings.HasPrefix(c.Path, "log.") || strings.HasPrefix(c.Path, "state.")
		if fixed && !overridden {
			keys = append(keys, c.Path)
		}
	}
	return keys
}

// finishing counts the attempts on providers that do not go on as they are.
func finishing(before, after *built, now metrics.Snapshot) (n int) {
	for _, p := range now.Providers {
		if i := before.instances[p.Name]; i != nil && after.instances[p.Name] != i {
			n += p.InFlight
		}
	}
	return n
}

// side is a configuration with the shares of new traffic that its router gives.
type side struct {
	config *config.Config
	shares func(model string) []routing.Share
}

// effectAtMost is how long the shares of the aliases are asked for. Of thousands
// of aliases each takes milliseconds, and nothing else is read or decided meanwhile.
const effectAtMost = 2 * time.Second

// effect tells what a change from one side to the other does to the clients
// that were seen.
func effect(ctx context.Context, from, to side, now metrics.Snapshot) (e metrics.Effect) {
	ctx, cancel := context.WithTimeout(ctx, effectAtMost)
	defer cancel()
	aliases := union(askable(from.config), askable(to.config))
	for i, alias := range aliases {
		if ctx.Err() != nil {
			e.Warnings = append(e.Warnings, fmt.Sprintf("what it does to %d of %d aliases is not known: there are too many", len(aliases)-i, len(aliases)))
			break
		}
		a := aliasEffect(alias, from.shares(alias), to.shares(alias))
		if len(a.Gains)+len(a.Loses) > 0 || slices.ContainsFunc(a.Shares, visible) {
			e.Aliases = append(e.Aliases, a)
		}
		e.Warnings = append(e.Warnings, lonely(a)...)
	}
	e.Warnings = append(e.Warnings, unserved(from, to, now)...)
	e.Warnings = append(e.Warnings, lockedOut(from.config, to.config, now)...)
	return e
}

// askable are the names by which a configuration's targets are asked for. A
// pattern is a name that it covers itself.
func askable(c *config.Config) (names []string) {
	for _, m := range c.Models {
		if names = append(names, m.Alias...); len(m.Alias) == 0 {
			names = append(names, m.Name)
		}
	}
	return union(nil, names)
}

// union is a with what only b has behind it.
func union(a, b []string) []string {
	seen := make(map[string]bool, len(a)+len(b))
	for _, s := range a {
		seen[s] = true
	}
	for _, s := range b {
		if !seen[s] {
			seen[s], a = true, append(a, s)
		}
	}
	return a
}

// visible reports whether a share changes by half a percent or more.
func visible(s metrics.ShareChange) bool { return s.New-s.Old >= 0.005 || s.Old-s.New >= 0.005 }

func aliasEffect(alias string, from, to []routing.Share) metrics.AliasEffect {
	a := metrics.AliasEffect{Alias: alias}
	at := func(s routing.Share) *metrics.ShareChange {
		i := slices.IndexFunc(a.Shares, func(c metrics.ShareChange) bool { return c.Provider == s.Provider && c.Model == s.Model })
		if i < 0 {
			i = len(a.Shares)
			a.Shares = append(a.Shares, metrics.ShareChange{Provider: s.Provider, Model: s.Model})
		}
		return &a.Shares[i]
	}
	for _, s := range from {
		at(s).Old += s.Part
	}
	for _, s := range to {
		at(s).New += s.Part
	}
	before, after := providersOf(from), providersOf(to)
	for _, p := range union(slices.Clone(before), after) {
		switch {
		case !slices.Contains(before, p):
			a.Gains = append(a.Gains, p)
		case !slices.Contains(after, p):
			a.Loses = append(a.Loses, p)
		}
	}
	return a
}

func providersOf(shares []routing.Share) (names []string) {
	for _, s := range shares {
		names = union(names, []string{s.Provider})
	}
	return names
}

// lonely warns of an alias that had others to fall back to and has none now.
func lonely(a metrics.AliasEffect) []string {
	var left []string
	for _, s := range a.Shares {
		if !slices.Contains(a.Loses, s.Provider) {
			left = union(left, []string{s.Provider})
		}
	}
	switch before := len(left) + len(a.Loses) - len(a.Gains); {
	case len(left) == 1 && before > 1:
		return []string{fmt.Sprintf("%s is left with one provider, %s", a.Alias, left[0])}
	case len(left) == 0 && before > 0:
		return []string{fmt.Sprintf("%s is left without a provider", a.Alias)}
	}
	return nil
}

// unserved warns of models that clients ask for and nobody would serve.
func unserved(from, to side, now metrics.Snapshot) (warnings []string) {
	var models []string
	asked := map[string]int{}
	for _, r := range now.Requests {
		models = union(models, []string{r.Model})
		asked[r.Model]++
	}
	for _, m := range models {
		if len(from.shares(m)) > 0 && len(to.shares(m)) == 0 {
			warnings = append(warnings, fmt.Sprintf("nobody serves %q any more, which %s of the last %d asked for", m, count(asked[m], "request"), len(now.Requests)))
		}
	}
	return warnings
}

// lockedOut warns of clients whose key would not be taken any more.
func lockedOut(from, to *config.Config, now metrics.Snapshot) (warnings []string) {
	used := map[string]int{}
	for _, r := range now.Requests {
		used[r.Key]++
	}
	switch {
	case len(to.APIKeys) == 0 && len(from.APIKeys) > 0:
		return []string{"no client key is asked for any more: whoever is on this machine may use it"}
	case len(from.APIKeys) == 0 && len(to.APIKeys) > 0 && used[""] > 0:
		return []string{fmt.Sprintf("clients must show a key from then on: %s of the last %d came without", count(used[""], "request"), len(now.Requests))}
	}
	for _, k := range from.APIKeys {
		kept := slices.ContainsFunc(to.APIKeys, func(n config.ClientKey) bool {
			return n.Key.Equal(k.Key) && (k.Key.Kind != config.SecretRandom || n.Name == k.Name)
		})
		if !kept && used[k.Name] > 0 {
			warnings = append(warnings, fmt.Sprintf("the client key %s is in use and is not taken any more: %s of the last %d came with it",
				k.Name, count(used[k.Name], "request"), len(now.Requests)))
		}
	}
	return warnings
}
