package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"anyproxy/config"
	"anyproxy/internal/contain"
	"anyproxy/metrics"
	"anyproxy/providers"
	"anyproxy/proxy"
	"anyproxy/proxy/routing"

	"github.com/charmbracelet/x/ansi"
)

const (
	// probeTime is how long a probe may take: a local server may have to load the
	// model first.
	probeTime = time.Minute
	// probesAtOnce is how many go out at the same time: more would be a burst that
	// the rate limits of small accounts refuse.
	probesAtOnce = 4
	// probeOutput is the most tokens that an answer may have: enough for a model
	// that thinks before it calls a tool.
	probeOutput = 256
	// probeInput is about what the request has, with what providers add for tools.
	probeInput = 500
)

// probeAsk is what a probe says behind the model's name. All that is asked for is
// in one request: a stream, and a tool to be called.
const probeAsk = `,"tools":[{"name":"report","description":"Reports that the connection works.","input_schema":{"type":"object","properties":{}}}],` +
	`"messages":[{"role":"user","content":"Call the tool report once. Say nothing else."}]`

// probe is a request to a target and what became of it. Nil says that nobody
// knows. It is what -json prints.
type probe struct {
	Provider string  `json:"provider"`
	Model    string  `json:"model"` // that was asked for, "" = there was no name to ask for
	Key      *bool   `json:"key_valid"`
	Known    *bool   `json:"model_known"`
	Stream   *bool   `json:"stream"`
	Tools    *bool   `json:"tools"` // called the one that it was to call
	Count    string  `json:"count_tokens"`
	TTFT     float64 `json:"ttft_ms"`  // 0 = not measured
	Cost     float64 `json:"cost_usd"` // as far as a price is known
	Priced   bool    `json:"priced"`
	Error    string  `json:"error,omitempty"`
	Skipped  string  `json:"skipped,omitempty"` // why nothing was sent

	name      string // for people
	impl      providers.Provider
	rates     *metrics.Rates // nil = not known
	converted bool           // into the OpenAI format, which cannot count
}

// Ways in which tokens are counted.
const (
	countUpstream = "upstream"
	countEstimate = "estimate" // by anyproxy itself
	countNone     = "none"
)

// probe sends a tiny request to each target. The cost is told and asked for
// before, unless that has been agreed to.
func (v *validation) probe(ctx context.Context) error {
	v.probes = v.plan(ctx)
	if v.talk != nil {
		yes, err := v.talk.yes(v.probeQuestion(), false)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || !yes { // who leaves does not agree
			v.probes = nil
			v.warn("no target was asked: -probe was not agreed to")
			return nil
		}
	}
	v.sendAll(ctx)
	return v.probeFailure()
}

// plan lists the upstreams, each once.
func (v *validation) plan(ctx context.Context) (list []probe) {
	for i := range v.targets {
		m := v.targets[i].model
		p := probe{name: shown(v.targets[i].fullName()), Provider: m.Provider, Model: v.nameToAsk(m), Count: countNone, impl: v.built.instances[m.Provider].impl}
		c := v.doc.Config.Provider(m.Provider)
		p.converted = c.Type == config.OpenAI
		switch {
		case c.Auth == config.AuthPassthrough:
			p.Skipped = "only a client's own login may ask it"
		case p.Model == "":
			p.Skipped = "clients say which model, and none of those listed is one for it"
		default:
			billed := p.Model
			if own, ok := p.impl.(namer); ok {
				if id, err := own.ModelID(ctx, billed); err == nil {
					billed = id
				}
			}
			if p.rates = proxy.Rates(v.doc.Config, p.Provider, p.Model, billed); c.Billing == config.BillingSubscription {
				p.rates = &metrics.Rates{}
			}
			p.Priced = p.rates != nil
			p.name = shown(p.Provider + "/" + p.Model)
		}
		if !slices.ContainsFunc(list, func(q probe) bool { return q.Provider == p.Provider && q.Model == p.Model }) {
			list = append(list, p)
		}
	}
	return list
}

