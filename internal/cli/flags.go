package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"os"
	"strconv"

	"anyproxy/config"
)

// flags are the command line with the environment behind it. Empty strings mean
// that neither said anything.
type flags struct {
	config     string
	listen     string
	listenFrom string // where listen was given, for error messages
	logFile    string
	watch      bool
	yes        bool
	tui        bool
	plain      bool
	readOnly   bool
	ascii      bool
	noMotion   bool
	demo       bool
	version    bool
	// tpsThreshold takes the place of the configuration's where it is given.
	tpsThreshold float64
	tpsGiven     bool
}

// override puts what the command line says in the place of what doc does, which
// may be nil.
func (f *flags) override(doc *config.Document) *config.Document {
	if doc != nil && doc.Config != nil && f.tpsGiven {
		doc.Config.Routing.TPSThreshold = f.tpsThreshold
	}
	return doc
}

// defaultConfig is read when it exists and nothing else is named.
const defaultConfig = "config.yaml"

// parseFlags reads the command line of the proxy; flag.ErrHelp asks for help.
func parseFlags(args []string, getenv func(string) string) (flags, error) {
	var f flags
	set := f.set()
	err := set.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return f, err
	}
	if err != nil {
		return f, hinted(err, "anyproxy -help lists the flags")
	}
	if set.NArg() > 0 {
		return f, hinted(fmt.Errorf("unexpected argument %q", set.Arg(0)), "anyproxy -help lists the flags and commands")
	}
	given := map[string]bool{}
	set.Visit(func(fl *flag.Flag) { given[fl.Name] = true })
	return f, f.fromEnvironment(given, getenv)
}

// set declares the flags.
func (f *flags) set() *flag.FlagSet {
	set := flag.NewFlagSet("anyproxy", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&f.config, "config", "", "configuration `FILE` (env CONFIG_PATH; default config.yaml if it exists)")
	set.StringVar(&f.listen, "listen", "", "`ADDR` to serve on, host:port (env PORT; default 127.0.0.1:8080)")
	set.StringVar(&f.logFile, "log-file", "", "write the request log, JSON Lines, to `FILE`")
	set.Float64Var(&f.tpsThreshold, "tps-threshold", 0, "avoid providers under `N` output tokens per second; 0 = off (default routing.tpsThreshold)")
	set.BoolVar(&f.watch, "watch", false, "watch the configuration file; a change is shown and applied when it is approved (default with -tui)")
	set.BoolVar(&f.yes, "yes", false, "approve changes of the watched file without asking")
	set.Var((*screenFlag)(f), "tui", "show the dashboard; -tui=plain tells what happens as lines of text")
	set.BoolVar(&f.readOnly, "tui-readonly", false, "show the dashboard without what changes anything")
	set.BoolVar(&f.ascii, "ascii", false, "draw the dashboard with ASCII characters only")
	set.BoolVar(&f.noMotion, "no-motion", false, "no spinners in the dashboard")
	set.BoolVar(&f.demo, "demo", false, "serve simulated providers to simulated clients; needs no key")
	set.BoolVar(&f.version, "version", false, "print the version and exit")

	return set
}

// screenFlag is -tui: true, false or plain.
type screenFlag flags

func (s *screenFlag) String() string   { return "" }
func (s *screenFlag) IsBoolFlag() bool { return true }

func (s *screenFlag) Set(v string) error {
	switch v {
	case "plain":
		s.tui, s.plain = false, true
		return nil
	}
	on, err := strconv.ParseBool(v)
	if err != nil {
		return errors.New("use -tui, -tui=plain or -tui=false")
	}
	s.tui, s.plain = on, false
	return nil
}

// fromEnvironment fills in what no flag has set.
func (f *flags) fromEnvironment(given map[string]bool, getenv func(string) string) error {
	if f.readOnly && !f.plain {
		f.tui = true
	}
	f.watch = f.watch || f.tui && !given["watch"]
	f.listenFrom = "-listen"
	if f.tpsGiven = given["tps-threshold"]; f.tpsGiven && !(f.tpsThreshold >= 0 && f.tpsThreshold <= math.MaxFloat32) {
		return hinted(fmt.Errorf("-tps-threshold is %v, not a number of tokens per second", f.tpsThreshold), "use 0 to switch it off, or for example 40")
	}
	if port := getenv("PORT"); !given["listen"] && port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
			return hinted(fmt.Errorf("PORT is %q, not a port number", port), "use PORT=8081, or -listen HOST:PORT")
		}
		f.listen, f.listenFrom = net.JoinHostPort("127.0.0.1", port), "PORT"
	}
	if given["listen"] {
		if err := checkAddress(f.listen); err != nil {
			return err
		}
	}
	if given["config"] && f.config == "" {
		return hinted(errors.New("-config is empty"), "name a file, or leave the flag out")
	}
	switch {
	case given["config"]:
	case f.demo:
		f.config = "" // a newcomer's first look must not depend on what lies around
	default:
		f.config = usualConfig(getenv)
	}
	return nil
}

// usualConfig is the file that is read when no flag names one, "" for none.
func usualConfig(getenv func(string) string) string {
	if path := getenv("CONFIG_PATH"); path != "" {
		return path
	}
	if _, err := os.Stat(defaultConfig); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return defaultConfig
}

func checkAddress(addr string) error {
	const hint = "use HOST:PORT, for example 127.0.0.1:8080"
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return hinted(fmt.Errorf("-listen %q is not host:port", addr), hint)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return hinted(fmt.Errorf("-listen %q: the port must be a number from 0 to 65535", addr), hint)
	}
	return nil
}
