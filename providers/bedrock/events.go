package bedrock

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"anyproxy/internal/jsonscan"
	"anyproxy/providers"
	"anyproxy/providers/sse"
	"anyproxy/providers/upstream"
)

// An event stream is a run of frames (application/vnd.amazon.eventstream,
// smithy.io/2.0/aws/amazon-eventstream.html), big-endian:
//
//	4 bytes  length of the frame
//	4 bytes  length of its headers
//	4 bytes  CRC-32 of the eight before
//	         headers: 1 byte length, name, 1 byte type, value
//	         payload
//	4 bytes  CRC-32 of all before
const (
	preludeSize = 12
	frameSize   = preludeSize + 4 // of a frame without headers and payload
	// maxFrame is the size of a frame that holds the largest event, packed.
	maxFrame  = sse.MaxEvent/3*4 + 64<<10
	firstRead = 4 << 10
)

var (
	errChecksum = errors.New("event stream: checksum does not match")
	errFrame    = errors.New("event stream: no frame")
	errChunk    = errors.New("event stream: chunk without an event in it")
)

// events is the body of a streamed answer, unpacked: reading it gives the
// server-sent events that the Messages API would have sent.
//
// Nothing is allocated for an event but what buffers grow.
type events struct {
	body io.ReadCloser

	in    []byte // in[from:] has been read and not been unpacked
	from  int
	out   []byte // out[taken:] is unpacked and has not been read
	taken int
	chunk []byte // room for the event of one frame
	err   error  // what comes behind out

	// metered is what the service itself counted; it comes with the last event.
	metered providers.Usage
	said    string // by the exception that ended it, for operators
}

var _ io.ReadCloser = (*events)(nil)

// Read makes one read from the upstream, unless events of the last one are
// left, and gives the whole events that it completed, also when there are none:
// bytes came in, and whoever watches the silence is to know.
func (e *events) Read(p []byte) (int, error) {
	if e.taken == len(e.out) {
		e.out, e.taken = e.out[:0], 0
		if e.err == nil {
			e.fill()
			e.unpack()
		}
		if len(e.out) == 0 {
			return 0, e.err
		}
	}
	n := copy(p, e.out[e.taken:])
	e.taken += n
	return n, nil
}

// Close ends the exchange.
func (e *events) Close() error { return e.body.Close() }

// fill makes one read from the upstream.
func (e *events) fill() {
	if e.from > 0 {
		e.in, e.from = e.in[:copy(e.in, e.in[e.from:])], 0
	}
	if len(e.in) == cap(e.in) {
		grown := make([]byte, len(e.in), max(2*cap(e.in), firstRead))
		copy(grown, e.in)
		e.in = grown
	}
	n, err := e.body.Read(e.in[len(e.in):cap(e.in)])
	e.in = e.in[:len(e.in)+n]
	e.err = err
}

// unpack takes the whole frames out of in. What is wrong with one counts
// before what the read met; a frame that has only begun is a break.
func (e *events) unpack() {
	for {
		f, rest, err := nextFrame(e.in[e.from:])
		if err == nil && rest != nil {
			err = e.take(f)
		}
		switch {
		case err != nil:
			e.err = err
			return
		case rest == nil:
			if e.err == io.EOF && e.from < len(e.in) {
				e.err = io.ErrUnexpectedEOF
			}
			return
		}
		e.from = len(e.in) - len(rest)
	}
}

// A frame is one message of an event stream. Its slices point into it.
type frame struct {
	message   []byte // "event", "exception" or "error"
	event     []byte // the type of an event
	exception []byte // the type of an exception, or the code of an error
	text      []byte // the message of an error
	payload   []byte
}