// nameToAsk is the model that a probe asks a target for: where clients say which,
// the cheapest that they may name of those that the provider lists.
func (v *validation) nameToAsk(m *config.Model) (name string) {
	if name := upstreamName(m); name != "" {
		return name
	}
	best := -1.0
	for _, a := range v.asked {
		if a.provider.Name != m.Provider {
			continue
		}
		for _, l := range a.list.Models {
			rates := proxy.Rates(v.doc.Config, m.Provider, l.ID, l.ID)
			matches := slices.ContainsFunc(m.Alias, func(alias string) bool { return routing.Match(alias, l.ID) })
			if !matches || rates == nil && name != "" {
				continue
			}
			if name == "" || best < 0 || rates.Output < best {
				name = l.ID
				if best = -1; rates != nil {
					best = rates.Output
				}
			}
		}
	}
	return name
}

// probeQuestion says what probes cost at the most.
func (v *validation) probeQuestion() string {
	n, unpriced, most := 0, 0, 0.0
	for i := range v.probes {
		p := &v.probes[i]
		switch {
		case p.Skipped != "":
			continue
		case p.rates == nil:
			unpriced++
		default:
			most += p.rates.Cost(metrics.Tokens{Input: probeInput, Output: probeOutput})
		}
		n++
	}
	text := fmt.Sprintf("%s of about %d tokens will be sent", count(n, "request"), probeInput)
	if n > unpriced {
		text += ", for at most " + dollars(most)
	}
	if unpriced > 0 {
		text += fmt.Sprintf("; the price of %d is not known", unpriced)
	}
	return text + ". Send?"
}

// sendAll makes the probes, some at the same time.
func (v *validation) sendAll(ctx context.Context) {
	n := len(v.probes)
	inParallel(n, probesAtOnce, newProgress(v.errw.raw), "probing "+count(n, "target"), func(i int) {
		if p := &v.probes[i]; p.Skipped == "" {
			p.send(ctx)
		}
	})
}

// send asks for a stream and, where that came, for a count.
func (p *probe) send(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	r := newAsk(p.Model, fmt.Sprintf(`,"max_tokens":%d`, probeOutput)+probeAsk)
	defer r.Body.Release()
	err := p.exchange(ctx, r)
	p.judge(err)
	if err != nil {
		return
	}
	body := newAsk(p.Model, probeAsk)
	defer body.Body.Release()
	body.Endpoint, body.Stream = providers.CountTokens, false
	if p.Count = countTokens(ctx, p.impl, body); p.Count == countUpstream && p.converted {
		p.Count = countEstimate
	}
}

// exchange makes the one attempt. A panic is a failure of this probe alone.
func (p *probe) exchange(ctx context.Context, r *providers.Request) (err error) {
	defer contain.Error(slog.New(slog.DiscardHandler), "probe", &err)
	sent := time.Now()
	stream, err := p.impl.Send(ctx, r)
	if err != nil {
		return err
	}
	return p.read(stream, sent)
}

// read takes the answer to its end.
func (p *probe) read(stream *providers.Stream, sent time.Time) error {
	defer stream.Close()
	called := false
	p.Stream, p.Tools = new(bool), &called
	var used metrics.Tokens
	for {
		f, err := stream.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if f.Kind == providers.Failed {
			return f.Err
		}
		// A tool's call without arguments is an answer too, with no content in it.
		called = called || bytes.Contains(f.Bytes, []byte(`"type":"tool_use"`))
		if p.TTFT == 0 && (f.Kind == providers.Content || f.Kind == providers.End || f.Generating) {
			p.TTFT = float64(time.Since(sent).Microseconds()) / 1000
		}
		if f.Usage != nil {
			used = metrics.Tokens{Input: f.Usage.Input, Output: f.Usage.Output, CacheRead: f.Usage.CacheRead, CacheWrite: f.Usage.CacheWrite}
		}
	}
	*p.Stream = true
	if p.rates != nil {
		p.Cost = p.rates.Cost(used)
	}
	return nil
}

