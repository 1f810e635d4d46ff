package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"time"

	"anyproxy/metrics/ledger"
)

func usageCommand() command {
	return command{
		name: "usage", about: "what was asked for and what it cost",
		usage: usageUsage,
		prepare: func(c *call, set *flag.FlagSet) func(context.Context) int {
			f := usageFlags{config: addConfigFlag(c, set)}
			set.IntVar(&f.days, "days", usualDays, "show the last `N` days, today among them")
			set.StringVar(&f.by, "by", string(ledger.ByDay), "a line for each `COLUMN`: day, provider, model, key or session")
			set.BoolVar(&f.json, "json", false, "JSON instead of a table; docs/usage.md describes it")
			return func(context.Context) int { return f.run(c) }
		},
	}
}

const usageUsage = `anyproxy usage shows what was asked for and what it cost: requests, tokens,
dollars.

  anyproxy usage                        the last seven days, day by day
  anyproxy usage -days 30 -by model     a month, by model
  anyproxy usage -days 1 -by session    today's sessions
  anyproxy usage -json | jq .total      for programs

It reads the ledger in the folder of the state, while a proxy runs or not.

Usage: anyproxy usage [-days N] [-by day|provider|model|key|session] [-json]
                      [-config FILE]

`

// usageColumns are what -by takes.
var usageColumns = []string{string(ledger.ByDay), string(ledger.ByProvider), string(ledger.ByModel), string(ledger.ByKey), string(ledger.BySession)}

const (
	usualDays   = 7
	mostDays    = 400 // as long as sums are kept
	usageFormat = 1   // of -json
)

// usageFlags are the command line of usage.
type usageFlags struct {
	days   int
	by     string
	json   bool
	config *configFlag
}

// run is the command: 0 when it has told what there is, also that there is
// nothing, 1 when it could not read it, 2 when the call was wrong.
func (f *usageFlags) run(c *call) int {
	m := usageCommand()
	switch {
	case f.days < 1 || f.days > mostDays:
		return c.misused(&m, fmt.Errorf("-days is %d, not a number from 1 to %d", f.days, mostDays))
	case !slices.Contains(usageColumns, f.by):
		return c.misused(&m, fmt.Errorf("-by is %q, not day, provider, model, key or session", f.by))
	}
	folder, err := usageFolder(f.config.file(), c.getenv)
	if err == nil {
		err = printUsage(f, folder, c.now(), c.getenv, c.out, c.errw)
	}
	if err != nil {
		return c.failed(err)
	}
	return exitDone
}

// usageFolder is where a proxy of that configuration keeps its ledger.
func usageFolder(config string, getenv func(string) string) (ledger.Folder, error) {
	path := ""
	if config != "" {
		doc, err := soundConfig(config, getenv)
		if err != nil {
			return "", err
		}
		path = doc.Config.State.Path
	}
	folder, err := stateFolder(path, getenv)
	if err == nil && folder == "" {
		err = errors.New("nothing is kept: state.path is none")
	}
	if err != nil {
		return "", hinted(err, "set state.path to a folder, and start the proxy again")
	}
	return ledgerIn(folder), nil
}

func printUsage(f *usageFlags, folder ledger.Folder, now time.Time, getenv func(string) string, out io.Writer, errw *stderr) error {
	progress := newCounted("reading the ledger", errw.raw)
	r, err := folder.ReadReport(ledger.By(f.by), f.days, now, progress.told)
	progress.done()
	if err != nil {
		return hinted(err, "who runs the proxy may read its ledger; -config names another one's file")
	}
	if f.json {
		return writeUsage(out, r)
	}
	if r.Total == (ledger.Totals{}) {
		_, err = fmt.Fprintf(out, "Nothing was asked for %s. The ledger is in %s.\n", period(r, f.days), folder)
		return err
	}
	t := usageTable{sheet: sheetFor(out, getenv), report: r}
	_, err = io.WriteString(out, t.String())
	return err
}

// usageJSON is what -json prints. Fields may be added.
type usageJSON struct {
	V       int            `json:"v"`
	From    string         `json:"from"` // the first day, 2026-11-20
	To      string         `json:"to"`   // the last one
	By      ledger.By      `json:"by"`
	Rows    []ledger.Usage `json:"rows"`
	Total   ledger.Totals  `json:"total"`
	Skipped int64          `json:"skipped_lines"`
	// Gone are days of which the sessions are not known any more.
	Gone []string `json:"days_without_sessions,omitempty"`
}

func writeUsage(out io.Writer, r *ledger.Report) error {
	return printJSON(out, usageJSON{usageFormat, r.From, r.To, r.By, append([]ledger.Usage{}, r.Rows...), r.Total, r.Skipped, r.Gone})
}

// period is the report's days in words.
func period(r *ledger.Report, days int) string {
	if days == 1 {
		return "today, " + r.To
	}
	return fmt.Sprintf("in the last %d days, %s to %s", days, r.From, r.To)
}
