package proxy

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"anyproxy/providers"
)

const (
	// maxBody is the Anthropic API's own limit for a request.
	maxBody = 32 << 20
	// firstRead bounds what a promised Content-Length makes us allocate before
	// any of it has come.
	firstRead = 256 << 10
	// pooledBody is the largest buffer that is kept for the next request.
	pooledBody = 2 << 20
	// A body may take this long, and a second more for each megabyte.
	bodyTime = 30 * time.Second
)

var bodies = sync.Pool{New: func() any { return new([]byte) }}

func recycle(b []byte) {
	if cap(b) <= pooledBody {
		b = b[:0]
		bodies.Put(&b)
	}
}

// readBody reads the whole request body into a pooled buffer. l looks at it
// meanwhile.
func readBody(w http.ResponseWriter, r *http.Request, l *outlook) (*providers.Body, *refusal) {
	for _, coding := range r.Header.Values("Content-Encoding") {
		if coding == "" || strings.EqualFold(coding, "identity") {
			continue
		}
		// An inflated body could be a thousand times its size.
		return nil, refuse(http.StatusUnsupportedMediaType, "content-encoding: only identity is accepted")
	}
	if r.ContentLength > maxBody {
		return nil, tooLarge()
	}
	buf := (*bodies.Get().(*[]byte))[:0]
	buf, err := readAll(buf, io.LimitReader(r.Body, maxBody+1), r.ContentLength, l)
	if err != nil {
		recycle(buf)
		return nil, bodyRefusal(err)
	}
	if len(buf) > maxBody {
		recycle(buf)
		return nil, tooLarge()
	}
	bodyRead(w)
	return providers.NewBody(buf, recycle), nil
}

// limitBody bounds the time in which a body must come. Until bodyRead the
// connection is to be closed behind the answer: otherwise net/http would wait for
// the rest of the body before it sends as much as a refusal.
func limitBody(w http.ResponseWriter, r *http.Request) {
	limit := bodyTime + time.Duration(min(max(r.ContentLength, 0), maxBody)>>20)*time.Second
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(limit)) // not all writers can
	w.Header().Set("Connection", "close")
}

// bodyRead lets the connection be kept: all of the body is there.
func bodyRead(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	w.Header().Del("Connection")
}

func tooLarge() *refusal {
	return refuse(http.StatusRequestEntityTooLarge, "request exceeds the maximum size of "+strconv.Itoa(maxBody>>20)+" MiB")
}

func bodyRefusal(err error) *refusal {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return refuse(http.StatusRequestTimeout, "body: it did not arrive in time")
	}
	return refuse(http.StatusBadRequest, "body: it broke off before its end")
}

// readAll appends r to buf, growing it as bytes really come: what is promised
// beyond firstRead is believed up to four times of what is there.
func readAll(buf []byte, r io.Reader, expected int64, l *outlook) ([]byte, error) {
	want := min(max(int(expected), 0)+1, firstRead) // one more, so that EOF is seen without growing
	if cap(buf) < want {
		buf = make([]byte, 0, want)
	}
	for {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, max(1, min(int(expected)+1-len(buf), 3*len(buf))))
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
		l.look(buf)
	}
}
