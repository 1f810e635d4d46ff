//go:build e2e && unix

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	clientKey     = "e2e-client-key"
	clientTimeout = 2 * time.Minute
)

// client is a real client's surroundings: its own home and working folder.
type client struct {
	t       *testing.T
	base    string // where it believes the API to be
	workdir string
	bearer  bool     // show the key as Authorization: Bearer
	retries int      // how often it asks again by itself
	through []string // the command that starts it; what it then knows of the API comes from there
}

func newClient(t *testing.T, base string) *client {
	return &client{t: t, base: base, workdir: t.TempDir()}
}

// environ is all that the client knows of the machine.
func (c *client) environ(trap string) []string {
	key := "ANTHROPIC_API_KEY"
	if c.bearer {
		key = "ANTHROPIC_AUTH_TOKEN"
	}
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + c.t.TempDir(), "TMPDIR=" + c.t.TempDir(), "LANG=C.UTF-8",
		"HTTP_PROXY=" + trap, "HTTPS_PROXY=" + trap, "NO_PROXY=127.0.0.1",
		"CLAUDE_CODE_MAX_RETRIES=" + strconv.Itoa(c.retries), "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1",
		"DISABLE_AUTOUPDATER=1", "DISABLE_TELEMETRY=1", "DISABLE_ERROR_REPORTING=1",
		"IS_SANDBOX=1", // root may skip permissions
	}
	if c.through == nil {
		env = append(env, "ANTHROPIC_BASE_URL="+c.base, key+"="+clientKey)
	}
	return env
}

// output runs a client and returns what it prints. Whatever it started ends with it.
func (c *client) output(argv ...string) []byte {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), clientTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = c.workdir, c.environ(setTrap(c.t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	killGroup := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = killGroup
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.Process != nil {
		_ = killGroup() // those that it left behind, if any
	}
	if err != nil {
		c.t.Logf("client: %v\n%s", err, stderr.Bytes())
	}
	return stdout.Bytes()
}

// setTrap stands where a client's proxy setting points. Only a connection that
// would leave the loopback comes here.
func setTrap(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var caught sync.WaitGroup
	caught.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			first, _ := bufio.NewReader(conn).ReadString('\n')
			t.Errorf("the client wanted to leave the loopback: %q", first)
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		caught.Wait()
	})
	return "http://" + listener.Addr().String()
}

// said is the end of a Claude Code run.
type said struct {
	Type    string `json:"type"`
	Subtype string `json:"subtype"`
	IsError bool   `json:"is_error"`
	Result  string `json:"result"`
	Turns   int    `json:"num_turns"`
}

// claude runs Claude Code headless with one prompt.
func (c *client) claude(prompt string) said {
	c.t.Helper()
	out := c.output(append(c.through, clients.claude, "-p", prompt, "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions")...)
	for line := range strings.Lines(string(out)) {
		var s said
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			c.t.Fatalf("Claude Code printed %q: %v", line, err)
		}
		if s.Type == "result" {
			return s
		}
	}
	c.t.Fatalf("Claude Code printed no result:\n%s", out)
	return said{}
}

// final is what finalmessage.mjs prints.
type final struct {
	Message *struct {
		Content []struct {
			Type      string          `json:"type"`
			Text      string          `json:"text"`
			Name      string          `json:"name"`
			Input     json.RawMessage `json:"input"`
			Thinking  string          `json:"thinking"`
			Signature string          `json:"signature"`
		} `json:"content"`
		StopReason string `json:"stop_reason"`
		Usage      struct {
			Input  int `json:"input_tokens"`
			Output int `json:"output_tokens"`
		} `json:"usage"`
	} `json:"message"`
	Texts []string `json:"texts"`
	Error *struct {
		Name    string `json:"name"`
		Status  int    `json:"status"`
		Type    string `json:"type"`
		Message string `json:"message"`
	} `json:"error"`
}

// finalMessage asks through the TypeScript SDK.
func (c *client) finalMessage(prompt string) final {
	c.t.Helper()
	script, err := os.Getwd()
	if err != nil {
		c.t.Fatal(err)
	}
	out := c.output(clients.node, script+"/finalmessage.mjs", clients.sdk, prompt)
	var f final
	if err := json.Unmarshal(out, &f); err != nil {
		c.t.Fatalf("the SDK's program printed %q: %v", out, err)
	}
	return f
}
