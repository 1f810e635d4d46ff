package openai

import (
	"io"
	"strings"
	"sync"

	"anyproxy/internal/jsonscan"
	"anyproxy/providers"
	"anyproxy/providers/sse"
	"anyproxy/providers/upstream"
)

// composers keeps the memory of answers that have ended.
var composers = sync.Pool{New: func() any { return new(composer) }}

// keepOut is the largest buffer of client-ready bytes that is kept.
const keepOut = 64 << 10

func newComposer(form printer, reply reply) *composer {
	m := composers.Get().(*composer)
	out := m.out[:0]
	if cap(out) > keepOut {
		out = nil
	}
	clear(m.items)
	*m = composer{printer: form, out: out, model: reply.model, names: reply.names, seals: reply.seals,
		chunk: m.chunk, items: m.items[:0], finish: m.finish[:0], usual: usual{m.usual.head[:0], m.usual.tail[:0]}}
	return m
}

// A stream is a streamed answer: one read from the upstream makes one frame.
type stream struct {
	upstream.Events
	answer answer
	m      *composer // nil once closed
	usage  providers.Usage
	err    error // what comes next, once it is known
	began  bool  // generation has begun
}

func newStream(a answer) *stream {
	return &stream{Events: a.Events(), answer: a, m: newComposer(events{}, a.reply)}
}

// Next makes one read and converts what it brought.
func (s *stream) Next() (providers.Frame, error) {
	switch {
	case s.m == nil:
		return providers.Frame{}, errClosed
	case s.err != nil:
		return providers.Frame{}, s.err
	}
	m := s.m
	m.out, m.text, m.delta = m.out[:0], 0, false
	read := s.Fill()
	f := providers.Frame{}
	s.events(&f)
	if read == io.EOF && s.going(&f) {
		s.lastEvent(&f)
	}
	if read != nil && s.going(&f) {
		s.over(&f, read)
	}
	return s.frame(f)
}

// going reports whether the answer may go on behind what f has.
func (s *stream) going(f *providers.Frame) bool { return s.err == nil && f.Kind != providers.Failed }

// events takes the whole events that have come.
func (s *stream) events(f *providers.Frame) {
	for s.going(f) {
		e, ok := s.Scan.Next()
		if !ok {
			return
		}
		s.event(f, e)
	}
}

// lastEvent takes one that the body's end stands behind, in place of a blank line.
func (s *stream) lastEvent(f *providers.Frame) {
	if s.Scan.Pending() == 0 {
		return
	}
	if _, err := s.Scan.Fill(strings.NewReader("\n\n")); err == nil {
		s.events(f)
	}
}

// event takes one event of the upstream's.
func (s *stream) event(f *providers.Frame, e sse.Event) {
	switch {
	case len(e.Data) == 0 || string(e.Data) == "{}":
	case string(e.Data) == "[DONE]":
		s.complete(f, true)
	default:
		s.chunk(f, e)
	}
}

func (s *stream) chunk(f *providers.Frame, e sse.Event) {
	m := s.m
	if words := m.usual.words(e.Data); len(words) > 0 && len(e.Name) == 0 {
		m.say(textItem, words)
		if err := m.goOn(); err != nil {
			s.err = s.Fail(providers.ClassBroken, err)
		}
		return
	}
	if err := m.chunk.read(e.Data, false); err != nil {
		s.err = s.Fail(providers.ClassBroken, err)
		return
	}
	m.usual.remember(e.Data, &m.chunk)
	if failure := m.chunk.failed(e); failure != nil {
		s.err = io.EOF
		*f = providers.Frame{Kind: providers.Failed, Err: s.answer.told(failure)}
		return
	}
	if err := m.take(); err != nil {
		s.err = s.Fail(providers.ClassBroken, err)
		return
	}
	if m.chunk.counted {
		s.usage = m.usage
		f.Usage = &s.usage
	}
	if m.chunk.bare && len(m.finish) > 0 {
		s.complete(f, true) // usage by itself is the last chunk
	}
}

// failed is the error that a chunk tells, nil when it tells none.
func (k *chunk) failed(e sse.Event) []byte {
	switch {
	case k.failure != nil:
		return k.failure
	case string(k.finish) == "error", string(e.Name) == sse.Error:
		return e.Data
	}
	return nil
}

