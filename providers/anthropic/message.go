package anthropic

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"anyproxy/internal/jsonscan"
	"anyproxy/providers"
)

const (
	firstRead = 4 << 10
	// believedLength is how much room a Content-Length alone is worth.
	believedLength = 1 << 20
	// keepBuffer is the largest buffer that is kept for the next answer.
	keepBuffer = 256 << 10
)

// buffers keeps those of whole answers.
var buffers sync.Pool

// A message is an answer that is not streamed: one frame, when all of it is
// there and sound.
type message struct {
	answer
	buf    []byte
	usage  providers.Usage
	err    error // what comes next, once the answer has been read
	closed bool
}

// Next reads the whole answer.
func (m *message) Next() (providers.Frame, error) {
	switch {
	case m.closed:
		return providers.Frame{}, errClosed
	case m.err != nil:
		return providers.Frame{}, m.err
	}
	f, err := m.whole()
	if m.err = io.EOF; err != nil {
		m.err = err
	}
	return f, err
}

func (m *message) whole() (providers.Frame, error) {
	if err := m.read(); err != nil {
		return providers.Frame{}, err
	}
	f, err := inspect(m.buf)
	switch {
	case err != nil:
		return providers.Frame{}, m.unsound(err)
	case kindOf(f.typ) == failure:
		return providers.Frame{}, m.told(m.buf)
	case m.endpoint == providers.CountTokens:
		return providers.Frame{Bytes: m.buf, Kind: providers.End}, nil
	case string(f.typ) != "message":
		return providers.Frame{}, m.unusable("JSON that is no message")
	}
	frame := providers.Frame{Bytes: m.buf, Kind: providers.End, Text: f.text}
	if f.counted {
		f.addTo(&m.usage)
		frame.Usage = &m.usage
	}
	return frame, nil
}

// read fills buf with the body.
func (m *message) read() error {
	if m.res.ContentLength > maxAnswer {
		return m.unusable("answer over 64 MiB")
	}
	b := takeBuffer(int(min(max(m.res.ContentLength+1, firstRead), believedLength)))
	defer func() { m.buf = b }()
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := m.body.Read(b[len(b):min(cap(b), maxAnswer+1)])
		b = b[:len(b)+n]
		switch {
		case len(b) > maxAnswer:
			return m.unusable("answer over 64 MiB")
		case err == io.EOF:
			return nil
		case err != nil:
			return m.fail(providers.ClassBroken, fmt.Errorf("read answer: %w", err))
		}
	}
}

// unsound is the failure of a body that is not one JSON object: a beginning of
// one was cut off, anything else was never an answer.
func (m *message) unsound(err error) *providers.Error {
	if len(m.buf) > 0 && errors.Is(err, jsonscan.ErrTruncated) {
		return m.fail(providers.ClassBroken, fmt.Errorf("answer: %w", err))
	}
	return m.unusable("answer: %w", err)
}

// Close ends the exchange.
func (m *message) Close() error {
	if m.closed {
		return nil
	}
	m.closed = true
	if cap(m.buf) > 0 && cap(m.buf) <= keepBuffer {
		b := m.buf[:0]
		buffers.Put(&b)
	}
	m.buf = nil
	return m.res.Body.Close()
}

// takeBuffer gives an empty buffer with room for n bytes.
func takeBuffer(n int) []byte {
	if b, _ := buffers.Get().(*[]byte); b != nil && cap(*b) >= n {
		return *b
	}
	return make([]byte, 0, n)
}