// nextFrame reads the frame that b begins with. rest is what stands behind it,
// nil when it is not whole yet.
func nextFrame(b []byte) (f frame, rest []byte, err error) {
	if len(b) < preludeSize {
		return f, nil, nil
	}
	length, headers := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	switch {
	case binary.BigEndian.Uint32(b[8:]) != crc32.ChecksumIEEE(b[:8]):
		return f, nil, errChecksum
	case length < frameSize || length > maxFrame || headers > length-frameSize:
		return f, nil, errFrame
	case uint32(len(b)) < length:
		return f, nil, nil
	}
	end := length - 4
	if binary.BigEndian.Uint32(b[end:]) != crc32.ChecksumIEEE(b[:end]) {
		return f, nil, errChecksum
	}
	if !f.headers(b[preludeSize : preludeSize+headers]) {
		return f, nil, errFrame
	}
	f.payload = b[preludeSize+headers : end]
	return f, b[length:], nil
}

// headers takes up the headers of a frame; false when they are none.
func (f *frame) headers(b []byte) bool {
	for len(b) > 0 {
		n := int(b[0])
		if len(b) < 1+n+1 {
			return false
		}
		name, kind := b[1:1+n], b[1+n]
		b = b[1+n+1:]
		size, ok := valueSize(kind, b)
		if !ok || len(b) < size {
			return false
		}
		if kind == stringValue {
			f.header(name, b[2:size])
		}
		b = b[size:]
	}
	return true
}

func (f *frame) header(name, value []byte) {
	switch string(name) {
	case ":message-type":
		f.message = value
	case ":event-type":
		f.event = value
	case ":exception-type", ":error-code":
		f.exception = value
	case ":error-message":
		f.text = value
	}
}

const stringValue = 7

// valueSizes are those of the types of header values: true, false, byte,
// int16, int32, int64, bytes, string, time, UUID.
var valueSizes = [...]int{0, 0, 1, 2, 4, 8, -1, -1, 8, 16}

// valueSize is the length of a header's value at the start of b, that of its
// own length included.
func valueSize(kind byte, b []byte) (int, bool) {
	if int(kind) >= len(valueSizes) {
		return 0, false
	}
	if n := valueSizes[kind]; n >= 0 {
		return n, true
	}
	if len(b) < 2 {
		return 0, false
	}
	return 2 + int(binary.BigEndian.Uint16(b)), true
}

// take appends what a frame says to out. Events that are no chunks of the
// model's answer say nothing.
func (e *events) take(f frame) error {
	switch string(f.message) {
	case "event":
		if string(f.event) == "chunk" {
			return e.event(f.payload)
		}
		return nil
	case "exception":
		e.out, e.said = appendFailure(e.out, string(f.exception), f.payload)
		return nil
	case "error":
		e.out = appendError(e.out, statusOf(string(f.exception), 0), string(f.text))
		return nil
	default:
		return errFrame
	}
}

// event appends the event of a chunk: {"bytes":"BASE64","p":"abc…"}. p is
// padding that hides the event's length from who watches the line.
func (e *events) event(payload []byte) error {
	o, err := jsonscan.OpenObject(payload, 0, upstream.MaxDepth)
	if err != nil {
		return errChunk
	}
	var packed []byte
	for o.Next() {
		if raw := o.Raw(); jsonscan.Is(o.Key, "bytes") && raw[0] == '"' {
			packed = raw[1 : len(raw)-1]
		}
	}
	if o.Err() != nil || len(packed) == 0 {
		return errChunk
	}
	if bytes.IndexByte(packed, '\\') >= 0 { // JSON may write / as \/
		s, _ := jsonscan.Unquote(packed)
		packed = []byte(s)
	}
	if e.chunk, err = base64.StdEncoding.AppendDecode(e.chunk[:0], packed); err != nil {
		return fmt.Errorf("%w: %w", errChunk, err)
	}
	name, ok := eventType(e.chunk)
	if !ok {
		return errChunk
	}
	switch name {
	case "": // clients ignore types that they do not know
	case sse.Error:
		e.out = sse.AppendEvent(e.out, name, withoutAccount(e.chunk))
	default:
		e.out = sse.AppendEvent(e.out, name, e.withoutMetrics(e.chunk))
	}
	return nil
}

