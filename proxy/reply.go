package proxy

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"anyproxy/providers"
	"anyproxy/providers/sse"
	"anyproxy/proxy/front"
	"anyproxy/proxy/requestlog"
)

const (
	// openAfter is how long a client waits for content before the answer is
	// opened for it: Claude Code warns its user after 20 s without data.
	openAfter = 15 * time.Second
	// pingEvery keeps an opened answer alive; the client gives up after 300 s of silence.
	pingEvery = 10 * time.Second
	// writeTime is how long the client may leave one write unread.
	writeTime = 60 * time.Second
	// deadlineStep spares moving the write deadline with every event.
	deadlineStep = 5 * time.Second
)

// ping is what an opened answer is kept alive with.
var ping = sse.AppendEvent(nil, "ping", []byte(`{"type": "ping"}`))

// errGone is a write that failed: the client has left or does not read.
var errGone = errors.New("write to the client")

// A flusher sends what has been written. Asking a ResponseWriter for it once is
// cheaper than with each event.
type flusher interface{ FlushError() error }

// anyFlusher flushes the ResponseWriters that are no flushers themselves.
type anyFlusher struct{ w http.ResponseWriter }

func (f anyFlusher) FlushError() error { return http.NewResponseController(f.w).Flush() }

// reply is the answer on its way to the client. At first everything is held
// back; a stream without content is opened after a while with headers and pings
// of our own; the first content commits it to one upstream. It belongs to the
// handler's goroutine, but for the pings of its timer.
type reply struct {
	w      http.ResponseWriter
	flush  flusher
	ahead  *front.Answer // instead of w once a stream has begun, where that can be
	id     []string      // the request's, as a header
	stream bool
	// capture keeps the answer for the request log; nil when there is none.
	capture *requestlog.Capture
	wrote   time.Time // when the write deadline was last moved

	mu       sync.Mutex // until it is committed: between the handler and the timer
	timer    *time.Timer
	prepared bool // headers are set for the attempt that is waited for
	opened   bool // headers are sent
	settled  bool // content, or an error, is sent: no more pings
}

// newReply starts the wait for content of a request that came at began.
func newReply(w http.ResponseWriter, stream bool, began time.Time, capture *requestlog.Capture) *reply {
	r := &reply{w: w, id: w.Header()[requestIDHeader], stream: stream, capture: capture}
	if f, ok := w.(flusher); ok {
		r.flush = f
	} else {
		r.flush = anyFlusher{w}
	}
	if stream {
		r.mu.Lock() // the timer may fire before it is stored
		defer r.mu.Unlock()
		// A body that took long to come leaves time to refuse the request.
		r.timer = time.AfterFunc(max(openAfter-time.Since(began), time.Second), r.ping)
	}
	return r
}

// ping opens the answer or keeps it alive. It runs on the timer's goroutine.
func (r *reply) ping() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.settled {
		return
	}
	if !r.opened {
		r.opened = true
		r.begin()
		r.head(http.StatusOK, func(h http.Header) {
			h.Set("Content-Type", "text/event-stream; charset=utf-8")
			h.Set("Cache-Control", "no-cache")
		})
	}
	if r.send(time.Now(), ping) == nil { // else the client is gone, and the handler will notice
		r.timer.Reset(pingEvery)
	}
}

// settle ends the wait: nothing but the caller writes from here on.
func (r *reply) settle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop() // under the lock, or a ping on its way would set it again
	}
	r.settled = true
}

// prepare makes the head of an answer while its content is waited for, so that the
// client need not wait for that then: it is sent by commit, if it comes to that, and
// nobody else.
func (r *reply) prepare(status int, set func(http.Header)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.opened {
		return
	}
	if r.begin(); r.ahead != nil {
		r.head(status, set)
		return
	}
	set(r.bare())
	r.prepared = true
}

// begin has the head of a stream made ahead.
func (r *reply) begin() {
	if r.stream && r.ahead == nil {
		r.ahead = front.Begin(r.w)
	}
}

// bare gives w's header without what was prepared. Besides that there is only the
// request's id in it.
func (r *reply) bare() http.Header {
	h := r.w.Header()
	if r.prepared {
		r.prepared = false
		clear(h)
		h[requestIDHeader] = r.id
	}
	return h
}

// head makes the head of the answer, and sends it with what is written first.
func (r *reply) head(status int, set func(http.Header)) {
	if r.ahead == nil {
		set(r.bare())
		r.w.WriteHeader(status)
		return
	}
	h := headers.Get().(http.Header)
	h[requestIDHeader] = r.id
	set(h)
	r.ahead.Head(status, h)
	keep := len(h) <= usualHeader // a table that has grown does not shrink
	clear(h)
	if keep {
		headers.Put(h)
	}
}

// headers are for those that become heads.
var headers = sync.Pool{New: func() any { return make(http.Header, usualHeader) }}

// usualHeader is more than how many fields the API's answers have, with ours.
const usualHeader = 32

// commit settles the answer with the head that was prepared, unless one is sent.
func (r *reply) commit(status int) {
	r.settle()
	if !r.opened {
		r.opened = true
		if r.ahead == nil {
			r.w.WriteHeader(status)
		}
	}
}

// open settles the answer and sends its headers, as set by the caller, unless
// some are sent.
func (r *reply) open(status int, set func(http.Header)) (opened bool) {
	r.settle()
	if r.opened {
		return false
	}
	r.opened = true
	r.head(status, set)
	return true
}

// write sends pieces of the answer at once, and keeps them for the request log.
// now is the time.
func (r *reply) write(now time.Time, pieces ...[]byte) error {
	err := r.send(now, pieces...)
	if err == nil && r.capture != nil {
		for _, b := range pieces {
			r.capture.Append(b)
		}
	}
	return err
}

func (r *reply) send(now time.Time, pieces ...[]byte) error {
	if now.Sub(r.wrote) >= deadlineStep {
		_ = http.NewResponseController(r.w).SetWriteDeadline(now.Add(writeTime)) // not all writers can
		r.wrote = now
	}
	if err := r.put(pieces); err != nil {
		return &providers.Error{Class: providers.ClassCanceled, Err: errors.Join(errGone, err)}
	}
	return nil
}

// put writes pieces and sees to it that they are sent now, not when the records of the
// request are written.
func (r *reply) put(pieces [][]byte) error {
	if r.ahead != nil {
		return r.ahead.Write(pieces...)
	}
	size := 0
	for _, b := range pieces {
		if size += len(b); len(b) > 0 {
			if _, err := r.w.Write(b); err != nil {
				return err
			}
		}
	}
	if size == 0 {
		return nil
	}
	return r.flush.FlushError()
}

// fail ends the answer with an error: with a status while no headers are sent,
// else as the last event of the stream, never with a silent cut. set adds
// headers to the former. A non-stream answer that has begun has no place for an
// error; its connection is torn so that nobody takes it for whole.
func (r *reply) fail(status int, body []byte, set func(http.Header)) {
	opened := r.open(status, func(h http.Header) {
		h.Set("Content-Type", "application/json")
		set(h)
		h.Set("Content-Length", strconv.Itoa(len(body)))
	})
	switch {
	case opened:
		_ = r.write(time.Now(), body) // the client may be gone
	case r.stream:
		_ = r.write(time.Now(), sse.AppendEvent(nil, sse.Error, body))
	default:
		panic(http.ErrAbortHandler)
	}
}
