package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"

	"anyproxy/internal/cli"
	_ "anyproxy/internal/noprobe" // as in anyproxy's own main
)

// profiled is anyproxy with a profiler around it. args are the files for the
// CPU and the heap profile, either may be "", and anyproxy's own arguments.
// Each line of the standard input writes the heap profile anew.
func profiled(args []string) int {
	cpu, heap := args[0], args[1]
	if heap != "" {
		runtime.MemProfileRate = 16 << 10
		go func() {
			for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
				told(writeHeap(heap))
			}
		}()
	}
	if cpu != "" {
		f, err := os.Create(cpu)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if told(err) {
			return 1
		}
		defer f.Close()
		defer pprof.StopCPUProfile()
	}
	return cli.Run(context.Background(), args[2:], os.Getenv, strings.NewReader(""), os.Stdout, io.Discard)
}

func told(err error) bool {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return err != nil
}

func writeHeap(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	runtime.GC() // for figures of what is in use now
	return pprof.Lookup("heap").WriteTo(f, 0)
}
