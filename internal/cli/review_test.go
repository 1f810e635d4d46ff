package cli

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anyproxy/config"
	"anyproxy/metrics"
	"anyproxy/providers/credential"
	"anyproxy/proxy/routing"
)

// TestReviews holds what is shown of a change: what it does, and to whom. The
// requests that were seen stand at the top of each file's name's case as
// "# seen: MODEL [KEY]".
func TestReviews(t *testing.T) {
	files, err := filepath.Glob("testdata/reviews/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			from, rest, ok := strings.Cut(string(data), "-- to --\n")
			to, want, ok2 := strings.Cut(rest, "-- want --\n")
			if !ok || !ok2 {
				t.Fatal("a part is missing")
			}
			got := reviewed(t, from, to)
			if *update {
				if err := os.WriteFile(path, []byte(from+"-- to --\n"+to+"-- want --\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

func reviewed(t *testing.T, from, to string) string {
	t.Helper()
	state := routing.NewState()
	side := func(yaml string) (*config.Config, side) {
		c, _, err := config.Parse("config.yaml", []byte(yaml), func(string) string { return "value-of-the-environment" })
		if err != nil {
			t.Fatal(err)
		}
		value := func(string) string { return "value-of-the-environment" }
		b, err := build(context.Background(), c, nil, state, credential.NewVault(credential.Options{Getenv: value}), slog.New(slog.DiscardHandler), value, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		return c, side{c, b.runtime.Shares}
	}
	running, before := side(from)
	proposed, after := side(to)
	var now metrics.Snapshot
	for line := range strings.Lines(from) {
		if seen, is := strings.CutPrefix(line, "# seen: "); is {
			model, key, _ := strings.Cut(strings.TrimSpace(seen), " ")
			now.Requests = append(now.Requests, metrics.RequestRecord{Model: model, Key: key})
		}
	}
	r := &metrics.Review{File: "config.yaml", Changes: changesOf(config.Diff(running, proposed)), Effect: effect(t.Context(), before, after, now)}
	r.Effect.Restart = new(program).restart(r.Changes)
	return reviewText(r)
}

func TestFlagsDecideWhatNeedsARestart(t *testing.T) {
	changes := []metrics.Change{{Path: "listen"}, {Path: "log.file"}, {Path: "log.keep"}, {Path: "drainTimeout"}}
	for _, c := range []struct {
		flags flags
		want  []string
	}{
		{flags{}, []string{"listen", "log.file", "log.keep"}},
		{flags{listen: "127.0.0.1:1"}, []string{"log.file", "log.keep"}},
		{flags{logFile: "x.jsonl"}, []string{"listen", "log.keep"}},
	} {
		if got := (&program{flags: c.flags}).restart(changes); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.flags, got, c.want)
		}
	}
}

// TestTheEffectOfCountlessAliasesIsNotWaitedFor has more than can be asked for.
func TestTheEffectOfCountlessAliasesIsNotWaitedFor(t *testing.T) {
	c := &config.Config{}
	for i := range 3000 {
		c.Models = append(c.Models, config.Model{Name: strconv.Itoa(i)})
	}
	synctest.Test(t, func(t *testing.T) {
		slow := side{c, func(string) []routing.Share {
			time.Sleep(3 * time.Millisecond)
			return nil
		}}
		e := effect(t.Context(), slow, slow, metrics.Snapshot{})
		if want := "what it does to 2666 of 3000 aliases is not known: there are too many"; !slices.Equal(e.Warnings, []string{want}) {
			t.Errorf("warnings %q, want %q", e.Warnings, want)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		began := time.Now()
		effect(ended, slow, slow, metrics.Snapshot{})
		if took := time.Since(began); took > 0 {
			t.Errorf("goes on for %s when all ends", took)
		}
	})
}
