package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// Children are this same program in another role.
const (
	roleEnv      = "ANYPROXY_BENCH_ROLE"
	roleUpstream = "upstream" // any argument makes its plans quick ones
	roleBare     = "bare"     // takes the upstream's URL
	roleProfiled = "profiled" // takes the two profiles' files and anyproxy's own arguments
)

// A child is a process that serves on loopback.
type child struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	addr  string // host:port
	done  chan error
}

// startTime is how long a child may take to serve, stopTime to end.
const (
	startTime = 20 * time.Second
	stopTime  = 10 * time.Second
)

var address = regexp.MustCompile(`http://(127\.0\.0\.1:\d+)`)

// start runs a command and waits until it says where it serves.
func start(ctx context.Context, name string, cmd *exec.Cmd) (*child, error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = in
	tie(cmd)
	err = cmd.Start()
	in.Close()
	if err != nil {
		out.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c := &child{name: name, cmd: cmd, stdin: stdin, done: make(chan error, 1)}
	go func() { c.done <- cmd.Wait() }()
	said := make(chan string, 1)
	go func() {
		defer out.Close()
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if m := address.FindStringSubmatch(lines.Text()); m != nil {
				select {
				case said <- m[1]:
				default:
				}
			}
		}
	}()
	select {
	case c.addr = <-said:
		return c, nil
	case err := <-c.done:
		c.done <- err
		return nil, fmt.Errorf("%s has ended before it served: %w", name, err)
	case <-time.After(startTime):
		err = fmt.Errorf("%s does not say where it serves", name)
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, c.stop())
}

// role makes a command of this program in another role.
func role(name string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), roleEnv+"="+name)
	cmd.Stderr = os.Stderr
	return cmd, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop ends the child, by force when it does not end by itself.
func (c *child) stop() error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	c.stdin.Close()
	select {
	case err := <-c.done:
		var exit *exec.ExitError
		if errors.As(err, &exit) && !exit.Exited() {
			return nil // by our signal
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		return nil
	case <-time.After(stopTime):
		_ = c.cmd.Process.Kill()
		<-c.done
		return fmt.Errorf("%s did not end and was killed", c.name)
	}
}

// build compiles anyproxy as it is released.
func build(ctx context.Context, dir string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	file := filepath.Join(dir, "anyproxy")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, ".")
	cmd.Dir = strings.TrimSpace(string(root))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build anyproxy: %w\n%s", err, out)
	}
	return file, nil
}
