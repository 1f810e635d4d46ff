package credential

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A command that does not end by itself is ended, and all that it has started.
// Its processes write their ids into the file that they are given.
func TestCommandLeavesNothingBehind(t *testing.T) {
	for name, tt := range map[string]struct {
		script string
		value  string
		err    string
	}{
		"prints without end":           {`echo $$ >> "$1"; trap '' PIPE; while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 2> /dev/null; done`, "", "more than 64 KiB"},
		"others print without end":     {`sh -c 'echo $$ >> "$1"; trap "" PIPE; while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaa 2> /dev/null; done' sh "$1" & wait`, "", "more than 64 KiB"},
		"a child keeps the pipes":      {`sleep 1000 & echo $! >> "$1"; echo the-value`, "the-value", ""},
		"and its parent has failed":    {`sleep 1000 & echo $! >> "$1"; echo sealed >&2; exit 3`, "", "exit status 3: sealed"},
		"it is a child of the child's": {`sh -c 'sleep 1000 & echo $! >> "$1"' sh "$1"; echo the-value`, "the-value", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ids := filepath.Join(t.TempDir(), "ids")
			src, err := testVault(t, nil).Resolve(sh(t, tt.script, ids), "p")
			if err != nil {
				t.Fatal(err)
			}
			got, err := src.Secret(t.Context())
			switch {
			case tt.err == "" && (err != nil || got.Reveal() != tt.value):
				t.Errorf("%q, %v; want %q", got.Reveal(), err, tt.value)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("%v, want an error with %q", err, tt.err)
			}
			list, err := os.ReadFile(ids)
			if err != nil || len(list) == 0 {
				t.Fatalf("no process has told its id: %v", err)
			}
			for _, id := range strings.Fields(string(list)) {
				for end := time.Now().Add(5 * time.Second); runs(t, id); {
					if time.Now().After(end) {
						t.Fatalf("process %s still runs", id)
					}
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
}

// A command may start what is meant to stay, as password managers do: that
// keeps none of its pipes.
func TestCommandMayStartWhatStays(t *testing.T) {
	ids := filepath.Join(t.TempDir(), "ids")
	src, err := testVault(t, nil).Resolve(sh(t, `sleep 1000 > /dev/null 2>&1 & echo $! > "$1"; echo the-value`, ids), "p")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := src.Secret(t.Context()); err != nil || got.Reveal() != "the-value" {
		t.Errorf("%q, %v", got.Reveal(), err)
	}
	list, err := os.ReadFile(ids)
	if err != nil {
		t.Fatal(err)
	}
	var id int
	if _, err := fmt.Sscan(string(list), &id); err != nil {
		t.Fatal(err)
	}
	stays, err := os.FindProcess(id)
	if err != nil {
		t.Fatal(err)
	}
	if !runs(t, fmt.Sprint(id)) {
		t.Error("it was ended too")
	}
	if err := stays.Kill(); err != nil {
		t.Error(err)
	}
}

// runs reports whether there is a process of that id which has not ended.
func runs(t *testing.T, id string) bool {
	stat, err := os.ReadFile("/proc/" + id + "/stat")
	if err != nil {
		return false
	}
	_, after, ok := strings.Cut(string(stat), ") ")
	if !ok {
		t.Fatalf("/proc/%s/stat: %q", id, stat)
	}
	return after[0] != 'Z' // proc_pid_stat(5): ended, and nobody has asked for its exit code
}
