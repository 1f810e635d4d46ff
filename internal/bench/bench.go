package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// longest bounds a whole run.
const longest = 12 * time.Minute

// bench is a run: the processes under load and what has been measured.
type bench struct {
	options
	round   int
	plans   map[string]*plan
	dir     string // scratch
	binary  string // anyproxy
	errw    io.Writer
	targets []*target // running, the upstream first
	homes   int       // that anyproxies have had
	ended   []*target
	figures map[string]*figures
}

// figures are one row's, by round.
type figures struct{ bare, ours []float64 }

func (b *bench) add(id string, bare, ours float64) {
	if b.figures[id] == nil {
		b.figures[id] = &figures{}
	}
	f := b.figures[id]
	f.bare, f.ours = append(f.bare, bare), append(f.ours, ours)
}

// short and few scale a case down for a smoke test.
func (b *bench) short(d time.Duration) time.Duration {
	if b.quick {
		return d / 12
	}
	return d
}

func (b *bench) few(n int) int {
	if b.quick {
		return max(n/50, 4)
	}
	return n
}

// withBench lends use a bench, and ends what it has started.
func withBench(ctx context.Context, o options, errw io.Writer, use func(context.Context, *bench) error) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	dir, err := os.MkdirTemp("", "anyproxy-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{options: o, plans: plans(o.quick), dir: dir, errw: errw, figures: map[string]*figures{}}
	err = use(ctx, b)
	return errors.Join(err, b.stop())
}

// table makes all the rounds and prints what they have found. Lost or wrong
// answers of anyproxy are an error.
func table(ctx context.Context, o options, out, errw io.Writer) error {
	return withBench(ctx, o, errw, func(ctx context.Context, b *bench) error {
		if err := errors.Join(b.measure(ctx), b.stop()); err != nil {
			return err
		}
		r := &report{options: o, figures: b.figures, targets: b.ended}
		r.print(out)
		return r.wrongly()
	})
}

