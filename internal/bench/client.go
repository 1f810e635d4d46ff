package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// requestHeader is of the size that Claude Code's own has.
const requestHeader = "POST /v1/messages?case=%s HTTP/1.1\r\nHost: %s\r\n" +
	"Accept: application/json\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: *\r\n" +
	"Anthropic-Beta: claude-code-20250219,interleaved-thinking-2025-05-14,fine-grained-tool-streaming-2025-05-14\r\n" +
	"Anthropic-Dangerous-Direct-Browser-Access: true\r\nAnthropic-Version: 2023-06-01\r\nContent-Type: application/json\r\n" +
	"Sec-Fetch-Mode: cors\r\nUser-Agent: claude-cli/2.0.1 (external, cli)\r\nX-Api-Key: bench\r\nX-App: cli\r\n" +
	"X-Stainless-Arch: x64\r\nX-Stainless-Helper-Method: stream\r\nX-Stainless-Lang: js\r\nX-Stainless-Os: Linux\r\n" +
	"X-Stainless-Package-Version: 0.60.0\r\nX-Stainless-Retry-Count: 0\r\nX-Stainless-Runtime: node\r\n" +
	"X-Stainless-Runtime-Version: v24.3.0\r\nX-Stainless-Timeout: 600\r\nContent-Length: %d\r\n\r\n"

// patience is how long one exchange may take.
const patience = 60 * time.Second

// requests counts all requests: each one has its own number.
var requests atomic.Uint64

// A client makes one plan's exchanges with one server, one after the other on
// one connection.
type client struct {
	server   string // host:port
	conn     net.Conn
	r        *bufio.Reader
	line     []byte
	request  []byte // head and body
	answer   []byte
	inReq    []int
	inAnswer []int
	first    int // where the first content ends
}

func newClient(server string, p *plan) *client {
	c := &client{server: server, answer: bytes.Clone(p.answer), first: p.first}
	c.request = fmt.Appendf(nil, requestHeader, p.name, server, len(p.request))
	c.request = append(c.request, p.request...)
	c.inReq, c.inAnswer = marks(c.request), marks(c.answer)
	return c
}

// timing is how long a request's answer took: to its first content, and whole.
type timing struct{ first, whole time.Duration }

// dial connects, unless it is.
func (c *client) dial() error {
	if c.conn != nil {
		return nil
	}
	conn, err := net.Dial("tcp", c.server)
	if err != nil {
		return err
	}
	c.conn, c.r = conn, bufio.NewReaderSize(conn, 4<<10)
	return nil
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// do makes one exchange. Its error says that the answer was lost or wrong;
// the connection is not used again then.
func (c *client) do() (t timing, err error) {
	if err := c.dial(); err != nil {
		return t, err
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	n := requests.Add(1)
	number(c.request, c.inReq, n)
	number(c.answer, c.inAnswer, n)
	began := time.Now()
	if err := c.conn.SetDeadline(began.Add(patience)); err != nil {
		return t, err
	}
	if _, err := c.conn.Write(c.request); err != nil {
		return t, err
	}
	h, err := readHead(c.r, c.line)
	if err != nil {
		return t, unexpected(err)
	}
	c.line = h.line
	if !strings.HasPrefix(string(h.line), "HTTP/1.1 200") {
		return t, errors.New(string(h.line) + ": " + c.rest(h))
	}
	m := matcher{want: c.answer}
	seen := func() {
		if t.first == 0 && m.at >= c.first {
			t.first = time.Since(began)
		}
	}
	if err := m.body(c.r, h, seen); err != nil {
		return t, err
	}
	t.whole = time.Since(began)
	return t, nil
}

// rest is the beginning of an answer that should not be.
func (c *client) rest(h head) string {
	b := make([]byte, min(max(h.length, 0), 300))
	n, _ := c.r.Read(b) // as much as there is
	return string(b[:n])
}
