package front

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Writer is the [http.ResponseWriter] of a request that is served here. It has what
// [http.ResponseController] asks for but Hijack and full duplex, and sends neither trailers
// nor informational answers. Like any other it ends with its handler.
//
// A client is told what net/http would have told it (FuzzWriter), with these exceptions. The
// framing is the Writer's: of what the header says about it only a Content-Length that is a
// number counts, and a Connection that is close. It does not wait for a body that nobody has
// read: the connection ends where not all of it is there. Where a handler panics, what has
// not been sent is not.
type Writer struct {
	c      *conn
	body   *body // the request's
	cancel context.CancelFunc
	method string
	header http.Header
	status int // 0 before there is one

	length  int64 // of the answer, -1 while nobody has said it
	written int64 // of it
	chunked bool
	close   bool // the connection ends with the answer
	framed  bool // the head is at its end
	sniffs  bool // what the text is goes by its beginning
	timed   bool // there is a write deadline
	err     error

	out  *[]byte // made and not sent, nil = nothing
	text []byte  // of the answer, while its length may still be counted
}

// counted is how many bytes of an answer wait for its end, as with net/http, so that its
// length can be told.
const counted = 2 << 10

// together is the most that is copied for it to leave in one write.
const together = 32 << 10

// buffers are for what is written at once.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxKept is the size of the largest buffer that is kept for the next write.
const maxKept = 64 << 10

func free(b *[]byte) {
	if cap(*b) <= maxKept {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// Header implements [http.ResponseWriter].
func (w *Writer) Header() http.Header { return w.header }

// WriteHeader implements [http.ResponseWriter].
func (w *Writer) WriteHeader(status int) {
	if w.status != 0 || w.err != nil {
		return
	}
	if status < 100 || status > 999 {
		panic("front: no status of an answer: " + strconv.Itoa(status))
	}
	if status < 200 {
		return
	}
	w.status = status
	if _, typed := w.header["Content-Type"]; !typed {
		w.sniffs = w.header.Get("Content-Encoding") == ""
	}
	if v := w.header.Get("Content-Length"); v != "" && hasBody(status) {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && n >= 0 {
			w.length = n
		}
	}
	if strings.EqualFold(w.header.Get("Connection"), "close") {
		w.close = true
	}
	w.out = buffers.Get().(*[]byte)
	*w.out = appendHead((*w.out)[:0], status, w.header)
}

// hasBody reports whether answers of a status have one.
func hasBody(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// appendHead appends the head of an answer but for the lines of its framing.
func appendHead(b []byte, status int, h http.Header) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	if text := http.StatusText(status); text != "" {
		b = append(b, text...)
	} else { // as net/http says it
		b = strconv.AppendInt(append(b, "status code "...), int64(status), 10)
	}
	b = append(b, "\r\n"...)
	var few [32]string
	names := few[:0]
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if isFraming(name) || !isName(name) || name == "Content-Type" && status == http.StatusNotModified {
			continue
		}
		for _, value := range h[name] {
			b = append(b, name...)
			b = append(b, ": "...)
			from := len(b)
			b = append(b, strings.Trim(value, " \t\r\n")...)
			inLine(b[from:])
			b = append(b, "\r\n"...)
		}
	}
	if _, dated := h["Date"]; !dated {
		b = appendDate(b)
	}
	return b
}

// isFraming reports whether a header says where the answer ends, or what becomes of the
// connection. However it is spelled: a second length would have the client find another
// answer in this one.
func isFraming(name string) bool {
	for _, framing := range [...]string{"Connection", "Content-Length", "Transfer-Encoding", "Trailer"} {
		if len(name) == len(framing) && strings.EqualFold(name, framing) {
			return true
		}
	}
	return false
}

// isName reports whether a header may be called so (RFC 9110, 5.6.2).
func isName(s string) bool {
	for i := range len(s) {
		if !is(s[i], token) {
			return false
		}
	}
	return s != ""
}

// inLine keeps a value from being more than one line.
func inLine(value []byte) {
	for i, c := range value {
		if c == '\r' || c == '\n' {
			value[i] = ' '
		}
	}
}

// A stamp is the line that tells the time, for a second.
type stamp struct {
	second int64
	line   string
}

var latest atomic.Pointer[stamp]

func appendDate(b []byte) []byte {
	now := time.Now()
	s := latest.Load()
	if s == nil || s.second != now.Unix() {
		s = &stamp{now.Unix(), "Date: " + now.UTC().Format(http.TimeFormat) + "\r\n"}
		latest.Store(s)
	}
	return append(b, s.line...)
}

// sniffed is how much of a text tells what it is, and the most that
// [http.DetectContentType] looks at.
const sniffed = 512

// frame ends the head. The text that waits is all of the answer, or its beginning before
// next.
func (w *Writer) frame(all bool, next []byte) {
	w.framed = true
	b, head := *w.out, w.method == http.MethodHead
	if all && hasBody(w.status) && w.length < 0 && (!head || len(w.text) > 0) {
		w.length = int64(len(w.text))
	}
	if w.length >= 0 {
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), w.length, 10), "\r\n"...)
	}
	if w.sniffs && len(w.text)+len(next) > 0 {
		start := w.text
		if len(start) < sniffed {
			start = append(start, next[:min(sniffed-len(start), len(next))]...)
		}
		b = append(append(append(b, "Content-Type: "...), http.DetectContentType(start)...), "\r\n"...)
	}
	b = w.connection(b)
	if w.chunked = w.length < 0 && hasBody(w.status) && !head; w.chunked {
		b = append(b, chunked...)
	}
	*w.out = append(b, "\r\n"...)
	text := w.text
	w.text = nil
	w.put(text)
}

const chunked = "Transfer-Encoding: chunked\r\n"

