package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"anyproxy/config"
	"anyproxy/internal/contain"
	"anyproxy/metrics/price"
	"anyproxy/providers"
	"anyproxy/providers/listing"
)

const (
	// listTime is how long a provider may take to list its models.
	listTime = 3 * time.Second
	// keyTime is how long one may take to be had that must be asked for.
	keyTime = 10 * time.Second
	// mostAtOnce is how many providers are asked at the same time.
	mostAtOnce = 16
	// mostNear is how many names are told that are like an unknown one.
	mostNear = 3
)

// listState is what became of asking a provider for its models. It is part of
// what -json prints.
type listState string

const (
	listListed      listState = "listed"
	listPassthrough listState = "passthrough"   // only the client's own credential may ask
	listNone        listState = "no_list"       // it has none
	listUnreachable listState = "unreachable"   // no answer that counts
	listNoKey       listState = "no_credential" // its key could not be had
	listForbidden   listState = "forbidden"     // the key may not list models; it may do the rest
	listRefused     listState = "refused"       // the key is wrong
)

// unanswered reports whether asking at another time may give a list.
func (s listState) unanswered() bool { return s == listUnreachable || s == listNoKey }

// polled is a provider and what it said.
type polled struct {
	provider *config.Provider
	State    listState
	Error    string   // why there is no list
	failed   []string // the keys of a pool that did not get it, and why
	list     listing.List
}

// lister is a provider that can say which models its upstream has.
type lister interface {
	Models(ctx context.Context) (listing.List, error)
}

// namer is a provider whose upstream has names of its own for models.
type namer interface {
	ModelID(ctx context.Context, model string) (string, error)
}

// pollAll asks the providers, all at the same time, in their order.
func pollAll(ctx context.Context, instances func(*config.Provider) []*instance, list []config.Provider, p *progress) []*polled {
	all := make([]*polled, len(list))
	inParallel(len(list), mostAtOnce, p, "asking "+count(len(list), "provider")+" for models", func(i int) {
		all[i] = poll(ctx, &list[i], instances(&list[i]))
	})
	return all
}

// poll asks one provider, once with each of its keys. One that gets the list is
// enough.
func poll(ctx context.Context, p *config.Provider, instances []*instance) *polled {
	a := &polled{provider: p, State: listPassthrough, Error: "only a client's own login may ask it"}
	if p.Auth == config.AuthPassthrough {
		return a
	}
	got := false
	for n, i := range instances {
		list, err := listFrom(ctx, i)
		if err == nil {
			a.list, got = list, true
			continue
		}
		a.list.Payloads = append(a.list.Payloads, list.Payloads...)
		if a.State, a.Error = judgeFailure(err, listTime); len(instances) > 1 {
			a.failed = append(a.failed, fmt.Sprintf("key %d, from %s: %s", n+1, i.config.APIKey, a.Error))
		}
	}
	if got {
		a.State, a.Error = listListed, ""
	}
	return a
}

// listFrom asks once. A panic is a failure of this provider alone.
func listFrom(ctx context.Context, i *instance) (list listing.List, err error) {
	defer contain.Error(slog.New(slog.DiscardHandler), "list of models", &err)
	if i.key != nil {
		within, cancel := context.WithTimeout(ctx, keyTime)
		_, err := i.key.Secret(within)
		if err != nil && errors.Is(within.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("its key did not come within %s", keyTime)
		}
		cancel()
		if err != nil {
			return list, &providers.Error{Class: providers.ClassCredential, Err: err}
		}
	}
	within, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	return i.impl.(lister).Models(within)
}

// judgeFailure says what the failure of a request means that had so much time.
func judgeFailure(err error, limit time.Duration) (listState, string) {
	var e *providers.Error
	if !errors.As(err, &e) { // the answer is no list, or there is none to ask for
		return listNone, shown(err.Error())
	}
	text := shown(e.Class.String())
	if e.Err != nil {
		text = shown(e.Err.Error())
	}
	if e.Status != 0 {
		text = fmt.Sprintf("status %d: %s", e.Status, text)
	}
	switch {
	case e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed:
		return listNone, text
	case e.Status == http.StatusUnauthorized && !strings.Contains(text, "not supported"): // as for a login's token
		return listRefused, text
	case e.Class == providers.ClassCredential && e.Status == 0:
		return listNoKey, text
	case e.Class == providers.ClassCredential:
		return listForbidden, text
	case e.Class == providers.ClassTimeout && e.Status == 0:
		return listUnreachable, fmt.Sprintf("no answer within %s", limit)
	}
	return listUnreachable, text
}

// target is an entry of models and what is known of it.
type target struct {
	index    int // in Config.Models
	model    *config.Model
	known    *bool // nil = nobody could say
	near     []string
	stated   int // context, by the provider; 0 = it does not say
	features []feature
}

