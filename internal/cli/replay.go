package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"anyproxy/config"
	"anyproxy/metrics"
	"anyproxy/providers"
	"anyproxy/proxy"
	"anyproxy/proxy/replay"
	"anyproxy/proxy/routing"
)

func replayCommand() command {
	return command{
		name: "replay", about: "how a configuration would have routed a request log", takes: "FILE...", files: true,
		usage: replayUsage,
		prepare: func(c *call, set *flag.FlagSet) func(context.Context) int {
			f := replayFlags{config: addConfigFlag(c, set)}
			set.BoolVar(&f.json, "json", false, "JSON instead of tables; docs/replay.md describes it")
			set.Uint64Var(&f.seed, "seed", 1, "`NUMBER` that chance is drawn from: the same one gives the same output")
			set.Float64Var(&f.tps, "assume-tps", assumedTPS, "`TOKENS` a second of an upstream that the log has no answer of")
			set.DurationVar(&f.ttft, "assume-ttft", assumedTTFT, "how `LONG` such an upstream takes to its first token")
			return func(ctx context.Context) int { return f.run(ctx, c) }
		},
	}
}

const replayUsage = `anyproxy replay says how a configuration would have routed the traffic of a
request log: who answers how much, fallbacks, failures, cost, times, beside what
happened.

  anyproxy replay requests.jsonl                    by the configuration in use
  anyproxy replay requests.jsonl* -config new.yaml  rotated files, in any order
  ssh host cat requests.jsonl | anyproxy replay -   from a pipe

It asks the router that serves, on a virtual clock, and no network. What becomes
of an attempt is what the log has measured of that upstream at that time; what
it has not measured is assumed, and told. docs/replay.md says how far that goes.

Usage: anyproxy replay FILE... [-config FILE] [-json] [-seed NUMBER]
                       [-assume-tps TOKENS] [-assume-ttft LONG]

`

// What is assumed of an upstream that the log has no answer of: what the router
// takes for true where it knows nothing (proxy/routing).
const (
	assumedTPS  = 60
	assumedTTFT = time.Second
)

const replayFormat = 1 // of -json

// replayFlags are the command line of replay.
type replayFlags struct {
	config *configFlag
	json   bool
	seed   uint64
	tps    float64
	ttft   time.Duration
}

// run is the command: 0 when it has told what would have been, 1 when there was
// nothing to tell it from, 2 when the call was wrong.
func (f *replayFlags) run(ctx context.Context, c *call) int {
	m := replayCommand()
	switch {
	case len(c.args) == 0:
		return c.misused(&m, errors.New("name a request log, or - for standard input"))
	case !(f.tps > 0 && f.tps <= 1e6):
		return c.misused(&m, fmt.Errorf("-assume-tps is %v, not a number of tokens per second", f.tps))
	case f.ttft < 0 || f.ttft > time.Hour:
		return c.misused(&m, fmt.Errorf("-assume-ttft is %s, not a time up to an hour", f.ttft))
	}
	setup, name, err := f.setup(c)
	if err != nil {
		return c.failed(err)
	}
	logs, err := openLogs(c.args, c.in)
	if err != nil {
		return c.failed(err)
	}
	defer logs.close()
	if err := f.tell(ctx, c, logs, setup, name); err != nil {
		return c.failed(err)
	}
	return exitDone
}

// setup is what the configuration says, and its name.
func (f *replayFlags) setup(c *call) (*replay.Setup, string, error) {
	doc, err := soundConfig(f.config.file(), c.getenv)
	if err != nil {
		return nil, "", err
	}
	s := replaySetup(doc.Config)
	s.Seed, s.Zone, s.Assumed = f.seed, c.now().Location(), replay.Assumed{TPS: f.tps, TTFT: f.ttft}
	return s, doc.Name, nil
}

func replaySetup(c *config.Config) *replay.Setup {
	rt := proxy.Planned(c)
	s := &replay.Setup{Targets: rt.Targets(), Options: proxy.RoutingOptions(c), Providers: map[string]replay.Provider{},
		Judge: judgement, Deadline: c.Routing.Deadline,
		Rates: func(provider, model string, login bool) (*metrics.Rates, bool) {
			return rt.Rates(provider, model, model, login)
		}}
	blocks := c.Budget.OnExceeded == config.BudgetBlock
	if blocks {
		s.Daily = c.Budget.Daily
	}
	for _, p := range c.Providers {
		one := replay.Provider{FirstByte: p.Timeouts.FirstByte, Total: p.Timeouts.Total, Native: p.Type == config.Anthropic}
		if blocks {
			one.Daily = p.DailyBudget
		}
		s.Providers[p.Name] = one
	}
	return s
}

