package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"anyproxy/config"
	"anyproxy/internal/logging"
)

func statusCommand() command {
	return command{
		name: "status", about: "how the providers of a running proxy are",
		usage: `anyproxy status asks a running proxy how its providers are.

  anyproxy status                         a table of them
  anyproxy status -json | jq .status      for programs

Usage: anyproxy status [-config FILE] [-json]

Exit codes: 0 a provider is healthy, 1 none is or no proxy answers, 2 called
wrongly.

`,
		prepare: func(c *call, set *flag.FlagSet) func(context.Context) int {
			file := addConfigFlag(c, set)
			asJSON := set.Bool("json", false, "print what the proxy answers at /health")
			return func(ctx context.Context) int { return status(ctx, c, file.file(), *asJSON) }
		},
	}
}

// health is the answer of /health, as far as it is shown.
type health struct {
	Status    string
	Healthy   int `json:"healthy_providers"`
	Total     int `json:"total_providers"`
	Providers map[string]struct {
		State     string
		ErrorRate float64 `json:"error_rate"`
		TPS       float64
		RetryAt   time.Time `json:"retry_at"`
	}
}

func status(ctx context.Context, c *call, file string, asJSON bool) int {
	doc, err := soundConfig(file, c.getenv)
	if err != nil {
		return c.failed(err)
	}
	base, _ := c.whereServed(ctx, doc, file)
	var raw json.RawMessage
	var h health
	err = askProxy(ctx, base+"/health", &raw)
	if err == nil {
		if err = json.Unmarshal(raw, &h); err == nil && h.Status == "" {
			err = errNoAnyproxy
		}
	}
	if err != nil {
		return c.failed(hinted(fmt.Errorf("%s: %w", base, err), hintOfSilence(err)))
	}
	var report strings.Builder
	if asJSON {
		report.Write(append(bytes.TrimSpace(raw), '\n'))
	} else {
		printHealth(logging.Clean(&report), base, &h, providerOrder(doc.Config, &h))
	}
	if code := c.answered(report.String()); code != exitDone || h.Healthy > 0 {
		return code
	}
	return exitFailed
}

// hintOfSilence is what to do where no proxy answers.
func hintOfSilence(err error) string {
	if errors.Is(err, errSilent) {
		return "look whether it hangs, and start it again"
	}
	return "start one: anyproxy, or name its configuration with -config FILE"
}

// providerOrder is that of the configuration; what the proxy has besides comes
// after it.
func providerOrder(c *config.Config, h *health) (names []string) {
	for _, p := range c.Providers {
		if _, ok := h.Providers[p.Name]; ok {
			names = append(names, p.Name)
		}
	}
	var others []string
	for name := range h.Providers {
		if !slices.Contains(names, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return append(names, others...)
}

func printHealth(out io.Writer, base string, h *health, names []string) {
	fmt.Fprintf(out, "%s: %s, %d of %d providers can be asked\n\n", base, h.Status, h.Healthy, h.Total)
	rows := [][]string{{"PROVIDER", "STATE", "TOK/S", "FAILED", "AGAIN IN"}}
	for _, name := range names {
		p := h.Providers[name]
		speed, again := "–", ""
		if p.TPS > 0 {
			speed = fmt.Sprintf("%.1f", p.TPS)
		}
		if wait := time.Until(p.RetryAt); wait > 0 {
			again = wait.Round(time.Second).String()
		}
		rows = append(rows, []string{name, p.State, speed, fmt.Sprintf("%.1f %%", 100*p.ErrorRate), again})
	}
	writeTable(out, rows)
}

// whereServed is the address of a proxy that serves the configuration, else the
// one where it would.
func (c *call) whereServed(ctx context.Context, doc *config.Document, file string) (base string, running bool) {
	folder, err := stateFolder(doc.Config.State.Path, c.getenv)
	if err == nil {
		if p, ok := findRunning(ctx, folder, configID(file)); ok {
			return p.URL, true
		}
	}
	addr := doc.Config.Listen
	if port := c.getenv("PORT"); port != "" {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	base = "http://" + addr
	if doc.Config.TLS.On() {
		base = "https://" + addr
	}
	return base, serves(ctx, base) == nil
}
