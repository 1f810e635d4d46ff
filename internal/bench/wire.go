package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// head is what both ends need of a request's or a response's head.
type head struct {
	line    []byte // the first line; valid until the next read
	length  int    // Content-Length, -1 when there is none
	chunked bool
}

// readHead reads a head. It knows as much of HTTP/1.1 as the programs in this
// bench send, so that reading costs next to nothing.
func readHead(r *bufio.Reader, line []byte) (head, error) {
	h := head{length: -1}
	first, err := r.ReadSlice('\n')
	if err != nil {
		return h, err
	}
	h.line = append(line[:0], bytes.TrimRight(first, "\r\n")...)
	for {
		field, err := r.ReadSlice('\n')
		if err != nil {
			return h, err
		}
		field = bytes.TrimRight(field, "\r\n")
		if len(field) == 0 {
			return h, nil
		}
		name, value, _ := bytes.Cut(field, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case len(name) == len("Content-Length") && bytes.EqualFold(name, []byte("Content-Length")):
			if h.length, err = strconv.Atoi(string(value)); err != nil {
				return h, fmt.Errorf("content length: %w", err)
			}
		case len(name) == len("Transfer-Encoding") && bytes.EqualFold(name, []byte("Transfer-Encoding")):
			h.chunked = string(value) == "chunked"
		}
	}
}

var errDiffers = errors.New("the body is not the one that was sent")

// matcher compares a body with the expected one as it arrives.
type matcher struct {
	want []byte
	at   int
}

// take compares the next n bytes of r and calls seen each time some have come.
func (m *matcher) take(r *bufio.Reader, n int, seen func()) error {
	for n > 0 {
		if _, err := r.Peek(1); err != nil {
			return unexpected(err)
		}
		part, err := r.Peek(min(n, r.Buffered()))
		if err != nil {
			return err
		}
		if len(part) > len(m.want)-m.at || !same(part, m.want[m.at:m.at+len(part)]) {
			return errDiffers
		}
		m.at += len(part)
		n -= len(part)
		if _, err := r.Discard(len(part)); err != nil {
			return err
		}
		seen()
	}
	return nil
}

// same compares bytes with those that are wanted, of which some may be wild.
func same(got, want []byte) bool {
	if bytes.Equal(got, want) {
		return true
	}
	for i, c := range want {
		if got[i] != c && c != wild {
			return false
		}
	}
	return true
}

// chunks compares a chunked body.
func (m *matcher) chunks(r *bufio.Reader, seen func()) error {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return unexpected(err)
		}
		size, err := strconv.ParseUint(string(bytes.TrimRight(line, "\r\n")), 16, 31)
		if err != nil {
			return fmt.Errorf("chunk: %w", err)
		}
		if err := m.take(r, int(size), seen); err != nil {
			return err
		}
		if _, err := r.Discard(len("\r\n")); err != nil {
			return unexpected(err)
		}
		if size == 0 {
			return nil
		}
	}
}

// body compares the body that h announces with all of what is wanted.
func (m *matcher) body(r *bufio.Reader, h head, seen func()) error {
	var err error
	if h.chunked {
		err = m.chunks(r, seen)
	} else {
		err = m.take(r, max(h.length, 0), seen)
	}
	if err == nil && m.at != len(m.want) {
		err = errDiffers
	}
	return err
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
