//go:build unix

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"anyproxy/internal/grammar"
	"anyproxy/internal/simulator"
)

// AWS settings that nobody can read hold up neither the start nor the end, and a
// request only until it goes elsewhere. They are there when they can be read.
func TestAWSSettingsThatCannotBeRead(t *testing.T) {
	exportAWSKey(t)
	pipe := filepath.Join(t.TempDir(), "config")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", pipe)
	a := bedrockUpstream(t, awsAccount(simulator.AWSKey{Secret: awsSecret, Token: awsToken}), simulator.Always(good))
	b := upstream(t, simulator.Always(good))
	p := start(t, nil, "-config", tiered(t, bedrockProvider("a", a), anthropicProvider("b", b)))
	eventually(t, "the warning", func() bool { return strings.Contains(p.errw.String(), "the AWS settings cannot be read in time") })
	res, body := p.post(t, ask(true))
	if m, err := grammar.Check(body); err != nil || m.End != grammar.Complete || res.Header.Get("X-Anyproxy-Provider") != "b" {
		t.Errorf("%d %v %s", res.StatusCode, err, body)
	}
	stop := make(chan struct{})
	writing := make(chan struct{})
	go func() { // an empty file, for as many as read it
		defer close(writing)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			if w, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil { // somebody reads
				_ = w.Close()
			}
		}
	}()
	eventually(t, "the settings to be read", func() bool {
		res, _ := p.post(t, ask(true), "X-Anyproxy-Provider", "a")
		return res.StatusCode == 200
	})
	close(stop)
	<-writing
	if code := p.end(t); code != 0 {
		t.Errorf("it ends with %d", code)
	}
}