// measure makes all the rounds.
func (b *bench) measure(ctx context.Context) (err error) {
	if b.binary, err = build(ctx, b.dir); err != nil {
		return err
	}
	for b.round = range b.rounds {
		for _, c := range cases {
			skip := len(b.cases) > 0 && !slices.Contains(b.cases, c.name)
			if skip || c.rounds > 0 && b.round >= c.rounds {
				continue
			}
			fmt.Fprintf(b.errw, "round %d of %d: %s\n", b.round+1, b.rounds, c.name)
			if err := c.run(ctx, b); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return nil
}

// target gives the one of that name, starting it when it does not run yet.
func (b *bench) target(ctx context.Context, name string) (*target, error) {
	for _, t := range b.targets {
		if t.name == name {
			return t, nil
		}
	}
	var upstream string
	if name != direct {
		t, err := b.target(ctx, direct)
		if err != nil {
			return nil, err
		}
		upstream = "http://" + t.addr
	}
	return b.start(ctx, name, upstream)
}

// start starts a new target of the given name.
func (b *bench) start(ctx context.Context, name, upstream string) (*target, error) {
	cmd, err := b.command(name, upstream)
	if err != nil {
		return nil, err
	}
	errors := filepath.Join(b.dir, name+".err")
	if cmd.Stderr == nil {
		f, err := os.Create(errors)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		cmd.Stderr = f
	}
	c, err := start(ctx, name, cmd)
	if err != nil {
		said, _ := os.ReadFile(errors)
		return nil, fmt.Errorf("%w\n%.2000s", err, said)
	}
	t := &target{child: c}
	b.targets = append(b.targets, t)
	return t, nil
}

func (b *bench) command(name, upstream string) (*exec.Cmd, error) {
	switch {
	case name == direct && b.quick:
		return role(roleUpstream, "quick")
	case name == direct:
		return role(roleUpstream)
	case name == bare && b.base == "":
		return role(roleBare, upstream)
	}
	config := filepath.Join(b.dir, name+".yaml")
	if err := os.WriteFile(config, []byte(configFor(name, upstream)), 0o600); err != nil {
		return nil, err
	}
	args := []string{"-config", config}
	if name == logged {
		args = append(args, "-log-file", filepath.Join(b.dir, "requests.jsonl"))
	}
	if name == bare {
		return b.anyproxy(b.base, args...), nil
	}
	if b.cpuprofile != "" || b.memprofile != "" {
		cmd, err := role(roleProfiled, append([]string{profile(b.cpuprofile, name+".cpu"), profile(b.memprofile, name+".heap")}, args...)...)
		if err == nil {
			cmd.Env = append(cmd.Env, b.home()...)
		}
		return cmd, err
	}
	return b.anyproxy(b.binary, args...), nil
}

func (b *bench) anyproxy(binary string, args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Env = b.home()
	return cmd
}

// home is an environment without anything of the user's own settings and state, nor
// of a target's before: it would sum up at its start what that one spent.
func (b *bench) home() []string {
	b.homes++
	return []string{"HOME=" + filepath.Join(b.dir, "home"+strconv.Itoa(b.homes)), "XDG_STATE_HOME="}
}

func profile(dir, name string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, name)
}

// configFor writes the configuration of one of the anyproxies.
func configFor(name, upstream string) string {
	const head = "listen: 127.0.0.1:0\nproviders:\n  second: {endpoint: %[1]q, apiKey: bench-second}\n"
	switch name {
	case converting:
		return convertingConfig(upstream)
	case failing, healthy:
		first := upstream
		if name == failing {
			first += limitedPath
		}
		return fmt.Sprintf(head+"  first: {endpoint: %[2]q, apiKey: bench-first}\nmodels:\n"+
			"  - {alias: \"claude-*\", provider: first}\n  - {alias: \"claude-*\", provider: second, tier: 2}\n", upstream, first)
	case frugal:
		return fmt.Sprintf(head+"models:\n  - {alias: \"claude-*\", provider: second}\nstate: {path: none}\n", upstream)
	case everything: // with limits that are never reached
		return fmt.Sprintf(head+"models:\n  - {alias: \"claude-*\", provider: second}\n"+
			"budget: {daily: 1000000}\nalerts: {webhook: \"%[1]s/\", fallbackRate: 0.9, p95Latency: 1h}\n", upstream)
	default:
		return fmt.Sprintf(head+"models:\n  - {alias: \"claude-*\", provider: second}\n", upstream)
	}
}

// stop ends every target.
func (b *bench) stop() (err error) {
	for _, t := range slices.Backward(b.targets) {
		err = errors.Join(err, t.stop())
		b.ended = append(b.ended, t)
	}
	b.targets = nil
	return err
}

// footprint is what a process takes while it serves streams.
type footprint struct {
	start       float64 // bytes resident before the first request
	perStream   float64 // bytes resident more, per open stream
	descriptors float64 // more, per open stream
	left        float64 // descriptors more than at the start, when all is over
}

const (
	settleTime = 500 * time.Millisecond
	openRate   = 1250 // streams opened per second
)

// footprint measures a fresh process under n slow streams.
func (b *bench) footprint(ctx context.Context, name string, n int) (f footprint, err error) {
	up, err := b.target(ctx, direct)
	if err != nil {
		return f, err
	}
	t, err := b.start(ctx, name, "http://"+up.addr)
	if err != nil {
		return f, err
	}
	b.targets = b.targets[:len(b.targets)-1]
	b.ended = append(b.ended, t)
	defer func() { err = errors.Join(err, t.stop()) }()

	time.Sleep(settleTime)
	rss, err := resident(t.pid())
	fds, err2 := descriptors(t.pid())
	if err = errors.Join(err, err2); err != nil {
		return f, err
	}
	f.start = float64(rss)
	span := time.Duration(n) * time.Second / openRate
	done := make(chan error, 1)
	go func() {
		_, err := t.pace(ctx, b.plans["slow"], n, 1, span)
		done <- err
	}()
	time.Sleep(span + b.plans["slow"].duration()/3) // the first streams have not ended yet
	nowRSS, err := resident(t.pid())
	nowFDs, err2 := descriptors(t.pid())
	f.perStream = float64(nowRSS-rss) / float64(n)
	f.descriptors = float64(nowFDs-fds) / float64(n)
	if b.memprofile != "" && name != bare {
		_, err3 := io.WriteString(t.stdin, "now\n")
		err = errors.Join(err, err3)
	}
	if err = errors.Join(err, err2, <-done); err != nil {
		return f, err
	}
	time.Sleep(2 * settleTime)
	nowFDs, err = descriptors(t.pid())
	f.left = float64(nowFDs - fds)
	return f, err
}