// changes reports whether the stated context is another one than the configured.
func (t *target) changes() bool { return t.stated != 0 && t.stated != t.model.Context }

// fullName is how tables name the target.
func (t *target) fullName() string {
	return t.model.Provider + "/" + cmp.Or(t.model.Name, strings.Join(t.model.Alias, ","))
}

// upstreamName is the one name under which the target is asked for, "" when
// clients say which.
func upstreamName(m *config.Model) string {
	if m.Name == "" && len(m.Alias) == 1 && !strings.Contains(m.Alias[0], "*") {
		return m.Alias[0]
	}
	return m.Name
}

// judge holds the targets against what their providers have.
func judge(c *config.Config, all []*polled, instances map[string]*instance) []target {
	targets := make([]target, len(c.Models))
	for i := range c.Models {
		t := &targets[i]
		*t = target{index: i, model: &c.Models[i]}
		n := slices.IndexFunc(all, func(a *polled) bool { return a.provider.Name == t.model.Provider })
		impl := instances[t.model.Provider].impl
		t.features = featuresOf(t.model, impl.(providers.Previewer))
		name := upstreamName(t.model)
		if all[n].State != listListed || name == "" || strings.HasPrefix(name, "arn:") { // which the account made, and no list has
			continue
		}
		if own, ok := impl.(namer); ok {
			if id, err := own.ModelID(context.Background(), name); err == nil {
				name = id
			}
		}
		found, known := all[n].list.Find(name)
		t.known, t.stated = &known, found.Context
		if !known {
			t.near = all[n].list.Near(name, mostNear)
		}
	}
	return targets
}

// warnOfAnswers tells of providers without a list and of models that are in none.
func (v *validation) warnOfAnswers() {
	for _, a := range v.asked {
		name := a.provider.Name
		switch a.State {
		case listRefused, listPassthrough: // the first is an error, the second as it should be
		case listListed:
			for _, key := range a.failed {
				v.warn("provider %s: %s", name, key)
			}
		case listNone:
			v.warn("provider %s: its models cannot be checked, it has no list of them: %s%s", name, a.Error, v.unpricedNames(a.provider))
		default:
			v.warn("provider %s: its models could not be checked: %s%s", name, a.Error, v.unpricedNames(a.provider))
		}
	}
	for i := range v.targets {
		t := &v.targets[i]
		if t.known == nil || *t.known {
			continue
		}
		near := ""
		if len(t.near) > 0 {
			near = "; nearest: " + shown(strings.Join(t.near, ", "))
		}
		v.warn("models[%d] (line %d): provider %s does not list %s%s", i, t.model.Pos.Line, t.model.Provider, shown(upstreamName(t.model)), near)
	}
}

// unpricedNames are the models of a provider that even the table of prices does
// not know, where nobody else can say whether there are such.
func (v *validation) unpricedNames(p *config.Provider) string {
	var names []string
	for i := range v.doc.Config.Models {
		m := &v.doc.Config.Models[i]
		if name := upstreamName(m); m.Provider == p.Name && p.Type == config.Bedrock && name != "" && price.Name(name) == "" && !strings.HasPrefix(name, "arn:") {
			names = append(names, shown(name))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "; the table of prices does not know " + strings.Join(names, ", ")
}

// families are the words by which a model's name tells who made it.
var families = []string{"claude", "gpt", "gemini", "gemma", "glm", "llama", "deepseek", "qwen", "codestral", "devstral", "mixtral",
	"mistral", "kimi", "grok", "minimax", "nova", "command"}

// familyOf is the family of a target, "" when its name does not tell.
func familyOf(m *config.Model) string {
	name := strings.ToLower(cmp.Or(m.Name, strings.Join(m.Alias, " ")))
	for _, f := range families {
		if strings.Contains(name, f) {
			return f
		}
	}
	if last := name[strings.LastIndexByte(name, '/')+1:]; len(last) > 1 && last[0] == 'o' && last[1] >= '1' && last[1] <= '9' {
		return "gpt" // o3, o4-mini
	}
	return ""
}

// mixedTiers tells of tiers out of which one session may get models of different
// makers.
func mixedTiers(c *config.Config) (warnings []string) {
	type place struct {
		alias string
		tier  int
	}
	found := map[place][]string{} // families
	var order []place
	for i := range c.Models {
		m := &c.Models[i]
		family := familyOf(m)
		for _, alias := range m.Alias {
			at := place{alias, m.Tier}
			if family == "" || slices.Contains(found[at], family) {
				continue
			}
			if len(found[at]) == 0 {
				order = append(order, at)
			}
			found[at] = append(found[at], family)
		}
	}
	for _, at := range order {
		if names := found[at]; len(names) > 1 {
			warnings = append(warnings, fmt.Sprintf("tier %d of %s mixes families of models: %s; what one has written the next may not read as well", at.tier, shown(at.alias), strings.Join(names, ", ")))
		}
	}
	return warnings
}