// judgement is what an outcome in the log means to the proxy.
func judgement(outcome string) replay.Judgement {
	if outcome == metrics.OutcomeOK {
		return replay.Judgement{Verdict: routing.Good}
	}
	class, known := providers.ParseClass(outcome)
	if !known { // of another version: a failure, of whatever kind
		class = providers.ClassServer
	}
	j := replay.Judgement{Verdict: proxy.Verdict(class), Fallback: class.Fallback()}
	if class == providers.ClassNoModel {
		j.Pause = proxy.NoModelPause
	}
	return j
}

// tell reads the logs, replays them and prints what came of it.
func (f *replayFlags) tell(ctx context.Context, c *call, logs *logs, setup *replay.Setup, config string) error {
	trace := replay.New()
	if err := logs.read(ctx, trace, c.errw.raw); err != nil {
		return err
	}
	trace.Settle()
	if trace.Requests() == 0 {
		return noRequests(trace)
	}
	p := newCounted("replaying", c.errw.raw)
	r, err := trace.Replay(ctx, setup, p.told)
	p.done()
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(c.out, replayJSON{replayFormat, config, r})
	}
	_, err = io.WriteString(c.out, replayText{sheet: sheetFor(c.out, c.getenv), report: r, config: config}.String())
	return err
}

// replayJSON is what -json prints. Fields may be added.
type replayJSON struct {
	V      int    `json:"v"`
	Config string `json:"config"`
	*replay.Report
}

// noRequests says why there is nothing to replay.
func noRequests(t *replay.Trace) error {
	const hint = "name the file of log.file of a proxy that has served; docs/replay.md says more"
	switch r := &t.Reading; {
	case r.Foreign > 0:
		return hinted(fmt.Errorf("%s without a decision: another program has written them", count(int(r.Foreign), "request")), hint)
	case r.Broken > 0:
		return hinted(fmt.Errorf("no request in it, and %s\n  %s", count(int(r.Broken), "broken line"), r.First[0]), hint)
	case r.Lines > 0:
		return hinted(fmt.Errorf("no whole request in it, in %s", count(int(r.Lines), "line")), hint)
	default:
		return hinted(errors.New("the log is empty"), hint)
	}
}

// logs are the files of a call.
type logs struct {
	names []string
	files []io.Reader
	size  int64 // of all; 0 = not known
}

// openLogs opens all before any is read. "-" is in.
func openLogs(names []string, in io.Reader) (*logs, error) {
	l := &logs{}
	var infos []os.FileInfo
	known := true
	for _, name := range names {
		if name == "-" {
			l.names, l.files, known = append(l.names, "standard input"), append(l.files, in), false
			continue
		}
		file, err := os.Open(name)
		if err != nil {
			l.close()
			return nil, hinted(err, "log.file in the configuration says where the log is")
		}
		l.names, l.files = append(l.names, name), append(l.files, file)
		info, err := file.Stat()
		if err == nil && info.IsDir() {
			err = fmt.Errorf("%s is a folder, not a request log", name)
		}
		if err != nil {
			l.close()
			return nil, hinted(err, "name the files in it")
		}
		for _, other := range infos {
			if os.SameFile(other, info) {
				l.close()
				return nil, hinted(fmt.Errorf("%s is given twice", name), "name each file once")
			}
		}
		infos = append(infos, info)
		known = known && info.Mode().IsRegular()
		l.size += info.Size()
	}
	if !known {
		l.size = 0
	}
	return l, nil
}

func (l *logs) close() {
	for _, f := range l.files {
		if c, ok := f.(*os.File); ok && c != os.Stdin {
			_ = c.Close() // it was only read
		}
	}
}

// gzipMagic is how gzip files begin (RFC 1952, 2.3.1).
var gzipMagic = []byte{0x1f, 0x8b}

// read adds the logs to the trace.
func (l *logs) read(ctx context.Context, t *replay.Trace, errw io.Writer) error {
	p := newCounted("reading", errw)
	defer p.done()
	read := int64(0)
	for i, f := range l.files {
		head := make([]byte, len(gzipMagic))
		n, err := io.ReadFull(f, head)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return fmt.Errorf("read %s: %w", l.names[i], err)
		}
		if bytes.Equal(head, gzipMagic) {
			return hinted(fmt.Errorf("%s is compressed", l.names[i]), "gunzip -c FILE | anyproxy replay -")
		}
		err = t.Read(ctx, l.names[i], io.MultiReader(bytes.NewReader(head[:n]), f), func(n int) {
			read += int64(n)
			p.told(read, l.size)
		})
		if err != nil {
			return fmt.Errorf("read %s: %w", l.names[i], err)
		}
	}
	return nil
}