// eventNames are the events of the API, the usual one first.
var eventNames = [...]string{sse.ContentBlockDelta, sse.ContentBlockStart, sse.ContentBlockStop, sse.Ping,
	sse.MessageStart, sse.MessageDelta, sse.MessageStop, sse.Error}

// eventType is the type of an event's data, "" for one that is none of the
// API's; false where there is no type.
func eventType(data []byte) (name string, ok bool) {
	o, err := jsonscan.OpenObject(data, 0, upstream.MaxDepth)
	if err != nil {
		return "", false
	}
	for o.NextKey() {
		if !jsonscan.Is(o.Key, "type") {
			continue
		}
		if !o.Finish() || o.Raw()[0] != '"' {
			return "", false
		}
		for _, name := range eventNames {
			if jsonscan.Is(o.Raw(), name) {
				return name, true
			}
		}
		return "", true
	}
	return "", false
}

// metricsKey is a member that Bedrock adds to the last event of an answer.
const metricsKey = "amazon-bedrock-invocationMetrics"

// withoutMetrics is an event as the API would have written it. What the
// service counted is kept for our meters.
func (e *events) withoutMetrics(data []byte) []byte {
	if !bytes.Contains(data, []byte(metricsKey)) {
		return data
	}
	o, err := jsonscan.OpenObject(data, 0, upstream.MaxDepth)
	if err != nil {
		return data
	}
	for o.Next() {
		if jsonscan.Is(o.Key, metricsKey) {
			e.metered = meteredUsage(o.Raw())
		}
	}
	if o.Err() != nil {
		return data // the fault shows when the event is checked
	}
	return edit(nil, data, cuts(metricsKey), nil)
}

// meteredUsage reads invocation metrics.
func meteredUsage(raw []byte) (u providers.Usage) {
	o, err := jsonscan.OpenObject(raw, 0, upstream.MaxDepth)
	if err != nil {
		return u
	}
	for o.Next() {
		n, _ := jsonscan.Int(o.Raw())
		switch n = max(n, 0); {
		case jsonscan.Is(o.Key, "inputTokenCount"):
			u.Input = n
		case jsonscan.Is(o.Key, "outputTokenCount"):
			u.Output = n
		case jsonscan.Is(o.Key, "cacheReadInputTokenCount"):
			u.CacheRead = n
		case jsonscan.Is(o.Key, "cacheWriteInputTokenCount"):
			u.CacheWrite = n
		}
	}
	return u
}

// discreet are the frames of an answer without a stream. One that turns out to
// be an error tells nothing of the account.
type discreet struct{ providers.Frames }

func (d discreet) Next() (providers.Frame, error) {
	f, err := d.Frames.Next()
	var e *providers.Error
	if errors.As(err, &e) {
		e.Body = withoutAccount(e.Body)
	}
	return f, err
}

// metered are the frames of a streamed answer. What the events did not say of
// its tokens, the service's own count says at the end.
type metered struct {
	providers.Frames
	events *events
	call   *call
	usage  providers.Usage
	proven bool // what was asked for
}

// Settle is for the frames beneath.
func (m *metered) Settle() {
	if s, ok := m.Frames.(providers.Settler); ok {
		s.Settle()
	}
}

func (m *metered) Next() (providers.Frame, error) {
	f, err := m.Frames.Next()
	if f.Usage != nil {
		m.usage = *f.Usage
	}
	if f.Kind == providers.Content && !m.proven {
		m.proven = true
		m.call.proven()
	}
	if said := m.events.said; f.Kind == providers.Failed && said != "" {
		m.call.learn(f.Err, said)
	}
	if counted := m.events.metered; f.Kind == providers.End && counted != (providers.Usage{}) && m.usage == (providers.Usage{}) {
		m.usage = counted
		f.Usage = &m.usage
	}
	return f, err
}
