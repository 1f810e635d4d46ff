package simulator

import (
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"time"
)

// sink is where the body of an answer goes. After abort nothing may be called.
type sink interface {
	io.Writer
	flush() error
	// finish ends the body as HTTP asks for, whether the message is over or not.
	finish() error
	// abort closes the connection in the middle, by a reset or by a plain close.
	abort(reset bool)
}

// httpSink is an answer through net/http, which ends the body when the handler returns.
type httpSink struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (s httpSink) flush() error  { return s.control.Flush() }
func (s httpSink) finish() error { return nil }

func (s httpSink) abort(reset bool) {
	if conn, _, err := s.control.Hijack(); err == nil {
		closeConn(conn, reset)
	}
}

// rawSink is an answer without framing: the end of the connection is the end of the body.
type rawSink struct{ net.Conn }

func (s rawSink) flush() error     { return nil }
func (s rawSink) finish() error    { return s.Close() }
func (s rawSink) abort(reset bool) { closeConn(s.Conn, reset) }

// closeConn closes conn; with reset the peer is sent a RST in place of a FIN.
func closeConn(conn net.Conn, reset bool) {
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// gzipSink compresses, every flush a whole deflate block.
type gzipSink struct {
	sink
	zip *gzip.Writer
}

func newGzipSink(to sink) gzipSink { return gzipSink{sink: to, zip: gzip.NewWriter(to)} }

func (s gzipSink) Write(p []byte) (int, error) { return s.zip.Write(p) }

func (s gzipSink) flush() error {
	if err := s.zip.Flush(); err != nil {
		return err
	}
	return s.sink.flush()
}

func (s gzipSink) finish() error {
	if err := s.zip.Close(); err != nil {
		return err
	}
	return s.sink.finish()
}

// dripSink sends each byte alone.
type dripSink struct {
	sink
	ctx   context.Context
	every time.Duration
}

func (s dripSink) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := s.sink.Write(p[i : i+1]); err != nil {
			return i, err
		}
		if err := s.sink.flush(); err != nil {
			return i, err
		}
		if s.every > 0 && !waitUntil(s.ctx, time.Now().Add(s.every)) {
			return i, s.ctx.Err()
		}
	}
	return len(p), nil
}
