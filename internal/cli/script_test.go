package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"anyproxy/internal/simulator"
)

// scriptPrograms are what a script of testdata/scripts can exec: this very
// program, in a process of its own.
var scriptPrograms = map[string]func(){
	"anyproxy": func() {
		os.Exit(Run(context.Background(), os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
	},
}

// TestScripts runs the scripts of testdata/scripts, each in a folder and a home of
// its own. Beside the usual commands they have
//
//	upstream KIND NAME [MODEL[=N]...]  starts a simulator, KIND as of a provider, with these models
//	                                   and contexts of N tokens; $NAME is its URL
//	asked NAME N        holds that the simulator was asked N times since its start
//	expand FILE...      replaces $NAME in files by the environment's values
//	await PATTERN       waits for a file that the glob pattern matches
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/scripts",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_STATE_HOME", env.WorkDir+"/state")
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			env.Setenv("AWS_CONFIG_FILE", os.DevNull)
			env.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
			env.Values[upstreamsKey{}] = map[string]*simulator.Upstream{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"upstream": scriptUpstream, "asked": scriptAsked, "expand": scriptExpand, "await": scriptAwait,
		},
	})
}

type upstreamsKey struct{}

func scriptUpstream(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: upstream anthropic|bedrock|openai NAME [MODEL[=N]...]")
	}
	o := simulator.Options{Contexts: map[string]int{}}
	if args[0] == "openai" {
		o.OpenAI = &simulator.Dialect{Context: "max_model_len"}
	}
	for _, arg := range args[2:] {
		model, context, _ := strings.Cut(arg, "=")
		o.Models = append(o.Models, model)
		if context != "" {
			n, err := strconv.Atoi(context)
			ts.Check(err)
			o.Contexts[model] = n
		}
	}
	u, err := simulator.Start(context.Background(), o)
	ts.Check(err)
	ts.Defer(u.Close)
	ts.Value(upstreamsKey{}).(map[string]*simulator.Upstream)[args[1]] = u
	ts.Setenv(args[1], u.URL())
}

func scriptAsked(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: asked NAME N")
	}
	u := ts.Value(upstreamsKey{}).(map[string]*simulator.Upstream)[args[0]]
	if u == nil {
		ts.Fatalf("there is no upstream %s", args[0])
	}
	if got := fmt.Sprint(len(u.Requests())); got != args[1] {
		ts.Fatalf("%s was asked %s times, not %s", args[0], got, args[1])
	}
}

func scriptExpand(ts *testscript.TestScript, _ bool, files []string) {
	for _, name := range files {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

func scriptAwait(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: await PATTERN")
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		found, err := filepath.Glob(ts.MkAbs(args[0]))
		ts.Check(err)
		if len(found) > 0 {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("waited in vain for %s", args[0])
		}
	}
}