// over is the end of the body, by err. An answer that had its finish_reason is
// whole without more.
func (s *stream) over(f *providers.Frame, err error) {
	if err != io.EOF && len(s.m.finish) == 0 {
		s.err = err
		return
	}
	s.complete(f, false)
}

// complete ends the message.
func (s *stream) complete(f *providers.Frame, done bool) {
	if err := s.m.complete(done); err != nil {
		s.err = s.Fail(providers.ClassBroken, err)
		return
	}
	f.Kind, s.Ended, s.err = providers.End, true, io.EOF
	s.answer.observe(s.m)
}

// frame completes a frame by what has been made of it.
func (s *stream) frame(f providers.Frame) (providers.Frame, error) {
	m := s.m
	f.Text = m.text
	if f.Kind == providers.Preamble && m.delta {
		f.Kind = providers.Content
	}
	f.Generating = m.generating() || m.delta && !s.began
	s.began = s.began || m.delta
	f.Quiet = f.Kind != providers.End && m.quiet()
	f.Hidden = f.Quiet && !m.delta && s.Scan.Pending() == 0
	switch {
	case f.Kind == providers.Failed && len(m.out) > 0:
		// What came before the failure is told first.
		failure := f.Err
		f.Kind, f.Err = providers.Content, nil
		s.err = failure
	case f.Kind == providers.Failed, s.err == nil, s.err == io.EOF, len(m.out) > 0:
	default:
		return providers.Frame{}, s.err
	}
	f.Bytes = m.out[:len(m.out):len(m.out)]
	return f, nil
}

// Close ends the exchange.
func (s *stream) Close() error {
	if s.m != nil {
		composers.Put(s.m)
		s.m = nil
	}
	return s.Events.Close()
}

// message is an answer that is not streamed: one frame, when all of it is there
// and sound.
type message struct {
	answer answer
	m      *composer // nil once closed
	stream bool      // the client asked for one
	usage  providers.Usage
	err    error
}

func newMessage(a answer, stream bool) *message {
	form := printer(whole{})
	if stream {
		form = events{}
	}
	return &message{answer: a, m: newComposer(form, a.reply), stream: stream}
}

// Next reads the whole answer.
func (w *message) Next() (providers.Frame, error) {
	switch {
	case w.m == nil:
		return providers.Frame{}, errClosed
	case w.err != nil:
		return providers.Frame{}, w.err
	}
	f, err := w.read()
	if w.err = io.EOF; err != nil {
		w.err = err
	}
	return f, err
}

func (w *message) read() (providers.Frame, error) {
	body, err := w.answer.ReadWhole()
	defer upstream.Recycle(body)
	if err != nil {
		return providers.Frame{}, err
	}
	m, a := w.m, w.answer
	err = m.chunk.read(body, true)
	defer func() { m.chunk = chunk{calls: m.chunk.calls[:0], scratch: m.chunk.scratch[:0]} }() // it points into body
	switch {
	case err != nil && len(body) > 0 && body[0] == '[' && jsonscan.Valid(body, maxDepth) == nil:
		return providers.Frame{}, a.told(body) // Gemini puts an array around its errors
	case err != nil:
		return providers.Frame{}, a.Unsound(body, err)
	case m.chunk.failed(sse.Event{Data: body}) != nil:
		return providers.Frame{}, a.told(m.chunk.failed(sse.Event{Data: body}))
	case !m.chunk.chosen:
		return providers.Frame{}, a.Unusable("JSON without a choice")
	}
	if err := m.take(); err != nil {
		return providers.Frame{}, a.Unusable("%w", err)
	}
	if err := m.complete(true); err != nil {
		return providers.Frame{}, a.Unusable("%w", err)
	}
	a.observe(m)
	f := providers.Frame{Bytes: m.out, Kind: providers.End, Text: m.text}
	if m.counted {
		w.usage = m.usage
		f.Usage = &w.usage
	}
	return f, nil
}

// Close ends the exchange.
func (w *message) Close() error {
	if w.m == nil {
		return nil
	}
	composers.Put(w.m)
	w.m = nil
	return w.answer.Res.Body.Close()
}