// judge says what the end of a probe tells of key and model.
func (p *probe) judge(err error) {
	yes, no := true, false
	if err == nil {
		p.Key, p.Known = &yes, &yes
		return
	}
	p.Stream, p.Tools = nil, nil
	_, p.Error = judgeFailure(err, probeTime)
	var e *providers.Error
	if !errors.As(err, &e) {
		return
	}
	if said := saidTo(e.Body); said != "" && e.Err == nil {
		p.Error = fmt.Sprintf("status %d: %s", e.Status, said)
	}
	switch {
	case e.Class == providers.ClassNoModel || e.Status == http.StatusNotFound:
		p.Key, p.Known = &yes, &no
	case e.Class == providers.ClassCredential && e.Status == http.StatusPaymentRequired: // known, but without money
		p.Key = &yes
	case e.Class == providers.ClassCredential:
		p.Key = &no
	case e.Class == providers.ClassRateLimited || e.Class == providers.ClassInvalid:
		p.Key = &yes
	}
}

// saidTo is the message of an error of the Messages API, "" when it is none.
func saidTo(body []byte) string {
	var b struct {
		Error struct{ Message string } `json:"error"`
	}
	if json.Unmarshal(body, &b) != nil {
		return ""
	}
	return shown(ansi.Truncate(strings.Join(strings.Fields(b.Error.Message), " "), 300, "…"))
}

// countTokens says who counts the tokens of a request.
func countTokens(ctx context.Context, impl providers.Provider, r *providers.Request) string {
	stream, err := impl.Send(ctx, r)
	if err != nil {
		return countNone
	}
	defer stream.Close()
	for {
		f, err := stream.Next()
		switch {
		case err != nil: // the end among them
			return countNone
		case f.Kind == providers.End && bytes.Contains(f.Bytes, []byte(`"input_tokens"`)):
			return countUpstream
		}
	}
}

// probeFailure is the error of targets that did not answer, and of providers that
// could not be asked for their models either.
func (v *validation) probeFailure() error {
	var failed []string
	for i := range v.probes {
		p := &v.probes[i]
		switch {
		case p.Error != "":
			v.warn("probe of %s: %s", p.name, p.Error)
			failed = append(failed, p.name)
		case p.Skipped == "" && !*p.Tools:
			v.warn("probe of %s: it answered without calling the tool that it was asked to call", p.name)
		}
	}
	if len(failed) > 0 {
		return hinted(fmt.Errorf("%s of %d failed: %s", count(len(failed), "probe"), len(v.probes), strings.Join(failed, ", ")), "the warnings above say why")
	}
	return v.allAnswered("not everything was checked")
}

// longestProbed is longestTarget where there are more columns.
const longestProbed = 26

// writeProbes is a line for each probe.
func (v *validation) writeProbes(out io.Writer) {
	fmt.Fprintln(out)
	rows := [][]string{{"PROBED", "KEY", "MODEL", "STREAM", "TOOLS", "COUNT", "TTFT", "COST"}}
	for i := range v.probes {
		p := &v.probes[i]
		ttft, cost, counted := "–", "?", map[string]string{countUpstream: "yes", countEstimate: "est.", countNone: "no"}[p.Count]
		if p.TTFT > 0 {
			ttft = (time.Duration(p.TTFT * float64(time.Millisecond))).Round(time.Millisecond).String()
		}
		if p.Priced {
			cost = dollars(p.Cost)
		}
		if p.Key == nil || !*p.Key || p.Error != "" {
			counted, cost = "–", "–"
		}
		rows = append(rows, []string{shortenedName(p.name, longestProbed), knownText(p.Key), knownText(p.Known), knownText(p.Stream), knownText(p.Tools), counted, ttft, cost})
	}
	writeTable(out, rows)
	for i := range v.probes {
		if p := &v.probes[i]; p.Skipped != "" {
			fmt.Fprintf(out, "%s was not asked: %s\n", p.name, p.Skipped)
		}
	}
}
