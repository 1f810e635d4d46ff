package messages

import (
	"io"

	"anyproxy/providers"
	"anyproxy/providers/upstream"
)

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
	buf, err := m.ReadWhole()
	if m.buf = buf; err != nil {
		return providers.Frame{}, err
	}
	f, err := inspect(m.buf)
	switch {
	case err != nil:
		return providers.Frame{}, m.Unsound(m.buf, err)
	case kindOf(f.typ) == failure:
		return providers.Frame{}, m.told(m.buf)
	case m.endpoint == providers.CountTokens:
		return providers.Frame{Bytes: m.buf, Kind: providers.End}, nil
	case string(f.typ) != "message":
		return providers.Frame{}, m.Unusable("JSON that is no message")
	}
	frame := providers.Frame{Bytes: m.buf, Kind: providers.End, Text: f.text}
	if f.counted {
		f.addTo(&m.usage)
		frame.Usage = &m.usage
	}
	return frame, nil
}

// Close ends the exchange.
func (m *message) Close() error {
	if m.closed {
		return nil
	}
	m.closed = true
	upstream.Recycle(m.buf)
	m.buf = nil
	return m.Res.Body.Close()
}