// connection appends what becomes of the connection, if it is not kept: what is left of
// a request could not be told from the next one.
func (w *Writer) connection(b []byte) []byte {
	w.close = w.close || w.c.server.ending.Load() || !w.body.taken()
	if w.close {
		b = append(b, "Connection: close\r\n"...)
	}
	return b
}

// Write implements [http.ResponseWriter].
func (w *Writer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.err != nil {
		return 0, w.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if !hasBody(w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	w.written += int64(len(p)) // also what is too much: after it nobody knows what is whole
	if w.length >= 0 && w.written > w.length {
		return 0, http.ErrContentLength
	}
	if !w.framed && (w.length < 0 || w.sniffs) && len(w.text)+len(p) <= counted {
		w.text = append(w.text, p...)
		return len(p), nil
	}
	if !w.framed {
		w.frame(false, p)
	}
	w.put(p)
	return len(p), w.err
}

// put writes pieces of the answer, as one chunk if it has chunks, behind what has been
// made.
func (w *Writer) put(pieces ...[]byte) {
	size := 0
	for _, p := range pieces {
		size += len(p)
	}
	if size == 0 || w.method == http.MethodHead {
		return // of chunks an empty one is the end
	}
	b := w.made()
	if w.chunked {
		*b = append(strconv.AppendInt(*b, int64(size), 16), "\r\n"...)
	}
	for _, p := range pieces {
		if b = w.made(); len(*b)+len(p) <= together {
			*b = append(*b, p...)
			continue
		}
		w.send()
		w.transmit(p)
	}
	if w.chunked {
		b = w.made()
		*b = append(*b, "\r\n"...)
	}
}

// made gives what has been made and not sent.
func (w *Writer) made() *[]byte {
	if w.out == nil {
		w.out = buffers.Get().(*[]byte)
	}
	return w.out
}

// send sends what has been made.
func (w *Writer) send() {
	b := w.out
	if b == nil {
		return
	}
	w.out = nil
	w.transmit(*b)
	free(b)
}

// transmit writes to the connection, unless it has failed to. Then nobody is there.
func (w *Writer) transmit(b []byte) {
	if w.err != nil || len(b) == 0 {
		return
	}
	if _, err := w.c.rwc.Write(b); err != nil {
		w.err = err
		w.cancel()
	}
}

// FlushError sends what has been written.
func (w *Writer) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.err == nil && !w.framed {
		w.frame(false, nil)
	}
	w.send()
	return w.err
}

// Flush implements [http.Flusher].
func (w *Writer) Flush() { _ = w.FlushError() }

// SetReadDeadline sets the time by which the request's body must have come.
func (w *Writer) SetReadDeadline(t time.Time) error {
	w.body.limit(t)
	return nil
}

// SetWriteDeadline sets the time by which what is written must be taken.
func (w *Writer) SetWriteDeadline(t time.Time) error {
	w.timed = true
	return w.c.rwc.SetWriteDeadline(t)
}

// finish ends the answer, and reports whether there may be another one.
func (w *Writer) finish() bool {
	if w.status == 0 && w.err == nil {
		w.WriteHeader(http.StatusOK)
	}
	if w.err == nil && !w.framed {
		w.frame(true, nil)
	}
	if w.err == nil && w.chunked {
		b := w.made()
		*b = append(*b, "0\r\n\r\n"...)
	}
	w.send()
	if w.timed && w.err == nil {
		_ = w.c.rwc.SetWriteDeadline(time.Time{})
	}
	whole := w.chunked || w.length < 0 || w.written == w.length || w.method == http.MethodHead
	return w.err == nil && whole && !w.close && w.body.taken()
}

// An Answer is a stream of chunks whose head is made ahead. It belongs to one goroutine at
// a time.
type Answer struct {
	w    *Writer
	head []byte // made but for the framing, and not sent; of its own memory, as it may wait for long
}

// Begin takes an answer over from its ResponseWriter, to which nothing has been and nothing
// may be written. Its header says nothing any more. It is nil, and w as before, where that
// cannot be done: the answer is net/http's, or one to HEAD.
func Begin(w http.ResponseWriter) *Answer {
	mine, ok := w.(*Writer)
	if !ok || mine.method == http.MethodHead || mine.status != 0 {
		return nil
	}
	if strings.EqualFold(mine.header.Get("Connection"), "close") {
		mine.close = true
	}
	mine.status, mine.framed, mine.err = http.StatusOK, true, errOwed
	return &Answer{w: mine}
}

var (
	errOwed = errors.New("front: the answer's head has not been sent")
	errLate = errors.New("front: the answer has failed before")
	errOver = errors.New("front: the handler has returned")
)

// Head makes the head that is sent with the first Write, instead of one that was made
// before. What h says about the framing does not count. A status whose answers have no
// body makes none: what is written behind it would be taken for the next answer.
func (a *Answer) Head(status int, h http.Header) {
	if status > 999 || !hasBody(status) {
		a.head = nil
		return
	}
	buf := buffers.Get().(*[]byte)
	defer free(buf)
	*buf = appendHead(*buf, status, h)
	a.head = bytes.Clone(*buf)
}

// Write sends pieces as one chunk, with the head before the first one. When it fails the
// request's context ends, and its connection with the handler.
func (a *Answer) Write(pieces ...[]byte) error {
	w := a.w
	if w.err == errOwed {
		if w.err = errLate; a.head != nil {
			w.err, w.chunked = nil, true
			b := w.made()
			*b = w.connection(append(*b, a.head...)) // which may end since then
			*b = append(append(*b, chunked...), "\r\n"...)
			a.head = nil
		}
	}
	if w.err != nil {
		w.cancel()
		return w.err
	}
	w.put(pieces...)
	w.send()
	return w.err
}
