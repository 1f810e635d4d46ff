package messages

import (
	"errors"
	"fmt"
	"io"

	"anyproxy/providers"
	"anyproxy/providers/sse"
	"anyproxy/providers/upstream"
)

// ErrCut is a stream that ended without message_stop.
var ErrCut = errors.New("stream ended without message_stop")

var errClosed = errors.New("answer is closed")

// A stream is a streamed answer: one read from the upstream makes one frame.
type stream struct {
	upstream.Events
	unread     bool             // more whole events of the last read may be waiting
	generating bool             // generation has begun
	failed     *providers.Frame // the upstream's own error, to be told by the next call
	err        error            // what comes when nothing waits
	grammar    grammar

	usage  providers.Usage
	answer answer
}

func newStream(a answer) *stream {
	return &stream{Events: a.Events(), answer: a}
}

// Settle keeps of the answer's head how long the upstream is to be left alone,
// should it still fail.
func (s *stream) Settle() { s.answer.Settle() }

// Next makes one read, unless the last one brought more than a frame can hold:
// what stands behind an event that was left out, or the upstream's own error.
func (s *stream) Next() (providers.Frame, error) {
	if s.Scan == nil {
		return providers.Frame{}, errClosed
	}
	if s.failed == nil && !s.unread {
		if s.err != nil {
			return providers.Frame{}, s.err
		}
		s.fill()
	}
	var f providers.Frame
	if s.failed == nil {
		f = s.frame()
	}
	if len(f.Bytes) > 0 {
		return f, nil
	}
	if s.failed != nil {
		f, s.failed = *s.failed, nil
		return f, nil
	}
	return f, s.err
}

// fill reads what is there.
func (s *stream) fill() {
	if s.err = s.Fill(); s.err == io.EOF {
		s.err = s.Fail(providers.ClassBroken, ErrCut)
	}
}

// frame collects the sound events that have come, up to one that must be left
// out, the end or a failure.
func (s *stream) frame() providers.Frame {
	var f providers.Frame
	begun, delta := s.generating, false
	for s.unread = true; s.unread; {
		var e sse.Event
		var k kind
		var err error
		n, facts := usualEvent(s.Scan.Ahead())
		if n > 0 {
			e.Raw, k = s.Scan.Take(n), blockDelta
		} else {
			var ok bool
			if e, ok = s.Scan.Next(); !ok {
				s.unread = false
				break
			}
			k, facts, err = look(e)
		}
		if err == nil && k == failure {
			s.failed = s.failure(e)
			s.stop(io.EOF)
			break
		}
		var drop bool
		if err == nil {
			drop, err = s.grammar.step(k, &facts)
		}
		if err != nil {
			s.stop(s.Fail(providers.ClassBroken, err))
			break
		}
		if drop && len(f.Bytes) > 0 {
			break // what follows is no neighbour of what we have
		}
		if !drop {
			s.take(&f, e, k, &facts)
			delta = delta || facts.text > 0
		}
	}
	f.Bytes = f.Bytes[:len(f.Bytes):len(f.Bytes)]
	f.Generating = s.generating && (s.grammar.open || !begun)
	f.Quiet = s.grammar.open && !s.grammar.shown
	f.Hidden = f.Quiet && !delta && s.Scan.Pending() == 0
	return f
}

// stop says what comes behind the current frame, whatever has been read.
func (s *stream) stop(err error) { s.err, s.unread = err, false }

// take puts a sound event into the frame.
func (s *stream) take(f *providers.Frame, e sse.Event, k kind, facts *facts) {
	if f.Bytes == nil {
		f.Bytes = e.Raw
	} else {
		f.Bytes = f.Bytes[:len(f.Bytes)+len(e.Raw)] // its neighbour in the scanner's buffer
	}
	switch k {
	case messageStart, messageDelta:
		if facts.counted {
			facts.addTo(&s.usage)
			f.Usage = &s.usage
		}
	case blockStart:
		s.generating = s.generating || !s.grammar.shown
	case blockStop:
		if s.grammar.seal == awaited && s.answer.unsigned != nil {
			s.answer.unsigned.Store(true)
		}
	case blockDelta:
		f.Text += facts.text
		if facts.content && facts.text == 0 {
			s.grammar.seal = there // a signature alone is content that is no text
		}
		if facts.content {
			f.Kind = max(f.Kind, providers.Content)
			s.generating = true
		}
	case messageStop:
		f.Kind, s.Ended = providers.End, true
		s.stop(io.EOF)
	}
}

// look checks an event by itself: its data is JSON and says the same as its
// name. Comments, and whole JSON texts of a type that nobody knows, are sound.
func look(e sse.Event) (kind, facts, error) {
	named := kindOf(e.Name)
	if e.Data == nil {
		if named != unknown {
			return named, facts{}, errNoData
		}
		return unknown, facts{}, nil
	}
	f, err := inspect(e.Data)
	if err != nil && !(named == unknown && errors.Is(err, errNoObject)) {
		return named, f, fmt.Errorf("event data: %w", err)
	}
	said := kindOf(f.typ)
	if said != named || said != unknown && string(f.typ) != string(e.Name) {
		return named, f, errName
	}
	return named, f, nil
}

// failure makes the frame that tells an error event.
func (s *stream) failure(e sse.Event) *providers.Frame {
	return &providers.Frame{Kind: providers.Failed, Bytes: s.Redact(e.Raw), Err: s.answer.told(e.Data)}
}
