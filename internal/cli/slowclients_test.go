package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"anyproxy/providers"
)

// slowClient sends pieces with pauses between them, then leaves or waits.
type slowClient struct {
	head   string
	piece  string
	pause  time.Duration
	pieces int
	leaves bool
	// status of the answer, 0 for none, and when the connection has ended.
	status      int
	from, until time.Duration
	prompt      bool  // it is answered at once, whatever comes of the body
	asked       int64 // attempts of an upstream
}

// TestSlowClients holds the limits on clients that take their time, on a virtual
// clock and pipes without a buffer: each is let go in time, none costs an upstream
// anything, and the connection of one that is answered is kept for as long as
// the idle time.
func TestSlowClients(t *testing.T) {
	const line = "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n"
	length := func(n int) string { return line + fmt.Sprintf("Content-Length: %d\r\n\r\n", n) }
	whole := ask(true)
	for name, c := range map[string]slowClient{
		"says nothing":                    {from: readHeaderTimeout, until: readHeaderTimeout + time.Second},
		"half a head":                     {head: "POST /v1/mess", status: 400, from: readHeaderTimeout, until: readHeaderTimeout + time.Second},
		"a head byte by byte":             {head: line, piece: "x", pause: time.Second, pieces: 60, status: 400, from: readHeaderTimeout, until: readHeaderTimeout + 2*time.Second},
		"a header line now and then":      {head: line, piece: "X-A: b\r\n", pause: 3 * time.Second, pieces: 60, from: readHeaderTimeout, until: readHeaderTimeout + 4*time.Second},
		"a body that never comes":         {head: length(1000), status: 408, from: 30 * time.Second, until: 31 * time.Second},
		"half a body":                     {head: length(1000), piece: whole[:40], pieces: 1, status: 408, from: 30 * time.Second, until: 31 * time.Second},
		"a body byte by byte":             {head: length(1000), piece: " ", pause: time.Second, pieces: 100, status: 408, from: 30 * time.Second, until: 32 * time.Second},
		"chunks byte by byte":             {head: line + "Transfer-Encoding: chunked\r\n\r\n", piece: "1\r\n \r\n", pause: time.Second, pieces: 100, status: 408, from: 30 * time.Second, until: 32 * time.Second},
		"a chunk's size without end":      {head: line + "Transfer-Encoding: chunked\r\n\r\n", piece: "0", pause: time.Second, pieces: 100, status: 408, from: 30 * time.Second, until: 32 * time.Second},
		"a big body has longer":           {head: length(20 << 20), piece: strings.Repeat(" ", 1<<10), pause: time.Second, pieces: 100, status: 408, from: 50 * time.Second, until: 52 * time.Second},
		"a body of a liar":                {head: length(31 << 20), status: 408, from: 61 * time.Second, until: 62 * time.Second},
		"a trickle that is done in time":  {head: length(len(whole) + 20), piece: " ", pause: time.Second, pieces: 20, status: 200, from: idleTimeout, until: 20*time.Second + idleTimeout + time.Second, asked: 1},
		"a trickle to an unknown path":    {head: "POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n", piece: " ", pause: time.Second, pieces: 99, status: 404, prompt: true, until: 31 * time.Second},
		"a trickle from a foreign page":   {head: line + "Origin: https://evil.example\r\nContent-Length: 99\r\n\r\n", piece: " ", pause: time.Second, pieces: 99, status: 403, prompt: true, until: 31 * time.Second},
		"a trickle that is too much":      {head: length(33 << 20), piece: " ", pause: time.Second, pieces: 99, status: 413, prompt: true, until: 2 * time.Second},
		"leaves before the head":          {leaves: true, until: time.Second},
		"leaves in the head":              {head: line, leaves: true, until: time.Second},
		"leaves before the body":          {head: length(1000), leaves: true, until: time.Second},
		"leaves in the body":              {head: length(1000), piece: whole[:40], pieces: 1, leaves: true, until: time.Second},
		"leaves in a chunk":               {head: line + "Transfer-Encoding: chunked\r\n\r\n", piece: "fff\r\n{", pieces: 1, leaves: true, until: time.Second},
		"is answered, and stays":          {head: length(len(whole)) + whole, status: 200, from: idleTimeout, until: idleTimeout + time.Second, asked: 1},
		"is answered, and begins another": {head: length(len(whole)) + whole + line, status: 200, from: readHeaderTimeout, until: readHeaderTimeout + time.Second, asked: 1},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, c.run) })
	}
}

func (c slowClient) run(t *testing.T) {
	var asked atomic.Int64
	counted := func(ctx context.Context, r *providers.Request) (*providers.Stream, error) {
		asked.Add(1)
		return briefly(ctx, r)
	}
	h, rec, _ := wired(t, counted, counted)
	server := newServer(h)
	pipes := &pipeListener{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(pipes) }()
	defer func() { _ = server.Close(); <-served }()
	client, conn := net.Pipe()
	defer client.Close()
	pipes.conns <- conn

	began := time.Now()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		c.send(client)
	}()
	status, answered := 0, time.Duration(0)
	in := bufio.NewReader(client)
	if res, err := http.ReadResponse(in, nil); err == nil {
		status, answered = res.StatusCode, time.Since(began)
		_, _ = io.Copy(io.Discard, res.Body) // where it ends is seen below
	}
	_, _ = io.Copy(io.Discard, in) // to the end of the connection
	took := time.Since(began)
	client.Close()
	<-sent
	synctest.Wait()
	if status != c.status || took < c.from || took > c.until {
		t.Errorf("status %d, and the end after %v; want %d after %v to %v", status, took, c.status, c.from, c.until)
	}
	if c.prompt && answered > time.Second {
		t.Errorf("it was answered after %v", answered)
	}
	if n := asked.Load(); n != c.asked {
		t.Errorf("upstreams were asked %d times, want %d", n, c.asked)
	}
	if s := rec.Snapshot(0); s.InFlight != 0 || h.Serving() != 0 {
		t.Errorf("%d requests are still in flight, %d served", s.InFlight, h.Serving())
	}
}

// send returns when all is sent, or the connection has ended.
func (c slowClient) send(client net.Conn) {
	_, err := io.WriteString(client, c.head)
	for n := 0; n < c.pieces && err == nil; n++ {
		time.Sleep(c.pause)
		_, err = io.WriteString(client, c.piece)
	}
	switch {
	case c.leaves:
		_ = client.Close()
	case c.status == 200 && c.pieces > 0 && err == nil:
		_, _ = io.WriteString(client, ask(true)) // the rest
	}
}
