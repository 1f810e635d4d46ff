package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"anyproxy/metrics"
)

// TestOnlyAnAnswerThatCountsDecides types lines at times after the question,
// the later ones after the one before.
func TestOnlyAnAnswerThatCountsDecides(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		after time.Duration
		want  string
	}{
		"yes":                     {[]string{"y"}, readingTime, "true"},
		"no":                      {[]string{" NO "}, readingTime, "false"},
		"typed before it is read": {[]string{"y"}, readingTime - time.Millisecond, ""},
		"typed again":             {[]string{"y", "n"}, readingTime - time.Millisecond, "false"}, // it has stood long enough by then
		"something else":          {[]string{"", "maybe", "yy", "d", "n"}, readingTime, "false"},
		"twice":                   {[]string{"y", "n"}, readingTime, "true"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				keys, keyboard := io.Pipe()
				var typist sync.WaitGroup
				typist.Go(func() {
					for _, line := range c.lines {
						time.Sleep(c.after)
						fmt.Fprintln(keyboard, line) // fails when nobody reads any more
					}
					keyboard.Close()
				})
				var screen bytes.Buffer
				got := ""
				p := &prompt{out: &screen}
				err := p.converse(context.Background(), keys, &metrics.Review{Hash: "1"}, func(_ context.Context, hash string, apply bool) error {
					got += fmt.Sprint(apply)
					return nil
				})
				keys.Close()
				typist.Wait()
				if got != c.want || (err == nil) != (c.want != "") {
					t.Errorf("decided %q, want %q; error %v; screen:\n%s", got, c.want, err, screen.String())
				}
			})
		})
	}
}

func TestAnAnswerThatComesTooLateIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, keyboard := io.Pipe()
		go func() {
			time.Sleep(readingTime)
			fmt.Fprintln(keyboard, "y")
		}()
		var screen bytes.Buffer
		p := &prompt{out: &screen}
		err := p.converse(context.Background(), keys, &metrics.Review{}, func(context.Context, string, bool) error { return errSuperseded })
		if err != nil || !strings.HasSuffix(screen.String(), errSuperseded.Error()+"\n") {
			t.Errorf("%v; screen:\n%s", err, screen.String())
		}
	})
}
