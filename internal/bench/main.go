// Command bench measures what anyproxy costs beside a bare
// net/http/httputil.ReverseProxy:
//
//	go run ./internal/bench [-rounds N] [-case NAME,NAME] [-quick] [-cpuprofile DIR] [-memprofile DIR] [-base BINARY]
//	go run ./internal/bench -soak 10m [-rate 100]
//
// The second form keeps a steady load on anyproxy alone and prints how its
// memory and descriptors change.
//
// Both run as processes of their own before the same upstream, a third process
// that sends prepared bytes, all on loopback. They take turns in short rounds, so that
// whatever else the machine does meets both, and each figure is a median of
// the rounds' own ratios. CPU time is the proxy process's alone. Every answer
// is compared byte by byte with what the upstream was to send for this very
// request, and every request with what the client sent: a fast proxy that
// loses or mixes up answers fails, with exit code 1; a slow one does not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role, os.Args[1:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the command line.
type options struct {
	rounds     int
	quick      bool
	cases      []string // none = all
	cpuprofile string
	memprofile string
	base       string // an anyproxy in the bare one's place
	soak       time.Duration
	rate       int
}

func parseOptions(args []string, errw io.Writer) (options, error) {
	var o options
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(errw)
	set.IntVar(&o.rounds, "rounds", 5, "`N` rounds; the memory cases make at most 3")
	set.BoolVar(&o.quick, "quick", false, "one short round with few requests: a smoke test, its times say nothing")
	names := set.String("case", "", "only the cases `NAME,NAME`: "+strings.Join(caseNames(), ", "))
	set.StringVar(&o.cpuprofile, "cpuprofile", "", "write a CPU profile of each anyproxy process to `DIR`; best with one -case")
	set.StringVar(&o.memprofile, "memprofile", "", "write a heap profile of each anyproxy process of the memory cases to `DIR`, taken with all streams open")
	set.StringVar(&o.base, "base", "", "compare with the anyproxy of this `BINARY`, say of another commit, instead of the bare ReverseProxy; not with the cases that convert")
	set.DurationVar(&o.soak, "soak", 0, "load anyproxy for this `LONG`, at most 11m, and print the slope of its memory")
	set.IntVar(&o.rate, "rate", 100, "requests per second of a soak")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if *names != "" {
		o.cases = strings.Split(*names, ",")
	}
	if o.quick {
		o.rounds = 1
	}
	if o.soak < 0 || o.soak > 11*time.Minute || o.rate < 1 || o.rate > 1000 {
		return o, errors.New("bench: -soak must be at most 11m and -rate from 1 to 1000")
	}
	if o.rounds < 1 || set.NArg() > 0 {
		return o, errors.New("bench: -rounds must be at least 1, and there are no arguments")
	}
	for _, name := range o.cases {
		if !slices.Contains(caseNames(), name) {
			return o, fmt.Errorf("bench: no case is called %q; there are %s", name, strings.Join(caseNames(), ", "))
		}
	}
	return o, nil
}

// run is the program: 0 done, 1 failed or answers lost, 2 called wrongly.
func run(ctx context.Context, args []string, out, errw io.Writer) int {
	o, err := parseOptions(args, errw)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(errw, err)
		return 2
	}
	if err := checkSystem(); err != nil {
		fmt.Fprintln(errw, "bench:", err)
		return 1
	}
	if o.soak > 0 {
		err = soak(ctx, o, out, errw)
	} else {
		err = table(ctx, o, out, errw)
	}
	if err != nil {
		fmt.Fprintln(errw, "bench:", err)
		return 1
	}
	return 0
}
